"""The machine's own sockets: those that listen, and those that connect."""

import contextlib
import errno
import fcntl
import ipaddress
import os
import resource
import socket
import stat
import struct
import sys
import termios
from typing import Any

from totohio.base.environing import Poller
from totohio.net.polling import KernelPoller

COUNT = struct.Struct("i")  # an int of C
LOCAL = "localhost"  # the one name that means the same everywhere, 127.0.0.1
UNDER_WAY = frozenset((0, errno.EINPROGRESS, errno.EINTR))  # connect(2): it goes on by itself


class KernelNetwork:
    """The machine's own sockets.

    Attributes:
        handed: Listening sockets that somebody else has made, by the addresses for which they stand; each is given
            once.
    """

    def __init__(self) -> None:
        self.handed: dict[tuple[str, int] | str, socket.socket] = {}

    def poller(self) -> Poller:
        """Make a poller for them."""
        return KernelPoller()

    def listen(self, address: tuple[str, int] | str, *, backlog: int) -> socket.socket:
        """Give a nonblocking listening socket on a host and port, or on a path for a Unix socket.

        An empty host listens on all interfaces, IPv6 and IPv4. A socket file that nobody listens on
        any more is replaced.

        Raises:
            OSError: The address is in use, unknown or forbidden.
        """
        handed = self.handed.pop(address, None)
        if handed is not None:
            handed.setblocking(False)  # which a socket made of a descriptor does not know it is
            return handed
        sock = _unix_socket(address) if isinstance(address, str) else _inet_socket(*address)
        try:
            sock.listen(backlog)
            sock.setblocking(False)
        except OSError:
            sock.close()
            raise
        return sock

    def connect(self, address: tuple[str, int] | str) -> socket.socket:
        """Give a nonblocking socket that is connecting to a host and port, or to the path of a Unix socket.

        It is writable once it is connected, or has failed; ``SO_ERROR`` tells which. No name is looked up, since
        that would block: the host is a numeric address, or ``localhost``, which means 127.0.0.1.

        Raises:
            OSError: The address is unknown or forbidden, or nobody listens on the path.
        """
        family, target = _target(address)
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            if family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = sock.connect_ex(target)
            if code == errno.EAGAIN:  # a Unix socket's way to say that its backlog is full (unix(7))
                raise ConnectionRefusedError(errno.ECONNREFUSED, "The server's queue of connections is full")
            if code not in UNDER_WAY:
                raise OSError(code, os.strerror(code))
        except (OSError, ValueError):
            sock.close()
            raise
        return sock

    def lookup(self, host: str, port: int) -> list[tuple[str, int]]:
        """Give where a host of that name is, in the order in which the system would have them tried (RFC 6724).

        It blocks, for as long as the system's resolver is told to wait.

        Raises:
            OSError: Nobody knows the name, or it cannot be found out now.
        """
        try:
            if "\0" in host:  # where the system would take it to end
                raise ValueError(host)
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except ValueError:  # what cannot be a name
            raise socket.gaierror(socket.EAI_NONAME, f"{host!r:.100} is no name of a host") from None
        return list(dict.fromkeys((_numbered(place), port) for *_, place in found))

    def queued(self, sock: socket.socket) -> int:
        """Tell how many bytes the kernel keeps that the peer has not taken; 0 when it does not tell."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            return int(COUNT.unpack(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(COUNT.size)))[0])
        return 0

    def descriptors(self) -> int:
        """Tell how many files the process may have open, by its limit."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def listeners(address: tuple[str, int] | str, *, count: int, backlog: int) -> list[socket.socket]:
    """Give listening sockets that share an address, so that the kernel spreads connections over those who have them.

    Connections that wait at one of them wait there for whoever accepts from it next, also while nobody does. On the
    path of a Unix socket, where the kernel cannot do that, there is one for all.

    Raises:
        OSError: The address is in use, unknown or forbidden.
    """
    if isinstance(address, str):
        one = _unix_socket(address)
        one.listen(backlog)
        one.setblocking(False)
        return [one] * count
    made: list[socket.socket] = []
    try:
        with _reserved(*address) as first:  # whoever else listens there without sharing is found here
            family, place = first.family, first.getsockname()
        for _ in range(count):
            sock = _bound(family, place, dual=not address[0], shared=True)
            made.append(sock)
            sock.listen(backlog)
            sock.setblocking(False)
    except OSError:
        for sock in made:
            sock.close()
        raise
    return made


def _reserved(host: str, port: int) -> socket.socket:
    sock = _inet_socket(host, port)
    try:
        sock.listen(1)
    except OSError:
        sock.close()
        raise
    return sock


def _target(address: tuple[str, int] | str) -> tuple[int, Any]:
    """Give the family of an address, and the address as the kernel takes it."""
    if isinstance(address, str):
        return socket.AF_UNIX, address
    host, port = address
    if not 0 < port < 1 << 16:
        raise OSError(errno.EADDRNOTAVAIL, f"{port} is no port to connect to")
    try:
        numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        host = "127.0.0.1" if host == LOCAL else host
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=numeric)
    except (socket.gaierror, ValueError):  # a name, or what cannot even be one
        raise OSError(errno.EADDRNOTAVAIL, f"{host!r} is neither a numeric address nor localhost") from None
    return found[0][0], found[0][4]


def is_numeric(host: str) -> bool:
    """Tell whether a host is one that `KernelNetwork.connect` takes: a numeric address, or ``localhost``."""
    if host == LOCAL:
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _numbered(place: Any) -> str:
    """Give the host of an address of the kernel's, with the number of its interface where only that makes it one."""
    host, _, *more = place
    return f"{host}%{more[1]}" if more and more[1] and "%" not in host else str(host)


def _inet_socket(host: str, port: int) -> socket.socket:
    if not host:
        try:
            return _bound(socket.AF_INET6, ("::", port), dual=True)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise
        return _bound(socket.AF_INET, ("0.0.0.0", port))  # a machine without IPv6
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    found.sort(key=lambda info: info[0] != socket.AF_INET)  # "localhost" means 127.0.0.1 to most clients
    return _bound(found[0][0], found[0][4])


def _bound(family: int, address: Any, *, dual: bool = False, shared: bool = False) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


class UnixListener(socket.socket):
    """A listening Unix socket that takes its file along when it closes."""

    _file: tuple[str, tuple[int, int]] | None = None

    def bind(self, address: Any) -> None:
        """Make the file."""
        super().bind(address)
        self._file = (address, _identity(address))

    def close(self) -> None:
        """Remove the file, unless it is another one by now, and close the socket; twice does no harm."""
        file, self._file = self._file, None
        if file is not None:
            path, identity = file
            with contextlib.suppress(OSError):  # first the file: afterwards it could be that of our successor
                if _identity(path) == identity:
                    os.unlink(path)
        super().close()


def _identity(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino


def _unix_socket(path: str) -> socket.socket:
    _clear_stale(path)
    sock = UnixListener(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
    except OSError:
        sock.close()
        raise
    return sock


def _clear_stale(path: str) -> None:
    """Remove the socket file of a server that is gone; leave any other file alone."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
    except OSError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a server that lives may be too busy to take it
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError:
            return  # it lives, or we may not know: to bind will tell
