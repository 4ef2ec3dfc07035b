"""Sessions that their clients hold: sealed, so that nobody else can read or change them.

The id of such a session is the session: its data, encrypted, with a MAC over the whole (encrypt-then-MAC, HMAC-SHA256),
in URL-safe base64. Each sealing draws a fresh IV. What is sealed is MessagePack, so that opening it can run no code
whoever has the keys. The server keeps nothing of it but what ends early (see `core.sessioning`).

The ciphers are imported where they are used: that takes a tenth of the time in which a server starts, and few use them.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from typing import Any, Protocol

from totohio.base.clocking import Minter
from totohio.base.errors import (
    ERROR_INVALID_SESSION_HMAC,
    ERROR_NOT_AUTHORIZED,
    ERROR_SERVER,
    TotoException,
)
from totohio.core.caching import TotoSessionCache
from totohio.wire.packing import decode_msgpack, encode_msgpack

BLOCK = 16  # bytes of a block of AES, and so of an IV
MAC_SIZE = 32  # bytes
KEYS = (16, 24, 32)  # bytes of keys of AES
TOTO_KEY = 48  # bytes that Toto took: a key of 32 and an IV
MAX_SIZE = 4096  # characters of an id
FIELDS = ("user_id", "expires", "created", "key", "state", "token")


class Cipher(Protocol):
    """Encrypts and decrypts."""

    def encrypt(self, data: bytes) -> bytes:
        """Give the encrypted data, another each time."""

    def decrypt(self, data: bytes) -> bytes:
        """Give the data back; ValueError when it was not encrypted so."""


class AESCipher:
    """AES in CBC mode, padded as PKCS #7 says.

    It keeps secrets but does not tell whether data were changed: whoever uses it adds a MAC, as `ClientCache` does.

    Attributes:
        fixed: Its IV is always the same, so that equal data are equal encrypted.
    """

    def __init__(self, key: bytes | str, iv: bytes | None = None, *, minter: Minter | None = None) -> None:
        """Set it up.

        Args:
            key: 16, 24 or 32 random bytes. 48 are taken as Toto's: a key of 32, and an IV, which is not used.
            iv: 16 bytes, for data that were encrypted with this one IV; without it each encryption draws its own and
                puts it in front.
            minter: Where IVs are drawn from; the machine's randomness by default.

        Raises:
            ValueError: The key or the IV has another length.
        """
        raw = key.encode("latin-1") if isinstance(key, str) else bytes(key)
        if len(raw) == TOTO_KEY:
            raw = raw[:-BLOCK]
        if len(raw) not in KEYS:
            raise ValueError(f"a key has 16, 24 or 32 bytes, not {len(raw)}")
        if iv is not None and len(iv) != BLOCK:
            raise ValueError(f"an IV has {BLOCK} bytes, not {len(iv)}")
        self._key = raw
        self._iv = iv
        self._minter = minter or Minter()
        self.fixed = iv is not None

    def encrypt(self, data: bytes) -> bytes:
        """Give the encrypted data, behind their IV unless that is fixed."""
        from Crypto.Cipher import AES
        from Crypto.Util.Padding import pad

        iv = self._iv if self._iv is not None else self._minter.draw(BLOCK)
        encrypted = AES.new(self._key, AES.MODE_CBC, iv).encrypt(pad(data, BLOCK))
        return encrypted if self._iv is not None else iv + encrypted

    def decrypt(self, data: bytes) -> bytes:
        """Give the data back.

        Raises:
            ValueError: They were not encrypted with this key, or were changed.
        """
        from Crypto.Cipher import AES
        from Crypto.Util.Padding import unpad

        iv = self._iv
        if iv is None:
            iv, data = data[:BLOCK], data[BLOCK:]
        if not data or len(data) % BLOCK or len(iv) != BLOCK:
            raise ValueError("these data were not encrypted with AES-CBC")
        return unpad(AES.new(self._key, AES.MODE_CBC, iv).decrypt(data), BLOCK)


class ClientCache(TotoSessionCache):
    """Has clients hold their sessions: ``db_connection.set_session_cache(ClientCache(AESCipher(key), hmac_key))``.

    Keys are changed by putting a new one in front of the old and taking the old away once all sessions that it sealed
    have ended.
    """

    client_held = True

    def __init__(
        self,
        cipher: Cipher | Sequence[Cipher],
        hmac_key: bytes | str | Sequence[bytes | str],
        *,
        max_size: int = MAX_SIZE,
        minter: Minter | None = None,
    ) -> None:
        """Set it up.

        Args:
            cipher: Encrypts; of several the first encrypts, and each decrypts what its MAC key has signed.
            hmac_key: The key of the MACs, 16 bytes at least; as many as ciphers.
            max_size: How long an id may be, in characters.
            minter: Where randomness comes from; the machine's by default.

        Raises:
            ValueError: A key is too short, or there are not as many keys as ciphers.
        """
        ciphers = list(cipher) if isinstance(cipher, Sequence) else [cipher]
        given: Any = [hmac_key] if isinstance(hmac_key, (bytes, str)) else hmac_key
        keys = [key.encode("latin-1") if isinstance(key, str) else bytes(key) for key in given]
        if len(keys) != len(ciphers) or not keys:
            raise ValueError("there must be as many keys as ciphers")
        if any(len(key) < BLOCK for key in keys):
            raise ValueError(f"a key of MACs has {BLOCK} bytes at least")
        self._pairs = list(zip(ciphers, keys, strict=True))
        self._max_size = max_size
        self._minter = minter or Minter()

    def store_session(self, session_data: dict[str, Any]) -> str:
        """Give the id that holds the session.

        Raises:
            TotoException: 1000, the session is too large for its client to hold.
        """
        cipher, key = self._pairs[0]
        data = encode_msgpack([session_data.get(name) for name in FIELDS])
        if getattr(cipher, "fixed", False):  # a random first block does in CBC what a fresh IV does
            data = self._minter.draw(BLOCK) + data
        sealed = cipher.encrypt(data)
        text = base64.urlsafe_b64encode(sealed + hmac.digest(key, sealed, "sha256")).rstrip(b"=").decode()
        if len(text) > self._max_size:
            raise TotoException(
                ERROR_SERVER,
                f"The session is too large for its client to hold: {len(text)} characters, {self._max_size} at most.",
            )
        return text

    def load_session(self, session_id: str) -> dict[str, Any] | None:
        """Give the data of a session that its client brings back.

        Raises:
            TotoException: -1, it was not sealed with these keys, or was changed; 1004, it is no sealed session at all.
        """
        sealed, mac = self._parts(session_id)
        for cipher, key in self._pairs:
            if hmac.compare_digest(hmac.digest(key, sealed, "sha256"), mac):
                return self._opened(cipher, sealed)
        raise TotoException(ERROR_INVALID_SESSION_HMAC, "Invalid session HMAC")

    def remove_session(self, session_id: str) -> None:
        """Do nothing: it is the client's."""

    def _parts(self, session_id: str) -> tuple[bytes, bytes]:
        text = session_id.rstrip("=")
        if len(text) > self._max_size:
            raise TotoException(ERROR_NOT_AUTHORIZED, "Not authorized")
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise TotoException(ERROR_NOT_AUTHORIZED, "Not authorized") from None
        # Base64 has spare bits at its end that mean nothing; one form of each id is enough.
        if len(raw) <= MAC_SIZE + BLOCK or base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
            raise TotoException(ERROR_INVALID_SESSION_HMAC, "Invalid session HMAC")
        return raw[:-MAC_SIZE], raw[-MAC_SIZE:]

    def _opened(self, cipher: Cipher, sealed: bytes) -> dict[str, Any]:
        try:
            data = cipher.decrypt(sealed)
            if getattr(cipher, "fixed", False):
                data = data[BLOCK:]
            return dict(zip(FIELDS, decode_msgpack(data), strict=True))
        except (ValueError, TypeError, TotoException):
            raise TotoException(ERROR_INVALID_SESSION_HMAC, "Invalid session HMAC") from None


def sealing_cache(keys: Sequence[bytes], *, minter: Minter, max_size: int = MAX_SIZE) -> ClientCache:
    """Give a cache with a key for the cipher and one for the MAC derived of each of these keys (HKDF, RFC 5869).

    Args:
        keys: 32 random bytes each; the first seals, all open.
        minter: Where randomness comes from.
        max_size: How long an id may be, in characters.
    """
    from Crypto.Hash import SHA256
    from Crypto.Protocol.KDF import HKDF

    pairs: list[Any] = [HKDF(key, 32, b"", SHA256, 2, context=b"totohio client-held session") for key in keys]
    ciphers = [AESCipher(pair[0], minter=minter) for pair in pairs]
    return ClientCache(ciphers, [pair[1] for pair in pairs], max_size=max_size, minter=minter)
