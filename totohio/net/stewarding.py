"""One connection's conversation: requests in, replies out, in order, within bounds.

The Steward reads as long as nothing it has read waits to be answered, has one request answered at a time, and sends
each reply at once, or with those of a few other connections that were ready with it. What it may be doing, and what
ends it when nothing happens:

    shaking     the TLS handshake                            handshake_timeout
    idle        no byte of a request has come                idle_timeout
    begun       a part of a request has come                 request_timeout, from its first byte on
    waited      a request is being answered                  the application's own timeouts
    pending     the peer does not take what is sent          write_timeout, from the last progress on
    lingering   we have closed, the peer has not             LINGER, and request_timeout in all
"""

import logging
from typing import TYPE_CHECKING, cast

from hio.core.http import serving

from totohio.base.errors import RemoteProtocolError
from totohio.base.expiring import Deadlines
from totohio.net.accepting import Remoter
from totohio.net.upgrading import Exchange, Party, Upgraded
from totohio.wire.requesting import Request, Requestant
from totohio.wire.responding import CONTINUE, fault, http_date

if TYPE_CHECKING:
    from totohio.net.serving import Server

READABLE, WRITABLE, ENDED = 1, 2, 4
SLICE = 64  # requests of one connection answered in a cycle, so that a long pipeline does not hold up the others
LARGE = 65536  # bytes of a reply that is sent at once, also when more replies follow in this cycle

logger = logging.getLogger("totohio")


class Steward(serving.Steward):  # type: ignore[misc]
    """Manages one connection for the Server.

    Attributes:
        remoter: The connection.
        requestant: Its parser.
        waited: A request is being answered.
        closing: The connection ends after the reply that is being made.
        exchange: Who is told when the peer leaves while a request is being answered; the application's.
    """

    def __init__(self, *, remoter: Remoter, server: "Server") -> None:
        super().__init__(remoter=remoter, requestant=Requestant(server.bounds.limits), responder=server.responder)
        self.server = server
        self.closing = False
        self.closed = False
        self.lingering = False
        self.exchange: Exchange | None = None
        self.mask = 0
        self._upgraded: Upgraded | None = None
        self._outs: list[bytes] = []
        self._busy = False
        self._deadlines: Deadlines[Steward] | None = None
        self._timed = 0.0  # the tyme at which its deadline was set
        self._served = False  # a request has come since
        self._queued = 0  # bytes that the kernel had for the peer when the deadline was set
        self._last = 0.0  # the tyme from which on it lingers no more, whatever the peer sends

    def __repr__(self) -> str:
        return f"<Steward of {self.remoter.ca}>"

    # ------------------------------------------------------------ what the poller tells

    def attend(self, mask: int) -> None:
        """Do what the readiness of the socket asks for."""
        if self.closed:
            return
        remoter = self.remoter
        if remoter.shaking:
            self._shake()
            return
        if mask & ENDED:
            self._leave()
            return
        if mask & WRITABLE:
            self._pour()
        if mask & READABLE and not self.closed:
            self._receive()
            if remoter.secure:
                while not self.closed and self.mask & READABLE and remoter.buffered():
                    self._receive()

    def _shake(self) -> None:
        self.remoter.handshake()
        if self.remoter.cutoff:
            self.close()
        elif self.remoter.shaking:
            self._watch(self.remoter.wants)
        else:
            self._watch(READABLE)
            self._time(self.server.idles)
            self._receive()  # what came along with the handshake

    def _receive(self) -> None:
        remoter = self.remoter
        data = remoter.receive()
        if data is not None:
            if self.lingering:  # what comes after the end is read so that the reply is not lost, and dropped
                if self.server.now < self._last:
                    self._time(self.server.lingers)
                return
            self.requestant.feed(data)
            self.advance()
        elif remoter.cutoff:
            self.close()
        elif remoter.ended:
            self._end()

    def _end(self) -> None:
        """The peer will send no more: what it has asked is still answered."""
        self.requestant.finish()
        if self.lingering:
            self.close()
            return
        self._tell()
        self.advance()

    def _leave(self) -> None:
        """The peer sends no more, or is gone, while nothing is read from it because of what waits to be answered."""
        if self.remoter.broken():
            self.close()
        else:
            self._tell()

    def _pour(self) -> None:
        remoter = self.remoter
        before = remoter.pending
        remoter.serviceSends()
        if remoter.pending < before:
            self._expect()
            drained = self.server.drained
            if drained is not None and not remoter.pending:
                drained(self)
        self.advance()

    # ------------------------------------------------------------ what the application says

    def write(self, data: bytes) -> None:
        """Send a piece of the reply."""
        remoter = self.remoter
        if not (self._busy or self._outs or remoter.pending or remoter.ended):
            remoter.tx(data)
            if remoter.pending:
                self._expect()
            elif not remoter.cutoff:
                return  # as it mostly is: there is nothing else to wait for than before
            self._settle()
            return
        self._outs.append(data)
        self._flush()
        if not self._busy:
            self._settle()

    def reply(self, data: bytes) -> None:
        """Send the reply, or the last piece of it, and go on to the next request."""
        self.waited = False
        self.exchange = None
        if not self._busy:
            requestant, outs = self.requestant, self._outs
            more = requestant.requests or outs or requestant.fault is not None or requestant.continues
            outs.append(data)
            if more or self.server.gathered is not None:
                self.advance()
            else:
                self.dispense()
        elif len(data) < LARGE:
            self._outs.append(data)
        else:  # so that it is not copied, and counts for what the next request has to wait for
            self._flush()
            self._outs.append(data)
            self._flush()

    def upgrade(self, data: bytes, party: Party) -> None:
        """Send the reply that ends HTTP on this connection: from now on what comes is the party's."""
        self.adopt(party)
        self.write(data)

    def adopt(self, party: Party) -> None:
        """Have all that comes be the party's."""
        self._upgraded = Upgraded(party)
        self.requestant = cast(Requestant, self._upgraded)
        self.waited, self.exchange = True, party

    def hold(self, paused: bool) -> None:
        """Read nothing for now from a peer that was upgraded, or read again."""
        if self._upgraded is not None and not self.closed:
            self._upgraded.requests = ["held"] if paused else []
            if not self._busy:
                self._settle()

    def depart(self, data: bytes) -> None:
        """Send the last bytes to a peer that was upgraded, and close."""
        if self._upgraded is not None and not self.closed:
            self._upgraded.requests = []
            self.closing = True
            self.reply(data)

    # ------------------------------------------------------------ going on

    def advance(self) -> None:
        """Answer what has arrived, send what there is to send, and see what to wait for."""
        if self.closed or self._busy:
            return
        requestant = self.requestant
        requests = requestant.requests
        if requests and not self.waited:
            self._busy = True
            bound = self.server.bounds.max_write_buffer
            remoter = self.remoter
            count = 0
            try:
                while requests and not self.waited and not self.closing and remoter.pending <= bound:
                    if count == SLICE:
                        self.server.resume(self)
                        break
                    count += 1
                    self._served = True
                    request: Request = requests.popleft()
                    request.remote = remoter.peer
                    request.secure = remoter.secure
                    self.waited = True
                    self.responder(self, request)
            finally:
                self._busy = False
            if requestant.begun and self._deadlines is self.server.begins:
                self._time(None)  # that was the last request's time; this one's begins now
        if not self.waited and not requests and (requestant.fault is not None or requestant.continues):
            self._object()
        if not (self._outs and self.server.gather(self)):
            self.dispense()

    def dispense(self) -> None:
        """Send what is there to be sent, and see what to wait for next."""
        if self.closed:
            return
        outs, remoter = self._outs, self.remoter
        if len(outs) == 1 and not remoter.pending:  # as it mostly is
            remoter.tx(outs.pop())
            if remoter.pending:
                self._expect()
        elif outs:
            self._flush()
        self._settle()

    def _object(self) -> None:
        """Say "go on" to a peer that asked, or say what was wrong and end."""
        requestant = self.requestant
        if requestant.fault is None:
            requestant.continues = False
            self._outs.append(CONTINUE)
        elif not self.closing:
            self.closing = True
            if not (self.remoter.ended and not requestant.begun):
                logger.info("refused what %s sent: %s", self.remoter.ca, requestant.fault)
                self._outs.append(fault(requestant.fault, self.server.headers, date=http_date(self.server.clock.now())))

    def _flush(self) -> None:
        outs = self._outs
        if outs:
            data = outs[0] if len(outs) == 1 else b"".join(outs)
            outs.clear()
            remoter = self.remoter
            pending = remoter.pending
            remoter.tx(data)
            if remoter.pending and not pending:
                self._expect()

    def _settle(self) -> None:
        """See what to wait for next, and for how long."""
        remoter = self.remoter
        if remoter.cutoff:
            self.close()
            return
        if self.lingering:
            return
        requestant = self.requestant
        if remoter.pending:
            if self._deadlines is not self.server.writes:
                self._expect()
        elif self.waited:
            self._time(self.server.halves if remoter.ended else None)
        elif self.closing or (remoter.ended and not requestant.requests):
            self._finish()
            return
        elif requestant.begun:
            if self._deadlines is not self.server.begins:
                self._time(self.server.begins)
        elif self._deadlines is not self.server.idles or (
            self._served and self.server.now - self._timed >= self.server.grain  # empty lines do not count
        ):
            self._time(self.server.idles)
        backlog = requestant.requests or requestant.fault is not None
        mask = 0 if remoter.ended or backlog or (self.closing and not self.waited) else READABLE
        if remoter.pending:
            mask |= WRITABLE
        if mask != self.mask:
            self._watch(mask)

    def _finish(self) -> None:
        """Close; linger while the peer may still be sending, since a reset would take our reply with it.

        Also one that was to send no more may: an empty line behind a body (RFC 9112, 2.2), or what it had pipelined.
        """
        if self.remoter.ended:
            self.close()
            return
        self.lingering = True
        self._last = self.server.now + self.server.bounds.request_timeout
        self.requestant.requests.clear()
        self.remoter.shutdownSend()
        self._watch(READABLE)
        self._time(self.server.lingers)

    def _tell(self) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            try:
                exchange.lost()
            except BaseException:  # even SystemExit: the end of one connection is not the server's
                logger.exception("failed to tell that %r has ended", self)

    def _time(self, deadlines: "Deadlines[Steward] | None") -> None:
        old = self._deadlines
        if old is not deadlines:
            if old is not None:
                old.drop(self)
            self._deadlines = deadlines
        if deadlines is not None:
            self._served = False
            self._timed = self.server.now
            deadlines.set(self, self._timed)

    def _expect(self) -> None:
        """Give the peer time to take some of what is pending."""
        self._queued = self.remoter.queued()
        self._time(self.server.writes)

    def _watch(self, mask: int) -> None:
        self.server.poller.modify(self.remoter.cs, mask, self)
        self.mask = mask

    # ------------------------------------------------------------ the beginning and the end

    def open(self) -> None:
        """Begin to listen to the peer."""
        self.server.poller.register(self.remoter.cs, READABLE, self)
        self.mask = READABLE
        self._time(self.server.handshakes if self.remoter.shaking else self.server.idles)

    @property
    def since(self) -> float:
        """The tyme since which it does what it does now; up to a quarter of a second early when that is nothing."""
        return self._timed

    def idle(self) -> bool:
        """Tell whether nothing is lost when the connection ends now."""
        return not (self.waited or self.requestant.begun or self.requestant.requests or self.remoter.pending)

    def retire(self) -> None:
        """The server takes no more: end, unless a request has come already."""
        if self.idle() and not self.remoter.shaking:
            self._receive()
        if self.idle():
            self.close()

    def expire(self) -> None:
        """The deadline has come: end, with a word where the peer waits for one."""
        if self._deadlines is self.server.begins and not self.requestant.fault:
            self._deadlines = None
            self.requestant.fault = RemoteProtocolError(408, "the request took too long to arrive")
            self.advance()
            return
        if self._deadlines is self.server.writes:
            if self.remoter.queued() < self._queued:  # it reads, but too little for the kernel to want more
                self._expect()
                return
            self.remoter.despair()
        self.close()

    def close(self) -> None:
        """End the connection now, and tell whoever answers; twice does no harm."""
        if self.closed:
            return
        self.closed = True
        self.server.poller.unregister(self.remoter.cs)
        if self._deadlines is not None:
            self._deadlines.drop(self)
        self._outs.clear()
        pending = self.remoter.pending
        self.remoter.close()
        self.server.forget(self)
        self._tell()
        if pending and self.server.drained is not None:
            self.server.drained(self)
