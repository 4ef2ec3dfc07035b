"""The rules of a server, as several processes that share one store run them; tests make their calls one by one."""

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from tests.core.keeping import Wall, outcome
from tests.waiting import LONG
from totohio import TotoSession, TotoSessionCache
from totohio.app.connecting import DBConnection
from totohio.app.keeping import Keeper
from totohio.app.settings import Settings
from totohio.base.clocking import Minter
from totohio.base.environing import Environment
from totohio.core.committing import Unit
from totohio.core.invoking import Lot
from totohio.core.ports import Store
from totohio.net.offloading import Inbox, KernelThreads

ROOMS = 2  # processes
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


class Room:
    """What one process has: a keeper, and where calls wait."""

    def __init__(self, store: Store, environment: Environment, inbox: Inbox, options: dict[str, Any]) -> None:
        settings = Settings(database="memory", **{**QUICK, **options})
        self.keeper = Keeper(settings, environment, here=lambda: True, post=inbox.post, drain=lambda: None)
        self.keeper.store = self.keeper.journal.store = store
        self.keeper.journal.local = store.local
        self.lot = Lot(here=lambda: True, wake=lambda: None)
        self.lot.wrap = self.keeper.fibers.wrap

    def start(self, function: Callable[[Caller], Any], session_id: str | None) -> tuple[list[Any], Unit]:
        """Begin a call; its result, or what it raises, is appended to the list."""
        caller = Caller(self.keeper, session_id)
        ends: list[Any] = []
        try:
            result = self.keeper.fibers.call(function, caller)
        except Exception as error:
            return [error], caller.unit()
        if self.keeper.fibers.paused(result):
            self.lot.run(result, lambda value, error: ends.append(error if error is not None else value))
        else:
            ends.append(result)
        return ends, caller.unit()


class Site:
    """All processes, and the cycle that runs them."""

    def __init__(self, clock: Wall, **options: Any) -> None:
        self.clock = clock
        self.options = options
        self._woken = threading.Event()
        self._inbox = Inbox(self._woken.set)
        self._inbox.claim()
        self.threads = KernelThreads(self._inbox.post)
        self.environment = Environment(
            clock=clock,
            minter=Minter(),
            network=None,  # type: ignore[arg-type]
            threads=self.threads,
        )
        self.threads.environment = self.environment
        self.store: Store | None = None
        self.rooms: list[Room] = []

    def open(self, store: Store, cache: TotoSessionCache | None = None) -> None:
        """Begin over a store."""
        store.open()
        self.store = store
        self.rooms = [Room(store, self.environment, self._inbox, self.options) for _ in range(ROOMS)]
        for room in self.rooms:
            room.keeper.set_cache(cache)

    def call(self, room: int, function: Callable[[Caller], Any], session_id: str | None = None) -> Any:
        """Make a call; give what it is answered with, or raise that error."""
        [answer] = self.race((room, function, session_id))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def race(self, *calls: tuple[int, Callable[[Caller], Any], str | None]) -> list[Any]:
        """Make calls at the same time; give what each is answered with, errors among them."""
        begun = [self.rooms[room].start(function, session_id) for room, function, session_id in calls]
        self.run(lambda: all(ends and all(ticket.done() for ticket, _ in unit.tickets) for ends, unit in begun))
        answers = []
        for ends, unit in begun:
            try:
                answers.append(outcome(ends, unit))
            except Exception as error:
                answers.append(error)
        return answers

    def run(self, over: Callable[[], bool]) -> None:
        """Run cycles until something is so, and nothing waits to be committed."""
        flush = getattr(self.store, "flush", None)
        while True:
            self._woken.clear()
            self._inbox.drain(10_000)
            for room in self.rooms:
                room.lot.service(room.lot.tyme)
                room.keeper.journal.flush()
            if flush is not None:
                flush()
            if self._inbox:
                continue
            if over() and not any(room.keeper.journal.busy for room in self.rooms):
                return
            if any(room.lot.due() <= room.lot.tyme or room.keeper.journal.due for room in self.rooms):
                continue
            assert self._woken.wait(LONG), "a call is never answered"

    def sweep(self) -> int:
        """Remove what has expired."""
        assert self.store is not None
        future = self.store.sweep(self.clock.now(), 1000)
        self.run(future.done)
        return future.result()

    def crash(self) -> None:
        """Lose what was not sent to the store."""
        for room in self.rooms:
            room.keeper.journal.end()
