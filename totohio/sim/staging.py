"""The Stage: hosts on one virtual time, their network and their faults, everything of it decided by one seed."""

import logging
import os
import re
from collections.abc import Callable, Collection, Mapping
from threading import get_ident
from typing import Any, overload

from totohio.app.configuring import load, module_path
from totohio.app.serving import TotoServer
from totohio.app.settings import Settings
from totohio.base.errors import SettingsError
from totohio.sim.checks.checking import Checks
from totohio.sim.escapes.escaping import Watch
from totohio.sim.escapes.guarding import here
from totohio.sim.faulting import Plan
from totohio.sim.hosting import Host
from totohio.sim.isolating import Modules, Source, folder, package
from totohio.sim.net.networking import Net
from totohio.sim.pictures.tracing import Trace
from totohio.sim.processing import Boot, Process
from totohio.sim.profiles import Profile, profile
from totohio.sim.scheduling import Schedule, check_seconds
from totohio.sim.seeding import Dice
from totohio.sim.stores.redis import SimRedis

ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}")  # of an object in memory, as it is written when it has no better name


class Stage(Schedule):
    """A world without anybody in it: hosts, and what happens to them.

    Attributes:
        seed: Its seed.
        profile: How rough it is.
        epoch: The wall time at tyme 0, Unix seconds.
        trace: What has happened.
        plan: The faults.
        net: The network.
        hosts: The hosts, by name.
        databases: The Redis servers, by the names of their hosts.
        checks: What must hold.
        watch: Looks out for code that reaches for the real world.
        dice: Chance; take branches of it for what a test itself draws.
        ident: The number of the simulated thread that runs now.
        graves: Processes that were killed.
    """

    def __init__(
        self,
        seed: int,
        *,
        faults: str | Profile,
        without: Collection[int],
        epoch: float,
        allow: Collection[str],
    ) -> None:
        """Make an empty one; `World` says of what.

        Raises:
            ValueError: There is no such profile.
        """
        self.profile = faults if isinstance(faults, Profile) else profile(faults)
        self.dice = Dice(seed)
        super().__init__(self.dice.branch("order") if self.profile.latency else None)
        self.seed = seed
        self.epoch = epoch
        self.trace = Trace()
        self.checks = Checks(self)
        self.plan = Plan(self, self.profile, self.dice.branch("faults"), without)
        self.net = Net(self, self.profile, self.dice.branch("net"))
        self.watch = Watch(frozenset(allow))
        self.hosts: dict[str, Host] = {}
        self.databases: dict[str, SimRedis] = {}
        self.ident = 0
        self.graves: list[Process] = []
        self._durations: dict[str, float | Callable[[], float]] = {}
        self._task_dice = self.dice.branch("tasks")
        self._heals: dict[int, Callable[[], object]] = {}
        self._failure: BaseException | None = None
        self._raised = 0  # escapes that somebody has been told of
        self._log = _Log(self)
        self._closed = False
        self._over = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.seed} at {self.tyme:.6f} s>"

    def open(self) -> None:
        """Begin to write what is logged into the trace."""
        self._log.listen()

    def close(self) -> None:
        """End it: exit what runs, clear away what was killed. Twice does no harm."""
        if self._closed:
            return
        self._closed = True
        self.clear()
        self.plan.stop()
        for host in self.hosts.values():
            process = host.process
            if process is not None:
                process.stop()
        for process in self.graves:
            process.bury()
        self._log.close()
        self._over = True
        for host in self.hosts.values():
            host.stack.mute()

    # ------------------------------------------------------------ hosts

    @overload
    def server(
        self,
        conf: str | os.PathLike[str] | None = None,
        *,
        count: None = None,
        name: str = "server",
        methods: Mapping[str, Source] | None = None,
        isolate: Collection[str] = (),
        **options: Any,
    ) -> Host: ...

    @overload
    def server(
        self,
        conf: str | os.PathLike[str] | None = None,
        *,
        count: int,
        name: str = "server",
        methods: Mapping[str, Source] | None = None,
        isolate: Collection[str] = (),
        **options: Any,
    ) -> list[Host]: ...

    def server(
        self,
        conf: str | os.PathLike[str] | None = None,
        *,
        count: int | None = None,
        name: str = "server",
        methods: Mapping[str, Source] | None = None,
        isolate: Collection[str] = (),
        **options: Any,
    ) -> "Host | list[Host]":
        """Start a server on a host of its own, put together as in production; or several, with ``count``.

        Args:
            conf: A YAML file with options.
            count: How many; then they are given as a list, and named with a number.
            name: Of the host.
            methods: Methods that stand in no file: functions ``invoke``, or source texts, by name; ``__init__`` is the
                text of their package.
            isolate: Other packages whose modules each process has copies of, beside those of the methods and of the
                startup function.
            options: Options by name; those of the environment do not count.

        Raises:
            SettingsError: An option does not exist or cannot have this value, or asks for TLS.
        """
        folders: tuple[str, ...] = ()
        if methods is not None:
            package(f"{name}_methods", methods)
            options["method_module"] = f"{name}_methods"
            folders = (folder(f"{name}_methods"),)
        settings = load(conf, arguments={"log_level": "warning", **options}, environ={})
        if settings.certfile is not None:
            raise SettingsError("certfile: the simulated network carries no TLS")
        folders += tuple(module_path(settings))
        named = (settings.method_module, settings.startup_function or "", *isolate)
        roots = tuple(dict.fromkeys(each.partition(".")[0] for each in named if each))
        names = [name] if count is None else [f"{name}-{number + 1}" for number in range(count)]
        hosts = [self._serve(each, settings, Modules(roots, folders)) for each in names]
        return hosts[0] if count is None else hosts

    def _serve(self, name: str, settings: Settings, modules: Modules) -> Host:
        def boot(process: Process) -> list[Any]:
            process.server = TotoServer(settings=settings, environment=process.environment)
            return process.server.doers

        host = self.host(name, boot, modules=modules)
        host.path = settings.uds
        return host

    def host(
        self,
        name: str,
        boot: Boot,
        *,
        modules: Modules | None = None,
        isolate: Collection[str] = (),
        fallible: bool = True,
    ) -> Host:
        """Start a host with Doers of one's own.

        Args:
            name: Of the host; it must be new.
            boot: Called with the `Process` each time it starts; gives its Doers. They reach the world through
                ``process.environment`` alone.
            modules: What is imported anew for each process; mostly made of ``isolate``.
            isolate: Packages whose modules each process has copies of.
            fallible: Drawn faults may crash, kill and pause it.

        Raises:
            ValueError: There is a host of that name.
            BaseException: What its process has raised while it began; there is no such host then.
        """
        if name in self.hosts:
            raise ValueError(f"there is a host {name} already")
        modules = modules or Modules(tuple(isolate))
        host = Host(self, name, len(self.hosts), boot, modules=modules, fallible=fallible)
        self.hosts[name] = host
        try:
            host.start()
        except BaseException:
            del self.hosts[name]  # so that another one can have the name
            raise
        self.judge()
        return host

    def redis(self, name: str = "redis", *, replica: bool = False, everysec: bool = False) -> SimRedis:
        """Start a Redis server on a host of its own: ``world.server(database="redis", database_url=redis.url)``.

        Args:
            name: Of the host; that of a replica is the same with ``-replica``.
            replica: There is another host, which follows it and can take over.
            everysec: It syncs once a second (``appendfsync everysec``), so that a power cut takes back what was
                written in the last one; else before each answer (``always``).

        Raises:
            ValueError: There is a host of that name.
        """
        redis = SimRedis(self, name, replica=replica, everysec=everysec)
        self.databases.update((host.name, redis) for host in redis.hosts)
        return redis

    # ------------------------------------------------------------ faults, and what goes wrong

    def heal(self) -> None:
        """End the drawn faults: no more strike, and what they broke works again."""
        self.plan.stop()
        for number in list(self._heals):
            self._mend(number)

    # ------------------------------------------------------------ for its parts

    def note(self, host: str, kind: str, *details: Any) -> None:
        """Write into the trace, unless the world is over: when its garbage is collected is no part of its history."""
        if self._over:
            return
        self.trace.note(self.tyme + self.lag, host, kind, *details)

    def fail(self, error: BaseException, cause: BaseException | None = None) -> None:
        """Have the run end with an error; the first one counts."""
        if self._failure is None:
            error.__cause__ = cause or error.__cause__
            self._failure = error

    def mourn(self, process: Process) -> None:
        """Keep what is left of a process that was killed, until the world ends; see `burying`."""
        self.graves.append(process)

    def find(self, name: str, here: Host) -> Host:
        """Give the host of that name or address, as ``here`` knows it.

        Raises:
            OSError: There is none.
        """
        if name in ("localhost", "127.0.0.1", "::1", ""):
            return here
        host = self.hosts.get(name)
        if host is None:
            for each in self.hosts.values():
                if each.address == name:
                    return each
            raise OSError(f"there is no host {name}")
        return host

    def duration(self, task: str, pool: str, dice: Dice | None = None) -> float:
        """Give how long a task of a worker thread takes; the dice are those of all tasks unless it has its own."""
        seconds = self._durations.get(task)
        if seconds is None:
            seconds = self._durations.get(pool)
        if seconds is None:
            mean = self.profile.task
            return (dice or self._task_dice).exponential(mean) if mean else 0.0
        return seconds() if callable(seconds) else seconds

    def takes(self, task: str, seconds: float | Callable[[], float]) -> None:
        """Say how long a task of worker threads takes.

        Args:
            task: The qualified name of its function, or the name of its TaskQueue; "lmdb" for commits to such a
                database, "redis" for the syncs of a Redis server.
            seconds: That long each time; or a function that gives how long the next time.

        Raises:
            ValueError: The seconds are negative or not a number.
        """
        if not callable(seconds):
            check_seconds(seconds)
        self._durations[task] = seconds

    def until_healed(self, seconds: float, mend: Callable[[], object]) -> None:
        """Have a fault's damage mended after so many seconds, or when the world is healed before."""
        number = self.number()
        self._heals[number] = mend
        self.after(seconds, self._mend, number)

    def _mend(self, number: int) -> None:
        mend = self._heals.pop(number, None)
        if mend is not None:
            mend()

    def judge(self) -> None:
        """Raise what the run has failed with, and see whether everything holds that must."""
        if len(self.watch.escapes) > self._raised or self._failure is not None:
            self._raise()
        self.checks.step()

    def _raise(self) -> None:
        if len(self.watch.escapes) > self._raised:
            self._failure = self.watch.escapes[self._raised]  # whatever it has led to
            self._raised = len(self.watch.escapes)
        if self._failure is not None:
            error, self._failure = self._failure, None
            raise error


class _Log(logging.Handler):
    """Writes what is logged in a world into its trace: no other thread's doing, nor another world's.

    What is noted must not depend on how loud the logs of this program are, nor on where objects stand in memory.
    """

    def __init__(self, stage: Stage) -> None:
        super().__init__(logging.WARNING)
        self._stage = stage
        self._logger = logging.getLogger("totohio")
        self._thread = 0
        self._loudness: int | None = None  # of the logger before, if it was changed

    def listen(self) -> None:
        """Begin."""
        self._thread = get_ident()
        if self._logger.getEffectiveLevel() > logging.WARNING:
            self._loudness = self._logger.level
            self._logger.setLevel(logging.WARNING)
        self._logger.addHandler(self)

    def close(self) -> None:
        """End."""
        self._logger.removeHandler(self)
        if self._loudness is not None:
            self._logger.setLevel(self._loudness)
            self._loudness = None
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Note one record."""
        stage, entered = self._stage, here.entered
        if get_ident() != self._thread or (entered is not None and entered[0] is not stage.watch):
            return
        process = stage.current
        text = ADDRESS.sub("0x", record.getMessage())
        stage.note(process.host.name if process else "", "log", record.levelname, text)
