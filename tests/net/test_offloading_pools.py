"""Pools of worker threads: no call is lost, no thread dies of what it runs, none lives on without work."""

import gc
import sys
import threading
import weakref
from typing import Any

import pytest

from tests.waiting import LONG, Gate, result, settle
from totohio.base.errors import TotohioError
from totohio.base.futures import Future
from totohio.net import offloading
from totohio.net.offloading import KernelPool, KernelThreads

FOREVER = float("inf")


def make_pool(size: int = 1, *, idle_timeout: float = LONG) -> KernelPool:
    return KernelThreads().pool("test", size, idle_timeout)


def test_a_call_runs_in_another_thread_and_its_future_gets_the_result() -> None:
    def where(*args: int, **kwargs: int) -> tuple[Any, ...]:
        return threading.current_thread(), args, kwargs

    thread, args, kwargs = result(make_pool().submit(where, 1, 2, three=3))
    assert thread is not threading.current_thread()
    assert thread.daemon, "a thread of ours must not keep the process from ending"
    assert (args, kwargs) == ((1, 2), {"three": 3})


@pytest.mark.parametrize(
    "error", [ValueError("x"), SystemExit(3), KeyboardInterrupt(), MemoryError(), GeneratorExit(), StopIteration(4)]
)
def test_a_future_gets_whatever_a_task_raises_and_the_thread_lives_on(error: BaseException) -> None:
    def fail() -> None:
        raise error

    pool = make_pool()
    before = result(pool.submit(threading.current_thread))
    future = pool.submit(fail)
    settle(future)
    assert future.exception() is error
    assert result(pool.submit(threading.current_thread)) is before


def test_a_task_that_recurses_without_end_harms_nobody() -> None:
    def recurse() -> None:
        recurse()

    pool = make_pool()
    future = pool.submit(recurse)
    settle(future)
    assert isinstance(future.exception(), RecursionError)
    assert result(pool.submit(int)) == 0


def test_one_thread_runs_its_tasks_in_order_and_never_two_at_once() -> None:
    ran: list[int] = []
    busy = threading.Lock()

    def run(number: int) -> None:
        assert busy.acquire(blocking=False)
        ran.append(number)
        busy.release()

    pool = make_pool(1)
    for future in [pool.submit(run, number) for number in range(300)]:
        assert result(future) is None
    assert ran == list(range(300))


def test_all_threads_of_a_pool_run_at_once_and_no_more() -> None:
    gate = Gate()
    pool = KernelThreads().pool("three", 3)
    futures = [pool.submit(gate) for _ in range(5)]
    gate.await_come(3)
    assert len(pool) == 5
    names = {thread.name for thread in threading.enumerate() if thread.name.startswith("three-")}
    assert names == {"three-1", "three-2", "three-3"}
    gate.let(5)
    settle(*futures)


def test_the_length_is_right_through_a_thousand_tasks_over_four_threads() -> None:
    gate = Gate()
    pool = make_pool(4)
    ended = threading.Semaphore(0)
    futures = [pool.submit(gate) for _ in range(1000)]
    for future in futures:
        future.add_done_callback(lambda _: ended.release())
    assert len(pool) == 1000
    for left in range(999, -1, -1):
        gate.let()
        assert ended.acquire(timeout=LONG)
        assert len(pool) == left


def test_a_task_does_not_wait_for_a_busy_thread_while_another_may_be_started() -> None:
    # The idle thread that was woken for the first task still looks idle when the second comes.
    pool = make_pool(2)
    for _ in range(500):
        settle(pool.submit(int))
        second = threading.Event()
        first = pool.submit(second.wait, LONG)
        settle(pool.submit(second.set))
        assert result(first) is True


def test_a_task_that_comes_between_the_end_of_the_wait_and_the_end_of_the_thread_is_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    futures: list[Future[int]] = []

    class Late(threading.Condition):
        """Its wait is over, and before the waiting thread has the lock again somebody submits."""

        def wait(self, timeout: float | None = None) -> bool:
            assert not super().wait(0)
            self.release()
            if len(futures) < 100:
                futures.append(pool.submit(int))
            self.acquire()
            return False

    monkeypatch.setattr(offloading, "Condition", Late)
    pool = make_pool(1)
    thread = result(pool.submit(threading.current_thread))
    thread.join(LONG)
    assert len(futures) == 100
    assert [result(future) for future in futures] == [0] * 100


@pytest.mark.parametrize("idle_timeout", [0.0, 0.00001, 0.0001])
def test_tasks_are_run_at_whatever_moment_they_come_while_threads_end(idle_timeout: float) -> None:
    threads = set()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads give way to each other at every opportunity
    try:
        pool = make_pool(1, idle_timeout=idle_timeout)
        for turn in range(2000):
            threads.add(result(pool.submit(threading.current_thread)))
            for _ in range(turn * 7 % 6000):  # sweeps over the moment
                pass
    finally:
        sys.setswitchinterval(interval)
    assert len(pool) == 0
    if not idle_timeout:
        assert len(threads) > 1, "no thread ever ended"


def test_a_thread_without_work_ends_and_another_starts_on_demand() -> None:
    pool = make_pool(1, idle_timeout=0.001)
    first = result(pool.submit(threading.current_thread))
    first.join(LONG)
    assert not first.is_alive()
    second = result(pool.submit(threading.current_thread))
    assert second is not first


def test_a_thread_with_time_left_is_used_again() -> None:
    pool = make_pool(1, idle_timeout=FOREVER)
    assert len({result(pool.submit(threading.current_thread)) for _ in range(50)}) == 1
    pool.close()


def test_a_task_may_submit_to_its_own_pool() -> None:
    pool = make_pool(1)
    inner = result(pool.submit(pool.submit, int))
    assert result(inner) == 0


def test_a_future_that_was_cancelled_before_its_turn_is_passed_over() -> None:
    gate = Gate()
    ran: list[int] = []
    pool = make_pool(1)
    first = pool.submit(gate)
    gate.await_come()
    second = pool.submit(ran.append, 2)
    third = pool.submit(ran.append, 3)
    assert second.cancel()
    gate.let()
    settle(first, third)
    assert ran == [3]
    assert len(pool) == 0


def test_closing_cancels_what_waits_and_leaves_alone_what_runs() -> None:
    gate = Gate()
    pool = make_pool(1)

    def run() -> threading.Thread:
        gate()
        return threading.current_thread()

    running = pool.submit(run)
    gate.await_come()
    waiting = [pool.submit(int) for _ in range(3)]
    pool.close()
    pool.close()
    assert all(future.cancelled() for future in waiting)
    assert len(pool) == 1
    with pytest.raises(TotohioError, match="closed"):
        pool.submit(int)
    gate.let()
    thread = result(running)
    thread.join(LONG)
    assert not thread.is_alive()


def test_closing_ends_idle_threads_at_once() -> None:
    pool = make_pool(2, idle_timeout=FOREVER)
    thread = result(pool.submit(threading.current_thread))
    pool.close()
    thread.join(LONG)
    assert not thread.is_alive()


@pytest.mark.expects_errors
def test_a_callback_that_fails_does_not_keep_others_from_being_cancelled() -> None:
    gate = Gate()
    pool = make_pool(1)
    running = pool.submit(gate)
    gate.await_come()
    waiting = [pool.submit(int) for _ in range(2)]
    for future in waiting:
        future.add_done_callback(lambda _: 1 / 0)
    pool.close()
    assert all(future.cancelled() for future in waiting)
    gate.let()
    settle(running)


@pytest.mark.expects_errors
def test_a_callback_that_fails_does_not_end_the_thread() -> None:
    gate = Gate()
    pool = make_pool(1)
    before = result(pool.submit(threading.current_thread))
    future = pool.submit(gate)
    future.add_done_callback(lambda _: 1 / 0)
    gate.let()
    assert result(pool.submit(threading.current_thread)) is before


def test_a_pool_of_no_threads_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        make_pool(0)


def test_a_machine_without_threads_to_give_is_an_error_only_when_there_is_none_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    gate = Gate()
    pool = make_pool(2)
    first = pool.submit(gate)
    gate.await_come()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        second = pool.submit(int)
        with pytest.raises(RuntimeError, match="can't start"):
            make_pool(1).submit(int)
    gate.let()
    assert result(second) == 0
    settle(first)


def test_an_idle_thread_keeps_nothing_of_its_last_task_alive() -> None:
    class Thing:
        """Something that can be seen to go."""

    pool = make_pool(1)
    gone = threading.Event()
    thing = Thing()
    weakref.finalize(thing, gone.set)
    settle(pool.submit(lambda thing: thing, thing))
    del thing
    assert gone.wait(LONG)


def test_an_error_does_not_need_the_garbage_collector_to_go() -> None:
    class Thing:
        """Something that can be seen to go."""

    def fail(thing: Thing) -> None:
        raise ValueError

    pool = make_pool(1)
    gone = threading.Event()
    thing = Thing()
    weakref.finalize(thing, gone.set)
    gc.disable()
    try:
        settle(pool.submit(fail, thing))
        del thing
        assert gone.wait(LONG)
    finally:
        gc.enable()
