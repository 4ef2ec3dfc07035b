"""Reading the head of a request: llhttp's grammar, then the strict layer.

llhttp (package ``httptools``) decides what a well-formed head is. What it tolerates although RFC 9112
does not, or leaves to its user, is decided here once the head is complete: the shape of the request
line, the form of the target, Host, framing, Expect, limits.

A head is given whole or in pieces. Nothing is judged before it is complete except what llhttp itself
refuses, and a refusal is classified only by what stands before the refused byte, so that pieces
make no difference.
"""

import ipaddress
import re
from functools import lru_cache
from types import MappingProxyType

import httptools

from totohio.base.errors import RemoteProtocolError
from totohio.wire.request import CHUNKED, Limits, Request

_TCHAR = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"

#: The longest method that is told apart as unknown (405) rather than malformed (400).
_METHOD_SIZE = 32

_METHOD = re.compile(_TCHAR + rb"{1,%d} " % _METHOD_SIZE)
_METHOD_BEGUN = re.compile(_TCHAR + rb"{0,%d}" % _METHOD_SIZE)
_REQUEST_LINE = re.compile(_TCHAR + rb"+ [!-~]+ HTTP/[0-9]\.[0-9]")

#: The longest host and port: a domain name has at most 253 letters (RFC 1035 2.3.4).
_AUTHORITY_SIZE = 300

#: uri-host and port of RFC 3986 3.2.2 and 3.2.3, without userinfo. Whether what stands in brackets is an
#: IPv6 address is left to ``ipaddress``.
_AUTHORITY = re.compile(
    rb"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]"
    rb"|\[[vV][0-9A-Fa-f]+\.[0-9A-Za-z\-._~!$&'()*+,;=:]+\]"
    rb"|(?:[0-9A-Za-z\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+)"
    rb"(?::(?P<port>[0-9]*))?"
)
_ABSOLUTE = re.compile(r"https?://(?P<authority>[^/?#]*)(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?", re.IGNORECASE)

#: What may stand only once. Their repetition is how two parsers come to frame a message differently.
_SINGLE = frozenset({b"host", b"content-length", b"transfer-encoding"})


class Reader:
    """Reads one head, then is done with.

    A parser of its own for each head (0.3 µs) rather than one for each connection: it never sees a body,
    so that neither a body nor an upgrade can put it out of step with us.
    """

    __slots__ = ("_complete", "_limits", "_pairs", "_parser", "_target")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._target = b""
        self._pairs: list[tuple[bytes, bytes]] = []
        self._complete = False
        self._parser: httptools.HttpRequestParser | None = None

    # What llhttp reports. It reports piece by piece, so these record and never judge.

    def on_url(self, piece: bytes) -> None:
        """Takes the request target or a piece of it."""
        self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes one header line."""
        self._pairs.append((name, value))

    def on_headers_complete(self) -> None:
        """Notes that llhttp too takes the head for complete.

        Raises:
            RemoteProtocolError: The request line has no version. Then, and only then, llhttp lets a
                lone LF end it, and would see the end of the head where we see none.
        """
        if self._parser is not None and self._parser.get_http_version() == "0.9":
            raise RemoteProtocolError(400, "The request line is malformed.")
        self._complete = True

    # What its user calls.

    def read(self, raw: bytes) -> Request:
        """Reads a head that is there as a whole; like ``feed`` and ``conclude``."""
        self._parse(raw, raw)
        return self.conclude(raw)

    def feed(self, data: bytes, raw: bytes | bytearray) -> None:
        """Gives the next bytes of the head to llhttp.

        Args:
            data: Bytes not given before; not beyond the end of the head.
            raw: All bytes of the head so far, ``data`` among them.

        Raises:
            RemoteProtocolError: llhttp refuses them.
        """
        if self._parser is None:
            # An unknown method is refused at its first odd letter. Wait until it is all there, so that
            # it can be told from a malformed one, however the pieces fell.
            if _METHOD_BEGUN.fullmatch(raw):
                return
            data = bytes(raw)
        self._parse(data, raw)

    def _parse(self, data: bytes, raw: bytes | bytearray) -> None:
        parser = self._parser
        if parser is None:
            parser = self._parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # the head is complete; we go on with HTTP/1.1 and frame the body ourselves
        except httptools.HttpParserError as error:
            raise _refusal(error, raw) from None

    def overflow(self, raw: bytes | bytearray) -> RemoteProtocolError:
        """The fault of a head that is not complete within ``max_header_size``."""
        if b"\r\n" not in raw or len(self._target) > self._limits.max_uri_size:
            return RemoteProtocolError(414, "The request target is too long.")
        return RemoteProtocolError(431, f"The header section exceeds {self._limits.max_header_size} bytes.")

    def conclude(self, raw: bytes) -> Request:
        """Judges the complete head.

        Args:
            raw: The head, from its first letter to the blank line.

        Returns:
            The request, its body still missing.

        Raises:
            RemoteProtocolError: It breaks a rule or a limit.
        """
        limits, parser, target = self._limits, self._parser, self._target
        self._parser = None  # it holds us, and we held it
        if parser is None or not self._complete:
            raise _line_fault(raw)
        method = parser.get_method()
        # llhttp allows several spaces, RTSP and ICE. With exactly one space each this stands just here.
        at = len(method) + 1 + len(target)
        protocol = raw[at : at + 11]
        if protocol == b" HTTP/1.1\r\n":
            modern = True
        elif protocol == b" HTTP/1.0\r\n":
            modern = False
        else:
            raise _line_fault(raw)
        if len(target) > limits.max_uri_size:
            raise RemoteProtocolError(414, f"The request target exceeds {limits.max_uri_size} bytes.")
        if len(self._pairs) > limits.max_headers:
            raise RemoteProtocolError(431, f"There are more than {limits.max_headers} header lines.")
        fields = _gather(self._pairs)
        host = fields.get(b"host")
        if host is None:
            if modern:
                raise RemoteProtocolError(400, "The Host header is missing.")
        elif host and _port(host) is None:
            raise RemoteProtocolError(400, "The Host header is invalid.")
        verb, uri = method.decode("latin-1"), target.decode("latin-1")
        path, query = _open_target(verb, uri)
        length = _frame(fields, modern, limits.max_body_size)
        # What follows a CONNECT is meant for somebody else.
        keep_alive = _keeps_alive(fields, modern) and verb != "CONNECT"
        expects = modern and b"expect" in fields and _expects(fields[b"expect"]) and length != 0
        return Request(
            verb, uri, path, query, "1.1" if modern else "1.0", MappingProxyType(fields), keep_alive, length, expects
        )


def _refusal(error: httptools.HttpParserError, raw: bytes | bytearray) -> RemoteProtocolError:
    """The fault for what llhttp refused, by what stands before the refused byte."""
    cause = error.__context__
    if isinstance(error, httptools.HttpParserCallbackError) and cause is not None:
        if isinstance(cause, RemoteProtocolError):
            return _line_fault(raw)
        raise cause  # nothing the peer sent: an interrupt or exhausted memory
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        if _METHOD.match(raw):
            return RemoteProtocolError(405, "The request method is unknown.")
        return RemoteProtocolError(400, "This is not an HTTP request.")
    if isinstance(error, httptools.HttpParserInvalidURLError):
        return RemoteProtocolError(400, "The request target is malformed.")
    fault = _line_fault(raw)
    return fault if fault.status == 505 else RemoteProtocolError(400, f"{error}.")


def _line_fault(raw: bytes | bytearray) -> RemoteProtocolError:
    """The fault of a request line that is no HTTP/1.1 or HTTP/1.0: 505 where it is another HTTP."""
    line = _REQUEST_LINE.match(raw)
    if raw.startswith(b"PRI ") or (line and not line[0].endswith((b"HTTP/1.1", b"HTTP/1.0"))):
        return RemoteProtocolError(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
    return RemoteProtocolError(400, "The request line is malformed.")


def _gather(pairs: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Header lines by lower-case name, repeats joined (RFC 9110 5.3; for Cookie RFC 6265 5.4)."""
    fields: dict[bytes, bytes] = {}
    for name, value in pairs:
        name = name.lower()
        value = value.strip()  # llhttp leaves white space at the end
        if name in fields:
            if name in _SINGLE:
                raise RemoteProtocolError(400, f"The {name.decode().title()} header is repeated.")
            value = fields[name] + (b"; " if name == b"cookie" else b", ") + value
        fields[name] = value
    return fields


@lru_cache(maxsize=256)
def _port(authority: bytes) -> int | None:
    """The port in a host, or host and port (RFC 9110 7.2): 0 where there is none, None if this is neither."""
    match = _AUTHORITY.fullmatch(authority) if len(authority) <= _AUTHORITY_SIZE else None
    if match is None:
        return None
    if match["six"]:
        try:
            ipaddress.IPv6Address(match["six"].decode())
        except ValueError:
            return None
    digits = (match["port"] or b"").lstrip(b"0")
    port = int(digits[:6] or b"0")
    return port if port < 65536 else None


def _open_target(method: str, uri: str) -> tuple[str, str]:
    """Path and query of a request target in one of the four forms of RFC 9112 3.2."""
    if "#" in uri:
        raise RemoteProtocolError(400, "The request target has a fragment.")
    if method == "CONNECT":
        if not _port(uri.encode("latin-1")):
            raise RemoteProtocolError(400, "CONNECT takes a host and a port.")
        return "", ""
    if uri.startswith("/"):
        path, _, query = uri.partition("?")
        return path, query
    if uri == "*" and method == "OPTIONS":
        return "*", ""
    match = _ABSOLUTE.fullmatch(uri)
    if match is None:
        raise RemoteProtocolError(400, "The request target is malformed.")
    if _port(match["authority"].encode("latin-1")) is None:
        raise RemoteProtocolError(400, "The request target has an invalid host.")
    return match["path"] or "/", match["query"] or ""


def _frame(fields: dict[bytes, bytes], modern: bool, max_body_size: int | None) -> int:
    """The length of the body or ``CHUNKED``, by RFC 9112 6.3 without any of its leniencies."""
    coding = fields.get(b"transfer-encoding")
    length = fields.get(b"content-length")
    if coding is not None:
        if not modern:
            raise RemoteProtocolError(400, "HTTP/1.0 has no Transfer-Encoding.")
        if length is not None:
            raise RemoteProtocolError(400, "Transfer-Encoding and Content-Length exclude each other.")
        if coding.lower() != b"chunked":
            raise RemoteProtocolError(400, "The only Transfer-Encoding understood is chunked.")
        return CHUNKED
    if length is None:
        return 0
    if not length.isdigit():
        raise RemoteProtocolError(400, "The Content-Length is no number.")
    # Leading zeros are legal, any number of them; int() refuses more than 4,300 digits.
    size = int(length.lstrip(b"0")[:20] or b"0")
    if max_body_size is not None and size > max_body_size:
        raise RemoteProtocolError(413, f"The body exceeds {max_body_size} bytes.")
    return size


def _tokens(value: bytes) -> set[bytes]:
    """The members of a comma-separated list, in lower case."""
    return {token.strip() for token in value.lower().split(b",")}


def _keeps_alive(fields: dict[bytes, bytes], modern: bool) -> bool:
    """Whether the connection persists (RFC 9112 9.3): ``close`` wins over everything."""
    connection = fields.get(b"connection")
    if connection is None:
        return modern
    tokens = _tokens(connection)
    return b"close" not in tokens and (modern or b"keep-alive" in tokens)


def _expects(value: bytes) -> bool:
    """Whether ``100 Continue`` is waited for; no other expectation exists (RFC 9110 10.1.1)."""
    if _tokens(value) != {b"100-continue"}:
        raise RemoteProtocolError(417, "The only expectation that can be met is 100-continue.")
    return True
