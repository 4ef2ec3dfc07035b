"""How a client that waits carries its messages: over a TCP connection, TLS, or a WebSocket."""

import collections
import contextlib
import select
import socket
import ssl
import struct
import threading
from typing import Protocol

from totohio.base.clocking import Clock
from totohio.base.errors import TotohioError
from totohio.remote.places import Place, read_url
from totohio.remote.tunnelling import Channel, Frames, Tunnel
from totohio.wire.framing import frame

READ_SIZE = 1 << 18  # bytes
MOMENT = 5  # seconds
TURN = 0.05  # seconds after which who sends looks whether it is to receive as well, and who receives what that has got
MOMENT_FOR_KERNEL = struct.pack("@ll", MOMENT, 0)  # a timeval: seconds and microseconds (socket(7), SO_RCVTIMEO)


class Carrier(Protocol):
    """Carries messages. Any thread may send, one may receive, any may close.

    Attributes:
        cut: A message was sent in part only, so that nothing more can be sent.
        outs: What was posted and is not sent; a server whose ping is to be answered has "" put there.
    """

    cut: bool
    outs: collections.deque[bytes | memoryview]

    def send(self, data: bytes) -> None:
        """Send a message, after those that were posted before."""

    def post(self, data: bytes) -> None:
        """Send a message as far as that takes no waiting; the rest of it is for `flush`. One thread at a time."""

    def flush(self) -> None:
        """Send what was posted and is not sent."""

    def receive(self, seconds: float | None) -> list[bytes]:
        """Give messages that have come; wait so many seconds for the first, None for any time.

        It may give none before the time is over.

        Raises:
            OSError: The connection is over.
        """

    def close(self) -> None:
        """Close the connection."""

    def abandon(self) -> None:
        """Close what this process has of it; the server is told nothing, since another process has it too."""


class SocketCarrier:
    """Carries them over a TCP connection, by themselves or through a WebSocket.

    What comes while there is no room for what is sent is read all the same, so that a server which waits for us to
    read, and we for it, do not wait for ever. The socket blocks, but no longer than a moment, so that a call takes two
    system calls: with a timeout in its place Python would set that twice, and ask before it receives.
    """

    def __init__(self, sock: socket.socket, timeout: float, tunnel: Tunnel | None = None) -> None:
        """Set it up.

        Args:
            sock: A connected socket.
            timeout: Seconds for which the server may take nothing of what is sent.
            tunnel: The WebSocket, which `begin` opens.
        """
        self._sock = sock
        self._timeout = timeout
        self._tunnel = tunnel
        self._channel: Channel = tunnel or Frames()
        self._wording = threading.Lock()  # a Tunnel is for one thread at a time
        self._words = b""  # what it has to say itself, such as the answer to the last ping
        self._came: collections.deque[bytes] = collections.deque()  # while something was sent
        self.cut = False
        self.outs: collections.deque[bytes | memoryview] = collections.deque()
        self._closed = False
        self._sending = threading.Lock()
        self._receiving = threading.Lock()  # by whoever receives, or sends and has to
        self._readable, self._writable, self._either = select.poll(), select.poll(), select.poll()
        self._readable.register(sock, select.POLLIN)
        self._writable.register(sock, select.POLLOUT)
        self._either.register(sock, select.POLLIN | select.POLLOUT)
        self._prepare()

    def begin(self) -> None:
        """Open the WebSocket, if it is one.

        Raises:
            ConnectionRefusedError: There is none for us.
            TimeoutError: The server does not answer in time.
            OSError: The connection is over.
        """
        tunnel = self._tunnel
        if tunnel is None:
            return
        clock = Clock()
        end = clock.monotonic() + self._timeout
        try:
            self._push(memoryview(tunnel.take()))
            while not tunnel.open:
                left = end - clock.monotonic()
                if left <= 0.0:
                    raise TimeoutError(f"no answer within {self._timeout:g} seconds")
                self._came += self._messages(self._get(left))
        except (TotohioError, ConnectionResetError) as error:
            raise ConnectionRefusedError(f"{error} (does it want TLS, or speak no WebSocket?)") from error

    def send(self, data: bytes) -> None:
        """Send a message.

        Raises:
            TimeoutError: The server takes nothing any more.
            OSError: The connection is over.
        """
        self.post(data)
        self.flush()

    def post(self, data: bytes) -> None:
        """Send a message as far as there is room."""
        if self._tunnel is None:
            framed = frame(data)
        else:
            with self._wording:
                framed = self._channel.pack((data,))
        if not self._sending.acquire(False):
            self.outs.append(framed)
            return
        try:
            if self.cut or self.outs:
                self._see_whole()
                self.outs.append(framed)
                return
            self.cut = True
            sent = self._put(framed)
            if sent < len(framed):
                self.outs.appendleft(memoryview(framed)[sent:])  # before what others have posted meanwhile
            self.cut = False
        finally:
            self._sending.release()

    def flush(self) -> None:
        """Send what is left."""
        with self._sending:
            self._see_whole()
            while self.outs:
                self.cut = True
                self._push(memoryview(self.outs[0]))
                self.outs.popleft()
                if self._words:
                    self._push(memoryview(self._said()))
                self.cut = False

    def _see_whole(self) -> None:
        if self.cut:
            raise ConnectionAbortedError("what was sent before was sent in part")

    def receive(self, seconds: float | None) -> list[bytes]:
        """Give messages that have come."""
        try:
            if not self._came and (self._receiving.acquire(False) or self._wait_to_receive(seconds)):
                try:
                    return self._taken() if self._came else self._messages(self._get(seconds))
                finally:
                    self._receiving.release()
            return self._taken()
        finally:
            if self._closed:
                self._sock.close()

    def _wait_to_receive(self, seconds: float | None) -> bool:
        """Wait for a moment until who sends does not receive any more; tell whether that is so."""
        return self._receiving.acquire(timeout=TURN if seconds is None else min(TURN, max(0.0, seconds)))

    def _taken(self) -> list[bytes]:
        """Take what has come while something was sent; more may come at the same time."""
        came = self._came
        return [came.popleft() for _ in range(len(came))]

    def close(self) -> None:
        """Close the connection; a thread that receives is woken, and closes the socket."""
        if self._tunnel is not None and not self._closed:
            self._leave()
        self._closed = True
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)  # that of TLS would take away what others use
        if self._receiving.acquire(blocking=False):
            try:
                self._sock.close()
            finally:
                self._receiving.release()

    def abandon(self) -> None:
        """Close what this process has of it."""
        socket.socket.close(self._sock)

    def _push(self, rest: memoryview) -> None:
        """Send as there is room, and read meanwhile."""
        waited = 0.0
        while rest:
            alone = self._receiving.acquire(blocking=False)
            try:
                events = (self._either if alone else self._writable).poll(TURN * 1000)
                mask = events[0][1] if events else 0
                if alone and mask & ~select.POLLOUT:
                    self._came += self._messages(self._get(0.0))
            finally:
                if alone:
                    self._receiving.release()
            waited = 0.0 if events else waited + TURN
            if waited >= self._timeout:
                raise TimeoutError("the server takes nothing any more")
            if mask & ~select.POLLIN:
                rest = rest[self._put(rest) :]

    def _messages(self, data: bytes | None) -> list[bytes]:
        """Give the messages that are whole with what has come; "" is the end."""
        if data is None:
            return []
        if not data:
            raise ConnectionResetError(self._channel.closed or "the server has closed the connection")
        if self._tunnel is None:
            return self._channel.received(data)
        with self._wording:
            try:
                return self._channel.received(data)
            finally:
                words = self._channel.take()
                if words:
                    self._words = words
                    if not self.outs:
                        self.outs.append(b"")  # so that somebody sends them

    def _said(self) -> bytes:
        """Take what the WebSocket has to say itself."""
        with self._wording:
            words, self._words = self._words, b""
        return words

    def _leave(self) -> None:
        """Say goodbye, unless something is in the midst of being sent; nobody waits for an answer."""
        if self._sending.acquire(False):
            try:
                if not self.cut and not any(self.outs):
                    with self._wording:
                        goodbye = self._channel.leave()
                    with contextlib.suppress(OSError):
                        self._put(self._said() + goodbye)
            finally:
                self._sending.release()

    # ------------------------------------------------------------ the socket

    def _prepare(self) -> None:
        self._sock.settimeout(None)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, MOMENT_FOR_KERNEL)

    def _put(self, data: bytes | memoryview) -> int:
        """Send as much as there is room for; tell how much."""
        try:
            return self._sock.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def _get(self, seconds: float | None) -> bytes | None:
        """Give bytes that have come, "" at the end; None when none come in time, or in a moment."""
        flags = 0
        if seconds is not None and seconds < MOMENT:
            flags = socket.MSG_DONTWAIT
            if not self._readable.poll(max(0.0, seconds) * 1000):
                return None
        try:
            return self._sock.recv(READ_SIZE, flags)
        except BlockingIOError:
            return None


class SecureCarrier(SocketCarrier):
    """Carries them over TLS."""

    def _prepare(self) -> None:
        self._sock.setblocking(False)
        self._turn = threading.Lock()  # one connection of OpenSSL is for one thread at a time

    def _put(self, data: bytes | memoryview) -> int:
        try:
            with self._turn:
                return self._sock.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def _get(self, seconds: float | None) -> bytes | None:
        data = self._take()
        if data is None and seconds != 0.0:
            self._readable.poll(MOMENT * 1000 if seconds is None else min(MOMENT, max(0.0, seconds)) * 1000)
            data = self._take()
        return data

    def _take(self) -> bytes | None:
        try:
            with self._turn:
                return self._sock.recv(READ_SIZE)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None


def open_carrier(
    url: str,
    timeout: float,
    *,
    cafile: str | None = None,
    certfile: str | None = None,
    keyfile: str | None = None,
) -> Carrier:
    """Connect to where a URL says.

    Raises:
        ValueError: It is no such URL.
        OSError: Nobody is there, or a certificate is wrong.
    """
    place = read_url(url)
    context = ssl.create_default_context(cafile=cafile) if place.secure else None
    if context is not None and certfile is not None:
        context.load_cert_chain(certfile, keyfile)
    assert isinstance(place.address, tuple)
    sock = socket.create_connection(place.address, timeout=timeout)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _begun(place, sock, timeout, context)
    except BaseException:
        sock.close()
        raise


def _begun(place: Place, sock: socket.socket, timeout: float, context: ssl.SSLContext | None) -> Carrier:
    """Begin what goes over a TCP connection: TLS, and a WebSocket."""
    tunnel = Tunnel(place.url) if place.web else None
    if context is None:
        carrier = SocketCarrier(sock, timeout, tunnel)
    else:
        try:
            carrier = SecureCarrier(context.wrap_socket(sock, server_hostname=place.host), timeout, tunnel)
        except ssl.SSLCertVerificationError:
            raise
        except (ssl.SSLError, ConnectionResetError) as error:
            raise ConnectionRefusedError(f"{place.url}: TLS failed, if it is spoken there at all: {error}") from error
    try:
        carrier.begin()
    except OSError as error:
        carrier.close()
        raise type(error)(f"{place.url}: {error}") from error
    except BaseException:
        carrier.close()
        raise
    return carrier
