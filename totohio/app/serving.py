"""TotoServer: the server as its users make it."""

from collections.abc import Callable
from typing import Any

from totohio.app.building import Built, build, initiate, startup
from totohio.app.configuring import load
from totohio.app.noticing import unserved
from totohio.app.placing import Place
from totohio.app.scheduling import TotoDoer
from totohio.app.settings import Settings
from totohio.app.signalling import Signals
from totohio.base.environing import Environment
from totohio.base.recording import CallLog, configure, logger
from totohio.net.kernel import kernel_environment
from totohio.net.polling import PollingDoist


class TotoServer:
    """An RPC server, to run by itself or beside other Doers.

    By itself: ``TotoServer("settings.yaml").run()``. In a larger application, whose Doist may be a stock
    one: ``Doist(doers=[*mine, *TotoServer("settings.yaml").doers])``.

    Attributes:
        settings: Its options.
        environment: Its seams to the world.
    """

    def __init__(
        self,
        conf_file: str | None = None,
        *,
        settings: Settings | None = None,
        environment: Environment | None = None,
        place: Place | None = None,
        **options: Any,
    ) -> None:
        """Read the settings; nothing else happens before `doers` or `run`.

        Args:
            conf_file: A YAML file with options; they go before keyword arguments, those of the environment
                (``TOTOHIO_PORT``) before both.
            settings: Finished settings instead.
            environment: Another world than the machine's, for tests.
            place: Its place among other processes, when a supervisor has started it.
            options: Options by name.

        Raises:
            SettingsError: An option does not exist or cannot have this value.
        """
        self.settings = settings if settings is not None else load(conf_file, arguments=options)
        self.environment = environment if environment is not None else kernel_environment()
        self.place = place
        self._built: Built | None = None
        self._wish: Callable[[TotoDoer], None] | None = None  # how to end, said before there was anything to end

    @property
    def built(self) -> Built:
        """Its parts, put together when they are first asked for.

        Raises:
            SettingsError: A module, file or package that the settings name does not exist or fits nothing.
            LoadError: A method module raises when it is imported.
        """
        if self._built is None:
            call_log = CallLog(clock=self.environment.clock) if self.settings.log_level in ("debug", "info") else None
            self._built = build(self.settings, self.environment, call_log, self.place)
            if self._wish is not None:
                self._wish(self._built.doer)
            keeper = self._built.dispatcher.keeper
            connection = keeper.connect() if keeper is not None else None
            initiate(self.settings, self._built.dispatcher.events)
            startup(self.settings, settings=self.settings, server=self, db_connection=connection)
        return self._built

    @property
    def doers(self) -> list[Any]:
        """The Doers that make it: one, which runs all others."""
        return [self.built.doer]

    @property
    def address(self) -> Any:
        """Where it listens once it has been entered: (host, port), or the path of a Unix socket."""
        return self.built.server.servant.ha

    @property
    def url(self) -> str:
        """The same as a URL: ``http://127.0.0.1:8888``, or ``unix:/path``."""
        if isinstance(self.address, str):
            return f"unix:{self.address}"
        host, port = self.address
        scheme = "https" if self.built.server.secured else "http"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    @property
    def remote_url(self) -> str | None:
        """Where it lends objects once it has been entered: ``totohio://127.0.0.1:8890``; None where it does not."""
        lending = self.built.lending
        if lending is None:
            return None
        host, port = lending.server.servant.ha[:2]
        scheme = "totohio+tls" if lending.server.secured else "totohio"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    def drain(self) -> None:
        """Stop accepting, answer what is in flight, then end; for any thread and for signal handlers."""
        if self._built is None:
            self._wish = self._wish or TotoDoer.drain
        else:
            self._built.doer.drain()

    def stop(self) -> None:
        """End with this cycle; for any thread and for signal handlers."""
        if self._built is None:
            self._wish = TotoDoer.stop
        else:
            self._built.doer.stop()

    def run(self, *, on_open: Callable[["TotoServer"], None] | None = None) -> int:
        """Serve until a signal or `drain` ends it.

        The first SIGTERM or SIGINT drains, the second stops.

        Args:
            on_open: Called once it listens.

        Returns:
            0 when it ended as asked.

        Raises:
            OSError: The address is in use, unknown or forbidden.
            SettingsError: A module, file or package that the settings name does not exist or fits nothing.
            LoadError: A method module raises when it is imported.
        """
        configure(self.settings.log_level, self.settings.log_format, clock=self.environment.clock)
        doist = PollingDoist(doers=self.doers, clock=self.environment.clock)
        if self.settings.log_level == "debug":
            for line in unserved(self.built.dispatcher.registry, self.settings):
                logger().debug("%s", line)
        built = self.built
        signals = Signals(self, outlook=built.doer.outlook, clock=self.environment.clock)

        def entered() -> None:
            signals.watch(built.doer.poller)
            if on_open is not None:
                on_open(self)
            elif built.control is not None:
                built.control.ready()

        built.doer.entered = entered
        with signals:
            doist.do()
        return 0
