"""Simulated hosts whose sockets the test holds in its own hands, and a bench of two of them."""

import contextlib
import errno
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.benches import READABLE, Bench
from totohio.base.environing import Poller
from totohio.sim.hosting import Host
from totohio.sim.isolating import Modules
from totohio.sim.net.networking import SimNetwork
from totohio.sim.processing import Process
from totohio.sim.profiles import PROFILES, Profile
from totohio.sim.worlding import World

MOMENT = 0.0078125  # seconds between two looks at what should happen
LONGEST = 300.0  # seconds in which it should
SETTLED = 20.0  # seconds after which nothing more happens by itself, but that TCP tries again

LATENCY = 0.0078125  # seconds; a power of two, so that sums are exact
EVEN = Profile(name="even", latency=(LATENCY, LATENCY), bandwidth=1e30)


class Hand(Process):
    """A process without Doers: the test calls its sockets, between its cycles.

    Attributes:
        cycles: How many it has had since the test asked last.
    """

    def __init__(self, host: Host, number: int = 0) -> None:
        super().__init__(host, number)
        self.cycles = 0
        host.process = self

    @property
    def network(self) -> SimNetwork:
        network = self.environment.network
        assert isinstance(network, SimNetwork)
        return network

    def cycle(self) -> None:
        self.ready = False
        self.cycles += 1


def nobody(_: Process) -> list[Any]:
    raise AssertionError("it runs no Doers")


def hand(world: World, name: str) -> Hand:
    """Add a host to a world, and give the process on it."""
    host = Host(world, name, len(world.hosts), nobody, modules=Modules(()), fallible=False)
    world.hosts[name] = host
    return Hand(host)


def calm(name: str, **changes: Any) -> Profile:
    """A profile as rough as the one of that name, but for its faults."""
    return replace(PROFILES[name], faults={}, **changes)


def even(**changes: Any) -> Profile:
    """A profile in which all takes the same time, but for these changes."""
    return replace(EVEN, **changes)


class SimBench(Bench):
    """Two hosts of a simulated world."""

    def __init__(self, profile: Profile = EVEN, seed: int = 0) -> None:
        super().__init__()
        self.world = World(seed, faults=profile)
        self.client, self.server = hand(self.world, "client"), hand(self.world, "server")
        self.here, self.there = self.client.network, self.server.network

    def free(self) -> Any:
        return "", 0

    def reach(self, listener: Any) -> Any:
        return "server", listener.getsockname()[1]

    def arrives(self, sock: Any) -> float:
        """Let time pass until there is something to receive, and give how long that took."""
        start = self.world.tyme
        self.world.run_until(lambda: sock.readiness() & READABLE)
        return self.world.tyme - start

    def drain_all(self, sock: Any) -> tuple[bytes, str | None]:
        """Receive all that is there, and the error that comes after it; None at the end, or when there is no more."""
        data = b""
        while True:
            try:
                piece = sock.recv(65536)
            except BlockingIOError:
                return data, None
            except OSError as error:
                return data, errno.errorcode[error.errno or 0]
            if not piece:
                return data, None
            data += piece

    def notes(self, host: str = "") -> list[tuple[Any, ...]]:
        """Kinds and details of what the trace tells of connections; of one host, or of all."""
        return [entry[2:] for entry in self.world.trace.entries if entry[1] == host or (entry[1] and not host)]

    def vacant(self) -> Any:
        return "server", 80

    def settle(self) -> None:
        self.world.run(SETTLED)

    def until(self, condition: Callable[[], Any]) -> None:
        world = self.world
        last = world.tyme + LONGEST
        while not condition():
            assert world.tyme < last, "it never happened"
            world.run(MOMENT)

    @contextlib.contextmanager
    def exhausted(self) -> Iterator[None]:
        stacks = {process.host.stack: process.host.stack.limit for process in (self.client, self.server)}
        for stack in stacks:
            stack.limit = stack.open
        yield
        for stack, limit in stacks.items():
            stack.limit = limit

    def woken(self, poller: Poller) -> bool:
        self.settle()
        cycles, self.client.cycles = self.client.cycles, 0
        return bool(cycles)

    def close(self) -> None:
        super().close()
        self.world.close()


class SimLoopBench(SimBench):
    """One simulated host that connects to itself."""

    def __init__(self, profile: Profile, seed: int = 0) -> None:
        super().__init__(profile, seed)
        self.server = self.client
        self.there = self.here

    def reach(self, listener: Any) -> Any:
        return "127.0.0.1", listener.getsockname()[1]

    def vacant(self) -> Any:
        return "localhost", 80


class SimUnixBench(SimLoopBench):
    """One simulated host with Unix sockets."""

    def __init__(self, profile: Profile, seed: int = 0) -> None:
        super().__init__(profile, seed)
        self._count = 0

    def free(self) -> Any:
        self._count += 1
        return f"/run/{self._count}"

    def reach(self, listener: Any) -> Any:
        return listener.getsockname()

    def vacant(self) -> Any:
        return self.free()

    def dead(self) -> str:
        path = str(self.free())
        self.there.listen(path, backlog=5)
        self.server.host.kill()
        self.client = self.server = Hand(self.server.host, 1)
        self.here = self.there = self.client.network
        return path
