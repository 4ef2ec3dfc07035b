"""Change what is kept of the user, who shows the password again."""

from typing import Any

from totohio.core.marking import authenticated, pausable, requires

RESERVED = ("password", "new_password", "user_id", "code")


@pausable
@authenticated
@requires("password")
def invoke(handler: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """Set properties of the account; ``new_password`` becomes the password, and ends the user's other sessions."""
    return handler.db_connection.update_account(handler.session, parameters, RESERVED)  # type: ignore[no-any-return]
