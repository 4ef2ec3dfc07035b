"""The simulated poller: level-triggered as epoll is, but told by the sockets instead of asking them.

It behaves as `KernelPoller` does, with these simplifications: a socket is watched by one poller at a time; the order
in which ready sockets are given is the seed's, where the kernel's is that in which they became ready; and nobody can
wait in it, since it is the World that runs the cycles.
"""

from typing import Any, Protocol

from totohio.base.environing import Attendant
from totohio.base.errors import TotohioError

READABLE, WRITABLE, ENDED = 1, 2, 4  # bits of a mask, as in environing.Poller


class Runner(Protocol):
    """The process whose sockets are watched."""

    def shuffle(self, items: list[Any], /) -> None:
        """Put them into an order of the seed's choice."""

    def rouse(self) -> None:
        """Have a cycle come, as soon as it may."""


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


class SimPoller:
    """Tells one process which of its sockets are ready; the order among them is the seed's."""

    def __init__(self, process: Runner) -> None:
        self._process = process
        self._watched: dict[Watched, None] = {}
        self._hot: dict[Watched, None] = {}  # those that were ready when last looked at, or have changed

    def register(self, sock: Any, mask: int, attendant: Attendant) -> None:
        """Begin to watch a socket.

        Raises:
            KeyError: It is watched already.
            ValueError: It is closed.
        """
        if sock.closed:
            raise ValueError(f"{sock!r} is closed")
        if sock.poller is not None:
            raise KeyError(f"{sock!r} is watched already")
        sock.poller = self
        self._watched[sock] = None
        self.modify(sock, mask, attendant)

    def modify(self, sock: Any, mask: int, attendant: Attendant) -> None:
        """Watch a socket for something else.

        Raises:
            KeyError: It is not watched.
        """
        if sock.poller is not self:
            if mask:
                raise KeyError(f"{sock!r} is not watched")
            self.register(sock, mask, attendant)
            return
        sock.told = 0
        sock.mask = mask
        sock.attendant = attendant
        self.touch(sock)

    def unregister(self, sock: Any) -> None:
        """Stop watching a socket; nothing happens when it is not watched."""
        if sock.poller is self:
            sock.poller = sock.attendant = None
            del self._watched[sock]
            self._hot.pop(sock, None)

    def touch(self, sock: Watched) -> None:
        """A socket may have become ready."""
        mask = sock.mask
        if (sock.readiness() & mask) if mask else sock.ends() > sock.told:
            self._hot[sock] = None
            self._process.rouse()

    def heat(self, sock: Watched) -> None:
        """A socket has become ready for something that it is watched for."""
        self._hot[sock] = None
        self._process.rouse()

    def wait(self, seconds: float | None) -> None:
        """Refuse: in the simulation it is the World that waits.

        Raises:
            TotohioError: Always.
        """
        raise TotohioError("nothing in the simulation may wait for its poller: the World runs the cycles")

    def ready(self) -> list[tuple[Attendant, int]]:
        """Give what is ready now."""
        found: list[tuple[Attendant, int]] = []
        if self._hot:
            for sock in list(self._hot):
                mask = self._found(sock)
                if not mask:
                    del self._hot[sock]
                    continue
                if mask == ENDED:
                    sock.told = sock.ends()
                found.append((sock.attendant, mask))
            if len(found) > 1:
                self._process.shuffle(found)
        return found

    def pending(self) -> bool:
        """Tell whether a socket is ready still, after a cycle."""
        if self._hot:
            for sock in list(self._hot):
                if self._found(sock):
                    return True
                del self._hot[sock]
        return False

    def wake(self) -> None:
        """Have a cycle come."""
        self._process.rouse()

    def close(self) -> None:
        """Forget all sockets; twice does no harm, and it can be used again."""
        for sock in self._watched:
            sock.poller = sock.attendant = None
        self._watched.clear()
        self._hot.clear()

    @staticmethod
    def _found(sock: Watched) -> int:
        if sock.mask:
            return sock.readiness() & sock.mask
        return ENDED if sock.ends() > sock.told else 0
