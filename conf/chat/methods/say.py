"""Say something in a room."""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

Line = msgspec.Meta(min_length=1, max_length=32)


@dataclass
class Message:
    """What somebody says."""

    room: Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]{1,32}$")]
    nick: Annotated[str, Line]
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


def invoke(handler: Any, message: Message) -> Any:
    """Tell everybody in the room, whichever process they are connected to."""
    now = handler.environment.clock.now()
    said = {"nick": message.nick, "text": message.text, "at": now}
    yield handler.event_manager.send(f"chat.{message.room}", said)
    return True
