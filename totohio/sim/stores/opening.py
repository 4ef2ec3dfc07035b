"""Opens simulated databases for a simulated process."""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from totohio.base.environing import Environment
from totohio.base.errors import SettingsError
from totohio.sim.stores.lmdb import Records, SimLmdb
from totohio.sim.stores.redis import SimDriver, SimRedis
from totohio.store.reaching import RemoteStore

if TYPE_CHECKING:
    from totohio.sim.processing import Process


class SimDatabases:
    """The databases of a simulated process; the simulated side of `store.opening.KernelDatabases`."""

    def __init__(self, process: "Process") -> None:
        self._process = process

    def lmdb(self, settings: Any, environment: Environment) -> SimLmdb:
        """Give the store in the files of ``settings.database_path`` on the process's host."""
        host = self._process.host
        path = settings.database_path
        records = host.databases.get(path)
        if not isinstance(records, Records):
            records = host.databases[path] = Records(host.dice.branch("lmdb", path))
        return SimLmdb(path, records=records, files=host.files, threads=environment.threads)

    def redis(self, settings: Any, environment: Environment) -> RemoteStore:
        """Give the store in the simulated Redis server of ``settings.database_url``.

        Raises:
            SettingsError: There is none of that name.
        """
        name = urlsplit(settings.database_url).hostname or ""
        host = self._process.world.hosts.get(name)
        server = host.databases.get("") if host is not None else None
        if not isinstance(server, SimRedis):
            raise SettingsError(f"database_url: there is no Redis server {name} in this world; world.redis makes one")
        driver = SimDriver(self._process, server, timeout=settings.database_timeout)
        return RemoteStore(driver, threads=environment.threads, clock=environment.clock)
