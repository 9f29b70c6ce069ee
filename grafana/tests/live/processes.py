"""Redis, nodes and Prometheus as child processes, all on loopback and in one folder."""

import json
import os
import pathlib
import secrets
import signal
import socket
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
NAMESPACE = "live"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def until(what, ready, seconds=30):
    """Waits until `ready()` is true; an error of it counts as false."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if ready():
                return
        except (OSError, ValueError):
            pass
        if time.monotonic() > deadline:
            raise SystemExit(f"error: {what} in {seconds} s")
        time.sleep(0.1)


def fetch(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


class Process:
    """One child; what it says goes to a file of its name."""

    def __init__(self, folder, name, command, env=None):
        self.name = name
        self.command = [str(word) for word in command]
        self.env = {**os.environ, **(env or {})}
        self.log = folder / f"{name}.log"
        self.child = None

    def start(self):
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(self.command, env=self.env, stdout=log, stderr=log)

    def send(self, number):
        self.child.send_signal(number)

    def wait(self, seconds=30):
        return self.child.wait(timeout=seconds)

    def stop(self):
        if self.child is None or self.child.poll() is not None:
            return
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            self.wait(15)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.wait()


class Node(Process):
    """One hubbub on ports that stay its own over restarts."""

    def __init__(self, folder, name, binary, env, settings):
        self.public, self.internal = free_port(), free_port()
        command = [binary, "serve", "--dev", "--listen", f"127.0.0.1:{self.public}",
                   "--internal-listen", f"127.0.0.1:{self.internal}"]
        for setting in settings:
            command += ["--set", setting]
        super().__init__(folder, name, command, {**env, "HUBBUB_NODE__ID": name})

    def start(self):
        super().start()
        until(f"{self.name} was not ready (see {self.log})", lambda: fetch(self.api("/ready")))

    def api(self, path):
        return f"http://127.0.0.1:{self.internal}{path}"

    def socket(self, path="/api/v4/websocket"):
        return f"ws://127.0.0.1:{self.public}{path}"


class Redis(Process):
    """A server that keeps its log over a kill."""

    def __init__(self, folder):
        self.port = free_port()
        data = folder / "redis"
        data.mkdir()
        super().__init__(folder, "redis", [
            "redis-server", "--port", self.port, "--bind", "127.0.0.1", "--dir", data, "--save", "",
            "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction",
        ])

    def start(self):
        super().start()
        until("redis did not answer", lambda: self.ask("PING").startswith(b"+PONG"))

    def ask(self, *words):
        """One inline command, and the beginning of its answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(" ".join(words).encode() + b"\r\n")
            return connection.recv(4096)


class Prometheus(Process):
    """Scrapes every node once a second, and evaluates the alerts."""

    def __init__(self, folder, binary, nodes, rules):
        self.port = free_port()
        targets = [
            {"targets": [f"127.0.0.1:{node.internal}"], "labels": {"instance": node.name, "namespace": NAMESPACE}}
            for node in nodes
        ]
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "5s"},
            "rule_files": [str(rules / "*.yml")],
            "scrape_configs": [{"job_name": "hubbub", "static_configs": targets}],
        }
        # JSON is YAML, too.
        path = folder / "prometheus.yml"
        path.write_text(json.dumps(config))
        super().__init__(folder, "prometheus", [
            binary, f"--config.file={path}", f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn",
        ])
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self):
        super().start()
        until("prometheus was not ready", lambda: fetch(self.url + "/-/ready"))

    def stop(self):
        # What it has collected is thrown away.
        if self.child is not None and self.child.poll() is None:
            self.child.kill()
            self.wait()


def secret():
    return secrets.token_hex(32)
