"""The Redis of the chart, which is for development only: what its container runs, run by a real server.

Method: the script of the manifest gets a port and a folder of the test in place of its own.
"""

import os
import shutil
import socket
import subprocess
import time

import pytest

from conftest import one, render

SERVER = shutil.which("redis-server")
CLIENT = shutil.which("redis-cli")
PASSWORD = "a password; with $signs, it's #1 `x`"


@pytest.mark.skipif(not (SERVER and CLIENT), reason="redis-server is missing: scripts/setup installs it")
@pytest.mark.parametrize(("size", "kept"), [("", "no"), ("1Gi", "yes")])
def test_it_starts_with_its_password_and_never_evicts(size, kept, tmp_path):
    manifests = render({"devRedis": {"enabled": True, "size": size}})
    container = one(manifests, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    assert container["command"] == ["sh", "-c"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = container["args"][0].replace("dir /data", f"dir {tmp_path}\nbind 127.0.0.1\nport {port}")
    environment = {"PATH": os.environ["PATH"], "REDIS_PASSWORD": PASSWORD}
    server = subprocess.Popen([*container["command"], script], env=environment, stdout=subprocess.DEVNULL)
    try:
        ask = [CLIENT, "-p", str(port)]

        def answer(*command, password=PASSWORD):
            extra = {"REDISCLI_AUTH": password} if password else {}
            done = subprocess.run(
                [*ask, *command], env={"PATH": os.environ["PATH"], **extra}, capture_output=True, text=True, check=False
            )
            return done.stdout.strip()

        deadline = time.monotonic() + 10
        while answer("ping") != "PONG":
            assert time.monotonic() < deadline and server.poll() is None, "it does not start"
        assert "NOAUTH" in answer("ping", password="")
        assert answer("config", "get", "maxmemory-policy").split() == ["maxmemory-policy", "noeviction"]
        assert answer("config", "get", "appendonly").split() == ["appendonly", kept]
        # The password is no argument that other users of a machine can read.
        assert PASSWORD.encode() not in open(f"/proc/{server.pid}/cmdline", "rb").read()
    finally:
        server.terminate()
    # The shell has become the server, so the signal of the kubelet reaches it.
    assert server.wait(timeout=10) == 0
