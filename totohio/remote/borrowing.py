"""A client's end of the conversation: what it borrows are proxies, what it lends are callables alone."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec

from totohio.core.lending import ForbiddenError
from totohio.remote.conversing import Conversation, DisconnectedError
from totohio.remote.describing import instead
from totohio.remote.proxies import Method, Proxy
from totohio.wire.lending import LendingError

REFERENCES = 10_000  # objects that may be lent in each direction, where the server does not say another number
MOST_REFERENCES = 1_000_000  # whatever it says
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

    def check(self) -> None:
        """See that it is not over.

        Raises:
            DisconnectedError: It is.
        """


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
        super().__init__(send=send, limit=REFERENCES, structs=structs, errors=errors)
        self._performer = performer

    def greeted(self, greeting: Any) -> None:
        """Read what the server takes in its greeting, so that nothing is sent that would end the session."""
        size, count = map(greeting.get, ("max_frame", "max_references")) if type(greeting) is dict else (None, None)
        if type(size) is int and 0 < size < self.max_frame:
            self.max_frame = size
        if type(count) is int and count > 0:
            self._limit = self.table.limit = min(count, MOST_REFERENCES)

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
            args = message.get("a") or ()
            if isinstance(args, LendingError):
                raise args
            result = self.called(callback, args, message.get("k") or {})
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

    def called(self, callback: Callable[..., Any], args: Any, kw: dict[str, Any]) -> Any:
        """Call a callable of ours."""
        return callback(*args, **kw)

    def returned(self, number: int, result: Any) -> None:
        """A callable of ours has returned something."""
        self.answer(number, result)

    def borrowed(self, value: Any) -> int | None:
        """Give the number of what a proxy stands for."""
        return value._number if type(value) is Proxy and value._performer is self._performer else None

    def describe(self, value: Any) -> tuple[Any, Callable[[], Any]]:
        """Say what a callable is; a proxy of another session is one as long as that is open.

        Raises:
            DisconnectedError: It is what another session was lent, which is over: nobody could call it.
            LendingError: It is none, and no value either.
        """
        owner = value._owner if type(value) is Method else value
        if type(owner) is Proxy:
            owner._performer.check()
            if owner is value and not owner._calls:
                raise LendingError(f"{value!r} cannot be sent: another session has it, and it cannot be called")
        if not callable(value):
            kind = type(value).__name__
            raise LendingError(instead(value) or f"a {kind} cannot be sent: it is neither a value nor callable")
        return None, lambda: {"name": getattr(value, "__qualname__", type(value).__qualname__)[:100]}

    def stand_in(self, number: int, description: Any) -> Proxy:
        """Make what stands for an object of the server's."""
        return Proxy(self._performer, number, description)
