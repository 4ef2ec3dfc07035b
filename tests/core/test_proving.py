"""Challenge and response: who knows the password can answer, nobody else can, and both ends are shown."""

import base64
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from totohio.core.hashing import TOTO_ROUNDS, Passwords
from totohio.core.proving import (
    MOST_LANES,
    MOST_MEMORY,
    MOST_PASSES,
    Proof,
    ProofError,
    answer,
    read_hash,
    session_mac,
    transcript,
    welcomed,
)

QUICK = Passwords(memory=64, time=1)
SALT = b"somesalt"
THERE, HERE = b"s" * 16, b"c" * 16
SIGNED = transcript("ada", THERE, HERE)

# Of the reference implementation's own tests (argon2id, version 0x13), and of the pbkdf2 module that Toto used
KNOWN = [
    ("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password"),
    ("$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc", "password"),
    ("$p5k2$$exec$r1EWMCMk7Rlv3L/RNcFXviDefYa0hlql", "cloadm"),
    ("$p5k2$c$u9HvcT4d$Sd1gwSVCLZYAuqZ25piRnbBEoAesaa/g", "gnu"),
    ("$p5k2$d$tUsch7fU$nqDkaxMDOFBeJsTSfABsyn.PYUXilHwL", "dcl"),
]


def challenge_of(hashed: str) -> dict[str, Any]:
    """Give what the server tells of a hash."""
    found = read_hash(hashed)
    assert found is not None
    return found[0]


@pytest.mark.parametrize(("hashed", "password"), KNOWN)
def test_hashes_that_others_have_made_can_be_answered(hashed: str, password: str) -> None:
    challenge = challenge_of(hashed)
    ours, theirs = answer(challenge, password, SIGNED)
    proof = Proof(SIGNED, ours)
    assert QUICK.verify(hashed, proof)
    assert proof.reply == theirs != ours
    wrong = Proof(SIGNED, answer(challenge, password + " ", SIGNED)[0])
    assert not QUICK.verify(hashed, wrong)
    assert wrong.reply == b""


def test_a_challenge_tells_how_the_hash_was_made_and_nothing_of_it() -> None:
    found = read_hash(KNOWN[0][0])
    assert found is not None
    assert found[0] == {
        "algorithm": "argon2id", "version": 19, "memory": 256, "time": 2, "lanes": 1, "salt": SALT, "size": 32,
    }  # fmt: skip
    assert found[1].hex().startswith("9dfeb910e80bad03")
    toto = read_hash(KNOWN[2][0])
    assert toto is not None
    assert toto[0] == {"algorithm": "pbkdf2-sha1", "salt": b"$p5k2$$exec", "rounds": TOTO_ROUNDS, "size": 24}
    assert toto[1] == hashlib.pbkdf2_hmac("sha1", b"cloadm", b"$p5k2$$exec", TOTO_ROUNDS, 24)
    assert challenge_of(KNOWN[3][0])["rounds"] == 12


def test_who_does_not_exist_is_challenged_like_others() -> None:
    made_up = QUICK.made_up(b"x" * 16)
    real = challenge_of(QUICK.hash("password", b"y" * 16))
    assert {**made_up, "salt": b""} == {**real, "salt": b""}
    ours, _ = answer(made_up, "password", SIGNED)
    assert len(ours) == 32


@given(st.text(max_size=30), st.text(max_size=30))
def test_an_answer_is_right_for_the_password_alone(one: str, other: str) -> None:
    import unicodedata

    hashed = QUICK.hash(one, SALT)
    same = unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)
    assert Proof(SIGNED, answer(challenge_of(hashed), other, SIGNED)[0]).holds(hashed) is same


def test_an_answer_is_right_for_one_user_and_one_challenge_alone() -> None:
    hashed = QUICK.hash("password", SALT)
    ours, theirs = answer(challenge_of(hashed), "password", SIGNED)
    for signed in (
        transcript("eve", THERE, HERE),
        transcript("ada", HERE, THERE),
        transcript("ada", THERE + HERE, b""),
        transcript("ada" + "s", THERE[1:], HERE),
        transcript("ada", b"t" * 16, HERE),
        transcript("ada", THERE, b"d" * 16),
    ):
        assert not Proof(signed, ours).holds(hashed)
    assert Proof(SIGNED, ours).holds(hashed)
    for mac in (theirs, b"", ours[:-1], ours + b"\0", bytes(32)):
        assert not Proof(SIGNED, mac).holds(hashed)
    assert not Proof(SIGNED, ours).holds(QUICK.hash("password", b"othersalt"))


@given(st.tuples(st.text(), st.binary(), st.binary()), st.tuples(st.text(), st.binary(), st.binary()))
def test_what_is_signed_is_never_the_same_for_two(one: Any, other: Any) -> None:
    assert (transcript(*one) == transcript(*other)) is (one == other)


def test_any_user_id_can_be_signed() -> None:
    assert transcript("\ud800", b"", b"") != transcript("?", b"", b"")


@pytest.mark.parametrize(
    "hashed", ["", "plain", "$argon2id$", "$p5k2$$salt$", "$argon2i$v=19$m=256,t=2,p=1$YQ$YQ", "$2b$x"]
)
def test_what_is_no_hash_is_nobodys(hashed: str) -> None:
    assert read_hash(hashed) is None
    assert not Proof(SIGNED, bytes(32)).holds(hashed)


@given(st.one_of(st.text(max_size=60), st.from_regex(r"\$(argon2id?|p5k2)\$[\w=,$./+-]{0,60}", fullmatch=True)))
def test_a_text_is_a_hash_or_none(text: str) -> None:
    assert read_hash(text) is None or read_hash(text)[0]["salt"]  # type: ignore[index]
    assert Proof(SIGNED, bytes(32)).holds(text) is False


GOOD = challenge_of(KNOWN[0][0])
TOTO = challenge_of(KNOWN[3][0])


@pytest.mark.parametrize(
    "challenge",
    [
        None, {}, [], "x", {"algorithm": "plain"},
        GOOD | {"memory": MOST_MEMORY + 1}, GOOD | {"time": MOST_PASSES + 1}, GOOD | {"lanes": MOST_LANES + 1},
        GOOD | {"memory": "256"}, GOOD | {"salt": "text"}, GOOD | {"size": 8}, GOOD | {"size": 1 << 30},
        GOOD | {"memory": 0}, GOOD | {"time": -1}, GOOD | {"lanes": 0}, GOOD | {"salt": b""},
        TOTO | {"rounds": 1 << 40}, TOTO | {"rounds": 0}, TOTO | {"rounds": -5}, TOTO | {"size": 1 << 30},
        TOTO | {"size": 4}, {key: GOOD[key] for key in GOOD if key != "salt"},
    ],
    ids=repr,
)  # fmt: skip
def test_a_challenge_that_is_none_or_would_take_far_too_much_is_not_answered(challenge: Any) -> None:
    with pytest.raises(ProofError):
        answer(challenge, "password", SIGNED)


def test_a_sessions_key_signs_one_nonce() -> None:
    macs = {session_mac(key, nonce) for key in ("k", "l") for nonce in (b"1", b"2")}
    assert len(macs) == 4
    assert session_mac("k", b"1") == session_mac("k", b"1")


def test_a_server_is_believed_when_it_has_shown_that_it_knows_the_user() -> None:
    hashed = QUICK.hash("password", SALT)
    ours, theirs = answer(challenge_of(hashed), "password", SIGNED)
    proof = Proof(SIGNED, ours)
    assert proof.holds(hashed)
    assert welcomed(["ada", proof.reply, ["tom"], 60.0], theirs) == ("ada", ["tom"], 60.0)
    for shown in (None, b"", ours, bytes(32), base64.b64encode(theirs), theirs.hex()):
        with pytest.raises(ProofError, match="has not shown that it knows the user"):
            welcomed(["ada", shown, ["tom"], 60.0], theirs)
    assert welcomed(["ada", None, [], 60], None) == ("ada", [], 60)


@pytest.mark.parametrize(
    "welcome", [None, [], ["ada"], [None, b"", [], 1.0], ["ada", b"", "x", 1.0], ["ada", b"", [], "1"]]
)
def test_a_welcome_that_is_none_is_not_believed(welcome: Any) -> None:
    with pytest.raises(ProofError):
        welcomed(welcome, None)
