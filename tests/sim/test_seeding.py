"""Chance: the same from the same seed, on whatever machine."""

import math
from collections.abc import Callable

import pytest

from totohio.sim.seeding import Dice


def other(function: Callable[..., float]) -> Callable[..., float]:
    """Another C library's function, whose results differ in the last bit."""
    return lambda *args: math.nextafter(function(*args), math.inf)


class OtherPower(float):
    """A number whose powers are another C library's."""

    def __pow__(self, exponent: float) -> float:
        return math.nextafter(float(self) ** exponent, math.inf)

    def __truediv__(self, number: float) -> "OtherPower":
        return OtherPower(float(self) / number)


def test_what_is_drawn_is_the_same_where_logarithms_and_powers_differ_in_their_last_bit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def drawn(most: float) -> list[float]:
        dice = Dice(7)
        return [number for _ in range(1000) for number in (dice.exponential(0.25), dice.magnitude(0.001, most))]

    mine = drawn(30.0)
    monkeypatch.setattr(math, "log", other(math.log))
    assert drawn(OtherPower(30.0)) == mine


def test_magnitudes_are_all_as_likely() -> None:
    dice = Dice(1)
    drawn = [dice.magnitude(0.001, 10.0) for _ in range(4000)]
    assert min(drawn) >= 0.001
    assert max(drawn) <= 10.0
    counts = [sum(10.0**power <= number < 10.0 ** (power + 1) for number in drawn) for power in range(-3, 1)]
    assert all(900 < count < 1100 for count in counts)


def test_nothing_is_an_order_of_magnitude_from_nothing() -> None:
    with pytest.raises(ValueError, match=r"an order of magnitude from 0\.0"):
        Dice(1).magnitude(0.0, 1.0)


def test_what_one_draws_does_not_depend_on_another() -> None:
    first = Dice(1).branch("one")
    whole = Dice(1)
    whole.branch("other").random()
    whole.random()
    assert whole.branch("one").random() == first.random()
