"""What a request is, once its bytes are understood, and how large it may be."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

#: The ``length`` of a request whose body comes in chunks, so that nobody knows yet.
CHUNKED = -1


@dataclass(frozen=True)
class Limits:
    """How much one request may bring; each is a security limit.

    Attributes:
        max_header_size: Bytes of request line and header section together, the blank line included,
            and of the trailer section; beyond it 431, or 414 when it is the request line that fills it.
        max_headers: Header lines; beyond it 431.
        max_uri_size: Bytes of the request target; beyond it 414.
        max_body_size: Bytes of a body after chunks are put together; beyond it 413. Zero allows no
            body, None any.
    """

    max_header_size: int = 16384
    max_headers: int = 100
    max_uri_size: int = 8192
    max_body_size: int | None = 10 * 1024 * 1024


class Headers(Mapping[str, str]):
    """The header fields of one request, read by name in any case of letters."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[bytes, bytes]) -> None:
        self._fields = fields

    def __getitem__(self, name: str) -> str:
        try:
            return self._fields[name.lower().encode("latin-1")].decode("latin-1")
        except (KeyError, UnicodeEncodeError, AttributeError):
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({dict(self)!r})"


class Request(msgspec.Struct, eq=False):
    """One parsed request.

    A Struct because its copy is made in C: requests whose heads are byte for byte the same are
    copies of one prototype (see ``Requestant``), 0.1 µs each where a slotted class takes 0.2.

    Attributes:
        method: ``"POST"``.
        uri: The request target exactly as it was sent.
        path: The path within the target, still percent-encoded; the path alone for the absolute form,
            ``"*"`` for the asterisk form, empty for the authority form.
        query: What follows ``?`` in the target, raw.
        version: ``"1.1"`` or ``"1.0"``.
        fields: Header fields by lower-case name; repeats are joined. Trailers are never among them.
            Equal heads share one, which cannot be written to.
        keep_alive: Whether the client lets the connection go on after the reply.
        length: The announced length of the body, or ``CHUNKED``.
        expects: Whether the client waits for ``100 Continue`` before it sends the body.
        body: The body, put together.
        remote: The peer's address, set by who owns the connection.
        secure: Whether the connection is TLS, set by who owns the connection.
    """

    method: str
    uri: str
    path: str
    query: str
    version: str
    fields: Mapping[bytes, bytes]
    keep_alive: bool = True
    length: int = 0
    expects: bool = False
    body: bytes = b""
    remote: Any = None
    secure: bool = False
    _headers: Headers | None = None

    if TYPE_CHECKING:

        def __copy__(self) -> "Request": ...

    @property
    def headers(self) -> Headers:
        """The header fields as text, by name in any case."""
        headers = self._headers
        if headers is None:
            headers = self._headers = Headers(self.fields)
        return headers

    @property
    def remote_ip(self) -> str:
        """The peer's address as text, empty where there is none (Unix sockets)."""
        remote = self.remote
        if isinstance(remote, tuple):
            remote = remote[0] if remote else ""
        return remote if isinstance(remote, str) else ""

    @property
    def protocol(self) -> str:
        """``"https"`` over TLS, else ``"http"``."""
        return "https" if self.secure else "http"
