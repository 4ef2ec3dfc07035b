"""The log of events in a Redis server.

It is a stream, whose entries have the ids 1-0, 2-0 and so on; the name of the log stands in each of them. Events for
one process alone are in another stream, with a consumer group: each goes to one consumer, and to another one when it
was not acknowledged for some seconds.
"""

import contextlib
import struct
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from redis.exceptions import RedisError, ResponseError

from totohio.base.clocking import Clock, Minter
from totohio.bus.driving import Batch, Entry, Item, Place, Turn
from totohio.core.eventing import STAR, compile_pattern
from totohio.core.ports import StoreError
from totohio.net.redis import LOST, LazyCluster, client, shown

T = TypeVar("T")

GROUP = b"processes"  # the consumer group
TWICE = 60_000  # milliseconds in which what is sent twice is taken once
CLAIM = 10_000  # milliseconds after which an event that was not acknowledged goes to another process
MARGIN = 1.0  # seconds that an answer may take beyond what the server is asked to wait

APPEND = """
if not redis.call('SET', KEYS[2], 1, 'NX', 'PX', ARGV[1]) then return 0 end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local number, epoch = 0, ARGV[3]
if #last > 0 then
  number = tonumber(string.match(last[1][1], '^%d+'))
  local fields = last[1][2]
  for i = 1, #fields, 2 do if fields[i] == 'e' then epoch = fields[i + 1] end end
else
  redis.call('DEL', KEYS[1])
end
number = number + 1
local id = string.format('%.0f-0', number)
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], id, 'e', epoch, 'i', ARGV[4], 'n', ARGV[5], 'd', ARGV[6])
return number
"""
"""Add an event to the log, once: KEYS are the log and a key that stands for the event's id; ARGV how long that is kept,
how long the log may be, the name of a new log, and the event's id, name and data."""

GIVE = """
if not redis.call('SET', KEYS[2], 1, 'NX', 'PX', ARGV[1]) then return 0 end
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'n', ARGV[3], 'd', ARGV[4])
return 1
"""
"""Add an event for one process, once."""

RESET = """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if #last > 0 then
  local fields = last[1][2]
  for i = 1, #fields, 2 do
    if fields[i] == 'e' and fields[i + 1] == ARGV[1] then redis.call('DEL', KEYS[1]) end
  end
end
return 1
"""
"""Remove the log if it still has this name."""


class RedisLog:
    """Speaks to Redis with redis-py; see `driving.LogDriver`."""

    def __init__(self, url: str, *, prefix: str, timeout: float, minter: Minter, clock: Clock, keep: int) -> None:
        """Set it up; nothing is connected yet.

        Args:
            url: As the option ``database_url`` has it.
            prefix: What all keys begin with, in braces, so that a cluster keeps them together.
            timeout: Seconds that connecting and each answer may take.
            minter: Randomness, for the name of a new log.
            clock: Tells until when what a process says of its subscribers holds.
            keep: Events that the log has, about.

        Raises:
            ValueError: The URL is none.
        """
        self._prefix = b"{" + prefix.encode() + b"}:"
        self._log = self._prefix + b"events"
        self._turns = self._prefix + b"turns"
        self._patterns = self._prefix + b"patterns"
        self._clock = clock
        self._url = url
        self._minter = minter
        self._keep = keep
        self._raw: Any = client(url, timeout)
        self._waiting: Any = client(url, timeout + MARGIN)  # for answers that take as long as the server waits
        self._sure = False  # the log was seen to be the one of the place, and the connection has not broken since

    def __repr__(self) -> str:
        return f"<RedisLog {shown(self._url)}>"

    def append(self, items: Sequence[Item]) -> None:
        """Send events, in order."""

        def run() -> None:
            redis = _ready(self._raw)
            log = redis.register_script(APPEND)
            turns = redis.register_script(GIVE)
            for item in items:
                once = self._prefix + b"sent:" + item.id
                if item.broadcast:
                    epoch = self._minter.token()[:10]
                    log([self._log, once], [TWICE, self._keep, epoch, item.id, item.name, item.data])
                else:
                    turns([self._turns, once], [TWICE, self._keep, item.name, item.data])

        self._try(run, again=True)

    def read(self, place: Place | None, limit: int, seconds: float) -> Batch:
        """Give what is behind a place."""
        if place is not None and self._sure:
            found = self._try(lambda: self._wait(place, limit, seconds))
            if found:
                entries = [_entry(raw) for raw in found]
                if all(epoch == place.epoch for epoch, _ in entries):
                    return Batch(place.epoch, 0, entries[-1][1].offset, tuple(entry for _, entry in entries))
        batch = self._try(lambda: self._look(place), again=True)
        self._sure = place is not None and batch.same and batch.epoch == place.epoch
        if not batch.epoch:
            self._try(lambda: self._pause(seconds))
        return batch

    def reset(self, epoch: str) -> None:
        """Have the log begin anew."""
        self._try(lambda: _ready(self._raw).register_script(RESET)([self._log], [epoch]))

    def take(self, consumer: str, limit: int, seconds: float) -> list[Turn]:
        """Take events for one process."""

        def run() -> list[Turn]:
            redis = _ready(self._waiting)
            try:
                return self._claim(redis, consumer, limit) or self._next(redis, consumer, limit, seconds)
            except ResponseError as error:
                if not str(error).startswith("NOGROUP"):
                    raise
            with contextlib.suppress(ResponseError):  # somebody else was faster
                redis.xgroup_create(self._turns, GROUP, id="0", mkstream=True)
            return []

        return self._try(run)

    def done(self, consumer: str, ids: Sequence[bytes]) -> None:
        """Acknowledge events."""

        def run() -> None:
            redis = _ready(self._raw)
            redis.xack(self._turns, GROUP, *ids)
            redis.xdel(self._turns, *ids)

        self._try(run, again=True)

    def enrol(self, consumer: str, roll: Mapping[str, bytes], gone: Collection[str], seconds: float) -> None:
        """Say who is subscribed to what in a process."""

        def run() -> None:
            until = struct.pack(">d", self._clock.now() + seconds)
            with _ready(self._raw).pipeline(transaction=False) as pipeline:
                for name, data in roll.items():
                    key = self._key(name)
                    pipeline.hset(key, consumer, until + data)
                    pipeline.expire(key, int(2 * seconds))
                    if STAR in name:
                        pipeline.zadd(self._patterns, {name: self._clock.now() + seconds})
                for name in gone:
                    pipeline.hdel(self._key(name), consumer)
                pipeline.zremrangebyscore(self._patterns, "-inf", self._clock.now())
                pipeline.execute()

        self._try(run, again=True)

    def present(self, consumer: str, name: str) -> list[bytes]:
        """Give what other processes have said of a name."""

        def run() -> list[bytes]:
            redis, now = _ready(self._raw), self._clock.now()
            patterns = [pattern.decode() for pattern in redis.zrange(self._patterns, 0, -1)]
            names = [name, *(pattern for pattern in patterns if compile_pattern(pattern).fullmatch(name))]
            found: list[bytes] = []
            for each in names:
                for field, value in redis.hgetall(self._key(each)).items():
                    if field.decode() != consumer and struct.unpack(">d", value[:8])[0] > now:
                        found.append(value[8:])
            return found

        return self._try(run, again=True)

    def _key(self, name: str) -> bytes:
        return self._prefix + b"here:" + name.encode()

    def close(self) -> None:
        """Close all connections."""
        for raw in (self._raw, self._waiting):
            with contextlib.suppress(RedisError, OSError):
                raw.close()

    # ------------------------------------------------------------ the rest

    def _wait(self, place: Place, limit: int, seconds: float) -> list[Any]:
        found: Any = _ready(self._waiting).xread(
            {self._log: f"{place.offset}-0"}, count=limit, block=max(1, int(seconds * 1000))
        )
        return _messages(found)

    def _look(self, place: Place | None) -> Batch:
        """See which log it is, and whether the place is in it."""
        redis = _ready(self._raw)
        last = redis.xrevrange(self._log, count=1)
        if not last:
            return Batch("", 1, 0)
        first = redis.xrange(self._log, count=1)
        same = True
        if place is not None and place.id:
            there = redis.xrange(self._log, min=f"{place.offset}-0", max=f"{place.offset}-0")
            epoch, end = _entry(last[0])
            same = place.offset <= end.offset and (not there or _entry(there[0])[1].id == place.id)
        epoch, end = _entry(last[0])
        return Batch(epoch, _entry(first[0])[1].offset if first else end.offset, end.offset, (), same)

    def _pause(self, seconds: float) -> None:
        """Wait until there is a log."""
        _ready(self._waiting).xread({self._log: "0-0"}, count=1, block=max(1, int(seconds * 1000)))

    def _claim(self, redis: Any, consumer: str, limit: int) -> list[Turn]:
        """Take what others have taken and never acknowledged."""
        found: Any = redis.xautoclaim(self._turns, GROUP, consumer, CLAIM, count=limit)
        return [_turn(raw) for raw in found[1] if raw[1] is not None]

    def _next(self, redis: Any, consumer: str, limit: int, seconds: float) -> list[Turn]:
        found: Any = redis.xreadgroup(
            GROUP, consumer, {self._turns: ">"}, count=limit, block=max(1, int(seconds * 1000))
        )
        return [_turn(raw) for raw in _messages(found)]

    def _try(self, function: Callable[[], T], *, again: bool = False) -> T:
        """Ask; once more when the answer is lost, where what is done twice counts once."""
        try:
            try:
                return function()
            except LOST:
                self._sure = False
                if not again:
                    raise
                return function()
        except (RedisError, OSError) as error:
            self._sure = False
            raise StoreError(f"Redis: {error}") from error


def _ready(raw: Any) -> Any:
    return raw.ready() if isinstance(raw, LazyCluster) else raw


def _messages(found: Any) -> list[Any]:
    """Give the messages of the one stream that was read; redis-py gives them as a list, or as a dict with RESP3."""
    if not found:
        return []
    if isinstance(found, dict):
        [groups] = found.values()
        return [message for group in groups for message in group]
    return list(found[0][1])


def _entry(raw: Any) -> tuple[str, Entry]:
    """Give the name of the log and the event of a message."""
    id, fields = raw
    offset = int(bytes(id).partition(b"-")[0])
    return fields[b"e"].decode(), Entry(offset, fields[b"i"], fields[b"n"].decode(), fields[b"d"])


def _turn(raw: Any) -> Turn:
    id, fields = raw
    return Turn(bytes(id), fields[b"n"].decode(), fields[b"d"])
