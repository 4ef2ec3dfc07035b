"""A sweep runs a function in a world for each seed, and tells of what fails."""

import gc
import logging
import os
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.sim.worlds import ToyWorld
from totohio.sim.checks.checking import CheckFailed
from totohio.sim.sweeps.running import explore
from totohio.sim.sweeps.sweeping import DeterminismError, Sweep


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run where reports may leave something, and without orders."""
    monkeypatch.chdir(tmp_path)
    for variable in [name for name in os.environ if name.startswith("TOTOHIO_SIM_")]:
        monkeypatch.delenv(variable)


def toy(function: Callable[[ToyWorld], object], **options: Any) -> Sweep:
    return explore(function, **({"factory": ToyWorld, "faults": "sunny", "seeds": 20} | options))


def note(error: BaseException) -> str:
    [text] = error.__notes__
    return str(text)


def test_each_seed_has_a_world_of_its_own_which_settles():
    worlds: list[ToyWorld] = []

    def body(world: ToyWorld) -> None:
        worlds.append(world)
        world.eventually("it is late", lambda: world.tyme >= 3, within=5)

    found = toy(body, seeds=4, first=6, check_determinism=False, steps=3)
    assert [world.seed for world in worlds] == [6, 7, 8, 9]
    assert all(world.tyme == 3.0 for world in worlds)
    assert (found.runs, found.sometimes) == (4, {})
    assert found.seconds > 0


def test_a_sweep_ends_with_the_first_seed_that_fails():
    seeds: list[int] = []

    def body(world: ToyWorld) -> None:
        seeds.append(world.seed)
        world.run()
        assert world.seed < 3

    with pytest.raises(AssertionError) as caught:
        toy(body, check_determinism=False)
    assert seeds[:4] == [0, 1, 2, 3]
    assert set(seeds) == {0, 1, 2, 3}
    assert "seed 3, faults 'sunny'" in note(caught.value)
    assert "compared: this run, and seed 2, which passes" in note(caught.value)


def test_a_sweep_that_keeps_going_tells_of_each_kind_of_failure(monkeypatch: pytest.MonkeyPatch):
    def body(world: ToyWorld) -> None:
        assert world.seed % 5, "five"
        if world.seed % 7 == 0:
            raise ValueError("seven")

    monkeypatch.setenv("TOTOHIO_SIM_KEEP_GOING", "yes")
    with pytest.raises(AssertionError, match="five") as caught:
        toy(body)
    assert caught.value.__notes__[1].splitlines() == [
        "all that failed:",
        "  AssertionError: five (seeds 0, 5, 10, 15)",
        "  ValueError: seven (seeds 7, 14)",
    ]


def test_one_seed_alone_is_compared_with_one_near_it(monkeypatch: pytest.MonkeyPatch):
    def body(world: ToyWorld) -> None:
        world.run()
        assert world.seed not in (0, 16, 17)

    for seed, near in ((17, 15), (0, 1)):
        with pytest.raises(AssertionError) as caught:
            toy(body, seeds=1, first=seed)
        assert f"compared: this run, and seed {near}, which passes" in note(caught.value)


def test_what_a_world_cannot_be_made_with_is_no_failure_of_a_seed():
    with pytest.raises(TypeError, match="colour") as caught:
        toy(lambda world: None, colour="blue")
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize("kind", ["always", "eventually", "script", "exit"])
def test_whatever_fails_in_a_world_is_reported(kind: str):
    class World(ToyWorld):
        def __exit__(self, *_: object) -> None:
            assert kind != "exit"

    def body(world: World) -> None:
        if kind == "always":
            world.always("it is early", lambda: world.tyme < 4)
        elif kind == "eventually":
            world.eventually("it is early", lambda: world.tyme < 4, within=1)
        elif kind == "script":
            world.hooks.append(lambda world: 1 / (world.tyme - 4))
        world.run()

    with pytest.raises((AssertionError, ZeroDivisionError)) as caught:
        toy(body, factory=World)
    assert "seed 0, faults 'sunny'" in note(caught.value)
    assert "no fault is needed: it fails with faults 'still' as well" in note(caught.value)
    assert isinstance(caught.value, CheckFailed) is (kind in ("always", "eventually"))


# ---------------------------------------------------------------- sometimes


def test_a_sometimes_that_never_holds_fails_the_sweep():
    def body(world: ToyWorld) -> None:
        if world.seed == 1000:
            world.sometimes("it rains")

    with pytest.raises(CheckFailed, match=r'^sometimes "it rains" never held in 20 runs \(seeds 0 to 19\)$'):
        toy(body)


@pytest.mark.parametrize("name", ["it snows", "it hails"])
def test_a_sometimes_whose_name_is_not_in_the_source_is_known_once_it_is_asked_for_or_declared(name: str):
    def body(world: ToyWorld) -> None:
        world.sometimes("it " + "snows", name != "it snows")
        world.sometimes("it " + "hails", name != "it hails")

    with pytest.raises(CheckFailed, match=name):
        toy(body)
    with pytest.raises(CheckFailed, match="it thunders"):
        toy(lambda world: None, sometimes=["it thunders"])


def test_a_sometimes_is_counted_by_runs():
    def body(world: ToyWorld) -> None:
        for _ in range(3):
            world.sometimes("odd", world.seed % 2)

    assert toy(body).sometimes == {"odd": 10}


@pytest.mark.parametrize("seeds", ["1", "19"])
def test_a_sweep_that_was_cut_is_not_judged_by_its_sometimes(seeds: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TOTOHIO_SIM_SEEDS", seeds)
    assert toy(lambda world: world.sometimes("it rains", False)).sometimes == {"it rains": 0}


# ---------------------------------------------------------------- determinism


def test_a_run_that_does_not_depend_on_its_seed_alone_is_found():
    runs: list[int] = []

    def body(world: ToyWorld) -> None:
        world.run(3)
        runs.append(1)
        world.note("run", len(runs))

    with pytest.raises(DeterminismError) as caught:
        toy(body)
    lines = str(caught.value).splitlines()
    assert lines[:2] == ["two runs of seed 0 differ", "the two traces part at entry 3:"]
    assert [line.split() for line in lines[2:]] == [
        ["first", "3.000000", "toy", "run", "1"],
        ["second", "3.000000", "toy", "run", "2"],
    ]
    assert "TOTOHIO_SIM_FIRST=0 TOTOHIO_SIM_SEEDS=1 TOTOHIO_SIM_CHECK_DETERMINISM=1 python" in note(caught.value)


def test_a_run_that_ends_early_the_second_time_is_found():
    runs: list[int] = []

    def body(world: ToyWorld) -> None:
        runs.append(1)
        world.run(3 if len(runs) == 1 else 2)

    with pytest.raises(DeterminismError, match="second  nothing more happens"):
        toy(body)


@pytest.mark.parametrize(("check", "count"), [(None, 22), (True, 40), (False, 20)])
def test_how_many_seeds_run_twice_can_be_chosen(check: bool | None, count: int):
    seeds: list[int] = []
    toy(lambda world: seeds.append(world.seed), check_determinism=check)
    assert len(seeds) == count


def test_a_seed_that_fails_only_once_is_reported_as_not_deterministic():
    runs: list[int] = []

    def body(world: ToyWorld) -> None:
        runs.append(1)
        world.note("run", len(runs))
        assert len(runs) > 1

    with pytest.raises(AssertionError) as caught:
        toy(body)
    assert "the run is not deterministic: when it is made again, it passes" in note(caught.value)
    assert "the two traces part at entry 0:" in note(caught.value)


# ---------------------------------------------------------------- around a run


def test_garbage_is_not_collected_in_a_run_but_between_runs():
    class Garbage:
        """Something that only the collector finds."""

    gone: list[int] = []
    states: set[bool] = set()

    def body(world: ToyWorld) -> None:
        garbage = Garbage()
        garbage.itself = garbage  # type: ignore[attr-defined]
        weakref.finalize(garbage, gone.append, world.seed).atexit = False
        del garbage
        before = len(gone)
        assert [[] for _ in range(3000)]
        states.add(gc.isenabled())
        assert len(gone) == before

    assert gc.isenabled()
    frozen = gc.get_freeze_count()
    toy(body, seeds=100)
    assert gc.isenabled()
    assert gc.get_freeze_count() <= frozen
    assert states == {False}
    assert len(gone) > 60


def test_the_collector_is_on_again_after_a_failure():
    with pytest.raises(ZeroDivisionError):
        toy(lambda world: 1 / 0)
    assert gc.isenabled()


def test_only_the_first_run_of_a_seed_is_seen_and_stops_at_breakpoints(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    stops: list[int] = []
    monkeypatch.setattr(sys, "breakpointhook", lambda: stops.append(1))

    def body(world: ToyWorld) -> None:
        print("seed", world.seed)
        logging.getLogger("bank").warning("seed %d", world.seed)
        breakpoint()
        assert world.seed != 2

    with pytest.raises(AssertionError):
        toy(body, faults="radioactive")
    assert capsys.readouterr() == ("seed 0\nseed 1\nseed 2\n", "")
    assert caplog.messages == ["seed 0", "seed 1", "seed 2"]
    assert len(stops) == 3
