"""Scripted HTTP clients: the same over simulated sockets as over real ones.

A script is a generator (or coroutine) that yields what it waits for, as methods do: Futures, numbers (seconds of
tyme), lists and dicts of Futures, generators. What a `Client` is asked gives such Futures and never blocks::

    def script(client):
        yield client.call("account.create", {"user_id": "ada"})
        first, second = yield [client.call("add", {"a": 1, "b": 2}), client.get("/hello")]
        yield 60
        assert (yield client.call("whoami"))["user_id"] == "ada"
"""

import errno
import logging
import math
from collections import deque
from collections.abc import Callable
from types import CoroutineType, GeneratorType
from typing import Any

from totohio.base.doing import Doer
from totohio.base.environing import Environment
from totohio.base.expiring import Deadlines
from totohio.base.futures import Future
from totohio.core.invoking import RESUMES, Done, Lot
from totohio.net.linking import Address
from totohio.net.offloading import Inbox
from totohio.sim.clients.asking import Client
from totohio.sim.clients.conversing import Conversation, Observer, Wait
from totohio.wire.answering import Reply

__all__ = ["CallerDoer", "Client", "Reply"]

logger = logging.getLogger("totohio")

TIMEOUT = 60.0  # seconds that a client waits for a reply unless it is told otherwise
EXPIRIES = 256  # waits ended by their timeout in a cycle
POSTS = 256  # things asked from elsewhere that are done in a cycle


class CallerDoer(Doer):
    """Runs scripts and the connections of their clients.

    In each cycle: what the poller reports, at most ``EXPIRIES`` timeouts, and at most ``RESUMES`` scripts begun and
    as many resumed. What its clients are asked elsewhere than in its cycle, or before it runs, they do in its next
    cycle, at most ``POSTS`` in one.

    Attributes:
        environment: Where its sockets come from.
        poller: What a `PollingDoist` waits in for it.
        lot: Where its scripts wait.
        running: It was entered and has not exited.
    """

    def __init__(self, environment: Environment) -> None:
        super().__init__()
        self.environment = environment
        self.poller = environment.network.poller()
        self.running = False
        self._ended = False  # it has exited
        self.conversations: dict[Conversation, None] = {}  # that go on
        self.connecting: dict[Conversation, None] = {}
        self._inbox = Inbox(self.poller.wake, environment.threads.ident)
        self.lot = Lot(here=self._inbox.here, wake=self.poller.wake)
        self._spawned: deque[tuple[Any, Done]] = deque()
        self._timers: dict[float, Deadlines[Wait]] = {}  # by their seconds

    def client(
        self,
        address: Address,
        *,
        name: str = "client",
        timeout: float | None = None,
        root: str = "",
        observer: Observer | None = None,
    ) -> Client:
        """Make a client of the server at an address.

        Args:
            address: Where the server is: (host, port), or the path of a Unix socket.
            name: What it is called where it is told of.
            timeout: Seconds of tyme that it waits for a reply; zero has it wait for ever, None is `TIMEOUT`.
            root: The path below which the server's methods are.
            observer: Called as ``observer("call", client, method)`` and ``observer("reply", client, method, outcome)``,
                the outcome being ``"ok"``, the code of an error, an HTTP status, or the name of an exception.
        """
        timeout = TIMEOUT if timeout is None else timeout
        return Client(self, address, name=name, timeout=timeout, root=root.rstrip("/"), observer=observer)

    def spawn(self, script: Any, done: Done | None = None) -> None:
        """Have a script run from the next cycle on.

        Args:
            script: A generator, a coroutine or a Future.
            done: Called with its result, or with None and what it raised; without it that is logged as an error.

        Raises:
            TypeError: It is something else.
        """
        require_script(script)
        self._spawned.append((script, done or _report))
        if not self._inbox.here():
            self.poller.wake()

    def idle(self) -> bool:
        """Tell whether all scripts are done."""
        return not (self._spawned or self.lot.runs)

    # ------------------------------------------------------------ hio's interface

    def due(self, tyme: float) -> float:
        """The tyme at which the next script goes on, or the next wait times out."""
        if self._spawned or self._inbox:
            return tyme
        due = self.lot.due()
        for timer in self._timers.values():
            due = min(due, timer.due())
        for conversation in self.connecting:
            due = min(due, conversation.link.due)
        return due

    def enter(self, *, temp: bool | None = None) -> None:
        """Learn what tyme it is, and which thread the cycle runs in."""
        self._inbox.claim()
        self.lot.tyme = self.tyme
        self.running, self._ended = True, False

    def recur(self, tyme: float) -> bool:
        """Do what is ready, end what is overdue, and have scripts go on."""
        self.lot.tyme = tyme
        self._inbox.drain(POSTS)
        for attendant, mask in self.poller.ready():
            attendant.attend(mask)
        for conversation in list(self.connecting):
            conversation.link.service(tyme)
        for timer in list(self._timers.values()):
            for wait in timer.take(tyme, EXPIRIES):
                wait.expire()
        for _ in range(min(len(self._spawned), RESUMES)):
            self.lot.run(*self._spawned.popleft())
        self.lot.service(tyme, RESUMES)
        return False

    def exit(self) -> None:
        """End all scripts where they stand, then all connections; whoever still waits gets an error."""
        self.running, self._ended = False, True
        while self._inbox:
            self._inbox.drain(POSTS)
        while self._spawned:
            script, _ = self._spawned.popleft()
            if not isinstance(script, Future):
                script.close()
        self.lot.close()
        for conversation in list(self.conversations):
            conversation.end(errno.ECONNABORTED, "the client was ended")
        self.poller.close()
        self._inbox.disclaim()

    # ------------------------------------------------------------ what its clients call

    def within(self, function: Callable[..., object], *args: Any) -> None:
        """Do something now when that is in its own cycle, else in the next one."""
        if self._ended or self._inbox.here():
            function(*args)
        else:
            self._inbox.post(function, *args)

    def time(self, wait: Wait, seconds: float) -> None:
        """Give a wait that many seconds of tyme; zero gives it all there are."""
        if 0.0 < seconds < math.inf and not wait.over:
            wait.timeout = seconds
            timer = self._timers.get(seconds)
            if timer is None:
                timer = self._timers[seconds] = Deadlines(seconds)
            timer.set(wait, self.tyme)

    def untime(self, wait: Wait) -> None:
        """Let go of a wait that is over."""
        if wait.timeout is not None:
            timer = self._timers.get(wait.timeout)
            if timer is not None:
                timer.drop(wait)
                if not timer.dues:
                    del self._timers[wait.timeout]


def require_script(script: Any) -> None:
    """See that something can be run as a script.

    Raises:
        TypeError: It cannot.
    """
    if not isinstance(script, (GeneratorType, CoroutineType, Future)):
        raise TypeError(f"a script is a generator, a coroutine or a Future, not {type(script).__name__}")


def _report(result: Any, error: BaseException | None) -> None:
    """Tell of a script that failed when nobody else does."""
    if error is not None:
        logger.error("a script failed", exc_info=error)
