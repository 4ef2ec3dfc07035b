"""The client for those who do not wait: a Doer, whose proxies give Futures.

``result = yield remote.math.sqrt(2)`` in a generator, or ``await`` in a coroutine, of whatever parks them: a method of
a server, or a script of the simulation.
"""

import collections
import ssl
from collections.abc import Iterable
from typing import Any

import msgspec

from totohio.base.doing import Doer
from totohio.base.environing import Environment, Poller
from totohio.base.errors import TotohioError
from totohio.base.futures import Future
from totohio.core.invoking import DEFERRED, Lot
from totohio.core.proving import answer, greeted, session_mac, transcript, welcomed
from totohio.net.kernel import kernel_environment
from totohio.net.linking import Address, Link
from totohio.remote.borrowing import Borrower
from totohio.remote.conversing import DisconnectedError
from totohio.remote.proxies import Proxy
from totohio.remote.securing import Veil
from totohio.wire.framing import Framer, frame

VERSION = 1
NONCE = 16  # bytes
MAX_FRAME = 1 << 28  # bytes of a message that a server may send us
KEEPALIVE = 60.0  # seconds of tyme at most after which a client that says or hears nothing asks who is there
IMPATIENCE = 15.0  # and at most when it waits for an answer
SILENCE = 3  # times that it asks before it gives the server up


class _Dialed(Borrower):
    """The end of a client that does not wait: callbacks of its may."""

    lot: Lot

    def returned(self, number: int, result: Any) -> None:
        """A callable of ours has returned something, or something to wait for."""
        if type(result) not in DEFERRED:
            self.answer(number, result)
            return

        def done(value: Any, error: BaseException | None) -> None:
            if error is None:
                self.answer(number, value)
            else:
                self.refuse(number, error)

        self.lot.run(result, done)


class Path:
    """Names that lead to something a server lends; nothing is asked until it is called, or fetched."""

    __slots__ = ("_names", "_performer")

    def __init__(self, performer: "RemoteDoer", names: tuple[str, ...]) -> None:
        self._performer = performer
        self._names = names

    def __repr__(self) -> str:
        return f"<remote {'.'.join(self._names)} of {self._performer.url}>"

    def __getattr__(self, name: str) -> "Path":
        if name.startswith("_"):
            raise AttributeError(f"{self!r} has no {name!r}", name=name, obj=self)
        return Path(self._performer, (*self._names, name))

    def __call__(self, /, *args: Any, **kw: Any) -> Future[Any]:
        """Call it; give a Future of what it returns."""
        return self._performer.perform("call", [None, *self._names], args, kw)


class RemoteDoer(Doer):
    """A session with a server, which it opens when it is entered.

    Attributes:
        url: Where the server is.
        user_id: Who we are there; None until the server has said so.
        remote: What is lent: ``doer.remote.math.sqrt(2)`` gives a Future.
        ready: A Future that is done when the session is open, or gets why it is not.
        poller: What a `PollingDoist` waits in for it.
    """

    waits = False

    def __init__(
        self,
        address: Address,
        *,
        environment: Environment | None = None,
        poller: Poller | None = None,
        user_id: str | None = None,
        password: str | None = None,
        session_id: str | None = None,
        session_key: str | None = None,
        context: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        structs: Iterable[type[msgspec.Struct]] = (),
        errors: Iterable[type[BaseException]] = (),
    ) -> None:
        """Set it up.

        Args:
            address: Host and port; the host is a numeric address, or ``localhost``, since to look up names would block.
            environment: Its seams to the world; the machine's own by default.
            poller: Tells when something has come, and is asked for that by somebody else; by default it has its own.
            user_id: Who we are; needs ``password``.
            password: It is not sent.
            session_id: The id of a session that we have over HTTP, in place of both; needs ``session_key``.
            session_key: The key of that session.
            context: For TLS: whom it trusts, as ``ssl.create_default_context(cafile=...)`` says it.
            server_hostname: With TLS: what the server's certificate says that it is; by default the host.
            structs: Classes of Structs that go by value.
            errors: Classes of exceptions that arrive as themselves.

        Raises:
            ValueError: It is not said who we are.
        """
        super().__init__()
        if (user_id is None or password is None) == (session_id is None or session_key is None):
            raise ValueError("say who it is: user_id and password, or session_id and session_key")
        host = address[0] if isinstance(address, tuple) else "localhost"
        scheme = "totohio" if context is None else "totohio+tls"
        self.url = f"{scheme}://{address[0]}:{address[1]}" if isinstance(address, tuple) else address
        self.user_id: str | None = None
        self.ready: Future[None] = Future()
        self.remote: Any = Path(self, ())
        self._address = address
        self._environment = environment = environment or kernel_environment()
        self._own = self.attentive = poller is None
        self.poller = poller or environment.network.poller()
        self._secure = None if context is None else (context, server_hostname or host)
        self._veil: Veil | None = None
        self._scripts: dict[Future[Any], None] = {}  # that run
        self._who = (user_id, password, session_id, session_key)
        self._structs, self._errors = list(structs), list(errors)
        self._borrower: _Dialed | None = None
        self._link: Link | None = None
        self._framer = Framer(MAX_FRAME)
        self._outs: collections.deque[bytes] = collections.deque()
        threads = environment.threads
        self._ident = threads.ident()
        self._lot = Lot(here=lambda: threads.ident() == self._ident, wake=self._wake)
        self._spoken = self._heard = self._pinged = 0.0  # tymes
        self._unanswered = 0  # times that it has asked since it has heard something
        self._lease = IMPATIENCE * SILENCE
        self._threads = threads.pool("remote-client", 1)

    # ------------------------------------------------------------ the Doer

    def due(self, tyme: float) -> float:
        """The tyme at which something is to be said, or connecting is given up."""
        link = self._link
        if link is None or link.closed:
            return self._lot.due()
        if self._outs and link.connected and (self._veil is None or self._veil.open):
            return tyme
        return min(self._lot.due(), link.due, self._alarm())

    def enter(self, *, temp: bool | None = None) -> None:
        """Connect."""
        self._ident = self._environment.threads.ident()
        if self.ready.done():  # it has been entered before
            self.ready = Future()
        self._borrower = _Dialed(self, send=self._outs.append, structs=self._structs, errors=self._errors)
        self._borrower.lot = self._lot
        self._framer = Framer(MAX_FRAME)
        self._outs.clear()
        self._veil = None if self._secure is None else Veil(*self._secure)
        self._link = Link(network=self._environment.network, poller=self.poller, address=self._address, owner=self)
        self._spoken = self._heard = self._pinged = self.tyme
        self._unanswered = 0
        try:
            self._link.open(self.tyme)
        except OSError as error:
            self._fail(error)

    def recur(self, tyme: float) -> bool:
        """Send what was asked for since the last cycle."""
        link = self._link
        assert link is not None
        if self._own:
            for attendant, mask in self.poller.ready():
                attendant.attend(mask)
        link.service(tyme)
        self._lot.service(tyme)
        if tyme >= self._alarm() and not link.closed:
            self._pinged = tyme
            if self.user_id is None:
                self._fail(TimeoutError("the server does not say whether we may come in"))
            elif self._unanswered >= SILENCE:
                self._fail(TimeoutError(f"nothing was heard of the server for {tyme - self._heard:g} seconds"))
            else:
                self._unanswered += 1
                self.perform("ping")
        if self._outs and link.connected and not link.closed and (self._veil is None or self._veil.open):
            self._spoken = tyme
            data = b"".join(map(frame, self._outs))
            self._outs.clear()
            self._send(data)
        return False

    def exit(self) -> None:
        """End the session."""
        if self._link is not None:
            self._link.close()
        self._lot.close()
        self._fail(DisconnectedError("the client ends"))
        for future in list(self._scripts):
            future.cancel()
        self._scripts.clear()
        if self._own:
            self.poller.close()

    # ------------------------------------------------------------ asking

    def perform(self, operation: str, target: Any = None, args: Any = (), kw: Any = None) -> Future[Any]:
        """Have something done; give a Future of what it brings."""
        assert self._borrower is not None
        return self._borrower.ask(operation, target, args, kw)

    def spawn(self, script: Any) -> Future[Any]:
        """Have a script run: a generator that yields Futures, or a coroutine that awaits them.

        Returns:
            A Future of what it returns; it is cancelled when this Doer ends before.
        """
        future: Future[Any] = Future()
        self._scripts[future] = None

        def done(result: Any, error: BaseException | None) -> None:
            self._scripts.pop(future, None)
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        self._lot.run(script, done)
        return future

    def operate(self, proxy: Proxy, operation: str, *args: Any) -> Future[Any]:
        """Have an operator used on what a proxy stands for, and give a Future of what it brings.

        Args:
            proxy: What it is used on.
            operation: "len", "bool", "str", "contains", "item", "setitem", "delitem", "enter" or "exit".
            args: What it takes: an item, a key, or a key and a value.
        """
        return self.perform(operation, proxy._number, args)

    def assign(self, proxy: Proxy, name: str, value: Any) -> Future[None]:
        """Set an attribute of what a proxy stands for; give a Future that is done then."""
        return self.perform("set", [proxy._number, name], [value])

    def fetch(self, path: Path) -> Future[Any]:
        """Give a Future of the value of something that is lent."""
        return self.perform("get", [None, *path._names])

    def cancel(self, future: Future[Any]) -> None:
        """Have the server end a call where it stands; its Future is cancelled."""
        if self._borrower is not None and not future.done():
            self._borrower.forget(future)
            future.cancel()

    def dropped(self, number: int) -> None:
        """Nobody uses an object any more; the server is told with what is sent next."""
        if self._borrower is not None:
            self._borrower.dropped(number)

    # ------------------------------------------------------------ what the Link tells

    def opened(self) -> None:
        """It is connected: say who we are, once nobody else can listen."""
        if self._veil is None:
            self._introduce()
        else:
            self.received(b"")  # which begins TLS

    def _introduce(self) -> None:
        user_id, password, session_id, key = self._who
        if user_id is not None and password is not None:
            script = self._log_in(user_id, password)
        else:
            assert session_id is not None
            assert key is not None
            script = self._present(session_id, key)
        self._lot.run(script, self._entered)

    def received(self, data: bytes) -> None:
        """The server has said something."""
        self._heard, self._unanswered = self.tyme, 0
        borrower, veil = self._borrower, self._veil
        assert borrower is not None
        try:
            if veil is not None:
                was_open = veil.open
                data = veil.received(data)
                self._send(b"")
                if veil.open and not was_open:
                    self._introduce()
            for message in self._framer.frames(data):
                borrower.take(message)
        except (OSError, TotohioError, ReferenceError) as error:
            self._fail(error)

    def drained(self) -> None:
        """All is sent."""

    def ended(self) -> None:
        """The server sends no more."""
        self._fail(DisconnectedError("the server has closed the connection"))

    def lost(self, error: OSError) -> None:
        """It broke."""
        self._fail(error)

    # ------------------------------------------------------------ the rest

    def _send(self, data: bytes) -> None:
        """Send bytes, and with TLS whatever else it has to say."""
        link, veil = self._link, self._veil
        assert link is not None
        if veil is not None:
            if data:
                veil.send(data)
            data = veil.take()
        try:
            if data:
                link.send(data)
        except BufferError as error:
            self._fail(DisconnectedError(str(error)))

    def _wake(self) -> None:
        self.poller.wake()

    def _alarm(self) -> float:
        """The tyme at which the server is asked whether it is there, or given up."""
        return max(min(self._spoken, self._heard), self._pinged) + self._patience()

    def _patience(self) -> float:
        waits = self._borrower is not None and self._borrower.waits()
        return min(IMPATIENCE if waits else KEEPALIVE, self._lease / 3)

    def _log_in(self, user_id: str, password: str) -> Any:
        greeting = yield self.perform("hello", None, [VERSION])
        nonce = self._environment.minter.draw(NONCE)
        challenge = yield self.perform("challenge", None, [user_id, nonce])
        signed = transcript(user_id, greeted(greeting), nonce)
        ours, theirs = yield self._threads.submit(answer, challenge, password, signed)
        self._enter((yield self.perform("prove", None, [ours])), theirs)

    def _present(self, session_id: str, key: str) -> Any:
        greeting = yield self.perform("hello", None, [VERSION])
        mac = session_mac(key, greeted(greeting))
        self._enter((yield self.perform("present", None, [session_id, mac])), None)

    def _enter(self, welcome: Any, proof: bytes | None) -> None:
        self.user_id, _, self._lease = welcomed(welcome, proof)

    def _entered(self, result: Any, error: BaseException | None) -> None:
        if error is None:
            self.ready.set_result(None)
        else:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._link is not None:
            self._link.close()
        self.user_id = None
        if self._borrower is not None:
            self._borrower.close(error)
        if not self.ready.done():
            self.ready.set_exception(error)
