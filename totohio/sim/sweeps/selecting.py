"""What a job of ``totohio sim`` runs: a pytest plugin that keeps the simulated tests only, or one function.

Everything that goes wrong besides the simulation itself, from a fixture to the collection, is sent as news as well.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from totohio.sim.sweeps.ordering import News, Orders
from totohio.sim.sweeps.running import explore, scenario_of
from totohio.sim.sweeps.sweeping import Scenario

FAILED, UNKNOWN = 1, 4  # exit statuses, as those of pytest


def announce(scenarios: Sequence[Scenario]) -> None:
    """Tell how many tests and seeds are going to be run."""
    orders = Orders.read()
    seeds = sum(len(orders.share(scenario.planned(orders))) for scenario in scenarios)
    News(orders.news).send(tests=len(scenarios), seeds=seeds)


# ---------------------------------------------------------------- the plugin


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
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


def _tell(report: Any, when: str) -> None:
    broken = report.longreprtext if report.failed else None
    News(Orders.read().news).send(test=report.nodeid, ended=when, broken=broken)


# ---------------------------------------------------------------- without pytest


def main(target: str) -> int:
    """Run a function that is named as ``module:function``, and give pytest's exit status for what came of it."""
    news = News(Orders.read().news)
    module, _, name = target.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        print(f"{target}: {error}", file=sys.stderr)
        return UNKNOWN
    scenario = scenario_of(function)
    try:
        if scenario is None:
            explore(function)
        else:
            announce([scenario])
            function()
    except Exception:
        news.send(test=target, ended="call", broken=traceback.format_exc().rstrip())
        return FAILED
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
