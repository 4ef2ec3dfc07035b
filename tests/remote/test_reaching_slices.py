"""A client that does not wait takes a slice of what has come in each cycle, however small the messages are."""

import fcntl
import socket
import struct
import termios
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from tests.processes import LONG, until
from totohio.core.invoking import Lot
from totohio.net.kernel import kernel_environment
from totohio.remote import DisconnectedError
from totohio.remote.places import read_place
from totohio.remote.reaching import Line
from totohio.remote.tunnelling import Channel, Frames, NotLendingError, Tunnel
from totohio.wire.framing import FramingError, frame
from totohio.wire.lending import LendingError
from totohio.wire.slicing import SLICE

URL = "ws://127.0.0.1:1/lend"
MESSAGES = [b"%d" % number for number in range(1000)]


def wrapped(message: bytes) -> bytes:
    return bytes(Frame(Opcode.BINARY, message).serialize(mask=False))


def opened(request: bytes) -> bytes:
    """Give the reply that opens a WebSocket."""
    server = ServerProtocol()
    server.receive_data(request)
    [asked] = server.events_received()
    assert isinstance(asked, Request)
    server.send_response(server.accept(asked))
    return b"".join(server.data_to_send())


# ---------------------------------------------------------------- bytes


def frames() -> Channel:
    return Frames(SLICE)


def tunnel() -> Channel:
    made = Tunnel(URL, most=SLICE)
    made.received(opened(made.take()))
    return made


@pytest.mark.parametrize(("make", "wrap"), [(frames, frame), (tunnel, wrapped)])
@pytest.mark.parametrize("size", [10, 999, 10_000])
def test_messages_are_taken_in_slices_and_in_their_order(make: Any, wrap: Any, size: int) -> None:
    made: Channel = make()
    data = b"".join(map(wrap, MESSAGES))
    found: list[bytes] = []
    for place in range(0, len(data), size):
        piece = data[place : place + size]
        while piece or made.more:
            messages = made.received(piece)
            assert len(messages) <= SLICE
            found += messages
            piece = b""
    assert found == MESSAGES


@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.PONG, Opcode.CONT])
def test_what_is_no_message_counts_as_well(opcode: Opcode) -> None:
    made = tunnel()
    begun = Frame(Opcode.BINARY, b"", fin=False).serialize(mask=False) if opcode is Opcode.CONT else b""
    data = begun + Frame(opcode, b"", fin=opcode is not Opcode.CONT).serialize(mask=False) * 1000
    rounds, pongs = 0, []
    while not rounds or made.more:
        assert made.received(b"" if rounds else data) == []
        pongs.append(len(made.take()))
        rounds += 1
    assert rounds == -(-(1000 + bool(begun)) // SLICE)
    assert max(pongs) == (SLICE * 6 if opcode is Opcode.PING else 0)


@pytest.mark.parametrize("size", [1, 2, 4, 5, 100])
@pytest.mark.parametrize(("said", "what"), [(b"HTTP/1.1 400 Bad\r\n", "HTTP"), (b"\x15\x03\x03\x00\x02\x02F", "TLS")])
def test_who_speaks_something_else_is_recognised_whatever_the_pieces(said: bytes, what: str, size: int) -> None:
    made = Frames(SLICE)

    def hear() -> None:
        for place in range(0, len(said), size):
            made.received(said[place : place + size])

    with pytest.raises(NotLendingError, match=f"{what} is spoken there"):
        hear()


def test_what_begins_like_something_else_later_is_not_taken_for_it() -> None:
    made = Frames(SLICE)
    assert made.received(frame(b"a message")) == [b"a message"]
    with pytest.raises(FramingError):
        made.received(b"HTTP/1.1 400 Bad")


@pytest.mark.parametrize(
    ("make", "wrap", "wrong", "error"),
    [(frames, frame, b"\xff" * 4, FramingError), (tunnel, wrapped, b"\xff" * 4, LendingError)],
)
def test_what_is_wrong_is_found_where_it_stands(make: Any, wrap: Any, wrong: bytes, error: type[Exception]) -> None:
    made: Channel = make()
    found = made.received(b"".join(map(wrap, MESSAGES[:200])) + wrong)

    def rest() -> None:
        while made.more:
            found.extend(made.received(b""))

    with pytest.raises(error):
        rest()
    assert found == MESSAGES[: len(found)]
    assert len(found) > 200 - SLICE


# ---------------------------------------------------------------- over real sockets


class Owner:
    """Keeps what a Line tells.

    Attributes:
        slices: The messages that have come, by the call.
        errors: Why it was lost.
    """

    def __init__(self) -> None:
        self.slices: list[list[bytes]] = []
        self.errors: list[BaseException] = []

    def reached(self) -> None:
        """Messages can be sent."""

    def received(self, messages: list[bytes]) -> None:
        self.slices.append(messages)

    def lost(self, error: BaseException) -> None:
        self.errors.append(error)


def unacknowledged(sock: socket.socket) -> int:
    """Give how many bytes the peer's kernel has not taken yet (tcp(7), SIOCOUTQ)."""
    [count] = struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))
    return int(count)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.mark.parametrize("last", ["end", "reset", "close"])
@pytest.mark.parametrize("scheme", ["totohio", "ws"])
def test_a_flood_is_taken_in_slices_and_whole_before_its_end_is_told(
    scheme: str, last: str, listener: socket.socket
) -> None:
    wrap = wrapped if scheme == "ws" else frame
    flood = MESSAGES * (20 if last == "reset" else 1)  # more than is received at once

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.settimeout(LONG)
            if scheme == "ws":
                sock.sendall(opened(sock.recv(65536)))
            sock.sendall(b"".join(map(wrap, flood)))
            if last == "close":
                sock.sendall(Frame(Opcode.CLOSE, b"\x03\xe9enough").serialize(mask=False) if scheme == "ws" else b"")
            if last == "reset":
                taken.wait(LONG)
                until(lambda: not unacknowledged(sock), "all is at the client's kernel")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    taken = threading.Event()
    thread = threading.Thread(target=serve)
    thread.start()
    environment = kernel_environment()
    poller, owner = environment.network.poller(), Owner()
    line = Line(
        read_place(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", secure=False),
        network=environment.network,
        poller=poller,
        pool=environment.threads.pool("test", 1),
        lot=Lot(here=lambda: True, wake=lambda: None),
        tyme=lambda: 0.0,
        secure=None,
        owner=owner,
    )
    line.begin()
    while not line.closed:
        poller.wait(0.0 if line.due() <= 0.0 else 1.0)
        before = len(owner.slices)
        for attendant, mask in poller.ready():
            attendant.attend(mask)
        line.service(0.0)
        assert len(owner.slices) - before <= 3  # the opening, what came, and one slice
        if any(owner.slices) and not taken.is_set():
            taken.set()
            if last == "reset":
                thread.join(LONG)
    thread.join(LONG)
    poller.close()
    assert [message for messages in owner.slices for message in messages] == flood
    assert max(map(len, owner.slices)) == SLICE
    [error] = owner.errors
    if last == "reset":
        assert isinstance(error, ConnectionResetError)
    else:
        assert isinstance(error, DisconnectedError)
    assert ("enough" in str(error)) is (last == "close" and scheme == "ws")
