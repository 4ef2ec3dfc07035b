"""From a run that fails to the few faults that it takes: the same seed, again and again, with fewer of them.

Two runs fail alike when an exception of the same type comes from the same line of the user's code, or when the same
check does not hold. Which faults are needed is found by delta debugging (Zeller and Hildebrandt, "Simplifying and
Isolating Failure-Inducing Input", 2002): what is left in the end is minimal in so far as none of them can be left out.
"""

import sysconfig
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

import totohio
from totohio.base.clocking import Clock
from totohio.sim.checks.checking import CheckFailed
from totohio.sim.profiles import PROFILES, Profile, profile_name
from totohio.sim.sweeps.trying import Fault, Trial

RUNS = 200  # that are spent on one failure at most: two seconds of small ones
SECONDS = 30.0  # that are spent on one failure at most, if its runs take long
TRIED = 4  # faults that are left out at most, one after the other, to find a run that passes
CALM = tuple(name for name, profile in PROFILES.items() if not profile.faults)  # the calmest first

OWN = str(Path(totohio.__file__).parent)
FOREIGN = tuple({f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")})


class Again(Protocol):
    """Runs the seed that failed once more."""

    def __call__(self, faults: str | Profile, without: frozenset[int]) -> Trial:
        """Run it in another profile, or without some of the faults."""


@dataclass(frozen=True, kw_only=True)
class Shrunk:
    """What was found out about a failure.

    Attributes:
        repeated: The run that was made exactly as the failing one.
        alike: It failed as that did; where it did not, nothing else is known.
        needed: The faults without any of which it does not fail.
        calm: A profile without faults in which it fails as well; None when there is none.
        minimal: Each of the faults is needed for certain: the search came to its end.
        failing: A run with only those faults.
        passing: A run that passes with one fault less; None when there is none.
        missing: That fault.
        runs: How many runs it took.
    """

    repeated: Trial
    alike: bool
    needed: tuple[Fault, ...]
    calm: str | None = None
    minimal: bool = True
    failing: Trial | None = None
    passing: Trial | None = None
    missing: Fault | None = None
    runs: int


# ---------------------------------------------------------------- what is the same failure


def signature(error: BaseException) -> tuple[str | int, ...]:
    """Give what two exceptions have in common that tell of the same failure."""
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    if isinstance(error, CheckFailed):
        cause = error.__cause__
        return (kind, error.check, error.name) if cause is None else (kind, error.check, error.name, *signature(cause))
    return kind, *place(error)


def place(error: BaseException) -> tuple[str, int]:
    """Give file and line where an exception comes from: the innermost ones of the user's code, if there are any."""
    frames = [(entry.tb_frame.f_code.co_filename, entry.tb_lineno) for entry in steps(error.__traceback__)]
    users = [frame for frame in frames if of_user(frame[0])]
    return (users or frames or [("", 0)])[-1]


def steps(traceback: TracebackType | None) -> Iterator[TracebackType]:
    """Give the entries of a traceback, the outermost first."""
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def of_user(file: str) -> bool:
    """Tell whether a file is the user's: not ours, not Python's and not an installed package's."""
    return not file.startswith((f"{OWN}/", "<frozen ", *FOREIGN))


# ---------------------------------------------------------------- fewer


def smaller(faults: Sequence[Fault], fails: Callable[[Sequence[Fault]], bool]) -> Iterator[Sequence[Fault]]:
    """Give ever smaller parts of some faults that still fail; none can be left out of the last one.

    Args:
        faults: With all of these it fails, with none of them it does not.
        fails: Tells whether it fails with no other faults than some.
    """
    count = 2  # of the pieces that are tried
    while len(faults) > 1:
        pieces = [faults[len(faults) * n // count : len(faults) * (n + 1) // count] for n in range(count)]
        rests = [[fault for fault in faults if fault not in piece] for piece in pieces] if count > 2 else []
        for n, part in enumerate([*pieces, *rests]):
            if fails(part):
                faults, count = part, 2 if n < count else max(count - 1, 2)
                yield faults
                break
        else:
            if count == len(faults):
                return
            count = min(count * 2, len(faults))


class _Spent(Exception):
    """No further run is allowed."""


class _Attempts:
    """The runs that are made for one failure."""

    def __init__(self, trial: Trial, again: Again, runs: int, seconds: float) -> None:
        assert trial.error is not None, "a run that passes needs no faults"
        self.made = 0
        self._trial = trial
        self._again = again
        self._limit = runs
        self._clock = Clock()
        self._end = self._clock.monotonic() + seconds
        self._signature = signature(trial.error)
        self._drawn = frozenset(fault.index for fault in trial.drawn)
        self._known: dict[frozenset[int], bool] = {}

    def alike(self, trial: Trial) -> bool:
        return trial.error is not None and signature(trial.error) == self._signature

    def repeat(self, faults: str | None = None, without: frozenset[int] = frozenset()) -> Trial:
        self.made += 1
        return self._again(faults or self._trial.faults, without)

    def only(self, faults: Sequence[Fault]) -> Trial:
        """Run it with no other faults than these."""
        return self.repeat(without=self._drawn - {fault.index for fault in faults})

    def fails(self, faults: Sequence[Fault]) -> bool:
        """Tell whether it fails alike with no other faults than these."""
        kept = frozenset(fault.index for fault in faults)
        if kept not in self._known:
            self._pay()
            self._known[kept] = self.alike(self.only(faults))
        return self._known[kept]

    def calm(self) -> Trial | None:
        """Find the calmest profile without faults in which it fails alike."""
        name = profile_name(self._trial.faults)
        profiles = CALM[: CALM.index(name)] if name in CALM else CALM
        for profile in profiles:
            self._pay()
            trial = self.repeat(profile)
            if self.alike(trial):
                return trial
        return None

    def _pay(self) -> None:
        if self.made >= self._limit or self._clock.monotonic() >= self._end:
            raise _Spent


def shrink(trial: Trial, again: Again, *, runs: int = RUNS, seconds: float = SECONDS) -> Shrunk:
    """Find out which faults a failing run needs.

    Args:
        trial: The failing run.
        again: Runs its seed once more.
        runs: How many runs may be spent, apart from the few that the result is made of.
        seconds: How much time may be spent; a run that has begun is waited for.
    """
    attempts = _Attempts(trial, again, runs, seconds)
    repeated = attempts.repeat()
    needed: Sequence[Fault] = trial.fired
    if not attempts.alike(repeated):
        return Shrunk(repeated=repeated, alike=False, needed=trial.fired, minimal=False, runs=attempts.made)
    minimal = False
    try:
        calm = attempts.calm()
        if calm is not None:
            return Shrunk(
                repeated=repeated,
                alike=True,
                needed=(),
                calm=profile_name(calm.faults),
                failing=calm,
                runs=attempts.made,
            )
        if attempts.fails(()):
            needed = ()
        else:
            for part in smaller(trial.fired, attempts.fails):
                needed = part
        minimal = True
    except _Spent:
        pass
    failing = attempts.only(needed)
    missing, passing = _one_less(needed, attempts)
    return Shrunk(
        repeated=repeated,
        alike=True,
        needed=tuple(needed),
        minimal=minimal,
        failing=failing if attempts.alike(failing) else None,
        passing=passing,
        missing=missing,
        runs=attempts.made,
    )


def _one_less(needed: Sequence[Fault], attempts: _Attempts) -> tuple[Fault | None, Trial | None]:
    """Find a run that passes, with all but one of the faults, and that one."""
    for missing in needed[:TRIED]:
        trial = attempts.only([fault for fault in needed if fault is not missing])
        if trial.error is None:
            return missing, trial
    return None, None
