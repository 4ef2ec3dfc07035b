"""One connection of a scripted client: who waits for what on it, and what they are told when it ends."""

import errno
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from totohio.base.environing import Environment, Poller
from totohio.base.errors import TotoException
from totohio.base.futures import Future
from totohio.net.linking import Address, Link, place
from totohio.wire.answering import Reply, Respondent
from totohio.wire.request import Limits

MAX_RAW = 1 << 20  # bytes kept that nobody has received yet; beyond it the client does not read
MAX_UNCLAIMED = 1024  # replies kept that nobody has expected yet

UNKNOWN = "whether it was carried out is not known"

Observer = Callable[..., object]


class Caller(Protocol):
    """What runs conversations.

    Attributes:
        environment: Where their sockets come from.
        poller: Tells which of these are ready.
        running: There is a cycle, so that there can be conversations.
        conversations: Those that go on, put in and taken out by themselves.
        connecting: Those that are not connected yet.
    """

    environment: Environment
    poller: Poller
    running: bool
    conversations: "dict[Conversation, None]"
    connecting: "dict[Conversation, None]"

    @property
    def tyme(self) -> float:
        """What tyme it is."""

    def within(self, function: Callable[..., object], *args: Any) -> None:
        """Do something in the cycle."""

    def time(self, wait: "Wait", seconds: float) -> None:
        """Have a wait expire after so many seconds of tyme."""

    def untime(self, wait: "Wait") -> None:
        """Let a wait not expire."""


class Party(Protocol):
    """The client whose conversation it is.

    Attributes:
        caller: Runs it.
        name: What it is called.
        address: Of the server.
        connect_timeout: Seconds of tyme that it waits for a connection.
        limits: How large a reply may be.
        observer: Who is told of replies.
    """

    caller: Caller
    name: str
    address: Address
    connect_timeout: float
    limits: Limits
    observer: Observer | None

    def keep(self, reply: Reply) -> None:
        """Remember a reply."""

    def forget(self, conversation: "Conversation") -> None:
        """Let go of a conversation that has ended."""


class Wait:
    """A Future that a script waits for, and for how long at most.

    Attributes:
        client: Whose it is.
        label: What is waited for, as people call it.
        future: Completed with what ``read`` makes of the reply, or with an error.
        conversation: The connection that is to bring it.
        timeout: Seconds of tyme, as they were set; None when it takes as long as it takes.
    """

    __slots__ = ("_read", "_told", "client", "conversation", "future", "label", "timeout")

    def __init__(
        self, client: Party, label: str, *, read: Callable[[Any], Any] | None = None, told: bool = False
    ) -> None:
        """Set it up.

        Args:
            client: Whose it is.
            label: What is waited for.
            read: Makes the result of what comes; None leaves that as it is.
            told: The client's observer is to hear of it.
        """
        self.client = client
        self.label = label
        self.future: Future[Any] = Future()
        self.conversation: Conversation | None = None
        self.timeout: float | None = None
        self._read = read
        self._told = told

    @property
    def over(self) -> bool:
        """Nobody waits any more."""
        return self.future.done()

    def settle(self, found: Any) -> None:
        """It has come."""
        if self.over:
            return
        try:
            result = found if self._read is None else self._read(found)
        except Exception as error:
            self.fail(error)
            return
        self._tell(result.status if isinstance(result, Reply) else "ok")
        self.future.set_result(result)

    def fail(self, error: BaseException) -> None:
        """It will not come."""
        if self.over:
            return
        if isinstance(error, TotoException):
            self._tell(error.code if isinstance(error.code, (str, int)) else str(error.code))
        else:
            self._tell(type(error).__name__)
        self.future.set_exception(error)

    def give_up(self, number: int, text: str) -> None:
        """It will not come, for a reason that has an errno value."""
        self.fail(OSError(number, f"{self.label}: {text} ({place(self.client.address)})"))

    def expire(self) -> None:
        """The time for it is over."""
        self.give_up(errno.ETIMEDOUT, f"not done within {self.timeout:g} seconds")
        if self.conversation is not None:
            self.conversation.reconsider()

    def _tell(self, outcome: str | int) -> None:
        client = self.client
        client.caller.untime(self)
        if self._told and client.observer is not None:
            client.observer("reply", client.name, self.label, outcome)


class Conversation:
    """One connection of a Client, and all that wait for something on it: the owner of a `Link`.

    Attributes:
        link: The connection.
        respondent: Its parser.
        raw: A script talks to the server in bytes, so that the connection is the script's to close.
        keeping: What comes is kept for `Client.receive`.
        pieces: What was kept.
        unclaimed: Replies that came before somebody expected them.
        over: Why it has ended; None while it goes on.
    """

    def __init__(self, client: Party) -> None:
        self.client = client
        self.caller = caller = client.caller
        self.link = Link(
            network=caller.environment.network,
            poller=caller.poller,
            address=client.address,
            owner=self,
            timeout=client.connect_timeout,
        )
        self.respondent = Respondent(client.limits)
        self.raw = self.keeping = False
        self.pieces: deque[bytes] = deque()
        self.unclaimed: deque[Reply] = deque(maxlen=MAX_UNCLAIMED)
        self.over: OSError | None = None
        self._size = 0  # of the pieces
        self._replies: deque[Wait] = deque()  # those who wait for one, in order
        self._receivers: deque[Wait] = deque()
        self._openers: deque[Wait] = deque()
        self._senders: deque[Wait] = deque()

    @property
    def usable(self) -> bool:
        """A request can still be sent, and its reply can come."""
        return self.over is None and not self.respondent.over

    # ------------------------------------------------------------ what the Client asks

    def open(self) -> None:
        """Begin to connect.

        Raises:
            OSError: It has failed already.
        """
        self.link.open(self.caller.tyme)
        self.caller.conversations[self] = None
        self.caller.connecting[self] = None

    def await_reply(self, wait: Wait, verb: str) -> None:
        """Have somebody wait for the reply to what was sent last, or was or will be sent raw."""
        wait.conversation = self
        self.keeping = False
        self.pieces.clear()
        self._size = 0
        self.link.resume()
        if self.unclaimed:
            wait.settle(self.unclaimed.popleft())
        elif not self.usable:
            wait.give_up(errno.ECONNRESET, "the connection has ended")
        else:
            self.respondent.expect(verb)
            self._replies.append(wait)

    def await_sent(self, wait: Wait) -> None:
        """Have somebody wait until the socket has taken all that was sent."""
        if self.link.broken is not None or self.over is not None:
            wait.give_up(errno.ECONNRESET, "the connection has ended")
        elif not self.link.pending:
            wait.settle(None)
        else:
            wait.conversation = self
            self._senders.append(wait)

    def await_open(self, wait: Wait) -> None:
        """Have somebody wait until it is connected."""
        if self.link.connected:
            wait.settle(None)
        else:
            wait.conversation = self
            self._openers.append(wait)

    def await_bytes(self, wait: Wait) -> None:
        """Have somebody wait for the next bytes, or for the end."""
        self.raw = self.keeping = True
        if self.pieces:
            data = self.pieces.popleft()
            self._size -= len(data)
            if self._size < MAX_RAW:
                self.link.resume()
            wait.settle(data)
        elif self.over is not None:
            wait.give_up(self.over.errno or errno.ECONNRESET, self.over.strerror or str(self.over))
        elif self.link.ended:
            wait.settle(b"")
        else:
            wait.conversation = self
            self._receivers.append(wait)

    def reconsider(self) -> None:
        """Somebody has given up: end the connection when it is that reply which holds up all others."""
        if self._replies and self._replies[0].over:
            self.end(errno.ECONNABORTED, "the connection was closed since what came before took too long")

    def end(self, number: int, text: str, *, reset: bool = False) -> None:
        """End it from our side."""
        if reset:
            self.link.abort()
        else:
            self.link.close()
        self._conclude(OSError(number, text))

    # ------------------------------------------------------------ what the Link tells

    def opened(self) -> None:
        """It is connected."""
        self.caller.connecting.pop(self, None)
        _settle(self._openers, None)

    def drained(self) -> None:
        """The socket has taken all that was sent."""
        _settle(self._senders, None)

    def received(self, data: bytes) -> None:
        """Bytes have come: they are replies, and raw for those who want them so."""
        respondent = self.respondent
        upgraded = respondent.rest is not None
        if self.keeping:
            self._keep(data)
        if not upgraded:
            respondent.feed(data)
            self._take_replies()
            if respondent.rest is not None and self.over is None:
                self.raw = self.keeping = True
                if respondent.rest:
                    self._keep(respondent.rest)
                respondent.rest = b""

    def ended(self) -> None:
        """The server sends no more."""
        when = "within its reply" if self.respondent.begun else "before it answered"
        self.respondent.finish()
        self._take_replies(f"the server closed the connection {when}; {UNKNOWN}")
        if self.over is None:
            _settle(self._receivers, b"")

    def lost(self, error: OSError) -> None:
        """The connection is no more."""
        number = errno.ECONNRESET if error.errno == errno.EPIPE else error.errno or errno.ECONNRESET
        text = error.strerror or str(error)
        self._conclude(OSError(number, f"{text}; {UNKNOWN}" if self.link.connected else text))

    # ------------------------------------------------------------ what comes of it

    def _keep(self, data: bytes) -> None:
        while self._receivers:
            wait = self._receivers.popleft()
            if not wait.over:
                wait.settle(data)
                return
        self.pieces.append(data)
        self._size += len(data)
        if self._size >= MAX_RAW:
            self.link.pause()

    def _take_replies(self, end: str | None = None) -> None:
        """Hand out the replies that are complete, and see whether more can come; ``end`` says why none can."""
        respondent = self.respondent
        while respondent.replies:
            reply = respondent.replies.popleft()
            self.client.keep(reply)
            if self._replies:
                self._replies.popleft().settle(reply)
            else:
                self.unclaimed.append(reply)
        if self.over is not None or not (respondent.over or end):
            return
        number, text = errno.ECONNRESET, end or f"the server ended the connection with the reply before; {UNKNOWN}"
        if respondent.fault is not None and not end:
            number, text = errno.ECONNABORTED, f"what came is no proper reply: {respondent.fault.text}"
        if not self.raw and respondent.rest is None:
            self.end(number, text)
        else:
            _fail(self._replies, number, text)

    def _conclude(self, error: OSError) -> None:
        if self.over is not None:
            return
        self.over = error
        self.caller.conversations.pop(self, None)
        self.caller.connecting.pop(self, None)
        if not self.raw:
            self.client.forget(self)
        for waits in (self._replies, self._receivers, self._openers, self._senders):
            _fail(waits, error.errno or errno.ECONNRESET, error.strerror or str(error))


def _settle(waits: deque[Wait], found: Any) -> None:
    while waits:
        waits.popleft().settle(found)


def _fail(waits: deque[Wait], number: int, text: str) -> None:
    while waits:
        waits.popleft().give_up(number, text)
