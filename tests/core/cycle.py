"""A lot of parked methods with whoever runs its cycles: the test."""

import threading
from collections.abc import Callable, Generator
from typing import Any

from totohio.core.invoking import Lot


class Cycle:
    """A lot with whoever runs the cycle: the test."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.wakes = threading.Semaphore(0)
        self.lot = Lot(here=lambda: threading.get_ident() == self.thread, wake=self.wakes.release)
        self.ends: list[tuple[Any, Any]] = []

    def start(self, waiting: Any, done: Callable[[Any, Any], None] | None = None) -> Any:
        """Run a method up to where it first waits."""
        return self.lot.run(waiting, done or self.done)

    def done(self, result: Any, error: Any) -> None:
        """Note how a method ended."""
        self.ends.append((result, error))

    def step(self, seconds: float = 0.0) -> int:
        """Run one cycle, some tyme later."""
        return self.lot.service(self.lot.tyme + seconds)

    def finish(self) -> None:
        """Run cycles while any method can go on without waiting for tyme."""
        for _ in range(100):
            if self.lot.due() > self.lot.tyme:
                return
            self.step()
        raise AssertionError("it never comes to rest")

    @property
    def results(self) -> list[Any]:
        """What methods returned; fails when one raised."""
        for _, error in self.ends:
            if error is not None:
                raise error
        return [result for result, _ in self.ends]

    @property
    def errors(self) -> list[Any]:
        """What methods raised; None for those that returned."""
        return [error for _, error in self.ends]


def wait(*wanted: Any) -> Generator[Any, Any, Any]:
    """A method that waits for one thing after the other and returns all that it got."""
    found = []
    for item in wanted:
        found.append((yield item))  # noqa: PERF401 (a comprehension cannot wait)
    return found


def complain(wanted: Any) -> Generator[Any, Any, Any]:
    """A method that returns how its wait failed."""
    try:
        got = yield wanted
    except BaseException as error:
        return error
    return f"no error but {got!r}"


async def wait_for(awaitable: Any) -> Any:
    """A coroutine that awaits one thing and returns what it got."""
    return await awaitable
