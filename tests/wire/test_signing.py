"""Signatures are HMACs as the standards have them, and nothing that a client sends upsets them."""

import base64
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from totohio.wire import signing

# RFC 4231, 4.2 to 4.7 (SHA-256), and RFC 2202, 3 (SHA-1): key, data, digest
VECTORS = [
    ("sha256", "0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    ("sha256", b"Jefe".hex(), b"what do ya want for nothing?",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    ("sha1", b"Jefe".hex(), b"what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
    ("sha1", "0b" * 20, b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"),
]  # fmt: skip


@pytest.mark.parametrize(("algorithm", "key", "data", "digest"), VECTORS)
def test_they_are_the_hmacs_of_the_standards(algorithm: str, key: str, data: bytes, digest: str) -> None:
    wanted = base64.b64encode(bytes.fromhex(digest))
    text = bytes.fromhex(key).decode()
    assert signing.response_signature(text, "", data, algorithm) == wanted
    assert signing.request_signature(text, "", "", data, algorithm) == wanted


@given(
    st.text(max_size=30),
    st.sampled_from(["GET", "POST"]),
    st.text(st.characters(codec="latin-1")),
    st.binary(max_size=99),
)
def test_a_request_is_signed_over_verb_uri_and_body(key: str, verb: str, uri: str, body: bytes) -> None:
    key = key.encode("utf-8", "ignore").decode()
    data = verb.encode() + uri.encode("latin-1") + body
    wanted = base64.b64encode(hmac.digest(key.encode(), data, "sha256"))
    assert signing.request_signature(key, verb, uri, body) == wanted
    data = verb.encode() + uri.encode("latin-1") + b"12.5" + b"once" + body
    wanted = base64.b64encode(hmac.digest(key.encode(), data, "sha1"))
    assert signing.request_signature(key, verb, uri, body, "sha1", "12.5", "once") == wanted


@given(st.binary(), st.text("abc=", max_size=9).map(str.encode))
def test_whatever_is_given_is_equal_only_when_it_is_the_same(given: bytes, wanted: bytes) -> None:
    assert signing.equal(given, wanted) is (given == wanted)
    assert signing.equal(wanted, wanted)


@pytest.mark.parametrize(
    ("date", "fresh"),
    [
        ("1000", True), ("1060", True), ("940.0", True), ("939.9", False), ("1060.1", False), ("", False),
        ("nan", False), ("inf", False), ("-1000", False), ("+1000", False), ("1e3", False), (" 1000", False),
        ("1000\n", False), ("\u0661\u0660\u0660\u0660", False), ("1" * 400, False), ("1000.1234567", False),
    ],
)  # fmt: skip
def test_a_date_is_near_enough_or_none(date: str, fresh: bool) -> None:
    assert signing.fresh(date, 1000.0, 60.0) is fresh
