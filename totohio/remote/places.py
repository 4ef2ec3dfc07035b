"""Where servers are that lend objects: what URLs say of it, to whichever client."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from websockets.exceptions import InvalidURI
from websockets.uri import parse_uri

from totohio.net.linking import Address

PORT = 8890
MAX_FRAME = 1 << 28  # bytes of a message that a server may send us
WEB_PORTS = {"ws": 80, "wss": 443}
SECURE = frozenset(("totohio+tls", "wss"))
SCHEMES = frozenset(("totohio", "totohio+tls", "ws", "wss"))


@dataclass(frozen=True)
class Place:
    """Where a server is, and what it is spoken to in.

    Attributes:
        url: As it was given.
        address: Host and port, or the path of a Unix socket.
        secure: In TLS.
        web: Over a WebSocket.
    """

    url: str
    address: Address
    secure: bool = False
    web: bool = False

    @property
    def host(self) -> str:
        """The host, as a certificate names it."""
        return self.address[0] if isinstance(self.address, tuple) else "localhost"


def read_url(url: str) -> Place:
    """Read a URL.

    Raises:
        ValueError: It is none of those that lead to what is lent. One that may have a password in it is not shown.
    """
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        if "@" in url:
            raise _named() from None
        raise
    web = scheme in WEB_PORTS
    if "@" in (parts.netloc if web else url):
        raise _named()
    if scheme not in SCHEMES or not host:
        raise _unlike(url)
    if port == 0:
        raise _unlike(url, ": 0 is no port to connect to")
    if not web and (parts.path not in ("", "/") or parts.query or parts.fragment):
        raise _unlike(url, f": {scheme}:// leads to a host and a port alone")
    if web:
        try:
            parse_uri(url)
        except InvalidURI:
            raise _unlike(url) from None
    return Place(url, (host, port or WEB_PORTS.get(scheme, PORT)), scheme in SECURE, web)


def read_place(target: Address, *, secure: bool) -> Place:
    """Read a URL, an address, or the path of a Unix socket; the last two say nothing of TLS themselves.

    Raises:
        ValueError: It is no such URL, or no port to connect to; or TLS is asked for, and is not what the URL says.
    """
    if isinstance(target, str):
        if "://" not in target:
            return Place(target, target, secure)
        place = read_url(target)
        if secure and not place.secure:
            raise ValueError(f"{target!r} is a URL without TLS")
        return place
    host, port = target
    if not 0 < port < 1 << 16:
        raise ValueError(f"{port} is no port to connect to")
    named = f"[{host}]" if ":" in host else host
    return Place(f"{'totohio+tls' if secure else 'totohio'}://{named}:{port}", (host, port), secure)


def _unlike(url: str, why: str = "") -> ValueError:
    url = url.rpartition("@")[2]  # a user and a password are not shown
    return ValueError(f"{url!r} is no URL such as totohio://localhost:{PORT}{why}")


def _named() -> ValueError:
    return ValueError("a URL names no user here: who it is, is said apart")
