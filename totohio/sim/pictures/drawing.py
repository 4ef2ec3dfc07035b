"""The timeline of a run: one HTML page that needs nothing else, with a row for each host and tyme from left to right.

What belongs together is found here (the receipt of what was sent, the reply to a call, the end of a fault), the page
only paints it. Everything in a trace may have come from anybody: it reaches the page as JSON in which no character
can end the script element, and the page makes text of it and never HTML. Its policy lets no other script run.
"""

import base64
import html
import importlib.resources
import json
import math
import re
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from heapq import heappop, heappush
from typing import Any

from totohio.sim.pictures.tracing import Detail, Entry, Trace, parties

LIMIT = 50_000  # entries that a page shows; a browser paints that many at once
LONGEST = 2_000  # characters of one detail
SAFE = 1 << 53  # whole numbers from here on are no longer exact in a browser
PAGES = importlib.resources.files(__package__).joinpath("pages")
SCRIPTS = ("model.js", "scale.js", "glyphs.js", "paint.js", "overview.js", "hitting.js", "listing.js", "main.js")

SERVING = {"accept", "crash", "kill", "pause", "restart", "sync"}  # what only servers do, or have done to them
CALLING = {"call", "connect"}
DOWN = {"crash", "kill", "exit"}  # what takes a server down
UP = {"boot", "restart"}
MOMENTARY = {"reset", "step_clock"}  # faults that do not last
WRONG = {"failed", "raised"}  # how a check can end that fails the run


def timeline(
    trace: Trace,
    *,
    title: str,
    seed: str | int,
    facts: Mapping[str, str],
    failure: str | None,
    end: int | None = None,
    limit: int = LIMIT,
) -> str:
    """Give the page.

    Args:
        trace: What happened.
        title: What was run.
        seed: Of the run.
        facts: What else is worth knowing of it: the commit, the faults, the command that replays it.
        failure: Why the run failed; None when it did not.
        end: How many entries, those that the trace has dropped included, there were when it failed or had passed; what
            came after that is not shown.
        limit: How many entries are shown at most: the last.
    """
    last = len(trace.entries) if end is None else max(0, min(end - trace.dropped, len(trace.entries)))
    first = max(0, last - limit)
    entries = trace.entries[first:last]
    scene = {
        "title": _whole(title),
        "seed": _whole(str(seed)),
        "facts": [[_whole(name), _whole(value)] for name, value in facts.items()],
        "failure": None if failure is None else _whole(failure),
        "first": trace.dropped + first,
        **_scene(entries, failure),
    }
    style = PAGES.joinpath("timeline.css").read_text("utf-8")
    script = "\n".join(PAGES.joinpath(name).read_text("utf-8") for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}}})();\n'
    parts = {
        "TITLE": html.escape(_whole(title)),
        "POLICY": f"default-src 'none'; style-src '{_seal(style)}'; script-src '{_seal(script)}'",
        "STYLE": style,
        "SCRIPT": script,
        "DATA": embedded(scene),
    }
    page = PAGES.joinpath("timeline.html").read_text("utf-8")
    return re.sub(r"@([A-Z]+)@", lambda match: parts[match[1]], page)  # in one go: no part is looked at again


def embedded(value: Any) -> str:
    """Write JSON in ASCII that an HTML parser passes over, whatever stands in it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _seal(text: str) -> str:
    return "sha256-" + base64.b64encode(sha256(text.encode()).digest()).decode("ascii")


def _scene(entries: Sequence[Entry], failure: str | None) -> dict[str, Any]:
    hosts = rows(entries)
    places = {name: place for place, (name, _) in enumerate(hosts)}
    kinds = list(dict.fromkeys(entry[2] for entry in entries))
    numbers = {kind: number for number, kind in enumerate(kinds)}
    return {
        "hosts": [{"name": _whole(name), "role": role} for name, role in hosts],
        "kinds": [_whole(kind) for kind in kinds],
        "entries": [
            [_plain(entry[0]), places[entry[1]], numbers[entry[2]], *map(_plain, entry[3:])] for entry in entries
        ],
        "messages": list(messages(entries)),
        "calls": calls(entries),
        "spans": [span.plain(places) for span in spans(entries)],
        "failed": _failed(entries) if failure is not None else -1,
    }


def _plain(detail: Detail) -> Detail:
    """Give what JSON can hold and a browser reads as the same."""
    if isinstance(detail, str):
        return _whole(detail if len(detail) <= LONGEST else f"{detail[:LONGEST]}…")
    if isinstance(detail, float) and not math.isfinite(detail):
        return str(detail)
    if isinstance(detail, int) and abs(detail) >= SAFE:
        return str(detail)
    return detail


def _whole(text: str) -> str:
    """Give a text with its lone surrogates escaped: a browser has no place for halves of characters."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _failed(entries: Sequence[Entry]) -> int:
    """Find the moment of failure: the last check that did not hold, or the end."""
    for index in range(len(entries) - 1, -1, -1):
        if entries[index][2] == "check" and WRONG.intersection(entries[index][3:]):
            return index
    return len(entries) - 1


# ---------------------------------------------------------------- what belongs together


def rows(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """Give the names of the hosts and what they are: servers, clients, hosts that are neither, at last the world."""
    names = {entry[1]: None for entry in entries}
    called = {parties(str(entry[3]))[1] for entry in entries if entry[2] == "connect" and len(entry) > 3}
    serving = called | {entry[1] for entry in entries if entry[2] in SERVING}
    calling = {entry[1] for entry in entries if entry[2] in CALLING}
    roles = {
        name: "server" if name in serving else "client" if name in calling else "host" for name in names if name != ""
    }
    order = ("server", "client", "host")
    return [*sorted(roles.items(), key=lambda item: (order.index(item[1]), _natural(item[0]))), ("", "world")]


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name) if part]


@dataclass(slots=True)
class _Stream:
    """What one host sends to the other over a connection; positions are bytes from the beginning."""

    sent: int = 0
    received: int = 0
    ways: deque[tuple[int, int]] = field(default_factory=deque)  # where a send ends, and its entry


def messages(entries: Sequence[Entry]) -> Iterator[tuple[int, int]]:
    """Match what was sent with where it arrived, by connection and order; -1 for what never arrived.

    What was sent at once and arrived in pieces gives a pair for each piece, and so does what arrived at once.
    """
    names = {entry[1] for entry in entries}
    streams: dict[tuple[Detail, str], _Stream] = {}
    asked: dict[Detail, int] = {}
    arrived: set[int] = set()
    for index, (_, host, kind, *details) in enumerate(entries):
        if not details:
            continue
        connection = details[0]
        size = details[1] if len(details) > 1 and isinstance(details[1], int) else 1
        if kind == "connect":
            asked[connection] = index
        elif kind == "accept" and connection in asked:
            arrived.add(asked[connection])
            yield asked.pop(connection), index
        elif kind == "send":
            stream = streams.setdefault((connection, host), _Stream())
            stream.sent += size
            stream.ways.append((stream.sent, index))
        elif kind == "receive":
            found = streams.get((connection, _other(str(connection), host, names)))
            if found is None:  # it was sent before the first entry
                continue
            found.received = min(found.received + size, found.sent)
            while found.ways:
                end, sent = found.ways[0]
                arrived.add(sent)
                yield sent, index
                if end > found.received:
                    break
                found.ways.popleft()
                if end == found.received:
                    break
    for index, entry in enumerate(entries):
        if entry[2] in {"send", "connect"} and index not in arrived:
            yield index, -1


def _other(connection: str, host: str, names: Collection[str]) -> str:
    """Name the other host of a connection; the host itself when it speaks to itself, over a path for instance."""
    opener, other = parties(connection)
    if host != opener:
        return opener
    return other if other in names else host


def calls(entries: Sequence[Entry]) -> list[tuple[int, int, int]]:
    """Match calls with their replies, -1 for none, and give each a lane in which it overlaps no other of its host.

    A reply belongs to the oldest open call of its host whose details it begins with, or else to the oldest.
    """
    found: dict[int, tuple[int, int]] = {}
    waiting: dict[str, dict[int, int]] = {}  # by host: call to lane, oldest first
    free: dict[str, list[int]] = {}  # by host: lanes that were left
    for index, (_, host, kind, *details) in enumerate(entries):
        pending = waiting.setdefault(host, {})
        left = free.setdefault(host, [])
        if kind == "call":
            pending[index] = heappop(left) if left else len(pending)
            found[index] = (-1, pending[index])
        elif kind == "reply" and pending:
            named = (call for call in pending if tuple(details[: len(entries[call]) - 3]) == entries[call][3:])
            call = next(named, next(iter(pending)))
            found[call] = (index, pending[call])
            heappush(left, pending.pop(call))
    return [(call, reply, lane) for call, (reply, lane) in found.items()]


@dataclass(slots=True)
class Span:
    """Something that lasts, from one tyme to another; None for the beginning or the end of the page.

    Attributes:
        start: When it begins.
        end: When it ends.
        kind: "down", "paused" or "fault".
        hosts: Whom it concerns.
        entries: Those that begin and end it.
        text: What it is.
    """

    start: float | None
    end: float | None
    kind: str
    hosts: list[str]
    entries: list[int]
    text: str

    def plain(self, places: Mapping[str, int]) -> dict[str, Any]:
        """Give it as the page takes it."""
        return {
            "from": self.start,
            "to": self.end,
            "kind": self.kind,
            "rows": sorted(places[host] for host in self.hosts),
            "entries": self.entries,
            "text": _whole(self.text),
        }


def spans(entries: Sequence[Entry]) -> list[Span]:
    """Find what lasts: servers that are down, hosts that are paused, faults and rules until they are healed."""
    names = sorted({entry[1] for entry in entries} - {""}, key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, names))})(?![\w-])") if names else None
    found: list[Span] = []
    away: dict[tuple[str, str], Span] = {}  # host and kind
    faults: dict[Detail, Span] = {}  # by what heals them

    def ends(key: tuple[str, str], index: int) -> None:
        span = away.pop(key, None)
        if span is not None:
            span.end = entries[index][0]
            span.entries.append(index)

    for index, (tyme, host, kind, *details) in enumerate(entries):
        if kind in DOWN or kind in UP:
            ends((host, "down"), index)
            ends((host, "paused"), index)
        if kind == "resume":
            ends((host, "paused"), index)
        if kind in DOWN or kind == "pause":
            span = Span(tyme, None, "paused" if kind == "pause" else "down", [host], [index], kind)
            away[host, span.kind] = span
            found.append(span)
        elif kind in {"fault", "rule"} and details and not MOMENTARY.intersection(details):
            words = [detail for detail in details if isinstance(detail, str)] or [kind]
            text = words[-1] if words[0] in words[-1].split() else " ".join(words)
            hosts = dict.fromkeys([host, *(pattern.findall(text) if pattern else ())])
            span = Span(tyme, None, "fault", list(hosts), [index], text)
            if isinstance(details[-1], float):
                span.end = tyme + details[-1]  # unless it is healed before
            faults[words[-1]] = span
            found.append(span)
        elif kind == "heal" and details and details[0] in faults:
            span = faults.pop(details[0])
            span.end = tyme
            span.entries.append(index)
    return found
