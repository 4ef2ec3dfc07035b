"""Functions that wait in the middle are paused, and the cycle goes on."""

import contextlib
import gc
from collections.abc import Generator
from typing import Any

import pytest
from greenlet import greenlet

from totohio.base.futures import Future
from totohio.core.invoking import Lot
from totohio.core.pausing import POOL, STUBBORN, Fibers


def never(future: Future[Any]) -> None:
    raise AssertionError("nothing is to be waited for outside a fiber here")


@pytest.fixture
def fibers() -> Fibers:
    return Fibers(never)


@pytest.fixture
def lot(fibers: Fibers) -> Lot:
    lot = Lot(here=lambda: True, wake=lambda: None)
    lot.fibers = fibers
    return lot


def run(lot: Lot, waiting: Any) -> list[Any]:
    """Start what waits; what it ends with is appended to the list."""
    ends: list[Any] = []
    lot.run(waiting, lambda result, error: ends.append(error if error is not None else result))
    return ends


def test_a_function_that_does_not_wait_gives_its_result(fibers: Fibers) -> None:
    assert fibers.call(lambda a, b: a + b, 1, 2) == 3


def test_what_it_raises_is_raised(fibers: Fibers) -> None:
    with pytest.raises(ZeroDivisionError):
        fibers.call(lambda: 1 / 0)
    assert fibers.call(lambda: "again") == "again"


def test_a_function_is_paused_in_the_middle_and_others_go_on(fibers: Fibers, lot: Lot) -> None:
    first: Future[int] = Future()
    second: Future[int] = Future()
    seen: list[str] = []

    def work(name: str, future: Future[int]) -> int:
        seen.append(f"{name} begins")
        value = deep(5, future)
        seen.append(f"{name} has {value}")
        return value * 2

    def deep(level: int, future: Future[int]) -> int:
        return deep(level - 1, future) if level else fibers.wait(future)  # type: ignore[no-any-return]

    one = run(lot, fibers.call(work, "one", first))
    two = run(lot, fibers.call(work, "two", second))
    second.set_result(2)
    lot.service(0.0)
    assert (one, two) == ([], [4])
    first.set_result(1)
    lot.service(0.0)
    assert (one, two) == ([2], [4])
    assert seen == ["one begins", "two begins", "two has 2", "one has 1"]


def test_a_future_that_is_there_pauses_nothing(fibers: Fibers) -> None:
    future: Future[int] = Future()
    future.set_result(7)
    assert fibers.call(fibers.wait, future) == 7


def test_the_error_of_a_future_is_raised_where_it_was_waited_for(fibers: Fibers, lot: Lot) -> None:
    future: Future[int] = Future()

    def work() -> str:
        try:
            fibers.wait(future)
        except KeyError as error:
            return f"caught {error}"
        return "nothing"

    ends = run(lot, fibers.call(work))
    future.set_exception(KeyError("x"))
    lot.service(0.0)
    assert ends == ["caught 'x'"]


def test_a_generator_can_be_paused_between_its_yields(fibers: Fibers, lot: Lot) -> None:
    future: Future[str] = Future()

    def method() -> Generator[Any, Any, str]:
        value = yield None
        assert value is None
        text = fibers.wait(future)
        yield 1.0
        return text + "!"

    ends = run(lot, method())
    lot.service(0.0)
    future.set_result("there")
    lot.service(0.0)
    assert ends == []
    lot.service(1.0)
    assert ends == ["there!"]


def test_a_coroutine_can_be_paused_too(fibers: Fibers, lot: Lot) -> None:
    future: Future[str] = Future()
    other: Future[str] = Future()

    async def method() -> str:
        return fibers.wait(future) + await other

    ends = run(lot, method())
    future.set_result("a")
    lot.service(0.0)
    other.set_result("b")
    lot.service(0.0)
    assert ends == ["ab"]


def test_a_function_that_has_paused_may_return_a_generator(fibers: Fibers, lot: Lot) -> None:
    first: Future[int] = Future()
    second: Future[int] = Future()

    def method() -> Generator[Any, Any, int]:
        got = yield 0.0
        assert got is None
        return fibers.wait(second) + 1  # type: ignore[no-any-return]

    def work() -> Any:
        fibers.wait(first)
        return method()

    ends = run(lot, fibers.call(work))
    first.set_result(1)
    lot.service(0.0)
    lot.service(0.0)
    second.set_result(41)
    lot.service(0.0)
    assert ends == [42]


def test_what_is_ended_runs_its_finally_blocks(fibers: Fibers, lot: Lot) -> None:
    ended: list[str] = []

    def work() -> None:
        try:
            fibers.wait(Future())
        finally:
            ended.append("function")

    def method() -> Generator[Any, Any, None]:
        try:
            yield None
            fibers.wait(Future())
        finally:
            ended.append("generator")

    def waiting() -> Generator[Any, Any, None]:
        try:
            yield 1000.0
        finally:
            ended.append("sleeper")

    ends = run(lot, fibers.call(work)) + run(lot, method()) + run(lot, waiting())
    lot.service(0.0)
    lot.close()
    assert sorted(ended) == ["function", "generator", "sleeper"]
    assert ends == []


class Large:
    """What a function has in its hands."""


def hold(fibers: Fibers, large: Large) -> None:
    fibers.wait(Future())
    assert large


def hold_through_a_finally(fibers: Fibers, large: Large) -> None:
    try:
        fibers.wait(Future())
    finally:
        fibers.wait(Future())
        assert large


def hold_and_go_on(fibers: Fibers, large: Large) -> None:
    with contextlib.suppress(BaseException):
        fibers.wait(Future())
    assert large


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("work", [hold, hold_through_a_finally, hold_and_go_on])
def test_what_is_ended_keeps_nothing(fibers: Fibers, work: Any, begun: bool) -> None:
    before = len(living(greenlet))
    for _ in range(10):
        paused = fibers.call(work, fibers, Large())
        if begun:
            next(paused)
        paused.close()
        del paused
    assert not living(Large)
    assert len(living(greenlet)) - before <= 1  # the one that is idle
    assert fibers.call(lambda: "again") == "again"


def test_an_error_before_it_goes_on_ends_it_too(fibers: Fibers) -> None:
    paused = fibers.call(hold, fibers, Large())
    with pytest.raises(TimeoutError):
        paused.throw(TimeoutError())
    del paused
    assert not living(Large)


def test_a_wrapped_generator_that_is_ended_keeps_nothing(fibers: Fibers) -> None:
    def method(large: Large) -> Generator[Any, Any, None]:
        yield 0.0
        fibers.wait(Future())
        assert large

    for steps in range(3):
        waiting = fibers.wrap(method(Large()))
        for _ in range(steps):
            next(waiting)
        waiting.close()
        del waiting
        assert not living(Large), steps


def living(kind: type) -> list[object]:
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, kind)]


def test_what_waits_again_and_again_at_its_end_is_left(fibers: Fibers) -> None:
    waits: list[int] = []

    def work() -> None:
        while len(waits) <= 2 * STUBBORN:
            with contextlib.suppress(BaseException):
                waits.append(1)
                fibers.wait(Future())

    paused = fibers.call(work)
    next(paused)
    paused.close()
    assert len(waits) == 1 + STUBBORN


def test_fibers_are_used_again(fibers: Fibers) -> None:
    for _ in range(1000):
        fibers.call(lambda: None)
    assert len(fibers._idle) == 1


def test_no_more_idle_fibers_are_kept_than_the_pool_holds(fibers: Fibers, lot: Lot) -> None:
    futures: list[Future[int]] = [Future() for _ in range(3 * POOL)]
    ends = [run(lot, fibers.call(fibers.wait, future)) for future in futures]
    for number, future in enumerate(futures):
        future.set_result(number)
    while lot.service(0.0):
        pass
    assert ends == [[number] for number in range(3 * POOL)]
    assert len(fibers._idle) == POOL
    gc.collect()


def test_a_function_may_call_others_in_fibers(fibers: Fibers, lot: Lot) -> None:
    future: Future[int] = Future()
    inner: list[Any] = []

    def outer() -> str:
        inner.extend(run(lot, fibers.call(fibers.wait, future)))
        return "outer"

    assert fibers.call(outer) == "outer"
    assert fibers.pausable() is False


def test_outside_of_fibers_whoever_can_brings_the_future_about() -> None:
    fibers = Fibers(lambda future: future.set_result("brought"))
    assert fibers.wait(Future()) == "brought"
