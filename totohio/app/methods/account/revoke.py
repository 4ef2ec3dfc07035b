"""End sessions of the user."""

from typing import Any

from totohio.app.methods.account.sessions import handle
from totohio.base.errors import ERROR_MISSING_PARAMS, TotoException
from totohio.core.devices import devices_key, read
from totohio.core.marking import authenticated


@authenticated
def invoke(handler: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """End the session with this ``id``, as `account.sessions` lists it; without one, all of the user's but this."""
    keeper, session = handler._keeper(), handler.session
    unit = handler.unit()
    wanted = parameters.get("id") if isinstance(parameters, dict) else None
    devices = read(unit.read(devices_key(session.user_id)))
    if wanted is None:
        keeper.accounts.end_sessions(unit, session.user_id, lambda account: None, keep=session)
        return {"revoked": max(0, len(devices) - 1)}
    found = [device for device in devices if handle(device) == wanted]
    if not found:
        raise TotoException(ERROR_MISSING_PARAMS, "There is no such session.")
    keeper.sessions.end_record(unit, session.user_id, found[0].session)
    return {"revoked": 1}
