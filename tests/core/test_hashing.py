"""Hashes of passwords: ours, Toto's, and what is none."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from totohio.core.hashing import Passwords

QUICK = Passwords(memory=64, time=1)
SALT = b"somesalt"

# Of the reference implementation's own tests (argon2id, version 0x13), and of the pbkdf2 module that Toto used
KNOWN = [
    ("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password"),
    ("$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc", "password"),
    ("$p5k2$$exec$r1EWMCMk7Rlv3L/RNcFXviDefYa0hlql", "cloadm"),
    ("$p5k2$c$u9HvcT4d$Sd1gwSVCLZYAuqZ25piRnbBEoAesaa/g", "gnu"),
    ("$p5k2$d$tUsch7fU$nqDkaxMDOFBeJsTSfABsyn.PYUXilHwL", "dcl"),
]


@pytest.mark.parametrize(("hashed", "password"), KNOWN)
def test_hashes_that_others_have_made_verify(hashed: str, password: str) -> None:
    assert QUICK.known(hashed)
    assert QUICK.verify(hashed, password)
    assert not QUICK.verify(hashed, password + " ")
    assert QUICK.outdated(hashed)


@settings(max_examples=50)
@given(st.text(max_size=40), st.text(max_size=40))
def test_a_hash_is_that_of_its_password_alone(one: str, other: str) -> None:
    import unicodedata

    hashed = QUICK.hash(one, SALT)
    assert QUICK.verify(hashed, one)
    same = unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)
    assert QUICK.verify(hashed, other) is same
    assert not QUICK.outdated(hashed)


def test_other_parameters_are_outdated() -> None:
    for other in (
        Passwords(memory=128, time=1),
        Passwords(memory=64, time=2),
        Passwords(memory=64, time=1, parallelism=2),
    ):
        assert QUICK.outdated(other.hash("x", SALT))
        assert QUICK.verify(other.hash("x", SALT), "x")


@settings(max_examples=200)
@given(st.one_of(st.text(max_size=60), st.from_regex(r"\$(argon2id?|p5k2)\$[\w=,$./+-]{0,60}", fullmatch=True)))
def test_what_is_no_hash_is_nobodys(text: str) -> None:
    assert QUICK.verify(text, "password") is False


@pytest.mark.parametrize("text", ["$p5k2$$salt$", "$p5k2$ffffffffffff$salt$AAAA", "$argon2id$", "", "plain"])
def test_a_hash_that_would_take_for_ever_or_is_cut_is_refused(text: str) -> None:
    assert not QUICK.verify(text, "x")


def test_a_password_without_end_is_no_work() -> None:
    hashed = QUICK.hash("x" * 10_000_000, SALT)
    assert QUICK.verify(hashed, "x" * 10_000_000)
    assert not QUICK.verify(hashed, "x" * 9_999_999)


def test_there_is_a_hash_for_users_who_are_not_there() -> None:
    assert QUICK.dummy == QUICK.dummy
    assert not QUICK.outdated(QUICK.dummy)
