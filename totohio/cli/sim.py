"""``totohio sim``: run simulated tests with many seeds, or one seed again."""

import argparse
from collections.abc import Callable

from totohio.cli.parsing import Command, Order


def _number(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f'expected a number from {least}, got "{text}"')
        return int(text)

    return number


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=_number(1), metavar="N", help="how many seeds [as many as the test asks for]")
    parser.add_argument("--first", type=_number(0), metavar="N", help="the first of them [that of the test]")
    parser.add_argument("--seed", type=_number(0), metavar="N", help="run this one seed, and show what the test prints")
    parser.add_argument("--jobs", type=_number(1), default=1, metavar="N", help="processes that share the seeds [1]")
    parser.add_argument("--faults", metavar="NAME", help="still, sunny, stormy or radioactive [what the test asks for]")
    parser.add_argument(
        "--check-determinism", action="store_true", help="run every seed twice and compare [only the first two]"
    )
    parser.add_argument(
        "--keep-going", action="store_true", help="go on after a failure; of failures that are alike one is reported"
    )


def _run(order: Order) -> int:
    from totohio.cli.simulating import run  # here, so that other commands start without it

    return run(order)


COMMAND = Command(
    name="sim",
    words="TEST",
    least=1,
    most=1,
    doc="Run simulated tests with many seeds, or one seed again.\n\n"
    "TEST is a file, a folder or one test as pytest names it; those with the decorator @sim are run. It may also be\n"
    "a function, named module:function. The first seed that fails ends it, with a report: how to run that seed\n"
    "again, which faults it takes, and where it parts from one that passes.\n\n"
    "  totohio sim tests/test_bank.py --seeds 10000 --jobs 2\n"
    "  totohio sim tests/test_bank.py::test_no_update_is_lost --seed 17",
    run=_run,
    declare=_declare,
)
