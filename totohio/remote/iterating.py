"""Iterators that are lent: their items go many at a time, and none is lost that comes before an error."""

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

from totohio.core.lending import Lent, lend

BATCH = 100  # items of an iterator that are sent at once, at most
LONGEST = 0.05  # seconds after which what there is is sent, so that items that come slowly come one by one


class Cursor:
    """An iterator that is lent, of whatever class.

    Attributes:
        iterator: The iterator.
        mark: How what it iterates over is lent.
    """

    __slots__ = ("_error", "_items", "_lock", "iterator", "mark")

    def __init__(self, iterator: Iterator[Any], mark: Lent) -> None:
        self.iterator = iterator
        self.mark = mark
        self._items: list[Any] = []  # that were taken from it and not sent
        self._error: BaseException | None = None  # what came after these
        self._lock = threading.Lock()

    def gather(self, count: Any, now: Callable[[], float]) -> "Batch":
        """Give the next items: at most so many, and fewer when the next is an error, or long in coming.

        Args:
            count: How many.
            now: Gives the seconds of a clock.

        Raises:
            ValueError: There cannot be so many at once.
            RuntimeError: Its items are being had already.
            BaseException: What it raises, when it has given no item before.
        """
        if type(count) is not int or not 0 < count <= BATCH:
            raise ValueError(f"between 1 and {BATCH} items can be had at once")
        if type(self.iterator) is itertools.groupby:
            count = 1  # its next item takes the one before away
        if not self._lock.acquire(blocking=False):
            raise RuntimeError("the next items are being had already")
        try:
            over = False
            if not self._items:
                self._raise()
                over = self._fetch(count, now)
            items, self._items = self._items[:count], self._items[count:]
            return Batch(self, items, over)
        finally:
            self._lock.release()

    def _fetch(self, count: int, now: Callable[[], float]) -> bool:
        """Take items from the iterator; tell whether it is over."""
        iterator, items, end = self.iterator, self._items, now() + LONGEST
        try:
            while len(items) < count:
                items.append(next(iterator))
                if now() >= end:
                    break
        except StopIteration:
            return True
        except Exception as error:
            if not items:
                raise
            self._error = error
        return False

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def put_back(self, items: list[Any]) -> None:
        """Have items come next that could not be sent."""
        self._items = items + self._items

    def rests(self) -> bool:
        """Tell whether it has something that is to come before what its iterator gives next."""
        return bool(self._items) or self._error is not None

    def __iter__(self) -> Iterator[Any]:
        return self

    @lend
    def __next__(self) -> Any:
        if self._items:
            return self._items.pop(0)
        self._raise()
        return next(self.iterator)


class Batch:
    """Items that are to be sent.

    Attributes:
        cursor: Whose they are.
    """

    __slots__ = ("_items", "_over", "cursor")

    def __init__(self, cursor: Cursor, items: list[Any], over: bool) -> None:
        """Set it up.

        Args:
            cursor: Whose they are.
            items: The items.
            over: These are the last.
        """
        self.cursor = cursor
        self._items = items
        self._over = over

    def deliver(self, send: Callable[[Any], None]) -> None:
        """Have ``[items, over]`` sent, with as many items as can be; the others are the next ones.

        Args:
            send: Sends a value, or raises and leaves nothing of it behind.

        Raises:
            Exception: The first item cannot be sent; it is passed over.
        """
        count = len(self._items)
        while True:
            try:
                send([self._items[:count], self._over and count == len(self._items)])
            except Exception:
                if count <= 1:
                    self.cursor.put_back(self._items[1:])
                    raise
                count //= 2
            else:
                if count < len(self._items):
                    self.cursor.put_back(self._items[count:])
                return
