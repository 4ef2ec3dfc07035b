"""A sweep in several processes: each runs pytest with a part of the seeds and sends news of it through a file."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from totohio.base.clocking import Clock
from totohio.sim.sweeps.ordering import PREFIX, Orders

MOMENT = 0.05  # seconds between two looks at the news
PATIENCE = 5.0  # seconds that a job has for its end before it is killed
PLUGIN = "totohio.sim.sweeps.selecting"
BY_NAME = "totohio.sim.sweeps.naming"
QUIET = ("-qq", "--no-header", "--no-summary", "--tb=short", "-o", "console_output_style=classic")

FAILED, UNKNOWN, NOTHING = 1, 4, 5  # pytest's exit statuses: a test fails, does not exist, or there is none


@dataclass
class Failure:
    """Seeds of one test that fail alike.

    Attributes:
        test: The test.
        seeds: The seeds.
        report: What is told of the lowest of them.
    """

    test: str
    seeds: list[int]
    report: str


@dataclass
class Tally:
    """What a test has come to in all jobs.

    Attributes:
        runs: How many seeds it was run with.
        seeds: How many it asks for.
        sometimes: In how many runs each ``sometimes`` held.
    """

    runs: int = 0
    seeds: int = 0
    sometimes: Counter[str] = field(default_factory=Counter)


class Job:
    """A process that runs a part of the seeds.

    Attributes:
        process: It.
        total: How many seeds it is going to do; None until it has said so.
        done: How many it has done.
        tests: How many simulated tests it has found.
        failed: The test that it is at, if its sweep has told of a failure, so that pytest need not; or "".
        finished: It has come to its regular end.
    """

    def __init__(self, test: str, orders: Orders, folder: Path, *, watched: bool) -> None:
        """Start it.

        Args:
            test: A pytest node id, or ``module:function``.
            orders: What is asked of it.
            folder: An empty one for its news and what it prints.
            watched: Somebody sits before it: what the test prints is shown, and the test may ask something.
        """
        self.total: int | None = None
        self.tests = 0
        self.failed = ""
        self.finished = False
        self._watched = watched
        self._done: Counter[str] = Counter()
        self._news = folder / "news"
        self._news.touch()
        self._read = 0
        self._output = folder / "output"
        words = [sys.executable, "-m", *_words(test, orders, watched=watched)]
        environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        environ |= replace(orders, news=str(self._news), log=str(self._output) if watched else None).environ()
        if watched:
            self.process = subprocess.Popen(words, env=environ)
            return
        environ["PYTHONBREAKPOINT"] = "0"  # nobody sits there
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                words,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the program that started it, which ends it in its own way
            )

    @property
    def done(self) -> int:
        """How many seeds it has done."""
        return self._done.total()

    @property
    def output(self) -> str:
        """What it has printed."""
        return self._output.read_text("utf-8", "replace").strip() if self._output.exists() else ""

    def news(self) -> Iterator[dict[str, Any]]:
        """Give what it has sent since the last time."""
        with self._news.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):  # the rest of it is under way
                    return
                self._read += len(line)
                item = json.loads(line)
                if "tests" in item:
                    self.total, self.tests = item["seeds"], item["tests"]
                elif "done" in item or "runs" in item:
                    self._done[item["test"]] = item.get("done", item.get("runs"))
                elif "finished" in item:
                    self.finished = True
                yield item

    def interrupt(self) -> None:
        """Ask it to end, as Ctrl-C does; one that is watched has had Ctrl-C itself."""
        if self.process.poll() is None and not self._watched:
            self.process.send_signal(signal.SIGINT)

    def end(self) -> None:
        """Wait for its end, but not for long."""
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _words(test: str, orders: Orders, *, watched: bool) -> list[str]:
    if named(test):
        return [BY_NAME, test]
    stop = [] if orders.keep_going else ["-x"]
    return ["pytest", "-p", PLUGIN, *QUIET, *stop, *(["-s"] if watched else []), test]


def named(test: str) -> bool:
    """Tell whether a test is named by module and function, and not by pytest's node id."""
    module, colon, function = test.partition(":")
    return bool(colon) and function.isidentifier() and all(map(str.isidentifier, module.split(".")))


class Distribution:
    """A sweep in several jobs. Use it in a ``with`` block, which ends them.

    Attributes:
        failures: What failed.
        broken: What went wrong besides the simulation, as texts.
        misused: Why there is no such test; "" when there is.
        stopped: What the jobs were at when they were interrupted, as texts.
        tallies: What came of each test.
    """

    def __init__(self, test: str, orders: Orders, jobs: int, *, watched: bool = False) -> None:
        self.failures: list[Failure] = []
        self.broken: list[str] = []
        self.misused = ""
        self.stopped: list[str] = []
        self.tallies: dict[str, Tally] = {}
        self._kinds: dict[tuple[str, str], Failure] = {}
        self._certain = False  # something is wrong, and no test that was meant to fail
        self._orders = orders
        self._watched = watched
        self._clock = Clock()
        self._folder = tempfile.TemporaryDirectory(prefix="totohio-sim-")
        self._jobs: list[Job] = []
        try:
            for number in range(1, jobs + 1):
                folder = Path(self._folder.name, str(number))
                folder.mkdir()
                self._jobs.append(Job(test, replace(orders, part=f"{number}/{jobs}"), folder, watched=watched))
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> "Distribution":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        for job in self._jobs:
            job.interrupt()
        for job in self._jobs:
            job.end()
            self.stopped += [item["stopped"] for item in job.news() if "stopped" in item]
        self._folder.cleanup()

    @property
    def total(self) -> int | None:
        """How many seeds there are; None while a job has not told."""
        totals = [job.total for job in self._jobs]
        return None if None in totals else sum(total for total in totals if total is not None)

    @property
    def done(self) -> int:
        """How many seeds are done."""
        return sum(job.done for job in self._jobs)

    @property
    def failing(self) -> int:
        """How many seeds fail."""
        return sum(len(failure.seeds) for failure in self.failures)

    @property
    def statuses(self) -> list[int]:
        """The exit statuses of the jobs that have ended."""
        return [job.process.returncode for job in self._jobs if job.process.returncode is not None]

    @property
    def tests(self) -> int:
        """How many simulated tests there are."""
        return max(job.tests for job in self._jobs)

    @property
    def output(self) -> str:
        """What the jobs have printed, those that did not end well."""
        return "\n".join(dict.fromkeys(job.output for job in self._jobs if job.process.returncode and job.output))

    def run(self, shown: Callable[["Distribution"], None]) -> None:
        """Wait until the jobs are done, or one has found a failure; one that is watched has the word to its end.

        Args:
            shown: Called again and again, to show how far it is.
        """
        running = True
        while running:
            running = any(job.process.poll() is None for job in self._jobs)
            for job in self._jobs:
                for item in job.news():
                    self._take(job, item)
            shown(self)
            if self._certain and not (self._orders.keep_going or self._watched):
                return
            if running:
                self._clock.sleep(MOMENT)
        for job in self._jobs:
            self._miss(job, job.process.returncode)

    def _miss(self, job: Job, status: int) -> None:
        """See whether a job that has ended has told all."""
        if not job.finished and status != UNKNOWN:
            how = f"with status {status}" if status >= 0 else f"by {signal.Signals(-status).name}"
            self.broken.append(f"a process ended before its seeds were done, {how}\n{job.output}".rstrip())
        elif status not in (0, FAILED, UNKNOWN, NOTHING) and not self.failures and not self.broken:
            self.broken.append(job.output or f"pytest ended with status {status}")

    def _take(self, job: Job, item: dict[str, Any]) -> None:
        if "misused" in item:
            self.misused = item["misused"]
        elif "failure" in item:
            job.failed = item["test"]
            self._fail(item["test"], item["seed"], item["kind"], item["failure"])
        elif "runs" in item:
            tally = self.tallies.setdefault(item["test"], Tally())
            tally.runs += item["runs"]
            tally.seeds = item["seeds"]
            for name, count in item["sometimes"].items():
                tally.sometimes[name] += count
        elif "ended" in item:
            if item["broken"] is not None and not (item["ended"] == "call" and job.failed):
                self.broken.append(f"{item['test']}:\n{item['broken']}")
            if item["broken"] is None and job.failed:  # it was meant to: pytest calls that an xfail
                self._forget(job.failed)
            self._certain = bool(self.failures or self.broken)
            job.failed = ""

    def _fail(self, test: str, seed: int, kind: str, report: str | None) -> None:
        known = self._kinds.get((test, kind))
        if known is not None:
            if report is not None and seed < min(known.seeds):
                known.report = report
            known.seeds.append(seed)
        elif report is not None:
            failure = self._kinds[test, kind] = Failure(test, [seed], report)
            self.failures.append(failure)

    def _forget(self, test: str) -> None:
        self.failures = [failure for failure in self.failures if failure.test != test]
        self._kinds = {kind: failure for kind, failure in self._kinds.items() if failure.test != test}

    def never(self) -> Iterator[tuple[str, str, int]]:
        """Give tests, names and numbers of runs of what never held in a whole sweep."""
        for test, tally in self.tallies.items():
            if tally.runs >= tally.seeds and not any(failure.test == test for failure in self.failures):
                for name, count in tally.sometimes.items():
                    if count == 0:
                        yield test, name, tally.runs
