"""A client with one connection, in a process of its own; `lending.py` starts it.

``borrowing.py PEER PID PORT WARM_UP SECONDS`` prints what it found as JSON; each kind of calls is
made for so many seconds.
"""

import collections
import contextlib
import json
import operator
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import rpyc
from peers import Peer, Server

from totohio.remote import Later, connect

IN_FLIGHT = 100  # calls
TURN = 100  # calls between two looks at the clock
USER, PASSWORD = "borrower", "correct horse battery staple"
MESSAGE = bytes(32)  # about what a call of ours takes


class WrongError(Exception):
    """A server has answered something else."""


@dataclass(frozen=True)
class Borrowed:
    """What a client has of a server.

    Attributes:
        call: Adds two numbers, and waits for the sum.
        later: Has two numbers added, and does not wait; None where there is no such thing.
        result: Waits for what ``later`` has given.
    """

    call: Callable[[int, int], Any]
    later: Callable[[int, int], Any] | None = None
    result: Callable[[Any], Any] = operator.attrgetter("value")


@contextlib.contextmanager
def from_totohio(port: int) -> Iterator[Borrowed]:
    """Borrow of totohio, with the client that waits."""
    with connect(f"totohio://127.0.0.1:{port}", user_id=USER, password=PASSWORD) as remote:
        yield Borrowed(remote.add, remote.later(remote.add), Later.result)


@contextlib.contextmanager
def from_rpyc(port: int) -> Iterator[Borrowed]:
    """Borrow of RPyC."""
    connection = rpyc.connect("127.0.0.1", port)
    try:
        add = connection.root.add
        yield Borrowed(add, rpyc.async_(add))
    finally:
        connection.close()


@contextlib.contextmanager
def from_echo(port: int) -> Iterator[Borrowed]:
    """Send bytes to and fro; the sum is not made anywhere."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def call(a: int, b: int) -> int:
            sock.sendall(MESSAGE)
            return a + b if sock.recv(len(MESSAGE)) == MESSAGE else 0

        yield Borrowed(call)


Kind = Callable[[Borrowed, float], tuple[int, float]]
CLIENTS = {"totohio": from_totohio, "rpyc": from_rpyc, "echo": from_echo}


def one_by_one(borrowed: Borrowed, seconds: float) -> tuple[int, float]:
    """Call and wait, again and again; give the calls, and the seconds they took."""
    call = borrowed.call
    count, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        for _ in range(TURN):
            check(call(1, 2))
        count += TURN
    return count, spent


def in_flight(borrowed: Borrowed, seconds: float) -> tuple[int, float]:
    """Have a hundred calls under way at all times: wait for the oldest, make another; give calls and seconds."""
    later, result = borrowed.later, borrowed.result
    assert later is not None
    under_way = collections.deque(later(1, 2) for _ in range(IN_FLIGHT))
    count, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        for _ in range(TURN):
            check(result(under_way.popleft()))
            under_way.append(later(1, 2))
        count += TURN
    for each in under_way:
        check(result(each))
    return count, spent


def check(total: Any) -> None:
    """Look at a sum.

    Raises:
        WrongError: It is none, or wrong.
    """
    if total != 3:
        raise WrongError(f"1 and 2 make {total!r}")


def measure(kind: Kind, borrowed: Borrowed, server: Server, seconds: float) -> dict[str, float]:
    """Give the calls per second of one kind, and the seconds of a core that each takes at both ends."""
    busy, own = server.busy(), time.process_time()
    count, spent = kind(borrowed, seconds)
    return {
        "calls": count / spent,
        "server": (server.busy() - busy) / count,
        "client": (time.process_time() - own) / count,
    }


def main() -> None:
    """Measure what the peer can do, and print it."""
    peer, pid, port, warm_up, seconds = sys.argv[1:]
    server = Server(Peer(peer, "", ()), int(pid), int(port))
    found = {}
    with CLIENTS[peer](server.port) as borrowed:
        kinds = {"single": one_by_one} if borrowed.later is None else {"single": one_by_one, "flight": in_flight}
        for name, kind in kinds.items():
            kind(borrowed, float(warm_up))
            for metric, value in measure(kind, borrowed, server, float(seconds)).items():
                found[f"{name} {metric}"] = value
    print(json.dumps(found))


if __name__ == "__main__":
    main()
