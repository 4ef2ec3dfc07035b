"""API keys: what programs show in place of a session.

A key is kept under its SHA-256, so that the store holds none. The keys of a user also stand in one record, by which
they are listed and ended.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from totohio.base.clocking import Clock, Minter
from totohio.base.errors import ERROR_MISSING_PARAMS, TotoException
from totohio.core import coding
from totohio.core.committing import Unit, version_of
from totohio.core.ports import VERSION, Transaction, Write

MAX_KEYS = 100  # API keys that a user may have
MAX_NAME = 100  # characters of a key's name
MAX_SCOPES = 100  # scopes of a key: all keys of a user stand in one record
MAX_SCOPE = 200  # characters of one


class ApiKey(msgspec.Struct, array_like=True, frozen=True):
    """What is kept of a key.

    Attributes:
        key_id: Names it in lists; it opens nothing.
        user_id: Whose it is.
        name: What the user calls it.
        scopes: What it may call, as `coding.allows` reads it.
        created: When, in Unix seconds.
        expires: When it ends, in Unix seconds; 0.0 never.
    """

    key_id: str
    user_id: str
    name: str
    scopes: tuple[str, ...]
    created: float
    expires: float


_decode_key = msgspec.msgpack.Decoder(ApiKey).decode
_decode_list = msgspec.msgpack.Decoder(list[tuple[bytes, ApiKey]]).decode
_encode = msgspec.msgpack.Encoder().encode


def key_key(text: str) -> bytes:
    """The key of an API key's record."""
    return b"k" + coding.digest(text)


def list_key(user_id: str) -> bytes:
    """The key of the record of a user's API keys."""
    return b"l" + hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).digest()


class ApiKeys:
    """Makes, finds and ends API keys."""

    def __init__(self, *, clock: Clock, minter: Minter) -> None:
        self.clock = clock
        self.minter = minter

    def find(self, unit: Unit, text: str) -> ApiKey | None:
        """Give the key that a client shows, None when there is none or it has ended."""
        value = unit.read(key_key(text))
        if value is None:
            return None
        key = _decode_key(memoryview(value)[VERSION:])
        return None if key.expires and key.expires <= self.clock.now() else key

    def create(
        self, unit: Unit, user_id: str, name: str, scopes: tuple[str, ...], seconds: float = 0.0
    ) -> tuple[str, ApiKey]:
        """Make a key for a user; give it, which nobody can do again, and what is kept of it.

        Args:
            unit: Whose request it is.
            user_id: Whose key it will be.
            name: What the user calls it.
            scopes: What it may call.
            seconds: How long it lives; 0 for ever.

        Raises:
            TotoException: 1003, the user has too many, or one of these is none.
        """
        if not isinstance(name, str) or len(name) > MAX_NAME:
            raise TotoException(ERROR_MISSING_PARAMS, f"The name must be a text of {MAX_NAME} characters at most.")
        if len(scopes) > MAX_SCOPES:
            raise TotoException(ERROR_MISSING_PARAMS, f"A key may have {MAX_SCOPES} scopes.")
        if not scopes or not all(coding.is_scope(scope) and len(scope) <= MAX_SCOPE for scope in scopes):
            raise TotoException(ERROR_MISSING_PARAMS, "Scopes are names of methods, such as a.b or a.*, or *.")
        now = self.clock.now()
        text = coding.mint_key(self.minter)
        key = ApiKey(self.minter.token(), user_id, name, tuple(scopes), now, now + seconds if seconds else 0.0)
        record = key_key(text)
        write = Write(record, self.minter.draw(VERSION) + _encode(key), key.expires)

        def edit(keys: list[tuple[bytes, ApiKey]]) -> list[tuple[bytes, ApiKey]]:
            living = [pair for pair in keys if not pair[1].expires or pair[1].expires > now]
            if len(living) >= MAX_KEYS:
                raise TotoException(ERROR_MISSING_PARAMS, f"A user may have {MAX_KEYS} API keys.")
            return [*living, (record, key)]

        self._edit(unit, user_id, edit, lambda gone: (write,))
        return text, key

    def all(self, unit: Unit, user_id: str) -> list[ApiKey]:
        """Give what is kept of a user's keys, oldest first."""
        return [key for _, key in self._list(unit.read(list_key(user_id)))]

    def end(self, unit: Unit, user_id: str, key_id: str | None = None) -> int:
        """End one of a user's keys, or all without an id; tell how many were ended."""

        def edit(keys: list[tuple[bytes, ApiKey]]) -> list[tuple[bytes, ApiKey]]:
            return [pair for pair in keys if key_id is not None and pair[1].key_id != key_id]

        return self._edit(unit, user_id, edit, lambda gone: tuple(Write(record, None) for record, _ in gone))

    def _list(self, value: bytes | None) -> list[tuple[bytes, ApiKey]]:
        return [] if value is None else _decode_list(memoryview(value)[VERSION:])

    def _edit(
        self,
        unit: Unit,
        user_id: str,
        edit: Callable[[list[tuple[bytes, ApiKey]]], list[tuple[bytes, ApiKey]]],
        others: Callable[[list[tuple[bytes, ApiKey]]], tuple[Write, ...]],
    ) -> int:
        """Change the record of a user's keys, and others together with it; tell how many keys it has lost."""
        key = list_key(user_id)
        count = 0

        def build(values: list[bytes | None]) -> Transaction | None:
            nonlocal count
            before = self._list(values[0])
            after = edit(before)
            if after == before:
                return None
            kept = {record for record, _ in after}
            gone = [pair for pair in before if pair[0] not in kept]
            count = len(gone)
            value: Any = self.minter.draw(VERSION) + _encode(after) if after else None
            return Transaction(((key, version_of(values[0])),), (Write(key, value), *others(gone)))

        first = build([unit.read(key)])
        if first is not None:
            unit.write(first, build)
        return count
