"""Waiting for the world: the Poller, and the Doist that waits instead of sleeping."""

import contextlib
import select
import selectors
import socket
from typing import Any

from hio.base import doing

from totohio.base.clocking import Clock
from totohio.base.doing import CADENCE, FOREVER, DoDoer, soonest
from totohio.base.environing import Attendant, Poller
from totohio.net.epoll import READABLE, Epoll, Portable, Readiness

ENDED = 4  # a socket that is watched for nothing else: its peer sends no more, or is gone
WAKE_SIZE = 4096  # bytes taken at once from the wake-up pipe; each wake-up is one
LONGEST_WAIT = 86400.0  # seconds in one go: the kernel's pollers count milliseconds and end at 24 days


class KernelPoller:
    """The kernel's poller (epoll on Linux), with a pipe to itself so that threads can wake it.

    A server asks it with `ready` in every cycle. When a Doist has called `wait` before, that is what
    the wait found and costs no further system call; under a Doist that does not wait, it polls.

    It takes descriptors when it is first used, and anew when it is used after it was closed.

    A socket that is watched for nothing (mask 0) is watched for its peer's end, where the kernel has epoll.
    """

    def __init__(self) -> None:
        self._selector: Readiness | None = None
        self._ends = _Ends()
        self._receiver: socket.socket | None = None
        self._sender: socket.socket | None = None
        self._found: list[tuple[Attendant, int]] | None = None

    def fileno(self) -> int:
        """The descriptor of the kernel's poller, itself readable when one of its sockets is ready."""
        return self._opened().fileno()

    def register(self, sock: Any, mask: int, attendant: Attendant) -> None:
        """Begin to watch a socket."""
        if mask:
            self._opened().register(sock, mask, attendant)
        else:
            self._ends.register(self._opened(), sock, attendant)

    def modify(self, sock: Any, mask: int, attendant: Attendant) -> None:
        """Watch a socket for something else."""
        if mask and not self._ends.unregister(sock):
            self._opened().modify(sock, mask, attendant)
        else:
            self.unregister(sock)
            self.register(sock, mask, attendant)

    def unregister(self, sock: Any) -> None:
        """Stop watching a socket; nothing happens when it is not watched."""
        if self._selector is not None and not self._ends.unregister(sock):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(sock)

    def wait(self, seconds: float | None) -> None:
        """Wait until a socket is ready, `wake` is called or the time is over; None waits without end."""
        selector = self._selector or self._opened()
        self._found = found = selector.found(seconds)
        if self._ends.attendants:
            found += self._ends.found()

    def ready(self) -> list[tuple[Attendant, int]]:
        """Give what the last wait found, or what is ready now when there was no wait since."""
        if self._found is None:
            self.wait(0)
        found, self._found = self._found, None
        return found or []

    def wake(self) -> None:
        """End a wait that is going on, or the next one; for any thread and for signal handlers."""
        sender = self._sender
        if sender is not None:  # else nobody has waited yet, and the first wait ends at once
            with contextlib.suppress(OSError):  # full: it will wake anyway; closed: nobody waits
                sender.send(b"\0")

    def attend(self, mask: int) -> None:
        """Empty the wake-up pipe."""
        receiver = self._receiver
        if receiver is not None:
            with contextlib.suppress(OSError):
                while len(receiver.recv(WAKE_SIZE)) == WAKE_SIZE:
                    pass

    def close(self) -> None:
        """Release the poller; twice does no harm."""
        self._found = None
        self._ends.close()
        opened = (self._selector, self._receiver, self._sender)
        self._selector = self._receiver = self._sender = None
        for thing in opened:
            if thing is not None:
                thing.close()

    def _opened(self) -> Readiness:
        """Give the kernel's poller, made now unless it is there already."""
        if self._selector is None:
            receiver, sender = socket.socketpair()
            receiver.setblocking(False)
            sender.setblocking(False)
            sender.send(b"\0")  # whoever called wake before there was anything to wake has not called in vain
            selector: Readiness = Epoll() if hasattr(select, "epoll") else Portable()
            selector.register(receiver, READABLE, self)
            self._selector, self._receiver, self._sender = selector, receiver, sender
        return self._selector


class _Ends:
    """Sockets that are watched for their peer's end alone; `selectors` has no word for that, epoll does.

    Each is told of once when its peer sends no more, and once when the connection is gone.
    """

    def __init__(self) -> None:
        self.attendants: dict[int, Attendant] = {}
        self._epoll: Any = None

    def register(self, selector: Readiness, sock: Any, attendant: Attendant) -> None:
        if not hasattr(select, "epoll"):
            return
        if self._epoll is None:
            self._epoll = select.epoll()
            selector.register(self._epoll, READABLE, self)
        self._epoll.register(sock.fileno(), select.EPOLLRDHUP | select.EPOLLONESHOT)
        self.attendants[sock.fileno()] = attendant

    def unregister(self, sock: Any) -> bool:
        """Forget a socket; tell whether it was known."""
        if not self.attendants or self.attendants.pop(sock.fileno(), None) is None:
            return False
        with contextlib.suppress(OSError):
            self._epoll.unregister(sock.fileno())
        return True

    def found(self) -> list[tuple[Attendant, int]]:
        """Give those whose peers have left since the last time."""
        found = []
        for fd, event in self._epoll.poll(0):
            attendant = self.attendants.get(fd)
            if attendant is not None:
                found.append((attendant, ENDED))
                if not event & (select.EPOLLHUP | select.EPOLLERR):
                    self._epoll.modify(fd, select.EPOLLONESHOT)  # these two are told in any case
        return found

    def attend(self, mask: int) -> None:
        """Nothing: what was found comes by itself."""

    def close(self) -> None:
        self.attendants.clear()
        if self._epoll is not None:
            self._epoll.close()
            self._epoll = None


class PollingDoist(doing.Doist):  # type: ignore[misc]
    """A Doist that waits in the poller until a socket is ready or the next Doer is due.

    With ``real=True`` tyme follows the monotonic clock, and between two cycles it waits: until a socket
    of one of its servers is ready, a thread has brought something, or the first of its Doers is due.
    Doers of totohio say when they are due; an ordinary Doer with a tock is due when hio says so; an
    ordinary Doer without one ("as soon as possible") runs at least every ``longest`` seconds, which is
    the cadence a stock Doist would give it. With ``real=False`` it is a stock Doist.
    """

    def __init__(
        self,
        *,
        doers: list[Any] | None = None,
        real: bool = True,
        limit: float | None = None,
        tyme: float = 0.0,
        tock: float | None = None,
        longest: float = CADENCE,
        clock: Clock | None = None,
    ) -> None:
        """Set it up.

        Args:
            doers: What it runs.
            real: Follow the clock; False runs cycles of ``tock`` as fast as they come.
            limit: Seconds after which it ends; None runs until its Doers are done.
            tyme: Where tyme starts, seconds.
            tock: Seconds of tyme in a cycle when not real; when real, tyme follows the clock instead.
            longest: Seconds that an ordinary Doer without a tock waits at most.
            clock: Where monotonic time comes from.
        """
        super().__init__(doers=doers, real=real, limit=limit, tyme=tyme, tock=0.0 if real else tock)
        self.longest = longest
        self.clock = clock or Clock()
        self._several: tuple[tuple[Poller, ...], selectors.BaseSelector] | None = None

    def do(
        self, doers: Any = None, limit: float | None = None, tyme: float | None = None, *, temp: bool | None = None
    ) -> None:
        """Enter the Doers, run cycles until all are done or the limit is over, and exit them.

        Args:
            doers: What to run instead of its own.
            limit: Seconds after which to end, instead of its own.
            tyme: Where tyme starts, seconds, instead of where it is.
            temp: Passed to the Doers' enter on hio generations that know it.
        """
        options: dict[str, Any] = {} if temp is None else {"temp": temp}
        if not self.real:
            super().do(doers=doers, limit=limit, tyme=tyme, **options)
            return
        self.done = False
        if doers is not None:
            self.doers = list(doers)
            self.deeds.clear()
        if limit is not None:
            self.limit = abs(float(limit))
        if tyme is not None:
            self.tyme = tyme
        try:
            self.enter(**options)
            self._run()
        except KeyboardInterrupt:
            pass  # as every Doist: Ctrl-C ends it
        finally:
            self.exit()
            self._forget_several()

    def due(self) -> float:
        """The tyme in seconds at which the first of its Doers needs a cycle; infinity when only a wake-up will."""
        return soonest(self.deeds, self.tyme, self.longest)

    def _run(self) -> None:
        start = self.clock.monotonic() - self.tyme
        end = self.tyme + self.limit if self.limit else FOREVER
        while True:
            self.recur()
            if not self.deeds:
                self.done = True
                return
            if self.tyme >= end:
                return
            self._wait(start, end)
            self.tyme = max(self.tyme, self.clock.monotonic() - start)

    def _wait(self, start: float, end: float) -> None:
        """Wait until there is something to do, or ``end`` has come; tyme zero was at ``start``."""
        pollers = list(dict.fromkeys(_pollers(self.deeds, self.tyme)))
        _, retyme, doer = self.deeds[0]
        alone = len(self.deeds) == 1 and retyme <= self.tyme and isinstance(doer, DoDoer)
        due = min(end, doer.due_next(self.tyme) if alone else self.due())  # nobody else has run since it has
        seconds = None
        if due != FOREVER:  # the cycle has taken its time already
            seconds = min(max(0.0, due - self.clock.monotonic() + start), LONGEST_WAIT)
        if len(pollers) == 1:
            pollers[0].wait(seconds)
        elif pollers:
            self._wait_for_several(tuple(pollers), seconds)
        else:
            self.clock.sleep(self.longest if seconds is None else seconds)

    def _wait_for_several(self, pollers: tuple[Poller, ...], seconds: float | None) -> None:
        if self._several is None or self._several[0] != pollers:
            self._forget_several()
            selector = selectors.DefaultSelector()
            for poller in pollers:
                selector.register(poller, READABLE)  # type: ignore[arg-type]
            self._several = (pollers, selector)
        self._several[1].select(seconds)

    def _forget_several(self) -> None:
        if self._several is not None:
            self._several[1].close()
            self._several = None


def _pollers(deeds: Any, tyme: float) -> list[Poller]:
    """The pollers of these deeds and of those below them, as far as they may run now."""
    found: list[Poller] = []
    for _, retyme, doer in deeds:
        if retyme > tyme:
            continue  # what its sockets have cannot be attended to yet, and would end every wait until then
        poller = getattr(doer, "poller", None)
        if poller is not None and hasattr(poller, "wait"):
            found.append(poller)
        elif isinstance(doer, doing.DoDoer):
            found += _pollers(doer.deeds, tyme)
    return found
