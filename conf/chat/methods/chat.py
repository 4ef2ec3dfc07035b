"""The page's file index.html."""

from typing import Any

from files import give

from totohio import raw_response


@raw_response
def invoke(handler: Any, parameters: Any) -> bytes:
    """Give it."""
    return give(handler, "index.html", "text/html")
