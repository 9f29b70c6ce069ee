"""Servers that a benchmark starts on free ports of loopback, and what they used."""
import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SECRET = "only-for-the-benchmark-0123456789abcdef"
# Limits that protect a server from its clients would stop a benchmark.
SETTINGS = [
    "limits.connections_per_ip=0",
    "limits.handshakes_per_second=100000",
    "limits.handshakes_burst=100000",
    "limits.api_events_per_second=1000000",
    "limits.ping_interval=10m",
    "shutdown.drain=1s",
    "telemetry.log_level=error",
]


def raise_file_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def token(user, **claims):
    """A JWT for `user`, valid for an hour."""

    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    now = int(time.time())
    claims = {"sub": user, "iat": now, "exp": now + 3600} | claims
    head = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return (head + b"." + part(hmac.new(SECRET.encode(), head, hashlib.sha256).digest())).decode()


def host_and_port(url):
    host, port = url.rsplit("/", 1)[-1].split(":")
    return host, int(port)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Process:
    """A server that this script started; it ends with the `with` block."""

    def start(self, command, **options):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stderr=self.log, **options)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def fail(self, why):
        if self.process.poll() is None:
            self.kill()
        self.log.seek(0)
        sys.exit(f"{why}\n{self.log.read()[-2000:].decode(errors='replace')}")

    def cpu_us(self):
        """Microseconds of CPU that its threads used."""
        total = 0
        for thread in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError):
                total += int((thread / "schedstat").read_text().split()[0])
        return total / 1000

    def rss_bytes(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0


def wait_for_port(server, address):
    for _ in range(200):
        try:
            socket.create_connection(address).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    server.fail(f"nothing listens on {address}")


class Redis(Process):
    """A redis-server of its own, with nothing on disk."""

    def __init__(self, pin=()):
        self.folder = tempfile.TemporaryDirectory()
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        command = [*pin, "redis-server", "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--dir", self.folder.name, "--save", "", "--appendonly", "no"]
        command += ["--maxmemory-policy", "noeviction"]
        if not shutil.which("redis-server"):
            sys.exit("redis-server is missing: run scripts/setup")
        self.start(command, stdout=subprocess.DEVNULL)
        wait_for_port(self, ("127.0.0.1", self.port))


class Node(Process):
    """A hubbub node in development mode, with the embedded log or a Redis."""

    def __init__(self, binary, redis=None, name="node-1", pin=(), settings=()):
        command = [*pin, binary, "serve", "--dev", "--listen", "127.0.0.1:0"]
        command += ["--internal-listen", "127.0.0.1:0"]
        chosen = dict(setting.split("=", 1) for setting in [*SETTINGS, *settings])
        for key, value in chosen.items():
            command += ["--set", f"{key}={value}"]
        environment = os.environ | {"HUBBUB_AUTH__SECRET": SECRET, "HUBBUB_NODE__ID": name}
        if redis:
            environment["HUBBUB_REDIS__URL"] = redis.url
        self.start(command, stdout=subprocess.PIPE, text=True, env=environment)
        self.address = self.internal = None
        for line in self.process.stdout:
            words = line.split()
            if words[:1] == ["public"]:
                self.address = host_and_port(words[1])
            if words[:1] == ["internal"]:
                self.internal = host_and_port(words[1])
            if words[:2] == ["token", "bob"]:
                break
        if not self.address or not self.internal:
            self.fail("the server did not start")
        for _ in range(200):
            if self.call("GET", "/ready")[0] == 200:
                return
            time.sleep(0.05)
        self.fail("the server did not become ready")

    def call(self, method, path, body=None):
        """Status and JSON (or text) of one request to the internal listener."""
        with contextlib.closing(http.client.HTTPConnection(*self.internal, timeout=30)) as one:
            one.request(method, path, json.dumps(body) if body is not None else None,
                        {"Content-Type": "application/json"})
            answer = one.getresponse()
            text = answer.read().decode()
        try:
            return answer.status, json.loads(text)
        except json.JSONDecodeError:
            return answer.status, text

    def metric(self, name):
        """The sum of a metric's samples."""
        _, text = self.call("GET", "/metrics")
        lines = [line.split() for line in text.splitlines() if line.startswith(name)]
        return sum(float(line[-1]) for line in lines if line[0].split("{")[0] == name)
