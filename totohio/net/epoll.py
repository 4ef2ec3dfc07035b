"""What tells which of many sockets are ready: epoll where there is one, else what Python has for this system.

`selectors` has epoll as well, and looks up a tuple of four for each event. A wait that finds one socket takes 2.0
microseconds with it and 1.2 with this, one that finds fifty 27 and 17 (measured, CPython 3.11).
"""

import contextlib
import select
import selectors
from typing import Any, Protocol

READABLE = selectors.EVENT_READ
WRITABLE = selectors.EVENT_WRITE


class Readiness(Protocol):
    """Watches sockets; each has something that is told with it."""

    def register(self, sock: Any, mask: int, told: Any) -> None:
        """Begin to watch a socket.

        Raises:
            KeyError: It is watched already.
            ValueError: It is closed.
            OSError: The kernel watches no more.
        """

    def modify(self, sock: Any, mask: int, told: Any) -> None:
        """Watch it for something else.

        Raises:
            KeyError: It is not watched.
        """

    def unregister(self, sock: Any) -> None:
        """Watch it no more; it may be closed.

        Raises:
            KeyError: It is not watched.
        """

    def found(self, seconds: float | None) -> list[tuple[Any, int]]:
        """Wait until one is ready, for so long at most, and give what is told with each, and for what it is ready."""

    def fileno(self) -> int:
        """The descriptor of the kernel's object."""

    def close(self) -> None:
        """Watch none any more."""


class Epoll:
    """Epoll itself."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, tuple[Any, Any, int]] = {}  # by descriptor: socket, what is told, for what

    def register(self, sock: Any, mask: int, told: Any) -> None:
        """Begin to watch a socket."""
        fd = _descriptor(sock)
        if fd in self._watched:
            raise KeyError(f"{sock!r} is watched already")
        self._epoll.register(fd, _events(mask))
        self._watched[fd] = (sock, told, mask)

    def modify(self, sock: Any, mask: int, told: Any) -> None:
        """Watch it for something else."""
        fd = self._find(sock)
        self._epoll.modify(fd, _events(mask))
        self._watched[fd] = (sock, told, mask)

    def unregister(self, sock: Any) -> None:
        """Watch it no more."""
        fd = self._find(sock)
        del self._watched[fd]
        with contextlib.suppress(OSError):  # it is closed, and so the kernel has forgotten it
            self._epoll.unregister(fd)

    def found(self, seconds: float | None) -> list[tuple[Any, int]]:
        """Wait, and give what is ready."""
        events = self._epoll.poll(seconds if seconds is None or seconds > 0.0 else 0.0)  # less has it wait for ever
        watched, found = self._watched, []
        for fd, event in events:
            entry = watched.get(fd)
            if entry is not None:
                _, told, mask = entry
                if event != READABLE:  # errors and ends are told as whatever the socket is watched for
                    event = (READABLE if event & ~select.EPOLLOUT else 0) | (WRITABLE if event & ~select.EPOLLIN else 0)
                found.append((told, event & mask))
        return found

    def fileno(self) -> int:
        """The descriptor of epoll."""
        return self._epoll.fileno()

    def close(self) -> None:
        """Watch none any more."""
        self._watched.clear()
        self._epoll.close()

    def _find(self, sock: Any) -> int:
        fd: int = sock.fileno()
        entry = self._watched.get(fd)
        if entry is not None and entry[0] is sock:
            return fd
        for fd, (other, _, _) in self._watched.items():  # it was closed before
            if other is sock:
                return fd
        raise KeyError(f"{sock!r} is not watched")


class Portable:
    """Whatever `selectors` finds on this system."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def register(self, sock: Any, mask: int, told: Any) -> None:
        """Begin to watch a socket."""
        self._selector.register(sock, mask, told)

    def modify(self, sock: Any, mask: int, told: Any) -> None:
        """Watch it for something else."""
        self._selector.modify(sock, mask, told)

    def unregister(self, sock: Any) -> None:
        """Watch it no more."""
        self._selector.unregister(sock)

    def found(self, seconds: float | None) -> list[tuple[Any, int]]:
        """Wait, and give what is ready."""
        return [(key.data, mask) for key, mask in self._selector.select(seconds)]

    def fileno(self) -> int:
        """The descriptor of the kernel's object."""
        fileno: int = self._selector.fileno()
        return fileno

    def close(self) -> None:
        """Watch none any more."""
        self._selector.close()


def _descriptor(sock: Any) -> int:
    fd: int = sock.fileno()
    if fd < 0:
        raise ValueError(f"{sock!r} is closed")
    return fd


def _events(mask: int) -> int:
    return (select.EPOLLIN if mask & READABLE else 0) | (select.EPOLLOUT if mask & WRITABLE else 0)
