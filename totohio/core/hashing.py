"""Hashes of passwords: argon2id now, and Toto's of before.

A hash is a text that says how it was made: PHC's ``$argon2id$v=19$m=...,t=...,p=...$salt$hash`` (RFC 9106), or
``$p5k2$rounds$salt$hash``, PBKDF2 with HMAC-SHA1 as Toto made it. Hashing is slow on purpose: 25 milliseconds with 19
MiB and two passes; whoever calls does it in a worker thread.
"""

import base64
import binascii
import functools
import hashlib
import hmac
import re
import unicodedata
from typing import Any

import argon2
from argon2.low_level import ARGON2_VERSION, Type, hash_secret, verify_secret

from totohio.core.ports import Shown

HASH_SIZE = 32  # bytes
LONGEST = 1024  # bytes of a password that is hashed; longer ones are nobody's
COMPOSED = 4  # characters that may become one: a letter with three marks
DUMMY_SALT = b"totohio: nobody!"
TOTO_ROUNDS = 400  # when the hash names none
TOTO_SIZE = 24  # bytes
MOST_ROUNDS = 10_000_000  # of a hash of Toto's: nobody's login takes longer than some seconds
_TOTO = re.compile(r"\$p5k2\$([0-9a-fA-F]*)\$([^$]+)\$([A-Za-z0-9./]+={0,2})\Z")


class Passwords:
    """Makes and verifies hashes."""

    def __init__(self, *, memory: int = 19_456, time: int = 2, parallelism: int = 1) -> None:
        """Set it up.

        Args:
            memory: KiB that a hash takes.
            time: Passes over it.
            parallelism: Lanes.
        """
        self._memory = memory
        self._time = time
        self._parallelism = parallelism

    @functools.cached_property
    def dummy(self) -> str:
        """A hash of no password, to verify against where there is no account, so that it takes as long.

        The first to ask for it makes it, which takes as long again.
        """
        return self.hash("", DUMMY_SALT)

    def made_up(self, salt: bytes) -> dict[str, Any]:
        """Say how the hash would be made of a user who does not exist, as `proving.read_hash` does of one who does."""
        names = {"memory": self._memory, "time": self._time, "lanes": self._parallelism}
        return {"algorithm": "argon2id", "salt": salt, "size": HASH_SIZE, "version": ARGON2_VERSION, **names}

    def hash(self, password: str, salt: bytes) -> str:
        """Give the hash of a password with this salt, 8 bytes at least and never the same twice."""
        return hash_secret(
            password_bytes(password),
            salt,
            time_cost=self._time,
            memory_cost=self._memory,
            parallelism=self._parallelism,
            hash_len=HASH_SIZE,
            type=Type.ID,
        ).decode("ascii")

    def verify(self, hashed: str, password: "str | Shown") -> bool:
        """Tell whether a hash is that of the password or of what was shown for it; what is no hash is nobody's."""
        if not isinstance(password, str):
            return password.holds(hashed)
        data = password_bytes(password)
        if hashed.startswith("$p5k2$"):
            return _verify_toto(hashed, data) or _verify_toto(hashed, password.encode("utf-8", "surrogatepass"))
        if not hashed.startswith("$argon2id$"):
            return False
        try:
            return verify_secret(hashed.encode("ascii"), data, Type.ID)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError, UnicodeEncodeError):
            return False

    def outdated(self, hashed: str) -> bool:
        """Tell whether a hash was made otherwise than hashes are made now."""
        try:
            found = argon2.extract_parameters(hashed)
        except (argon2.exceptions.InvalidHashError, ValueError):
            return True
        wanted = (Type.ID, self._memory, self._time, self._parallelism)
        return (found.type, found.memory_cost, found.time_cost, found.parallelism) != wanted

    def known(self, hashed: str) -> bool:
        """Tell whether a text is a hash that can be verified."""
        if _TOTO.match(hashed):
            return True
        try:
            return argon2.extract_parameters(hashed).type is Type.ID
        except (argon2.exceptions.InvalidHashError, ValueError):
            return False


def password_bytes(password: str) -> bytes:
    """The bytes of a password that are hashed: however its letters are composed, it is the same password."""
    # What is too long however it is composed is left as it is: composing takes the square of the number of marks in a
    # row, and holds up all threads meanwhile.
    text = unicodedata.normalize("NFC", password) if len(password) <= COMPOSED * LONGEST else password
    data = text.encode("utf-8", "surrogatepass")
    # What is too long for a password is hashed as something that nobody can type.
    return data if len(data) <= LONGEST else b"\xff" + hashlib.sha256(data).digest()


def _verify_toto(hashed: str, password: bytes) -> bool:
    found = _TOTO.match(hashed)
    if found is None:
        return False
    rounds = int(found[1], 16) if found[1] else TOTO_ROUNDS
    if not 0 < rounds <= MOST_ROUNDS:
        return False
    # The salt is what stands before the hash, header and all.
    salt = hashed.rpartition("$")[0].encode()
    try:
        wanted = base64.b64decode(found[3].replace(".", "+") + "=" * (-len(found[3]) % 4), validate=True)
    except binascii.Error:
        return False
    made = hashlib.pbkdf2_hmac("sha1", password, salt, rounds, TOTO_SIZE)
    return hmac.compare_digest(made, wanted)
