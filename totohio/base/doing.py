"""Our Doers over hio's, alike on all its generations.

hio 0.6 and 0.7 differ in what they pass to ``enter`` and ``do`` and in the name of the forced-exit
hook, so nothing but ``tymth`` and ``tock`` goes up to hio, and clean-up happens in ``exit`` alone.

A Doist that waits has to know when each Doer wants to run. An ordinary Doer says it with its tock. Ours
keep tock 0.0, so that they run in every cycle that happens, and say with `due` when a cycle has to
happen for their sake: sooner or later a socket, or a thread, wakes the poller anyway.
"""

import math
from collections.abc import Iterable
from typing import Any

from hio.base import doing

FOREVER = math.inf
CADENCE = 0.03125  # seconds: how long a stock Doist lets a Doer wait that wants to run "as soon as possible"


class Doer(doing.Doer):  # type: ignore[misc]
    """A Doer that runs in every cycle and says when it next needs one.

    `enter` acquires, `recur` does bounded work and never blocks, `exit` releases and may come twice.

    Attributes:
        attentive: It runs in every cycle that happens; False lets a `DoDoer` pass it over until it is due.
    """

    attentive = True

    def __init__(self, *, tymth: Any = None) -> None:
        super().__init__(tymth=tymth, tock=0.0)

    def due(self, tyme: float) -> float:
        """The tyme in seconds at which it needs a cycle; infinity when only a wake-up brings it work."""
        return FOREVER

    def enter(self, *, temp: bool | None = None) -> None:
        """Acquire what recur needs."""

    def recur(self, tyme: float) -> bool:
        """Do a bounded piece of work; True ends the Doer."""
        return False

    def exit(self) -> None:
        """Release everything; twice does no harm."""


class DoDoer(doing.DoDoer):  # type: ignore[misc]
    """A Doer that runs others in turn and is due when the first of them is."""

    def __init__(self, *, doers: list[Any], tymth: Any = None) -> None:
        super().__init__(doers=doers, tymth=tymth, tock=0.0)
        self._passed = FOREVER  # when the first is due of those that were passed over after the last one that ran
        self._others: list[tuple[Any, float, Any]] = []  # the deeds of the others

    def due(self, tyme: float) -> float:
        """The earliest tyme in seconds at which one of its Doers that still run needs a cycle."""
        return soonest(self.deeds, tyme, CADENCE)

    def due_next(self, tyme: float) -> float:
        """What `due` gives, for who calls it right after `recur`: Doers are not asked twice for what they have said.

        Nothing may have happened since, but for what wakes the poller.
        """
        return min(self._passed, soonest(self._others, tyme, CADENCE))

    def enter(self, doers: Any = None, **kwa: Any) -> Any:
        """Enter the given Doers, or its own."""
        return super().enter(doers=doers, **kwa)

    def recur(self, tyme: float, deeds: Any = None) -> bool:
        """Run each of its Doers once that is due; True when all are done.

        A Doer of ours that is neither attentive nor due is passed over. To send it the tyme costs 0.8
        microseconds, to ask it 0.2, and a cycle mostly has work for one of five.
        """
        if deeds is None:
            deeds = self.deeds
        passed, first = [], FOREVER
        self._others = others = []
        deeds.append((None, None, None))  # where this round ends, as hio marks it
        while deeds:
            deed = deeds.popleft()
            dog, retyme, doer = deed
            if dog is None:
                break
            if retyme > tyme:
                deeds.append(deed)
                others.append(deed)
                continue
            if not getattr(doer, "attentive", True):
                due = doer.due(tyme)
                if due > tyme:
                    if due < first:
                        first = due
                    deeds.append(deed)
                    passed.append(deed)
                    continue
            try:
                tock = dog.send(tyme)
            except StopIteration as stop:
                getattr(doer, "__func__", doer).done = stop.value or False  # a bound method cannot be written to
            else:
                deed = (dog, retyme + tock if tock else tyme + self.tock, doer)
                deeds.append(deed)
                others.append(deed)
            if passed:  # what has run may have brought them something
                others += passed
                passed, first = [], FOREVER
        self._passed = first
        return not deeds


def soonest(deeds: Iterable[tuple[Any, float, Any]], tyme: float, cadence: float) -> float:
    """The tyme at which the first of these deeds wants to run.

    Args:
        deeds: Of a Doist or DoDoer: dog, tyme from which on it may run, Doer.
        tyme: Now.
        cadence: Seconds that an ordinary Doer without a tock waits at most.
    """
    first = FOREVER
    for _, retyme, doer in deeds:
        if isinstance(doer, OURS):
            due = doer.due(tyme)
            if due < retyme:
                due = retyme
        elif retyme != tyme:
            due = retyme  # later, or late already: then it has cycles to catch up
        elif isinstance(doer, doing.DoDoer):
            due = soonest(doer.deeds, tyme, cadence)
        else:
            due = tyme + cadence
        if due < first:  # not with min and max, which are calls: this runs in every cycle
            if due <= tyme:
                return due
            first = due
    return first


OURS = (Doer, DoDoer)
