"""Parameters are checked, completed and converted before the method sees them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import msgspec
import pytest

from totohio.base.errors import TotoException, TotohioError
from totohio.core.guarding import prepare
from totohio.core.marking import default_parameters, marks, requires

if TYPE_CHECKING:
    from somewhere import Handler, Missing  # type: ignore[import-not-found]


class Transfer(msgspec.Struct):
    amount: int
    tags: list[str] = []
    note: str | None = None


@dataclass
class Point:
    x: float
    y: float = 0.0


class Options(TypedDict, total=False):
    size: Annotated[int, msgspec.Meta(ge=1)]


def guard(function: Any) -> Any:
    found = prepare(marks(function), function)
    assert found is not None
    return found


def refused(function: Any, parameters: Any, lax: bool = False) -> str:
    with pytest.raises(TotoException) as caught:
        guard(function)(parameters, lax)
    assert caught.value.code == 1003
    return str(caught.value.value)


# ---------------------------------------------------------------- steps


def test_a_method_without_marks_or_types_needs_no_guard() -> None:
    def bare(handler, parameters):  # type: ignore[no-untyped-def]
        pass

    def anything(handler: Handler, parameters: Any) -> None:
        pass

    def loose(handler: Handler, parameters: dict) -> None:  # type: ignore[type-arg]
        pass

    def thing(handler: Handler, parameters: object) -> None:
        pass

    def variable(*args: Transfer) -> None:
        pass

    for function in (bare, anything, loose, thing, variable, len):
        assert prepare(marks(function), function) is None


def test_missing_parameters_are_named() -> None:
    method = requires("a", "b", "c")(lambda handler, parameters: None)
    assert refused(method, {"b": 1}) == "Missing parameters: a, c"
    whole = {"a": None, "b": 0, "c": "", "d": 1}
    assert guard(method)(whole, False) == whole


@pytest.mark.parametrize("parameters", [None, [], ["a", "b"], "ab", 5, True])
def test_steps_refuse_parameters_that_are_no_object(parameters: Any) -> None:
    assert refused(requires("a")(lambda handler, parameters: None), parameters)
    assert refused(default_parameters({"a": 1})(lambda handler, parameters: None), parameters)


def test_defaults_fill_in_what_is_absent_and_only_that() -> None:
    method = default_parameters({"x": 10, "y": "why", "n": None})(lambda handler, parameters: None)
    assert guard(method)({"z": 1}, False) == {"x": 10, "y": "why", "n": None, "z": 1}
    assert guard(method)({"x": 1, "y": None}, False) == {"x": 1, "y": None, "n": None}


def test_each_call_has_its_own_mutable_defaults() -> None:
    method = guard(default_parameters({"l": [], "d": {"deep": []}})(lambda handler, parameters: None))
    first = method({}, False)
    first["l"].append(1)
    first["d"]["deep"].append(1)
    assert method({}, False) == {"l": [], "d": {"deep": []}}


def test_what_the_client_sent_stays_as_it_was() -> None:
    sent = {"z": 1}
    guard(default_parameters({"a": 1})(lambda handler, parameters: None))(sent, False)
    assert sent == {"z": 1}


def test_steps_run_from_the_outside_in() -> None:
    outside = requires("a")(default_parameters({"a": 1})(lambda handler, parameters: None))
    inside = default_parameters({"a": 1})(requires("a")(lambda handler, parameters: None))
    assert refused(outside, {"z": 1}) == "Missing parameters: a"
    assert guard(inside)({"z": 1}, False) == {"a": 1, "z": 1}


# ---------------------------------------------------------------- types


def transfer(handler: Handler, parameters: Transfer) -> None:
    """Handler is not there at run time, and need not be."""


def place(handler: Handler, parameters: Point) -> None:
    """A dataclass."""


def choose(handler: Handler, parameters: Options) -> None:
    """A TypedDict."""


def test_parameters_become_what_the_annotation_says() -> None:
    assert guard(transfer)({"amount": 5, "more": 1}, False) == Transfer(5)
    assert guard(place)({"x": 1.5}, False) == Point(1.5)
    assert guard(choose)({"size": 2}, False) == {"size": 2}


def test_faults_say_what_was_expected_and_where() -> None:
    assert refused(transfer, {"amount": "5"}) == "Expected `int`, got `str` - at `$.amount`"
    assert refused(transfer, {"amount": 1, "tags": ["a", 2]}) == "Expected `str`, got `int` - at `$.tags[1]`"
    assert refused(transfer, {}) == "Object missing required field `amount`"
    assert refused(choose, {"size": 0}) == "Expected `int` >= 1 - at `$.size`"


@pytest.mark.parametrize("parameters", [None, [1], "abc", 5])
def test_an_object_is_wanted_where_the_type_has_fields(parameters: Any) -> None:
    assert "Expected `object`" in refused(transfer, parameters)


def test_defaults_come_before_the_conversion() -> None:
    @default_parameters({"amount": 7})
    def method(handler: Handler, parameters: Transfer) -> None:
        pass

    assert guard(method)({}, False) == Transfer(7)


def test_any_type_that_can_be_checked_is() -> None:
    def total(handler: Handler, parameters: list[int]) -> None:
        pass

    assert guard(total)([1, 2], False) == [1, 2]
    assert refused(total, {"a": 1}) == "Expected `array`, got `object`"


def test_parameters_may_be_optional() -> None:
    def method(handler: Handler, parameters: Transfer | None) -> None:
        pass

    assert guard(method)(None, False) is None
    assert guard(method)({"amount": 1}, False) == Transfer(1)


def test_queries_and_forms_are_text_and_converted_from_it() -> None:
    convert = guard(transfer)
    assert convert({"amount": "5", "tags": "a"}, True) == Transfer(5, ["a"])
    assert convert({"amount": ["5"], "tags": ["a"], "note": ["n"]}, True) == Transfer(5, ["a"], "n")
    assert convert({"amount": "5", "tags": ["a", "b"]}, True) == Transfer(5, ["a", "b"])
    assert refused(transfer, {"amount": ["5", "6"]}, True) == "Expected `int`, got `array` - at `$.amount`"
    assert refused(transfer, {"amount": "five"}, True) == "Expected `int`, got `str` - at `$.amount`"


def test_generators_coroutines_and_wrappers_are_converted_for_too() -> None:
    def generator(handler: Handler, parameters: Transfer) -> Any:
        yield

    async def coroutine(handler: Handler, parameters: Transfer) -> None:
        pass

    @functools.wraps(transfer)
    def wrapper(*args: Any) -> None:
        pass

    for function in (generator, coroutine, wrapper):
        assert guard(function)({"amount": 1}, False) == Transfer(1)


class Alien:
    """A class that says nothing of its fields."""

    def __init__(self, secret: int) -> None:
        self.secret = secret


def test_types_that_cannot_be_converted_to_are_left_alone() -> None:
    def method(handler: Handler, parameters: Alien) -> None:
        pass

    assert prepare(marks(method), method) is None


def test_a_name_that_does_not_exist_is_told_when_the_method_is_prepared() -> None:
    def method(handler: Handler, parameters: Missing) -> None:
        pass

    with pytest.raises(TotohioError, match="Missing"):
        prepare(marks(method), method)


def test_a_type_that_cannot_be_checked_is_told_when_the_method_is_prepared() -> None:
    def method(handler: Handler, parameters: Transfer | Point) -> None:
        pass

    with pytest.raises(TotohioError, match="cannot be converted"):
        prepare(marks(method), method)
