"""Many WebSockets of one process."""
import base64
import select
import socket
import struct


class Sockets:
    """Many WebSockets in one epoll. Counts marks of events, and does not parse frames."""

    def __init__(self, server, count):
        self.server = server
        self.epoll = select.epoll()
        self.all, self.rest = {}, {}
        self.count, self.marker = 0, server.marker
        self.bytes = 0
        for first in range(0, count, 100):
            self.connect(range(first, min(first + 100, count)))

    def connect(self, numbers):
        opened = []
        for number in numbers:
            one = socket.socket()
            # More addresses than one, as there are only so many ports.
            one.bind((f"127.0.2.{1 + number // 8000}", 0))
            one.connect(self.server.address)
            key = base64.b64encode(struct.pack("<QQ", number, 0)).decode()
            request = (
                f"{self.server.request(number)}Host: {self.server.address[0]}:{self.server.address[1]}\r\n"
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: {key}\r\n\r\n"
            )
            one.sendall(request.encode())
            opened.append(one)
        for one in opened:
            self.await_greeting(one)
            one.setblocking(False)
            self.all[one.fileno()] = one
            self.rest[one.fileno()] = b""
            self.epoll.register(one.fileno(), select.EPOLLIN)

    def await_greeting(self, one):
        one.settimeout(30)
        got = b""
        while b"\r\n\r\n" not in got or (self.server.greeting and self.server.greeting not in got):
            more = one.recv(65536)
            if not more:
                self.server.fail(f"a connection was refused: {got[:300]!r}")
            got += more
        if not got.startswith(b"HTTP/1.1 101"):
            self.server.fail(f"a connection was refused: {got[:300]!r}")

    def receive(self, until, progress=None):
        """Reads until so many events came in all; `progress` is told how many."""
        keep = len(self.marker) - 1
        while self.count < until:
            ready = self.epoll.poll(20)
            if not ready:
                self.server.fail(f"{until - self.count} of {until} deliveries are missing after 20 s")
            for descriptor, _ in ready:
                data = self.all[descriptor].recv(262144)
                if not data:
                    self.server.fail("the server closed a connection")
                self.bytes += len(data)
                data = self.rest[descriptor] + data
                self.count += data.count(self.marker)
                self.rest[descriptor] = data[-keep:]
            if progress:
                progress(self.count)

    def close(self):
        for one in self.all.values():
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()
        self.epoll.close()
