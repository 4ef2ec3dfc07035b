"""What is kept of a user, and the account as methods see it."""

import hashlib
import math
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from totohio.base.errors import ERROR_INVALID_USER_ID, ERROR_MISSING_PARAMS, ERROR_USER_NOT_FOUND, TotoException
from totohio.core.committing import Unit
from totohio.core.ports import VERSION
from totohio.core.throttling import place
from totohio.wire.packing import decode_msgpack, encode_msgpack

if TYPE_CHECKING:
    from totohio.core.accounting import Accounts

MAX_USER_ID = 256  # characters of a user id
COMPOSED = 4  # characters that may become one: a letter with three marks


class Account(msgspec.Struct, array_like=True):
    """An account as its record holds it.

    Attributes:
        user_id: Whose it is, in lower case.
        password: The hash of the password; "" for none, with which nobody can log in.
        created: When it was made, in Unix seconds.
        changed: When the password was set, in Unix seconds; no two passwords of an account have the same. A hash that
            is made anew of the same password leaves it.
        cutoff: Sessions that began until then are over, where they are in a cache; Unix seconds. Each time that all
            sessions of the user are ended it is later than before.
        roles: What the user may be.
        totp: The secret of the second factor; empty without one.
        totp_step: The last step of time whose code was used.
        totp_on: The second factor has been confirmed, and is asked for.
        known: Digests of addresses from which the user has logged in, the latest last.
        properties: MessagePack of what the application keeps.
        latest: When the latest session began that is in a cache, in Unix seconds.
    """

    user_id: str
    password: str
    created: float
    changed: float
    cutoff: float = 0.0
    roles: list[str] = []
    totp: bytes = b""
    totp_step: int = 0
    totp_on: bool = False
    known: list[bytes] = []
    properties: bytes = b""
    latest: float = 0.0


_decode = msgspec.msgpack.Decoder(Account).decode
_encode = msgspec.msgpack.Encoder().encode


def read(value: bytes) -> Account:
    """Give the account that a record holds."""
    return _decode(memoryview(value)[VERSION:])


def record(account: Account, version: bytes) -> bytes:
    """Give the record that holds an account."""
    return version + _encode(account)


def set_password(account: Account, hashed: str, now: float) -> None:
    """Set the password of an account, by its hash."""
    account.password, account.changed = hashed, max(now, after(account.changed))


def after(moment: float) -> float:
    """Give the first time after another."""
    return math.nextafter(moment, math.inf)


def wrong() -> TotoException:
    """The error of a user id or password that is not right; it does not tell which."""
    return TotoException(ERROR_USER_NOT_FOUND, "Invalid user ID or password")


def account_key(user_id: str) -> bytes:
    """The key of an account's record."""
    return b"a" + hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).digest()


def address_digest(address: str) -> bytes:
    """What is remembered of an address: as much as the throttle looks at."""
    return hashlib.sha256(place(address).encode()).digest()[:8]


def canonical(user_id: Any) -> str:
    """Give a user id as it is kept: lower-cased, in Unicode's composed form.

    Raises:
        TotoException: 1010, it is no text, too long or has control characters.
    """
    if not isinstance(user_id, str):
        raise TotoException(ERROR_INVALID_USER_ID, "Invalid user ID.")
    # Composing takes the square of the number of marks in a row: seconds for as many as a request may have.
    text = unicodedata.normalize("NFC", user_id.lower()) if len(user_id) <= COMPOSED * MAX_USER_ID else user_id
    if len(text) > MAX_USER_ID or not text.isprintable():
        raise TotoException(ERROR_INVALID_USER_ID, "Invalid user ID.")
    return text


class TotoAccount:
    """What is kept of a user: properties by name, read and written like a dict's.

    A property that is not there reads as None. What is written lasts when `save` is called; properties that are not
    written here keep whatever others write.

    Attributes:
        user_id: Whose it is.
    """

    def __init__(self, home: "Accounts", unit: Unit, user_id: str, properties: dict[str, Any]) -> None:
        self._home = home
        self._unit = unit
        self._properties = properties
        self._changed: set[str] = set()
        self.user_id = user_id

    def __repr__(self) -> str:
        return f"<TotoAccount of {self.user_id!r}>"

    def __getitem__(self, key: str) -> Any:
        return self._properties.get(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._properties[key] = value
        self._changed.add(key)

    def __delitem__(self, key: str) -> None:
        self._properties.pop(key, None)
        self._changed.add(key)

    def __contains__(self, key: str) -> bool:
        return key in self._properties

    def __iter__(self) -> Iterator[str]:
        return iter(self._properties)

    def __len__(self) -> int:
        return len(self._properties)

    def __bool__(self) -> bool:
        return True

    def get(self, key: str, default: Any = None) -> Any:
        """Give a property, or the default."""
        return self._properties.get(key, default)

    def load_property(self, *names: str) -> Any:
        """Read properties again from where they are kept, all without names; give the value when one is named.

        Raises:
            TotoException: 1005, the account is gone.
            StoreError: It cannot be read.
        """
        return self._home.sessions.anywhere(self._load, names)

    def save(self) -> None:
        """Keep what was changed. The call is answered once that is durable.

        Raises:
            TotoException: 1000, a property cannot be kept.
        """
        self._home.sessions.anywhere(self._save)

    def _load(self, names: tuple[str, ...]) -> Any:
        found = properties_of(self._home.get(self._unit, self.user_id))
        for name in names or {**found, **self._properties}:
            self._changed.discard(name)
            if name in found:
                self._properties[name] = found[name]
            else:
                self._properties.pop(name, None)
        return self._properties.get(names[0]) if len(names) == 1 else None

    def _save(self) -> None:
        if not self._changed:
            return
        changes = {name: self._properties.get(name, _ABSENT) for name in sorted(self._changed)}
        most = self._home.max_size
        self._home.change(self._unit, self.user_id, lambda account: put_properties(account, changes, most))
        self._changed = set()  # now, and not when one of them was refused: the others are still to be saved


_ABSENT = object()


def properties_of(account: Account) -> dict[str, Any]:
    """Give the properties of an account."""
    return decode_msgpack(account.properties) if account.properties else {}


def put_properties(account: Account, changes: dict[str, Any], most: int = 0) -> None:
    """Change properties of an account.

    Args:
        account: The account.
        changes: Its new properties, by name.
        most: How many bytes all of them may take; 0 for any number.

    Raises:
        TotoException: 1000, a property cannot be kept; 1003, they take too much.
    """
    properties = properties_of(account)
    for name, value in changes.items():
        if value is _ABSENT:
            properties.pop(name, None)
        else:
            properties[name] = value
    packed = encode_msgpack(properties) if properties else b""
    if most and len(packed) > max(most, len(account.properties)):  # those that are larger by now may become smaller
        raise TotoException(ERROR_MISSING_PARAMS, f"The properties of an account may take {most} bytes.")
    account.properties = packed
