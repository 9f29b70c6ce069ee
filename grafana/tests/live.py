#!/usr/bin/env python3
"""Dashboards, alerts and preview against real nodes, a real Redis and a real Prometheus.

Three nodes share a Redis and one keeps its data in a file. They get members, rooms, slow
readers, intruders, cuts, a frozen and a killed Redis, a drained and a killed node. Then every
query of every panel must have found something, every alert must have been evaluated,
what happened must be in the numbers, and grafana/preview must be content.
"""

import argparse
import asyncio
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
sys.dont_write_bytecode = True

from lib import dashboards  # noqa: E402
from lib.prometheus import Prometheus as Client  # noqa: E402
from live import clients  # noqa: E402
from live.processes import ROOT, Node, Prometheus, Redis, fetch, secret  # noqa: E402

SETTINGS = [
    "metrics.mattermost_names=true", "cluster.lease=2s", "cluster.heartbeat=500ms", "shutdown.drain=3s",
    "shutdown.ready_delay=1s", "limits.outbox_bytes=128KiB", "limits.connections_per_ip=500",
]
# What was done must be seen: the highest value within the run of each is above 0.
HAPPENED = [
    'hubbub_resumes_total{result="lossless"}', 'hubbub_resumes_total{result="replayed"}',
    'hubbub_resumes_total{result="reset"}', 'hubbub_resumes_total{result="forbidden"}',
    'hubbub_resets_total{cause="unknown"}', 'hubbub_resets_total{cause="ahead"}',
    "hubbub_slow_consumers_total", 'hubbub_sockets_closed_total{code="4431"}',
    'hubbub_bodies_withheld_total{reason="pressure"}', "hubbub_tail_catchups_total",
    'hubbub_redis_reconnects_total{role="subscribe"}', 'hubbub_redis_reconnects_total{role="publish"}',
    'hubbub_lease_renewals_total{result="renewed"}', 'hubbub_lease_renewals_total{result="failed"}',
    "hubbub_lease_lapses_total", "sum(hubbub_generations_adopted_total) + sum(hubbub_realm_losses_total)",
    "hubbub_drain_phase", "1 - hubbub_ready", '1 - hubbub_redis_up{instance!="alone",role="subscribe"}',
    'hubbub_events_published_total{result="unavailable"}', 'hubbub_events_published_total{result="duplicate"}',
    "hubbub_checkpoints_total", 'hubbub_presence_writes_total{result="written"}',
    'hubbub_store_commit_seconds_count{instance="alone"}', 'hubbub_deliveries_total{class="ephemeral"}',
    *(f'hubbub_rejections_total{{stage="{stage}"}}'
      for stage in ("http", "handshake", "frame", "message", "auth", "api", "limit")),
]
# The row "Websockets" of Mattermost's dashboard, and what counts its devices.
MATTERMOST = [
    "sum(mattermost_websocket_broadcast_buffer_size)",
    "sum(rate(mattermost_websocket_broadcasts_total[5m])) by (name) > 0",
    "sum(increase(mattermost_websocket_reconnects_total[10m])) by (instance) > 0",
    "sum(rate(mattermost_websocket_event_total[5m])) by (type) > 0",
    "sum(mattermost_http_websockets_total) by (origin_client) > 0",
    "sum(mattermost_websocket_broadcast_buffer_users_registered) by (hub) > 0",
]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.environ.get("HUBBUB_BIN"), type=pathlib.Path,
                        help="default: $HUBBUB_BIN, target/release/hubbub or target/debug/hubbub")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "target" / "preview", help="where the pictures go")
    options = parser.parse_args()
    built = [ROOT / "target" / profile / "hubbub" for profile in ("release", "debug")]
    options.binary = options.binary or next((path for path in built if path.is_file()), None)
    if options.binary is None or not options.binary.is_file():
        sys.exit("error: no binary: run cargo build, or name one with --binary")
    return options


def prometheus_binary():
    local = ROOT / "target" / "tools" / "prometheus"
    found = str(local) if local.is_file() else shutil.which("prometheus")
    return found or sys.exit("error: prometheus is missing: run scripts/setup")


class Stage:
    """Everything that runs, started in order and ended in the opposite one."""

    def __init__(self, folder, binary):
        key = self.key = secret()
        self.redis = Redis(folder)
        shared = {"HUBBUB_AUTH__SECRET": key, "HUBBUB_REDIS__URL": f"redis://127.0.0.1:{self.redis.port}"}
        own = {"HUBBUB_AUTH__SECRET": key}
        (folder / "data").mkdir()
        self.cluster = [Node(folder, f"node-{number}", binary, shared, SETTINGS) for number in (1, 2, 3)]
        self.alone = Node(folder, "alone", binary, own, [*SETTINGS, f"data.dir={folder / 'data'}"])
        self.prometheus = Prometheus(folder, prometheus_binary(), [*self.cluster, self.alone], HERE.parent / "alerts")
        self.all = [self.redis, *self.cluster, self.alone, self.prometheus]

    def start(self):
        for process in self.all:
            process.start()

    def stop(self):
        for process in reversed(self.all):
            process.stop()


async def happen(stage, look):
    """The load, one trouble after the other, and a `look` at what is to be seen of it."""
    first, second, third = stage.cluster
    members = [clients.Member(f"user-{number}", stage.key, stage.cluster) for number in range(40)]
    members += [clients.Member(f"hermit-{number}", stage.key, [stage.alone]) for number in range(10)]
    tasks = [asyncio.create_task(member.run()) for member in members]
    for node in (first, second, stage.alone):
        tasks += [asyncio.create_task(clients.backend(node, 10)), asyncio.create_task(clients.chatter(node))]
    await asyncio.sleep(4)
    guests = [guest(node, stage.key) for node in (first, stage.alone) for guest in (clients.visitor, clients.trespasser)]
    await asyncio.gather(*guests)
    await asyncio.gather(*(clients.slow_reader(node, stage.key, 20) for node in (third, stage.alone)))
    print("kills connections to Redis", flush=True)
    for kind in ("pubsub", "normal"):
        stage.redis.ask("CLIENT", "KILL", "TYPE", kind)
        await asyncio.sleep(1)
    print("freezes Redis", flush=True)
    stage.redis.send(signal.SIGSTOP)
    await asyncio.sleep(5)
    stage.redis.send(signal.SIGCONT)
    await asyncio.sleep(4)
    print("kills Redis", flush=True)
    stage.redis.send(signal.SIGKILL)
    stage.redis.wait()
    await asyncio.sleep(1)
    await asyncio.to_thread(stage.redis.start)
    await asyncio.sleep(8)
    print("kills a node, drains another", flush=True)
    second.send(signal.SIGKILL)
    second.wait()
    third.send(signal.SIGTERM)
    await asyncio.to_thread(third.wait)
    await asyncio.gather(*(asyncio.to_thread(node.start) for node in (second, third)))
    await asyncio.sleep(6)
    done = [task for task in tasks if task.done()]
    # The load goes on while the pictures are drawn.
    failures = await asyncio.to_thread(look)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return failures + [f"a client ended: {task.exception()!r}" for task in done]


def unseen(page):
    """The metrics of a node's page that no panel shows, but for Mattermost's names."""
    exported = set(re.findall(r"^# TYPE ((?:hubbub|process)_\w+) ", page, re.MULTILINE))
    if len(exported) < 40:
        return [f"only {len(exported)} metrics are exported"]
    shown = set().union(*(dashboards.metrics(expr) for page in dashboards.load().values() for expr in dashboards.queries(page)))
    return [f"on no panel: {metric}" for metric in sorted(exported - shown)]


def missing(client, seconds):
    """What the run should have left in Prometheus, and did not."""
    failures = []
    window = f"{int(seconds) + 5}s:1s"
    for series in HAPPENED:
        if not any(value > 0 for _, value in client.now(f"max_over_time(({series})[{window}])")):
            failures.append(f"did not happen: {series}")
    for expr in MATTERMOST:
        if not client.now(expr):
            failures.append(f"Mattermost's dashboard: no data: {expr}")
    end = time.time()
    # All of them, and one that has no Redis: a single node fills every panel, too.
    for node in (".*", "alone"):
        variables = {"namespace": ".*", "node": node, "__rate_interval": "10s"}
        for name, page in dashboards.load().items():
            for expr in dashboards.queries(page):
                if expr.startswith("hubbub_drain_phase") and node == "alone":
                    continue
                if not client.over_time(dashboards.filled(expr, variables), end - seconds, end, 1):
                    failures.append(f"{name}: no data of {node}: {expr}")
    rules = [rule for group in json.loads(fetch(f"{client.url}/api/v1/rules"))["data"]["groups"] for rule in group["rules"]]
    if not rules:
        failures.append("no rule was loaded")
    failures += [f"{rule['name']}: {rule.get('lastError')}" for rule in rules if rule["health"] != "ok"]
    # Of the alerts that wait for nothing, the one that was given a cause, and not the other.
    firing = {rule["name"] for rule in rules if rule.get("state") == "firing"}
    if "HubbubLeaseLost" not in firing or "HubbubDrainStuck" in firing:
        failures.append(f"alerts that fire: {sorted(firing)}")
    return failures


def main():
    options = arguments()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hubbub-grafana-"))
    stage = Stage(folder, options.binary.resolve())
    began = time.monotonic()

    def look():
        seconds = time.monotonic() - began
        failures = unseen(fetch(stage.alone.api("/metrics"))) + missing(Client(stage.prometheus.url), seconds)
        preview = [HERE.parent / "preview", "--prometheus", stage.prometheus.url, "--out", options.out,
                   "--minutes", f"{seconds / 60:.2f}", "--rate", "10s"]
        if subprocess.run([str(word) for word in preview], check=False).returncode != 0:
            failures.append("grafana/preview was not content")
        return failures

    try:
        stage.start()
        failures = asyncio.run(happen(stage, look))
    finally:
        stage.stop()
    for failure in failures:
        print(f"FAILED {failure}")
    if failures:
        print(f"logs: {folder}")
        return 1
    shutil.rmtree(folder)
    print(f"live: everything was seen in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
