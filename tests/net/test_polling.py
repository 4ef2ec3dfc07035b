"""The Doist that waits, on a clock and in pollers that only the test moves; and the kernel's own poller."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hio.base import doing

from tests.waiting import LONG
from totohio.base.clocking import Clock
from totohio.base.doing import CADENCE, FOREVER, DoDoer, Doer
from totohio.net.polling import READABLE, WRITABLE, KernelNetwork, KernelPoller, PollingDoist

ENDLESS = 100_000  # cycles after which a test takes the Doist for one that spins


class FakeClock(Clock):
    """A clock that goes on when somebody waits, and never by itself."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.sleeps: list[float] = []

    def now(self) -> float:
        raise AssertionError("tyme does not come from the wall clock")

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds


class FakePoller:
    """A poller in which sockets are ready at set times of the clock."""

    def __init__(self, clock: FakeClock, readies: list[float] | None = None) -> None:
        self.clock = clock
        self.readies = [clock.time + ready for ready in readies or []]
        self.waits: list[float | None] = []

    def wait(self, seconds: float | None) -> None:
        self.waits.append(seconds)
        assert len(self.waits) < ENDLESS, "it spins"
        until = FOREVER if seconds is None else self.clock.time + seconds
        while self.readies and self.readies[0] <= self.clock.time:
            self.readies.pop(0)
        if self.readies and self.readies[0] < until:
            until = self.readies.pop(0)
        assert until < FOREVER, "it waits for ever"
        self.clock.time = until


class Ours(Doer):
    """A Doer of ours that is due at set tymes, and notes when it runs."""

    def __init__(self, dues: list[float] | None = None, poller: Any = None, runs: int | None = None) -> None:
        super().__init__()
        self.dues = dues or []
        self.tymes: list[float] = []
        self.left = runs
        self.exits = 0
        if poller is not None:
            self.poller = poller

    def due(self, tyme: float) -> float:
        return self.dues[0] if self.dues else FOREVER

    def recur(self, tyme: float) -> bool:
        self.tymes.append(tyme)
        while self.dues and self.dues[0] <= tyme:
            self.dues.pop(0)
        if self.left is not None:
            self.left -= 1
        return self.left == 0

    def exit(self) -> None:
        self.exits += 1


class Ordinary(doing.Doer):  # type: ignore[misc]
    """A Doer as everybody writes it for hio."""

    def __init__(self, tock: float = 0.0, act: Callable[[float], Any] | None = None) -> None:
        super().__init__(tock=tock)
        self.tymes: list[float] = []
        self.exits = 0
        self.act = act

    def recur(self, tyme: float) -> bool:
        self.tymes.append(tyme)
        return bool(self.act(tyme)) if self.act is not None else False

    def exit(self) -> None:
        self.exits += 1


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def run(clock: FakeClock, doers: list[Any], limit: float | None = None, **options: Any) -> PollingDoist:
    """Run these Doers on that clock."""
    doist = PollingDoist(doers=doers, limit=limit, clock=clock, **options)
    doist.do()
    return doist


def gaps(tymes: list[float]) -> list[float]:
    return [later - earlier for earlier, later in zip(tymes, tymes[1:], strict=False)]


# ------------------------------------------------------------ how long it waits


def test_it_waits_until_the_first_of_our_doers_is_due_and_no_longer(clock: FakeClock) -> None:
    poller = FakePoller(clock)
    first = Ours([7.0], poller)
    second = Ours([3.0, 12.5])
    run(clock, [first, second], limit=20.0)
    assert first.tymes == [0.0, 3.0, 7.0, 12.5, 20.0]
    assert poller.waits == [3.0, 4.0, 5.5, 7.5]


def test_a_ready_socket_ends_the_wait_at_once(clock: FakeClock) -> None:
    poller = FakePoller(clock, [0.0625, 4.25])
    doer = Ours([60.0], poller)
    run(clock, [doer], limit=10.0)
    assert doer.tymes == [0.0, 0.0625, 4.25, 10.0]


def test_without_anything_to_do_it_waits_without_end(clock: FakeClock) -> None:
    poller = FakePoller(clock, [100_000.0])
    doer = Ours(None, poller, runs=2)
    doist = run(clock, [doer])
    assert poller.waits == [None]
    assert doist.done
    assert doist.tyme == 100_000.0


def test_the_first_cycle_comes_at_once(clock: FakeClock) -> None:
    for doer in (Ordinary(act=lambda _: True), Ordinary(tock=9.0, act=lambda _: True), Ours(runs=1)):
        assert run(clock, [doer]).done
        assert doer.tymes == [0.0]
    assert clock.sleeps == []


def test_a_wait_that_no_poller_can_count_is_made_of_shorter_ones(clock: FakeClock) -> None:
    poller = FakePoller(clock)
    doer = Ours([1e9], poller)
    run(clock, [doer], limit=3e6)
    assert 2 < len(poller.waits) < 100
    assert all(wait is not None and wait < 2**31 / 1000 for wait in poller.waits)


def test_tyme_follows_the_monotonic_clock_from_where_it_was(clock: FakeClock) -> None:
    doer = Ours([105.0], FakePoller(clock))
    doist = PollingDoist(doers=[doer], clock=clock)
    doist.do(limit=6.0, tyme=100.0)
    assert doer.tymes == [100.0, 105.0, 106.0]
    assert doist.tyme == 106.0


def test_a_clock_that_jumps_ahead_makes_one_cycle_and_no_storm(clock: FakeClock) -> None:
    def jump(tyme: float) -> None:
        if len(doer.tymes) == 3:
            clock.time += 60.0

    poller = FakePoller(clock)
    doer = Ordinary(act=jump)
    run(clock, [Ours(None, poller), doer], limit=62.0)
    assert len(doer.tymes) < 62.0 - 60.0 + 70
    assert max(gaps(doer.tymes)) >= 60.0


def test_a_clock_that_goes_back_does_not_turn_tyme_back(clock: FakeClock) -> None:
    def turn_back(tyme: float) -> None:
        if len(doer.tymes) == 10:
            clock.time -= 0.125

    doer = Ordinary(act=turn_back)
    run(clock, [doer], limit=1.0)
    assert doer.tymes == sorted(doer.tymes)


# ------------------------------------------------------------ ordinary Doers


def test_an_ordinary_doer_without_a_tock_keeps_stock_cadence(clock: FakeClock) -> None:
    doer = Ordinary()
    run(clock, [doer], limit=10.0)
    assert max(gaps(doer.tymes)) == pytest.approx(CADENCE)
    assert len(doer.tymes) == pytest.approx(10.0 / CADENCE, abs=2)


def test_an_ordinary_doer_without_a_tock_runs_in_cycles_that_happen_anyway(clock: FakeClock) -> None:
    poller = FakePoller(clock, [0.0078125, 0.015625, 0.03125])
    doer = Ordinary()
    run(clock, [Ours(None, poller), doer], limit=0.0625)
    assert doer.tymes == [0.0, 0.0078125, 0.015625, 0.03125, 0.0625]


@pytest.mark.parametrize("tock", [0.25, 1.0, 0.0078125])
def test_an_ordinary_doer_with_a_tock_runs_when_it_says(clock: FakeClock, tock: float) -> None:
    doer = Ordinary(tock=tock)
    run(clock, [doer], limit=4.0)
    assert gaps(doer.tymes) == pytest.approx([tock] * (len(doer.tymes) - 1))
    assert len(doer.tymes) == 4.0 / tock + 1


def test_a_doer_with_a_tock_catches_up_after_a_stall(clock: FakeClock) -> None:
    def stall(tyme: float) -> None:
        if tyme == 1.0:
            clock.time += 1.001

    doer = Ordinary(tock=0.0078125, act=stall)
    run(clock, [doer], limit=4.0)
    assert len(doer.tymes) == 4 * 128 + 1


def test_a_changed_tock_holds_from_then_on(clock: FakeClock) -> None:
    def slow(tyme: float) -> None:
        if tyme >= 1.0:
            doer.tock = 1.0

    doer = Ordinary(tock=0.5, act=slow)
    run(clock, [doer], limit=4.0)
    assert doer.tymes == [0.0, 0.5, 1.0, 2.0, 3.0, 4.0]


def test_generator_doers_run_as_hio_runs_them(clock: FakeClock) -> None:
    tymes = []

    @doing.doize(tock=0.0)  # type: ignore[untyped-decorator]
    def bare(tymth: Any = None, tock: float = 0.0, **kwa: Any) -> Iterator[float]:
        yield tock
        for pause in (0.5, 2.0, 0.25):
            tymes.append(tymth())
            yield pause
        tymes.append(tymth())

    doist = run(clock, [bare])
    assert tymes == [0.0, 0.5, 2.5, 2.75]
    assert doist.done


def test_a_dodoer_without_a_tock_is_looked_into(clock: FakeClock) -> None:
    slow = Ordinary(tock=2.0)
    poller = FakePoller(clock, [0.5])
    ours = Ours([3.0], poller)
    inner = doing.DoDoer(doers=[slow, doing.DoDoer(doers=[ours])])
    run(clock, [inner], limit=5.0)
    assert ours.tymes == [0.0, 0.5, 2.0, 3.0, 4.0, 5.0]
    assert slow.tymes == [0.0, 2.0, 4.0]


def test_a_dodoer_with_a_tock_keeps_it(clock: FakeClock) -> None:
    doer = Ordinary()
    run(clock, [doing.DoDoer(doers=[doer], tock=1.0)], limit=3.0)
    assert doer.tymes == [0.0, 1.0, 2.0, 3.0]


def test_our_dodoer_may_hold_ordinary_doers(clock: FakeClock) -> None:
    doer = Ordinary(tock=0.5)
    busy = Ordinary()
    ours = Ours([1.25])
    run(clock, [DoDoer(doers=[doer, ours])], limit=2.0)
    assert doer.tymes == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert 1.25 in ours.tymes
    run(clock, [DoDoer(doers=[busy])], limit=2.0)
    assert max(gaps(busy.tymes)) == pytest.approx(CADENCE)


def test_a_doer_that_is_done_is_asked_no_more_when_it_is_due(clock: FakeClock) -> None:
    class Done(Ours):
        def due(self, tyme: float) -> float:
            return tyme  # always at once

    poller = FakePoller(clock)
    rest = Ours([5.0], poller)
    run(clock, [DoDoer(doers=[Done(runs=1), rest])], limit=10.0)
    assert poller.waits == [5.0, 5.0]


def test_doers_that_are_added_later_run_too(clock: FakeClock) -> None:
    late = Ordinary(tock=0.5)
    later = Ours([2.25])

    def extend(tyme: float) -> None:
        if tyme == 1.0:
            doist.extend([late, later])
        if tyme == 3.0:
            doist.remove([late])

    first = Ordinary(tock=1.0, act=extend)
    doist = PollingDoist(doers=[first], clock=clock, limit=5.0)
    doist.do()
    assert late.tymes[0] <= 1.0 + CADENCE
    assert late.tymes[-1] == 3.0
    assert late.exits == 1
    assert 2.25 in later.tymes


# ------------------------------------------------------------ the end


def test_it_ends_when_all_its_doers_are_done(clock: FakeClock) -> None:
    doers = [Ours([1.0, 2.0], runs=2), Ordinary(tock=0.5, act=lambda tyme: tyme >= 3.0)]
    doist = run(clock, doers)
    assert doist.done
    assert doist.tyme == 3.0
    assert [doer.exits for doer in doers] == [1, 1]


def test_it_ends_at_once_without_doers(clock: FakeClock) -> None:
    assert run(clock, []).done
    assert clock.sleeps == []


def test_the_limit_ends_it_and_exits_its_doers(clock: FakeClock) -> None:
    doers = [Ours([100.0]), Ordinary()]
    doist = run(clock, doers, limit=2.5)
    assert doist.tyme == pytest.approx(2.5)
    assert not doist.done
    assert [doer.exits for doer in doers] == [1, 1]


def test_ctrl_c_ends_it_quietly_and_exits_its_doers(clock: FakeClock) -> None:
    def interrupt(tyme: float) -> None:
        if tyme >= 1.0:
            raise KeyboardInterrupt

    doers = [Ours(), Ordinary(tock=0.5, act=interrupt), Ordinary()]
    doist = run(clock, doers)
    assert not doist.done
    assert [doer.exits for doer in doers] == [1, 1, 1]
    assert not doist.deeds


def test_ctrl_c_while_it_waits_ends_it_too(clock: FakeClock) -> None:
    class Interrupted(FakePoller):
        def wait(self, seconds: float | None) -> None:
            raise KeyboardInterrupt

    doer = Ours(None, Interrupted(clock))
    run(clock, [doer])
    assert doer.exits == 1


def test_an_error_of_a_doer_exits_all_and_is_raised(clock: FakeClock) -> None:
    def fail(tyme: float) -> None:
        raise LookupError("mine")

    other = Ours()
    with pytest.raises(LookupError, match="mine"):
        run(clock, [other, Ordinary(act=fail)])
    assert other.exits == 1


def test_it_can_run_again(clock: FakeClock) -> None:
    doer = Ordinary(tock=0.5)
    doist = PollingDoist(doers=[doer], clock=clock)
    doist.do(limit=1.0)
    doist.do(limit=1.0)
    assert doer.tymes == [0.0, 0.5, 1.0, 1.0, 1.5, 2.0]


def test_doers_handed_to_do_replace_its_own(clock: FakeClock) -> None:
    mine, other = Ordinary(tock=1.0), Ordinary(tock=1.0)
    doist = PollingDoist(doers=[mine], clock=clock)
    doist.do(doers=[other], limit=1.0)
    assert mine.tymes == []
    assert other.tymes == [0.0, 1.0]
    assert doist.doers == [other]


def test_when_not_real_it_is_a_stock_doist(clock: FakeClock) -> None:
    def both(make: Callable[..., Any]) -> list[Any]:
        doers = [Ordinary(), Ordinary(tock=1.0), Ours([9.0])]
        doist = make(doers=doers, real=False, tock=0.25, limit=3.0)
        doist.do()
        return [doist.tyme, doist.done, *(doer.tymes for doer in doers)]

    assert both(lambda **options: PollingDoist(clock=clock, **options)) == both(doing.Doist)
    assert clock.sleeps == []
    assert clock.time == 1000.0


def test_when_not_real_its_cycles_can_be_driven_one_by_one(clock: FakeClock) -> None:
    doer = Ordinary()
    doist = PollingDoist(real=False, tock=0.5, clock=clock)
    deeds = doist.enter(doers=[doer])
    for _ in range(3):
        doist.recur(deeds=deeds)
    doist.exit(deeds=deeds)
    assert doer.tymes == [0.0, 0.5, 1.0]
    assert doer.exits == 1


# ------------------------------------------------------------ the kernel's poller


class Listener:
    """Takes what one socket brings."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.got: list[bytes] = []

    def attend(self, mask: int) -> None:
        self.got.append(self.sock.recv(100))


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


# ------------------------------------------------------------ listening sockets


@pytest.fixture
def network() -> KernelNetwork:
    return KernelNetwork()


def test_port_zero_is_a_free_port_of_loopback(network: KernelNetwork) -> None:
    with network.listen(("127.0.0.1", 0), backlog=5) as sock:
        assert sock.getsockname()[1] > 0
        with socket.create_connection(sock.getsockname(), LONG):
            pass


def test_a_port_in_use_is_an_error(network: KernelNetwork) -> None:
    for host in ("127.0.0.1", ""):
        with network.listen((host, 0), backlog=5) as sock:
            with pytest.raises(OSError, match="in use"):
                network.listen((host, sock.getsockname()[1]), backlog=5)


def test_an_empty_host_listens_on_all_interfaces(network: KernelNetwork) -> None:
    with network.listen(("", 0), backlog=5) as sock:
        port = sock.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), LONG):
            pass
        if sock.family == socket.AF_INET6:
            with socket.create_connection(("::1", port), LONG):
                pass


def test_localhost_is_where_ipv4_clients_look_first(network: KernelNetwork) -> None:
    with network.listen(("localhost", 0), backlog=5) as sock:
        assert sock.getsockname()[0] in ("127.0.0.1", "::1")


def test_an_unknown_host_is_an_error(network: KernelNetwork) -> None:
    with pytest.raises(OSError, match=r".+"):
        network.listen(("no-such-host.invalid", 0), backlog=5)


def test_a_unix_socket_has_a_file_while_it_is_open(network: KernelNetwork, tmp_path: Any) -> None:
    path = str(tmp_path / "socket")
    sock = network.listen(path, backlog=5)
    assert os.path.exists(path)
    sock.close()
    sock.close()
    assert not os.path.exists(path)


def test_the_stale_file_of_a_dead_server_is_replaced(network: KernelNetwork, tmp_path: Any) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with network.listen(path, backlog=5), socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


@pytest.mark.parametrize("backlog", [0, 5])
def test_the_socket_of_a_living_server_is_not_taken(network: KernelNetwork, tmp_path: Any, backlog: int) -> None:
    path = str(tmp_path / "socket")
    clients = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    with network.listen(path, backlog=backlog):
        for client in clients:
            client.setblocking(False)
            client.connect_ex(path)  # with no backlog it is full, and who connects would have to wait
        with pytest.raises(OSError, match="in use"):
            network.listen(path, backlog=5)
        assert os.path.exists(path)
    for client in clients:
        client.close()


def test_a_foreign_file_is_left_alone(network: KernelNetwork, tmp_path: Any) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(OSError, match="in use"):
        network.listen(str(path), backlog=5)
    assert path.read_text() == "mine"


def test_a_link_to_elsewhere_is_left_alone(network: KernelNetwork, tmp_path: Any) -> None:
    target = tmp_path / "target"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(target))
    link = tmp_path / "link"
    link.symlink_to(target)
    with pytest.raises(OSError, match="in use"):
        network.listen(str(link), backlog=5)
    assert target.exists()


def test_a_file_that_has_taken_the_place_of_ours_is_left_alone(network: KernelNetwork, tmp_path: Any) -> None:
    path = tmp_path / "socket"
    sock = network.listen(str(path), backlog=5)
    path.rename(tmp_path / "moved")
    path.write_text("foreign")
    sock.close()
    assert path.read_text() == "foreign"


def test_a_folder_that_does_not_exist_is_an_error(network: KernelNetwork, tmp_path: Any) -> None:
    with pytest.raises(FileNotFoundError):
        network.listen(str(tmp_path / "no" / "socket"), backlog=5)
