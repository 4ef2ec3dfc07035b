"""The client for those who do not wait: a Doer, whose proxies give Futures.

``result = yield remote.math.sqrt(2)`` in a generator, or ``await`` in a coroutine, of whatever parks them: a method of
a server, or a script of the simulation.

    absent        there is no session: it was not entered yet, or has ended, or will not try again
    coming        a session is being opened
    present       there is one
    waiting       until it tries again; with ``reconnect`` alone
"""

import logging
import math
import ssl
from collections.abc import Iterable
from typing import Any

import msgspec

from totohio.base.doing import Doer
from totohio.base.environing import Environment, Poller
from totohio.base.futures import Future
from totohio.core.invoking import Lot, Run
from totohio.net.kernel import kernel_environment
from totohio.net.linking import Address
from totohio.remote.conversing import DisconnectedError
from totohio.remote.places import read_place
from totohio.remote.proxies import Proxy
from totohio.remote.retrying import STEADY, Backoff, may_pass
from totohio.remote.visiting import Terms, Visit

logger = logging.getLogger("totohio")

THREADS = 2  # so that a name whose lookup hangs keeps nobody from the next one, nor from showing who we are
LOUD = 1.0  # seconds of a pause from which on it is worth a warning that there is no session


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
    """A session with a server, which it opens when it is entered; with ``reconnect`` one after the other.

    Attributes:
        url: Where the server is.
        remote: What is lent: ``doer.remote.math.sqrt(2)`` gives a Future. Names mean the same in each session.
        ready: A Future that is done when there is a session, or gets why there is none and will be none. When a session
            is lost that is followed by another, this is a new Future, which is done when that one is open.
        poller: What a `PollingDoist` waits in for it.
    """

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
        reconnect: bool = False,
        structs: Iterable[type[msgspec.Struct]] = (),
        errors: Iterable[type[BaseException]] = (),
    ) -> None:
        """Set it up.

        Args:
            address: A URL, as `connect` takes it; or a host and port; or the path of a Unix socket. The name of a host
                is looked up in a worker thread, and its addresses are tried in turn; a numeric address, and
                ``localhost``, which means 127.0.0.1, cost none.
            environment: Its seams to the world; the machine's own by default.
            poller: Tells when something has come, and is asked for that by somebody else; by default it has its own.
            user_id: Who we are; needs ``password``.
            password: It is not sent.
            session_id: The id of a session that we have over HTTP, in place of both; needs ``session_key``.
            session_key: The key of that session.
            context: For TLS: whom it trusts, as ``ssl.create_default_context(cafile=...)`` says it; with a URL that
                says TLS that is by default whom the machine trusts.
            server_hostname: With TLS: what the server's certificate says that it is; by default the host.
            reconnect: Open another session when one is lost, or cannot be opened for a reason that may pass, for as
                long as the Doer runs: see `retrying` for which, and how long it waits between two tries.
            structs: Classes of Structs that go by value.
            errors: Classes of exceptions that arrive as themselves.

        Raises:
            ValueError: It is not said who we are, or the URL is none.
        """
        super().__init__()
        if (user_id is None or password is None) == (session_id is None or session_key is None):
            raise ValueError("say who it is: user_id and password, or session_id and session_key")
        place = read_place(address, secure=context is not None)
        if place.secure and context is None:
            context = ssl.create_default_context()
        self.url = place.url
        self.ready: Future[None] = Future()
        self.remote: Any = Path(self, ())
        self._environment = environment = environment or kernel_environment()
        self._own = self.attentive = poller is None
        self.poller = poller = poller or environment.network.poller()
        self._reconnect = reconnect
        self._backoff = Backoff(environment.minter)
        self._scripts: dict[Future[Any], None] = {}  # that run
        threads = environment.threads
        self._ident = threads.ident()
        self._lot = Lot(here=lambda: threads.ident() == self._ident, wake=self._wake)
        self._terms = Terms(
            place=place,
            secure=None if context is None else (context, server_hostname or place.host),
            user_id=user_id,
            password=password,
            session_id=session_id,
            session_key=session_key,
            structs=list(structs),
            errors=list(errors),
            environment=environment,
            poller=poller,
            pool=threads.pool("remote-client", THREADS),
            lot=self._lot,
            tyme=lambda: self.tyme,
        )
        self._visit: Visit | None = None  # that goes on
        self._why = "it was not begun"  # that there is none
        self._again = math.inf  # the tyme of the next try
        self._told = False  # somebody was told that there is no session
        self._running = False

    @property
    def user_id(self) -> str | None:
        """Who we are at the server; None while there is no session."""
        return None if self._visit is None else self._visit.user_id

    # ------------------------------------------------------------ the Doer

    def due(self, tyme: float) -> float:
        """The tyme at which something is to be said, or given up, or tried again."""
        visit = self._visit
        return min(self._lot.due(), self._again if visit is None else visit.due(tyme))

    def enter(self, *, temp: bool | None = None) -> None:
        """Begin to open a session."""
        self._ident = self._environment.threads.ident()
        if self.ready.done():  # it has been entered before
            self.ready = Future()
        self._lot.tyme = self.tyme
        self._backoff.reset()
        self._told, self._running, self._why = False, True, "it is being opened"
        self._begin()

    def recur(self, tyme: float) -> bool:
        """Send what was asked for since the last cycle, and try again when it is time for that."""
        if self._own:
            for attendant, mask in self.poller.ready():
                attendant.attend(mask)
        if self._visit is not None:
            self._visit.service(tyme)
        elif tyme >= self._again:
            self._begin()
        self._lot.service(tyme)
        if self._visit is not None:
            self._visit.flush(tyme)
        return False

    def exit(self) -> None:
        """End the session, and the scripts; nothing is tried again."""
        self._running = False
        error = DisconnectedError("the client ends")
        if self._visit is not None:
            self._visit.leave()
        self._lot.close()
        if self._visit is not None:
            self._visit.close(error)
        self._give_up(error)
        for future in list(self._scripts):
            future.cancel()
        self._scripts.clear()
        if self._own:
            self.poller.close()

    # ------------------------------------------------------------ asking

    def perform(self, operation: str, target: Any = None, args: Any = (), kw: Any = None) -> Future[Any]:
        """Have something done; give a Future of what it brings, or the DisconnectedError that says that it is lost.

        Raises:
            DisconnectedError: There is no session.
        """
        visit = self._visit
        if visit is None or visit.user_id is None:
            raise DisconnectedError(f"there is no session with {self.url}: {self._why}")
        return visit.perform(operation, target, args, kw)

    def spawn(self, script: Any) -> Future[Any]:
        """Have a script run: a generator that yields Futures, or a coroutine that awaits them.

        It belongs to no session: when one is lost, what the script waits for raises DisconnectedError in it, and it may
        go on, and wait for `ready`.

        Returns:
            A Future of what it returns; it is cancelled when this Doer ends before. To cancel it, from any thread, ends
            the script where it waits, in the next cycle, and its ``finally`` blocks run. A call that it waits for goes
            on at the server, unless `cancel` ends that.
        """
        future: Future[Any] = Future()
        self._scripts[future] = None

        def done(result: Any, error: BaseException | None) -> None:
            self._scripts.pop(future, None)
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        run = self._lot.run(script, done)
        if run is not None:
            self._lot.run(future, lambda result, error: self._stop(future, run))
        return future

    def operate(self, proxy: Proxy, operation: str, *args: Any) -> Future[Any]:
        """Have an operator used on what a proxy stands for, and give a Future of what it brings.

        Args:
            proxy: What it is used on.
            operation: "len", "bool", "str", "contains", "item", "setitem", "delitem", "enter" or "exit".
            args: What it takes: an item, a key, or a key and a value.

        Raises:
            DisconnectedError: The session that it belongs to is over.
            ValueError: It is a proxy of another client.
        """
        return self._visit_of(proxy).perform(operation, proxy._number, args)

    def assign(self, proxy: Proxy, name: str, value: Any) -> Future[None]:
        """Set an attribute of what a proxy stands for; give a Future that is done then.

        Raises:
            DisconnectedError: The session that it belongs to is over.
            ValueError: It is a proxy of another client.
        """
        return self._visit_of(proxy).perform("set", [proxy._number, name], [value])

    def fetch(self, path: Path) -> Future[Any]:
        """Give a Future of the value of something that is lent."""
        return self.perform("get", [None, *path._names])

    def cancel(self, future: Future[Any]) -> None:
        """Have the server end a call where it stands; its Future is cancelled."""
        if not future.done():
            if self._visit is not None:
                self._visit.cancel(future)
            future.cancel()

    # ------------------------------------------------------------ what sessions tell

    def entered(self, visit: Visit) -> None:
        """There is a session."""
        if self._told:
            logger.info("remote: there is a session with %s again", self.url)
            self._told = False
        if not self.ready.done():
            self.ready.set_result(None)

    def ended(self, visit: Visit, error: BaseException) -> None:
        """There is none any more, or none came to be: see whether to try again, and when."""
        self._visit, self._why = None, str(error) or type(error).__name__
        lost = visit.began < math.inf
        if not self._running:
            return
        if not (self._reconnect and (lost or may_pass(error))):
            self._give_up(error)
            return
        if lost and self.tyme - visit.began >= STEADY:
            self._backoff.reset()
        if self.ready.done():
            self.ready = Future()
        pause = self._backoff.next()
        self._again = self.tyme + pause
        if pause >= LOUD and not self._told:
            self._told = True
            logger.warning("remote: there is no session with %s: %s", self.url, self._why)

    # ------------------------------------------------------------ the rest

    def _begin(self) -> None:
        self._again = math.inf
        self._visit = visit = Visit(self._terms, self)
        visit.begin()

    def _give_up(self, error: BaseException) -> None:
        self._again = math.inf
        self._why = str(error) or type(error).__name__
        if not self.ready.done():
            self.ready.set_exception(error)

    def _stop(self, future: Future[Any], run: Run) -> None:
        """A script is done, or its Future was cancelled, and it is to end where it waits."""
        self._scripts.pop(future, None)
        run.close()

    def _visit_of(self, proxy: Proxy) -> Visit:
        performer = proxy._performer
        if type(performer) is not Visit or performer.host is not self:
            raise ValueError(f"{proxy!r} is no proxy of this client")
        return performer

    def _wake(self) -> None:
        self.poller.wake()
