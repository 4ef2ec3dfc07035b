"""Sockets of the simulated network that listen, as Linux's nonblocking ones do (listen(2), accept(2)).

What is simpler than on Linux: one listens at all addresses of its host, and no half-open connection counts.
"""

import errno
from collections import deque
from typing import TYPE_CHECKING

from totohio.sim.net.polling import READABLE, Watched
from totohio.sim.net.sockets import Address, SimSocket, failure

if TYPE_CHECKING:
    from totohio.sim.net.stacking import Stack
    from totohio.sim.processing import Process


class SimListener(Watched):
    """A socket that listens.

    Attributes:
        backlog: How many connections may wait to be accepted, beside one.
        queue: Those that wait.
    """

    __slots__ = ("address", "backlog", "owner", "queue", "stack")

    def __init__(self, *, stack: "Stack", owner: "Process", address: Address, backlog: int) -> None:
        super().__init__()
        self.stack = stack
        self.owner = owner
        self.address = address
        self.backlog = max(0, backlog)
        self.queue: deque[SimSocket] = deque()

    def __repr__(self) -> str:
        return f"<SimListener {self.address} on {self.stack.host.name}>"

    @property
    def full(self) -> bool:
        """No more connections may wait; Linux takes one more than the backlog (sk_acceptq_is_full)."""
        return len(self.queue) > self.backlog

    def readiness(self) -> int:
        """It is readable when a connection waits."""
        return READABLE if self.queue else 0

    def put(self, sock: SimSocket) -> None:
        """Have a connection wait to be accepted."""
        self.queue.append(sock)
        self.changed()

    def accept(self) -> tuple[SimSocket, Address]:
        """Give the connection that waits longest, and the peer's address.

        Raises:
            BlockingIOError: None waits.
            OSError: It is closed, or the process has no descriptor for another, which is asked first (accept(2)).
        """
        if self.closed:
            raise failure(errno.EBADF)
        if not self.stack.room():
            raise failure(errno.EMFILE)
        if not self.queue:
            raise failure(errno.EAGAIN)
        sock = self.queue.popleft()
        self.stack.own(sock, self.owner)
        self.stack.note("accept", sock.label)
        return sock, sock.remote

    def getsockname(self) -> Address:
        """Where it listens.

        Raises:
            OSError: It is closed.
        """
        if self.closed:
            raise failure(errno.EBADF)
        return self.address

    def setblocking(self, flag: bool) -> None:
        """It never blocks.

        Raises:
            ValueError: It is asked to.
        """
        if flag:
            raise ValueError("a simulated socket cannot block: nothing would go on meanwhile")

    def close(self) -> None:
        """Listen no more; connections that were not accepted are reset. Twice does no harm."""
        if self.closed:
            return
        if self.poller is not None:
            self.poller.unregister(self)
        self.closed = True
        self.stack.unlisten(self)
        while self.queue:
            self.queue.popleft().abort()
