"""A simulated Redis server: on a host of its own, behind the rules of the simulated network.

Its own protocol is not spoken: what a driver asks of it arrives as a whole or not at all, and so does the answer. It
may be lost on either way, so that a write which was applied looks as if it had failed.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from totohio.base.doing import Doer
from totohio.core.ports import StoreError, Transaction
from totohio.sim.net.ruling import BLOCK, HOLD
from totohio.store.memory import MemoryStore

if TYPE_CHECKING:
    from totohio.sim.hosting import Host
    from totohio.sim.processing import Process
    from totohio.sim.staging import Stage

T = TypeVar("T")

PORT = 6379
LOST = 0.02  # the probability that a question, or its answer, is lost in a world with faults
KEPT = 64  # states that are kept, to go back to


class SimRedis:
    """A Redis server of the simulated world.

    Attributes:
        host: Its host; crash, kill, pause and restart it like any other.
        url: What ``database_url`` is to be.
        everysec: It syncs what it has written once a second only, so a power cut takes back as much.
        store: Its records.
    """

    def __init__(self, world: "Stage", name: str, *, everysec: bool) -> None:
        self.world = world
        self.everysec = everysec
        self.store = MemoryStore()
        self._states: list[tuple[float, MemoryStore]] = []
        self.dice = world.dice.branch("redis", name)
        self.host: Host = world.host(name, lambda process: [Doer()])
        self.host.databases[""] = self
        self.url = f"redis://{name}:{PORT}"

    def __repr__(self) -> str:
        return f"<SimRedis {self.url}>"

    def crash(self) -> None:
        """Its host has lost its power: what was not synced is lost."""
        if self.everysec:
            self.go_back(1.0)

    def failover(self, lag: float = 0.0) -> None:
        """A replica takes over that has not heard of the last seconds.

        Args:
            lag: How many.
        """
        self.world.note(self.host.name, "failover", lag)
        if lag:
            self.go_back(lag)

    def go_back(self, seconds: float) -> None:
        """Have the records as they were so many seconds ago."""
        then = self.world.tyme - seconds
        while self._states and self._states[-1][0] > then:
            self.store = self._states.pop()[1]

    def remember(self) -> None:
        """Keep the records as they are before they change."""
        self._states.append((self.world.tyme, self.store.copy()))
        del self._states[:-KEPT]


class SimDriver:
    """Asks a `SimRedis`, in simulated worker threads; the simulated side of `store.redis.RedisDriver`.

    Attributes:
        raw: The server.
    """

    def __init__(self, process: "Process", server: SimRedis, *, timeout: float) -> None:
        self.raw = server
        self._process = process
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<SimDriver to {self.raw.url}>"

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Give the values of records."""
        return self._ask("read", len(keys), lambda: self.raw.store.load(keys).result())

    def apply(self, transactions: Sequence[Transaction]) -> list[bool]:
        """Apply transactions."""

        def apply() -> list[bool]:
            self.raw.remember()
            return self.raw.store.commit(transactions).result()

        return self._ask("apply", len(transactions), apply)

    def close(self) -> None:
        """There is nothing to close."""

    def _ask(self, kind: str, count: int, function: Callable[[], T]) -> T:
        server, here, world = self.raw, self._process.host, self._process.world
        there = server.host
        if not there.running or there.paused:
            raise StoreError(f"{server.url} does not answer")
        self._send(here, there, "the question")
        result = function()
        world.note(there.name, kind, here.name, count)
        self._send(there, here, "the answer")
        return result

    def _send(self, source: "Host", target: "Host", what: str) -> None:
        """See whether the network carries it; the worker thread's own duration stands for the time it takes."""
        world = self._process.world
        for rule in list(world.net.rules):
            if not rule.concerns(source.name, target.name):
                continue
            verdict: Any = rule.verdict("data")
            if verdict:
                rule.hits += 1
            if verdict in (BLOCK, HOLD) or verdict < 0.0 or verdict > self._timeout:
                raise StoreError(f"{what} of {self.raw.url} was lost")
        if world.profile.faults and not world.plan.over and self.raw.dice.chance(LOST):
            raise StoreError(f"{what} of {self.raw.url} was lost")
