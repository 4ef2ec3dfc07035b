"""What a host's kernel does for the network: descriptors, ports, and what becomes of sockets whose process ends."""

from collections.abc import Iterator

import pytest

from tests.benches import WRITABLE, number, pending
from tests.sim.benches import Hand, SimBench, SimUnixBench, calm
from totohio.sim.net import stacking
from totohio.sim.net.ruling import partition


@pytest.fixture
def bench() -> Iterator[SimBench]:
    bench = SimBench()
    yield bench
    bench.close()


def power_up(bench: SimBench) -> None:
    """Give the server power again, and start a process on it."""
    bench.server.host.stack.up = True
    bench.server = Hand(bench.server.host, bench.server.number + 1)
    bench.there = bench.server.network


# ------------------------------------------------------------ power


def test_to_connect_to_a_host_without_power_takes_127_seconds_to_fail(bench: SimBench) -> None:
    address = bench.reach(bench.listen())
    bench.server.host.crash()
    ours = bench.keep(bench.here.connect(address))
    bench.world.run(126.9)
    assert ours.readiness() == 0
    bench.world.run(0.2)
    assert pending(ours) == "ETIMEDOUT"


def test_who_connects_meanwhile_is_refused_or_accepted_when_there_is_power_again(bench: SimBench) -> None:
    address = bench.reach(bench.listen())
    bench.server.host.crash()
    ours = bench.keep(bench.here.connect(address))
    bench.settle()
    power_up(bench)
    bench.settle()
    assert pending(ours) == "ECONNREFUSED"
    bench.server.host.crash()
    ours = bench.keep(bench.here.connect(address))
    bench.settle()
    power_up(bench)
    listener = bench.keep(bench.there.listen(("", address[1]), backlog=5))
    bench.settle()
    assert ours.readiness() == WRITABLE
    bench.accept(listener)


def test_a_power_cut_is_noticed_by_who_sends_when_there_is_power_again(bench: SimBench) -> None:
    ours, _ = bench.pair()
    silent, _ = bench.pair()
    bench.server.host.crash()
    bench.settle()
    assert ours.readiness() == WRITABLE
    assert ours.send(b"hello") == 5
    bench.world.run(600.0)
    assert ours.readiness() == WRITABLE
    power_up(bench)
    bench.world.run(121.0)
    assert pending(ours) == "ECONNRESET"
    bench.world.run(10_000.0)
    assert silent.readiness() == WRITABLE


def test_an_end_that_reaches_nobody_is_answered_with_a_reset(bench: SimBench) -> None:
    ours, _ = bench.pair()
    bench.server.host.crash()
    power_up(bench)
    ours.shutdown(1)
    bench.settle()
    assert pending(ours) == "ECONNRESET"


def test_who_sends_to_a_host_without_power_gives_up_after_924_seconds(bench: SimBench) -> None:
    ours, _ = bench.pair()
    bench.server.host.crash()
    ours.send(b"hello")
    bench.world.run(924.0)
    assert ours.readiness() == WRITABLE
    bench.world.run(2.0)
    assert pending(ours) == "ETIMEDOUT"


def test_a_power_cut_takes_everything(bench: SimBench) -> None:
    listener = bench.listen()
    ours = bench.connected(listener)
    _, theirs = bench.pair()
    host = bench.server.host
    host.crash()
    assert number(theirs.send, b"x") == "EBADF"
    assert number(listener.accept) == "EBADF"
    assert (host.stack.open, host.stack.sockets, host.stack.listeners) == (0, {}, {})
    power_up(bench)
    ours.send(b"nobody accepted it")
    bench.settle()
    assert pending(ours) == "ECONNRESET"


def test_what_was_under_way_when_the_power_went_still_arrives(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    theirs.send(b"last words")
    bench.server.host.crash()
    bench.settle()
    assert ours.recv(100) == b"last words"
    assert number(ours.recv, 100) == "EAGAIN"


def test_what_was_to_be_sent_again_when_the_power_went_is_gone(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    with bench.world.net.rule(partition("client", "server")):
        theirs.send(b"lost")
        bench.settle()
        bench.server.host.crash()
    bench.world.run(1000.0)
    assert number(ours.recv, 100) == "EAGAIN"


# ------------------------------------------------------------ processes


def test_a_killed_process_ends_its_connections_as_its_kernel_does(bench: SimBench) -> None:
    quiet, _ = bench.pair()
    unread, _ = bench.pair()
    bench.give(unread, b"unread")
    listener = bench.listen()
    waiting = bench.connected(listener)
    address = bench.reach(listener)
    bench.server.host.kill()
    bench.settle()
    assert quiet.recv(100) == b""
    assert pending(quiet) is None
    assert pending(unread) == "ECONNRESET"
    assert pending(waiting) == "ECONNRESET"
    ours = bench.keep(bench.here.connect(address))
    bench.settle()
    assert pending(ours) == "ECONNREFUSED"
    stack = bench.server.host.stack
    assert (stack.up, stack.open, stack.sockets, stack.listeners) == (True, 0, {}, {})


def test_the_sockets_of_another_process_on_that_host_stay(bench: SimBench) -> None:
    other = Hand(bench.server.host, 1)
    bench.server.host.process = bench.server
    listener = bench.keep(other.network.listen(("", 80), backlog=5))
    ours = bench.connected(listener)
    bench.server.host.kill()
    bench.settle()
    theirs = bench.accept(listener)
    bench.give(ours, b"hello")
    assert bench.take(theirs, 5) == b"hello"


def test_the_kernel_takes_what_comes_for_a_process_that_is_paused_until_there_is_no_more_room(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    listener = bench.listen()
    bench.server.host.pause()
    size = bench.fill(ours)
    assert size > 1000
    waiting = bench.connected(listener)
    bench.give(waiting, b"hello")
    bench.world.run(10_000.0)
    assert ours.readiness() == 0
    bench.server.host.resume()
    taken = 0
    while taken < size:
        taken += len(bench.piece(theirs))
    assert ours.readiness() == WRITABLE
    assert bench.take(bench.accept(listener), 5) == b"hello"


def test_the_path_of_a_listener_that_was_killed_or_lost_power_stays() -> None:
    bench = SimUnixBench(calm("still"))
    for end in (bench.server.host.kill, bench.server.host.crash):
        bench.there.listen("/run/server", backlog=5)
        end()
        power_up(bench)
        bench.here = bench.there
        assert number(bench.here.connect, "/run/server") == "ECONNREFUSED"
    listener = bench.there.listen("/run/server", backlog=5)
    bench.connected(listener)
    bench.close()


# ------------------------------------------------------------ descriptors and ports


def test_every_socket_takes_a_descriptor_and_gives_it_back(bench: SimBench) -> None:
    here, there = bench.client.host.stack, bench.server.host.stack
    assert (bench.here.descriptors(), bench.there.descriptors()) == (here.limit, there.limit)
    listener = bench.listen()
    ours = bench.connected(listener)
    assert (here.open, there.open) == (1, 1)  # a connection that waits takes none
    theirs = bench.accept(listener)
    assert (here.open, there.open) == (1, 2)
    bench.abort(ours)
    refused = bench.keep(bench.here.connect(("server", 80)))
    bench.settle()
    assert (here.open, there.open) == (1, 2)  # what is dead takes one until it is closed
    for sock in (listener, theirs, refused):
        sock.close()
        sock.close()
    assert (here.open, there.open) == (0, 0)


def test_the_limit_is_how_many_may_be_open(bench: SimBench) -> None:
    bench.client.host.stack.limit = 3
    listener = bench.listen()
    socks = [bench.connect(listener) for _ in range(3)]
    assert number(bench.connect, listener) == "EMFILE"
    assert number(bench.here.connect, "/run/server") == "EMFILE"
    assert number(lambda: bench.here.listen(("", 0), backlog=5)) == "EMFILE"
    socks[0].close()
    bench.connect(listener)


def test_a_port_is_not_given_twice_while_it_is_in_use(bench: SimBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacking, "FIRST_PORT", 32768)
    monkeypatch.setattr(stacking, "LAST_PORT", 32772)
    listener = bench.listen()
    bench.keep(bench.here.listen(("", 32770), backlog=5))
    socks = [bench.connect(listener) for _ in range(4)]
    assert sorted(each.getsockname()[1] for each in socks) == [32768, 32769, 32771, 32772]
    assert number(bench.connect, listener) == "EADDRNOTAVAIL"
    assert number(lambda: bench.here.listen(("", 0), backlog=5)) == "EADDRNOTAVAIL"
    assert bench.client.host.stack.open == 5  # what failed takes no descriptor
    port = socks[2].getsockname()[1]
    socks[2].close()
    assert bench.connect(listener).getsockname()[1] == port


def test_a_listener_tells_where_it_listens(bench: SimBench) -> None:
    assert bench.keep(bench.there.listen(("", 80), backlog=5)).getsockname() == ("0.0.0.0", 80)
    assert bench.keep(bench.there.listen(("127.0.0.1", 81), backlog=5)).getsockname() == ("127.0.0.1", 81)
    assert bench.keep(bench.there.listen("/run/server", backlog=5)).getsockname() == "/run/server"


def test_no_socket_can_be_made_to_block(bench: SimBench) -> None:
    listener = bench.listen()
    for sock in (listener, bench.connected(listener)):
        sock.setblocking(False)
        with pytest.raises(ValueError, match="cannot block"):
            sock.setblocking(True)
