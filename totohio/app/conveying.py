"""Connections that carry sessions in which objects are lent: plain ones, and WebSockets."""

from typing import TYPE_CHECKING

import msgpack

from totohio.app.handling import TotoHandler
from totohio.app.settings import Settings
from totohio.base.errors import ERROR_TOO_MANY_REQUESTS, TotohioError
from totohio.base.futures import Future
from totohio.net.stewarding import Steward
from totohio.net.upgrading import postpone
from totohio.remote.conversing import DisconnectedError
from totohio.remote.sessions import GREETING_SIZE, GREETINGS
from totohio.wire.framing import FramingError, frame
from totohio.wire.lending import LendingError
from totohio.wire.requesting import Request
from totohio.wire.upgrading import GOING_AWAY, UNSUPPORTED, Channel

if TYPE_CHECKING:
    from totohio.app.dispatching import Dispatcher
    from totohio.app.draining import Drains
    from totohio.app.lending import LendingHouse

STRANGE = 2 * GREETINGS * GREETING_SIZE  # bytes of a WebSocket whose client has not said who it is, frames and all

ROOM = 16  # connections left for others, or a client that is one too many is not told so: it may be slow to read that


class Connection:
    """A connection that carries a session: what the Steward hands its bytes to."""

    framed = True

    def __init__(self, house: "LendingHouse", steward: Steward, address: str) -> None:
        """Begin a session.

        Raises:
            TotohioError: There are too many.
        """
        self._house = house
        self._steward = steward
        self._outs: list[bytes] | None = None  # while requests are carried out
        self._gone = False
        self._waiting = False  # for the peer to read
        self._queued = False  # there is more to be carried out in the next cycle
        self._held = False  # nothing is read because of one of both
        self._session = house.begin(self, address=address, framed=self.framed)

    # ------------------------------------------------------------ what the Steward tells

    def received(self, data: bytes) -> None:
        """Bytes have come."""
        self._session.feed(data)
        if not self._queued:
            self.resume()

    def lost(self) -> None:
        """The peer has left, or sends no more."""
        self._gone = True
        self._session.end(DisconnectedError("the client has left"))
        if not self._steward.closed:
            self._steward.close()

    # ------------------------------------------------------------ carrying out

    def resume(self) -> None:
        """Carry out what has come; the replies leave together."""
        self._queued = False
        if self._gone:
            return
        self._outs = []
        more = self._handle()
        outs, self._outs = self._outs, None
        self._house.heard(self._session)
        if not self._gone:
            self._write(outs)
        if self._session.closed is not None:
            self._depart()
            return
        if self._steward.remoter.pending > self._steward.server.bounds.max_write_buffer and not self._waiting:
            self._wait()
        if more and not self._waiting:
            self._queue()
        held = self._waiting or self._queued
        if held is not self._held:
            self._held = held
            self._steward.hold(held)

    def _handle(self) -> bool:
        """Carry out a slice; tell whether there may be more."""
        return self._session.handle()

    def _wait(self) -> None:
        """Read nothing more until the peer has read."""
        self._waiting = True

    def _queue(self) -> None:
        """Carry out more in the next cycle; until all is, nothing more is read."""
        if not self._queued:
            self._queued = True
            postpone(self._steward, self.resume)

    def drained(self) -> None:
        """The peer has read."""
        if self._waiting and not self._gone:
            self._waiting = False
            self._queue()

    # ------------------------------------------------------------ for the session

    def send(self, data: bytes) -> None:
        """Send a message."""
        if self._outs is not None:
            self._outs.append(data)
        elif not self._gone:
            self._write([data])

    def close(self) -> None:
        """Close the connection."""
        if self._outs is None:
            self._depart()

    def _write(self, messages: list[bytes]) -> None:
        if messages:
            self._steward.write(frame(messages[0]) if len(messages) == 1 else b"".join(map(frame, messages)))

    def _depart(self) -> None:
        if not self._gone:
            self._gone = True
            self._steward.depart(b"")


class SocketConnection(Connection):
    """A WebSocket that carries a session: each message is a frame's."""

    framed = False

    def __init__(
        self, house: "LendingHouse", steward: Steward, address: str, channel: Channel, drains: "Drains"
    ) -> None:
        super().__init__(house, steward, address)
        self._channel = channel
        self._drains = drains
        self._strange = 0  # bytes that came before it was known from whom
        self._came = b""  # and were not handed on yet

    def received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._session.user_id is None:
            self._strange += len(data)
            if self._strange > STRANGE:
                self._session.end(FramingError("it says much, and not who it is"))
                return
        self._came += data
        if not self._queued:
            self.resume()

    def lost(self) -> None:
        """The peer has left, or sends no more."""
        if self._queued and not (self._gone or self._steward.closed):
            self._steward.exchange = self  # it is told again when what has come is carried out
        else:
            super().lost()

    def _handle(self) -> bool:
        data, self._came = self._came, b""
        late = self._channel.more  # so that nothing is received in this cycle when all is read now
        for kind, payload in self._channel.receive(data):
            if kind == "binary":
                self._session.feed(payload)
            elif kind == "text":
                self._channel.close(UNSUPPORTED, "messages are binary here")
                self._session.end(LendingError("a text"))
                return False
        return super()._handle() or late or self._channel.more

    def _wait(self) -> None:
        super()._wait()
        future: Future[None] = Future()
        future.add_done_callback(lambda _: self.drained())
        self._drains.watch(self._steward, future)

    def _write(self, messages: list[bytes]) -> None:
        for message in messages:
            self._channel.send_binary(message)
        self._flush()

    def _flush(self) -> None:
        if self._gone:
            return
        data = self._channel.take()
        if self._channel.over():
            self._gone = True
            self._session.end(DisconnectedError("the client has closed the connection"))
            self._steward.depart(data)
        elif data:
            self._steward.write(data)

    def _depart(self) -> None:
        if not self._gone:
            self._gone = True
            if not self._channel.closed:
                self._channel.close(GOING_AWAY, "the session has ended")
            self._steward.depart(self._channel.take())


class Refusal:
    """What the connection of a client that is one too many is handed to, which is told so and closed."""

    def received(self, data: bytes) -> None:
        """Nothing is read any more."""

    def lost(self) -> None:
        """It has read it, or left before."""


class LendingSteward(Steward):
    """A connection that never speaks HTTP."""

    house: "LendingHouse"
    _connection: Connection | None = None  # as long as TLS is not begun, or when there are too many

    def open(self) -> None:
        """Begin, with TLS or with a session."""
        super().open()
        if not self.remoter.shaking:
            self._begin()

    def _begin(self) -> None:
        if self.house.retiring:  # TLS was still to begin when the server began to go down
            self.close()
            return
        ca = self.remoter.ca
        try:
            self._connection = Connection(self.house, self, ca[0] if isinstance(ca, tuple) else "")
        except TotohioError as error:
            if self.server.bounds.max_connections - len(self.server.stewards) < ROOM:
                self.close()
                return
            self.adopt(Refusal())
            self.depart(frame(msgpack.packb({"o": "end", "a": [str(error)]})))
            return
        self.adopt(self._connection)
        self._settle()  # no deadline of HTTP's is this connection's

    def _shake(self) -> None:
        super()._shake()
        if not (self.closed or self.remoter.shaking or self.lingering or self.closing):
            self._settle()

    def _receive(self) -> None:
        """Hand over what has come; what the session sends then, or waits for, it says itself."""
        remoter = self.remoter
        if self._connection is None and not (self.lingering or self.closing):
            self._begin()  # TLS is begun
            if self._connection is None:
                return
        data = None if self.lingering else remoter.receive()
        if data is not None and self._connection is not None:
            self._connection.received(data)
        elif self.lingering:
            super()._receive()
        elif remoter.cutoff:
            self.close()
        elif remoter.ended:
            self._end()


class LendingSockets:
    """Begins sessions over WebSockets."""

    def __init__(self, house: "LendingHouse", dispatcher: "Dispatcher", settings: Settings) -> None:
        self._house = house
        self._dispatcher = dispatcher
        self._path = settings.remote_path
        self._max_size = settings.remote_max_frame

    def takes(self, request: Request) -> bool:
        """Tell whether a request asks for such a WebSocket."""
        return request.path == self._path

    def begin(self, handler: TotoHandler, request: Request) -> None:
        """Answer it: with a WebSocket, or with what is wrong. Pages cannot borrow, whatever their origin."""
        if b"origin" in request.fields:
            handler.set_status(403)
            handler.respond(error={"code": 403, "value": "Pages may not connect here."})
            return
        channel = Channel(max_size=self._max_size, compression=False)
        right, reply = channel.open(request)
        steward = handler._steward
        retiring = self._dispatcher.replier.retiring
        if not right or retiring or steward.requestant.begun or steward.requestant.requests:
            handler.set_status(503 if retiring else 400)
            handler.respond(error={"code": 400, "value": "This is no request for a WebSocket."})
            return
        try:
            drains = self._dispatcher.drains
            connection = SocketConnection(self._house, steward, request.remote_ip, channel, drains)
        except TotohioError as error:
            handler.set_status(503)
            handler.respond(error={"code": ERROR_TOO_MANY_REQUESTS, "value": str(error)})
            return
        handler._finish(0)
        steward.upgrade(reply, connection)
