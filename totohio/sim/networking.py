"""The simulated network between hosts: segments on their way, and what becomes of them.

Each direction of a connection is a `Lane`, in which nothing overtakes. What a rule does not let through waits at
the sender, as TCP makes it wait, and is sent again after 0.2 s, 0.4 s and so on up to 120 s (RFC 6298); after
`GIVE_UP` seconds without success the sender's end fails with ETIMEDOUT, as tcp_retries2 has it on Linux.
"""

import errno
import zlib
from bisect import insort
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from totohio.base.environing import Poller
from totohio.sim.polling import SimPoller
from totohio.sim.profiles import Profile
from totohio.sim.ruling import BLOCK, RESET, Rule
from totohio.sim.seeding import Dice
from totohio.sim.sockets import CONNECTING, OPEN, Address, SimListener, SimSocket, failure

if TYPE_CHECKING:
    from totohio.sim.hosting import Host, Process
    from totohio.sim.worlding import World

RTO = 0.2  # seconds until a segment is first sent again: the least that Linux waits
LONGEST_RTO = 120.0  # seconds
GIVE_UP = 924.6  # seconds: tcp_retries2 = 15 (ip-sysctl)
SYN_RTO = 1.0  # seconds until a connect is first tried again
SYN_TRIES = 7  # tcp_syn_retries = 6 and the first: 127 s in all
FIRST_PORT = 32768  # of those that the kernel chooses, as in ip_local_port_range
LAST_PORT = 60999
BUFFER = 1 << 18  # bytes that may be outstanding when the profile says nothing smaller

DATA, FIN, RST, SYN = "data", "fin", "rst", "syn"


class Lane:
    """One direction of a connection.

    Attributes:
        source: Whose bytes it carries.
        target: Where they arrive.
        free: The tyme from which on the next segment may arrive.
        stalled: Segments that were not let through, by their number.
        stalled_at: The tyme since which.
        tries: How often they were sent again.
    """

    __slots__ = ("free", "number", "source", "stalled", "stalled_at", "target", "tries")

    def __init__(self, source: SimSocket, target: SimSocket) -> None:
        self.source = source
        self.target = target
        self.free = 0.0
        self.number = 0
        self.stalled: list[tuple[int, str, bytes]] = []
        self.stalled_at = 0.0
        self.tries = 0


class Stack:
    """The network part of one host's kernel: it outlives the processes, but not the power.

    Attributes:
        host: Its host.
        up: The host has power.
        limit: How many sockets its processes may have open.
        open: How many they have.
        sockets: All ends of connections that are not closed.
        listeners: Those that listen, by port or path.
    """

    def __init__(self, net: "Net", host: "Host", limit: int) -> None:
        self.net = net
        self.host = host
        self.up = True
        self.limit = limit
        self.open = 0
        self.sockets: dict[SimSocket, None] = {}
        self.listeners: dict[int | str, SimListener] = {}
        self._port = FIRST_PORT

    def note(self, kind: str, *details: Any) -> None:
        """Write into the trace."""
        self.net.world.note(self.host.name, kind, *details)

    def room(self) -> bool:
        """Tell whether a process may open another socket."""
        return self.open < self.limit

    def port(self) -> int:
        """Give a port for a connection to go out from."""
        self._port = FIRST_PORT if self._port >= LAST_PORT else self._port + 1
        return self._port

    def listen(self, owner: "Process", address: Address, backlog: int) -> SimListener:
        """Listen, at any address of the host.

        Raises:
            OSError: The port or path is in use, or there is no descriptor.
        """
        if isinstance(address, str):
            key: int | str = address
        else:
            key = address[1] or self.port()
            address = (address[0] or "0.0.0.0", key)
        if key in self.listeners:
            raise failure(errno.EADDRINUSE)
        if not self.room():
            raise failure(errno.EMFILE)
        self.open += 1
        listener = self.listeners[key] = SimListener(stack=self, owner=owner, address=address, backlog=backlog)
        return listener

    def unlisten(self, listener: SimListener) -> None:
        """A listener was closed."""
        self.open -= 1
        address = listener.address
        self.listeners.pop(address if isinstance(address, str) else address[1], None)

    def release(self, sock: SimSocket) -> None:
        """A connection was closed by its owner."""
        if sock.owner is not None:
            self.open -= 1
        self.sockets.pop(sock, None)
        self.net.forget(sock)

    def end(self, process: "Process") -> None:
        """A process has ended: close what it left open, as the kernel does."""
        for listener in [each for each in self.listeners.values() if each.owner is process]:
            listener.close()
        for sock in [each for each in self.sockets if each.owner is process]:
            sock.close()

    def lose_power(self) -> None:
        """Everything is gone, and nobody is told."""
        self.up = False
        for listener in list(self.listeners.values()):
            listener.closed = True
            listener.queue.clear()
        self.listeners.clear()
        for sock in list(self.sockets):
            sock.vanished = sock.closed = True
            sock.poller = None
            sock.drop()
            self.net.forget(sock)
        self.sockets.clear()
        self.open = 0


class Net:
    """The network of a World.

    Attributes:
        profile: How slow, shaky and fragmenting it is; rules are for what happens beside that.
        rules: Asked in order about each segment; the first that objects decides.
        count: Segments sent so far.
        connections: The connections that live: the end that connected, in the order in which they were opened.
    """

    def __init__(self, world: "World", profile: Profile, dice: Dice) -> None:
        self.world = world
        self.profile = profile
        self.rules: list[Rule] = []
        self.count = 0
        self.connections: dict[SimSocket, None] = {}
        self._dice = dice
        self._number = 0
        self._bases: dict[tuple[str, str], float] = {}  # seconds between two hosts at best

    # ------------------------------------------------------------ rules

    @contextmanager
    def rule(self, *rules: Rule) -> Iterator[None]:
        """Have rules hold for the length of a ``with`` block."""
        for rule in rules:
            self.add(rule)
        try:
            yield
        finally:
            for rule in rules:
                self.remove(rule)

    def add(self, rule: Rule) -> None:
        """Have a rule hold from now on."""
        self.world.note("", "rule", str(rule))
        self.world.plan.author(rule)
        rule.added(self)
        self.rules.append(rule)

    def remove(self, rule: Rule) -> None:
        """End a rule; what it held is sent on at once, what it merely lost when the sender tries again."""
        if rule in self.rules:
            self.rules.remove(rule)
            self.world.note("", "heal", str(rule))
            if rule.holds:
                self.flush()

    def flush(self) -> None:
        """Have everything that waits for being sent again be sent again now."""
        for sock in list(self.connections):
            for end in (sock, sock.peer):
                if end is not None and end.lane is not None and end.lane.stalled:
                    self._retry(end.lane, end.lane.stalled_at)

    # ------------------------------------------------------------ connections

    def connect(self, owner: "Process", address: Address) -> SimSocket:
        """Begin a connection.

        Raises:
            OSError: The process has no descriptor for it.
        """
        stack = owner.host.stack
        if not stack.room():
            raise failure(errno.EMFILE)
        stack.open += 1
        self._number += 1
        if isinstance(address, str):
            host, local, there = owner.host, "", address
        else:
            host = self.world.find(address[0], owner.host)
            local, there = f":{stack.port()}", f"{host.name}:{address[1]}"
        name = owner.host.name
        label = f"{name}{local}>{there}#{self._number}"
        here: Address = (owner.host.address, int(local[1:])) if local else ""
        sock = SimSocket(net=self, stack=stack, owner=owner, local=here, remote=address, label=label)
        self.connections[sock] = None
        stack.note("connect", label)
        self._ask(sock, host, address, 0)
        return sock

    def _ask(self, sock: SimSocket, host: "Host", address: Address, tries: int) -> None:
        """Send the first segment of a connection, or send it again."""
        if sock.closed or sock.state != CONNECTING:
            return
        if tries == SYN_TRIES:
            sock.fail(errno.ETIMEDOUT)
            return
        delay = self._judge(sock, host, SYN)
        if delay == RESET:
            self.world.after(self._latency(sock.stack.host, host), self._refuse, sock)
            return
        if delay != BLOCK:
            self.world.after(self._latency(sock.stack.host, host) + delay, self._knock, sock, host, address)
        self.world.after(SYN_RTO * 2**tries, self._ask, sock, host, address, tries + 1)

    def _knock(self, sock: SimSocket, host: "Host", address: Address) -> None:
        """The first segment has arrived."""
        stack = host.stack
        if sock.closed or sock.state != CONNECTING or sock.peer is not None or not stack.up:
            return
        listener = stack.listeners.get(address if isinstance(address, str) else address[1])
        if listener is None:
            self.world.after(self._latency(host, sock.stack.host), self._refuse, sock)
            return
        if len(listener.queue) >= listener.backlog:
            return  # dropped; it will be sent again
        there = SimSocket(
            net=self, stack=stack, owner=None, local=listener.address, remote=sock.local, label=sock.label
        )
        there.peer, sock.peer = sock, there
        there.lane, sock.lane = Lane(there, sock), Lane(sock, there)
        there.state = OPEN
        self.world.after(self._latency(host, sock.stack.host), self._welcome, sock)
        listener.queue.append(there)
        listener.changed()

    def _welcome(self, sock: SimSocket) -> None:
        if sock.state == CONNECTING and not sock.closed:
            sock.state = OPEN
            sock.changed()

    def _refuse(self, sock: SimSocket) -> None:
        if sock.state == CONNECTING and not sock.closed:
            sock.stack.note("refuse", sock.label)
            sock.fail(errno.ECONNREFUSED)

    def forget(self, sock: SimSocket) -> None:
        """An end is no more."""
        self.connections.pop(sock, None)

    # ------------------------------------------------------------ segments

    def buffers(self) -> tuple[int, int]:
        """Give the sizes of a new socket's buffers: to send from and to receive into."""
        least = self.profile.least_buffer
        if not least:
            return BUFFER, BUFFER
        return self._size(least), self._size(least)

    def _size(self, least: int) -> int:
        return int(least * (BUFFER / least) ** self._dice.random())

    def share(self, size: int) -> int:
        """Give how much of ``size`` bytes one call takes or gives."""
        if self.profile.partial and self._dice.chance(self.profile.partial):
            return 1 + self._dice.below(size)
        return size

    def carry(self, source: SimSocket, data: bytes) -> None:
        """Send bytes, in as many segments as the profile makes of them."""
        source.stack.note("send", source.label, len(data), zlib.crc32(data))
        fragment = self.profile.fragment
        while fragment and len(data) > 1 and self._dice.chance(fragment):
            size = 1 + self._dice.below(len(data) - 1)
            self._transmit(source, DATA, data[:size])
            data = data[size:]
        self._transmit(source, DATA, data)

    def finish(self, source: SimSocket) -> None:
        """Send the end."""
        source.stack.note("end", source.label)
        self._transmit(source, FIN, b"")

    def reset(self, source: SimSocket) -> None:
        """Send a reset."""
        source.stack.note("reset", source.label)
        self._transmit(source, RST, b"")

    def break_off(self, sock: SimSocket) -> None:
        """Have both ends of a connection find it reset, as by a box in between."""
        for end in (sock, sock.peer):
            if end is not None and not end.closed and end.stack.up:
                end.stack.note("reset", end.label)
                end.fail(errno.ECONNRESET, purge=True)

    def _transmit(self, source: SimSocket, kind: str, data: bytes) -> None:
        self.count += 1
        self.world.plan.tick(self.count)
        lane = source.lane
        if lane is None or source.vanished or (source.state != OPEN and kind == DATA):
            return  # the plan's fault was this connection's end
        lane.number += 1
        self._pass(lane, (lane.number, kind, data))

    def _pass(self, lane: Lane, segment: tuple[int, str, bytes]) -> None:
        """Send a segment on its way, or keep it until it is sent again."""
        kind = segment[1]
        host = lane.target.stack.host
        if lane.stalled:
            insort(lane.stalled, segment)
            return
        delay = self._judge(lane.source, host, kind) if self.rules else 0.0
        if delay == RESET:
            self.break_off(lane.source)
        elif delay != BLOCK:
            world, size = self.world, len(segment[2])
            arrival = world.tyme + world.lag + self._latency(lane.source.stack.host, host, size) + delay
            lane.free = arrival = max(arrival, lane.free)
            world.at(arrival, self._arrive, lane, segment)
        elif kind != RST:
            self._stall(lane, segment)

    def _judge(self, source: SimSocket, host: "Host", kind: str) -> float:
        """Ask the rules: extra seconds, `BLOCK` or `RESET`."""
        extra = 0.0
        for rule in self.rules:
            verdict = rule.judge(source, source.stack.host, host, kind)
            if verdict:
                self.world.plan.hit(rule)
                if verdict < 0:
                    return verdict
                extra += verdict
        return extra

    def _latency(self, one: "Host", other: "Host", size: int = 0) -> float:
        profile = self.profile
        if one is other or not profile.latency:
            return 0.0
        base = self._bases.get((one.name, other.name))
        if base is None:
            least, most = profile.latency
            base = least * (most / least) ** self._dice.random() if least else most
            self._bases[one.name, other.name] = self._bases[other.name, one.name] = base
        seconds = base + size / profile.bandwidth
        return seconds + self._dice.exponential(profile.jitter) if profile.jitter else seconds

    def _stall(self, lane: Lane, segment: tuple[int, str, bytes]) -> None:
        if not lane.stalled:
            lane.stalled_at = self.world.tyme
            lane.tries = 0
            self.world.after(RTO, self._retry, lane, lane.stalled_at)
        insort(lane.stalled, segment)

    def _retry(self, lane: Lane, since: float) -> None:
        """Send again what was not let through."""
        if not lane.stalled or lane.stalled_at != since:
            return
        source = lane.source
        if source.vanished or source.state != OPEN:
            lane.stalled.clear()
            return
        now = self.world.tyme
        if now - since >= GIVE_UP:
            lane.stalled.clear()
            source.fail(errno.ETIMEDOUT)
            return
        segments, tries = lane.stalled, lane.tries + 1
        lane.stalled = []
        for segment in segments:
            self._pass(lane, segment)
        if lane.stalled:  # again
            lane.stalled_at, lane.tries = since, tries
            self.world.after(min(LONGEST_RTO, RTO * 2**tries), self._retry, lane, since)

    def _arrive(self, lane: Lane, segment: tuple[int, str, bytes]) -> None:
        """A segment has reached the other host."""
        _, kind, data = segment
        target = lane.target
        if not target.stack.up or (lane.stalled and lane.stalled[0] < segment):
            if kind != RST:
                self._stall(lane, segment)
            return
        if target.state == CONNECTING:  # it was fast, and says as much as the peer's answer to the connect
            self._welcome(target)
        if target.closed:
            if kind == DATA:  # nobody there knows of it
                self.world.after(self._latency(target.stack.host, lane.source.stack.host), self._rejected, lane.source)
        elif kind == DATA:
            target.stack.note("receive", target.label, len(data), zlib.crc32(data))
            target.arrive(data)
        elif kind == FIN:
            target.end()
        else:
            self._rejected(target)

    def _rejected(self, sock: SimSocket) -> None:
        """A reset has arrived; whether what came before it can still be read is the seed's choice."""
        if not sock.closed and sock.stack.up:
            sock.fail(errno.ECONNRESET, purge=bool(self.profile.latency) and self._dice.chance(0.5))


class SimNetwork:
    """The simulated network as one process knows it: the simulated side of the port `environing.Network`."""

    def __init__(self, process: "Process") -> None:
        self._process = process
        self._stack = process.host.stack
        self.pollers: list[SimPoller] = []

    def poller(self) -> Poller:
        """Make a poller."""
        poller = SimPoller(self._process)
        self.pollers.append(poller)
        return poller

    def listen(self, address: Address, *, backlog: int) -> SimListener:
        """Listen on a port of the host, at whatever address; or on a path.

        Raises:
            OSError: The port or path is in use, or there is no descriptor.
        """
        return self._stack.listen(self._process, address, backlog)

    def connect(self, address: Address) -> SimSocket:
        """Begin a connection to a port of a host, by its name or address; or to a path.

        Raises:
            OSError: There is no such host, or no descriptor.
        """
        return self._stack.net.connect(self._process, address)

    def queued(self, sock: Any) -> int:
        """Tell how many bytes that were sent have not reached the peer's host."""
        return int(sock.outstanding)

    def descriptors(self) -> int:
        """Tell how many sockets the process may have open."""
        return self._stack.limit
