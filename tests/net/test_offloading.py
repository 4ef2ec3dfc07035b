"""The way from worker threads back into the cycle: nothing is overlooked, and nobody is woken for nothing."""

import logging
import math
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hio.base import doing as hio_doing

from tests.waiting import LONG, Gate, Wakes, new_environment, result, running
from totohio.base.futures import CancelledError
from totohio.net import offloading
from totohio.net.offloading import Inbox, KernelThreads, OffloadDoer

FOREVER = float("inf")


# ------------------------------------------------------------ Inbox


def test_posted_functions_run_in_order_when_drained() -> None:
    ran: list[int] = []
    inbox = Inbox(Wakes())
    for number in range(5):
        inbox.post(ran.append, number)
    assert ran == []
    assert len(inbox) == 5
    assert inbox.drain(100) == 5
    assert ran == [0, 1, 2, 3, 4]
    assert inbox.drain(100) == 0


def test_a_drain_stops_at_its_limit_and_the_next_goes_on() -> None:
    ran: list[int] = []
    inbox = Inbox(Wakes())
    for number in range(10):
        inbox.post(ran.append, number)
    assert inbox.drain(4) == 4
    assert ran == [0, 1, 2, 3]
    assert inbox.drain(100) == 6
    assert ran == list(range(10))


def test_a_function_that_posts_itself_does_not_hold_up_the_cycle() -> None:
    inbox = Inbox(Wakes())

    def again() -> None:
        inbox.post(again)

    again()
    assert inbox.drain(256) == 256
    assert len(inbox) == 1


def test_many_posts_between_two_drains_wake_once() -> None:
    wakes = Wakes()
    inbox = Inbox(wakes)
    for _ in range(1000):
        inbox.post(int)
    assert wakes.count == 1
    inbox.drain(1000)
    inbox.drain(1000)
    assert wakes.count == 1
    inbox.post(int)
    inbox.post(int)
    assert wakes.count == 2


def test_posts_of_many_threads_between_two_drains_wake_once() -> None:
    for _ in range(50):
        wakes = Wakes()
        inbox = Inbox(wakes)
        together = threading.Barrier(8)

        def post(inbox: Inbox = inbox, together: threading.Barrier = together) -> None:
            together.wait(LONG)
            for _ in range(20):
                inbox.post(int)

        threads = [threading.Thread(target=post) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG)
        assert len(inbox) == 160
        assert wakes.count == 1


def test_a_post_while_a_drain_runs_wakes_again() -> None:
    wakes = Wakes()
    inbox = Inbox(wakes)
    inbox.post(inbox.post, int)
    assert wakes.count == 1
    inbox.drain(1)
    assert wakes.count == 2


def test_no_post_is_overlooked_however_it_meets_a_drain() -> None:
    wakes = Wakes()
    inbox = Inbox(wakes)
    each, posters = 3000, 3
    ran = 0

    def run() -> None:
        nonlocal ran
        ran += 1

    def post() -> None:
        for _ in range(each):
            inbox.post(run)

    threads = [threading.Thread(target=post) for _ in range(posters)]
    for thread in threads:
        thread.start()
    while ran < each * posters:  # a cycle that waits in its poller unless something is left
        if not inbox:
            assert wakes.event.wait(LONG), f"{each * posters - ran} posts were overlooked"
            wakes.event.clear()
        inbox.drain(7)
    for thread in threads:
        thread.join(LONG)


@pytest.mark.expects_errors
@pytest.mark.parametrize("error", [ValueError("tulip"), SystemExit(3), KeyboardInterrupt(), RecursionError("tulip")])
def test_what_a_posted_function_raises_is_logged_and_the_next_one_runs(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise error

    ran: list[str] = []
    inbox = Inbox(Wakes())
    inbox.post(fail)
    inbox.post(ran.append, "next")
    with caplog.at_level(logging.ERROR, "totohio"):
        assert inbox.drain(256) == 2
    assert ran == ["next"]
    assert "fail" in caplog.text
    assert "Traceback" in caplog.text
    assert type(error).__name__ in caplog.text


def test_here_is_true_only_in_the_thread_that_drains() -> None:
    inbox = Inbox(Wakes())
    assert not inbox.here()
    inbox.drain(1)
    assert inbox.here()
    assert result(KernelThreads().pool("test", 1).submit(inbox.here)) is False


# ------------------------------------------------------------ OffloadDoer


def test_the_doer_delivers_under_a_stock_doist() -> None:
    ran: list[int] = []
    inbox = Inbox(Wakes())
    doist = hio_doing.Doist(real=False, tock=0.25, limit=1.0, doers=[OffloadDoer(inbox)])
    inbox.post(ran.append, 1)
    doist.do()
    assert ran == [1]


def test_the_doer_drains_at_most_its_limit_a_cycle() -> None:
    ran: list[int] = []
    inbox = Inbox(Wakes())
    doist = hio_doing.Doist(real=False, tock=0.25, doers=[OffloadDoer(inbox, 3)])
    for number in range(7):
        inbox.post(ran.append, number)
    doist.enter()
    doist.recur()
    assert len(ran) == 3
    doist.recur()
    doist.recur()
    assert len(ran) == 7
    doist.exit()


def test_the_doer_is_due_at_once_exactly_when_something_waits() -> None:
    inbox = Inbox(Wakes())
    doer = OffloadDoer(inbox, 1)
    assert doer.due(5.0) == FOREVER
    inbox.post(int)
    inbox.post(int)
    doer.recur(5.0)
    assert doer.due(5.0) <= 5.0
    doer.recur(5.0)
    assert doer.due(5.0) == FOREVER


def test_the_doer_has_another_cycle_when_something_came_while_it_drained() -> None:
    wakes = Wakes()
    inbox = Inbox(wakes)
    doer = OffloadDoer(inbox)
    done: list[str] = []

    def first() -> None:
        done.append("first")
        inbox.post(done.append, "second")  # taken by the same drain

    inbox.post(first)
    doer.recur(0.0)
    assert done == ["first", "second"]
    assert doer.due(0.0) == 0.0  # or nobody would be woken any more
    doer.recur(0.0)
    assert doer.due(0.0) == math.inf
    inbox.post(done.append, "third")
    assert wakes.count == 3


def test_the_doer_knows_its_thread_from_enter_to_exit() -> None:
    inbox = Inbox(Wakes())
    doer = OffloadDoer(inbox)
    doer.enter()
    assert inbox.here()
    doer.exit()
    doer.exit()
    assert not inbox.here()


# ------------------------------------------------------------ threads and cycle together


def test_results_come_with_the_next_drain_and_in_its_thread() -> None:
    wakes = Wakes()
    inbox = Inbox(wakes)
    pool = KernelThreads(inbox.post).pool("test", 1)
    ran_in: list[threading.Thread] = []
    future = pool.submit(int, "17")
    future.add_done_callback(lambda _: ran_in.append(threading.current_thread()))
    assert wakes.event.wait(LONG)
    assert not future.done()
    inbox.drain(256)
    assert future.result() == 17
    assert ran_in == [threading.current_thread()]


def test_errors_come_with_the_next_drain() -> None:
    wakes = Wakes()
    inbox = Inbox(wakes)
    future = KernelThreads(inbox.post).pool("test", 1).submit(int, "tulip")
    assert wakes.event.wait(LONG)
    inbox.drain(256)
    assert isinstance(future.exception(), ValueError)


def test_a_future_cancelled_while_its_task_runs_stays_cancelled() -> None:
    wakes = Wakes()
    inbox = Inbox(wakes)
    gate = Gate()
    future = KernelThreads(inbox.post).pool("test", 1).submit(gate)
    gate.await_come()
    future.cancel()
    gate.let()
    assert wakes.event.wait(LONG)
    inbox.drain(256)
    with pytest.raises(CancelledError):
        future.result()


def test_futures_completed_from_many_threads_wake_once_and_are_all_delivered() -> None:
    wakes = Wakes()
    inbox = Inbox(wakes)
    posted = threading.Semaphore(0)

    def post(function: Callable[..., object], *args: Any) -> None:
        inbox.post(function, *args)
        posted.release()

    pool = KernelThreads(post).pool("test", 4)
    futures = [pool.submit(str, number) for number in range(200)]
    for _ in futures:
        assert posted.acquire(timeout=LONG)
    assert wakes.count == 1
    assert inbox.drain(1000) == 200
    assert [future.result() for future in futures] == [str(number) for number in range(200)]


def test_calls_find_the_environment_of_their_threads_whatever_is_active() -> None:
    threads = KernelThreads()
    pool = threads.pool("test", 1)
    assert result(pool.submit(offloading.environment)) is None
    mine, other = new_environment(threads), new_environment()
    with running(other):
        assert offloading.environment() is other
        assert result(pool.submit(offloading.environment)) is mine
    assert offloading.environment() is None
