"""Listening sockets and accepted connections: hio's Servant and Remoter, made to last.

hio's own raise on what the internet sends every minute (a peer that resets while it is accepted, EPIPE
in a send, no descriptors left) and send a fixed amount once a cycle. These keep hio's classes, names
and roles, and override whatever touches a socket.
"""

import contextlib
import errno
import os
import socket
import ssl
from collections import deque
from typing import Any

from hio.core import tcp

from totohio.base.environing import Network

WRITE_SIZE = 1 << 20  # bytes given to the kernel at once, so that one large reply does not hold a cycle
EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))  # no room for another connection
BLOCKED = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Remoter(tcp.Remoter):  # type: ignore[misc]
    """One accepted connection: receives into a shared buffer, sends at once and keeps what was not taken.

    Attributes:
        cutoff: The connection is of no more use.
        ended: The peer will send no more; it may still read.
        pending: Bytes that wait for the kernel to take them.
        shaking: The TLS handshake is going on.
        wants: The mask of readiness that the TLS handshake waits for.
    """

    def __init__(self, *, ha: Any, ca: Any, cs: Any, buffer: memoryview, tymth: Any = None) -> None:
        super().__init__(ha=ha, ca=ca, cs=cs, bs=len(buffer), tymeout=0.0, refreshable=False, tymth=tymth)
        self.cs: Any = cs
        self.buffer = buffer
        self.outs: deque[memoryview] = deque()
        self.pending = 0
        self.ended = False
        self.shaking = isinstance(cs, ssl.SSLSocket)
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

    def receive(self) -> memoryview | None:
        """Receive once; None when nothing was there. ``ended`` and ``cutoff`` tell why nothing will come."""
        try:
            count = self.cs.recv_into(self.buffer)
        except BLOCKED:
            return None
        except (OSError, ValueError):
            self.cutoff = True
            return None
        if count:
            return self.buffer[:count]
        self.ended = True
        return None

    def buffered(self) -> bool:
        """Tell whether TLS holds decrypted bytes that no poller knows of."""
        return isinstance(self.cs, ssl.SSLSocket) and self.cs.pending() > 0

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
            sent = self.send(data if size <= WRITE_SIZE else memoryview(data)[:WRITE_SIZE])
            if sent == size:
                return
            view = memoryview(data)[sent:]
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

    def close(self) -> None:
        """Close the connection and let go of what was kept; twice does no harm."""
        self.outs.clear()
        self.pending = 0
        self.cutoff = True
        if self.cs is not None:
            cs, self.cs = self.cs, None
            with contextlib.suppress(OSError):
                cs.close()


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
            OSError: There is no room for another connection; its errno is one of ``EXHAUSTED``.
        """
        while True:
            try:
                cs, ca = self.ss.accept()
                break
            except BLOCKED:
                return None, None
            except OSError as error:
                if error.errno in EXHAUSTED:
                    raise
                if error.errno in (errno.EBADF, errno.EINVAL):  # it does not listen any more
                    return None, None
                # else that peer has left already (ECONNABORTED and what Linux passes on): the next one
        if isinstance(self.address, str):
            self._count += 1
            return cs, f"unix:{self._count}"
        with contextlib.suppress(OSError):  # the peer may be gone already
            cs.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cs, ca

    def remoter(self, cs: Any, ca: Any, buffer: memoryview) -> Remoter:
        """Make the Remoter of an accepted socket, over TLS when there is a context.

        Raises:
            OSError: The peer is gone already.
        """
        if self.context is not None:
            cs.setblocking(False)
            cs = self.context.wrap_socket(cs, server_side=True, do_handshake_on_connect=False)
        return Remoter(ha=self.ha, ca=ca, cs=cs, buffer=buffer, tymth=self.tymth)

    def close(self) -> None:
        """Listen no more; connections stay. A Unix socket's file goes as well. Twice does no harm."""
        if self.ss is not None:
            ss, self.ss = self.ss, None
            with contextlib.suppress(OSError):
                ss.close()
            if isinstance(self.address, str):
                with contextlib.suppress(OSError):
                    os.unlink(self.address)
        self.opened = False
