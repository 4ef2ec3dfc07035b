"""Wall time and randomness."""

import re
import time

from totohio.base.clocking import Clock, Minter


def test_now_is_unix_time() -> None:
    before = time.time()
    now = Clock().now()
    assert before <= now <= time.time()


def test_monotonic_time_goes_on_and_never_back() -> None:
    clock = Clock()
    times = [clock.monotonic() for _ in range(1000)]
    assert times == sorted(times)
    before = clock.monotonic()
    start = time.monotonic()
    while time.monotonic() - start < 0.001:
        pass
    assert 0.001 <= clock.monotonic() - before < 20.0


def test_a_sleep_lets_at_least_that_time_pass() -> None:
    clock = Clock()
    before = clock.monotonic()
    clock.sleep(0.001)
    assert clock.monotonic() - before >= 0.001


def test_a_draw_has_the_size_that_was_asked_for() -> None:
    minter = Minter()
    assert [len(minter.draw(size)) for size in (0, 1, 16, 1000)] == [0, 1, 16, 1000]


def test_no_two_draws_are_alike() -> None:
    minter = Minter()
    assert len({minter.draw(16) for _ in range(1000)}) == 1000


def test_draws_use_every_value_of_a_byte() -> None:
    assert set(Minter().draw(65536)) == set(range(256))  # a byte is missing once in 10 to the 109th draws


def test_a_token_is_22_characters_that_fit_into_urls_and_headers() -> None:
    minter = Minter()
    tokens = [minter.token() for _ in range(1000)]
    assert all(re.fullmatch("[A-Za-z0-9_-]{22}", token) for token in tokens)
    assert len(set(tokens)) == 1000
    assert set("".join(tokens)) >= set("-_"), "it is the URL-safe alphabet"


def test_the_last_character_of_a_token_carries_only_the_two_bits_that_are_left_of_16_bytes() -> None:
    assert {Minter().token()[-1] for _ in range(1000)} == set("AQgw")
