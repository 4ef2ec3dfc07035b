"""Give the user a second factor."""

from typing import Any

from totohio.core import factoring
from totohio.core.marking import authenticated, pausable, requires


@pausable
@authenticated
@requires("password")
def invoke(handler: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """Make a secret for an app that shows codes; with a ``code`` of it, ask for one at each login from now on."""
    keeper, unit = handler._keeper(), handler.unit()
    user_id = handler.session.user_id
    code, now = parameters.get("code"), keeper.accounts.clock.now()
    keeper.accounts.verify(
        unit,
        user_id,
        parameters["password"],
        address=handler.remote_address,
        more=lambda account: factoring.look(account, code, now),
    )
    if code is not None:
        factoring.confirm(keeper.accounts, unit, user_id, code, now)
        return {"enrolled": True}
    secret, uri = factoring.enrol(keeper.accounts, unit, user_id, keeper.settings.totp_issuer)
    return {"secret": secret, "uri": uri}
