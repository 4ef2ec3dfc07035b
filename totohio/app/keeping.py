"""What a server keeps of its users: store, journal and rules put together, and the Doer that commits."""

import ipaddress
import logging
import math
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from totohio.app.admitting import Admitter
from totohio.app.connecting import DBConnection
from totohio.app.cookies import CookieJar, listed
from totohio.app.settings import Settings
from totohio.base.doing import FOREVER, Doer
from totohio.base.environing import Environment
from totohio.base.errors import ERROR_STORE_UNAVAILABLE, SettingsError, TotoException, TotohioError
from totohio.base.futures import Future
from totohio.core import passwording
from totohio.core.account import Account, canonical, wrong
from totohio.core.accounting import Accounts
from totohio.core.committing import Journal, Unit
from totohio.core.hashing import Passwords
from totohio.core.keying import ApiKeys
from totohio.core.pausing import Fibers
from totohio.core.ports import Store, StoreError
from totohio.core.session import TotoSession
from totohio.core.sessioning import Policy, Sessions
from totohio.core.throttling import LoginThrottle
from totohio.store import opening
from totohio.wire.requesting import Request

if TYPE_CHECKING:
    from totohio.app.identifying import Identified

logger = logging.getLogger("totohio")

AGENT = 200  # characters that are kept of a User-Agent
SWEEP_PAUSE = 10.0  # seconds of tyme between two looks for what has expired
SWEEP_SLICE = 500  # records that are removed at a time
WAIT = 10.0  # seconds that a thread, or a start-up function, waits for the store at most


class Keeper:
    """The store of a server and all that works on it.

    Attributes:
        store: Where records are kept.
        fibers: Run functions that may wait for it.
        journal: What is to be committed.
        sessions: The rules of sessions.
        accounts: The rules of accounts.
        keys: The rules of API keys.
        admitter: Looks who calls.
        jar: Cookies; None without.
        running: The cycle comes, so that nothing may wait for it.
        settings: The server's options.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Environment,
        *,
        here: Callable[[], bool],
        post: Callable[..., None],
        drain: Callable[[], object],
    ) -> None:
        self.settings = settings
        self.environment = environment
        self.fibers = Fibers(self._block)
        self.store: Store = opening.make(settings, environment)
        self.journal = Journal(self.store, self.fibers)
        clock, minter = environment.clock, environment.minter
        policy = Policy(
            ttl=settings.session_ttl,
            anon_ttl=settings.anon_session_ttl,
            renew=settings.session_renew,
            anon_renew=settings.anon_session_renew,
            lifetime=settings.session_lifetime or math.inf,
            granularity=settings.session_renew_granularity,
            keyed=settings.hmac_enabled,
            algorithm=settings.hmac_algorithm,
        )
        self._pool = environment.threads.pool("passwords", settings.password_threads)
        self._caches = environment.threads.pool("sessions", 4)
        self._here = here
        self._post = post
        self._drain = drain
        self.hasher = Passwords(memory=settings.password_memory, time=settings.password_time)
        self.sessions = Sessions(journal=self.journal, clock=clock, minter=minter, policy=policy)
        self.sessions.anywhere = self.anywhere
        self.sessions.submit = self._caches.submit
        self.sessions.cache = opening.cache(settings, environment)
        self.accounts = Accounts(
            sessions=self.sessions,
            clock=clock,
            minter=minter,
            submit=self._hash,
            hasher=self.hasher,
            throttle=LoginThrottle(clock=clock, minter=minter) if settings.login_throttle else None,
            check=self._check if strict(settings) else None,
        )
        self.sessions.get_account = lambda session: self.accounts.open(session._unit, session.user_id)
        self.sessions.cutoff = self._cutoff
        self.keys = ApiKeys(clock=clock, minter=minter)
        self.jar = CookieJar(settings, clock) if settings.use_cookies else None
        self.admitter = Admitter(
            sessions=self.sessions,
            accounts=self.accounts,
            keys=self.keys,
            clock=clock,
            minter=minter,
            jar=self.jar,
            signed=settings.hmac_enabled,
            window=settings.hmac_replay_window,
        )
        self._proxies = _networks(settings.trusted_proxies)
        self._global = DBConnection(self)
        self.running = False

    # ------------------------------------------------------------ who asks

    def unit(self) -> Unit:
        """Begin to read and write for a request."""
        return Unit(self.journal)

    def connect(self, handler: "Identified | None" = None) -> DBConnection:
        """Give the database connection of a request, or the one of none."""
        return self._global if handler is None else DBConnection(self, handler)

    def alone(self, function: Callable[[Unit], Any]) -> Any:
        """Call a function that reads and writes for no request.

        In a fiber it returns when all is durable; elsewhere what is written is durable a moment later.
        """
        unit = self.unit()
        result = function(unit)
        if self.fibers.pausable():
            for ticket, needed in unit.tickets:
                if needed:
                    unit.wait(ticket)
        else:
            for ticket, needed in unit.tickets:
                if needed:
                    ticket.add_done_callback(_log_failure)
            self.journal.flush()
        return result

    def anywhere(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in the cycle, from whatever thread, and give what it returns.

        Raises:
            TotohioError: The cycle does not come.
        """
        if not self.running or self._here():
            return function(*args)
        done = threading.Event()
        outcome: list[Any] = []

        def run() -> None:
            try:
                outcome.extend((True, function(*args)))
            except BaseException as error:
                outcome.extend((False, error))
            done.set()

        self._post(run)
        if not done.wait(WAIT):
            raise TotohioError("the server did not come to it in time")
        if outcome[0]:
            return outcome[1]
        raise outcome[1]

    def address(self, request: Request) -> str:
        """Give the address of the client: the peer's, or what proxies that are trusted say of it (X-Forwarded-For)."""
        address = request.remote_ip
        if not self._proxies:
            return address
        given = request.fields.get(b"x-forwarded-for", b"").decode("latin-1")
        for part in reversed([part.strip() for part in given.split(",")]):
            if not part or not self._trusted(address):
                break
            try:
                address = str(ipaddress.ip_address(part))
            except ValueError:
                break
        return address

    def _trusted(self, address: str) -> bool:
        if not address:
            return True  # a Unix socket: whoever may open it is a proxy of ours
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._proxies if network.version == parsed.version)

    # ------------------------------------------------------------ what DBConnection and methods share

    def open_session(
        self,
        unit: Unit,
        handler: "Identified | None",
        user_id: str | None,
        password: str | None,
        verify_password: bool = True,
        code: str | None = None,
    ) -> TotoSession:
        """Open a session; see `TotoHandler.create_session`.

        Args:
            unit: Whose request it is.
            handler: Of the request; it says from where.
            user_id: Whose; None or "" for nobody's.
            password: The user's.
            verify_password: Look whether it is.
            code: Of the second factor, where the user has one.
        """
        if not user_id:
            return self.sessions.open_anonymous(unit)
        from totohio.core.factoring import second_factor

        address = handler.remote_address if handler is not None else ""
        agent = ""
        if handler is not None:
            agent = handler.request.fields.get(b"user-agent", b"")[:AGENT].decode("latin-1")
        if not verify_password:
            return self.accounts.login(unit, canonical(user_id), lambda account: None, address=address, agent=agent)
        verified = self.accounts.verify(unit, user_id, password, address=address)
        hashed = verified.password
        fresh = None
        if self.hasher.outdated(hashed):
            fresh = self.accounts.hash(unit, str(password))
        factor = second_factor(verified, code, self.environment.clock.now())

        def edit(account: Account) -> None:
            if account.password != hashed:
                raise wrong()
            factor(account)
            if fresh is not None:
                account.password = fresh

        return self.accounts.login(unit, verified.user_id, edit, address=address, agent=agent)

    def known_hash(self, hashed: str) -> None:
        """See whether a text is the hash of a password.

        Raises:
            ValueError: It is not.
        """
        if not self.hasher.known(hashed):
            raise ValueError("this is no hash of a password that totohio knows")

    def token(self, size: int) -> str:
        """Give a random text of that many bytes, URL-safe."""
        import base64

        return base64.urlsafe_b64encode(self.environment.minter.draw(size)).rstrip(b"=").decode()

    @property
    def raw(self) -> Any:
        """The store itself: its LMDB environment or Redis client; None in memory."""
        return getattr(self.store, "raw", None)

    def unavailable(self, error: StoreError) -> TotoException:
        """Give the error that a call gets when the store has failed."""
        logger.warning("the store is unavailable: %s", error)
        return TotoException(ERROR_STORE_UNAVAILABLE, "The store is unavailable; try again later.")

    # ------------------------------------------------------------ parts

    def _hash(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Hash in a worker thread; where nothing can be paused, here and now."""
        if self.fibers.pausable():
            return self._pool.submit(function, *args)
        future: Future[Any] = Future()
        future.set_result(function(*args))
        return future

    def _check(self, password: str, user_id: str) -> None:
        settings = self.settings
        passwording.check(password, user_id, least=settings.password_min_length, common=settings.password_common)

    def _cutoff(self, unit: Unit, user_id: str) -> float:
        account = self.accounts.find(unit, user_id)
        return math.inf if account is None else account.cutoff

    def _block(self, future: Future[Any]) -> None:
        """Bring a Future about where nothing can be paused: before the server runs."""
        if self.running:
            raise TotohioError("nothing can be waited for here: do it in a method")
        clock = self.environment.clock
        end = clock.monotonic() + WAIT
        flush = getattr(self.store, "flush", None)
        while not future.done() and clock.monotonic() < end:
            self.journal.flush()
            if flush is not None:
                flush()
            self._drain()
            clock.sleep(0.001)
        if not future.done():
            raise StoreError("the store did not answer in time")

    def close(self) -> None:
        """Release the worker threads and the store."""
        self.store.close()


class SessionDoer(Doer):
    """Commits what each cycle has queued, as one group, and removes what has expired, some at a time."""

    attentive = False

    def __init__(self, keeper: Keeper) -> None:
        super().__init__()
        self.keeper = keeper
        self.journal = keeper.journal
        self._sweeping = False
        self._sweep_at = 0.0
        self._flush: Callable[[], Any] | None = getattr(keeper.store, "flush", None)
        self._wanted: Callable[[], bool] = getattr(keeper.store, "wanted", _never)

    def due(self, tyme: float) -> float:
        """At once when something is queued; else when it is time to look for what has expired."""
        if self.journal.due or self._wanted():
            return 0.0
        return FOREVER if self._sweeping or not opening.opened(self.keeper.store) else self._sweep_at

    def enter(self, *, temp: bool | None = None) -> None:
        """Open the store."""
        self.keeper.store.open()
        self.keeper.running = True
        self._sweep_at = self.tyme + SWEEP_PAUSE

    def recur(self, tyme: float) -> bool:
        """Send the group of this cycle."""
        self.journal.flush()
        if self._flush is not None:
            self._flush()
        if tyme >= self._sweep_at and not self._sweeping and opening.opened(self.keeper.store):
            self._sweep(tyme)
        return False

    def exit(self) -> None:
        """Give up what is queued, and close the store when the group that is on its way is there."""
        self.keeper.running = False
        self.keeper.close()
        self.journal.end()

    def _sweep(self, tyme: float) -> None:
        self._sweeping = True

        def swept(future: Future[int]) -> None:
            self._sweeping = False
            error = future.exception()
            if error is not None:
                logger.debug("expired records stay for now", exc_info=error)
            more = error is None and future.result() >= SWEEP_SLICE
            self._sweep_at = self.tyme if more else self.tyme + SWEEP_PAUSE

        try:
            future = self.keeper.store.sweep(self.keeper.environment.clock.now(), SWEEP_SLICE)
        except StoreError:
            self._sweeping = False
            self._sweep_at = tyme + SWEEP_PAUSE
        else:
            future.add_done_callback(swept)


def strict(settings: Settings) -> bool:
    """Tell whether new passwords are looked at."""
    return settings.password_rules == "on" or (settings.password_rules == "auto" and settings.database != "memory")


def _networks(text: str) -> list[Any]:
    try:
        return [ipaddress.ip_network(part, strict=False) for part in listed(text)]
    except ValueError as error:
        raise SettingsError(f"trusted_proxies: {error}") from None


def _never() -> bool:
    return False


def _log_failure(ticket: Future[bool]) -> None:
    error = ticket.exception()
    if error is not None:
        logger.error("what was written outside of any call is lost: %s", error)
