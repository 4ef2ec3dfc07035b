"""Who is told of events: handlers that wait for a name, and subscriptions that take all of some names.

A handler waits for one event, or for every one when it persists. A handler that belongs to a request never fires once
that request is over. A subscription keeps what its client has not taken yet, at most so much; then it drops the oldest
and says so, or ends.
"""

import itertools
import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from totohio.base.futures import RESULT, Future
from totohio.core.recovering import Event, read_position, write_position

LONGEST_NAME = 200  # characters of a name or pattern
MOST_STARS = 4  # of a pattern, so that to match it takes no time worth speaking of
STAR = "*"
RESERVED = frozenset(("recovered", "gap", "close", "open", "error"))  # what pages hear of a stream itself

Handler = Callable[[Any], Any]


def _stay() -> bool:
    return False


class Registration:
    """A handler that waits for events of a name: what `EventManager.register_handler` gives, to take it back with.

    Attributes:
        name: The name of the events.
        handler: Called with the arguments of each.
        persist: It waits for every event, not for one.
        offload: It is called in a worker thread, since it may block.
        over: Tells whether the request that it belongs to is over.
        active: It was neither taken back nor, without persisting, called.
    """

    __slots__ = ("active", "handler", "name", "offload", "over", "persist")

    def __init__(
        self, name: str, handler: Handler, *, persist: bool, offload: bool, over: Callable[[], bool] = _stay
    ) -> None:
        self.name = name
        self.handler = handler
        self.persist = persist
        self.offload = offload
        self.over = over
        self.active = True

    def __repr__(self) -> str:
        return f"<Registration of {getattr(self.handler, '__qualname__', self.handler)!s} for {self.name!r}>"


class Wait(Future[Any]):
    """A Future of the arguments of the next event of a name, which waits as a handler does and needs none.

    Attributes:
        name: The name of the event.
        over: Tells whether whoever waits is gone.
        active: It waits.
    """

    __slots__ = ("_waiters", "active", "name", "over")

    persist = False

    def __init__(self, name: str, waiters: "Waiters", over: Callable[[], bool]) -> None:
        super().__init__()
        self.name = name
        self.over = over
        self.active = True
        self._waiters = waiters

    def happen(self, args: Any) -> None:
        """Have whoever yields it get the arguments of an event; nothing when it is over. Called in the cycle."""
        with self._lock:
            if self._state:
                return
            self._value = args
            self._state = RESULT
        callbacks, self._callbacks = self._callbacks, []
        self._call(callbacks)

    def give_up(self, error: BaseException) -> None:
        """Wait no more, and have whoever yields it get an error."""
        if not self.done():
            self._waiters.remove(self)
            self.set_exception(error)

    def cancel(self) -> bool:
        """Give it up."""
        self._waiters.remove(self)
        return super().cancel()


class Waiters:
    """Handlers by the names that they wait for, in the order in which they came."""

    def __init__(self) -> None:
        self._names: dict[str, dict[Registration | Wait, None]] = {}

    def __len__(self) -> int:
        """How many handlers wait."""
        return sum(len(found) for found in self._names.values())

    def add(self, registration: Registration | Wait) -> None:
        """Have a handler wait."""
        self._names.setdefault(registration.name, {})[registration] = None

    def remove(self, registration: Registration | Wait) -> None:
        """Have a handler wait no more; twice does no harm."""
        registration.active = False
        found = self._names.get(registration.name)
        if found is not None:
            found.pop(registration, None)
            if not found:
                del self._names[registration.name]

    def fire(self, name: str) -> list[Registration | Wait]:
        """Give the handlers that are to be called for an event, and keep those that persist."""
        found = self._names.get(name)
        if found is None:
            return []
        fired: list[Registration | Wait] = []
        stay: dict[Registration | Wait, None] = {}
        for registration in found:
            if not registration.over():
                fired.append(registration)
                if registration.persist:
                    stay[registration] = None
        if stay:
            self._names[name] = stay
        else:
            del self._names[name]
        return fired

    def names(self) -> list[str]:
        """Give the names that somebody waits for."""
        return list(self._names)

    def waits(self) -> list[Wait]:
        """Give those that are Futures."""
        return [each for found in self._names.values() for each in found if isinstance(each, Wait)]


class Gap:
    """Stands among the events of a subscription where some are missing."""

    size = 0


GAP = Gap()
Item = Event | Gap


class Subscription:
    """What one client is to be told and has not taken yet.

    Attributes:
        names: Names and patterns of the events.
        who: Tells others who is subscribed; any serialisable object.
        size: Bytes of memory that wait, about.
        lost: It has ended since its client takes too little.
        active: It gets events.
        ahead: How far its client has come in logs of which less is known here: what comes of them until then it has.
    """

    __slots__ = ("_ended", "_items", "_limit", "_notify", "_size", "active", "ahead", "lost", "names", "size", "who")

    def __init__(
        self,
        names: Iterable[str],
        *,
        notify: Callable[["Subscription"], object],
        limit: int,
        size: int,
        drop: bool = True,
        who: Any = None,
    ) -> None:
        """Make one; `Subscriptions.add` has it told.

        Args:
            names: Names and patterns; a star stands for any characters.
            notify: Called once when something waits, and again only after `take`.
            limit: Events that may wait.
            size: Bytes of memory that they may take.
            drop: Beyond either the oldest are dropped; False ends the subscription instead.
            who: Tells others who it is.
        """
        self.names = tuple(dict.fromkeys(names))
        self.who = who
        self.size = 0
        self.lost = False
        self.active = True
        self.ahead: dict[str, int] = {}
        self._notify = notify
        self._limit = limit
        self._size = size
        self._items: deque[Item] = deque()
        self._ended = not drop

    def __len__(self) -> int:
        """How much waits."""
        return len(self._items)

    def push(self, item: Item) -> None:
        """Have something wait for the client."""
        items = self._items
        if not self.active:
            return
        if self.ahead and isinstance(item, Event) and item.offset <= self.ahead.get(item.origin, 0):
            return
        if not items:
            items.append(item)
            self.size += item.size
            self._notify(self)
            return
        if item is GAP and items[-1] is GAP:
            return
        items.append(item)
        self.size += item.size
        if len(items) > self._limit or self.size > self._size:
            self._shed()

    def position(self, id: str) -> str:
        """Give the position of the client after an event, from that event's id: it may have come further elsewhere."""
        if not self.ahead:
            return id
        seen = read_position(id) or {}
        self.ahead = {origin: offset for origin, offset in self.ahead.items() if offset > seen.get(origin, 0)}
        return write_position({**seen, **self.ahead})

    def take(self, limit: int) -> list[Item]:
        """Take the next ones out, at most so many."""
        items = self._items
        if len(items) == 1 and limit:  # as it mostly is
            self.size = 0
            return [items.popleft()]
        taken = [items.popleft() for _ in range(min(limit, len(items)))]
        self.size -= sum(item.size for item in taken)
        if items:
            self._notify(self)
        return taken

    def _shed(self) -> None:
        """Too much waits."""
        items = self._items
        if self._ended:
            self.lost = True
            self.active = False
            items.clear()
            self.size = 0
            items.append(GAP)
            return
        while len(items) > 1 and (len(items) > self._limit or self.size > self._size):
            self.size -= items.popleft().size
        if items[0] is not GAP:
            items.appendleft(GAP)


class Subscriptions:
    """All subscriptions, by the names and patterns that they want."""

    def __init__(self) -> None:
        self._names: dict[str, dict[Subscription, None]] = {}
        self._patterns: dict[str, tuple[re.Pattern[str], dict[Subscription, None]]] = {}
        self._all: dict[Subscription, None] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._all)

    def add(self, subscription: Subscription) -> None:
        """Have a subscription told."""
        self._all[subscription] = None
        for name in subscription.names:
            if STAR not in name:
                self._names.setdefault(name, {})[subscription] = None
            elif name in self._patterns:
                self._patterns[name][1][subscription] = None
            else:
                self._patterns[name] = (compile_pattern(name), {subscription: None})

    def remove(self, subscription: Subscription) -> None:
        """Have a subscription told no more; twice does no harm."""
        subscription.active = False
        if self._all.pop(subscription, self) is self:
            return
        for name in subscription.names:
            found = self._patterns[name][1] if STAR in name else self._names[name]
            del found[subscription]
            if not found:
                del (self._patterns if STAR in name else self._names)[name]

    def told(self, name: str) -> Iterable[Subscription]:
        """Give the subscriptions that want events of a name, each once."""
        found = self._names.get(name, {})
        if not self._patterns:
            return found
        matching = [found for pattern, found in self._patterns.values() if pattern.fullmatch(name)]
        if not matching:
            return found
        return dict.fromkeys(itertools.chain(found, *matching))

    def present(self, name: str) -> list[Any]:
        """Give who is subscribed to a name, of those who have said who they are."""
        return [each.who for each in self.told(name) if each.who is not None]

    def roll(self) -> dict[str, list[Any]]:
        """Give the same by all names and patterns."""
        found = {name: list(each) for name, each in self._names.items()}
        found |= {pattern: list(each) for pattern, (_, each) in self._patterns.items()}
        roll = {name: [one.who for one in each if one.who is not None] for name, each in found.items()}
        return {name: each for name, each in roll.items() if each}

    def everyone(self) -> Iterable[Subscription]:
        """Give all subscriptions."""
        return self._all


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Give what matches the names of a pattern, in which each star stands for any characters."""
    return re.compile(".*".join(map(re.escape, re.split(r"\*+", pattern))), re.DOTALL)


def check_name(name: object, *, pattern: bool = False) -> str:
    """Give a name that can be one of events.

    Raises:
        ValueError: It cannot; the text says why.
    """
    if not isinstance(name, str) or not name:
        raise ValueError("the name of an event is a text")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"the name of an event has {LONGEST_NAME} characters at most")
    if not name.isprintable():
        raise ValueError("the name of an event has no control characters")
    if name in RESERVED:
        raise ValueError(f"the name of an event is not {name}, which streams have for themselves")
    if STAR in name and not pattern:
        raise ValueError(f"the name of an event has no {STAR}, which is for patterns")
    if name.count(STAR) > MOST_STARS:
        raise ValueError(f"a pattern has {MOST_STARS} stars at most")
    return name
