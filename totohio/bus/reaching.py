"""How far logs have come in this process, told or only received."""

from collections import OrderedDict
from collections.abc import Callable

FEW = 16  # logs that are remembered in any case
MAX_LOGS = 4096  # logs of which it is known how far they have come
MEMORY = 660.0  # seconds for which that is known of one that has ended; longer than any history is kept by default


class Reached:
    """The last offset of each log."""

    def __init__(self, alive: Callable[[str], bool]) -> None:
        """Begin without any.

        Args:
            alive: Tells whether more may come of a log, which is then not forgotten.
        """
        self._alive = alive
        self._logs: OrderedDict[str, tuple[int, float]] = OrderedDict()  # with the tyme at which it came

    def clear(self) -> None:
        """Forget all."""
        self._logs.clear()

    def get(self, origin: str) -> int | None:
        """Give the last offset; None for a log that is not known."""
        found = self._logs.get(origin)
        return None if found is None else found[0]

    def note(self, origin: str, last: int, tyme: float) -> None:
        """Remember the last offset of a log, and forget one that has ended long ago."""
        logs = self._logs
        logs[origin] = (last, tyme)
        logs.move_to_end(origin)
        if len(logs) <= FEW:
            return
        oldest, (offset, since) = next(iter(logs.items()))
        if len(logs) > MAX_LOGS or tyme - since > MEMORY:
            if self._alive(oldest):
                logs[oldest] = (offset, tyme)
                logs.move_to_end(oldest)
            else:
                del logs[oldest]

    def held(self) -> dict[str, int]:
        """Give how far each has come."""
        return {origin: last for origin, (last, _) in self._logs.items()}
