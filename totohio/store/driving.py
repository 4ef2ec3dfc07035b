"""What a remote store needs of its server: two calls that block.

An answer that is lost has a driver ask again, and the server says of a transaction that has been applied before that
it was, by the version that its first write has left. That fails where something else has been written over it since.
`outcome` tells what is known then.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from totohio.core.ports import VERSION, StoreError, Transaction


class Driver(Protocol):
    """Speaks to a server that keeps records. Its methods block, for a bounded time, and are called in worker threads.

    Attributes:
        raw: What users may do more with: the client of the server.
    """

    raw: Any

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Give the values of records, in order, None for each that is not there.

        Raises:
            StoreError: The server cannot be reached, or answers with an error or too late.
        """

    def apply(self, transactions: Sequence[Transaction]) -> list[bool]:
        """Apply transactions as `Store.commit` does, in one exchange with the server.

        Raises:
            StoreError: As above; each of them may have been applied or not, but none in part.
        """

    def close(self) -> None:
        """Let go of the server; twice does no harm, and another call may follow."""


def outcome(transactions: Sequence[Transaction], held: Sequence[bool], *, again: bool) -> list[bool]:
    """Tell of each transaction whether it was applied, from what a server says about a group.

    One that a later one of the group was built upon was applied, if that one was.

    Args:
        transactions: The group.
        held: Whether the conditions of each held, or it had been applied before.
        again: They were asked for a second time, and it is not known how far the first time has come.

    Raises:
        StoreError: Nobody knows of one of them, which may have been applied the first time and written over by others.
    """
    applied = list(held)
    bases: set[tuple[bytes, bytes | None]] = set()  # what those that were applied were built upon
    for place in range(len(applied) - 1, -1, -1):
        transaction = transactions[place]
        if not applied[place]:
            writes = transaction.writes
            applied[place] = any(write.value and (write.key, write.value[:VERSION]) in bases for write in writes)
        if applied[place]:
            bases.update(transaction.conditions)
        elif again:
            raise StoreError("an answer was lost, and what it was about has been changed by others since")
    return applied
