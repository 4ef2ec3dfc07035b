"""Set a forgotten password."""

from typing import Any

from totohio.base.errors import ERROR_INVALID_METHOD, TotoException
from totohio.core.marking import pausable, requires


@pausable
@requires("user_id")
def invoke(handler: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """Have a code brought to the user; with ``code`` and ``new_password``, set the password and end all sessions.

    Whether there is such a user cannot be told from the answer.
    """
    keeper = handler._keeper()
    deliver = keeper.reset_function
    if deliver is None:
        raise TotoException(ERROR_INVALID_METHOD, "Cannot call 'account.reset'.")
    user_id = parameters["user_id"]
    if "code" in parameters:
        keeper.resets.finish(handler.unit(), user_id, parameters["code"], parameters.get("new_password"))
        return {"reset": True}
    code = keeper.resets.begin(handler.unit(), user_id)
    if code is not None:
        keeper.bring(user_id, code)
    return {"sent": True}
