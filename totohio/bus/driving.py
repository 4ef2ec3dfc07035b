"""What a bus needs of a server that keeps one log for all: a few calls that block.

The server numbers the events of the log from 1. The log has a name, its *epoch*, which is another one when the server
has lost it and begins anew. An entry has an id of its own too: a server that has taken over from another may have lost
the end of the log, and then gives the same numbers to other events.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Item:
    """An event that is to be sent.

    Attributes:
        id: Random bytes: what is asked for twice is taken once.
        name: Of the event.
        data: Its arguments, as MessagePack.
        broadcast: It goes into the log; else it is for one process alone.
    """

    id: bytes
    name: str
    data: bytes
    broadcast: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """An event of the log.

    Attributes:
        offset: Its number.
        id: Its random bytes.
        name: Of the event.
        data: Its arguments, as MessagePack.
    """

    offset: int
    id: bytes
    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """What a look at the log has brought.

    Attributes:
        epoch: The name of the log; "" when there is none yet.
        first: The number of the first event that is still there.
        last: That of the last.
        entries: Events behind the place that was named, in order.
        same: The place that was named is in this log: the event that was there still is, or is too old to be seen.
    """

    epoch: str
    first: int
    last: int
    entries: tuple[Entry, ...] = ()
    same: bool = True


@dataclass(frozen=True, slots=True)
class Turn:
    """An event for one process alone.

    Attributes:
        id: What `LogDriver.done` takes.
        name: Of the event.
        data: Its arguments, as MessagePack.
    """

    id: bytes
    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """How far somebody has come in a log.

    Attributes:
        epoch: The name of the log.
        offset: The number of the last event.
        id: The id of that event; empty when it is not known.
    """

    epoch: str
    offset: int
    id: bytes


class LogDriver(Protocol):
    """Speaks to such a server. Its methods block, for a bounded time, and are called in several worker threads.

    All raise `StoreError` when the server cannot be reached, or answers with an error or too late.
    """

    def append(self, items: Sequence[Item]) -> None:
        """Send events, in order; what was taken already is left out."""

    def read(self, place: Place | None, limit: int, seconds: float) -> Batch:
        """Give what is behind a place, at most ``limit`` events; wait so many seconds when there is nothing.

        Without a place it tells about the log, and gives no events. An answer without events comes after a look at the
        log itself, so that it tells when that is another one.
        """

    def reset(self, epoch: str) -> None:
        """Have a log that is not what it was begin anew, unless somebody has seen to that already."""

    def take(self, consumer: str, limit: int, seconds: float) -> list[Turn]:
        """Take events for one process, which nobody else gets unless this one dies; wait when there are none."""

    def done(self, consumer: str, ids: Sequence[bytes]) -> None:
        """Have nobody get these any more."""

    def enrol(self, consumer: str, roll: Mapping[str, bytes], gone: Collection[str], seconds: float) -> None:
        """Say who is subscribed to what in a process, by names and patterns; it holds for so many seconds.

        Args:
            consumer: The process.
            roll: What `present` is to give for it, by name.
            gone: Names that were said before and do not hold any more.
            seconds: How long it holds unless it is said again.
        """

    def present(self, consumer: str, name: str) -> list[bytes]:
        """Give what other processes have said of a name, and of patterns that it matches."""

    def close(self) -> None:
        """Let go of the server; twice does no harm, and another call may follow."""
