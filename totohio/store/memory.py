"""Records in this process, until it ends."""

import heapq
from collections.abc import Sequence

from totohio.base.futures import Future
from totohio.core.ports import VERSION, Transaction, Write


class MemoryStore:
    """Keeps records in a dict. It is the model that other stores are measured against."""

    local = True

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._expires: dict[bytes, float] = {}
        self._heap: list[tuple[float, bytes]] = []

    def __repr__(self) -> str:
        return f"<MemoryStore of {len(self._values)} records>"

    def copy(self) -> "MemoryStore":
        """Give another one with the same records."""
        other = MemoryStore()
        other._values = dict(self._values)
        other._expires = dict(self._expires)
        other._heap = list(self._heap)
        return other

    def open(self) -> None:
        """Begin."""

    def close(self) -> None:
        """Keep all for the next time that it is opened; it ends with the process."""

    def read(self, key: bytes) -> bytes | None:
        """Give the value of a record, None without one."""
        return self._values.get(key)

    def load(self, keys: Sequence[bytes]) -> Future[list[bytes | None]]:
        """Give the values of some records."""
        future: Future[list[bytes | None]] = Future()
        future.set_result([self._values.get(key) for key in keys])
        return future

    def commit(self, transactions: Sequence[Transaction]) -> Future[list[bool]]:
        """Apply transactions, each by itself, in order."""
        future: Future[list[bool]] = Future()
        future.set_result([self._apply(transaction) for transaction in transactions])
        return future

    def sweep(self, now: float, limit: int) -> Future[int]:
        """Remove records that have expired."""
        count = 0
        while self._heap and self._heap[0][0] <= now and count < limit:
            expires, key = heapq.heappop(self._heap)
            if self._expires.get(key) == expires:
                del self._values[key], self._expires[key]
                count += 1
        future: Future[int] = Future()
        future.set_result(count)
        return future

    def _apply(self, transaction: Transaction) -> bool:
        values = self._values
        for key, version in transaction.conditions:
            value = values.get(key)
            if (None if value is None else value[:VERSION]) != version:
                return applied(transaction, values.get(transaction.writes[0].key) if transaction.writes else None)
        for write in transaction.writes:
            self._put(write)
        return True

    def _put(self, write: Write) -> None:
        key = write.key
        self._expires.pop(key, None)
        if write.value is None:
            self._values.pop(key, None)
            return
        self._values[key] = write.value
        if write.expires:
            self._expires[key] = write.expires
            heapq.heappush(self._heap, (write.expires, key))
            if len(self._heap) > 2 * len(self._expires) + 64:
                self._heap = [(expires, key) for key, expires in self._expires.items()]
                heapq.heapify(self._heap)


def applied(transaction: Transaction, first: bytes | None) -> bool:
    """Tell whether a transaction has been applied before, by the record of its first write as it is now."""
    if not transaction.writes:
        return False
    value = transaction.writes[0].value
    return value is not None and first is not None and first[:VERSION] == value[:VERSION]
