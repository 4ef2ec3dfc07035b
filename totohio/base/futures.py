"""Results that are not there yet.

A Future is pending until it is completed once, with a result or an exception. It may be completed from
any thread. Its callbacks run at once in the thread that completes it; the server's own callbacks only
put the waiting call into a queue and wake the poller, so methods never run outside the cycle.
"""

import logging
from collections.abc import Callable, Generator
from threading import Lock
from typing import Any, Generic, TypeVar

from totohio.base.errors import TotohioError

logger = logging.getLogger("totohio")

T = TypeVar("T")

PENDING, RESULT, ERROR, CANCELLED = range(4)


class InvalidStateError(TotohioError):
    """A Future was completed twice, or asked for its result before it had one."""


class CancelledError(TotohioError):
    """The result of a Future that was cancelled was asked for."""


class Future(Generic[T]):
    """A result that somebody will deliver.

    Generator methods ``yield`` it, coroutine methods ``await`` it; both get its result or its exception.
    """

    __slots__ = ("_callbacks", "_lock", "_state", "_value")

    def __init__(self) -> None:
        self._state = PENDING
        self._value: Any = None
        self._callbacks: list[Callable[[Future[T]], Any]] = []
        self._lock = Lock()

    def __repr__(self) -> str:
        state = ("pending", "result", "error", "cancelled")[self._state]
        return f"<Future {state}>"

    def done(self) -> bool:
        """Tell whether it was completed or cancelled."""
        return self._state != PENDING

    def cancelled(self) -> bool:
        """Tell whether it was cancelled."""
        return self._state == CANCELLED

    def result(self) -> T:
        """Give the result, or raise the exception it was completed with.

        Raises:
            InvalidStateError: It is not complete yet.
            CancelledError: It was cancelled.
        """
        if self._state == RESULT:
            return self._value  # type: ignore[no-any-return]
        error = self.exception()
        assert error is not None
        raise error

    def exception(self) -> BaseException | None:
        """Give the exception it was completed with, or None when it has a result.

        Raises:
            InvalidStateError: It is not complete yet.
            CancelledError: It was cancelled.
        """
        if self._state == PENDING:
            raise InvalidStateError("the Future is not complete yet")
        if self._state == CANCELLED:
            raise CancelledError("the Future was cancelled")
        return self._value if self._state == ERROR else None

    def outcome(self) -> tuple[Any, BaseException | None]:
        """Give the result and no exception, or None and the exception; one that was cancelled has that, too.

        Raises:
            InvalidStateError: It is not complete yet.
        """
        state = self._state
        if state == RESULT:
            return self._value, None
        if state == ERROR:
            return None, self._value
        if state == CANCELLED:
            return None, CancelledError("the Future was cancelled")
        raise InvalidStateError("the Future is not complete yet")

    def set_result(self, result: T) -> None:
        """Complete it with a result.

        Raises:
            InvalidStateError: It was complete already; a result for a cancelled Future is dropped silently.
        """
        self._complete(RESULT, result)

    def set_exception(self, error: BaseException) -> None:
        """Complete it with an exception.

        Raises:
            InvalidStateError: It was complete already; an error for a cancelled Future is dropped silently.
        """
        self._complete(ERROR, error)

    def cancel(self) -> bool:
        """Give it up; tell whether that was in time. Whoever waits gets a CancelledError."""
        with self._lock:
            if self._state != PENDING:
                return False
            self._state = CANCELLED
        callbacks, self._callbacks = self._callbacks, []
        self._call(callbacks)
        return True

    def add_done_callback(self, callback: "Callable[[Future[T]], Any]") -> None:
        """Have ``callback(future)`` called once it is complete, at once if it is already.

        The callback runs in the thread that completes the Future and must not raise.
        """
        with self._lock:
            if self._state == PENDING:
                self._callbacks.append(callback)
                return
        self._call([callback])

    def _complete(self, state: int, value: Any) -> None:
        with self._lock:
            if self._state == CANCELLED:
                return
            if self._state != PENDING:
                raise InvalidStateError("the Future is complete already")
            self._value = value
            self._state = state
        callbacks = self._callbacks
        if callbacks:
            self._callbacks = []
            self._call(callbacks)

    def _call(self, callbacks: "list[Callable[[Future[T]], Any]]") -> None:
        for callback in callbacks:
            try:
                callback(self)
            except BaseException:  # even SystemExit: whoever else waits is told all the same, and the cycle goes on
                logger.exception("a callback of a Future failed")

    def __await__(self) -> "Generator[Future[T], None, T]":
        if self._state == PENDING:
            yield self
        return self.result()


class Sleep:
    """A pause in a method, made by `sleep`."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __await__(self) -> "Generator[Sleep, None, None]":
        yield self


def sleep(seconds: float) -> Sleep:
    """Pause a method for that many seconds of tyme: ``await sleep(0.5)`` or ``yield sleep(0.5)``."""
    return Sleep(seconds)
