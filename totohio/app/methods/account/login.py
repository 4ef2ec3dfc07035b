"""Log in: a new session for a user and a password."""

from typing import Any

from totohio.app.methods.account.create import opened
from totohio.core.marking import pausable, requires


@pausable
@requires("user_id", "password")
def invoke(handler: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """Open a session; ``code`` is that of the second factor, where the user has one. An empty user id is nobody's."""
    handler.session = handler.db_connection.login(
        parameters["user_id"], parameters["password"], code=parameters.get("code")
    )
    return opened(handler.session)
