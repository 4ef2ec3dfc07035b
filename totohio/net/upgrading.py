"""Connections that speak HTTP no more: who has their bytes, and what stands in the place of the parser."""

from typing import Protocol


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
