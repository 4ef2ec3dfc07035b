"""What a method is handed: the handler of its request, or of its part of a batch."""

import hashlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from totohio.app.replying import FRAMING, Replier, raw_bytes
from totohio.base.errors import ERROR_SERVER, ERROR_TIMED_OUT, TotoException
from totohio.base.futures import Future
from totohio.core.invoking import Run
from totohio.core.registering import Method
from totohio.net.stewarding import Steward
from totohio.wire.packing import JSON
from totohio.wire.requesting import Request

if TYPE_CHECKING:
    from totohio.app.dispatching import Dispatcher

logger = logging.getLogger("totohio")

BeforeHandler = Callable[["TotoHandler", str, str], Any]
AfterHandler = Callable[["TotoHandler", str], Any]


class TotoHandler:
    """One request on its way through the server.

    A method gets it as its first argument. It knows the request, and it sends the reply: mostly by
    itself, with what the method returns; or when the method calls `respond`, from any thread.

    Attributes:
        request: The request: method, path, uri, headers, body, remote_ip.
        body: The decoded body; None for a GET.
        response_type: The content type of the reply; a ``raw_response`` method may set its own.
        headers_only: The request is a HEAD: the method runs, the body of its reply is not sent.
        session: The session of the caller, None without one.
        transaction_id: Names this request in logs; "" unless before or after handlers are set.
    """

    __slots__ = (
        "_callback",
        "_dispatcher",
        "_finished",
        "_headers",
        "_methods",
        "_run",
        "_started",
        "_status",
        "_steward",
        "_streaming",
        "body",
        "headers_only",
        "name",
        "request",
        "response_type",
        "session",
        "transaction_id",
    )

    _before: ClassVar[BeforeHandler | None] = None
    _after: ClassVar[AfterHandler | None] = None

    def __init__(self, dispatcher: "Dispatcher", steward: Steward, request: Request) -> None:
        self._dispatcher = dispatcher
        self._steward = steward
        self.request = request
        self.name = ""
        self.body: Any = None
        self.response_type = JSON
        self.headers_only = False
        self.session: Any = None
        self.transaction_id = ""
        self._status = 200
        self._headers: list[tuple[str, str]] | None = None
        self._methods: list[tuple[Method, Any]] | None = None
        self._callback: str | None = None
        self._run: Run | None = None
        self._finished = False
        self._streaming = False
        self._started = 0.0

    def __repr__(self) -> str:
        return f"<TotoHandler {self.request.method} {self.name or self.request.path!r}>"

    # ------------------------------------------------------------ hooks

    @classmethod
    def set_before_handler(cls, before_handler: BeforeHandler | None) -> None:
        """Have ``before_handler(handler, transaction_id, method_name)`` called before each request.

        The name of a batch is ``"<batch>"``. What it raises becomes the reply. None takes it away again.
        """
        cls._before = staticmethod(before_handler) if before_handler is not None else None

    @classmethod
    def set_after_handler(cls, after_handler: AfterHandler | None) -> None:
        """Have ``after_handler(handler, transaction_id)`` called after each reply; None takes it away again."""
        cls._after = staticmethod(after_handler) if after_handler is not None else None

    # ------------------------------------------------------------ the reply

    def respond(self, result: Any = None, error: Any = None) -> None:
        """Reply with a result or an error; for any thread. After the first reply others are ignored.

        Args:
            result: Any serialisable value; None is left out of the reply.
            error: A `TotoException`, any other exception (sent as error 1000), or a finished error object.
        """
        if not self._dispatcher.here():
            self._dispatcher.post(self.respond, result, error)
        elif not self._finished:
            if error is not None:
                self._reply_error(error)
            elif self._callback is not None and result is not None:
                self._reply_jsonp(result)
            else:
                self._reply({} if result is None else {"result": result})

    def respond_raw(self, body: Any, content_type: str, finish: bool = True) -> Future[None]:
        """Send bytes as they are; for any thread.

        With ``finish=False`` it sends one piece of the body and leaves the reply open for more; a method
        that returns finishes it, an asynchronous one finishes it with ``finish=True``.

        Args:
            body: Bytes, or a text that is sent as UTF-8.
            content_type: Of the reply; that of the first piece counts.
            finish: This is all, or the last piece.

        Returns:
            A Future that is done when the peer has taken enough for the next piece: a generator that
            yields it sends no faster than the peer reads.

        Raises:
            TypeError: The body is neither bytes nor text.
            BufferError: More than ``max_stream_buffer`` bytes wait for the peer; yield the Future.
        """
        data = raw_bytes(body)
        if not self._dispatcher.here():
            self._dispatcher.post(self._send_raw, data, content_type, finish)
            return self._dispatcher.when_drained(self._steward, posted=True)
        self._send_raw(data, content_type, finish)
        return self._dispatcher.when_drained(self._steward)

    def flush(self) -> Future[None]:
        """Give a Future that is done when the peer has taken what was sent so far."""
        return self._dispatcher.when_drained(self._steward, posted=not self._dispatcher.here())

    def redirect(self, url: str, permanent: bool = False, status: int | None = None) -> None:
        """Reply with a redirect to ``url``: 302, 301 when permanent, or another status of the 300s."""
        self.set_header("Location", url)
        self._status = status or (301 if permanent else 302)
        self._send(b"", "text/html; charset=UTF-8")

    def set_status(self, status: int, reason: str | None = None) -> None:
        """Set the HTTP status of the reply; the reason phrase is always that of the standard.

        Raises:
            ValueError: It is no final status.
        """
        if not 200 <= status <= 999:
            raise ValueError(f"{status} is no final HTTP status")
        self._status = status

    def set_header(self, name: str, value: Any) -> None:
        """Set a header of the reply, replacing any of that name.

        Raises:
            ValueError: The name or value cannot be sent, or the header is the server's own.
        """
        self.clear_header(name)
        self.add_header(name, value)

    def add_header(self, name: str, value: Any) -> None:
        """Add a header to the reply, beside others of that name.

        Raises:
            ValueError: The name or value cannot be sent, or the header is the server's own.
        """
        text = str(value)
        if name.lower() in FRAMING:
            raise ValueError(f"{name} is set by the server")
        Replier.check(name, text)
        if self._headers is None:
            self._headers = []
        if name.lower() == "content-type":
            self.response_type = text
        else:
            self._headers.append((name, text))

    def clear_header(self, name: str) -> None:
        """Take back a header that was set for the reply."""
        if self._headers is not None:
            self._headers = [pair for pair in self._headers if pair[0].lower() != name.lower()]

    # ------------------------------------------------------------ for the dispatcher

    def enter(self, name: str) -> None:
        """The request is about to be answered: note the start and call the before handler."""
        dispatcher = self._dispatcher
        self.name = name
        if dispatcher.timed:
            self._started = dispatcher.clock.monotonic()
        if TotoHandler._before is not None or TotoHandler._after is not None:
            self.transaction_id = dispatcher.minter.token()
            if TotoHandler._before is not None:
                TotoHandler._before(self, self.transaction_id, name)

    def begin(self, method: Method, caller: Any) -> None:
        """A method is called for this request: it is told when the connection closes."""
        if self._methods is None:
            self._methods = []
        self._methods.append((method, caller))

    def wait(self, run: Run | None = None) -> None:
        """The reply comes later; ``run`` is the parked method that makes it."""
        if not self._finished:
            self._run = run
            self._steward.exchange = self
            self._dispatcher.waits.set(self, self._dispatcher.lot.tyme)

    def settle(self, method: Method, result: Any, error: BaseException | None) -> None:
        """The method is done: reply with its result or error, unless it has replied itself."""
        marks = method.marks
        if error is not None:
            self.fail(error, method)
        elif self._finished:
            pass
        elif marks.asynchronous and (result is None or self._streaming):
            self.wait()
        elif self._streaming:
            self._send_raw(b"", self.response_type, True)
        elif marks.raw:
            kind = "application/octet-stream" if self.response_type == JSON else self.response_type
            self._send_raw(b"" if result is None else raw_bytes(result), kind, True)
        elif result is None:
            self._send(b"", self.response_type)
        else:
            self.respond(result)

    def fail(self, error: BaseException, method: Method | None = None) -> None:
        """Reply with an error: as a redirect where the method wants that, or as an error object."""
        if self._finished or self._streaming:
            self._dispatcher.report(error, self)
            if self._streaming and not self._finished:
                self._abort()
            return
        redirects = method.marks.redirects if method is not None else None
        url = redirects.target(error) if redirects is not None else None
        if url is not None:
            self.redirect(url)
        else:
            self._reply_error(error)

    def lost(self) -> None:
        """The peer has left: methods that asked are told, what was to be sent is dropped."""
        for method, caller in self._methods or ():
            if method.on_connection_close is not None:
                try:
                    method.on_connection_close(caller)
                except Exception as error:
                    self._dispatcher.report(error, self)
        if self._steward.closed:
            self._finish(0)

    def expire(self) -> None:
        """It took too long: reply with error 1014 and end what is parked."""
        if self._run is not None:
            self._run.close()
        if self._streaming:
            self._abort()
        else:
            self._reply_error(TotoException(ERROR_TIMED_OUT, "The call took too long."))

    # ------------------------------------------------------------ making the reply

    def _reply(self, reply: dict[str, Any], code: Any = 0) -> None:
        dispatcher = self._dispatcher
        if self.session is not None:
            reply["session"] = dispatcher.session_form(self.session)
        if not reply:
            self._send(b"", self.response_type)
            return
        kind = self.response_type if self.response_type in dispatcher.packed else JSON
        try:
            body = dispatcher.pack(kind, reply)
        except TotoException as error:
            if "batch" in reply:
                reply["batch"] = {id: self._sendable(kind, entry) for id, entry in reply["batch"].items()}
            else:
                code = error.code
                reply = {"error": dispatcher.error_form(error)}
            body = dispatcher.pack(kind, reply)
        self._send(body, self.response_type, code)

    def _sendable(self, kind: str, reply: dict[str, Any]) -> dict[str, Any]:
        """The reply of a batch's entry, or the error that it cannot be sent."""
        try:
            self._dispatcher.pack(kind, reply)
        except TotoException as error:
            return {"error": self._dispatcher.error_form(error)}
        return reply

    def _reply_error(self, error: Any) -> None:
        form = self._dispatcher.error_form(error, self)
        if self.response_type not in self._dispatcher.packed:
            self.response_type = JSON
        self._reply({"error": form}, form.get("code", ERROR_SERVER))

    def _reply_jsonp(self, result: Any) -> None:
        try:
            body = self._dispatcher.jsonp(self._callback, result)
        except TotoException as error:
            self._reply_error(error)
        else:
            self._send(body, "text/javascript")

    def _send(self, body: bytes, content_type: str, code: Any = 0) -> None:
        """Send a whole reply."""
        if self._finished:
            return
        request, steward, replier = self.request, self._steward, self._dispatcher.replier
        if self._headers is None and self._status == 200 and request.method == "POST":
            data = replier.plain(request, steward, content_type, body)
        else:
            headers = self._headers or []
            if self._status == 200 and request.method in ("GET", "HEAD"):
                etag = f'"{hashlib.sha1(body, usedforsecurity=False).hexdigest()}"'
                headers = [("ETag", etag), *headers]
                if replier.matches(request, etag):
                    self._status, body = 304, b""
            data = replier.whole(request, steward, self._status, headers, content_type, body)
        self._finish(code)
        steward.reply(data)

    def _send_raw(self, data: bytes, content_type: str, finish: bool) -> None:
        if self._finished:
            return
        if finish and not self._streaming:
            self._send(data, content_type)
            return
        request, steward, replier = self.request, self._steward, self._dispatcher.replier
        if not finish and steward.remoter.pending > self._dispatcher.max_stream_buffer:
            raise BufferError("the peer does not read: yield what respond_raw returns before sending more")
        pieces = b""
        if not self._streaming:
            pieces = replier.stream(request, steward, self._status, self._headers or [], content_type)
            self._streaming = True
            self.response_type = content_type
        pieces += replier.piece(request, data, last=finish)
        if finish:
            self._finish(0)
            steward.reply(pieces)
        elif pieces:
            steward.write(pieces)

    def _abort(self) -> None:
        """The reply is half sent and cannot be finished: the peer learns it from the connection's end."""
        self._finish(ERROR_SERVER)
        self._steward.close()

    def _finish(self, code: Any) -> None:
        if self._finished:
            return
        self._finished = True
        dispatcher = self._dispatcher
        if self._steward.exchange is not None or self._run is not None:
            dispatcher.waits.drop(self)
            self._run = None
        if dispatcher.timed:
            seconds = dispatcher.clock.monotonic() - self._started
            dispatcher.log((self.name or None, code, seconds, self.transaction_id))
        after = TotoHandler._after
        if after is not None:
            try:
                after(self, self.transaction_id)
            except Exception as error:
                dispatcher.report(error, self)


class BatchHandlerProxy:
    """The handler as an entry of a batch sees it: its reply becomes the entry's part of the batch's.

    Everything else is the handler's, for reading and for setting.

    Attributes:
        handler: The handler of the whole request.
        request_key: The id of the entry.
    """

    __slots__ = ("_settled", "handler", "request_key")

    def __init__(self, handler: TotoHandler, request_key: str, settled: Callable[[str, Any, Any], None]) -> None:
        _set_handler(self, handler)
        _set_key(self, request_key)
        _set_settled(self, settled)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.handler, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.handler, name, value)

    def respond(self, result: Any = None, error: Any = None) -> None:
        """Give the entry its result or error; for any thread. After the first, others are ignored."""
        dispatcher = self.handler._dispatcher
        if not dispatcher.here():
            dispatcher.post(self.respond, result, error)
        else:
            self._settled(self.request_key, result, error)

    def respond_raw(self, body: Any, content_type: str, finish: bool = True) -> None:
        """Not possible inside a batch: the entry gets an error.

        Raises:
            TotoException: Always.
        """
        raise TotoException(ERROR_SERVER, "A raw reply cannot be part of a batch.")

    def redirect(self, url: str, permanent: bool = False, status: int | None = None) -> None:
        """Not possible inside a batch: the entry gets an error.

        Raises:
            TotoException: Always.
        """
        raise TotoException(ERROR_SERVER, "A redirect cannot be part of a batch.")

    def begin(self, method: Method, caller: Any) -> None:
        """A method is called for this entry."""
        self.handler.begin(method, self)

    def wait(self, run: Run | None = None) -> None:
        """The entry's result comes later; the batch waits."""

    def settle(self, method: Method, result: Any, error: BaseException | None) -> None:
        """The method is done: that is the entry's result, unless it responds later."""
        if error is not None or result is not None or not method.marks.asynchronous:
            self._settled(self.request_key, result, error)


# The attributes of a proxy itself; setting them by name would set the handler's.
_set_handler = BatchHandlerProxy.handler.__set__  # type: ignore[attr-defined]
_set_key = BatchHandlerProxy.request_key.__set__  # type: ignore[attr-defined]
_set_settled = BatchHandlerProxy._settled.__set__  # type: ignore[attr-defined]
