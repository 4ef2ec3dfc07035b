"""The call that all others wait for."""

from typing import Any


def invoke(handler: Any, parameters: Any) -> int:
    """Send an event."""
    handler.event_manager.send("bench", parameters)
    return int(parameters["n"])
