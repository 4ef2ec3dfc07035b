"""What is told of a failure: seed and commit, how to see it again, which faults it takes, and where it went wrong.

All of it becomes a note of the exception itself, so that it is shown wherever the exception is.
"""

import os
import re
import shlex
import subprocess
import sys
import textwrap
import traceback
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from totohio.sim.pictures.drawing import timeline
from totohio.sim.pictures.tracing import Trace, divergence
from totohio.sim.profiles import profile_name
from totohio.sim.sweeps.ordering import PREFIX
from totohio.sim.sweeps.shrinking import OWN, Shrunk, steps
from totohio.sim.sweeps.trying import Trial

FOLDER = ".totohio-sim"
TAIL = 20  # entries of the trace that are shown
NAMED = 20  # faults that are named
PATIENCE = 10.0  # seconds that git has for an answer
LONGEST = 100  # characters of a test's name in the name of a file: with the rest it stays below 255 bytes
INDENT = " " * 11


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is simulated, and how somebody else finds it again.

    Attributes:
        name: For people: a pytest node id, or module and function.
        folder: The working directory.
        words: The command that runs it, up to the seed.
        environ: The seed is given to that command in the environment, and not with ``--seed``.
        faults: The profile that it has when nothing else is asked.
    """

    name: str
    folder: Path
    words: tuple[str, ...]
    environ: bool = False
    faults: str

    def command(self, seed: int, faults: str, *, twice: bool = False) -> str:
        """Give the command that runs one seed again; ``twice`` to compare two runs of it."""
        options = {"seed": str(seed)}
        if faults != self.faults:
            options["faults"] = faults
        if not self.environ:
            flags = [word for name, value in options.items() for word in (f"--{name}", value)]
            return shlex.join([*self.words, *flags, *(["--check-determinism"] if twice else [])])
        del options["seed"]
        variables = {"first": str(seed), "seeds": "1", **options, **({"check_determinism": "1"} if twice else {})}
        pairs = [f"{PREFIX}{name.upper()}={shlex.quote(value)}" for name, value in variables.items()]
        return " ".join([*pairs, shlex.join(self.words)])


def current_test() -> str | None:
    """Give the id of the pytest test that runs now in this process."""
    text = os.environ.get("PYTEST_CURRENT_TEST") if "pytest" in sys.modules else None
    return None if text is None else re.sub(r" \((setup|call|teardown)\)$", "", text)


def reachable(test: str, folder: Path) -> str:
    """Give a pytest node id as it is typed in a folder, which may lie below pytest's root."""
    file, colons, rest = test.partition("::")
    for above in (folder, *folder.parents):
        if (above / file).exists():
            return os.path.relpath(above / file, folder) + colons + rest
    return test


def commit(folder: Path) -> str | None:
    """Name the commit of a working tree, and say when it has been changed since; None outside of git."""
    found = _git(folder, "rev-parse", "--short", "HEAD")
    if not found:
        return None
    return found + (" + uncommitted changes" if _git(folder, "status", "--porcelain") else "")


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


# ---------------------------------------------------------------- the report


def report(
    trial: Trial,
    subject: Subject,
    *,
    shrunk: Shrunk | None = None,
    passing: Trial | None = None,
    twice: bool = False,
    folder: str | None = None,
) -> str:
    """Write the report of a failing run, and its timeline page.

    Args:
        trial: The run.
        subject: What was run.
        shrunk: What was found out about the faults.
        passing: Another seed that passes.
        twice: It takes two runs of the seed to see the failure.
        folder: Where to write the page; None writes it below the working directory.
    """
    known = commit(subject.folder)
    facts = {
        "replay": subject.command(trial.seed, profile_name(trial.faults), twice=twice),
        "faults": _faults(trial, shrunk),
    }
    page = _page(
        trial, subject, {**({"commit": known} if known else {}), "profile": profile_name(trial.faults), **facts}, folder
    )
    lines = [f"seed {trial.seed}{f' of commit {known}' if known else ''}, faults {profile_name(trial.faults)!r}"]
    lines += [f"{f'{name}:':{len(INDENT)}}{text}" for name, text in {**facts, "timeline": page}.items()]
    parting = _parting(trial, shrunk, passing)
    if parting:
        lines += ["", *parting]
    last = max(trial.end - trial.trace.dropped, 0)  # what a world notes while it is taken down is of no interest
    entries = trial.trace.lines(max(last - TAIL, 0), last)
    if not entries:
        return "\n".join(["", *lines])
    lines += ["", f"the last {len(entries)} of {trial.end} entries of the trace:", *(f"  {line}" for line in entries)]
    return "\n".join(["", *lines])  # apart from the exception's text


def _faults(trial: Trial, shrunk: Shrunk | None) -> str:
    happened = f"{len(trial.fired)} happened"
    if shrunk is None:
        return happened
    if not shrunk.alike:
        return f"{happened}; which are needed cannot be told, because the seed does not fail alike when it is run again"
    if shrunk.calm is not None:
        return f"no fault is needed: it fails with faults {shrunk.calm!r} as well"
    if not shrunk.needed:
        return "no fault is needed" + (
            f" of the {len(trial.fired)} that happened" if trial.fired else ": none happened"
        )
    head = f"{len(shrunk.needed)} of the {len(trial.fired)} that happened {_are(len(shrunk.needed))} needed:"
    if not shrunk.minimal:
        head = f"at most {head[:-1]}, which {shrunk.runs} runs have shown:"
    elif len(shrunk.needed) == len(trial.fired):
        head = (
            f"all {len(trial.fired)} that happened are needed:"
            if len(trial.fired) > 1
            else "the one that happened is needed:"
        )
    names = [str(fault) for fault in shrunk.needed[:NAMED]]
    if len(shrunk.needed) > NAMED:
        names.append(f"and {len(shrunk.needed) - NAMED} more")
    return "\n".join([head, *(f"{INDENT}  {name}" for name in names)])


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _parting(trial: Trial, shrunk: Shrunk | None, passing: Trial | None) -> list[str]:
    """Show where the run parts from one that passes, or from itself."""
    if shrunk is not None and not shrunk.alike:
        found = difference(trial.trace, shrunk.repeated.trace)
        end = "it passes" if shrunk.repeated.error is None else f"{type(shrunk.repeated.error).__name__} is raised"
        return [f"the run is not deterministic: when it is made again, {end}", *(f"  {line}" for line in found)]
    if shrunk is not None and shrunk.passing is not None and shrunk.failing is not None and shrunk.missing is not None:
        what = f"compared: the seed with only those faults, and without fault {shrunk.missing.index}, which passes"
        failing, other = shrunk.failing, shrunk.passing
    elif passing is not None:
        what = f"compared: this run, and seed {passing.seed}, which passes"
        failing, other = trial, passing
    else:
        return []
    try:
        point = divergence(_run(failing), _run(other))
    except ValueError as error:
        return [str(error)]
    if point is None:
        return [f"{what}: the same happens in both"]
    return [*textwrap.indent(str(point), "  ").lstrip().splitlines(), f"  ({what})"]


def _run(trial: Trial) -> Trace:
    """Give the trace without what its world noted while it was taken down, which belongs to no run."""
    trace = Trace(limit=trial.trace.limit)
    trace.dropped = trial.trace.dropped
    trace.entries = trial.trace.entries[: max(trial.end - trace.dropped, 0)]
    return trace


def difference(one: Trace, other: Trace) -> list[str]:
    """Show the first entry in which two traces differ; nothing when they do not."""
    if one.dropped or other.dropped:
        return ["the traces are too long for telling where they part"]
    pairs = zip(one.entries, other.entries, strict=False)
    index = next((n for n, pair in enumerate(pairs) if ascii(pair[0]) != ascii(pair[1])), None)
    if index is None:
        index = min(len(one.entries), len(other.entries))
        if len(one.entries) == len(other.entries):
            return []
    sides = [("".join(trace.lines(index, index + 1)) or "nothing more happens") for trace in (one, other)]
    return [f"the two traces part at entry {index}:", f"  first   {sides[0]}", f"  second  {sides[1]}"]


def _page(trial: Trial, subject: Subject, facts: Mapping[str, str], folder: str | None) -> str:
    """Write the timeline page and give its path."""
    name = re.sub(r"[^\w.]+", "-", subject.name.rpartition("::")[2].rpartition(":")[2]).strip("-")[:LONGEST]
    path = subject.folder / (folder or FOLDER) / f"{name}-seed-{trial.seed}.html"
    failure = None if trial.error is None else f"{type(trial.error).__name__}: {trial.error}"
    page = timeline(trial.trace, title=subject.name, seed=trial.seed, facts=facts, failure=failure, end=trial.end)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        ignored = path.parent / ".gitignore"
        if folder is None and not ignored.exists():
            ignored.write_text("*\n", "utf-8")  # what is written here is no change of the working tree
        path.write_text(page, "utf-8")
    except OSError as error:
        return f"not written: {error}"
    return os.path.relpath(path, subject.folder) if path.is_relative_to(subject.folder) else str(path)


# ---------------------------------------------------------------- the traceback


def trim(error: BaseException) -> BaseException:
    """Take out of an exception's traceback what belongs to the simulation itself, as far as that is not at fault."""
    kept = list(steps(error.__traceback__))
    drop = [entry.tb_frame.f_code.co_filename.startswith(f"{OWN}/sim/") for entry in kept]
    innermost = len(kept)
    if not type(error).__module__.startswith(
        "totohio.sim."
    ):  # what is raised in the depth of it may be its own mistake
        while innermost > 0 and drop[innermost - 1]:
            innermost -= 1
            drop[innermost] = False
    chain = None
    for entry, dropped in zip(reversed(kept), reversed(drop), strict=True):
        if not dropped:
            chain = types.TracebackType(chain, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    if error.__cause__ is not None:
        trim(error.__cause__)
    return error.with_traceback(chain)


def written(error: BaseException) -> str:
    """Give an exception with its traceback and notes as a text."""
    return "".join(traceback.format_exception(error)).rstrip()


def script() -> tuple[str, ...]:
    """Give the command that this process was started with."""
    return ("python", *sys.orig_argv[1:])
