"""A call that changes its session and saves it."""

from typing import Any

from totohio import authenticated


@authenticated
def invoke(handler: Any, parameters: Any) -> int:
    """Count in the session."""
    session = handler.session
    session["n"] = count = (session["n"] or 0) + 1
    session.save()
    return int(count)
