"""What the simulated network does to bytes: it takes time, in which nothing is lost but by a reset."""

from collections.abc import Iterator

import pytest

from tests.benches import BOTH, WRITABLE, number, pending
from tests.sim.benches import LATENCY, SimBench, calm, even
from totohio.sim.net.ruling import delay, drop, hold, one_way, partition, reset_nth


@pytest.fixture
def bench() -> Iterator[SimBench]:
    bench = SimBench()
    yield bench
    bench.close()


# ------------------------------------------------------------ time


def test_bytes_take_the_latency_of_the_two_hosts(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    ours.send(b"hello")
    assert bench.arrives(theirs) == LATENCY
    theirs.send(b"hello")
    assert bench.arrives(ours) == LATENCY


def test_each_two_hosts_have_a_latency_of_their_own_the_same_both_ways() -> None:
    seen = set()
    for seed in range(10):
        bench = SimBench(calm("stormy", jitter=0.0, fragment=0.0, partial=0.0, bandwidth=1e30), seed)
        ours, theirs = bench.pair()
        times = set()
        for one, other in ((ours, theirs), (theirs, ours)) * 2:
            one.send(b"x")
            times.add(round(bench.arrives(other), 9))
            other.recv(1)
        bench.close()
        assert len(times) == 1
        seen |= times
    assert len(seen) == 10
    assert min(seen) >= 0.0001
    assert max(seen) <= 0.05


def test_jitter_delays_and_never_reorders() -> None:
    bench = SimBench(even(jitter=1.0))
    ours, theirs = bench.pair()
    times = []
    for letter in range(100):
        ours.send(bytes([letter]))
        bench.world.run(0.01)
    while len(times) < 100:
        times += [bench.arrives(theirs)] * len(theirs.recv(1))
    bench.close()
    assert max(times) > 0.1


def test_nothing_within_a_host_takes_time(bench: SimBench) -> None:
    listener = bench.listen()
    loop = bench.keep(bench.there.connect(("localhost", listener.getsockname()[1])))
    bench.arrives(listener)
    theirs = bench.accept(listener)
    loop.send(b"hello")
    bench.arrives(theirs)
    assert bench.world.tyme == 0.0


def test_bytes_take_their_turn_in_the_bandwidth() -> None:
    bench = SimBench(even(bandwidth=1024.0))
    ours, theirs = bench.pair()
    ours.send(bytes(512))
    ours.send(bytes(256))
    theirs.send(bytes(512))
    assert bench.arrives(ours) == 0.5 + LATENCY  # the other direction has its own
    assert bench.arrives(theirs) == 0.0
    theirs.recv(512)
    assert bench.arrives(theirs) == 0.25
    bench.close()


def test_what_is_sent_at_once_arrives_in_pieces() -> None:
    count = 0
    for seed in range(10):
        bench = SimBench(even(fragment=0.9, bandwidth=1000.0), seed)
        ours, theirs = bench.pair()
        ours.send(bytes(range(200)))
        pieces: list[bytes] = []
        while sum(map(len, pieces)) < 200:
            bench.arrives(theirs)
            pieces.append(theirs.recv(200))
        bench.close()
        assert b"".join(pieces) == bytes(range(200))
        count += len(pieces)
    assert count > 20


def test_one_call_may_take_and_give_only_a_part() -> None:
    bench = SimBench(even(partial=0.5))
    ours, theirs = bench.pair()
    taken = [ours.send(bytes(100)) for _ in range(50)]
    bench.settle()
    given = []
    while sum(given) < sum(taken):
        given.append(len(theirs.recv(100)))
    bench.close()
    for sizes in (taken, given):
        assert 10 < sum(size < 100 for size in sizes) < len(sizes)
        assert min(sizes) > 0


# ------------------------------------------------------------ what does not get through


def test_what_is_lost_is_sent_again_after_ever_longer_times(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    with bench.world.net.rule(partition("client", "server")):
        ours.send(b"hello")
        bench.world.run(1.0)
        ours.send(b" world")
    assert bench.arrives(theirs) == pytest.approx(0.4 + LATENCY)  # after 0.2, 0.6 and 1.4 seconds
    assert bench.take(theirs, 11) == b"hello world"


def test_after_924_seconds_the_sender_gives_up_and_the_other_end_knows_nothing(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    with bench.world.net.rule(partition("client", "server")):
        ours.send(b"hello")
        bench.world.run(924.0)
        assert ours.readiness() == WRITABLE
        bench.world.run(1.0)
        assert ours.readiness() == BOTH
        assert number(ours.recv, 100) == "ETIMEDOUT"
        assert ours.recv(100) == b""
    bench.world.run(1000.0)
    assert theirs.readiness() == WRITABLE
    theirs.send(b"are you there?")
    bench.settle()
    assert number(theirs.recv, 100) == "ECONNRESET"


def test_what_gets_through_begins_the_time_anew(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    for letter in (b"a", b"b", b"c"):
        with bench.world.net.rule(partition("client", "server")):
            ours.send(letter)
            bench.world.run(600.0)
        bench.world.run(121.0)
        assert theirs.recv(100) == letter


def test_a_partition_of_one_direction_lets_the_other_through(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    with bench.world.net.rule(one_way("client", "server")):
        ours.send(b"lost")
        theirs.send(b"found")
        bench.settle()
        assert ours.recv(100) == b"found"
        assert number(theirs.recv, 100) == "EAGAIN"
    assert bench.take(theirs, 4) == b"lost"


def test_what_is_held_arrives_when_the_rule_ends_and_in_order(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    with bench.world.net.rule(hold("client", "server")):
        for letter in (b"a", b"b", b"c"):
            ours.send(letter)
            bench.world.run(1.0)
        ours.close()
        bench.world.run(100.0)
        assert number(theirs.recv, 100) == "EAGAIN"
    assert bench.arrives(theirs) == LATENCY
    assert bench.take(theirs, 3) == b"abc"
    assert bench.piece(theirs) == b""


@pytest.mark.parametrize("data", [b"", b"dropped with it"])
def test_a_reset_that_is_held_arrives_when_the_rule_ends(bench: SimBench, data: bytes) -> None:
    ours, theirs = bench.pair()
    with bench.world.net.rule(hold("client", "server")):
        ours.send(data)
        bench.abort(ours)
        assert theirs.readiness() == WRITABLE
    bench.world.run(LATENCY)
    assert pending(theirs) == "ECONNRESET"


def test_a_reset_that_is_lost_is_the_answer_to_what_comes_next(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    with bench.world.net.rule(partition("client", "server")):
        bench.abort(ours)
    bench.world.run(1000.0)
    assert theirs.readiness() == WRITABLE
    assert theirs.send(b"are you there?") == 14
    bench.settle()
    assert pending(theirs) == "ECONNRESET"


def test_what_was_held_for_long_is_no_reason_to_give_up_later(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    with bench.world.net.rule(hold("client", "server")):
        ours.send(b"hello")
        bench.world.run(900.0)
    assert bench.arrives(theirs) == LATENCY
    bench.world.run(1000.0)
    assert pending(ours) is None


def test_what_is_hurried_and_fails_again_has_one_next_try(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    with bench.world.net.rule(partition("client", "server")):
        ours.send(b"hello")
        for _ in range(4):
            with bench.world.net.rule(hold("client")):
                bench.world.run(LATENCY)
    assert bench.arrives(theirs) == pytest.approx(0.2 + LATENCY)


def test_an_answer_that_is_lost_is_given_again(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    ours.close()
    bench.settle()
    with bench.world.net.rule(one_way("client", "server")):
        theirs.send(b"are you there?")
        bench.settle()
        assert theirs.recv(100) == b""
        assert pending(theirs) is None
    bench.world.run(60.0)
    assert pending(theirs) == "EPIPE"


def test_a_delay_adds_to_the_latency_and_goes_by(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    with bench.world.net.rule(delay(1.0, "client", "server"), delay(0.5, "client")):
        ours.send(b"late")
    ours.send(b"r")  # and yet not overtaking it
    assert bench.arrives(theirs) == 1.5 + LATENCY
    assert theirs.recv(100) == b"later"
    ours.send(b"soon")
    assert bench.arrives(theirs) == LATENCY


def test_some_are_dropped_and_all_arrive() -> None:
    counts = []
    for seed in range(5):
        bench = SimBench(seed=seed)
        ours, theirs = bench.pair()
        rule = drop("client", "server", probability=0.25)
        with bench.world.net.rule(rule):
            for letter in range(100):
                ours.send(bytes([letter]))
                bench.world.run(5.0)
        bench.world.run(60.0)
        assert theirs.recv(1000) == bytes(range(100))
        bench.close()
        counts.append(rule.hits)
    assert all(10 < count < 70 for count in counts)
    assert len(set(counts)) > 1


# ------------------------------------------------------------ resets


def test_the_nth_piece_breaks_the_connection_for_both(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    with bench.world.net.rule(reset_nth(2, "client", "server")):
        ours.send(b"a")
        bench.settle()
        assert ours.send(b"b") == 1
        assert number(ours.send, b"c") == "ECONNRESET"
        assert theirs.recv(100) == b"a"
        assert number(theirs.recv, 100) == "ECONNRESET"
        again, others = bench.pair()
        bench.give(again, b"only that one")
        assert bench.take(others, 13) == b"only that one"


def test_whether_a_reset_overtakes_what_is_on_its_way_is_the_seeds_choice() -> None:
    outcomes = []
    for seed in range(40):
        bench = SimBench(seed=seed)
        ours, theirs = bench.pair()
        ours.send(b"last words")
        bench.abort(ours)
        outcomes.append(bench.drain_all(theirs))
        bench.close()
    assert set(outcomes) == {(b"last words", "ECONNRESET"), (b"", "ECONNRESET")}
    assert 10 < outcomes.count((b"", "ECONNRESET")) < 30


def test_a_reset_overtakes_only_what_is_lost() -> None:
    outcomes = set()
    for seed in range(40):
        bench = SimBench(seed=seed)
        ours, theirs = bench.pair()
        with bench.world.net.rule(delay(5.0)):
            ours.send(b"slow")
        bench.abort(ours)
        outcomes.add(bench.drain_all(theirs))
        bench.close()
    assert outcomes == {(b"slow", "ECONNRESET"), (b"", "ECONNRESET")}


def test_a_full_buffer_is_writable_when_a_third_of_it_is_free(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    for _ in range(2 * ours.capacity // 1024):
        ours.send(bytes(1024))
        bench.world.run(LATENCY)
    seen = []
    while ours.readiness() == 0:
        seen.append(ours.outstanding)
        bench.take(theirs, 1000)
    assert min(seen) < ours.capacity  # a little room was not enough
    assert all(3 * size > 2 * ours.capacity for size in seen)
    assert 3 * ours.outstanding <= 2 * ours.capacity


def test_the_end_overtakes_nothing() -> None:
    for seed in range(20):
        bench = SimBench(calm("radioactive"), seed)
        ours, theirs = bench.pair()
        sent = ours.send(b"last words")
        ours.close()
        bench.settle()
        assert bench.drain_all(theirs) == (b"last words"[:sent], None)
        bench.close()


def test_who_closes_early_loses_what_it_has_not_delivered(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    size = bench.fill(theirs)  # more than there is room for at the other side
    theirs.close()
    ours.send(b"x")  # to a peer that has left: the answer is a reset
    bench.settle()
    data, error = bench.drain_all(ours)
    assert 0 < len(data) < size
    assert error == "ECONNRESET"
