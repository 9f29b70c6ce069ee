"""Python's `websockets` against the rooms and the mattermost dialect.

The server is the same as for the other scripts: HUBBUB_BIN is started, unless
HUBBUB_PUBLIC, HUBBUB_INTERNAL, HUBBUB_TOKEN_ALICE and HUBBUB_TOKEN_BOB name a
running one.
"""

import asyncio
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import traceback
import urllib.request

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

HERE = pathlib.Path(__file__).resolve().parent
BINARY = os.environ.get("HUBBUB_BIN", HERE.parent.parent / "target/debug/hubbub")
WITHIN = 10
MATTERMOST = "/api/v4/websocket"
TESTS = []


def test(function):
    TESTS.append(function)
    return function


class Server:
    """A server's addresses and tokens, and its process when this script started it."""

    def __init__(self):
        self.process = None
        if "HUBBUB_PUBLIC" in os.environ:
            self.public = os.environ["HUBBUB_PUBLIC"]
            self.internal = os.environ["HUBBUB_INTERNAL"]
            self.tokens = {name: os.environ[f"HUBBUB_TOKEN_{name.upper()}"] for name in ("alice", "bob")}
            return
        self.process = subprocess.Popen(
            [BINARY, "serve", "--dev", "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0",
             "--set", "shutdown.drain=2s"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.tokens = {}
        for line in self.process.stdout:
            if found := re.match(r"(public|internal)\s+(\S+)$", line):
                setattr(self, found[1], found[2])
            elif found := re.match(r"token (\S+) (\S+)$", line):
                self.tokens[found[1]] = found[2]
            if "bob" in self.tokens:
                return
        raise SystemExit("the server ended before it was ready")

    def url(self, route):
        return self.public.replace("http", "ws", 1) + route

    def bearer(self, user):
        return {"Authorization": f"Bearer {self.tokens[user]}"}

    async def publish(self, event):
        request = urllib.request.Request(
            self.internal + "/api/v1/publish",
            data=json.dumps(event).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {os.environ.get('HUBBUB_API_KEY', '')}"},
        )
        answer = await asyncio.to_thread(urllib.request.urlopen, request)
        assert answer.status == 200, answer.status

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=60)


async def receive(socket):
    return await asyncio.wait_for(socket.recv(), WITHIN)


async def receive_json(socket):
    return json.loads(await receive(socket))


async def closed(socket):
    """Waits for the end; gives code and reason."""
    try:
        async with asyncio.timeout(WITHIN):
            while True:
                await socket.recv()
    except ConnectionClosed:
        return socket.close_code, socket.close_reason


@test
async def plain_room(server):
    async with connect(server.url("/ws")) as ann, connect(server.url("/ws?name=ben")) as ben:
        assert ann.subprotocol is None
        await ann.send("hello\nfrom Python")
        assert await receive(ann) == "hello\nfrom Python"
        assert await receive(ben) == "hello\nfrom Python"
        await ben.send(b"\x00\xff")
        assert await receive(ann) == b"\x00\xff"


@test
async def a_message_in_fragments_arrives_whole(server):
    async with connect(server.url("/ws/room/python-fragments")) as socket:
        await socket.send(["one ", "mess", "age"])
        assert await receive(socket) == "one message"


@test
async def ping_is_answered_and_close_echoed(server):
    async with connect(server.url("/ws/room/python-ping")) as socket:
        await asyncio.wait_for(await socket.ping(b"payload"), WITHIN)
        await socket.close(1000, "done")
        assert socket.close_code == 1000, socket.close_code


@test
async def invalid_text_closes_only_its_sender(server):
    async with connect(server.url("/ws/room/python-1007")) as bad, connect(server.url("/ws/room/python-1007")) as good:
        bad.transport.write(Frame(Opcode.TEXT, b"\xff").serialize(mask=True))
        code, reason = await closed(bad)
        assert code == 1007, (code, reason)
        await good.send("still here")
        assert await receive(good) == "still here"


@test
async def room_with_history_and_resume(server):
    route = server.url("/ws/room/python-json?name=ann")
    async with connect(route, subprotocols=["hubbub.room.v1"]) as socket:
        assert socket.subprotocol == "hubbub.room.v1"
        hello = await receive_json(socket)
        assert (hello["type"], hello["seq"], hello["user"], hello["room"]) == ("hello", 0, "~ann", "python-json"), hello
        assert hello["history"] == [], hello
        await socket.send(json.dumps({"text": "first", "id": "p-1"}))
        first = await receive_json(socket)
        assert (first["seq"], first["id"], first["text"], first["user"]) == (1, "p-1", "first", "~ann"), first
    for text in ("while away", "and more"):
        await server.publish({"event": "message", "to": {"room": "python-json"}, "data": {"text": text}})
    resume = f"{route}&connection_id={hello['connection_id']}&sequence_number=2"
    async with connect(resume, subprotocols=["hubbub.room.v1"]) as socket:
        replay = [await receive_json(socket) for _ in range(2)]
        assert [(one["seq"], one["text"]) for one in replay] == [(2, "while away"), (3, "and more")], replay
    async with connect(route, subprotocols=["hubbub.room.v1"]) as socket:
        history = (await receive_json(socket))["history"]
        assert [one["text"] for one in history] == ["first", "while away", "and more"], history


@test
async def mattermost_with_bearer_and_resume(server):
    route = server.url(MATTERMOST)
    headers = server.bearer("alice")
    async with connect(route, additional_headers=headers) as socket:
        hello = await receive_json(socket)
        assert (hello["event"], hello["seq"], hello["broadcast"]["user_id"]) == ("hello", 0, "alice"), hello
        connection = hello["data"]["connection_id"]
        await socket.send(json.dumps({"seq": 1, "action": "ping"}))
        seq = 0
        while (message := await receive_json(socket)).get("seq_reply") != 1:
            assert message["seq"] == seq + 1, message
            seq = message["seq"]
        assert message["data"]["text"] == "pong", message
    for number in range(3):
        await server.publish({"event": "e2e", "to": {"user": "alice"}, "data": {"n": number}})
    resume = f"{route}?connection_id={connection}&sequence_number={seq + 1}"
    async with connect(resume, additional_headers=headers) as socket:
        numbers = []
        while len(numbers) < 3:
            message = await receive_json(socket)
            assert message["seq"] == seq + 1, message
            seq = message["seq"]
            if message["event"] == "e2e":
                numbers.append(message["data"]["n"])
        assert numbers == [0, 1, 2], numbers
    unknown = f"{route}?connection_id={'z' * 26}&sequence_number=7"
    async with connect(unknown, additional_headers=headers) as socket:
        hello = await receive_json(socket)
        assert (hello["event"], hello["seq"]) == ("hello", 0), hello
        assert hello["data"]["connection_id"] not in (connection, "z" * 26), hello


@test
async def mattermost_by_challenge(server):
    async with connect(server.url(MATTERMOST)) as socket:
        challenge = {"seq": 1, "action": "authentication_challenge", "data": {"token": server.tokens["bob"]}}
        await socket.send(json.dumps(challenge))
        hello = await receive_json(socket)
        assert (hello["event"], hello["broadcast"]["user_id"]) == ("hello", "bob"), hello
        while "seq_reply" not in (reply := await receive_json(socket)):
            pass
        assert reply == {"status": "OK", "seq_reply": 1}, reply


@test
async def a_malformed_resume_is_refused_before_the_upgrade(server):
    for query in ("connection_id=short&sequence_number=1", f"connection_id={'z' * 26}&sequence_number=x"):
        try:
            async with connect(f"{server.url(MATTERMOST)}?{query}", additional_headers=server.bearer("alice")):
                raise AssertionError(f"upgraded with {query}")
        except InvalidStatus as refused:
            assert refused.response.status_code == 400, refused


async def main():
    server = Server()
    passed = failed = 0
    try:
        for function in TESTS:
            name = function.__name__.replace("_", " ")
            began = time.monotonic()
            try:
                await asyncio.wait_for(function(server), 60)
            except Exception:  # noqa: BLE001 - a failed check must not keep the others from running
                failed += 1
                print(f"FAIL {name}\n{traceback.format_exc()}")
            else:
                passed += 1
                print(f"ok   {name} ({time.monotonic() - began:.1f} s)")
    finally:
        server.stop()
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
