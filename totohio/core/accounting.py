"""Accounts: who has one, what is kept of them, and how a client shows that it is theirs.

An account is a record under the SHA-256 of its user id. Whoever changes it does so on condition that nobody else has
changed it meanwhile, and does it again for what is there when somebody has; so of two clients that show one single-use
code at the same time, one is refused, and a login that was verified against a password that is being changed fails.
"""

from collections.abc import Callable
from typing import Any, Protocol

from totohio.base.clocking import Clock, Minter
from totohio.base.errors import ERROR_INVALID_USER_ID, ERROR_MISSING_PARAMS, ERROR_USER_ID_EXISTS, TotoException
from totohio.base.futures import Future
from totohio.core.account import (
    Account,
    TotoAccount,
    account_key,
    address_digest,
    after,
    canonical,
    properties_of,
    put_properties,
    read,
    record,
    set_password,
    wrong,
)
from totohio.core.committing import Unit, unchanged, version_of
from totohio.core.devices import AGENT, Device, added, devices_key
from totohio.core.devices import read as devices_of
from totohio.core.devices import record as devices_record
from totohio.core.ports import VERSION, Hasher, Transaction, Write
from totohio.core.proving import Proof
from totohio.core.session import TotoSession
from totohio.core.sessioning import Sessions, session_key

MAX_KNOWN = 20  # addresses that are remembered of an account
SALT = 16  # bytes


class Throttle(Protocol):
    """Counts attempts that fail."""

    def reserve(self, unit: Unit, user_id: str, address: str, known: bool) -> Future[bool]:
        """Count an attempt before it is made; nothing may come of it before the Future says that it was counted.

        Raises:
            TotoException: 1013, there were too many; with ``retry_after`` in seconds.
        """

    def succeeded(self, unit: Unit, user_id: str, address: str, whole: bool) -> None:
        """Take back the attempt: it was the user, who has shown all that the account asks for if it was a whole one."""


Edit = Callable[[Account], None]  # changes an account; raises a TotoException where it cannot be changed so


class Accounts:
    """Makes and changes accounts, and verifies who logs in.

    Attributes:
        sessions: Where sessions are made.
        submit: Runs a function in a worker thread and gives a Future.
        hasher: Makes and verifies hashes of passwords.
        throttle: Counts attempts that fail; None counts none.
        check: Looks whether a new password will do; raises TotoException 1003 otherwise.
        max_size: Bytes that the properties of an account may take; 0 for any number.
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
        max_size: int = 0,
    ) -> None:
        self.sessions = sessions
        self.clock = clock
        self.minter = minter
        self.submit = submit
        self.hasher = hasher
        self.throttle = throttle
        self.check = check
        self.max_size = max_size

    # ------------------------------------------------------------ reading

    def find(self, unit: Unit, user_id: str) -> Account | None:
        """Give the account of a user, None without one."""
        value = unit.read(account_key(user_id))
        return None if value is None else read(value)

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
        account = read(value)
        edit(account)
        return Write(key, record(account, self.minter.draw(VERSION)))

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
        name = canonical(user_id)
        if not name:
            raise TotoException(ERROR_INVALID_USER_ID, "Invalid user ID.")
        if hashed is None:
            self.look_at(password, name)
        key = account_key(name)
        if unit.read(key) is not None:
            raise _exists()
        if hashed is None:
            hashed = self.hash(unit, password)
        now = self.clock.now()
        account = Account(name, hashed, now, now)
        put_properties(account, properties, self.max_size)
        write = Write(key, record(account, self.minter.draw(VERSION)))

        def taken(values: list[bytes | None]) -> Transaction:
            if values[0] is not None:
                raise _exists()
            return Transaction(((key, None),), (write,))

        if unit.read(key) is not None:  # somebody was faster while the hash was made
            raise _exists()
        unit.write(Transaction(((key, None),), (write,)), taken)
        return name

    def change_password(
        self,
        unit: Unit,
        user_id: str,
        new_password: Any,
        *,
        verified: Account | None = None,
        keep: TotoSession | None = None,
        edit: Edit | None = None,
    ) -> None:
        """Set a password, and end all sessions of the user but one.

        Args:
            unit: Whose request it is.
            user_id: Whose password.
            new_password: A text that the rules for passwords allow.
            verified: The account whose current password was verified: it must still be that one.
            keep: The session that stays.
            edit: Another change of the account that goes along.

        Raises:
            TotoException: 1003, the password will not do; 1005, there is no such account.
        """
        self.look_at(new_password, user_id)
        hashed = self.hash(unit, new_password)
        now = self.clock.now()

        def change(account: Account) -> None:
            if verified is not None and account.changed != verified.changed:
                raise wrong()
            if edit is not None:
                edit(account)
            set_password(account, hashed, now)

        self.end_sessions(unit, user_id, change, keep=keep)

    def end_sessions(
        self,
        unit: Unit,
        user_id: str,
        edit: Edit,
        *,
        keep: TotoSession | None = None,
        also: tuple[bytes, Callable[[bytes | None], Write]] | None = None,
    ) -> None:
        """Change an account and end all sessions of the user but one, together.

        Args:
            unit: Whose request it is.
            user_id: Whose sessions.
            edit: Changes the account.
            keep: The session that stays.
            also: The key of another record that goes along, and what makes its write of its value.
        """
        sessions = self.sessions
        keys = [account_key(user_id), devices_key(user_id)]
        if also is not None:
            keys.append(also[0])
        now = self.clock.now()
        kept = session_key(keep.session_id) if keep is not None and sessions.cache is None else b""

        def change(account: Account) -> None:
            edit(account)
            # All that have begun are over, whatever the clocks say that they began by.
            account.cutoff = max(now, after(account.cutoff), account.latest)
            if keep is not None and sessions.cache is not None:
                account.latest = keep.created = after(account.cutoff)

        def build(values: list[bytes | None]) -> Transaction:
            devices = devices_of(values[1])
            rest = [device for device in devices if device.session == kept]
            writes = [self.edited(keys[0], values[0], change)]
            writes += [Write(device.session, None) for device in devices if device.session != kept]
            if devices:
                writes.append(Write(keys[1], devices_record(rest, self.minter.draw(VERSION))))
            if also is not None:
                writes.append(also[1](values[2]))
            return Transaction(unchanged(keys, values), tuple(writes))

        unit.write(build(unit.load(keys)), build)
        if keep is not None and sessions.cache is not None:
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

    def verify(
        self,
        unit: Unit,
        user_id: Any,
        password: Any,
        *,
        address: str = "",
        more: Callable[[Account], bool] | None = None,
    ) -> Account:
        """Give the account of a user whose password is right.

        It takes as long when there is no such user.

        Args:
            unit: Whose request it is.
            user_id: Who somebody says to be.
            password: What they show for it: the password, or a `Proof` that they know it.
            address: From where.
            more: Looks at what else they have to show, tells whether it was there; what it raises is a failure, too.

        Raises:
            TotoException: 1005, no such user or the wrong password; 1013, too many have failed or are looked at.
            StoreError: It cannot be read.
        """
        if not isinstance(user_id, str) or not isinstance(password, (str, Proof)):
            raise wrong()
        try:
            user_id = canonical(user_id)
        except TotoException:
            raise wrong() from None
        account = self.find(unit, user_id)
        counted = None
        if self.throttle is not None:
            known = account is not None and address_digest(address) in account.known
            counted = self.throttle.reserve(unit, user_id, address, known)
        hashed = account.password if account is not None else ""
        try:
            hashing = self.submit(self._right, hashed, password)
        except TotoException:  # too many are made just now, which is not this one's failure
            if self.throttle is not None:
                self.throttle.succeeded(unit, user_id, address, False)
            raise
        right = unit.wait(hashing)
        if counted is not None and unit.journal.fibers.pausable():
            unit.wait(counted)  # another process may have had the last attempt that was left
        if not right or account is None or not account.password:
            raise wrong()
        shown = more is not None and more(account)
        if self.throttle is not None:
            # Who knows the password alone does not make the codes forgotten that somebody has guessed.
            self.throttle.succeeded(unit, user_id, address, shown or not account.totp_on)
        return account

    def _right(self, hashed: str, password: str | Proof) -> bool:
        """Verify a password in a worker thread, for as long where there is none, or where the hash is a weak one."""
        hasher = self.hasher
        right = hasher.verify(hashed or hasher.dummy, password)
        if hashed and not right and hasher.outdated(hashed):
            hasher.verify(hasher.dummy, password)
        return right

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
        new = Device(session_key(session.session_id), session.created, address, agent[:AGENT])

        def change(account: Account) -> None:
            edit(account)
            if sessions.cache is not None:
                session.created = max(session.created, after(account.cutoff))
                account.latest = max(session.created, account.latest)
            if address and address_digest(address) not in account.known:
                account.known = [*account.known, address_digest(address)][-MAX_KNOWN:]

        def build(values: list[bytes | None]) -> Transaction:
            writes = [self.edited(keys[0], values[0], change)]
            if opening is not None:
                devices = devices_of(values[1])
                left = added(devices, new)
                gone = [Write(device.session, None) for device in devices if device not in left]
                writes += [Write(keys[1], devices_record(left, self.minter.draw(VERSION))), opening, *gone]
            return Transaction(unchanged(keys, values), tuple(writes))

        unit.write(build(unit.load(keys)), build)
        if opening is None:
            sessions.keep(session)
        return session


def _exists() -> TotoException:
    return TotoException(ERROR_USER_ID_EXISTS, "User ID already in use.")
