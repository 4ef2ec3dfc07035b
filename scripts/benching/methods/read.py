"""A call with a session that is read."""

from typing import Any

from totohio import authenticated


@authenticated
def invoke(handler: Any, parameters: Any) -> dict[str, Any]:
    """Give the parameters back, and a number that the session holds."""
    return {"parameters": parameters, "n": handler.session["n"]}
