"""Events: what a method, or anybody else, tells all who wait for it, here and in other processes."""

from collections.abc import Callable, Iterable
from typing import Any

from totohio.app.telling import Teller
from totohio.base.environing import Environment
from totohio.base.errors import ERROR_FORBIDDEN, ERROR_TOO_MANY_REQUESTS, TotoException, TotohioError
from totohio.base.futures import Future
from totohio.core.eventing import Handler, Registration, check_name
from totohio.net import offloading
from totohio.wire.packing import encode_msgpack


class EventManager:
    """Sends events, and tells whoever waits for them. A server has one; `instance` gives it.

    All methods may be called from any thread; handlers are called one after the other.

    Attributes:
        teller: Tells what the bus brings.
    """

    def __init__(
        self,
        *,
        environment: Environment,
        here: Callable[[], bool],
        post: Callable[..., None],
        teller: Teller,
        access: Callable[[Any, str], Any] | None = None,
    ) -> None:
        """Set it up.

        Args:
            environment: The server's; `instance` finds it there.
            here: Tells whether the calling thread is the one of the cycle.
            post: Has the cycle do something.
            teller: Tells what the bus brings.
            access: Tells of a handler and a name whether that client may be told of such events.
        """
        self.teller = teller
        self._access = access
        self._here = here
        self._post = post
        environment.shared[EventManager] = self

    # ------------------------------------------------------------ Toto's names

    @classmethod
    def instance(cls) -> "EventManager":
        """Give that of the server that the calling thread works for.

        Raises:
            TotohioError: It works for none.
        """
        environment = offloading.environment()
        found = environment.shared.get(EventManager) if environment is not None else None
        if found is None:
            raise TotohioError("EventManager.instance works while a totohio server runs, in what that server calls")
        manager: EventManager = found
        return manager

    @property
    def address(self) -> str | None:
        """Where it takes events from other hosts, as ``tcp://HOST:PORT``; None where it does not."""
        return getattr(self.teller.bus, "address", None)

    def start_listening(self) -> None:
        """Do nothing: a server listens by itself. It is there for programs that were written for Toto."""

    def register_server(self, address: str) -> None:
        """Send events to the server at ``tcp://HOST:PORT`` from now on, too.

        Raises:
            TotohioError: This server's events do not go that way, or it is registered already.
            ValueError: That is no address.
        """
        self._peers("register_server", address)

    def remove_server(self, address: str) -> None:
        """Send no more events to a server.

        Raises:
            TotohioError: This server's events do not go that way, or it is not registered.
        """
        self._peers("remove_server", address)

    def remove_all_servers(self) -> None:
        """Send no more events to other servers, as far as they were registered."""
        self._peers("remove_all_servers")

    def refresh_server_queue(self) -> None:
        """Shuffle the order in which servers have their turn with events that are not broadcast."""
        self._peers("refresh_server_queue")

    def send_to_server(self, address: str, event_name: str, event_args: Any = None) -> Future[None]:
        """Send an event to one registered server alone.

        Raises:
            TotohioError: This server's events do not go that way, or it is not registered.
            ValueError: No event can have this name.
            TotoException: The arguments cannot be sent.
        """
        name, data = check_name(event_name), encode_msgpack(event_args)
        return self._within(lambda: self._peer("send_to")(address, name, data))

    def send(self, event_name: str, event_args: Any = None, broadcast: bool = True) -> Future[None]:
        """Send an event.

        Args:
            event_name: What is called so: up to 200 printable characters, no star.
            event_args: Any serialisable value; everybody who is told gets a copy of their own.
            broadcast: To every process, this one included; False tells one process, each in turn.

        Returns:
            A Future that is done once the bus has taken the event. Nobody has to wait for it. It gets a `StoreError`
            when the bus cannot be reached; then nobody knows whether the event is told.

        Raises:
            ValueError: No event can have this name, or it is larger than ``event_max_size``.
            TotoException: 1000, the arguments cannot be sent; 1013, too many events wait to be told.
        """
        name, data = check_name(event_name), encode_msgpack(event_args)
        return self._within(lambda: self._send(name, data, broadcast))

    def register_handler(
        self,
        event_name: str,
        event_handler: Handler,
        run_on_main_loop: bool = False,
        request_handler: Any = None,
        persist: bool = False,
    ) -> Registration:
        """Have ``event_handler(event_args)`` called for the next event of a name.

        Args:
            event_name: The name.
            event_handler: What it raises is logged.
            run_on_main_loop: Call it in the cycle, where it must not block; False calls it in a worker thread, which
                calls all such handlers one after the other.
            request_handler: The handler of a request: once that is answered, or its client has left, the event handler
                is not called.
            persist: Call it for every event of the name.

        Returns:
            What `remove_handler` takes.

        Raises:
            ValueError: No event can have this name.
        """
        over = request_handler._over if request_handler is not None else _never
        registration = Registration(
            check_name(event_name), event_handler, persist=persist, offload=not run_on_main_loop, over=over
        )
        self._run(self.teller.waiters.add, registration)
        return registration

    def remove_handler(self, handler_sig: Registration) -> None:
        """Have a handler not be called any more; twice does no harm."""
        handler_sig.active = False
        self._run(self.teller.waiters.remove, handler_sig)

    def presence(self, event_name: str) -> Future[dict[str, Any]]:
        """Give a Future of who is subscribed to events of a name, in all processes.

        It gets ``{"present": [who, ...], "complete": bool}``: what each stream was begun with as ``who``, of those that
        were, at most a thousand of each process; and whether all processes have been heard. Called in the cycle.

        Raises:
            ValueError: No event can have this name.
        """
        name = check_name(event_name)
        found: Future[dict[str, Any]] = Future()
        here = self.teller.present(name)

        def answered(asked: Future[tuple[list[Any], bool]]) -> None:
            there, complete = asked.result()
            found.set_result({"present": here + there, "complete": complete})

        self.teller.bus.present(name).add_done_callback(answered)
        return found

    def admit(self, handler: Any, names: Iterable[str]) -> None:
        """See that a client may be told of events of some names and patterns.

        Raises:
            TotoException: 1016, it may not.
        """
        for name in names:
            if self._access is None or not self._access(handler, name):
                raise TotoException(ERROR_FORBIDDEN, f"You may not be told of {name}.")

    # ------------------------------------------------------------ the rest

    def _send(self, name: str, data: bytes, broadcast: bool) -> Future[None]:
        if not self.teller.room():
            raise _too_many()
        try:
            return self.teller.bus.send(name, data, broadcast=broadcast)
        except BufferError:
            raise _too_many() from None

    def _within(self, function: Callable[[], Future[None]]) -> Future[None]:
        """Do something in the cycle."""
        if self._here():
            return function()
        future: Future[None] = Future()

        def run() -> None:
            try:
                inner = function()
            except BaseException as error:
                future.set_exception(error)
            else:
                inner.add_done_callback(lambda done: _hand(done, future))

        self._post(run)
        return future

    def _run(self, function: Callable[[Registration], None], registration: Registration) -> None:
        if self._here() or not self.teller.running:
            function(registration)
        else:
            self._post(function, registration)

    def _peer(self, name: str) -> Any:
        found = getattr(self.teller.bus, name, None)
        if found is None:
            raise TotohioError("events of this server do not go to single servers: see the option event_bus")
        return found

    def _peers(self, name: str, *args: str) -> None:
        function = self._peer(name)
        if self._here() or not self.teller.running:
            function(*args)
        else:
            self._post(function, *args)


def _too_many() -> TotoException:
    return TotoException(ERROR_TOO_MANY_REQUESTS, "Too many events wait to be told.")


def _hand(done: Future[None], future: Future[None]) -> None:
    try:
        error = done.exception()
    except TotohioError as cancelled:
        error = cancelled
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(None)


def _never() -> bool:
    return False
