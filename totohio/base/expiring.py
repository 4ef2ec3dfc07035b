"""Deadlines that all lie the same time ahead.

Because the time is the same for all, the order in which they were set is the order in which they
come due: setting, dropping and finding the next one each cost a dictionary operation, and a thousand
connections that never come due cost nothing.
"""

import math
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Deadlines(Generic[T]):
    """Things that are to happen ``seconds`` of tyme after they were set.

    Attributes:
        seconds: How far ahead, float seconds; zero or less switches the deadlines off.
        dues: The tyme of each, earliest first; false when there is none.
    """

    __slots__ = ("dues", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.dues: OrderedDict[T, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self.dues)

    def set(self, item: T, tyme: float) -> None:
        """Have the item come due ``seconds`` after ``tyme``, whatever was set before."""
        if self.seconds > 0.0:
            self.dues[item] = tyme + self.seconds
            self.dues.move_to_end(item)

    def drop(self, item: T) -> None:
        """Forget the item; nothing happens when it was not set."""
        self.dues.pop(item, None)

    def due(self) -> float:
        """The tyme in seconds at which the next one comes due; infinity when there is none."""
        for due in self.dues.values():
            return due
        return math.inf

    def oldest(self) -> tuple[T, float] | None:
        """The item that was set longest ago, and the tyme at which it was; None when there is none."""
        for item, due in self.dues.items():
            return item, due - self.seconds
        return None

    def take(self, tyme: float, limit: int = 256) -> list[T]:
        """Take out what is due at ``tyme``, at most ``limit`` of them."""
        taken: list[T] = []
        while self.dues and len(taken) < limit:
            item, due = next(iter(self.dues.items()))
            if due > tyme:
                break
            del self.dues[item]
            taken.append(item)
        return taken
