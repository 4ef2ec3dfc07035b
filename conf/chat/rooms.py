"""Rooms: what they are called, and who may listen in them."""

import re
from typing import Any

ROOM = re.compile(r"[a-z0-9-]{1,32}")


def allowed(handler: Any, name: str) -> bool:
    """Anybody may listen in one room at a time."""
    prefix, _, room = name.partition(".")
    return prefix == "chat" and ROOM.fullmatch(room) is not None
