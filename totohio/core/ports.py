"""What the rules need of the world outside: the Protocols that adapters fill.

A *record* is a key and a value, both bytes. A value begins with its *version*: `VERSION` random bytes that are drawn
anew whenever the record is written, so that a version names one write of one record and no other. Everything that is
kept (accounts, sessions, counters of failures) is a record, and everything that changes is a `Transaction`: some
records that must still have the versions they were read with, and some that are written together when they have.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from totohio.base.errors import TotohioError
from totohio.base.futures import Future
from totohio.core.recovering import Event, History

VERSION = 8  # bytes of a version, at the beginning of each value: two are alike in one of 10**19 pairs
MAX_KEY = 64  # bytes of a key at most; the first tells the kind of record


class StoreError(TotohioError):
    """A store cannot be reached, is full or answers too late; what was to be written may or may not be there."""


@dataclass(frozen=True, slots=True)
class Write:
    """One record that a transaction writes or removes.

    Attributes:
        key: Its key, 1 to `MAX_KEY` bytes.
        value: Its new value, which begins with a new version; None removes the record.
        expires: Wall time in Unix seconds from which on nobody wants it any more and the store may remove it; 0.0 keeps
            it. Whoever reads it looks at its own dates: a store may keep it longer, and never removes it earlier.
    """

    key: bytes
    value: bytes | None
    expires: float = 0.0


@dataclass(frozen=True, slots=True)
class Transaction:
    """Writes that happen together or not at all.

    Attributes:
        conditions: Pairs of a key and the version that its record must have; None wants no such record to be there.
        writes: What is written when all conditions hold.
        lazy: It may be lost when the machine fails, though it was told to be done: for dates that are convenient to
            have, never for what a client was promised.
    """

    conditions: tuple[tuple[bytes, bytes | None], ...]
    writes: tuple[Write, ...]
    lazy: bool = False


class Store(Protocol):
    """Keeps records. Called by the thread of the cycle only, never blocking for longer than a few microseconds.

    A record that has expired may be given or not: readers look at the dates in it.

    Attributes:
        local: `read` gives records at once, so that no call has to wait for one.
    """

    local: bool

    def open(self) -> None:
        """Begin. Called once before all else; it may block, since nothing is served yet.

        Raises:
            StoreError: It cannot begin; a remote store that cannot be reached now begins all the same.
        """

    def close(self) -> None:
        """Release everything; what was acknowledged stays. Twice does no harm, and `open` may follow."""

    def read(self, key: bytes) -> bytes | None:
        """Give the value of a record, None without one. Only of a local store.

        Raises:
            StoreError: It cannot be read.
        """

    def load(self, keys: Sequence[bytes]) -> Future[list[bytes | None]]:
        """Give the values of some records, in order, None for each that is not there; StoreError when it cannot."""

    def commit(self, transactions: Sequence[Transaction]) -> Future[list[bool]]:
        """Apply transactions, each by itself, in their order; a later one sees what those before it wrote.

        The Future is completed once all is durable, unless all are lazy. Commits take effect in the order in which
        they were asked for. A transaction whose first write is there already, with the very version, has been applied
        before and is true: so a commit of which nobody heard the end may be asked for again.

        Returns:
            For each transaction whether its conditions held, so that it was applied. StoreError when the store fails:
            then each of them may have been applied or not, but none in part.
        """

    def sweep(self, now: float, limit: int) -> Future[int]:
        """Remove at most ``limit`` records that have expired at ``now`` (Unix seconds), and tell how many.

        A store that does it by itself tells 0.
        """


class Shown(Protocol):
    """What somebody has shown in place of a password."""

    def holds(self, hashed: str) -> bool:
        """Tell whether only who knows the password of this hash can have made it."""


class Hasher(Protocol):
    """Makes and verifies hashes of passwords; see `hashing.Passwords`."""

    @property
    def dummy(self) -> str:
        """A hash of no password."""

    def hash(self, password: str, salt: bytes) -> str:
        """Give the hash of a password."""

    def verify(self, hashed: str, password: str | Shown) -> bool:
        """Tell whether a hash is that of the password."""

    def outdated(self, hashed: str) -> bool:
        """Tell whether a hash is weaker than those that are made now."""


class Receiver(Protocol):
    """Takes what a bus brings to this process, and tells it in the order in which it came.

    Attributes:
        history: What was told of late; a bus may ask it how far each log has come.
    """

    history: History

    def room(self) -> bool:
        """Tell whether it takes more now; a bus that is told no tries again in a later cycle."""

    def receive(self, event: Event, *, old: bool = False) -> None:
        """Take the next event of a log; what was told before is left out.

        Args:
            event: The event, with its origin and offset.
            old: It is kept for those who ask what they have missed, and nobody is told of it.
        """

    def missed(self, origin: str, last: int) -> None:
        """Know that whatever has not come of a log up to an offset is lost."""

    def present(self, name: str) -> list[Any]:
        """Give who is subscribed to a name in this process, as they have said who they are."""

    def roll(self) -> dict[str, list[Any]]:
        """Give the same by all names and patterns that anybody is subscribed to."""

    def turn(self, event: Event, done: Callable[[], object] | None = None) -> None:
        """Take an event that this process alone is told of; ``done`` is called once it was."""


class Bus(Protocol):
    """Carries events between processes. Called by the thread of the cycle only, and never blocking.

    Events of one origin reach a process in the order in which they were sent, each once; what a process cannot be given
    any more it is told to have missed.
    """

    def open(self, receiver: Receiver, tyme: float) -> None:
        """Begin to send and to receive.

        Raises:
            OSError: It cannot listen.
        """

    def close(self) -> None:
        """End; twice does no harm, and `open` may follow."""

    def send(self, name: str, data: bytes, *, broadcast: bool) -> Future[None]:
        """Send an event to every process, this one included, or to one process, each in turn.

        Args:
            name: Of the event.
            data: Its arguments, as MessagePack.
            broadcast: To every process.

        Returns:
            A Future that is done once the bus has taken it, so that it reaches all who are, or come, within reach while
            it is kept; a `StoreError` when nobody knows whether it has.

        Raises:
            ValueError: It is too large.
            BufferError: Too many wait to be sent.
        """

    def service(self, tyme: float) -> None:
        """Do bounded work: send, receive, connect."""

    def due(self) -> float:
        """The tyme at which it needs a cycle; infinity when only a wake-up brings it work."""

    def present(self, name: str) -> Future[tuple[list[Any], bool]]:
        """Ask who is subscribed to a name in other processes; the Future tells too whether all have answered."""

    def rest(self) -> bool:
        """Tell whether all that was sent is where it has to be, so that nothing of it is lost when this process ends.

        Processes that cannot be reached now do not count.
        """

    def alive(self, origin: str) -> bool:
        """Tell whether more may come of a log."""
