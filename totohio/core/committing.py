"""What calls write, committed together at the end of the cycle.

A call that writes does not wait: its transaction is queued, and everything that one cycle has queued goes to the store
as one group. Until it is committed everybody in this process sees it all the same, in an overlay over the store. So
two rules keep promises true: a call that wrote is answered only after its commit, and so is a call that read what is
not committed yet, or its client would know what a power cut can still take back.

A transaction whose conditions fail was overtaken, by another process or by a call that waited in the middle. Whoever
wrote it may say how to go on (`Rebase`): with another transaction made for what is there now, or with an error.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from totohio.base.errors import ERROR_CONFLICT, TotoException
from totohio.base.futures import Future
from totohio.core.pausing import Fibers
from totohio.core.ports import VERSION, Store, StoreError, Transaction

T = TypeVar("T")

logger = logging.getLogger("totohio")

TRIES = 10  # times that a transaction is made anew for what is there now before its call fails
QUEUE = 20_000  # transactions that may wait for a group at most: a store that hangs must not fill the memory
GROUP = 1000  # transactions in a group at most, so that no commit takes long
SETTLED = 64  # tickets of a request after which those that are done are let go: some methods go on for days

Rebase = Callable[[list[bytes | None]], Transaction | None]
"""Gets the records of the conditions' keys as they are now; gives the transaction that fits them, or None when nothing
is to be done any more. It may raise a TotoException, which the call is answered with."""


def conflict(text: str = "It was changed by another call meanwhile; try again.") -> TotoException:
    """The error of a call that was overtaken."""
    return TotoException(ERROR_CONFLICT, text)


class Ticket(Future[bool]):
    """One queued transaction: completed with True when it is committed, with an error when it cannot be.

    Attributes:
        transaction: What is to be committed.
        rebase: What to do when it was overtaken; None fails.
    """

    __slots__ = ("rebase", "transaction", "tries")

    def __init__(self, transaction: Transaction, rebase: Rebase | None) -> None:
        super().__init__()
        self.transaction = transaction
        self.rebase = rebase
        self.tries = 0


class Reliance(Ticket):
    """The ticket of another request, for one that has read what it writes before that was committed.

    When the other is not committed, what was read never was. That is an error of whoever has read it, though not the
    other's own: who logs in while somebody changes the password is refused, and who changes it is not. It is none
    for a request that has a transaction with a condition on the same record, which was made for what is really there.

    Attributes:
        ticket: The other.
        keys: The records that were read.
    """

    __slots__ = ("_based", "keys", "ticket")

    def __init__(self, ticket: Ticket, based: set[bytes]) -> None:
        """Make one.

        Args:
            ticket: The other's.
            based: The records on which the request's own transactions have conditions; it may still grow.
        """
        super().__init__(ticket.transaction, None)
        self.ticket = ticket
        self.keys: set[bytes] = set()
        self._based = based

    def done(self) -> bool:
        """Tell whether the other is done."""
        return self.ticket.done()

    def exception(self) -> BaseException | None:
        """Give the error of whoever relied on it."""
        error = self.ticket.exception()
        if not isinstance(error, TotoException):  # none, or one after which nobody knows whether it is committed
            return error
        return None if self.keys <= self._based else conflict()

    def outcome(self) -> tuple[Any, BaseException | None]:
        """Tell that it can be relied on, or give the error."""
        error = self.exception()
        return (True, None) if error is None else (None, error)

    def result(self) -> bool:
        """Tell that it can be relied on, or raise the error."""
        error = self.exception()
        if error is not None:
            raise error
        return True

    def add_done_callback(self, callback: Callable[[Future[bool]], object]) -> None:
        """Have a function called once the other is done."""
        self.ticket.add_done_callback(lambda _: callback(self))


class Journal:
    """Queues transactions and commits them in groups, one group at a time on its way.

    Attributes:
        store: Where they are committed.
        fibers: What waits for them.
        local: The store gives records at once.
        waiting: The records that are not committed yet: the value of each, and the ticket that writes it.
    """

    def __init__(self, store: Store, fibers: Fibers) -> None:
        self.store = store
        self.fibers = fibers
        self.local = store.local
        self._queue: list[Ticket] = []
        self.waiting: dict[bytes, tuple[bytes | None, Ticket]] = {}
        self._flying = False
        self._life = 0  # changes when it is ended, so that a group of before is not taken for one of now

    def __len__(self) -> int:
        """How many transactions wait for the next group."""
        return len(self._queue)

    @property
    def due(self) -> bool:
        """A group can be sent now."""
        return bool(self._queue) and not self._flying

    @property
    def busy(self) -> bool:
        """Something is queued or on its way."""
        return self._flying or bool(self._queue)

    def pending(self, key: bytes) -> tuple[bytes | None, Ticket] | None:
        """Give a record's value that is not committed yet, and the ticket that writes it; None without one."""
        return self.waiting.get(key)

    def write(self, transaction: Transaction, rebase: Rebase | None = None) -> Ticket:
        """Queue a transaction for the group of this cycle.

        Raises:
            StoreError: Too many wait already.
        """
        if len(self._queue) >= QUEUE:
            raise StoreError(f"{QUEUE} transactions wait to be committed")
        ticket = Ticket(transaction, rebase)
        self._enqueue(ticket)
        return ticket

    def flush(self) -> None:
        """Send what is queued to the store, unless a group is on its way: what comes then makes the next one."""
        if not self.due:
            return
        tickets, self._queue = self._queue[:GROUP], self._queue[GROUP:]
        self._flying = True
        life = self._life
        try:
            future = self.store.commit([ticket.transaction for ticket in tickets])
        except Exception as error:
            future = Future()
            future.set_exception(error)
        future.add_done_callback(lambda done: self._landed(tickets, done) if life == self._life else None)

    def _enqueue(self, ticket: Ticket) -> None:
        self._queue.append(ticket)
        for write in ticket.transaction.writes:
            self.waiting[write.key] = (write.value, ticket)

    def _landed(self, tickets: list[Ticket], future: Future[list[bool]]) -> None:
        self._flying = False
        try:
            results = future.result()
            if len(results) != len(tickets):
                raise StoreError(f"the store has answered {len(results)} of {len(tickets)} transactions")
        except BaseException as error:
            for ticket in tickets:
                self._settle(ticket, error)
            return
        overtaken = []
        for ticket, applied in zip(tickets, results, strict=True):
            if not applied:
                ticket.tries += 1
                overtaken.append(ticket)
        if overtaken:
            overtaken += self._founded(overtaken)
            for ticket in overtaken:  # before anybody is told of anything: what they would write is not what will be
                self._forget(ticket)
        for ticket, applied in zip(tickets, results, strict=True):
            if applied:
                self._settle(ticket, None)
        again = []
        for ticket in overtaken:
            if ticket.rebase is None or ticket.tries > TRIES:
                self._settle(ticket, conflict())
            else:
                again.append(ticket)
        if again:
            self._again(again)

    def _founded(self, overtaken: list[Ticket]) -> list[Ticket]:
        """Take out of the queue what was made for records that those who were overtaken will not write."""
        never = {(write.key, version_of(write.value)) for ticket in overtaken for write in ticket.transaction.writes}
        found, rest = [], []
        for ticket in self._queue:
            if never.isdisjoint(ticket.transaction.conditions):
                rest.append(ticket)
            else:
                found.append(ticket)
                never.update((write.key, version_of(write.value)) for write in ticket.transaction.writes)
        self._queue = rest
        return found

    def _settle(self, ticket: Ticket, error: BaseException | None) -> None:
        self._forget(ticket)
        if error is None:
            ticket.set_result(True)
        else:
            ticket.set_exception(error)

    def _forget(self, ticket: Ticket) -> None:
        pending = self.waiting
        for write in ticket.transaction.writes:
            if (entry := pending.get(write.key)) is not None and entry[1] is ticket:
                del pending[write.key]

    def _again(self, tickets: list[Ticket]) -> None:
        """Make transactions that were overtaken anew, in their order, for what is there now."""
        keys = list({key: None for ticket in tickets for key, _ in ticket.transaction.conditions})
        life = self._life
        try:
            future = self.store.load(keys)
        except Exception as error:
            future = Future()
            future.set_exception(error)
        future.add_done_callback(lambda done: self._rebase(tickets, keys, done) if life == self._life else None)

    def _rebase(self, tickets: list[Ticket], keys: list[bytes], future: Future[list[bytes | None]]) -> None:
        try:
            values = dict(zip(keys, future.result(), strict=True))
        except BaseException as error:
            for ticket in tickets:
                ticket.set_exception(error)
            return
        pending = self.waiting
        for ticket in tickets:
            assert ticket.rebase is not None
            now = [pending[key][0] if key in pending else values[key] for key, _ in ticket.transaction.conditions]
            try:
                transaction = ticket.rebase(now)
            except BaseException as failure:
                ticket.set_exception(failure)
                continue
            if transaction is None:
                ticket.set_result(True)
            else:
                ticket.transaction = transaction
                self._enqueue(ticket)

    def end(self) -> None:
        """Give up what is queued and forget the rest; nobody is told, since nobody is there any more."""
        self._queue.clear()
        self.waiting.clear()
        self._flying = False
        self._life += 1


class Unit:
    """What one request reads and writes.

    Attributes:
        journal: Where it goes.
        tickets: What has to be committed before the request is answered, with whether the answer depends on it.
        based: The records on which its own transactions have conditions.
    """

    bundled = False  # it sees what all see

    __slots__ = ("based", "journal", "tickets")

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.tickets: list[tuple[Ticket, bool]] = []
        self.based: set[bytes] = set()

    def unit(self) -> "Unit":
        """Give itself: whoever has a unit may stand where one is wanted later."""
        return self

    def read(self, key: bytes) -> bytes | None:
        """Give a record, and pause for it where the store is a remote one.

        Raises:
            StoreError: It cannot be read.
        """
        entry = self.journal.pending(key)
        if entry is not None:
            self._rely(entry[1], key)
            return entry[0]
        if self.journal.local:
            return self.journal.store.read(key)
        return self.load((key,))[0]

    def load(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Give some records, in order."""
        journal = self.journal
        if journal.local:
            return [self.read(key) for key in keys]
        found: dict[bytes, bytes | None] = {}
        missing = []
        for key in keys:
            entry = journal.pending(key)
            if entry is None:
                missing.append(key)
            else:  # now, for it may be committed, and so be pending no more, while the others are waited for
                self._rely(entry[1], key)
                found[key] = entry[0]
        if missing:
            loaded = self.wait(journal.store.load(missing))
            found.update(zip(missing, loaded, strict=True))
        values = []
        for key in keys:
            entry = journal.pending(key)
            if entry is not None:  # what was written while this waited, too
                self._rely(entry[1], key)
            values.append(entry[0] if entry is not None else found[key])
        return values

    def write(self, transaction: Transaction, rebase: Rebase | None = None, *, needed: bool = True) -> Future[bool]:
        """Queue a transaction; the request is answered after it.

        Args:
            transaction: What to write.
            rebase: What to do when it was overtaken.
            needed: The request fails when it cannot be committed.
        """
        ticket = self.queue(transaction, rebase)
        if len(self.tickets) >= SETTLED and self.tickets[-1][0].done():
            self.tickets = self.unsettled()
        self.tickets.append((ticket, needed))
        return ticket

    def commit(self, transaction: Transaction, rebase: Rebase | None = None) -> None:
        """Write, and pause until it is committed.

        Raises:
            StoreError: It cannot be.
            TotoException: It was overtaken.
        """
        self.wait(self.queue(transaction, rebase))

    def queue(self, transaction: Transaction, rebase: Rebase | None = None) -> Ticket:
        """Write, whatever the request is a part of; whether it is answered before that is the caller's matter."""
        ticket = self.journal.write(transaction, rebase)
        self.based.update(key for key, _ in transaction.conditions)
        return ticket

    def wait(self, future: Future[T]) -> T:
        """Give the result of a Future, and pause until it is there."""
        return self.journal.fibers.wait(future)

    def _rely(self, ticket: Ticket, key: bytes) -> None:
        """Have the request wait for what it has read and somebody else has written, if it was somebody else."""
        for known, _ in self.tickets:
            if known is ticket:
                return
            if isinstance(known, Reliance) and known.ticket is ticket:
                known.keys.add(key)
                return
        reliance = Reliance(ticket, self.based)
        reliance.keys.add(key)
        self.tickets.append((reliance, True))

    def unsettled(self) -> list[tuple[Ticket, bool]]:
        """Give the tickets that are not completed yet or have failed."""
        return [pair for pair in self.tickets if not pair[0].done() or pair[0].exception() is not None]


def version_of(value: bytes | None) -> bytes | None:
    """Give the version of a record, None where there is none."""
    return None if value is None else bytes(value[:VERSION])


def unchanged(keys: Sequence[bytes], values: Sequence[bytes | None]) -> tuple[tuple[bytes, bytes | None], ...]:
    """Give the conditions that nobody has changed these records since they had these values."""
    return tuple((key, version_of(value)) for key, value in zip(keys, values, strict=True))
