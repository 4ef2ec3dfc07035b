"""Wall time and randomness of a simulated process."""

from typing import TYPE_CHECKING

from totohio.base.clocking import Clock, Minter
from totohio.base.errors import TotohioError
from totohio.sim.seeding import Dice

if TYPE_CHECKING:
    from totohio.sim.staging import Stage


class SimClock(Clock):
    """The clocks of one host: wall time is the world's epoch and tyme, and what this host's clock is off.

    Attributes:
        offset: Seconds by which its wall time is ahead.
    """

    def __init__(self, world: "Stage") -> None:
        self._world = world
        self.offset = 0.0

    def now(self) -> float:
        """The wall time in Unix seconds, as this host has it."""
        world = self._world
        return world.epoch + world.tyme + world.lag + self.offset

    def monotonic(self) -> float:
        """Seconds since the world began; stepping the wall clock does not change it."""
        return self._world.tyme + self._world.lag

    def sleep(self, seconds: float) -> None:
        """Refuse.

        Raises:
            TotohioError: Always: a cycle never sleeps.
        """
        raise TotohioError("nothing sleeps in the simulation: a method yields the seconds it wants to wait")


class SimMinter(Minter):
    """Randomness that the seed decides."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice

    def draw(self, size: int) -> bytes:
        """Give that many bytes."""
        return self._dice.bytes(size)
