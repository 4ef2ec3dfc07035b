"""Sockets of the simulated network: the two ends of a TCP connection.

They behave as Linux's nonblocking stream sockets do towards whoever calls them: the same methods, results and
errno values (socket(7), tcp(7)). What is sent is carried by the `Net`; what arrives is put in here by it.

    connecting   the peer's answer is awaited; nothing can be sent or received
    open         both ends are there; each direction can end by itself
    dead         both directions have ended; or it was refused, was reset or has timed out: then the error is told
                 once, by a call or SO_ERROR, and from then on there is the end to receive and EPIPE for who sends

What is simpler than on Linux: buffers have fixed sizes, a host knows no option but SO_LINGER with no time and
SO_ERROR, an address is IPv4, nobody waits in TIME_WAIT, and what was shut down for receiving gives the end even
after a reset.
"""

import errno
import os
import socket
import struct
import zlib
from collections import deque
from typing import TYPE_CHECKING, Any

from totohio.sim.net.polling import READABLE, WRITABLE, Watched

if TYPE_CHECKING:
    from totohio.sim.net.carrying import Lane
    from totohio.sim.net.listening import SimListener
    from totohio.sim.net.networking import Net
    from totohio.sim.net.stacking import Stack
    from totohio.sim.processing import Process

CONNECTING, OPEN, DEAD = range(3)
LINGER = struct.Struct("ii")

Address = tuple[str, int] | str


def failure(number: int) -> OSError:
    """Give the error of an errno value, as the kernel raises it."""
    return OSError(number, os.strerror(number))


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
        listener: Where it will wait to be accepted, once the handshake is over; None then, and for who connects.
        state: `CONNECTING`, `OPEN` or `DEAD`.
        error: The errno value that the next call raises; 0 for none.
        outstanding: Bytes that were taken and that the peer's host has not.
        capacity: Bytes that may be outstanding.
        window: Bytes that may wait here to be received.
        ended: Nothing more will come: the peer's end has arrived.
        finished: Nothing more is sent: its own end was.
        acknowledged: Its own end has arrived at the peer's host.
    """

    __slots__ = (
        "_abrupt",
        "_chunks",
        "_late",
        "_size",
        "acknowledged",
        "capacity",
        "ended",
        "error",
        "finished",
        "label",
        "lane",
        "listener",
        "local",
        "net",
        "outstanding",
        "owner",
        "peer",
        "remote",
        "stack",
        "state",
        "window",
    )

    def __init__(self, *, net: "Net", stack: "Stack", local: Address, remote: Address, label: str) -> None:
        super().__init__()
        self.net = net
        self.stack = stack
        self.owner: Process | None = None
        self.local = local
        self.remote = remote
        self.label = label
        self.peer: SimSocket | None = None
        self.lane: Lane | None = None
        self.listener: SimListener | None = None
        self.state = CONNECTING
        self.error = 0
        self.outstanding = 0
        self.capacity, self.window = net.buffers()
        self.ended = False
        self.finished = False
        self.acknowledged = False
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._late: deque[bytes | None] = deque()  # what has no room yet; None is the peer's end
        self._abrupt = False  # closing it resets it

    def __repr__(self) -> str:
        return f"<SimSocket {self.label} on {self.stack.host.name}>"

    # ------------------------------------------------------------ what its owner calls

    def send(self, data: Any) -> int:
        """Send some of it and tell how many bytes.

        Raises:
            BlockingIOError: There is no room, or no connection yet.
            OSError: The connection is no more.
        """
        if self.state != OPEN or self.finished or self.closed:
            raise self._unsendable()
        size = len(data)
        room = self.capacity - self.outstanding
        if size > room:
            if room <= 0:
                raise failure(errno.EAGAIN)
            size = room
        if size > 1:
            size = self.net.share(size)
        if size:
            self.outstanding += size
            self.stack.act(self.owner, self.net.carry, self, bytes(data) if size == len(data) else bytes(data[:size]))
        return size

    def recv(self, size: int) -> bytes:
        """Receive at most so many bytes; none means that the peer sends no more.

        Raises:
            BlockingIOError: Nothing has arrived.
            OSError: The connection is no more.
        """
        if self._chunks:
            return self._take(size)
        self._open()
        if self.ended:  # what happened after the end is for who sends (tcp_recvmsg: SOCK_DONE comes before the error)
            return b""
        if self.error:
            raise self._failed()
        if self.state == DEAD:
            return b""
        raise failure(errno.EAGAIN)

    def shutdown(self, how: int) -> None:
        """Say that no more is sent, or received.

        Raises:
            OSError: There is no connection.
        """
        self._open()
        if self.state == CONNECTING:
            self.fail(errno.ECONNRESET)
            return
        self._connected()
        if how != socket.SHUT_WR:
            self.ended = True
        if how != socket.SHUT_RD:
            self.stack.act(self.owner, self._finish)
        self.changed()

    def close(self) -> None:
        """Let go of it: the peer gets the end, or a reset when something is left unread. Twice does no harm."""
        if not self.closed:
            self._close(abrupt=bool(self._chunks) or self._abrupt)

    def abort(self) -> None:
        """Let go of it with a reset. Twice does no harm."""
        if not self.closed:
            self._close(abrupt=True)

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        """Set an option; only SO_LINGER with no time changes anything here.

        Raises:
            OSError: It is closed.
        """
        self._open()
        if level == socket.SOL_SOCKET and option == socket.SO_LINGER:
            self._abrupt = LINGER.unpack(value) == (1, 0)

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
        """Its own address.

        Raises:
            OSError: It is closed.
        """
        self._open()
        return self.local

    def getpeername(self) -> Address:
        """The peer's address.

        Raises:
            OSError: There is no connection.
        """
        self._open()
        self._connected()
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
        """The mask of what it is ready for; writable from a third of the buffer on (sk_stream_is_writeable)."""
        if self.state != OPEN:
            return READABLE | WRITABLE if self.state == DEAD else 0
        mask = READABLE if self._chunks or self.ended else 0
        return mask | WRITABLE if self.finished or 3 * self.outstanding <= 2 * self.capacity else mask

    def ends(self) -> int:
        """How much of it is over: 0 nothing, 1 the peer sends no more, 2 everything."""
        return 2 if self.state == DEAD or (self.ended and self.finished) else int(self.ended)

    # ------------------------------------------------------------ what the network does

    def arrive(self, data: bytes) -> None:
        """Bytes of the peer have reached this host."""
        if self._late or (self._size and self._size + len(data) > self.window):
            self._late.append(data)  # no news: it is readable already
            return
        self._put(data)
        if self.poller is not None and self.mask & READABLE:
            self.poller.heat(self)

    def end(self) -> None:
        """The peer's end has reached this host."""
        if self._late:
            self._late.append(None)
            return
        self.stack.note("end", self.label, "arrived")
        self.ended = True
        peer = self.peer
        assert peer is not None
        peer.acknowledged = True
        if self.acknowledged:
            self._over()
            peer._over()
        self.changed()

    def reset(self) -> None:
        """The peer's reset has reached this host."""
        if self.state == CONNECTING:
            self.fail(errno.ECONNREFUSED)
        else:
            self.fail(errno.EPIPE if self.ended and not self.finished else errno.ECONNRESET)  # tcp_reset

    def leave(self) -> None:
        """The peer has closed, and nothing can be sent any more: what only sockets within a host are told."""
        raise NotImplementedError

    def fail(self, number: int) -> None:
        """The connection is no more; what had arrived can still be received.

        Args:
            number: The errno value that the next call raises.
        """
        if self.state != DEAD:
            self.state = DEAD
            self.error = number
            self._late.clear()
            self.net.forget(self)
            self.changed()

    def part(self, abrupt: bool) -> None:
        """Tell the peer that its owner has closed it."""
        if abrupt:
            self.net.reset(self)
            self.state = DEAD
        else:
            self._finish()

    def vanish(self) -> None:
        """Its host has lost power."""
        self.closed = True
        self.state = DEAD
        self.poller = None
        self.drop()

    def drop(self) -> None:
        """Let go of all bytes."""
        self._chunks.clear()
        self._late.clear()
        self._size = 0

    # ------------------------------------------------------------ inside

    def _put(self, data: bytes) -> None:
        self.stack.note("receive", self.label, len(data), zlib.crc32(data))
        self._chunks.append(data)
        self._size += len(data)
        peer = self.peer
        assert peer is not None
        peer.outstanding -= len(data)
        if peer.poller is not None and peer.mask & WRITABLE:
            peer.poller.touch(peer)

    def _take(self, size: int) -> bytes:
        chunks = self._chunks
        data = chunks.popleft()
        if chunks and len(data) < size:
            pieces, total = [data], len(data)
            while chunks and total < size:
                pieces.append(chunks.popleft())
                total += len(pieces[-1])
            data = b"".join(pieces)
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
                self.end()
            else:
                self._put(piece)
        return data

    def _finish(self) -> None:
        if not self.finished:
            self.finished = True
            self.net.finish(self)

    def _close(self, *, abrupt: bool) -> None:
        if self.poller is not None:
            self.poller.unregister(self)
        self.closed = True
        self.stack.release(self)
        if self.state == OPEN:
            self.stack.leave(self, abrupt)
        else:
            self.state = DEAD
        self.stack.note("close", self.label)
        self.drop()

    def _over(self) -> None:
        """Both directions have ended."""
        if self.state == OPEN:
            self.state = DEAD
            self.net.forget(self)
            self.changed()

    def _open(self) -> None:
        if self.closed:
            raise failure(errno.EBADF)

    def _connected(self) -> None:
        if self.state != OPEN:
            raise failure(errno.ENOTCONN)

    def _failed(self) -> OSError:
        number, self.error = self.error, 0
        return failure(number)

    def _unsendable(self) -> OSError:
        """Say why nothing can be sent."""
        if self.closed:
            return failure(errno.EBADF)
        if self.state == CONNECTING:
            return failure(errno.EAGAIN)
        return self._failed() if self.error else failure(errno.EPIPE)
