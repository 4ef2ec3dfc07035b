"""From settings to buses: how events travel, chosen here and nowhere else."""

from typing import Any

from totohio.base.environing import Environment, Poller
from totohio.base.errors import SettingsError
from totohio.bus.listening import read_address
from totohio.bus.memory import MemoryBus
from totohio.bus.peers import PeerBus
from totohio.core.ports import Bus
from totohio.net.linking import Address
from totohio.wire.peering import key_of


def make(settings: Any, environment: Environment, poller: Poller) -> Bus:
    """Give the bus that the settings name; it is opened by whoever uses it.

    Raises:
        SettingsError: Something that it needs is not there, or is no address.
    """
    kind = settings.event_bus
    if kind == "auto":
        kind = "memory" if settings.event_mode == "off" else "peers"
    if kind == "memory":
        return MemoryBus(environment.minter)
    return _peers(settings, environment, poller)


def _peers(settings: Any, environment: Environment, poller: Poller) -> PeerBus:
    if settings.event_key is None:
        raise SettingsError("event_key: needed when events travel between hosts (event_mode)")
    listen: list[Address] = [(settings.event_host, settings.event_port)]
    try:
        dial = [read_address(text) for text in settings.remote_event_receivers.split(",") if text.strip()]
    except ValueError as error:
        raise SettingsError(f"remote_event_receivers: {error}") from None
    return PeerBus(
        network=environment.network,
        poller=poller,
        minter=environment.minter,
        key=key_of(settings.event_key),
        listen=listen,
        dial=dial,
        queue=settings.event_queue,
        max_size=settings.event_max_size,
    )
