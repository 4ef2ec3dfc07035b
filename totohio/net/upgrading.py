"""Connections that speak HTTP no more: who has their bytes, and what stands in the place of the parser."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from totohio.net.stewarding import Steward


class Exchange(Protocol):
    """A request that is being answered."""

    def lost(self) -> None:
        """The peer has left, or sends no more: nobody may be there to take the reply."""


class Party(Exchange, Protocol):
    """Whose a connection is that was upgraded."""

    def received(self, data: bytes) -> None:
        """Bytes have come."""


class Upgraded:
    """Stands in the place of the parser of a connection that does not speak HTTP any more.

    Attributes:
        requests: Something in it has the Steward read nothing.
    """

    fault = None
    begun = continues = False

    def __init__(self, party: Party) -> None:
        self.requests: list[str] = []
        self._party = party

    def feed(self, data: bytes) -> None:
        """Hand over bytes."""
        self._party.received(data)

    def finish(self) -> None:
        """The peer sends no more, which the party is told as an exchange is."""


class Rest:
    """What has come on an upgraded connection and was left for the next cycle."""

    def __init__(self, steward: "Steward", read: Callable[[], None]) -> None:
        self._steward = steward
        self._read = read

    def __repr__(self) -> str:
        return f"<Rest of {self._steward.remoter.ca}>"

    def advance(self) -> None:
        """It is the next cycle."""
        try:
            self._read()
        except BaseException:
            self._steward.close()
            raise


def postpone(steward: "Steward", read: Callable[[], None]) -> None:
    """Have a party go on with what has come in the next cycle, before that looks for what else has.

    So all others that are ready have a turn between two of one connection's, whether more comes on it or not.

    Args:
        steward: The connection, which is to read nothing meanwhile.
        read: Called then, also when the connection has closed.
    """
    steward.server.resume(cast("Steward", Rest(steward, read)))  # which calls its advance, as that of a Steward
