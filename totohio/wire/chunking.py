"""Reading a body that comes in chunks (RFC 9112 7.1): llhttp's grammar, then bounds."""

import httptools

from totohio.base.errors import RemoteProtocolError
from totohio.wire.request import Limits

_BLANK = b"\r\n\r\n"

#: A head that brings a parser to where chunks begin.
_HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"

#: Bytes of framing that one byte of body pays for. Chunks of one byte cost five.
_WORTH = 16


class ChunkedBody:
    """Puts one chunked body together.

    llhttp reads it, by a parser that knows nothing of the head. It does not tell where in the data a
    message ended, but that can only be after an empty line; so it is given slices that end there.

    What is not body (sizes, extensions, trailers) costs the sender little, and us time and, within a
    trailer, memory. So the body must keep up with the stream: a bucket fills by every
    ``max_header_size`` bytes of stream and is emptied by the body that they brought, 16 times its
    size. It overflows when hardly anything but framing has come for three times ``max_header_size``,
    which no honest chunking does. Blocks are counted from the beginning of the body, so that pieces
    make no difference.

    Attributes:
        done: Whether the body is complete.
    """

    __slots__ = (
        "_block",
        "_body",
        "_bucket",
        "_left",
        "_limits",
        "_loose",
        "_parser",
        "_size",
        "_trailer",
        "_weighed",
        "done",
    )

    def __init__(self, limits: Limits) -> None:
        self.done = False
        self._limits = limits
        self._body: bytes | bytearray = b""
        self._size = 0
        self._block = self._left = max(limits.max_header_size, len(_BLANK))
        self._bucket = 0
        self._weighed = 0
        self._loose = False
        self._trailer = 0
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._parser.feed_data(_HEAD)

    # What llhttp reports.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Counts a trailer and drops it."""
        self._trailer += len(name) + len(value) + 4

    def on_headers_complete(self) -> None:
        """Begins to count, the made-up head being over."""
        self._trailer = 0

    def on_body(self, piece: bytes) -> None:
        """Takes a piece of the body."""
        self._size += len(piece)
        limit = self._limits.max_body_size
        if limit is not None and self._size > limit:
            raise RemoteProtocolError(413, f"The body exceeds {limit} bytes.")
        if not self._body:
            self._body = piece
        elif isinstance(self._body, bytearray):
            self._body += piece
        else:
            self._body = bytearray(self._body) + piece

    def on_message_complete(self) -> None:
        """Takes the end."""
        self.done = True

    # What its user calls.

    def feed(self, data: bytes, at: int) -> int:
        """Takes from ``data``, beginning ``at``, what belongs to the body.

        Returns:
            Where in the data that ends.

        Raises:
            RemoteProtocolError: It is malformed or breaks a limit.
        """
        parser = self._parser
        if parser is None or at >= len(data):
            return at
        view = memoryview(data)
        begin, size = at, len(data)
        while at < size and not self.done:
            if self._loose and at - begin < 3:
                end = at + 1  # the empty line may have begun in the piece before
            else:
                end = data.find(_BLANK, max(begin, at - 3)) + 4
                if end < 4:
                    end = size
            end = min(end, at + self._left)
            try:
                parser.feed_data(view[at:end])
            except httptools.HttpParserError as error:
                raise _fault(error) from None
            self._left -= end - at
            at = end
            if not self._left:
                self._weigh()
        self._loose = data[at - 1] in b"\r\n"
        return at

    def close(self) -> bytes:
        """Gives the complete body.

        Raises:
            RemoteProtocolError: Its trailer section was too long.
        """
        self._parser = None  # it holds us, and we held it
        if self._trailer > self._limits.max_header_size:
            raise RemoteProtocolError(431, f"The trailer section exceeds {self._limits.max_header_size} bytes.")
        return bytes(self._body)

    def _weigh(self) -> None:
        """Sees after each block whether the body keeps up with its framing."""
        self._left = self._block
        self._bucket = max(0, self._bucket + self._block - _WORTH * (self._size - self._weighed))
        self._weighed = self._size
        if self._bucket > 2 * self._block:
            raise RemoteProtocolError(400, "The chunks hold next to nothing, or their trailer is too long.")


def _fault(error: httptools.HttpParserError) -> RemoteProtocolError:
    """The fault that an error of llhttp within a chunked body stands for."""
    cause = error.__context__
    if isinstance(error, httptools.HttpParserCallbackError) and cause is not None:
        if isinstance(cause, RemoteProtocolError):
            return cause
        raise cause  # nothing the peer sent: an interrupt or exhausted memory
    return RemoteProtocolError(400, f"{error}.")
