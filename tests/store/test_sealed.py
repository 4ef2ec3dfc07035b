"""AES as the standard has it, and sessions that are sealed with it."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from totohio import AESCipher, ClientCache, TotoException
from totohio.base.clocking import Minter
from totohio.store.sealed import sealing_cache

# NIST SP 800-38A, F.2.1, F.2.3 and F.2.5: CBC with keys of 128, 192 and 256 bits
IV = bytes(range(16))
PLAIN = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
VECTORS = [
    ("2b7e151628aed2a6abf7158809cf4f3c",
     "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"
     "73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7"),
    ("8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
     "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a"
     "571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd"),
    ("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
     "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"
     "39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b"),
]  # fmt: skip
DATA = {"user_id": "ada", "expires": 2e9, "created": 1e9, "key": "", "state": b"\x81\xa1n\x01", "token": "t"}


@pytest.mark.parametrize(("key", "wanted"), VECTORS)
def test_the_cipher_is_that_of_the_standard(key: str, wanted: str) -> None:
    cipher = AESCipher(bytes.fromhex(key), IV)
    encrypted = cipher.encrypt(PLAIN)
    assert encrypted[: len(PLAIN)].hex() == wanted
    assert len(encrypted) == len(PLAIN) + 16  # and a block of padding
    assert cipher.decrypt(encrypted) == PLAIN


@given(st.binary(max_size=100), st.sampled_from([16, 24, 32, 48]))
def test_what_is_encrypted_comes_back_and_is_never_the_same_twice(data: bytes, size: int) -> None:
    cipher = AESCipher(bytes(range(size)))
    one, other = cipher.encrypt(data), cipher.encrypt(data)
    assert one != other
    assert (cipher.decrypt(one), cipher.decrypt(other)) == (data, data)
    assert data not in one or len(data) < 4


@given(st.binary(max_size=80))
def test_what_was_not_encrypted_is_refused_or_meaningless(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        AESCipher(bytes(32)).decrypt(data)


@pytest.mark.parametrize(("key", "iv"), [(b"", None), (b"k" * 15, None), (b"k" * 33, None), (b"k" * 32, b"i" * 15)])
def test_keys_of_other_sizes_are_refused(key: bytes, iv: bytes | None) -> None:
    with pytest.raises(ValueError, match="bytes"):
        AESCipher(key, iv)


@pytest.mark.parametrize(("ciphers", "keys"), [(1, [b"short"]), (2, [b"k" * 16]), (0, [])])
def test_a_cache_without_good_keys_is_refused(ciphers: int, keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="key"):
        ClientCache([AESCipher(bytes(32))] * ciphers, keys)


def test_a_session_that_is_too_large_is_said_to_be() -> None:
    cache = sealing_cache([bytes(32)], minter=Minter(), max_size=1000)
    assert len(cache.store_session({**DATA, "state": bytes(500)})) <= 1000
    with pytest.raises(TotoException, match="too large") as caught:
        cache.store_session({**DATA, "state": bytes(800)})
    assert "1000 at most" in str(caught.value)


def test_the_size_is_that_of_what_is_in_it_however_often_it_is_sealed() -> None:
    cache = sealing_cache([bytes(32)], minter=Minter())
    data, sizes = dict(DATA), set()
    for _ in range(20):
        session_id = cache.store_session(data)
        sizes.add(len(session_id))
        loaded = cache.load_session(session_id)
        assert loaded is not None
        data = loaded
    assert len(sizes) == 1


@given(st.text(max_size=200))
def test_no_id_upsets_the_cache(session_id: str) -> None:
    with pytest.raises(TotoException) as caught:
        sealing_cache([bytes(32)], minter=Minter()).load_session(session_id)
    assert caught.value.code in (-1, 1004)
