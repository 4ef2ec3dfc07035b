"""Transcripts: what a server was asked and what it replied, as lines of JSON and back.

A file begins with a `Started` and has one entry a line, in the order in which things happened, each with its ``kind``
first. Connections are numbered from 1 in the order of their opening, requests from 1 on each connection. Times are
``tyme``: seconds since the start. A body is under one of four keys:

    json      what a JSON body says
    text      a body of another type that is UTF-8
    base64    any other body
    cut       only what is known of a body that was not kept: its size, why, and perhaps a hash

An empty body has none of them. Secrets are masked (see `totohio.wire.masking`) before anything else happens.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from totohio.base.errors import TotohioError
from totohio.wire.packing import JSON

FORMAT = 1
HTTP = "1.1"  # the version of most requests, and
AT_ONCE = 0.0  # how long they wait: msgspec omits what is the default itself, not what is only equal

Headers = dict[str, str | list[str]]


class TranscriptError(TotohioError):
    """A file is no transcript, or one of another version."""


class Cut(Struct, omit_defaults=True):
    """What is known of a body that was not kept.

    Attributes:
        size: Its bytes.
        why: It is ``large``, ``encoded`` (compressed, for instance) or ``unreadable``, so that secrets may be anywhere.
        sha256: Of the body with all secrets blanked, in hexadecimal; "" where they cannot be found.
    """

    size: int
    why: str
    sha256: str = ""


class Entry(Struct, omit_defaults=True, tag_field="kind"):
    """One line.

    Attributes:
        tyme: Seconds since the start.
    """

    tyme: float


class Started(Entry, tag="start"):
    """The first line.

    Attributes:
        format: The version of this format.
        totohio: The version of the server.
        epoch: The wall time at tyme 0, Unix seconds.
        at: The same, to read.
        mark: Of all placeholders.
        masked: The names of fields whose values are masked; with a minus, of those that only look as if they had to be.
        max_body: Bytes of the largest body that is kept.
        settings: Those of the server that have to do with its replies.
    """

    format: int
    totohio: str
    epoch: float
    at: str
    mark: str
    masked: list[str]
    max_body: int
    settings: dict[str, Any]


class Opened(Entry, tag="open"):
    """A connection has begun.

    Attributes:
        peer: The address of the peer; "" on a Unix socket.
        secure: It speaks TLS.
    """

    connection: int
    peer: str = ""
    secure: bool = False


class Requested(Entry, tag="request"):
    """A request has come, and now reaches the application.

    Attributes:
        tyme: When it was complete.
        waited: Seconds from then on until it reached the application, where others of its connection came first.
        at: The wall time when it did.
        headers: With names in lower case and repeated ones joined.
    """

    connection: int
    number: int
    at: str
    verb: str
    uri: str
    headers: dict[str, str]
    version: str = HTTP
    waited: float = AT_ONCE
    json: Any = UNSET
    text: str | UnsetType = UNSET
    base64: bytes | UnsetType = UNSET
    cut: Cut | UnsetType = UNSET


class Replied(Entry, tag="reply"):
    """A request has been replied to.

    Attributes:
        tyme: When the last of it was made.
        took: Seconds since the request reached the application.
        headers: Several of the same name are a list.
        pieces: The tyme and size of each piece of a body that came in pieces.
        lost: The connection ended before the reply was whole. Without a status nothing of it was made.
    """

    connection: int
    number: int
    took: float
    status: int = 0
    headers: Headers = {}
    pieces: list[tuple[float, int]] = []
    lost: bool = False
    json: Any = UNSET
    text: str | UnsetType = UNSET
    base64: bytes | UnsetType = UNSET
    cut: Cut | UnsetType = UNSET


class Ended(Entry, tag="end"):
    """A peer has said that it sends no more; it may still read."""

    connection: int


class Closed(Entry, tag="close"):
    """A connection is over.

    Attributes:
        by: Who ended it: ``peer``, ``reset`` (the peer, or the network between) or ``server``.
    """

    connection: int
    by: str


class Refused(Entry, tag="refuse"):
    """What has come is no request, and was answered so."""

    connection: int
    status: int
    text: str


class Missed(Entry, tag="miss"):
    """How much there was that came too fast to be recorded: requests with their replies, replies, connections."""

    requests: int = 0
    replies: int = 0
    connections: int = 0


class Stopped(Entry, tag="stop"):
    """The last line.

    Attributes:
        why: ``exit`` of the server, or the file is ``full``.
    """

    why: str


Line = Started | Opened | Requested | Replied | Ended | Closed | Refused | Missed | Stopped

_read = msgspec.json.Decoder(Line).decode
_write = msgspec.json.Encoder().encode


def write(entry: Entry) -> bytes:
    """Give the line of an entry."""
    return _write(entry) + b"\n"


def read(lines: Iterable[bytes]) -> Iterator[Any]:
    """Give the entries of a file. A last line that was not written to its end is passed over.

    Raises:
        TranscriptError: It is no transcript, or one of another version.
    """
    number = 0
    for number, line in enumerate(lines, 1):
        try:
            entry = _read(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if number > 1 and not line.endswith(b"\n"):
                return
            raise TranscriptError(f"{'it is no recording: ' if number == 1 else ''}line {number}: {error}") from None
        if isinstance(entry, Started) is not (number == 1):
            raise TranscriptError(
                f"line {number}: another recording begins, and each is a file of its own"
                if number > 1
                else "it is no recording: line 1: expected the start of one"
            )
        if isinstance(entry, Started) and entry.format != FORMAT:
            raise TranscriptError(f"line {number}: format {entry.format} is not known here, only {FORMAT}")
        yield entry
    if not number:
        raise TranscriptError("it is empty")


def stamp(now: float) -> str:
    """Give a wall time to read, in UTC to the millisecond."""
    milliseconds = int(now * 1000)
    return f"{datetime.fromtimestamp(milliseconds // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def plain_kind(content_type: str) -> str:
    """Give the type that a Content-Type names, without parameters; everything that is JSON is `JSON`."""
    name = content_type.partition(";")[0].strip().lower()
    return JSON if name.startswith(JSON) or name.endswith("+json") else name
