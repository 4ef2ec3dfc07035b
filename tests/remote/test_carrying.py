"""How a client that waits carries its messages through a WebSocket: the opening, pings, goodbyes, and what is none."""

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from tests.processes import LONG, until
from tests.remote.support import serving
from totohio.remote.carrying import SocketCarrier, open_carrier
from totohio.remote.tunnelling import NotLendingError, Tunnel
from totohio.wire.lending import LendingError

URL = "ws://127.0.0.1:1/lend"
MANY = bytes(50_000_000)  # more than there is room for between the two


class Server:
    """The other end of a WebSocket.

    Attributes:
        protocol: What it says and hears.
        frames: Those that have come.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.settimeout(LONG)
        self.protocol = ServerProtocol(max_size=None)
        self.frames: list[Frame] = []
        self.ended = False

    def hear(self) -> None:
        """Take what has come, and answer it."""
        data = self._sock.recv(1 << 20)
        if not data:
            self.ended = True
            return
        self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            if isinstance(event, Request):
                self.protocol.send_response(self.protocol.accept(event))
            elif isinstance(event, Frame):
                self.frames.append(event)
        self.flush()

    def hear_until(self, done: Callable[[], Any]) -> None:
        """Take what comes until something is so."""
        while not done():
            assert not self.ended
            self.hear()

    def flush(self) -> None:
        """Send what it has to say."""
        with contextlib.suppress(OSError):
            self._sock.sendall(b"".join(self.protocol.data_to_send()))

    def sent(self, *opcodes: Opcode) -> list[bytes]:
        """Give what has come in frames of some kinds."""
        return [bytes(frame.data) for frame in self.frames if frame.opcode in opcodes]


@pytest.fixture
def ends() -> Iterator[tuple[SocketCarrier, Server]]:
    """A WebSocket that is open, and its server."""
    here, there = socket.socketpair()
    with here, there:
        carrier, server = SocketCarrier(here, LONG, Tunnel(URL)), Server(there)
        thread = threading.Thread(target=server.hear)
        thread.start()
        carrier.begin()
        thread.join(LONG)
        yield carrier, server
        carrier.close()


def test_messages_go_both_ways(ends: tuple[SocketCarrier, Server]) -> None:
    carrier, server = ends
    carrier.send(b"one")
    carrier.post(b"two")
    server.hear_until(lambda: len(server.frames) == 2)
    assert server.sent(Opcode.BINARY) == [b"one", b"two"]
    server.protocol.send_binary(b"three")
    server.protocol.send_binary(b"")
    server.flush()
    assert carrier.receive(LONG) == [b"three", b""]
    assert carrier.receive(0.0) == []
    assert not carrier.outs


def test_what_comes_with_the_opening_is_not_lost() -> None:
    here, there = socket.socketpair()
    with here, there:
        carrier, server = SocketCarrier(here, LONG, Tunnel(URL)), Server(there)
        server.flush = lambda: None  # type: ignore[method-assign]

        def serve() -> None:
            server.hear()
            server.protocol.send_binary(b"at once")
            there.sendall(b"".join(server.protocol.data_to_send()))

        thread = threading.Thread(target=serve)
        thread.start()
        carrier.begin()
        thread.join(LONG)
        assert carrier.receive(LONG) == [b"at once"]


def test_a_ping_is_answered_when_what_came_with_it_is_sent_next(ends: tuple[SocketCarrier, Server]) -> None:
    carrier, server = ends
    server.protocol.send_ping(b"here?")
    server.flush()
    assert carrier.receive(LONG) == []
    assert list(carrier.outs) == [b""]  # which tells that there is something to send
    carrier.flush()
    server.hear_until(lambda: server.frames)
    assert server.sent(Opcode.PONG) == [b"here?"]
    carrier.post(b"next")
    server.hear_until(lambda: len(server.frames) == 2)
    assert server.sent(Opcode.BINARY) == [b"next"]


def test_pings_that_come_while_something_large_is_sent_cost_no_more_than_the_last_answer(
    ends: tuple[SocketCarrier, Server],
) -> None:
    carrier, server = ends
    thread = threading.Thread(target=carrier.send, args=(MANY,))
    thread.start()
    for number in range(20_000):
        server.protocol.send_ping(b"%d" % number)
        if number % 1000 == 999:
            server.flush()
    server.protocol.send_binary(b"after them")
    server.flush()
    until(lambda: carrier._came, "all of them have come")
    assert len(carrier._words) < 1 << 20
    assert len(carrier.outs) == 1
    server.hear_until(lambda: server.sent(Opcode.PONG))
    thread.join(LONG)
    assert len(server.sent(Opcode.BINARY)[0]) == len(MANY)
    assert server.sent(Opcode.PONG)[-1] == b"19999"
    assert carrier.receive(LONG) == [b"after them"]


def test_it_says_goodbye(ends: tuple[SocketCarrier, Server]) -> None:
    carrier, server = ends
    carrier.close()
    carrier.close()
    server.hear()
    assert server.protocol.close_rcvd is not None
    assert server.protocol.close_rcvd.code == 1000


def test_it_says_nothing_in_the_midst_of_a_message(ends: tuple[SocketCarrier, Server]) -> None:
    carrier, server = ends
    carrier._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    carrier.post(MANY)
    assert carrier.outs
    carrier.close()
    while not server.ended:
        server.hear()
    assert server.protocol.close_rcvd is None
    assert not server.frames


def test_the_server_says_why_it_closes_after_what_it_has_sent_and_is_answered(
    ends: tuple[SocketCarrier, Server],
) -> None:
    carrier, server = ends
    server.protocol.send_binary(b"last")
    server.protocol.send_close(1001, "the session has ended")
    server.flush()
    assert carrier.receive(LONG) == [b"last"]
    carrier.flush()
    server.hear()
    assert server.protocol.close_rcvd is not None
    assert server.protocol.close_rcvd.code == 1001
    server._sock.shutdown(socket.SHUT_RDWR)
    with pytest.raises(ConnectionResetError, match="the session has ended"):
        carrier.receive(LONG)


@pytest.mark.parametrize(
    ("data", "code"), [(b"\xff\xff", 1002), (Frame(Opcode.TEXT, b"text").serialize(mask=False), 1003)]
)
def test_what_is_no_message_is_an_error_and_the_server_is_told_why(
    ends: tuple[SocketCarrier, Server], data: bytes, code: int
) -> None:
    carrier, server = ends
    server._sock.sendall(data)
    with pytest.raises(LendingError):
        carrier.receive(LONG)
    carrier.close()
    server.hear()
    assert server.protocol.close_rcvd is not None
    assert server.protocol.close_rcvd.code == code


def test_a_session_that_waits_answers_pings(tmp_path: Path) -> None:
    heard = ServerProtocol()
    pongs: list[bytes] = []

    def relay(sock: socket.socket) -> None:
        host, _, port = site.server.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as server:
            more = Frame(Opcode.PING, b"here?").serialize(mask=False)
            while ready := select.select([sock, server], [], [], LONG)[0]:
                for source, target in ((sock, server), (server, sock)):
                    if source in ready:
                        data = source.recv(1 << 20)
                        if not data:
                            return
                        if source is server:
                            data, more = data + more, b""  # after the opening
                        else:
                            heard.receive_data(data)
                            for event in heard.events_received():
                                if isinstance(event, Request):
                                    heard.send_response(heard.accept(event))
                                elif isinstance(event, Frame) and event.opcode is Opcode.PONG:
                                    pongs.append(bytes(event.data))
                        target.sendall(data)

    with serving(tmp_path, remote_path="/lend") as site, listening(relay) as url, site.connect(url=url) as remote:
        assert remote.add(1, 2) == 3
    assert pongs == [b"here?"]


# ---------------------------------------------------------------- openings


@contextlib.contextmanager
def listening(serve: Callable[[socket.socket], Any]) -> Iterator[str]:
    """Have one client served; give where."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            sock, _ = listener.accept()
            sock.settimeout(LONG)
            with sock:
                serve(sock)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{listener.getsockname()[1]}/lend"
        finally:
            thread.join(LONG)
            assert not thread.is_alive()


@pytest.mark.parametrize("drop", [b"", b"H"])
def test_a_server_that_does_not_answer_is_given_up_however_slowly_it_speaks(drop: bytes) -> None:
    ends: list[bytes] = []

    def serve(sock: socket.socket) -> None:
        sock.recv(65536)
        with contextlib.suppress(OSError):
            while not select.select([sock], [], [], 0.05)[0]:
                sock.sendall(drop)
        ends.append(b"gone")

    with listening(serve) as url, pytest.raises(TimeoutError, match=r"no answer within 0\.3 seconds"):
        open_carrier(url, 0.3)
    assert ends == [b"gone"]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", NotLendingError),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", ConnectionRefusedError),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", ConnectionRefusedError),
        (b"SSH-2.0\r\n", ConnectionRefusedError),
        (b"\x15\x03\x03\x00\x02\x02\x46", ConnectionRefusedError),
        (b"", ConnectionRefusedError),
    ],
)
def test_who_opens_no_websocket_is_named_and_the_connection_ends(said: bytes, kind: type[OSError]) -> None:
    left: list[bytes] = []

    def serve(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(said)
        sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            left.append(sock.recv(65536))

    with listening(serve) as url, pytest.raises(ConnectionRefusedError) as caught:
        open_carrier(url, LONG)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(url + ": ")
    assert not any(left)
