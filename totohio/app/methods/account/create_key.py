"""Make an API key of the user."""

from typing import Any

from totohio.base.errors import ERROR_FORBIDDEN, ERROR_MISSING_PARAMS, TotoException
from totohio.core.keying import ApiKey
from totohio.core.marking import authenticated, pausable, requires


@pausable
@authenticated
@requires("password", "name", "scopes")
def invoke(handler: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """Give a key that may call the methods in ``scopes`` (``a.b``, ``a.*`` or ``*``), for ``seconds`` or for ever.

    The key itself is told here and never again.
    """
    keeper, unit, session = handler._keeper(), handler.unit(), handler.session
    if session.api_key is not None:
        raise TotoException(ERROR_FORBIDDEN, "An API key cannot make others.")
    scopes, seconds = parameters["scopes"], parameters.get("seconds", 0)
    if not isinstance(scopes, list) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e11:
        raise TotoException(ERROR_MISSING_PARAMS, "Scopes are a list of texts, and seconds a number.")
    keeper.accounts.verify(unit, session.user_id, parameters["password"], address=handler.remote_address)
    text, key = keeper.keys.create(unit, session.user_id, parameters["name"], tuple(scopes), float(seconds))
    return {"key": text, **shown(key)}


def shown(key: ApiKey) -> dict[str, Any]:
    """What is told of a key."""
    return {
        "key_id": key.key_id,
        "name": key.name,
        "scopes": list(key.scopes),
        "created": key.created,
        "expires": key.expires or None,
    }
