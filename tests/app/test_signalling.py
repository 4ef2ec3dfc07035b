"""Signals: the first lets a server drain, the second ends it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.processes import LONG, until
from totohio import TotoServer
from totohio.app.signalling import MOMENT, Signals
from totohio.base.clocking import Clock


class Server:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def drain(self) -> None:
        self.asked.append("drain")

    def stop(self) -> None:
        self.asked.append("stop")


class Watch(Clock):
    """A clock that is set by the test."""

    now_is = 100.0

    def monotonic(self) -> float:
        return self.now_is


def handled(server: Server, clock: Clock | None = None) -> Signals:
    return Signals(server, outlook=lambda: "draining, 2 calls under way", clock=clock or Watch())


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What has been logged."""
    caplog.set_level("INFO", "totohio")
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Whatever a test does to signals is undone."""
    before = {
        number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM)
    }
    yield
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    signal.sigtimedwait([], 0)  # lets the handler run


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_drains_and_the_second_stops(server: Server, number: int):
    with handled(server) as signals:
        send(number)
        assert server.asked == ["drain"]
        send(number)
        send(number)
    assert server.asked == ["drain", "stop", "stop"]
    assert signals.received == 3


def test_two_different_signals_count_as_two(server: Server):
    with handled(server):
        send(signal.SIGTERM)
        send(signal.SIGINT)
    assert server.asked == ["drain", "stop"]


def test_a_hangup_changes_nothing_and_it_is_said_why(server: Server, lines: Callable[[], list[str]]):
    with handled(server):
        send(signal.SIGHUP)
    assert server.asked == []
    assert lines()[0].startswith("SIGHUP: ignored; it is for what watches several processes")


def test_a_drain_is_announced_and_its_end_told_when_it_took_more_than_a_moment(
    server: Server, lines: Callable[[], list[str]]
):
    clock = Watch()
    with handled(server, clock):
        send(signal.SIGTERM)
        assert lines() == ["SIGTERM: draining, 2 calls under way"]
        clock.now_is += MOMENT + 2.25
    assert lines() == ["SIGTERM: draining, 2 calls under way", "ended after 3.2 s"]


@pytest.mark.parametrize(("signals", "seconds"), [(0, 9.0), (1, 0.5), (2, 9.0)])
def test_an_end_that_was_not_waited_for_is_not_told(
    server: Server, lines: Callable[[], list[str]], signals: int, seconds: float
):
    clock = Watch()
    with handled(server, clock):
        for _ in range(signals):
            send(signal.SIGINT)
        clock.now_is += seconds
    assert not any(line.startswith("ended") for line in lines())


def test_afterwards_signals_do_what_they_did_before(server: Server):
    others: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: others.append(number))
    signal.signal(signal.SIGALRM, lambda number, frame: others.append(number))
    with handled(server):
        send(signal.SIGTERM)
        send(signal.SIGTERM)
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    send(signal.SIGTERM)
    send(signal.SIGALRM)
    assert others == [signal.SIGTERM, signal.SIGALRM]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert server.asked == ["drain", "stop"]


def test_handlers_are_put_back_after_an_error(server: Server):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), handled(server):
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGTERM) == before


def test_in_another_thread_signals_are_left_alone(server: Server):
    before = signal.getsignal(signal.SIGTERM)
    found: list[object] = []

    def serve() -> None:
        with handled(server):
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    assert found == [before]


STUCK = """
import sys
from totohio.app.signalling import Signals
from totohio.base.clocking import Clock

class Server:
    def drain(self): print("draining", flush=True)
    def stop(self): pass

with Signals(Server(), outlook=str, clock=Clock()):
    print("ready", flush=True)
    while True:
        pass
"""


def test_the_second_signal_ends_a_process_whose_method_never_returns():
    command = [sys.executable, "-c", STUCK]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == b"draining\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == -signal.SIGALRM


def sleeping() -> bool:
    """Tell whether the main thread sleeps, after a moment."""
    threading.Event().wait(0.01)
    stat = Path(f"/proc/self/task/{threading.main_thread().native_id}/stat").read_text()
    return stat.rpartition(") ")[2].startswith("S")


def test_a_signal_that_ends_no_wait_is_heard_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handlers: None
) -> None:
    (tmp_path / "signalled").mkdir()
    (tmp_path / "signalled" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("totohio.app.serving.configure", lambda *_, **__: None)  # the log is pytest's
    server = TotoServer(port=0, method_module="signalled", database="none", log_level="error")
    over, late = threading.Event(), []

    def take() -> None:  # as the kernel may have any thread do, while the main one waits
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        if not over.wait(LONG):
            late.append("it waits on")
            server.stop()

    def wait_and_take() -> None:
        until(lambda: {sleeping() for _ in range(3)} == {True}, "it waits")
        take()

    taker = threading.Thread(target=wait_and_take)
    assert server.run(on_open=lambda _: taker.start()) == 0
    over.set()
    taker.join()
    assert not late
