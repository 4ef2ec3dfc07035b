"""The server: hio's BareServer, asked only about the connections that the poller reported."""

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from hio.core.http import serving

from totohio.base.clocking import Clock
from totohio.base.doing import Doer
from totohio.base.environing import Poller
from totohio.base.errors import RemoteProtocolError
from totohio.base.expiring import Deadlines
from totohio.net.accepting import Servant
from totohio.net.crowding import Usher
from totohio.net.stewarding import READABLE, Steward
from totohio.wire.requesting import Limits, Request
from totohio.wire.responding import fault, http_date

logger = logging.getLogger("totohio")

ACCEPTS = 64  # connections accepted in a cycle
EXPIRIES = 256  # connections ended by a timeout in a cycle
GATHERED = 32  # connections whose replies leave together
HELD = 0.0005  # seconds after which those leave that are gathered, though there are fewer
GRAIN = 0.25  # seconds within which an idle connection's deadline is not set anew, which would cost every request
LINGER = 2.0  # seconds without a byte from a peer that has yet to notice that we have closed
BREATH = 0.25  # seconds without accepting when there is no room for more connections

Responder = Callable[[Steward, Request], None]


@dataclass(frozen=True)
class Bounds:
    """What one server lets its peers have. Times are seconds of tyme; zero switches a timeout off.

    Attributes:
        limits: Of a request.
        request_timeout: For a request to arrive, from its first byte.
        idle_timeout: For the next request to begin.
        write_timeout: For the peer to take anything of what is sent.
        handshake_timeout: For the TLS handshake.
        max_connections: At once; then one that waits for its peer is closed for a new one, or the new one refused.
        max_write_buffer: Bytes that may wait for a peer before its next request is answered.
    """

    limits: Limits = field(default_factory=Limits)
    request_timeout: float = 30.0
    idle_timeout: float = 75.0
    write_timeout: float = 30.0
    handshake_timeout: float = 10.0
    max_connections: int = 10_000
    max_write_buffer: int = 1 << 20


class Server(serving.BareServer):  # type: ignore[misc]
    """A BareServer that survives the internet.

    Attributes:
        poller: Tells which connections have something to do.
        responder: The application: called with the Steward and each Request, in order.
        drained: Called with a Steward that had to wait for its peer and waits no more; None when nobody asks.
        steward: Makes the Steward of a connection, of its Remoter and this server.
        headers: Sent with replies to what is no proper request.
        now: The tyme of this cycle.
        connections: How many were accepted, in all.
        usher: Makes room for new ones, and counts for how many there was none.
        retired: It has stopped listening and ends when its connections have.
    """

    def __init__(
        self,
        *,
        servant: Servant,
        poller: Poller,
        responder: Responder,
        clock: Clock,
        bounds: Bounds | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        super().__init__(servant=servant)
        self.poller = poller
        self.responder = responder
        self.clock = clock
        self.bounds = bounds = bounds or Bounds()
        self.headers = list(headers)
        self.secured = servant.context is not None
        self.drained: Callable[[Steward], None] | None = None
        self.steward: Callable[..., Steward] = Steward
        self.now = 0.0
        self.connections = 0
        self.grain = min(GRAIN, bounds.idle_timeout / 64)
        self.idles: Deadlines[Steward] = Deadlines(bounds.idle_timeout + self.grain)
        self.begins: Deadlines[Steward] = Deadlines(bounds.request_timeout)
        self.writes: Deadlines[Steward] = Deadlines(bounds.write_timeout)
        self.handshakes: Deadlines[Steward] = Deadlines(bounds.handshake_timeout)
        self.halves: Deadlines[Steward] = Deadlines(bounds.idle_timeout)
        self.lingers: Deadlines[Steward] = Deadlines(LINGER)
        self._timers = (self.idles, self.begins, self.writes, self.handshakes, self.halves, self.lingers)
        self.usher = Usher(self)
        self._resumes: deque[Steward] = deque()
        self.gathered: list[Steward] | None = None  # whose replies leave together; None while none are gathered
        self._since = 0.0  # the monotonic time of the first of them
        self._accepting = self.retired = False
        self._breathe: float | None = None  # the tyme from which on it accepts again
        self._tymth: Any = None

    # ------------------------------------------------------------ hio's interface

    def wind(self, tymth: Any) -> None:
        """Take tyme from another tymist."""
        self._tymth = tymth
        self.servant.wind(tymth)

    def reopen(self, **kwa: Any) -> bool:
        """Listen.

        Raises:
            OSError: The address is in use, unknown or forbidden.
        """
        if self._tymth is not None:
            self.now = self._tymth()
        self.refuse()
        self.servant.reopen()
        self.retired = False
        self._accept()
        return True

    def service(self) -> None:
        """Attend to what goes on from the last cycle, what is ready and what has come due."""
        self.now = now = self._tymth()
        # First what goes on from the last cycle: a long pipeline is not to have two turns in the one in which it comes.
        for _ in range(len(self._resumes)):
            steward = self._resumes.popleft()
            try:
                steward.advance()
            except Exception:
                self._abandon(steward)
        self.gathered = []
        for attendant, mask in self.poller.ready():
            try:
                attendant.attend(mask)
            except Exception:
                self._abandon(attendant)
        self._dispense()
        self.gathered = None
        for timer in self._timers:
            if timer.dues and timer.due() <= now:
                for steward in timer.take(now, EXPIRIES):
                    try:
                        steward.expire()
                    except Exception:
                        self._abandon(steward)
        if self._breathe is not None and now >= self._breathe:
            self._breathe = None
            self._accept()
        if self.usher.due <= now:
            self.usher.report()

    def serviceConnects(self) -> None:
        """Accept what has come, a bounded number at a time."""
        for _ in range(ACCEPTS):
            if not self._accepting:
                return
            try:
                cs, ca = self.servant.accept()
            except OSError as error:
                self._hold_breath(error)
                return
            if cs is None:
                return
            if len(self.stewards) >= self.bounds.max_connections and not self.usher.admit():
                self.turn_away(cs)
                continue
            try:
                remoter = self.servant.remoter(cs, ca)
            except (OSError, ValueError):
                cs.close()
                continue
            self.connections += 1
            if ca in self.stewards:  # its old connection is dead, or the kernel would not have made this one
                self.stewards[ca].close()
            self.servant.ixes[ca] = remoter
            steward = self.stewards[ca] = self.steward(remoter=remoter, server=self)
            try:
                steward.open()
            except OSError as error:  # the kernel watches no more sockets
                steward.close()
                self._hold_breath(error)

    def serviceStewards(self) -> None:
        """Go on with every connection, ready or not; the Server itself never needs it."""
        for steward in list(self.stewards.values()):
            steward.advance()

    def idle(self, *, patient: bool = True) -> bool:
        """Tell whether no request is being received, answered or sent.

        Args:
            patient: Peers that send no more count too; most of them have left, but that cannot be seen.
        """
        return all(
            steward.idle() or (not patient and (steward.remoter.ended or steward.lingering))
            for steward in self.stewards.values()
        )

    def closeConnection(self, ca: Any) -> None:
        """Close the connection of that peer, if there is one."""
        steward = self.stewards.get(ca)
        if steward is not None:
            steward.close()

    def close(self) -> None:
        """Stop listening and close all connections; twice does no harm."""
        self.refuse()
        for steward in list(self.stewards.values()):
            steward.close()
        self._resumes.clear()
        self.usher.close()

    # ------------------------------------------------------------ ours

    def attend(self, mask: int) -> None:
        """The listening socket has something: connections."""
        self.serviceConnects()

    def due(self, tyme: float) -> float:
        """The tyme at which a cycle is needed for the sake of a timeout, or of what waits to go on."""
        if self._resumes:
            return tyme
        due = self.usher.due if self._breathe is None else min(self._breathe, self.usher.due)
        for timer in self._timers:
            if timer.dues:
                due = min(due, timer.due())
        return due

    def refuse(self) -> None:
        """Stop listening; connections stay."""
        self._stop_accepting()
        self._breathe = None
        self.servant.close()

    def retire(self) -> None:
        """Take what the kernel has already, stop listening, and close what is idle.

        Connections that are not idle end with their next reply, if the responder says so in it.
        """
        for _ in range(1 + self.servant.bl // ACCEPTS):
            self.serviceConnects()
        self.refuse()
        self.retired = True
        for steward in list(self.stewards.values()):
            try:
                steward.retire()
            except Exception:
                self._abandon(steward)

    def gather(self, steward: Steward) -> bool:
        """Tell whether the replies of a connection leave a moment later, with those of others that were ready with it.

        A client that waits is woken by each reply that is sent while it sleeps, which costs more than the sending. A
        call that reads its session takes 30 microseconds of a core so, and 38 when four leave together.
        """
        gathered = self.gathered
        if gathered is None:
            return False
        now = self.clock.monotonic()
        if not gathered:
            self._since = now
        gathered.append(steward)
        if len(gathered) >= GATHERED or now - self._since >= HELD:
            self._dispense()
        return True

    def _dispense(self) -> None:
        gathered, self.gathered = self.gathered, []
        for steward in gathered or ():
            try:
                steward.dispense()
            except Exception:
                self._abandon(steward)

    def resume(self, steward: Steward) -> None:
        """Have a connection go on in the next cycle."""
        self._resumes.append(steward)

    def forget(self, steward: Steward) -> None:
        """Drop a connection that has closed."""
        ca = steward.remoter.ca
        if self.stewards.get(ca) is steward:
            del self.stewards[ca]
            self.servant.ixes.pop(ca, None)
            if self._breathe is not None:
                self._breathe = self.now  # there is room again

    def _accept(self) -> None:
        if not self._accepting and self.servant.ss is not None:
            self.poller.register(self.servant.ss, READABLE, self)
            self._accepting = True

    def _stop_accepting(self) -> None:
        if self._accepting:
            self.poller.unregister(self.servant.ss)
            self._accepting = False

    def _hold_breath(self, error: OSError) -> None:
        """No descriptor or memory is left for a connection: wait a little, and make room if that is possible."""
        self._stop_accepting()
        self._breathe = self.now + BREATH
        self.usher.lack(error)

    def turn_away(self, cs: Any) -> None:
        """Say that there are too many connections, as far as that needs no waiting, and close."""
        with contextlib.suppress(OSError):
            cs.setblocking(False)
            if not self.secured:
                text = RemoteProtocolError(503, "The server has too many connections.")
                cs.send(fault(text, self.headers, date=http_date(self.clock.now())))
        cs.close()

    def _abandon(self, attendant: Any) -> None:
        """Our own fault, in the service of one connection: it ends, the others do not notice."""
        logger.exception("failed while serving %r", attendant)
        if isinstance(attendant, Steward):
            attendant.close()


class ServerDoer(Doer):
    """Runs a Server: in each cycle, whatever the poller reports, and a bounded number of timeouts.

    Attributes:
        server: What it runs.
        poller: What a `PollingDoist` waits in for it.
    """

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.poller = server.poller

    def wind(self, tymth: Any) -> None:
        """Take tyme from another tymist."""
        super().wind(tymth)
        self.server.wind(tymth)

    def due(self, tyme: float) -> float:
        """The tyme at which the Server needs a cycle."""
        return self.server.due(tyme)

    def enter(self, *, temp: bool | None = None) -> None:
        """Listen.

        Raises:
            OSError: The address is in use, unknown or forbidden.
        """
        self.server.reopen()

    def recur(self, tyme: float) -> bool:
        """Serve what is ready."""
        self.server.service()
        return False

    def exit(self) -> None:
        """Stop listening, close all connections and release the poller."""
        self.server.close()
        self.poller.close()
