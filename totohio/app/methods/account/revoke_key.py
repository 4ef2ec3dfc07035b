"""End an API key of the user."""

from typing import Any

from totohio.core.marking import authenticated, requires


@authenticated
@requires("key_id")
def invoke(handler: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """End the key with this ``key_id``, as `account.keys` lists it."""
    keeper = handler._keeper()
    return {"revoked": keeper.keys.end(handler.unit(), handler.session.user_id, str(parameters["key_id"]))}
