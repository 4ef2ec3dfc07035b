"""Functions that wait in the middle, without being generators.

A method is often a plain function: it asks for a session and expects to have it. Where the answer comes later, the
function is paused with all that it stands in and the cycle goes on; when the answer is there, the function goes on,
too. A function that may pause runs in a *fiber*: a greenlet of a small pool, since a new one costs eight microseconds
and a used one half of one (measured, CPython 3.11, greenlet 3.5).

For whoever started it a paused function is a generator that yields what it waits for, and so is parked like any other
(`invoking.Lot`). Outside any fiber nothing can be paused: `wait` then hands the Future to whoever can bring it about.
"""

from collections.abc import Callable, Generator
from types import CoroutineType, GeneratorType
from typing import Any, TypeVar

from greenlet import GreenletExit, getcurrent, greenlet

from totohio.base.futures import Future

T = TypeVar("T")

POOL = 64  # idle fibers that are kept
STUBBORN = 100  # times that what is ended may wait again before it is left alone


class _Fiber(greenlet):
    """A greenlet that runs one function after another, for whoever switches to it."""

    def run(self) -> None:
        """Run what is handed in, as long as anything is."""
        outcome: Any = None
        while True:
            assert self.parent is not None
            function, args = self.parent.switch(outcome)
            try:
                outcome = [True, function(*args)]
            except BaseException as error:
                outcome = [False, error]
            function = args = None


class Fibers:
    """Runs functions that may pause. All of its functions run in one thread, that of the cycle.

    Attributes:
        block: Brings a Future about where nothing can be paused: gets it, and returns when it is complete.
    """

    def __init__(self, block: Callable[[Future[Any]], None]) -> None:
        self.block = block
        self._idle: list[_Fiber] = []

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function; give its result, or a generator that goes on with it where it has paused.

        Raises:
            BaseException: Whatever the function raises before it pauses.
        """
        home = getcurrent()
        fiber = self._idle.pop() if self._idle else _Fiber()
        if fiber.parent is not home:
            fiber.parent = home
        if not fiber:
            fiber.switch()
        outcome = fiber.switch((function, args))
        if type(outcome) is not list:
            paused = self._follow(fiber, outcome)
            next(paused)  # only a generator that has begun is told that it is closed
            return paused
        idle = self._idle  # as `_release` does
        if len(idle) < POOL:
            idle.append(fiber)
        value = outcome.pop()  # an idle fiber still has the list, and is not to keep what was in it
        if outcome[0]:
            return value
        raise value

    def wrap(self, waiting: Any, step: Any = None) -> Generator[Any, Any, Any]:
        """Give a generator that does what another one does, or a coroutine, and in whose code `wait` can pause.

        It has a fiber as long as it runs, and none while it waits for what it has yielded.

        Args:
            waiting: The other one.
            step: What `call` has given for its `advance`, where that has paused: what is left of it comes first.
        """
        value: Any = None
        error: BaseException | None = None
        while True:
            if step is None:
                step = self.call(advance, waiting, value, error)
            over, wanted = step if type(step) is tuple else (yield from step)
            if over:
                return wanted
            try:
                step, value, error = None, (yield wanted), None
            except GeneratorExit:
                self.end(waiting)
                raise
            except BaseException as failure:
                step, value, error = None, None, failure

    def end(self, waiting: Any) -> None:
        """Close a generator or coroutine; whatever it would wait for at its end, it does not."""
        rest = self.call(waiting.close)
        if self.paused(rest):
            rest.close()

    def wait(self, future: Future[T]) -> T:
        """Give the result of a Future, and pause until it is there.

        Raises:
            BaseException: What the Future was completed with.
        """
        if not future.done():
            fiber = getcurrent()
            if type(fiber) is _Fiber:
                value: T = _pause(fiber, future)
                return value
            self.block(future)
        return future.result()

    def paused(self, result: Any) -> bool:
        """Tell whether what `call` has given is a function that has paused."""
        return getattr(result, "gi_code", None) is _FOLLOW

    def pausable(self) -> bool:
        """Tell whether the caller runs in a fiber, so that waiting costs others nothing."""
        return type(getcurrent()) is _Fiber

    def _release(self, fiber: _Fiber) -> None:
        if len(self._idle) < POOL:
            self._idle.append(fiber)

    def _follow(self, fiber: _Fiber, wanted: "_Pause") -> Generator[Any, Any, Any]:
        try:
            yield
        except BaseException:
            self._end(fiber)
            raise
        while True:
            try:
                answer = (True, (yield wanted.wanted))
            except GeneratorExit:
                self._end(fiber)
                raise
            except BaseException as error:
                answer = (False, error)
            outcome = _resume(fiber, answer)
            if type(outcome) is list:
                self._release(fiber)
                result = outcome.pop()
                if not outcome[0]:
                    raise result
                if type(result) is GeneratorType or type(result) is CoroutineType:  # it has paused before it began
                    return (yield from self.wrap(result))
                return (yield result) if isinstance(result, Future) else result
            wanted = outcome

    def _end(self, fiber: _Fiber) -> None:
        """End what a fiber runs, and what that waits for at its end; a fiber that is not released stays for good."""
        for _ in range(STUBBORN):
            outcome = _resume(fiber, (False, GreenletExit()))
            if type(outcome) is list:
                outcome.clear()
                self._release(fiber)
                return


class _Pause:
    """What a fiber says to whoever runs it when it waits."""

    __slots__ = ("wanted",)

    def __init__(self, wanted: Any) -> None:
        self.wanted = wanted


def _resume(fiber: _Fiber, answer: tuple[bool, Any]) -> Any:
    home = getcurrent()
    if fiber.parent is not home:
        fiber.parent = home
    return fiber.switch(answer)


def _pause(fiber: greenlet, wanted: Any) -> Any:
    assert fiber.parent is not None
    good, value = fiber.parent.switch(_Pause(wanted))
    if good:
        return value
    raise value


def advance(waiting: Any, value: Any, error: BaseException | None) -> tuple[bool, Any]:
    """Have a generator or coroutine go on; tell whether it is over, and what it returns or yields."""
    try:
        return False, waiting.send(value) if error is None else waiting.throw(error)
    except StopIteration as stop:
        return True, stop.value


_FOLLOW = Fibers._follow.__code__
