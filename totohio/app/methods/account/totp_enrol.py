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
    keeper.accounts.verify(unit, user_id, parameters["password"], address=handler.remote_address)
    if "code" in parameters:
        factoring.confirm(keeper.accounts, unit, user_id, parameters["code"], keeper.accounts.clock.now())
        return {"enrolled": True}
    secret, uri = factoring.enrol(keeper.accounts, unit, user_id, keeper.settings.totp_issuer)
    return {"secret": secret, "uri": uri}
