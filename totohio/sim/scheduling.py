"""Virtual time: what is to happen, by tyme, and the processes that have their turns in between.

Nothing waits. A heap holds what is to happen; processes whose sockets are ready, or whose Doers are due, run a cycle
each, and when nothing is left to do at this tyme, tyme jumps to whatever comes next. All of it happens in one thread,
so the order of things is the same in each run of the same seed.
"""

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from totohio.base.errors import TotohioError
from totohio.sim.seeding import Dice

if TYPE_CHECKING:
    from totohio.sim.processing import Process

SPIN = 100_000  # cycles in a row between which nothing happens, after which something is taken to spin
STEPS = 3_000_000  # of all kinds at one tyme: a million calls where nothing takes time are fewer, and take a minute


class Stuck(AssertionError):
    """Scripts are not done and never will be, or not in time; or tyme does not go on."""


def check_seconds(seconds: float) -> None:
    """Refuse what is no time that work can take; infinite seconds are work that never ends.

    Raises:
        ValueError: They are negative or not a number.
    """
    if not seconds >= 0.0:
        raise ValueError(f"work takes seconds from 0 on, not {seconds}")


def _never() -> bool:
    return False


class Schedule:
    """Virtual time, and what happens in it.

    Attributes:
        tyme: Virtual time in seconds, from 0.
        lag: Seconds of work that the process which runs now has done in this cycle; its own time is tyme and this.
        runnable: The processes that have a cycle next, before tyme goes on.
        current: The process that runs now, None between the turns of two.
    """

    def __init__(self, dice: Dice | None) -> None:
        """Begin at tyme 0.

        Args:
            dice: Choose which of several processes goes first; None takes them in the order of their rousing.
        """
        self.tyme = 0.0
        self.lag = 0.0
        self.runnable: deque[Process] = deque()
        self.current: Process | None = None
        self._dice = dice
        self._heap: list[tuple[float, int, Callable[..., Any], tuple[Any, ...]]] = []
        self.number = itertools.count(1).__next__

    @property
    def eventful(self) -> bool:
        """Something is left that will happen."""
        return bool(self._heap or self.runnable)

    def judge(self) -> None:
        """See after each step whether the run has failed; what this raises ends it."""

    def at(self, tyme: float, function: Callable[..., Any], *args: Any) -> None:
        """Have something happen at a tyme in seconds; at once when that has passed, never when it is infinite.

        Raises:
            ValueError: It is not a number.
        """
        if not tyme > self.tyme:
            if tyme != tyme:
                raise ValueError("tyme is a number of seconds, not NaN")
            tyme = self.tyme
        if tyme != math.inf:
            heapq.heappush(self._heap, (tyme, self.number(), function, args))

    def after(self, seconds: float, function: Callable[..., Any], *args: Any) -> None:
        """Have something happen so many seconds from now."""
        self.at(self.tyme + self.lag + seconds, function, *args)

    def soon(self, function: Callable[..., Any], *args: Any) -> None:
        """Have something happen next, at this tyme."""
        self.at(self.tyme, function, *args)

    def spend(self, seconds: float) -> None:
        """Let the process that runs now be busy for so long: the rest of its cycle, and its next one, come later.

        Raises:
            ValueError: The seconds are negative or not a number.
        """
        check_seconds(seconds)
        self.lag += seconds

    def clear(self) -> None:
        """Let nothing happen any more."""
        self._heap.clear()
        self.runnable.clear()

    def pass_until(self, end: float, enough: Callable[[], Any] = _never) -> bool:
        """Let time pass until it is enough, or until ``end``; tyme is ``end`` then, unless that is infinite.

        Returns:
            It is enough.

        Raises:
            Stuck: Tyme does not go on, since a Doer spins or things follow each other at once without an end.
            TotohioError: A process asks for it in the middle of its turn.
            ValueError: The end is not a number.
        """
        if end != end:
            raise ValueError("tyme is a number of seconds, not NaN")
        if self.current is not None:
            raise TotohioError(f"{self.current} cannot let time pass: a script or method yields what it waits for")
        heap, runnable = self._heap, self.runnable
        spins = steps = 0
        while True:
            self.judge()
            if enough():
                return True
            if runnable:
                spins += 1
                steps += 1
                if spins > SPIN or steps > STEPS:
                    raise self._stuck(spins, runnable[0])
                self._next().cycle()
            elif heap and heap[0][0] <= end:
                tyme = heap[0][0]
                spins = 0
                if tyme > self.tyme:
                    self.tyme = tyme
                    steps = 0
                while heap and heap[0][0] <= tyme:  # all of one tyme, before the processes have their turn
                    _, _, function, args = heapq.heappop(heap)
                    function(*args)
                    steps += 1
                    if steps > STEPS:
                        raise self._stuck(0, function)
            elif self.tyme < end < math.inf:
                self.tyme = end  # and what holds until then may not hold now
            else:
                return False

    def _stuck(self, spins: int, last: object) -> Stuck:
        if spins > SPIN:
            return Stuck(f"{last} spins: {SPIN} cycles at tyme {self.tyme}")
        name = getattr(last, "__qualname__", last)
        return Stuck(f"tyme does not go on from {self.tyme}: {STEPS} things have happened at it, the last was {name}")

    def _next(self) -> "Process":
        """Take the process that has the next cycle."""
        runnable = self.runnable
        if self._dice is not None and len(runnable) > 1:
            runnable.rotate(-self._dice.below(len(runnable)))
        return runnable.popleft()
