"""Deferring: names of a package are imported when they are first used, since who wants one need not wait for all."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def deferred(package: dict[str, Any], homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Give what a package has as its ``__getattr__``, which Python asks for names that are not there, and ``__dir__``.

    Args:
        package: The names of the package, its ``globals()``; what was imported is kept there.
        homes: By the name of a module, the names that are imported from it, with spaces between them.
    """
    places = {name: home for home, names in homes.items() for name in names.split()}

    def find(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}")
        found = package[name] = getattr(importlib.import_module(places[name]), name)
        return found

    return find, lambda: sorted({*package, *places})
