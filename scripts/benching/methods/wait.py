"""A long-poll: a call that is answered by the next event."""

from collections.abc import Generator
from typing import Any

from totohio import Future


def invoke(handler: Any, parameters: Any) -> Generator[Future[Any], Any, Any]:
    """Wait for an event, and give what it was sent with."""
    args = yield handler.event("bench")
    return args
