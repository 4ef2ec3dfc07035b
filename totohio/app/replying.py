"""From a reply's parts to its bytes: heads that are made once, and what each version of HTTP wants."""

from typing import Any

from totohio.base.clocking import Clock
from totohio.base.errors import LocalProtocolError
from totohio.net.stewarding import Steward
from totohio.wire.packing import JSON
from totohio.wire.requesting import Request
from totohio.wire.responding import LAST_CHUNK, chunk, head, http_date

FRAMING = frozenset(("connection", "content-length", "transfer-encoding", "keep-alive", "upgrade", "trailer"))
BODILESS = frozenset((204, 304))  # statuses whose replies end with their head (RFC 9112, 6.3)
RESET_CONTENT = 205  # has no content either, but says so with its length (RFC 9110, 15.3.6)
CONTENTLESS = BODILESS | {RESET_CONTENT}
DATE_AGE = 1.0  # seconds of tyme for which a Date header is used again


def raw_bytes(body: Any) -> bytes:
    """The bytes of a raw reply.

    Raises:
        TypeError: It is neither bytes nor text.
    """
    if isinstance(body, str):
        return body.encode("utf-8")
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    raise TypeError(f"a raw reply is bytes or text, not {type(body).__name__}")


class Replier:
    """Makes the bytes of replies.

    The head of the most frequent reply, a JSON body with status 200 on a connection that stays open, is
    made once a second.

    Attributes:
        common: Headers of every reply.
        retiring: The server is going down: every reply ends its connection.
    """

    def __init__(self, *, clock: Clock, allow_origin: str) -> None:
        self._clock = clock
        self.common = [
            ("Access-Control-Allow-Origin", allow_origin),
            ("Access-Control-Expose-Headers", "x-toto-hmac"),
        ]
        self.retiring = False
        self._date = ""
        self._date_until = -1.0
        self._prefix = b""

    @staticmethod
    def check(name: str, value: str) -> None:
        """See whether a header can be sent.

        Raises:
            ValueError: It cannot.
        """
        try:
            head(200, [(name, value)])
        except LocalProtocolError as error:
            raise ValueError(str(error)) from None

    def plain(self, request: Request, steward: Steward, content_type: str, body: bytes, extra: bytes = b"") -> bytes:
        """The reply to a POST with status 200 and no headers of its own, but for one line that may be given."""
        if content_type is not JSON or not request.keep_alive or request.version != "1.1" or self.retiring:
            headers = []
            if extra:
                name, _, value = extra.decode("latin-1").rstrip().partition(": ")
                headers.append((name, value))
            return self.whole(request, steward, 200, headers, content_type, body)
        if steward.server.now >= self._date_until:
            self._refresh(steward.server.now)
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (self._prefix, extra, len(body), body)

    def whole(
        self,
        request: Request,
        steward: Steward,
        status: int,
        headers: list[tuple[str, str]],
        content_type: str,
        body: bytes,
    ) -> bytes:
        """Any reply whose body is known; that of a HEAD goes without its body but with its length."""
        lines = self._lines(request, steward, headers)
        if status in BODILESS:
            return head(status, lines)
        if status == RESET_CONTENT:
            body = b""
        lines.append(("Content-Type", content_type))
        lines.append(("Content-Length", str(len(body))))
        return head(status, lines) + (b"" if request.method == "HEAD" else body)

    def stream(
        self, request: Request, steward: Steward, status: int, headers: list[tuple[str, str]], content_type: str
    ) -> bytes:
        """The head of a reply that comes in pieces; HTTP/1.0 learns its end from the connection's."""
        if request.version != "1.1":
            steward.closing = True
        lines = self._lines(request, steward, headers)
        if status not in BODILESS:
            lines.append(("Content-Type", content_type))
            if status == RESET_CONTENT:
                lines.append(("Content-Length", "0"))
            elif request.version == "1.1":
                lines.append(("Transfer-Encoding", "chunked"))
        return head(status, lines)

    def chunked(self, request: Request, status: int) -> bool:
        """Tell whether a piece of such a reply goes as a chunk."""
        return request.version == "1.1" and request.method != "HEAD" and status not in CONTENTLESS

    def piece(self, request: Request, status: int, data: bytes, *, last: bool) -> bytes:
        """A piece of such a reply; nothing where the reply has no content."""
        if request.method == "HEAD" or status in CONTENTLESS:
            return b""
        if request.version != "1.1":
            return data
        return (chunk(data) if data else b"") + (LAST_CHUNK if last else b"")

    def matches(self, request: Request, etag: str) -> bool:
        """Tell whether the client has this body already (If-None-Match; RFC 9110, 13.1.2)."""
        wanted = request.fields.get(b"if-none-match")
        if wanted is None:
            return False
        tags = [tag.strip().removeprefix("W/") for tag in wanted.decode("latin-1").split(",")]
        return etag in tags or "*" in tags

    def forget(self) -> None:
        """Make the Date anew with the next reply: tyme begins again."""
        self._date_until = -1.0

    def date(self, now: float) -> str:
        """The Date header's value, at most a second old; ``now`` is tyme."""
        if now >= self._date_until:
            self._refresh(now)
        return self._date

    def _lines(self, request: Request, steward: Steward, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        lines = [*self.common, ("Date", self.date(steward.server.now))]
        if headers:
            own = {name.lower() for name, _ in headers}  # a method's word goes before the server's
            lines = [*(line for line in lines if line[0].lower() not in own), *headers]
        if not request.keep_alive or self.retiring:
            steward.closing = True
        if steward.closing:
            lines.append(("Connection", "close"))
        elif request.version != "1.1":
            lines.append(("Connection", "keep-alive"))
        return lines

    def _refresh(self, now: float) -> None:
        self._date = http_date(self._clock.now())
        lines = [*self.common, ("Date", self._date), ("Content-Type", JSON)]
        self._prefix = head(200, lines).removesuffix(b"\r\n")
        self._date_until = now + DATE_AGE
