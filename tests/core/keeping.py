"""Rules of the core over a store that does what the test says, for one process or for several that share it."""

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any

from totohio.base.clocking import Clock, Minter
from totohio.base.errors import TotoException
from totohio.base.futures import Future
from totohio.core.accounting import Accounts
from totohio.core.caching import TotoSessionCache
from totohio.core.committing import Journal, Unit, version_of
from totohio.core.invoking import Lot
from totohio.core.keying import ApiKeys
from totohio.core.pausing import Fibers
from totohio.core.ports import VERSION, Store, StoreError, Transaction, Write
from totohio.core.resetting import Resets
from totohio.core.sessioning import Policy, Sessions
from totohio.store.memory import MemoryStore

START = 1_700_000_000.0  # Unix seconds, any time
ROUNDS = 200  # cycles after which a test gives up


class Wall(Clock):
    """A clock that stands until the test moves it."""

    def __init__(self, time: float = START) -> None:
        self.time = time

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing sleeps here")


class Numbers(Minter):
    """Bytes that look random and are the same in every run."""

    def __init__(self, name: str = "") -> None:
        self._name = name
        self._count = 0

    def draw(self, size: int) -> bytes:
        self._count += 1
        return hashlib.shake_128(f"{self._name} {self._count}".encode()).digest(size)


class Commit:
    """A group that was sent to the store and that the test ends."""

    def __init__(self, records: MemoryStore, transactions: Sequence[Transaction]) -> None:
        self.records = records
        self.transactions = list(transactions)
        self.future: Future[list[bool]] = Future()

    def complete(self) -> list[bool]:
        """Apply it and say so."""
        results = self.records.commit(self.transactions).result()
        self.future.set_result(results)
        return results

    def fail(self, error: BaseException | None = None) -> None:
        """Apply nothing, and fail."""
        self.future.set_exception(error or StoreError("the store is on fire"))

    def lose(self) -> None:
        """Apply it, and lose the answer."""
        self.records.commit(self.transactions)
        self.fail(StoreError("no answer in time"))


class Desk:
    """A store whose commits and loads end when the test says.

    Attributes:
        local: It gives records at once.
        held: Commits wait for the test; otherwise they are done at once.
        commits: Those that wait, in order.
        groups: How many transactions each commit had.
        loads: Keys that are wanted of a remote store, with the Future of their values.
        broken: What `commit` and `load` raise, when set.
    """

    def __init__(self, records: MemoryStore | None = None, *, local: bool = True, held: bool = True) -> None:
        self.records = records if records is not None else MemoryStore()
        self.local = local
        self.held = held
        self.commits: list[Commit] = []
        self.groups: list[int] = []
        self.loads: list[tuple[list[bytes], Future[list[bytes | None]]]] = []
        self.broken: Exception | None = None

    def open(self) -> None:
        """It is open."""

    def close(self) -> None:
        """It stays open."""

    def read(self, key: bytes) -> bytes | None:
        assert self.local, "a remote store gives nothing at once"
        return self.records.read(key)

    def load(self, keys: Sequence[bytes]) -> Future[list[bytes | None]]:
        if self.broken is not None:
            raise self.broken
        if self.local:
            return self.records.load(keys)
        future: Future[list[bytes | None]] = Future()
        self.loads.append((list(keys), future))
        return future

    def commit(self, transactions: Sequence[Transaction]) -> Future[list[bool]]:
        if self.broken is not None:
            raise self.broken
        self.groups.append(len(transactions))
        commit = Commit(self.records, transactions)
        if self.held:
            self.commits.append(commit)
        else:
            commit.complete()
        return commit.future

    def sweep(self, now: float, limit: int) -> Future[int]:
        return self.records.sweep(now, limit)

    def next(self) -> Commit:
        """Take the group that is on its way; there is exactly one."""
        [commit] = self.commits
        self.commits.clear()
        return commit

    def answer(self) -> None:
        """Give the records that are wanted, as they are now."""
        loads, self.loads = self.loads, []
        for keys, future in loads:
            future.set_result([self.records.read(key) for key in keys])


class Plain:
    """Hashes that cost nothing and show what they are; those of kind "old" are outdated."""

    dummy = "now$$"

    def __init__(self) -> None:
        self.verified: list[str] = []

    def hash(self, password: str, salt: bytes) -> str:
        return f"now${salt.hex()}${password}"

    def verify(self, hashed: str, password: str) -> bool:
        self.verified.append(hashed)
        return bool(hashed) and hashed.split("$", 2)[2] == password and hashed != self.dummy

    def outdated(self, hashed: str) -> bool:
        return not hashed.startswith("now$")


class Process:
    """One process: a journal, and the rules over it.

    Attributes:
        held: Hashes and caches wait for `work`; otherwise they are done at once.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Wall | None = None,
        cache: TotoSessionCache | None = None,
        name: str = "one",
        **policy: Any,
    ) -> None:
        self.store = store
        self.clock = clock or Wall()
        self.minter = Numbers(name)
        self.fibers = Fibers(_never)
        self.journal = Journal(store, self.fibers)
        self.lot = Lot(here=lambda: True, wake=lambda: None)
        self.lot.fibers = self.fibers
        self.held = False
        self.waiting: list[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = []
        self.hasher = Plain()
        rules = {"clock": self.clock, "minter": self.minter}
        self.sessions = Sessions(journal=self.journal, policy=Policy(**policy), **rules)
        self.sessions.cache = cache
        self.sessions.submit = self.submit
        self.accounts = Accounts(
            sessions=self.sessions, submit=self.submit, hasher=self.hasher, throttle=None, check=None, **rules
        )
        self.sessions.get_account = lambda session: self.accounts.open(session._unit, session.user_id)
        self.sessions.cutoff = self._cutoff
        self.keys = ApiKeys(**rules)
        self.resets = Resets(accounts=self.accounts, **rules)

    def unit(self) -> Unit:
        """Begin a request."""
        return Unit(self.journal)

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Have a function run in a worker thread."""
        future: Future[Any] = Future()
        self.waiting.append((future, function, args))
        if not self.held:
            self.work()
        return future

    def work(self) -> None:
        """Do what worker threads were asked for."""
        waiting, self.waiting = self.waiting, []
        for future, function, args in waiting:
            try:
                result = function(*args)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

    def start(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """Call a function in a fiber; what it returns or raises is appended to the list, now or later."""
        ends: list[Any] = []
        try:
            result = self.fibers.call(function, *args)
        except Exception as error:
            return [error]
        if self.fibers.paused(result):
            self.lot.run(result, lambda value, error: ends.append(error if error is not None else value))
        else:
            ends.append(result)
        return ends

    def step(self) -> None:
        """One cycle: what waits goes on, and what was written is sent."""
        self.lot.service(self.lot.tyme)
        self.journal.flush()

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Make a whole call: ``function(unit, *args)``, and wait until what it wrote is durable, as a reply does.

        The store must not be held.
        """
        unit = self.unit()
        ends = self.start(function, unit, *args)
        for _ in range(ROUNDS):
            self.step()
            if isinstance(self.store, Desk):
                self.store.answer()
            if ends and all(ticket.done() for ticket, _ in unit.tickets) and not self.journal.busy:
                break
        return outcome(ends, unit)

    def _cutoff(self, unit: Unit, user_id: str) -> float:
        account = self.accounts.find(unit, user_id)
        return math.inf if account is None else account.cutoff


def _never(future: Future[Any]) -> None:
    raise AssertionError("nothing is to be waited for outside a fiber here")


def outcome(ends: list[Any], unit: Unit) -> Any:
    """Give what a call is answered with: its result, or the first error of it and of what it wrote."""
    assert ends, "the call has not ended"
    errors = [ends[0]] if isinstance(ends[0], Exception) else []
    errors += failures(unit)
    if errors:
        raise errors[0]
    return ends[0]


def failures(unit: Unit) -> list[BaseException]:
    """Give the errors that a request is answered with for what it wrote."""
    return [error for ticket, needed in unit.tickets if needed and (error := ticket.exception()) is not None]


def code(error: Any) -> Any:
    """Give the code of an error, or what is none as it is."""
    return error.code if isinstance(error, TotoException) else error


# ---------------------------------------------------------------- records

values = Numbers("values")


def new(payload: bytes = b"") -> bytes:
    """A value with a version of its own."""
    return values.draw(VERSION) + payload


def put(key: bytes, value: bytes | None, *conditions: tuple[bytes, bytes | None]) -> Transaction:
    """Write one record."""
    return Transaction(conditions, (Write(key, value),))


def counted(value: bytes | None) -> int:
    """The number in a record."""
    return 0 if value is None else int(value[VERSION:])


def add(unit: Unit, key: bytes = b"n") -> Future[bool]:
    """Count one more in a record, whatever others do."""

    def build(values: list[bytes | None]) -> Transaction:
        return put(key, new(b"%d" % (counted(values[0]) + 1)), (key, version_of(values[0])))

    return unit.write(build([unit.read(key)]), build)


def read(process: Process, key: bytes) -> bytes | None:
    """What a call reads."""
    ends = process.start(process.unit().read, key)
    if isinstance(process.store, Desk):
        process.store.answer()
    process.lot.service(0.0)
    [value] = ends
    return value  # type: ignore[no-any-return]
