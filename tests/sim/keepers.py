"""Stores on hosts of a simulated world, without a server: what a test asks of them, and waits for."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from totohio.base.doing import Doer
from totohio.base.futures import Future
from totohio.core.ports import VERSION, Store, StoreError, Transaction, Write
from totohio.sim import SimRedis, World
from totohio.sim.hosting import Host


def keeper(world: World, name: str = "server") -> Host:
    """A host that may have databases."""
    return world.host(name, lambda process: [Doer()])


def lmdb(host: Host, path: str = "db", max_size: int = 1 << 30) -> Store:
    """Open the database in that folder of a host."""
    process = host.process
    assert process is not None
    settings = SimpleNamespace(database_path=path, database_max_size=max_size)
    store: Store = process.environment.databases.lmdb(settings, process.environment)
    store.open()
    return store


def remote(host: Host, redis: SimRedis, *, timeout: float = 1.0, replicas: int = 0, url: str | None = None) -> Store:
    """Open a Redis of the world from a host."""
    process = host.process
    assert process is not None
    settings = SimpleNamespace(database_url=url or redis.url, database_timeout=timeout, redis_replicas=replicas)
    store: Store = process.environment.databases.redis(settings, process.environment)
    store.open()
    return store


def value(number: int) -> bytes:
    """A value with a version of its own."""
    return number.to_bytes(VERSION, "big") + b"%d" % number


def put(
    number: int, *keys: bytes, expects: int | None = None, key: bytes = b"", lazy: bool = False, expires: float = 0.0
) -> Transaction:
    """Write the same number to all keys, where the record at ``key`` has still the number that is expected."""
    conditions: tuple[tuple[bytes, bytes | None], ...] = ()
    if key:
        conditions = ((key, None if expects is None else value(expects)[:VERSION]),)
    return Transaction(conditions, tuple(Write(each, value(number), expires) for each in keys), lazy)


def number_of(found: bytes | None) -> int | None:
    """The number that a value has."""
    return None if found is None else int(found[VERSION:])


def settle(world: World, store: Store, future: Future[Any], within: float = 30.0) -> Any:
    """Wait for a Future, and give its result."""
    flush = getattr(store, "flush", None)
    if flush is not None:
        flush()
    world.run_until(future.done, within=within)
    return future.result()


def commit(world: World, store: Store, *transactions: Transaction) -> Any:
    """Commit a group; give what came of it, or "failed"."""
    try:
        return settle(world, store, store.commit(transactions))
    except StoreError:
        return "failed"


def numbers(world: World, store: Store, *keys: bytes) -> list[int | None]:
    """The numbers under some keys."""
    return [number_of(found) for found in settle(world, store, store.load(keys))]


def told(world: World, kind: str) -> list[Sequence[Any]]:
    """The entries of the trace of a kind."""
    return [entry for entry in world.trace.entries if entry[2] == kind]
