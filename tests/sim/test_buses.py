"""Every bus passes the suite that users can run on theirs, in the simulation."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.bus.meeting import KEY, seat
from totohio.bus.conforming import BusSuite, Witness
from totohio.bus.memory import MemoryBus
from totohio.bus.peers import PeerBus
from totohio.bus.shared import SharedBus
from totohio.core.ports import Bus
from totohio.sim import World
from totohio.sim.processing import Process

PORT = 9000


class Simulated(BusSuite):
    """The suite in a world of its own for each test."""

    world: World

    @pytest.fixture(autouse=True)
    def begin(self) -> Iterator[None]:
        with World(7, faults="sunny") as self.world:
            yield

    def cycle(self) -> None:
        for host in self.world.hosts.values():
            if host.process is not None:
                host.process.rouse()
        self.world.run(0.005)

    def leave(self, witness: Witness) -> None:
        [process] = [doer.process for doer in self.doers if doer.witness is witness]
        process.host.kill()

    def within(self, witness: Witness, function: Callable[[], object]) -> None:
        [process] = [doer.process for doer in self.doers if doer.witness is witness]
        process.do(function)

    def bus(self, process: Process, poller: Any) -> Bus:
        raise NotImplementedError

    def make(self, count: int) -> list[Witness]:
        self.doers = seat(self.world, count, self.bus)
        witnesses = [doer.witness for doer in self.doers]
        self.world.run(3.0)
        return witnesses


class TestMemory(Simulated):
    processes = 1

    def bus(self, process: Process, poller: Any) -> Bus:
        return MemoryBus(process.environment.minter)


class TestPeers(Simulated):
    def bus(self, process: Process, poller: Any) -> Bus:
        return PeerBus(
            network=process.environment.network,
            poller=poller,
            minter=process.environment.minter,
            key=KEY,
            listen=[("0.0.0.0", PORT)],
            dial=[(f"host-{number}", PORT) for number in range(3)],
        )


class TestRedis(Simulated):
    @pytest.fixture(autouse=True)
    def server(self, begin: None) -> None:
        self.redis = self.world.redis()

    def bus(self, process: Process, poller: Any) -> Bus:
        from totohio.app.configuring import load

        databases: Any = process.environment.databases
        settings = load(arguments={"database_url": self.redis.url}, environ={})
        return SharedBus(
            databases.log(settings, process.environment),
            threads=databases.threads(process.environment),
            minter=process.environment.minter,
            queue=10_000,
            max_size=self.largest,
        )


del Simulated, BusSuite  # they are no tests by themselves
