"""A pytest plugin, for a job of ``totohio sim``: it keeps the simulated tests only.

Everything that goes wrong besides the simulation itself, from a fixture to the collection, is sent as news.
"""

import re
import sys
from collections.abc import Generator
from typing import Any, TextIO

import pytest

from totohio.sim.sweeps.ordering import News, Orders
from totohio.sim.sweeps.running import scenario_of
from totohio.sim.sweeps.sweeping import announce

# How pytest and Python came to a file that is to be imported.
MACHINERY = re.compile(
    r"^(?:\S*/(?:_pytest/|importlib/|ast\.py:)|<frozen importlib)\S*: in \w+\n(?: .*\n)*", re.MULTILINE
)
SHOWN = pytest.StashKey[TextIO]()  # where the tests print


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, Any, Any]:
    """Send word of a test that does not exist, and have pytest report into a file where that is asked.

    Its reporter writes to what standard output is when pytest is configured; the tests print to what it is afterwards.
    """
    orders = Orders.read()
    config.stash[SHOWN] = sys.stdout
    log = None if orders.log is None else open(orders.log, "a", encoding="utf-8")  # noqa: SIM115 - closed below
    try:
        if log is not None:
            sys.stdout = log
        return (yield)
    except pytest.UsageError as error:
        News(orders.news).send(misused=str(error.args[0]).partition("\n")[0])
        return pytest.ExitCode.USAGE_ERROR
    finally:
        sys.stdout = config.stash[SHOWN]
        if log is not None:
            log.close()


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give standard output back: the reporter has been made."""
    sys.stdout = config.stash[SHOWN]


def pytest_collection_modifyitems(config: pytest.Config, items: list[Any]) -> None:
    """Leave out the tests that are not simulated."""
    scenarios = [scenario_of(getattr(item, "obj", None)) for item in items]
    config.hook.pytest_deselected(
        items=[item for item, scenario in zip(items, scenarios, strict=True) if scenario is None]
    )
    items[:] = [item for item, scenario in zip(items, scenarios, strict=True) if scenario is not None]


def pytest_collection_finish(session: Any) -> None:
    """Announce what was collected."""
    announce([scenario for item in session.items if (scenario := scenario_of(item.obj)) is not None])


def pytest_collectreport(report: Any) -> None:
    """Send word of a file that cannot be collected."""
    if report.failed:
        _tell(report, "collect")


def pytest_runtest_logreport(report: Any) -> None:
    """Send word of how a test ended; whoever reads it knows whether its sweep has told of it already."""
    if report.failed or report.when == "call":
        _tell(report, report.when)


def pytest_sessionfinish() -> None:
    """Tell that nothing is missing: a process can end at any time, with any status."""
    News(Orders.read().news).send(finished=True)


def _tell(report: Any, when: str) -> None:
    broken = MACHINERY.sub("", report.longreprtext) if report.failed else None
    News(Orders.read().news).send(test=report.nodeid, ended=when, broken=broken)
