"""WebSockets: calls as messages of a connection that stays open, and messages that methods send on their own.

A message is ``{"method", "parameters"}``. With an ``"id"`` it is answered with ``{"id", "result"}`` or ``{"id",
"error"}``; without one nothing is sent but errors, ``{"error"}``. Calls run together; answers come as they are ready.

A client that has too many calls under way is not read from until one is done. One that does not read is closed, or
loses what would be too much; nor is anything read from one whose pings have brought more answers than it has read. In a
cycle a slice is read of what has come from a client. All that a call has written is durable before it is answered.
"""

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from totohio.app.handling import TotoHandler
from totohio.app.messaging import SocketHandler
from totohio.app.settings import Settings
from totohio.base.errors import (
    ERROR_INVALID_METHOD,
    ERROR_MALFORMED_BODY,
    ERROR_MISSING_METHOD,
    TotoException,
)
from totohio.base.expiring import Deadlines
from totohio.base.futures import Future
from totohio.core.registering import Registry
from totohio.net.stewarding import Steward
from totohio.net.upgrading import postpone
from totohio.wire.packing import decode_json, decode_msgpack, encode_json, encode_msgpack
from totohio.wire.requesting import Request
from totohio.wire.upgrading import GOING_AWAY, TRY_AGAIN_LATER, UNSUPPORTED, Channel

if TYPE_CHECKING:
    from totohio.app.dispatching import Dispatcher

logger = logging.getLogger("totohio")

PING = b"totohio"


class Sockets:
    """The WebSockets of a server.

    Attributes:
        open: They.
        pings: Those that have said nothing, by when they are asked whether they are there.
        pongs: Those that were asked, or are closing, by when they are given up.
    """

    def __init__(self, dispatcher: "Dispatcher", settings: Settings, registry: Registry, *, msgpack: bool) -> None:
        self.dispatcher = dispatcher
        self.settings = settings
        self.registry = registry
        self.msgpack = msgpack
        self.pings: Deadlines[WebSocket] = Deadlines(settings.web_socket_ping)
        self.pongs: Deadlines[WebSocket] = Deadlines(settings.web_socket_timeout)
        self._path = f"{settings.root.rstrip('/')}/{settings.web_socket_path.strip('/')}"
        self._origins = {text.strip().lower() for text in settings.web_socket_origins.split(",") if text.strip()}

    def takes(self, request: Request) -> bool:
        """Tell whether a request asks for a WebSocket."""
        path = request.path
        return path == self._path or path.startswith(self._path + "/")

    def begin(self, handler: TotoHandler, request: Request) -> None:
        """Answer it: with a WebSocket, or with what is wrong."""
        if not self._allowed(request):
            handler.set_status(403)
            handler.respond(error={"code": 403, "value": "Pages of this origin may not connect."})
            return
        settings = self.settings
        channel = Channel(max_size=settings.max_web_socket_message, compression=settings.web_socket_compression)
        right, reply = channel.open(request)
        steward = handler._steward
        if not right or self.dispatcher.replier.retiring or steward.requestant.begun or steward.requestant.requests:
            handler.set_status(503 if self.dispatcher.replier.retiring else 400)
            handler.respond(error={"code": 400, "value": "This is no request for a WebSocket."})
            return
        suffix = request.path[len(self._path) + 1 :]
        if suffix:
            fields = {**request.fields, b"x-toto-session-id": suffix.encode("latin-1")}
            request = Request(**{**_attributes(request), "fields": fields})
        handler._finish(0)
        WebSocket(self, channel, steward, request).start(reply)

    def service(self, tyme: float) -> None:
        """Ask those who have said nothing, and give up those who do not answer."""
        if self.pings.due() <= tyme:
            for socket in self.pings.take(tyme):
                socket.ask()
        if self.pongs.due() <= tyme:
            for socket in self.pongs.take(tyme):
                socket.give_up()

    def due(self) -> float:
        """The tyme at which the first of them is to be asked, or given up."""
        return min(self.pings.due(), self.pongs.due())

    def _allowed(self, request: Request) -> bool:
        """Tell whether a page of this origin may connect (RFC 6455, 10.2); who has none is no page."""
        origin = request.fields.get(b"origin")
        if origin is None or "*" in self._origins:
            return True
        text = origin.decode("latin-1").lower()
        host = request.fields.get(b"host", b"").decode("latin-1").lower()
        return text in self._origins or urlsplit(text).netloc == host


def _attributes(request: Request) -> dict[str, Any]:
    names = ("method", "uri", "path", "query", "version", "fields", "keep_alive", "length", "body", "remote", "secure")
    return {name: getattr(request, name) for name in names}


class WebSocket:
    """One of them: what the connection's bytes are handed to, and what its handlers send with.

    Attributes:
        request: The request that began it.
        steward: The connection.
        verified: The id of the session that a signature has been verified for; None before.
        closed: Nothing can be sent any more.
    """

    def __init__(self, sockets: Sockets, channel: Channel, steward: Steward, request: Request) -> None:
        self.request = request
        self.steward = steward
        self.verified: str | None = None
        self._sockets = sockets
        self._dispatcher = sockets.dispatcher
        self._channel = channel
        self._calls: dict[SocketHandler, None] = {}
        self._gone = False
        self._leaving = False
        self._queued = False  # more of what has come is read in the next cycle
        self._waiting = False  # for the peer to read
        self._held = False  # nothing more is received

    def __repr__(self) -> str:
        return f"<WebSocket of {self.steward.remoter.ca}>"

    @property
    def closed(self) -> bool:
        """Nothing can be sent any more."""
        return self._gone or self._channel.closed

    def start(self, reply: bytes) -> None:
        """Take over the connection."""
        self.steward.upgrade(reply, self)
        self._sockets.pings.set(self, self._dispatcher.lot.tyme)
        self._dispatcher.events.teller.join(self)

    def send(self, data: Any, *, binary: bool = False) -> None:
        """Send a message, unless too much waits already.

        Raises:
            TotoException: 1000, it cannot be sent.
        """
        packed = encode_msgpack(data) if binary else encode_json(data)
        settings = self._sockets.settings
        if self.closed:
            return
        if self.steward.remoter.pending + len(packed) > settings.max_web_socket_buffer:
            if settings.web_socket_overflow == "close":
                self.close(TRY_AGAIN_LATER, "too much waits to be read")
            return
        if binary:
            self._channel.send_binary(packed)
        else:
            self._channel.send_text(packed)
        self._flush()

    def close(self, code: int, reason: str = "") -> None:
        """Begin to close it."""
        if not self.closed:
            self._channel.close(code, reason)
            self._sockets.pings.drop(self)
            self._sockets.pongs.set(self, self._dispatcher.lot.tyme)
            self._flush()

    # ------------------------------------------------------------ what the connection tells

    def received(self, data: bytes) -> None:
        """Bytes have come."""
        tyme = self._dispatcher.lot.tyme
        if not self._channel.closed:
            self._sockets.pongs.drop(self)
            self._sockets.pings.set(self, tyme)
        self._read(data)

    def lost(self) -> None:
        """The peer has left, or sends no more."""
        if self._gone:
            return
        if self._queued and not self.steward.closed:
            self.steward.exchange = self  # it is told again when what has come is carried out
            return
        self._gone = True
        self._sockets.pings.drop(self)
        self._sockets.pongs.drop(self)
        self._dispatcher.events.teller.leave(self)
        for call in list(self._calls):
            call._drop()
        if not self.steward.closed:
            self.steward.close()

    # ------------------------------------------------------------ what the server tells

    def ask(self) -> None:
        """It has said nothing for a while."""
        if not self.closed:
            self._channel.ping(PING)
            self._sockets.pongs.set(self, self._dispatcher.lot.tyme)
            self._flush()

    def give_up(self) -> None:
        """It does not answer."""
        self.steward.close()

    def beat(self) -> None:
        """It is asked in another way whether it is there."""

    def retire(self) -> None:
        """The server goes down: take no more, and close when what is under way is answered."""
        self._leaving = True
        if not self._calls:
            self.close(GOING_AWAY, "the server goes down")

    # ------------------------------------------------------------ reading

    def _read(self, data: bytes = b"") -> None:
        """Carry out a slice of what has come."""
        if self._gone:
            return
        for kind, payload in self._channel.receive(data):
            if kind == "text":
                self._take(payload.encode(), binary=False)
            elif kind == "binary":
                self._take(payload, binary=True)
        self._flush()
        self._pace()

    def _queue(self) -> None:
        self._queued = True
        postpone(self.steward, self._resume)

    def _resume(self) -> None:
        self._queued = False
        if self._channel.more and not self._full():
            self._queue()  # so that nothing is received in this cycle when all is read now
            self._read()
        else:
            self._pace()

    def _full(self) -> bool:
        """Tell whether it has to wait, for the peer or for calls."""
        return self._waiting or len(self._calls) >= self._sockets.settings.max_web_socket_calls

    def _pace(self) -> None:
        """Receive more, or not before what has come is carried out, and there is room for answers."""
        if self._gone:
            return
        steward = self.steward
        if steward.remoter.pending > self._sockets.settings.max_web_socket_buffer and not self._waiting:
            self._waiting = True
            future: Future[None] = Future()
            future.add_done_callback(self._drained)
            self._dispatcher.drains.watch(steward, future)
        full = self._full()
        if self._channel.more and not full and not self._queued:
            self._queue()
        held = full or self._queued
        if held is not self._held:
            self._held = held
            steward.hold(held)

    def _drained(self, _: Future[None]) -> None:
        """The peer has read, or is gone."""
        self._waiting = False
        self._pace()

    # ------------------------------------------------------------ calls

    def done(self, call: "SocketHandler") -> None:
        """A call is over."""
        self._calls.pop(call, None)
        if self._held:
            self._pace()
        if self._leaving and not self._calls:
            self.close(GOING_AWAY, "the server goes down")

    def _take(self, payload: bytes, *, binary: bool) -> None:
        """Carry out a message."""
        if binary and not self._sockets.msgpack:
            self.close(UNSUPPORTED, "only texts are taken")
            return
        if self.closed or self._leaving:
            return
        handler = SocketHandler(self, binary=binary)
        self._calls[handler] = None
        try:
            message = decode_msgpack(payload) if binary else decode_json(payload)
            if not isinstance(message, dict):
                raise TotoException(ERROR_MALFORMED_BODY, "A message is an object.")
            handler.message_id = message.get("id")
            handler.body = message
            name = message.get("method")
            if not isinstance(name, str) or not name:
                raise TotoException(ERROR_MISSING_METHOD, "Missing method.")
            method = self._sockets.registry.find(name)
            handler._enter(name if method is not None else name[:100])
            if method is None:
                raise TotoException(ERROR_INVALID_METHOD, f"Cannot call '{name}'.")
            parameters = message.get("parameters", {})
            self._dispatcher.invoke(handler, method, parameters, False)
        except BaseException as error:  # a method may raise SystemExit: that is its own end, not the server's
            handler._fail(error)

    def _flush(self) -> None:
        """Send what there is to send, and let go of a connection that is done."""
        if self._gone:
            return
        data = self._channel.take()
        if self._channel.over():
            self._gone = True
            self._sockets.pings.drop(self)
            self._sockets.pongs.drop(self)
            self._dispatcher.events.teller.leave(self)
            for call in list(self._calls):
                call._drop()
            self.steward.depart(data)
        elif data:
            self.steward.write(data)
