"""Simulated stores pass the suite that all stores pass."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sim.keepers import keeper, lmdb, remote, settle
from totohio.base.clocking import Clock
from totohio.base.futures import Future
from totohio.core.ports import Store
from totohio.sim import World
from totohio.store.conforming import StoreSuite


class Simulated(StoreSuite):
    """The suite in a world of its own for each test."""

    world: World

    @pytest.fixture(autouse=True)
    def within(self) -> Iterator[None]:
        with World(7, faults="sunny", epoch=Clock().now()) as self.world:
            self.host = keeper(self.world)
            yield

    def settle(self, store: Store, future: Future[Any]) -> Any:
        return settle(self.world, store, future)


class TestLmdb(Simulated):
    def make(self, folder: Path) -> Store:
        store = lmdb(self.host)
        store.close()
        return store


class TestLmdbAfterItWasKilled(TestLmdb):
    """Each time that it is opened, it is by another process, and finds what is on the disk."""

    def make(self, folder: Path) -> Store:
        self.host.kill()
        self.host.restart()
        return super().make(folder)


class TestRedis(Simulated):
    @pytest.fixture(autouse=True)
    def server(self, within: None) -> None:
        self.redis = self.world.redis()

    def make(self, folder: Path) -> Store:
        return remote(self.host, self.redis)


class TestRedisThatFailsOver(TestRedis):
    """Each time that it is opened, another host is the primary."""

    @pytest.fixture(autouse=True)
    def server(self, within: None) -> None:
        self.redis = self.world.redis(replica=True)

    def make(self, folder: Path) -> Store:
        self.world.run(2.0)
        self.redis.failover()
        return remote(self.host, self.redis)


del Simulated, StoreSuite  # they are no tests by themselves
