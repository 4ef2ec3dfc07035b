"""What a remote store needs of its server: two calls that block."""

from collections.abc import Sequence
from typing import Any, Protocol

from totohio.core.ports import Transaction


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
