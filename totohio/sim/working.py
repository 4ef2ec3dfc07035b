"""Worker threads of a simulated process: their tasks run inline, and take simulated time.

A task runs as a whole, either when a thread takes it up or when its time is over, and its result is delivered when
its time is over; which of the two is the seed's choice. So the effects of a task whose process dies meanwhile may
have happened or not.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from totohio.base.errors import TotohioError
from totohio.base.futures import Future

if TYPE_CHECKING:
    from totohio.sim.processing import Process

Task = tuple[Future[Any], Callable[..., Any], tuple[Any, ...], dict[str, Any]]


def task_name(function: Callable[..., Any], args: tuple[Any, ...] = ()) -> str:
    """Give the name of what a task really does, below what queues and pools wrap it in."""
    while True:
        if isinstance(function, partial):
            args, function = function.args, function.func
        elif getattr(function, "__name__", "") == "_attempt" and args:  # a task of TaskQueue.add_task
            function, args = args[0], args[1]
        else:
            return getattr(function, "__qualname__", None) or type(function).__qualname__


class SimThreads:
    """Where the worker threads of a simulated process come from: the simulated side of `environing.Threads`.

    Attributes:
        deliver: Gets what a task has finished into the cycle.
        inline: Its calls run in the thread of the cycle.
    """

    inline = True

    def __init__(self, process: "Process") -> None:
        self._process = process
        self.deliver: Callable[..., object] = _call
        self.pools: list[SimPool] = []

    def ident(self) -> int:
        """Tell which simulated thread calls."""
        return self._process.world.ident

    def pool(self, name: str, size: int, idle_timeout: float = 60.0) -> "SimPool":
        """Make a pool of at most ``size`` threads.

        Raises:
            ValueError: The size is below 1.
        """
        if size < 1:
            raise ValueError(f"a pool needs at least 1 thread, not {size}")
        pool = SimPool(self._process, self, name, size)
        self.pools.append(pool)
        return pool


class SimPool:
    """A few simulated threads with one queue."""

    def __init__(self, process: "Process", threads: SimThreads, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self._process = process
        self._threads = threads
        self._waiting: deque[Task] = deque()
        self._running = 0
        self._closed = False

    def __len__(self) -> int:
        """How many calls run or wait."""
        return self._running + len(self._waiting)

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a function run in one of the threads; the Future gets what it returns or raises.

        Raises:
            TotohioError: The pool is closed.
        """
        if self._closed:
            raise TotohioError(f"the pool {self.name} is closed")
        future: Future[Any] = Future()
        self._waiting.append((future, function, args, kwargs))
        self._take()
        return future

    def close(self) -> None:
        """Take no more; what waits is cancelled, what runs is left alone. Twice does no harm."""
        self._closed = True
        while self._waiting:
            self._waiting.popleft()[0].cancel()

    def _take(self) -> None:
        """Let free threads take up what waits."""
        process = self._process
        while self._waiting and self._running < self.size:
            task = self._waiting.popleft()
            if task[0].done():  # it was cancelled
                continue
            self._running += 1
            name = task_name(task[1], task[2])
            seconds = process.world.duration(name, self.name)
            early = process.dice.chance(0.5)
            world = process.world
            start = world.tyme + world.lag
            if early:
                outcome: list[Any] = []
                world.at(start, process.outside, self._perform, task, outcome)
                world.at(start + seconds, process.outside, self._finish, name, task, outcome)
            else:
                world.at(start + seconds, process.outside, self._finish, name, task, None)

    def _perform(self, task: Task, outcome: list[Any]) -> None:
        _, function, args, kwargs = task
        with self._process.thread():
            try:
                value = function(*args, **kwargs)
                outcome += [True, value]
            except BaseException as error:  # whatever it raises is the Future's
                outcome += [False, error]

    def _finish(self, name: str, task: Task, outcome: list[Any] | None) -> None:
        process = self._process
        if outcome is None:
            outcome = []
            self._perform(task, outcome)
        good, value = outcome
        self._running -= 1
        process.world.note(process.host.name, "task", name, bool(good))
        future = task[0]
        with process.thread():
            self._threads.deliver(future.set_result if good else future.set_exception, value)
            self._take()


def _call(function: Callable[..., object], *args: Any) -> None:
    function(*args)
