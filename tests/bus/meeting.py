"""Buses that meet: on the kernel's sockets, and in a simulated world."""

from collections.abc import Callable, Sequence
from typing import Any

from totohio.base.clocking import Clock, Minter
from totohio.base.doing import Doer
from totohio.bus.conforming import Witness
from totohio.bus.peers import PeerBus
from totohio.core.ports import Bus
from totohio.net.linking import Address
from totohio.net.networking import KernelNetwork
from totohio.net.offloading import Inbox, KernelThreads
from totohio.sim import World
from totohio.sim.processing import Process
from totohio.wire.peering import key_of

MOMENT = 0.001  # seconds that a cycle waits
KEY = key_of("open sesame")


class KernelTable:
    """Where buses of the kernel's sockets and threads go on, all in one thread."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.minter = Minter()
        self.network = KernelNetwork()
        self.poller = self.network.poller()
        self.inbox = Inbox(self.poller.wake, lambda: 1)
        self.threads = KernelThreads(self.inbox.post)
        self.witnesses: list[Witness] = []

    def seat(self, buses: Sequence[Bus]) -> list[Witness]:
        """Open buses, each with a witness."""
        made = [Witness(bus) for bus in buses]
        for witness in made:
            witness.open(self.clock.monotonic())
        self.witnesses += made
        return made

    def cycle(self) -> None:
        """Wait a moment, and have everybody go on."""
        self.poller.wait(MOMENT)
        for attendant, mask in self.poller.ready():
            attendant.attend(mask)
        self.inbox.drain(1000)
        for witness in self.witnesses:
            witness.service(self.clock.monotonic())

    def peers(self, addresses: Sequence[Address], **options: Any) -> list[PeerBus]:
        """Make buses of peers, one at each address."""
        return [
            PeerBus(
                network=self.network,
                poller=self.poller,
                minter=self.minter,
                key=KEY,
                listen=[address],
                dial=[each for each in addresses if each != address],
                **options,
            )
            for address in addresses
        ]

    def close(self) -> None:
        """Close everything."""
        for witness in self.witnesses:
            witness.bus.close()
        self.poller.close()


class BusDoer(Doer):
    """Runs the bus of one simulated process."""

    def __init__(self, process: Process, make: Callable[[Process, Any], Bus]) -> None:
        super().__init__()
        self.process = process
        self.poller = process.environment.network.poller()
        self.inbox = Inbox(self.poller.wake, process.environment.threads.ident)
        process.environment.threads.deliver = self.inbox.post
        self.witness = Witness(make(process, self.poller))

    def due(self, tyme: float) -> float:
        return 0.0 if self.inbox else self.witness.bus.due()

    def enter(self, *, temp: bool | None = None) -> None:
        self.inbox.claim()
        self.witness.open(self.tyme)

    def recur(self, tyme: float) -> bool:
        for attendant, mask in self.poller.ready():
            attendant.attend(mask)
        self.inbox.drain(1000)
        self.witness.service(tyme)
        return False

    def exit(self) -> None:
        self.witness.bus.close()
        self.poller.close()


def seat(world: World, count: int, make: Callable[[Process, Any], Bus]) -> list[BusDoer]:
    """Start hosts, each with a bus."""
    doers: list[BusDoer] = []

    def boot(process: Process) -> list[Any]:
        doers.append(BusDoer(process, make))
        return doers[-1:]

    for number in range(count):
        world.host(f"host-{number}", boot)
    return doers
