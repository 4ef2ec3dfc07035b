"""A session that several threads share, each of which waits for its own answers.

One of those that wait receives, and wakes the others when something has come; one of those that have something to say
sends for all of them, in the order in which it was said. The lock is held while a message is made or read, and by
nobody who waits: neither for an answer, nor for room to send, nor for a callable of ours that is called.
"""

import collections
import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from totohio.base.clocking import Clock
from totohio.base.errors import TotohioError
from totohio.base.futures import Future
from totohio.remote.borrowing import Borrower
from totohio.remote.carrying import Carrier
from totohio.remote.conversing import DisconnectedError

MOST_OUTS = 64  # messages that may wait for another thread to send them before who makes more has to wait
DEEPEST = 0.7  # of the stack that may be in use when a callable of ours is called: messages need some of it as well


class _Borrower(Borrower):
    """Has callables called while other threads go on with the session."""

    _performer: "Sharer"

    def called(self, callback: Callable[..., Any], args: Any, kw: dict[str, Any]) -> Any:
        """Call a callable of ours; somebody else may receive meanwhile, and it may use the session itself.

        Raises:
            RecursionError: Too much of the stack is in use: it was called by a call of its own, again and again.
        """
        if _deep():
            raise RecursionError("callables that call each other through the server are nested too deeply")
        remote = self._performer
        remote._wake()
        remote._lock.release()
        try:
            return callback(*args, **kw)
        finally:
            remote._lock.acquire()


class Sharer:
    """The session, and the turns that threads take in it.

    Attributes:
        url: Where the server is.
    """

    __slots__ = (
        "_arrived",
        "_borrower",
        "_carrier",
        "_clock",
        "_lock",
        "_messages",
        "_over",
        "_process",
        "_receiving",
        "_said",
        "_sending",
        "_timeout",
        "_waiting",
        "url",
    )

    waits = True

    def __init__(
        self, carrier: Carrier, url: str, *, timeout: float, structs: Iterable[Any], errors: Iterable[Any]
    ) -> None:
        self.url = url
        self._timeout = timeout
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._arrived = threading.Condition(self._lock)
        self._waiting = 0  # threads that another one has to wake
        self._receiving = self._sending = False  # some thread does
        self._clock = Clock()
        self._carrier = carrier
        self._messages: collections.deque[bytes] = collections.deque()  # that have come and are to be taken
        self._borrower = _Borrower(self, send=carrier.post, structs=structs, errors=errors)
        self._over = threading.Event()
        self._said = True  # something, since the keeper of the lease has looked last

    def perform(self, operation: str, target: Any = None, args: Any = (), kw: Any = None) -> Any:
        """Have something done, and wait for what it brings.

        Raises:
            DisconnectedError: The connection is over.
            TimeoutError: It took too long, and was given up.
        """
        self._ours()
        with self._lock:
            future = self._ask(operation, target, args, kw)
            self._await(future, self._timeout)
        return future.result()

    def dropped(self, number: int) -> None:
        """Nobody uses an object any more; the server is told with what is sent next."""
        self._borrower.dropped(number)

    def check(self) -> None:
        """See that it is not over.

        Raises:
            DisconnectedError: It is.
        """
        if self._borrower.closed is not None:
            raise DisconnectedError(f"the session that it belongs to is over: {self._borrower.closed}")

    # ------------------------------------------------------------ turns

    def _ours(self) -> None:
        """See that no other process has opened it, and with it whatever lock was held when this one was forked.

        Raises:
            DisconnectedError: One has.
        """
        if os.getpid() != self._process:
            raise DisconnectedError("another process has opened the session: one that is forked has to open its own")

    def _ask(self, operation: str, target: Any, args: Any, kw: Any) -> Future[Any]:
        self._said = True
        try:
            future = self._borrower.ask(operation, target, args, kw)
            if self._carrier.outs:
                self._flush()
        except DisconnectedError:
            raise
        except OSError as error:
            self._failed(error)
            raise DisconnectedError(f"the connection is over: {self._borrower.closed}") from error
        except BaseException:
            if self._carrier.cut:
                self._end(DisconnectedError("it was interrupted while it sent something"))
            raise
        return future

    def _flush(self) -> None:
        """Send what there was no room for, with the lock let go of, unless another thread does that.

        Raises:
            OSError: It cannot be sent.
        """
        outs = self._carrier.outs
        while outs and not self._sending and self._borrower.closed is None:
            self._sending = True
            try:
                self._lock.release()
                self._carrier.flush()
            finally:
                self._lock.acquire()
                self._sending = False
                self._wake()  # whoever waits for room

    def _wait_for_room(self) -> None:
        """Wait while another thread has much to send for us."""
        while len(self._carrier.outs) > MOST_OUTS and self._sending:
            self._sleep(None)

    def _failed(self, error: OSError) -> None:
        """Something could not be sent: end the session, with what the server may have said of why."""
        if self._borrower.closed is None and not self._receiving:
            self._receive(0.0)
        self._end(error)

    def _await(self, future: Future[Any], timeout: float | None, *, cancel: bool = True) -> None:
        """Take what comes until the answer is there; the lock is held once, and let go of in between."""
        left = timeout
        end = None if timeout is None else self._clock.monotonic() + timeout
        try:
            while not future.done():
                if self._borrower.closed is not None:
                    raise DisconnectedError(f"the connection is over: {self._borrower.closed}")
                if self._receiving:
                    self._sleep(left)
                else:
                    self._receive(left)
                if end is not None and not future.done():
                    left = end - self._clock.monotonic()
                    if left <= 0.0:
                        raise TimeoutError(f"no answer within {timeout:g} seconds")
        except (KeyboardInterrupt, TimeoutError):
            if cancel:
                self._forget(future)
            raise
        finally:
            self._wake()  # somebody else has to receive now

    def _receive(self, seconds: float | None) -> None:
        """Receive, which nobody else does, and take what has come.

        A callback of ours that asks for something meanwhile, or another thread, goes on with the same messages.
        """
        messages = self._messages
        try:
            if not messages:
                try:
                    self._receiving = True
                    self._lock.release()
                    messages.extend(self._carrier.receive(seconds))
                finally:
                    self._receiving = False
                    self._lock.acquire()
            while messages:
                self._borrower.take(messages.popleft())
                if self._carrier.outs:
                    self._flush()
            if self._carrier.outs:  # the answer to a ping
                self._flush()
        except (OSError, TotohioError, ReferenceError) as error:
            self._end(DisconnectedError("it was closed") if self._over.is_set() else error)
        self._wake()

    def _sleep(self, seconds: float | None) -> None:
        """Wait until another thread wakes us."""
        self._waiting += 1
        try:
            self._arrived.wait(seconds)
        finally:
            self._waiting -= 1

    def _wake(self) -> None:
        """Have the threads that wait look whether there is something for them to do."""
        if self._waiting:
            self._arrived.notify_all()

    def _look(self) -> None:
        self._ours()
        with self._lock:
            if self._borrower.closed is None and not self._receiving:
                self._receive(0.0)

    def _cancel(self, future: Future[Any]) -> None:
        self._ours()
        with self._lock:
            if not future.done():
                self._forget(future)
                if not future.done():
                    future.cancel()
                self._wake()

    def _forget(self, future: Future[Any]) -> None:
        """Give up an answer; where the server cannot be told that, the session is over."""
        try:
            self._borrower.forget(future)
            if self._carrier.outs:
                self._flush()
        except OSError as error:
            self._failed(error)

    def _end(self, error: BaseException) -> None:
        self._borrower.close(error)
        self._wake()
        with contextlib.suppress(OSError):
            self._carrier.close()


def _deep() -> bool:
    """Tell whether most of the stack is in use."""
    try:
        sys._getframe(int(sys.getrecursionlimit() * DEEPEST))
    except ValueError:
        return False
    return True
