"""Events that stay in this process."""

import math
from typing import Any

from totohio.base.clocking import Minter
from totohio.base.futures import Future
from totohio.core.ports import Receiver
from totohio.core.recovering import Event

ORIGIN_SIZE = 10  # characters of an origin: 60 random bits, so that no two lives of processes are ever taken for one


def new_origin(minter: Minter) -> str:
    """Give a name for the log of this life of this process."""
    return minter.token()[:ORIGIN_SIZE]


class MemoryBus:
    """The bus of a process that has no others.

    Attributes:
        origin: The name of its log; a new one each time it is opened.
    """

    def __init__(self, minter: Minter) -> None:
        self._minter = minter
        self._receiver: Receiver | None = None
        self._offset = 0
        self.origin = ""

    def open(self, receiver: Receiver, tyme: float) -> None:
        """Begin."""
        self._receiver = receiver
        self._offset = 0
        self.origin = new_origin(self._minter)
        receiver.history.begin(self.origin, 0, tyme)

    def close(self) -> None:
        """End."""
        self._receiver = None

    def send(self, name: str, data: bytes, *, broadcast: bool) -> Future[None]:
        """Send an event to this process."""
        future: Future[None] = Future()
        if self._receiver is not None:
            if broadcast:
                self._offset += 1
                self._receiver.receive(Event(name, data, self.origin, self._offset))
            else:
                self._receiver.turn(Event(name, data))
        future.set_result(None)
        return future

    def service(self, tyme: float) -> None:
        """Do nothing."""

    def due(self) -> float:
        """Never."""
        return math.inf

    def present(self, name: str) -> Future[tuple[list[Any], bool]]:
        """Nobody is anywhere else."""
        future: Future[tuple[list[Any], bool]] = Future()
        future.set_result(([], True))
        return future

    def rest(self) -> bool:
        """Always."""
        return True

    def alive(self, origin: str) -> bool:
        """Tell whether it is its own."""
        return origin == self.origin
