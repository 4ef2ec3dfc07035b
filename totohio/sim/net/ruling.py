"""Rules of the simulated network: what is to happen to segments between certain hosts.

A rule is asked about each segment when it is sent. It lets it pass (0), delays it (seconds), loses it (`BLOCK`: TCP
sends it again later), keeps it (`HOLD`: until the rule ends) or breaks the connection (`RESET`). Hosts are named by
what they are, a `Host` or a client, or by their name; None stands for every host. Rules go both ways unless they say
otherwise, and never concern what a host sends to itself.
"""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from totohio.sim.net.sockets import SimSocket

if TYPE_CHECKING:
    from totohio.sim.hosting import Host
    from totohio.sim.net.networking import Net
    from totohio.sim.seeding import Dice

BLOCK = -1.0
RESET = -2.0
HOLD = -3.0


class Named(Protocol):
    """Whatever has a host's name."""

    @property
    def name(self) -> str:
        """The name."""


Place = Named | str | Iterable[Named | str] | None


def names(place: Place) -> frozenset[str] | None:
    """Give the names of the hosts that are meant; None for all."""
    if place is None:
        return None
    if isinstance(place, str):
        return frozenset((place,))
    if hasattr(place, "name"):
        return frozenset((place.name,))
    return frozenset(each if isinstance(each, str) else each.name for each in place)


class Rule:
    """What happens to segments between two places.

    Attributes:
        hits: To how many it happened.
        holds: What it blocked is sent on at once when the rule ends.
    """

    holds = False

    def __init__(self, one: Place = None, other: Place = None, *, mutual: bool = True) -> None:
        self.hits = 0
        self._one = names(one)
        self._other = names(other)
        self._mutual = mutual

    def __str__(self) -> str:
        return f"{self.title()} {_said(self._one)} {'<->' if self._mutual else '->'} {_said(self._other)}"

    def title(self) -> str:
        """What it does, in a word or a few."""
        return type(self).__name__.lower()

    def added(self, net: "Net") -> None:
        """It holds for the first time in a world; it knows nothing of others in which it has."""
        self.hits = 0

    def judge(self, sock: SimSocket, source: "Host", target: "Host", kind: str) -> float:
        """Say what happens to a segment: 0, a delay in seconds, `BLOCK`, `HOLD` or `RESET`.

        Args:
            sock: The end that sends it; the one that connects as long as there is no other.
            source: The host that sends it.
            target: The host that it is for.
            kind: "syn", "syn-ack" and "ack" of a connection's beginning; "data", "fin" or "rst".
        """
        if source is not target and self.concerns(source.name, target.name):
            return self.verdict(kind)
        return 0.0

    def concerns(self, source: str, target: str) -> bool:
        """Tell whether it is about segments from one host to another."""
        one, other = self._one, self._other
        if (one is None or source in one) and (other is None or target in other):
            return True
        return self._mutual and (one is None or target in one) and (other is None or source in other)

    def verdict(self, kind: str) -> float:
        """Say what happens to a segment that it is about."""
        raise NotImplementedError


class Block(Rule):
    """Nothing gets through, and TCP goes on trying."""

    def title(self) -> str:
        """What it does."""
        return "partition"

    def verdict(self, kind: str) -> float:
        """Lose it."""
        return BLOCK


class Hold(Rule):
    """Nothing gets through until the rule ends; then everything does at once."""

    holds = True

    def verdict(self, kind: str) -> float:
        """Keep it."""
        return HOLD


class Drop(Rule):
    """Some segments are lost, and sent again after TCP's timeout."""

    def __init__(self, one: Place, other: Place, probability: float, dice: "Dice | None") -> None:
        super().__init__(one, other)
        if not 0.0 <= probability <= 1.0:
            raise ValueError(f"a probability is from 0 to 1, not {probability}")
        self._probability = probability
        self._given = self._dice = dice

    def added(self, net: "Net") -> None:
        """Take dice from the world unless it was given some."""
        super().added(net)
        self._dice = self._given or net.world.dice.branch("drop", len(net.world.plan.authored))

    def title(self) -> str:
        """What it does."""
        return f"drop {self._probability:.0%}"

    def verdict(self, kind: str) -> float:
        """Lose it, or not."""
        if self._probability >= 1.0:
            return BLOCK
        assert self._dice is not None
        return BLOCK if self._dice.chance(self._probability) else 0.0


class Delay(Rule):
    """Segments take longer."""

    def __init__(self, one: Place, other: Place, seconds: float) -> None:
        super().__init__(one, other)
        if not 0.0 <= seconds < math.inf:
            raise ValueError(f"a segment takes seconds from 0 on, not {seconds}, longer")
        self._seconds = seconds

    def title(self) -> str:
        """What it does."""
        return f"delay {self._seconds:g} s"

    def verdict(self, kind: str) -> float:
        """Delay it."""
        return self._seconds


class Nth(Rule):
    """The n-th segment of data between two places breaks its connection."""

    def __init__(self, number: int, one: Place, other: Place) -> None:
        super().__init__(one, other)
        if number < 1:
            raise ValueError(f"segments are counted from 1, not {number}")
        self._number = number
        self._seen = 0

    def added(self, net: "Net") -> None:
        """Begin to count."""
        super().added(net)
        self._seen = 0

    def title(self) -> str:
        """What it does."""
        return f"reset_nth {self._number}"

    def verdict(self, kind: str) -> float:
        """Break the connection when it is the one."""
        if kind != "data":
            return 0.0
        self._seen += 1
        return RESET if self._seen == self._number else 0.0


class Refuse(Rule):
    """Connections are refused, as where nobody listens."""

    def verdict(self, kind: str) -> float:
        """Refuse it when it is the first segment of a connection."""
        return RESET if kind == "syn" else 0.0


def _said(place: frozenset[str] | None) -> str:
    return "all" if place is None else ",".join(sorted(place))


def partition(one: Place, other: Place = None) -> Rule:
    """No segment gets from one place to the other or back; connections between them wait, and time out in the end."""
    return Block(one, other)


def one_way(source: Place, target: Place = None) -> Rule:
    """No segment gets from ``source`` to ``target``; those the other way do."""
    return Block(source, target, mutual=False)


def hold(one: Place, other: Place = None) -> Rule:
    """Segments between two places wait until the rule ends, and then arrive at once."""
    return Hold(one, other)


def drop(one: Place = None, other: Place = None, probability: float = 1.0, *, dice: Any = None) -> Rule:
    """Segments between two places are lost with this probability; TCP sends them again after a while.

    Raises:
        ValueError: That is no probability.
    """
    return Drop(one, other, probability, dice)


def delay(seconds: float, one: Place = None, other: Place = None) -> Rule:
    """Segments between two places take so many seconds longer.

    Raises:
        ValueError: They are negative, or without an end: that is what `hold` is for.
    """
    return Delay(one, other, seconds)


def reset_nth(number: int, one: Place = None, other: Place = None) -> Rule:
    """The n-th segment of data between two places, counted from 1, breaks its connection.

    Raises:
        ValueError: There is no such number.
    """
    return Nth(number, one, other)


def refuse(one: Place = None, other: Place = None) -> Rule:
    """Connections between two places are refused."""
    return Refuse(one, other)


__all__ = ["Rule", "delay", "drop", "hold", "one_way", "partition", "refuse", "reset_nth"]
