"""Records in a server that many machines share, reached from worker threads.

What one cycle asks for goes to a worker thread as one: all records that are wanted are read together, and all
transactions are applied together. Replies wait for it and the cycle does not. When the server cannot be reached, calls
fail at once for a moment that grows from a tenth of a second to two, then one is tried again; so a dead server costs
nobody a timeout but who finds it dead.
"""

import logging
from collections.abc import Sequence
from typing import Any

from totohio.base.clocking import Clock
from totohio.base.environing import Pool, Threads
from totohio.base.errors import TotohioError
from totohio.base.futures import Future
from totohio.core.ports import StoreError, Transaction
from totohio.store.driving import Driver

logger = logging.getLogger("totohio")

READERS = 4  # threads that read
FIRST_PAUSE = 0.1  # seconds in which nothing is tried after a failure,
LAST_PAUSE = 2.0  # and after many


class RemoteStore:
    """Keeps records with a `Driver`.

    Attributes:
        local: False: what is asked for comes later.
    """

    local = False

    def __init__(self, driver: Driver, *, threads: Threads, clock: Clock) -> None:
        self._driver = driver
        self._threads = threads
        self._clock = clock
        self._readers: Pool | None = None
        self._writer: Pool | None = None
        self._wanted: list[tuple[list[bytes], Future[list[bytes | None]]]] = []
        self._pause = 0.0
        self._until = 0.0

    def __repr__(self) -> str:
        return f"<RemoteStore by {self._driver!r}>"

    @property
    def raw(self) -> Any:
        """The client of the server."""
        return self._driver.raw

    def open(self) -> None:
        """Begin; the server is looked for when it is needed."""
        if self._readers is None:
            self._readers = self._threads.pool("store-read", READERS)
            self._writer = self._threads.pool("store-write", 1)  # one, so that commits keep their order
        self._pause = self._until = 0.0

    def close(self) -> None:
        """Let go of the server."""
        readers, self._readers = self._readers, None
        writer, self._writer = self._writer, None
        for pool in (readers, writer):
            if pool is not None:
                pool.close()
        if readers is not None:
            self._driver.close()
        wanted, self._wanted = self._wanted, []
        for _, future in wanted:
            future.set_exception(StoreError("the store is closed"))

    def reachable(self) -> bool:
        """Tell whether it was reached when somebody tried last, or may be tried again."""
        return not self._resting()

    def read(self, key: bytes) -> bytes | None:
        """Not possible: what is asked for comes later.

        Raises:
            StoreError: Always.
        """
        raise StoreError("a remote store gives nothing at once")

    def load(self, keys: Sequence[bytes]) -> Future[list[bytes | None]]:
        """Give the values of records, read together with all others that this cycle asks for."""
        future: Future[list[bytes | None]] = Future()
        if self._readers is None:
            future.set_exception(StoreError("the store is closed"))
        elif self._resting():
            future.set_exception(_unreached())
        else:
            self._wanted.append((list(keys), future))
        return future

    def wanted(self) -> bool:
        """Tell whether something is to be read with the next `flush`."""
        return bool(self._wanted)

    def flush(self) -> None:
        """Read what this cycle has asked for."""
        if not self._wanted or self._readers is None:
            return
        wanted, self._wanted = self._wanted, []
        keys = list(dict.fromkeys(key for some, _ in wanted for key in some))

        def read(inner: Future[list[bytes | None]]) -> None:
            error = _error(inner)
            if error is not None:
                for _, future in wanted:
                    future.set_exception(error)
                return
            values = dict(zip(keys, inner.result(), strict=True))
            for some, future in wanted:
                future.set_result([values[key] for key in some])

        self._readers.submit(self._do, self._driver.read, keys).add_done_callback(read)

    def commit(self, transactions: Sequence[Transaction]) -> Future[list[bool]]:
        """Apply transactions, in one exchange."""
        future: Future[list[bool]] = Future()
        if self._writer is None:
            future.set_exception(StoreError("the store is closed"))
            return future
        if self._resting():
            future.set_exception(_unreached())
            return future

        def applied(inner: Future[list[bool]]) -> None:
            error = _error(inner)
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(inner.result())

        self._writer.submit(self._do, self._driver.apply, list(transactions)).add_done_callback(applied)
        return future

    def sweep(self, now: float, limit: int) -> Future[int]:
        """Leave it to the server, which removes what has expired by itself."""
        future: Future[int] = Future()
        future.set_result(0)
        return future

    # ------------------------------------------------------------ in worker threads

    def _do(self, function: Any, argument: Any) -> Any:
        """Ask the server, unless it was found dead a moment ago."""
        if self._resting():
            raise _unreached()
        try:
            result = function(argument)
        except StoreError:
            self._pause = min(LAST_PAUSE, max(FIRST_PAUSE, self._pause * 2.0))
            self._until = self._clock.monotonic() + self._pause
            raise
        self._pause = self._until = 0.0
        return result

    def _resting(self) -> bool:
        return self._until > 0.0 and self._clock.monotonic() < self._until


def _unreached() -> StoreError:
    return StoreError("the store was not reached a moment ago")


def _error(future: Future[Any]) -> StoreError | None:
    try:
        error = future.exception()
    except TotohioError as cancelled:
        return StoreError(str(cancelled))
    if error is None or isinstance(error, StoreError):
        return error
    logger.error("the store failed in an unknown way", exc_info=error)
    return StoreError(f"the store failed: {type(error).__name__}")
