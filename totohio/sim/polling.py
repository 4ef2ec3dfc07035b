"""The simulated poller: level-triggered as epoll is, but told by the sockets instead of asking them."""

from typing import TYPE_CHECKING, Any

from totohio.base.environing import Attendant
from totohio.base.errors import TotohioError
from totohio.sim.sockets import ENDED, Watched

if TYPE_CHECKING:
    from totohio.sim.hosting import Process


class SimPoller:
    """Tells one process which of its sockets are ready; the order among them is the seed's."""

    def __init__(self, process: "Process") -> None:
        self._process = process
        self._hot: dict[Watched, None] = {}  # those that were ready when last looked at, or have changed

    def register(self, sock: Any, mask: int, attendant: Attendant) -> None:
        """Begin to watch a socket."""
        sock.poller = self
        sock.told = 0
        self.modify(sock, mask, attendant)

    def modify(self, sock: Any, mask: int, attendant: Attendant) -> None:
        """Watch a socket for something else."""
        if not mask:
            sock.told = 0
        sock.mask = mask
        sock.attendant = attendant
        self.touch(sock)

    def unregister(self, sock: Any) -> None:
        """Stop watching a socket; nothing happens when it is not watched."""
        if sock.poller is self:
            sock.poller = sock.attendant = None
            self._hot.pop(sock, None)

    def touch(self, sock: Watched) -> None:
        """A socket may have become ready."""
        if self._found(sock):
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
        found = []
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
        """Forget all sockets; twice does no harm."""
        for sock in list(self._hot):
            sock.poller = sock.attendant = None
        self._hot.clear()

    @staticmethod
    def _found(sock: Watched) -> int:
        if sock.mask:
            return sock.readiness() & sock.mask
        return ENDED if sock.ends() > sock.told else 0
