"""The part of the handler that knows of events: what it waits for, and replies that stay open for them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from totohio.app.identifying import Identified
from totohio.app.streaming import EventStream, Poll, Stream
from totohio.base.futures import Future
from totohio.core.eventing import Handler, Registration, Subscription, Wait, check_name
from totohio.core.recovering import Event

if TYPE_CHECKING:
    from totohio.app.eventing import EventManager


MANY = 32  # bonds of one request after which those that are over are forgotten

Bond = Registration | Wait | Stream | Poll


class Bonds(list[Bond]):
    """What a request has asked of the events, and what is to end with it."""

    __slots__ = ()

    def bind(self, bond: Bond) -> None:
        """Add one; when there are many, forget those that are over."""
        if len(self) % MANY == MANY - 1:
            self[:] = [each for each in self if not _over(each)]
        self.append(bond)

    def streaming(self) -> bool:
        """Tell whether a stream of the request is open."""
        return any(isinstance(bond, Stream) and not bond.closed for bond in self)


def _over(bond: Bond) -> bool:
    return not bond.active if isinstance(bond, (Registration, Wait)) else bond.closed


class Listening(Identified):
    """Waits for events on behalf of one request."""

    __slots__ = ("_bonds",)

    _bonds: Bonds | None

    @property
    def event_manager(self) -> "EventManager":
        """The events of this server."""
        return self._dispatcher.events

    def event(self, name: str, timeout: float | None = None) -> Future[Any]:
        """Give a Future of the arguments of the next event of a name: ``args = yield handler.event("news")``.

        Args:
            name: The name.
            timeout: Seconds of tyme; None for as long as ``async_timeout`` allows.

        Returns:
            A Future. It gets error 1014 when no event comes in time or the server goes down, and a
            ConnectionAbortedError when the client leaves.

        Raises:
            ValueError: No event can have this name.
        """
        wait = self.event_manager.teller.expect(name, timeout, self._over)
        self._bind(wait)
        return wait

    def register_event_handler(
        self,
        event_name: str,
        handler: Handler,
        run_on_main_loop: bool = True,
        deregister_on_finish: bool = False,
    ) -> Registration:
        """Have ``handler(event_args)`` called for the next event of a name, unless this request is over before.

        Args:
            event_name: The name.
            handler: Mostly responds; what it raises is logged.
            run_on_main_loop: Call it in the cycle, where it must not block; False calls it in a worker thread.
            deregister_on_finish: It is forgotten at once when the request is over, in any case; for Toto's methods.

        Returns:
            What `deregister_event_handler` takes.

        Raises:
            ValueError: No event can have this name.
        """
        registration = self.event_manager.register_handler(event_name, handler, run_on_main_loop, self)
        self._bind(registration)
        return registration

    def deregister_event_handler(self, sig: Registration) -> None:
        """Have a handler not be called; twice does no harm."""
        self.event_manager.remove_handler(sig)

    def stream(self) -> Stream:
        """Begin a reply of server-sent events; a generator sends them, and its end is that of the stream."""
        stream = Stream(self, self.event_manager.teller)
        self._bind(stream)
        return stream

    def event_stream(self, names: str | Iterable[str], last_id: str | None = None, who: Any = None) -> EventStream:
        """Begin a reply that tells the client of all events of some names: ``yield handler.event_stream(names).over``.

        Who may be told what is for the method to decide.

        Args:
            names: Names, and patterns in which a star stands for any characters.
            last_id: The id of the last event that the client has seen; None takes that of ``Last-Event-ID``.
            who: Tells others who is subscribed; any serialisable value.

        Raises:
            ValueError: One is no name.
        """
        teller = self.event_manager.teller
        wanted = [check_name(name, pattern=True) for name in ([names] if isinstance(names, str) else names)]
        if last_id is None:
            last_id = self.request.headers.get("last-event-id")

        def subscribe(notify: Any) -> tuple[Subscription, str, list[Event], bool]:
            subscription = teller.subscription(wanted, notify, who)
            return subscription, *teller.subscribe(subscription, last_id)

        stream = EventStream(self, teller, subscribe)
        self._bind(stream)
        return stream

    def events_since(
        self, names: str | Iterable[str], last_id: str | None = None, timeout: float | None = None
    ) -> Future[dict[str, Any]]:
        """Give a Future of what has happened since an event; when nothing has, it waits for the next.

        Args:
            names: Names, and patterns in which a star stands for any characters.
            last_id: The id of the last event that the client has seen; without one the answer comes at once, and tells
                the client where it is.
            timeout: Seconds of tyme after which the answer comes without an event.

        Returns:
            A Future of ``{"events": [{"name", "args", "id"}, ...], "last_id", "recovered"}``; the last tells whether
            these are all events since then.

        Raises:
            ValueError: One is no name.
        """
        wanted = [check_name(name, pattern=True) for name in ([names] if isinstance(names, str) else names)]
        poll = Poll(self.event_manager.teller, wanted, last_id, timeout)
        if not poll.closed:
            self._bind(poll)
        return poll.future

    # ------------------------------------------------------------ for the handler

    def _over(self) -> bool:
        return self._finished or self._steward.closed

    def _bind(self, bond: Bond) -> None:
        if self._bonds is None:
            self._bonds = Bonds()
        self._bonds.bind(bond)

    def _unbind(self) -> None:
        """The request is over, or its client has left."""
        bonds, self._bonds = self._bonds, None
        if bonds is None:
            return
        for bond in bonds:
            if isinstance(bond, Wait):
                if bond.active:
                    bond.give_up(ConnectionAbortedError("the client has left, or its call is over"))
            elif isinstance(bond, Registration):
                self.event_manager.remove_handler(bond)
            else:
                bond.lost()
