"""A failure is shrunk to the faults that it takes."""

from collections.abc import Callable, Collection
from functools import partial
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sim.worlds import ToyFault, ToyWorld
from totohio.sim.checks.checking import CheckFailed
from totohio.sim.sweeps.shrinking import Shrunk, shrink, signature, smaller
from totohio.sim.sweeps.trying import Trial, attempt


def shrunk(body: Callable[[ToyWorld], object], seed: int = 3, faults: str = "radioactive", **bounds: float) -> Shrunk:
    trial = attempt(body, ToyWorld, seed, faults)
    assert trial.error is not None
    return shrink(trial, partial(attempt, body, ToyWorld, seed), **bounds)  # type: ignore[arg-type]


def needing(*indices: int) -> Callable[[ToyWorld], object]:
    """A function that fails when all of these faults happen."""

    def body(world: ToyWorld) -> None:
        world.run()
        assert not world.fired.issuperset(indices)

    return body


def indices(faults: Collection[object]) -> list[int]:
    return [fault.index for fault in faults if isinstance(fault, ToyFault)]


@pytest.mark.parametrize("needed", [[11], [0, 19], [2, 3, 17], [*range(20)]], ids=str)
def test_only_the_faults_that_it_takes_are_left(needed: list[int]):
    found = shrunk(needing(*needed))
    assert found.alike
    assert found.minimal
    assert sorted(indices(found.needed)) == needed
    assert found.calm is None


def test_a_run_with_only_those_faults_fails_and_one_with_one_less_passes():
    found = shrunk(needing(2, 3, 17))
    assert found.failing is not None
    assert found.passing is not None
    assert found.missing is not None
    assert sorted(indices(found.failing.fired)) == [2, 3, 17]
    assert isinstance(found.failing.error, AssertionError)
    assert found.passing.error is None
    assert sorted([*indices(found.passing.fired), *indices([found.missing])]) == [2, 3, 17]


def test_a_failure_without_faults_is_found_in_the_calmest_world():
    def body(world: ToyWorld) -> None:
        world.run()
        assert world.faults == "nice"

    found = shrunk(body)
    assert (found.calm, found.needed, found.runs) == ("still", (), 2)


def test_a_failure_that_needs_no_fault_but_its_profile_needs_no_fault():
    def body(world: ToyWorld) -> None:
        world.run()
        assert world.faults in ("still", "sunny")

    found = shrunk(body)
    assert (found.calm, found.needed, found.minimal) == (None, (), True)


def test_a_sunny_world_may_be_calmer_still():
    def body(world: ToyWorld) -> None:
        world.run()
        assert world.faults == "still"

    found = shrunk(body, faults="sunny")
    assert (found.calm, found.needed, found.passing) == (None, (), None)


def test_another_failure_on_the_way_is_not_taken_for_this_one():
    def body(world: ToyWorld) -> None:
        world.run()
        assert not world.fired.issuperset([4, 9, 12])
        if 9 in world.fired and 12 not in world.fired:
            raise ValueError("something else")
        if 4 in world.fired and 12 not in world.fired:
            raise AssertionError("something else")

    assert sorted(indices(shrunk(body).needed)) == [4, 9, 12]


def test_the_search_ends_when_its_runs_are_spent_and_says_so():
    found = shrunk(needing(*range(0, 20, 2)), runs=12)
    assert not found.minimal
    assert set(indices(found.needed)) >= set(range(0, 20, 2))
    assert found.runs < 12 + 7


def test_the_search_ends_when_its_time_is_over():
    found = shrunk(needing(4), seconds=0.0)
    assert not found.minimal
    assert len(found.needed) == 20


def test_a_seed_that_does_not_fail_again_is_not_searched():
    runs: list[int] = []

    def body(world: ToyWorld) -> None:
        runs.append(1)
        world.run()
        assert len(runs) > 1

    found = shrunk(body)
    assert not found.alike
    assert found.repeated.error is None
    assert len(runs) == 2


def test_the_same_seed_shrinks_in_the_same_way():
    assert shrunk(needing(1, 8)).runs == shrunk(needing(1, 8)).runs


# ---------------------------------------------------------------- delta debugging


@given(st.integers(1, 24).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), min_size=1))))
def test_what_is_left_is_what_is_needed_whatever_that_is(case: tuple[int, set[int]]):
    count, needed = case
    faults = [ToyFault(index, 1.0) for index in range(count)]
    left = [faults, *smaller(faults, lambda part: needed <= {fault.index for fault in part})][-1]
    assert {fault.index for fault in left} == needed


@given(st.sets(st.frozensets(st.integers(0, 7), min_size=1, max_size=3), min_size=1, max_size=4))
def test_none_of_what_is_left_can_be_left_out(reasons: set[frozenset[int]]):
    faults = [ToyFault(index, 1.0) for index in range(8)]

    def fails(part: Collection[ToyFault]) -> bool:
        return any(reason <= {fault.index for fault in part} for reason in reasons)

    left = [faults, *smaller(faults, fails)][-1]
    assert fails(left)
    assert not any(fails(part) for part in combinations(left, len(left) - 1))


# ---------------------------------------------------------------- what is the same failure


def raised(function: Callable[[], object]) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011  # whatever it is
        function()
    return caught.value


def test_failures_are_alike_when_they_come_from_the_same_line():
    def divide(by: int) -> float:
        return 1 / by

    def other() -> float:
        return 1 / 0

    assert signature(raised(lambda: divide(0))) == signature(raised(lambda: divide(0)))
    assert signature(raised(lambda: divide(0))) != signature(raised(other))


def test_the_line_is_the_users_however_deep_in_other_code_it_fails():
    def one() -> None:
        Trial(nonsense=1)  # type: ignore[call-arg]

    def other() -> None:
        int("x")
        Trial(nonsense=1)  # type: ignore[call-arg]

    file, line = signature(raised(one))[1:]
    assert file == __file__
    assert signature(raised(one)) == signature(raised(one))
    assert signature(raised(one)) != signature(raised(other))
    assert isinstance(line, int)


def test_checks_that_fail_are_alike_when_they_have_the_same_name_wherever_they_are_asked():
    def one() -> None:
        raise CheckFailed("always", "it adds up", "does not hold at tyme 3", 3.0)

    def other() -> None:
        raise CheckFailed("always", "it adds up", "does not hold at tyme 9", 9.0)

    def third() -> None:
        raise CheckFailed("always", "it is early", "does not hold at tyme 3", 3.0)

    assert signature(raised(one)) == signature(raised(other)) != signature(raised(third))
