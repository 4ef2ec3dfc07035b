"""A clock and pollers that only the test moves, and Doers that note when they run."""

import socket
from collections.abc import Callable
from typing import Any

from hio.base import doing

from totohio.base.clocking import Clock
from totohio.base.doing import FOREVER, Doer

ENDLESS = 100_000  # cycles after which a test takes the Doist for one that spins


class FakeClock(Clock):
    """A clock that goes on when somebody waits, and never by itself."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.sleeps: list[float] = []

    def now(self) -> float:
        raise AssertionError("tyme does not come from the wall clock")

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds


class FakePoller:
    """A poller in which sockets are ready at set times of the clock."""

    def __init__(self, clock: FakeClock, readies: list[float] | None = None) -> None:
        self.clock = clock
        self.readies = [clock.time + ready for ready in readies or []]
        self.waits: list[float | None] = []

    def wait(self, seconds: float | None) -> None:
        self.waits.append(seconds)
        assert len(self.waits) < ENDLESS, "it spins"
        until = FOREVER if seconds is None else self.clock.time + seconds
        while self.readies and self.readies[0] <= self.clock.time:
            self.readies.pop(0)
        if self.readies and self.readies[0] < until:
            until = self.readies.pop(0)
        assert until < FOREVER, "it waits for ever"
        self.clock.time = until


class Ours(Doer):
    """A Doer of ours that is due at set tymes, and notes when it runs."""

    def __init__(self, dues: list[float] | None = None, poller: Any = None, runs: int | None = None) -> None:
        super().__init__()
        self.dues = dues or []
        self.tymes: list[float] = []
        self.left = runs
        self.exits = 0
        if poller is not None:
            self.poller = poller

    def due(self, tyme: float) -> float:
        return self.dues[0] if self.dues else FOREVER

    def recur(self, tyme: float) -> bool:
        self.tymes.append(tyme)
        while self.dues and self.dues[0] <= tyme:
            self.dues.pop(0)
        if self.left is not None:
            self.left -= 1
        return self.left == 0

    def exit(self) -> None:
        self.exits += 1


class Ordinary(doing.Doer):  # type: ignore[misc]
    """A Doer as everybody writes it for hio."""

    def __init__(self, tock: float = 0.0, act: Callable[[float], Any] | None = None) -> None:
        super().__init__(tock=tock)
        self.tymes: list[float] = []
        self.exits = 0
        self.act = act

    def recur(self, tyme: float) -> bool:
        self.tymes.append(tyme)
        return bool(self.act(tyme)) if self.act is not None else False

    def exit(self) -> None:
        self.exits += 1


class Listener:
    """Takes what one socket brings."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.got: list[bytes] = []

    def attend(self, mask: int) -> None:
        self.got.append(self.sock.recv(100))
