"""Clients of every kind: faithful ones, slow ones, and those that are refused."""

import asyncio
import base64
import hashlib
import hmac
import json
import random
import socket
import time
import urllib.error
import urllib.request

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

CHANNELS = ["town-square", "random"]
ERRORS = (OSError, ConnectionClosed, InvalidHandshake, asyncio.TimeoutError)


def token(secret, user, **claims):
    """A JWT as a login service would sign it."""

    def part(data):
        return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=")

    body = {"sub": user, "iat": int(time.time()), "exp": int(time.time()) + 3_600, "channels": CHANNELS, **claims}
    text = part({"alg": "HS256", "typ": "JWT"}) + b"." + part(body)
    sign = hmac.new(secret.encode(), text, hashlib.sha256).digest()
    return (text + b"." + base64.urlsafe_b64encode(sign).rstrip(b"=")).decode()


def bearer(signed):
    return {"Authorization": f"Bearer {signed}"}


class Member:
    """A Mattermost client that counts, and comes back anywhere with what it has counted."""

    def __init__(self, user, secret, nodes):
        self.user, self.nodes = user, nodes
        self.header = bearer(token(secret, user))
        self.connection, self.next = "", 0
        self.socket = None

    async def run(self):
        while True:
            try:
                await self.visit(random.choice(self.nodes))
            except ERRORS:
                pass
            await asyncio.sleep(random.uniform(0.2, 0.8))

    def url(self, node):
        resume = f"?connection_id={self.connection}&sequence_number={self.next}" if self.connection else ""
        return node.socket() + resume

    async def visit(self, node):
        async with connect(self.url(node), additional_headers=self.header, open_timeout=5) as self.socket:
            requests = 0
            async for text in self.socket:
                message = json.loads(text)
                if message.get("event") == "hello":
                    self.connection, self.next = message["data"]["connection_id"], 0
                if "seq" in message and "event" in message:
                    self.next = message["seq"] + 1
                if random.random() < 0.02:
                    requests += 1
                    typing = {"channel_id": random.choice(CHANNELS), "parent_id": ""}
                    await self.socket.send(json.dumps({"seq": requests, "action": "user_typing", "data": typing}))


async def post(node, path, body, method="POST"):
    """Status of a call to the server API."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(
        node.api("/api/v1" + path), data=data, method=method, headers={"Content-Type": "application/json"}
    )

    def call():
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    return await asyncio.to_thread(call)


async def backend(node, per_second, number=0):
    """Publishes for ever: posts, sometimes something ephemeral, a retry, a change of members."""
    while True:
        number += 1
        post_of = {"event": "posted", "data": {"text": "x" * 200}, "to": {"channel": random.choice(CHANNELS)}}
        await post(node, "/publish", {**post_of, "id": f"{node.name}-{number}"})
        if number % 4 == 0:
            await post(node, "/publish", {"event": "typing", "to": {"channel": CHANNELS[0]}, "ephemeral": True})
        if number % 20 == 0:
            await post(node, "/publish", {**post_of, "id": f"{node.name}-{number}"})
            await post(node, "/members", {"topic": {"channel": f"side-{number}"}, "add": ["user-1"]})
        await asyncio.sleep(1 / per_second)


async def chatter(node):
    """Somebody in a room, as JSON and as plain text, and an echo."""
    while True:
        try:
            async with (
                connect(node.socket("/ws/room/den?name=ann"), subprotocols=["hubbub.room.v1"]) as ann,
                connect(node.socket("/ws?name=ben")) as ben,
                connect(node.socket("/echo")) as echo,
            ):
                while True:
                    await ann.send(json.dumps({"text": "hello"}))
                    await ann.recv()
                    await ben.send("hello")
                    await ben.recv()
                    await echo.send("hello")
                    await echo.recv()
                    await asyncio.sleep(0.3)
        except ERRORS:
            await asyncio.sleep(1)


async def slow_reader(node, secret, seconds):
    """Opens a socket with little room, and does not read until it is closed for that."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    narrow.connect(("127.0.0.1", node.public))
    # A reader that is not asked stops at twice its limit, and with it the kernel.
    reader, writer = await asyncio.open_connection(sock=narrow, limit=1_024)
    signed = token(secret, "sloth", channels=["attic"])
    writer.write(
        f"GET /api/v4/websocket HTTP/1.1\r\nHost: 127.0.0.1:{node.public}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"Authorization: Bearer {signed}\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 "), head
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and not await counted(node, "hubbub_slow_consumers_total"):
        # An outbox has room for four of these, and withholds ephemeral ones from the half on.
        event = {"event": "posted", "data": {"text": "x" * 30_000}, "to": {"channel": "attic"}}
        await post(node, "/publish/batch", {"events": [event, {**event, "ephemeral": True}] * 8})
        await asyncio.sleep(0.05)
    writer.transport.abort()


async def counted(node, metric):
    """The sum of a metric's series on the page of a node."""

    def read():
        with urllib.request.urlopen(node.api("/metrics"), timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(metric))

    return await asyncio.to_thread(read)


async def resume(node, header, connection, number):
    """Tries to go on with a connection; what comes first, or nothing."""
    url = f"{node.socket()}?connection_id={connection}&sequence_number={number}"
    try:
        async with connect(url, additional_headers=header, open_timeout=5) as one:
            return json.loads(await asyncio.wait_for(one.recv(), 1))
    except ERRORS:
        return None


async def visitor(node, secret):
    """Resumes in every way: with nothing missed, a little, too much, of others, of nobody."""
    header = bearer(token(secret, "visitor", channels=["lobby"]))
    async with connect(node.socket(), additional_headers=header) as one:
        connection = json.loads(await one.recv())["data"]["connection_id"]
        # The first event after hello says that the visitor is online.
        assert json.loads(await one.recv())["seq"] == 1
        # Without a word: who says goodbye is offline at once, which is one more event.
        one.transport.abort()
    await asyncio.sleep(0.5)
    await resume(node, header, connection, 2)
    await post(node, "/publish", {"event": "posted", "data": {}, "to": {"channel": "lobby"}})
    await resume(node, header, connection, 2)
    await resume(node, bearer(token(secret, "burglar")), connection, 1)
    await resume(node, header, connection, 10_000)
    await resume(node, header, "abcdefghijklmnopqrstuvwxyz", 3)


async def trespasser(node, secret):
    """Is refused at every stage."""
    refused = [
        connect(node.socket(), additional_headers={**bearer(token(secret, "eve")), "Origin": "https://evil.example"}),
        connect(node.socket("/ws"), additional_headers=bearer("no.such.token")),
        connect(node.socket("/nowhere")),
        connect(node.socket() + "?connection_id=x&sequence_number=x"),
    ]
    for attempt in refused:
        try:
            async with attempt:
                pass
        except ERRORS:
            pass
    for text in ["{broken", json.dumps({"seq": 1, "action": "x" * 70_000}), b"binary"]:
        try:
            async with connect(node.socket(), additional_headers=bearer(token(secret, "eve"))) as eve:
                await eve.send(text)
                await asyncio.wait_for(eve.wait_closed(), 3)
        except ERRORS:
            pass
    try:
        async with connect(node.socket(), additional_headers=bearer(token(secret, "mallory"))) as mallory:
            for number in range(1, 200):
                await mallory.send(json.dumps({"seq": number, "action": "ping"}))
    except ERRORS:
        pass
    await post(node, "/publish", b"{")
    await post(node, "/publish", {"event": "posted", "to": {"planet": "mars"}})
    await post(node, "/nowhere", {})
