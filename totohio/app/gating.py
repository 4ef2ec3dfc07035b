"""Who may have objects lent: users of this server, by their passwords or by the sessions that they have over HTTP."""

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from totohio.app.admitting import unauthorized
from totohio.base.clocking import Minter
from totohio.base.errors import ERROR_FORBIDDEN, ERROR_USER_NOT_FOUND, TotoException
from totohio.core.account import Account, canonical
from totohio.core.committing import Unit
from totohio.core.ports import VERSION, Transaction, Write
from totohio.core.proving import Proof, read_hash, session_mac, transcript

if TYPE_CHECKING:
    from totohio.app.keeping import Keeper
    from totohio.remote.sessions import RemoteSession

NONCE = 16  # bytes, at least, of what a client draws
SALT = 16  # bytes
CODES = "An account with one-time codes comes in with its HTTP session."
SECRET = b"g"  # the key of the record whose secret makes up salts


@dataclass(frozen=True, slots=True)
class Admission:
    """What a user was let in upon; when it holds no more, the session is over.

    Attributes:
        changed: When the password was set that the account had then.
        cutoff: When all sessions of the user had been ended then; each time that is done it is another.
        session_id: Of the session over HTTP; "" for the password.
    """

    changed: float
    cutoff: float
    session_id: str


class Gatekeeper:
    """Lets users in who show who they are and have the role that is asked for."""

    def __init__(self, keeper: "Keeper", minter: Minter, role: str) -> None:
        """Set it up.

        Args:
            keeper: Has the accounts and sessions.
            minter: Draws what makes up salts of users who do not exist.
            role: What a user has to be; "" for anything.
        """
        self._keeper = keeper
        self._minter = minter
        self._secret = b""
        self._role = role

    def challenge(self, session: "RemoteSession", user_id: Any, nonce: Any) -> Any:
        """Give what the user has to answer; one who does not exist is challenged as well."""
        keeper = self._keeper
        if not isinstance(user_id, str) or type(nonce) is not bytes or not NONCE <= len(nonce) <= 4 * NONCE:
            raise TotoException(ERROR_USER_NOT_FOUND, "Invalid user ID or password")
        session.state = (user_id, nonce)
        unit = keeper.unit()
        secret = self._secret or self._find_secret(unit)
        try:
            account = keeper.accounts.find(unit, canonical(user_id))
        except TotoException:
            account = None
        found = read_hash(account.password) if account is not None else None
        if found is not None:
            return found[0]
        salt = hmac.digest(secret, user_id.lower().encode("utf-8", "replace"), "sha256")[:SALT]
        return keeper.hasher.made_up(salt)

    def prove(self, session: "RemoteSession", mac: Any) -> Any:
        """Let a user in whose answer is right, and show that we know the password's hash, too."""
        if session.state is None or type(mac) is not bytes:
            raise TotoException(ERROR_USER_NOT_FOUND, "Invalid user ID or password")
        (user_id, nonce), session.state = session.state, None
        keeper = self._keeper
        proof = Proof(transcript(user_id, session.nonce, nonce), mac)
        account = keeper.accounts.verify(keeper.unit(), user_id, proof, address=session.address)
        if account.totp_on:
            raise TotoException(ERROR_FORBIDDEN, CODES)
        self._admit(session, account, "")
        return [account.user_id, proof.reply]

    def present(self, session: "RemoteSession", session_id: Any, mac: Any) -> Any:
        """Let a user in whose HTTP session's key has signed our nonce."""
        keeper = self._keeper
        unit = keeper.unit()
        found = keeper.sessions.find(unit, session_id) if isinstance(session_id, str) else None
        if found is None or not found.user_id or not found.key or type(mac) is not bytes:
            raise unauthorized()
        wanted = session_mac(found.key, session.nonce)
        account = keeper.accounts.find(unit, found.user_id)
        if not hmac.compare_digest(wanted, mac) or account is None:
            raise unauthorized()
        self._admit(session, account, session_id)
        return [found.user_id, None]

    def review(self, session: "RemoteSession") -> str:
        """Give the session the roles that its user has now; or tell why it is over.

        Nothing is renewed by that: a session over HTTP that nobody uses ends when it would have.
        """
        reason, roles = self._keeper.alone(lambda unit: self._look_at(unit, session))
        if not reason:
            session.roles = roles
        return str(reason)

    def _look_at(self, unit: Unit, session: "RemoteSession") -> tuple[str, frozenset[str]]:
        """Give why a session is over, "" when it is not, and the roles of its user."""
        keeper, admission = self._keeper, session.state
        account = keeper.accounts.find(unit, session.user_id or "")
        if account is None:
            return "the account is gone", frozenset()
        roles = frozenset(account.roles)
        if account.changed != admission.changed:
            return "the password was changed", roles
        if admission.session_id:
            if keeper.sessions.find(unit, admission.session_id) is None:
                return "the session over HTTP has ended", roles
        elif account.cutoff != admission.cutoff:
            return "all sessions of the user were ended", roles
        elif account.totp_on:
            return CODES, roles
        return self._missing(account), roles

    def _find_secret(self, unit: Unit) -> bytes:
        """Give what makes up salts: the same in all processes and lives, as the salts of users who exist are."""
        found = unit.read(SECRET)
        if found is None:
            drawn = found = self._minter.draw(VERSION + SALT)

            def taken(values: list[bytes | None]) -> None:  # by another process, just now
                nonlocal found
                found = values[0]

            unit.wait(unit.journal.write(Transaction(((SECRET, None),), (Write(SECRET, drawn),)), taken))
            assert found is not None
        self._secret = found[VERSION:]
        return self._secret

    def _admit(self, session: "RemoteSession", account: Account, session_id: str) -> None:
        missing = self._missing(account)
        if missing:
            raise TotoException(ERROR_FORBIDDEN, missing)
        if session.user_id is not None:  # it has shown twice who it is, and the other time was faster
            raise unauthorized()
        session.roles = frozenset(account.roles)
        session.state = Admission(account.changed, account.cutoff, session_id)

    def _missing(self, account: Account) -> str:
        return f"Missing role: {self._role}" if self._role and self._role not in account.roles else ""
