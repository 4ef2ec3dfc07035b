"""Autoreload, for development: when a module or the configuration file changes, the server starts again.

Python cannot replace a module in a running program without leaving pieces of the old one behind, so
the process drains and then replaces itself. A file with a syntax error changes nothing: the old server goes on.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

from totohio.app.configuring import load
from totohio.base.doing import Doer
from totohio.base.errors import SettingsError
from totohio.base.recording import logger

INTERVAL = 1.0  # seconds between two looks at all files
SLICE = 64  # files, folders and loaded modules looked at in one cycle: a millisecond of work

Mark = tuple[int, int]  # of a file: when it was changed, in nanoseconds, and its size


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
        self._folders = tuple(os.path.realpath(folder) + os.sep for folder in folders)
        self._packages = tuple(os.path.realpath(package) + os.sep for package in packages)
        self._files = [os.path.realpath(file) for file in files]
        self._reload = reload
        self._seen: dict[str, Mark] = {}
        self._round: Iterator[str | None] | None = None
        self._next = 0.0
        self._entered = False

    def enter(self, *, temp: bool | None = None) -> None:
        """Remember how all files are now."""
        self._seen.clear()
        for path in self._watched():
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
            self._round, self._next = self._watched(), tyme + INTERVAL
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

    def _watched(self) -> Iterator[str | None]:
        """Give the paths of all files that are watched now; more modules may have been loaded since the last time.

        Finding them is most of the work. So each step does a small part of it, and gives None when that found nothing.
        """
        yield from self._files
        yield from _modules(self._packages)
        for module in list(sys.modules.values()):
            path = getattr(module, "__file__", None)
            if isinstance(path, str) and path.endswith(".py"):
                real = os.path.realpath(path)
                yield real if real.startswith(self._folders) and not real.startswith(self._packages) else None

    def _changed(self, path: str) -> bool:
        """Tell whether a file has changed since it was last looked at, or is new in a package; not when it is gone."""
        try:
            status = os.stat(path)
        except OSError:  # an editor is just replacing it
            return False
        mark = (status.st_mtime_ns, status.st_size)
        if self._entered and path not in self._seen and path.startswith(self._packages):
            self._seen[path] = mark
            return True
        return self._seen.setdefault(path, mark) != self._note(path, mark)

    def _note(self, path: str, mark: Mark) -> Mark:
        self._seen[path] = mark
        return mark


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


def restart() -> NoReturn:
    """Replace this process by one that runs the same command line; call it after everything has been closed."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
