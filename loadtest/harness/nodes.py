"""Nodes of hubbub on this machine, with a Redis of their own where they share one."""
import contextlib
import os
import secrets
import shutil
import socket
import sys
import tempfile
import urllib.error
import urllib.request

from .processes import Process, free_port

# One address and one key carry all the load here, so what a node allows each is lifted.
SETTINGS = [
    "limits.connections_per_ip=0",
    "limits.handshakes_per_second=100000",
    "limits.handshakes_burst=100000",
    "limits.api_events_per_second=1000000",
    "shutdown.drain=1s",
    "telemetry.log_level=warn",
]


class Node(Process):
    def __init__(self, binary, folder, number, env):
        command = [binary, "serve", "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0"]
        for setting in SETTINGS:
            command += ["--set", setting]
        name = f"node-{number}"
        super().__init__(name, command, f"{folder}/{name}.log", env | {"HUBBUB_NODE__ID": name})
        self.public = self.internal = None

    def address(self, word):
        def line():
            for text in self.log.read_text().splitlines():
                if text.startswith(f"{word} "):
                    return text.split()[1]
            return None

        return self.wait_for(line, f"the line `{word}`")

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"{self.internal}/ready", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def wait_until_ready(self):
        self.public, self.internal = self.address("public"), self.address("internal")
        self.wait_for(self.is_ready, "`/ready`")


class Cluster(contextlib.ExitStack):
    """`count` nodes; with `redis`, or when there are several, on one redis-server."""

    def __init__(self, binary, count, redis):
        super().__init__()
        self.folder = self.enter_context(tempfile.TemporaryDirectory(prefix="hubbub-load."))
        self.secret, self.key = secrets.token_hex(32), secrets.token_hex(32)
        env = {name: value for name, value in os.environ.items() if not name.startswith("HUBBUB_")}
        env |= {"HUBBUB_AUTH__SECRET": self.secret, "HUBBUB_INTERNAL__API_KEY": self.key}
        try:
            if redis or count > 1:
                env["HUBBUB_REDIS__URL"] = self.start_redis()
            self.nodes = [
                self.enter_context(Node(binary, self.folder, number + 1, env)) for number in range(count)
            ]
            for node in self.nodes:
                node.wait_until_ready()
        except BaseException:
            self.close()
            raise

    def start_redis(self):
        program = shutil.which("redis-server") or sys.exit("error: redis-server is missing: run scripts/setup")
        port = free_port()
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", self.folder, "--save", ""]
        command += ["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"]
        process = self.enter_context(Process("redis-server", command, f"{self.folder}/redis.log"))

        def answers():
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1) as link:
                    link.sendall(b"PING\r\n")
                    return link.recv(16).startswith(b"+PONG")
            except OSError:
                return False

        process.wait_for(answers, "an answer to PING")
        return f"redis://127.0.0.1:{port}"

    def environment(self):
        """What the scripts must be told by `-e`."""
        return {
            "URL": ",".join(node.public.replace("http", "ws", 1) for node in self.nodes),
            "API": ",".join(node.internal for node in self.nodes),
            "SECRET": self.secret,
            "API_KEY": self.key,
        }
