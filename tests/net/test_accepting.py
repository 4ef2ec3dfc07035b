"""Accepting and sending, on sockets that do what the test says."""

import errno
import os
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from totohio.net.accepting import EXHAUSTED, GONE, WRITE_SIZE, Remoter, Servant
from totohio.net.networking import KernelNetwork

PEER = ("203.0.113.7", 50000)


class FakeSocket:
    """A connection whose peer takes as many bytes as the test says."""

    def __init__(self, takes: list[Any] | None = None, gives: list[Any] | None = None) -> None:
        self.takes = takes or []
        self.gives = gives or []
        self.taken = b""
        self.sizes: list[int] = []
        self.closed = 0

    def setblocking(self, flag: Any) -> None:
        assert not flag

    def setsockopt(self, *args: Any) -> None:
        pass

    def send(self, data: Any) -> int:
        take = self.takes.pop(0) if self.takes else len(data)
        if isinstance(take, BaseException):
            raise take
        take = min(take, len(data))
        self.sizes.append(len(data))
        self.taken += bytes(data[:take])
        return int(take)

    def recv(self, size: int) -> bytes:
        give = self.gives.pop(0)
        if isinstance(give, BaseException):
            raise give
        assert len(give) <= size
        return bytes(give)

    def shutdown(self, how: int) -> None:
        pass

    def close(self) -> None:
        self.closed += 1


def remoter(sock: Any) -> Remoter:
    return Remoter(ha=("127.0.0.1", 1), ca=PEER, cs=sock, queued=KernelNetwork().queued)


# ------------------------------------------------------------ sending


def test_what_the_kernel_takes_is_sent_at_once() -> None:
    sock = FakeSocket()
    one = remoter(sock)
    one.tx(b"hello")
    assert sock.taken == b"hello"
    assert one.pending == 0


def test_what_the_kernel_does_not_take_is_kept_in_order() -> None:
    sock = FakeSocket([3, 0, BlockingIOError()])
    one = remoter(sock)
    one.tx(b"hello")
    one.tx(b" world")
    assert one.pending == 8
    one.serviceSends()
    assert one.pending == 8
    one.serviceSends()
    one.serviceSends()
    assert sock.taken == b"hello world"
    assert one.pending == 0


def test_a_large_reply_goes_in_bounded_pieces_and_is_not_copied() -> None:
    sock = FakeSocket()
    one = remoter(sock)
    data = bytes(5 * WRITE_SIZE + 1)
    one.tx(data)
    assert max(sock.sizes) <= WRITE_SIZE
    assert one.outs[0].obj is data
    for _ in range(5):
        one.serviceSends()
    assert max(sock.sizes) <= WRITE_SIZE
    assert one.pending == 0
    assert sock.taken == data


@given(
    st.lists(st.one_of(st.binary(max_size=20), st.none()), max_size=20),
    st.lists(st.one_of(st.integers(0, 12), st.just(-1)), max_size=40),
)
def test_whatever_the_kernel_takes_the_peer_gets_the_same_bytes(writes: list[Any], takes: list[int]) -> None:
    sock = FakeSocket([BlockingIOError() if take < 0 else take for take in takes])
    one = remoter(sock)
    whole = b""
    for data in writes:
        if data is None:
            one.serviceSends()
        elif data:
            whole += data
            one.tx(data)
        assert one.pending == len(whole) - len(sock.taken)
        assert one.pending == sum(len(view) for view in one.outs)
    for _ in range(100):
        one.serviceSends()
    assert sock.taken == whole
    assert one.pending == 0


@pytest.mark.parametrize(
    "error",
    [
        BrokenPipeError(errno.EPIPE, "broken"),
        ConnectionResetError(errno.ECONNRESET, "reset"),
        OSError(errno.ETIMEDOUT, "timed out"),
        ssl.SSLError("protocol is shut down"),
        ValueError("it is closed"),
    ],
)
def test_a_peer_that_is_gone_is_noticed_and_nothing_is_kept_for_it(error: BaseException) -> None:
    one = remoter(FakeSocket([error]))
    one.tx(b"hello")
    assert one.cutoff
    one.tx(b"x" * 1000)
    assert one.pending == 0
    kept = remoter(FakeSocket([1, error]))
    kept.tx(b"hello")
    kept.serviceSends()
    assert kept.cutoff
    kept.serviceSends()


# ------------------------------------------------------------ receiving


def test_what_comes_is_received() -> None:
    one = remoter(FakeSocket(gives=[b"abc", BlockingIOError(), b"de", b""]))
    assert [one.receive() for _ in range(3)] == [b"abc", None, b"de"]
    assert not one.ended
    assert one.receive() is None
    assert one.ended
    assert not one.cutoff


@pytest.mark.parametrize(
    "error", [ConnectionResetError(errno.ECONNRESET, "reset"), OSError(errno.EHOSTUNREACH, "no way"), ssl.SSLError()]
)
def test_an_error_while_receiving_cuts_the_connection_off(error: BaseException) -> None:
    one = remoter(FakeSocket(gives=[error]))
    assert one.receive() is None
    assert one.cutoff
    assert not one.ended


@pytest.mark.parametrize(
    "error", [BlockingIOError(), InterruptedError(), ssl.SSLWantReadError(), ssl.SSLWantWriteError()]
)
def test_nothing_there_is_no_error(error: BaseException) -> None:
    one = remoter(FakeSocket(gives=[error]))
    assert one.receive() is None
    assert not one.cutoff
    assert not one.ended


def test_closing_twice_does_no_harm() -> None:
    sock = FakeSocket([1])
    one = remoter(sock)
    one.tx(b"hello")
    one.close()
    one.close()
    assert sock.closed == 1
    assert one.pending == 0
    one.shutdownSend()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_the_kernel_tells_how_much_the_peer_has_not_taken(pair: Any) -> None:
    ours, theirs = pair
    one = remoter(ours)
    assert one.queued() == 0
    one.tx(b"x" * 10_000)
    full = one.queued()
    assert full >= 10_000
    theirs.recv(10_000)
    assert one.queued() < full
    one.close()
    assert one.queued() == 0


def test_shutting_down_the_sending_side_leaves_the_other_open(pair: Any) -> None:
    ours, theirs = pair
    one = remoter(ours)
    one.shutdownSend()
    assert theirs.recv(10) == b""
    theirs.send(b"still")
    assert one.receive() == b"still"


# ------------------------------------------------------------ accepting


class FakeListener:
    """A listening socket with a queue of connections and errors."""

    def __init__(self, queue: list[Any]) -> None:
        self.queue = queue
        self.closed = 0

    def accept(self) -> Any:
        found = self.queue.pop(0) if self.queue else BlockingIOError()
        if isinstance(found, BaseException):
            raise found
        return found, PEER

    def getsockname(self) -> Any:
        return ("127.0.0.1", 4711, 0, 0)

    def close(self) -> None:
        self.closed += 1


class FakeNetwork(KernelNetwork):
    """A network with listening sockets of the test."""

    def __init__(self, *listeners: Any) -> None:
        self.listeners = list(listeners)

    def listen(self, address: Any, *, backlog: int) -> Any:
        found = self.listeners.pop(0)
        if isinstance(found, BaseException):
            raise found
        return found


def servant(*listeners: Any, address: Any = ("127.0.0.1", 0)) -> Servant:
    return Servant(address=address, network=FakeNetwork(*listeners), backlog=5)


def oserror(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def test_connections_are_accepted_one_after_the_other() -> None:
    first, second = FakeSocket(), FakeSocket()
    one = servant(FakeListener([first, second]))
    one.reopen()
    assert one.accept() == (first, PEER)
    assert one.accept() == (second, PEER)
    assert one.accept() == (None, None)


def test_the_address_is_the_one_that_the_kernel_gave() -> None:
    one = servant(FakeListener([]))
    assert one.reopen()
    assert one.ha == ("127.0.0.1", 4711)
    assert one.opened


@pytest.mark.parametrize("number", sorted(GONE))
def test_a_peer_that_has_left_before_it_was_accepted_is_passed_over(number: int) -> None:
    sock = FakeSocket()
    one = servant(FakeListener([oserror(number), oserror(number), sock]))
    one.reopen()
    assert one.accept() == (sock, PEER)


@pytest.mark.parametrize("number", [*sorted(EXHAUSTED), errno.EBADF, errno.EINVAL, errno.EIO])
def test_other_errors_are_raised_and_not_tried_for_ever(number: int) -> None:
    one = servant(FakeListener([oserror(number)] * 10))
    one.reopen()
    with pytest.raises(OSError, match=r".+") as caught:
        one.accept()
    assert caught.value.errno == number


def test_a_peer_that_resets_while_its_socket_is_set_up_is_left_to_who_reads() -> None:
    class Reset(FakeSocket):
        def setsockopt(self, *args: Any) -> None:
            raise oserror(errno.EINVAL)

    sock = Reset()
    one = servant(FakeListener([sock]))
    one.reopen()
    assert one.accept() == (sock, PEER)


def test_peers_on_a_unix_socket_are_told_apart() -> None:
    one = servant(FakeListener([FakeSocket(), FakeSocket()]), address="/run/socket")
    one.reopen()
    assert one.ha == "/run/socket"
    assert one.accept()[1] != one.accept()[1]


def test_listening_anew_closes_the_socket_before() -> None:
    first, second = FakeListener([]), FakeListener([])
    one = servant(first, second)
    one.reopen()
    one.reopen()
    assert first.closed == 1
    one.close()
    one.close()
    assert second.closed == 1
    assert not one.opened


def test_an_address_in_use_is_raised_and_leaves_it_closed() -> None:
    one = servant(oserror(errno.EADDRINUSE))
    with pytest.raises(OSError, match="in use"):
        one.reopen()
    assert not one.opened
    assert one.ss is None
    one.close()
