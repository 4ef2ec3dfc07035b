"""Failures slow down whoever makes them, never for ever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from totohio.core.limiting import ACCOUNT, ADDRESS, PAIR, Bucket, Rule, failed, left, taken_back

RULES = [PAIR, ADDRESS, ACCOUNT, Rule(free=0, first=1.0, most=4.0, leak=10.0)]


@pytest.mark.parametrize("rule", RULES)
def test_the_free_ones_cost_nothing_and_the_next_ever_more(rule: Rule) -> None:
    bucket, now, waits = Bucket(), 1000.0, []
    for _ in range(rule.free + 12):
        wait = left(bucket, rule, now)
        waits.append(round(wait, 6))
        now += wait
        bucket = failed(bucket, rule, now)
    assert waits[: max(1, rule.free)] == [0.0] * max(1, rule.free) if rule.free else True
    assert waits == sorted(waits)
    assert max(waits) == rule.most or rule is PAIR
    assert waits[-1] <= rule.most


@given(st.lists(st.floats(-1e6, 1e6), max_size=60), st.sampled_from(RULES))
def test_nobody_is_locked_out_however_the_clock_steps(steps: list[float], rule: Rule) -> None:
    bucket, now = Bucket(), 1e9
    for step in steps:
        now += step
        bucket = failed(bucket, rule, now)
        assert 0.0 <= left(bucket, rule, now) <= rule.most
    assert left(bucket, rule, now + rule.most) == 0.0
    assert left(bucket, rule, now - 1e6) <= rule.most


@given(st.floats(0.0, 1e5), st.integers(0, 60), st.sampled_from(RULES))
def test_who_waits_as_told_gets_a_try_although_the_clock_was_set_back(back: float, count: int, rule: Rule) -> None:
    bucket = Bucket()
    for _ in range(count):
        bucket = failed(bucket, rule, 1e6)
    now, tries = 1e6 - back, 0
    while (wait := left(bucket, rule, now)) > 0.0:
        assert wait <= 2.0 * rule.most
        now, tries = now + wait, tries + 1
    assert tries <= 2  # the second for what rounding leaves


def test_a_clock_that_is_a_little_ahead_gives_no_tries_away() -> None:
    rule = Rule(free=1, first=8.0, most=8.0, leak=600.0)
    bucket = failed(Bucket(), rule, 100.5)  # on another machine
    assert left(bucket, rule, 100.0) == 8.5


@given(st.integers(0, 200), st.sampled_from(RULES))
def test_failures_are_forgotten(count: int, rule: Rule) -> None:
    bucket = Bucket()
    for _ in range(count):
        bucket = failed(bucket, rule, 1000.0)
    assert bucket.failures == pytest.approx(count)
    assert left(bucket, rule, 1000.0 + count * rule.leak + rule.most) == 0.0


def test_an_attempt_that_succeeds_is_taken_back() -> None:
    bucket = Bucket()
    for _ in range(3):
        bucket = failed(bucket, PAIR, 5.0)
    assert taken_back(failed(bucket, PAIR, 5.0), PAIR, 5.0) == bucket
    assert taken_back(Bucket(), PAIR, 5.0).failures == 0.0
