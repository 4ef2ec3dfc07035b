"""What tells which sockets are ready: epoll, and what stands in for it elsewhere, behave alike."""

import socket
from collections.abc import Iterator

import pytest

from totohio.net.epoll import READABLE, WRITABLE, Epoll, Portable, Readiness

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(params=[Epoll, Portable])
def readiness(request: pytest.FixtureRequest) -> Iterator[Readiness]:
    made = request.param()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    one, other = socket.socketpair()
    one.setblocking(False)
    with one, other:
        yield one, other


def test_a_socket_is_told_for_what_it_is_watched_and_ready(readiness: Readiness, pair: Pair) -> None:
    one, other = pair
    readiness.register(one, READABLE, "one")
    assert readiness.found(0) == []
    other.send(b"x")
    assert readiness.found(None) == [("one", READABLE)]
    readiness.modify(one, READABLE | WRITABLE, "both")
    assert readiness.found(0) == [("both", READABLE | WRITABLE)]
    readiness.modify(one, WRITABLE, "write")
    assert readiness.found(0) == [("write", WRITABLE)]
    readiness.unregister(one)
    assert readiness.found(0) == []


def test_an_end_is_told_as_what_is_watched(readiness: Readiness, pair: Pair) -> None:
    one, other = pair
    readiness.register(one, READABLE, "one")
    other.close()
    assert readiness.found(0) == [("one", READABLE)]
    readiness.modify(one, WRITABLE, "one")
    assert readiness.found(0) == [("one", WRITABLE)]


def test_what_is_not_watched_or_twice_is_an_error(readiness: Readiness, pair: Pair) -> None:
    one, other = pair
    for function in (readiness.unregister, lambda sock: readiness.modify(sock, READABLE, "one")):
        with pytest.raises(KeyError):
            function(one)
    readiness.register(one, READABLE, "one")
    with pytest.raises(KeyError):
        readiness.register(one, READABLE, "one")
    other.close()
    with pytest.raises(ValueError, match=r"closed|Invalid"):
        readiness.register(other, READABLE, "other")


def test_a_closed_socket_can_be_forgotten(readiness: Readiness, pair: Pair) -> None:
    one, _ = pair
    readiness.register(one, READABLE, "one")
    one.close()
    readiness.unregister(one)
    assert readiness.found(0) == []


def test_a_wait_ends_after_its_time(readiness: Readiness) -> None:
    assert readiness.found(0.01) == []
    assert readiness.found(-1.0) == []
    assert readiness.fileno() >= 0
