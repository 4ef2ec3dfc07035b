"""The World: hosts, network and clients on one virtual time, everything of it decided by one seed."""

import logging
import os
from collections.abc import Callable, Collection, Generator, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self, overload

from totohio.app.configuring import load, module_path
from totohio.app.serving import TotoServer
from totohio.app.settings import Settings
from totohio.base.errors import SettingsError
from totohio.base.futures import Future
from totohio.sim.calling import CallerDoer, Client
from totohio.sim.checking import Checks
from totohio.sim.escaping import Watch
from totohio.sim.faulting import Plan
from totohio.sim.hosting import Boot, Host, Process
from totohio.sim.isolating import Modules, Source, folder, package
from totohio.sim.loading import Load, Loader, poisson
from totohio.sim.networking import Net
from totohio.sim.profiles import Profile, profile
from totohio.sim.scheduling import Schedule, Stuck
from totohio.sim.seeding import Dice
from totohio.sim.tracing import Trace
from totohio.sim.visiting import Workload, perform

EPOCH = 1_800_000_000.0  # Unix seconds at tyme 0: 2027-01-15T08:00:00Z
LIMIT = 3600.0  # seconds of tyme that `run` gives scripts to be done, unless it is told otherwise

Script = Generator[Any, Any, Any]


class World(Schedule):
    """A simulated world, from one seed. Use it in a ``with`` block.

    Attributes:
        seed: Its seed.
        tyme: Virtual time in seconds, from 0.
        epoch: The wall time at tyme 0, Unix seconds.
        trace: What has happened.
        plan: The faults.
        net: The network.
        hosts: The hosts, by name.
        checks: What must hold.
        dice: Chance; take branches of it for what a test itself draws.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        faults: str | Profile = "sunny",
        without: Collection[int] = frozenset(),
        epoch: float = EPOCH,
        allow: Collection[str] = frozenset(),
    ) -> None:
        """Make an empty world.

        Args:
            seed: Decides all that chance decides.
            faults: How rough it is: still, sunny, stormy or radioactive, or a `Profile` of one's own.
            without: Indices of drawn faults that are not to happen.
            epoch: The wall time at tyme 0, Unix seconds.
            allow: What simulated code may reach for though it is not simulated, such as "time.monotonic".

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
        self.current: Process | None = None
        self.ident = 0
        self.graves: list[Process] = []
        self._durations: dict[str, float | Callable[[], float]] = {}
        self._task_dice = self.dice.branch("tasks")
        self._scripts: dict[int, str] = {}
        self._callers: dict[Client, tuple[Process, CallerDoer]] = {}
        self._director: tuple[Process, CallerDoer] | None = None
        self._heals: dict[int, Callable[[], object]] = {}
        self._failure: BaseException | None = None
        self._log = _Log(self)
        self._closed = False

    def __repr__(self) -> str:
        return f"<World {self.seed} at {self.tyme:.6f} s>"

    # ------------------------------------------------------------ its life

    def __enter__(self) -> Self:
        self._log.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, and after a block that went well see whether all that was promised has come to hold.

        Raises:
            CheckFailed: An `eventually` does not hold in its time.
            EscapeError: An exit has reached for the real world.
        """
        try:
            if kind is None and self.checks.pending:
                self.settle()
        finally:
            self.close()
        if kind is None:
            self._raise()

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

    # ------------------------------------------------------------ what is in it

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
            methods: Methods that stand in no file: functions ``invoke``, or source texts, by name.
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
        host.port = settings.port if settings.uds is None else 0
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
        """
        if name in self.hosts:
            raise ValueError(f"there is a host {name} already")
        modules = modules or Modules(tuple(isolate))
        host = Host(self, name, len(self.hosts), boot, modules=modules, fallible=fallible)
        self.hosts[name] = host
        host.start()
        self.judge()
        return host

    def client(
        self, server: Host | tuple[str, int] | str, name: str | None = None, *, timeout: float | None = None
    ) -> Client:
        """Make a scripted client, on a host of its own.

        Args:
            server: Where it connects to.
            name: Of its host; without it, client-1 and so on.
            timeout: Seconds that it waits for a reply; zero for ever, None is a minute.
        """
        name = name or f"client-{sum(1 for each in self.hosts if each.startswith('client-')) + 1}"
        caller = self._caller(name)
        client = caller[1].client(self._address(server), name=name, timeout=timeout, observer=partial(self.note, name))
        self._callers[client] = caller
        return client

    # ------------------------------------------------------------ scripts

    def spawn(self, script: Script, name: str = "", *, on: Client | None = None) -> Future[Any]:
        """Run a script: a generator that yields what it waits for, as methods do. What it raises fails the world.

        Args:
            script: The generator.
            name: For reports.
            on: The client on whose host it runs; without one it runs beside all hosts.

        Returns:
            A Future with what it returns.
        """
        if on is None and self._director is None:
            self._director = self._caller("director")
        caller = self._callers[on] if on is not None else self._director
        assert caller is not None
        return self._start(*caller, script, name)

    def _start(self, process: Process, caller: CallerDoer, script: Script, name: str) -> Future[Any]:
        future: Future[Any] = Future()
        number = self.number()
        self._scripts[number] = name or getattr(script, "__qualname__", repr(script))

        def done(result: Any, error: BaseException | None) -> None:
            del self._scripts[number]
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
                self.fail(error)

        self.soon(process.do, caller.spawn, script, done)
        return future

    @staticmethod
    def _address(server: Host | tuple[str, int] | str) -> tuple[str, int] | str:
        return server if not isinstance(server, Host) else server.path or (server.name, server.port)

    def visit(self, server: Host, script: Workload, *, clients: int = 1, timeout: float | None = None) -> list[Any]:
        """Have clients do the same work at once, and give what they return; `totohio.sim.visit` is its twin.

        Args:
            server: Whom they call.
            script: Makes each client's script: called with the client, and its number from 0 if it takes one.
            clients: How many.
            timeout: Seconds that each waits for a reply; zero for ever, None is a minute.
        """
        made = [self.client(server, timeout=timeout) for _ in range(clients)]
        futures = [self.spawn(perform(script, each, number), each.name, on=each) for number, each in enumerate(made)]
        self.run()
        return [future.result() for future in futures]

    def call(self, server: Host, method: str, parameters: Any = None) -> Any:
        """Call a method once, and run until its result is there."""

        def script(client: Client) -> Script:
            return (yield client.call(method, parameters))

        [result] = self.visit(server, script, timeout=0.0)
        return result

    def load(
        self,
        server: Host,
        method: str,
        parameters: Any = None,
        *,
        rate: float,
        seconds: float,
        timeout: float | None = None,
        name: str = "load",
    ) -> Load:
        """Have calls of a method come at random times, whatever becomes of others, and run until all are answered.

        Args:
            server: Whom they call.
            method: Its dotted name.
            parameters: The same each time; or a function that gives the next call's.
            rate: Calls a second, on average.
            seconds: How long calls come.
            timeout: Seconds that each waits for its reply; zero for ever, None is a minute.
            name: Of the host that they come from.
        """
        process, caller = self._caller(name)
        load = Load()
        loader = Loader(
            caller=caller,
            clock=lambda: self.tyme,
            client=lambda: caller.client(self._address(server), name=name, timeout=timeout),
            load=load,
        )
        gaps = poisson(self.dice.branch("load", name), rate)
        self._start(process, caller, loader.script(method, parameters, gaps, seconds), name)
        self.run(limit=2 * seconds + LIMIT)
        return load

    def _caller(self, name: str) -> tuple[Process, CallerDoer]:
        """Start a host that runs scripts."""
        found: list[CallerDoer] = []

        def boot(process: Process) -> list[Any]:
            found.append(CallerDoer(process.environment))
            return found[-1:]

        process = self.host(name, boot, fallible=False).process
        assert process is not None
        return process, found[0]

    # ------------------------------------------------------------ time

    def run(self, seconds: float | None = None, *, limit: float = LIMIT) -> None:
        """Let time pass: for so many seconds, or until all scripts are done.

        Args:
            seconds: How long; None runs until the scripts are done.
            limit: Seconds after which scripts that are not done fail the world.

        Raises:
            Stuck: Scripts are not done.
            Exception: What a script, a process or a check failed with.
        """
        if seconds is not None:
            self.pass_until(self.tyme + seconds)
            return
        start = self.tyme
        self.pass_until(start + limit, lambda: not self._scripts)
        if self._scripts:
            waiting = ", ".join(self._scripts.values())
            why = f"after {limit:g} seconds" if self.eventful else "and nothing is left that could happen"
            raise Stuck(f"not done {why}: {waiting}")

    def run_until(self, predicate: Callable[[], Any], within: float = LIMIT) -> None:
        """Let time pass until something holds, which is asked after every step.

        Raises:
            Stuck: It does not hold in time.
        """
        if not self.pass_until(self.tyme + within, predicate):
            raise Stuck(f"{getattr(predicate, '__qualname__', predicate)} does not hold after {within:g} seconds")

    def settle(self) -> None:
        """Heal everything, then run until each `eventually` holds.

        Raises:
            CheckFailed: One does not hold within its time.
        """
        self.heal()
        self.checks.heal()
        while (deadline := self.checks.deadline) is not None:
            self.pass_until(deadline, lambda: self.checks.deadline is None)
            self.checks.step()
        self.judge()

    def heal(self) -> None:
        """End the drawn faults: no more strike, and what they broke works again."""
        self.plan.stop()
        for number in list(self._heals):
            self._mend(number)

    # ------------------------------------------------------------ what must hold

    def always(self, name: str, predicate: Callable[[], Any]) -> None:
        """Have something hold from now on, after every step."""
        self.checks.always(name, predicate)

    def eventually(self, name: str, predicate: Callable[[], Any], within: float) -> None:
        """Have something hold within so many seconds once there are no more faults."""
        self.checks.eventually(name, predicate, within)

    def sometimes(self, name: str, condition: Any = True) -> None:
        """Note that something happened that must happen in some runs of a sweep."""
        self.checks.sometimes(name, condition)

    # ------------------------------------------------------------ for its parts

    def note(self, host: str, kind: str, *details: Any) -> None:
        """Write into the trace."""
        self.trace.note(self.tyme + self.lag, host, kind, *details)

    def fail(self, error: BaseException, cause: BaseException | None = None) -> None:
        """Have the run end with an error; the first one counts."""
        if self._failure is None:
            error.__cause__ = cause or error.__cause__
            self._failure = error

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

    def duration(self, task: str, pool: str) -> float:
        """Give how long a task of a worker thread takes."""
        seconds = self._durations.get(task)
        if seconds is None:
            seconds = self._durations.get(pool)
        if seconds is None:
            mean = self.profile.task
            return self._task_dice.exponential(mean) if mean else 0.0
        return seconds() if callable(seconds) else seconds

    def takes(self, task: str, seconds: float | Callable[[], float]) -> None:
        """Say how long a task of worker threads takes.

        Args:
            task: The qualified name of its function, or the name of its TaskQueue.
            seconds: That long each time; or a function that gives how long the next time.
        """
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
        if self.watch.escapes or self._failure is not None:
            self._raise()
        self.checks.step()

    def _raise(self) -> None:
        if self.watch.escapes and self._failure is None:
            self._failure = self.watch.escapes[0]
        if self._failure is not None:
            error, self._failure = self._failure, None
            raise error


class _Log(logging.Handler):
    """Writes what is logged in a world into its trace."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.WARNING)
        self._world = world
        self._logger = logging.getLogger("totohio")

    def listen(self) -> None:
        """Begin."""
        self._logger.addHandler(self)

    def close(self) -> None:
        """End."""
        self._logger.removeHandler(self)
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Note one record."""
        process = self._world.current
        self._world.note(process.host.name if process else "", "log", record.levelname, record.getMessage())
