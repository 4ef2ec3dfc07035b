"""Who is let in: from a request to the session that it comes with.

The id of a session comes in the header ``x-toto-session-id``, else in the cookie; the header wins, also when it is
wrong. A call may come with an API key instead (``Authorization: Bearer tk_...``), which has a user but no session.
"""

import hashlib
from typing import Any

from totohio.app.cookies import CookieJar
from totohio.base.clocking import Clock, Minter
from totohio.base.errors import (
    ERROR_FORBIDDEN,
    ERROR_INVALID_HMAC,
    ERROR_MISSING_PARAMS,
    ERROR_NOT_AUTHORIZED,
    TotoException,
)
from totohio.core.accounting import Accounts
from totohio.core.coding import allows
from totohio.core.keying import ApiKeys
from totohio.core.marking import Marks
from totohio.core.ports import VERSION, Transaction, Write
from totohio.core.session import TotoSession
from totohio.core.sessioning import Sessions
from totohio.wire import signing
from totohio.wire.requesting import Request

BEARER = b"bearer "
NONCE = 128  # characters of a nonce at most


def unauthorized() -> TotoException:
    """The error of a call without the session that its method wants."""
    return TotoException(ERROR_NOT_AUTHORIZED, "Not authorized")


class Admitter:
    """Finds the session of a call and sees whether the call may be made.

    Attributes:
        sessions: Where sessions are.
        jar: Reads and makes cookies; None without cookies.
        signed: Calls with a session have to be signed, and so are their replies.
        window: Seconds for which a signed call may be on its way, where repeats are refused; 0.0 looks at neither.
    """

    def __init__(
        self,
        *,
        sessions: Sessions,
        accounts: Accounts,
        keys: ApiKeys,
        clock: Clock,
        minter: Minter,
        jar: CookieJar | None,
        signed: bool,
        window: float,
    ) -> None:
        self.sessions = sessions
        self.accounts = accounts
        self.keys = keys
        self.clock = clock
        self.minter = minter
        self.jar = jar
        self.signed = signed
        self.algorithm = sessions.policy.algorithm
        self.window = window

    def admit(self, caller: Any, marks: Marks, parameters: Any, name: str) -> Any:
        """Load the session that a method's marks ask for; give the parameters for the call.

        Raises:
            TotoException: 1004, there is no such session; 1008, the signature is wrong or missing; 1016, the user or
                the key may not call this.
            StoreError: It cannot be known.
        """
        kind = marks.session
        if kind == "authenticated_with_parameter":
            if not isinstance(parameters, dict):
                raise TotoException(ERROR_MISSING_PARAMS, "Parameters must be an object.")
            parameters = dict(parameters)
            session_id = parameters.pop("session_id", None)
            if not isinstance(session_id, str) or self.retrieve(caller, session_id) is None:
                raise unauthorized()
            return parameters
        given = caller.request.fields.get(b"x-toto-session-id") if caller.session is None else None
        session = self.retrieve(caller, given.decode("latin-1")) if given is not None else self.current(caller, name)
        if kind == "authenticated":
            if session is None or not session.user_id:
                raise unauthorized()
        elif kind == "anonymous_session" and session is None:
            caller.session = self.sessions.open_anonymous(caller.unit())
        if marks.roles:
            self._look_at_roles(caller, session, marks.roles)
        return parameters

    def current(self, caller: Any, name: str = "") -> TotoSession | None:
        """Give the session that this request has, or comes with; None without one."""
        session: TotoSession | None = caller.session
        if session is not None:
            session._source = caller
            if session.api_key is not None and not allows(session.api_key.scopes, name):
                raise TotoException(ERROR_FORBIDDEN, f"The API key may not call '{name}'.")
            return None if session.ended else session
        fields = caller.request.fields
        given = fields.get(b"x-toto-session-id")
        if given is not None:
            return self.retrieve(caller, given.decode("latin-1"))
        bearer = fields.get(b"authorization")
        if bearer is not None and bearer[:7].lower() == BEARER:
            return self._by_key(caller, bearer[7:].strip().decode("latin-1"), name)
        if self.jar is not None:
            session_id = self.jar.read(caller.request)
            if session_id is not None:
                self.jar.guard(caller.request)
                return self.retrieve(caller, session_id)
        return None

    def retrieve(self, caller: Any, session_id: str) -> TotoSession | None:
        """Give the session of an id and make it the request's; None when there is none.

        Raises:
            TotoException: 1008, the call is not signed as it has to be.
            StoreError: It cannot be read.
        """
        session = self.sessions.find(caller, session_id)
        if session is None:
            return None
        if self.signed:
            self._verify(caller, session)
        policy = self.sessions.policy
        if session.left <= (policy.fresh if session.user_id else policy.anon_fresh):
            self.sessions.renew(session)
        caller.session = session
        return session

    # ------------------------------------------------------------ signatures

    def _verify(self, caller: Any, session: TotoSession) -> None:
        request: Request = caller.request
        given = request.fields.get(b"x-toto-hmac", b"")
        own = caller._hmac_handler
        if not session.key and own is None:  # it is older than the setting, and anybody could sign with an empty key
            raise TotoException(ERROR_INVALID_HMAC, "Invalid HMAC")
        wanted = b""
        if own is not None:
            right = bool(own(caller.request_handler, session))
        else:
            date = nonce = None
            if self.window:
                date, nonce = self._dated(request)
            wanted = signing.request_signature(
                session.key, request.method, request.uri, request.body, self.algorithm, date, nonce
            )
            right = signing.equal(given, wanted)
        if not right:
            raise TotoException(ERROR_INVALID_HMAC, "Invalid HMAC")
        if self.window and own is None and not caller._signed_once:
            caller._signed_once = True
            self._once(caller, session, wanted)

    def _dated(self, request: Request) -> tuple[str, str]:
        """Give the date and nonce that a signed request needs."""
        date = request.fields.get(b"x-toto-date", b"").decode("latin-1")
        nonce = request.fields.get(b"x-toto-nonce", b"").decode("latin-1")
        if not nonce or len(nonce) > NONCE or not signing.fresh(date, self.clock.now(), self.window):
            raise TotoException(ERROR_INVALID_HMAC, "Invalid HMAC")
        return date, nonce

    def _once(self, caller: Any, session: TotoSession, signature: bytes) -> None:
        """Refuse a request that has been here before: each signature of a session is good once while its date is.

        The nonce alone would not tell: what is signed has no borders between date, nonce and body, so that whoever
        overhears a request could send the same bytes with another nonce.
        """
        key = b"n" + hashlib.sha256(session.token.encode() + b"\n" + signature).digest()

        def again(values: list[bytes | None]) -> Transaction:
            raise TotoException(ERROR_INVALID_HMAC, "Invalid HMAC")

        unit = caller.unit()
        if unit.read(key) is not None:
            again([])
        write = Write(key, self.minter.draw(VERSION), self.clock.now() + 2 * self.window + 60.0)
        ticket = unit.journal.write(Transaction(((key, None),), (write,), lazy=True), again)
        if unit.journal.fibers.pausable():
            unit.wait(ticket)  # before the method runs, for another process may be given the same just now
        else:
            unit.tickets.append((ticket, True))

    # ------------------------------------------------------------ keys and roles

    def _by_key(self, caller: Any, text: str, name: str) -> TotoSession | None:
        found = self.keys.find(caller.unit(), text)
        if found is None:
            return None
        if not allows(found.scopes, name):
            raise TotoException(ERROR_FORBIDDEN, f"The API key may not call '{name}'.")
        session = self.sessions.lend(caller.unit(), found)
        caller.session = session
        return session

    def _look_at_roles(self, caller: Any, session: TotoSession | None, roles: tuple[str, ...]) -> None:
        if session is None or not session.user_id:
            raise unauthorized()
        account = self.accounts.find(caller.unit(), session.user_id)
        if account is None:
            raise unauthorized()
        missing = [role for role in roles if role not in account.roles]
        if missing:
            raise TotoException(ERROR_FORBIDDEN, f"Missing role: {', '.join(missing)}")
