"""Each simulated process has its own copies of the modules that hold its state, as real processes have.

A method that keeps something in a module's variable loses it when its process dies, and does not share it with
the process beside it. So the packages in question are imported anew for every process, and stand in `sys.modules`
only while that process runs. All others, the standard library's and those that were installed, are shared.

Methods need not stand in files: a World takes functions or source texts, of which a package is made in memory.
"""

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from totohio.app.handling import AfterHandler, BeforeHandler, TotoHandler

MEMORY = "totohio-sim:"  # before the name of a package in memory, as an entry of its path

Source = Callable[..., Any] | str
Hooks = tuple[BeforeHandler | None, AfterHandler | None]


def hook(others: Hooks) -> None:
    """Have these be the before and after handlers of whatever process runs."""
    before, after = others
    TotoHandler.set_before_handler(before)
    TotoHandler.set_after_handler(after)


class Modules:
    """The modules of one process, by the packages that they are in.

    Attributes:
        roots: The names of the packages.
        folders: What stands first on the module path while the process runs.
    """

    def __init__(self, roots: tuple[str, ...] = (), folders: tuple[str, ...] = ()) -> None:
        self.roots = roots
        self.folders = folders
        names = [each.removeprefix(MEMORY) for each in folders if each.startswith(MEMORY)]
        self._memory = {name: MemoryFinder.packages[name] for name in names}  # another world's may have that name, too
        self._own: dict[str, types.ModuleType] = {}
        self._others: dict[str, types.ModuleType] = {}
        self._path: list[str] = []
        self._count = 0  # of all modules when it was entered
        self._depth = 0

    def fresh(self) -> "Modules":
        """Give the same for another process: without any modules yet."""
        other = Modules(self.roots, self.folders)
        other._memory = self._memory
        return other

    def enter(self) -> None:
        """Put its modules into `sys.modules`; in the middle of that, another time does nothing more."""
        self._depth += 1
        if self._depth > 1 or not self.roots:
            return
        self._others = self._out()
        sys.modules.update(self._own)
        MemoryFinder.packages.update(self._memory)
        self._count = len(sys.modules)
        self._path = sys.path[:]
        sys.path[:0] = self.folders

    def leave(self) -> None:
        """Take them out again, and put back what was there before."""
        self._depth -= 1
        if self._depth or not self.roots:
            return
        sys.path[:] = self._path
        if len(sys.modules) != self._count:  # it has imported something
            self._own = self._out()
        else:  # to look through all names would cost a cycle 40 us more
            for name in self._own:
                sys.modules.pop(name, None)
        if self._others:
            sys.modules.update(self._others)
            self._others = {}

    def __getitem__(self, name: str) -> types.ModuleType:
        return self._own[name] if not self._depth else sys.modules[name]

    def _out(self) -> dict[str, types.ModuleType]:
        """Take out whatever modules of these packages are there."""
        found = {}
        for root in self.roots:
            if root in sys.modules:
                found[root] = sys.modules.pop(root)
                below = root + "."
                for name in [name for name in sys.modules if name.startswith(below)]:
                    found[name] = sys.modules.pop(name)
        return found


class MemoryFinder:
    """Finds the modules of a package in memory: a path entry finder, with the protocol of `importlib.abc`."""

    packages: ClassVar[dict[str, Mapping[str, Source]]] = {}

    def __init__(self, path: str) -> None:
        if not path.startswith(MEMORY):
            raise ImportError(path)
        self._package, _, self._below = path.removeprefix(MEMORY).partition("/")

    def iter_modules(self, prefix: str = "") -> Iterator[tuple[str, bool]]:
        """Give the names of the modules here, and whether each has others below it."""
        names = dict.fromkeys(name[len(self._below) :].partition(".")[0] for name in self._inside())
        for name in sorted(names):
            yield prefix + name, self._has_below(name)

    def find_spec(self, fullname: str, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Find a module."""
        word = fullname.rpartition(".")[2]
        inside = list(self._inside())
        name = self._below + word
        if name not in inside and not self._has_below(word):
            return None
        source = self.packages[self._package].get(name, "")
        spec = importlib.machinery.ModuleSpec(fullname, _Loader(source), is_package=self._has_below(word))
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(f"{MEMORY}{self._package}/{name}.")
        return spec

    def _inside(self) -> Iterator[str]:
        return (name for name in self.packages.get(self._package, ()) if name.startswith(self._below))

    def _has_below(self, word: str) -> bool:
        below = f"{self._below}{word}."
        return any(name.startswith(below) for name in self._inside())


@functools.lru_cache(maxsize=1024)  # each process of each world imports the same
def _compiled(text: str, name: str) -> types.CodeType:
    return compile(text, name, "exec")


class _Loader(importlib.abc.Loader):
    """Makes a module of a function, which becomes its ``invoke``, or of a source text."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """Have the module made as usual."""
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        """Fill the module."""
        if isinstance(self._source, str):
            exec(_compiled(self._source, f"<{module.__name__}>"), module.__dict__)
        else:
            module.__dict__["invoke"] = self._source


def package(name: str, methods: Mapping[str, Source]) -> None:
    """Make a package in memory that can be imported by that name while its finder's entry is on the module path.

    Args:
        name: Of the package.
        methods: Functions ``invoke``, or source texts of modules, by their dotted name in it; ``__init__`` is the text
            of the package itself.
    """
    if MemoryFinder not in sys.path_hooks:
        sys.path_hooks.append(MemoryFinder)
    others = {f"{name}.{key}": each for key, each in methods.items() if key != "__init__"}
    MemoryFinder.packages[name] = {name: methods.get("__init__", ""), **others}


def folder(name: str) -> str:
    """Give what has to stand on the module path for that package in memory to be found."""
    return MEMORY + name
