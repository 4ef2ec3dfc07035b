"""Sessions: made, found, renewed, saved and ended.

A session is a record of its own, under the SHA-256 of its id, so that whoever reads the store learns no id. The
sessions of a user also stand in the record of their *devices*, which says what to end when all shall end.

Its end slides: each use moves it to a whole time to live from now, but never past its absolute end. That is written
at most once in a while (`Policy.granularity`), lazily, so that reading a session is not writing it; the date that
clients are told is always the one that is kept.

Two calls that change one session at the same time both succeed when they change different keys of its state, since
each saves its own; when both change the same key, the second is answered with error 1017 and nothing is lost unseen.
"""

import base64
import hashlib
import hmac
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import msgspec

from totohio.base.clocking import Clock, Minter
from totohio.base.errors import ERROR_NOT_AUTHORIZED, TotoException
from totohio.core.caching import TotoSessionCache
from totohio.core.committing import Journal, Unit, conflict, version_of
from totohio.core.ports import VERSION, Transaction, Write
from totohio.wire.packing import decode_msgpack, encode_msgpack

MAX_DEVICES = 100  # sessions that a user may have; the oldest end when there are more
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
    """

    ttl: float = 31_536_000.0
    anon_ttl: float = 86_400.0
    renew: float = 0.0
    anon_renew: float = 0.0
    lifetime: float = math.inf
    granularity: float = 60.0
    keyed: bool = False
    algorithm: str = "sha256"


class Kept(msgspec.Struct, array_like=True):
    """A session as its record holds it."""

    user_id: str
    expires: float
    created: float
    seen: float
    key: str
    state: bytes


class Device(msgspec.Struct, array_like=True, frozen=True):
    """A session of a user, as the record of devices names it.

    Attributes:
        session: The key of its record.
        created: When, in Unix seconds.
        address: From where.
        agent: With what: the User-Agent, cut.
    """

    session: bytes
    created: float
    address: str
    agent: str


_decode_kept = msgspec.msgpack.Decoder(Kept).decode
_decode_devices = msgspec.msgpack.Decoder(list[Device]).decode
_encode = msgspec.msgpack.Encoder().encode


class Serializer(Protocol):
    """Makes bytes of a session's state and back."""

    def dumps(self, value: Any) -> bytes:
        """Give the bytes of a value."""

    def loads(self, data: bytes) -> Any:
        """Give the value of bytes."""


class MessagePack:
    """The serializer that sessions have unless somebody sets another: nothing in it can run code."""

    @staticmethod
    def dumps(value: Any) -> bytes:
        """Give the bytes of a value."""
        return encode_msgpack(value)

    @staticmethod
    def loads(data: bytes) -> Any:
        """Give the value of bytes."""
        return decode_msgpack(data)


def session_key(session_id: str) -> bytes:
    """The key of a session's record."""
    return b"s" + hashlib.sha256(session_id.encode("utf-8", "surrogatepass")).digest()


def devices_key(user_id: str) -> bytes:
    """The key of the record of a user's devices."""
    return b"d" + hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).digest()


def ended_key(token: str) -> bytes:
    """The key of the record that says that a session which its client holds has ended."""
    return b"x" + hashlib.sha256(token.encode()).digest()


class TotoSession:
    """One client's session: who it is, until when, and a state that methods read and write like a dict.

    A key that is not there reads as None. What is written lasts when `save` is called.

    Attributes:
        session_id: Its id, which the client sends; "" for a call with an API key, which has no session.
        user_id: Whose it is; "" when anonymous.
        expires: When it ends, in Unix seconds.
        created: When it began, in Unix seconds.
        key: What requests and replies are signed with; "" unless signatures are enabled.
        token: Names the session whatever its id, which changes where the client holds it.
    """

    _serializer: ClassVar[Any] = MessagePack

    __slots__ = (
        "_base",
        "_home",
        "_saved",
        "_state",
        "_unit",
        "_version",
        "created",
        "expires",
        "key",
        "seen",
        "session_id",
        "token",
        "user_id",
    )

    def __init__(self, home: "Sessions", unit: Unit, session_id: str, kept: Kept, version: bytes | None) -> None:
        self._home = home
        self._unit = unit
        self._version = version
        self._base: bytes = kept.state  # the state as the record has it
        self._state: dict[Any, Any] | None = None
        self._saved = version is not None
        self.session_id = session_id
        self.user_id = kept.user_id
        self.expires = kept.expires
        self.created = kept.created
        self.seen = kept.seen
        self.key = kept.key
        self.token = ""

    def __repr__(self) -> str:
        return f"<TotoSession of {self.user_id or 'nobody'!r}>"

    # ------------------------------------------------------------ the state, like a dict

    @property
    def state(self) -> dict[Any, Any]:
        """All of the state."""
        if self._state is None:
            self._state = self.loads(self._base) if self._base else {}
        return self._state

    def __getitem__(self, key: Any) -> Any:
        return self.state.get(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.state[key] = value

    def __delitem__(self, key: Any) -> None:
        self.state.pop(key, None)

    def __contains__(self, key: Any) -> bool:
        return key in self.state

    def __iter__(self) -> Iterator[Any]:
        return iter(self.state)

    def __len__(self) -> int:
        return len(self.state)

    def __bool__(self) -> bool:
        return True

    def get(self, key: Any, default: Any = None) -> Any:
        """Give the value of a key, or the default."""
        return self.state.get(key, default)

    # ------------------------------------------------------------ bytes

    @classmethod
    def set_serializer(cls, serializer: Serializer) -> None:
        """Set what makes bytes of states and back, in all sessions: an object with ``dumps`` and ``loads``.

        Without it states are MessagePack. ``pickle`` works too, but whoever can write to the store then can run code
        here.
        """
        cls._serializer = serializer

    @classmethod
    def loads(cls, data: bytes) -> Any:
        """Give the state that bytes hold."""
        return cls._serializer.loads(data)

    @classmethod
    def dumps(cls, state: Any) -> bytes:
        """Give the bytes of a state.

        Raises:
            TypeError: Something in it cannot be kept.
        """
        return bytes(cls._serializer.dumps(state))

    def session_data(self) -> dict[str, Any]:
        """Give all of it as a `TotoSessionCache` keeps it."""
        return {
            "session_id": self.session_id,
            "user_id": self.user_id,
            "expires": self.expires,
            "created": self.created,
            "key": self.key,
            "state": self._base if self._state is None else self.dumps(self._state),
            "token": self.token,
        }

    # ------------------------------------------------------------ signatures

    def hmac(self, data: bytes | str) -> str:
        """Sign data with the key: the HMAC in base64."""
        raw = data.encode() if isinstance(data, str) else data
        return base64.b64encode(hmac.digest(self.key.encode(), raw, self._home.policy.algorithm)).decode()

    def verify(self, mac: str | bytes | None, data: bytes | str) -> bool:
        """Tell whether a signature is that of the data, in constant time."""
        given = mac.encode("utf-8", "replace") if isinstance(mac, str) else mac or b""
        return bool(self.key) and hmac.compare_digest(given, self.hmac(data).encode())

    # ------------------------------------------------------------ the store

    def refresh(self) -> None:
        """Read it again from where it is kept; what was changed and not saved is dropped.

        Raises:
            TotoException: 1004, it has ended.
            StoreError: It cannot be read.
        """
        self._home.anywhere(self._home.refresh, self)

    def save(self) -> None:
        """Keep its state. The call is answered once that is durable, or with the error that it could not be.

        Raises:
            TotoException: 1004, it has ended, or is no session that can be kept.
            TypeError: Something in the state cannot be kept.
        """
        self._home.anywhere(self._home.save, self)

    def get_account(self) -> Any:
        """Give the `TotoAccount` of its user.

        Raises:
            TotoException: 1005, there is none.
        """
        return self._home.anywhere(self._home.get_account, self)

    @classmethod
    def generate_id(cls) -> str:
        """Give a new id: 22 characters, URL-safe base64 of 16 random bytes without padding."""
        return Minter().token()


class Sessions:
    """Makes, finds, keeps and ends sessions.

    Attributes:
        journal: Where they are kept.
        policy: How long they live.
        cache: Keeps them in place of the store, when set.
        get_account: Gives the account of a session.
        anywhere: Calls a function in the cycle, from whatever thread.
        submit: Runs a function in a worker thread and gives a Future; for caches that block.
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
        session.expires = self._end(session, now)
        return session

    def opening(self, session: TotoSession) -> Write:
        """Give the write that keeps a new session."""
        value = self._value(session)
        session._version = version_of(value)
        session._saved = True
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

    # ------------------------------------------------------------ finding

    def find(self, unit: Unit, session_id: str) -> TotoSession | None:
        """Give the session of an id, None when there is none or it has ended.

        Raises:
            StoreError: It cannot be read.
        """
        if self.cache is not None:
            return self._recall(unit, session_id)
        value = unit.read(session_key(session_id))
        if value is None:
            return None
        kept = _decode_kept(memoryview(value)[VERSION:])
        if self._over(kept.expires, kept.created):
            return None
        session = TotoSession(self, unit, session_id, kept, bytes(value[:VERSION]))
        session.token = session_id
        return session

    def renew(self, session: TotoSession) -> None:
        """Move the end of a session that is used, when that is due.

        The session's own date changes once it is written. That it cannot be written is no fault of the call.
        """
        now = self.clock.now()
        policy = self.policy
        margin = policy.renew if session.user_id else policy.anon_renew
        left = session.expires - now
        if margin and left > margin:
            return
        end = self._end(session, now)
        if end - session.expires < min(policy.granularity, self._ttl(session) / 10):
            return
        if self.cache is not None:
            session.expires, session.seen = end, now
            self.keep(session)
            return
        self._postpone(session, end, now)

    def _postpone(self, session: TotoSession, end: float, now: float) -> None:
        key = session_key(session.session_id)
        before, session.expires, session.seen = session.expires, end, now

        def build(values: list[bytes | None]) -> Transaction | None:
            if values[0] is None:
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
        if self.cache is not None:
            self.keep(session)
            return
        if session._version is None:
            raise TotoException(ERROR_NOT_AUTHORIZED, "The session has ended.")
        key = session_key(session.session_id)
        old = session._base
        mine = session.dumps(session.state)

        def again(values: list[bytes | None]) -> Transaction:
            if values[0] is None:
                raise TotoException(ERROR_NOT_AUTHORIZED, "The session has ended.")
            kept = _decode_kept(memoryview(values[0])[VERSION:])
            kept.state = session.dumps(merge(_load(session, old), _load(session, mine), _load(session, kept.state)))
            kept.expires = max(kept.expires, session.expires)
            value = self._draw() + _encode(kept)
            if session._version == last[0]:
                session._version, session._base = version_of(value), kept.state
            last[0] = version_of(value)
            return Transaction(((key, version_of(values[0])),), (Write(key, value, kept.expires + SWEEP),))

        session._base = mine
        value = self._value(session)
        before, session._version = session._version, version_of(value)
        last = [session._version]
        session._unit.write(Transaction(((key, before),), (Write(key, value, session.expires + SWEEP),)), again)

    def refresh(self, session: TotoSession) -> None:
        """Read a session again; see `TotoSession.refresh`."""
        found = self.find(session._unit, session.session_id) if session.session_id else None
        if found is None:
            raise TotoException(ERROR_NOT_AUTHORIZED, "The session has ended.")
        session._base, session._state, session._version = found._base, None, found._version
        session.expires, session.seen = found.expires, found.seen

    def keep(self, session: TotoSession) -> None:
        """Hand a session to the cache; its id may change."""
        assert self.cache is not None
        if session._state is not None:
            session._base = session.dumps(session._state)
        new_id = self._ask(session._unit, self.cache.store_session, session.session_data())
        session._saved = True
        if new_id:
            session.session_id = new_id

    # ------------------------------------------------------------ ending

    def end(self, unit: Unit, session: TotoSession) -> None:
        """End a session, everywhere."""
        session._version = None
        if self.cache is not None:
            self._ask(unit, self.cache.remove_session, session.session_id)
            if self.cache.client_held:
                mark = Write(ended_key(session.token), self._draw(), session.expires + SWEEP)
                unit.write(Transaction((), (mark,)))
            return
        self.end_record(unit, session.user_id, session_key(session.session_id))

    def end_record(self, unit: Unit, user_id: str, key: bytes) -> None:
        """End the session with this record, and strike it from the user's devices."""
        unit.write(Transaction((), (Write(key, None),)))
        if user_id:
            self.edit_devices(unit, user_id, lambda devices: [one for one in devices if one.session != key])

    # ------------------------------------------------------------ devices

    def devices(self, value: bytes | None) -> list[Device]:
        """Give the devices that a record holds."""
        return [] if value is None else _decode_devices(memoryview(value)[VERSION:])

    def devices_value(self, devices: list[Device]) -> bytes | None:
        """Give the record that holds devices; None for none at all."""
        return self._draw() + _encode(devices) if devices else None

    def edit_devices(self, unit: Unit, user_id: str, edit: Callable[[list[Device]], list[Device]]) -> None:
        """Change the record of a user's devices."""
        key = devices_key(user_id)

        def build(values: list[bytes | None]) -> Transaction | None:
            before = self.devices(values[0])
            after = edit(before)
            if after == before:
                return None
            return Transaction(((key, version_of(values[0])),), (Write(key, self.devices_value(after)),))

        first = build([unit.read(key)])
        if first is not None:
            unit.write(first, build)

    def seen_by(self, devices: list[Device], session: TotoSession, address: str, agent: str) -> list[Device]:
        """Give the devices with a new session among them, and without the oldest where they are too many."""
        new = Device(session_key(session.session_id), session.created, address, agent[:200])
        return [*devices, new][-MAX_DEVICES:]

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
        if self.cache.client_held:
            if unit.read(ended_key(session.token)) is not None:
                return None
            if session.user_id and self.cutoff(unit, session.user_id) > session.created:
                return None
        return session

    def _ask(self, unit: Unit, function: Callable[..., Any], *args: Any) -> Any:
        """Call a cache: in a worker thread where it may block."""
        if self.cache is not None and self.cache.blocking and self.submit is not None:
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


def merge(base: dict[Any, Any], mine: dict[Any, Any], theirs: dict[Any, Any]) -> dict[Any, Any]:
    """Give a state with the changes from ``base`` to ``mine`` made to ``theirs``.

    Raises:
        TotoException: 1017, both have changed the same key, and not alike.
    """
    merged = dict(theirs)
    for key in dict.fromkeys((*base, *mine)):
        before, after = base.get(key, _ABSENT), mine.get(key, _ABSENT)
        if after == before and type(after) is type(before):
            continue
        there = theirs.get(key, _ABSENT)
        if there != before and there != after:
            raise conflict(f"{key!r} of the session was changed by another call meanwhile; try again.")
        if after is _ABSENT:
            merged.pop(key, None)
        else:
            merged[key] = after
    return merged


_ABSENT = object()


def _load(session: TotoSession, data: bytes) -> dict[Any, Any]:
    return session.loads(data) if data else {}


def _no_account(session: TotoSession) -> Any:
    raise TotoException(ERROR_NOT_AUTHORIZED, "There are no accounts here.")
