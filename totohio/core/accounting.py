"""Accounts: who has one, what is kept of them, and how a client shows that it is theirs.

An account is a record under the SHA-256 of its user id. Whoever changes it does so on condition that nobody else has
changed it meanwhile, and does it again for what is there when somebody has; so of two clients that show one single-use
code at the same time, one is refused, and a login that was verified against a password that is being changed fails.
"""

import hashlib
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec

from totohio.base.clocking import Clock, Minter
from totohio.base.errors import (
    ERROR_INVALID_USER_ID,
    ERROR_MISSING_PARAMS,
    ERROR_USER_ID_EXISTS,
    ERROR_USER_NOT_FOUND,
    TotoException,
)
from totohio.base.futures import Future
from totohio.core.committing import Unit, version_of
from totohio.core.ports import VERSION, Transaction, Write
from totohio.core.sessioning import Sessions, TotoSession, devices_key
from totohio.wire.packing import decode_msgpack, encode_msgpack

MAX_USER_ID = 256  # characters of a user id
MAX_KNOWN = 20  # addresses that are remembered of an account
SALT = 16  # bytes


class Account(msgspec.Struct, array_like=True):
    """An account as its record holds it.

    Attributes:
        user_id: Whose it is, in lower case.
        password: The hash of the password; "" for none, with which nobody can log in.
        created: When it was made, in Unix seconds.
        changed: When the password was set, in Unix seconds.
        cutoff: Sessions that began before this are over, where the client holds them; Unix seconds.
        roles: What the user may be.
        totp: The secret of the second factor; empty without one.
        totp_step: The last step of time whose code was used.
        totp_on: The second factor has been confirmed, and is asked for.
        known: Digests of addresses from which the user has logged in, the latest last.
        properties: MessagePack of what the application keeps.
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


class Hasher(Protocol):
    """Makes and verifies hashes of passwords; see `hashing.Passwords`."""

    dummy: str

    def hash(self, password: str, salt: bytes) -> str:
        """Give the hash of a password."""

    def verify(self, hashed: str, password: str) -> bool:
        """Tell whether a hash is that of the password."""

    def outdated(self, hashed: str) -> bool:
        """Tell whether a hash is weaker than those that are made now."""


class Throttle(Protocol):
    """Counts attempts that fail."""

    def reserve(self, unit: Unit, user_id: str, address: str, known: bool) -> None:
        """Count an attempt before it is made.

        Raises:
            TotoException: 1013, there were too many; with ``retry_after`` in seconds.
        """

    def succeeded(self, unit: Unit, user_id: str, address: str) -> None:
        """Take back the attempt: it was the user."""


_decode_account = msgspec.msgpack.Decoder(Account).decode
_encode = msgspec.msgpack.Encoder().encode

Edit = Callable[[Account], None]
"""Changes an account; raises a TotoException where it cannot be changed so."""


def wrong() -> TotoException:
    """The error of a user id or password that is not right; it does not tell which."""
    return TotoException(ERROR_USER_NOT_FOUND, "Invalid user ID or password")


def account_key(user_id: str) -> bytes:
    """The key of an account's record."""
    return b"a" + hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).digest()


def address_digest(address: str) -> bytes:
    """What is remembered of an address."""
    return hashlib.sha256(address.encode()).digest()[:8]


def canonical(user_id: Any) -> str:
    """Give a user id as it is kept: lower-cased, in Unicode's composed form.

    Raises:
        TotoException: 1010, it is no text, too long or has control characters.
    """
    if not isinstance(user_id, str):
        raise TotoException(ERROR_INVALID_USER_ID, "Invalid user ID.")
    text = unicodedata.normalize("NFC", user_id.lower())
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
            TypeError: A property cannot be kept.
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
        self._changed = set()
        self._home.change(self._unit, self.user_id, lambda account: put_properties(account, changes))


_ABSENT = object()


def properties_of(account: Account) -> dict[str, Any]:
    """Give the properties of an account."""
    return decode_msgpack(account.properties) if account.properties else {}


def put_properties(account: Account, changes: dict[str, Any]) -> None:
    """Change properties of an account.

    Raises:
        TypeError: A property cannot be kept.
    """
    properties = properties_of(account)
    for name, value in changes.items():
        if value is _ABSENT:
            properties.pop(name, None)
        else:
            properties[name] = value
    account.properties = encode_msgpack(properties) if properties else b""


class Accounts:
    """Makes and changes accounts, and verifies who logs in.

    Attributes:
        sessions: Where sessions are made.
        submit: Runs a function in a worker thread and gives a Future.
        hasher: Makes and verifies hashes of passwords.
        throttle: Counts attempts that fail; None counts none.
        check: Looks whether a new password will do; raises TotoException 1003 otherwise.
    """

    def __init__(
        self,
        *,
        sessions: Sessions,
        clock: Clock,
        minter: Minter,
        submit: Callable[..., Future[Any]],
        hasher: Hasher,
        throttle: Throttle | None,
        check: Callable[[str, str], None] | None,
    ) -> None:
        self.sessions = sessions
        self.clock = clock
        self.minter = minter
        self.submit = submit
        self.hasher = hasher
        self.throttle = throttle
        self.check = check

    # ------------------------------------------------------------ reading

    def find(self, unit: Unit, user_id: str) -> Account | None:
        """Give the account of a user, None without one."""
        value = unit.read(account_key(user_id))
        return None if value is None else _decode_account(memoryview(value)[VERSION:])

    def get(self, unit: Unit, user_id: str) -> Account:
        """Give the account of a user.

        Raises:
            TotoException: 1005, there is none.
        """
        account = self.find(unit, user_id)
        if account is None:
            raise wrong()
        return account

    def open(self, unit: Unit, user_id: str) -> TotoAccount:
        """Give a user's account for methods to read and write."""
        return TotoAccount(self, unit, user_id, properties_of(self.get(unit, user_id)))

    # ------------------------------------------------------------ changing

    def change(self, unit: Unit, user_id: str, edit: Edit, writes: tuple[Write, ...] = ()) -> None:
        """Change an account, again for what is there when somebody else has changed it meanwhile.

        Raises:
            TotoException: 1005, there is no such account, or what ``edit`` raises.
        """
        key = account_key(user_id)

        def build(values: list[bytes | None]) -> Transaction:
            return Transaction(((key, version_of(values[0])),), (self.edited(key, values[0], edit), *writes))

        unit.write(build([unit.read(key)]), build)

    def edited(self, key: bytes, value: bytes | None, edit: Edit) -> Write:
        """Give the write of an account's record with a change.

        Raises:
            TotoException: 1005, there is no such account, or what ``edit`` raises.
        """
        if value is None:
            raise wrong()
        account = _decode_account(memoryview(value)[VERSION:])
        edit(account)
        return Write(key, self.minter.draw(VERSION) + _encode(account))

    def create(
        self, unit: Unit, user_id: Any, password: Any, properties: dict[str, Any], *, hashed: str | None = None
    ) -> str:
        """Make an account; give its user id as it is kept.

        Args:
            unit: Whose request it is.
            user_id: A text that is not empty.
            password: A text that the rules for passwords allow.
            properties: What the application keeps.
            hashed: The hash of the password, where only that is known.

        Raises:
            TotoException: 1010, it cannot be a user id; 1006, there is such an account; 1003, the password will not do.
            StoreError: It cannot be read or written.
        """
        user_id = canonical(user_id)
        if not user_id:
            raise TotoException(ERROR_INVALID_USER_ID, "Invalid user ID.")
        if hashed is None:
            self.look_at(password, user_id)
        key = account_key(user_id)
        if unit.read(key) is not None:
            raise _exists()
        if hashed is None:
            hashed = self.hash(unit, password)
        now = self.clock.now()
        account = Account(user_id, hashed, now, now)
        put_properties(account, properties)
        write = Write(key, self.minter.draw(VERSION) + _encode(account))

        def taken(values: list[bytes | None]) -> Transaction:
            if values[0] is not None:
                raise _exists()
            return Transaction(((key, None),), (write,))

        if unit.read(key) is not None:  # somebody was faster while the hash was made
            raise _exists()
        unit.write(Transaction(((key, None),), (write,)), taken)
        return user_id

    def change_password(
        self,
        unit: Unit,
        user_id: str,
        new_password: Any,
        *,
        verified: str | None = None,
        keep: TotoSession | None = None,
        edit: Edit | None = None,
    ) -> None:
        """Set a password, and end all sessions of the user but one.

        Args:
            unit: Whose request it is.
            user_id: Whose password.
            new_password: A text that the rules for passwords allow.
            verified: The hash that the current password was verified with: it must still be there.
            keep: The session that stays.
            edit: Another change of the account that goes along.

        Raises:
            TotoException: 1003, the password will not do; 1005, there is no such account.
        """
        self.look_at(new_password, user_id)
        hashed = self.hash(unit, new_password)
        now = self.clock.now()

        def change(account: Account) -> None:
            if verified is not None and account.password != verified:
                raise wrong()
            if edit is not None:
                edit(account)
            account.password, account.changed = hashed, now

        self.end_sessions(unit, user_id, change, keep=keep)

    def end_sessions(self, unit: Unit, user_id: str, edit: Edit, *, keep: TotoSession | None = None) -> None:
        """Change an account and end all sessions of the user but one, together."""
        sessions = self.sessions
        keys = (account_key(user_id), devices_key(user_id))
        now = self.clock.now()
        from totohio.core.sessioning import session_key

        kept = session_key(keep.session_id) if keep is not None and sessions.cache is None else b""

        def change(account: Account) -> None:
            edit(account)
            account.cutoff = now

        def build(values: list[bytes | None]) -> Transaction:
            devices = sessions.devices(values[1])
            rest = [device for device in devices if device.session == kept]
            ends = [Write(device.session, None) for device in devices if device.session != kept]
            if devices:
                ends.append(Write(keys[1], sessions.devices_value(rest)))
            conditions = tuple((key, version_of(value)) for key, value in zip(keys, values, strict=True))
            return Transaction(conditions, (self.edited(keys[0], values[0], change), *ends))

        unit.write(build(unit.load(keys)), build)
        if keep is not None and sessions.cache is not None:
            keep.created = now  # or the cutoff would end it, too
            sessions.keep(keep)

    # ------------------------------------------------------------ passwords

    def look_at(self, password: Any, user_id: str) -> None:
        """See whether a new password will do.

        Raises:
            TotoException: 1003, it will not.
        """
        if not isinstance(password, str):
            raise TotoException(ERROR_MISSING_PARAMS, "The password must be a text.")
        if self.check is not None:
            self.check(password, user_id)

    def hash(self, unit: Unit, password: str) -> str:
        """Give the hash of a password, made in a worker thread."""
        hashed: str = unit.wait(self.submit(self.hasher.hash, password, self.minter.draw(SALT)))
        return hashed

    def verify(self, unit: Unit, user_id: Any, password: Any, *, address: str = "") -> Account:
        """Give the account of a user whose password is right.

        It takes as long when there is no such user.

        Raises:
            TotoException: 1005, there is no such user or the password is wrong; 1013, too many have failed.
            StoreError: It cannot be read.
        """
        if not isinstance(user_id, str) or not isinstance(password, str):
            raise wrong()
        try:
            user_id = canonical(user_id)
        except TotoException:
            raise wrong() from None
        account = self.find(unit, user_id)
        if self.throttle is not None:
            known = account is not None and address_digest(address) in account.known
            self.throttle.reserve(unit, user_id, address, known)
        hashed = account.password if account is not None and account.password else self.hasher.dummy
        right = unit.wait(self.submit(self.hasher.verify, hashed, password))
        if not right or account is None or not account.password:
            raise wrong()
        if self.throttle is not None:
            self.throttle.succeeded(unit, user_id, address)
        return account

    def login(self, unit: Unit, user_id: str, edit: Edit, *, address: str = "", agent: str = "") -> TotoSession:
        """Open a session for a user: a new one, whatever the client had before.

        Args:
            unit: Whose request it is.
            user_id: Who has shown to be that.
            edit: Looks once more at the account as it is when the session begins, and may change it.
            address: From where.
            agent: With what.

        Raises:
            TotoException: 1005, there is no such account, or what ``edit`` raises.
        """
        sessions = self.sessions
        session = sessions.make(unit, user_id)
        keys = (account_key(user_id), devices_key(user_id))
        opening = sessions.opening(session) if sessions.cache is None else None

        def change(account: Account) -> None:
            edit(account)
            if address and address_digest(address) not in account.known:
                account.known = [*account.known, address_digest(address)][-MAX_KNOWN:]

        def build(values: list[bytes | None]) -> Transaction:
            conditions = tuple((key, version_of(value)) for key, value in zip(keys, values, strict=True))
            writes = [self.edited(keys[0], values[0], change)]
            if opening is not None:
                devices = sessions.devices(values[1])
                after = sessions.seen_by(devices, session, address, agent)
                gone = [Write(device.session, None) for device in devices if device not in after]
                writes += [Write(keys[1], sessions.devices_value(after)), opening, *gone]
            return Transaction(conditions, tuple(writes))

        unit.write(build(unit.load(keys)), build)
        if opening is None:
            sessions.keep(session)
        return session


def _exists() -> TotoException:
    return TotoException(ERROR_USER_ID_EXISTS, "User ID already in use.")
