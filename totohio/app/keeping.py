"""What a server keeps of its users: store, journal and rules put together, and the Doer that commits."""

import base64
import logging
import math
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from totohio.app.admitting import Admitter
from totohio.app.connecting import DBConnection
from totohio.app.cookies import CookieJar, listed
from totohio.app.locating import Locator
from totohio.app.settings import Settings
from totohio.base.environing import Environment
from totohio.base.errors import ERROR_STORE_UNAVAILABLE, SettingsError, TotoException, TotohioError
from totohio.base.futures import Future
from totohio.core import importing, passwording
from totohio.core.account import Account, canonical, wrong
from totohio.core.accounting import Accounts
from totohio.core.caching import TotoSessionCache
from totohio.core.committing import Journal, Unit
from totohio.core.factoring import second_factor
from totohio.core.hashing import Passwords
from totohio.core.invoking import Lot
from totohio.core.keying import ApiKeys
from totohio.core.limiting import too_many
from totohio.core.pausing import Fibers
from totohio.core.ports import Store, StoreError
from totohio.core.resetting import Resets
from totohio.core.session import TotoSession
from totohio.core.sessioning import Policy, Sessions
from totohio.core.throttling import LoginThrottle
from totohio.store import opening

if TYPE_CHECKING:
    from totohio.app.identifying import Identified

logger = logging.getLogger("totohio")

AGENT = 200  # characters that are kept of a User-Agent
QUIET = 1.0  # seconds in which it is logged once that the store is unavailable
HASHES = 256  # of passwords that may wait for a thread: some seconds' work, so that nobody is served who has long left
RETRY = 5.0  # seconds after which whoever came too late is to try again
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
        resets: The rules of forgotten passwords.
        reset_function: Brings codes to users; None without.
        admitter: Looks who calls.
        jar: Cookies; None without.
        lot: Where methods wait.
        waits: A call that asks for its session may have to wait for it.
        running: The cycle comes, so that nothing may wait for it.
        settings: The server's options.
        locator: Tells where clients are.
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
        if isinstance(self.store, opening.Reluctant):
            self.store.tell = self._opened
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
        self._hashes = 0  # that are being made, or wait for a thread
        self._pool = environment.threads.pool("passwords", settings.password_threads)
        self._caches = environment.threads.pool("sessions", 4)
        self._here = here
        self._post = post
        self._drain = drain
        self.hasher = Passwords(memory=settings.password_memory, time=settings.password_time)
        self.sessions = Sessions(journal=self.journal, clock=clock, minter=minter, policy=policy)
        self.sessions.anywhere = self.anywhere
        self.sessions.submit = self._caches.submit
        self.set_cache(opening.cache(settings, environment))
        self.accounts = Accounts(
            sessions=self.sessions,
            clock=clock,
            minter=minter,
            submit=self._hash,
            hasher=self.hasher,
            throttle=LoginThrottle(clock=clock, minter=minter) if settings.login_throttle else None,
            check=self._check if strict(settings) else None,
            max_size=settings.max_account_size,
        )
        self.sessions.get_account = lambda session: self.accounts.open(session._unit, session.user_id)
        self.sessions.cutoff = self._cutoff
        self.keys = ApiKeys(clock=clock, minter=minter)
        self.resets = Resets(accounts=self.accounts, clock=clock, minter=minter)
        self.reset_function = _function(settings.reset_function)
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
        self.locator = Locator(listed(settings.trusted_proxies))
        self._global = DBConnection(self)
        self.running = False
        self.lot: Lot | None = None
        self._quiet_until = 0.0

    # ------------------------------------------------------------ who asks

    def unit(self) -> Unit:
        """Begin to read and write for a request."""
        return Unit(self.journal)

    def set_cache(self, cache: TotoSessionCache | None) -> None:
        """Keep sessions in a cache in place of the store; None takes it away."""
        self.sessions.cache = cache
        blocking = cache is not None and cache.blocking
        self.waits = blocking or not self.store.local or self.settings.hmac_replay_window > 0.0

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
        if not self.running or self._here() or self.environment.threads.inline:
            return function(*args)
        over = threading.Event()
        outcome: list[Any] = []

        def done(result: Any, error: BaseException | None) -> None:
            outcome.extend((result, error))
            over.set()

        def run() -> None:
            assert self.lot is not None
            try:
                result = self.fibers.call(function, *args)
            except BaseException as error:
                done(None, error)
                return
            if self.fibers.paused(result):
                self.lot.run(result, done)
            else:
                done(result, None)

        self._post(run)
        if not over.wait(WAIT):
            raise TotohioError("the server did not come to it in time")
        result, error = outcome
        if error is not None:
            raise error
        return result

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
        address = handler.remote_address if handler is not None else ""
        agent = ""
        if handler is not None:
            agent = handler.request.fields.get(b"user-agent", b"")[:AGENT].decode("latin-1")
        if not verify_password:
            return self.accounts.login(unit, canonical(user_id), lambda account: None, address=address, agent=agent)
        factors: list[Callable[[Account], None]] = []

        def look(account: Account) -> bool:
            factors.append(second_factor(account, code, self.environment.clock.now()))
            return True

        verified = self.accounts.verify(unit, user_id, password, address=address, more=look)
        fresh = None
        if self.hasher.outdated(verified.password):
            fresh = self.accounts.hash(unit, str(password))

        def edit(account: Account) -> None:
            if account.changed != verified.changed:
                raise wrong()
            factors[0](account)
            if fresh is not None and account.password == verified.password:
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
        return base64.urlsafe_b64encode(self.environment.minter.draw(size)).rstrip(b"=").decode()

    @property
    def raw(self) -> Any:
        """The store itself: its LMDB environment or Redis client; None in memory."""
        return getattr(self.store, "raw", None)

    def unavailable(self, error: StoreError) -> TotoException:
        """Give the error that a call gets when the store has failed."""
        now = self.environment.clock.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET
            logger.warning("the store is unavailable: %s", error)
        return TotoException(ERROR_STORE_UNAVAILABLE, "The store is unavailable; try again later.")

    def bring(self, user_id: str, code: str) -> None:
        """Have the user's function bring a code to the user, in a worker thread; that it fails is logged."""
        assert self.reset_function is not None
        self._caches.submit(self._deliver, user_id, code)

    def _deliver(self, user_id: str, code: str) -> None:
        try:
            assert self.reset_function is not None
            self.reset_function(user_id=user_id, code=code)
        except Exception:
            logger.exception("the code for a new password could not be brought to its user")

    # ------------------------------------------------------------ parts

    def _opened(self, store: Store) -> None:
        self.journal.store = store  # 0.25 microseconds less for each record that is read

    def _hash(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Hash in a worker thread; where nothing can be paused, here and now.

        Raises:
            TotoException: 1013, so many wait already that this one would for too long.
        """
        if self.fibers.pausable():
            if self._hashes >= HASHES:
                raise too_many(RETRY, "Too many passwords are looked at just now; try again later.")
            self._hashes += 1
            future: Future[Any] = self._pool.submit(function, *args)
            future.add_done_callback(self._hashed)
            return future
        future = Future()
        future.set_result(function(*args))
        return future

    def _hashed(self, future: Future[Any]) -> None:
        self._hashes -= 1

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
        """Close the store."""
        self.store.close()
        self.journal.store = self.store


def strict(settings: Settings) -> bool:
    """Tell whether new passwords are looked at."""
    return settings.password_rules == "always" or (settings.password_rules == "auto" and settings.database != "memory")


def _function(name: str | None) -> Callable[..., Any] | None:
    """Give the function of that name.

    Raises:
        SettingsError: There is none.
    """
    if name is None:
        return None
    module_name, _, attribute = name.rpartition(".")
    try:
        function: Callable[..., Any] = getattr(importing.load(module_name), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        raise SettingsError(f"reset_function: {error}") from None
    return function


def _log_failure(ticket: Future[bool]) -> None:
    error = ticket.exception()
    if error is not None:
        logger.error("what was written outside of any call is lost: %s", error)
