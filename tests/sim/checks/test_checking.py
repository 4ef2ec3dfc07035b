"""What must hold is asked after every step, and who breaks it is named."""

import math

import pytest

from tests.sim.worlds import ToyWorld
from totohio.sim.checks.checking import CheckFailed


def test_an_always_that_stops_holding_fails_the_step_after_which_it_does_not():
    world = ToyWorld()
    world.always("it is early", lambda: world.tyme < 4)
    with pytest.raises(CheckFailed, match=r'^always "it is early" does not hold at tyme 4$') as caught:
        world.run()
    assert (caught.value.check, caught.value.name, caught.value.tyme) == ("always", "it is early", 4.0)
    assert world.tyme == 4.0
    assert world.trace.entries[-1] == (4.0, "", "check", "it is early", "always", "failed")


def test_every_always_is_asked():
    world = ToyWorld()
    world.always("one", lambda: True)
    world.always("other", lambda: world.tyme < 2)
    with pytest.raises(CheckFailed, match='always "other"'):
        world.run()


def test_an_eventually_has_its_time_from_the_moment_at_which_the_world_is_healed():
    world = ToyWorld()
    world.eventually("it is late", lambda: world.tyme >= 17, within=7)
    world.run(10)
    world.settle()
    assert world.tyme == 17.0
    assert world.checks.pending == []
    assert world.trace.entries[-1][2:] == ("check", "it is late", "eventually", "held")


def test_an_eventually_that_does_not_hold_in_its_time_fails():
    world = ToyWorld()
    world.run(10)
    world.eventually("it is late", lambda: world.tyme > 100, within=7)
    world.run(5)
    with pytest.raises(
        CheckFailed, match=r'^eventually "it is late" did not hold within 7 s from tyme 15 on$'
    ) as caught:
        world.settle()
    assert caught.value.tyme == world.tyme == 22.0


def test_what_held_under_faults_only_does_not_count():
    world = ToyWorld()
    world.eventually("it is early", lambda: world.tyme < 5, within=3)
    world.run(10)
    with pytest.raises(CheckFailed, match="it is early"):
        world.settle()


def test_an_eventually_of_a_healed_world_has_its_time_from_its_declaration():
    world = ToyWorld()
    world.settle()
    world.run(10)
    world.eventually("it is late", lambda: world.tyme >= 15, within=5)
    assert world.checks.deadline == 15.0
    world.run(5)
    assert world.checks.deadline is None


def test_an_eventually_without_time_must_hold_when_the_world_is_healed():
    world = ToyWorld()
    world.eventually("it is early", lambda: world.tyme == 0, within=0)
    world.settle()
    world = ToyWorld()
    world.run(1)
    world.eventually("it is early", lambda: world.tyme == 0, within=0)
    with pytest.raises(CheckFailed):
        world.settle()


def test_the_next_deadline_is_the_earliest():
    world = ToyWorld()
    for within in (9, 4, 6):
        world.eventually(f"within {within}", lambda within=within: world.tyme >= within, within)
    assert world.checks.deadline is None
    world.checks.heal()
    assert world.checks.deadline == 4.0
    world.run(4)
    assert world.checks.pending == ["within 9", "within 6"]
    assert world.checks.deadline == 6.0


@pytest.mark.parametrize("within", [-1, math.inf, math.nan])
def test_a_promise_for_the_past_or_without_an_end_is_refused(within):
    with pytest.raises(ValueError, match=f"within: expected seconds from 0, got {within}"):
        ToyWorld().eventually("never", lambda: True, within=within)


@pytest.mark.parametrize("check", ["always", "eventually"])
def test_a_predicate_that_raises_fails_with_its_exception_as_the_cause(check: str):
    world = ToyWorld()
    mistake = KeyError("no such account")

    def predicate() -> bool:
        raise mistake

    options = (2.0,) if check == "eventually" else ()
    getattr(world, check)("it adds up", predicate, *options)
    with pytest.raises(CheckFailed, match=f'{check} "it adds up" cannot be told at tyme .: KeyError: ') as caught:
        world.settle()
    assert caught.value.__cause__ is mistake
    assert world.trace.entries[-1][-1] == "raised"


def test_a_sometimes_is_counted_when_its_condition_holds_and_known_when_it_does_not():
    world = ToyWorld()
    for n in range(5):
        assert world.checks.sometimes("even", n % 2 == 0) is (n % 2 == 0)
        world.sometimes("never", 0)
    world.sometimes("here")
    assert world.checks.counts == {"even": 3, "never": 0, "here": 1}
    assert [entry[3] for entry in world.trace.entries] == ["even", "here"]
