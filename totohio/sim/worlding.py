"""The World: hosts, network and clients on one virtual time, everything of it decided by one seed."""

from collections.abc import Callable, Collection, Generator, Iterator
from functools import partial
from itertools import chain, count
from types import TracebackType
from typing import Any, Self

from totohio.base.errors import TotohioError
from totohio.base.futures import Future
from totohio.sim.clients.calling import CallerDoer, Client, require_script
from totohio.sim.clients.loading import Load, Loader, poisson
from totohio.sim.clients.visiting import Workload, perform
from totohio.sim.hosting import Host
from totohio.sim.interrupting import Interrupts
from totohio.sim.processing import Process
from totohio.sim.profiles import Profile
from totohio.sim.scheduling import Stuck
from totohio.sim.staging import Stage

EPOCH = 1_800_000_000.0  # Unix seconds at tyme 0: 2027-01-15T08:00:00Z
LIMIT = 3600.0  # seconds of tyme that `run` gives scripts to be done, unless it is told otherwise

Script = Generator[Any, Any, Any]


class World(Stage):
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
        super().__init__(seed, faults=faults, without=without, epoch=epoch, allow=allow)
        self._scripts: dict[int, tuple[Process, str, Future[Any]]] = {}
        self._unbegun: dict[int, None] = {}
        self._interrupts = Interrupts(self.fail)
        self._names = map("client-{}".format, count(1))
        self._callers: dict[Client, tuple[Process, CallerDoer]] = {}
        self._director: tuple[Process, CallerDoer] | None = None

    # ------------------------------------------------------------ its life

    def __enter__(self) -> Self:
        self.open()
        self._interrupts.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, and after a block that went well see whether all that was promised has come to hold.

        Raises:
            CheckFailed: An `eventually` does not hold in its time.
            EscapeError: An exit has reached for the real world.
            KeyboardInterrupt: Ctrl-C has come, though somebody has swallowed it.
            Stuck: There are scripts that had no time to begin.
        """
        __tracebackhide__ = True
        try:
            if kind is None and self.checks.pending:
                self.settle()
        finally:
            self.close()
            self._interrupts.end()
        if self._interrupts.error is not None and self._interrupts.error is not error:
            raise self._interrupts.error
        if kind is None:
            self._raise()
            if self._unbegun:
                names = ", ".join(self._scripts[number][1] for number in self._unbegun)
                raise Stuck(f"never begun: {names}; a script runs while time passes, as in world.run()")

    def fail(self, error: BaseException, cause: BaseException | None = None) -> None:
        """Have the run end with an error; the first one counts."""
        self._unbegun.clear()  # what had no time to begin is none the worse for it
        super().fail(error, cause)

    # ------------------------------------------------------------ clients and their scripts

    def client(
        self, server: Host | tuple[str, int] | str, name: str | None = None, *, timeout: float | None = None
    ) -> Client:
        """Make a scripted client, on a host of its own.

        Args:
            server: Where it connects to.
            name: Of its host; without it, client-1 and so on.
            timeout: Seconds that it waits for a reply; zero for ever, None is a minute.

        Raises:
            TotohioError: The server listens on a Unix socket of its own host.
            ValueError: There is a host of that name.
        """
        address = self._address(server)
        name = name or self._vacant(self._names)
        caller = self._caller(name)
        client = caller[1].client(address, name=name, timeout=timeout, observer=partial(self.note, name))
        self._callers[client] = caller
        return client

    def spawn(self, script: Script, name: str = "", *, on: Client | None = None) -> Future[Any]:
        """Run a script: a generator that yields what it waits for, as methods do. What it raises fails the world.

        Args:
            script: The generator.
            name: For reports.
            on: The client on whose host it runs; without one it runs beside all hosts.

        Returns:
            A Future with what it returns; it is cancelled when the client's host crashes or is killed before.

        Raises:
            TypeError: It is no script.
            TotohioError: The client's host has crashed or was killed, even if it was started again.
        """
        if on is None and self._director is None:
            self._director = self._caller("director")
        caller = self._callers[on] if on is not None else self._director
        assert caller is not None
        return self._start(*caller, script, name)

    def _start(self, process: Process, caller: CallerDoer, script: Script, name: str) -> Future[Any]:
        require_script(script)
        if process.dead:
            raise TotohioError(f"no script runs on {process.host.name} any more, which has crashed or was killed")
        future: Future[Any] = Future()
        number = self.number()
        self._unbegun[number] = None
        self._scripts[number] = process, name or getattr(script, "__qualname__", repr(script)), future

        def done(result: Any, error: BaseException | None) -> None:
            if self._scripts.pop(number, None) is None:
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
                self.fail(error)

        def begin() -> None:
            if number in self._scripts:
                del self._unbegun[number]
                caller.spawn(script, done)

        self.soon(process.do, begin)
        return future

    def mourn(self, process: Process) -> None:
        """Keep what is left of a process that was killed, and end its scripts."""
        super().mourn(process)
        for number, (owner, _, future) in list(self._scripts.items()):
            if owner is process:
                del self._scripts[number]
                self._unbegun.pop(number, None)
                future.cancel()

    @staticmethod
    def _address(server: Host | tuple[str, int] | str) -> tuple[str, int] | str:
        if not isinstance(server, Host):
            return server
        if server.path is not None:
            raise TotohioError(f"{server.name} listens on {server.path}, which no other host can reach: use a port")
        return server.name, server.port

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
        name: str | None = None,
    ) -> Load:
        """Have calls of a method come at random times, whatever becomes of others, and run until all are answered.

        Args:
            server: Whom they call.
            method: Its dotted name.
            parameters: The same each time; or a function that gives the next call's.
            rate: Calls a second, on average.
            seconds: How long calls come.
            timeout: Seconds that each waits for its reply; zero for ever, None is a minute.
            name: Of the host that they come from; without it, load, load-2 and so on.
        """
        address = self._address(server)
        name = name or self._vacant(chain(["load"], map("load-{}".format, count(2))))
        process, caller = self._caller(name)
        load = Load()
        loader = Loader(
            caller=caller,
            clock=lambda: self.tyme,
            client=lambda: caller.client(address, name=name, timeout=timeout),
            load=load,
        )
        gaps = poisson(self.dice.branch("load", name), rate)
        self._start(process, caller, loader.script(method, parameters, gaps, seconds), name)
        self.run(limit=2 * seconds + LIMIT)
        return load

    def _vacant(self, names: Iterator[str]) -> str:
        """Give the first of some names that no host has."""
        return next(name for name in names if name not in self.hosts)

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
            waiting = ", ".join(name for _, name, _ in self._scripts.values())
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
