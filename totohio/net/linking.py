"""Connections of our own: one socket as an Attendant of a Poller, told of in a few words to its owner.

    connecting   until the socket is writable, or `due` has come
    connected    what is sent goes at once, what the socket does not take when it is writable again
    ended        the peer sends no more; we still may
    broken       a send has failed: nothing can be sent any more, and what the peer had sent before is still received
    closed       by its owner, or because it was lost

The owner is called from `attend` and `service` alone, never from within a call of its own.
"""

import contextlib
import errno
import math
import os
import socket
import struct
from collections import deque
from typing import Any, Protocol

from totohio.base.environing import Network, Poller

READABLE, WRITABLE, ENDED = 1, 2, 4
READ_SIZE = 65536  # bytes received at once
WRITE_SIZE = 1 << 20  # bytes given to the socket in a cycle, so that one large message does not hold it
CONNECT_TIMEOUT = 10.0  # seconds
MAX_PENDING = 64 << 20  # bytes that may wait for a socket to take them
RESET = struct.pack("ii", 1, 0)  # SO_LINGER, on and zero seconds: the peer is sent a reset
BLOCKED = (BlockingIOError, InterruptedError)

Address = tuple[str, int] | str


class Owner(Protocol):
    """Whom a `Link` tells what happens to it."""

    def opened(self) -> None:
        """It is connected."""

    def received(self, data: bytes) -> None:
        """The peer has sent this."""

    def drained(self) -> None:
        """The socket has taken all that had to wait for it."""

    def ended(self) -> None:
        """The peer sends no more; it may still read."""

    def lost(self, error: OSError) -> None:
        """It was refused, timed out, or broke; it is closed, and nothing follows."""


class Link:
    """One connection, mostly an outbound one.

    Attributes:
        address: Where to: (host, port), or the path of a Unix socket.
        pending: Bytes that wait for the socket to take them.
        connected: It was established.
        ended: The peer sends no more.
        broken: Why nothing can be sent any more; None as long as it can.
        closed: It is no more, and calls nobody.
        due: The tyme at which `service` gives up connecting; infinity when it does not connect.
    """

    __slots__ = (
        "_finishing",
        "_mask",
        "_max_pending",
        "_network",
        "_outs",
        "_owner",
        "_patient",
        "_paused",
        "_poller",
        "_sock",
        "_timeout",
        "address",
        "broken",
        "closed",
        "connected",
        "due",
        "ended",
        "pending",
    )

    def __init__(
        self,
        *,
        network: Network,
        poller: Poller,
        address: Address,
        owner: Owner,
        timeout: float = CONNECT_TIMEOUT,
        max_pending: int = MAX_PENDING,
    ) -> None:
        """Set it up; nothing happens before `open`.

        Args:
            network: Where the socket comes from.
            poller: Tells when the socket is ready; its cycle calls `attend`.
            address: Where to.
            owner: Whom to tell.
            timeout: Seconds of tyme for connecting; zero lets it take as long as the network does.
            max_pending: Bytes that may wait for the socket.
        """
        self.address = address
        self.pending = 0
        self.connected = self.ended = self.closed = False
        self.broken: OSError | None = None
        self.due = math.inf
        self._network = network
        self._poller = poller
        self._owner = owner
        self._timeout = timeout
        self._max_pending = max_pending
        self._outs: deque[memoryview] = deque()
        self._mask = WRITABLE
        self._paused = self._patient = self._finishing = False
        self._sock: Any = None

    def __repr__(self) -> str:
        return f"<Link to {place(self.address)}>"

    # ------------------------------------------------------------ what the owner calls

    def open(self, tyme: float) -> None:
        """Begin to connect; once in the life of a Link.

        Raises:
            OSError: It has failed already; the Link is closed.
        """
        try:
            self._sock = self._network.connect(self.address)
            self._poller.register(self._sock, WRITABLE, self)
        except OSError:
            self._release()
            raise
        if self._timeout > 0.0:
            self.due = tyme + self._timeout

    def adopt(self, sock: Any) -> None:
        """Take over a socket that is connected already, instead of `open`.

        Raises:
            OSError: The poller watches no more sockets; the Link is closed.
        """
        self._sock = sock
        self._mask = READABLE
        try:
            self._poller.register(sock, READABLE, self)
        except OSError:
            self._release()
            raise
        self.connected = True

    def service(self, tyme: float) -> None:
        """Give up connecting when that has taken too long."""
        if tyme >= self.due:
            text = f"no connection to {place(self.address)} within {self._timeout:g} seconds"
            self._lose(TimeoutError(errno.ETIMEDOUT, text))

    def send(self, data: bytes) -> None:
        """Send data, or keep what cannot be sent yet; what cannot be sent at all is dropped.

        Raises:
            BufferError: It would have to keep more than ``max_pending`` bytes.
            BrokenPipeError: It was shut down.
        """
        if self.closed or self.broken is not None:
            return
        if self._finishing:
            raise BrokenPipeError(errno.EPIPE, "the connection was shut down")
        size = len(data)
        if self.pending + size > self._max_pending:
            raise BufferError(f"more than {self._max_pending} bytes would wait to be sent")
        sent = 0
        if self.connected and not self.pending:
            sent = self._give(data if size <= WRITE_SIZE else memoryview(data)[:WRITE_SIZE])
        if sent < size and self.broken is None:
            self._outs.append(memoryview(data)[sent:])
            self.pending += size - sent
        self._watch()

    def shutdown(self) -> None:
        """Tell the peer, after what is pending, that this was all; what it sends still comes."""
        self._finishing = True
        self._finish()

    def pause(self, *, patient: bool = False) -> None:
        """Receive nothing for now.

        Args:
            patient: That the peer is gone is told when all that it has sent was received, however long that is paused.
        """
        self._paused, self._patient = True, patient
        self._watch()

    def resume(self) -> None:
        """Receive again."""
        self._paused = self._patient = False
        self._watch()

    def abort(self) -> None:
        """End it with a reset."""
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.close()

    def close(self) -> None:
        """End it now; what is pending is dropped. Twice does no harm."""
        if not self.closed:
            if self._sock is not None:
                self._poller.unregister(self._sock)
            self._release()

    # ------------------------------------------------------------ what the poller calls

    def attend(self, mask: int) -> None:
        """Do what the readiness of the socket asks for."""
        if self.closed:
            return
        if not self.connected:
            self._establish()
            return
        if mask & ENDED:
            self._leave()
            return
        if mask & WRITABLE:
            self._pour()
        if mask & READABLE and not self.closed:
            self._receive()

    def _establish(self) -> None:
        number = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._lose(_error(number, self.address))
            return
        self.connected = True
        self.due = math.inf
        pending = self.pending
        self._flush()
        self._owner.opened()
        if pending and not self.pending and self.broken is None and not self.closed:
            self._owner.drained()

    def _pour(self) -> None:
        pending = self.pending
        self._flush()
        if pending and not self.pending and self.broken is None:
            self._owner.drained()

    def _receive(self) -> None:
        try:
            data: bytes = self._sock.recv(READ_SIZE)
        except BLOCKED:
            return
        except OSError as error:
            self._lose(_error(error.errno or errno.ECONNRESET, self.address))
            return
        if data:
            self._owner.received(data)
        elif self.broken is not None:
            self._lose(self.broken)
        else:
            self.ended = True
            self._watch()
            self._owner.ended()

    def _leave(self) -> None:
        """Nothing is awaited from a peer that now sends no more, or is gone."""
        number = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not number:
            return
        error = _error(number, self.address)
        if self._patient and not self.ended:
            self.broken = error
            self._outs.clear()
            self.pending = 0
            self._watch()
        else:
            self._lose(error)

    # ------------------------------------------------------------ sending

    def _flush(self) -> None:
        """Send what was kept, as far as the socket takes it, at most ``WRITE_SIZE`` bytes."""
        budget, outs = WRITE_SIZE, self._outs
        while outs and budget > 0:
            view = outs[0]
            piece = view[:budget]
            sent = self._give(piece)
            if self.broken is not None:
                break
            self.pending -= sent
            budget -= sent
            if sent == len(view):
                outs.popleft()
            else:
                outs[0] = view[sent:]
                if sent < len(piece):
                    break
        self._finish()
        self._watch()

    def _give(self, data: Any) -> int:
        try:
            return int(self._sock.send(data))
        except BLOCKED:
            return 0
        except OSError as error:
            self.broken = _error(error.errno or errno.EPIPE, self.address)
            self._outs.clear()
            self.pending = 0
            return 0

    def _finish(self) -> None:
        if self._finishing and self.connected and not self.pending and not self.closed:
            with contextlib.suppress(OSError):  # the peer is gone: to receive will tell
                self._sock.shutdown(socket.SHUT_WR)

    def _watch(self) -> None:
        """Ask the poller for what is awaited now."""
        if self.closed or not self.connected:
            return
        broken = self.broken is not None and not self._patient
        mask = READABLE if broken or not (self.ended or self._paused) else 0
        if self.pending:
            mask |= WRITABLE
        if mask != self._mask:
            self._mask = mask
            self._poller.modify(self._sock, mask, self)

    # ------------------------------------------------------------ the end

    def _lose(self, error: OSError) -> None:
        self.close()
        self._owner.lost(error)

    def _release(self) -> None:
        self.closed = True
        self.due = math.inf
        self._outs.clear()
        self.pending = 0
        sock, self._sock = self._sock, None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()


def place(address: Address) -> str:
    """An address as people write it."""
    if isinstance(address, str):
        return address
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _error(number: int, address: Address) -> OSError:
    return OSError(number, os.strerror(number), place(address))
