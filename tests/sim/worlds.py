"""A world that is nothing but a list of steps: what runs, shrinks and reports needs no more of one."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Self

from totohio.sim.checks.checking import Checks
from totohio.sim.pictures.tracing import Trace
from totohio.sim.seeding import Dice

COUNTS = {"still": 0, "sunny": 0, "stormy": 8, "radioactive": 20}  # faults that are drawn


@dataclass(frozen=True)
class ToyFault:
    index: int
    tyme: float

    def __str__(self) -> str:
        return f"fault {self.index}: thunder at {self.tyme:g} s"


class ToyPlan:
    def __init__(self, drawn: list[ToyFault]) -> None:
        self.drawn = drawn
        self.fired: list[ToyFault] = []


class ToyWorld:
    """A world whose time goes by in steps of one second, each with at most one fault."""

    def __init__(
        self, seed: int = 0, *, faults: str = "sunny", without: Collection[int] = frozenset(), steps: int = 10
    ) -> None:
        self.seed = seed
        self.faults = faults
        self.tyme = 0.0
        self.trace = Trace()
        self.checks = Checks(self)
        self.dice = Dice(seed)
        dice = Dice(seed, "faults")
        self.plan = ToyPlan([ToyFault(index, float(1 + dice.below(steps))) for index in range(COUNTS[faults])])
        self.hooks: list[Callable[[Any], object]] = []
        self._without = without
        self._steps = steps
        self._calm = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def fired(self) -> set[int]:
        """The indices of the faults that have happened."""
        return {fault.index for fault in self.plan.fired}

    def note(self, kind: str, *details: Any) -> None:
        self.trace.note(self.tyme, "toy", kind, *details)

    def run(self, seconds: int | None = None) -> None:
        for _ in range(seconds or self._steps):
            self._step()

    def settle(self) -> None:
        self._calm = True
        self.checks.heal()
        while self.checks.deadline is not None:
            self._step()

    def _step(self) -> None:
        self.tyme += 1.0
        self.note("step", self.dice.below(100))
        for fault in self.plan.drawn:
            if fault.tyme == self.tyme and fault.index not in self._without and not self._calm:
                self.plan.fired.append(fault)
                self.trace.note(self.tyme, "", "fault", fault.index)
        for hook in self.hooks:
            hook(self)
        self.checks.step()

    def always(self, name: str, predicate: Callable[[], Any]) -> None:
        self.checks.always(name, predicate)

    def eventually(self, name: str, predicate: Callable[[], Any], within: float) -> None:
        self.checks.eventually(name, predicate, within)

    def sometimes(self, name: str, condition: Any = True) -> None:
        self.checks.sometimes(name, condition)
