"""How connections begin in the simulated network, how rules hold, and what the trace tells."""

import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benches import BOTH, READABLE, WRITABLE, number, pending
from tests.sim.benches import LATENCY, SimBench, calm
from totohio.sim.faulting import Action
from totohio.sim.net.ruling import delay, drop, hold, one_way, partition, refuse, reset_nth

DIGEST = """
import sys
from tests.sim.benches import SimBench, calm
from totohio.sim.net.ruling import drop, hold, partition
bench = SimBench(calm("radioactive"), 7)
ours, theirs = bench.pair()
others = bench.pair()
with bench.world.net.rule(drop("client", ["server"], probability=0.5)):
    for sock in (ours, theirs, *others):
        bench.give(sock, bytes(500))
    others[0].close()
with bench.world.net.rule(partition(["server", "client"]), hold("client")):
    ours.send(b"x")
    bench.settle()
theirs.close()
bench.settle()
print(bench.world.trace.digest(), len(bench.world.trace.entries))
"""


@pytest.fixture
def bench() -> Iterator[SimBench]:
    bench = SimBench()
    yield bench
    bench.close()


# ------------------------------------------------------------ the handshake


def test_who_connects_is_connected_after_one_round_and_accepted_half_a_round_later(bench: SimBench) -> None:
    listener = bench.listen()
    ours = bench.connect(listener)
    bench.world.run_until(lambda: ours.readiness() == WRITABLE)
    assert bench.world.tyme == 2 * LATENCY
    assert listener.readiness() == 0
    bench.world.run_until(lambda: listener.readiness() == READABLE)
    assert bench.world.tyme == 3 * LATENCY


def test_what_is_sent_at_once_waits_with_the_connection(bench: SimBench) -> None:
    listener = bench.listen()
    ours = bench.connect(listener)
    bench.world.run_until(lambda: ours.readiness() == WRITABLE)
    ours.send(b"hello")
    bench.settle()
    theirs = bench.accept(listener)
    assert theirs.recv(100) == b"hello"


def test_a_delay_counts_for_both_ways_of_the_handshake(bench: SimBench) -> None:
    listener = bench.listen()
    with bench.world.net.rule(delay(0.25, "client", "server")):
        ours = bench.connect(listener)
        bench.world.run_until(lambda: ours.readiness() == WRITABLE)
    assert bench.world.tyme == 0.5 + 2 * LATENCY


def test_who_gets_no_answer_tries_again_and_gives_up_after_127_seconds(bench: SimBench) -> None:
    listener = bench.listen()
    with bench.world.net.rule(partition("client", "server")):
        ours = bench.connect(listener)
        bench.world.run(126.5)
        assert ours.readiness() == 0
        bench.world.run(1.0)
        assert ours.readiness() == BOTH
        assert pending(ours) == "ETIMEDOUT"
    assert ("refuse", ours.label, "timeout") in bench.notes("client")
    bench.settle()
    assert listener.readiness() == 0


def test_a_partition_that_ends_lets_the_next_try_through(bench: SimBench) -> None:
    listener = bench.listen()
    with bench.world.net.rule(partition("client", "server")):
        ours = bench.connect(listener)
        bench.world.run(4.0)  # it tries at once, and after 1, 3 and 7 seconds
    bench.world.run_until(lambda: ours.readiness() == WRITABLE)
    assert bench.world.tyme == pytest.approx(7.0 + 2 * LATENCY)


def test_an_answer_that_is_lost_connects_nobody(bench: SimBench) -> None:
    listener = bench.listen()
    with bench.world.net.rule(one_way("server", "client")):
        ours = bench.connect(listener)
        bench.settle()
        assert ours.readiness() == 0
        assert listener.readiness() == 0
    bench.world.run_until(lambda: ours.readiness() == WRITABLE)
    bench.settle()
    bench.accept(listener)
    assert number(listener.accept) == "EAGAIN"  # it was asked several times, and is one connection


def test_a_held_connect_goes_on_when_the_rule_ends(bench: SimBench) -> None:
    listener = bench.listen()
    with bench.world.net.rule(hold("client", "server")):
        asking = bench.connect(listener)
        bench.world.run(5.5)
    assert asking.readiness() == 0
    bench.world.run(2 * LATENCY)
    assert asking.readiness() == WRITABLE
    answered = bench.connect(listener)
    bench.world.run(LATENCY / 2)
    with bench.world.net.rule(hold("client", "server")):  # the answer this time
        bench.world.run(0.5)
        assert answered.readiness() == 0
    bench.world.run(2 * LATENCY)
    assert answered.readiness() == WRITABLE


def test_a_refused_connect_is_refused_though_somebody_listens(bench: SimBench) -> None:
    listener = bench.listen()
    old = bench.connected(listener)
    with bench.world.net.rule(refuse("server")):
        ours = bench.connect(listener)
        bench.settle()
        assert pending(ours) == "ECONNREFUSED"
        bench.give(old, b"what is there already goes on")
    bench.connected(listener)


def test_a_queue_that_is_full_makes_who_connects_wait(bench: SimBench) -> None:
    listener = bench.listen(backlog=0)
    bench.connected(listener)
    waiting = bench.connect(listener)
    bench.settle()
    assert waiting.readiness() == 0
    bench.accept(listener)
    bench.world.run_until(lambda: waiting.readiness() == WRITABLE)
    bench.settle()
    bench.accept(listener)


def test_who_found_room_that_others_took_first_waits_without_knowing(bench: SimBench) -> None:
    listener = bench.listen(backlog=0)
    clients = [bench.connect(listener) for _ in range(3)]  # all ask before anyone is there
    bench.world.run(3 * LATENCY)
    assert [each.readiness() for each in clients] == [WRITABLE] * 3
    for client, letter in zip(clients, (b"a", b"b", b"c"), strict=True):
        client.send(letter)
    letters = []
    for _ in clients:
        bench.arrives(listener)
        theirs = bench.accept(listener)
        assert number(listener.accept) == "EAGAIN"
        letters.append(bench.take(theirs, 1))
    assert sorted(letters) == [b"a", b"b", b"c"]


def test_a_listener_that_closes_during_the_handshake_resets_it(bench: SimBench) -> None:
    listener = bench.listen()
    ours = bench.connect(listener)
    bench.world.run(LATENCY * 1.5)
    listener.close()
    bench.world.run_until(lambda: ours.readiness() == BOTH)
    assert pending(ours) == "ECONNRESET"


def test_who_leaves_during_the_handshake_is_never_accepted(bench: SimBench) -> None:
    listener = bench.listen()
    for moment in (0.0, 0.5, 1.5):
        ours = bench.connect(listener)
        bench.world.run(LATENCY * moment)
        ours.close()
    bench.settle()
    assert listener.readiness() == 0
    assert not bench.world.net.connections


def test_a_host_that_does_not_exist_is_an_error_at_once_and_costs_no_descriptor(bench: SimBench) -> None:
    for _ in range(3):
        assert number(bench.here.connect, ("nowhere", 80)) == "EADDRNOTAVAIL"
        assert number(bench.here.connect, ("server", 0)) == "EADDRNOTAVAIL"
        assert number(bench.here.connect, "/no/such/path") == "ENOENT"
    assert bench.client.host.stack.open == 0


def test_a_host_is_known_by_its_name_and_its_address(bench: SimBench) -> None:
    listener = bench.listen()
    port = listener.getsockname()[1]
    address = bench.server.host.address
    for place in ("server", address):
        ours = bench.keep(bench.here.connect((place, port)))
        assert ours.remote == (address, port)
        bench.until(lambda ours=ours: ours.readiness() == WRITABLE)
        assert ours.getpeername() == (address, port)
        assert ours.getsockname()[0] == bench.client.host.address


# ------------------------------------------------------------ rules


def test_a_rule_ends_with_its_block_even_when_that_raises(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    with pytest.raises(KeyError), bench.world.net.rule(partition("client"), delay(1.0)):
        raise KeyError
    assert bench.world.net.rules == []
    ours.send(b"hello")
    assert bench.arrives(theirs) == LATENCY


def test_a_rule_can_end_before_its_block(bench: SimBench) -> None:
    rule = partition("client")
    with bench.world.net.rule(rule):
        bench.world.net.remove(rule)
        bench.pair()
    told = [entry[2:] for entry in bench.world.trace.entries if entry[2] in ("rule", "heal")]
    assert told == [("rule", "partition client <-> all"), ("heal", "partition client <-> all")]


def test_what_met_nothing_has_not_fired(bench: SimBench) -> None:
    ours, _ = bench.pair()
    rules = [partition("server", "client"), drop("client"), refuse(), delay(1.0, "client"), reset_nth(3)]
    with bench.world.net.rule(*rules):
        assert bench.world.plan.unfired == rules
        ours.send(b"x")
    assert bench.world.plan.unfired == rules[1:]  # the first that objects decides, and the others are not asked
    bench.settle()
    with bench.world.net.rule(*rules[3:]):
        for _ in range(3):
            ours.send(b"x")
    assert bench.world.plan.unfired == rules[1:3]
    assert bench.world.plan.authored == rules  # each once, however often it was set


def test_an_action_has_fired_when_its_tyme_has_come(bench: SimBench) -> None:
    ours, _ = bench.pair()
    action = bench.world.plan.at(100.0, bench.server.host.crash, "crash the server")
    assert bench.world.plan.unfired == [action]
    assert isinstance(action, Action)
    bench.world.run(101.0)
    assert bench.world.plan.unfired == []
    assert not bench.server.host.stack.up
    assert ours.readiness() == WRITABLE


# ------------------------------------------------------------ the trace


def test_the_trace_tells_how_a_connection_went(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    label = ours.label
    assert label.startswith("client:")
    ours.send(b"hello")
    bench.settle()
    theirs.recv(100)
    ours.shutdown(1)
    bench.settle()
    theirs.close()
    bench.settle()
    ours.close()
    checksum = zlib.crc32(b"hello")
    assert bench.notes("client") == [
        ("connect", label),
        ("send", label, 5, checksum),
        ("end", label),
        ("end", label, "arrived"),
        ("close", label),
    ]
    assert bench.notes("server") == [
        ("accept", label),
        ("receive", label, 5, checksum),
        ("end", label, "arrived"),
        ("end", label),
        ("close", label),
    ]


def test_the_trace_tells_of_resets_and_refusals(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    bench.abort(theirs)
    refused = bench.keep(bench.here.connect(("server", 80)))
    bench.settle()
    assert bench.notes("server")[1:] == [("reset", ours.label), ("close", ours.label)]
    assert bench.notes("client")[1:] == [
        ("reset", ours.label, "arrived"),
        ("connect", refused.label),
        ("refuse", refused.label),
    ]


def test_a_receipt_is_noted_when_there_is_room_for_it() -> None:
    bench = SimBench(calm("still", least_buffer=100))
    ours, theirs = bench.pair()
    size = bench.fill(ours)
    received = sum(entry[2] for entry in bench.notes("server") if entry[0] == "receive")
    assert 0 < received < size
    bench.drain(theirs)
    received = sum(entry[2] for entry in bench.notes("server") if entry[0] == "receive")
    assert received == size
    bench.close()


def test_the_same_seed_gives_the_same_trace_whatever_the_hash_seed(tmp_path: Path) -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.getcwd()},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
