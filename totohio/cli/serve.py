"""``totohio serve``: run a server until a signal ends it."""

import argparse
import contextlib
import faulthandler
import gc
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from totohio import __version__
from totohio.app.configuring import load, module_path
from totohio.app.locking import PidFile
from totohio.app.notifying import WatchdogDoer, handed_socket, notify, watchdog
from totohio.app.placing import Place, take_place
from totohio.app.processes import processes
from totohio.app.reloading import ReloadDoer, repaired, restart
from totohio.app.settings import Settings
from totohio.app.sharing import Shares
from totohio.app.supervising import Supervisor
from totohio.base.clocking import Clock, Minter
from totohio.base.errors import TotohioError
from totohio.base.recording import configure
from totohio.cli.daemon import ACTIONS, control
from totohio.cli.parsing import Command, Order
from totohio.cli.printing import silence
from totohio.net.kernel import kernel_environment
from totohio.net.linking import Address
from totohio.net.linking import place as written

if TYPE_CHECKING:
    from totohio.app.serving import TotoServer

YOUNG = 5_000  # objects after which the youngest are looked through: those of some hundred calls, which mostly are gone
STDERR = 2  # standard error itself


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--daemon",
        choices=ACTIONS,
        help="start it in the background, stop or restart that one, or tell whether it runs",
    )


def _run(order: Order) -> int:
    place = take_place()  # before the options are read from the environment, for it is none
    settings = load(*order.words, options=order.settings)
    count = processes(settings)
    if order.own.daemon is not None:
        return control(order.own.daemon, settings, _without(sys.argv[2:], "--daemon"))
    configure(settings.log_level, settings.log_format)
    if place is not None:
        return _work(settings, place)
    with contextlib.ExitStack() as stack:
        if settings.pidfile is not None:
            file = PidFile(settings.pidfile)
            file.take()
            stack.callback(file.release)
        return _supervise(settings, count) if count > 1 else _serve(settings, order)


def _without(arguments: list[str], flag: str) -> list[str]:
    """Give arguments without an option and its value."""
    left: list[str] = []
    skip = False
    for argument in arguments:
        if not skip and argument != flag and not argument.startswith(flag + "="):
            left.append(argument)
        skip = argument == flag
    return left


def _serve(settings: Settings, order: Order) -> int:
    """Serve in this process."""
    from totohio.app.serving import TotoServer  # here, so that who starts or supervises others begins without it

    server = TotoServer(settings=settings, environment=kernel_environment(_handed(settings)))
    try:
        _ = server.built  # what goes wrong while methods are loaded is not the port's fault
    except Exception as error:
        if not settings.autoreload:
            raise
        folders = module_path(settings)
        if repaired(error, package=settings.method_module, folders=folders, files=order.words):
            restart()
        return 0
    _tidy()
    changes: list[str] = []
    if settings.autoreload:
        _watch(server, order.words, changes.append)
    if patience := watchdog():
        server.built.doer.doers.append(WatchdogDoer(patience))
        faulthandler.enable(STDERR)  # systemd kills it by SIGABRT as well
    opened: list[TotoServer] = []

    def announce(server: "TotoServer") -> None:
        opened.append(server)
        _announce(server)

    try:
        status = server.run(on_open=announce)
    except OSError as error:
        if opened:
            raise
        raise _deaf(settings, error) from None
    if changes:
        restart()
    return status


def _tidy() -> None:
    """Have the collector look through less."""
    gc.collect()
    gc.freeze()  # modules stay as long as the server does, and nothing that is collected needs to be looked for there
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])


def _deaf(settings: Settings, error: OSError) -> TotohioError:
    return TotohioError(f"cannot listen on {written(_address(settings))}: {error.strerror or error}")


def _address(settings: Settings) -> Address:
    return settings.uds if settings.uds is not None else (settings.host, settings.port)


def _handed(settings: Settings) -> dict[Address, socket.socket]:
    """Give the socket that a service manager has handed over, if it has, in place of that of the settings."""
    sock = handed_socket()
    return {_address(settings): sock} if sock is not None else {}


def _supervise(settings: Settings, count: int) -> int:
    """Run several processes."""
    try:
        shares = Shares(settings, count=count, handed=handed_socket())
    except OSError as error:
        raise _deaf(settings, error) from None
    return Supervisor(
        settings,
        command=[sys.executable, "-m", "totohio", *sys.argv[1:]],
        count=count,
        clock=Clock(),
        minter=Minter(),
        shares=shares,
        on_open=lambda url, remote_url: _say(url, _lent(settings, url, remote_url)),
    ).run()


def _work(settings: Settings, place: Place) -> int:
    """Be one of several processes."""
    from totohio.app.serving import TotoServer

    socks = {
        name: socket.socket(fileno=number)
        for name, number in (("port", place.listen), ("event_port", place.remote), ("remote_port", place.lend))
        if number >= 0
    }
    chosen = {  # by the system: else one address could stand for several sockets
        name: sock.getsockname()[1]
        for name, sock in socks.items()
        if getattr(settings, name) == 0 and sock.family != socket.AF_UNIX
    }
    settings = replace(settings, **chosen)
    handed: dict[Address, socket.socket] = {_address(settings): socks["port"]}
    if "event_port" in socks:
        handed[settings.event_host, settings.event_port] = socks["event_port"]
    if "remote_port" in socks:
        handed[settings.remote_host, settings.remote_port] = socks["remote_port"]
    server = TotoServer(settings=settings, environment=kernel_environment(handed), place=place)
    _ = server.built
    _tidy()
    faulthandler.enable(place.words)  # so that the supervisor, when it kills it for standing still, can log where
    return server.run()


def _lent(settings: Settings, url: str, remote_url: str | None) -> str | None:
    """Give where it lends, over WebSockets as well if it does: they come over what it listens on for calls."""
    path = settings.remote_path
    if remote_url is None or not path or settings.event_mode == "only":
        return remote_url
    web = f"ws{url.removeprefix('http')}{path}" if url.startswith("http") else f"{path} of {url}"
    return f"{remote_url} and {web}"


def _say(url: str, lent: str | None, what: str = "listens on") -> None:
    """Say where it is, and where it lends if it does: in one piece, so that whoever reads one line has both."""
    lines = [f"totohio {__version__} {what} {url}\n"]
    if lent is not None:
        lines.append(f"totohio {__version__} lends at {lent}\n")
    try:
        print("".join(lines), end="", flush=True)
    except OSError:
        silence()


def _watch(server: "TotoServer", files: list[str], note: Callable[[str], None]) -> None:
    """Have the server look at the files it is made of, and drain when one of them changes."""

    def reload(path: str) -> None:
        note(path)
        server.drain()

    doer = server.built.doer
    packages = getattr(server.built.dispatcher.registry.package, "__path__", [])
    folders = module_path(server.settings)
    doer.doers.append(ReloadDoer(folders=folders, packages=packages, files=files, reload=reload))


def _announce(server: "TotoServer") -> None:
    """Say where it listens and lends; standard output has nothing else."""
    lent = _lent(server.settings, server.url, server.remote_url)
    if server.settings.event_mode == "only":
        _say(server.built.dispatcher.events.address or "no port", lent, "exchanges events at")
    else:
        _say(server.url, lent)
    notify("READY=1")


COMMAND = Command(
    name="serve",
    words="[CONF]",
    least=0,
    most=1,
    doc="Serve methods.\n\n"
    "CONF is the configuration file, flat YAML. The methods are a package, called methods unless the option\n"
    "method_module says otherwise, in the working directory or beside CONF. SIGTERM and SIGINT (Ctrl-C) let calls\n"
    "that run end first; a second one ends the server at once.",
    run=_run,
    declare=_declare,
    configurable=True,
)
