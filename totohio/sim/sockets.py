"""Sockets of the simulated network: the two ends of a connection, and those that listen.

They behave as Linux's nonblocking stream sockets do towards whoever calls them: the same methods, results and
errno values (socket(7), tcp(7)). What is sent is carried by the `Net`; what arrives is put in here by it.

    connecting   the peer's answer is awaited; nothing can be sent or received
    open         both ends are there
    dead         refused, reset or timed out: one call gets the error, later ones find the end or EPIPE
"""

import errno
import os
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from totohio.sim.hosting import Process
    from totohio.sim.networking import Lane, Net, Stack
    from totohio.sim.polling import SimPoller

READABLE, WRITABLE, ENDED = 1, 2, 4  # bits of a mask, as in environing.Poller
CONNECTING, OPEN, DEAD = range(3)
LINGER = struct.Struct("ii")

Address = tuple[str, int] | str


def failure(number: int) -> OSError:
    """Give the error of an errno value, as the kernel raises it."""
    return OSError(number, os.strerror(number))


class Watched:
    """What a poller can watch.

    Attributes:
        poller: Who watches it, None when nobody does.
        mask: For what.
        attendant: Who is told.
        told: The ends that a watcher for nothing (mask 0) was told of already, 0 to 2.
        closed: It was closed by its owner.
    """

    __slots__ = ("attendant", "closed", "mask", "poller", "told")

    def __init__(self) -> None:
        self.poller: SimPoller | None = None
        self.mask = 0
        self.attendant: Any = None
        self.told = 0
        self.closed = False

    def readiness(self) -> int:
        """The mask of what it is ready for."""
        raise NotImplementedError

    def ends(self) -> int:
        """How much of it is over: 0 nothing, 1 the peer sends no more, 2 everything."""
        return 0

    def changed(self) -> None:
        """Have the poller look at it."""
        if self.poller is not None:
            self.poller.touch(self)


class SimSocket(Watched):
    """One end of a connection.

    Attributes:
        net: What carries its bytes.
        stack: Of its host.
        owner: The process that it belongs to, None while it waits to be accepted.
        local: Its own address.
        remote: The peer's address.
        label: Names the connection in the trace.
        peer: The other end; None until there is one.
        lane: The way to the other end.
        state: `CONNECTING`, `OPEN` or `DEAD`.
        error: The errno value that the next call raises; 0 for none.
        outstanding: Bytes that were taken and that the peer's host has not.
        capacity: Bytes that may be outstanding.
        window: Bytes that may wait here to be received.
        vanished: Its host lost power: the other end will learn of it when it sends.
    """

    __slots__ = (
        "_chunks",
        "_finished",
        "_late",
        "_reset_on_close",
        "_size",
        "capacity",
        "ended",
        "error",
        "label",
        "lane",
        "local",
        "net",
        "outstanding",
        "owner",
        "peer",
        "remote",
        "stack",
        "state",
        "vanished",
        "window",
    )

    def __init__(
        self, *, net: "Net", stack: "Stack", owner: "Process | None", local: Address, remote: Address, label: str
    ) -> None:
        super().__init__()
        self.net = net
        self.stack = stack
        self.owner = owner
        self.local = local
        self.remote = remote
        self.label = label
        self.peer: SimSocket | None = None
        self.lane: Lane | None = None
        self.state = CONNECTING
        self.error = 0
        self.outstanding = 0
        self.capacity, self.window = net.buffers()
        self.ended = False  # the peer's end has arrived
        self.vanished = False
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._late: deque[bytes | None] = deque()  # what has no room yet; None is the peer's end
        self._finished = False  # our own end was sent
        self._reset_on_close = False
        stack.sockets[self] = None

    def __repr__(self) -> str:
        return f"<SimSocket {self.label} on {self.stack.host.name}>"

    # ------------------------------------------------------------ what its owner calls

    def send(self, data: Any) -> int:
        """Send some of it and tell how many bytes.

        Raises:
            BlockingIOError: There is no room, or no connection yet.
            OSError: The connection is no more.
        """
        self._check()
        if self.state == CONNECTING:
            raise failure(errno.EAGAIN)
        if self._finished or self.state == DEAD:
            raise failure(errno.EPIPE)
        room = self.capacity - self.outstanding
        if room <= 0:
            raise failure(errno.EAGAIN)
        size = min(len(data), room)
        if size > 1:
            size = self.net.share(size)
        if size:
            self.outstanding += size
            self.net.carry(self, bytes(data[:size]))
        return size

    def recv(self, size: int) -> bytes:
        """Receive at most so many bytes; none means that the peer sends no more.

        Raises:
            BlockingIOError: Nothing has arrived.
            OSError: The connection is no more.
        """
        if self._chunks and not self.closed:
            return self._take(size)
        self._check()
        if self.ended or self.state == DEAD:
            return b""
        raise failure(errno.EAGAIN)

    def shutdown(self, how: int) -> None:
        """Say that no more is sent.

        Raises:
            OSError: There is no connection.
        """
        self._check()
        if self.state != OPEN:
            raise failure(errno.ENOTCONN)
        if how != socket.SHUT_RD:
            self._finish()

    def close(self) -> None:
        """Let go of it: the peer gets the end, or a reset when something is left unread. Twice does no harm."""
        if self.closed:
            return
        if self.poller is not None:
            self.poller.unregister(self)
        self.closed = True
        self.stack.release(self)
        if self.state == OPEN:
            if self._chunks or self._late or self._reset_on_close:
                self.net.reset(self)
            else:
                self._finish()
        self.stack.note("close", self.label)
        self.drop()

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        """Set an option; only SO_LINGER with no time changes anything here.

        Raises:
            OSError: It is closed.
        """
        self._open()
        if level == socket.SOL_SOCKET and option == socket.SO_LINGER:
            self._reset_on_close = LINGER.unpack(value) == (1, 0)

    def getsockopt(self, level: int, option: int) -> int:
        """Give an option: SO_ERROR is the error that nobody was told yet, which this takes away; others are 0.

        Raises:
            OSError: It is closed.
        """
        self._open()
        if level == socket.SOL_SOCKET and option == socket.SO_ERROR:
            number, self.error = self.error, 0
            return number
        return 0

    def getsockname(self) -> Address:
        """Its own address."""
        self._open()
        return self.local

    def getpeername(self) -> Address:
        """The peer's address.

        Raises:
            OSError: There is no connection.
        """
        self._open()
        if self.state != OPEN:
            raise failure(errno.ENOTCONN)
        return self.remote

    def setblocking(self, flag: bool) -> None:
        """It never blocks.

        Raises:
            ValueError: It is asked to.
        """
        if flag:
            raise ValueError("a simulated socket cannot block: nothing would go on meanwhile")

    # ------------------------------------------------------------ what pollers ask

    def readiness(self) -> int:
        """The mask of what it is ready for."""
        if self.state == CONNECTING:
            return 0
        if self.state == DEAD or self.error:
            return READABLE | WRITABLE
        mask = READABLE if self._chunks or self.ended else 0
        return mask | WRITABLE if self.outstanding < self.capacity else mask

    def ends(self) -> int:
        """How much of it is over: 0 nothing, 1 the peer sends no more, 2 everything."""
        return 2 if self.state == DEAD else int(self.ended)

    # ------------------------------------------------------------ what the network does

    def arrive(self, data: bytes) -> None:
        """Bytes of the peer have reached this host."""
        if self._late or (self._size and self._size + len(data) > self.window):
            self._late.append(data)
        else:
            self._put(data)
        self.changed()

    def end(self) -> None:
        """The peer's end has reached this host."""
        if self._late:
            self._late.append(None)
        else:
            self.ended = True
        self.changed()

    def fail(self, number: int, *, purge: bool = False) -> None:
        """The connection is no more.

        Args:
            number: The errno value that the next call raises.
            purge: What had arrived and was not received is lost.
        """
        if self.closed or self.state == DEAD:
            return
        self.state = DEAD
        self.error = number
        self.outstanding = 0
        self._late.clear()
        if purge:
            self._chunks.clear()
            self._size = 0
        self.net.forget(self)
        self.changed()

    def drop(self) -> None:
        """Let go of all bytes."""
        self._chunks.clear()
        self._late.clear()
        self._size = 0

    def _put(self, data: bytes) -> None:
        self._chunks.append(data)
        self._size += len(data)
        peer = self.peer
        if peer is not None:
            peer.outstanding -= len(data)
            if peer.poller is not None and peer.mask & WRITABLE:
                peer.changed()

    def _take(self, size: int) -> bytes:
        chunks = self._chunks
        data = chunks.popleft()
        while chunks and len(data) < size:
            data += chunks.popleft()
        wanted = min(size, len(data))
        if wanted > 1:
            wanted = self.net.share(wanted)
        if wanted < len(data):
            chunks.appendleft(data[wanted:])
            data = data[:wanted]
        self._size -= len(data)
        while self._late and (not self._size or self._size + len(self._late[0] or b"") <= self.window):
            piece = self._late.popleft()
            if piece is None:
                self.ended = True
            else:
                self._put(piece)
        return data

    def _finish(self) -> None:
        if not self._finished:
            self._finished = True
            self.net.finish(self)

    def _open(self) -> None:
        if self.closed:
            raise failure(errno.EBADF)

    def _check(self) -> None:
        self._open()
        if self.error:
            number, self.error = self.error, 0
            raise failure(number)


class SimListener(Watched):
    """A socket that listens.

    Attributes:
        backlog: How many connections may wait to be accepted.
        queue: Those that wait.
    """

    __slots__ = ("address", "backlog", "owner", "queue", "stack")

    def __init__(self, *, stack: "Stack", owner: "Process", address: Address, backlog: int) -> None:
        super().__init__()
        self.stack = stack
        self.owner = owner
        self.address = address
        self.backlog = max(1, backlog)
        self.queue: deque[SimSocket] = deque()

    def readiness(self) -> int:
        """It is readable when a connection waits."""
        return READABLE if self.queue else 0

    def accept(self) -> tuple[SimSocket, Address]:
        """Give the connection that waits longest, and the peer's address.

        Raises:
            BlockingIOError: None waits.
            OSError: The process has no descriptor for it, or it is closed.
        """
        if self.closed:
            raise failure(errno.EBADF)
        if not self.queue:
            raise failure(errno.EAGAIN)
        if not self.stack.room():
            raise failure(errno.EMFILE)
        sock = self.queue.popleft()
        sock.owner = self.owner
        self.stack.open += 1
        self.stack.note("accept", sock.label)
        return sock, sock.remote

    def getsockname(self) -> Address:
        """Where it listens."""
        return self.address

    def setblocking(self, flag: bool) -> None:
        """It never blocks."""

    def close(self) -> None:
        """Listen no more; connections that were not accepted are reset. Twice does no harm."""
        if self.closed:
            return
        if self.poller is not None:
            self.poller.unregister(self)
        self.closed = True
        self.stack.unlisten(self)
        while self.queue:
            sock = self.queue.popleft()
            sock.net.reset(sock)
            sock.closed = True
            self.stack.sockets.pop(sock, None)
