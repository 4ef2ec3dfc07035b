"""Autoreload, for development: when a module or the configuration file changes, the server starts again.

Python cannot replace a module in a running program without leaving pieces of the old one behind, so
the process drains and then replaces itself. A file with a syntax error changes nothing: the old server goes on.
Whether a module can be imported shows only in the new process. When it cannot, that process waits for a change as
well, and replaces itself again.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

from totohio.app.configuring import load
from totohio.app.signalling import Signals
from totohio.base.clocking import Clock
from totohio.base.doing import Doer
from totohio.base.errors import LoadError, SettingsError
from totohio.base.recording import logger
from totohio.base.writing import printable
from totohio.core.importing import own_files

INTERVAL = 1.0  # seconds between two looks at all files
SLICE = 64  # files, folders and loaded modules looked at in one cycle: a millisecond of work

Mark = tuple[int, int]  # of a file: when it was changed, in nanoseconds, and its size


class Files:
    """The files that are watched now; more modules may have been loaded since the last time.

    Finding them is most of the work. So each step does a small part of it, and gives None when that found nothing.

    Attributes:
        packages: The folders in which every module is watched, each with a slash at its end.
    """

    def __init__(self, folders: Iterable[str], packages: Iterable[str], files: Iterable[str]) -> None:
        self.packages = tuple(os.path.realpath(package) + os.sep for package in packages)
        self._folders = tuple(os.path.realpath(folder) + os.sep for folder in folders)
        self._files = [os.path.realpath(file) for file in files]

    def __iter__(self) -> Iterator[str | None]:
        yield from self._files
        yield from _modules(self.packages)
        for module in list(sys.modules.values()):
            path = getattr(module, "__file__", None)
            if isinstance(path, str) and path.endswith(".py"):
                real = os.path.realpath(path)
                yield real if real.startswith(self._folders) and not real.startswith(self.packages) else None

    def marks(self) -> dict[str, Mark | None]:
        """Look at all of them at once."""
        return {path: _mark(path) for path in self if path is not None}


class ReloadDoer(Doer):
    """Looks every second at the files of loaded modules, at most 64 a cycle, and reports the first that changed.

    Where there are more, a look takes several cycles.
    """

    def __init__(
        self,
        *,
        folders: Iterable[str],
        packages: Iterable[str] = (),
        files: Iterable[str] = (),
        reload: Callable[[str], None],
        tymth: Any = None,
    ) -> None:
        """Set it up.

        Args:
            folders: Loaded modules in them or below are watched.
            packages: Folders in which every module is watched, new ones included.
            files: Other files that are watched.
            reload: Called once with the path, when a watched file changed and can be loaded.
            tymth: Where tyme comes from.
        """
        super().__init__(tymth=tymth)
        self._files = Files(folders, packages, files)
        self._reload = reload
        self._seen: dict[str, Mark] = {}
        self._round: Iterator[str | None] | None = None
        self._next = 0.0
        self._entered = False

    def enter(self, *, temp: bool | None = None) -> None:
        """Remember how all files are now."""
        self._seen.clear()
        for path in self._files:
            if path is not None:
                self._changed(path)
        self._entered = True
        self._round, self._next = None, 0.0

    def due(self, tyme: float) -> float:
        """When the next look begins; now, while one is under way."""
        return tyme if self._round is not None else self._next

    def recur(self, tyme: float) -> bool:
        """Look at some files."""
        if self._round is None:
            if tyme < self._next:
                return False
            self._round, self._next = iter(self._files), tyme + INTERVAL
        for _ in range(SLICE):
            path = next(self._round, "")
            if path == "":
                self._round = None
                return False
            if path is not None and self._changed(path) and _fit(path):
                logger().info("%s changed: starting again", path)
                self._reload(path)
                return True
        return False

    def _changed(self, path: str) -> bool:
        """Tell whether a file has changed since it was last looked at, or is new in a package; not when it is gone."""
        mark = _mark(path)
        if mark is None:  # an editor is just replacing it
            return False
        if self._entered and path not in self._seen and path.startswith(self._files.packages):
            self._seen[path] = mark
            return True
        return self._seen.setdefault(path, mark) != self._note(path, mark)

    def _note(self, path: str, mark: Mark) -> Mark:
        self._seen[path] = mark
        return mark


def _mark(path: str) -> Mark | None:
    """Give what tells whether a file has changed; None when there is no such file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _modules(packages: Iterable[str]) -> Iterator[str | None]:
    """Give the paths of all modules in these folders and below, loaded or not, and a None for each folder."""
    for package in packages:
        for folder, names, files in os.walk(package):
            names[:] = [name for name in names if name.isidentifier() and name != "__pycache__"]
            yield None
            yield from (os.path.join(folder, file) for file in files if file.endswith(".py"))


def _fit(path: str) -> bool:
    """Tell whether a file can be loaded; log why when it cannot."""
    try:
        if path.endswith(".py"):
            with open(path, "rb") as file:
                compile(file.read(), path, "exec", dont_inherit=True)
        else:
            load(path)
    except (SyntaxError, ValueError, SettingsError, OSError) as error:
        logger().error("%s changed, but cannot be loaded: %s", path, error)
        return False
    return True


def repaired(error: Exception, *, package: str, folders: Iterable[str], files: Iterable[str]) -> bool:
    """Say why the server cannot be put together, and wait until one of its files changes, comes or goes.

    Args:
        error: What went wrong.
        package: The name of the method package, in which every module is watched.
        folders: Loaded modules in them or below are watched, and those that went wrong or were not found there.
        files: Other files that are watched.

    Returns:
        Whether to try again; False when SIGTERM or SIGINT came first.
    """
    folders = list(folders)
    watched = Files(folders, _places(package), [*files, *_suspects(error, folders)])
    cause = error.__cause__ if isinstance(error, LoadError) else None if isinstance(error, SettingsError) else error
    text = str(error) if cause is not error else printable(f"{type(error).__name__}: {error}")
    try:
        with Signals(_Sleeper(), outlook=lambda: "ending", clock=Clock()):
            seen = watched.marks()
            logger().error("%s; waiting until a file changes", text, exc_info=cause)
            while True:
                threading.Event().wait(INTERVAL)
                now = watched.marks()
                changed = sorted(path for path in now.keys() | seen.keys() if now.get(path) != seen.get(path))
                seen = now
                if changed and all(path.endswith(".py") or _fit(path) for path in changed):
                    logger().info("%s changed: starting again", changed[0])
                    return True
    except KeyboardInterrupt:
        return False


class _Sleeper:
    """What signals end while it waits for nothing but time: a handler that raises ends any wait."""

    def drain(self) -> None:
        """End the wait."""
        raise KeyboardInterrupt

    stop = drain


def _places(package: str) -> list[str]:
    """Give the folders in which a package is, or might be when it cannot be imported."""
    found = getattr(sys.modules.get(package), "__path__", None)
    return list(found) if found else [os.path.join(folder, *package.split(".")) for folder in sys.path]


def _suspects(error: Exception, folders: list[str]) -> Iterator[str]:
    """Give the files that have to do with an error: those it went through, and where a missing module may appear."""
    cause = error.__cause__ or error
    yield from own_files(cause)
    if isinstance(cause, ModuleNotFoundError) and cause.name is not None:
        for folder in folders:
            path = os.path.join(folder, *cause.name.split("."))
            yield from (f"{path}.py", os.path.join(path, "__init__.py"))


def restart() -> NoReturn:
    """Replace this process by one that runs the same command line; call it after everything has been closed."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
