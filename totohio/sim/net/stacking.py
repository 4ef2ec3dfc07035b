"""The network part of a simulated host's kernel: its descriptors, its ports, and who listens on them.

What is simpler than on Linux: only sockets count as descriptors, and a port that was used is free again at once.
"""

import errno
from typing import TYPE_CHECKING, Any

from totohio.sim.net.listening import SimListener
from totohio.sim.net.sockets import OPEN, Address, SimSocket, failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from totohio.sim.hosting import Host
    from totohio.sim.net.networking import Net
    from totohio.sim.pictures.tracing import Detail
    from totohio.sim.processing import Process

FIRST_PORT = 32768  # of those that the kernel chooses, as in ip_local_port_range
LAST_PORT = 60999


class Stack:
    """The network part of one host's kernel: it outlives the processes, but not the power.

    Attributes:
        host: Its host.
        up: The host has power.
        starved: The faults that have left its process without a descriptor, by their index.
        limit: How many sockets its processes may have open.
        open: How many they have.
        sockets: All ends of connections that are not closed.
        listeners: Those that listen, by port or path.
        files: Paths of Unix sockets on which nobody listens any more, and that nobody has removed.
        leaving: Ends that were closed, with a reset or without, by a process that has not come that far in its work.
    """

    def __init__(self, net: "Net", host: "Host", limit: int) -> None:
        self.net = net
        self.host = host
        self.up = True
        self.limit = limit
        self.starved: set[int] = set()
        self.open = 0
        self.sockets: dict[SimSocket, None] = {}
        self.listeners: dict[int | str, SimListener] = {}
        self.files: dict[str, None] = {}
        self.leaving: dict[SimSocket, bool] = {}
        self._ports: set[int] = set()  # of connections that went out from here
        self._port = FIRST_PORT
        self._world = net.world
        self._name = host.name
        self._write: Callable[..., None] = net.world.trace.note

    def note(self, kind: str, *details: "Detail") -> None:
        """Write into the trace."""
        world = self._world
        self._write(world.tyme + world.lag, self._name, kind, *details)

    def mute(self) -> None:
        """Write nothing into the trace any more: the world is over."""
        self._write = _nothing

    def room(self) -> bool:
        """Tell whether a process may open another socket."""
        return self.open < self.limit and not self.starved

    def port(self) -> int:
        """Give a port that nobody uses.

        Raises:
            OSError: All are used.
        """
        for _ in range(FIRST_PORT, LAST_PORT + 1):
            self._port = FIRST_PORT if self._port >= LAST_PORT else self._port + 1
            if self._port not in self._ports and self._port not in self.listeners:
                return self._port
        raise failure(errno.EADDRNOTAVAIL)

    def act(self, owner: "Process | None", function: "Callable[..., object]", *args: Any) -> None:
        """Do what a process asks for: once it has come that far in its work, and not at all when it dies before."""
        world = self._world
        if world.lag and owner is not None and owner is world.current and not owner.dead:
            world.after(0.0, owner.outside, function, *args)
        else:
            function(*args)

    # ------------------------------------------------------------ listening

    def listen(self, owner: "Process", address: Address, backlog: int) -> SimListener:
        """Listen, at any address of the host.

        Raises:
            OSError: The port or path is in use, or there is no descriptor.
        """
        if not self.room():
            raise failure(errno.EMFILE)
        if isinstance(address, str):
            key: int | str = address
            self.files.pop(address, None)
        else:
            key = address[1] or self.port()
            address = (address[0] or "0.0.0.0", key)
        if key in self.listeners:
            raise failure(errno.EADDRINUSE)
        self.open += 1
        listener = self.listeners[key] = SimListener(stack=self, owner=owner, address=address, backlog=backlog)
        return listener

    def unlisten(self, listener: SimListener) -> None:
        """A listener was closed."""
        self.open -= 1
        address = listener.address
        self.listeners.pop(address if isinstance(address, str) else address[1], None)

    # ------------------------------------------------------------ connections

    def adopt(self, sock: SimSocket) -> None:
        """Know an end of a connection, which nobody owns yet."""
        self.sockets[sock] = None

    def own(self, sock: SimSocket, owner: "Process") -> None:
        """An end of a connection belongs to a process from now on, which has a descriptor for it."""
        sock.owner = owner
        self.open += 1

    def occupy(self, port: int) -> None:
        """A connection goes out from this port."""
        self._ports.add(port)

    def release(self, sock: SimSocket) -> None:
        """A connection was closed by its owner."""
        if sock.owner is not None:
            self.open -= 1
        if not isinstance(sock.local, str):
            self._ports.discard(sock.local[1])
        self.sockets.pop(sock, None)
        self.net.forget(sock)

    def leave(self, sock: SimSocket, abrupt: bool) -> None:
        """A connection was closed by its owner: tell the peer, once the owner has come that far, or has died."""
        self.leaving[sock] = abrupt
        self.act(sock.owner, self._depart, sock)

    def _depart(self, sock: SimSocket) -> None:
        abrupt = self.leaving.pop(sock, None)
        if abrupt is not None and sock.state == OPEN:
            sock.part(abrupt)

    # ------------------------------------------------------------ the end

    def end(self, process: "Process") -> None:
        """A process has ended: close what it left open, as the kernel does."""
        for key, listener in list(self.listeners.items()):
            if listener.owner is process:
                listener.close()
                if isinstance(key, str):
                    self.files[key] = None
        for sock in [each for each in self.sockets if each.owner is process]:
            sock.close()
        for sock in [each for each in self.leaving if each.owner is process]:
            self._depart(sock)

    def lose_power(self) -> None:
        """Everything is gone, and nobody is told."""
        self.up = False
        for key, listener in self.listeners.items():
            listener.closed = True
            listener.queue.clear()
            if isinstance(key, str):
                self.files[key] = None
        self.listeners.clear()
        for sock in (*self.sockets, *self.leaving):
            sock.vanish()
            self.net.forget(sock)
        self.sockets.clear()
        self.leaving.clear()
        self._ports.clear()
        self.open = 0


def _nothing(*_: Any) -> None:
    """Do nothing."""
