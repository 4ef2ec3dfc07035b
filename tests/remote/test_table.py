"""The table of lent objects: numbers that are never used twice, and counts that survive releases that cross."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from totohio.remote.table import NotLentError, Table, TableFullError


class Thing:
    """Something to be lent."""


def test_an_object_has_one_number_as_long_as_it_is_lent() -> None:
    table, one, other = Table(10), Thing(), Thing()
    number = table.lend(one)
    assert table.lend(one) == number
    assert table.lend(other) != number
    assert table.find(number) is one
    assert len(table) == 2


def test_it_is_lent_until_it_was_given_back_as_often_as_it_was_sent() -> None:
    table, thing = Table(10), Thing()
    number = table.lend(thing)
    table.lend(thing)  # crosses the release of the first on the wire
    assert table.release(number, 1) is False
    assert table.find(number) is thing
    assert table.release(number, 1) is True
    with pytest.raises(NotLentError, match=f"nothing is lent under {number}"):
        table.find(number)
    assert table.lend(thing) != number


@pytest.mark.parametrize("number", [0, -1, 2, 1.5, "1", None, [1], True, 10**30])
def test_what_is_not_lent_is_not_found(number: Any) -> None:
    table = Table(10)
    table.lend(Thing())
    if number is not True:  # which Python takes for 1
        with pytest.raises(NotLentError):
            table.find(number)
    with pytest.raises(NotLentError):
        table.release(number, 1)
    assert len(table) == 1


@pytest.mark.parametrize("count", [0, -1, 3, 1.0, "1", None, True])
def test_more_than_was_lent_cannot_be_given_back(count: Any) -> None:
    table, thing = Table(10), Thing()
    number = table.lend(thing)
    table.lend(thing)
    with pytest.raises(NotLentError, match="was not lent"):
        table.release(number, count)
    assert table.release(number, 2) is True


def test_a_full_table_lends_what_it_has_lent_and_nothing_else() -> None:
    table, first, second = Table(2), Thing(), Thing()
    number = table.lend(first)
    table.lend(second)
    with pytest.raises(TableFullError, match="2 objects are lent already"):
        table.lend(Thing())
    assert table.lend(first) == number
    table.release(number, 2)
    table.lend(Thing())
    assert len(table) == 2


def test_a_number_that_was_allotted_is_nobodys() -> None:
    table = Table(10)
    number = table.allot()
    assert table.lend(Thing()) != number
    with pytest.raises(NotLentError):
        table.find(number)


def test_all_is_taken_back_the_last_first() -> None:
    table, things = Table(10), [Thing() for _ in range(3)]
    numbers = [table.lend(thing) for thing in things]
    assert table.clear() == things[::-1]
    assert len(table) == 0
    assert table.clear() == []
    for number in numbers:
        with pytest.raises(NotLentError):
            table.find(number)
    assert table.lend(things[0]) not in numbers


@given(st.lists(st.tuples(st.sampled_from(["lend", "release"]), st.integers(0, 5), st.integers(1, 3))))
def test_it_holds_what_was_sent_more_often_than_it_came_back(steps: list[tuple[str, int, int]]) -> None:
    table, things = Table(4), [Thing() for _ in range(6)]
    held: dict[int, int] = {}  # how often, by the index of the thing
    numbers: dict[int, int] = {}
    used: set[int] = set()
    for step, which, count in steps:
        if step == "lend":
            try:
                number = table.lend(things[which])
            except TableFullError:
                assert which not in held
                assert len(held) == 4
                continue
            assert (which in held) == (numbers.get(which) == number)
            assert which in held or number not in used
            numbers[which] = number
            used.add(number)
            held[which] = held.get(which, 0) + 1
        elif which in numbers:
            if count > held.get(which, 0):
                with pytest.raises(NotLentError):
                    table.release(numbers[which], count)
                continue
            held[which] -= count
            assert table.release(numbers[which], count) is (held[which] == 0)
            if not held[which]:
                del held[which], numbers[which]
        assert len(table) == len(held)
        assert all(table.find(numbers[each]) is things[each] for each in held)
