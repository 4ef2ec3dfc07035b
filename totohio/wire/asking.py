"""What clients ask and are told: requests to bytes, calls to bodies, replies to results."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from totohio.base.errors import ERROR_SERVER, TotoException
from totohio.wire.answering import Reply

JSON = "application/json"
LENGTHY = frozenset(("POST", "PUT", "PATCH"))  # verbs whose requests tell the length of a body even without one
LONGEST_VALUE = 1000  # characters of a reply that is no JSON in the error that it becomes
_FRAMING = frozenset(("content-length", "transfer-encoding"))
_ENVELOPE = frozenset(("result", "error", "batch", "session"))


def request_bytes(verb: str, path: str, body: bytes, headers: Mapping[str, str], host: str) -> bytes:
    """A request; Host and Content-Length are added unless they are among the headers.

    Raises:
        ValueError: Verb, path or headers hold what would end them, or a character beyond Latin-1.
    """
    lines = [f"{verb} {path} HTTP/1.1"]
    own = {name.lower() for name in headers}
    if "host" not in own:
        lines.append(f"Host: {host}")
    if (body or verb in LENGTHY) and own.isdisjoint(_FRAMING):
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(lines)
    if lines[0].count(" ") != 2 or not head.count("\r") == head.count("\n") == len(lines) - 1 or "\0" in head:
        raise ValueError(f"a request to {path!r} with these headers cannot be sent")
    return head.encode("latin-1") + b"\r\n\r\n" + body


def method_path(method: str) -> str:
    """The path of a method, below the root: ``account/create`` for ``account.create``."""
    return quote(method.replace(".", "/"))


def call_body(parameters: Any) -> bytes:
    """The body of a call whose method the path names; without parameters it is empty, which says the same.

    Raises:
        TypeError: JSON has no form for them.
    """
    return msgspec.json.encode({"parameters": parameters} if parameters else {})


def batch_body(entries: Mapping[str, Any], mode: str) -> bytes:
    """The body of a batch.

    Args:
        entries: By id: a method and its parameters, or an entry as it is sent.
        mode: ``"sequence"`` or ``"parallel"``.

    Raises:
        TypeError: JSON has no form for a parameter.
    """
    calls = {
        id: {"method": entry[0], "parameters": entry[1]} if isinstance(entry, tuple) else entry
        for id, entry in entries.items()
    }
    return msgspec.json.encode({"batch": calls, "mode": mode})


def open_reply(reply: Reply) -> dict[str, Any]:
    """The envelope that a reply holds, with some of ``result``, ``error``, ``batch`` and ``session``.

    Anything else is the result itself, as decoded JSON or as bytes, or with a status that says so an error, whose
    code is that status.

    Raises:
        ValueError: It says it were JSON, and is not.
    """
    found: Any
    if (reply.header("Content-Type") or "").startswith(JSON):
        found = reply.json() if reply.body else None  # a method has returned nothing
        if isinstance(found, dict) and not _ENVELOPE.isdisjoint(found):
            return found
        if found == {}:
            found = None
    else:
        found = reply.body
    if 200 <= reply.status < 300:
        return {"result": found}
    if isinstance(found, bytes):
        found = found.decode("utf-8", "replace")[:LONGEST_VALUE]
    return {"error": {"code": reply.status, "value": found}}


def open_error(error: Any) -> TotoException:
    """The exception for the error of an envelope, or of an entry of a batch, with whatever else it carries."""
    if not isinstance(error, dict):
        return TotoException(ERROR_SERVER, error)
    opened = TotoException(error.get("code"), error.get("value"))
    vars(opened).update((name, value) for name, value in error.items() if not name.startswith("_"))
    return opened
