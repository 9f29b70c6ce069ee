"""The room dialect as Python's websockets client sees it.

usage: room.py HOST:PORT ALICE_TOKEN BOB_TOKEN

Goal: a client library that nobody here wrote finds a chat room that keeps order and
kind, refuses bad text with the right code, and resumes without a gap.
Method: real sockets against a running server with raised limits for commands; each case has a room of its own.
"""
import asyncio
import json
import sys
import uuid

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

PUBLIC, ALICE, BOB = sys.argv[1:4]
JSON = "hubbub.room.v1"
DEADLINE = 20


def room():
    return f"python-{uuid.uuid4().hex[:12]}"


def plain(name, token, **options):
    headers = {"Authorization": f"Bearer {token}"}
    return connect(f"ws://{PUBLIC}/ws/room/{name}", additional_headers=headers, **options)


def typed(name, token, query="", **options):
    headers = {"Authorization": f"Bearer {token}"}
    address = f"ws://{PUBLIC}/ws/room/{name}{query}"
    return connect(address, additional_headers=headers, subprotocols=[JSON], **options)


async def hello(socket):
    assert socket.subprotocol == JSON, socket.subprotocol
    message = json.loads(await socket.recv())
    assert message["type"] == "hello" and message["seq"] == 0, message
    return message


async def closes_with(socket, code):
    try:
        while True:
            await socket.recv()
    except ConnectionClosed as closed:
        assert closed.rcvd is not None, "the socket ended without a close frame"
        assert closed.rcvd.code == code, f"closed with {closed.rcvd.code}, not {code}"


async def everyone_hears_the_same_order():
    """Two writers at once: all hear all, themselves too, in one order, with LF and kind kept."""
    name = room()
    async with plain(name, ALICE) as alice, plain(name, BOB) as bob:
        # A message of one's own comes back when the membership is in effect.
        for socket in (alice, bob):
            await socket.send("ready")
            while await socket.recv() != "ready":
                pass
        for number in range(100):
            await alice.send(f"alice\n{number}")
            await bob.send(f"bob\n{number}")

        async def said(socket):
            lines = []
            while len(lines) < 200:
                line = await socket.recv()
                assert isinstance(line, str), line
                lines += [line] if line != "ready" else []
            return lines

        heard = await asyncio.gather(said(alice), said(bob))
        assert heard[0] == heard[1], "two members heard two orders"
        for who in ("alice", "bob"):
            mine = [line for line in heard[0] if line.startswith(who)]
            assert mine == [f"{who}\n{number}" for number in range(100)], mine[:5]


async def a_paused_reader_gets_one_event_for_each_message():
    name = room()
    async with typed(name, BOB, max_queue=1) as reader, typed(name, ALICE) as writer:
        await hello(reader)
        await hello(writer)
        for number in range(1000):
            await writer.send(json.dumps({"text": f"line {number}"}))
            await writer.recv()
        for number in range(1000):
            message = json.loads(await reader.recv())
            assert message["seq"] == number + 1, message
            assert message["text"] == f"line {number}", message
            assert message["user"] == "alice", message


async def bad_utf8_closes_only_its_sender():
    name = room()
    async with plain(name, ALICE) as bad, plain(name, BOB) as good:
        await bad.send(b"\xff", text=True)
        await closes_with(bad, 1007)
        await good.send("still here")
        assert await good.recv() == "still here"


async def a_long_message_closes_with_1009():
    async with plain(room(), ALICE) as socket:
        await socket.send("x" * 513)
        await closes_with(socket, 1009)


async def wrong_requests_are_answered_and_broken_ones_close():
    async with typed(room(), ALICE) as socket:
        await hello(socket)
        await socket.send(json.dumps({"text": 7}))
        assert json.loads(await socket.recv())["type"] == "error"
        await socket.send("{")
        await closes_with(socket, 1007)


async def a_cut_connection_resumes_without_a_gap():
    name = room()
    async with typed(name, ALICE) as writer:
        await hello(writer)
        first = await typed(name, BOB)
        connection = (await hello(first))["connection_id"]
        await writer.send(json.dumps({"text": "before"}))
        assert json.loads(await first.recv())["seq"] == 1
        first.transport.abort()
        for text in ("during 1", "during 2"):
            await writer.send(json.dumps({"text": text}))
        query = f"?connection_id={connection}&sequence_number=2"
        async with typed(name, BOB, query) as second:
            for seq, text in ((2, "during 1"), (3, "during 2")):
                message = json.loads(await second.recv())
                assert (message["type"], message["seq"], message["text"]) == ("message", seq, text), message
        async with typed(name, BOB) as newcomer:
            history = (await hello(newcomer))["history"]
            assert [line["text"] for line in history] == ["before", "during 1", "during 2"], history


CASES = [
    everyone_hears_the_same_order,
    a_paused_reader_gets_one_event_for_each_message,
    bad_utf8_closes_only_its_sender,
    a_long_message_closes_with_1009,
    wrong_requests_are_answered_and_broken_ones_close,
    a_cut_connection_resumes_without_a_gap,
]


def main():
    failed = 0
    for case in CASES:
        try:
            asyncio.run(asyncio.wait_for(case(), DEADLINE))
            print(f"ok      {case.__name__}")
        except Exception as error:  # Each case is reported, whatever went wrong in it.
            failed += 1
            print(f"FAILED  {case.__name__}: {type(error).__name__}: {error}")
    print(f"python: {len(CASES) - failed} of {len(CASES)} cases passed")
    sys.exit(1 if failed else 0)


main()
