"""The half of the handler that knows whose request it is: its session, its account, what it has written."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from totohio.app.replying import Replier
from totohio.app.sending import Sender
from totohio.base.errors import ERROR_STORE_UNAVAILABLE, TotoException
from totohio.core.committing import Ticket, Unit
from totohio.core.session import TotoSession
from totohio.core.sessioning import session_key
from totohio.wire import signing

if TYPE_CHECKING:
    from totohio.app.connecting import DBConnection
    from totohio.app.keeping import Keeper

HmacHandler = Callable[[Any, TotoSession], Any]


class Identified(Sender):
    """Knows the session of one request, and keeps its reply until what it wrote is durable."""

    __slots__ = ("_signed_once", "_unit", "session")

    name: str
    session: TotoSession | None
    _unit: Unit | None
    _signed_once: bool

    _hmac_handler: ClassVar[HmacHandler | None] = None
    _response_hmac_handler: ClassVar[Callable[[Any, bytes], Any] | None] = None

    # ------------------------------------------------------------ hooks

    @classmethod
    def set_hmac_handler(cls, hmac_handler: HmacHandler | None) -> None:
        """Have ``hmac_handler(handler, session)`` say whether a request is signed as it should be; None unsets it."""
        cls._hmac_handler = staticmethod(hmac_handler) if hmac_handler is not None else None

    @classmethod
    def set_response_hmac_handler(cls, response_hmac_handler: Callable[[Any, bytes], Any] | None) -> None:
        """Have ``response_hmac_handler(handler, body)`` give the header ``x-toto-hmac`` of replies; None unsets it."""
        cls._response_hmac_handler = staticmethod(response_hmac_handler) if response_hmac_handler is not None else None

    # ------------------------------------------------------------ what methods use

    @property
    def db_connection(self) -> "DBConnection":
        """The accounts and sessions of this server; what is written with it is durable when the call is answered.

        Raises:
            TotoException: 1012, the server has no database.
        """
        return self._keeper().connect(self)

    @property
    def db(self) -> Any:
        """The store itself: its LMDB environment or Redis client; None for a server without a database."""
        keeper = self._dispatcher.keeper
        return None if keeper is None else keeper.raw

    def create_session(
        self, user_id: str | None = None, password: str | None = None, verify_password: bool = True
    ) -> TotoSession:
        """Open a session for a user, or an anonymous one without a user id, and make it this request's.

        Args:
            user_id: Whose; None or "" for nobody's.
            password: The user's.
            verify_password: False opens it for whoever the application says.

        Raises:
            TotoException: 1005, there is no such user or the password is wrong; 1013, too many have failed.
            StoreError: It cannot be known.
        """
        self.session = self.db_connection.create_session(user_id, password, verify_password)
        return self.session

    def retrieve_session(self, session_id: str | None = None) -> TotoSession | None:
        """Load the session of an id, or the one that the request comes with; None when there is none.

        Raises:
            TotoException: 1008, the call is not signed as it has to be.
            StoreError: It cannot be known.
        """
        admitter = self._keeper().admitter
        return admitter.current(self, self.name) if session_id is None else admitter.retrieve(self, session_id)

    @property
    def request_handler(self) -> "Identified":
        """The handler of the whole request: itself."""
        return self

    bundled = False  # an entry of an atomic batch has a proxy

    def unit(self) -> Unit:
        """What this request reads and writes."""
        if self._unit is None:
            self._unit = self._keeper().unit()
        return self._unit

    @property
    def remote_address(self) -> str:
        """The address of the client, as far as proxies that are trusted tell it."""
        keeper = self._dispatcher.keeper
        return self.request.remote_ip if keeper is None else keeper.locator.address(self.request)

    # ------------------------------------------------------------ keeping the reply

    def _keeper(self) -> "Keeper":
        keeper = self._dispatcher.keeper
        if keeper is None:
            raise TotoException(ERROR_STORE_UNAVAILABLE, "This server has no database.")
        return keeper

    def _hold(self, units: list[Unit], then: Callable[[list[BaseException]], None]) -> bool:
        """Tell whether the reply has to wait for what was written; ``then(errors)`` is called when it is there."""
        tickets: list[tuple[Ticket, bool]] = []
        for unit in units:
            tickets += unit.tickets
            unit.tickets = []
        waiting = [ticket for ticket, _ in tickets if not ticket.done()]
        if not tickets:
            return False
        if not waiting:
            errors = _errors(tickets)
            if not errors:
                return False
            self._withdraw(tickets)
            then(errors)
            return True
        left = len(waiting)

        def settled(_: Any) -> None:
            nonlocal left
            left -= 1
            if not left and not self._finished:
                errors = _errors(tickets)
                if errors:
                    self._withdraw(tickets)
                then(errors)

        self._wait()
        for ticket in waiting:
            ticket.add_done_callback(settled)
        return True

    def _withdraw(self, tickets: list[tuple[Ticket, bool]]) -> None:
        """Do not tell of a session that this request has made when it could not be kept."""
        session = self.session
        if session is None or not session.made:
            return
        key = session_key(session.session_id)
        for ticket, _ in tickets:
            transaction = ticket.transaction
            if (
                any(write.key == key for write in transaction.writes)
                and not any(condition == key and version is not None for condition, version in transaction.conditions)
                and ticket.exception() is not None
            ):
                self.session = None

    def _send(self, body: bytes, content_type: str, code: Any = 0) -> None:
        """Send a whole reply, once what was written is durable."""
        unit = self._unit
        if unit is not None and unit.tickets and not self._finished:

            def send(errors: list[BaseException]) -> None:
                if errors:
                    self._fail(errors[0])
                else:
                    self._send(body, content_type, code)

            if self._hold([unit], send):
                return
        session = self.session
        if session is not None and session.api_key is None and not self._finished:
            keeper = self._keeper()
            if keeper.jar is not None:
                self.add_header("Set-Cookie", keeper.jar.make(session))
        super()._send(body, content_type, code)

    def _sign(self, session: TotoSession, body: bytes) -> None:
        """Sign the reply."""
        keeper = self._dispatcher.keeper
        if keeper is None or not keeper.admitter.signed:
            return
        own = type(self)._response_hmac_handler
        if own is None:
            mac = signing.response_signature(session.key, session.session_id, body, keeper.admitter.algorithm)
            self._extra = b"x-toto-hmac: %b\r\n" % mac
            return
        value = own(self, body)
        if value:
            Replier.check("x-toto-hmac", value)
            self._extra = f"x-toto-hmac: {value}\r\n".encode("latin-1")

    def _wait(self, run: Any = None) -> None:
        """The reply comes later."""
        raise NotImplementedError


def _errors(tickets: list[tuple[Ticket, bool]]) -> list[BaseException]:
    return [error for ticket, needed in tickets if needed and (error := ticket.exception()) is not None]
