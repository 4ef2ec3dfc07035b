"""The page's file chat.js."""

from typing import Any

from files import give

from totohio import raw_response


@raw_response
def invoke(handler: Any, parameters: Any) -> bytes:
    """Give it."""
    return give(handler, "chat.js", "text/javascript")
