"""Worker threads, and the way back from them into the cycle.

What may block runs in a thread of a pool and becomes a Future. A thread never touches what belongs to
the cycle: it posts a function into the `Inbox`, the Inbox wakes the poller, and `OffloadDoer` runs the
function in the thread of the cycle.

The invariant of the pool, kept under its lock: whenever a call waits, there is an idle thread for it
that has been woken or will look again before it ends, or else as many threads are busy as may be.
The invariant of the Inbox: whenever something waits in it, a wake-up has come since the last drain
began or is just coming, or the last drain stopped at its limit and `OffloadDoer.due` says so.
"""

import logging
from collections import deque
from collections.abc import Callable
from itertools import count
from threading import TIMEOUT_MAX, Condition, Event, Lock, Thread, get_ident, local
from typing import Any

from totohio.base import doing, environing
from totohio.base.environing import Environment
from totohio.base.errors import TotohioError
from totohio.base.futures import Future

DRAIN_LIMIT = 256  # posted functions a cycle: at a few microseconds each about a millisecond
IDLE_TIMEOUT = 60.0  # seconds until a thread without work ends, as in Toto

log = logging.getLogger("totohio")

Task = tuple[Future[Any], Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class Inbox:
    """Functions that other threads want to have run in the thread of the cycle."""

    def __init__(self, wake: Callable[[], object], ident: Callable[[], int] = get_ident) -> None:
        """Make one.

        Args:
            wake: Called in the posting thread; it has to end the poller's wait and must not raise.
            ident: Tells which thread calls.
        """
        self._wake = wake
        self._ident = ident
        self._posted: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        # Held from the first post after a drain began until the next drain begins. Nobody ever waits for it: it is
        # a flag that can be tested and set in one step, also by a signal handler in the middle of a post.
        self._woken = Lock()
        self._owner: int | None = None

    def __len__(self) -> int:
        """How many functions wait."""
        return len(self._posted)

    @property
    def ringing(self) -> bool:
        """The cycle was woken for it and has not drained since: until then nobody wakes it again."""
        return self._woken.locked()

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Have ``function(*args)`` run in the next cycle; for any thread and for signal handlers."""
        self._posted.append((function, args))
        if self._woken.acquire(blocking=False):
            self._wake()

    def drain(self, limit: int) -> int:
        """Run at most that many of the posted functions, oldest first, and tell how many.

        What they raise is logged and goes no further.
        """
        self.claim()
        if self._woken.locked():  # before looking: who posts from here on wakes again, so nothing is overlooked
            self._woken.release()
        done = 0
        while self._posted and done < limit:
            function, args = self._posted.popleft()
            done += 1
            try:
                function(*args)
            except BaseException:  # SystemExit too: a function that somebody posted must not end the Doist
                log.exception("%s, posted to the cycle, failed", _name(function))
        return done

    def claim(self) -> None:
        """Make the calling thread the one of the cycle."""
        self._owner = self._ident()

    def disclaim(self) -> None:
        """Have no thread of the cycle any more, until the next claim or drain."""
        self._owner = None

    def here(self) -> bool:
        """Tell whether the calling thread is the one of the cycle."""
        return self._owner == self._ident()


class OffloadDoer(doing.Doer):
    """Delivers what worker threads finished: drains its Inbox, at most ``limit`` functions a cycle."""

    attentive = False

    def __init__(self, inbox: Inbox, limit: int = DRAIN_LIMIT, *, tymth: Any = None) -> None:
        super().__init__(tymth=tymth)
        self.inbox = inbox
        self.limit = limit

    def due(self, tyme: float) -> float:
        """At once when something waits, else whenever a post wakes the poller.

        Also when all that was posted has been taken already: what comes while it drains wakes the cycle once more.
        """
        return 0.0 if self.inbox or self.inbox.ringing else doing.FOREVER

    def enter(self, *, temp: bool | None = None) -> None:
        """Learn which thread the cycle runs in."""
        self.inbox.claim()

    def recur(self, tyme: float) -> bool:
        """Run what was posted."""
        self.inbox.drain(self.limit)
        return False

    def exit(self) -> None:
        """Forget the thread of the cycle; another thread may get its number."""
        self.inbox.disclaim()


class KernelThreads:
    """Worker threads of the machine: the production side of the port `environing.Threads`.

    Attributes:
        environment: The Environment that these threads belong to; whoever makes the Environment sets it. Calls that
            run in the threads find it with `environment`.
        deliver: Called in a worker thread as ``deliver(future.set_result, value)``, or with ``future.set_exception``.
    """

    inline = False

    def __init__(self, post: Callable[..., object] | None = None) -> None:
        """Make threads whose results go through ``post``, mostly that of an Inbox.

        Without it Futures are completed in the worker thread, and their callbacks run there.
        """
        self.environment: Environment | None = None
        self.deliver: Callable[..., object] = post or _call

    ident = staticmethod(get_ident)  # tells which thread calls

    def wait(self, future: Future[Any], seconds: float) -> bool:
        """Wait, in one of these threads, until a Future is complete; tell whether it is."""
        over = Event()
        future.add_done_callback(lambda _: over.set())
        return over.wait(seconds)

    def pool(self, name: str, size: int, idle_timeout: float = IDLE_TIMEOUT) -> "KernelPool":
        """Make a pool of at most ``size`` threads that end after ``idle_timeout`` seconds without work.

        Raises:
            ValueError: The size is below 1.
        """
        return KernelPool(threads=self, name=name, size=size, idle_timeout=idle_timeout)


class KernelPool:
    """A few daemon threads with one queue; they are started when calls come and end when none come."""

    def __init__(self, *, threads: KernelThreads, name: str, size: int, idle_timeout: float) -> None:
        if size < 1:
            raise ValueError(f"a pool needs at least 1 thread, not {size}")
        self.name = name
        self.size = size
        self.idle_timeout = min(max(idle_timeout, 0.0), TIMEOUT_MAX)
        self._home = threads
        self._condition = Condition()  # with an RLock: a finaliser that runs in the middle of submit may submit too
        self._waiting: deque[Task] = deque()
        self._running = 0
        self._alive = 0  # threads, and of those
        self._idle = 0  # the ones that wait for a call
        self._closed = False
        self._numbers = count(1)

    def __len__(self) -> int:
        """How many calls run or wait."""
        with self._condition:
            return self._running + len(self._waiting)

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a function run in one of the threads; the Future gets what it returns or raises.

        A Future that is cancelled before its turn is passed over.

        Raises:
            TotohioError: The pool is closed.
            RuntimeError: There is no thread, and the machine gives none.
        """
        future: Future[Any] = Future()
        with self._condition:
            if self._closed:
                raise TotohioError(f"the pool {self.name} is closed")
            # An idle thread that was woken still counts as idle until it runs, so it is compared with what waits.
            if len(self._waiting) >= self._idle and self._alive < self.size:
                self._start()
            self._waiting.append((future, function, args, kwargs))
            self._condition.notify()
        return future

    def close(self) -> None:
        """Take no more; what waits is cancelled, what runs is left alone. Twice does no harm."""
        with self._condition:
            self._closed = True
            tasks = list(self._waiting)
            self._waiting.clear()
            self._condition.notify_all()
        for future, *_ in tasks:
            try:
                future.cancel()
            except BaseException:  # a callback's; the others are to be cancelled all the same
                log.exception("a callback of a cancelled Future failed")

    def _start(self) -> None:
        """Start one more thread; the lock is held."""
        thread = Thread(target=self._work, name=f"{self.name}-{next(self._numbers)}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            if not self._alive:
                raise
            return  # the machine has no more threads: the call waits for one of ours
        self._alive += 1

    def _work(self) -> None:
        """Run calls until there have been none for a while: the life of a thread."""
        _worker.threads = self._home
        while (task := self._next()) is not None:
            self._perform(*task)
            del task  # an idle thread holds nobody's arguments

    def _next(self) -> Task | None:
        """Wait for the next call; None means that the thread has to end and is no longer counted."""
        with self._condition:
            while not self._waiting:
                if self._closed:
                    self._alive -= 1
                    return None
                self._idle += 1
                woken = self._condition.wait(self.idle_timeout)
                self._idle -= 1
                # Under the lock, so whoever submits later sees one thread less and starts another.
                if not woken and not self._waiting:
                    self._alive -= 1
                    return None
            self._running += 1
            return self._waiting.popleft()

    def _perform(
        self, future: Future[Any], function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Run one call and deliver its result; nothing that it raises gets out."""
        complete: Callable[[Any], None] | None = None
        value: Any = None
        try:
            if not future.done():  # it was not cancelled
                value = function(*args, **kwargs)
                complete = future.set_result
        except BaseException as error:
            value = error
            complete = future.set_exception
        with self._condition:  # before the result is known, so that whoever has the result sees the right length
            self._running -= 1
        try:
            if complete is not None:
                self._home.deliver(complete, value)
        except BaseException:  # a callback's, or somebody else completed it; the thread has to live on
            log.exception("the result of %s could not be delivered", _name(function))
        finally:
            # An error keeps its traceback, that keeps this frame, and this frame must not keep the error.
            del future, function, args, kwargs, complete, value


class _Worker(local):
    """What a thread knows of the pool that it works for; None in all other threads."""

    threads: KernelThreads | None = None


_worker = _Worker()


def environment() -> Environment | None:
    """Give the Environment that the calling thread works for, None outside any server.

    In a worker thread that is the one its pool belongs to, whatever runs in other threads; else the active one.
    """
    if _worker.threads is not None:
        return _worker.threads.environment
    try:
        return environing.active()
    except TotohioError:
        return None


def _call(function: Callable[..., object], *args: Any) -> None:
    function(*args)


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", None) or repr(function)
