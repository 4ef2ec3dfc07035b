"""Virtual time."""

import math

import pytest

from tests.sim.scenarios import METHODS, calls
from totohio.base.doing import Doer
from totohio.sim import scheduling
from totohio.sim.scheduling import Stuck
from totohio.sim.worlding import World

# ---------------------------------------------------------------- time


def test_time_passes_at_once() -> None:
    with World(faults="still") as world:
        server = world.server(methods=METHODS)
        assert world.call(server, "nap", {"seconds": 3000.0}) == "slept"
        assert world.tyme == 3000.0


def test_run_stops_after_so_many_seconds() -> None:
    with World(faults="still") as world:
        happened: list[float] = []
        world.after(5.0, lambda: happened.append(world.tyme))
        world.run(4.0)
        assert (happened, world.tyme) == ([], 4.0)
        world.run(1.0)
        assert (happened, world.tyme) == ([5.0], 5.0)


def test_a_doer_that_spins_is_found() -> None:
    class Spinning(Doer):
        def due(self, tyme: float) -> float:
            return tyme

    with World(faults="still") as world:
        world.host("mine", lambda process: [Spinning()])
        with pytest.raises(Stuck, match="spins"):
            world.run(1.0)


def test_a_doer_may_be_busy_for_long_while_nothing_takes_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "SPIN", 100)
    with World(faults="still") as world:
        assert calls(world, clients=10, count=50) == [list(range(1, 51))] * 10
        assert world.tyme == 0.0


def test_things_that_follow_each_other_at_once_without_an_end_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "STEPS", 1000)
    with World(faults="still") as world:

        def again() -> None:
            world.soon(again)

        again()
        with pytest.raises(Stuck, match=r"tyme does not go on from 0.0: 1000 things have happened .*again"):
            world.run(1.0)


def test_without_an_end_time_passes_as_long_as_anything_happens() -> None:
    with World(faults="still") as world:
        happened: list[float] = []
        world.after(5.0, lambda: happened.append(world.tyme))
        world.after(math.inf, lambda: happened.append(world.tyme))
        world.run(math.inf)
        assert (happened, world.tyme, world.eventful) == ([5.0], 5.0, False)


def test_what_is_no_number_is_no_time() -> None:
    with World(faults="still") as world:
        server = world.server(methods=METHODS)
        for act in (world.run, lambda tyme: world.at(tyme, print), lambda tyme: world.takes("work", tyme)):
            with pytest.raises(ValueError, match=r"number|from 0 on"):
                act(math.nan)
        with pytest.raises(ValueError, match="from 0 on"):
            server.takes("add", -1.0)
        assert world.call(server, "add", {"a": 1}) == 2
