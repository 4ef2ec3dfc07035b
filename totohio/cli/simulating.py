"""Carrying out ``totohio sim``: what is asked of the jobs, how far they are, and what came of it."""

import importlib.util
import sys
from contextlib import closing
from dataclasses import replace
from typing import Any, Protocol

from totohio.base.clocking import Clock
from totohio.cli.parsing import Order, UsageError
from totohio.sim.profiles import PROFILES
from totohio.sim.sweeps.distributing import NOTHING, UNKNOWN, Distribution, Failure, named
from totohio.sim.sweeps.ordering import Orders

INTERVAL = 10.0  # seconds between two lines about the progress, where there is no terminal
LISTED = 20  # seeds that fail which are named


class Progress(Protocol):
    """Shows how far a sweep is."""

    def show(self, sweep: Distribution) -> None:
        """Show it, if it is time."""

    def close(self) -> None:
        """Leave the screen to others."""


class Bar:
    """A bar on a terminal."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._bar: Any = tqdm(unit=" seeds", file=sys.stderr, dynamic_ncols=True, leave=False)

    def show(self, sweep: Distribution) -> None:
        """Draw it anew."""
        if self._bar.total != sweep.total:
            self._bar.total = sweep.total
        self._bar.set_postfix(failures=sweep.failing, refresh=False)
        self._bar.update(sweep.done - self._bar.n)

    def close(self) -> None:
        """Take it away."""
        self._bar.close()


class Lines:
    """A line now and then."""

    def __init__(self) -> None:
        self._clock = Clock()
        self._start = self._clock.monotonic()
        self._due = self._start + INTERVAL

    def show(self, sweep: Distribution) -> None:
        """Write one, if it is time."""
        now = self._clock.monotonic()
        if now >= self._due:
            self._due = now + INTERVAL
            total = "?" if sweep.total is None else str(sweep.total)
            speed = sweep.done / (now - self._start)
            print(
                f"{sweep.done} of {total} seeds, {speed:.0f}/s, failures: {sweep.failing}", file=sys.stderr, flush=True
            )

    def close(self) -> None:
        """Do nothing."""


def run(order: Order) -> int:
    """Run the tests and give the exit status: 1 when one fails.

    Raises:
        UsageError: There is nothing to be run, or something is not installed.
    """
    own, test = order.own, order.words[0]
    if own.seed is not None and (own.seeds is not None or own.first is not None or own.jobs > 1):
        raise UsageError("--seed: one seed has no --seeds, --first or --jobs")
    if own.faults is not None and own.faults not in PROFILES:
        raise UsageError(f'--faults: expected one of {", ".join(PROFILES)}, got "{own.faults}"')
    given = Orders.read()
    orders = replace(
        given,
        seeds=1 if own.seed is not None else own.seeds or given.seeds,
        first=next((number for number in (own.seed, own.first) if number is not None), given.first),
        faults=own.faults or given.faults,
        check_determinism=own.check_determinism or given.check_determinism,
        keep_going=own.keep_going or given.keep_going,
    )
    watched, drawn = own.seed is not None, sys.stderr.isatty()
    if not named(test):
        _need("pytest")
    if drawn and not watched:
        _need("tqdm")
    clock = Clock()
    start = clock.monotonic()
    jobs = min(own.jobs, orders.seeds or own.jobs)
    sweep = Distribution(test, orders, jobs, watched=watched)
    try:
        with sweep:
            with closing(Bar() if drawn and not watched else Lines()) as progress:
                sweep.run(progress.show)
            return _tell(test, sweep, clock.monotonic() - start)
    except KeyboardInterrupt:
        for text in sweep.stopped:
            print(f"totohio: interrupted: {text}", file=sys.stderr)
        raise


def _need(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise UsageError(f"{package} is not installed: pip install 'totohio[sim]'")


def _tell(test: str, sweep: Distribution, seconds: float) -> int:
    """Print what came of it and give the exit status."""
    if sweep.misused or UNKNOWN in sweep.statuses:
        raise UsageError(f"{test}: {sweep.misused or sweep.output.removeprefix('ERROR: ') or 'pytest does not run'}")
    if NOTHING in sweep.statuses:
        raise UsageError(f"{test}: no test in it is simulated with @sim")
    for failure in sweep.failures:
        print(f"{failure.test} fails with {_seeds(failure)}:\n\n{failure.report}\n")
    for text in sweep.broken:
        print(f"{text}\n")
    never = list(sweep.never())
    for name, check, runs in never:
        print(f'{name}: sometimes "{check}" never held in {runs} runs\n')
    for name, tally in sweep.tallies.items():
        for check, count in sorted(tally.sometimes.items()):
            if (name, check, tally.runs) not in never:
                print(f'{name}: sometimes "{check}" held in {count or "none"} of {tally.runs} runs')
    speed = f" ({sweep.done / seconds:.0f} a second)" if sweep.done > 1 else ""
    seeds = f"{sweep.done} seed{'s' if sweep.done != 1 else ''} in {seconds:.1f} s{speed}"
    words = [f"{sweep.failing or 'none'} fail{'' if sweep.failing > 1 else 's'}"]
    if sweep.broken:
        words.append(f"{len(sweep.broken)} error{'s' if len(sweep.broken) > 1 else ''}")
    if never:
        words.append(f"{len(never)} never held")
    print(f"{seeds}: {', '.join(words)}")
    return 1 if sweep.failures or sweep.broken or never else 0


def _seeds(failure: Failure) -> str:
    seeds = sorted(failure.seeds)
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    return f"{len(seeds)} seeds ({', '.join(map(str, seeds[:LISTED]))}{', ...' if len(seeds) > LISTED else ''})"
