"""Connections from peers that send events."""

import logging
import math
from typing import TYPE_CHECKING, Any

from totohio.bus.dialing import GREETING, SILENCE
from totohio.net.linking import Link
from totohio.wire.peering import Message, PeerError, Peering, pack

if TYPE_CHECKING:
    from totohio.bus.peers import PeerBus

logger = logging.getLogger("totohio")

PATIENCE = 1024  # messages of a peer that are taken in a cycle


class Acceptor:
    """Takes events from one peer: the owner of a `Link`.

    Attributes:
        peering: The conversation.
        ready: The peer is known.
        live: The log that the peer itself is the origin of; "" until it has said so.
    """

    def __init__(self, bus: "PeerBus", sock: Any) -> None:
        """Take over a socket.

        Raises:
            OSError: The poller watches no more sockets.
        """
        self.peering: Peering = bus.peering("acceptor")
        self.ready = False
        self.live = ""
        self._bus = bus
        self._heard = bus.tyme
        self._paused = False
        self._old: dict[str, int] = {}  # by log: the offset up to which events are old
        self._link = Link(network=bus.network, poller=bus.poller, address="", owner=self)
        self._link.adopt(sock)

    def __repr__(self) -> str:
        return f"<Acceptor of {self.peering.peer or 'somebody'}>"

    # ------------------------------------------------------------ for the bus

    def due(self) -> float:
        """The tyme at which the peer has said nothing for too long; at once when there is room again."""
        if self._paused:
            return 0.0 if self._bus.room() else math.inf
        return self._heard + (SILENCE if self.ready else GREETING)

    def service(self, tyme: float) -> None:
        """Read on, or give up."""
        if self._paused:
            if self._bus.room():
                self._paused = False
                self._heard = tyme
                self._link.resume()
        elif tyme >= self.due():
            self.close()

    def want(self, origin: str, last: int) -> None:
        """Ask for what the peer has of a log behind an offset."""
        self._send(pack("want", origin, last))

    def close(self) -> None:
        """End; twice does no harm."""
        self._link.close()
        self._bus.left(self)

    # ------------------------------------------------------------ what the Link tells

    def opened(self) -> None:
        """It was connected from the beginning."""

    def received(self, data: bytes) -> None:
        """The peer has said something."""
        self._heard = self._bus.tyme
        try:
            for item in self.peering.receive(data):
                if isinstance(item, bytes):
                    self._link.send(item)
                else:
                    self._take(item)
                if self._link.closed:
                    return
        except (PeerError, BufferError) as error:
            logger.warning("events: a connection was ended: %s", error)
            self.close()
            return
        if not self._bus.room():
            self._paused = True
            self._link.pause()

    def drained(self) -> None:
        """All is sent."""

    def ended(self) -> None:
        """The peer sends no more."""
        self.close()

    def lost(self, error: OSError) -> None:
        """It broke."""
        self._bus.left(self)

    # ------------------------------------------------------------ the rest

    def _take(self, message: Message) -> None:
        bus = self._bus
        match message:
            case ["event", str(origin), int(offset), str(name), bytes(data)] if offset > 0:
                if origin == self.live or (origin in self._old and not bus.linked(origin)):
                    bus.take(origin, offset, name, data, old=offset <= self._old.get(origin, 0))
            case ["open"]:
                self.ready = True
                self._send(pack("holds", bus.holds()))
            case ["log", str(origin), int(floor), int(last), bool(live)] if 0 <= floor <= last:
                if live:
                    self.live = origin
                if live or not bus.linked(origin):
                    self._old[origin] = bus.begin(origin, floor, last)
            case ["miss", str(origin), int(last)] if origin == self.live and last >= 0:
                bus.miss(origin, last)
            case ["turn", int(number), str(name), bytes(data)]:
                bus.take_turn(name, data, lambda: self._send(pack("done", number)))
            case ["who", int(number), str(name)]:
                self._send(pack("here", number, bus.here(name)))
            case ["beat", dict(held)]:
                self._send(pack("beat", bus.reached(self.live)))
                bus.compare(self, held)
            case _:
                raise PeerError("an unknown message")

    def _send(self, packed: bytes) -> None:
        if not self._link.closed:
            self._link.send(self.peering.seal(packed))
