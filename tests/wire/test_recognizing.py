"""A head that is recognised is the request that it would have been, had it been read in full."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from totohio.wire import requesting
from totohio.wire.recognizing import part
from totohio.wire.requesting import Limits, Requestant

LIMITS = Limits(max_body_size=1000, max_header_size=600)
NAMES = ["Content-Length", "x-toto-hmac", "X-Toto-Session-Id", "x-toto-date", "x-toto-nonce", "Accept"]
VALUES = st.one_of(
    st.integers(0, 2000).map(str),
    st.sampled_from(
        ["", "0", "00", "007", "+5", "-1", "5 ", " 5", "5,5", "\t", "a\x00b", "a\x7fb", "a:b", "\u00e9", "x" * 300]
    ),
    st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=12),
    st.text("ABCabc019+/=_-", min_size=1, max_size=60),
)
LINES = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([": ", ":", ":  ", " : "]), VALUES), max_size=5)


def head(lines: list[tuple[str, str, str]], extra: str = "") -> bytes:
    text = (
        "POST / HTTP/1.1\r\nHost: x\r\n" + extra + "".join(f"{name}{colon}{value}\r\n" for name, colon, value in lines)
    )
    return (text + "\r\n").encode("latin-1")


def fresh() -> Requestant:
    """One that knows nothing yet."""
    requesting._known_heads.cache_clear()
    requesting._known_patterns.cache_clear()
    return Requestant(LIMITS)


def read(requestant: Requestant, data: bytes) -> Any:
    """What the bytes are taken for: requests, a fault, or the beginning of something."""
    requestant.feed(data)
    fault = requestant.fault
    found = [
        (
            request.method, request.uri, request.version, dict(request.fields), request.keep_alive, request.length,
            request.expects, request.body,
        )
        for request in requestant.requests
    ]  # fmt: skip
    return found, fault and (fault.status, fault.text), requestant.begun, requestant.continues


@given(
    LINES,
    st.lists(VALUES, min_size=5, max_size=5),
    st.sampled_from(["", "Expect: 100-continue\r\n"]),
    st.binary(max_size=40),
)
def test_other_values_make_the_request_that_they_would_have_made(
    lines: list[tuple[str, str, str]], values: list[str], extra: str, body: bytes
) -> None:
    others = [(name, colon, value) for (name, colon, _), value in zip(lines, values, strict=False)]
    data = head(others, extra) + body
    wanted = read(fresh(), data)
    read(fresh(), head(lines, extra) + bytes(2000))  # what is read first is known
    assert read(Requestant(LIMITS), data) == wanted
    assert read(Requestant(LIMITS), data) == wanted


@pytest.mark.parametrize("length", ["0", "5", "999", "1000", "1001", "99999999999999999999", "05", "5a"])
def test_the_length_of_the_body_counts(length: str) -> None:
    lines = [("Content-Length", ": ", length), ("x-toto-hmac", ": ", "abc=")]
    wanted = read(fresh(), head(lines) + b"hello")
    read(fresh(), head([("Content-Length", ": ", "3"), ("x-toto-hmac", ": ", "xyz=")]) + b"abc")
    assert read(Requestant(LIMITS), head(lines) + b"hello") == wanted


def test_a_signature_that_is_new_is_recognised() -> None:
    requestant = fresh()
    first = head([("Content-Length", ": ", "2"), ("x-toto-hmac", ": ", "one=")]) + b"{}"
    second = head([("Content-Length", ": ", "4"), ("x-toto-hmac", ": ", "two=")]) + b"null"
    requestant.feed(first + second)
    assert [dict(request.fields)[b"x-toto-hmac"] for request in requestant.requests] == [b"one=", b"two="]
    assert [request.body for request in requestant.requests] == [b"{}", b"null"]
    assert len(requestant._known) == 1  # the second was not read in full


def test_the_header_limit_holds_for_what_would_be_recognised() -> None:
    short = head([("x-toto-hmac", ": ", "a"), ("Accept", ": ", "x" * 300)])
    long = head([("x-toto-hmac", ": ", "a" * 400), ("Accept", ": ", "x" * 300)])
    requestant = fresh()
    requestant.feed(short)
    requestant.feed(long)
    assert requestant.fault is not None
    assert requestant.fault.status == 431


def test_a_head_never_has_the_pattern_of_one_with_other_fields() -> None:
    assert part(b"a\r\nx-toto-hmac: b\r\nc") != part(b"a\x00x-toto-hmac\x00\r\nc")
    assert part(b"a\r\nx-toto-hmac: b\r\nc")[0] != part(b"a\r\nx-toto-date: b\r\nc")[0]
