"""Parked methods that cannot go on: nonsense that they yield, errors, and being ended."""

import gc
import math
import weakref
from collections.abc import Generator
from typing import Any

import pytest

from tests.core.cycle import Cycle, complain, wait, wait_for
from totohio.base.futures import Future, sleep
from totohio.core.invoking import Run


@pytest.fixture
def cycle() -> Cycle:
    return Cycle()


# ------------------------------------------------------------ what cannot be waited for


class Unprintable:
    def __repr__(self) -> str:
        raise ZeroDivisionError


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)

NONSENSE = [
    "text",
    b"bytes",
    True,
    object(),
    {1, 2},
    range(3),
    [1, 2],
    {"a": 1.0},
    [None],
    math.nan,
    math.inf,
    -math.nan,
    10**400,
    sleep("soon"),  # type: ignore[arg-type]
    sleep(None),  # type: ignore[arg-type]
    sleep(math.nan),
    len,
    Future,
    Unprintable(),
    ENDLESS,
]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=lambda value: type(value).__name__)
def test_what_cannot_be_waited_for_is_an_error_where_it_was_yielded(cycle: Cycle, nonsense: Any) -> None:
    cycle.start(complain(nonsense))
    cycle.finish()
    assert isinstance(cycle.results[0], Exception), cycle.results
    assert not cycle.lot.runs
    cycle.start(wait(None))  # and the lot goes on
    cycle.finish()
    assert cycle.errors == [None, None]


def test_the_error_names_what_was_yielded(cycle: Cycle) -> None:
    cycle.start(complain("text"))
    cycle.finish()
    assert str(cycle.results[0]) == "a method cannot wait for 'text' (a str)"


def test_a_coroutine_that_awaits_a_foreign_thing_gets_an_error(cycle: Cycle) -> None:
    class Foreign:
        def __await__(self) -> Generator[Any, Any, Any]:
            return (yield "a loop of another library")

    cycle.start(wait_for(Foreign()))
    cycle.finish()
    assert type(cycle.errors[0]) is TypeError


def test_generators_in_a_refused_list_do_not_run_on(cycle: Cycle) -> None:
    ended = []

    def inner() -> Generator[Any, Any, None]:
        try:
            yield 1.0
        finally:
            ended.append("inner")

    cycle.start(complain([inner(), "text"]))
    cycle.finish()
    assert isinstance(cycle.results[0], TypeError)
    assert ended == ["inner"]
    assert not cycle.lot.runs


def test_a_method_may_catch_the_refusal_and_go_on(cycle: Cycle) -> None:
    def method() -> Generator[Any, Any, str]:
        try:
            yield "text"
        except TypeError:
            yield 1.0
        return "went on"

    cycle.start(method())
    cycle.finish()
    cycle.step(1.0)
    assert cycle.results == ["went on"]


# ------------------------------------------------------------ faults of methods


@pytest.mark.parametrize(
    "kind", [ValueError, SystemExit, KeyboardInterrupt, RecursionError, MemoryError, GeneratorExit]
)
@pytest.mark.parametrize("pauses", [0, 1])
def test_whatever_a_method_raises_ends_only_that_method(cycle: Cycle, kind: type[BaseException], pauses: int) -> None:
    def method() -> Generator[Any, Any, None]:
        for _ in range(pauses):
            yield None
        raise kind("over")

    cycle.start(method())
    other = cycle.start(wait(None, None))
    cycle.finish()
    assert {type(error) for error in cycle.errors} == {kind, type(None)}
    assert other.over
    assert not cycle.lot.runs


@pytest.mark.expects_errors
def test_a_fault_of_whoever_waits_for_the_end_does_not_stop_the_others(cycle: Cycle) -> None:
    def fail(result: Any, error: Any) -> None:
        raise SystemExit(3)

    cycle.start(wait(None), fail)
    cycle.start(wait(None))
    cycle.finish()
    assert cycle.results == [[None]]


def test_endless_recursion_of_nested_methods_is_that_methods_error(cycle: Cycle) -> None:
    def method() -> Generator[Any, Any, Any]:
        return (yield method())

    cycle.start(method())
    for _ in range(100_000):
        if cycle.ends:
            break
        cycle.step()
    assert type(cycle.errors[0]) is RecursionError


# ------------------------------------------------------------ being ended


def test_closing_a_run_runs_its_finally_and_tells_nobody(cycle: Cycle) -> None:
    ended = []

    def method() -> Generator[Any, Any, None]:
        try:
            yield 5.0
        finally:
            ended.append("finally")

    run = cycle.start(method())
    run.close()
    run.close()
    cycle.step(10.0)
    assert ended == ["finally"]
    assert cycle.ends == []
    assert not cycle.lot.runs


def test_closing_a_run_ends_what_it_has_started_and_waits_for_innermost_first(cycle: Cycle) -> None:
    ended = []

    def method(name: str, wanted: Any) -> Generator[Any, Any, None]:
        try:
            yield wanted
        finally:
            ended.append(name)

    run = cycle.start(method("outer", method("middle", [method("inner", 1.0), method("other", 2.0)])))
    run.close()
    assert ended == ["other", "inner", "middle", "outer"]
    assert not cycle.lot.runs
    cycle.step(5.0)
    assert cycle.ends == []


def test_closing_does_not_reach_what_it_no_longer_waits_for_or_others_started(cycle: Cycle) -> None:
    future: Future[int] = Future()
    mine = cycle.start(wait(wait(None), 9.0))
    cycle.start(wait(future))
    cycle.finish()
    mine.close()
    future.set_result(1)
    cycle.finish()
    assert cycle.results == [[1]]


def test_a_future_that_comes_after_the_close_resumes_nothing(cycle: Cycle) -> None:
    future: Future[int] = Future()
    cycle.start(wait(future)).close()
    future.set_result(1)
    cycle.finish()
    assert cycle.ends == []


@pytest.mark.expects_errors
@pytest.mark.parametrize("kind", [ZeroDivisionError, SystemExit, KeyboardInterrupt, ValueError, RuntimeError])
def test_a_finally_that_raises_does_not_keep_the_others_from_ending(cycle: Cycle, kind: type[BaseException]) -> None:
    ended = []

    def method() -> Generator[Any, Any, None]:
        try:
            yield 1.0
        finally:
            ended.append("finally")
            raise kind

    for _ in range(3):
        cycle.start(method())
    cycle.lot.close()
    assert ended == ["finally"] * 3
    assert not cycle.lot.runs


def test_a_method_that_waits_on_while_it_is_closed_is_not_resumed(cycle: Cycle) -> None:
    def stubborn() -> Generator[Any, Any, None]:
        while True:
            try:
                yield 1.0
            except GeneratorExit:
                yield 2.0
                return

    run = cycle.start(stubborn())
    run.close()
    cycle.step(10.0)
    assert run.over
    assert cycle.ends == []


def test_a_run_that_is_closed_from_inside_ends_without_a_word(cycle: Cycle) -> None:
    runs = []

    def method() -> Generator[Any, Any, None]:
        yield None
        runs[0].close()
        yield None
        yield 1.0

    runs.append(cycle.start(method()))
    cycle.finish()
    cycle.step(5.0)
    assert cycle.ends == []
    assert not cycle.lot.runs


def test_closing_the_lot_ends_all_in_the_order_in_which_they_began(cycle: Cycle) -> None:
    ended: list[int] = []

    def method(number: int) -> Generator[Any, Any, None]:
        try:
            yield (1.0, None, Future())[number % 3]
        finally:
            ended.append(number)

    for number in range(9):
        cycle.start(method(number))
    cycle.lot.close()
    assert ended == list(range(9))
    assert cycle.lot.due() == math.inf
    assert cycle.step(100.0) == 0
    cycle.lot.close()


def test_a_chain_of_methods_longer_than_the_stack_ends_without_recursion(cycle: Cycle) -> None:
    depth = 5000
    ended = []

    def link(left: int) -> Generator[Any, Any, int]:
        try:
            yield None  # so that the next one is started by the cycle and not from here
            return (yield link(left - 1)) if left else (yield 1.0) or 0
        finally:
            ended.append(left)

    run = cycle.start(link(depth))
    for _ in range(depth + 1):
        cycle.step()
    assert len(cycle.lot.runs) == depth + 1
    run.close()
    assert ended == list(range(depth + 1))


class Held:
    """What a method holds."""


def hold(held: Held, wanted: Any) -> Generator[Any, Any, Held]:
    yield wanted
    return held


@pytest.mark.parametrize("kind", ["tyme", "future", "list"])
def test_a_run_that_was_closed_holds_nothing_though_its_tyme_is_far(cycle: Cycle, kind: str) -> None:
    method, inner, end = Held(), Held(), Held()
    future: Future[None] = Future()
    wanted = {"tyme": 1e12, "future": future, "list": [hold(inner, 1e12)]}
    gone = [weakref.ref(method), weakref.ref(inner), weakref.ref(end)]

    def done(result: Any, error: Any, end: Held = end) -> None:
        raise AssertionError("it was closed")

    run = cycle.start(hold(method, wanted[kind]), done)
    run.close()
    del method, inner, end, done, wanted
    gc.collect()
    assert [reference() for reference in gone] == [None] * 3
    assert run.over


def test_what_a_future_brings_to_a_closed_run_makes_no_cycle_necessary(cycle: Cycle) -> None:
    future: Future[int] = Future()
    cycle.start(wait(future)).close()
    future.set_result(1)
    assert cycle.lot.due() == math.inf


def count_runs() -> int:
    """How many there are in memory."""
    gc.collect()
    return sum(type(thing) is Run for thing in gc.get_objects())


def test_ended_runs_do_not_gather_until_their_tyme(cycle: Cycle) -> None:
    kept = [cycle.start(wait(50.0 + number)) for number in range(10)]
    before = count_runs()
    for run in [cycle.start(wait(1e12)) for _ in range(1000)]:
        run.close()
    assert count_runs() - before < 100
    cycle.step(55.0)
    assert [run.over for run in kept] == [True] * 6 + [False] * 4  # and the others come in their time, in order
    cycle.step(10.0)
    assert len(cycle.results) == 10


def test_ten_thousand_parked_methods_cost_a_cycle_nothing(cycle: Cycle) -> None:
    for number in range(10_000):
        cycle.start(wait(30.0 + number))
    assert len(cycle.lot.runs) == 10_000
    assert cycle.lot.due() == 30.0
    assert cycle.step(1.0) == 0
    cycle.lot.close()
