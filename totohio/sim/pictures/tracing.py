"""The trace of a simulation: what happened, where and when, and the first point where two runs part.

A host's own history is all that it can know of the world. Two runs are therefore compared host by host, and the order
in which things happened on different hosts counts only as far as one of them could notice it. Into how many pieces a
stream of bytes was cut is how, not what: pieces that follow each other on one connection are one. When a process takes
a connection from its kernel is compared only with when it takes others, for bytes may have come before.
"""

import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from totohio.base.writing import printable

Detail = str | int | float | bool | None
Entry = tuple[float, str, str, *tuple[Detail, ...]]  # tyme, host ("" for the world), kind, details

LIMIT = 1_000_000  # entries that are kept: about 200 MB
FORGOTTEN = 4  # a full trace forgets this part of itself at once, so that forgetting costs an entry nearly nothing
DIGEST_SIZE = 16  # bytes: two runs that differ never meet by chance
SLICE = 4096  # entries that are hashed at once
CONTEXT = 12  # entries that are shown before the point where two runs part
LONGEST = 160  # characters of one detail in a line
WORLD = "(world)"  # stands for the host "" where people read

# What the digest may be made of: anything else may be written in another way by another Python, or in another process.
SIMPLE = frozenset({str, int, float, bool, type(None)})


class Trace:
    """What happened in one run, in order.

    Attributes:
        entries: Tyme, host, kind and details of each; the oldest are forgotten when there are too many.
        dropped: How many were forgotten.
        limit: How many are kept at most.
    """

    __slots__ = ("_hash", "dropped", "entries", "limit")

    def __init__(self, *, limit: int = LIMIT) -> None:
        if limit < 1:
            raise ValueError(f"a trace keeps at least one entry, not {limit}")
        self.entries: list[Entry] = []
        self.dropped = 0
        self.limit = limit
        self._hash = blake2b(digest_size=DIGEST_SIZE)  # of what was forgotten

    def note(self, tyme: float, host: str, kind: str, *details: Detail) -> None:
        """Add an entry; the host "" is the world."""
        entries = self.entries
        entries.append((tyme, host, kind, *details))
        if len(entries) > self.limit:
            self._forget()

    def digest(self) -> str:
        """Give a hash of all entries ever noted, the same on every Python and under every hash seed.

        Raises:
            TypeError: A detail is not a text, a number, a truth value or None.
        """
        whole = self._hash.copy()
        self._add(whole, len(self.entries))
        return whole.hexdigest()

    def lines(self, start: int = 0, end: int | None = None) -> list[str]:
        """Write the entries from ``start`` to before ``end``, one aligned line each: tyme, host, kind, details."""
        return _table(self.entries[start:end])

    def _forget(self) -> None:
        """Drop the oldest entries; only their hash stays."""
        count = max(1, len(self.entries) // FORGOTTEN)
        self._add(self._hash, count)
        del self.entries[:count]
        self.dropped += count

    def _add(self, whole: blake2b, count: int) -> None:
        """Add the first entries to a hash."""
        for start in range(0, count, SLICE):
            entries = self.entries[start : min(start + SLICE, count)]
            for index, entry in enumerate(entries, self.dropped + start):
                if not SIMPLE.issuperset(map(type, entry)):
                    odd = next(value for value in entry if type(value) not in SIMPLE)
                    raise TypeError(f"entry {index} of the trace ({entry[2]}) holds a {type(odd).__name__}")
            # ascii() escapes all that one Python's Unicode tables call printable and another's do not.
            whole.update(("\n".join(map(ascii, entries)) + "\n").encode("ascii"))


# ---------------------------------------------------------------- for people


def _table(entries: Sequence[Entry]) -> list[str]:
    rows = [(f"{entry[0]:.6f}", printable(entry[1]) or WORLD, printable(entry[2]), said(entry)) for entry in entries]
    tymes, hosts, kinds = (max((len(row[column]) for row in rows), default=0) for column in range(3))
    return [
        f"{tyme:>{tymes}}  {host:<{hosts}}  {kind:<{kinds}}  {details}".rstrip() for tyme, host, kind, details in rows
    ]


def said(entry: Entry) -> str:
    """Write the details of an entry for people, on one line."""
    kind, details = entry[2], entry[3:]
    if kind in PIECES and len(details) >= 3 and isinstance(details[1], int) and isinstance(details[2], int):
        size, checksum = details[1], details[2]
        details = (details[0], f"{size} bytes", f"crc {checksum:08x}", *details[3:])
    return "  ".join(map(_written, details))


def _written(detail: Detail) -> str:
    text = "-" if detail is None else printable(str(detail))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


# ---------------------------------------------------------------- where two runs part


@lru_cache(maxsize=4096)
def parties(connection: str) -> tuple[str, str]:
    """Give the names of the two hosts of a connection, the one that opened it first.

    "client-1:40001>server-1:8888#3" is one between client-1 and server-1.
    """
    opener, _, other = re.sub(r"#\d+$", "", connection).partition(">")
    return re.sub(r":\d+$", "", opener), re.sub(r":\d+$", "", other)


def _hosts(detail: Detail) -> Hashable:
    return parties(detail) if isinstance(detail, str) else detail


def _same(detail: Detail) -> Hashable:
    return detail


def _any(detail: Detail) -> Hashable:
    return None


# How the details of each kind are compared, one after the other; those that are not told of here must be the same.
COMPARED: Mapping[str, tuple[Callable[[Detail], Hashable], ...]] = {
    "connect": (_hosts,),
    "accept": (_hosts,),
    "refuse": (_hosts,),
    "send": (_hosts, _any, _any),  # the count of bytes, their CRC-32
    "receive": (_hosts, _any, _any),
    "end": (_hosts, _any, _any),
    "reset": (_hosts, _any, _any),
    "close": (_hosts, _any, _any),
    "fault": (_any, _same, _hosts, _any),  # its number among those drawn, its kind, what it hits, how many seconds
}
PIECES = frozenset({"send", "receive"})  # of streams of bytes, which are cut anyhow
APART = frozenset({"accept"})  # kinds that are in order among themselves only


def essence(entry: Entry) -> Hashable:
    """Give what two entries have in common when the same thing happened in two runs."""
    kind, details = entry[2], entry[3:]
    ways = COMPARED.get(kind, ())
    compared = (ways[index](detail) if index < len(ways) else detail for index, detail in enumerate(details))
    return entry[1], kind, *compared


@dataclass(frozen=True)
class Divergence:
    """The first point where a failing run parts from a passing one.

    Attributes:
        index: Of the entry in the failing trace; their number when the failing run ends there.
        failing: What happened in the failing run; None when it ends there.
        passing: What happened on that host in the passing run instead; None when nothing more did.
        before: Some entries of the failing run right before.
    """

    index: int
    failing: Entry | None
    passing: Entry | None
    before: tuple[Entry, ...]

    def __str__(self) -> str:
        entries = [*self.before, *(entry for entry in (self.failing, self.passing) if entry is not None)]
        labels = [""] * len(self.before)
        labels += [label for label, entry in (("failing", self.failing), ("passing", self.passing)) if entry]
        lines = [f"{label:>9}  {line}" for label, line in zip(labels, _table(entries), strict=True)]
        if self.failing is None:
            lines.insert(len(self.before), f"{'failing':>9}  ends here")
        if self.passing is None and self.failing is not None:
            host = printable(self.failing[1]) or "the world"
            lines.append(f"{'passing':>9}  nothing more happens to {host}")
        return "\n".join([f"the failing run parts from the passing one at entry {self.index}:", *lines])


def divergence(failing: Trace, passing: Trace) -> Divergence | None:
    """Find the first entry of a failing run that has no counterpart in a passing one; None when all have.

    Kinds, hosts and details are compared, but not tymes, sizes, checksums and ports: see ``COMPARED``.

    Raises:
        ValueError: A trace has forgotten how it began.
    """
    if failing.dropped or passing.dropped:
        raise ValueError("the runs cannot be compared: a trace has forgotten its oldest entries")
    expected: dict[Hashable, list[tuple[Hashable, int]]] = {}
    for index, history, what in _happenings(passing):
        expected.setdefault(history, []).append((what, index))
    ahead = {history: iter(happenings) for history, happenings in expected.items()}
    nothing: Iterator[tuple[Hashable, int]] = iter(())
    for index, history, what in _happenings(failing):
        entry = failing.entries[index]
        counterpart, place = next(ahead.get(history, nothing), (None, -1))
        if what != counterpart:
            return _parting(failing, index, entry, None if place < 0 else passing.entries[place])
    rest = [place for happenings in ahead.values() for _, place in happenings]
    if rest:
        return _parting(failing, len(failing.entries), None, passing.entries[min(rest)])
    return None


def _happenings(trace: Trace) -> Iterator[tuple[int, Hashable, Hashable]]:
    """Give the index of each entry, the history to which it belongs, and what happened; of pieces only the first."""
    last: dict[tuple[str, Detail], str] = {}  # what a host did last on a connection
    for index, entry in enumerate(trace.entries):
        _, host, kind, *details = entry
        if kind in PIECES and details:
            if last.get((host, details[0])) == kind:
                continue
            last[host, details[0]] = kind
        yield index, (host, kind if kind in APART else ""), essence(entry)


def _parting(failing: Trace, index: int, entry: Entry | None, other: Entry | None) -> Divergence:
    before = failing.entries[max(0, index - CONTEXT) : index]
    return Divergence(index, entry, other, tuple(before))
