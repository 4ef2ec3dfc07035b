"""From settings to buses: how events travel, chosen here and nowhere else."""

from typing import Any, Protocol

from totohio.base.environing import Environment, Poller, Threads
from totohio.base.errors import SettingsError
from totohio.bus.driving import LogDriver
from totohio.bus.listening import read_address
from totohio.bus.memory import MemoryBus
from totohio.bus.peers import PeerBus
from totohio.bus.shared import SharedBus
from totohio.core.ports import Bus
from totohio.net.linking import Address
from totohio.wire.peering import key_of


class Place(Protocol):
    """What a process knows of others on its host; see `app.placing.Place`."""

    @property
    def events(self) -> str:
        """Where it takes events of its siblings."""

    @property
    def siblings(self) -> tuple[str, ...]:
        """Where they do."""

    @property
    def key(self) -> str:
        """A secret that they share."""


class LogServers(Protocol):
    """Opens logs of servers; the machine's, or those of a simulation."""

    def log(self, settings: Any, environment: Environment) -> LogDriver:
        """Give the log in the Redis server of ``settings.database_url``."""

    def threads(self, environment: Environment) -> Threads:
        """Give the threads in which it is asked."""


class KernelLogServers:
    """The servers that the machine reaches."""

    def log(self, settings: Any, environment: Environment) -> LogDriver:
        """Give the log in the Redis server of ``settings.database_url``.

        Raises:
            SettingsError: The URL is none.
        """
        from totohio.bus.redis import RedisLog

        try:
            return RedisLog(
                settings.database_url,
                prefix=settings.database_prefix,
                timeout=settings.database_timeout,
                minter=environment.minter,
                clock=environment.clock,
                keep=settings.event_queue,
            )
        except ValueError as error:
            raise SettingsError(f"database_url: {error}") from None

    def threads(self, environment: Environment) -> Threads:
        """Give the threads in which it is asked."""
        return environment.threads


def make(settings: Any, environment: Environment, poller: Poller, place: Place | None = None) -> Bus:
    """Give the bus that the settings name; it is opened by whoever uses it.

    Raises:
        SettingsError: Something that it needs is not there, or is no address.
    """
    kind = settings.event_bus
    if kind == "auto":
        kind = "memory" if settings.event_mode == "off" and place is None else "peers"
    if kind == "memory":
        return MemoryBus(environment.minter)
    if kind == "redis":
        servers: LogServers = environment.databases or KernelLogServers()
        return SharedBus(
            servers.log(settings, environment),
            threads=servers.threads(environment),
            minter=environment.minter,
            queue=settings.event_queue,
            max_size=settings.event_max_size,
        )
    return _peers(settings, environment, poller, place)


def _peers(settings: Any, environment: Environment, poller: Poller, place: Place | None) -> PeerBus:
    listen: list[Address] = []
    dial: list[Address] = []
    secret = settings.event_key
    if settings.event_mode != "off" or place is None:
        if secret is None:
            raise SettingsError("event_key: needed when events travel between hosts (event_mode)")
        listen.append((settings.event_host, settings.event_port))
    if place is not None:
        listen.append(place.events)
        dial += place.siblings
        secret = secret or place.key
    try:
        dial += [read_address(text) for text in settings.remote_event_receivers.split(",") if text.strip()]
    except ValueError as error:
        raise SettingsError(f"remote_event_receivers: {error}") from None
    return PeerBus(
        network=environment.network,
        poller=poller,
        minter=environment.minter,
        key=key_of(secret),
        listen=listen,
        dial=dial,
        queue=settings.event_queue,
        max_size=settings.event_max_size,
    )
