"""Atomic batches: what their entries write is committed together, as one transaction, or not at all."""

from collections.abc import Sequence

from totohio.base.futures import Future
from totohio.core.committing import Journal, Rebase, Unit, conflict, version_of
from totohio.core.ports import Transaction, Write


class Bundle(Unit):
    """What an atomic batch reads and writes: one transaction of all that its entries write, or nothing.

    Entries see what those before them wrote; nobody else does before it is committed.
    """

    bundled = True

    __slots__ = ("_conditions", "_own", "_writes")

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._own: dict[bytes, bytes | None] = {}
        self._conditions: dict[bytes, bytes | None] = {}
        self._writes: dict[bytes, Write] = {}

    def read(self, key: bytes) -> bytes | None:
        """Give a record as this batch has left it."""
        return self._own[key] if key in self._own else super().read(key)

    def load(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Give some records, in order."""
        others = [key for key in keys if key not in self._own]
        found = dict(zip(others, super().load(others), strict=True)) if others else {}
        return [self._own[key] if key in self._own else found[key] for key in keys]

    def write(self, transaction: Transaction, rebase: Rebase | None = None, *, needed: bool = True) -> Future[bool]:
        """Keep a transaction until the batch is done.

        Raises:
            TotoException: It does not fit what this batch has written before.
        """
        for key, version in transaction.conditions:
            if key not in self._own:
                self._conditions.setdefault(key, version)
            elif version != version_of(self._own[key]):
                raise conflict("Two entries of the batch changed the same.")
        for write in transaction.writes:
            self._own[write.key] = write.value
            self._writes[write.key] = write
        done: Future[bool] = Future()
        done.set_result(True)
        return done

    def commit(self, transaction: Transaction, rebase: Rebase | None = None) -> None:
        """Keep a transaction until the batch is done."""
        self.write(transaction, rebase)

    def holds(self, key: bytes) -> bool:
        """Tell whether the batch has written a record."""
        return key in self._own

    def finish(self) -> None:
        """Queue all of it, as one transaction."""
        if self._writes:
            transaction = Transaction(tuple(self._conditions.items()), tuple(self._writes.values()))
            super().write(transaction)


class Part(Unit):
    """What one entry of an atomic batch reads and writes.

    Attributes:
        wrote: It has written something.
    """

    bundled = True

    __slots__ = ("bundle", "wrote")

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle.journal)
        self.bundle = bundle
        self.wrote = False

    def read(self, key: bytes) -> bytes | None:
        """Give a record as the batch has left it."""
        return self.bundle.read(key)

    def load(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Give some records, in order."""
        return self.bundle.load(keys)

    def write(self, transaction: Transaction, rebase: Rebase | None = None, *, needed: bool = True) -> Future[bool]:
        """Keep a transaction until the batch is done, unless nobody needs it: then it goes its own way.

        What the batch itself has written goes no other way than the batch's: nobody else is to see it yet.
        """
        if not needed and not any(self.bundle.holds(write.key) for write in transaction.writes):
            return super().write(transaction, rebase, needed=False)
        self.wrote = self.wrote or needed
        return self.bundle.write(transaction, rebase, needed=needed)

    def commit(self, transaction: Transaction, rebase: Rebase | None = None) -> None:
        """Keep a transaction until the batch is done."""
        self.write(transaction, rebase)
