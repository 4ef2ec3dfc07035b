"""What bodies ask for, and what replies say."""

from typing import Any

import pytest

from totohio.base.errors import TotoException
from totohio.wire.enveloping import Batch, Call, entry_reply, error_form, open_body


def opened(body: Any, path_name: str = "", select: str = "both") -> tuple[str, Any]:
    call = open_body(body, path_name, select)
    assert isinstance(call, Call)
    return call.name, call.parameters


def refused(body: Any, path_name: str = "", select: str = "both") -> Any:
    with pytest.raises(TotoException) as caught:
        open_body(body, path_name, select)
    return caught.value.code


def batch(**members: Any) -> Batch:
    found = open_body(members, "", "both")
    assert isinstance(found, Batch)
    return found


# ---------------------------------------------------------------- calls


def test_a_call_is_named_in_the_body_or_in_the_path() -> None:
    assert opened({"method": "a.b", "parameters": {"x": 1}}) == ("a.b", {"x": 1})
    assert opened({"parameters": {"x": 1}}, "a.b") == ("a.b", {"x": 1})


def test_the_path_beats_the_body() -> None:
    assert opened({"method": "other", "parameters": {"x": 1}}, "a.b") == ("a.b", {"x": 1})


@pytest.mark.parametrize("parameters", ["abc", [1], True, 5, {"a": {"b": [1, None]}}])
def test_parameters_of_any_kind_pass_through(parameters: Any) -> None:
    assert opened({"method": "m", "parameters": parameters}) == ("m", parameters)


@pytest.mark.parametrize("falsy", ["", 0, False, None, [], {}])
def test_without_parameters_worth_the_name_the_method_gets_the_whole_body(falsy: Any) -> None:
    assert opened({"method": "m"}) == ("m", {"method": "m"})
    assert opened({"method": "m", "parameters": falsy}) == ("m", {"method": "m", "parameters": falsy})


@pytest.mark.parametrize(("body", "parameters"), [(None, {}), ({}, {}), ([1, 2], [1, 2]), (5, 5), ("text", "text")])
def test_by_path_any_body_is_the_parameters(body: Any, parameters: Any) -> None:
    assert opened(body, "m") == ("m", parameters)


@pytest.mark.parametrize("body", [None, {}, [1, 2], 5, "a batch", "method", {"method": None}, {"parameters": {}}])
def test_a_call_without_a_method_is_1002(body: Any) -> None:
    assert refused(body) == 1002


@pytest.mark.parametrize("name", [5, True, ["a"], {"a": 1}])
def test_a_method_that_is_no_string_is_1011(name: Any) -> None:
    assert refused({"method": name}) == 1011


def test_an_empty_name_is_left_to_whoever_knows_the_methods() -> None:
    assert opened({"method": "", "parameters": {"x": 1}}) == ("", {"x": 1})


def test_method_select_says_where_a_name_may_stand() -> None:
    body = {"method": "b", "parameters": {"x": 1}}
    assert opened(body, "a", "url") == ("a", {"x": 1})
    assert opened(body, "a", "parameter") == ("b", {"x": 1})
    assert refused(body, "", "url") == 1002
    assert refused({"arg1": 1}, "a", "parameter") == 1002
    assert refused(None, "a", "parameter") == 1002


# ---------------------------------------------------------------- batches


def test_a_batch_beats_path_and_method() -> None:
    body = {"method": "m", "parameters": {}, "batch": {"a": {"method": "x.y", "parameters": {"p": 1}}}}
    for path_name, select in (("", "both"), ("no.such", "both"), ("no.such", "url"), ("", "parameter")):
        found = open_body(body, path_name, select)
        assert isinstance(found, Batch)
        entry = found.entries["a"]
        assert (entry.id, entry.name, entry.parameters, entry.error) == ("a", "x.y", {"p": 1}, None)


def test_an_empty_batch_is_a_batch() -> None:
    assert batch(batch={}).entries == {}


@pytest.mark.parametrize("calls", [None, [], [{"method": "m"}], "abc", 0, False])
def test_a_batch_that_is_no_object_is_1011(calls: Any) -> None:
    assert refused({"batch": calls}) == 1011


def test_ids_that_are_no_strings_are_1011() -> None:
    assert refused({"batch": {1: {"method": "m"}}}) == 1011  # MessagePack can say this


def test_absent_parameters_of_an_entry_are_empty_and_others_are_as_sent() -> None:
    found = batch(
        batch={"a": {"method": "m"}, "b": {"method": "m", "parameters": None}, "c": {"method": "m", "parameters": 0}}
    )
    assert [entry.parameters for entry in found.entries.values()] == [{}, None, 0]


@pytest.mark.parametrize(
    ("call", "code"),
    [(None, 1011), ([1], 1011), ("m", 1011), (5, 1011), ({}, 1002), ({"method": None}, 1002), ({"method": 5}, 1011)],
)
def test_a_malformed_entry_is_the_error_of_that_entry_alone(call: Any, code: int) -> None:
    entries = batch(batch={"bad": call, "good": {"method": "m"}}).entries
    assert entries["bad"].error is not None
    assert entries["bad"].error.code == code
    assert entries["good"].error is None


def test_batches_run_in_sequence_and_each_for_itself_unless_they_say_otherwise() -> None:
    plain = batch(batch={})
    assert (plain.parallel, plain.atomic) == (False, False)
    assert not batch(batch={}, mode="sequence").parallel
    assert batch(batch={}, mode="parallel").parallel
    assert batch(batch={}, atomic=True).atomic


@pytest.mark.parametrize(
    "odd", [{"mode": "random"}, {"mode": None}, {"mode": ["parallel"]}, {"atomic": "yes"}, {"atomic": 1}]
)
def test_modes_that_do_not_exist_are_1011(odd: dict[str, Any]) -> None:
    assert refused({"batch": {}, **odd}) == 1011


# ---------------------------------------------------------------- replies


def test_an_entry_of_a_batch_has_its_error_or_its_result_even_if_none() -> None:
    assert entry_reply() == {"result": None}
    assert entry_reply(0) == {"result": 0}
    assert entry_reply(1, {"code": 2}) == {"error": {"code": 2}}


class Refused(TotoException):
    """An error with something to add."""

    def __init__(self) -> None:
        super().__init__(4299, "sub")
        self.hint = "attribute"
        self._private = "secret"


class Mute(Exception):
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError


def test_errors_carry_code_and_value_and_their_public_attributes() -> None:
    assert error_form(TotoException(4242, {"why": ["a"]})) == {"code": 4242, "value": {"why": ["a"]}}
    assert error_form(TotoException("E_CUSTOM", None)) == {"code": "E_CUSTOM", "value": None}
    noted = Refused()
    noted.add_note("for the log")
    assert error_form(noted) == {"code": 4299, "value": "sub", "hint": "attribute"}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Exception(), ""),
        (Exception("café"), "café"),
        (KeyError("missing"), "'missing'"),
        ("text", "text"),
        (Mute(), "Mute"),
    ],
)
def test_any_other_error_is_1000_with_its_text(error: Any, text: str) -> None:
    assert error_form(error) == {"code": 1000, "value": text}


def test_an_error_that_is_an_object_is_sent_as_it_is() -> None:
    assert error_form({"anything": "goes"}) == {"anything": "goes"}
