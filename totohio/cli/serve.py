"""``totohio serve``: run a server until a signal ends it."""

import gc
from collections.abc import Callable

from totohio import __version__
from totohio.app.configuring import load, module_path
from totohio.app.reloading import ReloadDoer, repaired, restart
from totohio.app.serving import TotoServer
from totohio.base.errors import TotohioError
from totohio.base.recording import configure
from totohio.cli.parsing import Command, Order
from totohio.cli.printing import silence

YOUNG = 5_000  # objects after which the youngest are looked through: those of some hundred calls, which mostly are gone


def _run(order: Order) -> int:
    settings = load(*order.words, options=order.settings)
    configure(settings.log_level, settings.log_format)
    server = TotoServer(settings=settings)
    try:
        _ = server.built  # what goes wrong while methods are loaded is not the port's fault
    except Exception as error:
        if not settings.autoreload:
            raise
        folders = module_path(settings)
        if repaired(error, package=settings.method_module, folders=folders, files=order.words):
            restart()
        return 0
    gc.collect()
    gc.freeze()  # modules stay as long as the server does, and nothing that is collected needs to be looked for there
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
    changes: list[str] = []
    if settings.autoreload:
        _watch(server, order.words, changes.append)
    opened: list[TotoServer] = []

    def announce(server: TotoServer) -> None:
        opened.append(server)
        _announce(server)

    try:
        status = server.run(on_open=announce)
    except OSError as error:
        if opened:
            raise
        address = settings.uds if settings.uds is not None else f"{settings.host}:{settings.port}"
        raise TotohioError(f"cannot listen on {address}: {error.strerror or error}") from None
    if changes:
        restart()
    return status


def _watch(server: TotoServer, files: list[str], note: Callable[[str], None]) -> None:
    """Have the server look at the files it is made of, and drain when one of them changes."""

    def reload(path: str) -> None:
        note(path)
        server.drain()

    doer = server.built.doer
    packages = getattr(server.built.dispatcher.registry.package, "__path__", [])
    folders = module_path(server.settings)
    doer.doers.append(ReloadDoer(folders=folders, packages=packages, files=files, reload=reload))


def _announce(server: TotoServer) -> None:
    """Say where it listens, in the only line of standard output."""
    try:
        print(f"totohio {__version__} listens on {server.url}", flush=True)
    except OSError:
        silence()


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
    configurable=True,
)
