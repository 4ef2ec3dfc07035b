"""The end of a process's own log, from which each peer is sent what it has not had yet.

There is one for all peers, however many there are and however slow they are: each has a place in it, and none is waited
for. When it has grown too large its beginning is dropped; a peer that had not come so far is told that it has missed
that.
"""

from collections import deque


class Outbox:
    """Packed messages by the offsets of their events.

    Attributes:
        last: The offset of the last event.
        first: The offset of the first that is still there; one more than ``last`` when none is.
        size: Bytes that they take.
    """

    def __init__(self, *, count: int, size: int) -> None:
        """Begin without any.

        Args:
            count: Events that it holds at most.
            size: Bytes that their messages may take.
        """
        self.last = 0
        self.first = 1
        self.size = 0
        self._count = count
        self._limit = size
        self._items: deque[bytes] = deque()

    def put(self, message: bytes) -> None:
        """Add the message of the next event."""
        items = self._items
        items.append(message)
        self.last += 1
        self.size += len(message)
        while items and (len(items) > self._count or self.size > self._limit):
            self.size -= len(items.popleft())
            self.first += 1

    def get(self, offset: int) -> bytes:
        """Give the message of an event that is still there."""
        return self._items[offset - self.first]
