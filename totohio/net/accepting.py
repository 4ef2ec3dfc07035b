"""Listening sockets and accepted connections: hio's Servant and Remoter, made to last.

hio's own raise on what the internet sends every minute (a peer that resets while it is accepted, EPIPE
in a send, no descriptors left) and send a fixed amount once a cycle. These keep hio's classes, names
and roles, and override whatever touches a socket.
"""

import contextlib
import errno
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

from hio.core import tcp

from totohio.base.environing import Network

READ_SIZE = 65536  # bytes received at once
WRITE_SIZE = 1 << 20  # bytes given to the kernel at once, so that one large reply does not hold a cycle
EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))  # no room for another connection
GONE = frozenset(  # that peer, or the network between, has left already (accept(2), "Error handling")
    (
        errno.ECONNABORTED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENONET,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.EPERM,
        errno.EPROTO,
    )
)
BLOCKED = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
RESET = struct.pack("ii", 1, 0)  # SO_LINGER, on and zero seconds: what the kernel still keeps is dropped


class Remoter(tcp.Remoter):  # type: ignore[misc]
    """One accepted connection: receives once when asked, sends at once and keeps what was not taken.

    Attributes:
        cutoff: The connection is of no more use.
        ended: The peer will send no more; it may still read.
        pending: Bytes that wait for the kernel to take them.
        peer: The peer's address; None on a Unix socket, where peers have none.
        secure: It speaks TLS.
        shaking: The TLS handshake is going on.
        wants: The mask of readiness that the TLS handshake waits for.
    """

    def __init__(self, *, ha: Any, ca: Any, cs: Any, queued: Callable[[Any], int], tymth: Any = None) -> None:
        super().__init__(ha=ha, ca=ca, cs=cs, bs=READ_SIZE, tymeout=0.0, refreshable=False, tymth=tymth)
        self.cs: Any = cs
        self._queued = queued
        self.outs: deque[memoryview] = deque()
        self.pending = 0
        self.ended = False
        self.peer = ca if isinstance(ca, tuple) else None
        self.secure = isinstance(cs, ssl.SSLSocket)
        self.shaking = self.secure
        self.wants = 1

    def handshake(self) -> None:
        """Take the TLS handshake as far as it goes now; ``shaking`` tells whether it has to go on."""
        try:
            self.cs.do_handshake()
        except ssl.SSLWantReadError:
            self.wants = 1
        except ssl.SSLWantWriteError:
            self.wants = 2
        except (OSError, ValueError):  # a peer that speaks no TLS, or none of ours, or has left
            self.cutoff = True
        else:
            self.shaking = False

    def receive(self) -> bytes | None:
        """Receive once; None when nothing was there. ``ended`` and ``cutoff`` tell why nothing will come."""
        try:
            data: bytes = self.cs.recv(READ_SIZE)
        except BLOCKED:
            return None
        except (OSError, ValueError):
            self.cutoff = True
            return None
        if data:
            return data
        self.ended = True
        return None

    def broken(self) -> bool:
        """Tell whether the peer is gone for good, which a peer that merely sends no more is not."""
        try:
            return bool(self.cs.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        except OSError:
            return True

    def buffered(self) -> bool:
        """Tell whether TLS holds decrypted bytes that no poller knows of."""
        return self.secure and self.cs.pending() > 0

    def send(self, data: Any) -> int:
        """Send what the kernel takes now; the count is zero when it takes nothing or the peer is gone."""
        try:
            sent: int = self.cs.send(data)
            return sent
        except BLOCKED:
            return 0
        except (OSError, ValueError):
            self.cutoff = True
            return 0

    def tx(self, data: bytes) -> None:
        """Send data, or keep what cannot be sent yet."""
        view: Any = data
        if not self.pending and not self.cutoff:
            size = len(data)
            try:  # as `send` does
                sent = self.cs.send(data if size <= WRITE_SIZE else memoryview(data)[:WRITE_SIZE])
            except BLOCKED:
                sent = 0
            except (OSError, ValueError):
                self.cutoff = True
                return
            if sent == size:
                return
            view = memoryview(data)[sent:]
        if self.cutoff:
            return  # nobody is there to take it
        self.outs.append(memoryview(view))
        self.pending += len(view)

    def serviceSends(self) -> None:
        """Send what was kept, as far as the kernel takes it, at most ``WRITE_SIZE`` bytes."""
        budget = WRITE_SIZE
        while self.outs and budget > 0 and not self.cutoff:
            view = self.outs[0]
            piece = view[:budget]
            sent = self.send(piece)
            self.pending -= sent
            budget -= sent
            if sent == len(view):
                self.outs.popleft()
            else:
                self.outs[0] = view[sent:]
                if sent < len(piece):
                    return

    def shutdownSend(self) -> None:
        """Tell the peer that this was all; it may still send."""
        self._part()
        super().shutdownSend()

    def queued(self) -> int:
        """How many bytes the kernel keeps that the peer has not taken; 0 when it does not tell."""
        return self._queued(self.cs)

    def despair(self) -> None:
        """Have the close reset the connection, so that the kernel lets go of what the peer does not take."""
        with contextlib.suppress(OSError):
            self.cs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def close(self) -> None:
        """Close the connection and let go of what was kept; twice does no harm."""
        if self.cs is not None:
            self._part()
            cs, self.cs = self.cs, None
            with contextlib.suppress(OSError):
                cs.close()
        self.outs.clear()
        self.pending = 0
        self.cutoff = True

    def _part(self) -> None:
        """Say goodbye in TLS, so that the peer can tell the end from an attack (RFC 8446, 6.1)."""
        if isinstance(self.cs, ssl.SSLSocket) and not (self.shaking or self.pending or self.cutoff):
            with contextlib.suppress(OSError, ValueError):
                self.cs.unwrap()


class Servant(tcp.Server):  # type: ignore[misc]
    """The listening socket, on a host and port or on the path of a Unix socket.

    Attributes:
        address: Where it is asked to listen: (host, port) or a path; port 0 takes a free one.
        ha: Where it listens: (host, port), or the path.
    """

    def __init__(
        self,
        *,
        address: tuple[str, int] | str,
        network: Network,
        backlog: int,
        context: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(ha=("127.0.0.1", 0), bl=backlog, tymeout=0.0)
        self.address = address
        self.ha: Any = address
        self.network = network
        self.context = context
        self._count = 0  # of peers on a Unix socket, which have no address to tell them apart

    def reopen(self, **kwa: Any) -> bool:
        """Listen, afresh when it listened before.

        Raises:
            OSError: The address is in use, unknown or forbidden.
        """
        self.close()
        self.ss = self.network.listen(self.address, backlog=self.bl)
        self.ha = self.address if isinstance(self.address, str) else self.ss.getsockname()[:2]
        self.opened = True
        return True

    def accept(self) -> tuple[Any, Any]:
        """Accept one connection; (None, None) when there is none.

        Raises:
            OSError: There is no room for another connection (its errno is one of ``EXHAUSTED``), or it does not
                listen any more.
        """
        while True:
            try:
                cs, ca = self.ss.accept()
                break
            except BLOCKED:
                return None, None
            except OSError as error:
                if error.errno not in GONE:
                    raise
        if isinstance(self.address, str):
            self._count += 1
            return cs, f"unix:{self._count}"
        with contextlib.suppress(OSError):  # the peer may be gone already
            cs.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cs, ca

    def remoter(self, cs: Any, ca: Any) -> Remoter:
        """Make the Remoter of an accepted socket, over TLS when there is a context.

        Raises:
            OSError: The peer is gone already.
        """
        if self.context is not None:
            cs.setblocking(False)
            cs = self.context.wrap_socket(cs, server_side=True, do_handshake_on_connect=False)
        return Remoter(ha=self.ha, ca=ca, cs=cs, queued=self.network.queued, tymth=self.tymth)

    def close(self) -> None:
        """Listen no more; connections stay. A Unix socket's file goes as well. Twice does no harm."""
        if self.ss is not None:
            ss, self.ss = self.ss, None
            with contextlib.suppress(OSError):
                ss.close()
        self.opened = False
