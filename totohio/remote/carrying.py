"""How a client that waits carries its messages: over a TCP connection, TLS, or a WebSocket."""

import collections
import contextlib
import os
import select
import socket
import ssl
import struct
import threading
from typing import Protocol

from websockets.exceptions import ConnectionClosed, InvalidMessage, WebSocketException
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as connect_socket

from totohio.remote.places import MAX_FRAME, read_url
from totohio.wire.framing import Framer, FramingError, frame

READ_SIZE = 1 << 18  # bytes
MOMENT = 5  # seconds
STRANGE = {b"HTTP/": "HTTP", b"\x15\x03": "TLS"}  # what begins otherwise than with the length of a message
TURN = 0.05  # seconds after which who sends looks whether it is to receive as well, and who receives what that has got
MOMENT_FOR_KERNEL = struct.pack("@ll", MOMENT, 0)  # a timeval: seconds and microseconds (socket(7), SO_RCVTIMEO)


class Carrier(Protocol):
    """Carries messages. Any thread may send, one may receive, any may close.

    Attributes:
        cut: A message was sent in part only, so that nothing more can be sent.
        outs: What was posted and is not sent.
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
    """Carries them over a TCP connection.

    What comes while there is no room for what is sent is read all the same, so that a server which waits for us to
    read, and we for it, do not wait for ever. The socket blocks, but no longer than a moment, so that a call takes two
    system calls: with a timeout in its place Python would set that twice, and ask before it receives.
    """

    def __init__(self, sock: socket.socket, timeout: float) -> None:
        """Set it up.

        Args:
            sock: A connected socket.
            timeout: Seconds for which the server may take nothing of what is sent.
        """
        self._sock = sock
        self._timeout = timeout
        self._framer = Framer(MAX_FRAME)
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
        framed = frame(data)
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
        if data is None:
            return []
        if not data:
            raise ConnectionResetError("the server has closed the connection")
        try:
            return self._framer.frames(data)
        except FramingError as error:
            for begin, what in STRANGE.items():
                if data.startswith(begin):
                    raise ConnectionRefusedError(f"{what} is spoken there") from error
            raise

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


class WebSocketCarrier:
    """Carries them over a WebSocket, each as a message of its own."""

    def __init__(self, connection: ClientConnection, timeout: float) -> None:
        """Set it up.

        Args:
            connection: A WebSocket that is open.
            timeout: Seconds for which the server may take nothing of what is sent, or twice as long.
        """
        self._connection = connection
        self._busy: list[None] = []  # one for each thread that sends
        self.cut = False
        self.outs: collections.deque[bytes | memoryview] = collections.deque()
        limit = divmod(max(1, round(timeout * 1e6)), 1_000_000)
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", *limit))

    def send(self, data: bytes) -> None:
        """Send a message."""
        self._busy.append(None)
        try:
            self._connection.send(data)
        except ConnectionClosed as error:
            raise ConnectionResetError(str(error)) from error
        except BaseException:
            self.cut = True
            raise
        finally:
            self._busy.pop()

    def post(self, data: bytes) -> None:
        """Keep a message until `flush`, since to send it may take long."""
        self.outs.append(data)

    def flush(self) -> None:
        """Send what was posted."""
        outs = self.outs
        while outs:
            self.send(bytes(outs[0]))
            outs.popleft()

    def receive(self, seconds: float | None) -> list[bytes]:
        """Give a message that has come."""
        try:
            message = self._connection.recv(seconds)
        except TimeoutError:
            return []
        except ConnectionClosed as error:
            raise ConnectionResetError(str(error)) from error
        return [message] if isinstance(message, bytes) else []

    def close(self) -> None:
        """Close the connection, with a goodbye unless some thread is in the midst of sending."""
        if self._busy:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._connection.socket, socket.SHUT_RDWR)
        self._connection.close()

    def abandon(self) -> None:
        """Close what this process has of it."""
        with contextlib.suppress(OSError):
            os.close(self._connection.socket.detach())


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
    if place.web:
        try:
            opening = connect_socket(url, ssl=context, open_timeout=timeout, max_size=MAX_FRAME, compression=None)
            return WebSocketCarrier(opening.__enter__(), timeout)  # which every generation of it wants to be called
        except InvalidMessage as error:
            raise ConnectionRefusedError(f"{url}: {error} (does it want TLS, or speak no WebSocket?)") from error
        except WebSocketException as error:
            raise ConnectionRefusedError(f"{url}: {error}") from error
        except ssl.SSLCertVerificationError:
            raise
        except ssl.SSLError as error:
            raise _without_tls(url, error) from error
    assert isinstance(place.address, tuple)
    sock = socket.create_connection(place.address, timeout=timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is None:
        return SocketCarrier(sock, timeout)
    try:
        return SecureCarrier(context.wrap_socket(sock, server_hostname=place.host), timeout)
    except ssl.SSLCertVerificationError:
        raise
    except (ssl.SSLError, ConnectionResetError) as error:
        raise _without_tls(url, error) from error


def _without_tls(url: str, error: OSError) -> ConnectionRefusedError:
    return ConnectionRefusedError(f"{url}: TLS failed, if it is spoken there at all: {error}")
