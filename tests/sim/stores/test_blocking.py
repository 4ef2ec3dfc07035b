"""Simulated worker threads that wait in the middle of a task."""

import gc
import sys

import pytest
from greenlet import getcurrent

from tests.sim.keepers import keeper, told
from totohio.sim import World
from totohio.sim.hosting import Host
from totohio.sim.stores.blocking import BlockingPool, BlockingThreads, Lock
from totohio.sim.working import SimThreads, current


def threads(host: Host) -> BlockingThreads:
    process = host.process
    assert process is not None
    assert isinstance(process.environment.threads, SimThreads)
    return BlockingThreads(process, process.environment.threads)


def pool(host: Host, size: int = 1) -> BlockingPool:
    return threads(host).pool("blocking", size)


def nap(world: World, seconds: float) -> float:
    current().sleep(seconds)
    return world.tyme


def test_a_task_waits_and_the_world_goes_on() -> None:
    with World(faults="still") as world:
        seen: list[float] = []
        world.at(0.5, lambda: seen.append(world.tyme))
        future = pool(keeper(world)).submit(nap, world, 1.0)
        world.run_until(future.done)
        assert future.result() == 1.0
        assert seen == [0.5]
        assert [(entry[0], entry[3:]) for entry in told(world, "task")] == [(1.0, ("nap", True))]


def test_tasks_take_turns_as_there_are_threads() -> None:
    with World(faults="still") as world:
        some = pool(keeper(world), 2)
        futures = [some.submit(nap, world, 1.0) for _ in range(5)]
        assert len(some) == 5
        world.run(10.0)
        assert [future.result() for future in futures] == [1.0, 1.0, 2.0, 2.0, 3.0]
        assert len(some) == 0


def test_what_a_task_raises_is_its_result() -> None:
    def fail() -> None:
        current().sleep(0.1)
        raise LookupError("nothing there")

    with World(faults="still") as world:
        future = pool(keeper(world)).submit(fail)
        world.run(1.0)
        with pytest.raises(LookupError, match="nothing there"):
            future.result()


def test_each_task_is_a_thread_of_its_own_before_and_after_it_has_waited() -> None:
    idents: list[list[int]] = []

    def look(host: Host) -> None:
        mine = [threads(host).ident()]
        current().sleep(0.1)
        mine.append(threads(host).ident())
        idents.append(mine)

    with World(faults="still") as world:
        host = keeper(world)
        some = pool(host, 2)
        for _ in range(2):
            some.submit(look, host)
        world.run(1.0)
        assert host.process is not None
        (one, other), (third, fourth) = idents
        assert one == other != third == fourth
        assert host.process.ident not in (one, third)
        assert world.current is None


def test_only_such_a_task_can_wait() -> None:
    assert getcurrent().parent is None
    with pytest.raises(AssertionError, match="only a task"):
        current()


def test_whoever_is_roused_before_its_time_looks_and_waits_on() -> None:
    with World(faults="still") as world:
        host = keeper(world)
        future = pool(host).submit(nap, world, 1.0)
        world.run(0.3)
        assert host.process is not None
        [thread] = host.process.sleepers
        thread.rouse()
        thread.rouse()
        world.run(0.3)
        assert not future.done()
        world.run(1.0)
        assert future.result() == 1.0
        thread.rouse()  # which is late, and does nothing
        world.run(1.0)


@pytest.mark.parametrize("end", ["kill", "crash"])
def test_a_thread_whose_process_dies_goes_no_further_not_even_to_its_finally(end: str) -> None:
    steps: list[str] = []

    def task() -> None:
        try:
            steps.append("begun")
            current().sleep(1.0)
            steps.append("gone on")
        finally:
            steps.append("finally" if not world._closed else "buried")

    with World(faults="still") as world:
        host = keeper(world)
        future = pool(host).submit(task)
        world.run(0.5)
        getattr(host, end)()
        del host
        gc.collect()
        world.run(5.0)
        assert steps == ["begun"]
        assert not future.done()
    assert steps == ["begun", "buried"]


def test_a_world_that_ends_leaves_no_thread_behind() -> None:
    steps: list[str] = []

    def task() -> None:
        try:
            current().sleep(100.0)
        finally:
            steps.append("ended")

    with World(faults="still") as world:
        pool(keeper(world)).submit(task)
        world.run(0.5)
    assert steps == ["ended"]


def test_a_process_that_stands_still_has_its_threads_stand_still() -> None:
    with World(faults="still") as world:
        host = keeper(world)
        future = pool(host).submit(nap, world, 1.0)
        world.run(0.5)
        host.pause(3.0)
        world.run(10.0)
        assert future.result() == 3.5


def test_a_lock_is_had_in_the_order_in_which_it_was_asked_for() -> None:
    order: list[int] = []
    lock = Lock()

    def task(number: int) -> None:
        with lock:
            order.append(number)
            current().sleep(0.1)
            order.append(number)

    with World(faults="sunny") as world:
        some = pool(keeper(world), 4)
        for number in range(4):
            some.submit(task, number)
        world.run(1.0)
    assert order == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_lock_is_not_had_by_two_when_somebody_comes_as_it_changes_hands() -> None:
    order: list[int] = []
    lock = Lock()

    def task(number: int) -> None:
        with lock:
            order.append(number)
            current().sleep(0.1)
            order.append(number)
        if not number:
            some.submit(task, 2)

    with World(faults="still") as world:
        some = pool(keeper(world), 3)
        some.submit(task, 0)
        some.submit(task, 1)
        world.run(1.0)
    assert order == [0, 0, 1, 1, 2, 2]


def test_a_lock_is_let_go_of_by_a_task_that_fails() -> None:
    lock = Lock()

    def fail() -> None:
        with lock:
            current().sleep(0.1)
            raise LookupError

    with World(faults="still") as world:
        some = pool(keeper(world), 2)
        futures = [some.submit(fail) for _ in range(2)]
        world.run(1.0)
        assert [type(future.exception()) for future in futures] == [LookupError, LookupError]


def test_a_cancelled_task_never_begins() -> None:
    with World(faults="still") as world:
        some = pool(keeper(world))
        first, second, third = (some.submit(nap, world, 1.0) for _ in range(3))
        second.cancel()
        world.run(0.5)
        some.close()
        world.run(5.0)
        assert first.result() == 1.0
        assert second.cancelled()
        assert third.cancelled()


def test_its_references_end_with_the_task() -> None:
    class Large:
        pass

    large = Large()
    with World(faults="still") as world:
        future = pool(keeper(world)).submit(lambda what: current().sleep(0.1), large)
        before = sys.getrefcount(large)
        world.run(1.0)
        assert future.done()
        assert sys.getrefcount(large) < before
