"""Signals: how the system, or whoever sits at the terminal, ends a server.

The first SIGTERM or SIGINT lets it drain: it takes nothing new and answers what is under way. The second
ends it at once. A signal handler runs between two steps of the program, also while the server waits, but
the wait then goes on (PEP 475); so `drain` and `stop` have to wake the poller, and do. A signal that comes when
the last step is done and the wait has not begun, or that another thread takes, ends no wait, and its handler would not
run before something else does. So Python writes a byte to a socket for each signal, which the poller watches.
"""

import contextlib
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Protocol

from totohio.base.clocking import Clock
from totohio.base.environing import Poller
from totohio.base.recording import logger
from totohio.net.epoll import READABLE

ENDING = (signal.SIGTERM, signal.SIGINT)
MOMENT = 1.0  # seconds after which somebody who waits for the end wants to be told of it
COMING = 4096  # bytes taken at once, each for a signal
STUCK = 1.0  # seconds after the second signal until the kernel ends a process whose method never returns


class Stoppable(Protocol):
    """What signals can end."""

    def drain(self) -> None:
        """Take nothing new, answer what is under way, then end."""

    def stop(self) -> None:
        """End at once."""


class Signals:
    """Signals end a server while this context lasts; in any other than the main thread it does nothing.

    Attributes:
        received: How many signals that end it have come.
    """

    def __init__(self, server: Stoppable, *, outlook: Callable[[], str], clock: Clock) -> None:
        """Prepare it.

        Args:
            server: What they end.
            outlook: Says what the first signal brings about, for the log.
            clock: Tells how long it took.
        """
        self.received = 0
        self._server = server
        self._outlook = outlook
        self._clock = clock
        self._since = 0.0
        self._before: dict[int, Any] = {}
        self._ends: tuple[socket.socket, socket.socket] | None = None  # the one that is watched, and the one written to
        self._wakeup = -1  # what Python wrote to before

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():  # elsewhere Python does not allow handlers
            for number in ENDING:
                self._set(number, self._end)
            self._set(signal.SIGHUP, self._ignore)
            self._ends = socket.socketpair()
            for end in self._ends:
                end.setblocking(False)
            self._wakeup = signal.set_wakeup_fd(self._ends[1].fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if signal.SIGALRM in self._before:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        while self._before:
            number, handler = self._before.popitem()
            # None is a handler that was not set from Python and cannot be put back from here.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if self._ends is not None:
            signal.set_wakeup_fd(self._wakeup)
            for end in self._ends:
                end.close()
            self._ends = None
        if self.received == 1:
            seconds = self._clock.monotonic() - self._since
            if seconds >= MOMENT:
                logger().info("ended after %.1f s", seconds)

    def watch(self, poller: Poller) -> None:
        """Have signals end the waits of a poller, until it is closed."""
        if self._ends is not None:
            poller.register(self._ends[0], READABLE, self)

    def attend(self, mask: int) -> None:
        """A signal has come; its handler has run by now."""
        if self._ends is not None:
            with contextlib.suppress(BlockingIOError):
                self._ends[0].recv(COMING)

    def _set(self, number: int, handler: Any) -> None:
        self._before[number] = signal.signal(number, handler)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.received += 1
        if self.received == 1:
            self._since = self._clock.monotonic()
            logger().info("%s: %s", signal.Signals(number).name, self._outlook())
            self._server.drain()
            return
        if signal.SIGALRM not in self._before:
            # A method that never returns holds the cycle, and nothing written in Python can end it.
            self._set(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, STUCK)
            logger().warning("%s again: ending at once", signal.Signals(number).name)
        self._server.stop()

    def _ignore(self, number: int, frame: FrameType | None) -> None:
        logger().warning(
            "%s: ignored; it is for what watches several processes, and this one has to be started again to read its "
            "settings and methods anew",
            signal.Signals(number).name,
        )
