"""Waiting in tests for what other threads do: never a sleep, always with an end."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from totohio.base import environing
from totohio.base.clocking import Clock, Minter
from totohio.base.environing import Environment
from totohio.base.futures import Future
from totohio.net.offloading import KernelThreads

LONG = 20.0  # seconds that only a failing test waits


def settle(*futures: Future[Any]) -> None:
    """Wait until all are complete."""
    for future in futures:
        done = threading.Event()

        def tell(_: object, done: threading.Event = done) -> None:
            done.set()

        future.add_done_callback(tell)
        assert done.wait(LONG), "a Future was never completed"


def result(future: Future[Any]) -> Any:
    """Wait for the result, or raise the exception."""
    settle(future)
    return future.result()


class Gate:
    """Holds tasks back until they are let through, and knows how many have come."""

    def __init__(self) -> None:
        self._come = threading.Semaphore(0)
        self._open = threading.Semaphore(0)

    def __call__(self) -> None:
        self._come.release()
        assert self._open.acquire(timeout=LONG)

    def await_come(self, number: int = 1) -> None:
        """Wait until that many more tasks stand before the gate."""
        for _ in range(number):
            assert self._come.acquire(timeout=LONG)

    def let(self, number: int = 1) -> None:
        """Let that many through."""
        self._open.release(number)


class Wakes:
    """Counts wake-ups and lets a thread wait for one, as a poller does."""

    def __init__(self) -> None:
        self.count = 0
        self.event = threading.Event()

    def __call__(self) -> None:
        self.count += 1
        self.event.set()


def new_environment(threads: KernelThreads | None = None) -> Environment:
    """Make an Environment that has no network."""
    threads = threads or KernelThreads()
    environment = Environment(
        clock=Clock(),
        minter=Minter(),
        network=None,  # type: ignore[arg-type]
        threads=threads,
    )
    threads.environment = environment
    return environment


@contextmanager
def running(environment: Environment) -> Iterator[Environment]:
    """Be inside the cycle of a server with that Environment."""
    before = environing.activate(environment)
    try:
        yield environment
    finally:
        environing.activate(before)
