"""Methods that wait: parked, not polled.

A method that waits is a generator or a coroutine. What it yields says what it waits for:

    None                            the next cycle
    a number, `sleep`               that many seconds of tyme
    a Future                        its result, or its exception raised where it was yielded
    a list or dict of Futures       a list or dict of their results, when all are there; the first exception
    a generator or coroutine        what it returns; it runs like the one that yielded it

While it waits it costs nothing: it stands in a heap by due tyme, or is known to a Future alone. When
its time has come it enters the ready queue, which is worked off a bounded number at a time.
"""

import contextlib
import heapq
import logging
import math
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from types import CoroutineType, GeneratorType
from typing import Any

from totohio.base.futures import Future, InvalidStateError, Sleep
from totohio.core.eventing import Wait
from totohio.core.pausing import Fibers, advance

logger = logging.getLogger("totohio")

EAGER = 16  # complete Futures that a method may yield in a row before others have their turn
RESUMES = 256  # parked methods resumed in a cycle
LEFTOVERS = 64  # methods that are over and may stand in the heap before it is looked through for them
DEFERRED = frozenset((GeneratorType, CoroutineType, Future, Wait))  # types of results that are not there yet

Done = Callable[[Any, BaseException | None], None]
Waiting = Generator[Any, Any, Any] | Coroutine[Any, Any, Any]


class Lot:
    """Where methods are parked: a ready queue and a heap of due tymes.

    Attributes:
        runs: The methods that wait, for tyme or for a Future, in the order in which they began.
        tyme: The tyme of this cycle, kept by whoever runs the cycle.
        fibers: In which generators and coroutines run, so that their code can be paused in the middle; None for none.
    """

    def __init__(self, *, here: Callable[[], bool], wake: Callable[[], None]) -> None:
        """Set it up.

        Args:
            here: Tells whether the calling thread is the one that runs the cycle.
            wake: Makes the cycle come, called by other threads.
        """
        self.tyme = 0.0
        self.fibers: Fibers | None = None
        self.runs: dict[Run, None] = {}
        self._here = here
        self._wake = wake
        self._ready: deque[tuple[Run, Future[Any] | None]] = deque()
        self._heap: list[tuple[float, int, Run]] = []
        self._count = 0
        self._ended = 0  # methods that were ended since the heap was looked through; it has no more than these

    def due(self) -> float:
        """The tyme at which the next one can go on; 0.0 when one can now, infinity when none waits for tyme."""
        if self._ready:
            return 0.0
        return self._heap[0][0] if self._heap else math.inf

    def run(self, waiting: Any, done: Done) -> "Run | None":
        """Start a method that waits, and have ``done(result, error)`` called when it is done.

        Args:
            waiting: What its call has returned: a generator, a coroutine or a Future.
            done: Gets what it returns, or what it raises.

        Returns:
            The parked method; None when it waits for a Future alone, or did not wait after all.
        """
        fibers = self.fibers
        if isinstance(waiting, Future):
            waiting, fibers = _follow(waiting), None
        elif fibers is not None and fibers.paused(waiting):
            fibers = None
        run = Run(self, waiting, done, fibers)
        self.runs[run] = None
        run.step(None, None)
        return run if not run.over else None

    def service(self, tyme: float, limit: int = RESUMES) -> int:
        """Resume what is ready or due, at most ``limit``; tell how many."""
        self.tyme = tyme
        heap, ready = self._heap, self._ready
        while heap and heap[0][0] <= tyme:
            ready.append((heapq.heappop(heap)[2], None))
        count = min(len(ready), limit)
        for _ in range(count):
            run, future = ready.popleft()
            if run.over:
                continue
            if future is None:
                run.step(None, None)
            else:
                run.step(*future.outcome())
        return count

    def close(self) -> None:
        """End everything that is parked; what waits is closed as generators are."""
        self._ready.clear()
        self._heap.clear()
        self._ended = 0
        for run in list(self.runs):
            run.close()

    def _soon(self, run: "Run") -> None:
        self._ready.append((run, None))
        if not self._here():
            self._wake()

    def _later(self, run: "Run", seconds: float) -> None:
        self._count += 1
        heapq.heappush(self._heap, (self.tyme + seconds, self._count, run))

    def _dropped(self) -> None:
        """A method was ended where it stood: look through the heap when half of it may be such.

        That costs each of them the looking at two others, however many wait.
        """
        self._ended += 1
        if self._ended > LEFTOVERS and self._ended * 2 > len(self._heap):
            self._ended = 0
            self._heap[:] = [entry for entry in self._heap if not entry[2].over]
            heapq.heapify(self._heap)


class Run:
    """One method that waits.

    Once it is over it holds nothing any more: the heap, or a Future, may keep it for long.

    Attributes:
        over: It is done, or was ended.
    """

    __slots__ = ("_done", "_fibers", "_inner", "_lot", "_waiting", "over")

    def __init__(self, lot: Lot, waiting: Waiting, done: Done, fibers: Fibers | None) -> None:
        self._lot = lot
        self._waiting = waiting
        self._done = done
        self._fibers = fibers  # in which its code runs; None where it needs none
        self._inner: list[Run] | tuple[()] = ()  # what it has started and waits for
        self.over = False

    def step(self, value: Any, error: BaseException | None) -> None:
        """Let it go on with what it waited for, until it waits again or is done.

        A Future that is complete when it is yielded is waited for no longer than a few times in a row,
        so that a stream whose peer keeps up does not take a cycle for each piece.
        """
        waiting, fibers = self._waiting, self._fibers
        try:
            for _ in range(EAGER):
                if fibers is None:
                    wanted = waiting.send(value) if error is None else waiting.throw(error)
                else:
                    step = fibers.call(advance, waiting, value, error)
                    if type(step) is not tuple:  # it has paused in the middle, and may do so again
                        self._waiting = waiting = fibers.wrap(waiting, step)
                        self._fibers = fibers = None
                        wanted = waiting.send(None)
                    elif step[0]:
                        self._end(step[1], None)
                        return
                    else:
                        wanted = step[1]
                if type(wanted) is not Future or not wanted.done():
                    break
                value, error = wanted.outcome()
        except StopIteration as stop:
            self._end(stop.value, None)
        except BaseException as failure:  # even SystemExit: a method's end is not the server's
            self._end(None, failure)
        else:
            if self.over:  # it was ended from inside
                return
            try:
                self._park(wanted)
            except BaseException as failure:  # even what breaks us: a list that holds itself, 10**400 seconds
                for run in self._inner:
                    run.close()
                future: Future[Any] = Future()
                future.set_exception(failure)
                self._wake(future)

    def close(self) -> None:
        """End it where it stands, and first what it has started and waits for.

        Its ``finally`` blocks run, ``done`` is not called.
        """
        runs = [self]
        for run in runs:  # and not by recursion: the chain may be longer than the stack
            runs += run._inner
        for run in reversed(runs):
            run._stop()

    def _stop(self) -> None:
        if self.over:
            return
        self.over = True
        del self._lot.runs[self]
        self._lot._dropped()
        waiting, fibers = self._waiting, self._fibers
        self._let_go()
        try:
            if fibers is None:
                waiting.close()
            else:
                fibers.end(waiting)
        except (RuntimeError, ValueError):
            logger.debug("a method went on while it was ended", exc_info=True)  # it yielded, or runs right now
        except BaseException:  # even SystemExit: how a method ends is not the server's end
            logger.exception("a method failed while it was ended")

    def _end(self, result: Any, error: BaseException | None) -> None:
        if not self.over:
            self.over = True
            del self._lot.runs[self]
            done = self._done
            del self._waiting, self._done  # as `_let_go` does
            self._inner = ()
            try:
                done(result, error)
            except BaseException:
                logger.exception("the end of a method could not be told")

    def _let_go(self) -> None:
        del self._waiting, self._done
        self._inner = ()

    def _park(self, wanted: Any) -> None:
        """Have it wait for what it has yielded.

        Raises:
            TypeError: That is nothing to wait for.
        """
        lot = self._lot
        kind = type(wanted)
        if self._inner:
            self._inner = ()
        if isinstance(wanted, Future):
            wanted.add_done_callback(self._wake)
        elif wanted is None:
            lot._soon(self)
        elif kind is float or kind is int or kind is Sleep:
            seconds = wanted.seconds if kind is Sleep else wanted
            if seconds > 0.0 and seconds < math.inf:
                lot._later(self, seconds)
            elif seconds <= 0.0:
                lot._soon(self)
            else:
                raise TypeError(f"a method cannot wait for {seconds} seconds")
        else:
            inner: list[Run] = []
            self._inner = inner
            future = _future(lot, wanted, inner)
            if future is None:
                raise TypeError(f"a method cannot wait for {wanted!r} (a {kind.__name__})")
            future.add_done_callback(self._wake)

    def _wake(self, future: Future[Any]) -> None:
        if not self.over:
            lot = self._lot
            lot._ready.append((self, future))
            if not lot._here():
                lot._wake()


def _follow(future: Future[Any]) -> Generator[Any, Any, Any]:
    return (yield future)


def _future(lot: Lot, wanted: Any, inner: list[Run]) -> Future[Any] | None:
    """Make one Future of what a method waits for; None when that is nothing to wait for.

    What has to be started for it is added to ``inner``.
    """
    if isinstance(wanted, Future):
        return wanted
    if isinstance(wanted, (GeneratorType, CoroutineType)):
        return _inner(lot, wanted, inner)
    if isinstance(wanted, dict):
        keys = list(wanted)
        futures = [_future(lot, item, inner) for item in wanted.values()]
        return _gather(futures, lambda results: dict(zip(keys, results, strict=True)))
    if isinstance(wanted, (list, tuple)):
        return _gather([_future(lot, item, inner) for item in wanted], list)
    return None


def _inner(lot: Lot, waiting: Waiting, inner: list[Run]) -> Future[Any]:
    future: Future[Any] = Future()

    def done(result: Any, error: BaseException | None) -> None:
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    run = lot.run(waiting, done)
    if run is not None:
        inner.append(run)
    return future


def _gather(futures: list[Future[Any] | None], shape: Callable[[list[Any]], Any]) -> Future[Any] | None:
    """One Future for all: their results in shape, or the first exception once all are done."""
    if any(future is None for future in futures):
        return None
    gathered: Future[Any] = Future()
    done: list[Future[Any]] = []  # appended to by whatever threads complete them, so counted by its length

    def one_done(future: Future[Any]) -> None:
        done.append(future)
        if len(done) == len(futures):
            with contextlib.suppress(InvalidStateError):  # two threads came last together
                finish()

    def finish() -> None:
        errors = [error for future in futures if future is not None and (error := future.outcome()[1]) is not None]
        if errors:
            gathered.set_exception(errors[0])
        else:
            gathered.set_result(shape([future.result() for future in futures if future is not None]))

    if not futures:
        finish()
    for future in futures:
        if future is not None:
            future.add_done_callback(one_done)
    return gathered
