"""A simulated LMDB: groups are committed as a whole or not at all, whatever happens in the middle.

A commit runs in a worker thread, one at a time for all who use the same files. It writes, waits for the disk, and takes
effect when that has said yes: then readers see it, and whoever asked is told. In between the process may be killed,
which leaves what was written; the power may be cut, which leaves of it what the disk makes of that (see `sim.disk`);
and the disk may be full, fail or be slow. What is read is what was committed last, and costs no time.

What is simpler than LMDB: a host that loses its power finds the last state on its disk by reading entries of a ledger
up to the last whole one, where LMDB has two roots of a tree; and to open it takes a write. A group of lazy transactions
is not synced; it may be lost with the power, as they allow, where `store.lmdb.LmdbStore` syncs all groups alike.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from totohio.base.environing import Pool
from totohio.base.futures import Future
from totohio.core.ports import StoreError, Transaction
from totohio.sim.stores.blocking import BlockingThreads, Lock
from totohio.sim.stores.persisting import Ledger
from totohio.sim.stores.rows import Changes, Rows, pack, unpack
from totohio.sim.working import current

if TYPE_CHECKING:
    from totohio.sim.disk.filing import SimFiles
    from totohio.sim.processing import Process

POOL = "lmdb"  # by which ``world.takes`` says how long commits take


class Database:
    """One database in the files of a host, as a process has it open.

    Attributes:
        path: The folder of its files.
        rows: What was committed last.
        lock: Whoever commits holds it.
    """

    def __init__(self, process: "Process", path: str) -> None:
        """Take over what is on the disk.

        Raises:
            OSError: The disk fails.
        """
        self.path = path
        self.rows = Rows()
        self.lock = Lock()
        self._process = process
        self._files = cast("SimFiles", process.environment.files)
        self._dice = process.dice.branch("lmdb", path)
        self._ledger = Ledger(self._files, path)
        entries = self._ledger.open()
        for entry in entries:
            self.rows.put(unpack(entry))
        if entries:
            self._ledger.secure(self.rows.pack())

    def read(self, key: bytes) -> bytes | None:
        """Give a value.

        Raises:
            OSError: The disk fails.
        """
        self._files.strike("read", self.path)
        return self.rows.get(key)

    def change(self, task: str, changes: Changes, *, safe: bool) -> None:
        """Make changes; whoever does holds the lock.

        Args:
            task: For whom, as it is called.
            changes: What to change.
            safe: A power cut is not to undo them.

        Raises:
            OSError: The disk fails or is full.
        """
        thread, world, host = current(), self._process.world, self._process.host
        if changes:
            world.plan.commit(host)
        seconds = world.duration(task, POOL, self._dice)
        early = self._dice.random()  # how much of it comes before it writes
        late = self._dice.random()  # and of the rest after it has taken effect
        thread.sleep(seconds * early)
        if not changes:
            return
        self._ledger.write(pack(changes), self.rows.pack)
        thread.sleep(seconds * (1.0 - early) * (1.0 - late) + self._files.lag)
        if safe:
            self._ledger.sync()
        self.rows.put(changes)
        world.note(host.name, "commit", self.path, len(changes))
        thread.sleep(seconds * (1.0 - early) * late)


class SimLmdb:
    """Keeps records in a simulated LMDB; the simulated side of `store.lmdb.LmdbStore`.

    Attributes:
        path: The folder of its files.
        raw: None: there is no LMDB environment.
        local: It gives records at once.
    """

    local = True
    raw = None

    def __init__(
        self, path: str, *, find: Callable[[str], Database], threads: BlockingThreads, max_size: int = 1 << 34
    ) -> None:
        """Set it up.

        Args:
            path: The folder of its files.
            find: Gives the database in a folder.
            threads: Where its commits run.
            max_size: Bytes that records may take.
        """
        self.path = path
        self._find = find
        self._threads = threads
        self._max_size = max_size
        self._database: Database | None = None
        self._pool: Pool | None = None

    def __repr__(self) -> str:
        return f"<SimLmdb {self.path!r}>"

    def open(self) -> None:
        """Open its files; they are made with the first commit.

        Raises:
            StoreError: The disk fails.
        """
        if self._pool is None:
            try:
                self._database = self._find(self.path)
            except OSError as error:
                raise StoreError(f"the database {self.path} cannot be opened: {error}") from error
            self._pool = self._threads.pool(POOL, 1)

    def close(self) -> None:
        """Take no more; twice does no harm."""
        pool, self._pool = self._pool, None
        self._database = None
        if pool is not None:
            pool.close()

    def read(self, key: bytes) -> bytes | None:
        """Give the value of a record, None without one.

        Raises:
            StoreError: It is closed, or the disk fails.
        """
        if self._database is None:
            raise StoreError("the database cannot be read: it is closed")
        try:
            return self._database.read(key)
        except OSError as error:
            raise StoreError(f"the database cannot be read: {error}") from error

    def load(self, keys: Sequence[bytes]) -> Future[list[bytes | None]]:
        """Give the values of some records."""
        future: Future[list[bytes | None]] = Future()
        try:
            future.set_result([self.read(key) for key in keys])
        except StoreError as error:
            future.set_exception(error)
        return future

    def commit(self, transactions: Sequence[Transaction]) -> Future[list[bool]]:
        """Apply transactions in a worker thread, as one group."""
        return self._work(self._commit, list(transactions))

    def sweep(self, now: float, limit: int) -> Future[int]:
        """Remove records that have expired, in a worker thread."""
        return self._work(self._sweep, now, limit)

    def _work(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if self._pool is None:
            future.set_exception(StoreError("the database is closed"))
            return future

        def done(inner: Future[Any]) -> None:
            if inner.cancelled():
                future.set_exception(StoreError("the database is closed"))
            elif (error := inner.exception()) is not None:
                future.set_exception(error)
            else:
                future.set_result(inner.result())

        self._pool.submit(function, self._database, *args).add_done_callback(done)
        return future

    # ------------------------------------------------------------ in worker threads

    def _commit(self, database: Database, transactions: list[Transaction]) -> list[bool]:
        with database.lock:
            changes: Changes = {}
            held = database.rows.plan(transactions, changes)
            growth = database.rows.growth(changes)
            if growth > 0 and database.rows.size + growth > self._max_size:
                raise StoreError(f"the database cannot be written: it would be larger than {self._max_size} bytes")
            self._change(database, "commit", changes, safe=not all(each.lazy for each in transactions))
        return held

    def _sweep(self, database: Database, now: float, limit: int) -> int:
        with database.lock:
            keys = database.rows.expired(now, limit)
            self._change(database, "sweep", dict.fromkeys(keys), safe=False)
        return len(keys)

    @staticmethod
    def _change(database: Database, task: str, changes: Changes, *, safe: bool) -> None:
        try:
            database.change(task, changes, safe=safe)
        except OSError as error:
            raise StoreError(f"the database cannot be written: {error}") from error
