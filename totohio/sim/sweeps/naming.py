"""What a job of ``totohio sim`` runs where a function is named, as ``module:function``, and no pytest is needed."""

import importlib
import os
import sys

from totohio.sim.sweeps.ordering import News, Orders
from totohio.sim.sweeps.reporting import written
from totohio.sim.sweeps.running import SEEDS, explore, require_world, scenario_of
from totohio.sim.sweeps.shrinking import of_user, steps
from totohio.sim.sweeps.sweeping import announce

FAILED, UNKNOWN = 1, 4  # exit statuses, as those of pytest


def main(target: str) -> int:
    """Run the function and give pytest's exit status for what came of it."""
    news = News(Orders.read().news)
    try:
        status = _run(target, news)
    except Exception as error:
        way = (entry for entry in steps(error.__traceback__) if of_user(entry.tb_frame.f_code.co_filename))
        news.send(test=target, ended="call", broken=written(error.with_traceback(next(way, None))))
        status = FAILED
    news.send(finished=True)
    return status


def _run(target: str, news: News) -> int:
    module, _, name = target.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        function = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):  # it is there, and lacks another one
            raise
        news.send(misused=str(error))
        return UNKNOWN
    if function is None:
        news.send(misused=f"module '{module}' has no attribute '{name}'")
        return UNKNOWN
    scenario = scenario_of(function)
    if scenario is not None:
        announce([scenario])
        function()
        return 0
    try:
        require_world(function)
    except TypeError as error:
        news.send(misused=str(error))
        return UNKNOWN
    orders = Orders.read()
    news.send(tests=1, seeds=len(orders.share(range(orders.seeds or SEEDS))))
    explore(function)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
