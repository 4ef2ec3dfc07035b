"""A stream of events."""

from typing import Any


def invoke(handler: Any, parameters: Any) -> Any:
    """Tell the client of all events, as long as it stays."""
    return handler.event_stream("bench").over
