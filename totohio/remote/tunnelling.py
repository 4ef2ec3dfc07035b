"""Messages without a socket: what a client puts between its messages and the bytes of its connection.

On a plain connection they are frames with a length. Through a WebSocket each is a message of its own; the grammar is
that of the package ``websockets``, its protocol without I/O.
"""

import math
from collections.abc import Iterable
from typing import Any, Protocol

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from totohio.remote.places import MAX_FRAME
from totohio.wire.framing import Framer, FramingError, frame
from totohio.wire.lending import LendingError
from totohio.wire.slicing import Sliced

STRANGE = {b"HTTP": "HTTP", b"\x15\x03": "TLS"}  # what begins otherwise than with the length of a message
HEAD_SIZE = max(map(len, STRANGE))
PASSING = frozenset((408, 425, 429))  # statuses below 500 that ask to come again (RFC 9110, 8470 and 6585)


class NotLendingError(ConnectionRefusedError):
    """Objects are not lent there, nor will be: something else is spoken, or no WebSocket at that path is for us."""


class Channel(Protocol):
    """Messages to bytes, and back.

    Attributes:
        open: Messages can be sent.
        closed: Why the server takes no more; None as long as it does.
        more: Something that has come waits to be taken.
    """

    open: bool
    closed: str | None

    @property
    def more(self) -> bool:
        """Something that has come waits to be taken."""

    def received(self, data: bytes) -> list[bytes]:
        """Take bytes that have come; give the messages that are whole, or as many of them as are taken at a time.

        When there is ``more`` it is to be called again, be it with nothing.

        Raises:
            OSError: The server wants no such connection.
            TotohioError: They are nothing that can be understood, or more than may be.
        """

    def pack(self, messages: Iterable[bytes]) -> bytes:
        """Give the bytes of messages.

        Raises:
            OSError: None can be sent any more.
        """

    def take(self) -> bytes:
        """Give what else is to be sent: the beginning, the answer to a ping; "" when there is nothing."""

    def leave(self) -> bytes:
        """Give the bytes that say goodbye."""


class Frames:
    """Messages on a plain connection; attributes are those of a `Channel`."""

    def __init__(self, most: float = math.inf) -> None:
        """Begin.

        Args:
            most: Messages that are taken at a time.
        """
        self.open = True
        self.more = False
        self.closed: str | None = None
        self._most = most
        self._framer = Framer(MAX_FRAME)
        self._head = b""  # what the server has said first

    def received(self, data: bytes) -> list[bytes]:
        """Take bytes that have come; give the messages that are whole, or as many of them as are taken at a time.

        Raises:
            NotLendingError: Something else is spoken there.
            FramingError: One is larger than may be.
        """
        if len(self._head) < HEAD_SIZE:
            self._head += data[: HEAD_SIZE - len(self._head)]
        try:
            messages = self._framer.frames(data, self._most)
        except FramingError as error:
            for begin, what in STRANGE.items():
                if self._head.startswith(begin):
                    raise NotLendingError(f"{what} is spoken there") from error
            raise
        self.more = len(messages) >= self._most
        return messages

    def pack(self, messages: Iterable[bytes]) -> bytes:
        """Give the bytes of messages."""
        return b"".join(map(frame, messages))

    def take(self) -> bytes:
        """Nothing."""
        return b""

    def leave(self) -> bytes:
        """Nothing: the end of the connection says it."""
        return b""


class Tunnel:
    """Messages through a WebSocket; attributes are those of a `Channel`."""

    def __init__(self, url: str, limit: int = MAX_FRAME, most: float = math.inf) -> None:
        """Begin with the opening handshake.

        Args:
            url: Where the WebSocket is.
            limit: Bytes that a message may have, whatever the number of its fragments; a security limit.
            most: Frames that are taken at a time.
        """
        self.open = False
        self.closed: str | None = None
        self._most = most
        protocol = _Protocol(parse_uri(url), max_size=limit)
        protocol.send_request(protocol.connect())
        self._protocol: Any = protocol
        self._message = bytearray()  # of which fragments have come

    @property
    def more(self) -> bool:
        """Something that has come waits to be taken."""
        return bool(self._protocol.reader.waits)

    def received(self, data: bytes) -> list[bytes]:
        """Take bytes that have come; give the messages that are whole, or as many of them as are taken at a time.

        Raises:
            NotLendingError: There is no WebSocket for us.
            ConnectionRefusedError: There is none now.
            LendingError: It is no WebSocket, or not such a one.
        """
        protocol = self._protocol
        protocol.reader.left = self._most
        protocol.receive_data(data)
        messages: list[bytes] = []
        for event in protocol.events_received():
            if isinstance(event, Frame):
                self._frame(event, messages)
        if protocol.handshake_exc is not None:
            raise _refused(protocol.handshake_exc)
        self.open = protocol.state is State.OPEN
        if protocol.parser_exc is not None:
            raise LendingError(f"the server breaks the protocol of WebSockets: {protocol.parser_exc}")
        if protocol.close_rcvd is not None:
            self.closed = str(protocol.close_rcvd)
        return messages

    def pack(self, messages: Iterable[bytes]) -> bytes:
        """Give the bytes of messages.

        Raises:
            ConnectionResetError: Either end has said goodbye.
        """
        if self._protocol.state is not State.OPEN:
            raise ConnectionResetError(f"the WebSocket is closed: {self.closed or 'it was left'}")
        for message in messages:
            self._protocol.send_binary(message)
        return self.take()

    def take(self) -> bytes:
        """Give what else is to be sent."""
        return b"".join(self._protocol.data_to_send())

    def leave(self) -> bytes:
        """Give the bytes that say goodbye; nobody waits for an answer to them."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
        return self.take()

    def _frame(self, frame: Frame, messages: list[bytes]) -> None:
        if frame.opcode is Opcode.TEXT:
            self._protocol.send_close(CloseCode.UNSUPPORTED_DATA)
            raise LendingError("the server sends a text")
        if frame.opcode is not Opcode.BINARY and frame.opcode is not Opcode.CONT:
            return
        if frame.fin and not self._message:  # as it mostly is
            messages.append(bytes(frame.data))
            return
        self._message += frame.data
        if frame.fin:
            messages.append(bytes(self._message))
            self._message.clear()


class _Protocol(Sliced, ClientProtocol):
    """The package's, which pauses when it has read a slice."""


def _refused(error: Exception) -> Exception:
    """Give what to raise when the opening handshake fails."""
    if not isinstance(error, InvalidStatus):
        return LendingError(f"the server speaks no WebSocket: {error}")
    response: Response = error.response
    status = response.status_code
    text = f"the server has no WebSocket for us: {status} {response.reason_phrase}"
    passing = status >= 500 or status in PASSING
    return ConnectionRefusedError(text) if passing else NotLendingError(text)
