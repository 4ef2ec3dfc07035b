"""Worker threads of a simulated process: their tasks run inline, and take simulated time.

A task runs as a whole, either when a thread takes it up or when its time is over, and its result is delivered when
its time is over; which of the two is the seed's choice. So the effects of a task whose process dies meanwhile may
have happened or not.

It runs in a greenlet of its own: where it waits, which few do, the world goes on, and with it the process that the
thread belongs to. When the process is paused the thread goes on later, and when it dies the thread never does.
"""

import math
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit, getcurrent, greenlet

from totohio.base.errors import TotohioError
from totohio.base.futures import Future

if TYPE_CHECKING:
    from totohio.sim.processing import Process

Task = tuple[Future[Any], Callable[..., Any], tuple[Any, ...], dict[str, Any]]
Outcome = tuple[bool, Any]


def task_name(function: Callable[..., Any], args: tuple[Any, ...] = ()) -> str:
    """Give the name of what a task really does, below what queues and pools wrap it in."""
    while True:
        if isinstance(function, partial):
            args, function = function.args, function.func
        elif getattr(function, "__name__", "") == "_attempt" and args:  # a task of TaskQueue.add_task
            function, args = args[0], args[1]
        else:
            return getattr(function, "__qualname__", None) or type(function).__qualname__


class Thread(greenlet):
    """A simulated worker thread that does one task.

    Attributes:
        process: Whose thread it is.
        shuffle: Puts sockets that are ready into an order of the seed's choice.
    """

    def __init__(self, process: "Process", function: Callable[[], Any], done: Callable[[int, Outcome], None]) -> None:
        """Make one that begins with `proceed`.

        Args:
            process: Whose.
            function: The task.
            done: Called with the number of the thread, whether the task went well, and what it gave or raised.
        """
        super().__init__()
        self.process = process
        self.shuffle = process.shuffle
        self._function = function
        self._done = done
        self._ident = process.world.number()
        self._turn = 0
        self._over = False

    def run(self) -> Outcome:
        """Do the task."""
        try:
            return True, self._function()
        except GreenletExit:
            raise
        except BaseException as error:  # whatever it raises is the Future's
            return False, error

    # ------------------------------------------------------------ in the thread

    @property
    def now(self) -> float:
        """The tyme."""
        world = self.process.world
        return world.tyme + world.lag

    def wait(self, until: float = math.inf) -> None:
        """Wait until somebody rouses the thread, or until a tyme; it may also end sooner."""
        world = self.process.world
        if until <= self.now:
            return
        world.at(until, self.process.outside, self.proceed, self._turn)
        self.process.sleepers[self] = None
        assert self.parent is not None
        self.parent.switch()

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        end = self.now + seconds
        while self.now < end:
            self.wait(end)

    # ------------------------------------------------------------ from elsewhere

    def rouse(self) -> None:
        """Have it go on."""
        self.process.world.soon(self.process.outside, self.proceed, self._turn)

    def proceed(self, turn: int = 0) -> None:
        """Go on, unless it has since then."""
        if turn != self._turn or self._over:
            return
        self._turn += 1
        self.process.sleepers.pop(self, None)
        self.parent = getcurrent()
        with self.process.thread(self._ident):
            outcome = self.switch()
        if self.dead:
            self._over = True
            self._done(self._ident, outcome)

    def end(self) -> None:
        """End it where it stands, without any effect on the world."""
        self._turn += 1
        if self:
            self.parent = getcurrent()
            self.throw(GreenletExit)


def current() -> Thread:
    """Give the thread that runs."""
    thread = getcurrent()
    assert isinstance(thread, Thread), "only a task of a worker thread can wait"
    return thread


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

    def wait(self, future: Future[Any], seconds: float) -> bool:
        """Wait, in one of these threads, until a Future is complete; tell whether it is."""
        thread = current()
        end = thread.now + seconds
        future.add_done_callback(lambda _: thread.rouse())
        while not future.done() and thread.now < end:
            thread.wait(end)
        return future.done()

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
        while self._waiting and self._running < self.size:
            task = self._waiting.popleft()
            if task[0].done():  # it was cancelled
                continue
            self._running += 1
            self._begin(task)

    def _begin(self, task: Task) -> None:
        """Do a task at the beginning of its time, or at the end; it is over when both are."""
        future, function, args, kwargs = task
        process, world = self._process, self._process.world
        name = task_name(function, args)
        seconds = world.duration(name, self.name)
        early = process.dice.chance(0.5)
        start = world.tyme + world.lag
        found: list[Any] = []
        awaited = {"work", "time"}

        def done(_: int, outcome: Outcome) -> None:
            found.extend(outcome)
            end("work")

        def end(what: str) -> None:
            awaited.discard(what)
            if not awaited:
                self._finish(name, future, *found)

        thread = Thread(process, lambda: function(*args, **kwargs), done)
        if early:
            world.at(start, process.outside, thread.proceed)
            world.at(start + seconds, process.outside, end, "time")
        else:
            awaited.discard("time")
            world.at(start + seconds, process.outside, thread.proceed)

    def _finish(self, name: str, future: Future[Any], good: bool, value: Any) -> None:
        process = self._process
        self._running -= 1
        process.world.note(process.host.name, "task", name, good)
        with process.thread():
            self._threads.deliver(future.set_result if good else future.set_exception, value)
            self._take()


def _call(function: Callable[..., object], *args: Any) -> None:
    function(*args)
