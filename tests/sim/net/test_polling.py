"""The simulated poller keeps what the suite says of the kernel's, and a few things of its own."""

from collections.abc import Iterator

import pytest

from tests.benches import READABLE, Watcher
from tests.poller_suite import PollerSuite
from tests.sim.benches import SimBench, SimUnixBench, calm
from totohio.base.errors import TotohioError


class TestSimPollerOfTcp(PollerSuite):
    """Of connections between two hosts."""

    @pytest.fixture(params=["still", "sunny", "stormy", "radioactive"])
    def bench(self, request: pytest.FixtureRequest) -> Iterator[SimBench]:
        bench = SimBench(calm(request.param))
        yield bench
        bench.close()


class TestSimPollerOfUnixSockets(PollerSuite):
    """Of connections within one host."""

    @pytest.fixture
    def bench(self) -> Iterator[SimUnixBench]:
        bench = SimUnixBench(calm("still"))
        yield bench
        bench.close()


@pytest.fixture
def bench() -> Iterator[SimBench]:
    bench = SimBench(calm("still"))
    yield bench
    bench.close()


def test_nobody_can_wait_in_it(bench: SimBench) -> None:
    with pytest.raises(TotohioError, match="the World runs the cycles"):
        bench.poller().wait(1.0)


def test_a_socket_is_watched_by_one_poller_at_a_time(bench: SimBench) -> None:
    ours, _ = bench.pair()
    first, second = bench.poller(), bench.poller()
    first.register(ours, READABLE, Watcher())
    with pytest.raises(KeyError, match="watched already"):
        second.register(ours, READABLE, Watcher())
    second.unregister(ours)
    first.unregister(ours)
    second.register(ours, READABLE, Watcher())


def test_what_happens_to_a_socket_rouses_only_who_watches_for_it(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    poller = bench.poller()
    poller.register(ours, 0, Watcher())
    bench.woken(poller)
    theirs.send(b"hello")
    assert not bench.woken(poller)
    poller.modify(ours, READABLE, Watcher())
    assert bench.woken(poller)
    bench.drain(ours)
    theirs.send(b"hello")
    assert bench.woken(poller)


def test_who_is_not_ready_any_more_does_not_count_as_pending(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    poller = bench.here.poller()
    poller.register(ours, READABLE, Watcher())
    assert not poller.pending()
    bench.give(theirs, b"hello")
    assert poller.pending()
    assert poller.pending()
    bench.drain(ours)
    assert not poller.pending()


def test_the_order_of_those_that_are_ready_is_the_seeds() -> None:
    orders = set()
    for seed in range(20):
        bench = SimBench(calm("still"), seed)
        poller = bench.poller()
        watchers = [Watcher() for _ in range(4)]
        pairs = [bench.pair() for _ in watchers]
        for (ours, _), watcher in zip(pairs, watchers, strict=True):
            poller.register(ours, READABLE, watcher)
        for _, theirs in pairs:
            bench.give(theirs, b"hello")
        first = tuple(watchers.index(each) for each, _ in poller.ready())
        assert sorted(first) == [0, 1, 2, 3]
        orders.add(first)
        bench.close()
    assert len(orders) > 10
