"""The rules of a server, as several processes that share one store run them; tests make their calls one by one."""

from collections.abc import Callable, Sequence
from types import GeneratorType, SimpleNamespace
from typing import Any

from tests.core.keeping import Numbers, Wall, outcome
from totohio import TotoSession, TotoSessionCache
from totohio.app.connecting import DBConnection
from totohio.app.keeping import Keeper
from totohio.app.settings import Settings
from totohio.base.environing import Environment
from totohio.base.futures import Future
from totohio.core.committing import Unit
from totohio.core.invoking import Lot
from totohio.core.ports import Store

ROOMS = 2  # processes
CYCLES = 1000  # after which a test gives up
QUICK = {"password_rules": "never", "password_memory": 64, "password_time": 1, "login_throttle": False}


class Caller:
    """One request, as the rules see it."""

    bundled = False
    request_handler: Any
    _hmac_handler = None

    def __init__(self, keeper: Keeper, session_id: str | None) -> None:
        fields = {} if session_id is None else {b"x-toto-session-id": session_id.encode("latin-1")}
        self.request = SimpleNamespace(fields=fields)
        self.remote_address = "192.0.2.1"
        self.session: TotoSession | None = None
        self.db_connection = DBConnection(keeper, self)  # type: ignore[arg-type]
        self._unit = keeper.unit()

    def unit(self) -> Unit:
        """What it reads and writes."""
        return self._unit


Call = Callable[[Caller], Any]


class Room:
    """What one process has: a keeper, and where calls wait."""

    def __init__(self, store: Store, environment: Environment, options: dict[str, Any]) -> None:
        settings = Settings(database="memory", **{**QUICK, **options})
        self.keeper = Keeper(settings, environment, here=lambda: True, post=_never, drain=_never)
        self.keeper.store = self.keeper.journal.store = store
        self.keeper.journal.local = store.local
        self.lot = Lot(here=lambda: True, wake=lambda: None)
        self.lot.fibers = self.keeper.fibers

    def start(self, function: Call, session_id: str | None) -> tuple[list[Any], Unit]:
        """Begin a call; its result, or what it raises, is appended to the list."""
        caller = Caller(self.keeper, session_id)
        ends: list[Any] = []
        try:
            result = self.keeper.fibers.call(function, caller)
        except Exception as error:
            return [error], caller.unit()
        if isinstance(result, GeneratorType):
            self.lot.run(result, lambda value, error: ends.append(error if error is not None else value))
        else:
            ends.append(result)
        return ends, caller.unit()


class Hands:
    """Worker threads that are none: what they are given is done in the next cycle, in order, so that runs are alike."""

    inline = False

    def __init__(self) -> None:
        self.tasks: list[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = []

    def pool(self, name: str, size: int, idle_timeout: float = 0.0) -> "Hand":
        return Hand(self)

    def work(self) -> None:
        """Do what there is to do."""
        tasks, self.tasks = self.tasks, []
        for future, function, args in tasks:
            try:
                result = function(*args)
            except Exception as error:
                future.set_exception(error)
            else:
                future.set_result(result)


class Hand:
    """A pool of such threads."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    def __len__(self) -> int:
        return 0

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._hands.tasks.append((future, function, args))
        return future

    def close(self) -> None:
        """There is nothing to close."""


class Site:
    """All processes, and the cycle that runs them."""

    def __init__(self, clock: Wall, **options: Any) -> None:
        self.threads = Hands()
        self.environment = Environment(
            clock=clock,
            minter=Numbers(),
            network=None,  # type: ignore[arg-type]
            threads=self.threads,  # type: ignore[arg-type]
        )
        self.options = options
        self.cache: TotoSessionCache | None = None
        self.store: Any = None
        self.rooms: list[Room] = []

    def open(self, store: Store, cache: TotoSessionCache | None = None) -> None:
        """Begin over a store."""
        store.open()
        self.store, self.cache = store, cache
        self.rooms = [self._room() for _ in range(ROOMS)]

    def _room(self) -> Room:
        room = Room(self.store, self.environment, self.options)
        room.keeper.set_cache(self.cache)
        return room

    def call(self, room: int, function: Call, session_id: str | None = None) -> Any:
        """Make a call; give what it is answered with, or raise that error."""
        [answer] = self.race((0,), (room, function, session_id))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def race(self, delays: Sequence[int], *calls: tuple[int, Call, str | None]) -> list[Any]:
        """Make calls that begin so many cycles from now; give what each is answered with, errors among them."""
        begun = [
            self.rooms[room].start(late(function, delay), session_id)
            for delay, (room, function, session_id) in zip(delays, calls, strict=True)
        ]
        self.run(lambda: all(ends and all(ticket.done() for ticket, _ in unit.tickets) for ends, unit in begun))
        answers = []
        for ends, unit in begun:
            try:
                answers.append(outcome(ends, unit))
            except Exception as error:
                answers.append(error)
        return answers

    def run(self, over: Callable[[], bool], *, sending: bool = True) -> None:
        """Run cycles until something is so, and nothing waits to be committed."""
        for _ in range(CYCLES):
            for room in self.rooms:
                room.lot.service(room.lot.tyme)
                if sending:
                    room.keeper.journal.flush()
            getattr(self.store, "flush", int)()
            if over() and not (sending and any(room.keeper.journal.busy for room in self.rooms)):
                return
            self.threads.work()
        raise AssertionError("a call is never answered")

    def sweep(self) -> None:
        """Remove what has expired."""
        future = self.store.sweep(self.environment.clock.now(), 1000)
        self.run(future.done)
        future.result()

    def crash(self, room: int, function: Call) -> None:
        """Begin a call, and end its process when it has written something that is not sent yet."""
        old = self.rooms[room]
        ends, _ = old.start(function, None)
        self.run(lambda: bool(ends) or len(old.keeper.journal) > 0, sending=False)
        self.rooms[room] = self._room()


def late(function: Call, cycles: int) -> Call:
    """Give a call that begins some cycles later."""
    if not cycles:
        return function

    def call(caller: Caller) -> Any:
        for _ in range(cycles):
            yield None
        result = function(caller)
        return (yield from result) if isinstance(result, GeneratorType) else result

    return call


def _never(*args: Any) -> None:
    raise AssertionError("there are no threads here")
