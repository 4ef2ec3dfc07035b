"""Telling: what the bus brings reaches those who wait for it.

An event that the bus brings is put into the inbox. `EventDoer` takes it out again and tells, in this order: the
handlers that wait for its name, and the subscriptions that want it. What subscriptions have to send goes out a bounded
number of clients at a time, no faster than each of them reads.
"""

import heapq
import itertools
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from totohio.app.settings import Settings
from totohio.base.doing import Doer
from totohio.base.environing import Environment, Pool
from totohio.base.errors import ERROR_TIMED_OUT, TotoException
from totohio.base.expiring import Deadlines
from totohio.base.futures import Future
from totohio.core.eventing import (
    GAP,
    STAR,
    Handler,
    Subscription,
    Subscriptions,
    Wait,
    Waiters,
    check_name,
    compile_pattern,
)
from totohio.core.ports import Bus
from totohio.core.recovering import BEHIND_GAP, DUPLICATE, Event, History, read_position
from totohio.wire.packing import decode_msgpack

logger = logging.getLogger("totohio")

BUDGET = 2048  # handlers and subscriptions that are told in a cycle, at least one event's
PUMPS = 512  # clients that are sent in a cycle what waits for them
EXPIRIES = 256  # waits, heartbeats and old events that end in a cycle
MOST = 1000  # subscribers to a name that a process tells of
LEFTOVERS = 64  # waits that may stand in the heap, though they are over, before it is looked through for them
FORGET_PAUSE = 10.0  # seconds between two looks for logs that have ended


class Teller:
    """Tells events to whoever in this process waits for them. Called by the thread of the cycle only.

    Attributes:
        bus: How events travel.
        history: What was told of late.
        waiters: Handlers that wait for a name.
        subscriptions: Clients that are told as long as they stay.
        heartbeats: Streams, by when they were last sent something.
        running: There is a cycle.
        retiring: The server is going down.
        tyme: The tyme of this cycle.
    """

    def __init__(self, *, environment: Environment, bus: Bus, settings: Settings) -> None:
        self.bus = bus
        self._settings = settings
        self.history = self._new_history()
        self.waiters = Waiters()
        self.subscriptions = Subscriptions()
        self.heartbeats: Deadlines[Any] = Deadlines(settings.event_heartbeat)
        self.running = self.retiring = False
        self.tyme = 0.0
        self._environment = environment
        self._inbox: deque[Callable[[], int]] = deque()
        self._pumps: deque[Callable[[], object]] = deque()
        self._pool: Pool | None = None
        self._expected: dict[Future[Any], None] = {}
        self._timeouts: list[tuple[float, int, Future[Any]]] = []
        self._numbers = itertools.count()
        self._full = LEFTOVERS
        self._forget_at = math.inf
        self._streams: dict[Any, None] = {}

    # ------------------------------------------------------------ for methods and streams

    def expect(self, name: str, timeout: float | None, over: Callable[[], bool]) -> Wait:
        """Give a Future of the arguments of the next event of a name. Called in the cycle.

        Args:
            name: The name.
            timeout: Seconds of tyme after which it gets error 1014; None for any time.
            over: Tells whether whoever waits is gone.
        """
        wait = Wait(check_name(name), self.waiters, over)
        if self.retiring:
            wait.set_exception(_leaving())
            return wait
        self.waiters.add(wait)
        if timeout is not None:
            self._time(wait, timeout)
        return wait

    def await_(self, future: Future[Any], timeout: float | None) -> None:
        """Have a Future get error 1014 after so many seconds, and when the server goes down; None for any time."""
        if self.retiring:
            future.set_exception(_leaving())
            return
        self._expected[future] = None
        future.add_done_callback(lambda _: self._expected.pop(future, None))
        if timeout is not None:
            self._time(future, timeout)

    def subscription(self, names: Iterable[str], notify: Callable[[Subscription], object], who: Any) -> Subscription:
        """Make a subscription with the bounds of this server; see `Subscription`."""
        settings = self._settings
        return Subscription(
            names,
            notify=notify,
            limit=settings.event_buffer,
            size=settings.event_buffer_size,
            drop=settings.event_overflow == "drop",
            who=who,
        )

    def subscribe(self, subscription: Subscription, last_id: str | None) -> tuple[str, list[Event], bool]:
        """Have a client told of all events of some names. Called in the cycle.

        Args:
            subscription: Says which, and keeps what the client has not taken.
            last_id: The id of the last event that the client has seen; None when it has seen none.

        Returns:
            The position of the client, what it has missed, and whether that is all of it.
        """
        self.subscriptions.add(subscription)
        here = self.history.position()
        if last_id is None:
            return here, [], True
        events, recovered = self.since(last_id, subscription.names)
        logs = self.history.logs
        seen = read_position(last_id) or {}
        subscription.ahead = {o: n for o, n in seen.items() if n > (logs[o].last if o in logs else 0)}
        if not recovered:
            subscription.ahead = {o: n for o, n in subscription.ahead.items() if o in logs}
        return subscription.position(here), events, recovered

    def since(self, last_id: str, names: Iterable[str]) -> tuple[list[Event], bool]:
        """Give the events of some names since an id, in order, and whether that is all of them."""
        patterns = [compile_pattern(name) for name in names if STAR in name]
        plain = [name for name in names if STAR not in name]
        return self.history.since(last_id, plain, lambda name: any(each.fullmatch(name) for each in patterns))

    def pump(self, function: Callable[[], object]) -> None:
        """Have a stream send what waits for its client, in its turn."""
        self._pumps.append(function)

    def join(self, stream: Any) -> None:
        """Have a stream ended with a word to its client when the server goes down."""
        self._streams[stream] = None
        self.heartbeats.set(stream, self.tyme)

    def leave(self, stream: Any) -> None:
        """Forget a stream; twice does no harm."""
        self._streams.pop(stream, None)
        self.heartbeats.drop(stream)

    # ------------------------------------------------------------ what the bus brings

    def room(self) -> bool:
        """Tell whether it takes more now."""
        return len(self._inbox) < self._settings.event_queue

    def receive(self, event: Event, *, old: bool = False) -> None:
        """Take the next event of a log."""
        self._inbox.append(lambda: self._tell(event, old))

    def missed(self, origin: str, last: int) -> None:
        """Know that events are lost."""
        self._inbox.append(lambda: self._miss(origin, last))

    def present(self, name: str) -> list[Any]:
        """Give who is subscribed to a name here."""
        return self.subscriptions.present(name)[:MOST]

    def roll(self) -> dict[str, list[Any]]:
        """Give who is subscribed to what here."""
        return {name: each[:MOST] for name, each in self.subscriptions.roll().items()}

    def turn(self, event: Event, done: Callable[[], object] | None = None) -> None:
        """Take an event that this process alone is told of."""

        def tell() -> int:
            count = self._fire(event)
            if done is not None:
                done()
            return count

        self._inbox.append(tell)

    def _tell(self, event: Event, old: bool) -> int:
        outcome = self.history.add(event, self.tyme)
        if outcome == DUPLICATE:
            return 0
        count = 1
        if outcome == BEHIND_GAP or old:  # who has come meanwhile has missed an old one, too
            count += self._warn()
        if old:
            return count
        count += self._fire(event)
        for subscription in self.subscriptions.told(event.name):
            subscription.push(event)
            count += 1
        return count

    def _miss(self, origin: str, last: int) -> int:
        return self._warn() if self.history.miss(origin, last, self.tyme) else 0

    def _warn(self) -> int:
        """Everybody may have missed something."""
        for subscription in self.subscriptions.everyone():
            subscription.push(GAP)
        return len(self.subscriptions)

    def _fire(self, event: Event) -> int:
        fired = self.waiters.fire(event.name)
        for registration in fired:
            if not registration.active:
                continue  # one before it has taken it back
            registration.active = registration.persist
            if isinstance(registration, Wait):
                registration.happen(decode_msgpack(event.data))  # its `args`
            elif registration.offload:
                self._threads().submit(_call, registration.handler, event.args)
            else:
                _call(registration.handler, event.args)
        return len(fired)

    # ------------------------------------------------------------ for the Doer

    def open(self, tyme: float) -> None:
        """Begin."""
        self.tyme = tyme
        self._forget_at = tyme + FORGET_PAUSE
        self.retiring = False
        self.running = True
        self.bus.open(self, tyme)

    def service(self, tyme: float) -> None:
        """Do the work of a cycle."""
        self.tyme = tyme
        self.bus.service(tyme)
        budget, inbox = BUDGET, self._inbox
        while inbox and budget > 0:
            budget -= inbox.popleft()()
        pumps = self._pumps
        for _ in range(min(PUMPS, len(pumps))):
            pumps.popleft()()
        if self._timeouts and self._timeouts[0][0] <= tyme:
            self._time_out(tyme)
        if self.heartbeats.dues and self.heartbeats.due() <= tyme:
            for stream in self.heartbeats.take(tyme, EXPIRIES):
                stream.beat()
        if tyme >= self._forget_at:
            self._forget_at = tyme + FORGET_PAUSE
            self.history.forget(self.bus.alive, tyme)
        self.history.expire(tyme, EXPIRIES)

    def due(self) -> float:
        """The tyme at which it needs a cycle."""
        if self._inbox or self._pumps:
            return 0.0
        due = min(self.bus.due(), self.history.due())
        if self._timeouts:
            due = min(due, self._timeouts[0][0])
        if self.heartbeats.dues:
            due = min(due, self.heartbeats.due())
        return min(due, self._forget_at) if len(self.history.logs) > 1 else due

    def retire(self) -> None:
        """The server goes down: what waits is told to ask again, streams end."""
        if self.retiring:
            return
        self.retiring = True
        for wait in self.waiters.waits():
            wait.give_up(_leaving())
        for future in list(self._expected):
            _fail(future, _leaving())
        for stream in list(self._streams):
            stream.retire()

    def rest(self) -> bool:
        """Tell whether everybody has been told, as far as that is up to this process."""
        return not self._inbox and not self._pumps and self.bus.rest()

    def close(self) -> None:
        """End: nobody is told anything any more."""
        self.running = False
        self.bus.close()
        self._inbox.clear()
        self._pumps.clear()
        self._timeouts.clear()
        self._expected.clear()
        self._streams.clear()
        self.heartbeats.dues.clear()
        self.history = self._new_history()
        self.waiters = Waiters()
        self.subscriptions = Subscriptions()
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _new_history(self) -> History:
        settings = self._settings
        return History(
            count=settings.event_history, seconds=settings.event_history_seconds, size=settings.event_history_size
        )

    def _threads(self) -> Pool:
        if self._pool is None:
            self._pool = self._environment.threads.pool("events", 1)
        return self._pool

    def _time_out(self, tyme: float) -> None:
        heap = self._timeouts
        for _ in range(EXPIRIES):
            if not heap or heap[0][0] > tyme:
                break
            future = heapq.heappop(heap)[2]
            error = TotoException(ERROR_TIMED_OUT, "No event came in time.")
            if isinstance(future, Wait):
                future.give_up(error)
            else:
                _fail(future, error)

    def _time(self, future: Future[Any], timeout: float) -> None:
        """Have a Future time out; when the heap has doubled, first look through it for those that are over."""
        heap = self._timeouts
        if len(heap) >= self._full:
            heap[:] = [entry for entry in heap if not entry[2].done()]
            heapq.heapify(heap)
            self._full = max(LEFTOVERS, 2 * len(heap))
        heapq.heappush(heap, (self.tyme + max(0.0, timeout), next(self._numbers), future))


class EventDoer(Doer):
    """Tells what the bus brings, about ``BUDGET`` handlers and subscriptions a cycle; sends to ``PUMPS`` clients."""

    attentive = False

    def __init__(self, teller: Teller) -> None:
        super().__init__()
        self.teller = teller

    def due(self, tyme: float) -> float:
        """At once when something waits to be told or sent."""
        return self.teller.due()

    def enter(self, *, temp: bool | None = None) -> None:
        """Open the bus."""
        self.teller.open(self.tyme)

    def recur(self, tyme: float) -> bool:
        """Tell and send."""
        self.teller.service(tyme)
        return False

    def exit(self) -> None:
        """Close the bus."""
        self.teller.close()


def _call(handler: Handler, args: Any) -> None:
    try:
        handler(args)
    except BaseException:  # even SystemExit: a handler's end is not the server's, nor that of those behind it
        logger.exception("an event handler failed: %s", getattr(handler, "__qualname__", handler))


def _fail(future: Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _leaving() -> TotoException:
    error = TotoException(ERROR_TIMED_OUT, "The server is going down; ask again.")
    error.retry_after = 0.0  # type: ignore[attr-defined]
    return error
