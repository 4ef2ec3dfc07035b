"""The application behind the server: requests become calls, results become replies."""

import logging
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from totohio.app.batching import BatchCall, Batches
from totohio.app.draining import Drains
from totohio.app.eventing import EventManager
from totohio.app.forms import multipart
from totohio.app.handling import TotoHandler
from totohio.app.keeping import Keeper
from totohio.app.probing import Probe
from totohio.app.replying import Replier
from totohio.app.sending import Sender
from totohio.base.environing import Environment
from totohio.base.errors import (
    ERROR_INVALID_METHOD,
    ERROR_MALFORMED_BODY,
    ERROR_MISSING_PARAMS,
    ERROR_NOT_AUTHORIZED,
    ERROR_SERVER,
    ERROR_STORE_UNAVAILABLE,
    TotoException,
)
from totohio.base.expiring import Deadlines
from totohio.core.invoking import DEFERRED, Lot
from totohio.core.ports import StoreError
from totohio.core.registering import Method, Registry
from totohio.net.stewarding import Steward
from totohio.wire.enveloping import Batch, Call, error_form, open_body
from totohio.wire.packing import (
    BSON,
    FORM,
    JSON,
    MSGPACK,
    MULTIPART,
    Packer,
    decode_json,
    encode_json,
    form,
    is_callback,
    query_parameters,
    script_safe,
)
from totohio.wire.requesting import Request

if TYPE_CHECKING:
    from totohio.app.conveying import LendingSockets
    from totohio.app.socketing import Sockets

logger = logging.getLogger("totohio")

VERBS = "HEAD,POST,OPTIONS,GET"
ALLOWED_HEADERS = "origin,x-toto-session-id,x-toto-hmac,content-type"
PATH = re.compile(r"[A-Za-z0-9_./]*\Z")  # what a method's name in a path is made of
HEADER_LIST = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]*\Z")  # names of headers, as a browser lists them
LONGEST_NAME = 100  # characters that are kept of a name that no method has
CACHED_PATHS = 4096  # paths whose methods are known; more than any package has
INLINE = 100  # entries of a batch that run before other clients have their turn


class Dispatcher:
    """Answers requests: the responder of the Server.

    Attributes:
        registry: The methods.
        lot: Where methods wait.
        batches: Batches that are not done yet.
        waits: Requests whose reply comes later, by when they time out.
        events: Tells who waits for them.
        replier: Makes the bytes of replies.
        packed: Content types that replies are packed in.
        keeper: Accounts and sessions; None without a database.
        fibers: Run what may wait for them; None without a database.
        baked: Replies with a session set a cookie.
        remote: Whatever a method asks of them it may have to wait for.
        probes: Tell how the server is, by path.
        drains: Who waits for peers to take what was sent.
        sockets: WebSockets; None without.
        timed: Somebody wants to know how long calls take.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        packer: Packer,
        lot: Lot,
        environment: Environment,
        events: EventManager,
        here: Callable[[], bool],
        post: Callable[..., None],
        select: str = "both",
        root: str = "/",
        allow_origin: str = "*",
        debug: bool = False,
        async_timeout: float = 0.0,
        max_batch: int = 10_000,
        max_stream_buffer: int = 1 << 24,
        keeper: Keeper | None = None,
        log: Callable[[tuple[str | None, Any, float, Any]], None] | None = None,
    ) -> None:
        self.registry = registry
        self.find = registry.find
        self.lot = lot
        self.environment = environment
        self.events = events
        self.clock = clock = environment.clock
        self.minter = environment.minter
        self.here = here
        self.post = post
        self.batches = Batches()
        self.waits: Deadlines[Sender] = Deadlines(async_timeout)
        self.replier = Replier(clock=clock, allow_origin=allow_origin)
        self.packed = frozenset((JSON, MSGPACK, BSON))
        self.pack = packer.pack
        self.debug = debug
        self.max_batch = max_batch
        self.max_stream_buffer = max_stream_buffer
        self.keeper = keeper
        self.fibers = keeper.fibers if keeper is not None else None
        self.baked = keeper is not None and keeper.jar is not None
        self.remote = keeper is not None and not keeper.store.local
        if keeper is not None:
            lot.fibers = keeper.fibers
            keeper.lot = lot
        self.timed = log is not None
        self.log = log or _no_log
        self._packer = packer
        self._select = select
        self._root = root.rstrip("/")
        self._paths: dict[str, str] = {}
        self.sockets: Sockets | None = None
        self.upgrades: list[Sockets | LendingSockets] = []
        self.probes: Mapping[str, Probe] = {}
        self.drains = Drains()

    # ------------------------------------------------------------ requests

    def __call__(self, steward: Steward, request: Request) -> None:
        """Answer a request, now or later."""
        handler = TotoHandler(self, steward, request)
        try:
            verb = request.method
            if verb == "POST":
                self._post(handler, request)
            elif verb == "GET" or verb == "HEAD":
                self._get(handler, request)
            elif verb == "OPTIONS":
                self._preflight(handler, request)
            else:
                self._refuse(handler, 405, "The verb is not allowed here.")
        except BaseException as error:  # a method may raise SystemExit: that is its own end, not the server's
            handler.name = handler.name or request.path[:LONGEST_NAME]  # for the log
            handler._fail(error)

    def _post(self, handler: TotoHandler, request: Request) -> None:
        name = self._paths.get(request.path)
        if name is None:
            name = self._name(request.path)
        if name is None:
            self._refuse(handler, 404, "There is nothing here.")
            return
        content_type = request.fields.get(b"content-type")
        lax = False
        body: Any
        if content_type is None or content_type == b"application/json":
            body = decode_json(request.body)
        else:
            kind = self._packer.kind(content_type)
            if kind == FORM:
                body, lax = form(request.body, request.query), True
            elif kind == MULTIPART:
                body, lax = multipart(content_type.decode("latin-1"), request.body, request.query), True
            else:
                handler.response_type = handler._format = self._packer.reply_type(kind)
                body = self._packer.unpack(kind, request.body)
        handler.body = body
        opened = open_body(body, name, self._select)
        if type(opened) is Call:
            self._call(handler, opened.name, opened.parameters, lax)
        else:
            self._batch(handler, opened)  # type: ignore[arg-type]

    def _get(self, handler: TotoHandler, request: Request) -> None:
        handler.headers_only = request.method == "HEAD"
        if b"upgrade" in request.fields:
            for upgrade in self.upgrades:
                if upgrade.takes(request):
                    upgrade.begin(handler, request)
                    return
        name = self._name(request.path)
        if name is None:
            probe = self.probes.get(request.path)
            if probe is None:
                self._refuse(handler, 404, "There is nothing here.")
            else:
                self._probe(handler, probe)
            return
        opened = open_body(None, name, self._select)
        assert type(opened) is Call
        self._call(handler, opened.name, query_parameters(request.query), True)

    def _probe(self, handler: TotoHandler, probe: Probe) -> None:
        """Tell how the server is."""
        status, found = probe()
        handler.set_status(status)
        handler.set_header("Cache-Control", "no-store")
        handler._send(encode_json(found), JSON)

    def _preflight(self, handler: TotoHandler, request: Request) -> None:
        """Answer what a browser asks before a call from another origin (the Fetch standard, CORS preflight)."""
        wanted = request.fields.get(b"access-control-request-method")
        if wanted is not None and wanted.decode("latin-1") not in VERBS.split(","):
            self._refuse(handler, 405, "The verb is not allowed here.")
            return
        names = ALLOWED_HEADERS.split(",")
        asked = request.fields.get(b"access-control-request-headers", b"").decode("latin-1").lower()
        if HEADER_LIST.match(asked):
            names += [name for part in asked.split(",") if (name := part.strip()) and name not in names]
        handler.add_header("Access-Control-Allow-Methods", VERBS)
        handler.add_header("Access-Control-Allow-Headers", ",".join(names))
        handler._send(b"", JSON)

    def _refuse(self, handler: TotoHandler, status: int, text: str) -> None:
        """Answer what can be no call, with an HTTP status that says so."""
        if status == 405:
            handler.set_header("Allow", VERBS)
        handler.name = handler.request.path[:LONGEST_NAME]  # for the log
        handler.set_status(status)
        handler.respond(error={"code": status, "value": text})

    def _name(self, path: str) -> str | None:
        """The method's name in a path, with dots; None when there can be no method."""
        known = self._paths.get(path)
        if known is not None:
            return known
        if not path.startswith(self._root) or not PATH.match(path):
            return None
        rest = path[len(self._root) :]
        if rest and rest[0] != "/":
            return None
        name = rest[1:].replace("/", ".")
        if len(self._paths) < CACHED_PATHS and (not name or self.find(name) is not None):
            self._paths[path] = name
        return name

    # ------------------------------------------------------------ calls

    def _call(self, handler: TotoHandler, name: str, parameters: Any, lax: bool) -> None:
        method = self.find(name)
        handler.name = name if method is not None else name[:LONGEST_NAME]  # a name of ours, or what may be megabytes
        if self.timed or TotoHandler._before is not None or TotoHandler._after is not None:
            handler._enter(handler.name)
        if method is None:
            raise TotoException(ERROR_INVALID_METHOD, f"Cannot call '{name}'.")
        if method.plain and not self.remote:
            result = method.invoke(handler, parameters)
            if type(result) in DEFERRED:
                self.park(handler, method, result)
            else:
                handler._answer(method, result)
        else:
            self.invoke(handler, method, parameters, lax)

    def invoke(self, caller: Any, method: Method, parameters: Any, lax: bool) -> None:
        """Call a method for a handler or the proxy of one, which is told of the result with ``_settle``."""
        try:
            keeper, marks = self.keeper, method.marks
            if self.fibers is not None and (self.remote or marks.waits or (marks.session and keeper and keeper.waits)):
                result = self.fibers.call(self._perform, caller, method, parameters, lax)
            else:  # as `_perform` does
                result = method.invoke(
                    caller, parameters if method.plain else self._prepare(caller, method, parameters, lax)
                )
            if type(result) in DEFERRED:
                self.park(caller, method, result)
            elif method.simple:
                caller._answer(method, result)
            else:
                caller._settle(method, result, None)
        except BaseException as error:
            caller._settle(method, None, error)

    def _perform(self, caller: Any, method: Method, parameters: Any, lax: bool) -> Any:
        if not method.plain:
            parameters = self._prepare(caller, method, parameters, lax)
        return method.invoke(caller, parameters)

    def _prepare(self, caller: Any, method: Method, parameters: Any, lax: bool) -> Any:
        marks = method.marks
        if marks.session is not None:
            if self.keeper is not None:
                parameters = self.keeper.admitter.admit(caller, marks, parameters, method.name)
            elif marks.session != "optionally_authenticated" or marks.roles:
                raise TotoException(ERROR_NOT_AUTHORIZED, "Not authorized")
        if marks.jsonp is not None and isinstance(parameters, dict) and parameters.get(marks.jsonp):
            parameters = dict(parameters)
            callback = parameters.pop(marks.jsonp)
            if not is_callback(callback):
                raise TotoException(ERROR_MISSING_PARAMS, f"{marks.jsonp} is not the name of a JavaScript function.")
            caller._callback = callback
        if method.guard is not None:
            parameters = method.guard(parameters, lax)
        if method.on_connection_close is not None:
            caller._begin(method, caller)
        return parameters

    def park(self, caller: Any, method: Method, waiting: Any) -> None:
        """Let a method wait whose call has returned a generator, a coroutine or a Future."""
        simple = method.simple

        def done(result: Any, error: BaseException | None) -> None:
            try:
                if simple and error is None:
                    caller._answer(method, result)
                else:
                    caller._settle(method, result, error)
            except BaseException as failure:  # what the method returned cannot be sent
                caller._settle(method, None, failure)

        run = self.lot.run(waiting, done)
        if run is not None:
            caller._wait(run)

    def _batch(self, handler: TotoHandler, batch: Batch) -> None:
        handler._enter("<batch>")
        if len(batch.entries) > self.max_batch:
            raise TotoException(ERROR_MALFORMED_BODY, f"A batch may have {self.max_batch} entries at most.")
        call = BatchCall(self, handler, batch)
        call.advance(INLINE)
        if not call.over:
            handler._wait(call)
            self.batches.enqueue(call)

    # ------------------------------------------------------------ replies

    def jsonp(self, callback: str | None, result: Any) -> bytes:
        """The result as a call of a JavaScript function."""
        return f"{callback}(".encode() + script_safe(encode_json(result)) + b")"

    def unavailable(self, error: StoreError) -> TotoException:
        """The error of a call whose store has failed."""
        if self.keeper is not None:
            return self.keeper.unavailable(error)
        return TotoException(ERROR_STORE_UNAVAILABLE, "The store is unavailable; try again later.")

    def error_form(self, error: Any, handler: TotoHandler | None = None) -> Any:
        """The error as replies show it; it is noted in the log, once and here."""
        if isinstance(error, StoreError):
            error = self.unavailable(error)
        if isinstance(error, BaseException):
            self.note(error, handler)
        try:
            return error_form(error)
        except BaseException:  # its __str__ is the method's code, too
            return {"code": ERROR_SERVER, "value": type(error).__qualname__}

    def note(self, error: BaseException, handler: TotoHandler | None) -> None:
        """Log an error that a method is answered with: a `TotoException` is an answer, and told only for debugging."""
        if not isinstance(error, TotoException):
            self.report(error, handler)
        elif self.debug:
            logger.info("%s: error %s", handler or "a call", _said(error))

    def report(self, error: BaseException, handler: TotoHandler | None) -> None:
        """Log an error with its traceback."""
        logger.error("%s failed", handler or "a call", exc_info=error)


def _said(error: TotoException) -> str:
    try:
        return f"{error.code}: {error.value}"
    except BaseException:  # both are any objects of the method's
        return type(error).__qualname__


def _no_log(entry: tuple[str | None, Any, float, Any]) -> None:
    """Log nothing."""
