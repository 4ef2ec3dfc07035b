"""The objects that one end of a connection has lent to the other."""

from typing import Any

from totohio.base.errors import TotohioError


class TableFullError(TotohioError):
    """More objects are lent over one connection than may be."""


class NotLentError(TotohioError, ReferenceError):
    """A number under which nothing is lent, or nothing any more."""


class Table:
    """Lent objects by their numbers.

    An object has one number as long as it is lent, and a count of how often the number has been sent. Whoever borrows
    it gives back as many as it has received; so a number that crosses its own release on the wire stays good.

    Numbers are never used twice: one that was given back means nothing for ever.

    Attributes:
        limit: How many objects may be lent.
    """

    __slots__ = ("_counts", "_next", "_numbers", "_objects", "limit")

    def __init__(self, limit: int) -> None:
        """Set it up for at most ``limit`` objects."""
        self.limit = limit
        self._objects: dict[int, Any] = {}
        self._numbers: dict[int, int] = {}  # by identity, which holds as long as the object is here
        self._counts: dict[int, int] = {}
        self._next = 1

    def __len__(self) -> int:
        """How many are lent."""
        return len(self._objects)

    def allot(self) -> int:
        """Give a number that nothing has had."""
        number, self._next = self._next, self._next + 1
        return number

    def lend(self, target: Any) -> int:
        """Give the number of an object, which is sent once more.

        Raises:
            TableFullError: There are too many.
        """
        number = self._numbers.get(id(target))
        if number is None:
            if len(self._objects) >= self.limit:
                raise TableFullError(f"{self.limit} objects are lent already: let go of some")
            number = self.allot()
            self._objects[number] = target
            self._numbers[id(target)] = number
            self._counts[number] = 0
        self._counts[number] += 1
        return number

    def find(self, number: Any) -> Any:
        """Give an object.

        Raises:
            NotLentError: Nothing is lent under that number.
        """
        try:
            return self._objects[number]
        except (KeyError, TypeError):
            raise NotLentError(f"nothing is lent under {number!r:.40}") from None

    def release(self, number: Any, count: Any) -> bool:
        """Take back a number that was received so many times; tell whether that was all.

        Raises:
            NotLentError: It was not lent so often.
        """
        held = self._counts.get(number, 0) if type(number) is int else 0
        if type(count) is not int or not 0 < count <= held:
            raise NotLentError(f"{number!r:.40} was not lent {count!r:.40} times")
        if count < held:
            self._counts[number] = held - count
            return False
        target = self._objects.pop(number)
        del self._numbers[id(target)], self._counts[number]
        return True

    def clear(self) -> list[Any]:
        """Take back all; give what was lent, last first."""
        targets = list(reversed(self._objects.values()))
        self._objects.clear()
        self._numbers.clear()
        self._counts.clear()
        return targets
