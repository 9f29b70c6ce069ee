"""Mattermost connections that come back when their server dies, in one epoll."""
import heapq
import json
import random
import re
import select
import socket
import time

NUMBER = re.compile(rb'"seq":(\d+)[,}]')
# What the stock client waits: 3 s, spread over 2 s.
PAUSE_S, SPREAD_S = 3.0, 2.0
OPEN_PER_S = 200
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class Connection:
    def __init__(self, number, token):
        self.number, self.token = number, token
        self.identity = None
        self.next = 0
        self.socket = None
        self.is_open = False
        self.got = b""


class Resumers:
    """Connections that count what they get, and resume with the number they are at."""

    def __init__(self, tokens, addresses, source):
        """`source` is the address that they come from: there are only so many ports."""
        self.addresses = addresses
        self.source = source
        self.epoll = select.epoll()
        self.connections = [Connection(number, token) for number, token in enumerate(tokens)]
        self.by_descriptor = {}
        # In a row at first: this is not the storm.
        began = time.monotonic()
        self.due = [(began + connection.number / OPEN_PER_S, connection.number) for connection in self.connections]
        self.counts = {"open": 0, "resumed": 0, "reset": 0, "refused": 0, "failed": 0, "gaps": 0, "events": 0}

    def run(self, seconds, until=lambda counts: False):
        """Goes on for so long, or until `until` holds."""
        ends = time.monotonic() + seconds
        while (now := time.monotonic()) < ends and not until(self.counts):
            while self.due and self.due[0][0] <= now:
                self.connect(self.connections[heapq.heappop(self.due)[1]])
            for descriptor, what in self.epoll.poll(0.02, 512):
                connection = self.by_descriptor[descriptor]
                if what & select.EPOLLIN:
                    self.read(connection)
                elif what & select.EPOLLOUT:
                    self.ask(connection)
                else:
                    self.ended(connection, "failed")

    def connect(self, connection):
        one = connection.socket = socket.socket()
        one.setblocking(False)
        one.bind((self.source, 0))
        one.connect_ex(random.choice(self.addresses))
        connection.got = b""
        self.by_descriptor[one.fileno()] = connection
        self.epoll.register(one.fileno(), select.EPOLLOUT | select.EPOLLIN)

    def ask(self, connection):
        query = ""
        if connection.identity:
            query = f"?connection_id={connection.identity}&sequence_number={connection.next}"
        request = (
            f"GET /api/v4/websocket{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {connection.token}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        )
        try:
            connection.socket.send(request.encode())
        except OSError:
            self.ended(connection, "failed")
            return
        self.epoll.modify(connection.socket.fileno(), select.EPOLLIN)

    def read(self, connection):
        try:
            data = connection.socket.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.ended(connection, None if connection.is_open else "failed")
            return
        connection.got += data
        if not connection.is_open and not self.open(connection):
            return
        self.take(connection)

    def open(self, connection):
        """Reads the answer to the upgrade; True once the connection is open."""
        head, end, rest = connection.got.partition(b"\r\n\r\n")
        if not end:
            return False
        if not head.startswith(b"HTTP/1.1 101"):
            self.ended(connection, "refused")
            return False
        connection.got, connection.is_open = rest, True
        self.counts["open"] += 1
        # A hello that follows says that it is a reset.
        self.counts["resumed"] += connection.identity is not None
        return True

    def take(self, connection):
        """Takes whole frames, and checks that their numbers have no gap."""
        got = connection.got
        while len(got) >= 2:
            length, head = got[1] & 127, 2
            if length == 126:
                length, head = int.from_bytes(got[2:4], "big"), 4
            if len(got) < head + length or length == 127:
                break
            if got[0] & 15 == 1:
                self.message(connection, got[head:head + length])
            got = got[head + length:]
        connection.got = got

    def message(self, connection, payload):
        number = NUMBER.search(payload)
        if b'"event":"hello"' in payload:
            identity = json.loads(payload)["data"]["connection_id"]
            if connection.identity not in (None, identity):
                self.counts["reset"] += 1
                self.counts["resumed"] -= 1
            if connection.identity != identity:
                connection.next = 0
            connection.identity = identity
            if int(number[1]) == 0:
                connection.next = 1
                return
        if not number:
            return
        self.counts["gaps"] += int(number[1]) != connection.next
        connection.next = int(number[1]) + 1
        self.counts["events"] += b'"event":"posted"' in payload

    def ended(self, connection, why):
        """Comes back later, as the stock client does."""
        self.counts["open"] -= connection.is_open
        if why:
            self.counts[why] += 1
        connection.is_open = False
        descriptor = connection.socket.fileno()
        self.epoll.unregister(descriptor)
        del self.by_descriptor[descriptor]
        connection.socket.close()
        pause = PAUSE_S + random.random() * SPREAD_S
        heapq.heappush(self.due, (time.monotonic() + pause, connection.number))
