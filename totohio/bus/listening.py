"""Where peers connect to."""

import logging
import math
from typing import TYPE_CHECKING

from totohio.net.linking import READABLE, Address

if TYPE_CHECKING:
    from totohio.bus.peers import PeerBus

logger = logging.getLogger("totohio")

ACCEPTS = 16  # connections accepted in a cycle
BACKLOG = 128  # connections that the kernel keeps until they are accepted
BREATH = 0.25  # seconds without accepting when there is no room for more


class Listener:
    """Accepts connections of peers.

    Attributes:
        address: Where it listens.
    """

    def __init__(self, bus: "PeerBus", address: Address) -> None:
        """Listen.

        Raises:
            OSError: The address is in use, unknown or forbidden.
        """
        self._bus = bus
        self._sock = bus.network.listen(address, backlog=BACKLOG)
        self.address: Address = address if isinstance(address, str) else (address[0], self._sock.getsockname()[1])
        self._again = math.inf
        bus.poller.register(self._sock, READABLE, self)

    def due(self) -> float:
        """The tyme at which it accepts again."""
        return self._again

    def service(self, tyme: float) -> None:
        """Accept again."""
        if tyme >= self._again:
            self._again = math.inf
            self._bus.poller.register(self._sock, READABLE, self)

    def attend(self, mask: int) -> None:
        """Accept what has come."""
        for _ in range(ACCEPTS):
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                logger.warning("events: no room for another connection: %s", error.strerror)
                self._bus.poller.unregister(self._sock)
                self._again = self._bus.tyme + BREATH
                return
            sock.setblocking(False)
            self._bus.accepted(sock)

    def close(self) -> None:
        """Listen no more."""
        self._bus.poller.unregister(self._sock)
        self._sock.close()


def read_address(text: str) -> Address:
    """Give the address that a text says: ``tcp://HOST:PORT``, ``HOST:PORT``, or the path of a Unix socket with a slash.

    Raises:
        ValueError: It says none.
    """
    text = text.strip()
    if "/" in text.removeprefix("tcp://"):
        return text.removeprefix("unix:")
    host, colon, port = text.removeprefix("tcp://").rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is no address such as tcp://10.0.0.1:8889")
    return host.removeprefix("[").removesuffix("]"), int(port)
