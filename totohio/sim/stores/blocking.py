"""Worker threads whose tasks wait in the middle, as those of database drivers do.

A task of other simulated threads takes its time as a whole. One of these takes the time that it waits for, or until a
socket has something: so a database can be asked in the middle of one commit, and lose its power there.
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from totohio.base.futures import Future
from totohio.sim.working import Outcome, SimPool, SimThreads, Task, Thread, current, task_name

if TYPE_CHECKING:
    from totohio.sim.processing import Process


class BlockingThreads:
    """The threads of an Environment, for tasks that wait in the middle; a port `environing.Threads`.

    Attributes:
        inline: Its calls run in the thread of the cycle.
    """

    inline = True

    def __init__(self, process: "Process", threads: SimThreads) -> None:
        self._process = process
        self._threads = threads

    @property
    def deliver(self) -> Callable[..., object]:
        """Gets what a task has finished into the cycle."""
        return self._threads.deliver

    @deliver.setter
    def deliver(self, deliver: Callable[..., object]) -> None:
        self._threads.deliver = deliver

    def ident(self) -> int:
        """Tell which simulated thread calls."""
        return self._threads.ident()

    def wait(self, future: Future[Any], seconds: float) -> bool:
        """Wait, in one of these threads, until a Future is complete; tell whether it is."""
        return self._threads.wait(future, seconds)

    def pool(self, name: str, size: int, idle_timeout: float = 60.0) -> "BlockingPool":
        """Make a pool of at most ``size`` threads."""
        return BlockingPool(self._process, self._threads, name, size)


class BlockingPool(SimPool):
    """A few simulated threads with one queue; a task takes as long as it waits."""

    def _begin(self, task: Task) -> None:
        future, function, args, kwargs = task
        process, world = self._process, self._process.world
        name = task_name(function, args)

        def done(ident: int, outcome: Outcome) -> None:
            good, value = outcome
            self._running -= 1
            world.note(process.host.name, "task", name, good)
            with process.thread(ident):
                self._threads.deliver(future.set_result if good else future.set_exception, value)
                self._take()

        thread = Thread(process, lambda: function(*args, **kwargs), done)
        world.at(world.tyme + world.lag, process.outside, thread.proceed)


class Lock:
    """A lock for which simulated threads wait, first come, first served."""

    def __init__(self) -> None:
        self._held = False
        self._waiting: deque[Thread] = deque()

    def __enter__(self) -> None:
        if not self._held:
            self._held = True
            return
        thread = current()
        self._waiting.append(thread)
        while thread in self._waiting:
            thread.wait()

    def __exit__(self, *_: object) -> None:
        if self._waiting:
            self._waiting.popleft().rouse()  # which has it now
        else:
            self._held = False
