"""Log out: the session ends, everywhere."""

from typing import Any

from totohio.core.marking import authenticated


@authenticated
def invoke(handler: Any, parameters: Any) -> dict[str, Any]:
    """End the session that the call comes with."""
    handler.db_connection.remove_session(handler.session.session_id)
    return {"authenticated": False}
