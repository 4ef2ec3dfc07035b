"""From settings to stores: which adapter keeps the records, chosen here and nowhere else."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from totohio.base.environing import Environment
from totohio.base.errors import SettingsError
from totohio.base.futures import Future
from totohio.core.caching import TotoSessionCache
from totohio.core.ports import Store, Transaction
from totohio.store.memory import MemoryStore
from totohio.store.reaching import RemoteStore

KEY = 32  # bytes of a key that sessions are sealed with


class Databases(Protocol):
    """Opens databases; the machine's, or those of a simulation."""

    def lmdb(self, settings: Any, environment: Environment) -> Store:
        """Give the store in the files of ``settings.database_path``."""

    def redis(self, settings: Any, environment: Environment) -> Store:
        """Give the store in the Redis server of ``settings.database_url``."""


class KernelDatabases:
    """The databases of the machine."""

    def lmdb(self, settings: Any, environment: Environment) -> Store:
        """Give the store in the files of ``settings.database_path``."""
        from totohio.store.lmdb import LmdbStore

        return LmdbStore(
            settings.database_path,
            threads=environment.threads,
            max_size=settings.database_max_size,
        )

    def redis(self, settings: Any, environment: Environment) -> Store:
        """Give the store in the Redis server of ``settings.database_url``.

        Raises:
            SettingsError: The URL is none.
        """
        from totohio.store.redis import RedisDriver

        try:
            driver = RedisDriver(
                settings.database_url,
                prefix=settings.database_prefix,
                timeout=settings.database_timeout,
                replicas=settings.redis_replicas,
            )
        except ValueError as error:
            raise SettingsError(f"database_url: {error}") from None
        return RemoteStore(driver, threads=environment.threads, clock=environment.clock)


class Reluctant:
    """A local store that is opened when it is first asked for something, so that servers without sessions need none.

    Attributes:
        store: The store itself.
        opened: It is open.
        tell: Called with the store itself once it is open, so that whoever uses it can do without this one.
        local: It gives records at once.
    """

    local = True

    def __init__(self, store: Store) -> None:
        self.store = store
        self.opened = False
        self.tell: Callable[[Store], object] = lambda store: None

    def __repr__(self) -> str:
        return repr(self.store)

    @property
    def raw(self) -> Any:
        """What the store is made of."""
        return getattr(self._ready(), "raw", None)

    def open(self) -> None:
        """Wait to be asked."""

    def close(self) -> None:
        """Close the store, if it was opened."""
        if self.opened:
            self.opened = False
            self.store.close()

    def read(self, key: bytes) -> bytes | None:
        """Give the value of a record."""
        return self._ready().read(key)

    def load(self, keys: Sequence[bytes]) -> Future[list[bytes | None]]:
        """Give the values of records."""
        return self._ready().load(keys)

    def commit(self, transactions: Sequence[Transaction]) -> Future[list[bool]]:
        """Apply transactions."""
        return self._ready().commit(transactions)

    def sweep(self, now: float, limit: int) -> Future[int]:
        """Remove records that have expired."""
        return self._ready().sweep(now, limit)

    def _ready(self) -> Store:
        if not self.opened:
            self.store.open()
            self.opened = True
            self.tell(self.store)
        return self.store


def make(settings: Any, environment: Environment) -> Store:
    """Give the store that the settings name; it is opened by whoever uses it.

    Raises:
        SettingsError: They name one that cannot be.
    """
    if settings.database == "memory":
        return MemoryStore()
    databases: Databases = environment.databases or KernelDatabases()
    if settings.database == "redis":
        return databases.redis(settings, environment)
    return Reluctant(databases.lmdb(settings, environment))


def opened(store: Store) -> bool:
    """Tell whether a store has been opened."""
    return store.opened if isinstance(store, Reluctant) else True


def cache(settings: Any, environment: Environment) -> TotoSessionCache | None:
    """Give what keeps sessions in place of the store, where the settings want that.

    Raises:
        SettingsError: A key is none.
    """
    if settings.session_keys is None:
        return None
    from totohio.store.sealed import sealing_cache

    keys = [_key(text) for text in settings.session_keys.split(",")]
    return sealing_cache(keys, minter=environment.minter, max_size=settings.session_max_size)


def _key(text: str) -> bytes:
    plain = text.strip().replace("-", "+").replace("_", "/").rstrip("=")
    try:
        key = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise SettingsError("session_keys: not base64") from None
    if len(key) != KEY:
        raise SettingsError(f"session_keys: a key has {KEY} bytes, not {len(key)}")
    return key
