"""Sessions: made, found, renewed, saved and ended.

A session is a record of its own, under the SHA-256 of its id, so that whoever reads the store learns no id. The
sessions of a user also stand in the record of their *devices*, which says what to end when all shall end.

Its end slides: each use moves it to a whole time to live from now, but never past its absolute end. That is written
at most once in a while (`Policy.granularity`), lazily, so that reading a session is not writing it; the date that
clients are told is always the one that is kept.

Two calls that change one session at the same time both succeed when they change different keys of its state, since
each saves its own; when both change the same key, the second is answered with error 1017 and nothing is lost unseen.
"""

import functools
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from totohio.base.clocking import Clock, Minter
from totohio.base.errors import ERROR_NOT_AUTHORIZED, TotoException
from totohio.core.caching import TotoSessionCache
from totohio.core.committing import Journal, Unit, version_of
from totohio.core.devices import Device, devices_key, read, record
from totohio.core.ports import VERSION, StoreError, Transaction, Write
from totohio.core.session import Kept, Source, TotoSession, load_state, merge

KEYS = 4096  # of sessions that were used last, which are ready at once
LONGEST = 64  # characters of their ids; longer ones, which no client of ours has, would fill the memory
SWEEP = 3600.0  # seconds for which a record is kept after its end, so that clocks may differ


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How long sessions live; all in seconds.

    Attributes:
        ttl: From its last use, a session of a user.
        anon_ttl: The same of an anonymous one.
        renew: Its end is moved only when it is nearer than this; 0 moves it with every use.
        anon_renew: The same of an anonymous one.
        lifetime: From its beginning, however much it is used; infinity for no such end.
        granularity: Its end is written at most this often.
        keyed: Sessions have keys, to sign with.
        algorithm: The hash of signatures.
        fresh: With more seconds than these to its end a session of a user is not renewed.
        anon_fresh: The same of an anonymous one.
    """

    fresh: float = field(init=False)
    anon_fresh: float = field(init=False)

    ttl: float = 31_536_000.0
    anon_ttl: float = 86_400.0
    renew: float = 0.0
    anon_renew: float = 0.0
    lifetime: float = math.inf
    granularity: float = 60.0
    keyed: bool = False
    algorithm: str = "sha256"

    def __post_init__(self) -> None:
        """Work out from how many seconds to its end on a session is too new to be renewed."""
        object.__setattr__(self, "fresh", max(self.ttl - self.granularity, self.ttl * 0.9))
        object.__setattr__(self, "anon_fresh", max(self.anon_ttl - self.granularity, self.anon_ttl * 0.9))


_decode_kept = msgspec.msgpack.Decoder(Kept).decode
_encode = msgspec.msgpack.Encoder().encode


def _session_key(session_id: str) -> bytes:
    return b"s" + hashlib.sha256(session_id.encode("utf-8", "surrogatepass")).digest()


_ready_key = functools.lru_cache(maxsize=KEYS)(_session_key)


def session_key(session_id: str) -> bytes:
    """The key of a session's record."""
    return _ready_key(session_id) if len(session_id) <= LONGEST else _session_key(session_id)


def ended_key(token: str) -> bytes:
    """The key of the record that says that a session which is not in the store has ended."""
    return b"x" + hashlib.sha256(token.encode()).digest()


class Sessions:
    """Makes, finds, keeps and ends sessions.

    Attributes:
        journal: Where they are kept.
        policy: How long they live.
        cache: Keeps them in place of the store, when set.
        get_account: Gives the account of a session.
        anywhere: Calls a function in the cycle, from whatever thread.
        submit: Runs a function in a worker thread and gives a Future; for caches that block.
        cutoff: Gives when all sessions of a user were ended last: those in a cache that began until then are over.
    """

    def __init__(self, *, journal: Journal, clock: Clock, minter: Minter, policy: Policy) -> None:
        self.journal = journal
        self.clock = clock
        self.minter = minter
        self.policy = policy
        self.cache: TotoSessionCache | None = None
        self.get_account: Callable[[TotoSession], Any] = _no_account
        self.anywhere: Callable[..., Any] = lambda function, *args: function(*args)
        self.submit: Callable[..., Any] | None = None
        self.cutoff: Callable[[Unit, str], float] = lambda unit, user_id: 0.0

    # ------------------------------------------------------------ making

    def make(self, unit: Unit, user_id: str) -> TotoSession:
        """Make a session that nobody keeps yet; `opening` or `keep` does."""
        now = self.clock.now()
        policy = self.policy
        key = self.minter.token() if policy.keyed else ""
        kept = Kept(user_id, 0.0, now, now, key, b"")
        session = TotoSession(self, unit, self.minter.token(), kept, None)
        session.token = session.session_id
        session.made = True
        session.expires = self._end(session, now)
        return session

    def opening(self, session: TotoSession) -> Write:
        """Give the write that keeps a new session."""
        value = self._value(session)
        session._version = version_of(value)
        return Write(session_key(session.session_id), value, session.expires + SWEEP)

    def open_anonymous(self, unit: Unit) -> TotoSession:
        """Make an anonymous session and keep it."""
        session = self.make(unit, "")
        if self.cache is not None:
            self.keep(session)
        else:
            write = self.opening(session)
            unit.write(Transaction(((write.key, None),), (write,)))
        return session

    def lend(self, unit: Unit, key: Any) -> TotoSession:
        """Make what a call with an API key has in place of a session: a user, and a state that nobody keeps."""
        now = self.clock.now()
        session = TotoSession(self, unit, "", Kept(key.user_id, key.expires or math.inf, now, now, "", b""), None)
        session.api_key = key
        return session

    # ------------------------------------------------------------ finding

    def find(self, source: Source, session_id: str) -> TotoSession | None:
        """Give the session of an id, None when there is none or it has ended.

        Args:
            source: Whose request it is; where nobody can have written the session it is not asked for its unit.
            session_id: As the client sends it.

        Raises:
            StoreError: It cannot be read.
        """
        if self.cache is not None:
            return self._recall(source.unit(), session_id)
        key = _ready_key(session_id) if len(session_id) <= LONGEST else _session_key(session_id)
        journal = self.journal
        settled = journal.local and not source.bundled and key not in journal.waiting
        value = journal.store.read(key) if settled else source.unit().read(key)
        if value is None:
            return None
        kept = _decode_kept(value[VERSION:])
        now = self.clock.now()
        if kept.expires <= now or kept.created + self.policy.lifetime <= now:
            return None
        session = TotoSession(self, source, session_id, kept, value[:VERSION])
        session.token = session_id
        session.left = kept.expires - now
        return session

    def renew(self, session: TotoSession) -> None:
        """Move the end of a session that is used, when that is due.

        The session's own date changes once it is written. That it cannot be written is no fault of the call.
        """
        policy = self.policy
        fresh, margin = (policy.fresh, policy.renew) if session.user_id else (policy.anon_fresh, policy.anon_renew)
        now = self.clock.now()
        left = session.expires - now
        if left > fresh or (margin and left > margin):
            return
        end = self._end(session, now)
        if end - session.expires < min(policy.granularity, self._ttl(session) / 10):
            return
        if self.cache is not None:
            before, session.expires, session.seen = session.expires, end, now
            try:
                self.keep(session)
            except StoreError:
                session.expires = before
            return
        self._postpone(session, end, now)

    def _postpone(self, session: TotoSession, end: float, now: float) -> None:
        key = session_key(session.session_id)
        before, session.expires, session.seen = session.expires, end, now

        def build(values: list[bytes | None]) -> Transaction | None:
            if values[0] is None:
                session.expires = before
                return None
            kept = _decode_kept(memoryview(values[0])[VERSION:])
            if kept.expires >= end:
                session.expires = kept.expires
                return None
            kept.expires, kept.seen = end, now
            value = self._draw() + _encode(kept)
            if session._version == version_of(values[0]):
                session._version = version_of(value)
            return Transaction(((key, version_of(values[0])),), (Write(key, value, end + SWEEP),), lazy=True)

        first = build([session._unit.read(key)])
        if first is not None:
            ticket = session._unit.write(first, build, needed=False)

            def done(future: Any) -> None:
                if future.exception() is not None and session.expires == end:
                    session.expires = before

            ticket.add_done_callback(done)

    # ------------------------------------------------------------ keeping

    def save(self, session: TotoSession) -> None:
        """Keep a session's state; see `TotoSession.save`."""
        if not session.session_id:
            raise TotoException(ERROR_NOT_AUTHORIZED, "A call with an API key has no session to save.")
        if session.ended or (self.cache is None and session._version is None):
            raise _ended()
        if self.cache is not None:
            self.keep(session)
            return
        key = session_key(session.session_id)
        old = session._base
        mine = session.dumps(session.state)
        expires = session.expires

        def again(values: list[bytes | None]) -> Transaction:
            nonlocal expires
            if values[0] is None:
                raise _ended()
            kept = _decode_kept(memoryview(values[0])[VERSION:])
            # What others have changed goes into the record and not into the session: the method has not seen it, and
            # what it saves next is merged like this, for what this one has left.
            kept.state = session.dumps(merge(*(load_state(session, data) for data in (old, mine, kept.state))))
            kept.expires = expires = max(kept.expires, session.expires)
            value = self._draw() + _encode(kept)
            return Transaction(((key, version_of(values[0])),), (Write(key, value, expires + SWEEP),))

        def saved(ticket: Any) -> None:
            if ticket.exception() is None:
                session.expires = expires

        session._base = mine
        value = self._value(session)
        before, session._version = session._version, version_of(value)
        transaction = Transaction(((key, before),), (Write(key, value, expires + SWEEP),))
        session._unit.write(transaction, again).add_done_callback(saved)

    def refresh(self, session: TotoSession) -> None:
        """Read a session again; see `TotoSession.refresh`."""
        found = self.find(session._unit, session.session_id) if session.session_id else None
        if found is None:
            raise _ended()
        session._base, session._state, session._version = found._base, None, found._version
        session.expires, session.seen = found.expires, found.seen

    def keep(self, session: TotoSession) -> None:
        """Hand a session to the cache; its id may change."""
        assert self.cache is not None
        if session._state is not None:
            session._base = session.dumps(session._state)
        new_id = self._ask(session._unit, self.cache.store_session, session.session_data())
        if new_id:
            session.session_id = new_id

    # ------------------------------------------------------------ ending

    def end(self, unit: Unit, session: TotoSession) -> None:
        """End a session, everywhere."""
        session._version = None
        session.ended = True
        if self.cache is not None:
            # A client may hold ids of this session that end later, and a call that uses it now may store it again.
            last = max(session.expires, self._end(session, self.clock.now()))
            unit.write(Transaction((), (Write(ended_key(session.token), self._draw(), last + SWEEP),)))
            self._ask(unit, self.cache.remove_session, session.session_id)
            return
        self.end_record(unit, session.user_id, session_key(session.session_id))

    def end_record(self, unit: Unit, user_id: str, key: bytes) -> None:
        """End the session with this record, and strike it from the user's devices."""
        unit.write(Transaction((), (Write(key, None),)))
        if user_id:
            self.edit_devices(unit, user_id, lambda devices: [one for one in devices if one.session != key])

    # ------------------------------------------------------------ devices

    def of(self, unit: Unit, user_id: str) -> list[tuple[Device, Kept]]:
        """Give the sessions of a user that have not ended, oldest first; none where their clients hold them.

        Raises:
            StoreError: They cannot be read.
        """
        devices = read(unit.read(devices_key(user_id)))
        values = unit.load([device.session for device in devices]) if devices else []
        found = []
        for device, value in zip(devices, values, strict=True):
            if value is not None:
                kept = _decode_kept(memoryview(value)[VERSION:])
                if not self._over(kept.expires, kept.created):
                    found.append((device, kept))
        return found

    def edit_devices(self, unit: Unit, user_id: str, edit: Callable[[list[Device]], list[Device]]) -> None:
        """Change the record of a user's devices."""
        key = devices_key(user_id)

        def build(values: list[bytes | None]) -> Transaction | None:
            before = read(values[0])
            after = edit(before)
            if after == before:
                return None
            return Transaction(((key, version_of(values[0])),), (Write(key, record(after, self._draw())),))

        first = build([unit.read(key)])
        if first is not None:
            unit.write(first, build)

    # ------------------------------------------------------------ parts

    def _recall(self, unit: Unit, session_id: str) -> TotoSession | None:
        assert self.cache is not None
        data = self._ask(unit, self.cache.load_session, session_id)
        if data is None or self._over(data["expires"], data.get("created", 0.0)):
            return None
        kept = Kept(
            data["user_id"] or "",
            data["expires"],
            data.get("created", 0.0),
            data["expires"],
            data.get("key") or "",
            data.get("state") or b"",
        )
        session = TotoSession(self, unit, session_id, kept, b"")
        session.token = data.get("token") or session_id
        if unit.read(ended_key(session.token)) is not None:
            return None
        cutoff = self.cutoff(unit, session.user_id) if session.user_id else 0.0
        return None if cutoff and cutoff >= session.created else session

    def _ask(self, unit: Unit, function: Callable[..., Any], *args: Any) -> Any:
        """Call a cache: in a worker thread where it may block."""
        blocking = self.cache is not None and self.cache.blocking
        if blocking and self.submit is not None and self.journal.fibers.pausable():
            return unit.wait(self.submit(function, *args))
        return function(*args)

    def _value(self, session: TotoSession) -> bytes:
        return self._draw() + _encode(
            Kept(session.user_id, session.expires, session.created, session.seen, session.key, session._base)
        )

    def _draw(self) -> bytes:
        return self.minter.draw(VERSION)

    def _ttl(self, session: TotoSession) -> float:
        return self.policy.ttl if session.user_id else self.policy.anon_ttl

    def _end(self, session: TotoSession, now: float) -> float:
        return min(now + self._ttl(session), session.created + self.policy.lifetime)

    def _over(self, expires: float, created: float) -> bool:
        now = self.clock.now()
        return expires <= now or created + self.policy.lifetime <= now


def _ended() -> TotoException:
    return TotoException(ERROR_NOT_AUTHORIZED, "The session has ended.")


def _no_account(session: TotoSession) -> Any:
    raise TotoException(ERROR_NOT_AUTHORIZED, "There are no accounts here.")
