"""Connections to peers that are sent events: made, kept, and made again."""

import logging
import math
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from totohio.net.linking import Address, Link, place
from totohio.wire.peering import Message, PeerError, Peering, pack

if TYPE_CHECKING:
    from totohio.bus.peers import PeerBus

logger = logging.getLogger("totohio")

FIRST_PAUSE = 0.05  # seconds until a connection that has ended is tried again,
LAST_PAUSE = 5.0  # and after many tries
GREETING = 5.0  # seconds within which a peer has to be connected and known
BEAT = 1.0  # seconds between two messages that show that we are there
SILENCE = 5.0  # seconds without a word after which a peer is taken for dead
WINDOW = 262144  # bytes that may wait for a peer; beyond it the next ones stay where they are
SLICE = 256  # events that a peer is sent in a cycle, so that none has it for itself


class Dialer:
    """Sends events to one peer: the owner of a `Link`.

    Attributes:
        address: Where the peer is.
        peering: The conversation; None while there is no connection.
        turns: Events that the peer alone is told of and has not told of yet.
        ready: The peer is known and takes events.
    """

    def __init__(self, bus: "PeerBus", address: Address) -> None:
        self.address = address
        self.peering: Peering | None = None
        self.turns: dict[int, tuple[str, bytes]] = {}
        self.ready = False
        self._bus = bus
        self._link: Link | None = None
        self._pause = 0.0
        self._due = 0.0  # the tyme at which it has to do something
        self._beat_at = math.inf
        self._heard = 0.0
        self._next = 1  # the offset of the next event that the peer is sent of our own log
        self._backlog: deque[Iterator[bytes]] = deque()  # of other logs, which the peer has asked for
        self._number = 0
        self._acknowledged = self._asked = 0  # offsets: that the peer has said to have, and for which it was asked
        self._said = False

    def __repr__(self) -> str:
        return f"<Dialer of {place(self.address)}>"

    # ------------------------------------------------------------ for the bus

    def due(self) -> float:
        """The tyme at which it has something to do."""
        if self.ready and self._behind():
            return 0.0
        return min(self._due, self._beat_at)

    def service(self, tyme: float) -> None:
        """Connect, or send."""
        if self._link is None:
            if tyme >= self._due:
                self._dial(tyme)
            return
        if not self.ready:
            if tyme >= self._due:
                self._fail("no answer")
            return
        if tyme - self._heard > SILENCE:
            self._fail("it says nothing")
            return
        if tyme >= self._beat_at:
            self._beat_at = tyme + BEAT
            self._send(pack("beat", self._bus.held()))
        if self._behind():
            self._pour()

    def rest(self) -> bool:
        """Tell whether the peer has said that it has all that was sent, or is not there; ask it when it has not."""
        bus = self._bus
        if not self.ready or (self._acknowledged >= bus.outbox.last and not self.turns):
            return True
        if not self._behind() and self._asked < bus.outbox.last:
            self._asked = bus.outbox.last
            self._beat_at = bus.tyme
        return False

    def turn(self, name: str, data: bytes) -> None:
        """Send an event that the peer alone is told of."""
        self._number += 1
        self.turns[self._number] = (name, data)
        self._send(pack("turn", self._number, name, data))

    def say(self, packed: bytes) -> None:
        """Send a message."""
        self._send(packed)

    def close(self) -> None:
        """End; twice does no harm."""
        link, self._link = self._link, None
        self.ready = False
        self.peering = None
        self._due = self._beat_at = math.inf
        if link is not None:
            link.close()

    # ------------------------------------------------------------ what the Link tells

    def opened(self) -> None:
        """It is connected."""
        assert self.peering is not None
        assert self._link is not None
        self._link.send(self.peering.start())

    def received(self, data: bytes) -> None:
        """The peer has said something."""
        peering, link = self.peering, self._link
        if peering is None or link is None:
            return
        self._heard = self._bus.tyme
        try:
            for item in peering.receive(data):
                if isinstance(item, bytes):
                    link.send(item)
                elif self._link is link:
                    self._take(item)
        except PeerError as error:
            self._fail(str(error), loud=True)

    def drained(self) -> None:
        """The socket has taken all: go on with the next cycle."""

    def ended(self) -> None:
        """The peer sends no more."""
        self._fail("it has ended the connection")

    def lost(self, error: OSError) -> None:
        """There is no connection, or it broke."""
        self._link = None
        self._fail(error.strerror or str(error))

    # ------------------------------------------------------------ the rest

    def _take(self, message: Message) -> None:
        match message:
            case ["open"]:
                peering = self.peering
                if peering is not None and peering.peer == self._bus.origin:
                    logger.info("events: %s is this process itself", place(self.address))
                    self.close()
            case ["holds", dict(held)]:
                self._begin(held)
            case ["want", str(origin), int(last)] if self.ready:
                self._backlog.append(self._bus.relay(origin, last))
            case ["done", int(number)]:
                self.turns.pop(number, None)
            case ["here", int(number), list(found)]:
                self._bus.questions.answered(self, number, found)
            case ["beat", int(last)]:
                self._acknowledged = last
            case _:
                raise PeerError("an unknown message")

    def _begin(self, held: dict[object, object]) -> None:
        """The peer is known: send it what it has not had."""
        bus = self._bus
        outbox = bus.outbox
        last = held.get(bus.origin)
        floor = last if isinstance(last, int) and 0 <= last <= outbox.last else outbox.first - 1
        self._next = floor + 1
        self._acknowledged = self._asked = floor
        self._pause = 0.0
        self._due = math.inf
        self._beat_at = bus.tyme
        self.ready = True
        if self._said:
            logger.info("events: connected to %s again", place(self.address))
            self._said = False
        self._send(pack("log", bus.origin, floor, outbox.last, True))

    def _behind(self) -> bool:
        link = self._link
        return (
            link is not None and link.pending < WINDOW and (self._next <= self._bus.outbox.last or bool(self._backlog))
        )

    def _pour(self) -> None:
        """Send what the peer has not had, as far as it takes it."""
        outbox = self._bus.outbox
        link, peering = self._link, self.peering
        if link is None or peering is None:
            return
        frames: list[bytes] = []
        room = WINDOW - link.pending
        for _ in range(SLICE):
            if room <= 0:
                break
            if self._backlog:
                packed = next(self._backlog[0], None)
                if packed is None:
                    self._backlog.popleft()
                    continue
            elif self._next < outbox.first:
                packed = pack("miss", self._bus.origin, outbox.first - 1)
                self._next = outbox.first
            elif self._next <= outbox.last:
                packed = outbox.get(self._next)
                self._next += 1
            else:
                break
            frames.append(peering.seal(packed))
            room -= len(packed)
        if frames:
            link.send(b"".join(frames))

    def _send(self, packed: bytes) -> None:
        if self._link is not None and self.peering is not None:
            try:
                self._link.send(self.peering.seal(packed))
            except BufferError:
                self._fail("it does not read")

    def _dial(self, tyme: float) -> None:
        bus = self._bus
        self.peering = bus.peering("dialer")
        self._backlog.clear()
        self._heard = tyme
        self._due = tyme + GREETING
        self._link = Link(network=bus.network, poller=bus.poller, address=self.address, owner=self, timeout=0.0)
        try:
            self._link.open(tyme)
        except OSError as error:
            self._link = None
            self._fail(error.strerror or str(error))

    def _fail(self, why: str, *, loud: bool = False) -> None:
        """There is no connection: try again in a while."""
        bus = self._bus
        link, self._link = self._link, None
        if link is not None:
            link.close()
        self.peering = None
        self.ready = False
        self._beat_at = math.inf
        self._backlog.clear()
        self._pause = min(LAST_PAUSE, max(FIRST_PAUSE, self._pause * 2.0))
        self._due = bus.tyme + self._pause * (0.5 + bus.chance() / 2.0)
        if loud or (not self._said and self._pause >= 1.0):
            self._said = True
            logger.warning("events: no connection to %s: %s", place(self.address), why)
        bus.questions.lost(self)
        turns, self.turns = self.turns, {}
        for name, data in turns.values():
            bus.reroute(name, data)
