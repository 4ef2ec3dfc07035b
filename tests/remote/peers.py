"""A client that says whatever a test wants, byte by byte, over a real socket."""

import socket
from typing import Any

import msgpack

from tests.processes import LONG
from tests.remote.support import PASSWORD, Site
from totohio.core.proving import answer, transcript
from totohio.wire.framing import Framer, frame

NONCE = b"n" * 16


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
        lending = site.server.built.lending
        assert lending is not None
        self.sock = socket.create_connection(lending.server.servant.ha[:2], LONG)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.site = site
        self._framer = Framer(1 << 24)

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *error: object) -> None:
        self.sock.close()

    def send(self, *messages: Any) -> None:
        """Send messages in one piece."""
        self.sock.sendall(b"".join(map(packed, messages)))

    def trickle(self, data: bytes) -> None:
        """Send bytes one by one, each when the server has taken the one before."""
        for number in range(len(data)):
            self.sock.sendall(data[number : number + 1])
            self.site.within(lambda: None)

    def receive(self) -> dict[str, Any]:
        """Give the next message."""
        while (data := self._framer.next()) is None:
            received = self.sock.recv(65536)
            if not received:
                raise ConnectionResetError("the server has closed the connection")
            self._framer.feed(received)
        return read(data)

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


def error_of(reply: dict[str, Any]) -> list[Any]:
    """Give what a reply says of an exception: name, message, traceback, arguments, code."""
    error = reply["e"]
    assert error.code == 2
    payload: list[Any] = msgpack.unpackb(error.data)
    return payload
