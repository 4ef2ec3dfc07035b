"""What carries bytes between simulated hosts: segments on their way, and what becomes of them.

Each direction of a connection is a `Lane`, which delivers in order. What a rule does not let through, or finds a host
without power, waits at the sender as TCP makes it wait, and is sent again after 0.2 s, 0.4 s and so on up to 120 s
(RFC 6298); after `GIVE_UP` seconds without success the sender's end fails with ETIMEDOUT, as tcp_retries2 has it on
Linux. A reset is sent once: when it is lost, the peer learns of it from the answer to what it sends next.

What is simpler than TCP: acknowledgements and window updates take no time and get through everything, so that in a
partition of one direction the other still works; each direction of each connection has the whole bandwidth; a segment
is as long as what was sent at once, unless the profile cuts it, and waits for as much room at the receiver; a closed
end tries as long as an open one; a peer that only waits never learns that a host is gone, for there are no keep-alives.
"""

import errno
import zlib
from bisect import insort
from typing import TYPE_CHECKING

from totohio.sim.net.ruling import HOLD, RESET, Rule
from totohio.sim.net.sockets import DEAD, OPEN, SimSocket
from totohio.sim.profiles import Profile
from totohio.sim.seeding import Dice

if TYPE_CHECKING:
    from totohio.sim.hosting import Host
    from totohio.sim.staging import Stage

RTO = 0.2  # seconds until a segment is first sent again: the least that Linux waits
LONGEST_RTO = 120.0  # seconds
GIVE_UP = 924.6  # seconds: tcp_retries2 = 15 (ip-sysctl)
BUFFER = 1 << 18  # bytes that may be outstanding when the profile says nothing smaller
LOST = -1  # a number that no segment has: no segment of a lane that waits for it arrives

ACK, DATA, FIN, RST, LEFT = "ack", "data", "fin", "rst", "left"

Segment = tuple[int, str, bytes]  # its number in the lane, what it is, what it carries


class Lane:
    """One direction of a connection.

    Attributes:
        source: Whose bytes it carries.
        target: Where they arrive.
        base: Seconds that it takes at best; None within a host, and where the network takes no time.
        number: Of the last segment that was sent.
        next: The number of the segment that arrives next; `LOST` when what is on its way never arrives.
        busy: The tyme until which it is busy with sending.
        free: The tyme from which on the next segment may arrive.
        early: Segments that have arrived before their turn, by their number.
        stalled: Segments that have to be sent again, by their number.
        first: The number of the one that could not be delivered first.
        since: The tyme since which it could not.
        tries: How often it was sent again.
        turn: Counts the timers, of which only the last one counts.
    """

    __slots__ = (
        "base",
        "busy",
        "early",
        "first",
        "free",
        "next",
        "number",
        "since",
        "source",
        "stalled",
        "target",
        "tries",
        "turn",
    )

    def __init__(self, source: SimSocket, target: SimSocket, base: float | None) -> None:
        self.source = source
        self.target = target
        self.base = base
        self.number = 0
        self.next = 1
        self.busy = self.free = 0.0
        self.early: list[Segment] = []
        self.stalled: list[Segment] = []
        self.first = 0
        self.since = 0.0
        self.tries = 0
        self.turn = 0


class Carrier:
    """Carries segments between hosts.

    Attributes:
        profile: How slow, shaky and fragmenting the network is; rules are for what happens beside that.
        rules: Asked in order about each segment; the first that objects decides.
        count: Segments sent so far.
        connections: The connections between hosts that live: the end that connected, in the order of their beginning.
    """

    def __init__(self, world: "Stage", profile: Profile, dice: Dice) -> None:
        self.world = world
        self.profile = profile
        self.rules: list[Rule] = []
        self.count = 0
        self.connections: dict[SimSocket, None] = {}
        self._dice = dice
        self._bases: dict[tuple[str, str], float] = {}  # seconds between two hosts at best
        self._stalled: dict[Lane, None] = {}  # those with segments that have to be sent again
        self._held: list[Lane] = []  # those with a reset that is held

    # ------------------------------------------------------------ what sockets ask for

    def buffers(self) -> tuple[int, int]:
        """Give the sizes of a new socket's buffers: to send from and to receive into."""
        least = self.profile.least_buffer
        if not least:
            return BUFFER, BUFFER
        return self._size(least), self._size(least)

    def _size(self, least: int) -> int:
        return int(self._dice.magnitude(least, BUFFER))

    def share(self, size: int) -> int:
        """Give how much of ``size`` bytes one call takes or gives."""
        partial = self.profile.partial
        if partial and self._dice.chance(partial):
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
        self._transmit(source, FIN)

    def reset(self, source: SimSocket) -> None:
        """Send a reset."""
        source.stack.note("reset", source.label)
        self._transmit(source, RST)

    def leave(self, source: SimSocket, *, abrupt: bool) -> None:
        """Tell the other end of a connection within a host that this one is closed."""
        source.stack.note("reset" if abrupt else "end", source.label)
        self._transmit(source, RST if abrupt else LEFT)

    def forget(self, sock: SimSocket) -> None:
        """An end is no more."""
        self.connections.pop(sock, None)

    def break_off(self, sock: SimSocket) -> None:
        """Have both ends of a connection find it reset, as by a box in between."""
        for end in (sock, sock.peer):
            if end is not None:
                self._rejected(end)

    def flush(self) -> None:
        """Have everything that waits for being sent again be sent again now."""
        held, self._held = self._held, []
        for lane in list(self._stalled):
            self._resend(lane)
        for lane in held:
            self._pass(lane, (lane.number, RST, b""))

    # ------------------------------------------------------------ on their way

    def _connect(self, one: SimSocket, other: SimSocket) -> None:
        """Make them the two ends of a connection."""
        base = self._base(one.stack.host, other.stack.host)
        one.peer, other.peer = other, one
        one.lane, other.lane = Lane(one, other, base), Lane(other, one, base)

    def _transmit(self, source: SimSocket, kind: str, data: bytes = b"") -> None:
        self.count += 1
        self.world.plan.tick(self.count)
        lane = source.lane
        if source.state == DEAD or lane is None:
            return  # the plan's fault was this connection's end
        if kind == RST:
            self._reset(lane)
        else:
            lane.number += 1
            self._pass(lane, (lane.number, kind, data))

    def _reset(self, lane: Lane) -> bool:
        """Send a reset; tell whether it is on its way.

        Whether what was sent before it still arrives, or is lost and nobody there sends it again, is the seed's choice.
        """
        lane.stalled.clear()
        if lane.base is not None and self._dice.chance(0.5):
            lane.next = LOST
        lane.number += 1
        return self._pass(lane, (lane.number, RST, b""))

    def _pass(self, lane: Lane, segment: Segment) -> bool:
        """Send a segment on its way, or keep it until it is sent again; tell whether it is on its way."""
        if lane.stalled:
            lane.stalled.append(segment)
            return False
        world = self.world
        arrival = world.tyme + world.lag
        if lane.base is not None:
            profile = self.profile
            if lane.busy > arrival:
                arrival = lane.busy
            lane.busy = arrival = arrival + len(segment[2]) / profile.bandwidth
            arrival += lane.base
            if profile.jitter:
                arrival += self._dice.exponential(profile.jitter)
        if self.rules:
            source = lane.source
            delay = self._judge(source, source.stack.host, lane.target.stack.host, segment[1])
            if delay < 0.0:
                return self._hinder(lane, segment, delay)
            arrival += delay
        if arrival < lane.free:
            arrival = lane.free
        else:
            lane.free = arrival
        world.at(arrival, self._arrive, lane, segment)
        return True

    def _hinder(self, lane: Lane, segment: Segment, verdict: float) -> bool:
        if verdict == RESET:
            self.break_off(lane.source)
            return True
        if segment[1] != RST:
            self._stall(lane, segment)
        elif verdict == HOLD:
            self._held.append(lane)
            return True
        return False

    def _judge(self, sock: SimSocket, source: "Host", target: "Host", kind: str) -> float:
        """Ask the rules: extra seconds, `BLOCK`, `HOLD` or `RESET`."""
        extra = 0.0
        for rule in self.rules:
            verdict = rule.judge(sock, source, target, kind)
            if verdict:
                rule.hits += 1
                if verdict < 0.0:
                    return verdict
                extra += verdict
        return extra

    def _base(self, one: "Host", other: "Host") -> float | None:
        """Give the seconds that it takes from one host to another at best."""
        latency = self.profile.latency
        if one is other or latency is None:
            return None
        base = self._bases.get((one.name, other.name))
        if base is None:
            least, most = latency
            base = self._dice.magnitude(least, most) if least else most
            self._bases[one.name, other.name] = self._bases[other.name, one.name] = base
        return base

    def _latency(self, one: "Host", other: "Host") -> float:
        """Give the seconds that a segment without data takes now."""
        base = self._base(one, other)
        if base is None:
            return 0.0
        return base + (self._dice.exponential(self.profile.jitter) if self.profile.jitter else 0.0)

    # ------------------------------------------------------------ not let through

    def _stall(self, lane: Lane, segment: Segment) -> None:
        """Keep a segment until it is sent again."""
        if not lane.stalled:
            if lane.next > lane.first:  # what could not be delivered the last time has been meanwhile
                lane.first = segment[0]
                lane.since = self.world.tyme
                lane.tries = 0
            lane.turn += 1
            self._stalled[lane] = None
            self.world.after(min(LONGEST_RTO, RTO * 2.0**lane.tries), self._retry, lane, lane.turn)
        insort(lane.stalled, segment)

    def _retry(self, lane: Lane, turn: int) -> None:
        """The time is over after which a segment is sent again."""
        if turn != lane.turn or not lane.stalled:
            return
        source = lane.source
        if source.state != DEAD and self.world.tyme - lane.since >= GIVE_UP:
            source.stack.note("reset", source.label, "timeout")
            source.fail(errno.ETIMEDOUT)
        lane.tries += 1
        self._resend(lane)

    def _resend(self, lane: Lane) -> None:
        """Send again what was not let through."""
        segments, lane.stalled = lane.stalled, []
        self._stalled.pop(lane, None)
        if lane.source.state != DEAD:
            for segment in segments:
                self._pass(lane, segment)

    # ------------------------------------------------------------ there

    def _arrive(self, lane: Lane, segment: Segment) -> None:
        """A segment has reached the other host."""
        number, kind, data = segment
        target = lane.target
        if number != lane.next or target.state != OPEN or target.closed:
            self._wonder(lane, segment)
            return
        if kind == DATA:
            target.arrive(data)
        elif kind == FIN:
            target.end()
        elif kind != ACK:
            self._wonder(lane, segment)
            return
        elif not self._admit(lane, segment):
            return
        lane.next += 1
        if lane.early:
            early, lane.early = lane.early, []
            for each in early:
                self._arrive(lane, each)

    def _admit(self, lane: Lane, segment: Segment) -> bool:
        """The handshake is over: have the connection wait to be accepted, if there is room."""
        target = lane.target
        listener = target.listener
        assert listener is not None
        if listener.full or not target.stack.up:
            self._stall(lane, segment)
            return False
        if listener.closed:
            self._refute(lane, segment)
            return False
        target.listener = None
        target.stack.adopt(target)
        listener.put(target)
        return True

    def _wonder(self, lane: Lane, segment: Segment) -> None:
        """A segment has arrived that does not simply follow the last one, or where nobody waits for it."""
        number, kind, _ = segment
        target = lane.target
        if not target.stack.up:
            if kind != RST:
                self._stall(lane, segment)
        elif kind == RST:
            self._rejected(target)
        elif kind == LEFT:
            target.leave()
        elif target.state == DEAD or (target.closed and kind == DATA):
            self._refute(lane, segment)
        elif number != lane.next:
            insort(lane.early, segment)
        else:
            target.end()  # which is closed, but is still to know that the peer's direction has ended as well
            lane.next += 1

    def _refute(self, lane: Lane, segment: Segment) -> None:
        """Answer with a reset: nobody is there to take it."""
        target = lane.target
        if lane.source.state != DEAD:
            target.state = DEAD
            target.stack.note("reset", target.label)
            assert target.lane is not None
            if not self._reset(target.lane):
                self._stall(lane, segment)

    def _rejected(self, sock: SimSocket) -> None:
        """A reset has arrived."""
        if sock.state != DEAD:
            sock.stack.note("reset", sock.label, "arrived")
            sock.reset()
