"""Bodies go in and out unchanged, and whatever cannot is a precise error."""

import datetime
import json
import math
import sys
from collections import OrderedDict, UserDict, namedtuple
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from totohio.base.errors import SettingsError, TotoException
from totohio.wire.packing import (
    BSON,
    FORM,
    JSON,
    MAX_FIELDS,
    MSGPACK,
    MULTIPART,
    Packer,
    decode_json,
    decode_msgpack,
    encode_json,
    encode_msgpack,
    form,
    is_callback,
    parse_query,
    query_parameters,
    script_safe,
)

PACKER = Packer(msgpack=True, bson=True)
KINDS = [JSON, MSGPACK, BSON]

texts = st.text(st.characters(exclude_categories=["Cs"]))
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | texts
finite = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Lists and objects of these, to some depth."""
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4))


def code_of(call: Any, *args: Any) -> Any:
    """The code of the error that a call must raise."""
    with pytest.raises(TotoException) as caught:
        call(*args)
    return caught.value.code


def text_of(call: Any, *args: Any) -> str:
    """The text of the error that a call must raise."""
    with pytest.raises(TotoException) as caught:
        call(*args)
    return str(caught.value.value)


def refusal(call: Any, *args: Any) -> TotoException | None:
    """The TotoException that a call raises, if it raises one; any other error is a failure."""
    try:
        call(*args)
    except TotoException as error:
        return error
    return None


# ---------------------------------------------------------------- there and back


@given(nested(finite))
def test_json_values_come_back_as_they_went(value: Any) -> None:
    assert decode_json(encode_json(value)) == value


@given(nested(finite))
def test_the_json_is_what_other_readers_understand(value: Any) -> None:
    assert json.loads(encode_json(value)) == value


@given(nested(scalars | st.binary()))
def test_msgpack_values_come_back_as_they_went_bytes_and_infinity_too(value: Any) -> None:
    assert decode_msgpack(encode_msgpack(value)) == value


@given(st.dictionaries(names, nested(scalars | st.binary()), max_size=4))
def test_bson_values_come_back_as_they_went(value: Any) -> None:
    assert PACKER.unpack(BSON, PACKER.pack(BSON, value)) == value


def test_each_format_writes_its_own_reply() -> None:
    reply = {"result": [1, "x"]}
    assert PACKER.pack(JSON, reply) == b'{"result":[1,"x"]}'
    assert PACKER.pack(MSGPACK, reply) == b"\x81\xa6result\x92\x01\xa1x"
    assert PACKER.pack(BSON, reply).endswith(b"\x100\x00\x01\x00\x00\x00\x021\x00\x02\x00\x00\x00x\x00\x00\x00")
    assert PACKER.pack(FORM, reply) == PACKER.pack(MULTIPART, reply) == PACKER.pack(None, reply) == encode_json(reply)
    assert [PACKER.reply_type(kind) for kind in (JSON, FORM, MULTIPART, None)] == [JSON] * 4
    assert [PACKER.reply_type(kind) for kind in (MSGPACK, BSON)] == [MSGPACK, BSON]


# ---------------------------------------------------------------- hostile bodies


@pytest.mark.parametrize("kind", KINDS)
@given(body=st.binary())
def test_any_bytes_are_read_or_refused_and_nothing_else(kind: str, body: bytes) -> None:
    error = refusal(PACKER.unpack, kind, body)
    assert error is None or error.code == 1011


@pytest.mark.parametrize("kind", KINDS)
@given(value=st.dictionaries(names, nested(finite), max_size=4), data=st.data())
def test_bodies_that_were_damaged_on_the_way_are_read_or_refused(kind: str, value: Any, data: st.DataObject) -> None:
    try:
        body = bytearray(PACKER.pack(kind, value))
    except TotoException:  # an int that only JSON can hold
        return
    position = data.draw(st.integers(0, len(body) - 1))
    body[position : position + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    error = refusal(PACKER.unpack, kind, bytes(body))
    assert error is None or error.code == 1011


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (b"", "ends too early (byte 0)"),
        (b"not json", "invalid character"),
        (b'{"a": 1', "ends too early (byte 7)"),
        (b'{"a": 1}x', "trailing characters"),
        (b"[1,]", "(byte 3)"),
        (b"[1\0]", "(byte 2)"),
        (b"NaN", "(byte 0)"),
        (b'{"a": [Infinity]}', "(byte 7)"),
        (b'{"a": -Infinity}', "(byte 7)"),
        (b'{"a": [1, 1e400]}', "at `$[...][1]`"),
        pytest.param(b"1" * 5000, "out of range", id="long int"),
        (b'["ab", "c\xff"]', "UTF-8 (byte 9)"),
        (b'"\xed\xa0\x80"', "UTF-8 (byte 1)"),  # half of a surrogate pair, encoded
        (b'"\\ud800"', ""),  # and escaped
        (b'\xef\xbb\xbf{"a": 1}', "(byte 0)"),  # a byte order mark
        ('{"a": 1}'.encode("utf-16"), "(byte 0)"),
        pytest.param(b"[" * 200_000, "nested too deeply", id="deep list"),
        pytest.param(b'{"a":' * 200_000, "nested too deeply", id="deep object"),
    ],
)
def test_malformed_json_is_1011_and_says_what_and_where(body: bytes, hint: str) -> None:
    assert code_of(decode_json, body) == 1011
    text = text_of(decode_json, body)
    assert text.startswith("Malformed JSON: ")
    assert hint in text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1\xff",
        b"\x82\xa1a",
        b"\xc0\xc0",
        b"\xa1\xff",
        b"\xda\x00\x02\xc3\x28",  # a raw of the old specification, not UTF-8
        b"\x81\x80\x01",  # an object as a key
        b"\xdd\xff\xff\xff\xff",  # a list that says it has four thousand million elements
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        pytest.param(b"\x91" * 200_000, id="deep list"),
        b"\xc7\x0c\xff" + b"\xff" * 12,  # a time that no calendar has
    ],
)
def test_malformed_msgpack_is_1011(body: bytes) -> None:
    assert code_of(decode_msgpack, body) == 1011


@pytest.mark.parametrize(
    "body",
    [b"", b"\0\0", b"\5\0\0\0\1", b"\xff\xff\xff\x7f\0", b"\x0c\0\0\0\x02a\0\2\0\0\0\xff\0\0", b"\x08\0\0\0\x99a\0\0"],
)
def test_malformed_bson_is_1011(body: bytes) -> None:
    assert code_of(PACKER.unpack, BSON, body) == 1011


def test_old_msgpack_raws_are_text_and_new_bins_are_bytes() -> None:
    assert decode_msgpack(b"\x82\xa1a\xda\x00\x02\xc3\xa9\xa1b\xc4\x02\x00\xff") == {"a": "é", "b": b"\x00\xff"}


def test_a_list_of_lists_that_lie_about_their_length_costs_no_memory_to_speak_of() -> None:
    body = b"\xdd\x00\x0f\x42\x40" * 200  # each says a million
    assert code_of(decode_msgpack, body + b"\xc0" * 1000) == 1011


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


# ---------------------------------------------------------------- which format


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        (None, JSON),
        ("", JSON),
        ("application/json", JSON),
        ("application/json; charset=utf-8", JSON),
        ("application/jsonfoo", JSON),
        ("Application/JSON", JSON),
        ("application/x-www-form-urlencoded; charset=utf-8", FORM),
        ("multipart/form-data; boundary=XX", MULTIPART),
        ("application/msgpack", MSGPACK),
        ("application/bson", BSON),
        ("text/plain", None),
        ("json", None),
        ("\xff", None),
    ],
)
def test_the_content_type_tells_the_format(content_type: str | None, kind: str | None) -> None:
    assert PACKER.kind(content_type) == kind
    assert PACKER.kind(content_type.encode("latin-1") if content_type is not None else None) == kind


def test_formats_that_are_not_enabled_are_not_parsed() -> None:
    plain = Packer()
    assert plain.kind("application/msgpack") is None
    assert plain.kind("application/bson") is None
    assert plain.unpack(None, b"\x81\xa1a\x01") is None


def test_bson_without_its_extra_is_a_settings_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bson", None)
    with pytest.raises(SettingsError, match=r"totohio\[bson\]"):
        Packer(bson=True)


# ---------------------------------------------------------------- queries and forms


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("", {}),
        ("a=1&a=2&b=", {"a": ["1", "2"], "b": [""]}),
        ("a=&b", {"a": [""], "b": [""]}),
        ("a=%20x%20%09&b=1+2", {"a": [" x \t"], "b": ["1 2"]}),
        ("&&a=1&", {"a": ["1"]}),
        ("a=b=c", {"a": ["b=c"]}),
        ("cl%C3%A9=%F0%9F%98%80", {"clé": ["😀"]}),
        ("cl\xc3\xa9=1", {"clé": ["1"]}),  # not encoded at all, as some clients send it
        ("a=100%&b=%zz", {"a": ["100%"], "b": ["%zz"]}),
    ],
)
def test_queries_are_read_into_lists_of_values(query: str, fields: dict[str, list[str]]) -> None:
    assert parse_query(query) == fields


def test_a_get_has_strings_for_single_values_and_lists_for_repeated_ones() -> None:
    assert query_parameters("x=1&x=2&y=&z=3") == {"x": ["1", "2"], "y": "", "z": "3"}
    assert query_parameters("") == {}


def test_a_form_has_the_values_of_the_query_before_its_own() -> None:
    assert form(b"a=body&b=2", "a=q&z=9") == {"parameters": {"a": ["q", "body"], "z": ["9"], "b": ["2"]}}
    assert form(b"", "") == {}


@pytest.mark.parametrize("query", ["q=%FF", "%C3=1", "q=\xff", pytest.param("a=1&" * (MAX_FIELDS + 1), id="many")])
def test_queries_and_forms_that_are_not_utf8_or_too_many_are_1011(query: str) -> None:
    assert code_of(query_parameters, query) == 1011
    assert code_of(form, query.encode("latin-1"), "") == 1011


@given(st.binary())
def test_any_bytes_are_read_as_a_form_or_refused(body: bytes) -> None:
    error = refusal(form, body, body.decode("latin-1"))
    assert error is None or error.code == 1011


# ---------------------------------------------------------------- JavaScript


@given(nested(finite))
@example({"</script>\u2028": "<!--\u2029"})
def test_json_for_scripts_means_the_same_and_cannot_end_the_script(value: Any) -> None:
    safe = script_safe(encode_json(value))
    assert json.loads(safe) == value
    assert not {"<", "\u2028", "\u2029"} & set(safe.decode())


@pytest.mark.parametrize("name", ["cb", "app.$cb.done_1", "_", "$", "jQuery123_4", "été"])
def test_javascript_names_are_callbacks(name: str) -> None:
    assert is_callback(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "1a",
        "a b",
        "a-b",
        "a(",
        "<script>alert(1)//",
        "a\n",
        "a;b",
        "a[0]",
        ["cb"],
        None,
        5,
    ],
)
def test_anything_else_is_no_callback(name: Any) -> None:
    assert not is_callback(name)
