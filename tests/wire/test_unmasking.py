"""What placeholders stand for, into requests and out of replies."""

import time
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from totohio.wire.masking import Masker
from totohio.wire.naming import NAMES
from totohio.wire.unmasking import Difference, LackError, Values

MARK = "0f1e2d3c"


def held(name: str, number: int, kind: str = "") -> str:
    """A placeholder."""
    return f"~{name}.{number}.{MARK}{kind and '.'}{kind}~"


SESSION = held("session_id", 1)
OTHER = held("token", 2)


def values(known: dict[str, str] | None = None, **given: str | None) -> Values:
    """What is known when replies have told these values of placeholders."""
    found = Values(MARK, list(NAMES), given)
    for placeholder, value in (known or {}).items():
        assert found.compare(placeholder, value) is None
    return found


# ---------------------------------------------------------------- into requests


def test_a_value_that_a_reply_has_told_goes_where_its_placeholder_stands() -> None:
    found = values({SESSION: "abc def"})
    assert found.fill(f"a {SESSION} b {SESSION}") == "a abc def b abc def"
    assert found.fill(f"/x?a={SESSION}", quote_plus) == "/x?a=abc+def"
    assert found.fill_tree({"a": [SESSION, 1, None, f"<{SESSION}>"]}) == {"a": ["abc def", 1, None, "<abc def>"]}


def test_what_is_no_placeholder_stays() -> None:
    text = f"~session_id.1.00000000~ {MARK} ~a~"
    assert values().fill(text) == text
    assert values().fill_tree({"a": text, "b": [1.5]}) == {"a": text, "b": [1.5]}


def test_a_value_that_nobody_has_told_is_lacking() -> None:
    with pytest.raises(LackError, match="session_id 1 is masked, and no reply has told it"):
        values().fill(SESSION)
    with pytest.raises(LackError):
        values().fill_tree([{"a": SESSION}])


def test_a_password_is_made_up_and_the_same_each_time() -> None:
    found = values()
    first = found.fill(held("password", 1))
    assert first == found.fill(held("password", 1)) != found.fill(held("new_password", 2))
    assert first == values().fill(held("password", 1))
    assert found.compare({"a": held("password", 1)}, {"a": first}) is None
    assert found.compare({"a": held("password", 1)}, {"a": "another"}) is not None


def test_values_can_be_given_or_made_up_by_name() -> None:
    found = values(apiKey="mine", pin=None)
    assert found.fill(held("api_key", 1)) == "mine"
    assert found.fill(held("pin", 2)) == found.fill(held("pin", 2)) == "Replayed-pin-2"


@pytest.mark.parametrize(
    ("kind", "value"),
    [("int", 12), ("float", 1.5), ("bytes", b"\xff\0"), ("", "12")],
    ids=["int", "float", "bytes", "text"],
)
def test_a_placeholder_that_is_a_whole_value_gets_its_type_back(kind: str, value: Any) -> None:
    found = values()
    assert found.compare({"a": held("key", 1, kind)}, {"a": value}) is None
    assert found.fill_tree([held("key", 1, kind)]) == [value]
    assert found.compare([held("key", 1, kind)], [value]) is None


def test_a_made_up_number_is_a_number() -> None:
    assert values(pin=None).fill_tree(held("pin", 7, "int")) == 7
    assert values(pin="x").fill_tree(held("pin", 7, "int")) == "x"


def test_cookies_that_no_server_has_set_are_made_up_unless_they_name_a_session() -> None:
    found = values({SESSION: "abc"})
    assert found.fill_cookies(f"a={held('cookie', 5)}; s={SESSION}") == "a=Replayed-cookie-5; s=abc"
    with pytest.raises(LackError):
        found.fill_cookies(f"a=b; toto-session-id={held('cookie', 6)}")


def test_a_signature_stays_a_placeholder() -> None:
    assert values().fill(held("x-toto-hmac", 0)) == held("x-toto-hmac", 0)


# ---------------------------------------------------------------- out of replies

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(json_values)
def test_what_is_the_same_has_no_difference(value: Any) -> None:
    assert values().compare(value, value) is None


@given(json_values, json_values)
def test_what_is_not_the_same_has_one(one: Any, other: Any) -> None:
    found = values().compare(one, other)
    assert (found is None) == (_strict(one) == _strict(other))


def _strict(value: Any) -> Any:
    """A value that is equal to others only where JSON would be, too: True is not 1."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, list):
        return [_strict(item) for item in value]
    return {key: _strict(item) for key, item in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize(
    ("recorded", "now", "difference"),
    [
        ({"a": 1}, {"a": 2}, ("$.a", "1", "2")),
        ({"a": {"b c": [1, 2]}}, {"a": {"b c": [1, 3]}}, ('$.a["b c"][1]', "2", "3")),
        ({"a": 1}, {}, ("$.a", "1", "nothing")),
        ({}, {"a": "x"}, ("$.a", "nothing", '"x"')),
        ([1], [1, 2], ("$[1]", "nothing", "2")),
        ([1, 2], [1], ("$[1]", "2", "nothing")),
        (1, True, ("$", "1", "true")),
        (None, 0, ("$", "null", "0")),
        ("a", "b", ("$", '"a"', '"b"')),
        ({"a": 1}, [1], ("$", '{"a":1}', "[1]")),
        (SESSION, 5, ("$", f'"{SESSION}"', "5")),
        (held("key", 1, "int"), True, ("$", f'"{held("key", 1, "int")}"', "true")),
    ],
)
def test_a_difference_says_where_it_is_and_what_was_there(recorded: Any, now: Any, difference: tuple[str, ...]) -> None:
    assert values().compare(recorded, now) == Difference(*difference)


def test_the_place_in_a_long_text_is_shown_with_what_stands_around_it() -> None:
    text = "x" * 500
    found = values().compare({"a": f"{text}|one|{text}"}, {"a": f"{text}|two|{text}"})
    assert found is not None
    assert found.where == "$.a, character 501"
    assert '"xxxxxxxxxxxxxxxxxxx|one|xxx' in found.recorded
    assert '"xxxxxxxxxxxxxxxxxxx|two|xxx' in found.now


def test_a_placeholder_stands_for_the_same_value_everywhere() -> None:
    found = values()
    assert found.compare({"a": SESSION}, {"a": "one"}) is None
    assert found.compare({"b": [f"it is {SESSION}"]}, {"b": ["it is one"]}) is None
    assert found.compare({"a": SESSION}, {"a": "two"}) == Difference("$.a", f'"{SESSION}"', '"two"')


def test_a_difference_teaches_nothing_about_its_text() -> None:
    found = values()
    assert found.compare_texts(f"{SESSION} one", "abc two", "body") is not None
    assert found.compare_texts(f"{SESSION} one", "def one", "body") is None


words = st.text(st.characters(codec="utf-8", exclude_characters="|%"), min_size=1)


@given(words, words, st.sampled_from([str, quote_plus, lambda text: quote(text, safe="")]))
def test_values_are_learned_from_within_texts_however_they_are_written(one: str, other: str, encode: Any) -> None:
    found = values()
    recorded = f"|{SESSION}|{OTHER}|{SESSION}"
    now = f"|{encode(one)}|{encode(other)}|{encode(one)}"
    if encode is quote_plus and "%" not in now:  # whether a plus is a blank cannot be told then
        return
    assert found.compare_texts(recorded, now, "body") is None
    again = f"|{encode(other)}|{encode(one)}|{encode(other)}"
    assert (found.compare_texts(recorded, again, "body") is None) == (now == again)


def test_texts_with_many_placeholders_are_compared_in_no_time() -> None:
    recorded = "".join(f'data: {{"key":"{held("key", number)}"}}\n' for number in range(1000)) + "end"
    now = "".join(f'data: {{"key":"k{number}"}}\n' for number in range(1000)) + "END"
    start = time.process_time()
    found = values().compare_texts(recorded, now, "body")
    assert time.process_time() - start < 2.0
    assert found is not None
    assert found.where.startswith("body, character ")
    assert found.now.endswith('END"')


def test_signatures_are_not_compared() -> None:
    found = values()
    placeholder = held("x-toto-hmac", 0)
    assert found.compare(placeholder, "one") is found.compare(placeholder, "two") is None
    assert found.compare_texts(f"{placeholder}, {placeholder}", "one, two", "header") is None


@given(json_values, st.sampled_from(["password", "session_id"]), st.text(min_size=1))
def test_what_a_masker_has_masked_is_the_same_as_what_it_was(value: Any, name: str, secret: str) -> None:
    body = {"a": value, name: secret, "b": [secret]}
    masker = Masker(MARK)
    masked = masker.tree(body)
    if masker.tree({"a": value})["a"] != value:  # it has its own secrets
        return
    found = values()
    assert found.compare(masked, body) is None
    assert found.fill_tree(masked) == body
