"""Every bus passes the suite that users can run on theirs, for real."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bus.meeting import KernelTable
from tests.servers import Redis, free_port, redis_server
from totohio.bus.conforming import BusSuite, Witness
from totohio.bus.memory import MemoryBus
from totohio.bus.redis import RedisLog
from totohio.bus.shared import SharedBus

REDIS: dict[str, Redis] = {}


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        REDIS["server"] = server
        yield


class Kernel(BusSuite):
    """The suite on the kernel's sockets."""

    table: KernelTable

    @pytest.fixture(autouse=True)
    def sit(self, tmp_path: Path) -> Iterator[None]:
        self.folder = tmp_path
        self.table = KernelTable()
        yield
        self.table.close()

    def cycle(self) -> None:
        self.table.cycle()

    def leave(self, witness: Witness) -> None:
        self.table.witnesses.remove(witness)
        witness.bus.close()


class TestMemory(Kernel):
    processes = 1

    def make(self, count: int) -> list[Witness]:
        return self.table.seat([MemoryBus(self.table.minter) for _ in range(count)])


class TestPeers(Kernel):
    def make(self, count: int) -> list[Witness]:
        witnesses = self.table.seat(self.table.peers([("127.0.0.1", free_port()) for _ in range(count)]))
        self.until(lambda: all(len(witness.history.logs) == count for witness in witnesses))
        return witnesses


class TestPeersOnUnixSockets(Kernel):
    def make(self, count: int) -> list[Witness]:
        paths = [str(self.folder / f"events-{number}.sock") for number in range(count)]
        witnesses = self.table.seat(self.table.peers(paths))
        self.until(lambda: all(len(witness.history.logs) == count for witness in witnesses))
        return witnesses


class TestRedis(Kernel):
    def make(self, count: int) -> list[Witness]:
        table, url = self.table, REDIS["server"].url
        options = {"timeout": 2.0, "minter": table.minter, "clock": table.clock, "keep": 10_000}
        drivers = [RedisLog(url, prefix=str(self.folder), **options) for _ in range(count)]
        witnesses = table.seat(
            [
                SharedBus(driver, threads=table.threads, minter=table.minter, queue=10_000, max_size=self.largest)
                for driver in drivers
            ]
        )
        self.until(lambda: all(witness.bus._met for witness in witnesses))  # type: ignore[attr-defined]
        return witnesses


del Kernel, BusSuite  # they are no tests by themselves
