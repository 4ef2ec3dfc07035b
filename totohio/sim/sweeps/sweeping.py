"""A sweep: one function in many worlds, one for each seed, until one fails.

Python's garbage collector is off while a world runs: when it runs depends on all that the process has ever done, and
with it what finalizers and weak references do. Garbage is collected between the worlds.
"""

import functools
import gc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from totohio.base.clocking import Clock
from totohio.sim.checks.checking import CheckFailed
from totohio.sim.profiles import Profile
from totohio.sim.sweeps.ordering import News, Orders
from totohio.sim.sweeps.reporting import Subject, difference, report, trim, written
from totohio.sim.sweeps.shrinking import shrink, signature
from totohio.sim.sweeps.trying import Factory, Trial, attempt, quietly

TWICE = 2  # seeds of each sweep that are run twice, to see that a run depends on nothing but its seed
GARBAGE = 50_000  # containers that have come since the last collection and make it due
FROZEN = gc.get_freeze_count()  # containers that the interpreter has frozen by itself: some hundreds in CPython 3.12
LONGEST = 32  # seeds after which a collection is due in any case
NEAR = 4  # seeds that are tried on either side of one that fails, to find one that passes
LISTED = 20  # further seeds that fail which are named


class DeterminismError(AssertionError):
    """Two runs of one seed were not the same."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep has done.

    Attributes:
        runs: How many seeds.
        seconds: How long that took.
        sometimes: In how many of the runs each ``sometimes`` held.
    """

    runs: int
    seconds: float
    sometimes: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What a simulated test asks for.

    Attributes:
        function: The test.
        seeds: How many seeds it is run with.
        faults: The profile of its worlds.
        first: The first seed.
        sometimes: What has to hold in some run of a sweep.
        check_determinism: Run every seed twice, or none; None does it with the first few.
        factory: Makes its worlds.
        options: Further options of them.
        folder: The working directory when it was defined.
    """

    function: Callable[..., object]
    seeds: int
    faults: str | Profile
    first: int
    sometimes: frozenset[str]
    check_determinism: bool | None
    factory: Factory
    options: Mapping[str, Any]
    folder: Path

    def planned(self, orders: Orders) -> range:
        """Give the seeds that a sweep is made of, whoever does them."""
        first = self.first if orders.first is None else orders.first
        return range(first, first + (self.seeds if orders.seeds is None else orders.seeds))


def announce(scenarios: Sequence[Scenario]) -> None:
    """Tell whoever asked for them how many tests and seeds are going to be run in this process."""
    orders = Orders.read()
    seeds = sum(len(orders.share(scenario.planned(orders))) for scenario in scenarios)
    News(orders.news).send(tests=len(scenarios), seeds=seeds)


class Collector:
    """Keeps the garbage collector out of the runs, and lets it work between them."""

    def __init__(self) -> None:
        self._enabled = False
        self._frozen = False
        self._runs = 0

    def __enter__(self) -> "Collector":
        self._enabled = gc.isenabled()
        gc.disable()
        self._frozen = gc.get_freeze_count() <= FROZEN
        if self._frozen:
            gc.freeze()  # what is here already need not be looked at each time: 25 ms less each time under pytest
        return self

    def step(self) -> None:
        """Collect if it is time; between two runs."""
        self._runs += 1
        if self._runs >= LONGEST or gc.get_count()[0] > GARBAGE:
            self._runs = 0
            gc.collect()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._frozen:
            gc.unfreeze()
        if self._enabled:
            gc.enable()


@dataclass
class _Failing:
    """Seeds that fail alike."""

    error: BaseException
    seeds: list[int] = field(default_factory=list)


class _Sweeper:
    def __init__(self, scenario: Scenario, body: Callable[[Any], object], orders: Orders, subject: Subject) -> None:
        self.scenario = scenario
        self.orders = orders
        self.subject = subject
        self.news = News(orders.news)
        self.counts = dict.fromkeys(sorted(scenario.sometimes), 0)
        self.failing: dict[tuple[str | int, ...], _Failing] = {}
        self._body = body
        self._passing: Trial | None = None
        self._collector = Collector()
        self._faults = orders.faults or scenario.faults

    def run(self, seeds: range) -> int:
        """Do the seeds, and give how many were done."""
        __tracebackhide__ = True
        determinism = self.scenario.check_determinism
        twice = len(seeds) if determinism or self.orders.check_determinism else TWICE if determinism is None else 0
        done = 0
        with self._collector:
            for seed in seeds:
                trial = self.once(seed)
                error = trial.error if trial.error is not None or done >= twice else self.compare(trial)
                for name, count in trial.sometimes.items():
                    self.counts[name] = self.counts.get(name, 0) + (count > 0)
                done += 1
                if error is None:
                    self._passing = trial
                else:
                    self.fail(replace(trial, error=error), error, done)
                    if not self.orders.keep_going:
                        break
                self.news.progress(self.subject.name, done)
        return done

    def once(self, seed: int, faults: str | Profile | None = None, without: Iterable[int] = ()) -> Trial:
        __tracebackhide__ = True
        scenario = self.scenario
        try:
            trial = attempt(self._body, scenario.factory, seed, faults or self._faults, without, scenario.options)
        except KeyboardInterrupt as error:
            self.news.send(stopped=f"{self.subject.name} with seed {seed} {error}".rstrip())
            raise
        self._collector.step()
        return trial

    def again(self, seed: int, faults: str | Profile | None = None, without: Iterable[int] = ()) -> Trial:
        """Do it without showing what it prints: that has been seen, or is not what was asked for."""
        with quietly():
            return self.once(seed, faults, without)

    def compare(self, trial: Trial) -> DeterminismError | None:
        """Run a seed that passed once more, and tell whether it went the same way."""
        other = self.again(trial.seed)
        if other.error is None and other.trace.digest() == trial.trace.digest():
            return None
        text = f"two runs of seed {trial.seed} differ"
        if other.error is not None:
            text += f": the second fails with {type(other.error).__name__}: {other.error}"
        error = DeterminismError("\n".join([text, *difference(trial.trace, other.trace)]))
        error.__cause__ = other.error
        return error

    def fail(self, trial: Trial, error: BaseException, done: int) -> None:
        """Keep the failure, after so many seeds; report it if none before was like it."""
        twice = isinstance(error, DeterminismError)
        kind = signature(error)
        if kind not in self.failing:
            self.failing[kind] = _Failing(trim(error))
            shrunk = None if twice else shrink(trial, functools.partial(self.again, trial.seed))
            lonely = not twice and (shrunk is None or (shrunk.alike and shrunk.passing is None))
            passing = self.neighbour(trial.seed) if lonely else None
            folder = self.orders.folder
            error.add_note(report(trial, self.subject, shrunk=shrunk, passing=passing, twice=twice, folder=folder))
        self.failing[kind].seeds.append(trial.seed)
        new = len(self.failing[kind].seeds) == 1
        text = written(error) if new else None
        self.news.send(test=self.subject.name, seed=trial.seed, kind=repr(kind), failure=text, done=done)

    def neighbour(self, seed: int) -> Trial | None:
        """Find a seed near one that fails that passes, the last before it if there is one."""
        for near in [*range(seed - 1, seed - 1 - NEAR, -1), *range(seed + 1, seed + 1 + NEAR)]:
            if self._passing is not None and self._passing.seed == near:
                return self._passing
            if near >= 0:
                trial = self.again(near)
                if trial.error is None:
                    return trial
        return None


def sweep(scenario: Scenario, body: Callable[[Any], object], subject: Subject) -> Sweep:
    """Run what a scenario asks for, as the orders of this process change it.

    Args:
        scenario: What is asked for.
        body: Gets the world.
        subject: How it is found again.

    Raises:
        BaseException: What the body or its world raised with the first seed that failed.
        CheckFailed: A ``sometimes`` never held.
    """
    __tracebackhide__ = True
    orders = Orders.read()
    sweeper = _Sweeper(scenario, body, orders, subject)
    seeds = scenario.planned(orders)
    clock = Clock()
    start = clock.monotonic()
    done = sweeper.run(orders.share(seeds))
    result = Sweep(done, clock.monotonic() - start, sweeper.counts)
    sweeper.news.send(test=subject.name, runs=done, sometimes=sweeper.counts, seeds=scenario.seeds)
    if sweeper.failing:
        error, kinds = next(iter(sweeper.failing.values())).error, sweeper.failing.values()
        if sum(len(failing.seeds) for failing in kinds) > 1:
            error.add_note("\n".join(["all that failed:", *map(_several, kinds)]))
        raise error
    if orders.news is None and len(seeds) >= scenario.seeds and orders.part == "1/1":
        for name, count in sweeper.counts.items():
            if count == 0:
                raise CheckFailed("sometimes", name, f"never held in {done} runs (seeds {seeds[0]} to {seeds[-1]})")
    return result


def _several(failing: _Failing) -> str:
    error = failing.error
    seeds = ", ".join(map(str, failing.seeds[:LISTED])) + (", ..." if len(failing.seeds) > LISTED else "")
    return f"  {type(error).__name__}: {str(error).partition(chr(10))[0]} (seeds {seeds})"
