"""Events between processes that are connected to each other, on one host or on several.

Each process connects to each other one, and sends its own events to it; what it takes from others comes over the
connections that they have made. So every log has one way to every process, and keeps its order. A process that was cut
off, or is new, says how far it has come in each log, and gets what is behind that as far as it is still there; what is
not, it is told to have missed.

When a process dies, some of the others may have had its last events and some not. Each tells the others once a second
how far all logs have come where it is, and who has come less far asks for the rest.

Events for one process alone go round: to this one, then to each that is connected. One that was not told when its
connection broke goes to another, so it may be told twice, and is lost only when its sender dies.
"""

import contextlib
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from totohio.base.clocking import Minter
from totohio.base.environing import Network, Poller
from totohio.base.errors import TotohioError
from totohio.base.futures import Future
from totohio.bus.accepting import Acceptor
from totohio.bus.asking import Questions
from totohio.bus.dialing import Dialer
from totohio.bus.listening import Listener, read_address
from totohio.bus.memory import new_origin
from totohio.bus.queueing import Outbox
from totohio.bus.reaching import MAX_LOGS, Reached
from totohio.core.ports import Receiver
from totohio.core.recovering import Event
from totohio.net.linking import Address, place
from totohio.wire.peering import NONCE, Peering, Role, pack

MAX_PEERS = 1024  # connections that may be accepted at once
GATHERING = 2.0  # seconds after the start in which other processes are met: what they had sent before is old
ASKING = 5.0  # seconds after which the rest of a log is asked for again


class PeerBus:
    """The bus of connected processes.

    Attributes:
        origin: The name of this process's log; a new one each time it is opened.
        outbox: The end of that log.
        questions: To other processes, that are under way.
        network: Where sockets come from.
        poller: Tells which are ready.
        tyme: The tyme of this cycle.
    """

    def __init__(
        self,
        *,
        network: Network,
        poller: Poller,
        minter: Minter,
        key: bytes,
        listen: Sequence[Address] = (),
        dial: Sequence[Address] = (),
        queue: int = 10_000,
        queue_size: int = 1 << 24,
        max_size: int = 1 << 20,
    ) -> None:
        """Set it up.

        Args:
            network: Where sockets come from.
            poller: Tells which are ready; its cycle calls them.
            minter: Randomness.
            key: What all processes share.
            listen: Addresses on which others connect to this one.
            dial: Addresses of others.
            queue: Events kept for peers that are slow or away.
            queue_size: Bytes that they may take.
            max_size: Bytes that an event may have.
        """
        self.network = network
        self.poller = poller
        self.origin = ""
        self.tyme = 0.0
        self._minter = minter
        self._key = key
        self._listen = list(listen)
        self._dial = list(dial)
        self._queue = queue
        self._queue_size = queue_size
        self._max_size = max_size
        self.outbox = Outbox(count=queue, size=queue_size)
        self._receiver: Receiver | None = None
        self._reached = Reached(self.alive)
        self.questions = Questions()
        self._listeners: list[Listener] = []
        self._dialers: dict[Address, Dialer] = {}
        self._acceptors: dict[Acceptor, None] = {}
        self._round: deque[Dialer | None] = deque()  # None stands for this process
        self._asked: dict[str, float] = {}
        self._met = math.inf

    @property
    def address(self) -> str | None:
        """Where other hosts connect to, as ``tcp://HOST:PORT``; None when they cannot."""
        for listener in self._listeners:
            if not isinstance(listener.address, str):
                return f"tcp://{place(listener.address)}"
        return None

    # ------------------------------------------------------------ the port

    def open(self, receiver: Receiver, tyme: float) -> None:
        """Listen, and begin to connect.

        Raises:
            OSError: An address is in use, unknown or forbidden.
        """
        self.tyme = tyme
        self._met = tyme + GATHERING
        self._receiver = receiver
        self.origin = new_origin(self._minter)
        self.outbox = Outbox(count=self._queue, size=self._queue_size)
        self._reached.clear()
        self._asked.clear()
        receiver.history.begin(self.origin, 0, tyme)
        self._reached.note(self.origin, 0, self.tyme)
        try:
            for address in self._listen:
                self._listeners.append(Listener(self, address))
        except OSError:
            self.close()
            raise
        self._round = deque([None])
        for address in self._dial:
            self._dialers.setdefault(address, Dialer(self, address))
        self.refresh_server_queue()

    def close(self) -> None:
        """Let go of all others."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for dialer in self._dialers.values():
            dialer.close()
        self._dialers.clear()
        for acceptor in list(self._acceptors):
            acceptor.close()
        self.questions.close()
        self._receiver = None

    def send(self, name: str, data: bytes, *, broadcast: bool) -> Future[None]:
        """Send an event to every process, or to the next one alone.

        Raises:
            ValueError: It is too large.
        """
        future: Future[None] = Future()
        if self._receiver is not None:
            self._check(data)
            if broadcast:
                outbox = self.outbox
                offset = outbox.last + 1
                outbox.put(pack("event", self.origin, offset, name, data))
                self._reached.note(self.origin, offset, self.tyme)
                self._receiver.receive(Event(name, data, self.origin, offset))
            else:
                self.reroute(name, data)
        future.set_result(None)
        return future

    def service(self, tyme: float) -> None:
        """Connect, send, and see who is gone."""
        self.tyme = tyme
        self.questions.service(tyme)
        for listener in self._listeners:
            listener.service(tyme)
        for dialer in list(self._dialers.values()):
            if dialer.due() <= tyme:
                dialer.service(tyme)
        for acceptor in list(self._acceptors):
            if acceptor.due() <= tyme:
                acceptor.service(tyme)

    def due(self) -> float:
        """When the first of them has something to do."""
        due = self.questions.due()
        for listener in self._listeners:
            due = min(due, listener.due())
        for dialer in self._dialers.values():
            due = min(due, dialer.due())
        for acceptor in self._acceptors:
            due = min(due, acceptor.due())
        return due

    def present(self, name: str) -> Future[tuple[list[Any], bool]]:
        """Ask all who are connected who is subscribed to a name."""
        return self.questions.ask([each for each in self._dialers.values() if each.ready], name, self.tyme)

    def rest(self) -> bool:
        """Tell whether all who are connected have said that they have all that was sent."""
        return all(dialer.rest() for dialer in self._dialers.values())

    def alive(self, origin: str) -> bool:
        """Tell whether it is its own, or that of a process that is connected."""
        return origin == self.origin or self.linked(origin)

    # ------------------------------------------------------------ who the others are

    def register_server(self, address: str) -> None:
        """Send events to the server at that address from now on, too.

        Raises:
            TotohioError: It is registered already.
            ValueError: That is no address.
        """
        target = read_address(address)
        if target in self._dialers:
            raise TotohioError(f"{address} is registered already")
        self._dial.append(target)
        if self._receiver is not None:
            self._dialers[target] = Dialer(self, target)
            self.refresh_server_queue()

    def remove_server(self, address: str) -> None:
        """Send no more events to a server.

        Raises:
            TotohioError: It is not registered.
            ValueError: That is no address.
        """
        target = read_address(address)
        if target not in self._dial:
            raise TotohioError(f"{address} is not registered")
        self._dial.remove(target)
        dialer = self._dialers.pop(target, None)
        if dialer is not None:
            self.refresh_server_queue()
            dialer.close()

    def remove_all_servers(self) -> None:
        """Send no more events to servers on other hosts."""
        for target in [address for address in self._dial if not isinstance(address, str)]:
            self.remove_server(place(target))

    def refresh_server_queue(self) -> None:
        """Shuffle the order in which processes have their turn."""
        found: list[Dialer | None] = [None, *self._dialers.values()]
        found.sort(key=lambda _: self._minter.draw(8))
        self._round = deque(found)

    def send_to(self, address: str, name: str, data: bytes) -> Future[None]:
        """Send an event to one registered server alone.

        Raises:
            TotohioError: It is not registered, or not connected.
            ValueError: That is no address, or the event is too large.
        """
        self._check(data)
        dialer = self._dialers.get(read_address(address))
        if dialer is None or not dialer.ready:
            raise TotohioError(f"{address} is not {'connected' if dialer is not None else 'registered'}")
        dialer.turn(name, data)
        future: Future[None] = Future()
        future.set_result(None)
        return future

    def connected(self) -> list[Address]:
        """Give where other processes are that take events now."""
        return [dialer.address for dialer in self._dialers.values() if dialer.ready]

    # ------------------------------------------------------------ for dialers

    def peering(self, role: Role) -> Peering:
        """Begin a conversation."""
        nonce = self._minter.draw(NONCE)
        return Peering(role, key=self._key, origin=self.origin, nonce=nonce, limit=max(self._max_size, 1 << 16))

    def chance(self) -> float:
        """Give a random number from 0 to 1."""
        return int.from_bytes(self._minter.draw(2), "big") / 65536.0

    def reroute(self, name: str, data: bytes) -> None:
        """Have the next process in turn told of an event, and no other."""
        order = self._round
        for _ in range(len(order)):
            order.rotate(-1)
            dialer = order[-1]
            if dialer is None:
                self.take_turn(name, data, None)
                return
            if dialer.ready and len(dialer.turns) < self._queue:
                dialer.turn(name, data)
                return

    def relay(self, origin: str, last: int) -> Iterator[bytes]:
        """Give the messages that tell what there is of a log behind an offset."""
        receiver = self._receiver
        if receiver is None or origin not in receiver.history.logs or last < 0:
            return
        held = receiver.history.logs[origin].last
        floor, events = receiver.history.behind(origin, last)
        found = list(events)
        yield pack("log", origin, min(floor, held), held, False)
        for event in found:
            yield pack("event", origin, event.offset, event.name, event.data)

    def held(self) -> dict[str, int]:
        """Give how far each log has come that can be told of."""
        return self._receiver.history.held() if self._receiver is not None else {}

    # ------------------------------------------------------------ for acceptors

    def here(self, name: str) -> list[Any]:
        """Give who is subscribed to a name in this process."""
        return self._receiver.present(name) if self._receiver is not None else []

    def room(self) -> bool:
        """Tell whether events can be taken."""
        return self._receiver is not None and self._receiver.room()

    def reached(self, origin: str) -> int:
        """Give how far a log has come, told or not."""
        return self._reached.get(origin) or 0

    def holds(self) -> dict[str, int]:
        """Give how far each log has come, told or not."""
        return self._reached.held()

    def linked(self, origin: str) -> bool:
        """Tell whether the process of a log is connected."""
        return any(acceptor.live == origin for acceptor in self._acceptors)

    def begin(self, origin: str, floor: int, last: int) -> int:
        """Learn of a log; give the offset up to which what comes of it is old."""
        known = self._reached.get(origin)
        receiver = self._receiver
        if receiver is None or origin == self.origin:
            return 0
        if known is None:
            self._reached.note(origin, floor, self.tyme)
            receiver.missed(origin, floor)
            return last if floor > 0 or self.tyme < self._met else 0
        self.miss(origin, floor)
        return 0

    def take(self, origin: str, offset: int, name: str, data: bytes, *, old: bool) -> None:
        """Take an event of a log, unless it was taken before."""
        receiver = self._receiver
        known = self._reached.get(origin)
        if receiver is None or origin == self.origin or known is None or offset <= known:
            return
        if offset > known + 1:
            receiver.missed(origin, offset - 1)
        self._reached.note(origin, offset, self.tyme)
        receiver.receive(Event(name, data, origin, offset), old=old)

    def miss(self, origin: str, last: int) -> None:
        """What has not come of a log up to an offset is lost."""
        known = self._reached.get(origin)
        if self._receiver is not None and origin != self.origin and known is not None and last > known:
            self._reached.note(origin, last, self.tyme)
            self._receiver.missed(origin, last)

    def take_turn(self, name: str, data: bytes, done: Callable[[], object] | None) -> None:
        """Take an event that this process alone is told of."""
        if self._receiver is not None:
            self._receiver.turn(Event(name, data), done)

    def compare(self, acceptor: Acceptor, held: dict[Any, Any]) -> None:
        """A peer says how far logs have come there: ask for what is missing here and comes from nowhere else."""
        for origin, last in held.items():
            if not isinstance(origin, str) or not isinstance(last, int) or origin == self.origin:
                continue
            mine = self.reached(origin)
            if last <= mine or self.linked(origin) or self._asked.get(origin, -math.inf) > self.tyme - ASKING:
                continue
            if len(self._asked) > MAX_LOGS:
                self._asked.clear()
            self._asked[origin] = self.tyme
            acceptor.want(origin, mine)

    def left(self, acceptor: Acceptor) -> None:
        """A connection from a peer has ended."""
        self._acceptors.pop(acceptor, None)

    def accepted(self, sock: Any) -> None:
        """Somebody has connected."""
        if len(self._acceptors) >= MAX_PEERS:
            sock.close()
            return
        with contextlib.suppress(OSError):
            self._acceptors[Acceptor(self, sock)] = None

    # ------------------------------------------------------------ the rest

    def _check(self, data: bytes) -> None:
        if len(data) > self._max_size:
            raise ValueError(f"an event has {self._max_size} bytes at most")
