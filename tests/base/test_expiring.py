"""Deadlines that all lie the same time ahead, against a plain list that is searched every time."""

import math

from hypothesis import given
from hypothesis import strategies as st

from totohio.base.expiring import Deadlines


def test_nothing_is_due_while_nothing_is_set() -> None:
    deadlines: Deadlines[str] = Deadlines(5.0)
    assert deadlines.due() == math.inf
    assert deadlines.take(1e9) == []
    assert deadlines.oldest() is None
    assert len(deadlines) == 0


def test_an_item_comes_due_when_its_seconds_are_over_and_only_once() -> None:
    deadlines: Deadlines[str] = Deadlines(5.0)
    deadlines.set("a", 1.0)
    assert deadlines.due() == 6.0
    assert deadlines.take(5.999) == []
    assert deadlines.take(6.0) == ["a"]
    assert deadlines.take(100.0) == []
    assert deadlines.due() == math.inf


def test_setting_again_starts_afresh_and_goes_behind_the_others() -> None:
    deadlines: Deadlines[str] = Deadlines(5.0)
    deadlines.set("a", 0.0)
    deadlines.set("b", 1.0)
    deadlines.set("a", 2.0)
    assert len(deadlines) == 2
    assert deadlines.due() == 6.0
    assert deadlines.take(6.5) == ["b"]
    assert deadlines.take(7.0) == ["a"]


def test_a_dropped_item_never_comes_due_and_dropping_it_again_does_nothing() -> None:
    deadlines: Deadlines[str] = Deadlines(5.0)
    deadlines.set("a", 0.0)
    deadlines.drop("a")
    deadlines.drop("a")
    assert deadlines.take(100.0) == []


def test_taking_is_bounded_and_leaves_the_rest_for_the_next_time() -> None:
    deadlines: Deadlines[int] = Deadlines(1.0)
    for number in range(10):
        deadlines.set(number, 0.0)
    assert deadlines.take(9.0, 4) == [0, 1, 2, 3]
    assert deadlines.due() == 1.0
    assert deadlines.take(9.0) == [4, 5, 6, 7, 8, 9]


def test_zero_seconds_switch_them_off() -> None:
    for seconds in (0.0, -1.0):
        deadlines: Deadlines[str] = Deadlines(seconds)
        deadlines.set("a", 0.0)
        assert len(deadlines) == 0
        assert deadlines.due() == math.inf
        assert deadlines.take(1e9) == []
        deadlines.drop("a")


def test_the_oldest_is_the_one_set_longest_ago_with_the_tyme_of_that() -> None:
    deadlines: Deadlines[str] = Deadlines(8.0)
    deadlines.set("a", 1.0)
    deadlines.set("b", 2.0)
    assert deadlines.oldest() == ("a", 1.0)
    deadlines.set("a", 4.0)
    assert deadlines.oldest() == ("b", 2.0)


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["set", "drop", "take"]), st.integers(0, 5), st.integers(0, 3)), max_size=60
)


@given(ACTIONS)
def test_they_behave_as_a_list_that_is_searched(actions: list[tuple[str, int, int]]) -> None:
    deadlines: Deadlines[int] = Deadlines(4.0)
    plain: list[tuple[float, int]] = []
    tyme = 0.0
    for action, item, passed in actions:
        tyme += passed
        if action == "set":
            deadlines.set(item, tyme)
            plain = [pair for pair in plain if pair[1] != item] + [(tyme + 4.0, item)]
        elif action == "drop":
            deadlines.drop(item)
            plain = [pair for pair in plain if pair[1] != item]
        else:
            due = [number for when, number in plain if when <= tyme]
            assert deadlines.take(tyme) == due
            plain = [pair for pair in plain if pair[0] > tyme]
        assert len(deadlines) == len(plain)
        assert deadlines.due() == min((when for when, _ in plain), default=math.inf)
