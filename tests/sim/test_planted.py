"""Planted bugs: each is found within a sweep, and reported with the command that replays it."""

import itertools
import re
import shlex
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from totohio import TotoException
from totohio.base.doing import Doer
from totohio.base.environing import Environment
from totohio.sim import (
    PROFILES,
    CheckFailed,
    Client,
    Counter,
    EscapeError,
    History,
    NotLinearizable,
    ProcessDied,
    World,
    check_linearizable,
    explore,
)
from totohio.sim.worlding import Script

SEEDS = 200


@pytest.fixture(autouse=True)
def folder(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOTOHIO_SIM_FOLDER", str(tmp_path / "reports"))


def found(function: Callable[[World], object], kind: type[BaseException], **options: Any) -> tuple[BaseException, str]:
    """Sweep until the bug is found; give the error and its report."""
    with pytest.raises(kind) as caught:
        explore(function, SEEDS, **options)
    [report] = caught.value.__notes__
    seed = re.search(r"^seed (\d+) of ", report, re.MULTILINE)
    assert seed, report
    command = re.search(r"^replay: +(.+)$", report, re.MULTILINE)
    assert command, report
    words = shlex.split(command[1])
    assert seed[1] in command[1]
    assert any("test_planted.py" in word for word in words), words
    return caught.value, report


# ---------------------------------------------------------------- a lost update in a method

LOSING = (
    "from totohio import TaskQueue\n"
    "total = 0\n"
    "def look():\n"
    "    return total\n"
    "def invoke(handler, parameters):\n"
    "    global total\n"
    "    before = yield TaskQueue.instance('ledger', 4).yield_task(look)\n"
    "    total = before + 1\n"
    "    return total\n"
)


def lose_an_update(world: World) -> None:
    server = world.server(methods={"increment": LOSING})
    history = History(lambda: world.tyme)

    def script(client: Client) -> Script:
        for _ in range(3):
            operation = history.call(client.name, "increment")
            operation.ok((yield client.call("increment")))

    world.visit(server, script, clients=2)
    check_linearizable(history, Counter())


def test_a_lost_update_in_a_method() -> None:
    error, report = found(lose_an_update, NotLinearizable, faults="sunny")
    assert "no fault is needed" in report
    assert "increment" in str(error)


# ---------------------------------------------------------------- a reply sent before its write is durable

STORE = (
    "class Store:\n"
    "    def __init__(self, files):\n"
    "        self.files = files\n"
    "    def put(self, number):\n"
    "        with self.files.open('/store', 'ab') as file:\n"
    "            file.write(b'%d\\n' % number)\n"
    "            if SYNC:\n"
    "                file.sync()\n"
    "        if SYNC:\n"
    "            self.files.sync('/')\n"
    "    def all(self):\n"
    "        if not self.files.exists('/store'):\n"
    "            return []\n"
    "        return [int(line) for line in self.files.open('/store').read().split(b'\\n') if line.isdigit()]\n"
    "def invoke(handler, parameters):\n"
    "    store = Store(handler.environment.files)\n"
    "    return store.put(parameters['number']) if 'number' in parameters else store.all()\n"
)


def acknowledge(world: World, *, sync: bool) -> None:
    server = world.server(methods={"store": f"SYNC = {sync}\n{STORE}"})
    acknowledged: list[int] = []

    def script(client: Client) -> Script:
        for number in range(20):
            try:
                yield client.call("store", {"number": number})
                acknowledged.append(number)
            except (OSError, TotoException):
                pass

    world.visit(server, script, timeout=5.0)
    world.settle()
    kept = world.call(server, "store", {})
    assert set(acknowledged) <= set(kept), f"acknowledged and lost: {sorted(set(acknowledged) - set(kept))}"


def acknowledge_too_early(world: World) -> None:
    acknowledge(world, sync=False)


def acknowledge_in_time(world: World) -> None:
    acknowledge(world, sync=True)


@pytest.mark.expects_errors  # a full disk
def test_a_reply_sent_before_its_write_is_durable() -> None:
    _, report = found(acknowledge_too_early, AssertionError, faults="radioactive")
    assert re.search(r"fault \d+: crash server", report), "a power cut is needed, and named"
    explore(acknowledge_in_time, SEEDS, faults="radioactive")


# ---------------------------------------------------------------- a Doer that dies on reset


class Echo(Doer):
    """Sends back what comes, on a port of its own."""

    def __init__(self, environment: Environment, *, careful: bool) -> None:
        super().__init__()
        self.network = environment.network
        self.poller = self.network.poller()
        self.careful = careful

    def enter(self, *, temp: bool | None = None) -> None:
        self.listener = self.network.listen(("", 7), backlog=10)
        self.poller.register(self.listener, 1, self)

    def attend(self, mask: int) -> None:
        try:
            sock, _ = self.listener.accept()
        except BlockingIOError:
            return
        self.poller.register(sock, 1, Conversation(self, sock))

    def recur(self, tyme: float) -> bool:
        for attendant, mask in self.poller.ready():
            attendant.attend(mask)
        return False


class Conversation:
    """One client of an Echo."""

    def __init__(self, echo: Echo, sock: Any) -> None:
        self.echo = echo
        self.sock = sock

    def attend(self, mask: int) -> None:
        try:
            data = self.sock.recv(1000)
            if data:
                self.sock.send(data)
                return
        except BlockingIOError:
            return
        except ConnectionError:
            if not self.echo.careful:
                raise
        self.sock.close()


def echo(world: World, *, careful: bool) -> None:
    host = world.host("echo", lambda process: [Echo(process.environment, careful=careful)])

    def script(client: Client) -> Script:
        for _ in range(10):
            try:
                yield client.send(b"hello")
                yield client.receive(timeout=2.0)
            except OSError:
                client.close()

    for number in range(3):
        client = world.client((host.name, 7), f"client-{number + 1}")
        world.spawn(script(client), on=client)
    world.run()


def test_a_doer_that_dies_on_reset() -> None:
    error, report = found(lambda world: echo(world, careful=False), ProcessDied, faults="stormy")
    assert "the process on echo died: ConnectionResetError" in str(error)
    assert re.search(r"fault \d+: reset ", report), "the reset is needed, and named"
    explore(lambda world: echo(world, careful=True), SEEDS, faults="stormy")


# ---------------------------------------------------------------- a timer that uses wall time


class Alarm(Doer):
    """Is to ring every ten seconds."""

    def __init__(self, read: Callable[[], float], rings: list[float], now: Callable[[], float]) -> None:
        super().__init__()
        self.read = read
        self.rings = rings
        self.now = now
        self.start = 0.0

    def due(self, tyme: float) -> float:
        return tyme + 0.25

    def enter(self, *, temp: bool | None = None) -> None:
        self.start = self.read()

    def recur(self, tyme: float) -> bool:
        if self.read() - self.start >= 10.0:
            self.start = self.read()
            self.rings.append(self.now())
        return False


def ring(world: World, read: Callable[[Environment], float]) -> None:
    rings: list[float] = [0.0]

    def boot(process: Any) -> list[Any]:
        rings.append(world.tyme)
        return [Alarm(lambda: read(process.environment), rings, lambda: world.tyme)]

    host = world.host("alarm", boot)
    dice = world.dice.branch("test")
    for moment in (20.0, 50.0):
        world.plan.at(moment, lambda: host.step_clock(dice.between(-100.0, 100.0)))
    world.always("it rings at least every eleven seconds", lambda: world.tyme - rings[-1] <= 11.0)
    world.run(100.0)
    gaps = [later - earlier for earlier, later in itertools.pairwise(rings[2:])]
    assert all(gap >= 9.0 for gap in gaps), f"it rang too early: {gaps}"


def test_a_timer_that_uses_wall_time() -> None:
    error, _ = found(lambda world: ring(world, lambda environment: environment.clock.now()), AssertionError)
    assert isinstance(error, CheckFailed) or "rang too early" in str(error)
    explore(lambda world: ring(world, lambda environment: environment.clock.monotonic()), 20)


def test_a_timer_that_asks_the_machine_for_wall_time() -> None:
    import time

    error, report = found(lambda world: ring(world, lambda environment: time.time()), EscapeError)
    assert isinstance(error, EscapeError)
    assert (error.what, error.file) == ("time.time", __file__)
    assert "time.time() was called under simulation at tests/sim/test_planted.py" in str(error)
    assert report


def test_the_report_names_a_page_that_shows_the_failure(tmp_path: Any) -> None:
    found(lose_an_update, NotLinearizable, faults="sunny")
    [page] = (tmp_path / "reports").glob("*.html")
    assert "increment" in page.read_text()


def test_no_socket_is_needed_for_any_of_this(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", None)
    explore(lambda world: echo(world, careful=True), 3, faults="sunny")


def test_a_profile_of_ones_own_is_named_in_the_report() -> None:
    rough = replace(PROFILES["sunny"], name="choppy", task=0.05)
    _, report = found(lose_an_update, NotLinearizable, faults=rough)
    assert "faults 'choppy'" in report
