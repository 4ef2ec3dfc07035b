"""Records in files on this machine, shared by all of its processes: LMDB.

Reads happen in the thread of the cycle: LMDB maps its files, so one costs about two microseconds. Commits happen in one
worker thread, since another process may hold the lock for writing and the disk takes its time; all transactions of a
group are one of LMDB's, which is synced before it is told to be done. LMDB never changes a page that a committed state
uses, so a process that is killed leaves what it has committed and nothing else, and so does a machine that fails.

A row is the wall time at which it expires (8 bytes, microseconds, big-endian, zeros for never) and the record's value.
A second table has a row for each record that expires, under that time and its key, so that what has expired is found
without looking at the rest.
"""

import contextlib
import os
import struct
from collections.abc import Sequence
from typing import Any

import lmdb

from totohio.base.environing import Pool, Threads
from totohio.base.futures import Future
from totohio.core.ports import VERSION, StoreError, Transaction, Write
from totohio.store.memory import applied

FIRST_SIZE = 16 * 1024 * 1024  # bytes that the map has at first; it doubles when it is full
READERS = 4096  # processes and threads that may read at once
TABLES = 2
PERMISSIONS = 0o600
FOLDER_PERMISSIONS = 0o700
TIME = struct.Struct(">Q")
_VALUE = slice(TIME.size, None)
NEVER = TIME.pack(0)
LATEST = 2**63  # microseconds; later than that is never


class LmdbStore:
    """Keeps records in an LMDB environment.

    Attributes:
        path: The folder of its files.
        raw: The LMDB environment; None while it is closed.
    """

    local = True

    def __init__(self, path: str, *, threads: Threads, max_size: int = 1 << 34, first_size: int = FIRST_SIZE) -> None:
        self.path = os.path.abspath(path)
        self.raw: Any = None
        self._threads = threads
        self._max_size = max_size
        self._first_size = min(first_size, max_size)
        self._pool: Pool | None = None
        self._records: Any = None
        self._times: Any = None
        self._pid = 0

    def __repr__(self) -> str:
        return f"<LmdbStore {self.path!r}>"

    # ------------------------------------------------------------ life

    def open(self) -> None:
        """Open the files, and make them when they are not there.

        Raises:
            StoreError: They cannot be opened.
        """
        if self.raw is not None and self._pid == os.getpid():
            return
        try:
            os.makedirs(self.path, FOLDER_PERMISSIONS, exist_ok=True)
            self.raw = lmdb.open(
                self.path,
                map_size=max(self._first_size, self._size()),
                max_dbs=TABLES,
                max_readers=READERS,
                mode=PERMISSIONS,
                readahead=False,
                meminit=False,
            )
            self.raw.reader_check()
            self._records = self.raw.open_db(b"records")
            self._times = self.raw.open_db(b"times")
        except (lmdb.Error, OSError) as error:
            self.raw = None
            raise StoreError(f"the database {self.path} cannot be opened: {error}") from error
        self._pid = os.getpid()
        self._pool = self._threads.pool("lmdb", 1)

    def close(self) -> None:
        """Close the files once the commit that runs is done; twice does no harm."""
        pool, self._pool = self._pool, None
        raw, self.raw = self.raw, None
        if pool is None:
            return
        pool.close()
        if self._pid == os.getpid() and not len(pool):
            raw.close()

    def _size(self) -> int:
        with contextlib.suppress(OSError):
            return os.path.getsize(os.path.join(self.path, "data.mdb"))
        return 0

    # ------------------------------------------------------------ reading

    def read(self, key: bytes) -> bytes | None:
        """Give the value of a record, None without one.

        Raises:
            StoreError: It cannot be read.
        """
        try:
            with self.raw.begin(db=self._records) as txn:
                row = txn.get(key)
        except lmdb.MapResizedError:
            self._grow(0)
            return self.read(key)
        except (lmdb.Error, AttributeError) as error:
            raise StoreError(f"the database cannot be read: {error}") from error
        return None if row is None else row[_VALUE]

    def load(self, keys: Sequence[bytes]) -> Future[list[bytes | None]]:
        """Give the values of some records."""
        future: Future[list[bytes | None]] = Future()
        try:
            future.set_result([self.read(key) for key in keys])
        except StoreError as error:
            future.set_exception(error)
        return future

    # ------------------------------------------------------------ writing

    def commit(self, transactions: Sequence[Transaction]) -> Future[list[bool]]:
        """Apply transactions in a worker thread, as one of LMDB's."""
        return self._work(self._apply, list(transactions))

    def sweep(self, now: float, limit: int) -> Future[int]:
        """Remove records that have expired, in a worker thread."""
        return self._work(self._remove, now, limit)

    def _work(self, function: Any, *args: Any) -> Future[Any]:
        """Have a function work with a transaction of LMDB's; once more with a larger map when that is full."""
        future: Future[Any] = Future()
        if self._pool is None:
            future.set_exception(StoreError("the database is closed"))
            return future
        raw = self.raw

        def attempt() -> None:
            pool = self._pool
            if pool is None:
                future.set_exception(StoreError("the database is closed"))
            else:
                pool.submit(self._transact, raw, function, args).add_done_callback(done)

        def done(inner: Future[Any]) -> None:
            try:
                error = inner.exception()
            except Exception as cancelled:
                error = cancelled
            if error is None:
                future.set_result(inner.result())
            elif (isinstance(error, lmdb.MapFullError) and self._grow(2)) or (
                isinstance(error, lmdb.MapResizedError) and self._grow(0)
            ):
                attempt()
            else:
                future.set_exception(StoreError(f"the database cannot be written: {error}"))

        attempt()
        return future

    def _transact(self, raw: Any, function: Any, args: tuple[Any, ...]) -> Any:
        with raw.begin(write=True) as txn:
            return function(txn, *args)

    def _grow(self, factor: int) -> bool:
        """Make the map larger, or take over what another process has made of it (factor 0); tell whether it could be.

        No transaction is open in this process then: reads end where they begin, and the worker's has ended.
        """
        try:
            if not factor:
                self.raw.set_mapsize(0)
                return True
            size = self.raw.info()["map_size"]
            if size >= self._max_size:
                return False
            self.raw.set_mapsize(min(size * factor, self._max_size))
        except (lmdb.Error, AttributeError, OSError):
            return False
        return True

    def _apply(self, txn: Any, transactions: list[Transaction]) -> list[bool]:
        return [self._apply_one(txn, transaction) for transaction in transactions]

    def _apply_one(self, txn: Any, transaction: Transaction) -> bool:
        records = self._records
        for key, version in transaction.conditions:
            row = txn.get(key, db=records)
            if (None if row is None else row[TIME.size : TIME.size + VERSION]) != version:
                first = txn.get(transaction.writes[0].key, db=records) if transaction.writes else None
                return applied(transaction, None if first is None else first[TIME.size :])
        for write in transaction.writes:
            self._put(txn, write)
        return True

    def _put(self, txn: Any, write: Write) -> None:
        key = write.key
        old = txn.get(key, db=self._records)
        time = _time(write.expires)
        if old is not None and old[: TIME.size] != NEVER and (write.value is None or old[: TIME.size] != time):
            txn.delete(old[: TIME.size] + key, db=self._times)
        if write.value is None:
            txn.delete(key, db=self._records)
            return
        txn.put(key, time + write.value, db=self._records)
        if time != NEVER:
            txn.put(time + key, b"", db=self._times)

    def _remove(self, txn: Any, now: float, limit: int) -> int:
        end = _time(now)
        gone: list[bytes] = []
        with txn.cursor(db=self._times) as cursor:
            for row in cursor.iternext(keys=True, values=False):
                if row[: TIME.size] > end or len(gone) == limit:
                    break
                gone.append(row)
        for row in gone:
            txn.delete(row, db=self._times)
            txn.delete(row[TIME.size :], db=self._records)
        return len(gone)


def _time(seconds: float) -> bytes:
    """Give a wall time as rows have it, rounded up: nothing expires early."""
    if not seconds:
        return NEVER
    return TIME.pack(max(1, min(int(seconds * 1e6) + 1, LATEST)))
