"""Replies that stay open: server-sent events, made by a method or taken from the bus."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from totohio.base.futures import Future
from totohio.core.eventing import Item, Subscription
from totohio.core.recovering import Event
from totohio.net.stewarding import Steward
from totohio.wire.packing import encode_json
from totohio.wire.streaming import CONTENT_TYPE, HEARTBEAT, message

if TYPE_CHECKING:
    from totohio.app.listening import Listening
    from totohio.app.telling import Teller

TAKE = 64  # events that are sent to a client at a time
RETRY = 0.5  # seconds after which a client whose stream has ended is to come again


class Poll:
    """A client that asks what has happened since an event, and waits when nothing has.

    Attributes:
        future: Gets the answer.
    """

    def __init__(self, teller: "Teller", names: Sequence[str], last_id: str | None, timeout: float | None) -> None:
        """Ask.

        Args:
            teller: The server's.
            names: Names and patterns of the events.
            last_id: The id of the last event that the client has seen; without one it learns where it is now.
            timeout: Seconds of tyme that it waits.
        """
        self.future: Future[dict[str, Any]] = Future()
        self._teller = teller
        self._happened: Future[None] = Future()
        self._subscription = teller.subscription(names, self._notified, None)
        here, missed, self._recovered = teller.subscribe(self._subscription, last_id)
        if last_id is None or missed or not self._recovered:
            self._answer(here, missed)
        else:
            self._happened.add_done_callback(self._done)
            teller.await_(self._happened, timeout)

    @property
    def closed(self) -> bool:
        """Whether it has its answer."""
        return self.future.done()

    def lost(self) -> None:
        """The client has left, or its call is over."""
        self._teller.subscriptions.remove(self._subscription)
        if not self.future.done():
            self.future.set_exception(ConnectionAbortedError("the client has left"))

    def _notified(self, _: Subscription) -> None:
        if not self._happened.done():
            self._happened.set_result(None)

    def _done(self, _: Future[None]) -> None:
        """Something has happened, or the time is over."""
        if not self.future.done():
            self._teller.pump(self._conclude)

    def _conclude(self) -> None:
        """Answer, in the turn of this client: what has happened in the same cycle goes along."""
        if self.future.done():
            return
        events = []
        for item in self._subscription.take(len(self._subscription)):
            if isinstance(item, Event):
                events.append(item)
            else:
                self._recovered = False
        self._answer(self._teller.history.position(), events)

    def _answer(self, here: str, events: list[Event]) -> None:
        subscription = self._subscription
        self._teller.subscriptions.remove(subscription)
        told = [{"name": e.name, "args": e.args, "id": subscription.position(e.id)} for e in events]
        last = subscription.position(here)
        self.future.set_result({"events": told, "last_id": last, "recovered": self._recovered})


class Stream:
    """A reply of server-sent events that stays open until the method returns, `close` or the client ends it.

    Nothing between server and client may keep it: it is not to be cached, not changed and not buffered by proxies, and
    where the method has nothing to say for a while a comment goes out, which browsers do not see.

    Attributes:
        handler: The handler of the request.
        over: Done when the stream has ended, whoever has ended it; never an error.
    """

    def __init__(self, handler: "Listening", teller: "Teller") -> None:
        """Begin the reply."""
        self.handler = handler
        self.over: Future[None] = Future()
        self._teller = teller
        handler.set_header("Cache-Control", "no-cache, no-transform")
        handler.set_header("X-Accel-Buffering", "no")
        handler._send_raw(b"", CONTENT_TYPE, False)
        teller.join(self)

    def __repr__(self) -> str:
        return f"<Stream of {self.handler!r}>"

    @property
    def closed(self) -> bool:
        """It has ended."""
        return self.over.done()

    def send(self, data: Any, *, event: str = "", id: str = "", retry: float | None = None) -> Future[None]:
        """Send a message; for any thread.

        Args:
            data: Its text, or any other serialisable value, which is sent as JSON.
            event: What the listener is called that is told; "" for ``message``.
            id: What the client is to name in ``Last-Event-ID`` when it comes again.
            retry: Seconds after which the client is to come again when the connection ends.

        Returns:
            A Future that is done when the client has taken enough for the next message: a generator that yields it
            sends no faster than the client reads.

        Raises:
            ValueError: The id or the name cannot be sent.
            TotoException: 1000, the data cannot be sent.
            BufferError: More than ``max_stream_buffer`` bytes wait for the client; yield the Future.
            ConnectionAbortedError: The client has left.
        """
        text = data if isinstance(data, str) else encode_json(data)
        return self.handler.respond_raw(message(text, event=event, id=id, retry=retry), CONTENT_TYPE, finish=False)

    def close(self) -> None:
        """End it; twice does no harm. Called in the cycle."""
        if self._end():
            self.handler._send_raw(b"", CONTENT_TYPE, True)

    # ------------------------------------------------------------ for the teller and the handler

    def beat(self) -> None:
        """Show that the connection is in use; what waits for the client does that too."""
        if self.handler._steward.remoter.pending:
            self._teller.heartbeats.set(self, self._teller.tyme)
        else:
            self._write(self._pulse())

    def retire(self) -> None:
        """The server goes down: say so, and end."""
        if not self.closed:
            self._write(message("{}", event="close"))
            self.close()

    def lost(self) -> None:
        """The client has left, or the method is over."""
        self._end()

    def _pulse(self) -> bytes:
        return HEARTBEAT

    def _write(self, data: bytes, send: Callable[[bytes], None] | None = None) -> None:
        try:
            if send is None:
                self.handler._send_raw(data, CONTENT_TYPE, False)
            else:
                send(data)
        except (BufferError, ConnectionError):
            self._end()
            self.handler._abort()
        else:
            self._teller.heartbeats.set(self, self._teller.tyme)

    def _end(self) -> bool:
        if self.closed:
            return False
        self._teller.leave(self)
        self.over.set_result(None)
        return True


class EventStream(Stream):
    """A stream of the events of some names.

    Its messages are called by the name of the event; the data is what it was sent with, as JSON. There are three of its
    own. ``recovered`` comes first and tells with ``{"recovered": true}`` whether what follows is all that the client
    has missed. ``gap`` stands where some are missing, since the client has read too slowly or the bus has lost them.
    ``close`` is the last one when the server goes down.

    Attributes:
        subscription: What waits for the client.
    """

    def __init__(
        self,
        handler: "Listening",
        teller: "Teller",
        subscribe: "Begin",
    ) -> None:
        """Begin the reply with what the client has missed.

        Args:
            handler: The handler of the request.
            teller: The server's.
            subscribe: Makes the subscription with the function that is to be called when something waits, and gives it
                with the position of the client, what it has missed, and whether that is all.
        """
        self._blocked = False
        self._waiting = False
        self._gapped = False  # the last that it was told is that something is missing
        self.subscription, self._id, missed, recovered = subscribe(self._soon)
        super().__init__(handler, teller)
        self._chunked = handler._dispatcher.replier.chunked(handler.request, handler._status)
        told = b'{"recovered":%b}' % (b"true" if recovered else b"false")
        parts = [message(told, event="recovered", retry=RETRY)]
        parts += [message(event.text, event=event.name, id=self.subscription.position(event.id)) for event in missed]
        parts.append(message(None, id=self._id))
        self._write(b"".join(parts))

    def _soon(self, _: Subscription) -> None:
        """Something waits: send it in turn, unless that is so already."""
        if not self._waiting:
            self._waiting = True
            if not self._blocked:
                self._teller.pump(self._pour)

    def _pour(self) -> None:
        """Send what waits, and go on when the client has taken it."""
        if self.closed:
            return
        self._waiting = False
        subscription = self.subscription
        items = subscription.take(TAKE)
        first = items[0] if len(items) == 1 else None
        if type(first) is Event and self._chunked and not subscription.ahead:
            self._id = first.id
            self._gapped = False
            self._write(first.chunk, self.handler._send_chunk)  # what all send alike is made once
        else:
            self._compose(items)
        if subscription.lost:
            self.retire()
        elif not self.over.done():
            steward: Steward = self.handler._steward
            if steward.remoter.pending:
                self._blocked = True
                self.handler.flush().add_done_callback(self._go_on)

    def _compose(self, items: Sequence[Item]) -> None:
        """Send several items together."""
        subscription, parts = self.subscription, []
        for item in items:
            if isinstance(item, Event):
                if subscription.ahead:
                    self._id = subscription.position(item.id)
                    parts.append(message(item.text, event=item.name, id=self._id))
                else:
                    self._id = item.id
                    parts.append(item.message)
                self._gapped = False
            elif not self._gapped:
                self._gapped = True
                parts.append(GAP_MESSAGE)
        self._write(b"".join(parts))

    def _go_on(self, _: Future[None]) -> None:
        self._blocked = False
        if self._waiting and not self.closed:
            self._teller.pump(self._pour)

    def _pulse(self) -> bytes:
        """Tell how far the client has come, though nothing that it wants has happened."""
        if self._blocked or len(self.subscription):
            return HEARTBEAT
        self._id = self.subscription.position(self._teller.history.position())
        return message(None, id=self._id)

    def _end(self) -> bool:
        self._teller.subscriptions.remove(self.subscription)
        return super()._end()


Begin = Callable[[Callable[[Subscription], object]], tuple[Subscription, str, list[Event], bool]]

GAP_MESSAGE = message("{}", event="gap")
