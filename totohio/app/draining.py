"""Back-pressure: who sends much waits until the peer has taken it."""

from totohio.base.futures import Future
from totohio.net.stewarding import Steward


class Drains:
    """Futures of those who wait until a peer has taken what was sent."""

    def __init__(self) -> None:
        self._futures: dict[Steward, list[Future[None]]] = {}

    def __len__(self) -> int:
        """How many peers are waited for."""
        return len(self._futures)

    def watch(self, steward: Steward, future: Future[None], enough: int = 0) -> None:
        """Complete a Future when the peer has taken all that was sent, or will take nothing any more.

        Args:
            steward: The peer's.
            future: Completed at once when no more than ``enough`` bytes wait.
            enough: Bytes.
        """
        if steward.closed or steward.remoter.pending <= enough:
            _tell(steward, future)
        else:
            self._futures.setdefault(steward, []).append(future)

    def drained(self, steward: Steward) -> None:
        """The peer has taken all, or is gone."""
        for future in self._futures.pop(steward, ()):
            _tell(steward, future)


def _tell(steward: Steward, future: Future[None]) -> None:
    if steward.closed:
        future.set_exception(ConnectionAbortedError("the peer has left"))
    else:
        future.set_result(None)
