"""What a replay sends and expects: recorded requests as bytes, and verdicts on the replies that come now."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec
from msgspec import UNSET

from totohio.base.errors import TotoException
from totohio.wire.answering import Reply
from totohio.wire.asking import LENGTHY
from totohio.wire.naming import URLS
from totohio.wire.packing import BSON, FORM, MSGPACK, Packer
from totohio.wire.responding import LAST_CHUNK, chunk
from totohio.wire.scribing import Digest
from totohio.wire.transcript import Replied, Requested, plain_kind
from totohio.wire.unmasking import ABSENT, Difference, LackError, Values, shown

# Headers that are another matter each time, or that say what the body shows.
PASSING = frozenset(("date", "server", "content-length", "connection", "keep-alive", "transfer-encoding"))
DEEP = "its body is nested too deeply"
ESCAPED = "was called under simulation at"

REPRODUCED, DIFFERING, REFUSED = "reproduced", "differing", "refused"
CUTS = {"large": "larger than record_max_body", "encoded": "compressed", "unreadable": "broken, with secrets in it"}


@dataclass
class Outcome:
    """What became of one recorded call.

    Attributes:
        request: As it was recorded.
        reply: As it was recorded; None when it is not in the recording.
        method: The name of the method; ``<batch>`` for a batch, "" where there is none.
        verdict: ``reproduced``, ``differing`` or ``refused``; "" as long as nothing is known.
        why: Why it was refused.
        difference: The first one.
    """

    request: Requested
    reply: Replied | None
    method: str
    verdict: str = ""
    why: str = ""
    difference: Difference | None = None


def request_of(request: Requested, values: Values) -> bytes:
    """Give the bytes of a request, with values in the place of placeholders.

    Raises:
        LackError: It cannot be sent, as the recording lacks something.
    """
    body = body_of(request, values)
    lines = [f"{request.verb} {values.fill(request.uri, _in_uri)} HTTP/{request.version}"]
    chunked = "transfer-encoding" in request.headers
    for name, value in request.headers.items():
        if name == "content-length":
            continue
        encode = _in_uri if name in URLS else str
        filled = values.fill_cookies(value) if name == "cookie" else values.fill(value, encode)
        lines.append(f"{name}: {filled}")
    if chunked:
        body = chunk(body) + LAST_CHUNK
    elif body or "content-length" in request.headers or request.verb in LENGTHY:
        lines.append(f"content-length: {len(body)}")
    head = "\r\n".join([*lines, "", ""])
    if head.count("\r") != len(lines) + 1 or head.count("\n") != len(lines) + 1 or "\0" in head:
        raise LackError("what stands for a masked value now cannot stand in a header")
    try:
        return head.encode("latin-1") + body
    except UnicodeEncodeError:
        return head.encode() + body


def body_of(request: Requested, values: Values) -> bytes:
    """Give the body of a request.

    Raises:
        LackError: It was not kept.
    """
    kind = plain_kind(request.headers.get("content-type", ""))
    if request.cut is not UNSET:
        raise LackError(f"its body was {CUTS.get(request.cut.why, request.cut.why)}, and not kept")
    if request.json is not UNSET:
        return msgspec.json.encode(values.fill_tree(request.json))
    if isinstance(request.text, str):
        if kind == FORM:
            return values.fill(request.text, quote_plus).encode()
        return values.fill(request.text).encode()
    if not isinstance(request.base64, bytes):
        return b""
    packer = _packer(kind)
    if packer is not None:
        return packer.pack(kind, values.fill_tree(packer.unpack(kind, request.base64)))
    return values.fill(request.base64.decode("latin-1")).encode("latin-1", "replace")


def _in_uri(value: str) -> str:
    return quote(value, safe="")


def _packer(kind: str) -> Packer | None:
    return Packer(msgpack=True, bson=kind == BSON) if kind in (MSGPACK, BSON) else None


class Judge:
    """Gives verdicts.

    Attributes:
        values: What placeholders stand for.
        escapes: What methods have reached for that is not simulated.
    """

    def __init__(self, values: Values, escapes: Sequence[str]) -> None:
        self.values = values
        self.escapes = escapes

    def refuse(self, outcome: Outcome, why: str) -> None:
        """It cannot be told."""
        outcome.verdict, outcome.why = REFUSED, why

    def fail(self, outcome: Outcome, where: str, recorded: str, now: str) -> None:
        """There is no reply."""
        expected = outcome.reply
        if expected is None or expected.lost:
            self._without(outcome)
        else:
            outcome.verdict = DIFFERING
            outcome.difference = Difference(where, recorded or str(expected.status), now)

    def reply(self, outcome: Outcome, reply: Reply) -> None:
        """Compare a reply with the recorded one."""
        expected = outcome.reply
        if expected is None or expected.lost:
            self._without(outcome)
            return
        try:
            difference = self.compare(expected, reply)
        except RecursionError:
            self.refuse(outcome, DEEP)
            return
        if difference is None:
            outcome.verdict = REPRODUCED
        elif ESCAPED.encode() in reply.body:
            self.refuse(outcome, self._escape(reply))
        else:
            outcome.verdict, outcome.difference = DIFFERING, difference

    def _without(self, outcome: Outcome) -> None:
        lost = outcome.reply is not None and outcome.reply.lost
        self.refuse(
            outcome, "its connection was lost before its reply" if lost else "its reply is not in the recording"
        )

    def _escape(self, reply: Reply) -> str:
        """Tell what a method reached for."""
        try:
            return str(reply.json()["error"]["value"])
        except (ValueError, LookupError, TypeError):
            return next(iter(self.escapes), f"it {ESCAPED} an unknown place")

    def compare(self, expected: Replied, reply: Reply) -> Difference | None:
        """Give the first difference between a recorded reply and one that comes now."""
        if expected.status != reply.status:
            return Difference("status", _status(expected.status, expected), _status(reply.status, reply))
        headers: dict[str, list[str]] = {}
        for name, value in reply.headers:
            headers.setdefault(name.lower(), []).append(value)
        recorded = {
            name.lower(): [value] if isinstance(value, str) else value for name, value in expected.headers.items()
        }
        names = [name for name in (*recorded, *headers) if name not in PASSING]
        first = self._compare_header("content-type", recorded, headers)
        if first is not None:
            return first
        difference = self._compare_body(expected, reply)
        if difference is not None:
            return difference
        for name in dict.fromkeys(names):
            found = self._compare_header(name, recorded, headers)
            if found is not None:
                return found
        return None

    def _compare_header(
        self, name: str, recorded: dict[str, list[str]], headers: dict[str, list[str]]
    ) -> Difference | None:
        old, new = recorded.get(name), headers.get(name)
        if old is None or new is None or len(old) != len(new):
            if old == new:
                return None
            texts = (", ".join(each) if each is not None else ABSENT for each in (old, new))
            return Difference(f"header {name}", *texts)
        for before, after in zip(old, new, strict=True):
            found = self.values.compare_texts(before, after, f"header {name}")
            if found is not None:
                return found
        return None

    def _compare_body(self, expected: Replied, reply: Reply) -> Difference | None:
        body = reply.body
        if expected.cut is not UNSET:
            if not expected.cut.sha256:
                return None  # nothing is known of it that could be compared
            digest = Digest(self.values.masker)
            for _ in digest.feed(body):
                pass
            same = digest.close() == expected.cut.sha256
            return None if same else Difference("body", f"{expected.cut.size} bytes", f"{len(body)} others")
        if expected.json is not UNSET:
            try:
                now: Any = msgspec.json.decode(body)
            except (ValueError, RecursionError):
                return Difference("body", shown(expected.json), shown(_text(body)))
            return self.values.compare(expected.json, now)
        if isinstance(expected.base64, bytes):
            return self._compare_binary(expected.base64, body, plain_kind(reply.header("content-type") or ""))
        text = expected.text if isinstance(expected.text, str) else ""
        return self.values.compare_texts(text, _text(body), "body")

    def _compare_binary(self, recorded: bytes, body: bytes, kind: str) -> Difference | None:
        packer = _packer(kind)
        if packer is not None:
            try:
                return self.values.compare(packer.unpack(kind, recorded), packer.unpack(kind, body))
            except TotoException:
                pass
        return self.values.compare_texts(recorded.decode("latin-1"), body.decode("latin-1"), "body")


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body.decode("latin-1")


def _status(status: int, of: Replied | Reply) -> str:
    """Show a status, with the error that it came with."""
    body: Any = None
    if isinstance(of, Replied):
        body = of.json if of.json is not UNSET else None
    else:
        try:
            body = of.json()
        except (ValueError, RecursionError):
            return str(status)
    return f"{status}, {shown(body['error'])}" if isinstance(body, dict) and "error" in body else str(status)
