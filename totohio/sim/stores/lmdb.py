"""A simulated LMDB: it commits whole groups or nothing, whatever happens in the middle.

What LMDB promises is taken for granted, namely that a state which was committed stays as it is and that no group is
there in part. What is played is when: a commit takes its time in a worker thread; the process may be killed before or
after the moment in which it takes effect, and the power cut before or after it is synced; and the disk may be full, or
fail.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from totohio.base.environing import Pool, Threads
from totohio.base.futures import Future
from totohio.core.ports import StoreError, Transaction
from totohio.sim.seeding import Dice
from totohio.store.memory import MemoryStore

if TYPE_CHECKING:
    from totohio.sim.disk.filing import SimFiles


class Records:
    """What is in the files of one database; it outlives the processes that use it.

    Attributes:
        store: The records.
    """

    def __init__(self, dice: Dice) -> None:
        self.store = MemoryStore()
        self._dice = dice
        self._unsynced: dict[int, MemoryStore] = {}
        self._numbers = 0

    def begin(self) -> int:
        """A group takes effect; until it is synced, a power cut may take it back."""
        self._numbers += 1
        self._unsynced[self._numbers] = self.store.copy()
        return self._numbers

    def synced(self, number: int) -> None:
        """A group is on the disk."""
        self._unsynced.pop(number, None)

    def crash(self) -> None:
        """Cut the power: a group that was not synced is there, or it is not."""
        for before in self._unsynced.values():
            if self._dice.chance(0.5):
                self.store = before
                break
        self._unsynced.clear()


class SimLmdb:
    """Keeps records in a simulated LMDB; the simulated side of `store.lmdb.LmdbStore`.

    Attributes:
        raw: None: there is no LMDB environment.
    """

    local = True
    raw = None

    def __init__(self, path: str, *, records: Records, files: "SimFiles", threads: Threads) -> None:
        self.path = path
        self._records = records
        self._files = files
        self._threads = threads
        self._pool: Pool | None = None

    def __repr__(self) -> str:
        return f"<SimLmdb {self.path!r}>"

    def open(self) -> None:
        """Open it."""
        if self._pool is None:
            self._pool = self._threads.pool("lmdb", 1)

    def close(self) -> None:
        """Close it; twice does no harm."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def read(self, key: bytes) -> bytes | None:
        """Give the value of a record, None without one.

        Raises:
            StoreError: The disk fails.
        """
        try:
            self._files.strike("read", self.path)
        except OSError as error:
            raise StoreError(f"the database cannot be read: {error}") from error
        return self._records.store.read(key)

    def load(self, keys: Sequence[bytes]) -> Future[list[bytes | None]]:
        """Give the values of some records."""
        future: Future[list[bytes | None]] = Future()
        try:
            future.set_result([self.read(key) for key in keys])
        except StoreError as error:
            future.set_exception(error)
        return future

    def commit(self, transactions: Sequence[Transaction]) -> Future[list[bool]]:
        """Apply transactions in a worker thread."""
        return self._work(self._commit, list(transactions))

    def sweep(self, now: float, limit: int) -> Future[int]:
        """Remove records that have expired, in a worker thread."""
        return self._work(self._sweep, now, limit)

    def _work(self, function: Any, *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if self._pool is None:
            future.set_exception(StoreError("the database is closed"))
            return future

        def done(inner: Future[Any]) -> None:
            try:
                error = inner.exception()
            except Exception as cancelled:
                error = StoreError(str(cancelled))
            if error is not None:
                future.set_exception(error)
                return
            number, result = inner.result()
            self._records.synced(number)
            future.set_result(result)

        self._pool.submit(function, *args).add_done_callback(done)
        return future

    def _commit(self, transactions: list[Transaction]) -> tuple[int, list[bool]]:
        self._write(sum(len(write.value or b"") for each in transactions for write in each.writes))
        number = self._records.begin()
        return number, self._records.store.commit(transactions).result()

    def _sweep(self, now: float, limit: int) -> tuple[int, int]:
        self._write(0)
        number = self._records.begin()
        return number, self._records.store.sweep(now, limit).result()

    def _write(self, size: int) -> None:
        """See whether the disk takes it."""
        try:
            self._files.strike("write", self.path)
            self._files.strike("sync", self.path)
        except OSError as error:
            raise StoreError(f"the database cannot be written: {error}") from error
        room = self._files.room()
        if room is not None and room < max(size, 1):
            raise StoreError("the database cannot be written: no space left on the disk")
