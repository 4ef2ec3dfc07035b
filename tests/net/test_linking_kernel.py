"""Outbound connections over the kernel's sockets."""

import socket
from collections.abc import Iterator

import pytest

from tests.net.scripted import Notes
from tests.waiting import LONG
from totohio.net.linking import Link
from totohio.net.networking import KernelNetwork


class Line:
    """A Link to a listening socket of the kernel, and the peer's end of it."""

    def __init__(self) -> None:
        self.network = KernelNetwork()
        self.poller = self.network.poller()
        self.owner = Notes()
        self.listener = self.network.listen(("127.0.0.1", 0), backlog=5)
        self.link = Link(
            network=self.network, poller=self.poller, address=self.listener.getsockname(), owner=self.owner
        )
        self.link.open(0.0)
        self.until("opened")
        self.peer, _ = self.listener.accept()
        self.peer.settimeout(LONG)

    def until(self, word: str) -> None:
        """Wait until the owner is told that."""
        for _ in range(10_000):
            if word in self.owner.told:
                return
            self.poller.wait(LONG)
            for attendant, mask in self.poller.ready():
                attendant.attend(mask)
        raise AssertionError(f"it was never told that: {self.owner.told}")

    def close(self) -> None:
        self.link.close()
        self.peer.close()
        self.listener.close()
        self.poller.close()


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


def test_bytes_go_both_ways(line: Line) -> None:
    line.link.send(b"question")
    assert line.peer.recv(100) == b"question"
    line.peer.send(b"answer")
    line.until("received")
    assert line.owner.data == b"answer"


def test_more_than_the_kernel_takes_arrives_whole(line: Line) -> None:
    data = bytes(range(256)) * 65536
    line.link.send(data)
    assert line.link.pending
    received = bytearray()
    line.peer.setblocking(False)
    while "drained" not in line.owner.told:
        line.poller.wait(0)
        for attendant, mask in line.poller.ready():
            attendant.attend(mask)
        try:
            received += line.peer.recv(1 << 20)
        except BlockingIOError:
            continue
    line.link.close()
    line.peer.setblocking(True)
    while piece := line.peer.recv(1 << 20):
        received += piece
    assert received == data


def test_each_end_can_end_first(line: Line) -> None:
    line.peer.shutdown(socket.SHUT_WR)
    line.until("ended")
    line.link.send(b"still here")
    assert line.peer.recv(100) == b"still here"
    line.link.shutdown()
    assert line.peer.recv(100) == b""


def test_an_abort_resets_the_peer(line: Line) -> None:
    line.link.abort()
    with pytest.raises(ConnectionResetError):
        line.peer.recv(100)


@pytest.mark.parametrize("state", ["reading", "paused", "ended", "sending"])
def test_a_peers_reset_is_noticed_in_each_state(line: Line, state: str) -> None:
    if state == "paused":
        line.link.pause()
    elif state == "ended":
        line.peer.shutdown(socket.SHUT_WR)
        line.until("ended")
    elif state == "sending":
        line.link.send(bytes(1 << 25))
        assert line.link.pending
    line.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    line.peer.close()
    line.until("lost")
    assert isinstance(line.owner.error, (ConnectionResetError, BrokenPipeError))


@pytest.mark.parametrize("patient", [True, False])
def test_what_was_sent_before_a_reset_is_received_after_a_pause_that_is_patient(line: Line, patient: bool) -> None:
    line.link.pause(patient=patient)
    line.link.send(b"question")
    assert line.peer.recv(100) == b"question"
    line.peer.send(b"answer")
    line.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    line.peer.close()
    for _ in range(10):
        line.poller.wait(0.01)
        for attendant, mask in line.poller.ready():
            attendant.attend(mask)
    assert ("lost" in line.owner.told) is not patient
    assert line.owner.data == b""
    line.link.send(b"to nobody")
    line.link.resume()
    line.until("lost")
    assert line.owner.data == (b"answer" if patient else b"")
    assert isinstance(line.owner.error, ConnectionResetError)


def test_a_port_where_nobody_listens_refuses() -> None:
    network, owner = KernelNetwork(), Notes()
    poller = network.poller()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        link = Link(network=network, poller=poller, address=taken.getsockname(), owner=owner)
        link.open(0.0)
        while not owner.told:
            poller.wait(LONG)
            for attendant, mask in poller.ready():
                attendant.attend(mask)
    poller.close()
    assert owner.told == ["lost"]
    assert isinstance(owner.error, ConnectionRefusedError)
