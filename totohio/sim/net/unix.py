"""Unix sockets of the simulated network: connections within one host, with Linux's ways of ending (unix(7)).

They differ from TCP's: there is no handshake, and to close tells the peer at once that nothing can be sent any more,
with an error only when something was left unread. Nothing that was sent before is lost, and SO_LINGER means nothing.

What is simpler than on Linux: a peer that has shut down receiving can still be sent to, and no credentials or
descriptors are passed.
"""

import errno
import zlib
from typing import Any

from totohio.sim.net.polling import READABLE, WRITABLE
from totohio.sim.net.sockets import DEAD, OPEN, SimSocket, failure


class SimUnixSocket(SimSocket):
    """One end of a connection within a host. What was sent is outstanding until it was received."""

    __slots__ = ()

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.state = OPEN
        self.window = 1 << 62  # the sender's buffer is the receiver's

    def readiness(self) -> int:
        """The mask of what it is ready for; writable from three quarters of the buffer on (unix_writable)."""
        if self.state == DEAD or (self.ended and self.finished):
            return READABLE | WRITABLE
        mask = READABLE if self._chunks or self.ended else 0
        return mask | WRITABLE if 4 * self.outstanding <= self.capacity else mask

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        """Set an option; none changes anything here.

        Raises:
            OSError: It is closed.
        """
        self._open()

    def reset(self) -> None:
        """The peer has closed, and has left something unread."""
        self.ended = False  # the error is told even after the end
        self.fail(errno.ECONNRESET)

    def leave(self) -> None:
        """The peer has closed."""
        self.ended = True
        self.fail(0)

    def _put(self, data: bytes) -> None:
        self.stack.note("receive", self.label, len(data), zlib.crc32(data))
        self._chunks.append(data)
        self._size += len(data)

    def _take(self, size: int) -> bytes:
        data = super()._take(size)
        peer = self.peer
        assert peer is not None
        peer.outstanding -= len(data)
        if peer.mask & WRITABLE:
            peer.changed()
        return data

    def part(self, abrupt: bool) -> None:
        """Tell the peer that its owner has closed it."""
        self.net.leave(self, abrupt=abrupt)
        self.state = DEAD

    def _over(self) -> None:
        """Both directions were shut down, and yet they are connected."""

    def _connected(self) -> None:
        """They are, even when the peer has left."""

    def _unsendable(self) -> OSError:
        return failure(errno.EBADF if self.closed else errno.EPIPE)  # the error is for who receives
