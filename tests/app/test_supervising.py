"""Signals: the first lets a server drain, the second ends it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from totohio.app.supervising import Signals


class Server:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def drain(self) -> None:
        self.asked.append("drain")

    def stop(self) -> None:
        self.asked.append("stop")


@pytest.fixture
def server() -> Server:
    return Server()


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
    with Signals(server) as signals:
        send(number)
        assert server.asked == ["drain"]
        send(number)
        send(number)
    assert server.asked == ["drain", "stop", "stop"]
    assert signals.received == 3


def test_two_different_signals_count_as_two(server: Server):
    with Signals(server):
        send(signal.SIGTERM)
        send(signal.SIGINT)
    assert server.asked == ["drain", "stop"]


def test_a_hangup_changes_nothing(server: Server):
    with Signals(server):
        send(signal.SIGHUP)
    assert server.asked == []


def test_afterwards_signals_do_what_they_did_before(server: Server):
    others: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: others.append(number))
    signal.signal(signal.SIGALRM, lambda number, frame: others.append(number))
    with Signals(server):
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
    with pytest.raises(ZeroDivisionError), Signals(server):
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGTERM) == before


def test_in_another_thread_signals_are_left_alone(server: Server):
    before = signal.getsignal(signal.SIGTERM)
    found: list[object] = []

    def serve() -> None:
        with Signals(server):
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    assert found == [before]


STUCK = """
import sys
from totohio.app.supervising import Signals

class Server:
    def drain(self): print("draining", flush=True)
    def stop(self): pass

with Signals(Server()):
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
