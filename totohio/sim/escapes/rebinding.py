"""Rebinding: putting guards where modules have bound the originals before there were guards.

``from time import time`` at the top of a module, ``clock = time.monotonic`` in a class, ``def wait(sleep=time.sleep)``,
and a decorator that holds a clock: each keeps the original whatever happens to the module it came from.
"""

from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, CellType, FunctionType, MethodType
from typing import Any

Guards = Mapping[Any, Any]

_BINDABLE = frozenset((BuiltinFunctionType, FunctionType, MethodType))


def rebind(names: dict[str, Any], module: str, guards: Guards) -> None:
    """Replace the originals that a module has bound.

    Args:
        names: What the module's names stand for.
        module: Its own name.
        guards: The guards, by the originals.
    """
    for name, value in list(names.items()):
        if (guard := _guard_of(value, guards)) is not None:
            names[name] = guard
        elif type(value) is FunctionType:
            _rebind_function(value, guards)
        elif issubclass(type(value), type) and type.__getattribute__(value, "__module__") == module:
            _rebind_class(value, guards)


def _rebind_class(cls: type[Any], guards: Guards) -> None:
    for name, value in list(vars(cls).items()):
        bare = value.__func__ if type(value) in (staticmethod, classmethod) else value
        if (guard := _guard_of(bare, guards)) is not None:
            type.__setattr__(cls, name, staticmethod(guard) if bare is not value else guard)
        elif type(bare) is FunctionType:
            _rebind_function(bare, guards)


def _rebind_function(function: FunctionType, guards: Guards) -> None:
    """Replace the originals among its defaults and in its closure."""
    defaults = function.__defaults__
    if defaults and any(_guard_of(value, guards) for value in defaults):
        function.__defaults__ = tuple(_guard_of(value, guards) or value for value in defaults)
    keywords: dict[str, Any] = function.__kwdefaults__ or {}
    for name, value in keywords.items():
        keywords[name] = _guard_of(value, guards) or value
    for cell, value in _cells(function):
        if (guard := _guard_of(value, guards)) is not None:
            cell.cell_contents = guard


def _cells(function: FunctionType) -> Iterator[tuple[CellType, Any]]:
    for cell in function.__closure__ or ():
        try:
            yield cell, cell.cell_contents
        except ValueError:  # it is empty
            continue


def _guard_of(value: Any, guards: Guards) -> Any:
    """Give the guard that stands for this; None when there is none."""
    if type(value) in _BINDABLE:
        try:
            return guards.get(value)
        except TypeError:  # a method of something without a hash
            return None
    return None
