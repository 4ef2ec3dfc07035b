"""Make an account and log in to it."""

from typing import Any

from totohio.core.marking import pausable, requires


@pausable
@requires("user_id", "password")
def invoke(handler: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """Make an account; parameters beside ``user_id`` and ``password`` become its properties."""
    properties = {name: value for name, value in parameters.items() if name not in ("user_id", "password")}
    handler.db_connection.create_account(parameters["user_id"], parameters["password"], properties)
    session = handler.create_session(parameters["user_id"], None, verify_password=False)
    return opened(session)


def opened(session: Any) -> dict[str, Any]:
    """What a client is told of its new session."""
    result = {"session_id": session.session_id, "expires": session.expires, "user_id": session.user_id}
    if session.key:
        result["key"] = session.key
    return result
