"""Guards: what stands in the places of functions that ask the machine for time, chance, sockets or threads.

They are put there once and for good, and are dormant: they hand every call on to the function whose place they took,
until a watch is entered in the calling thread. Taking them away again would gain nothing, because modules that were
imported meanwhile have bound them, and the caches of the types they stand in would wear out.

Three mechanisms, since no one of them sees everything:

    guard functions     in modules and classes, also where somebody has bound the original before: in globals, classes,
                        defaults and closures of modules outside the standard library
    an audit hook       for what CPython announces by itself, however it was bound: sockets, threads, processes
    the types' dicts    for `datetime.now` and the like: the types are C's, and a subclass in their place would be
                        another type to isinstance, pickle and msgspec
"""

import asyncio.base_events
import contextlib
import ctypes
import datetime
import functools
import gc
import importlib
import random
import re
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

from totohio.sim.escapes import blaming
from totohio.sim.escapes.rebinding import rebind


@dataclass(frozen=True)
class Target:
    """Something that simulated code must not reach for.

    Attributes:
        what: Its name.
        kind: What it gives: wall, monotonic, sleep, cpu, bytes, random, unseeded, socket, thread or process.
        home: A module whose functions do it: when one of them was called, that one's name is told.
    """

    what: str
    kind: str
    home: str = ""


class Watcher(Protocol):
    """Whoever is told that something was reached for."""

    def reached(self, target: Target, label: str) -> None:
        """Raise an error, unless the piece of simulated code with this label may reach for it."""


class _Here(threading.local):
    """What this thread is about.

    Attributes:
        entered: Who watches it now, and the label of what it runs; one attribute, because each costs some 30 ns.
        outer: The same of what this is nested in.
    """

    entered: tuple[Watcher, str] | None = None

    def __init__(self) -> None:
        self.outer: list[tuple[Watcher, str] | None] = []


here = _Here()

# ---------------------------------------------------------------- what is guarded

_TIME = {
    "wall": "time time_ns clock_gettime clock_gettime_ns",
    "monotonic": "monotonic monotonic_ns perf_counter perf_counter_ns",
    "cpu": "process_time process_time_ns thread_time thread_time_ns",
    "sleep": "sleep",
}
_NOW_WITHOUT = {
    "localtime": 0,
    "gmtime": 0,
    "ctime": 0,
    "asctime": 0,
    "strftime": 1,
}  # with this argument, no clock is read

_FUNCTIONS = {
    **{("time", name): Target(f"time.{name}", kind) for kind, names in _TIME.items() for name in names.split()},
    **{("time", name): Target(f"time.{name}", "wall") for name in _NOW_WITHOUT},
    **{
        (module, name): Target(f"os.{name}", "bytes") for module in ("os", "posix") for name in ("urandom", "getrandom")
    },
    ("uuid", "_generate_time_safe"): Target("uuid.uuid1", "bytes", home="uuid"),
    ("socket", "socketpair"): Target("socket.socketpair", "socket"),
    ("_thread", "start_new_thread"): Target("_thread.start_new_thread", "thread"),  # audited from 3.12 on
    ("_thread", "start_new"): Target("_thread.start_new_thread", "thread"),
    ("threading", "_start_new_thread"): Target("_thread.start_new_thread", "thread"),
    ("_posixsubprocess", "fork_exec"): Target("_posixsubprocess.fork_exec", "process", home="subprocess"),
}

_EVENTS = {
    "socket.__new__": Target("socket.socket", "socket", home="socket"),
    **{
        f"socket.{name}": Target(f"socket.socket.{name}", "socket") for name in ("bind", "connect", "sendto", "sendmsg")
    },
    **{
        f"socket.{name}": Target(f"socket.{name}", "socket", home="socket")
        for name in ("getaddrinfo", "gethostbyaddr", "gethostbyname", "getnameinfo")
    },
    "_thread.start_new_thread": Target("_thread.start_new_thread", "thread"),
    "_thread.start_joinable_thread": Target("threading.Thread.start", "thread"),
    "time.sleep": Target("time.sleep", "sleep"),
    "subprocess.Popen": Target("subprocess.Popen", "process", home="subprocess"),
    **{f"os.{name}": Target(f"os.{name}", "process") for name in ("exec", "fork", "forkpty", "posix_spawn", "system")},
}
_ADDRESS = re.compile(r"[0-9.]+|[0-9a-fA-F:]*:[0-9a-fA-F:.]*")  # whoever looks up something else asks for a name
_DEVICES = {name: Target(f"open({name!r})", "bytes") for name in ("/dev/random", "/dev/urandom")}

# Modules of the standard library that have bound a clock or urandom at import and are not to be let through with it.
# threading is not among them: what it measures is how long a lock was waited for.
_BOUND_EARLY = frozenset(("queue", "random", "sched"))


# ---------------------------------------------------------------- the guards


def _call(
    entered: tuple[Watcher, str], target: Target, function: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    """Call something that a watched thread has reached for, if it may."""
    watch, label = entered
    watch.reached(target, label)
    here.entered = None  # what is allowed may reach for more by itself
    try:
        return function(*args, **kwargs)
    finally:
        here.entered = entered


class Guard:
    """Stands in a module in the place of a function.

    It is no function itself but an object that can be called, because a function in a class would become a method:
    ``converter = time.gmtime`` in a logging formatter has to go on working.
    """

    def __init__(self, target: Target, original: Callable[..., Any]) -> None:
        functools.update_wrapper(self, original)
        self._target = target
        self._original = original

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function, unless this is watched."""
        entered = here.entered
        if entered is None:
            return self._original(*args, **kwargs)
        return _call(entered, self._target, self._original, *args, **kwargs)

    def __repr__(self) -> str:
        return repr(self._original)

    def __reduce__(self) -> str:
        """Be pickled and copied as the function is: by name."""
        return self._original.__name__


class NowGuard(Guard):
    """Stands in the place of a function that reads the clock only when it is not told a time."""

    def __init__(self, target: Target, original: Callable[..., Any], position: int) -> None:
        super().__init__(target, original)
        self._position = position

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function, unless this is watched and the time is not told."""
        entered = here.entered
        if entered is None or (len(args) > self._position and args[self._position] is not None):
            return self._original(*args, **kwargs)
        return _call(entered, self._target, self._original, *args, **kwargs)


def _guarded_start() -> Callable[..., None]:
    original = threading.Thread.start
    target = Target("threading.Thread.start", "thread")

    @functools.wraps(original)
    def start(self: threading.Thread) -> None:
        entered = here.entered
        if entered is None:
            original(self)
        else:
            _call(entered, target, original, self)

    return start


def _guarded_seed(shared: random.Random) -> Callable[..., None]:
    """Guard what every generator calls at its beginning; only one without a seed asks the machine."""
    original = random.Random.seed
    unseeded = Target("random.Random.seed", "unseeded", home="random")
    of_shared = Target("random.seed", "random")

    @functools.wraps(original)
    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        entered = here.entered
        if entered is None or (a is not None and self is not shared):
            original(self, a, version)
        else:
            _call(entered, of_shared if self is shared else unseeded, original, self, a, version)

    return seed


def _guarded_loop(original: type[asyncio.base_events.BaseEventLoop]) -> Callable[..., Any]:
    """Guard the making of an event loop where it begins: one that fails at its socket pair is half made, and loud."""
    target = Target("asyncio.new_event_loop", "socket")

    def __new__(cls: type[Any], /, *args: Any, **kwargs: Any) -> Any:
        entered = here.entered
        if entered is not None:
            entered[0].reached(target, entered[1])
        return super(original, cls).__new__(cls)

    return __new__


def _guarded_now(kind: type[Any], name: str) -> Callable[..., Any]:
    """Guard a class method of `datetime` or `date` that reads the clock."""
    original = kind.__dict__[name]
    warning = _warning_of(original) if name == "utcnow" else None
    targets = {cls: Target(f"datetime.{cls.__name__}.{name}", "wall") for cls in (datetime.datetime, datetime.date)}

    def call(cls: type[Any], /, *args: Any, **kwargs: Any) -> Any:
        if warning is None or args or kwargs:
            return original(cls, *args, **kwargs)
        # The original would blame the frame that calls it, which is this one.
        warn: Any = warnings.warn  # where there is this warning, there is the argument as well
        warn(warning, DeprecationWarning, stacklevel=2, skip_file_prefixes=(blaming.SIM,))
        return cls.now(datetime.UTC).replace(tzinfo=None)

    @functools.wraps(original)
    def now(cls: type[Any], /, *args: Any, **kwargs: Any) -> Any:
        entered = here.entered
        if entered is None:
            return call(cls, *args, **kwargs)
        target = targets[datetime.datetime if issubclass(cls, datetime.datetime) else datetime.date]
        return _call(entered, target, call, cls, *args, **kwargs)

    return now


def _warning_of(utcnow: Callable[..., Any]) -> str | None:
    """Give the words with which this Python warns of it; None when it does not."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        utcnow(datetime.datetime)
    return str(caught[0].message) if caught else None


def _audit() -> Callable[[str, tuple[Any, ...]], None]:
    """Make the hook; it holds all it needs itself, for it is called until the interpreter is gone."""
    local, events, devices, numeric = here, _EVENTS, _DEVICES, _numeric

    def hook(event: str, args: tuple[Any, ...]) -> None:
        entered = local.entered
        if entered is None:
            return
        target = events.get(event)
        if target is None and event == "open" and isinstance(args[0], str):
            target = devices.get(args[0])
        if target is not None and not (event == "socket.getaddrinfo" and numeric(args[0])):
            entered[0].reached(target, entered[1])

    return hook


def _numeric(host: Any) -> bool:
    """Tell whether a host is an address, which is looked up without asking anybody; hio does that with each."""
    return isinstance(host, str) and _ADDRESS.fullmatch(host) is not None


# ---------------------------------------------------------------- putting them in place

_lock = threading.Lock()
_guards: dict[Any, Any] = {}  # by the original that each stands for
_places: list[tuple[dict[str, Any], str, Any, Any]] = []  # a module's names, one of them, the original, the guard
_scanned: set[str] = set()  # names of modules


def install() -> None:
    """Put the guards in place, and into modules that were imported since the last time and have bound an original.

    Where an original has come back, because somebody has put it there, it is replaced again.
    """
    global _scanned
    with _lock:
        if not _places:
            _install()
        for names, name, original, guard in _places:
            if names.get(name) is original:
                names[name] = guard
        loaded = set(sys.modules)
        fresh, _scanned = loaded - _scanned, loaded
        for name in fresh:
            top = name.partition(".")[0]
            own = name in _BOUND_EARLY or (top not in sys.stdlib_module_names and top not in blaming.TOOLS)
            module = sys.modules.get(name)
            if own and name != __name__ and isinstance(module, ModuleType):
                with contextlib.suppress(AttributeError):  # what cffi makes passes for a module and has no names
                    rebind(object.__getattribute__(module, "__dict__"), name, _guards)


def _install() -> None:
    shared: Any = random._inst
    for (module, name), target in _FUNCTIONS.items():
        _guard(importlib.import_module(module), name, target)
    for name, value in list(vars(random).items()):
        if getattr(value, "__self__", None) is shared:
            _guard(random, name, Target(f"random.{name}", "random"))
    for name in ("random", "getrandbits"):  # through these go all others, whoever has bound them and wherever
        target = Target(f"random.{name}", "random", home="random")
        setattr(shared, name, Guard(target, getattr(shared, name)))
    random.Random.seed = _guarded_seed(shared)  # type: ignore[method-assign]
    threading.Thread.start = _guarded_start()  # type: ignore[method-assign]
    loop: Any = asyncio.base_events.BaseEventLoop
    loop.__new__ = _guarded_loop(loop)
    for kind, name in ((datetime.datetime, "now"), (datetime.datetime, "utcnow"), (datetime.date, "today")):
        originals = [getattr(cls, name) for cls in (kind, datetime.datetime)]
        _set_in_type(kind, name, classmethod(_guarded_now(kind, name)))
        _guards.update(zip(originals, (getattr(cls, name) for cls in (kind, datetime.datetime)), strict=True))
    sys.addaudithook(_audit())


def _guard(module: ModuleType, name: str, target: Target) -> None:
    """Have a guard stand for one function of a module, if there is such a function."""
    original = vars(module).get(name)
    if original is None:
        return
    guard = _guards.get(original)
    if guard is None:
        position = _NOW_WITHOUT.get(name) if module.__name__ == "time" else None
        guard = Guard(target, original) if position is None else NowGuard(target, original, position)
        _guards[original] = guard
    _places.append((vars(module), name, original, guard))


def _set_in_type(kind: type[Any], name: str, value: Any) -> None:
    """Put something into a type that is C's, and tell the interpreter's caches of it."""
    (namespace,) = gc.get_referents(kind.__dict__)
    namespace[name] = value
    modified = ctypes.PYFUNCTYPE(None, ctypes.py_object)(("PyType_Modified", ctypes.pythonapi))
    modified(kind)
