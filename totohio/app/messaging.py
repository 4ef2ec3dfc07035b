"""What a method is handed that is called over a WebSocket."""

from typing import TYPE_CHECKING, Any

from totohio.app.handling import Parked, TotoHandler
from totohio.app.refusing import Refusing
from totohio.base.errors import ERROR_SERVER, TotoException
from totohio.core.registering import Method
from totohio.core.session import TotoSession
from totohio.wire.packing import MSGPACK

if TYPE_CHECKING:
    from totohio.app.socketing import WebSocket


class SocketHandler(Refusing, TotoHandler):
    """One message of a WebSocket that calls a method: what that gets as its handler.

    It knows the request that began the connection, and sends messages instead of a reply.

    Attributes:
        socket: The WebSocket.
        message_id: The id of the message; None without one.
    """

    __slots__ = ("_binary", "message_id", "socket")

    refusal = "be sent over a WebSocket"

    def __init__(self, socket: "WebSocket", *, binary: bool) -> None:
        super().__init__(socket._dispatcher, socket.steward, socket.request)
        self.socket = socket
        self.message_id: Any = None
        self._binary = binary
        if binary:
            self.response_type = self._format = MSGPACK
        if socket.verified is not None:  # it is signed once, when it begins
            self.__dict__["_hmac_handler"] = self._verified

    def __repr__(self) -> str:
        return f"<SocketHandler {self.name!r}>"

    @property
    def closed(self) -> bool:
        """The connection is closed, or is closing."""
        return self.socket.closed

    def send_message(self, data: Any, message_id: Any = None) -> None:
        """Send a message to the client, now or at any time later; for any thread.

        Args:
            data: Any serialisable value.
            message_id: With it the message is ``{"message_id", "data"}``.

        Raises:
            TotoException: 1000, it cannot be sent.
        """
        message = data if message_id is None else {"message_id": message_id, "data": data}
        if self._dispatcher.here():
            self.socket.send(message, binary=self._binary)
        else:
            self._dispatcher.post(self.socket.send, message)

    def respond(self, result: Any = None, error: Any = None) -> None:
        """Answer the message, if it has an id; for any thread. After the first answer others are ignored."""
        if not self._dispatcher.here():
            self._dispatcher.post(self.respond, result, error)
            return
        unit = self._unit
        if self._finished or (
            unit is not None
            and unit.tickets
            and self._hold([unit], lambda errors: self.respond(result, errors[0] if errors else error))
        ):
            return
        self._answer_message(result, error)

    # ------------------------------------------------------------ for the dispatcher

    def _verified(self, handler: Any, session: TotoSession) -> bool:
        return session.session_id == self.socket.verified

    def _over(self) -> bool:
        return self.socket.closed

    def _answer(self, method: Method, result: Any) -> None:
        self._settle(method, result, None)

    def _settle(self, method: Method, result: Any, error: BaseException | None) -> None:
        if self._finished:
            return
        if error is not None:
            self._fail(error, method)
        elif method.marks.asynchronous and result is None:
            self._wait()
        else:
            self.respond(result)

    def _fail(self, error: BaseException, method: Method | None = None) -> None:
        if self.socket.closed and isinstance(error, (ConnectionError, TotoException)):
            self._conclude(ERROR_SERVER)  # nobody is there to be told
            return
        try:
            self.respond(error=error)
        except BaseException as failure:
            self._dispatcher.report(failure, self)
            self._conclude(ERROR_SERVER)

    def _wait(self, run: Parked | None = None) -> None:
        if not self._finished:
            self._run = run
            self._dispatcher.waits.set(self, self._dispatcher.lot.tyme)

    def _answer_message(self, result: Any, error: Any) -> None:
        session = self.session
        if session is not None and session.key and session.session_id:
            self.socket.verified = session.session_id
        form = self._dispatcher.error_form(error, self) if error is not None else None
        message: dict[str, Any] = {} if self.message_id is None else {"id": self.message_id}
        if form is not None:
            message["error"] = form
        else:
            message["result"] = result
        if session is not None and session.session_id:
            message["session"] = session.block()
        self._finished = True  # what sending does is not to answer once more
        try:
            if form is not None or self.message_id is not None:
                self.socket.send(message, binary=self._binary)
        except TotoException as failure:
            form = self._dispatcher.error_form(failure, self)
            message.pop("result", None)
            self.socket.send({**message, "error": form}, binary=self._binary)
        finally:
            self._finished = False
            self._conclude(form.get("code", ERROR_SERVER) if form is not None else 0)

    def _conclude(self, code: Any) -> None:
        """The call is over."""
        if not self._finished:
            self._dispatcher.waits.drop(self)
            self._finish(code)
            self.socket.done(self)

    def _drop(self) -> None:
        """The client has left: what its method still does is for nobody."""
        self._unbind()
        if self._run is None:
            self._conclude(0)
