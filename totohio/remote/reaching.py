"""The way to a server, for a client that does not wait.

    looking up    the host's name, in a worker thread; a numeric address, or a path, needs none
    connecting    to its addresses, one after the other; each has its share of the time that is left
    beginning     TLS, or the WebSocket, or the one within the other
    open          messages go both ways
    closed        by its owner, or since it was lost

Its owner is called from within the cycle alone, but may be before `begin` returns.
"""

import errno
import math
import ssl
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from totohio.base.environing import Network, Poller, Pool
from totohio.base.errors import TotohioError
from totohio.base.futures import Future
from totohio.core.invoking import Lot, Run
from totohio.net.linking import CONNECT_TIMEOUT, Address, Link
from totohio.net.networking import is_numeric
from totohio.remote.conversing import DisconnectedError
from totohio.remote.places import Place
from totohio.remote.securing import Veil
from totohio.remote.tunnelling import Channel, Frames, Tunnel
from totohio.wire.slicing import SLICE

SHORTEST = 0.1  # seconds that an address has, however many there are


class Owner(Protocol):
    """Whom a `Line` tells what happens to it."""

    def reached(self) -> None:
        """Messages can be sent."""

    def received(self, messages: list[bytes]) -> None:
        """Something has come, and these messages are whole; there may be none."""

    def lost(self, error: BaseException) -> None:
        """The server cannot be reached, or any more; nothing follows."""


class Line:
    """One way to a server.

    Attributes:
        open: Messages can be sent.
        closed: It is no more, and calls nobody.
        link: The connection, or the attempt to make it; None before.
    """

    def __init__(
        self,
        place: Place,
        *,
        network: Network,
        poller: Poller,
        pool: Pool,
        lot: Lot,
        tyme: Callable[[], float],
        secure: tuple[ssl.SSLContext, str] | None,
        owner: Owner,
    ) -> None:
        """Set it up; nothing happens before `begin`.

        Args:
            place: Where to.
            network: Where sockets come from, and who knows names.
            poller: Tells when the socket is ready.
            pool: In whose threads names are looked up.
            lot: Where it waits for that.
            tyme: Tells what tyme it is.
            secure: For TLS: whom it trusts, and what the server's certificate has to say that it is.
            owner: Whom to tell.
        """
        self.open = self.closed = False
        self.link: Link | None = None
        self._place = place
        self._network = network
        self._poller = poller
        self._pool = pool
        self._lot = lot
        self._tyme = tyme
        self._owner = owner
        self._veil = None if secure is None else Veil(*secure)
        self._channel: Channel = Tunnel(place.url, most=SLICE) if place.web else Frames(SLICE)
        self._ending: BaseException | None = None  # what it fails with when all that has come is taken
        self._addresses: list[Address] = []  # that are to be tried
        self._deadline = math.inf
        self._lookup: Future[list[tuple[str, int]]] | None = None
        self._looking: Run | None = None

    def due(self) -> float:
        """The tyme at which `service` gives something up, or takes more of what has come."""
        if self._channel.more and not self.closed:
            return self._tyme()
        if self._looking is not None:
            return self._deadline
        return math.inf if self.link is None else self.link.due

    def begin(self) -> None:
        """Look the host up, or connect."""
        tyme, address = self._tyme(), self._place.address
        self._deadline = tyme + CONNECT_TIMEOUT
        if isinstance(address, str) or is_numeric(address[0]):
            self._try([address])
        else:
            try:
                self._lookup = self._pool.submit(self._network.lookup, *address)
            except RuntimeError as error:  # the machine gives no thread
                self._fail(OSError(errno.EAGAIN, str(error)))
            else:
                self._looking = self._lot.run(self._lookup, self._looked_up)

    def service(self, tyme: float) -> None:
        """Give up what takes too long, and take more of what has come."""
        if self._channel.more and not self.closed:
            self.received(b"")
        elif self._looking is not None:
            if tyme >= self._deadline:
                host = self._place.host
                self._fail(TimeoutError(errno.ETIMEDOUT, f"no address of {host} within {CONNECT_TIMEOUT:g} seconds"))
        elif self.link is not None:
            self.link.service(tyme)

    def send(self, messages: Iterable[bytes]) -> None:
        """Send messages; only while it is open."""
        self._write(self._channel.pack(messages))

    def close(self) -> None:
        """End it now, without a word; twice does no harm."""
        self.open, self.closed = False, True
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.close()
        if self._lookup is not None:
            self._lookup.cancel()
        if self.link is not None:
            self.link.close()

    def leave(self) -> None:
        """End it, and say so where that is the custom."""
        if self.open and self.link is not None and not self.link.pending:
            self._write(self._channel.leave())
        self.close()

    # ------------------------------------------------------------ connecting

    def _looked_up(self, addresses: Any, error: BaseException | None) -> None:
        self._looking = None
        if error is not None:
            self._fail(error)
        else:
            self._try(addresses)

    def _try(self, addresses: list[Address], error: OSError | None = None) -> None:
        """Connect to the next address for which there is time; ``error`` is what the one before has failed with."""
        self._addresses = addresses
        while addresses and (left := self._deadline - self._tyme()) > 0.0:
            share = max(SHORTEST, left / len(addresses))
            address, *addresses = addresses
            self._addresses = addresses
            network, poller = self._network, self._poller
            self.link = Link(network=network, poller=poller, address=address, owner=self, timeout=share)
            try:
                self.link.open(self._tyme())
            except OSError as failure:
                error = failure
            else:
                return
        self._fail(error or TimeoutError(errno.ETIMEDOUT, f"no connection within {CONNECT_TIMEOUT:g} seconds"))

    # ------------------------------------------------------------ what the Link tells

    def opened(self) -> None:
        """It is connected: begin what goes over it."""
        self.received(b"")

    def received(self, data: bytes) -> None:
        """The server has said something."""
        link, veil, channel = self.link, self._veil, self._channel
        assert link is not None
        messages: list[bytes] = []
        try:
            if veil is not None:
                data = veil.received(data)
            if data or channel.more:
                messages = channel.received(data)
        except (OSError, TotohioError) as error:
            self._flush()  # what is wrong, or a goodbye
            self._fail(error)
            return
        self._flush()
        if self.closed:
            return
        if not self.open and channel.open and (veil is None or veil.open):
            self.open = True
            self._owner.reached()
        self._owner.received(messages)
        if channel.closed is not None:
            self._fail(DisconnectedError(f"the server has closed the WebSocket: {channel.closed}"))
        elif channel.more:
            link.pause(patient=True)
        elif self._ending is not None:
            self._fail(self._ending)
        else:
            link.resume()

    def drained(self) -> None:
        """All is sent."""

    def ended(self) -> None:
        """The server sends no more."""
        self._end(DisconnectedError("the server has closed the connection"))

    def lost(self, error: OSError) -> None:
        """There is no connection, or it broke."""
        if self.link is not None and not self.link.connected:
            self._try(self._addresses, error)
        else:
            self._end(error)

    # ------------------------------------------------------------ the rest

    def _flush(self) -> None:
        """Send what the layers have to say themselves, each when the one below is open."""
        self._write(self._channel.take() if self._veil is None or self._veil.open else b"")

    def _write(self, data: bytes) -> None:
        link, veil = self.link, self._veil
        assert link is not None
        try:
            if veil is not None:
                if data:
                    veil.send(data)
                data = veil.take()
            if data:
                link.send(data)
        except BufferError as error:
            self._fail(DisconnectedError(str(error)))
        except OSError as error:  # TLS is over
            self._fail(error)

    def _end(self, error: BaseException) -> None:
        """Nothing more comes: fail when all that has come is taken."""
        if self._channel.more:
            self._ending = error
        else:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self.closed:
            self.close()
            self._owner.lost(error)
