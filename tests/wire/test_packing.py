"""Bodies go in and out unchanged, and whatever cannot is a precise error."""

import json
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.packing import KINDS, PACKER, code_of, finite, names, nested, refusal, scalars, text_of
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
