"""A client's end of the conversation: what it borrows are proxies, what it lends are callables alone."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec

from totohio.core.lending import ForbiddenError
from totohio.remote.conversing import Conversation, DisconnectedError
from totohio.remote.proxies import Proxy
from totohio.wire.lending import LendingError

CALLBACKS = 10_000  # callables that are lent to a server at most, and objects that are borrowed
LONGEST_REASON = 200  # characters of why a server has ended a session


class Performer(Protocol):
    """Has the server do something, in the way of the client: waiting for it, or not.

    Attributes:
        url: Where the server is.
        waits: It gives what is brought, and no Future of that.
    """

    url: str
    waits: bool

    def perform(self, operation: str, target: Any = None, args: Any = (), kw: Any = None) -> Any:
        """Have something done; give what it brings, or a Future of that."""

    def dropped(self, number: int) -> None:
        """Nobody uses an object any more."""


class Borrower(Conversation):
    """The client's end."""

    def __init__(
        self,
        performer: Performer,
        *,
        send: Callable[[bytes], None],
        structs: Iterable[type[msgspec.Struct]] = (),
        errors: Iterable[type[BaseException]] = (),
    ) -> None:
        super().__init__(send=send, limit=CALLBACKS, structs=structs, errors=errors)
        self._performer = performer

    def requested(self, message: dict[str, Any]) -> None:
        """The server calls a callable of ours.

        Raises:
            LendingError: It has no number.
        """
        number = message.get("i")
        if type(number) is not int:
            raise LendingError("a request has a number")
        try:
            if message.get("o") != "call":
                raise ForbiddenError("a client lends callables alone")
            callback = self.table.find(message.get("t"))
            result = callback(*(message.get("a") or ()), **(message.get("k") or {}))
        except BaseException as error:
            self.refuse(number, error)
            if isinstance(error, Exception):
                return
            raise  # a Ctrl-C is ours
        self.returned(number, result)

    def noticed(self, message: dict[str, Any]) -> None:
        """The server tells something.

        Raises:
            DisconnectedError: It has ended the session.
        """
        match message:
            case {"o": "end", "a": [str(reason)]}:
                raise DisconnectedError(f"the server has ended the session: {reason[:LONGEST_REASON]}")
            case _:
                super().noticed(message)

    def returned(self, number: int, result: Any) -> None:
        """A callable of ours has returned something."""
        self.answer(number, result)

    def borrowed(self, value: Any) -> int | None:
        """Give the number of what a proxy stands for."""
        return value._number if type(value) is Proxy and value._performer is self._performer else None

    def describe(self, value: Any) -> tuple[Any, Callable[[], Any]]:
        """Say what a callable is.

        Raises:
            LendingError: It is none, and no value either.
        """
        if not callable(value):
            raise LendingError(f"a {type(value).__name__} cannot be sent: it is neither a value nor callable")
        return None, lambda: {"name": getattr(value, "__qualname__", type(value).__qualname__)[:100]}

    def stand_in(self, number: int, description: Any) -> Proxy:
        """Make what stands for an object of the server's."""
        return Proxy(self._performer, number, description)
