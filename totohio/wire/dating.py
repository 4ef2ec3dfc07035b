"""Dates and times as texts: those of ISO 8601, and behind them what these leave out.

    2024-10-27T02:30:00+01:00[Europe/Berlin][fold=1]

The zone by its name is written as RFC 9557 has it. Who does not know the name has the offset.
"""

import datetime
import functools
import re
import zoneinfo
from typing import TypeVar
from zoneinfo import ZoneInfo

Stamp = TypeVar("Stamp", datetime.datetime, datetime.time)

_MORE = re.compile(r"([^\[]*)(?:\[([\w+/-]+)\])?(\[fold=1\])?", re.ASCII)


def write_stamp(value: datetime.datetime | datetime.time) -> bytes:
    """Give the text of a datetime or time."""
    text = value.isoformat()
    zone = value.tzinfo
    if type(zone) is ZoneInfo and zone.key:
        text += f"[{zone.key}]"
    if value.fold:
        text += "[fold=1]"
    return text.encode()


def read_stamp(kind: type[Stamp], payload: bytes) -> Stamp:
    """Read the text of a datetime or time.

    Raises:
        ValueError: It is none.
    """
    text = payload.decode("ascii")
    if text[-1:] != "]":
        return kind.fromisoformat(text)
    found = _MORE.fullmatch(text)
    if found is None:
        raise ValueError("a time with something else behind it")
    value = kind.fromisoformat(found[1])
    if found[2] in _zones():  # so that nobody can have files looked for that are not there
        value = value.replace(tzinfo=_zone(found[2]))
    return value.replace(fold=1) if found[3] else value


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


@functools.cache
def _zone(key: str) -> ZoneInfo:
    return ZoneInfo(key)
