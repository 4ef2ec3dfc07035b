"""A process of a simulated host: the Doers that run in it, one cycle at a time, until it ends or is killed."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from totohio.app.handling import TotoHandler
from totohio.app.serving import TotoServer
from totohio.base.environing import Environment, activate
from totohio.net.polling import PollingDoist
from totohio.sim.burying import bury, wake
from totohio.sim.clocking import SimMinter
from totohio.sim.escapes.guarding import here
from totohio.sim.isolating import Hooks, hook
from totohio.sim.net.networking import SimNetwork
from totohio.sim.seeding import Dice
from totohio.sim.stores.opening import SimDatabases
from totohio.sim.working import SimThreads
from totohio.work.queues import beforehand

if TYPE_CHECKING:
    from totohio.sim.hosting import Host
    from totohio.sim.working import Thread

Boot = Callable[["Process"], list[Any]]
"""Makes the Doers of a process: called with it each time it starts."""


class Process:
    """One life of what runs on a host.

    Attributes:
        environment: Its seams to the world; for one server, `another` is for each further one.
        doist: Runs its Doers.
        server: The TotoServer among them, if there is one.
        dead: It is over.
        busy: The tyme until which it is busy with what it did in its last cycle.
        hooks: The before and after handlers that it has set; None as long as it has set none.
        sleepers: Its worker threads that wait in the middle of a task.
    """

    def __init__(self, host: "Host", number: int) -> None:
        self.host = host
        self.world = host.world
        self.number = number
        self.dice: Dice = host.dice.branch("process", number)
        self.shuffle: Callable[[Any], None] = self.dice.shuffle
        network = SimNetwork(self)
        self._pollers = network.pollers
        self.environment: Environment = Environment(
            clock=host.clock,
            minter=SimMinter(self.dice.branch("minter")),
            network=network,
            threads=SimThreads(self),
            files=host.files,
            databases=SimDatabases(self),
        )
        self.modules = host.modules.fresh()
        self.hooks: Hooks | None = None
        self.sleepers: dict[Thread, None] = {}
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
        """Make its Doers and enter them.

        Raises:
            BaseException: What one of them, or what makes them, has raised; those that were entered have exited.
        """
        self.host._note("boot")
        watched, here.entered = here.entered, None  # hio takes the time for a Doist: not the simulated code's doing
        try:
            self.doist = PollingDoist(tyme=self.world.tyme, clock=self.environment.clock)
        finally:
            here.entered = watched
        with Turn(self):
            try:
                self.doist.doers = self._boot(boot)
                self.host._charge()
                self.doist.enter()
            except BaseException:
                self._exit()
                raise
        self.rouse()  # a Doist's first cycle comes at once

    def _boot(self, boot: Boot) -> list[Any]:
        """Make its Doers where no server runs yet: a TaskQueue of a module that all share is not this process's."""
        activate(beforehand(self.environment))
        try:
            return list(boot(self))
        finally:
            activate(self.environment)

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
            except KeyboardInterrupt:  # of the person who runs it all
                raise
            except BaseException as error:
                self._fall(error)
                return
        if doist.deeds:
            self._after()
        elif self.busy > world.tyme:
            world.at(self.busy, self.outside, self._end)
        else:
            self._end()

    def another(self) -> Environment:
        """Give an Environment for another server in this process: each has task queues of its own."""
        return replace(self.environment, threads=SimThreads(self), shared={})

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

    def thread(self, ident: int | None = None) -> "Turn":
        """Be one of its worker threads, for a ``with`` block: the one of that number, or a new one."""
        return Turn(self, self.world.number() if ident is None else ident)

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
        with Turn(self):
            error = self._exit()
            wake(self)
        if error is not None:
            text = f"the process on {self.host.name} did not end well: {type(error).__name__}: {error}"
            self.world.fail(ProcessDied(text), error)

    def _exit(self) -> BaseException | None:
        """Exit its Doers, each of them whatever the others raise, and give what the first has raised."""
        first = None
        while self.doist is not None and self.doist.deeds:
            try:
                self.doist.exit()
            except BaseException as error:
                first = first or error
        return first

    def _end(self) -> None:
        """All its Doers are done."""
        if self.dead:  # it was killed by what it did itself
            return
        self.host._note("exit")
        self.host.lose(self)

    def _fall(self, error: BaseException) -> None:
        """A Doer has raised: that ends a process."""
        if self.dead:  # it was killed before, so nobody hears of it
            return
        self.host._note("exit", type(error).__name__, str(error))
        self._exit()
        self.host.lose(self)
        self.world.fail(ProcessDied(f"the process on {self.host.name} died: {type(error).__name__}: {error}"), error)

    def bury(self) -> None:
        """Clear away what is left of it, without any effect on the world."""
        bury(self)


class Turn:
    """A ``with`` block in which a process is the one that runs: code in it is the process's code.

    The before and after handlers stand in a class that all processes share. As soon as a process has set any, it has
    its own, which stand there while it runs; until then those count that somebody has set outside.
    """

    __slots__ = ("_active", "_before", "_hooks", "_ident", "_process")

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
        self._hooks: Hooks = (None, None)

    def __enter__(self) -> None:
        process = self._process
        world = process.world
        self._before = world.current, world.ident, world.lag
        world.current, world.lag = process, 0.0
        world.ident = process.ident if self._ident is None else self._ident
        self._active = activate(process.environment)  # for task queues that Doers beside a server use
        process.modules.enter()
        self._hooks = before = TotoHandler._before, TotoHandler._after
        if process.hooks is not None and process.hooks != before:
            hook(process.hooks)
        world.watch.enter(process.host.name)

    def __exit__(self, *_: object) -> None:
        process = self._process
        world = process.world
        world.watch.leave()
        before, after = self._hooks
        if process.hooks is not None or TotoHandler._before is not before or TotoHandler._after is not after:
            process.hooks = TotoHandler._before, TotoHandler._after
            if process.hooks != self._hooks:
                hook(self._hooks)
        process.modules.leave()
        activate(self._active)
        if self._ident is None and world.lag:  # what a worker thread computes does not hold up the cycle
            process.busy = max(process.busy, world.tyme + world.lag)
        world.current, world.ident, world.lag = self._before


class ProcessDied(AssertionError):
    """A Doer raised, which ended the process that it ran in."""
