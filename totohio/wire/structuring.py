"""Structs as maps of their fields, and back: by the names that the fields have in Python, whatever is said of encoding.

Members of enumerations go as their values where a field is annotated to have them, since that makes them come back.
"""

import functools
import typing
from enum import Enum
from typing import Any

import msgspec

FORMS = 1024  # of the classes that were used last are kept


class Form:
    """How the Structs of one class go."""

    __slots__ = ("_enumerates", "_fields", "_forbids", "_hints", "_kind")

    def __init__(self, kind: type[msgspec.Struct]) -> None:
        self._kind = kind
        self._fields = kind.__struct_fields__
        self._forbids = kind.__struct_config__.forbid_unknown_fields
        hints = typing.get_type_hints(kind, include_extras=True)
        self._hints = {name: hints[name] for name in self._fields}
        self._enumerates = frozenset(name for name, hint in self._hints.items() if _enumerates(hint))

    def write(self, struct: msgspec.Struct) -> dict[str, Any]:
        """Give the fields of a Struct, without those that are not set."""
        fields = {name: value for name in self._fields if (value := getattr(struct, name)) is not msgspec.UNSET}
        if self._enumerates:
            fields |= {name: _valued(value) for name, value in fields.items() if name in self._enumerates}
        return fields

    def read(self, fields: dict[str, Any]) -> msgspec.Struct:
        """Make a Struct of its fields.

        Raises:
            ValueError, TypeError: They are not those that it may have.
            Exception: What its ``__post_init__`` raises.
        """
        found = {}
        for name, value in fields.items():
            hint = self._hints.get(name, self)
            if hint is self:
                if self._forbids:
                    raise ValueError(f"it has no field {name:.100}")
                continue
            try:
                found[name] = msgspec.convert(value, hint)
            except ValueError as error:
                raise ValueError(f"{error} - in its field {name}") from None
        return self._kind(**found)


@functools.lru_cache(FORMS)
def form_of(kind: type[msgspec.Struct]) -> Form:
    """Give how the Structs of a class go.

    Raises:
        NameError: An annotation means nothing.
    """
    return Form(kind)


def _enumerates(hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, Enum):
        return True
    return any(map(_enumerates, typing.get_args(hint)))


def _valued(value: Any) -> Any:
    """Give a value with the values of members of enumerations in their place."""
    kind: Any = type(value)
    if isinstance(value, Enum):
        return value.value
    if kind in (list, tuple, set, frozenset):
        return kind(map(_valued, value))
    if kind is dict:
        return {_valued(key): _valued(each) for key, each in value.items()}
    return value
