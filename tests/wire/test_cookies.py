"""Cookies in and out, from browsers and from others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from totohio.wire import cookies


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (b"a=1", "1"),
        (b"b=2; a=1; c=3", "1"),
        (b"b=2;a=1", "1"),
        (b" a=1 ", "1"),
        (b'a="1"', "1"),
        (b"a=x=y", "x=y"),
        (b"a=", None),
        (b"a", None),
        (b"", None),
        (b"aa=1; A=2", None),
        (b"a=1; a=2", None),  # whoever plants a second one gets nothing
        (b"a=1; a=1", None),
        (b"a=1 2", None),
        (b'a=1"2', None),
        (b"a=\xe9", None),
        (b"a=1,2", None),
        (b"x" * 20_000 + b"; a=1", None),
    ],
)
def test_the_value_of_a_cookie(header: bytes, value: str | None) -> None:
    assert cookies.read(header, "a") == value


@given(st.binary(max_size=200))
def test_no_header_upsets_the_reader(header: bytes) -> None:
    value = cookies.read(header, "a")
    assert (
        value is None
        or cookies.read(cookies.made("a", value, max_age=1, secure=True).split(";")[0].encode(), "a") == value
    )


@pytest.mark.parametrize("value", ["a;b", "a b", 'a"', "a\r\nSet-Cookie: b", "\u00e9", "a,b", "a\\b"])
def test_what_cannot_be_in_a_cookie_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="cookie"):
        cookies.made("a", value, max_age=1, secure=True)


def test_attributes_are_those_of_the_standard() -> None:
    made = cookies.made("a", "1", max_age=60, secure=True, domain="example.org")
    assert set(made.split("; ")) == {
        "a=1", "Max-Age=60", "Path=/", "Domain=example.org", "HttpOnly", "Secure", "SameSite=Lax",
    }  # fmt: skip
    assert set(cookies.cleared("a", secure=False).split("; ")) == {
        "a=",
        "Max-Age=0",
        "Path=/",
        "HttpOnly",
        "SameSite=Lax",
    }


@pytest.mark.parametrize("secrets", [[], ["short"], ["long enough to be one", "short"]])
def test_secrets_that_are_too_short_are_refused(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="16"):
        cookies.Signer(secrets)
