"""Parked methods: what they may wait for, and when they go on."""

import math
import threading
from collections.abc import Callable, Generator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.cycle import Cycle, complain, wait, wait_for
from tests.waiting import LONG
from totohio.base.futures import CancelledError, Future, sleep
from totohio.core.invoking import DEFERRED


@pytest.fixture
def cycle() -> Cycle:
    return Cycle()


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


# ------------------------------------------------------------ bounds and order


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
