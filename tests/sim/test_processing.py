"""Processes of simulated hosts: how they begin, run, take their time and end."""

import logging
import math
import socket
import time
from typing import Any

import pytest

from tests.sim.hosts import METHODS, NAP, Ending, attempt
from totohio import TaskQueue, TotohioError, TotoServer
from totohio.base.doing import Doer
from totohio.sim.escapes.escaping import EscapeError
from totohio.sim.isolating import Modules, folder, package
from totohio.sim.processing import Process, ProcessDied
from totohio.sim.worlding import Script, World


@pytest.mark.parametrize("end", ["crash", "kill"])
def test_no_exit_runs_when_a_host_dies(end: str) -> None:
    notes: list[str] = []
    with World(faults="still") as world:
        host = world.host("mine", lambda process: [Ending(notes)])
        getattr(host, end)()
        world.run(1.0)
        assert not host.running
    assert notes == []


def test_exits_run_when_the_world_ends() -> None:
    notes: list[str] = []
    with World(faults="still") as world:
        world.host("mine", lambda process: [Ending(notes)])
    assert notes == ["exit"]


@pytest.mark.parametrize("end", ["crash", "kill"])
def test_the_finally_of_a_parked_method_does_not_run_while_the_world_goes_on(end: str) -> None:
    notes: list[str] = []

    def invoke(handler: object, parameters: object) -> Script:
        try:
            yield 100.0
        finally:
            notes.append("finally")

    with World(faults="still") as world:
        server = world.server(methods={"wait": invoke})
        client = world.client(server, timeout=20.0)
        answer = world.spawn(attempt(client, "wait"))
        world.after(1.0, getattr(server, end))
        world.run()
        world.run(200.0)
        assert answer.result() in {"ConnectionAbortedError", "ConnectionResetError", "TimeoutError"}
        assert notes == []


def test_a_doer_that_raises_ends_its_process_and_the_run() -> None:
    notes: list[str] = []
    with World(faults="still") as world:
        host = world.host("mine", lambda process: [Ending(notes, fail_at=3.0)])
        with pytest.raises(ProcessDied, match="the process on mine died: RuntimeError: it had to be") as caught:
            world.run(10.0)
        assert isinstance(caught.value.__cause__, RuntimeError)
        assert notes == ["exit"]
        assert not host.running
        assert world.tyme == 3.0


def listening(process: Process, seen: list[str], fail: bool) -> list[Any]:
    """Doers of a process that listens, and then may fail to begin."""

    class Listening(Ending):
        def enter(self, *, temp: bool | None = None) -> None:
            process.environment.network.listen(("", 80), backlog=5)

    class Failing(Doer):
        def enter(self, *, temp: bool | None = None) -> None:
            if fail:
                raise RuntimeError("it cannot begin")

    return [Listening(seen), Failing()]


def test_a_process_that_cannot_begin_leaves_its_host_as_it_was() -> None:
    notes: list[str] = []
    fails = [True, False, True, False]
    with World(faults="still") as world:
        with pytest.raises(RuntimeError, match="it cannot begin"):
            world.host("mine", lambda process: listening(process, notes, fails.pop(0)))
        assert notes == ["exit"]
        host = world.host("mine", lambda process: listening(process, notes, fails.pop(0)))
        host.kill()
        with pytest.raises(RuntimeError):
            host.restart()
        assert not host.running
        host.restart()
        assert (host.running, host.port) == (True, 80)


class Dying(Doer):
    """Kills its own process, has it started again, and then ends or fails."""

    def __init__(self, world: World, *, fail: bool) -> None:
        super().__init__()
        self.world = world
        self.fail = fail

    def recur(self, tyme: float) -> bool:
        host = self.world.hosts["mine"]
        host.kill()
        host.restart()
        if self.fail:
            raise RuntimeError("nobody hears of it")
        return True


@pytest.mark.parametrize("fail", [False, True])
def test_what_a_process_does_after_its_death_is_not_its_successors_doing(fail: bool) -> None:
    with World(faults="still") as world:
        lives: list[Doer] = [Ending([]), Dying(world, fail=fail)]
        host = world.host("mine", lambda process: [lives.pop()])
        world.run(1.0)
        assert host.running
        assert lives == []


def test_what_a_process_does_after_its_death_reaches_nobody() -> None:
    notes: list[str] = []

    def invoke(handler: Any, parameters: Any) -> str:
        server.kill()
        handler.environment.files.open("/notes", "wb").close()
        for act in (lambda: network.listen(("", 80), backlog=1), lambda: network.connect(("server", 8888))):
            try:
                act()
            except OSError as error:
                notes.append(error.strerror or "")
        return "a reply"

    with World(faults="still") as world:
        server = world.server(methods={"die": invoke})
        assert server.process is not None
        network = server.process.environment.network
        answer = world.spawn(attempt(world.client(server), "die"))
        world.run()
        assert answer.result() == "ConnectionResetError"
        assert notes == ["Network is down", "Network is down"]
        assert not server.files.exists("/notes")


def test_an_interrupt_by_the_person_before_it_is_no_fault_of_a_process() -> None:
    class Interrupted(Doer):
        def recur(self, tyme: float) -> bool:
            raise KeyboardInterrupt

    with World(faults="still") as world:
        world.host("mine", lambda process: [Interrupted()])
        with pytest.raises(KeyboardInterrupt):
            world.run(1.0)


def test_all_exits_run_when_some_of_them_fail() -> None:
    class Failing(Ending):
        def exit(self) -> None:
            super().exit()
            raise RuntimeError("it cannot end")

    notes: list[str] = []
    handlers = list(logging.getLogger("totohio").handlers)
    text = "the process on one did not end well: RuntimeError: it cannot end"
    world = World(faults="still")
    world.host("one", lambda process: [Ending(notes), Failing(notes), Failing(notes)])
    world.host("other", lambda process: [Ending(notes)])
    with pytest.raises(ProcessDied, match=text), world:
        world.run(1.0)
    assert notes == ["exit"] * 4
    assert logging.getLogger("totohio").handlers == handlers


def test_a_method_can_keep_its_process_busy() -> None:
    with World(faults="still") as world:
        server = world.server(methods={"work": lambda handler, parameters: None, **METHODS})
        server.takes("work", 2.0)
        first, second = world.client(server), world.client(server)
        world.spawn(attempt(first, "work"))
        ends: list[float] = []

        def script() -> Script:
            yield 0.5
            yield second.call("now")
            ends.append(world.tyme)

        world.spawn(script())
        world.run()
        assert ends == [2.0]


@pytest.mark.parametrize(
    ("act", "outcome", "tyme"),
    [
        ("kill", "ConnectionResetError", 5.0),
        ("crash", "TimeoutError", 30.0),
        ("drain", "done", 10.0),
        ("pause", "done", 20.0),
    ],
)
def test_a_busy_process_has_not_replied_before_it_is_through(act: str, outcome: str, tyme: float) -> None:
    with World(faults="still") as world:
        server = world.server(methods={"work": lambda handler, parameters: "done"})
        server.takes("work", 10.0)
        answer = world.spawn(attempt(world.client(server, timeout=30.0), "work"))
        world.after(5.0, getattr(server, act))
        if act == "pause":
            world.after(20.0, server.resume)
        world.run()
        assert (answer.result(), world.tyme) == (outcome, tyme)
        if act == "drain":
            world.run(1.0)
            assert not server.running


class Slow(Doer):
    """Takes a connection, works for ten seconds, sends a word and closes; and is done then if it is to be."""

    def __init__(self, process: Process, *, once: bool) -> None:
        super().__init__()
        self.world = process.world
        self.network = process.environment.network
        self.poller = self.network.poller()
        self.once = once
        self.over = False

    def enter(self, *, temp: bool | None = None) -> None:
        self.listener = self.network.listen(("", 80), backlog=5)
        self.poller.register(self.listener, 1, self)

    def attend(self, mask: int) -> None:
        sock, _ = self.listener.accept()
        self.world.spend(10.0)
        sock.send(b"word")
        sock.shutdown(socket.SHUT_WR)
        sock.close()
        self.over = self.once

    def due(self, tyme: float) -> float:
        return math.inf

    def recur(self, tyme: float) -> bool:
        for attendant, mask in self.poller.ready():
            attendant.attend(mask)
        return self.over


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize(
    ("act", "seen"), [("kill", [(5.0, b"")]), ("crash", []), ("resume", [(10.0, b"word"), (10.0, b"")])]
)
def test_a_connection_that_a_busy_process_closes_ends_when_it_is_through_or_dies(
    act: str, seen: list[Any], once: bool
) -> None:
    with World(faults="still") as world:
        host = world.host("slow", lambda process: [Slow(process, once=once)])
        client = world.client(host)
        found: list[tuple[float, bytes]] = []

        def script() -> Script:
            yield client.connect()
            data = b"some"
            while data:
                data = yield client.receive(timeout=0.0)
                found.append((world.tyme, data))

        world.spawn(script())
        world.after(5.0, getattr(host, act))
        world.run(20.0)
        assert found == seen
        assert host.running == (act == "resume" and not once)


def test_doers_of_ones_own_run_beside_servers() -> None:
    seen: list[float] = []

    class Asking(Doer):
        def __init__(self, process: Process) -> None:
            super().__init__()
            self.clock = process.environment.clock

        def due(self, tyme: float) -> float:
            return (tyme // 1.0 + 1.0) if seen else 0.0

        def recur(self, tyme: float) -> bool:
            if not seen or tyme - seen[-1] >= 1.0:
                seen.append(self.clock.monotonic())
            return len(seen) == 5

    with World(faults="still") as world:
        host = world.host("asking", lambda process: [Asking(process)])
        world.run(10.0)
        assert seen == [0.0, 1.0, 2.0, 3.0, 4.0]
        assert not host.running


def test_a_task_queue_works_in_a_doer_beside_no_server() -> None:
    done: list[object] = []

    class Counting(Doer):
        def enter(self, *, temp: bool | None = None) -> None:
            future = TaskQueue.instance("counting").yield_task(sum, [1, 2, 3])
            future.add_done_callback(lambda future: done.append(future.result()))

    with World(faults="still") as world:
        world.takes("counting", 2.0)
        world.host("mine", lambda process: [Counting()])
        world.run(1.0)
        assert done == []
        world.run(1.5)
        assert done == [6]


def test_an_escape_of_a_doer_is_told_as_one() -> None:
    class Escaping(Doer):
        def recur(self, tyme: float) -> bool:
            time.time()
            return True

    with World(faults="still") as world:
        world.host("mine", lambda process: [Escaping()])
        with pytest.raises(EscapeError, match=r"time\.time"):
            world.run(1.0)


def test_a_server_among_other_doers_is_found_by_its_port() -> None:
    with World(faults="still") as world:
        package("beside", {"nap": NAP})
        modules = Modules(("beside",), (folder("beside"),))

        def boot(process: Process) -> list[Any]:
            return TotoServer(method_module="beside", port=4321, environment=process.environment).doers

        host = world.host("mine", boot, modules=modules)
        assert host.port == 4321
        assert world.call(host, "nap", {"seconds": 1.0}) == "slept"
        with pytest.raises(TotohioError, match="mine runs no TotoServer of its own"):
            host.takes("nap", 1.0)
