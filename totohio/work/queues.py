"""Task queues: work done beside the cycle in a few threads, a queue's tasks at most so many at a time.

They are for short jobs that block, such as a call of a database driver. Every server in a process has
queues of its own: one made by a method, or by a task that a method started, belongs to that server, one
made where no server runs (while modules are imported, say) serves each server that uses it with other
threads, and plain programs with yet others.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from threading import RLock
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from totohio.base.environing import Environment, Pool, Threads
from totohio.base.futures import Future
from totohio.net import offloading

R = TypeVar("R")

IDLE_TIMEOUT = 60.0  # seconds until a thread without work ends, as in Toto

log = logging.getLogger("totohio")


class TaskQueue:
    """Runs up to ``thread_count`` tasks at a time, in the order in which they came.

    Threads are started when there are tasks and end after ``idle_timeout`` seconds without any.
    """

    def __init__(self, thread_count: int = 1, idle_timeout: float = IDLE_TIMEOUT, name: str = "TaskQueue") -> None:
        """Make a queue of its own; `instance` gives a shared one.

        Raises:
            ValueError: The thread count is below 1.
        """
        if thread_count < 1:
            raise ValueError(f"a TaskQueue needs at least 1 thread, not {thread_count}")
        self.thread_count = thread_count
        self.idle_timeout = idle_timeout
        self.name = name
        home = _home()
        self._home = None if home.outside else home
        self._shared = False

    @classmethod
    def instance(cls, name: str, thread_count: int = 1, idle_timeout: float = IDLE_TIMEOUT) -> "TaskQueue":
        """Give the shared queue of that name; once it exists, the later arguments are ignored."""
        return _home().queue(cls, name, thread_count, idle_timeout)

    def add_task(self, fn: Callable[..., object], /, *args: Any, **kwargs: Any) -> None:
        """Have ``fn(*args, **kwargs)`` run; what it raises is logged, what it returns is dropped."""
        self._pool().submit(_attempt, fn, args, kwargs)

    def yield_task(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """Have ``fn(*args, **kwargs)`` run; a method yields or awaits the Future to get the result."""
        return self._pool().submit(partial(fn, *args, **kwargs))

    def run(self) -> None:
        """Do nothing: tasks start by themselves. It is there for programs that were written for Toto."""

    def __len__(self) -> int:
        """How many tasks run or wait."""
        return len(self._pool())

    def _pool(self) -> Pool:
        return (self._home or _home()).pool(self)


class InstancePool:
    """Lends instances of a class to one user at a time, so that threads can share what is not made for threads.

    Calling any method that is not among those below takes an instance out of the pool, calls its method and
    gives it back. Whoever wants one while all are taken waits for it, so in a method of a server use
    `awaitable` or `await_transaction`, which wait in a thread.
    """

    def __init__(self, instances: Any, default_queue: str = "pool") -> None:
        """Make a pool of one instance or, when it can be iterated over, of those in a collection.

        Args:
            instances: The instances.
            default_queue: Name of the TaskQueue for everything that runs in threads. It gets one thread; make it with
                ``TaskQueue.instance(name, thread_count)`` beforehand to have more instances at work at a time.

        Raises:
            ValueError: The collection is empty.
        """
        self._free: SimpleQueue[Any] = SimpleQueue()
        self._default_queue = default_queue
        for instance in instances if hasattr(instances, "__iter__") else (instances,):
            self._free.put(instance)
        if self._free.empty():
            raise ValueError("an InstancePool needs at least one instance")

    def __getattr__(self, key: str) -> Any:
        if key == "await":  # its name in Toto, a keyword by now
            return self.awaitable
        _refuse_special(self, key)

        def method(*args: Any, **kwargs: Any) -> Any:
            with self.instance() as instance:
                return getattr(instance, key)(*args, **kwargs)

        return method

    @contextmanager
    def instance(self) -> Iterator[Any]:
        """Lend one instance for a ``with`` block."""
        instance = self._free.get()
        try:
            yield instance
        finally:
            self._free.put(instance)

    def transaction(self, function: Callable[[Any], R]) -> R:
        """Call ``function(instance)`` and give its result."""
        with self.instance() as instance:
            return function(instance)

    def async_transaction(self, function: Callable[[Any], object], queue_name: str | None = None) -> None:
        """Call ``function(instance)`` in a TaskQueue; what it raises is logged."""
        TaskQueue.instance(queue_name or self._default_queue).add_task(self.transaction, function)

    def await_transaction(self, function: Callable[[Any], R], queue_name: str | None = None) -> Future[R]:
        """Call ``function(instance)`` in a TaskQueue; the Future gets its result."""
        return TaskQueue.instance(queue_name or self._default_queue).yield_task(self.transaction, function)

    def awaitable(self, queue_name: str | None = None) -> "AwaitableInstance":
        """Give a face of this pool whose methods run in a TaskQueue and return Futures."""
        return AwaitableInstance(self, queue_name or self._default_queue)

    await_ = awaitable


class AwaitableInstance:
    """Wraps an object: each method runs in a TaskQueue and returns a Future.

    ``rows = yield AwaitableInstance(database).fetch(query)``. Everything that touches the object, finding the
    method included, happens in the queue; an unknown name is the Future's AttributeError.

    Attributes:
        instance: The object.
        task_queue: The shared TaskQueue that its methods run in.
    """

    def __init__(self, instance: Any, queue_name: str = "pool") -> None:
        self.instance = instance
        self.task_queue = TaskQueue.instance(queue_name)

    def __getattr__(self, key: str) -> Any:
        _refuse_special(self, key)

        def method(*args: Any, **kwargs: Any) -> Future[Any]:
            return self.task_queue.yield_task(_call_method, self.instance, key, args, kwargs)

        return method


class _Home:
    """The queues of one server, or of the process where no server runs.

    Attributes:
        outside: No server runs; queues that are made here belong to none.
    """

    def __init__(self, threads: Threads, *, outside: bool = False) -> None:
        self.outside = outside
        self._threads = threads
        self._queues: dict[str, TaskQueue] = {}
        self._pools: WeakKeyDictionary[TaskQueue, Pool] = WeakKeyDictionary()
        self._closed = False
        self._lock = RLock()  # a finaliser that runs in the middle may use queues too

    def queue(self, kind: type[TaskQueue], name: str, thread_count: int, idle_timeout: float) -> TaskQueue:
        """Give the queue of that name, a new one when there is none yet."""
        with self._lock:
            queue = self._queues.get(name)
            if queue is None:
                queue = self._queues[name] = kind(thread_count, idle_timeout, name)
                queue._home = None if self.outside else self
                queue._shared = True
            return queue

    def pool(self, queue: TaskQueue) -> Pool:
        """Give the threads of a queue; those of a shared one from outside are those of its namesake here."""
        if queue._shared:
            queue = self.queue(type(queue), queue.name, queue.thread_count, queue.idle_timeout)
        with self._lock:
            pool = self._pools.get(queue)
            if pool is None:
                pool = self._threads.pool(queue.name, queue.thread_count, queue.idle_timeout)
                self._pools[queue] = pool
                if self._closed:
                    pool.close()
            return pool

    def close(self) -> None:
        """Take no more tasks; those that wait are cancelled, those that run are left alone."""
        with self._lock:
            self._closed = True
            pools = list(self._pools.values())
        for pool in pools:
            pool.close()

    def reopen(self) -> None:
        """Take tasks again, in new threads."""
        with self._lock:
            if self._closed:
                self._closed = False
                self._pools.clear()


_outside = _Home(offloading.KernelThreads(), outside=True)
_making = RLock()


def _home() -> _Home:
    """Give the queues that belong to whatever the calling thread works for."""
    environment = offloading.environment()
    if environment is None:
        return _outside
    home: _Home | None = environment.shared.get(_Home)
    if home is None:
        with _making:
            home = environment.shared.setdefault(_Home, _Home(environment.threads))
    return home


def beforehand(environment: Environment) -> Environment:
    """Give the Environment in which a simulated process is put together, before its server runs.

    Queues that are made in it belong to no server, as those do that real programs make while they import modules. Their
    tasks run in threads of that process.
    """
    return replace(environment, shared={_Home: _Home(environment.threads, outside=True)})


def close(environment: Environment) -> None:
    """Close the task queues of a server that ends: what waits is cancelled, what runs is left alone.

    Until `reopen` a queue of this server refuses tasks with a TotohioError.
    """
    home: _Home | None = environment.shared.get(_Home)
    if home is not None:
        home.close()


def reopen(environment: Environment) -> None:
    """Have the task queues of a server that begins again take tasks again."""
    home: _Home | None = environment.shared.get(_Home)
    if home is not None:
        home.reopen()


def _attempt(fn: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Run a task that nobody waits for."""
    try:
        fn(*args, **kwargs)
    except BaseException:  # SystemExit too: nobody else would ever hear of it
        log.exception("the task %s failed", getattr(fn, "__qualname__", None) or repr(fn))


def _call_method(instance: Any, key: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return getattr(instance, key)(*args, **kwargs)


def _refuse_special(wrapper: object, key: str) -> None:
    """Refuse names such as ``__deepcopy__``: Python asks for them, and having them would claim an ability."""
    if key.startswith("__") and key.endswith("__"):
        raise AttributeError(f"{type(wrapper).__name__} has no {key}")
