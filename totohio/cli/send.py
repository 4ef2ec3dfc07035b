"""``totohio send``: send an event to running servers, from outside."""

import argparse
import math
from typing import Any

from totohio.app.configuring import load
from totohio.app.settings import Settings
from totohio.base.environing import Environment
from totohio.base.errors import SettingsError, TotoException, TotohioError
from totohio.bus import opening
from totohio.bus.driving import Item
from totohio.bus.listening import read_address
from totohio.bus.peers import PeerBus
from totohio.cli.call import parameters_of
from totohio.cli.parsing import Command, Order
from totohio.core.eventing import check_name
from totohio.core.ports import StoreError
from totohio.core.recovering import Event, History
from totohio.net.kernel import kernel_environment
from totohio.net.linking import Address, place
from totohio.wire.packing import encode_msgpack
from totohio.wire.peering import key_of

PATIENCE = 10.0  # seconds until a server has to be reached and to have the event
MOMENT = 0.05  # seconds between two looks
ID = 12  # bytes that tell what is sent twice


class _Nobody:
    """A receiver that wants nothing."""

    def __init__(self) -> None:
        self.history = History(count=0, seconds=0.0, size=0)

    def room(self) -> bool:
        return True

    def receive(self, event: Event, *, old: bool = False) -> None:
        pass

    def missed(self, origin: str, last: int) -> None:
        pass

    def present(self, name: str) -> list[Any]:
        return []

    def roll(self) -> dict[str, list[Any]]:
        return {}

    def turn(self, event: Event, done: Any = None) -> None:
        pass


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--conf", metavar="FILE", help="the configuration file of the servers")
    parser.add_argument("--json", metavar="JSON", help="the arguments as one JSON value; - for standard input")
    parser.add_argument("--one", action="store_true", help="to one process only, not to all")


def _run(order: Order) -> int:
    settings = load(order.own.conf, options=order.settings)
    name, *pairs = order.words
    try:
        check_name(name)
        data = encode_msgpack(parameters_of(pairs, order.own.json))
    except (ValueError, TotoException) as error:
        raise TotohioError(str(error)) from None
    environment = kernel_environment()
    if settings.event_bus == "redis":
        _append(settings, environment, name, data, broadcast=not order.own.one)
    else:
        _deliver(settings, environment, name, data, broadcast=not order.own.one)
    return 0


def _append(settings: Settings, environment: Environment, name: str, data: bytes, *, broadcast: bool) -> None:
    """Put the event into the log of the Redis server."""
    log = opening.KernelLogServers().log(settings, environment)
    try:
        log.append([Item(environment.minter.draw(ID), name, data, broadcast)])
    except StoreError as error:
        raise TotohioError(str(error)) from None
    finally:
        log.close()


def _deliver(settings: Settings, environment: Environment, name: str, data: bytes, *, broadcast: bool) -> None:
    """Connect to servers and send them the event."""
    if settings.event_key is None:
        raise SettingsError("event_key: needed to send events to servers")
    addresses: list[Address] = [(settings.event_host, settings.event_port)]
    try:
        addresses += [read_address(text) for text in settings.remote_event_receivers.split(",") if text.strip()]
    except ValueError as error:
        raise SettingsError(f"remote_event_receivers: {error}") from None
    clock, poller = environment.clock, environment.network.poller()
    bus = PeerBus(
        network=environment.network,
        poller=poller,
        minter=environment.minter,
        key=key_of(settings.event_key),
        dial=addresses,
        max_size=settings.event_max_size,
    )
    bus.open(_Nobody(), clock.monotonic())
    end = clock.monotonic() + PATIENCE
    sent = False
    try:
        while clock.monotonic() < end:
            bus.service(clock.monotonic())
            if not sent and bus.connected():
                sent = True
                if broadcast:
                    bus.send(name, data, broadcast=True)
                else:
                    bus.send_to(place(bus.connected()[0]), name, data)
            if sent and bus.rest():
                return
            poller.wait(min(MOMENT, max(0.0, bus.due() - clock.monotonic())) if bus.due() < math.inf else MOMENT)
            for attendant, mask in poller.ready():
                attendant.attend(mask)
    finally:
        bus.close()
        poller.close()
    raise TotohioError("no server has taken the event" if sent else "no server can be reached")


COMMAND = Command(
    name="send",
    words="NAME [KEY=VALUE ...]",
    least=1,
    most=None,
    doc="Send an event to running servers.\n\n"
    "Its arguments are an object of the KEYs and VALUEs, or what --json says. The servers are those of the options:\n"
    "the Redis server of event_bus redis; otherwise the one at event_host and event_port, and those that\n"
    "remote_event_receivers names, with their event_key.\n\n  totohio send news.today text=Hello --conf settings.yaml",
    run=_run,
    declare=_declare,
    configurable=True,
)
