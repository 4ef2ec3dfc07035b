"""What was told of late: the history of events, from which whoever was away gets what it has missed.

Every process that sends events is the *origin* of a log; on a bus that keeps one log for all, that log is the only
origin. The origin counts its events from 1: that is the *offset*. An origin has a new name in each life, its epoch, so
that a pair of origin and offset names one event for ever.

A *position* says how far somebody has come in all logs: the offset of the last event of each origin. It travels as a
text, ``ORIGIN.OFFSET,ORIGIN.OFFSET``, and is the id of the event after which it holds. From a position the history
tells what has come since, and whether that is all of it:

    the log goes on behind the offset, and nothing behind it was dropped       recovered
    events behind the offset were dropped, for their age, number or size       not recovered
    the log is not known here, and its end is not known either                 not recovered

A log that has lost something on its way has a *floor*: all up to that offset may be missing.
"""

import re
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from totohio.wire.packing import decode_msgpack, encode_json
from totohio.wire.responding import chunk
from totohio.wire.streaming import message

NOWHERE = "-"  # the position of somebody who has seen nothing of any log
LONGEST_POSITION = 4096  # characters; some two hundred origins
PAIR = re.compile(r"([A-Za-z0-9_-]{1,32})\.(0|[1-9][0-9]{0,17})")
MAX_FLOORS = 1024  # names of a log whose own floors are known; beyond it they are merged into that of the log
MAX_PAST = 1024  # logs that have ended and whose ends are known
OVERHEAD = 400  # bytes that an event takes beside its name and arguments, measured

DUPLICATE, NEXT, BEHIND_GAP = range(3)


class Event:
    """Something that has happened, as everybody is told of it.

    Attributes:
        name: What is called so.
        data: The arguments, as MessagePack.
        origin: Whose log it stands in; "" for one that stands in none, since only one process is told.
        offset: Its place there, from 1; 0 in none.
        id: The position of whoever has seen this event and all before it; "" until it has been told.
        size: Bytes of memory that it takes, about.
    """

    __slots__ = ("_chunk", "_message", "_order", "_text", "data", "id", "name", "offset", "origin", "size")

    def __init__(self, name: str, data: bytes, origin: str = "", offset: int = 0) -> None:
        self.name = name
        self.data = data
        self.origin = origin
        self.offset = offset
        self.id = ""
        self.size = OVERHEAD + len(name) + 2 * len(data)
        self._order = 0
        self._text: bytes | None = None
        self._message: bytes | None = None
        self._chunk: bytes | None = None

    def __repr__(self) -> str:
        return f"<Event {self.name!r} {self.origin}.{self.offset}>"

    @property
    def args(self) -> Any:
        """The arguments, made anew each time: nobody can change what others get."""
        return decode_msgpack(self.data)

    @property
    def text(self) -> bytes:
        """The arguments as JSON, made once for all who take it so."""
        if self._text is None:
            self._text = encode_json(self.args)
        return self._text

    @property
    def message(self) -> bytes:
        """The event as a server-sent one, made once for all who take it so."""
        if self._message is None:
            self._message = message(self.text, event=self.name, id=self.id)
        return self._message

    @property
    def chunk(self) -> bytes:
        """That message as a chunk of a reply, made once as well."""
        if self._chunk is None:
            self._chunk = chunk(self.message)
        return self._chunk


class Log:
    """What is known of one origin.

    Attributes:
        last: The offset of its last event that was told here.
        floor: All events up to this offset may be missing in the history.
        floors: The same for single names, where it is higher.
        since: The tyme at which something of it came last.
    """

    __slots__ = ("floor", "floors", "last", "since")

    def __init__(self, last: int, tyme: float) -> None:
        self.last = self.floor = last
        self.floors: dict[str, int] = {}
        self.since = tyme


Matcher = Callable[[str], bool]


class History:
    """The logs of all origins, in the order in which their events were told here.

    Attributes:
        logs: Those that go on, by origin.
        size: Bytes of memory that the events take that are kept, about.
    """

    def __init__(self, *, count: int, seconds: float, size: int) -> None:
        """Begin without any log.

        Args:
            count: Events kept of each name; 0 keeps none.
            seconds: Seconds of tyme for which an event is kept.
            size: Bytes of memory that all of them may take.
        """
        self.logs: dict[str, Log] = {}
        self.size = 0
        self._count = count
        self._seconds = seconds
        self._size = size
        self._kept: OrderedDict[Event, float] = OrderedDict()  # with the tyme at which each came
        self._names: dict[str, deque[Event]] = {}
        self._past: OrderedDict[str, int] = OrderedDict()  # origins that have ended, and their last offsets
        self._orders = 0
        self._position: str | None = None

    def __len__(self) -> int:
        """How many events it keeps."""
        return len(self._kept)

    # ------------------------------------------------------------ what comes

    def begin(self, origin: str, last: int, tyme: float) -> None:
        """Know a log, all of whose events up to ``last`` are missing here; nothing happens when it is known."""
        if origin not in self.logs:
            self.logs[origin] = Log(max(last, self._past.pop(origin, 0)), tyme)
            self._position = None

    def add(self, event: Event, tyme: float) -> int:
        """Take the next event of a log, and give it its id.

        Returns:
            `DUPLICATE` when it was told before, and is not to be told again; `NEXT` when it is the next one;
            `BEHIND_GAP` when some before it are missing.
        """
        log = self.logs.get(event.origin)
        if log is None:
            self.begin(event.origin, event.offset - 1, tyme)
            log = self.logs[event.origin]
        if event.offset <= log.last:
            return DUPLICATE
        outcome = NEXT if event.offset == log.last + 1 else BEHIND_GAP
        if outcome == BEHIND_GAP:
            log.floor = event.offset - 1
        log.last = event.offset
        log.since = tyme
        self._position = None
        event.id = self.position()
        self._keep(event, log, tyme)
        return outcome

    def miss(self, origin: str, last: int, tyme: float) -> bool:
        """Know that all of a log up to ``last`` that has not come will not come; tell whether that is anything."""
        log = self.logs.get(origin)
        if log is None:
            self.begin(origin, last, tyme)
            return last > 0
        if last <= log.last:
            return False
        log.last = log.floor = last
        self._position = None
        return True

    def _keep(self, event: Event, log: Log, tyme: float) -> None:
        if not self._count:
            log.floor = event.offset
            return
        self._orders += 1
        event._order = self._orders
        self._kept[event] = tyme
        self.size += event.size
        same = self._names.setdefault(event.name, deque())
        same.append(event)
        if len(same) > self._count:
            self._drop_one(same)
        while self.size > self._size and self._kept:
            self._drop_oldest()

    # ------------------------------------------------------------ what goes

    def expire(self, tyme: float, limit: int) -> None:
        """Drop at most ``limit`` events that are too old."""
        for _ in range(limit):
            if self.due() > tyme:
                return
            self._drop_oldest()

    def due(self) -> float:
        """The tyme at which the oldest event is too old; infinity when there is none."""
        for came in self._kept.values():
            return came + self._seconds
        return float("inf")

    def forget(self, alive: Callable[[str], bool], tyme: float) -> None:
        """Drop logs that have ended and of which nothing came for as long as events are kept.

        Where they ended is remembered, so that who has seen them to their end is known to have missed nothing.
        """
        ended = [o for o, log in self.logs.items() if tyme - log.since > self._seconds and not alive(o)]
        if not ended:
            return
        kept = {event.origin for event in self._kept}
        for origin in ended:
            if origin not in kept:
                self._past[origin] = self.logs.pop(origin).last
                self._position = None
        while len(self._past) > MAX_PAST:
            self._past.popitem(last=False)

    def _drop_oldest(self) -> None:
        """Drop the event that came first of all, and with it the knowledge of all before it in its log."""
        event = next(iter(self._kept))
        same = self._names[event.name]
        same.popleft()
        if not same:
            del self._names[event.name]
        log = self.logs.get(event.origin)
        if log is not None:
            log.floor = max(log.floor, event.offset)
        self._release(event)

    def _drop_one(self, same: "deque[Event]") -> None:
        """Drop the first of a name that has too many."""
        event = same.popleft()
        log = self.logs.get(event.origin)
        if log is not None:
            floors = log.floors
            floors[event.name] = event.offset
            if len(floors) > MAX_FLOORS:
                for name in [name for name, floor in floors.items() if floor <= log.floor]:
                    del floors[name]
                if len(floors) > MAX_FLOORS:  # to know less is safe: some are told that they may have missed something
                    log.floor = max(floors.values())
                    floors.clear()
        self._release(event)

    def _release(self, event: Event) -> None:
        del self._kept[event]
        self.size -= event.size

    # ------------------------------------------------------------ what was missed

    def position(self) -> str:
        """Give how far everything has come, as a text."""
        if self._position is None:
            self._position = write_position(self.held())
        return self._position

    def since(self, position: str, names: Iterable[str], match: Matcher) -> tuple[list[Event], bool]:
        """Give what has come since a position.

        Args:
            position: Of somebody, as they say.
            names: Names that they want.
            match: Tells of other names whether they want them too.

        Returns:
            The events, in the order in which they were told here, and whether these are all that there were. When they
            are not, some may be missing anywhere among them, and some may be there that were seen.
        """
        seen = read_position(position)
        if seen is None:
            return [], False
        wanted = set(names)
        recovered = all(self._knows(origin, offset) for origin, offset in seen.items())
        for origin, log in self.logs.items():
            offset = seen.get(origin, 0)
            if offset < log.floor or (
                log.floors
                and any(floor > offset and (name in wanted or match(name)) for name, floor in log.floors.items())
            ):
                recovered = False
        wanted.update(name for name in self._names if name not in wanted and match(name))
        found = [
            event for name in wanted for event in self._names.get(name, ()) if event.offset > seen.get(event.origin, 0)
        ]
        found.sort(key=lambda event: event._order)
        return found, recovered

    def _knows(self, origin: str, offset: int) -> bool:
        """Tell whether it is known here what came behind an offset of an origin, if anything."""
        if origin in self.logs:
            return True
        return offset >= self._past.get(origin, offset + 1)

    def held(self) -> dict[str, int]:
        """Give how far each log has come."""
        return {origin: log.last for origin, log in self.logs.items()}

    def behind(self, origin: str, offset: int) -> tuple[int, Iterator[Event]]:
        """Give what is kept of a log behind an offset, and the offset behind which that is everything."""
        log = self.logs[origin]
        floor = max([log.floor, offset, *(floor for floor in log.floors.values())])
        return floor, (event for event in self._kept if event.origin == origin and event.offset > floor)


def write_position(seen: dict[str, int]) -> str:
    """Give a position as a text."""
    return ",".join(f"{origin}.{offset}" for origin, offset in seen.items()) or NOWHERE


def read_position(text: str) -> dict[str, int] | None:
    """Give what a position says: the offset of each origin; None for a text that is none."""
    if text == NOWHERE:
        return {}
    if len(text) > LONGEST_POSITION:
        return None
    found: dict[str, int] = {}
    for part in text.split(","):
        pair = PAIR.fullmatch(part)
        if pair is None or pair[1] in found:
            return None
        found[pair[1]] = int(pair[2])
    return found
