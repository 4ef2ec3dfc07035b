"""Replies to bytes: heads, chunks, dates, and the reply to what was no request."""

import json
import re
from collections.abc import Iterable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from totohio.base.errors import LocalProtocolError, RemoteProtocolError

PHRASES: dict[int, str] = {status.value: status.phrase for status in HTTPStatus}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

#: What 405 must tell (RFC 9110 15.5.6).
_ALLOW = ("Allow", "GET, HEAD, OPTIONS, POST")

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """The status line, the headers and the blank line.

    Raises:
        LocalProtocolError: The status is no HTTP status, a name is no token, or a value holds what
            would end its line (CR, LF), NUL, or a character beyond Latin-1.
    """
    lines = [_status_line(status)]
    for name, value in headers:
        _check_name(name)
        lines.append(f"{name}: {value}\r\n")
    lines.append("\r\n")
    text = "".join(lines)
    if text.count("\r") != len(lines) or text.count("\n") != len(lines) or "\0" in text:
        raise LocalProtocolError("A header value holds a line break or NUL.")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise LocalProtocolError("A header value holds a character beyond Latin-1.") from None


@lru_cache(maxsize=64)
def _status_line(status: int) -> str:
    if not 100 <= status <= 999:
        raise LocalProtocolError(f"{status} is no HTTP status.")
    return f"HTTP/1.1 {status} {PHRASES.get(status, '')}\r\n"


@lru_cache(maxsize=256)
def _check_name(name: str) -> None:
    if not _TOKEN.fullmatch(name):
        raise LocalProtocolError(f"{name!r} is no header name.")


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; nothing for no data, since an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def http_date(now: float) -> str:
    """A date as HTTP writes it (RFC 9110 5.6.7).

    Args:
        now: Unix seconds.
    """
    return formatdate(now, usegmt=True)


def fault(error: RemoteProtocolError, headers: Iterable[tuple[str, str]] = (), *, date: str) -> bytes:
    """The whole reply to what was no acceptable request; the connection is to be closed after it.

    Args:
        error: What was wrong.
        headers: More headers, those that every reply has.
        date: The value of the Date header.
    """
    body = json.dumps({"error": {"code": error.status, "value": error.text}}).encode("ascii")
    lines = [("Date", date), *headers]
    if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append(_ALLOW)
    lines += [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")]
    return head(error.status, lines) + body
