"""The models that come along: what one client alone sees of each."""

from typing import Any

import pytest

from totohio.base.errors import TotohioError
from totohio.sim.checks.histories import ANY
from totohio.sim.checks.models import AnyOf, Counter, Map, Model, Register


def results(model: Model, *calls: tuple[Any, ...]) -> list[Any]:
    """What the calls give, one after the other."""
    state, found = model.initial, []
    for name, *args in calls:
        result, state = model.step(state, name, tuple(args))
        found.append(result.results if isinstance(result, AnyOf) else result)
    return found


def test_a_register_gives_what_was_written_last() -> None:
    assert results(Register(), ("read",), ("write", 1), ("read",), ("write", [2]), ("read",)) == [
        None,
        ANY,
        1,
        ANY,
        [2],
    ]


def test_a_register_is_compared_and_set() -> None:
    assert results(Register(0), ("cas", 0, 1), ("cas", 0, 2), ("read",)) == [True, False, 1]


def test_a_counter_gives_its_sum_or_nothing() -> None:
    calls = ("increment",), ("increment", 5), ("read",), ("increment", -7), ("read",)
    assert results(Counter(), *calls) == [(1, None), (6, None), 6, (-1, None), -1]


def test_a_map_does_to_one_key_what_is_done_to_one() -> None:
    counters = Map(Counter(10))
    assert counters.key("increment", ("x", 2)) == "x"
    assert results(counters, ("increment", "x", 2), ("read", "x")) == [(12, None), 12]
    assert results(Map(), ("read", "x")) == [None]


def test_maps_can_hold_maps() -> None:
    shelves = Map(Map(Register(0)))
    assert shelves.key("write", ("a", "b", 1)) == ("a", "b")
    assert results(shelves, ("write", "a", "b", 1), ("read", "a", "b")) == [ANY, 1]


@pytest.mark.parametrize(
    ("model", "call", "text"),
    [
        (Register(), ("pop",), r"a register has no operation pop\(\)"),
        (Register(), ("write",), r"a register has no operation write\(\)"),
        (Counter(), ("increment", 1, 2), r"a counter has no operation increment\(1, 2\)"),
    ],
)
def test_operations_that_a_model_does_not_have_are_named(model: Model, call: tuple[Any, ...], text: str) -> None:
    with pytest.raises(TotohioError, match=text):
        results(model, call)


def test_an_operation_on_a_map_needs_a_key() -> None:
    with pytest.raises(TotohioError, match=r"a map has no operation read\(\)"):
        Map().key("read", ())


def test_a_model_without_a_step_is_none() -> None:
    class Idle(Model):
        initial = None

    with pytest.raises(TypeError, match="step"):
        Idle()  # type: ignore[abstract]
