"""Opens simulated databases for a simulated process."""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from totohio.base.environing import Environment
from totohio.base.errors import SettingsError
from totohio.sim.stores.answering import PORT
from totohio.sim.stores.blocking import BlockingThreads
from totohio.sim.stores.events import SimLog
from totohio.sim.stores.lmdb import Database, SimLmdb
from totohio.sim.stores.redis import SimDriver
from totohio.sim.working import SimThreads
from totohio.store.reaching import RemoteStore

if TYPE_CHECKING:
    from totohio.sim.processing import Process


class SimDatabases:
    """The databases of a simulated process; the simulated side of `store.opening.KernelDatabases`."""

    def __init__(self, process: "Process") -> None:
        self._process = process
        self._open: dict[str, Database] = {}

    def lmdb(self, settings: Any, environment: Environment) -> SimLmdb:
        """Give the store in the files of ``settings.database_path`` on the process's host."""
        return SimLmdb(
            settings.database_path,
            find=self.find,
            threads=self._threads(environment),
            max_size=settings.database_max_size,
        )

    def redis(self, settings: Any, environment: Environment) -> RemoteStore:
        """Give the store in the simulated Redis of ``settings.database_url``.

        Raises:
            SettingsError: There is none of that name.
        """
        return RemoteStore(self._driver(settings), threads=self._threads(environment), clock=environment.clock)

    def _driver(self, settings: Any) -> SimDriver:
        parts = urlsplit(settings.database_url)
        name = parts.hostname or ""
        server = self._process.world.databases.get(name)
        if server is None:
            raise SettingsError(f"database_url: there is no Redis {name} in this world; world.redis makes one")
        sentinel = parts.scheme.endswith("+sentinel")

        def address() -> tuple[str, int]:
            return server.primary.name if sentinel else name, PORT

        return SimDriver(self._process, address, timeout=settings.database_timeout, replicas=settings.redis_replicas)

    def log(self, settings: Any, environment: Environment) -> SimLog:
        """Give the log in the simulated Redis of ``settings.database_url``.

        Raises:
            SettingsError: There is none of that name.
        """
        return SimLog(self._driver(settings), environment.minter, keep=settings.event_queue)

    def threads(self, environment: Environment) -> BlockingThreads:
        """Give the threads in which it is asked."""
        return self._threads(environment)

    def find(self, path: str) -> Database:
        """Give the database in a folder, which all servers of the process share.

        Raises:
            OSError: The disk fails.
        """
        database = self._open.get(path)
        if database is None:
            database = self._open[path] = Database(self._process, path)
        return database

    def _threads(self, environment: Environment) -> BlockingThreads:
        threads = environment.threads
        assert isinstance(threads, SimThreads)
        return BlockingThreads(self._process, threads)
