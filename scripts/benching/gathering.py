"""A crowd of clients that all wait for the same event: raw sockets in one epoll, in this process."""

import contextlib
import json
import os
import select
import socket
import time
from collections.abc import Callable, Iterator

from loads import CLIENT_TIMEOUT
from peers import Failure, Server

RECEIVE_SIZE = 65536  # bytes
SILENCE = 0.1  # seconds in which a server that has done its work does nothing,
QUIET = 0.002  # and the seconds on a core that count as nothing: uvicorn looks at its clock ten times a second
SETTLE_TIMEOUT = 60.0  # seconds until a server has to have done its work

# Tells of what has come on a connection whether that is all.
Whole = Callable[[bytes], bool]


def request(method: str, parameters: object) -> bytes:
    """Give a call as it goes over the wire; the path names the method, for every server."""
    body = json.dumps(parameters).encode()
    head = "POST /%s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return (head % (method, len(body))).encode() + body


def settle(server: Server) -> float:
    """Wait until a server has nothing more to do; give the seconds that it has spent on a core until then.

    Raises:
        Failure: It goes on and on.
    """
    deadline = time.monotonic() + SETTLE_TIMEOUT
    before = server.busy()
    while time.monotonic() < deadline:
        time.sleep(SILENCE)
        now = server.busy()
        if now - before < QUIET:
            return now
        before = now
    raise Failure(f"{server.peer.name} does not come to rest")


class Caller:
    """A client that waits for each reply."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.sock = socket.create_connection(("127.0.0.1", server.port), timeout=CLIENT_TIMEOUT)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        """Send a request."""
        self.sock.sendall(data)

    def receive(self, whole: Whole) -> bytes:
        """Wait for what was asked for, and give it.

        Raises:
            Failure: The connection has ended.
        """
        data = b""
        while not whole(data):
            more = self.sock.recv(RECEIVE_SIZE)
            if not more:
                raise Failure(f"{self.server.peer.name} has ended a connection after {data!r}")
            data += more
        return data

    def close(self) -> None:
        """Leave."""
        self.sock.close()


class Audience:
    """Clients that wait for the same event."""

    def __init__(self, server: Server, size: int) -> None:
        self.server = server
        self.callers = [Caller(server) for _ in range(size)]
        self.epoll = select.epoll()
        for caller in self.callers:
            self.epoll.register(caller.sock, select.EPOLLIN)

    def ask(self, data: bytes) -> None:
        """Have every client send a request."""
        for caller in self.callers:
            os.write(caller.sock.fileno(), data)

    def gather(self, whole: Whole) -> tuple[float, float]:
        """Wait until every client has got something; give the time of the last byte, and the seconds spent on reading.

        It never sleeps: over the loopback interface whoever sends pays for waking a reader, which no server pays for
        clients on other machines. In a virtual machine a bare loop that pauses six microseconds between two sends took
        eleven for a send, and five when the readers did not sleep; one that does not pause gains nothing by it.

        Raises:
            Failure: A client has got nothing, or something after that, or its connection has ended.
        """
        name = self.server.peer.name
        left = {caller.sock.fileno() for caller in self.callers}
        parts: dict[int, bytes] = {}
        clock, read, poll, most = time.perf_counter, os.read, self.epoll.poll, len(left)
        spent, seen = 0.0, clock()
        while left:
            ready = poll(0, most)
            now = clock()
            if not ready:
                if now - seen > CLIENT_TIMEOUT:
                    raise Failure(f"{name} has not told {len(left)} clients: {next(iter(parts.values()), b'')!r}")
                continue
            for number, _ in ready:
                data = read(number, RECEIVE_SIZE)
                if not data or number not in left:
                    raise Failure(f"{name} has ended a connection, or tells twice: {data!r}")
                if number in parts:
                    data = parts.pop(number) + data
                if whole(data):
                    left.discard(number)
                else:
                    parts[number] = data
            seen = clock()
            spent += seen - now
        return seen, spent

    def drain(self) -> None:
        """Forget what has come so far."""
        while ready := self.epoll.poll(0, len(self.callers)):
            for number, _ in ready:
                os.read(number, RECEIVE_SIZE)

    def close(self) -> None:
        """Have all leave."""
        self.epoll.close()
        for caller in self.callers:
            caller.close()


@contextlib.contextmanager
def audience(server: Server, size: int) -> Iterator[Audience]:
    """Have an audience as long as the block lasts."""
    crowd = Audience(server, size)
    try:
        yield crowd
    finally:
        crowd.close()
