"""What is nearly a value, and would come as an object of which nothing can be reached: what to send in its place."""

import collections
import datetime
import decimal
import enum
import types
from typing import Any

import msgspec

from totohio.core.lending import Exposures, mark_of
from totohio.wire.lending import LendingError

INSTEAD: tuple[tuple[type, str], ...] = (
    (enum.Enum, "its value"),
    (range, "a list of it, or its start, stop and step"),
    (complex, "its parts"),
    (collections.deque, "a list of it"),
    (types.MappingProxyType, "a dict of it"),
    *(
        (kind, f"a{'n' if kind is int else ''} {kind.__name__} of it")
        for kind in (int, float, str, bytes, list, tuple, dict, set, frozenset)
    ),
    *(
        (kind, f"a {kind.__name__} itself")
        for kind in (datetime.datetime, datetime.date, datetime.time, datetime.timedelta, decimal.Decimal)
    ),
    (msgspec.Struct, "one of a class that both ends know: marked with lend there, named in structs=[...] here"),
)


def instead(value: Any) -> str:
    """Tell why something cannot be sent and what can be sent in its place; "" for what is nothing like a value."""
    for kind, text in INSTEAD:
        if isinstance(value, kind):
            return f"a {type(value).__name__} cannot be sent: send {text}"
    return ""


def check_reachable(exposures: Exposures, value: Any) -> None:
    """See that something that is lent is no value that was nearly sent.

    Raises:
        LendingError: It is; nothing is marked that could be reached of it.
    """
    exposure = exposures.of(type(value))
    if exposure.names or exposure.operators or exposure.iterates or mark_of(type(value)) is not None:
        return
    text = "" if isinstance(value, msgspec.Struct) else instead(value)
    if text:
        raise LendingError(text)
