"""``totohio replay``: run a recording against today's code."""

import argparse
import contextlib
import itertools
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from totohio.app.configuring import load
from totohio.app.settings import OPTIONS, Settings
from totohio.base.errors import LoadError, TotohioError
from totohio.base.recording import logger
from totohio.base.writing import printable
from totohio.cli.parsing import Command, Order, UsageError
from totohio.wire.transcript import Requested, read

if TYPE_CHECKING:
    from totohio.sim.recordings.recalling import Outcome
    from totohio.sim.recordings.replaying import Report

DIFFERS = 1  # the exit status
HEAD = 1 << 20  # bytes that a first line may have: what has more is something else, and perhaps larger than the memory
VERDICTS = REPRODUCED, DIFFERING, _ = ("reproduced", "differing", "refused")


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--verbose", action="store_true", help="list the calls that were reproduced, too, and log errors"
    )
    parser.add_argument(
        "--method", metavar="NAME", action="append", help="report only calls of this method; again for others"
    )
    parser.add_argument(
        "--give",
        metavar="NAME[=VALUE]",
        action="append",
        default=[],
        help="what to send for masked values of this name that no reply has told; without a value it is made up, as "
        "passwords always are",
    )
    parser.add_argument(
        "--allow",
        metavar="NAME",
        action="append",
        default=[],
        help="what methods may use though it is another in every run, such as time.time",
    )
    parser.add_argument("--seed", type=int, default=0, help="decides what is random in the server [0]")


def _run(order: Order) -> int:
    from totohio.sim.recordings.replaying import method_of, replay  # here, so that other commands start without it

    own = order.own
    path, *conf = order.words
    try:
        with open(path, "rb") as file:
            first = file.readline(HEAD)
            entries = list(read(itertools.chain([first] if first else [], file)))
    except OSError as error:
        raise TotohioError(f"{path}: {error.strerror or error}") from None
    except TotohioError as error:
        raise TotohioError(f"{path}: {error}") from None
    settings = _settings(entries[0].settings, conf, order.settings)
    wanted = own.method or []
    called = {method_of(entry, settings.root) for entry in entries if isinstance(entry, Requested)}
    for name in wanted:
        if name not in called:
            raise UsageError(f"--method: the recording has no call of {printable(name)}")
    given = {name: value if equals else None for name, equals, value in (each.partition("=") for each in own.give)}
    with _logging(own.verbose):
        try:
            report = replay(entries, settings, given=given, allow=own.allow, seed=own.seed)
        except TotohioError as error:
            if isinstance(error.__cause__, LoadError):  # says all by itself
                raise error.__cause__  # noqa: B904
            raise
    if wanted:
        report.outcomes = [outcome for outcome in report.outcomes if outcome.method in wanted]
    _show(report, own.verbose)
    return DIFFERS if report.count(DIFFERING) else 0


@contextlib.contextmanager
def _logging(verbose: bool) -> Iterator[None]:
    """Have errors of methods logged, or nothing; without the time, which is not that of the simulation."""
    log = logger()
    handlers, level = list(log.handlers), log.level
    ours = logging.StreamHandler() if verbose else logging.NullHandler()
    for handler in handlers:
        log.removeHandler(handler)
    log.addHandler(ours)
    log.setLevel(logging.ERROR if verbose else logging.CRITICAL)
    try:
        yield
    finally:
        log.removeHandler(ours)
        for handler in handlers:
            log.addHandler(handler)
        log.setLevel(level)


def _settings(recorded: dict[str, Any], conf: list[str], options: dict[str, Any]) -> Settings:
    """Give the settings of the server: those of the file, or without one those that were recorded."""
    if conf:
        return load(conf[0], options=options)
    return load(arguments={name: value for name, value in recorded.items() if name in OPTIONS}, options=options)


def _show(report: "Report", verbose: bool) -> None:
    for outcome in report.outcomes:
        if verbose or outcome.verdict != REPRODUCED:
            print("\n".join(_lines(outcome)))
    for note in report.notes:
        print(f"note: {printable(note)}")
    counts = ", ".join(f"{report.count(verdict)} {verdict}" for verdict in VERDICTS)
    number = len(report.outcomes)
    print(f"{number} call{'' if number == 1 else 's'}: {counts}")


def _lines(outcome: "Outcome") -> list[str]:
    """Tell of one call, in one line or several."""
    request = outcome.request
    place = f"connection {request.connection}, request {request.number}, at {request.at}"
    name = outcome.method or f"{request.verb} {request.uri}"
    lines = [f"{outcome.verdict:10}  {printable(name)}  ({place})"]
    if outcome.difference is not None:
        difference = outcome.difference
        lines.append(f"    where:     {printable(difference.where)}")
        lines.append(f"    recorded:  {printable(difference.recorded)}")
        lines.append(f"    now:       {printable(difference.now)}")
    elif outcome.why:
        lines.append(f"    why:       {printable(outcome.why)}")
    return lines


COMMAND = Command(
    name="replay",
    words="FILE [CONF]",
    least=1,
    most=2,
    doc="Run a recording against today's code and show what is different.\n\n"
    "FILE was written by a server with the option record. CONF is the configuration file of the server to run it\n"
    "against; without one the recorded settings hold. The server runs in a simulation, in virtual time, and no\n"
    "request leaves it. Exit status 0 says that no reply differs.",
    run=_run,
    declare=_declare,
    configurable=True,
)
