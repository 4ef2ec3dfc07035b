"""Events through a server that keeps one log for all processes, reached from worker threads.

All events, a process's own too, come from that log, so all are told them in the same order. Three threads wait for the
server and never the cycle: one reads the log, one takes events that are for one process alone, one sends. While the
server cannot be reached, what is to be sent fails at once; the log is read on where it was left, so that nothing is
missed that it has kept.

When the server has lost the log, or another server has taken over that has not had all of it, everybody is told to have
missed something, wherever they had come.
"""

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

from totohio.base.clocking import Minter
from totohio.base.environing import Pool, Threads
from totohio.base.errors import TotohioError
from totohio.base.futures import Future
from totohio.bus.driving import Batch, Item, LogDriver, Place, Turn
from totohio.bus.memory import new_origin
from totohio.core.ports import Receiver, StoreError
from totohio.core.recovering import Event
from totohio.wire.packing import decode_msgpack, encode_msgpack

logger = logging.getLogger("totohio")

READ = 256  # events that are read at once
TAKE = 16  # events for one process that it takes at once: more would wait here while others have nothing to do
WAIT = 1.0  # seconds that the server is asked to wait for the next event
FIRST_PAUSE = 0.1  # seconds in which nothing is tried after a failure,
LAST_PAUSE = 2.0  # and after many
FAR = 10**15  # an offset beyond all others: whoever has come anywhere in a log that was lost has missed something
GATHERING = 2.0  # seconds after the start in which the server is met
GROUP = 512  # events that are sent at once
ENROL = 1.0  # seconds between two looks whether somebody else is subscribed than has been said
STALE = 15.0  # seconds for which it holds what a process has said of that
MAX_LOST = 64  # logs that were lost and are remembered


class Loop:
    """Asks a server something again and again, in a thread.

    Attributes:
        due: The tyme at which it asks again; infinity while it waits for an answer.
    """

    def __init__(self, ask: Callable[[], Future[Any]], told: Callable[[Any], None], failed: Callable[[str], None]):
        self.due = 0.0
        self._ask = ask
        self._told = told
        self._failed = failed
        self._pause = 0.0
        self._tyme = 0.0

    def service(self, tyme: float) -> None:
        """Ask, if it is time to."""
        self._tyme = tyme
        if tyme >= self.due:
            self.due = math.inf
            self._ask().add_done_callback(self._done)

    def _done(self, future: Future[Any]) -> None:
        error = _error(future)
        if error is not None:
            self._pause = min(LAST_PAUSE, max(FIRST_PAUSE, self._pause * 2.0))
            self.due = self._tyme + self._pause
            self._failed(str(error))
            return
        self._pause = 0.0
        self.due = 0.0
        self._told(future.result())


class SharedBus:
    """The bus of processes that share a server's log.

    Attributes:
        origin: The name of the log, "" until it is known.
        tyme: The tyme of this cycle.
    """

    def __init__(self, driver: LogDriver, *, threads: Threads, minter: Minter, queue: int, max_size: int) -> None:
        """Set it up.

        Args:
            driver: Speaks to the server.
            threads: Where it is spoken to.
            minter: Randomness.
            queue: Events that may wait to be sent.
            max_size: Bytes that an event may have.
        """
        self.origin = ""
        self.tyme = 0.0
        self._driver = driver
        self._threads = threads
        self._minter = minter
        self._queue = queue
        self._max_size = max_size
        self._consumer = ""
        self._receiver: Receiver | None = None
        self._pools: list[Pool] = []
        self._place: Place | None = None
        self._old = 0  # the offset up to which events were there before this process
        self._met = False  # it has seen the log, or that there was none
        self._gathered = 0.0  # the tyme until which all that it finds in the log is older than it is itself
        self._loops: list[Loop] = []
        self._items: list[tuple[Item, Future[None]]] = []
        self._sending = 0
        self._pause = 0.0
        self._until = 0.0  # the tyme until which sending fails at once
        self._finished: list[bytes] = []
        self._lost: dict[str, None] = {}  # logs that are not to be read on
        self._life = 0
        self._quiet = False
        self._roll: dict[str, bytes] = {}  # what was said last of who is here
        self._enrolled = 0.0  # the tyme at which it was
        self._enrol_at = math.inf

    # ------------------------------------------------------------ the port

    def open(self, receiver: Receiver, tyme: float) -> None:
        """Begin; the server is looked for, and need not be there."""
        self.tyme = tyme
        self.origin = ""
        self._receiver = receiver
        self._consumer = new_origin(self._minter)
        self._place = None
        self._old = 0
        self._met = self._quiet = False
        self._gathered = tyme + GATHERING
        self._roll = {}
        self._enrol_at = tyme + ENROL
        self._pause = self._until = 0.0
        self._life += 1
        life = self._life
        self._pools = [self._threads.pool(f"events-{name}", 1) for name in ("read", "take", "send")]
        read, take, _ = self._pools

        def living(function: Callable[[Any], None]) -> Callable[[Any], None]:
            return lambda found: function(found) if self._life == life else None

        self._loops = [
            Loop(
                lambda: read.submit(self._driver.read, self._place, READ, WAIT),
                living(self._told),
                living(self._unread),
            ),
            Loop(
                lambda: take.submit(self._driver.take, self._consumer, TAKE, WAIT),
                living(self._taken),
                living(self._failed),
            ),
        ]

    def close(self) -> None:
        """Let go of the server."""
        self._life += 1
        self._receiver = None
        self._loops = []
        pools, self._pools = self._pools, []
        for pool in pools:
            pool.close()
        if pools:
            self._driver.close()
        items, self._items = self._items, []
        self._sending = 0
        self._finished = []
        for _, future in items:
            future.set_exception(StoreError("the bus is closed"))

    def send(self, name: str, data: bytes, *, broadcast: bool) -> Future[None]:
        """Send an event to every process, or to one alone.

        Raises:
            ValueError: It is too large.
            BufferError: Too many wait to be sent.
        """
        if len(data) > self._max_size:
            raise ValueError(f"an event has {self._max_size} bytes at most")
        if len(self._items) >= self._queue:
            raise BufferError("too many events wait to be sent")
        future: Future[None] = Future()
        if self._receiver is None:
            future.set_exception(StoreError("the bus is closed"))
            return future
        if self.tyme < self._until:
            future.set_exception(StoreError("the server of the bus was not reached a moment ago"))
            return future
        self._items.append((Item(self._minter.draw(12), name, data, broadcast), future))
        return future

    def service(self, tyme: float) -> None:
        """Send what this cycle has brought, and read on."""
        self.tyme = tyme
        receiver = self._receiver
        if receiver is None:
            return
        if receiver.room():
            for loop in self._loops:
                loop.service(tyme)
        if self._items and not self._sending and self._met:  # before, its own events would seem older than itself
            self._send()
        if self._finished:
            self._finish()
        if tyme >= self._enrol_at:
            self._enrol(receiver)

    def due(self) -> float:
        """When something is to be sent, or asked for again."""
        if (self._items and not self._sending and self._met) or self._finished:
            return 0.0
        if self._receiver is None or not self._receiver.room():
            return math.inf
        return min(self._enrol_at, *(loop.due for loop in self._loops))

    def present(self, name: str) -> Future[tuple[list[Any], bool]]:
        """Look who is subscribed to a name in other processes, as they have said of late."""
        future: Future[tuple[list[Any], bool]] = Future()
        if self._receiver is None:
            future.set_result(([], False))
            return future

        def found(inner: Future[list[bytes]]) -> None:
            if _error(inner) is not None:
                future.set_result(([], False))
                return
            future.set_result(([who for data in inner.result() for who in decode_msgpack(data)], True))

        self._pools[2].submit(self._driver.present, self._consumer, name).add_done_callback(found)
        return future

    def rest(self) -> bool:
        """Tell whether the server has all that was sent."""
        return not self._items and not self._sending and not self._finished

    def alive(self, origin: str) -> bool:
        """Tell whether it is the log."""
        return origin == self.origin

    # ------------------------------------------------------------ the log

    def _told(self, batch: Batch) -> None:
        """A look at the log has brought something."""
        receiver, place = self._receiver, self._place
        assert receiver is not None
        self._well()
        if place is not None and place.epoch == batch.epoch and not batch.same:
            # Another server has taken over, without the end: what it gives now are other events with the same numbers.
            self._lose(place)
        if batch.epoch in self._lost:  # what comes of it now would be taken for what was there before
            self._pools[2].submit(self._driver.reset, batch.epoch)
            self._loops[0].due = self.tyme + FIRST_PAUSE
            return
        if not batch.epoch:
            if place is not None:
                self._lose(place)
            self._met = True
            return
        if place is None or place.epoch != batch.epoch:
            if place is not None:
                self._lose(place)
            self.origin = batch.epoch
            late = batch.first == 1 and self.tyme >= self._gathered  # some of it may have come while nobody could see
            self._old = 0 if self._met or late else batch.last
            place = self._place = Place(batch.epoch, batch.first - 1, b"")
            receiver.missed(batch.epoch, batch.first - 1)
            self._met = True
        elif batch.first > place.offset + 1:
            receiver.missed(place.epoch, batch.first - 1)
            place = self._place = Place(place.epoch, batch.first - 1, b"")
        for entry in batch.entries:
            if entry.offset <= place.offset:
                continue
            if entry.offset > place.offset + 1:
                receiver.missed(place.epoch, entry.offset - 1)
            place = self._place = Place(place.epoch, entry.offset, entry.id)
            event = Event(entry.name, entry.data, place.epoch, entry.offset)
            receiver.receive(event, old=entry.offset <= self._old)

    def _lose(self, place: Place) -> None:
        """The log is not there any more: nobody knows what else was in it."""
        assert self._receiver is not None
        logger.warning("events: the log has been lost; all who listen may have missed something")
        self._receiver.missed(place.epoch, FAR)
        self._lost[place.epoch] = None
        while len(self._lost) > MAX_LOST:
            del self._lost[next(iter(self._lost))]
        self.origin = ""
        self._place = None

    # ------------------------------------------------------------ events for one process

    def _taken(self, turns: Sequence[Turn]) -> None:
        receiver = self._receiver
        assert receiver is not None
        for turn in turns:
            receiver.turn(Event(turn.name, turn.data), self._mark(turn.id))

    def _mark(self, id: bytes) -> Callable[[], object]:
        life = self._life

        def done() -> None:
            if self._life == life:
                self._finished.append(id)

        return done

    def _finish(self) -> None:
        """Have nobody else get what was told here; when that fails somebody else is told, too."""
        finished, self._finished = self._finished, []
        self._pools[2].submit(self._driver.done, self._consumer, finished)

    # ------------------------------------------------------------ who is here

    def _enrol(self, receiver: Receiver) -> None:
        """Say who is subscribed here, when that is news or was said some time ago."""
        self._enrol_at = self.tyme + ENROL
        roll = {name: encode_msgpack(each) for name, each in receiver.roll().items()}
        if roll == self._roll and (not roll or self.tyme < self._enrolled + STALE / 3.0):
            return
        gone = self._roll.keys() - roll.keys()
        self._roll, self._enrolled = roll, self.tyme
        self._pools[2].submit(self._driver.enrol, self._consumer, roll, gone, STALE)

    # ------------------------------------------------------------ sending

    def _send(self) -> None:
        items, self._items = self._items[:GROUP], self._items[GROUP:]
        self._sending = len(items)
        life = self._life

        def sent(inner: Future[None]) -> None:
            error = _error(inner)
            if self._life == life:
                self._sending = 0
                self._rest(error)
            for _, future in items:
                if error is not None:
                    future.set_exception(error)
                else:
                    future.set_result(None)

        self._pools[2].submit(self._driver.append, [item for item, _ in items]).add_done_callback(sent)

    def _unread(self, why: str) -> None:
        """The log cannot be seen."""
        self._failed(why)
        if not self._met:
            items, self._items = self._items, []
            for _, future in items:
                future.set_exception(StoreError(why))

    def _rest(self, error: StoreError | None) -> None:
        """Send nothing for a moment after a failure, so that a dead server keeps nobody waiting."""
        if error is None:
            self._pause = self._until = 0.0
            return
        self._pause = min(LAST_PAUSE, max(FIRST_PAUSE, self._pause * 2.0))
        self._until = self.tyme + self._pause
        self._failed(str(error))

    def _failed(self, why: str) -> None:
        if not self._quiet:
            self._quiet = True
            logger.warning("events: the server of the bus cannot be reached: %s", why)

    def _well(self) -> None:
        if self._quiet:
            self._quiet = False
            logger.warning("events: the server of the bus is reached again")


def _error(future: Future[Any]) -> StoreError | None:
    try:
        error = future.exception()
    except TotohioError as cancelled:
        return StoreError(str(cancelled))
    if error is None or isinstance(error, StoreError):
        return error
    logger.error("the bus failed in an unknown way", exc_info=error)
    return StoreError(f"the bus failed: {type(error).__name__}")
