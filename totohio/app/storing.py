"""The Doer that commits what calls have written."""

import logging
from collections.abc import Callable
from typing import Any

from totohio.app.keeping import Keeper
from totohio.base.doing import FOREVER, Doer
from totohio.base.futures import Future
from totohio.core.ports import StoreError
from totohio.store import opening

logger = logging.getLogger("totohio")

SWEEP_PAUSE = 10.0  # seconds of tyme between two looks for what has expired
SWEEP_SLICE = 500  # records that are removed at a time


class SessionDoer(Doer):
    """Commits what each cycle has queued, as one group, and removes what has expired, some at a time."""

    attentive = False

    def __init__(self, keeper: Keeper) -> None:
        super().__init__()
        self.keeper = keeper
        self.journal = keeper.journal
        self._sweeping = False
        self._sweep_at = 0.0
        self._flush: Callable[[], Any] | None = getattr(keeper.store, "flush", None)
        self._wanted: Callable[[], bool] = getattr(keeper.store, "wanted", _never)

    def due(self, tyme: float) -> float:
        """At once when something is queued; else when it is time to look for what has expired."""
        if self.journal.due or self._wanted():
            return 0.0
        return FOREVER if self._sweeping or not opening.opened(self.keeper.store) else self._sweep_at

    def enter(self, *, temp: bool | None = None) -> None:
        """Open the store."""
        self.keeper.store.open()
        self.keeper.running = True
        self._sweep_at = self.tyme + SWEEP_PAUSE

    def recur(self, tyme: float) -> bool:
        """Send the group of this cycle."""
        self.journal.flush()
        if self._flush is not None:
            self._flush()
        if tyme >= self._sweep_at and not self._sweeping and opening.opened(self.keeper.store):
            self._sweep(tyme)
        return False

    def exit(self) -> None:
        """Give up what is queued, and close the store when the group that is on its way is there."""
        self.journal.flush()
        self.keeper.running = False
        self.keeper.close()
        self.journal.end()

    def _sweep(self, tyme: float) -> None:
        self._sweeping = True

        def swept(future: Future[int]) -> None:
            self._sweeping = False
            error = future.exception()
            if error is not None:
                logger.debug("expired records stay for now", exc_info=error)
            more = error is None and future.result() >= SWEEP_SLICE
            self._sweep_at = self.tyme if more else self.tyme + SWEEP_PAUSE

        try:
            future = self.keeper.store.sweep(self.keeper.environment.clock.now(), SWEEP_SLICE)
        except StoreError:
            self._sweeping = False
            self._sweep_at = tyme + SWEEP_PAUSE
        else:
            future.add_done_callback(swept)


def _never() -> bool:
    return False
