"""Callables of a client, as the server has them."""

from typing import TYPE_CHECKING, Any

from totohio.base.futures import Future

if TYPE_CHECKING:
    from totohio.remote.sessions import RemoteSession


class Callback:
    """A callable of the client: calling it waits for what it returns."""

    __slots__ = ("__weakref__", "name", "number", "session")

    def __init__(self, session: "RemoteSession", number: int, name: str) -> None:
        self.session = session
        self.number = number
        self.name = name

    def __repr__(self) -> str:
        return f"<callback {self.name} of {self.session!r}>"

    def __call__(self, /, *args: Any, **kw: Any) -> Any:
        """Call it, and give what it returns; where the caller stands it waits, and the cycle goes on.

        Raises:
            DisconnectedError: The client has left.
            BaseException: Whatever it raises.
        """
        return self.session.wait(self.number, args, kw)

    def later(self, *args: Any, **kw: Any) -> Future[Any]:
        """Call it, in the cycle; give a Future of what it returns, for whoever yields it."""
        return self.session.sendCallback(self.number, args, kw)

    def __del__(self) -> None:
        self.session.dropped(self.number)
