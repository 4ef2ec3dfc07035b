"""Cookies: the one that holds a session's id, read and made, and which requests that bring it may be believed."""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

MAX_HEADER = 16_384  # bytes of a Cookie header that are looked at
SECRET = 16  # characters of a secret at least
TYPES = ("application/json", "application/msgpack", "application/bson")  # no form of a page can send these
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))

# RFC 6265, 4.1.1: what a cookie's value is made of. Values that are quoted are taken without their quotes.
_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*\Z")


def read(header: bytes, name: str) -> str | None:
    """Give the value of a cookie in a Cookie header; None without it, when it is malformed or there twice.

    Args:
        header: The value of the header (RFC 6265, 4.2.1: pairs separated by ``"; "``).
        name: Of the cookie.
    """
    if len(header) > MAX_HEADER:
        return None
    found: str | None = None
    for pair in header.decode("latin-1").split(";"):
        key, equals, value = pair.strip(" \t").partition("=")
        if key != name or not equals:
            continue
        if found is not None:
            return None
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = value[1:-1]
        found = value if _VALUE.match(value) else ""
    return found or None


def made(name: str, value: str, *, max_age: int, secure: bool, domain: str | None = None) -> str:
    """Give the value of a Set-Cookie header.

    Args:
        name: Of the cookie.
        value: Its value.
        max_age: How many seconds it lives.
        secure: Browsers send it over TLS only.
        domain: Whose it is; None for the host that sets it alone.

    Raises:
        ValueError: The value or the domain cannot be sent.
    """
    if not _VALUE.match(value) or (domain is not None and re.search(r"[;,\s\x00-\x20\x7f]", domain)):
        raise ValueError("this cannot be in a cookie")
    parts = [f"{name}={value}", f"Max-Age={max_age}", "Path=/"]
    if domain:
        parts.append(f"Domain={domain}")
    parts.append("HttpOnly")
    if secure:
        parts.append("Secure")
    parts.append("SameSite=Lax")
    return "; ".join(parts)


def cleared(name: str, *, secure: bool, domain: str | None = None) -> str:
    """Give the value of a Set-Cookie header that takes the cookie away."""
    return made(name, "", max_age=0, secure=secure, domain=domain)


class Signer:
    """Signs values of cookies, so that none is taken that the server has not made."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Set it up.

        Args:
            secrets: The first signs, all verify.

        Raises:
            ValueError: One is too short.
        """
        if not secrets or any(len(secret) < SECRET for secret in secrets):
            raise ValueError(f"a secret of cookies has {SECRET} characters at least")
        self._keys = [hashlib.sha256(b"totohio cookie\0" + secret.encode()).digest() for secret in secrets]

    def seal(self, name: str, value: str) -> str:
        """Give a value with its signature."""
        return f"{value}.{self._mac(self._keys[0], name, value)}"

    def open(self, name: str, sealed: str) -> str | None:
        """Give the value that was signed; None when nobody of us has signed it."""
        value, dot, mac = sealed.rpartition(".")
        if not dot:
            return None
        given = mac.encode("latin-1", "replace")
        right = False
        for key in self._keys:
            right |= hmac.compare_digest(given, self._mac(key, name, value).encode())
        return value if right else None

    def _mac(self, key: bytes, name: str, value: str) -> str:
        mac = hmac.digest(key, f"{name}={value}".encode("utf-8", "replace"), "sha256")
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def same_site(method: str, fields: Mapping[bytes, bytes], trusted: frozenset[str]) -> bool:
    """Tell whether a request that brings a cookie was made by a page that may make it (CSRF).

    A browser says with each request where it comes from: with ``Sec-Fetch-Site``, and with ``Origin`` where it
    matters. A request that may change something must also have a body that no HTML form can send.

    Args:
        method: The HTTP verb.
        fields: Its header fields, by lower-case name.
        trusted: Other origins whose pages may make calls.
    """
    origin = fields.get(b"origin")
    if origin is not None:
        text = origin.decode("latin-1")
        if text not in trusted and not _is_host(text, fields.get(b"host", b"").decode("latin-1")):
            return False
    elif fields.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
        return False
    if method in SAFE:
        return True
    kind = fields.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
    return kind in TYPES


def _is_host(origin: str, host: str) -> bool:
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False
