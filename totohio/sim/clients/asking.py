"""What a script can ask of a server: the Client."""

import errno
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from totohio.base.futures import Future
from totohio.net.linking import CONNECT_TIMEOUT, Address, place
from totohio.sim.clients.conversing import Caller, Conversation, Observer, Wait
from totohio.wire.answering import LIMITS, Reply
from totohio.wire.asking import JSON, batch_body, call_body, method_path, open_error, open_reply, request_bytes

MAX_REPLIES = 1024  # replies that a client remembers, and
MAX_REMEMBERED = 16 << 20  # bytes of their bodies


class Client:
    """A scripted client of one server, over one connection at a time.

    It connects when it first needs to, and anew after the connection has ended. Requests go out at once, and their
    replies come in order. What was sent is never silently sent again: when its connection ends first, its Future
    gets an OSError that says why:

        ConnectionRefusedError   nobody listens
        ConnectionResetError     the server has ended the connection, in whatever way
        ConnectionAbortedError   we have: the script, the end of the client, or since what came was no HTTP
        TimeoutError             there was no connection, or no reply, in time

    Attributes:
        caller: Runs it.
        address: Of the server.
        name: What it is called.
        timeout: Seconds of tyme that it waits for a reply; zero for ever.
        connect_timeout: Seconds of tyme that it waits for a connection; zero as long as the network does.
        root: The path below which the server's methods are.
        limits: How large a reply may be.
        session_id: Sent with each request, as ``x-toto-session-id``; None sends none.
        keep_session: Take the session id over from replies that tell one.
        replies: The last replies, oldest first, as far as they are remembered.
        observer: Who is told of calls and replies.
    """

    def __init__(
        self,
        caller: Caller,
        address: Address,
        *,
        name: str,
        timeout: float,
        root: str,
        observer: Observer | None,
    ) -> None:
        self.caller = caller
        self.address = address
        self.name = name
        self.timeout = timeout
        self.connect_timeout = CONNECT_TIMEOUT
        self.root = root
        self.observer = observer
        self.limits = LIMITS
        self.session_id: str | None = None
        self.keep_session = True
        self.replies: deque[Reply] = deque()
        self._remembered = 0  # bytes of their bodies
        self._conversation: Conversation | None = None

    def __repr__(self) -> str:
        return f"<Client {self.name} of {place(self.address)}>"

    # ------------------------------------------------------------ calls

    def call(self, method: str, parameters: Any = None, *, timeout: float | None = None) -> Future[Any]:
        """Call a method; the Future gets its result, or the `TotoException` that the reply tells of.

        A reply that is no JSON gives its bytes.
        """
        path = f"{self.root}/{method_path(method)}"
        return self._ask(method, "POST", path, call_body(parameters), {"Content-Type": JSON}, self._result, timeout)

    def batch(
        self, entries: Mapping[str, Any], mode: str = "sequence", *, timeout: float | None = None
    ) -> Future[dict[str, Any]]:
        """Call several methods in one request; the Future gets the entries of the reply by id.

        Args:
            entries: By id: a method and its parameters, or an entry as it is sent.
            mode: ``"sequence"`` or ``"parallel"``.
            timeout: Seconds of tyme.
        """
        body = batch_body(entries, mode)
        return self._ask("batch", "POST", f"{self.root}/", body, {"Content-Type": JSON}, self._entries, timeout)

    def request(
        self,
        verb: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float | None = None,
    ) -> Future[Reply]:
        """Make a request; the Future gets the reply, whatever its status.

        Raises:
            ValueError: Verb, path or headers cannot be sent; `send` can send anything.
        """
        return self._ask(f"{verb} {path}", verb, path, body, headers or {}, None, timeout)

    def get(
        self, path: str, headers: Mapping[str, str] | None = None, *, timeout: float | None = None
    ) -> Future[Reply]:
        """GET a path."""
        return self.request("GET", path, headers=headers, timeout=timeout)

    def post(
        self, path: str, body: Any, headers: Mapping[str, str] | None = None, *, timeout: float | None = None
    ) -> Future[Reply]:
        """POST bytes as they are, or anything else as JSON."""
        if not isinstance(body, bytes):
            body, headers = msgspec.json.encode(body), {"Content-Type": JSON, **(headers or {})}
        return self.request("POST", path, body, headers, timeout=timeout)

    # ------------------------------------------------------------ raw conversations

    def send(self, data: bytes, *, timeout: float | None = None) -> Future[None]:
        """Send bytes as they are; the Future is done when the socket has taken all that was sent."""

        def begin(wait: Wait) -> None:
            conversation = self._ready(raw=True)
            conversation.raw = conversation.keeping = True
            conversation.link.send(data)
            conversation.await_sent(wait)

        return self._begin("send", begin, timeout)

    def receive(self, *, timeout: float | None = None) -> Future[bytes]:
        """The Future gets the next bytes that come, or none when the server sends no more.

        What came with a reply that was asked for or expected does not come again.
        """
        return self._begin("receive", lambda wait: self._there().await_bytes(wait), timeout)

    def expect(self, verb: str = "GET", *, timeout: float | None = None) -> Future[Reply]:
        """The Future gets the next reply to what was sent raw.

        Args:
            verb: Of the request; for a HEAD it has to be told before the reply comes.
            timeout: Seconds of tyme.
        """
        return self._begin("reply", lambda wait: self._there().await_reply(wait, verb), timeout)

    # ------------------------------------------------------------ the connection

    @property
    def connected(self) -> bool:
        """There is a connection, and the server has not ended it."""
        found = self._conversation
        return found is not None and found.over is None and found.link.connected and not found.link.ended

    def connect(self) -> Future[None]:
        """Connect now; the Future is done when that is."""
        return self._begin("connect", lambda wait: self._ready(raw=False).await_open(wait), 0.0)

    def shutdown(self) -> None:
        """Tell the server that no more is sent on this connection; replies still come.

        What is asked before the server has closed it gets a BrokenPipeError.
        """
        self.caller.within(self._shut_down)

    def abort(self) -> None:
        """Leave with a reset; what is in flight gets a ConnectionAbortedError."""
        self.caller.within(self._leave, True)

    def close(self) -> None:
        """Leave; what is in flight gets a ConnectionAbortedError."""
        self.caller.within(self._leave, False)

    # ------------------------------------------------------------ what its conversation calls

    def keep(self, reply: Reply) -> None:
        """Remember a reply."""
        self.replies.append(reply)
        self._remembered += len(reply.body)
        while len(self.replies) > 1 and (len(self.replies) > MAX_REPLIES or self._remembered > MAX_REMEMBERED):
            self._remembered -= len(self.replies.popleft().body)

    def forget(self, conversation: Conversation) -> None:
        """Let go of a connection that has ended."""
        if self._conversation is conversation:
            self._conversation = None

    # ------------------------------------------------------------ how it is done

    def _ask(
        self,
        label: str,
        verb: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        read: Callable[[Reply], Any] | None,
        timeout: float | None,
    ) -> Future[Any]:
        """Send a request, and wait for its reply."""
        if self.session_id is not None:
            headers = {"x-toto-session-id": self.session_id, **headers}
        host = "localhost" if isinstance(self.address, str) else place(self.address)
        data = request_bytes(verb, path, body, headers, host)

        def begin(wait: Wait) -> None:
            if self.observer is not None:
                self.observer("call", self.name, label)
            conversation = self._ready(raw=False)
            conversation.link.send(data)
            conversation.await_reply(wait, verb)

        return self._begin(label, begin, timeout, read, told=True)

    def _begin(
        self,
        label: str,
        begin: Callable[[Wait], None],
        timeout: float | None,
        read: Callable[[Reply], Any] | None = None,
        *,
        told: bool = False,
    ) -> Future[Any]:
        """Begin something in the caller's cycle, and wait for what comes of it."""
        wait = Wait(self, label, read=read, told=told)

        def work() -> None:
            try:
                begin(wait)
            except BufferError as error:
                wait.fail(error)
            except OSError as error:
                wait.give_up(error.errno or errno.ECONNABORTED, error.strerror or str(error))
            self.caller.time(wait, self.timeout if timeout is None else timeout)

        self.caller.within(work)
        return wait.future

    def _ready(self, *, raw: bool) -> Conversation:
        """Give a connection on which something can be sent, perhaps a new one.

        Raises:
            OSError: There can be none.
        """
        if not self.caller.running:
            raise ConnectionAbortedError(errno.ECONNABORTED, "the client was ended")
        found = self._conversation
        if found is None or found.over is not None or not (raw or found.usable):
            self._leave(False)
            found = Conversation(self)
            found.open()
            self._conversation = found
        return found

    def _there(self) -> Conversation:
        """Give the connection that there is, even one that has ended, or a new one.

        Raises:
            OSError: There can be none.
        """
        return self._conversation or self._ready(raw=True)

    def _shut_down(self) -> None:
        if self._conversation is not None:
            self._conversation.link.shutdown()

    def _leave(self, reset: bool) -> None:
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            conversation.end(errno.ECONNABORTED, "the client has closed the connection", reset=reset)

    def _result(self, reply: Reply) -> Any:
        return self._open(reply).get("result")

    def _entries(self, reply: Reply) -> Any:
        return self._open(reply).get("batch", {})

    def _open(self, reply: Reply) -> dict[str, Any]:
        """What a reply to a call says.

        Raises:
            TotoException: An error.
        """
        found = open_reply(reply)
        session = found.get("session")
        if self.keep_session and isinstance(session, dict) and isinstance(session.get("session_id"), str):
            self.session_id = session["session_id"]
        if "error" in found:
            raise open_error(found["error"])
        return found
