"""The records of a simulated database, and what transactions make of them."""

from collections.abc import Sequence

import msgspec

from totohio.core.ports import VERSION, Transaction
from totohio.store.memory import applied

Row = tuple[float, bytes]  # the wall time at which it expires, 0.0 for never, and the value
Changes = dict[bytes, Row | None]
Packed = list[tuple[bytes, float, bytes | None]]

OVERHEAD = 16  # bytes that a row takes beside its key and value


class Rows:
    """Records by their keys.

    Attributes:
        size: Bytes that they take.
    """

    def __init__(self) -> None:
        self._rows: dict[bytes, Row] = {}
        self.size = 0

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: bytes, changes: Changes | None = None, horizon: float = 0.0) -> bytes | None:
        """Give a value, None without one.

        Args:
            key: Of the record.
            changes: What is to be made of the records, and counts already.
            horizon: What has expired before that wall time counts as removed.
        """
        row = changes[key] if changes is not None and key in changes else self._rows.get(key)
        return None if row is None or 0.0 < row[0] <= horizon else row[1]

    def plan(self, transactions: Sequence[Transaction], changes: Changes, horizon: float = 0.0) -> list[bool]:
        """Tell of each transaction whether its conditions hold, or whether it was applied before; change nothing.

        Args:
            transactions: Each sees what those before it are to do.
            changes: What is to be made of the records; what these do is added.
            horizon: What has expired before that wall time counts as removed.
        """
        return [self._plan(transaction, changes, horizon) for transaction in transactions]

    def _plan(self, transaction: Transaction, changes: Changes, horizon: float) -> bool:
        for key, version in transaction.conditions:
            value = self.get(key, changes, horizon)
            if (None if value is None else value[:VERSION]) != version:
                writes = transaction.writes
                return applied(transaction, self.get(writes[0].key, changes, horizon) if writes else None)
        for write in transaction.writes:
            changes[write.key] = None if write.value is None else (write.expires, write.value)
        return True

    def put(self, changes: Changes) -> None:
        """Make changes."""
        self.size += self.growth(changes)
        for key, row in changes.items():
            if row is None:
                self._rows.pop(key, None)
            else:
                self._rows[key] = row

    def growth(self, changes: Changes) -> int:
        """Tell by how many bytes they grow by changes."""
        return sum(_size(key, row) - _size(key, self._rows.get(key)) for key, row in changes.items())

    def expired(self, now: float, limit: int) -> list[bytes]:
        """Give the keys of those that have expired, the first that did first."""
        found = sorted((row[0], key) for key, row in self._rows.items() if 0.0 < row[0] <= now)
        return [key for _, key in found[:limit]]

    def pack(self, horizon: float = 0.0) -> bytes:
        """Give all that have not expired before a wall time as bytes."""
        return pack({key: row for key, row in self._rows.items() if not 0.0 < row[0] <= horizon})


def _size(key: bytes, row: Row | None) -> int:
    return 0 if row is None else OVERHEAD + len(key) + len(row[1])


def pack(changes: Changes | dict[bytes, Row]) -> bytes:
    """Give changes as bytes."""
    rows = [(key, 0.0, None) if row is None else (key, *row) for key, row in changes.items()]
    return msgspec.msgpack.encode(rows)


def unpack(data: bytes) -> Changes:
    """Give changes that were packed."""
    rows = _decoder.decode(data)
    return {key: None if value is None else (expires, value) for key, expires, value in rows}


_decoder = msgspec.msgpack.Decoder(Packed)
