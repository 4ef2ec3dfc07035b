"""Futures: complete once, from any thread, and everybody who waits is told exactly once."""

import sys
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from totohio.base.futures import CancelledError, Future, InvalidStateError, Sleep, sleep

LONG = 20.0  # seconds that only a failing test waits

COMPLETIONS: dict[str, Callable[[Future[Any]], object]] = {
    "result": lambda future: future.set_result(17),
    "exception": lambda future: future.set_exception(KeyError("tulip")),
    "cancel": lambda future: future.cancel(),
}

each_completion = pytest.mark.parametrize("complete", COMPLETIONS.values(), ids=COMPLETIONS)


def at_once(function: Callable[[int], object], number: int = 8) -> None:
    """Call the function in some threads that start together, with their numbers."""
    together = threading.Barrier(number)

    def run(index: int) -> None:
        together.wait(LONG)
        function(index)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()


def note(seen: list[tuple[int, int]], key: int, future: Future[int]) -> None:
    seen.append((key, future.result()))


# ------------------------------------------------------------ completing


def test_a_new_future_is_pending_and_says_so_when_asked_for_more() -> None:
    future: Future[int] = Future()
    assert not future.done()
    assert not future.cancelled()
    with pytest.raises(InvalidStateError):
        future.result()
    with pytest.raises(InvalidStateError):
        future.exception()


@pytest.mark.parametrize("value", [17, None, False, ValueError("a result too")])
def test_a_result_is_given_as_often_as_it_is_asked_for(value: Any) -> None:
    future: Future[Any] = Future()
    future.set_result(value)
    assert future.done()
    assert not future.cancelled()
    assert future.result() is value
    assert future.result() is value
    assert future.exception() is None


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt()])
def test_an_exception_is_raised_for_whoever_asks_for_the_result(error: BaseException) -> None:
    future: Future[Any] = Future()
    future.set_exception(error)
    assert future.done()
    assert future.exception() is error
    for _ in range(2):
        with pytest.raises(type(error)) as caught:
            future.result()
        assert caught.value is error


def test_a_cancelled_future_has_neither_result_nor_exception() -> None:
    future: Future[Any] = Future()
    assert future.cancel() is True
    assert future.done()
    assert future.cancelled()
    with pytest.raises(CancelledError):
        future.result()
    with pytest.raises(CancelledError):
        future.exception()


@pytest.mark.parametrize("first", ["result", "exception"])
@pytest.mark.parametrize("second", ["result", "exception"])
def test_completing_twice_is_an_error_and_changes_nothing(first: str, second: str) -> None:
    future: Future[Any] = Future()
    COMPLETIONS[first](future)
    before = future.exception()
    with pytest.raises(InvalidStateError):
        COMPLETIONS[second](future)
    assert future.exception() is before


@pytest.mark.parametrize("late", ["result", "exception"])
def test_what_comes_for_a_cancelled_future_is_dropped(late: str) -> None:
    future: Future[Any] = Future()
    future.cancel()
    COMPLETIONS[late](future)
    assert future.cancelled()


@each_completion
def test_cancelling_a_complete_future_is_too_late(complete: Callable[[Future[Any]], object]) -> None:
    future: Future[Any] = Future()
    complete(future)
    cancelled = future.cancelled()
    assert future.cancel() is False
    assert future.cancelled() is cancelled


@pytest.mark.parametrize("completion", COMPLETIONS)
def test_its_text_tells_the_state(completion: str) -> None:
    future: Future[Any] = Future()
    assert "pending" in repr(future)
    COMPLETIONS[completion](future)
    assert {"result": "result", "exception": "error", "cancel": "cancelled"}[completion] in repr(future)


# ------------------------------------------------------------ callbacks


@each_completion
def test_callbacks_run_once_in_order_with_the_complete_future(complete: Callable[[Future[Any]], object]) -> None:
    future: Future[Any] = Future()
    called: list[tuple[str, Future[Any], bool]] = []
    future.add_done_callback(lambda given: called.append(("first", given, given.done())))
    future.add_done_callback(lambda given: called.append(("second", given, given.done())))
    assert called == []
    complete(future)
    assert called == [("first", future, True), ("second", future, True)]
    future.cancel()
    assert len(called) == 2


@each_completion
def test_a_callback_for_a_complete_future_runs_at_once(complete: Callable[[Future[Any]], object]) -> None:
    future: Future[Any] = Future()
    complete(future)
    called: list[Future[Any]] = []
    future.add_done_callback(called.append)
    assert called == [future]


def test_a_callback_may_use_the_future_in_every_way() -> None:
    future: Future[int] = Future()
    called: list[int] = []

    def use(given: Future[int]) -> None:
        given.add_done_callback(lambda again: called.append(again.result()))
        assert given.cancel() is False
        with pytest.raises(InvalidStateError):
            given.set_result(0)
        called.append(given.result() + 1)

    future.add_done_callback(use)
    future.set_result(17)
    assert called == [17, 18]


def test_callbacks_run_in_the_thread_that_completes() -> None:
    future: Future[int] = Future()
    called: list[int] = []
    future.add_done_callback(lambda _: called.append(threading.get_ident()))
    thread = threading.Thread(target=future.set_result, args=(1,))
    thread.start()
    ident = thread.ident
    thread.join(LONG)
    assert called == [ident]


# ------------------------------------------------------------ threads


def test_of_many_threads_that_complete_one_wins_and_the_others_learn_it() -> None:
    for _ in range(50):
        future: Future[int] = Future()
        called: list[tuple[int, int]] = []
        future.add_done_callback(partial(note, called, 0))
        refused: list[int] = []

        def complete(index: int, future: Future[int] = future, refused: list[int] = refused) -> None:
            try:
                future.set_result(index)
            except InvalidStateError:
                refused.append(index)

        at_once(complete)
        assert sorted([*refused, future.result()]) == list(range(8))
        assert called == [(0, future.result())]


def test_a_future_that_is_completed_and_cancelled_at_once_wakes_its_waiter_once() -> None:
    for _ in range(50):
        future: Future[int] = Future()
        woken: list[Future[int]] = []
        future.add_done_callback(woken.append)
        in_time: list[bool] = []

        def race(index: int, future: Future[int] = future, in_time: list[bool] = in_time) -> None:
            if index:
                in_time.append(future.cancel())
            else:
                future.set_result(17)

        at_once(race, 3)
        assert woken == [future]
        assert in_time.count(True) == future.cancelled()
        if not future.cancelled():
            assert future.result() == 17


def test_every_callback_that_meets_the_completion_runs_once_and_sees_the_result() -> None:
    for _ in range(50):
        future: Future[int] = Future()
        seen: list[tuple[int, int]] = []

        def race(index: int, future: Future[int] = future, seen: list[tuple[int, int]] = seen) -> None:
            if index == 3:
                future.set_result(17)
                return
            for number in range(20):
                future.add_done_callback(partial(note, seen, index * 100 + number))

        at_once(race)
        assert len(seen) == len({key for key, _ in seen}) == 7 * 20
        assert {value for _, value in seen} == {17}


# ------------------------------------------------------------ waiting


async def wait_for(awaitable: Any) -> Any:
    return await awaitable


def step(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Let it go on until it waits; give what it waits for."""
    return coroutine.send(None)


def finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Let it go on to its end; give what it returns."""
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)
    return stop.value.value


def test_a_coroutine_waits_for_a_future_and_gets_its_result() -> None:
    future: Future[int] = Future()
    coroutine = wait_for(future)
    assert step(coroutine) is future
    future.set_result(17)
    assert finish(coroutine) == 17


def test_a_coroutine_does_not_wait_for_a_future_that_is_complete() -> None:
    future: Future[int] = Future()
    future.set_result(17)
    assert finish(wait_for(future)) == 17


def test_a_coroutine_gets_the_exception_of_a_future() -> None:
    future: Future[int] = Future()
    coroutine = wait_for(future)
    step(coroutine)
    future.set_exception(KeyError("tulip"))
    with pytest.raises(KeyError, match="tulip"):
        coroutine.send(None)


def test_a_coroutine_learns_that_its_future_was_cancelled() -> None:
    future: Future[int] = Future()
    coroutine = wait_for(future)
    step(coroutine)
    future.cancel()
    with pytest.raises(CancelledError):
        coroutine.send(None)


def test_a_sleep_tells_how_long_and_gives_nothing() -> None:
    pause = sleep(0.5)
    assert isinstance(pause, Sleep)
    assert pause.seconds == 0.5
    coroutine = wait_for(pause)
    assert step(coroutine) is pause
    assert finish(coroutine) is None


@pytest.mark.expects_errors
def test_a_callback_that_raises_even_system_exit_keeps_nobody_from_being_told() -> None:
    future: Future[int] = Future()
    told: list[int] = []
    future.add_done_callback(lambda _: sys.exit(3))
    future.add_done_callback(lambda done: told.append(done.result()))
    future.set_result(7)
    future.add_done_callback(lambda _: sys.exit(3))
    assert told == [7]
