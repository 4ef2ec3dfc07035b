"""Faults: those that are drawn from the seed, and a record of those that a test has planned itself.

A drawn fault is known by its index: the n-th draw is the same whether others happen or not, so a failing run can be
tried again without some of them. What it hits is chosen when it strikes, among what is there.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from totohio.sim.net.ruling import Block, Delay, Hold, Refuse, Rule
from totohio.sim.profiles import STORE_FAULTS, Profile
from totohio.sim.seeding import Dice

if TYPE_CHECKING:
    from totohio.sim.hosting import Host
    from totohio.sim.staging import Stage

SLOW = 0.5  # seconds that a slow network delays at most
LAG = 2.0  # seconds that databases wait for a slow disk at most
STEPS = 7200.0  # seconds that a clock is stepped at most, forwards or backwards


@dataclass(slots=True)
class Fault:
    """A drawn fault.

    Attributes:
        index: Its number among those drawn.
        count: It strikes with this segment, or the next after it; one of a database's disk with this commit.
        kind: What it is.
        seconds: How long it lasts.
        choice: Chooses what it hits, from 0 to below 1; a second one beside it.
        hit: What it has hit, once it has struck.
        tyme: When it struck.
    """

    index: int
    count: int
    kind: str
    seconds: float
    choice: tuple[float, float]
    hit: str = ""
    tyme: float | None = None

    def __str__(self) -> str:
        what = "commit" if self.kind in STORE_FAULTS else "segment"
        when = f"with {what} {self.count}" if self.tyme is None else f"at {self.tyme:.6f} s"
        lasting = "" if self.kind in {"reset", "step_clock"} else f" for {self.seconds:.4g} s"
        return f"fault {self.index}: {self.kind} {self.hit or '?'}{lasting}, {when}"


class Plan:
    """The faults of one world.

    Attributes:
        drawn: Those drawn from the seed; those of databases' disks once there is a database.
        fired: Those of them that struck.
        over: No more of them strike.
        keepers: The hosts that have committed something to a database.
        authored: Rules and actions that the test itself has planned.
    """

    def __init__(self, world: "Stage", profile: Profile, dice: Dice, without: Collection[int]) -> None:
        kinds = profile.faults
        self.drawn = _draw(kinds, profile.gap, profile.most, profile.seconds, dice) if kinds else []
        self.fired: list[Fault] = []
        self.over = False
        self.keepers: dict[Host, None] = {}
        self.authored: list[Rule | Action] = []
        self._world = world
        self._waiting = [fault for fault in reversed(self.drawn) if fault.index not in without]
        self._next = self._waiting[-1].count if self._waiting else 1 << 62
        self._profile = profile
        self._dice = dice
        self._without = without
        self._commits = 0
        self._stored: list[Fault] | None = None  # those of databases' disks that wait; None as long as there is none

    @property
    def unfired(self) -> "list[Rule | Action]":
        """What the test has planned and what has not happened: rules that met no segment, actions not yet due."""
        return [each for each in self.authored if not (each.done if isinstance(each, Action) else each.hits)]

    def at(self, tyme: float, action: Callable[[], object], name: str = "") -> "Action":
        """Have something happen at a tyme in seconds: ``world.plan.at(3.0, server.crash)``."""
        planned = Action(name or getattr(action, "__qualname__", repr(action)), action)
        self.authored.append(planned)
        self._world.at(tyme, planned.run)
        return planned

    def author(self, rule: Rule) -> None:
        """The test has set a rule."""
        self.authored.append(rule)

    def tick(self, count: int) -> None:
        """Another segment is sent: let those faults strike whose turn it is."""
        while count >= self._next:
            fault = self._waiting.pop()
            self._next = self._waiting[-1].count if self._waiting else 1 << 62
            self._strike(fault)

    def commit(self, host: "Host") -> None:
        """A database on a host commits something: let those faults of databases' disks strike whose turn it is."""
        self.keepers[host] = None
        if self._stored is None:
            self._stored = self._draw_stored()
        self._commits += 1
        while not self.over and self._stored and self._stored[-1].count <= self._commits:
            self._strike(self._stored.pop())

    def _draw_stored(self) -> list[Fault]:
        """Draw faults of databases' disks, with dice of their own; they are numbered after the others."""
        profile = self._profile
        if not profile.store_faults:
            return []
        dice = self._dice.branch("stores")
        drawn = _draw(profile.store_faults, profile.store_gap, profile.store_most, profile.seconds, dice, profile.most)
        self.drawn += drawn
        return [fault for fault in reversed(drawn) if fault.index not in self._without]

    def _strike(self, fault: Fault) -> None:
        if _STRIKES[fault.kind](self._world, fault):
            fault.tyme = self._world.tyme
            self.fired.append(fault)
            self._world.note("", "fault", fault.index, fault.kind, fault.hit, fault.seconds)

    def stop(self) -> None:
        """Let no more of the drawn ones strike."""
        self.over = True
        self._waiting.clear()
        self._next = 1 << 62


class Action:
    """Something that a test has planned.

    Attributes:
        name: What it is.
        done: It has happened.
    """

    def __init__(self, name: str, action: Callable[[], object]) -> None:
        self.name = name
        self.done = False
        self._action = action

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__

    def run(self) -> None:
        """Let it happen."""
        self.done = True
        self._action()


def _draw(
    faults: Mapping[str, int], gap: float, most: int, lasting: tuple[float, float], dice: Dice, first: int = 0
) -> list[Fault]:
    kinds = [kind for kind, weight in faults.items() for _ in range(weight)]
    drawn, count = [], 0
    for index in range(first, first + most):
        count += 1 + int(dice.exponential(gap))
        seconds = dice.magnitude(*lasting)
        drawn.append(Fault(index, count, dice.pick(kinds), seconds, (dice.random(), dice.random())))
    return drawn


# ---------------------------------------------------------------- how each strikes


def _reset(world: "Stage", fault: Fault) -> bool:
    connections = [sock for sock in world.net.connections if sock.peer is not None]
    if not connections:
        return False
    sock = connections[int(fault.choice[0] * len(connections))]
    fault.hit = sock.label
    world.net.break_off(sock)
    return True


def _rule(world: "Stage", fault: Fault, rule: Rule) -> bool:
    fault.hit = str(rule).removeprefix(f"{rule.title()} ")
    world.net.rules.append(rule)  # not with `add`: the test has not planned it
    world.until_healed(fault.seconds, partial(world.net.remove, rule))
    return True


def _two(world: "Stage", fault: Fault) -> tuple["Host", "Host"] | None:
    """Two hosts that are connected, or else a host that may fail and any other."""
    pairs: dict[tuple[Host, Host], None] = {}
    for sock in world.net.connections:
        if sock.peer is not None:
            pairs[sock.stack.host, sock.peer.stack.host] = None
    if not pairs:
        hosts = list(world.hosts.values())
        pairs = {(one, other): None for one in hosts if one.fallible for other in hosts if other is not one}
    return list(pairs)[int(fault.choice[0] * len(pairs))] if pairs else None


def _partition(world: "Stage", fault: Fault) -> bool:
    two = _two(world, fault)
    return two is not None and _rule(world, fault, Block(*two))


def _isolate(world: "Stage", fault: Fault) -> bool:
    two = _two(world, fault)
    return two is not None and _rule(world, fault, Block(two[int(fault.choice[1] * 2)], None))


def _slow(world: "Stage", fault: Fault) -> bool:
    two = _two(world, fault)
    return two is not None and _rule(world, fault, Delay(*two, round(SLOW * fault.choice[0], 6)))


def _hold(world: "Stage", fault: Fault) -> bool:
    two = _two(world, fault)
    return two is not None and _rule(world, fault, Hold(*two))


def _refuse(world: "Stage", fault: Fault) -> bool:
    server = _server(world, fault)
    return server is not None and _rule(world, fault, Refuse(server, None))


def _server(world: "Stage", fault: Fault) -> "Host | None":
    """One of the hosts that may fail and have not: clients' do not, for they are the test."""
    hosts = [host for host in world.hosts.values() if host.fallible and host.running]
    if not hosts:
        return None
    host = hosts[int(fault.choice[0] * len(hosts))]
    fault.hit = host.name
    return host


def _pause(world: "Stage", fault: Fault) -> bool:
    host = _server(world, fault)
    if host is None or host.paused:
        return False
    world.until_healed(fault.seconds, partial(host.let_go, host.hold()))
    return True


def _crash(world: "Stage", fault: Fault) -> bool:
    host = _server(world, fault)
    if host is None:
        return False
    world.soon(_end, world, fault, host, host.crash)  # not in the middle of the cycle that sends
    return True


def _kill(world: "Stage", fault: Fault) -> bool:
    host = _server(world, fault)
    if host is None:
        return False
    world.soon(_end, world, fault, host, host.kill)
    return True


def _end(world: "Stage", fault: Fault, host: "Host", end: Callable[[], None]) -> None:
    if host.running and not world.plan.over:  # else the test has ended it, or the world was healed meanwhile
        end()
        world.until_healed(fault.seconds, partial(host.revive, host.fate))


def _step_clock(world: "Stage", fault: Fault) -> bool:
    host = _server(world, fault)
    if host is None:
        return False
    host.step_clock(round((fault.choice[1] * 2 - 1) * STEPS, 3))
    return True


def _exhaust(world: "Stage", fault: Fault) -> bool:
    host = _server(world, fault)
    if host is None:
        return False
    stack = host.stack
    stack.starved.add(fault.index)
    world.until_healed(fault.seconds, partial(stack.starved.discard, fault.index))
    return True


def _disk_full(world: "Stage", fault: Fault) -> bool:
    host = _server(world, fault)
    return host is not None and _fill(world, fault, host)


def _fill(world: "Stage", fault: Fault, host: "Host") -> bool:
    filled = host.files.filled
    filled.add(fault.index)
    world.until_healed(fault.seconds, partial(filled.discard, fault.index))
    return True


def _disk_error(world: "Stage", fault: Fault) -> bool:
    host = _server(world, fault)
    return host is not None and _damage(world, fault, host)


def _damage(world: "Stage", fault: Fault, host: "Host") -> bool:
    failure = host.files.fail("sync" if fault.choice[1] < 0.5 else "write")
    world.until_healed(fault.seconds, partial(host.files.heal, failure))
    return True


def _keeper(world: "Stage", fault: Fault) -> "Host | None":
    """One of the hosts that have a database, and may fail and have not."""
    hosts = [host for host in world.plan.keepers if host.fallible and host.running]
    if not hosts:
        return None
    host = hosts[int(fault.choice[0] * len(hosts))]
    fault.hit = host.name
    return host


def _store_slow(world: "Stage", fault: Fault) -> bool:
    host = _keeper(world, fault)
    if host is None:
        return False
    host.files.slow[fault.index] = round(LAG * fault.choice[1], 6)
    world.until_healed(fault.seconds, partial(host.files.slow.pop, fault.index, None))
    return True


def _store_full(world: "Stage", fault: Fault) -> bool:
    host = _keeper(world, fault)
    return host is not None and _fill(world, fault, host)


def _store_error(world: "Stage", fault: Fault) -> bool:
    host = _keeper(world, fault)
    return host is not None and _damage(world, fault, host)


_STRIKES: dict[str, Callable[["Stage", Fault], bool]] = {
    "reset": _reset,
    "partition": _partition,
    "isolate": _isolate,
    "slow": _slow,
    "hold": _hold,
    "refuse": _refuse,
    "pause": _pause,
    "crash": _crash,
    "kill": _kill,
    "step_clock": _step_clock,
    "exhaust": _exhaust,
    "disk_full": _disk_full,
    "disk_error": _disk_error,
    "store_slow": _store_slow,
    "store_full": _store_full,
    "store_error": _store_error,
}
