"""Worker threads whose tasks wait in the middle, as those of database drivers do.

A task of other simulated threads runs as a whole. One of these runs in a greenlet: where it waits, for a time or for a
socket, the world goes on, and with it the process that the thread belongs to; when the process is paused the thread
goes on later, and when it dies the thread never does. So a database can be asked in the middle of one commit, and lose
its power there.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit, getcurrent, greenlet

from totohio.sim.working import SimPool, SimThreads, Task, task_name

if TYPE_CHECKING:
    from totohio.sim.processing import Process

Outcome = tuple[bool, Any]


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
    assert isinstance(thread, Thread), "only a task of BlockingThreads can wait"
    return thread


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

    def pool(self, name: str, size: int, idle_timeout: float = 60.0) -> "BlockingPool":
        """Make a pool of at most ``size`` threads."""
        return BlockingPool(self._process, self._threads, name, size)


class BlockingPool(SimPool):
    """A few simulated threads with one queue; a task takes as long as it waits."""

    def _take(self) -> None:
        while self._waiting and self._running < self.size:
            task = self._waiting.popleft()
            if task[0].done():  # it was cancelled
                continue
            self._running += 1
            self._begin(task)

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
