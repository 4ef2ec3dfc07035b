"""Codes: those of the standard, and those of nobody."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from totohio.base.clocking import Minter
from totohio.core import coding

# RFC 6238, appendix B, SHA-1: the last six digits
SECRET = b"12345678901234567890"
VECTORS = [
    (59, "287082"),
    (1111111109, "081804"),
    (1111111111, "050471"),
    (1234567890, "005924"),
    (2000000000, "279037"),
]


@pytest.mark.parametrize(("now", "code"), VECTORS)
def test_codes_are_those_of_the_standard(now: int, code: str) -> None:
    step = now // 30
    assert coding.step(SECRET, code, now, 0) == step
    assert coding.step(SECRET, f"{code[:3]} {code[3:]}", now, 0) == step
    for drift in (-30, 30):
        assert coding.step(SECRET, code, now + drift, 0) == step
    for drift in (-60, 61):
        assert coding.step(SECRET, code, now + drift, 0) is None
    assert coding.step(SECRET, code, now, step - 1) == step
    assert coding.step(SECRET, code, now, step) is None
    assert coding.step(b"another secret, this", code, now, 0) is None


@given(st.text(max_size=10))
def test_what_is_no_code_is_none(code: str) -> None:
    if not (code.replace(" ", "").isascii() and code.replace(" ", "").isdigit()):
        assert coding.step(SECRET, code, 59, 0) is None


def test_what_is_drawn_is_long_enough_and_different() -> None:
    minter = Minter()
    for draw in (coding.mint, coding.mint_key):
        drawn = {draw(minter) for _ in range(100)}
        assert len(drawn) == 100
        assert all(len(each) >= 32 and each.isascii() for each in drawn)
    assert len(coding.secret(minter)) == 20


def test_apps_are_told_whose_secret_it_is() -> None:
    uri = coding.provisioning_uri(SECRET, "ada@example.org", "a shop")
    assert uri == ("otpauth://totp/a%20shop:ada%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=a%20shop")


@pytest.mark.parametrize(
    ("scopes", "name", "allowed"),
    [
        (("a.b",), "a.b", True), (("a.b",), "a.b.c", False), (("a.b",), "a.bc", False), (("a.*",), "a.b", True),
        (("a.*",), "a.b.c", True), (("a.*",), "a", False), (("a.*",), "ab.c", False), (("*",), "x.y", True),
        ((), "x", False), (("x", "y.*"), "y.z", True), (("",), "", True),
    ],
)  # fmt: skip
def test_scopes_allow_what_they_name(scopes: tuple[str, ...], name: str, allowed: bool) -> None:
    assert coding.allows(scopes, name) is allowed


@pytest.mark.parametrize("scope", ["", "a b", ".", "a.", ".a", "a..b", "*.a", "a*", "a.*.b", 5, None, ["a"]])
def test_what_is_no_scope_is_none(scope: object) -> None:
    assert not coding.is_scope(scope)


@pytest.mark.parametrize("scope", ["a", "a.b", "a.*", "*", "_a.b1"])
def test_what_is_a_scope_is_one(scope: str) -> None:
    assert coding.is_scope(scope)
