"""How a client that waits carries its messages: over a TCP connection, TLS, or a WebSocket."""

import socket
import ssl
from typing import Protocol
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as connect_socket

from totohio.wire.framing import Framer, frame

READ_SIZE = 1 << 18  # bytes
MAX_FRAME = 1 << 28  # bytes of a message that a server may send us
PORT = 8890


class Carrier(Protocol):
    """Carries messages."""

    def send(self, data: bytes) -> None:
        """Send a message."""

    def receive(self, seconds: float | None) -> list[bytes]:
        """Give messages that have come; wait so many seconds for the first, None for any time. None may come.

        Raises:
            OSError: The connection is over.
        """

    def close(self) -> None:
        """Close the connection."""


class SocketCarrier:
    """Carries them over a stream of bytes."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._framer = Framer(MAX_FRAME)

    def send(self, data: bytes) -> None:
        """Send a message."""
        self._sock.settimeout(None)
        self._sock.sendall(frame(data))

    def receive(self, seconds: float | None) -> list[bytes]:
        """Give messages that have come."""
        self._sock.settimeout(seconds)
        try:
            data = self._sock.recv(READ_SIZE)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
            return []
        if not data:
            raise ConnectionResetError("the server has closed the connection")
        self._framer.feed(data)
        messages: list[bytes] = []
        while (message := self._framer.next()) is not None:
            messages.append(message)
        return messages

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()


class WebSocketCarrier:
    """Carries them over a WebSocket, each as a message of its own."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    def send(self, data: bytes) -> None:
        """Send a message."""
        try:
            self._connection.send(data)
        except ConnectionClosed as error:
            raise ConnectionResetError(str(error)) from error

    def receive(self, seconds: float | None) -> list[bytes]:
        """Give a message that has come."""
        try:
            message = self._connection.recv(seconds)
        except TimeoutError:
            return []
        except ConnectionClosed as error:
            raise ConnectionResetError(str(error)) from error
        return [message] if isinstance(message, bytes) else []

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def open_carrier(url: str, cafile: str | None, timeout: float) -> Carrier:
    """Connect to where a URL says.

    Raises:
        ValueError: It is no such URL.
        OSError: Nobody is there, or the certificate is wrong.
    """
    parts = urlsplit(url)
    secure = parts.scheme in ("totohio+tls", "wss")
    if parts.scheme not in ("totohio", "totohio+tls", "ws", "wss") or not parts.hostname:
        raise ValueError(f"{url!r} is no URL such as totohio://localhost:{PORT}")
    context = ssl.create_default_context(cafile=cafile) if secure else None
    if parts.scheme in ("ws", "wss"):
        try:
            opening = connect_socket(url, ssl=context, open_timeout=timeout, max_size=MAX_FRAME, compression=None)
            return WebSocketCarrier(opening.__enter__())  # which every generation of it wants to be called
        except WebSocketException as error:
            raise ConnectionRefusedError(f"{url}: {error}") from error
    sock = socket.create_connection((parts.hostname, parts.port or PORT), timeout=timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is not None:
        sock = context.wrap_socket(sock, server_hostname=parts.hostname)
    return SocketCarrier(sock)
