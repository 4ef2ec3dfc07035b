"""One client's session as methods see it, and how two changes of one are made one."""

import base64
import hmac
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import msgspec

from totohio.base.clocking import Minter
from totohio.core.committing import Unit, conflict
from totohio.wire.packing import decode_msgpack, encode_msgpack

if TYPE_CHECKING:
    from totohio.core.sessioning import Sessions


class Kept(msgspec.Struct, array_like=True):
    """A session as its record holds it."""

    user_id: str
    expires: float
    created: float
    seen: float
    key: str
    state: bytes


class Source(Protocol):
    """Whatever reads and writes: a request, or a unit itself."""

    @property
    def bundled(self) -> bool:
        """It belongs to an atomic batch, and sees what nobody else does."""

    def unit(self) -> Unit:
        """Give what it reads and writes with."""


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
        """Give the bytes of a value.

        Raises:
            TotoException: 1000, something in it cannot be kept.
        """
        return encode_msgpack(value)

    @staticmethod
    def loads(data: bytes) -> Any:
        """Give the value of bytes."""
        return decode_msgpack(data)


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
        made: It was made by this very request.
        ended: It was ended by this very request.
        api_key: The key that the call came with in place of a session, None without one.
    """

    _serializer: ClassVar[Any] = MessagePack

    __slots__ = (
        "_base",
        "_home",
        "_source",
        "_state",
        "_version",
        "api_key",
        "created",
        "ended",
        "expires",
        "key",
        "left",
        "made",
        "seen",
        "session_id",
        "token",
        "user_id",
    )

    def __init__(self, home: "Sessions", source: Source, session_id: str, kept: Kept, version: bytes | None) -> None:
        self._home = home
        self._source = source
        self._version = version
        self._base: bytes = kept.state  # the state as the record has it
        self._state: dict[Any, Any] | None = None
        self.api_key: Any = None
        self.left = -math.inf  # seconds to its end when it was found
        self.ended = False
        self.made = False
        self.session_id = session_id
        self.user_id = kept.user_id
        self.expires = kept.expires
        self.created = kept.created
        self.seen = kept.seen
        self.key = kept.key
        self.token = ""

    @property
    def _unit(self) -> Unit:
        """What the request that has it reads and writes."""
        return self._source.unit()

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
        state = self._state
        return (self.state if state is None else state).get(key)

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
            TotoException: 1000, something in it cannot be kept. Another serializer raises what it will.
        """
        return bytes(cls._serializer.dumps(state))

    def block(self) -> dict[str, Any]:
        """Give what replies tell of it."""
        return {"session_id": self.session_id, "expires": self.expires, "user_id": self.user_id}

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
            TotoException: 1004, it has ended or cannot be kept; 1000, something in the state cannot be.
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


def merge(base: dict[Any, Any], mine: dict[Any, Any], theirs: dict[Any, Any]) -> dict[Any, Any]:
    """Give a state with the changes from ``base`` to ``mine`` made to ``theirs``.

    Raises:
        TotoException: 1017, both have changed the same key. That both have made it the same is no better: of two calls
            that count from 21 to 22, one would be lost.
    """
    merged = dict(theirs)
    for key in dict.fromkeys((*base, *mine)):
        before, after = base.get(key, _ABSENT), mine.get(key, _ABSENT)
        if alike(after, before):
            continue
        there = theirs.get(key, _ABSENT)
        if not alike(there, before):
            raise conflict(f"{key!r} of the session was changed by another call meanwhile; try again.")
        if after is _ABSENT:
            merged.pop(key, None)
        else:
            merged[key] = after
    return merged


_ABSENT = object()


def alike(one: Any, other: Any) -> bool:
    """Tell whether two values of a state are the same: True is not 1, 1.0 is not 1, and NaN is NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == other) or (isinstance(one, float) and one != one and other != other)


def load_state(session: TotoSession, data: bytes) -> dict[Any, Any]:
    """Give the state that bytes hold; an empty one for none."""
    return session.loads(data) if data else {}
