"""The database connection as methods and start-up functions use it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from totohio.core import factoring
from totohio.core.account import TotoAccount, canonical, put_properties, wrong
from totohio.core.caching import TotoSessionCache
from totohio.core.committing import Unit
from totohio.core.session import TotoSession

if TYPE_CHECKING:
    from totohio.app.identifying import Identified
    from totohio.app.keeping import Keeper

T = TypeVar("T")

GENERATED = 18  # random bytes of a generated password: 24 characters


class DBConnection:
    """The accounts and sessions of a server.

    ``handler.db_connection`` belongs to a request: what is written with it is durable when the request is answered, or
    the request is answered with the error. The one that a start-up function gets belongs to none: what it writes is
    durable a moment later, and a failure is logged.
    """

    def __init__(self, keeper: "Keeper", handler: "Identified | None" = None) -> None:
        self._keeper = keeper
        self._handler = handler

    def __repr__(self) -> str:
        return f"<DBConnection to {self._keeper.store!r}>"

    @property
    def db(self) -> Any:
        """The store itself: its LMDB environment or Redis client; None in memory."""
        return self._keeper.raw

    def create_account(
        self, user_id: str, password: str, additional_values: dict[str, Any] | None = None, **values: Any
    ) -> None:
        """Make an account.

        Args:
            user_id: Whose; it is kept in lower case.
            password: The user's, as long and uncommon as the settings want it.
            additional_values: Properties of the account.
            values: More of them.

        Raises:
            TotoException: 1006, there is such an account; 1010, it can be no user id; 1003, the password will not do.
            StoreError: It cannot be kept.
        """
        properties = {**(additional_values or {}), **values}
        self._do(lambda unit: self._keeper.accounts.create(unit, user_id, password, properties))

    def import_account(
        self, user_id: str, password_hash: str, additional_values: dict[str, Any] | None = None, **values: Any
    ) -> None:
        """Make an account of which only the hash of the password is known: argon2's, or Toto's ``$p5k2$``.

        Raises:
            TotoException: 1006, there is such an account; 1010, it can be no user id.
            ValueError: It is no such hash.
            StoreError: It cannot be kept.
        """
        self._keeper.known_hash(password_hash)
        properties = {**(additional_values or {}), **values}
        self._do(lambda unit: self._keeper.accounts.create(unit, user_id, "", properties, hashed=password_hash))

    def create_session(
        self, user_id: str | None = None, password: str | None = None, verify_password: bool = True
    ) -> TotoSession:
        """Open a session; see `TotoHandler.create_session`."""
        return self._do(lambda unit: self._keeper.open_session(unit, self._handler, user_id, password, verify_password))

    def login(self, user_id: str, password: str, *, code: str | None = None) -> TotoSession:
        """Open a session for a user who shows a password, and the code of the second factor where there is one.

        Raises:
            TotoException: 1005, there is no such user, or the password or code is wrong; 1003, a code is wanted;
                1013, too many attempts have failed.
            StoreError: It cannot be known.
        """
        return self._do(lambda unit: self._keeper.open_session(unit, self._handler, user_id, password, code=code))

    def update_account(self, session: TotoSession, parameters: dict[str, Any], reserved: tuple[str, ...]) -> Any:
        """Do what ``account.update`` does: verify the password, set properties, and the password if a new one is given.

        Args:
            session: Of the user.
            parameters: What the client sent.
            reserved: Names among them that are no properties.

        Returns:
            The names of the fields that were set.

        Raises:
            TotoException: 1005, the password is wrong; 1003, the new one will not do; 1013, too many have failed.
        """
        changes = {name: value for name, value in parameters.items() if name not in reserved}
        new_password = parameters.get("new_password")

        def update(unit: Unit) -> dict[str, Any]:
            accounts = self._keeper.accounts
            verified = accounts.verify(unit, session.user_id, parameters["password"], address=self._address())

            def edit(account: Any) -> None:
                if account.changed != verified.changed:
                    raise wrong()
                put_properties(account, changes, accounts.max_size)

            if new_password is not None:
                accounts.change_password(
                    unit, verified.user_id, new_password, verified=verified, keep=session, edit=edit
                )
            else:
                accounts.change(unit, verified.user_id, edit)
            return {"updated_fields": [*changes, *(["password"] if new_password is not None else [])]}

        return self._do(update)

    def retrieve_session(self, session_id: str) -> TotoSession | None:
        """Load the session of an id, whoever asks; None when there is none or it has ended.

        Raises:
            StoreError: It cannot be read.
        """
        return self._do(lambda unit: self._keeper.sessions.find(unit, session_id))

    def remove_session(self, session_id: str) -> None:
        """End a session, everywhere; nothing happens when there is none."""

        def remove(unit: Unit) -> None:
            session = self._keeper.sessions.find(unit, session_id)
            if session is not None:
                self._keeper.sessions.end(unit, session)
                current = self._handler.session if self._handler is not None else None
                if current is not None and current.session_id == session_id:
                    current.ended = True

        self._do(remove)

    def clear_sessions(self, user_id: str) -> None:
        """End all sessions of a user.

        Raises:
            TotoException: 1005, there is no such user.
        """

        def clear(unit: Unit) -> None:
            self._keeper.accounts.end_sessions(unit, canonical(user_id), lambda account: None)
            current = self._handler.session if self._handler is not None else None
            if current is not None and current.user_id == canonical(user_id):
                current.ended = True

        self._do(clear)

    def change_password(self, user_id: str, password: str, new_password: str) -> None:
        """Set a new password of a user who knows the current one, and end the user's other sessions.

        Raises:
            TotoException: 1005, there is no such user or the password is wrong; 1003, the new one will not do;
                1013, too many attempts have failed.
        """

        def change(unit: Unit) -> None:
            account = self._keeper.accounts.verify(unit, user_id, password, address=self._address())
            self._keeper.accounts.change_password(
                unit, account.user_id, new_password, verified=account, keep=self._kept(account.user_id)
            )

        self._do(change)

    def generate_password(self, user_id: str) -> str:
        """Set a random password of a user, end all the user's sessions, and give the password.

        Raises:
            TotoException: 1005, there is no such user.
        """
        password = self._keeper.token(GENERATED)
        self._do(lambda unit: self._keeper.accounts.change_password(unit, canonical(user_id), password))
        return password

    def get_account(self, user_id: str) -> TotoAccount:
        """Give the account of a user.

        Raises:
            TotoException: 1005, there is no such user.
            StoreError: It cannot be read.
        """
        return self._do(lambda unit: self._keeper.accounts.open(unit, canonical(user_id)))

    def set_roles(self, user_id: str, roles: list[str]) -> None:
        """Set the roles of a user, which `requires_role` looks at.

        Raises:
            TotoException: 1005, there is no such user.
        """

        def edit(account: Any) -> None:
            account.roles = sorted(set(roles))

        self._do(lambda unit: self._keeper.accounts.change(unit, canonical(user_id), edit))

    def remove_second_factor(self, user_id: str) -> None:
        """Take a user's second factor away, for one who has lost it.

        Raises:
            TotoException: 1005, there is no such user.
        """
        self._do(lambda unit: factoring.remove(self._keeper.accounts, unit, canonical(user_id)))

    def set_session_cache(self, session_cache: TotoSessionCache | None) -> None:
        """Keep sessions in a cache in place of the store; None takes it away."""
        self._keeper.set_cache(session_cache)

    # ------------------------------------------------------------ parts

    def _address(self) -> str:
        return self._handler.remote_address if self._handler is not None else ""

    def _kept(self, user_id: str) -> TotoSession | None:
        session = self._handler.session if self._handler is not None else None
        return session if session is not None and session.user_id == user_id and session.session_id else None

    def _do(self, function: Callable[[Unit], T]) -> T:
        result: T = self._keeper.sessions.anywhere(self._run, function)
        return result

    def _run(self, function: Callable[[Unit], Any]) -> Any:
        if self._handler is not None:
            return function(self._handler.unit())
        return self._keeper.alone(function)
