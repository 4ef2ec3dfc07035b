"""Parked methods: what they may wait for, when they go on, and what cannot hurt the lot they stand in."""

import math
import threading
from collections.abc import Callable, Generator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.waiting import LONG
from totohio.base.futures import CancelledError, Future, sleep
from totohio.core.invoking import DEFERRED, Lot


class Cycle:
    """A lot with whoever runs the cycle: the test."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.wakes = threading.Semaphore(0)
        self.lot = Lot(here=lambda: threading.get_ident() == self.thread, wake=self.wakes.release)
        self.ends: list[tuple[Any, Any]] = []

    def start(self, waiting: Any, done: Callable[[Any, Any], None] | None = None) -> Any:
        """Run a method up to where it first waits."""
        return self.lot.run(waiting, done or self.done)

    def done(self, result: Any, error: Any) -> None:
        """Note how a method ended."""
        self.ends.append((result, error))

    def step(self, seconds: float = 0.0) -> int:
        """Run one cycle, some tyme later."""
        return self.lot.service(self.lot.tyme + seconds)

    def finish(self) -> None:
        """Run cycles while any method can go on without waiting for tyme."""
        for _ in range(100):
            if self.lot.due() > self.lot.tyme:
                return
            self.step()
        raise AssertionError("it never comes to rest")

    @property
    def results(self) -> list[Any]:
        """What methods returned; fails when one raised."""
        for _, error in self.ends:
            if error is not None:
                raise error
        return [result for result, _ in self.ends]

    @property
    def errors(self) -> list[Any]:
        """What methods raised; None for those that returned."""
        return [error for _, error in self.ends]


@pytest.fixture
def cycle() -> Cycle:
    return Cycle()


def wait(*wanted: Any) -> Generator[Any, Any, Any]:
    """A method that waits for one thing after the other and returns all that it got."""
    found = []
    for item in wanted:
        found.append((yield item))
    return found


def complain(wanted: Any) -> Generator[Any, Any, Any]:
    """A method that returns how its wait failed."""
    try:
        got = yield wanted
    except BaseException as error:
        return error
    return f"no error but {got!r}"


async def wait_for(awaitable: Any) -> Any:
    return await awaitable


# ------------------------------------------------------------ what can be waited for


def test_a_method_that_never_waits_is_done_at_once(cycle: Cycle) -> None:
    assert cycle.start(wait()) is None
    assert cycle.results == [[]]
    assert cycle.lot.due() == math.inf
    assert not cycle.lot.runs


def test_yielding_none_goes_on_in_the_next_cycle_and_not_in_this_one(cycle: Cycle) -> None:
    run = cycle.start(wait(None, None))
    assert not run.over
    assert cycle.lot.due() == 0.0
    assert cycle.step() == 1
    assert cycle.ends == []
    cycle.step()
    assert cycle.results == [[None, None]]
    assert run.over


@pytest.mark.parametrize("pause", [2.5, sleep(2.5)])
def test_yielding_seconds_goes_on_when_they_are_over(cycle: Cycle, pause: Any) -> None:
    cycle.lot.tyme = 10.0
    cycle.start(wait(pause))
    assert cycle.lot.due() == 12.5
    assert cycle.lot.service(12.499) == 0
    assert cycle.lot.service(12.5) == 1
    assert cycle.results == [[None]]


def test_whole_numbers_are_seconds_too(cycle: Cycle) -> None:
    cycle.start(wait(3))
    assert cycle.lot.due() == 3.0


@pytest.mark.parametrize("seconds", [0, 0.0, -1, -0.5])
def test_no_seconds_or_less_are_the_next_cycle(cycle: Cycle, seconds: float) -> None:
    cycle.start(wait(seconds))
    assert cycle.ends == []
    cycle.step()
    assert cycle.results == [[None]]


def test_the_next_pause_counts_from_the_tyme_of_the_cycle(cycle: Cycle) -> None:
    cycle.start(wait(1.0, 1.0))
    cycle.lot.service(5.0)
    assert cycle.lot.due() == 6.0


def test_a_coroutine_sleeps_and_returns(cycle: Cycle) -> None:
    async def method() -> str:
        await sleep(1.0)
        return "slept"

    cycle.start(method())
    assert cycle.ends == []
    cycle.step(1.0)
    assert cycle.results == ["slept"]


@pytest.mark.parametrize(("method", "result"), [(wait_for, "here"), (wait, ["here"])])
def test_a_future_brings_its_result(cycle: Cycle, method: Callable[[Any], Any], result: Any) -> None:
    future: Future[str] = Future()
    cycle.start(method(future))
    assert cycle.lot.due() == math.inf
    future.set_result("here")
    assert cycle.ends == []  # a method runs in the cycle, never inside of whoever completes a Future
    cycle.step()
    assert cycle.results == [result]


def test_a_future_brings_its_exception_to_where_it_was_yielded(cycle: Cycle) -> None:
    future: Future[str] = Future()
    cycle.start(complain(future))
    error = KeyError("lost")
    future.set_exception(error)
    cycle.finish()
    assert cycle.results == [error]


def test_a_future_that_is_done_already_is_no_reason_to_stop(cycle: Cycle) -> None:
    future: Future[int] = Future()
    future.set_result(7)
    cycle.start(wait(future))
    cycle.finish()
    assert cycle.results == [[7]]


def test_a_cancelled_future_raises_cancelled_error(cycle: Cycle) -> None:
    future: Future[int] = Future()
    cycle.start(complain(future))
    future.cancel()
    cycle.finish()
    assert type(cycle.results[0]) is CancelledError


def test_a_future_can_stand_for_a_whole_method(cycle: Cycle) -> None:
    future: Future[int] = Future()
    run = cycle.start(future)
    assert run in cycle.lot.runs
    future.set_result(5)
    cycle.finish()
    assert cycle.results == [5]


def test_a_nested_generator_brings_what_it_returns(cycle: Cycle) -> None:
    def inner(number: int) -> Generator[Any, Any, int]:
        yield 1.0
        return number * 2

    def outer() -> Generator[Any, Any, int]:
        first = yield inner(10)
        second = yield inner(first)
        return int(second)

    cycle.start(outer())
    for _ in range(4):
        cycle.step(1.0)
    cycle.finish()
    assert cycle.results == [40]


def test_a_nested_generators_exception_is_raised_in_the_outer_one(cycle: Cycle) -> None:
    def inner() -> Generator[Any, Any, None]:
        yield None
        raise LookupError("inside")

    cycle.start(complain(inner()))
    cycle.finish()
    assert repr(cycle.results[0]) == "LookupError('inside')"


def test_a_generator_waits_for_a_coroutine_and_the_other_way_round_through_a_future(cycle: Cycle) -> None:
    async def two() -> int:
        await sleep(1.0)
        return 2

    cycle.start(wait(two()))
    cycle.step(1.0)
    cycle.finish()
    assert cycle.results == [[2]]


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_list_brings_the_list_of_results_when_all_are_there(cycle: Cycle, kind: Any) -> None:
    futures: list[Future[int]] = [Future(), Future(), Future()]
    cycle.start(wait(kind(futures)))
    for number in (2, 0, 1):
        cycle.finish()
        assert cycle.ends == []
        futures[number].set_result(number * 10)
    cycle.finish()
    assert cycle.results == [[[0, 10, 20]]]


def test_a_dict_brings_the_dict_of_results(cycle: Cycle) -> None:
    futures: dict[str, Future[int]] = {"a": Future(), "b": Future()}
    cycle.start(wait(futures))
    futures["b"].set_result(2)
    futures["a"].set_result(1)
    cycle.finish()
    assert cycle.results == [[{"a": 1, "b": 2}]]
    assert list(cycle.results[0][0]) == ["a", "b"]


def test_a_dict_that_the_method_changes_meanwhile_still_brings_what_was_asked_for(cycle: Cycle) -> None:
    futures: dict[str, Future[int]] = {"a": Future(), "b": Future()}
    first, second = futures.values()
    cycle.start(wait(futures))
    del futures["a"]
    first.set_result(1)
    second.set_result(2)
    cycle.finish()
    assert cycle.results == [[{"a": 1, "b": 2}]]


def test_empty_lists_and_dicts_are_there_at_once(cycle: Cycle) -> None:
    cycle.start(wait([], {}, ()))
    cycle.finish()
    assert cycle.results == [[[], {}, []]]


def test_lists_may_hold_lists_dicts_generators_and_coroutines(cycle: Cycle) -> None:
    async def three() -> int:
        return 3

    future: Future[int] = Future()
    future.set_result(1)
    cycle.start(wait([future, [wait(1.0), {"x": three()}]]))
    cycle.finish()
    assert cycle.ends == []
    cycle.step(1.0)
    cycle.finish()
    assert cycle.results == [[[1, [[None], {"x": 3}]]]]


def test_the_first_exception_of_a_list_comes_once_all_are_done(cycle: Cycle) -> None:
    futures: list[Future[int]] = [Future(), Future(), Future()]
    cycle.start(complain(futures))
    futures[2].set_exception(KeyError("third"))
    futures[1].set_exception(KeyError("second"))
    cycle.finish()
    assert cycle.ends == []
    futures[0].set_result(1)
    cycle.finish()
    assert repr(cycle.results[0]) == "KeyError('second')"


def test_the_types_that_mean_a_method_waits() -> None:
    async def coroutine() -> None: ...

    waiting = coroutine()
    waiting.close()
    assert type(waiting) in DEFERRED
    assert type(wait()) in DEFERRED
    assert Future in DEFERRED


# ------------------------------------------------------------ other threads


def test_a_thread_that_completes_a_future_wakes_the_cycle_and_runs_no_method(cycle: Cycle) -> None:
    future: Future[int] = Future()
    threads = []

    def method() -> Generator[Any, Any, Any]:
        got = yield future
        threads.append(threading.get_ident())
        return got

    cycle.start(method())
    worker = threading.Thread(target=future.set_result, args=(9,))
    worker.start()
    assert cycle.wakes.acquire(timeout=LONG)
    worker.join()
    assert threads == []
    cycle.step()
    assert cycle.results == [9]
    assert threads == [cycle.thread]


def test_many_threads_may_complete_the_parts_of_a_list_together(cycle: Cycle) -> None:
    start = threading.Barrier(8)
    for _ in range(20):
        futures: list[Future[int]] = [Future() for _ in range(8)]

        def complete(future: Future[int]) -> None:
            start.wait(LONG)
            future.set_result(1)

        cycle.start(wait(futures))
        workers = [threading.Thread(target=complete, args=(future,)) for future in futures]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        cycle.finish()
    assert cycle.results == [[[1] * 8]] * 20


def test_the_cycles_own_completions_wake_nobody(cycle: Cycle) -> None:
    future: Future[int] = Future()
    cycle.start(wait(future, None))
    future.set_result(1)
    cycle.finish()
    assert not cycle.wakes.acquire(blocking=False)


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


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt, RecursionError, MemoryError, GeneratorExit])
@pytest.mark.parametrize("pauses", [0, 1])
def test_whatever_a_method_raises_ends_only_that_method(
    cycle: Cycle, kind: type[BaseException], pauses: int
) -> None:
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


# ------------------------------------------------------------ bounds, order, ends


def test_a_cycle_resumes_a_bounded_number_and_the_others_next_time(cycle: Cycle) -> None:
    for number in range(10):
        cycle.start(wait(1.0), lambda result, error, number=number: cycle.done(number, error))
    assert cycle.lot.service(1.0, limit=4) == 4
    assert cycle.results == [0, 1, 2, 3]
    assert cycle.lot.due() == 0.0
    assert cycle.lot.service(1.0, limit=4) == 4
    assert cycle.lot.service(1.0, limit=4) == 2
    assert cycle.results == list(range(10))


def test_one_that_never_stops_yielding_none_does_not_starve_the_others(cycle: Cycle) -> None:
    def busy() -> Generator[Any, Any, None]:
        while True:
            yield None

    runs = [cycle.start(busy()) for _ in range(3)]
    cycle.start(wait(None, None))
    for _ in range(8):
        cycle.lot.service(cycle.lot.tyme, limit=2)
    assert cycle.results == [[None, None]]
    for run in runs:
        run.close()


@given(st.lists(st.integers(0, 5), max_size=40))
def test_they_go_on_in_order_of_due_tyme_and_then_of_their_beginning(pauses: list[int]) -> None:
    def once() -> list[Any]:
        cycle = Cycle()
        for number, pause in enumerate(pauses):
            cycle.start(wait(pause + 1), lambda result, error, number=number: cycle.done(number, error))
        for tyme in range(8):
            cycle.lot.service(float(tyme))
        return cycle.results

    assert once() == sorted(range(len(pauses)), key=lambda number: (pauses[number], number))
    assert once() == once()


def test_the_same_methods_are_resumed_in_the_same_order_every_time() -> None:
    def once() -> list[str]:
        cycle = Cycle()
        trace: list[str] = []
        futures: list[Future[None]] = [Future() for _ in range(5)]

        def method(number: int) -> Generator[Any, Any, None]:
            for turn in range(4):
                trace.append(f"{number}.{turn}")
                yield (None, 0.25, futures[number], [wait(0.5), wait(None)])[(number + turn) % 4]

        for number in range(5):
            cycle.start(method(number))
        for turn in range(12):
            if turn < 5:
                futures[4 - turn].set_result(None)
            cycle.step(0.125)
        cycle.lot.close()
        return trace

    assert once() == once()


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


def test_ten_thousand_parked_methods_cost_a_cycle_nothing(cycle: Cycle) -> None:
    for number in range(10_000):
        cycle.start(wait(30.0 + number))
    assert len(cycle.lot.runs) == 10_000
    assert cycle.lot.due() == 30.0
    assert cycle.step(1.0) == 0
    cycle.lot.close()
