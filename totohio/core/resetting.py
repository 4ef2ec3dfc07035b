"""Forgotten passwords: a code that is brought to the user another way, good once and for a short time."""

import hashlib
from typing import Any

import msgspec

from totohio.base.clocking import Clock, Minter
from totohio.base.errors import ERROR_TOO_MANY_REQUESTS, TotoException
from totohio.core import coding
from totohio.core.account import Account, canonical, set_password, wrong
from totohio.core.accounting import Accounts
from totohio.core.committing import Unit, version_of
from totohio.core.ports import VERSION, Transaction, Write

LIFETIME = 600.0  # seconds for which a code is good
PAUSE = 60.0  # seconds after which another may be asked for


class Reset(msgspec.Struct, array_like=True, frozen=True):
    """What is kept of a code that was sent: its digest, and when it was made, in Unix seconds."""

    digest: bytes
    created: float


_decode = msgspec.msgpack.Decoder(Reset).decode
_encode = msgspec.msgpack.Encoder().encode


def reset_key(user_id: str) -> bytes:
    """The key of the record of a user's code."""
    return b"r" + hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).digest()


class Resets:
    """Makes codes and takes them for a new password."""

    def __init__(self, *, accounts: Accounts, clock: Clock, minter: Minter) -> None:
        self.accounts = accounts
        self.clock = clock
        self.minter = minter

    def begin(self, unit: Unit, user_id: Any) -> str | None:
        """Make a code for a user; None when there is no such user, which nobody is to be told.

        Raises:
            TotoException: 1013, the last one was made a moment ago.
        """
        try:
            user_id = canonical(user_id)
        except TotoException:
            return None
        key = reset_key(user_id)
        now = self.clock.now()
        code = coding.mint(self.minter)
        known = self.accounts.find(unit, user_id) is not None
        digest = coding.digest(code) if known else b""

        def build(values: list[bytes | None]) -> Transaction:
            if values[0] is not None:
                left = _decode(memoryview(values[0])[VERSION:]).created + PAUSE - now
                if 0.0 < left <= PAUSE:
                    error = TotoException(ERROR_TOO_MANY_REQUESTS, "A code was sent a moment ago.")
                    error.retry_after = left  # type: ignore[attr-defined]
                    raise error
            value = self.minter.draw(VERSION) + _encode(Reset(digest, now))
            return Transaction(((key, version_of(values[0])),), (Write(key, value, now + LIFETIME),))

        # For a user who does not exist the same is written, so that neither time nor a second try tells.
        unit.commit(build([unit.read(key)]), build)
        return code if known else None

    def finish(self, unit: Unit, user_id: Any, code: Any, new_password: Any) -> None:
        """Set a new password of a user who shows the code, and end all sessions of the user.

        Raises:
            TotoException: 1005, the code is wrong, was used or is too old; 1003, the password will not do.
        """
        if not isinstance(code, str):
            raise wrong()
        try:
            user_id = canonical(user_id)
        except TotoException:
            raise wrong() from None
        key = reset_key(user_id)
        digest = coding.digest(code)
        self._look_at(unit.read(key), digest)
        self.accounts.look_at(new_password, user_id)
        hashed = self.accounts.hash(unit, new_password)
        now = self.clock.now()

        def change(account: Account) -> None:
            set_password(account, hashed, now)

        self.accounts.end_sessions(unit, user_id, change, also=(key, lambda value: self._used(key, value, digest)))

    def _used(self, key: bytes, value: bytes | None, digest: bytes) -> Write:
        self._look_at(value, digest)
        return Write(key, None)

    def _look_at(self, value: bytes | None, digest: bytes) -> None:
        if value is None:
            raise wrong()
        reset = _decode(memoryview(value)[VERSION:])
        age = self.clock.now() - reset.created
        if not coding.same(reset.digest, digest) or not -LIFETIME <= age <= LIFETIME:
            raise wrong()
