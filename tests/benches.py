"""Benches for sockets: two places with a network, from one of which connections go to the other, and time between."""

import contextlib
import errno
import os
import resource
import select
import socket
import struct
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import LONG
from totohio.base.environing import Network, Poller
from totohio.net.networking import KernelNetwork

READABLE, WRITABLE, ENDED = 1, 2, 4
BOTH = READABLE | WRITABLE
RESET = struct.pack("ii", 1, 0)  # SO_LINGER, on and zero seconds
PERIOD = 251  # bytes; no power of two, so that a piece out of place shows
PATTERN = bytes(range(PERIOD)) * 1044
LARGE = 64 << 20  # bytes that no pair of sockets takes without a reader
MOMENT = 0.005  # seconds in which the machine's loopback delivers all that is under way


class Watcher:
    """Stands for whoever watches a socket; the tests ask the poller themselves."""

    def attend(self, mask: int) -> None:
        raise AssertionError("nobody runs cycles here")


class Bench:
    """Where sockets are tested.

    Attributes:
        here: The network of the place that connects.
        there: The network of the place that listens.
    """

    here: Network
    there: Network

    def __init__(self) -> None:
        self._kept: list[Any] = []

    # ------------------------------------------------------------ what differs

    @abstractmethod
    def free(self) -> Any:
        """An address to listen at."""

    @abstractmethod
    def reach(self, listener: Any) -> Any:
        """The address at which a listener is reached from here."""

    @abstractmethod
    def vacant(self) -> Any:
        """An address that could be listened at, and is not."""

    @abstractmethod
    def dead(self) -> str:
        """The path of a socket whose listener died."""

    @abstractmethod
    def settle(self) -> None:
        """Let happen what happens by itself."""

    @abstractmethod
    def until(self, condition: Callable[[], Any]) -> None:
        """Let time pass until it holds."""

    @abstractmethod
    def exhausted(self) -> AbstractContextManager[None]:
        """Have no descriptors left meanwhile, here and there."""

    @abstractmethod
    def woken(self, poller: Poller) -> bool:
        """Tell whether who waits in a poller of ``here`` has been woken, and forget that."""

    # ------------------------------------------------------------ connections

    def listen(self, backlog: int = 5) -> Any:
        return self.keep(self.there.listen(self.free(), backlog=backlog))

    def connect(self, listener: Any) -> Any:
        """Begin a connection."""
        return self.keep(self.here.connect(self.reach(listener)))

    def connected(self, listener: Any) -> Any:
        """Connect, and have the connection wait to be accepted."""
        ours = self.connect(listener)
        self.until(lambda: self.ready(ours) == WRITABLE)
        self.settle()
        return ours

    def accept(self, listener: Any) -> Any:
        """Accept the connection that waits."""
        sock, _ = listener.accept()
        sock.setblocking(False)
        return self.keep(sock)

    def pair(self) -> tuple[Any, Any]:
        """A connection: the end that connected, and the one that was accepted."""
        listener = self.listen()
        ours = self.connected(listener)
        theirs = self.accept(listener)
        listener.close()
        return ours, theirs

    def keep(self, thing: Any) -> Any:
        """Have it closed after the test."""
        self._kept.append(thing)
        return thing

    def close(self) -> None:
        for each in self._kept:
            each.close()

    # ------------------------------------------------------------ bytes

    def give(self, sock: Any, data: bytes) -> None:
        """Send all of it, and let it arrive."""
        view = memoryview(data)
        while view:
            self.until(lambda: self.ready(sock, WRITABLE))
            view = view[sock.send(view) :]
        self.settle()

    def take(self, sock: Any, size: int) -> bytes:
        """Receive that many bytes."""
        data = b""
        while len(data) < size:
            piece = self.piece(sock, size - len(data))
            assert piece, f"it ended after {data!r}"
            data += piece
        return data

    def piece(self, sock: Any, size: int = 65536) -> bytes:
        """Receive what there is, as soon as there is something; nothing is the end."""
        self.until(lambda: self.ready(sock, READABLE))
        data: bytes = sock.recv(size)
        return data

    def drain(self, sock: Any) -> bytes:
        """Receive all that is there."""
        data = b""
        with contextlib.suppress(BlockingIOError):
            while piece := sock.recv(65536):
                data += piece
        return data

    def fill(self, sock: Any) -> int:
        """Send the pattern until nothing more is taken, and give the number of bytes."""
        size, blocked = 0, False
        while size < LARGE:
            try:
                size += sock.send(PATTERN[size % PERIOD :][:100_000])
                blocked = False
            except BlockingIOError:
                if blocked:
                    return size
                blocked = True
                self.settle()
        raise AssertionError("the buffer has no end")

    def abort(self, sock: Any) -> None:
        """Close with a reset, and let it arrive."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        sock.close()
        self.settle()

    # ------------------------------------------------------------ readiness

    def poller(self) -> Poller:
        poller: Poller = self.keep(self.here.poller())
        return poller

    def ready(self, sock: Any, mask: int = BOTH) -> int:
        """For which of these it is ready now."""
        poller = self.here.poller()
        poller.register(sock, mask, Watcher())
        found = self.found(poller)
        poller.unregister(sock)
        poller.close()
        return found

    def found(self, poller: Poller) -> int:
        """What a poller that watches one socket reports now; 0 for nothing."""
        masks = [mask for attendant, mask in poller.ready() if isinstance(attendant, Watcher)]
        assert len(masks) < 2
        return masks[0] if masks else 0


def number(function: Callable[..., Any], *args: Any) -> str:
    """Call it, and give the name of the errno value that it raises."""
    with pytest.raises(OSError, match=r".+") as caught:
        function(*args)
    return errno.errorcode[caught.value.errno or 0]


def pending(sock: Any) -> str | None:
    """The name of the error that SO_ERROR tells, which takes it away; None without one."""
    value = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return errno.errorcode[value] if value else None


class KernelBench(Bench):
    """The machine's own sockets on its loopback."""

    def __init__(self) -> None:
        super().__init__()
        self.here = self.there = KernelNetwork()

    def free(self) -> Any:
        return "127.0.0.1", 0

    def reach(self, listener: Any) -> Any:
        return listener.getsockname()

    def vacant(self) -> Any:
        taken = self.keep(socket.socket())
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()

    def settle(self) -> None:
        select.select([], [], [], MOMENT)

    def until(self, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + LONG
        while not condition():
            assert time.monotonic() < deadline, "it never happened"
            select.select([], [], [], MOMENT / 10)

    @contextlib.contextmanager
    def exhausted(self) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest = os.open(os.devnull, os.O_RDONLY)  # the next descriptor would have this number, which is too high now
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def woken(self, poller: Poller) -> bool:
        others = [(each, mask) for each, mask in poller.ready() if not isinstance(each, Watcher)]
        for attendant, mask in others:
            attendant.attend(mask)
        return bool(others)


class KernelUnixBench(KernelBench):
    """The machine's own Unix sockets, in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._count = 0

    def free(self) -> Any:
        self._count += 1
        return str(self._folder / str(self._count))

    def vacant(self) -> Any:
        return self.free()

    def dead(self) -> str:
        path = str(self._folder / "dead")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path)
        return path
