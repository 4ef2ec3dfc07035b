"""WebSocket (RFC 6455) with per-message deflate (RFC 7692): bytes in, messages out, and the other way round.

The grammar is that of the package ``websockets``, its protocol without I/O. What is added here: messages put together
from their fragments, texts checked to be UTF-8, one word for each thing that may come, and a bound of what is read in
one go.
"""

from collections.abc import Iterator
from typing import Any

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request as Opening
from websockets.protocol import State
from websockets.server import ServerProtocol

from totohio.wire.requesting import Request
from totohio.wire.slicing import SLICE, Sliced

GOING_AWAY = int(CloseCode.GOING_AWAY)
NORMAL = int(CloseCode.NORMAL_CLOSURE)
UNSUPPORTED = int(CloseCode.UNSUPPORTED_DATA)
TRY_AGAIN_LATER = int(CloseCode.TRY_AGAIN_LATER)
INVALID_TEXT = int(CloseCode.INVALID_DATA)
MESSAGES = frozenset((Opcode.TEXT, Opcode.BINARY, Opcode.CONT))


class Channel:
    """One connection that was upgraded.

    Attributes:
        closed: Nothing can be sent any more.
        more: Something that has come waits to be read.
    """

    def __init__(self, *, max_size: int, compression: bool) -> None:
        """Begin with the opening handshake.

        Args:
            max_size: Bytes that a message may have, also when it was compressed; a security limit.
            compression: Whether messages may be compressed.
        """
        self._protocol: Any = _Protocol(
            extensions=[ServerPerMessageDeflateFactory()] if compression else None, max_size=max_size
        )
        self._fragments = bytearray()
        self._text = False

    @property
    def closed(self) -> bool:
        """Nothing can be sent any more."""
        return self._protocol.state is not State.OPEN

    @property
    def more(self) -> bool:
        """Something that has come waits to be read."""
        return bool(self._protocol.reader.waits)

    def open(self, request: Request) -> tuple[bool, bytes]:
        """Take the request that asks for it; tell whether that is right, and give the reply."""
        protocol = self._protocol
        lines = [f"{request.method} {request.uri} HTTP/1.1\r\n".encode("latin-1")]
        lines += [b"%b: %b\r\n" % (name, value) for name, value in request.fields.items()]
        protocol.receive_data(b"".join(lines) + b"\r\n")
        [opening] = protocol.events_received() or [None]
        if not isinstance(opening, Opening):
            return False, b""
        response = protocol.accept(opening)
        protocol.send_response(response)
        return response.status_code == 101, b"".join(protocol.data_to_send())

    def receive(self, data: bytes) -> Iterator[tuple[str, Any]]:
        """Take bytes that have come, and read a slice of them; ``take`` has what is to be sent in reply.

        When there is ``more`` it is to be called again, be it with nothing.

        Yields:
            ``("text", str)`` and ``("binary", bytes)`` for messages, ``("pong", bytes)``; closing shows in ``closed``.
        """
        self._protocol.reader.left = SLICE
        self._protocol.receive_data(data)
        for frame in self._protocol.events_received():
            yield from self._frame(frame)

    def receive_end(self) -> None:
        """The peer sends no more."""
        self._protocol.reader.left = SLICE
        self._protocol.receive_eof()

    def take(self) -> bytes:
        """Give what is to be sent now."""
        return b"".join(self._protocol.data_to_send())

    def over(self) -> bool:
        """Tell whether the closing handshake is done, so that the connection can be closed."""
        return bool(self._protocol.state is State.CLOSED or self._protocol.eof_sent)

    def send_text(self, data: bytes) -> None:
        """Send a text in UTF-8."""
        if not self.closed:
            self._protocol.send_text(data)

    def send_binary(self, data: bytes) -> None:
        """Send bytes."""
        if not self.closed:
            self._protocol.send_binary(data)

    def ping(self, data: bytes) -> None:
        """Ask whether the peer is there."""
        if not self.closed:
            self._protocol.send_ping(data)

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake; nothing happens when it has begun."""
        if not self.closed:
            self._protocol.send_close(code, reason)

    def _frame(self, frame: Frame) -> Iterator[tuple[str, Any]]:
        if frame.opcode is Opcode.PONG:
            yield "pong", bytes(frame.data)
        if frame.opcode not in MESSAGES:
            return
        if frame.opcode is not Opcode.CONT:
            self._text = frame.opcode is Opcode.TEXT
        if frame.fin and not self._fragments:  # as it mostly is
            data = bytes(frame.data)
        else:
            self._fragments += frame.data
            if not frame.fin:
                return
            data = bytes(self._fragments)
            self._fragments.clear()
        if not self._text:
            yield "binary", data
            return
        try:
            yield "text", data.decode()
        except UnicodeDecodeError:
            self._protocol.fail(INVALID_TEXT, "invalid UTF-8")


class _Protocol(Sliced, ServerProtocol):
    """The package's, which pauses when it has read a slice."""
