"""Results of all kinds have a wire form, or an error that says why not."""

import datetime
import json
import math
from collections import OrderedDict, UserDict, namedtuple
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.packing import KINDS, PACKER, code_of, finite, nested, text_of
from totohio.base.errors import TotoException
from totohio.wire.packing import BSON, MSGPACK, encode_json

# ---------------------------------------------------------------- results that have no wire form


class Opaque:
    """Nothing knows how to send this."""


unsendable = st.sampled_from(
    [b"", b"x", bytearray(b"yz"), math.nan, math.inf, -math.inf, Opaque(), 1j, memoryview(b"")]
)


@given(nested(finite), st.lists(st.sampled_from(["list", "object", "tuple", "beside"])), unsendable)
@example(value=["ł"], path=["list"], odd=b"x")
@example(value=None, path=["beside"], odd=math.nan)
def test_bytes_odd_floats_and_strangers_are_1000_wherever_they_stand(value: Any, path: list[str], odd: Any) -> None:
    for step in path:
        odd = {"list": [value, odd], "object": {"x": odd, "y": value}, "tuple": (odd,), "beside": [2**70, odd]}[step]
    assert code_of(encode_json, {"result": odd}) == 1000


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"\xff", "bytes"),
        ([None, math.nan], "float nan"),
        ({"a": math.inf}, "float inf"),
        ({"a": Opaque()}, "Opaque"),
        ({(1, 2): 3}, "tuple"),
        ({b"k": 3}, "bytes"),
        (ValueError("x"), "ValueError"),
        (range(3), "range"),
        pytest.param("\ud800", "str", id="surrogate"),
        pytest.param(10**5000, "digits", id="long int"),
    ],
)
def test_the_error_names_the_type_that_json_does_not_have(value: Any, name: str) -> None:
    assert code_of(encode_json, value) == 1000
    assert name in text_of(encode_json, value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_that_contains_itself_is_1000(kind: str) -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    assert code_of(PACKER.pack, kind, loop) == 1000


@pytest.mark.parametrize("kind", [MSGPACK, BSON])
@pytest.mark.parametrize(
    "value", [{"a": Opaque()}, {"a": 2**70}, {"a": "\ud800"}, {"a": [1j]}], ids=["object", "int", "str", "complex"]
)
def test_the_other_formats_refuse_strangers_and_long_ints_with_1000(kind: str, value: Any) -> None:
    assert code_of(PACKER.pack, kind, value) == 1000


@pytest.mark.parametrize("value", [[1], {"a\0b": 1}, {"a": {None: 1}}])
def test_bson_refuses_what_it_has_no_documents_for(value: Any) -> None:
    assert code_of(PACKER.pack, BSON, value) == 1000


# ---------------------------------------------------------------- results that are more than plain values

Pair = namedtuple("Pair", "left right")


class Struct(msgspec.Struct):
    """Somebody's own type."""

    x: Any


@dataclass
class Data:
    """Another."""

    x: Any


class Colour(Enum):
    """An Enum."""

    RED = "red"


class Text(str):
    """A subclass, as many libraries make them."""


class Number(int):
    """Another."""


class Ratio(float):
    """Another."""


class Blob(bytes):
    """Another."""


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        ((1, 2), [1, 2]),
        (Pair(1, None), [1, None]),
        (Struct([1]), {"x": [1]}),
        (Data({"a": None}), {"x": {"a": None}}),
        (Colour.RED, "red"),
        ({3}, [3]),
        (datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=datetime.UTC), "2020-01-02T03:04:05Z"),
        (Text("é"), "é"),
        (Number(7), 7),
        (Ratio(0.5), 0.5),
        (UserDict(a=[None]), {"a": [None]}),
        (OrderedDict(a=1), {"a": 1}),
        (
            {1: "a", None: "b", False: "c", 1.5: "d", Text("e"): "e"},
            {"1": "a", "null": "b", "false": "c", "1.5": "d", "e": "e"},
        ),
        (msgspec.Raw(b'{"ready": "\xc4\x85"}'), {"ready": "ą"}),
        ([2**70, None, "ł"], [2**70, None, "ł"]),
        ([None, 1.5, -0.0, 1e308], [None, 1.5, -0.0, 1e308]),
    ],
)
def test_richer_results_have_a_json_form(value: Any, wire: Any) -> None:
    assert json.loads(encode_json(value)) == wire


def test_richer_results_have_a_bson_form() -> None:
    moment = datetime.datetime(2020, 1, 2)
    value = {"s": Struct(1), "d": Data(b"x"), "set": {1}, "when": moment, 1: Colour.RED}
    assert PACKER.unpack(BSON, PACKER.pack(BSON, value)) == {
        "s": {"x": 1},
        "d": {"x": b"x"},
        "set": [1],
        "when": moment,
        "1": "red",
    }


def test_subclasses_of_what_json_does_not_have_are_refused_too() -> None:
    for value in (Blob(b"x"), Ratio("nan"), [None, Ratio("inf")], {"a": Blob()}):
        assert code_of(encode_json, value) == 1000


def test_ready_made_json_that_is_not_json_is_refused_where_it_is_looked_at() -> None:
    assert code_of(encode_json, [msgspec.Raw(b"{"), "\u0105"]) == 1000


# ---------------------------------------------------------------- results whose own code fails


class Lazy(Mapping[str, Any]):
    """A mapping that fails when it is read."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getitem__(self, key: str) -> Any:
        raise self.error

    def __iter__(self) -> Iterator[str]:
        return iter("a")

    def __len__(self) -> int:
        return 1


class Mute(Exception):
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (RuntimeError("no"), "RuntimeError: no"),
        (OSError(), "OSError"),
        (LookupError("\ud800"), r"LookupError: \ud800"),
        (Mute(), "Mute"),
        (TotoException(4242, object()), "TotoException"),
    ],
)
def test_what_a_result_raises_while_it_is_written_is_1000_with_its_type_and_text(
    kind: str, error: Exception, hint: str
) -> None:
    assert code_of(PACKER.pack, kind, {"result": Lazy(error)}) == 1000
    text = text_of(PACKER.pack, kind, {"result": Lazy(error)})
    assert hint in text
    assert text.encode()  # it can be sent
