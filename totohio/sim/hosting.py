"""Hosts, which have power, a network, a disk and a clock; and the process that runs on one.

The states of a host:

    off        it has no power: its sockets are gone and nobody was told, its disk has what was synced
    idle       it has power and no process runs: connections are refused
    running    a process runs
    paused     a process is there but does not go on; the kernel takes what arrives for it
"""

import contextlib
import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from totohio.app.serving import TotoServer
from totohio.base.environing import Environment, activate
from totohio.base.errors import TotohioError
from totohio.net.polling import PollingDoist
from totohio.sim.burying import bury
from totohio.sim.clocking import SimClock, SimMinter
from totohio.sim.disk.filing import SimFiles
from totohio.sim.escapes.guarding import here
from totohio.sim.isolating import Modules
from totohio.sim.net.networking import SimNetwork
from totohio.sim.net.stacking import Stack
from totohio.sim.working import SimThreads

if TYPE_CHECKING:
    from totohio.sim.staging import Stage

DESCRIPTORS = 4096  # sockets that a host's processes may have open

Boot = Callable[["Process"], list[Any]]
"""Makes the Doers of a process: called with it each time it starts."""


class Host:
    """A machine of the simulated world.

    Attributes:
        name: Its name, which is also its name in the network.
        address: Its address in the network.
        stack: The network part of its kernel.
        files: Its disk.
        clock: Its clocks.
        process: What runs on it, None when nothing does.
        fallible: Drawn faults may crash, kill and pause it.
        path: The path of a Unix socket on which its server listens instead of a port.
    """

    def __init__(self, world: "Stage", name: str, number: int, boot: Boot, *, modules: Modules, fallible: bool) -> None:
        self.world = world
        self.name = name
        self.address = f"10.0.{number // 250}.{number % 250 + 1}"
        self.stack = Stack(world.net, self, DESCRIPTORS)
        self.dice = world.dice.branch("host", name)
        self.files = SimFiles(self.dice.branch("files"), self._note)
        self.clock = SimClock(world)
        self.process: Process | None = None
        self.fallible = fallible
        self.path: str | None = None
        self.paused = False
        self.modules = modules
        self._boot = boot
        self._lives = itertools.count()
        self._port = 0
        self._costs: dict[str, float | Callable[[], float]] = {}

    def __repr__(self) -> str:
        return f"<Host {self.name}>"

    @property
    def port(self) -> int:
        """The port on which something on it listens, the first if there are several; while nothing does, the last."""
        for key in self.stack.listeners:
            if isinstance(key, int):
                self._port = key
                break
        return self._port

    @property
    def server(self) -> TotoServer | None:
        """The TotoServer that runs on it, None where none does."""
        return self.process.server if self.process is not None else None

    @property
    def running(self) -> bool:
        """A process runs on it, or is paused."""
        return self.process is not None

    # ------------------------------------------------------------ what can happen to it

    def start(self) -> None:
        """Start its process; nothing happens when one runs."""
        if self.process is None:
            self.stack.up = True
            self.paused = False
            self.process = Process(self, next(self._lives))
            self.process.start(self._boot)

    def restart(self) -> None:
        """Give it power if it has none, and start its process if none runs."""
        if self.process is None:
            self._note("restart")
            self.start()

    def crash(self) -> None:
        """Cut its power: no exit runs, no peer is told, and its disk keeps what was synced."""
        if self.stack.up:
            self._note("crash")
            self._die()
            self.stack.lose_power()
            self.files.crash()

    def kill(self) -> None:
        """Kill its process as SIGKILL does: no exit runs, its sockets are closed, its disk keeps what was flushed."""
        if self.process is not None:
            self._note("kill")
            process = self.process
            self._die()
            self.stack.end(process)
            self.files.kill()

    def drain(self) -> None:
        """Ask its server to end as SIGTERM does: it answers what is under way first."""
        if self.server is not None and self.process is not None:
            self.server.drain()

    def pause(self, seconds: float | None = None) -> None:
        """Let its process not go on, as SIGSTOP does, for so many seconds or until `resume`."""
        if self.process is not None and not self.paused:
            self._note("pause")
            self.paused = True
            if seconds is not None:
                self.world.after(seconds, self.resume)

    def resume(self) -> None:
        """Let its process go on."""
        if self.paused:
            self._note("resume")
            self.paused = False
            if self.process is not None:
                self.process.rouse()
                self.process.catch_up()

    def step_clock(self, seconds: float) -> None:
        """Step its wall clock, forwards or backwards."""
        self._note("step_clock", seconds)
        self.clock.offset += seconds

    def takes(self, method: str, seconds: float | Callable[[], float]) -> None:
        """Say how long a call of a method keeps the process busy; anything else takes no time at all.

        Args:
            method: Its dotted name.
            seconds: That long each time; or a function that gives how long the next time.

        Raises:
            TotohioError: It runs no TotoServer, or one that has no such method.
        """
        if self.process is not None and self.server is None:
            raise TotohioError(f"{self.name} runs no TotoServer of its own")
        self._costs[method] = seconds
        self._charge()

    # ------------------------------------------------------------ for the world

    def _note(self, kind: str, *details: Any) -> None:
        self.world.note(self.name, kind, *details)

    def _die(self) -> None:
        process, self.process = self.process, None
        self.paused = False
        self.stack.starved.clear()  # the next one has a limit of its own
        if process is not None:
            process.dead = True
            self.world.graves.append(process)

    def _charge(self) -> None:
        """Have calls of methods take the time that was said."""
        if self.server is None or not self._costs:
            return
        registry = self.server.built.dispatcher.registry
        for name, seconds in self._costs.items():
            method = registry.find(name)
            if method is None:
                raise TotohioError(f"{self.name} has no method {name}")
            invoke = getattr(method.invoke, "__wrapped_by_sim__", method.invoke)
            method.invoke = _costly(self.world, invoke, seconds)


class Process:
    """One life of what runs on a host.

    Attributes:
        environment: Its seams to the world.
        doist: Runs its Doers.
        server: The TotoServer among them, if there is one.
        dead: It is over.
        busy: The tyme until which it is busy with what it did in its last cycle.
    """

    def __init__(self, host: Host, number: int) -> None:
        self.host = host
        self.world = host.world
        self.number = number
        self.dice = host.dice.branch("process", number)
        self.shuffle = self.dice.shuffle
        network = SimNetwork(self)
        self._pollers = network.pollers
        self.environment = Environment(
            clock=host.clock,
            minter=SimMinter(self.dice.branch("minter")),
            network=network,
            threads=SimThreads(self),
            files=host.files,
        )
        self.modules = host.modules.fresh()
        self.ident = self.world.number()
        self.dead = False
        self.busy = 0.0
        self.ready = False
        self._alarm = math.inf  # the tyme for which it has asked to be roused
        self._late: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self.server: TotoServer | None = None
        self.doist: Any = None

    def __repr__(self) -> str:
        return f"<Process {self.number} of {self.host.name}>"

    def start(self, boot: Boot) -> None:
        """Make its Doers and enter them."""
        self.host._note("boot")
        watched, here.entered = here.entered, None  # hio takes the time for a Doist: not the simulated code's doing
        try:
            self.doist = PollingDoist(tyme=self.world.tyme, clock=self.environment.clock)
        finally:
            here.entered = watched
        with Turn(self):
            self.doist.doers = list(boot(self))
            self.host._charge()
            self.doist.enter()
        self.rouse()  # a Doist's first cycle comes at once

    def cycle(self) -> None:
        """Run one cycle."""
        self.ready = False
        if self.dead or self.host.paused:
            return
        world = self.world
        if world.tyme < self.busy:
            world.at(self.busy, self.rouse)
            return
        doist = self.doist
        doist.tyme = world.tyme
        with Turn(self):
            try:
                doist.recur()
            except BaseException as error:
                self._fall(error)
                return
        if not doist.deeds:
            self._end()
        else:
            self._after()

    def do(self, function: Callable[..., Any], *args: Any) -> None:
        """Call something as this process, between its cycles."""
        with Turn(self):
            function(*args)
        self.rouse()

    def rouse(self) -> None:
        """Have a cycle come, as soon as it may."""
        if not self.ready and not self.dead:
            self.ready = True
            self.world.runnable.append(self)

    def outside(self, function: Callable[..., Any], *args: Any) -> None:
        """Call something that one of its threads does, once the process goes on; never when it is dead."""
        if self.dead:
            return
        if self.host.paused:
            self._late.append((function, args))
        else:
            function(*args)

    def catch_up(self) -> None:
        """Do what its threads have not done while it was paused."""
        late, self._late = self._late, []
        for function, args in late:
            self.outside(function, *args)

    def thread(self) -> "Turn":
        """Be one of its worker threads, for a ``with`` block."""
        return Turn(self, self.world.number())

    def _after(self) -> None:
        """See when the next cycle is due."""
        world, doist = self.world, self.doist
        if self.dead:  # it was killed by what it did itself
            return
        due = doist.due()
        if due <= world.tyme or self._pending():
            if self.busy > world.tyme:
                world.at(self.busy, self.rouse)
            else:
                self.rouse()
        elif due < self._alarm:
            self._alarm = due
            world.at(due, self._ring, due)

    def _pending(self) -> bool:
        return any(poller.pending() for poller in self._pollers)

    def _ring(self, alarm: float) -> None:
        """A cycle was due now when the alarm was set; most deadlines have been moved since, and it is set anew."""
        if self._alarm == alarm and not self.dead:
            self._alarm = math.inf
            due = self.doist.due()
            if due <= self.world.tyme:
                self.rouse()
            elif due != math.inf:
                self._alarm = due
                self.world.at(due, self._ring, due)

    def stop(self) -> None:
        """Exit its Doers: the world ends."""
        if self.doist is not None:
            with Turn(self):
                self.doist.exit()

    def _end(self) -> None:
        """All its Doers are done."""
        self.host._note("exit")
        host = self.host
        host._die()
        host.stack.end(self)

    def _fall(self, error: BaseException) -> None:
        """A Doer has raised: that ends a process."""
        self.host._note("exit", type(error).__name__, str(error))
        with contextlib.suppress(BaseException):
            self.doist.exit()
        host = self.host
        host._die()
        host.stack.end(self)
        self.world.fail(ProcessDied(f"the process on {host.name} died: {type(error).__name__}: {error}"), error)

    def bury(self) -> None:
        """Clear away what is left of it, without any effect on the world."""
        bury(self)


class Turn:
    """A ``with`` block in which a process is the one that runs: code in it is the process's code."""

    __slots__ = ("_active", "_before", "_ident", "_process")

    def __init__(self, process: Process, ident: int | None = None) -> None:
        """Make one.

        Args:
            process: The process.
            ident: Of its worker thread that runs; None for the thread of its cycle.
        """
        self._process = process
        self._ident = ident
        self._before: tuple[Process | None, int, float] = (None, 0, 0.0)
        self._active: Environment | None = None

    def __enter__(self) -> None:
        process = self._process
        world = process.world
        self._before = world.current, world.ident, world.lag
        world.current, world.lag = process, 0.0
        world.ident = process.ident if self._ident is None else self._ident
        self._active = activate(process.environment)  # for task queues that Doers beside a server use
        process.modules.enter()
        world.watch.enter(process.host.name)

    def __exit__(self, *_: object) -> None:
        process = self._process
        world = process.world
        world.watch.leave()
        process.modules.leave()
        activate(self._active)
        if self._ident is None and world.lag:  # what a worker thread computes does not hold up the cycle
            process.busy = max(process.busy, world.tyme + world.lag)
        world.current, world.ident, world.lag = self._before


class ProcessDied(AssertionError):
    """A Doer raised, which ended the process that it ran in."""


def _costly(world: "Stage", invoke: Callable[[Any, Any], Any], seconds: float | Callable[[], float]) -> Any:
    def costly(handler: Any, parameters: Any) -> Any:
        world.spend(seconds() if callable(seconds) else seconds)
        return invoke(handler, parameters)

    costly.__wrapped_by_sim__ = invoke  # type: ignore[attr-defined]
    return costly
