"""Count the calls of each user: a session that is saved."""

from typing import Any

from totohio import TotoHandler, authenticated


@authenticated
def invoke(handler: TotoHandler, parameters: Any) -> int:
    """Give how many times the user has called this."""
    assert handler.session is not None
    handler.session["count"] = (handler.session["count"] or 0) + 1
    handler.session.save()
    return int(handler.session["count"])
