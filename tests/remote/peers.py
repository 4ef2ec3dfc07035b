"""Clients that say whatever a test wants, byte by byte, over a real socket: over TCP, or a WebSocket."""

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator
from typing import Any

import msgpack
from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from tests.processes import LONG
from tests.remote.support import PASSWORD, Site
from totohio.core.proving import answer, transcript
from totohio.wire.framing import HEAD, Framer, frame

NONCE = b"n" * 16
PATH = "/lend"  # of the WebSockets, where a test has them
numbers = itertools.count(100)


def packed(message: Any) -> bytes:
    """Give the frame of a message."""
    return frame(msgpack.packb(message))


def read(data: bytes) -> dict[str, Any]:
    """Read a message; what it holds that is no plain value is its extension type, unread."""
    message: dict[str, Any] = msgpack.unpackb(data, strict_map_key=False)
    return message


class Peer:
    """One connection."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.sock = socket.create_connection(self._address(), LONG)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._framer = Framer(1 << 24)

    def _address(self) -> Any:
        lending = self.site.server.built.lending
        assert lending is not None
        return lending.server.servant.ha[:2]

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *error: object) -> None:
        self.sock.close()

    def send(self, *messages: Any) -> None:
        """Send messages in one piece."""
        self.sock.sendall(b"".join(self.wrap(msgpack.packb(message)) for message in messages))

    def wrap(self, body: bytes) -> bytes:
        """Give what carries bytes as a message."""
        return frame(body)

    def announced(self, size: int) -> bytes:
        """Give how a message of so many bytes begins."""
        return HEAD.pack(size)

    @contextlib.contextmanager
    def sending(self, data: bytes) -> Iterator[None]:
        """Send bytes while a ``with`` block receives, for the server may have to wait for that."""

        def send() -> None:
            with contextlib.suppress(OSError):  # the block has failed, which is the test's to say
                self.sock.sendall(data)

        sender = threading.Thread(target=send)
        sender.start()
        try:
            yield
        except BaseException:
            self.sock.shutdown(socket.SHUT_RDWR)
            raise
        finally:
            sender.join()

    def trickle(self, data: bytes) -> None:
        """Send bytes one by one, each when the server has taken the one before."""
        for number in range(len(data)):
            self.sock.sendall(data[number : number + 1])
            self.site.within(lambda: None)

    def receive(self) -> dict[str, Any]:
        """Give the next message."""
        return read(self._next())

    def _next(self) -> bytes:
        while (data := self._framer.next()) is None:
            self._framer.feed(self._receive())
        return data

    def _receive(self) -> bytes:
        received = self.sock.recv(65536)
        if not received:
            raise ConnectionResetError("the server has closed the connection")
        return received

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a message and give the next that comes."""
        self.send(message)
        return self.receive()

    def log_in(self, user_id: str = "ada", password: str = PASSWORD) -> Any:
        """Say who it is; give what the server answers."""
        nonce = self.ask({"i": 1, "o": "hello", "a": [1]})["v"]["nonce"]
        challenge = self.ask({"i": 2, "o": "challenge", "a": [user_id, NONCE]})["v"]
        mac, _ = answer(challenge, password, transcript(user_id, nonce, NONCE))
        return self.ask({"i": 3, "o": "prove", "a": [mac]})

    def closed(self) -> bool:
        """Wait until the server has closed it."""
        try:
            while True:
                self.receive()
        except ConnectionError:
            return True


class SocketPeer(Peer):
    """One connection that is a WebSocket.

    Attributes:
        code: What the server has closed it with; None as long as it has not.
    """

    def __init__(self, site: Site, path: str = PATH) -> None:
        super().__init__(site)
        self.code: int | None = None
        host, port = site.server.address
        self._came: list[bytes] = []
        self._protocol = ClientProtocol(parse_uri(f"ws://{host}:{port}{path}"), max_size=None)
        self._protocol.send_request(self._protocol.connect())
        self.sock.sendall(b"".join(self._protocol.data_to_send()))
        events: list[Any] = []
        while not events:
            self._protocol.receive_data(self._receive())
            events = self._protocol.events_received()
        assert type(events[0]) is Response
        assert events[0].status_code == 101

    def _address(self) -> Any:
        return self.site.server.address

    def wrap(self, body: bytes, opcode: Opcode = Opcode.BINARY, *, fin: bool = True) -> bytes:
        """Give the frame of a message, or of a fragment of one."""
        return Frame(opcode, body, fin).serialize(mask=True)

    def announced(self, size: int) -> bytes:
        """Give how a message of so many bytes begins: 8 bytes for its size, and the mask (RFC 6455, 5.2)."""
        return b"\x82\xff" + size.to_bytes(8, "big") + b"mask"

    def _next(self) -> bytes:
        while not self._came:
            self._protocol.receive_data(self._receive())
            for event in self._protocol.events_received():
                if event.opcode is Opcode.BINARY:
                    self._came.append(event.data)
                elif event.opcode is Opcode.CLOSE:
                    self.code = Close.parse(event.data).code
        return self._came.pop(0)


def ask(peer: Peer, operation: str, target: Any = None, *args: Any) -> Any:
    """Have something done; give its value, or raise what the error says."""
    reply = peer.ask({"i": next(numbers), "o": operation, "t": target, "a": list(args)})
    if "e" in reply:
        raise RuntimeError(error_of(reply))
    return reply["v"]


def borrowed(value: Any) -> int:
    """Give the number in a reference."""
    assert value.code == 1
    number: int = msgpack.unpackb(value.data)[1]
    return number


def error_of(reply: dict[str, Any]) -> list[Any]:
    """Give what a reply says of an exception: name, message, traceback, arguments, code."""
    error = reply["e"]
    assert error.code == 2
    payload: list[Any] = msgpack.unpackb(error.data)
    return payload
