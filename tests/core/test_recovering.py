"""What the history tells whoever was away, against a record of everything that ever was."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from totohio.core.recovering import (
    BEHIND_GAP,
    DUPLICATE,
    NEXT,
    NOWHERE,
    Event,
    History,
    read_position,
    write_position,
)
from totohio.wire.packing import encode_msgpack

NAMES = ("red", "green", "blue")


def event(name: str, offset: int, origin: str = "a", args: object = None) -> Event:
    return Event(name, encode_msgpack(args), origin, offset)


def history(*, count: int = 100, seconds: float = 60.0, size: int = 1 << 20) -> History:
    return History(count=count, seconds=seconds, size=size)


def everything(name: str) -> bool:
    return True


def nothing(name: str) -> bool:
    return False


def offsets(events: list[Event]) -> list[tuple[str, int]]:
    return [(each.origin, each.offset) for each in events]


def test_who_has_seen_some_gets_the_rest_in_order() -> None:
    kept = history()
    for offset in range(1, 6):
        assert kept.add(event("red", offset), 0.0) == NEXT
    found, recovered = kept.since("a.2", ["red"], nothing)
    assert offsets(found) == [("a", 3), ("a", 4), ("a", 5)]
    assert recovered


def test_an_event_that_comes_again_is_told_once() -> None:
    kept = history()
    kept.add(event("red", 1), 0.0)
    assert kept.add(event("red", 1), 0.0) == DUPLICATE
    assert offsets(kept.since(NOWHERE, ["red"], nothing)[0]) == [("a", 1)]


def test_whoever_was_before_a_gap_is_told_so_and_whoever_comes_after_it_is_not() -> None:
    kept = history()
    kept.add(event("red", 1), 0.0)
    assert kept.add(event("red", 4), 0.0) == BEHIND_GAP
    kept.add(event("red", 5), 0.0)
    assert not kept.since("a.1", ["red"], nothing)[1]
    assert kept.since("a.4", ["red"], nothing) == ([*kept._kept][-1:], True)


def test_a_loss_without_an_event_behind_it_is_told_too() -> None:
    kept = history()
    kept.add(event("red", 1), 0.0)
    assert kept.miss("a", 3, 0.0)
    assert not kept.miss("a", 3, 0.0)
    assert kept.since("a.1", ["red"], nothing) == ([], False)
    assert kept.since("a.3", ["red"], nothing) == ([], True)


def test_many_events_of_one_name_cost_no_other_name_its_history() -> None:
    kept = history(count=3)
    kept.add(event("red", 1), 0.0)
    for offset in range(2, 12):
        kept.add(event("green", offset), 0.0)
    assert kept.since("a.0", ["red"], nothing)[1]
    assert not kept.since("a.0", ["green"], nothing)[1]
    assert not kept.since("a.0", [], everything)[1]
    assert kept.since("a.8", ["green"], nothing)[1]


def test_what_is_too_old_goes_and_is_known_to_have_been_there() -> None:
    kept = history(seconds=10.0)
    kept.add(event("red", 1), 0.0)
    kept.add(event("red", 2), 5.0)
    assert kept.due() == 10.0
    kept.expire(10.0, 100)
    assert kept.since("a.0", ["red"], nothing) == ([*kept._kept], False)
    assert kept.since("a.1", ["red"], nothing)[1]
    kept.expire(1000.0, 100)
    assert len(kept) == kept.size == 0
    assert not kept.since("a.1", ["red"], nothing)[1]
    assert kept.since("a.2", ["red"], nothing)[1]


def test_memory_stays_within_its_bound() -> None:
    kept = history(count=10**6, size=50_000)
    for offset in range(1, 2000):
        kept.add(event(f"name {offset}", offset, args="x" * (offset % 500)), 0.0)
        assert kept.size <= 50_000
    assert kept.size == sum(each.size for each in kept._kept)
    assert len(kept) > 10


def test_without_history_only_who_has_seen_all_has_missed_nothing() -> None:
    kept = history(count=0)
    kept.add(event("red", 1), 0.0)
    assert kept.since("a.1", ["red"], nothing) == ([], True)
    assert kept.since("a.0", ["red"], nothing) == ([], False)
    assert kept.size == 0


def test_who_has_seen_a_log_that_is_not_known_here_may_have_missed_something() -> None:
    kept = history()
    kept.add(event("red", 1), 0.0)
    assert not kept.since("a.1,b.7", ["red"], nothing)[1]


def test_of_a_log_that_has_ended_it_is_known_where_it_has() -> None:
    kept = history(seconds=10.0)
    kept.add(event("red", 3, "b"), 0.0)
    kept.begin("a", 0, 0.0)
    kept.expire(20.0, 100)
    kept.forget(lambda origin: origin == "a", 20.0)
    assert kept.position() == "a.0"
    assert kept.since("a.0,b.3", ["red"], nothing) == ([], True)
    assert kept.since("a.0,b.2", ["red"], nothing) == ([], False)


def test_a_log_that_is_met_late_is_complete_only_from_its_beginning() -> None:
    kept = history()
    kept.begin("a", 0, 0.0)
    kept.add(event("red", 1, "new"), 0.0)
    assert kept.since("a.0", ["red"], nothing)[1]
    kept.add(event("red", 8, "old"), 0.0)
    assert not kept.since("a.0,new.1", ["red"], nothing)[1]


@pytest.mark.parametrize(
    "text", ["", "a", "a.", ".1", "a.01", "a.-1", "a.1,", "a.1,a.2", "a.1;b.2", "a.1" * 3000, "ä.1"]
)
def test_a_position_that_is_none_recovers_nothing(text: str) -> None:
    kept = history()
    kept.add(event("red", 1), 0.0)
    assert read_position(text) is None
    assert kept.since(text, ["red"], nothing) == ([], False)


@given(st.text(max_size=60))
def test_any_text_is_a_position_or_none(text: str) -> None:
    found = read_position(text)
    if found is not None:
        assert read_position(write_position(found)) == found


STEP = st.one_of(
    st.tuples(st.just("send"), st.sampled_from("ab"), st.sampled_from(NAMES)),
    st.tuples(st.just("lose"), st.sampled_from("ab"), st.sampled_from(NAMES)),
    st.tuples(st.just("wait"), st.integers(1, 30), st.none()),
    st.tuples(st.just("ask"), st.integers(0, 40), st.sampled_from(NAMES)),
)


@given(st.lists(STEP, max_size=60), st.integers(0, 6), st.integers(500, 5000))
def test_nothing_is_missing_when_it_is_said_so(steps: list[tuple[str, object, object]], count: int, size: int) -> None:
    kept = History(count=count, seconds=20.0, size=size)
    for origin in "ab":
        kept.begin(origin, 0, 0.0)
    ever: list[tuple[str, str, int]] = []
    last = {"a": 0, "b": 0}
    lost: dict[str, list[tuple[str, str, int]]] = {"a": [], "b": []}
    positions = [kept.position()]
    tyme = 0.0
    for kind, what, name in steps:
        if kind == "wait":
            tyme += float(what)  # type: ignore[arg-type]
            kept.expire(tyme, 100)
        elif kind == "ask":
            position = positions[int(what) % len(positions)]  # type: ignore[call-overload]
            seen = read_position(position)
            assert seen is not None
            missed = [(origin, offset) for each, origin, offset in ever if each == name and offset > seen[origin]]
            found, recovered = kept.since(position, [str(name)], nothing)
            assert offsets(found) == missed or not recovered
            assert offsets(found) == [each for each in missed if each in offsets(found)], "too many, or out of order"
        else:
            origin = str(what)
            last[origin] += 1
            lost[origin].append((str(name), origin, last[origin]))
            if kind == "send":
                ever += lost[origin]  # what was lost is seen with the next that comes
                lost[origin].clear()
                kept.add(event(str(name), last[origin], origin), tyme)
                positions.append(kept.position())
