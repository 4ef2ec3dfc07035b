"""Who is told of an event, and what becomes of those who take too little."""

import pytest

from totohio.core.eventing import (
    GAP,
    Registration,
    Subscription,
    Subscriptions,
    Waiters,
    check_name,
    compile_pattern,
)
from totohio.core.recovering import Event


def waiter(name: str, *, persist: bool = False, over: bool = False) -> Registration:
    return Registration(name, lambda args: None, persist=persist, offload=False, over=lambda: over)


def event(name: str, offset: int = 1, data: bytes = b"\xc0") -> Event:
    return Event(name, data, "a", offset)


def subscription(*names: str, limit: int = 3, size: int = 10**6, drop: bool = True) -> Subscription:
    return Subscription(names, notify=lambda _: None, limit=limit, size=size, drop=drop)


def test_a_handler_fires_once_and_one_that_persists_each_time() -> None:
    waiters = Waiters()
    once, always = waiter("x"), waiter("x", persist=True)
    waiters.add(once)
    waiters.add(always)
    assert waiters.fire("x") == [once, always]
    assert waiters.fire("x") == [always]
    assert waiters.fire("y") == []


def test_a_handler_whose_request_is_over_never_fires_and_is_forgotten() -> None:
    waiters = Waiters()
    waiters.add(waiter("x", over=True))
    waiters.add(waiter("x", persist=True, over=True))
    assert waiters.fire("x") == []
    assert len(waiters) == 0


def test_a_handler_that_is_taken_back_does_not_fire() -> None:
    waiters = Waiters()
    gone = waiter("x")
    waiters.add(gone)
    waiters.remove(gone)
    waiters.remove(gone)
    assert not gone.active
    assert waiters.names() == []


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("chat.*", "chat.red", True),
        ("chat.*", "chat.", True),
        ("chat.*", "chats", False),
        ("*.red", "chat.red", True),
        ("*", "anything\nat all", True),
        ("a*c", "abbc", True),
        ("a*c", "abbcd", False),
        ("a.c*", "abc", False),
        ("a?c*", "abc", False),
        ("[ab]*", "a", False),
    ],
)
def test_a_star_stands_for_any_characters_and_nothing_else_does(pattern: str, name: str, matches: bool) -> None:
    assert bool(compile_pattern(pattern).fullmatch(name)) == matches


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", "a*", 5, None, b"x"])
def test_what_is_no_name_is_refused(name: object) -> None:
    with pytest.raises(ValueError, match="name of an event"):
        check_name(name)


def test_a_pattern_has_few_stars() -> None:
    assert check_name("a*b*c*d*", pattern=True)
    with pytest.raises(ValueError, match="4 stars"):
        check_name("a*b*c*d*e*", pattern=True)


def test_a_subscription_of_several_names_that_match_is_told_once() -> None:
    everyone = Subscriptions()
    one, other = subscription("chat.red", "chat.*", "*"), subscription("news")
    everyone.add(one)
    everyone.add(other)
    assert list(everyone.told("chat.red")) == [one]
    assert list(everyone.told("news")) == [other, one]
    everyone.remove(one)
    everyone.remove(one)
    assert list(everyone.told("chat.red")) == []
    assert list(everyone.told("news")) == [other]
    everyone.remove(other)
    assert len(everyone) == 0
    assert everyone._names == everyone._patterns == {}


def test_a_slow_client_loses_the_oldest_and_is_told_where() -> None:
    slow = subscription("x", limit=3)
    events = [event("x", offset) for offset in range(1, 7)]
    for each in events:
        slow.push(each)
    assert slow.take(10) == [GAP, *events[3:]]
    assert slow.size == 0


def test_what_waits_for_a_slow_client_stays_within_its_bytes() -> None:
    slow = subscription("x", limit=1000, size=10_000)
    for offset in range(1, 100):
        slow.push(event("x", offset, b"\xc4\xff" + b"x" * 255))
        assert slow.size <= 10_000
    assert slow.take(1) == [GAP]


def test_a_slow_client_may_be_let_go_instead() -> None:
    slow = subscription("x", limit=2, drop=False)
    for offset in range(1, 4):
        slow.push(event("x", offset))
    assert slow.lost
    assert not slow.active
    assert slow.take(10) == [GAP]


def test_what_the_client_has_seen_elsewhere_is_not_told_again() -> None:
    moved = subscription("x", limit=10)
    moved.ahead = {"a": 2}
    events = [event("x", offset) for offset in range(1, 5)]
    for each in events:
        moved.push(each)
    assert moved.take(10) == events[2:]
    assert moved.position("a.1,b.4") == "a.2,b.4"
    assert moved.position("a.3,b.4") == "a.3,b.4"
    assert moved.ahead == {}


def test_a_subscription_says_once_that_something_waits() -> None:
    told: list[int] = []
    waiting = Subscription(["x"], notify=lambda _: told.append(1), limit=10, size=10**6)
    waiting.push(event("x", 1))
    waiting.push(event("x", 2))
    assert len(told) == 1
    assert len(waiting.take(1)) == 1
    assert len(told) == 2, "one still waits"
    waiting.take(10)
    waiting.push(event("x", 3))
    assert len(told) == 3
