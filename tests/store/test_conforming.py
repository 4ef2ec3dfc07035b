"""Every store, and every session cache, passes the suite that users can run on theirs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.servers import Redis, redis_server
from totohio import AESCipher, ClientCache, RedisSessionCache, TotoSessionCache
from totohio.base.clocking import Clock, Minter
from totohio.core.ports import Store
from totohio.net.offloading import KernelThreads
from totohio.store.conforming import SessionCacheSuite, StoreSuite
from totohio.store.lmdb import LmdbStore
from totohio.store.memory import MemoryStore
from totohio.store.opening import Reluctant
from totohio.store.reaching import RemoteStore
from totohio.store.redis import RedisDriver
from totohio.store.sealed import sealing_cache

REDIS: dict[str, Redis] = {}


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        REDIS["server"] = server
        yield


class TestMemory(StoreSuite):
    durable = False

    def make(self, folder: Path) -> Store:
        return MemoryStore()


class TestLmdb(StoreSuite):
    def make(self, folder: Path) -> Store:
        return LmdbStore(str(folder / "db"), threads=KernelThreads(), first_size=1 << 20)


class TestLmdbThatIsOpenedWhenItIsNeeded(StoreSuite):
    def make(self, folder: Path) -> Store:
        return Reluctant(LmdbStore(str(folder / "db"), threads=KernelThreads()))


class TestRedis(StoreSuite):
    def make(self, folder: Path) -> Store:
        driver = RedisDriver(REDIS["server"].url, prefix=str(folder))
        return RemoteStore(driver, threads=KernelThreads(), clock=Clock())


class Toy(TotoSessionCache):
    """What a user might write."""

    def __init__(self) -> None:
        self.sessions: dict[str, dict[str, Any]] = {}

    def store_session(self, session_data: dict[str, Any]) -> None:
        self.sessions[session_data["session_id"]] = dict(session_data)

    def load_session(self, session_id: str) -> dict[str, Any] | None:
        return self.sessions.get(session_id)

    def remove_session(self, session_id: str) -> None:
        self.sessions.pop(session_id, None)


class TestToy(SessionCacheSuite):
    def make(self, folder: Path) -> TotoSessionCache:
        return Toy()


class TestRedisSessions(SessionCacheSuite):
    def make(self, folder: Path) -> TotoSessionCache:
        return RedisSessionCache(REDIS["server"].client(), prefix=f"{folder}:")


class TestSealed(SessionCacheSuite):
    keeps_ids = False
    removes = False
    keys: ClassVar[list[bytes]] = [Minter().draw(32)]

    def make(self, folder: Path) -> TotoSessionCache:
        return sealing_cache(self.keys, minter=Minter())


class TestSealedAsTotoDid(SessionCacheSuite):
    keeps_ids = False
    removes = False

    def make(self, folder: Path) -> TotoSessionCache:
        return ClientCache(AESCipher(b"k" * 32, b"i" * 16), b"m" * 32)
