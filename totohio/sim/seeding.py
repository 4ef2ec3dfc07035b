"""Dice: all the chance there is in a simulation, thrown anew in the same way from the same seed.

Only `random.Random.random` and `getrandbits` are asked of Python, whose numbers are the same in every version; what
is made of them is written here. Logarithms and powers are the machine's, and differ in their last bits from one C
library or processor to the next, so these are rounded away. A seed is a path of words and numbers, so that what one
host draws does not depend on how much another has drawn.
"""

import math
import random
from collections.abc import MutableSequence, Sequence
from typing import TypeVar

T = TypeVar("T")

FINE = 2.0**20  # parts of one that are told apart: a last bit that differs matters once in some billion draws


class Dice:
    """A source of chance of its own.

    Attributes:
        path: What it was seeded with.
        random: Gives a number from 0 to below 1.
    """

    __slots__ = ("_bits", "path", "random")

    def __init__(self, *path: str | int) -> None:
        self.path = path
        source = random.Random("/".join(map(str, path)))  # a text is hashed with SHA-512, whatever PYTHONHASHSEED says
        self.random = source.random
        self._bits = source.getrandbits

    def branch(self, *path: str | int) -> "Dice":
        """Give other dice, for a part of what these are for; the same path always gives them from their beginning."""
        return Dice(*self.path, *path)

    def below(self, limit: int) -> int:
        """Give a whole number from 0 to below ``limit``.

        Raises:
            ValueError: The limit is below 1.
        """
        if limit < 1:
            raise ValueError(f"there is no number from 0 to below {limit}")
        return int(self.random() * limit) if limit < 1 << 32 else self._bits(limit.bit_length() + 32) % limit

    def between(self, low: float, high: float) -> float:
        """Give a number from ``low`` to ``high``."""
        return low + (high - low) * self.random()

    def chance(self, probability: float) -> bool:
        """Tell whether something happens that happens with this probability."""
        return self.random() < probability

    def exponential(self, mean: float) -> float:
        """Give the time until the next of events that come ``mean`` apart on average, and independently."""
        return _same(-math.log(1.0 - self.random())) * mean

    def magnitude(self, least: float, most: float) -> float:
        """Give a number from ``least`` to ``most``, as likely to be of one order of magnitude as of another.

        Raises:
            ValueError: The least is not above 0.
        """
        if not least > 0.0:
            raise ValueError(f"nothing is an order of magnitude from {least}")
        return _same((most / least) ** self.random()) * least

    def pick(self, items: Sequence[T]) -> T:
        """Give one of them.

        Raises:
            ValueError: There is none.
        """
        return items[self.below(len(items))]

    def shuffle(self, items: MutableSequence[T]) -> None:
        """Put them into some order, in place."""
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]

    def bytes(self, size: int) -> bytes:
        """Give that many bytes."""
        return self._bits(size * 8).to_bytes(size, "little") if size else b""


def _same(number: float) -> float:
    return round(number * FINE) / FINE
