"""Hosts, which have power, a network, a disk and a clock; and the process that runs on one.

The states of a host:

    off        it has no power: its sockets are gone and nobody was told, its disk has what was synced
    idle       it has power and no process runs: connections are refused
    running    a process runs
    paused     a process is there but does not go on; the kernel takes what arrives for it
"""

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from totohio.app.serving import TotoServer
from totohio.base.errors import TotohioError
from totohio.sim.clocking import SimClock
from totohio.sim.disk.filing import SimFiles
from totohio.sim.isolating import Modules
from totohio.sim.net.stacking import Stack
from totohio.sim.processing import Boot, Process
from totohio.sim.scheduling import check_seconds

if TYPE_CHECKING:
    from totohio.sim.staging import Stage

DESCRIPTORS = 4096  # sockets that a host's processes may have open


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
        paused: Its process does not go on.
        fate: Counts how often somebody has ended or started its process; whoever did it last decides.
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
        self.fate = 0
        self.modules = modules
        self._boot = boot
        self._lives = itertools.count()
        self._port = 0
        self._pauses: dict[int, None] = {}  # that are not over, by their numbers
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
        """Start its process; nothing happens when one runs.

        Raises:
            BaseException: What the process has raised while it began; none runs then.
        """
        if self.process is None:
            self.fate += 1
            self.stack.up = True
            process = self.process = Process(self, next(self._lives))
            try:
                process.start(self._boot)
            except BaseException:
                if not process.dead:
                    self.lose(process)
                raise

    def restart(self) -> None:
        """Give it power if it has none, and start its process if none runs."""
        if self.process is None:
            self._note("restart")
            self.start()

    def crash(self) -> None:
        """Cut its power: no exit runs, no peer is told, and its disk keeps what was synced."""
        self.fate += 1
        if self.stack.up:
            self._note("crash")
            self._die()
            self.stack.lose_power()
            self.files.crash()

    def kill(self) -> None:
        """Kill its process as SIGKILL does: no exit runs, its sockets are closed, its disk keeps what was flushed."""
        self.fate += 1
        if self.process is not None:
            self._note("kill")
            self.lose(self.process)

    def drain(self) -> None:
        """Ask its server to end as SIGTERM does: it answers what is under way first."""
        if self.server is not None and self.process is not None:
            self.server.drain()

    def pause(self, seconds: float | None = None) -> None:
        """Let its process not go on, as SIGSTOP does, for so many seconds or until `resume`.

        Of pauses that overlap the last to end counts.
        """
        if self.process is not None:
            number = self.hold()
            if seconds is not None:
                self.world.after(seconds, self.let_go, number)

    def resume(self) -> None:
        """Let its process go on."""
        if self.paused:
            self._note("resume")
            self._forget_pauses()
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
            ValueError: The seconds are negative or not a number.
        """
        if not callable(seconds):
            check_seconds(seconds)
        if self.process is not None and self.server is None:
            raise TotohioError(f"{self.name} runs no TotoServer of its own")
        self._costs[method] = seconds
        self._charge()

    # ------------------------------------------------------------ for the world

    def hold(self) -> int:
        """Begin a pause, and give its number."""
        if not self.paused:
            self._note("pause")
            self.paused = True
        number = self.world.number()
        self._pauses[number] = None
        return number

    def let_go(self, number: int) -> None:
        """End one pause, unless it is over; the process goes on if that was the last."""
        if number in self._pauses:
            if len(self._pauses) == 1:
                self.resume()
            else:
                del self._pauses[number]

    def revive(self, fate: int) -> None:
        """Start its process again, unless somebody has ended or started it since."""
        if fate == self.fate:
            self.restart()

    def lose(self, process: Process) -> None:
        """Its process is over: close what it has left open, as the kernel does."""
        self._die()
        self.stack.end(process)
        self.files.kill()

    def _note(self, kind: str, *details: Any) -> None:
        self.world.note(self.name, kind, *details)

    def _die(self) -> None:
        process, self.process = self.process, None
        self._forget_pauses()
        self.stack.starved.clear()  # the next one has a limit of its own
        if process is not None:
            process.dead = True
            process.environment.files = SimFiles(process.dice.branch("lost"))  # for what it does in this cycle still
            self.world.mourn(process)

    def _forget_pauses(self) -> None:
        self.paused = False
        self._pauses.clear()

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


def _costly(world: "Stage", invoke: Callable[[Any, Any], Any], seconds: float | Callable[[], float]) -> Any:
    def costly(handler: Any, parameters: Any) -> Any:
        world.spend(seconds() if callable(seconds) else seconds)
        return invoke(handler, parameters)

    costly.__wrapped_by_sim__ = invoke  # type: ignore[attr-defined]
    return costly
