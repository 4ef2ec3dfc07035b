"""Showing that one knows a password without sending it: challenge and response over the hash that is kept of it.

The server says how its hash was made; the client makes the same and answers with a MAC under it of what both ends and
the user are. The server answers likewise, so that the client knows that it has the hash, too. Nobody who listens learns
the password but by guessing, each guess at the price of the hash; nobody who has only listened can answer the next
challenge. Whoever pretends to be the server can ask for a cheap hash and so for cheap guesses, which TLS prevents.
Whoever steals the server's hashes can answer with them, as with any scheme over hashes that exist already.
"""

import base64
import hashlib
import hmac
import re
from typing import Any

from argon2 import Type, low_level

from totohio.base.errors import TotohioError
from totohio.core.hashing import MOST_ROUNDS, TOTO_ROUNDS, TOTO_SIZE, password_bytes

ARGON2ID = re.compile(r"\$argon2id\$v=(\d+)\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)\Z")
TOTO = re.compile(r"(\$p5k2\$([0-9a-fA-F]*)\$[^$]+)\$([A-Za-z0-9./]+={0,2})\Z")
MOST_MEMORY = 1 << 20  # KiB that a client spends on a hash, whatever the server says
MOST_PASSES = 64
MOST_LANES = 64
SHORTEST_LEASE, LONGEST_LEASE = 0.1, 1e9  # seconds; a client says that it is there thrice as often


class ProofError(TotohioError):
    """A challenge that cannot be answered, or an answer that is wrong."""


class Proof:
    """An answer to a challenge.

    Attributes:
        mac: What the client has sent.
    """

    def __init__(self, transcript: bytes, mac: bytes) -> None:
        self._transcript = transcript
        self.mac = mac
        self.reply = b""  # our own proof, once theirs was found right

    def holds(self, hashed: str) -> bool:
        """Tell whether it was made by somebody who knows the password of this hash."""
        found = read_hash(hashed)
        if found is None:
            return False
        key = found[1]
        if not hmac.compare_digest(_mac(key, b"client", self._transcript), self.mac):
            return False
        self.reply = _mac(key, b"server", self._transcript)
        return True


def transcript(user_id: str, server_nonce: bytes, client_nonce: bytes) -> bytes:
    """Give what both ends sign: who, and what each has drawn, with the lengths between them."""
    parts = (user_id.encode("utf-8", "surrogatepass"), server_nonce, client_nonce)
    return b"totohio remote 1" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def read_hash(hashed: str) -> tuple[dict[str, Any], bytes] | None:
    """Give how a hash was made, which may be told, and the hash itself, which may not; None for what is none."""
    found = ARGON2ID.match(hashed)
    if found is not None:
        version, memory, time, lanes = (int(found[number]) for number in range(1, 5))
        salt, raw = (base64.b64decode(found[number] + "=" * (-len(found[number]) % 4)) for number in (5, 6))
        names = {"version": version, "memory": memory, "time": time, "lanes": lanes}
        return {"algorithm": "argon2id", "salt": salt, "size": len(raw), **names}, raw
    found = TOTO.match(hashed)
    if found is not None:
        rounds = int(found[2], 16) if found[2] else TOTO_ROUNDS
        raw = base64.b64decode(found[3].replace(".", "+") + "=" * (-len(found[3]) % 4))
        return {"algorithm": "pbkdf2-sha1", "salt": found[1].encode(), "rounds": rounds, "size": len(raw)}, raw
    return None


def answer(challenge: Any, password: str, transcript: bytes) -> tuple[bytes, bytes]:
    """Answer a challenge; this takes as long as the server's hash does.

    Returns:
        The answer, and what the server has to send in return.

    Raises:
        ProofError: It is no challenge, or one that would take far too much.
    """
    data = password_bytes(password)
    match challenge:
        case {
            "algorithm": "argon2id",
            "version": int(version),
            "memory": int(memory),
            "time": int(time),
            "lanes": int(lanes),
            "salt": bytes(salt),
            "size": int(size),
        } if memory <= MOST_MEMORY and time <= MOST_PASSES and lanes <= MOST_LANES and 16 <= size <= 64:
            try:
                key = low_level.hash_secret_raw(
                    data,
                    salt,
                    time_cost=time,
                    memory_cost=memory,
                    parallelism=lanes,
                    hash_len=size,
                    type=Type.ID,
                    version=version,
                )
            except Exception as error:
                raise ProofError(f"the challenge cannot be answered: {error}") from None
        case {"algorithm": "pbkdf2-sha1", "rounds": int(rounds), "salt": bytes(salt), "size": int(size)} if (
            0 < rounds <= MOST_ROUNDS and size == TOTO_SIZE
        ):
            key = hashlib.pbkdf2_hmac("sha1", data, salt, rounds, size)
        case _:
            raise ProofError("the server asks for something that is no proof")
    return _mac(key, b"client", transcript), _mac(key, b"server", transcript)


def _mac(key: bytes, who: bytes, transcript: bytes) -> bytes:
    return hmac.digest(key, who + transcript, "sha256")


def session_mac(key: str, nonce: bytes) -> bytes:
    """Give what shows that somebody has the key of an HTTP session."""
    return hmac.digest(key.encode(), b"totohio remote session" + nonce, "sha256")


def greeted(greeting: Any) -> bytes:
    """Read how a server greets us: the nonce that we are to sign.

    Raises:
        ProofError: It is no greeting.
    """
    match greeting:
        case {"nonce": bytes(nonce)}:
            return nonce
        case _:
            raise ProofError("the server says something else than a greeting")


def welcomed(welcome: Any, proof: bytes | None) -> tuple[str, list[str], float]:
    """Read how a server welcomes us: who we are, the names of what is lent, and the seconds for which it is.

    Raises:
        ProofError: It has not shown that it has the password's hash.
    """
    match welcome:
        case [str(user_id), shown, list(names), (int() | float()) as lease] if (
            SHORTEST_LEASE <= lease <= LONGEST_LEASE and all(type(name) is str for name in names)
        ):
            if proof is not None and (type(shown) is not bytes or not hmac.compare_digest(shown, proof)):
                raise ProofError("the server has not shown that it knows the user")
            return user_id, names, lease
        case _:
            raise ProofError("the server says something else than who we are")
