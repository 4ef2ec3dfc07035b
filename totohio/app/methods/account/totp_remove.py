"""Take the user's second factor away."""

from typing import Any

from totohio.core import factoring
from totohio.core.marking import authenticated, pausable, requires


@pausable
@authenticated
@requires("password", "code")
def invoke(handler: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """Ask for no code at login any more."""
    keeper, unit = handler._keeper(), handler.unit()
    user_id = handler.session.user_id
    code, now = parameters["code"], keeper.accounts.clock.now()
    keeper.accounts.verify(
        unit,
        user_id,
        parameters["password"],
        address=handler.remote_address,
        more=lambda account: factoring.look(account, code, now),
    )
    factoring.remove(keeper.accounts, unit, user_id, code, now)
    return {"enrolled": False}
