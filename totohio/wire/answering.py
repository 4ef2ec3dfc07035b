"""Bytes to replies: the sans-IO HTTP/1.x parser of a client.

Where a head ends is found before llhttp sees it, at the first empty line, so each head gets a parser of its own
that never sees anything else, and positions are exact. What follows a head is framed here, by the request that
was answered and by RFC 9112 6.3:

    HEAD, 1xx, 204, 304         nothing
    Transfer-Encoding chunked   chunks, read by `ChunkedBody`
    Content-Length              that many bytes
    neither                     everything until the connection ends
"""

from collections import deque
from functools import lru_cache
from typing import Any, NamedTuple

import httptools
import msgspec

from totohio.base.errors import RemoteProtocolError
from totohio.wire.chunking import ChunkedBody
from totohio.wire.request import CHUNKED, Limits

UNTIL_CLOSE = -2  # the length of a body that ends with its connection
BODILESS = frozenset((204, 304))
SWITCHING = 101
MAX_INTERIM = 64  # interim replies before a final one: a security limit
BAD_GATEWAY = 502  # the status by which a peer's broken reply is known (RFC 9110 15.6.3)
LIMITS = Limits(max_header_size=65536, max_headers=256, max_body_size=64 * 1024 * 1024)

_BLANK = b"\r\n\r\n"
_START = b"HTTP/1."


class Reply:
    """One reply.

    Attributes:
        status: Of the final reply.
        headers: Names as they were sent, and values, in order.
        body: Put together from whatever it came in.
        interim: The statuses of the interim replies (1xx) before it.
        keep_alive: The server lets the connection go on.
    """

    __slots__ = ("body", "headers", "interim", "keep_alive", "status")

    def __init__(
        self,
        status: int,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
        *,
        interim: tuple[int, ...] = (),
        keep_alive: bool = True,
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.interim = interim
        self.keep_alive = keep_alive

    def __repr__(self) -> str:
        return f"<Reply {self.status}, {len(self.body)} bytes>"

    def header(self, name: str) -> str | None:
        """The value of a header, in any case of letters; several are joined by commas; None without it."""
        name = name.lower()
        values = [value for key, value in self.headers if key.lower() == name]
        return ", ".join(values) if values else None

    def json(self) -> Any:
        """The body, decoded.

        Raises:
            ValueError: It is no JSON.
        """
        return msgspec.json.decode(self.body)


class Respondent:
    """Takes the bytes of one connection, gives its replies.

    Whatever bytes arrive in whatever pieces: it yields replies or one fault, never an exception,
    and the pieces make no difference.

    Attributes:
        replies: Complete replies, oldest first, to be taken from the left.
        fault: What ended the stream, or None. Replies that were complete before it are in ``replies``.
        rest: What came after a reply with status 101, which ends HTTP on this connection; None before that.
        over: No further reply can come.
    """

    __slots__ = (
        "_chunks",
        "_interim",
        "_limits",
        "_need",
        "_raw",
        "_reply",
        "_verbs",
        "fault",
        "over",
        "replies",
        "rest",
    )

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.replies: deque[Reply] = deque()
        self.fault: RemoteProtocolError | None = None
        self.rest: bytes | None = None
        self._limits = limits
        self._verbs: deque[str] = deque()
        self._raw = bytearray()  # of a head that came in part, or of the body that is coming
        self._reply: Reply | None = None  # whose body is coming
        self._need = 0  # bytes of it, `CHUNKED` or `UNTIL_CLOSE`
        self._chunks: ChunkedBody | None = None
        self._interim: list[int] = []
        self.over = False

    @property
    def begun(self) -> bool:
        """Whether a reply has arrived in part."""
        return bool(self._raw or self._interim) or self._reply is not None

    def expect(self, verb: str) -> None:
        """Say what the next request was that is sent: a reply to a HEAD ends with its head."""
        self._verbs.append(verb)

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the stream. Never raises for anything a peer can send."""
        at, size = 0, len(data)
        try:
            while at < size and self.fault is None:
                if self.rest is not None:
                    self.rest += data[at:]
                    return
                if self.over:
                    raise _fault("Bytes follow the last reply.")
                at = self._take_head(data, at) if self._reply is None else self._take_body(data, at)
        except RemoteProtocolError as fault:
            self._refuse(fault)

    def finish(self) -> None:
        """Takes the end of the stream: it completes a body that ends with it, and breaks off any other."""
        if self._reply is not None and self._need == UNTIL_CLOSE:
            self._complete(bytes(self._raw))
        elif self.begun and self.fault is None:
            self._refuse(_fault("The connection ended within a reply."))
        self.over = True

    def _refuse(self, fault: RemoteProtocolError) -> None:
        fault.__traceback__ = fault.__context__ = None  # they hold what was fed, and us
        self.fault = fault
        self.over = True
        self._raw.clear()
        self._reply = self._chunks = None

    def _take_head(self, data: bytes, at: int) -> int:
        """Takes a head, or the part of it that is there; gives where in the data it ends."""
        raw, limit = self._raw, self._limits.max_header_size
        before = len(raw)
        if before:
            raw += data[at : at + limit - before + 1]  # one byte more than allowed tells that it is too much
            end = raw.find(_BLANK, max(0, before - 3)) + 4
            head = bytes(raw[: end if end >= 4 else None])
        else:
            end = data.find(_BLANK, at) + 4 - at
            head = data[at : at + end] if end >= 4 else data[at : at + limit + 1]
        if not head.startswith(_START) and not _START.startswith(head):
            raise _fault("This is no HTTP reply.")
        if len(head) > limit:
            raise _fault(f"The head of a reply exceeds {limit} bytes.")
        if not head.endswith(_BLANK):
            if not before:
                raw += head
            return len(data)
        raw.clear()
        self._open(_read_head(head, self._limits.max_headers))
        return at + len(head) - before

    def _open(self, head: "_Head") -> None:
        """Goes on from a head to what follows it."""
        status = head.status
        if status < 200 and status != SWITCHING:
            self._interim.append(status)
            if len(self._interim) > MAX_INTERIM:
                raise _fault(f"There are more than {MAX_INTERIM} interim replies.")
            return
        verb = self._verbs.popleft() if self._verbs else ""
        interim, self._interim = tuple(self._interim), []
        self._need = need = 0 if verb == "HEAD" or status in BODILESS or status == SWITCHING else head.length
        keep_alive = head.keep_alive and need != UNTIL_CLOSE
        self._reply = Reply(status, head.headers, interim=interim, keep_alive=keep_alive)
        if need == 0:
            self._complete(b"")
        elif need == CHUNKED:
            self._chunks = ChunkedBody(self._limits)
        else:
            self._bound(need)

    def _take_body(self, data: bytes, at: int) -> int:
        """Takes from the data what belongs to the body; gives where that ends."""
        chunks, raw = self._chunks, self._raw
        if chunks is not None:
            at = chunks.feed(data, at)
            if chunks.done:
                self._chunks = None
                self._complete(chunks.close())
        elif self._need == UNTIL_CLOSE:
            raw += data[at:]
            self._bound(len(raw))
            return len(data)
        elif not raw and len(data) - at >= self._need:
            end = at + self._need
            self._complete(data[at:end])
            return end
        else:
            end = min(len(data), at + self._need - len(raw))
            raw += data[at:end]
            if len(raw) == self._need:
                self._complete(bytes(raw))
            return end
        return at

    def _bound(self, size: int) -> None:
        limit = self._limits.max_body_size
        if limit is not None and size > limit:
            raise _fault(f"The body of a reply exceeds {limit} bytes.")

    def _complete(self, body: bytes) -> None:
        reply, self._reply = self._reply, None
        assert reply is not None
        reply.body = body
        self._raw.clear()
        self.over = not reply.keep_alive or reply.status == SWITCHING
        self.replies.append(reply)
        if reply.status == SWITCHING:
            self.rest = b""


class _Head(NamedTuple):
    status: int
    headers: tuple[tuple[str, str], ...]
    length: int  # of the body, `CHUNKED` or `UNTIL_CLOSE`, unless the status or the request rules a body out
    keep_alive: bool


class _Reader:
    """Notes what llhttp reports of one head."""

    def __init__(self) -> None:
        self.pairs: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes one header line."""
        self.pairs.append((name, value))

    def on_headers_complete(self) -> None:
        """Takes the end."""
        self.complete = True


@lru_cache(maxsize=256)  # a server answers with the same head again and again, save for its date
def _read_head(raw: bytes, max_headers: int) -> _Head:
    """Reads a head.

    Raises:
        RemoteProtocolError: It is malformed, or its body could not be told from what follows.
    """
    reader = _Reader()
    parser = httptools.HttpResponseParser(reader)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # a 101, whose head is complete
    except httptools.HttpParserError as error:
        raise _fault(f"A reply is malformed: {error}.") from None
    version = parser.get_http_version()
    if not reader.complete or version not in ("1.1", "1.0") or parser.get_status_code() < 100:
        raise _fault("The head of a reply is malformed.")
    if len(reader.pairs) > max_headers:
        raise _fault(f"A reply has more than {max_headers} header lines.")
    headers = tuple((name.decode("latin-1"), value.strip().decode("latin-1")) for name, value in reader.pairs)
    fields: dict[str, list[str]] = {}
    for name, value in headers:
        fields.setdefault(name.lower(), []).append(value)
    tokens = {token.strip() for value in fields.get("connection", ()) for token in value.lower().split(",")}
    keep_alive = "close" not in tokens and (version == "1.1" or "keep-alive" in tokens)
    return _Head(parser.get_status_code(), headers, _frame(fields, version), keep_alive)


def _frame(fields: dict[str, list[str]], version: str) -> int:
    """The length of the body by RFC 9112 6.3, without any of its leniencies."""
    codings, lengths = fields.get("transfer-encoding"), fields.get("content-length")
    if codings is not None:
        if lengths is not None or version == "1.0" or [coding.lower() for coding in codings] != ["chunked"]:
            raise _fault("The Transfer-Encoding of a reply cannot be followed.")
        return CHUNKED
    if lengths is None:
        return UNTIL_CLOSE
    if len(lengths) > 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
        raise _fault("The Content-Length of a reply is no number.")
    return int(lengths[0].lstrip("0")[:20] or "0")


def _fault(text: str) -> RemoteProtocolError:
    return RemoteProtocolError(BAD_GATEWAY, text)
