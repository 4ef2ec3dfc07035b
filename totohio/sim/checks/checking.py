"""What must hold in a world: always, eventually, sometimes.

An ``always`` is asked after every step of the world. An ``eventually`` is a promise for the time without faults:
it is asked from its declaration or from the moment at which the world is healed, whichever is later, and has to hold
once until its deadline. A ``sometimes`` fails no run; it is counted, and a whole sweep in which it never held fails,
because such a sweep has not tried what it was made for.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from totohio.base.errors import TotohioError
from totohio.sim.pictures.tracing import Trace

Predicate = Callable[[], Any]


class Watched(Protocol):
    """What the checks need of a world."""

    @property
    def tyme(self) -> float:
        """Its time in seconds."""

    @property
    def trace(self) -> Trace:
        """Its trace."""


class CheckFailed(AssertionError):
    """What should hold does not.

    Attributes:
        check: always, eventually or sometimes.
        name: What should hold, as its author named it.
        tyme: When that was found; None for a whole sweep.
    """

    def __init__(self, check: str, name: str, text: str, tyme: float | None = None) -> None:
        super().__init__(f'{check} "{name}" {text}')
        self.check = check
        self.name = name
        self.tyme = tyme


@dataclass(slots=True)
class _Promise:
    name: str
    predicate: Predicate
    within: float
    since: float

    @property
    def deadline(self) -> float:
        return self.since + self.within


class Checks:
    """The checks of one world.

    Attributes:
        counts: How often each ``sometimes`` held, also those that were asked and never did.
    """

    __slots__ = ("_always", "_asking", "_healed", "_promises", "_world", "counts")

    def __init__(self, world: Watched) -> None:
        self.counts: dict[str, int] = {}
        self._world = world
        self._always: list[tuple[str, Predicate]] = []
        self._promises: list[_Promise] = []
        self._healed = False
        self._asking = False

    def always(self, name: str, predicate: Predicate) -> None:
        """Have it fail the run when a predicate does not hold after some step from now on."""
        self._always.append((name, predicate))

    def eventually(self, name: str, predicate: Predicate, within: float) -> None:
        """Have it fail the run when a predicate does not hold in time.

        Args:
            name: What it says.
            predicate: Has to hold once in that time, not before it.
            within: Seconds from now, or from when the world is healed if that is later.

        Raises:
            ValueError: The time is negative, or has no end.
        """
        if not 0.0 <= within < math.inf:
            raise ValueError(f"within: expected seconds from 0, got {within!r}")
        self._promises.append(_Promise(name, predicate, within, self._world.tyme))

    def sometimes(self, name: str, condition: Any = True) -> bool:
        """Count that something happened, if it did, and tell whether it did."""
        count = self.counts.setdefault(name, 0)
        if not condition:
            return False
        if count == 0:
            self._note("sometimes", name, "held")
        self.counts[name] = count + 1
        return True

    def step(self) -> None:
        """Look after a step of the world.

        Raises:
            CheckFailed: Something does not hold that should.
            TotohioError: A predicate does more than to look.
        """
        if self._asking:
            raise TotohioError("a predicate cannot let time pass, or start hosts: it only looks")
        if self._always:
            for name, predicate in self._always:
                if not self._ask("always", name, predicate):
                    self._note("always", name, "failed")
                    raise CheckFailed("always", name, f"does not hold at tyme {self._world.tyme:.6g}", self._world.tyme)
        if self._healed and self._promises:
            self._keep()

    def heal(self) -> None:
        """Begin the time in which the promises have to hold: from now on the world has no faults.

        Raises:
            CheckFailed: Something does not hold that should.
        """
        if not self._healed:
            self._healed = True
            for promise in self._promises:
                promise.since = self._world.tyme
        self.step()

    @property
    def pending(self) -> list[str]:
        """The names of the ``eventually`` that have not held yet."""
        return [promise.name for promise in self._promises]

    @property
    def deadline(self) -> float | None:
        """The tyme until which the next of them must hold, when `step` is due; None before `heal` or if none waits."""
        if not self._healed:
            return None
        return min((promise.deadline for promise in self._promises), default=None)

    def _keep(self) -> None:
        tyme = self._world.tyme
        waiting: list[_Promise] = []
        for promise in self._promises:
            if self._ask("eventually", promise.name, promise.predicate):
                self._note("eventually", promise.name, "held")
                continue
            if tyme >= promise.deadline:
                self._note("eventually", promise.name, "failed")
                text = f"did not hold within {promise.within:g} s from tyme {promise.since:.6g} on"
                raise CheckFailed("eventually", promise.name, text, tyme)
            waiting.append(promise)
        self._promises = waiting

    def _ask(self, check: str, name: str, predicate: Predicate) -> bool:
        self._asking = True
        try:
            return bool(predicate())
        except Exception as error:
            self._note(check, name, "raised")
            text = f"cannot be told at tyme {self._world.tyme:.6g}: {type(error).__name__}: {error}"
            raise CheckFailed(check, name, text, self._world.tyme) from error
        finally:
            self._asking = False

    def _note(self, check: str, name: str, word: str) -> None:
        self._world.trace.note(self._world.tyme, "", "check", name, check, word)
