"""Lends objects to clients: the sessions of a server, their connections, and the Doer that runs them."""

import importlib
import logging
import math
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from totohio.app.allotting import Allotter, current
from totohio.app.conveying import Connection, LendingSteward
from totohio.app.dispatching import Dispatcher
from totohio.app.gating import Gatekeeper
from totohio.app.keeping import Keeper
from totohio.app.reviewing import Reviews
from totohio.app.settings import Settings
from totohio.base.doing import Doer
from totohio.base.environing import Environment
from totohio.base.errors import ERROR_SERVER, LoadError, SettingsError, TotoException, TotohioError
from totohio.base.expiring import Deadlines
from totohio.base.futures import Future
from totohio.core.invoking import Lot
from totohio.core.lending import Exposures, lent_in
from totohio.core.pausing import Fibers
from totohio.core.ports import StoreError
from totohio.net.serving import Server
from totohio.remote.conversing import DisconnectedError
from totohio.remote.ports import Gate, Policy
from totohio.remote.sessions import RemoteSession
from totohio.wire.lending import LendingError

logger = logging.getLogger("totohio")

GREETING = 10.0  # seconds that a client has to say who it is
GRACE = 0.5  # and has for it when others are kept out
NONCE = 16  # bytes
EXPIRIES = 256  # calls and sessions that are ended in a cycle
QUIET = 60.0  # seconds after which it is said again that there are too many sessions
PATIENCE = 600.0  # seconds that a worker thread waits for a client's callback at most


class LendingHouse:
    """All sessions of a server.

    Attributes:
        lot: Where calls wait.
        fibers: In which calls run.
        exposures: What can be reached.
        gate: Knows who may come in.
        policy: What a session may have.
        lent: What everybody is lent, by name.
        waits: Calls that are under way, by session and number.
        leases: Sessions, by when they were last heard of.
        greetings: Those that have not said who they are.
        reviews: Looks again at those that have.
        timed: Calls are logged.
        retiring: Sessions end when their calls are done.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Environment,
        dispatcher: Dispatcher,
        keeper: Keeper,
    ) -> None:
        """Set it up.

        Raises:
            SettingsError: A module that is to be lent does not exist.
            LoadError: It raises when it is imported.
        """
        self.lot: Lot = dispatcher.lot
        self.fibers: Fibers = keeper.fibers
        modules = [_module("remote_modules", name) for name in _names(settings.remote_modules)]
        self.exposures = Exposures(modules)
        self.lent: dict[str, Any] = {module.__name__.rpartition(".")[2]: module for module in modules}
        self.structs: Iterable[type[msgspec.Struct]] = ()
        self.errors: Iterable[type[BaseException]] = ()
        if settings.remote_module is not None:
            found = lent_in(_module("remote_module", settings.remote_module))
            self.lent |= found.names
            self.structs, self.errors = found.structs, found.errors
        self.policy = Policy(
            max_frame=settings.remote_max_frame,
            max_references=settings.remote_max_references,
            max_calls=settings.remote_max_calls,
            rate=settings.remote_rate,
            timeout=settings.remote_timeout,
            lease=settings.remote_lease,
            exec=settings.remote_exec,
            exec_role=settings.remote_exec_role,
        )
        self.gate: Gate = Gatekeeper(keeper, environment.minter, settings.remote_role)
        self.waits: Deadlines[tuple[RemoteSession, int]] = Deadlines(settings.remote_timeout)
        self.leases: Deadlines[RemoteSession] = Deadlines(settings.remote_lease)
        self.greetings: Deadlines[RemoteSession] = Deadlines(GREETING)
        self.executions: Deadlines[RemoteSession] = Deadlines(settings.remote_exec_timeout)
        self.reviews = Reviews(self, keeper, settings.remote_review)
        timed = (self.waits, self.leases, self.greetings, self.executions, self.reviews.dues)
        self._deadlines: tuple[Deadlines[Any], ...] = timed
        self.max_sessions = settings.remote_max_sessions
        self._quiet_until = -math.inf  # the tyme until which it is not said again that there are too many
        self.sessions: dict[RemoteSession, None] = {}
        self.retiring = False
        self._minter = environment.minter
        self._threads = environment.threads
        count = settings.remote_threads
        self._pool = Allotter(self._threads.pool("remote", count), count)
        pool, drop = self._threads.pool("statements", count), self.executions.drop
        self._statements = Allotter(pool, count, began=self._executed, ended=drop)
        self._here, self._post = dispatcher.here, dispatcher.post
        self._unavailable, self._report = dispatcher.unavailable, dispatcher.report
        self._log, self.timed, self._clock = dispatcher.log, dispatcher.timed, environment.clock

    # ------------------------------------------------------------ for sessions

    def begin(self, carrier: Any, *, address: str, framed: bool) -> RemoteSession:
        """Begin a session over a connection.

        Raises:
            TotohioError: There are too many.
        """
        if len(self.sessions) >= self.max_sessions and not self._make_room():
            if self.lot.tyme >= self._quiet_until:
                self._quiet_until = self.lot.tyme + QUIET
                logger.warning("remote: no room for more than %d sessions", self.max_sessions)
            raise TotohioError("there are too many sessions")
        session = RemoteSession(self, carrier, nonce=self._minter.draw(NONCE), address=address, framed=framed)
        self.sessions[session] = None
        self.greetings.set(session, self.lot.tyme)
        return session

    def _make_room(self) -> bool:
        """End the session that has not said for longest who it is, so that nobody is kept out by who says nothing."""
        oldest = self.greetings.oldest()
        if oldest is None or oldest[1] > self.lot.tyme - GRACE:
            return False
        oldest[0].end(TimeoutError("it did not say who it is while others wanted to"))
        return True

    def heard(self, session: RemoteSession) -> None:
        """A session has said something."""
        if session.user_id is not None and session.closed is None:
            self.leases.set(session, self.lot.tyme)

    def entered(self, session: RemoteSession) -> None:
        """A session has said who it is."""
        self.greetings.drop(session)
        self.heard(session)
        self.reviews.begin(session)

    def done(self, session: RemoteSession) -> None:
        """A call of a session is done."""
        if self.retiring and not session.busy():
            session.end(DisconnectedError("the server goes down"))

    def ended(self, session: RemoteSession) -> None:
        """A session has ended."""
        self.sessions.pop(session, None)
        for deadlines in (self.greetings, self.leases, self.executions):
            deadlines.drop(session)
        self.reviews.end(session)

    def dismiss(self, session: RemoteSession, error: BaseException) -> None:
        """End a session, and tell its client why."""
        session.notify("end", str(error))
        session.end(error)

    def offload(self, session: RemoteSession, function: Callable[..., Any], /, *args: Any, **kw: Any) -> Future[Any]:
        """Call a function in a worker thread of a session's share."""
        return self._pool.submit(session, function, *args, **kw)

    def statements(self, session: RemoteSession, function: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Have a thread carry statements out; a session whose statements take too long is ended."""
        return self._statements.submit(session, function, *args)

    def _executed(self, session: RemoteSession) -> None:
        self.executions.set(session, self.lot.tyme)

    def give_up(self, future: Any) -> None:
        """Do without what a thread would have brought; nothing happens when it is no thread's."""
        if isinstance(future, Future):
            self._pool.give_up(future)
            self._statements.give_up(future)

    def held(self, session: RemoteSession) -> int:
        """Tell how many threads still do what a session has given up."""
        return self._pool.held(session) + self._statements.held(session)

    def wait(self, future: Future[Any], ask: Callable[[], None]) -> Any:
        """Have something asked in the cycle, and wait for the answer where the caller stands.

        The Future is cancelled when nobody waits for it any more.

        Raises:
            DisconnectedError: No answer comes, or nobody wants what the thread does any more.
        """
        if self._here():
            try:
                ask()
                if not future.done() and not self.fibers.pausable():
                    raise RuntimeError("a callback cannot be waited for here: yield what its later() gives")
                return self.fibers.wait(future)
            finally:
                future.cancel()
        task = current()
        if task is not None:
            task.waits.add(future)  # before it is asked whether it was given up, as whoever does that looks afterwards
        try:
            if task is not None and task.given_up:
                future.cancel()
            else:
                self._post(ask)
            if not self._threads.wait(future, PATIENCE):
                self._post(future.cancel)
                raise DisconnectedError("the client did not answer in time")
        finally:
            if task is not None:
                task.waits.discard(future)
        if future.cancelled():
            raise DisconnectedError("the call was given up, or took too long")
        return future.result()

    def told(self, session: RemoteSession, error: BaseException) -> BaseException:
        """Give an error as a client is told it: a stranger is not told where in the server it was raised."""
        if isinstance(error, StoreError):
            return self._unavailable(error)
        if session.user_id is not None:
            return error
        if isinstance(error, TotoException):
            return TotoException(error.code, error.value)
        if isinstance(error, LendingError):
            return LendingError(str(error))
        self._report(error, None)
        return TotoException(ERROR_SERVER, "The server has failed.")

    def log(self, name: str, code: Any, seconds: float) -> None:
        """Note a call."""
        self._log((name, code, seconds, None))

    def monotonic(self) -> float:
        """Give the seconds of a clock that never steps."""
        return self._clock.monotonic()

    def describe(self, value: Any) -> tuple[Any, Callable[[], Any]]:
        """Say what an object is that is lent."""
        return self.exposures.describe(value)

    # ------------------------------------------------------------ for the Server

    def steward(self, *, remoter: Any, server: Server) -> LendingSteward:
        """Make what manages a connection."""
        steward = LendingSteward(remoter=remoter, server=server)
        steward.house = self
        return steward

    def turn_away(self, sock: Any) -> None:
        """Close a connection that is one too many."""
        sock.close()

    def drained(self, steward: Any) -> None:
        """A peer has read what had to wait for it."""
        if isinstance(steward.exchange, Connection):
            steward.exchange.drained()

    # ------------------------------------------------------------ for the Doer

    def due(self, tyme: float) -> float:
        """The tyme at which something has to be done."""
        due = math.inf
        for each in self._deadlines:
            if each.dues:
                due = min(due, each.due())
        return due

    def service(self, tyme: float) -> None:
        """End what takes too long."""
        if self.waits.due() <= tyme:
            for session, number in self.waits.take(tyme, EXPIRIES):
                session.expire(number)
        for deadlines, text in (
            (self.greetings, "it did not say who it is"),
            (self.leases, "nothing was heard of it for too long"),
            (self.executions, "its statements took too long"),
        ):
            if deadlines.due() <= tyme:
                for session in deadlines.take(tyme, EXPIRIES):
                    self.dismiss(session, TimeoutError(text))
        self.reviews.service(tyme)

    def retire(self) -> None:
        """End each session when its calls are done."""
        self.retiring = True
        for session in list(self.sessions):
            self.done(session)

    def close(self) -> None:
        """End all sessions."""
        for session in list(self.sessions):
            session.end(DisconnectedError("the server goes down"))


class LendingDoer(Doer):
    """Runs what is lent: its connections, and a bounded part of what is due in each cycle."""

    attentive = False

    def __init__(self, house: LendingHouse, server: Server) -> None:
        super().__init__()
        self.house = house
        self.server = server

    def wind(self, tymth: Any) -> None:
        """Take tyme from another tymist."""
        super().wind(tymth)
        self.server.wind(tymth)

    def due(self, tyme: float) -> float:
        """The tyme at which something is to be done."""
        due, other = self.house.due(tyme), self.server.due(tyme)
        return due if due < other else other

    def enter(self, *, temp: bool | None = None) -> None:
        """Listen.

        Raises:
            TotohioError: The address is in use, unknown or forbidden.
        """
        self.house.retiring = False
        try:
            self.server.reopen()
        except OSError as error:
            host, port = self.server.servant.ha[:2]
            raise TotohioError(f"cannot lend objects on {host}:{port}: {error.strerror or error}") from None

    def retire(self) -> None:
        """Take no more sessions, and end each when its calls are done."""
        self.server.refuse()
        self.house.retire()

    def rest(self) -> bool:
        """Tell whether there is no session any more, and all is sent."""
        return not self.house.sessions and not any(each.remoter.pending for each in self.server.stewards.values())

    def recur(self, tyme: float) -> bool:
        """Do what is to be done."""
        self.server.service()
        self.house.service(tyme)
        return False

    def exit(self) -> None:
        """End all sessions and stop listening."""
        self.house.close()
        self.server.close()


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _module(option: str, name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise SettingsError(f"{option}: there is no module {name}") from None
        raise LoadError(f"{name} cannot be imported", module=name) from error
    except Exception as error:
        raise LoadError(f"{name} cannot be imported", module=name) from error
