"""Task queues: Toto's names, and threads of the server that uses them."""

import gc
import logging
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.waiting import LONG, new_environment, result, running, settle
from totohio.base import environing
from totohio.base.environing import Environment
from totohio.base.errors import TotohioError
from totohio.net.offloading import Inbox, KernelThreads
from totohio.work import queues
from totohio.work.queues import TaskQueue


@pytest.fixture
def server() -> Iterator[Environment]:
    """A server whose cycle the test is in; its queues are no other test's."""
    with running(new_environment()) as environment:
        yield environment


@pytest.fixture
def name() -> str:
    """The name of a queue that lives as long as the process."""
    return f"queue {uuid4()}"


# ------------------------------------------------------------ TaskQueue


def test_a_task_is_run_in_another_thread_with_its_arguments() -> None:
    ran: list[Any] = []
    done = threading.Event()

    def task(*args: int, **kwargs: int) -> None:
        ran.append((threading.current_thread(), args, kwargs))
        done.set()

    assert TaskQueue().add_task(task, 1, 2, self=3, fn=4, function=5) is None  # type: ignore[func-returns-value]
    assert done.wait(LONG)
    [(thread, args, kwargs)] = ran
    assert thread is not threading.current_thread()
    assert args == (1, 2)
    assert kwargs == {"self": 3, "fn": 4, "function": 5}


def test_the_future_of_a_task_gets_what_it_returns() -> None:
    def task(*args: int, **kwargs: int) -> tuple[Any, ...]:
        return args, kwargs

    assert result(TaskQueue().yield_task(task, 1, self=2, function=3)) == ((1,), {"self": 2, "function": 3})


def test_the_future_of_a_task_gets_what_it_raises_and_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    future = TaskQueue().yield_task(int, "tulip")
    settle(future)
    with pytest.raises(ValueError, match="tulip"):
        future.result()
    assert not caplog.records


@pytest.mark.expects_errors
@pytest.mark.parametrize("error", [ValueError("tulip"), SystemExit("tulip"), KeyboardInterrupt("tulip")])
def test_what_an_added_task_raises_is_logged_once_with_its_traceback(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise error

    queue = TaskQueue()
    with caplog.at_level(logging.ERROR, "totohio"):
        queue.add_task(fail)
        assert result(queue.yield_task(int)) == 0
    [record] = caplog.records
    assert "fail" in record.getMessage()
    assert "Traceback" in caplog.text
    assert "tulip" in caplog.text


def test_tasks_run_in_order_one_at_a_time() -> None:
    ran: list[int] = []
    busy = threading.Lock()

    def task(number: int) -> None:
        assert busy.acquire(blocking=False)
        ran.append(number)
        busy.release()

    queue = TaskQueue()
    for number in range(200):
        queue.add_task(task, number)
    settle(queue.yield_task(int))
    assert ran == list(range(200))


def test_as_many_tasks_run_at_once_as_there_are_threads() -> None:
    together = threading.Barrier(3)
    queue = TaskQueue(3)
    settle(*[queue.yield_task(together.wait, LONG) for _ in range(3)])
    assert not together.broken


def test_the_length_counts_what_runs_and_what_waits() -> None:
    release = threading.Event()
    begun = threading.Semaphore(0)

    def task() -> None:
        begun.release()
        assert release.wait(LONG)

    queue = TaskQueue(4)
    assert len(queue) == 0
    futures = [queue.yield_task(task) for _ in range(1000)]
    for _ in range(4):
        assert begun.acquire(timeout=LONG)
    queue.run()
    assert len(queue) == 1000
    release.set()
    settle(*futures)
    assert len(queue) == 0


def test_threads_end_when_idle_and_start_again() -> None:
    queue = TaskQueue(1, 0.001)
    thread = result(queue.yield_task(threading.current_thread))
    thread.join(LONG)
    assert not thread.is_alive()
    assert result(queue.yield_task(threading.current_thread)) is not thread


def test_threads_carry_the_name_of_their_queue() -> None:
    assert result(TaskQueue(1, name="post office").yield_task(threading.current_thread)).name == "post office-1"


@pytest.mark.parametrize("thread_count", [0, -1])
def test_a_queue_without_threads_is_refused(thread_count: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        TaskQueue(thread_count)


def test_tasks_of_a_queue_that_nobody_holds_any_more_are_run() -> None:
    ran = threading.Event()
    queue: TaskQueue | None = TaskQueue()
    assert queue is not None
    gone = weakref.ref(queue)
    begin = threading.Event()
    queue.add_task(begin.wait, LONG)
    queue.add_task(ran.set)
    queue = None
    gc.collect()
    assert gone() is None
    begin.set()
    assert ran.wait(LONG)


# ------------------------------------------------------------ shared queues


def test_a_name_gives_the_same_queue_and_later_arguments_are_ignored(name: str) -> None:
    queue = TaskQueue.instance(name, 2, 5)
    assert TaskQueue.instance(name, 7, 1) is queue
    assert (queue.thread_count, queue.idle_timeout, queue.name) == (2, 5, name)
    assert TaskQueue.instance(f"other {name}") is not queue
    together = threading.Barrier(2)
    settle(*[TaskQueue.instance(name).yield_task(together.wait, LONG) for _ in range(2)])


def test_threads_that_ask_for_a_new_name_at_once_get_the_same_queue(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Semaphore(0), threading.Event()  # while threads begin, coverage cannot be disturbed
    coming = threading.Semaphore(0)
    found: list[TaskQueue] = []
    make = TaskQueue.__init__

    def linger(queue: TaskQueue, *args: Any) -> None:
        for _ in range(8):  # until all have come
            assert coming.acquire(timeout=LONG)
        coming.release(8)
        for _ in range(20_000):
            pass  # and had their turns
        make(queue, *args)

    def ask() -> None:
        begun.release()
        assert go.wait(LONG)
        coming.release()
        found.append(TaskQueue.instance(name))

    monkeypatch.setattr(TaskQueue, "__init__", linger)
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
        assert begun.acquire(timeout=LONG)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    go.set()
    for thread in threads:
        thread.join(LONG)
    sys.setswitchinterval(interval)
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


def test_two_servers_in_a_process_share_no_queue(name: str) -> None:
    outside = TaskQueue.instance(name)
    with running(new_environment()):
        first = TaskQueue.instance(name)
        assert TaskQueue.instance(name) is first
    with running(new_environment()):
        second = TaskQueue.instance(name)
    assert len({id(outside), id(first), id(second)}) == 3
    assert TaskQueue.instance(name) is outside
    threads = {result(queue.yield_task(threading.current_thread)) for queue in (outside, first, second)}
    assert len(threads) == 3


def test_a_task_finds_the_queues_of_the_server_that_it_works_for(name: str) -> None:
    with running(new_environment()):
        queue = TaskQueue.instance(name)
    with running(new_environment()):  # runs at the same time in the thread of its own cycle
        assert result(queue.yield_task(TaskQueue.instance, name)) is queue
        assert result(TaskQueue.instance(name).yield_task(TaskQueue.instance, name)) is not queue


def test_a_task_outside_any_server_finds_the_queues_outside(name: str) -> None:
    outside = TaskQueue.instance(name)
    with running(new_environment()):
        assert result(outside.yield_task(threading.current_thread)) is not None
    assert result(outside.yield_task(TaskQueue.instance, name)) is outside


def test_a_queue_made_by_a_method_stays_with_its_server(server: Environment) -> None:
    queue = TaskQueue()
    thread = result(queue.yield_task(threading.current_thread))
    before = environing.activate(None)
    try:
        assert result(queue.yield_task(threading.current_thread)) is thread
    finally:
        environing.activate(before)


@pytest.mark.parametrize("make", [lambda name: TaskQueue(name=name), TaskQueue.instance])
def test_a_queue_made_outside_serves_each_server_with_threads_of_its_own(
    make: Callable[[str], TaskQueue], name: str
) -> None:
    queue = make(name)
    thread = result(queue.yield_task(threading.current_thread))
    seen = {thread}
    for _ in range(2):
        with running(new_environment()):
            inside = result(queue.yield_task(threading.current_thread))
            assert result(queue.yield_task(threading.current_thread)) is inside
            seen.add(inside)
    assert len(seen) == 3
    assert result(queue.yield_task(threading.current_thread)) is thread


def test_a_shared_queue_made_outside_and_its_namesake_inside_are_one_line(server: Environment, name: str) -> None:
    before = environing.activate(None)
    outside = TaskQueue.instance(name, 1)
    environing.activate(before)
    release = threading.Event()
    first = TaskQueue.instance(name).yield_task(release.wait, LONG)
    second = outside.yield_task(int)
    assert len(outside) == len(TaskQueue.instance(name)) == 2
    release.set()
    settle(first, second)


def test_results_reach_the_server_through_its_inbox() -> None:
    woken = threading.Event()
    inbox = Inbox(woken.set)
    with running(new_environment(KernelThreads(inbox.post))):
        future = TaskQueue.instance("test").yield_task(int, "17")
    assert woken.wait(LONG)
    assert not future.done()
    inbox.drain(256)
    assert future.result() == 17


# ------------------------------------------------------------ the end of a server


def test_the_end_of_a_server_cancels_what_waits_and_leaves_alone_what_runs(server: Environment, name: str) -> None:
    begun, release, ended = threading.Event(), threading.Event(), threading.Event()

    def task() -> threading.Thread:
        begun.set()
        assert release.wait(LONG)
        ended.set()
        return threading.current_thread()

    queue = TaskQueue.instance(name)
    running_task = queue.yield_task(task)
    waiting = queue.yield_task(int)
    assert begun.wait(LONG)
    queues.close(server)
    assert waiting.cancelled()
    assert not running_task.done()
    release.set()
    assert ended.wait(LONG)
    thread = result(running_task)
    thread.join(LONG)
    assert not thread.is_alive()  # it does not wait for more to do


def test_the_queues_of_a_server_that_has_ended_take_nothing(server: Environment, name: str) -> None:
    queue = TaskQueue.instance(name)
    queues.close(server)
    for refused in (queue, TaskQueue.instance(name), TaskQueue.instance(f"new {name}"), TaskQueue()):
        with pytest.raises(TotohioError):
            refused.yield_task(int)
        assert len(refused) == 0


def test_the_queues_of_a_server_that_begins_again_have_new_threads(server: Environment, name: str) -> None:
    own, shared = TaskQueue(), TaskQueue.instance(name)
    for queue in (own, shared):
        thread = result(queue.yield_task(threading.current_thread))
        queues.close(server)
        queues.reopen(server)
        assert result(queue.yield_task(threading.current_thread)) is not thread
    thread = result(shared.yield_task(threading.current_thread))
    queues.reopen(server)
    assert result(shared.yield_task(threading.current_thread)) is thread  # it was not closed


def test_a_server_that_ends_closes_no_queues_but_its_own(server: Environment, name: str) -> None:
    queue = TaskQueue.instance(name)
    with running(new_environment()) as other:
        TaskQueue.instance(name)
        queues.close(other)
        queues.close(new_environment())  # it has none
    assert result(queue.yield_task(int)) == 0
