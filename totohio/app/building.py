"""The only composition root: settings and an Environment in, a server of Doers out."""

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from totohio.app.batching import BatchDoer
from totohio.app.configuring import module_path
from totohio.app.conveying import LendingSockets
from totohio.app.dispatching import Dispatcher
from totohio.app.eventing import EventManager
from totohio.app.keeping import Keeper
from totohio.app.lending import LendingDoer, LendingHouse
from totohio.app.placing import ControlDoer, Place
from totohio.app.probing import Probes
from totohio.app.scheduling import CallDoer, SilentDoer, TotoDoer
from totohio.app.settings import Settings
from totohio.app.socketing import Sockets
from totohio.app.storing import SessionDoer
from totohio.app.telling import EventDoer, Teller
from totohio.app.transcribing import TranscriptDoer
from totohio.base.environing import Environment, Poller
from totohio.base.errors import SettingsError, TotohioError
from totohio.base.recording import CallLog, RecordDoer
from totohio.bus import opening
from totohio.core import importing
from totohio.core.invoking import Lot
from totohio.core.registering import Registry
from totohio.net.accepting import Servant
from totohio.net.linking import Address
from totohio.net.offloading import DRAIN_LIMIT, Inbox, OffloadDoer
from totohio.net.securing import server_context
from totohio.net.serving import Bounds, Server, ServerDoer
from totohio.wire.packing import Packer
from totohio.wire.requesting import Limits

SPARE = 32  # descriptors left for files, pollers and other connections than clients'


@dataclass(frozen=True)
class Built:
    """The parts of a server that others need to know.

    Attributes:
        doer: Runs it all.
        server: The HTTP server.
        dispatcher: The application.
        inbox: Takes what other threads want to have done in the cycle.
        environment: Its seams to the world.
        control: Listens to the supervisor; None without one.
        lending: Lends objects; None where none are lent.
    """

    doer: TotoDoer
    server: Server
    dispatcher: Dispatcher
    inbox: Inbox
    environment: Environment
    control: ControlDoer | None = None
    lending: LendingDoer | None = None


def extend_path(settings: Settings) -> None:
    """Put the working directory and the configuration file's folder on the module path."""
    for folder in reversed(module_path(settings)):
        if folder not in sys.path:
            sys.path.insert(0, folder)


def build(
    settings: Settings, environment: Environment, call_log: CallLog | None = None, place: Place | None = None
) -> Built:
    """Put a server together.

    Raises:
        SettingsError: A module, file or package that the settings name does not exist or fits nothing.
        LoadError: A method module raises when it is imported.
    """
    extend_path(settings)
    poller = environment.network.poller()
    inbox = Inbox(poller.wake, environment.threads.ident)
    environment.threads.deliver = inbox.post
    keeper = None
    if settings.database != "none":
        keeper = Keeper(settings, environment, here=inbox.here, post=inbox.post, drain=lambda: inbox.drain(DRAIN_LIMIT))
    dispatcher = Dispatcher(
        registry=Registry.load(settings.method_module),
        packer=Packer(msgpack=settings.msgpack_enabled, bson=settings.bson_enabled),
        lot=Lot(here=inbox.here, wake=poller.wake),
        environment=environment,
        events=_events(settings, environment, inbox, poller, place),
        here=inbox.here,
        post=inbox.post,
        select=settings.method_select,
        root=settings.root,
        allow_origin=settings.allow_origin,
        debug=settings.debug,
        async_timeout=settings.async_timeout,
        max_batch=settings.max_batch,
        max_stream_buffer=settings.max_stream_buffer,
        keeper=keeper,
        log=call_log.append if call_log is not None and call_log.wanted else None,
    )
    server = _server(settings, environment, poller, dispatcher)
    server.drained = dispatcher.drains.drained
    if settings.use_web_sockets:
        module = settings.socket_method_module
        registry = Registry.load(module) if module is not None else dispatcher.registry
        dispatcher.sockets = Sockets(dispatcher, settings, registry, msgpack=settings.msgpack_enabled)
        dispatcher.upgrades.append(dispatcher.sockets)
    lending = _lending(settings, environment, poller, dispatcher) if settings.remote_enabled else None
    dispatcher.probes = Probes(
        health=settings.health_path,
        ready=settings.ready_path,
        retiring=lambda: dispatcher.replier.retiring,
        reachable=getattr(keeper.store, "reachable", _always) if keeper is not None else _always,
    ).paths
    doers: list[Any] = [
        ServerDoer(server) if settings.event_mode != "only" else SilentDoer(server),
        CallDoer(dispatcher, server),
        BatchDoer(dispatcher.batches, settings.batch_slice),
        *([SessionDoer(keeper)] if keeper is not None else []),
        EventDoer(dispatcher.events.teller),
        OffloadDoer(inbox),
        *([lending] if lending is not None else []),
    ]
    if settings.record is not None:
        doers.insert(0, TranscriptDoer(settings=settings, environment=environment, server=server))
    if call_log is not None:
        doers.insert(0, RecordDoer(calls=call_log))  # the first exits last, after those that give calls up
    doer = TotoDoer(
        doers=doers,
        environment=environment,
        poller=poller,
        server=server,
        dispatcher=dispatcher,
        drain_timeout=settings.drain_timeout,
    )
    doer.lending = lending
    control = None
    if place is not None:
        control = _control(place, poller, doer, dispatcher)
        doer.doers.append(control)
    return Built(
        doer=doer,
        server=server,
        dispatcher=dispatcher,
        inbox=inbox,
        environment=environment,
        control=control,
        lending=lending,
    )


def _control(place: Place, poller: Poller, doer: TotoDoer, dispatcher: Dispatcher) -> ControlDoer:
    manager = dispatcher.events

    def meet(path: str) -> None:
        with contextlib.suppress(TotohioError):  # it is known already, or events go another way
            manager.register_server(path)

    def part(path: str) -> None:
        with contextlib.suppress(TotohioError):
            manager.remove_server(path)

    return ControlDoer(place, poller, leave=doer.leave, drain=doer.drain, stop=doer.stop, meet=meet, part=part)


def _events(
    settings: Settings, environment: Environment, inbox: Inbox, poller: Poller, place: Place | None
) -> EventManager:
    teller = Teller(environment=environment, bus=opening.make(settings, environment, poller, place), settings=settings)
    access = _function("event_access_function", settings.event_access_function)
    return EventManager(environment=environment, here=inbox.here, post=inbox.post, teller=teller, access=access)


def _lending(settings: Settings, environment: Environment, poller: Any, dispatcher: Dispatcher) -> LendingDoer:
    keeper = dispatcher.keeper
    if keeper is None:
        raise SettingsError("remote_enabled: a database is needed, whose accounts say who may borrow")
    house = LendingHouse(settings, environment, dispatcher, keeper)
    if settings.remote_path:
        dispatcher.upgrades.append(LendingSockets(house, dispatcher, settings))
    address = (settings.remote_host, settings.remote_port)
    most = settings.remote_max_sessions + SPARE  # who is one too many is the house's affair
    server = _listening(settings, environment, poller, dispatcher, address, most)
    server.steward = house.steward
    server.drained = house.drained
    server.turn_away = house.turn_away  # type: ignore[method-assign, assignment]
    return LendingDoer(house, server)


def _server(settings: Settings, environment: Environment, poller: Any, dispatcher: Dispatcher) -> Server:
    address: Address = settings.uds if settings.uds is not None else (settings.host, settings.port)
    return _listening(settings, environment, poller, dispatcher, address, settings.max_connections)


def _listening(
    settings: Settings, environment: Environment, poller: Any, dispatcher: Dispatcher, address: Address, most: int
) -> Server:
    context = None
    if settings.certfile is not None:
        context = server_context(settings.certfile, settings.keyfile, settings.cafile)
    servant = Servant(
        address=address,
        network=environment.network,
        backlog=settings.backlog,
        context=context,
    )
    limits = Limits(
        max_header_size=settings.max_header_size,
        max_headers=settings.max_headers,
        max_uri_size=settings.max_uri_size,
        max_body_size=settings.max_body_size,
    )
    bounds = Bounds(
        limits=limits,
        request_timeout=settings.request_timeout,
        idle_timeout=settings.idle_timeout,
        write_timeout=settings.write_timeout,
        handshake_timeout=settings.handshake_timeout,
        max_connections=min(most, max(8, environment.network.descriptors() - SPARE)),
        max_write_buffer=settings.max_write_buffer,
    )
    return Server(
        servant=servant,
        poller=poller,
        responder=dispatcher,
        clock=environment.clock,
        bounds=bounds,
        headers=dispatcher.replier.common,
    )


def _always() -> bool:
    return True


def startup(settings: Settings, /, **arguments: Any) -> None:
    """Call the startup function that the settings name, if they name one.

    Raises:
        SettingsError: There is no such function.
        LoadError: Its module raises when it is imported.
    """
    function = _function("startup_function", settings.startup_function)
    if function is not None:
        function(**arguments)


def initiate(settings: Settings, manager: EventManager) -> None:
    """Have the module that the settings name register handlers of events, if they name one.

    Raises:
        SettingsError: There is no such module.
        LoadError: It raises when it is imported.
    """
    if settings.event_init_module is not None:
        function = _function("event_init_module", f"{settings.event_init_module}.invoke")
        assert function is not None
        function(manager)


def _function(option: str, name: str | None) -> Callable[..., Any] | None:
    """Give the function that an option names; None when it names none."""
    if name is None:
        return None
    module_name, _, attribute = name.rpartition(".")
    try:
        function: Callable[..., Any] = getattr(importing.load(module_name), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        raise SettingsError(f"{option}: {error}") from None
    return function
