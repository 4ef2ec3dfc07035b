"""The kernel's poller and its listening sockets, and a Doist that waits in them in real time."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hio.base import doing

from tests.net.fakes import Listener, Ours
from tests.waiting import LONG
from totohio.base.doing import Doer
from totohio.net.epoll import READABLE, WRITABLE
from totohio.net.polling import KernelPoller, PollingDoist

# ------------------------------------------------------------ the kernel's poller


@pytest.fixture
def poller() -> Iterator[KernelPoller]:
    poller = KernelPoller()
    yield poller
    poller.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


def await_ready(poller: KernelPoller, attendant: Any) -> int:
    """Wait until the poller reports it, and give the mask."""
    for _ in range(10):
        poller.wait(LONG)
        for found, mask in poller.ready():
            if found is attendant:
                return mask
            found.attend(mask)
    raise AssertionError("it was never reported")


def test_a_readable_socket_is_reported_until_it_was_read(poller: KernelPoller, pair: Any) -> None:
    ours, theirs = pair
    listener = Listener(ours)
    poller.register(ours, READABLE, listener)
    theirs.send(b"hello")
    assert await_ready(poller, listener) == READABLE
    assert await_ready(poller, listener) == READABLE
    listener.attend(READABLE)
    assert poller.ready() == []
    assert listener.got == [b"hello"]


def test_what_is_watched_can_change_and_end(poller: KernelPoller, pair: Any) -> None:
    ours, theirs = pair
    listener = Listener(ours)
    poller.register(ours, READABLE, listener)
    theirs.send(b"hello")
    poller.modify(ours, READABLE | WRITABLE, listener)
    assert await_ready(poller, listener) == READABLE | WRITABLE
    poller.modify(ours, WRITABLE, listener)
    assert await_ready(poller, listener) == WRITABLE
    poller.unregister(ours)
    poller.unregister(ours)
    assert poller.ready() == []


def test_ready_gives_what_the_wait_found_and_then_asks_anew(poller: KernelPoller, pair: Any) -> None:
    ours, theirs = pair
    listener = Listener(ours)
    poller.register(ours, READABLE, listener)
    poller.wait(0)
    poller.ready()[0][0].attend(READABLE)  # the poller's own first wake-up
    poller.wait(0)
    theirs.send(b"after the wait")
    assert poller.ready() == []
    assert poller.ready() == [(listener, READABLE)]


def test_a_thread_ends_the_wait(poller: KernelPoller) -> None:
    poller.wait(0)
    poller.attend(READABLE)
    waiting = threading.Event()

    def wake() -> None:
        assert waiting.wait(LONG)
        poller.wake()

    thread = threading.Thread(target=wake)
    thread.start()
    waiting.set()
    poller.wait(LONG)
    assert poller.ready() == [(poller, READABLE)]
    thread.join()


def test_a_wake_before_the_wait_is_not_lost(poller: KernelPoller) -> None:
    poller.wake()  # even before it was ever used
    poller.wait(LONG)
    assert poller.ready() == [(poller, READABLE)]


def test_wakes_without_number_never_block_and_are_one(poller: KernelPoller) -> None:
    poller.wait(0)
    for _ in range(100_000):
        poller.wake()
    assert poller.ready() == [(poller, READABLE)]
    poller.attend(READABLE)
    assert poller.ready() == []


def test_a_signal_handler_can_wake(poller: KernelPoller) -> None:
    poller.wait(0)
    poller.attend(READABLE)
    before = signal.signal(signal.SIGUSR1, lambda number, frame: poller.wake())
    thread = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        thread.start()
        poller.wait(LONG)
        assert poller.ready() == [(poller, READABLE)]
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)


def test_a_closed_poller_can_be_closed_woken_and_used_again(poller: KernelPoller, pair: Any) -> None:
    ours, theirs = pair
    poller.register(ours, READABLE, Listener(ours))
    poller.close()
    poller.close()
    poller.wake()
    poller.unregister(ours)
    listener = Listener(ours)
    poller.register(ours, READABLE, listener)
    theirs.send(b"x")
    assert await_ready(poller, listener) == READABLE


def test_a_poller_that_was_never_used_holds_no_descriptors() -> None:
    before = os.listdir("/proc/self/fd")
    pollers = [KernelPoller() for _ in range(10)]
    assert len(os.listdir("/proc/self/fd")) == len(before)
    assert len(pollers) == 10


# ------------------------------------------------------------ both together, in real time


class Server(Doer):
    """Listens to one socket with a poller of its own."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self.poller = KernelPoller()
        self.listener = Listener(sock)
        self.cycles = 0

    def enter(self, *, temp: bool | None = None) -> None:
        self.poller.register(self.listener.sock, READABLE, self.listener)

    def recur(self, tyme: float) -> bool:
        self.cycles += 1
        for attendant, mask in self.poller.ready():
            attendant.attend(mask)
        return b"end" in self.listener.got

    def exit(self) -> None:
        self.poller.close()


def test_several_servers_in_one_doist_are_all_heard(pair: Any) -> None:
    ours, theirs = pair
    other, others = socket.socketpair()
    other.setblocking(False)
    first, second = Server(ours), Server(other)

    def talk() -> None:
        theirs.send(b"end")
        others.send(b"end")

    thread = threading.Timer(0.02, talk)
    thread.start()
    doist = PollingDoist(doers=[first, doing.DoDoer(doers=[second])], limit=LONG)
    doist.do()
    thread.join()
    other.close()
    others.close()
    assert doist.done
    assert first.cycles < 20
    assert second.cycles < 20


def test_servers_may_share_a_poller(pair: Any) -> None:
    ours, theirs = pair
    server = Server(ours)
    other = Ours(None, server.poller)
    theirs.send(b"end")
    doist = PollingDoist(doers=[server, other], limit=0.05)
    doist.do()
    server.poller.close()  # the other one has waited in it after the server had closed it
    assert server.listener.got == [b"end"]


def test_one_of_several_servers_may_end_before_the_others(pair: Any) -> None:
    ours, theirs = pair
    other, others = socket.socketpair()
    other.setblocking(False)
    first, second = Server(ours), Server(other)
    theirs.send(b"end")
    thread = threading.Timer(0.02, others.send, (b"end",))
    thread.start()
    doist = PollingDoist(doers=[first, second], limit=LONG)
    doist.do()
    thread.join()
    other.close()
    others.close()
    assert doist.done


def test_an_idle_server_costs_no_processor_time_and_answers_at_once(pair: Any) -> None:
    ours, theirs = pair
    server = Server(ours)
    sent = []

    def talk() -> None:
        sent.append(time.monotonic())
        theirs.send(b"end")

    thread = threading.Timer(0.5, talk)
    thread.start()
    before = time.process_time()
    doist = PollingDoist(doers=[server], limit=LONG)
    doist.do()
    spent = time.process_time() - before
    thread.join()
    assert server.cycles < 10
    assert spent < 0.1
    assert doist.tyme == pytest.approx(0.5, abs=0.3)


def test_a_stock_doist_runs_the_same_doers(pair: Any) -> None:
    ours, theirs = pair
    server = Server(ours)
    theirs.send(b"end")
    doist = doing.Doist(doers=[server], real=False, limit=10.0)
    doist.do()
    assert doist.done
