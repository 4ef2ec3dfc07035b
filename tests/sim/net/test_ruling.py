"""Whom the rules of the simulated network concern, and what they say."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.benches import number
from tests.sim.benches import LATENCY, SimBench, hand
from totohio.sim.net.ruling import BLOCK, Rule, delay, drop, hold, one_way, partition, refuse, reset_nth


@pytest.fixture
def bench() -> Iterator[SimBench]:
    bench = SimBench()
    yield bench
    bench.close()


@dataclass(frozen=True)
class Named:
    name: str


class Note(Rule):
    """Lets all pass, and notes it; a rule as a user writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: list[str] = []

    def verdict(self, kind: str) -> float:
        self.kinds.append(kind)
        return 0.0


ways = [(one, other) for one in "abc" for other in "abc" if one != other]


def concerned(rule: Rule) -> list[str]:
    return [one + other for one, other in ways if rule.concerns(one, other)]


def test_a_rule_goes_both_ways_between_its_places() -> None:
    assert concerned(partition("a", "b")) == ["ab", "ba"]
    assert concerned(partition("a")) == ["ab", "ac", "ba", "ca"]
    assert concerned(partition(None, "a")) == ["ab", "ac", "ba", "ca"]
    assert concerned(delay(1.0)) == ["ab", "ac", "ba", "bc", "ca", "cb"]
    assert concerned(hold(["a", "b"], "c")) == ["ac", "bc", "ca", "cb"]
    assert concerned(hold(["a", "b"], ["a", "b"])) == ["ab", "ba"]


def test_a_rule_of_one_way_does_not() -> None:
    assert concerned(one_way("a", "b")) == ["ab"]
    assert concerned(one_way("a")) == ["ab", "ac"]


def test_places_are_names_or_what_has_one() -> None:
    for place in ("a", Named("a"), ["a"], (Named("a"),), {Named("a")}):
        assert concerned(one_way(place, "b")) == ["ab"]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (partition("a", ["c", "b"]), "partition a <-> b,c"),
        (one_way("a"), "partition a -> all"),
        (hold("a", "b"), "hold a <-> b"),
        (drop("a", "b", probability=0.25), "drop 25% a <-> b"),
        (drop(), "drop 100% all <-> all"),
        (delay(0.5, Named("a")), "delay 0.5 s a <-> all"),
        (reset_nth(3), "reset_nth 3 all <-> all"),
        (refuse("a"), "refuse a <-> all"),
    ],
)
def test_a_rule_says_what_it_does_and_to_whom(rule: Rule, text: str) -> None:
    assert str(rule) == text


def test_hosts_can_be_named_by_what_they_are(bench: SimBench) -> None:
    ours, theirs = bench.pair()
    with bench.world.net.rule(partition(bench.client.host, [bench.server.host])):
        ours.send(b"hello")
        bench.settle()
        assert number(theirs.recv, 100) == "EAGAIN"


def test_a_host_has_no_rules_towards_itself(bench: SimBench) -> None:
    listener = bench.listen()
    with bench.world.net.rule(partition("server"), refuse(), delay(1.0)):
        loop = bench.keep(bench.there.connect(("server", listener.getsockname()[1])))
        bench.arrives(listener)
        loop.send(b"hello")
        assert bench.arrives(bench.accept(listener)) == 0.0


def test_others_do_not_notice(bench: SimBench) -> None:
    third = hand(bench.world, "third")
    listener = bench.listen()
    with bench.world.net.rule(partition("client", "server"), refuse("client")):
        other = bench.keep(third.network.connect(bench.reach(listener)))
        bench.arrives(listener)
        other.send(b"hello")
        assert bench.arrives(bench.accept(listener)) == LATENCY


def test_a_rule_of_ones_own_sees_every_segment(bench: SimBench) -> None:
    note = Note()
    with bench.world.net.rule(note):
        listener = bench.listen()
        ours = bench.connected(listener)
        theirs = bench.accept(listener)
        ours.send(b"hello")
        bench.settle()
        ours.shutdown(1)
        bench.settle()
        bench.abort(theirs)
    assert note.kinds == ["syn", "syn-ack", "ack", "data", "fin", "rst"]
    assert note.hits == 0


def test_dropped_segments_are_the_seeds_choice_and_certain_ones_need_none(bench: SimBench) -> None:
    assert {drop().verdict("data") for _ in range(100)} == {BLOCK}
    chosen = []
    for seed in (1, 1, 2):
        other = SimBench(seed=seed)
        rule = drop(probability=0.5)
        with other.world.net.rule(rule):
            chosen.append(tuple(rule.verdict("data") for _ in range(100)))
        other.close()
    assert chosen[0] == chosen[1] != chosen[2]
    assert 30 < chosen[0].count(BLOCK) < 70


def test_only_data_counts_for_the_nth_and_only_beginnings_are_refused() -> None:
    nth, refused = reset_nth(2), refuse()
    for kind in ("syn", "syn-ack", "ack", "fin", "rst"):
        assert nth.verdict(kind) == 0.0
        assert (refused.verdict(kind) != 0.0) == (kind == "syn")
    assert [nth.verdict("data") != 0.0 for _ in range(4)] == [False, True, False, False]


@pytest.mark.parametrize("rule", [drop(probability=0.5), reset_nth(2)])
def test_a_rule_that_holds_in_one_world_after_the_other_knows_nothing_of_the_first(rule: Rule) -> None:
    seen = []
    for _ in range(2):
        other = SimBench(seed=1)
        other.world.net.add(rule)
        assert other.world.plan.unfired == [rule]
        ours, _ = other.pair()
        found = []
        for _ in range(4):
            other.world.net.remove(rule)
            other.world.net.add(rule)
            try:
                ours.send(b"hello")
            except OSError as error:
                found.append(error.errno)
            other.settle()
            found.append(rule.hits)
        other.close()
        seen.append(found)
    assert seen[0] == seen[1]
    assert seen[0][-1] > 0


@pytest.mark.parametrize(
    "rule",
    [
        lambda: delay(-1.0),
        lambda: delay(math.inf),
        lambda: drop(probability=2.0),
        lambda: drop(probability=math.nan),
        lambda: reset_nth(0),
    ],
)
def test_a_rule_that_could_never_hold_is_refused(rule: Callable[[], Rule]) -> None:
    with pytest.raises(ValueError, match="not "):
        rule()
