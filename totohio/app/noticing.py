"""Notices modules of the method package that were to be methods, as it seems, but are not: they define no ``invoke``.

A module without it may be there for others. So one is named only when no other module of the project mentions it
where modules are mentioned: in an import, or in a text that is nothing but a module's name, as import_module takes it.
Nothing is said of tests, nor of a package that has modules of its own.
"""

import ast
import importlib.util
import os
import pkgutil
import sys
import types
from collections.abc import Iterator
from pathlib import Path

from totohio.app.settings import Settings
from totohio.core.importing import is_own, shown
from totohio.core.registering import Registry


def unserved(registry: Registry, settings: Settings) -> list[str]:
    """Say which modules are not served though they might be meant to be, in a line for each."""
    suspects = {module.__name__: module for module in registry.others if _suspicious(module)}
    if not suspects:
        return []
    known = set(_parts(settings.startup_function or ""))
    for path, (name, package) in _sources(registry.package).items():
        known |= {part for word in _mentions(path, package) for part in _parts(word)} - {name}
    paths = [module.__file__ or "" for name, module in suspects.items() if name not in known]
    return [f"not served: {shown(path)} has no function invoke" for path in paths]


def _suspicious(module: types.ModuleType) -> bool:
    """Tell whether a module could be a method by what it is itself."""
    word = module.__name__.rpartition(".")[2]
    if not (module.__file__ or "").endswith(".py") or word.startswith("test_") or word == "conftest":
        return False
    return not any(pkgutil.iter_modules(getattr(module, "__path__", [])))


def _parts(word: str) -> Iterator[str]:
    """Give a dotted name and all that it is below: who imports ``a.b.c`` imports ``a`` and ``a.b`` as well."""
    while word:
        yield word
        word = word.rpartition(".")[0]


def _sources(package: types.ModuleType) -> dict[str, tuple[str, str]]:
    """Give the files of the project: those of the package, loaded or not, and those of other modules that are loaded.

    Each with the module's name, and the name that relative imports in it begin from.
    """
    found = {}
    for root in getattr(package, "__path__", []):
        for folder, _, files in os.walk(root):
            name = ".".join([package.__name__, *Path(folder).relative_to(root).parts])
            for file in files:
                if file.endswith(".py"):
                    word = name if file == "__init__.py" else f"{name}.{file[:-3]}"
                    found[os.path.join(folder, file)] = word, name
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and path.endswith(".py") and path not in found and is_own(path):
            name = module.__name__
            found[path] = name, name if hasattr(module, "__path__") else name.rpartition(".")[0]
    return found


def _mentions(path: str, package: str) -> Iterator[str]:
    """Give all that a source imports, or names as a module is named, in full."""
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                yield from (alias.name for alias in aliases)
            case ast.ImportFrom(module=module, names=aliases, level=level):
                base = _full("." * level + (module or ""), package)
                yield base
                yield from (f"{base}.{alias.name}" for alias in aliases)
            case ast.Constant(value=str(text)) if text.replace(".", "").isidentifier():
                yield _full(text, package)


def _full(name: str, package: str) -> str:
    """Give the full name of what is imported in a package by this name, relative or not."""
    try:
        return importlib.util.resolve_name(name, package)
    except ImportError:  # it leads out of everything
        return ""
