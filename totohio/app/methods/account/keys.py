"""List the API keys of the user."""

from typing import Any

from totohio.app.methods.account.create_key import shown
from totohio.core.marking import authenticated


@authenticated
def invoke(handler: Any, parameters: Any) -> list[dict[str, Any]]:
    """Give the API keys of the user, oldest first, without what opens anything."""
    return [shown(key) for key in handler._keeper().keys.all(handler.unit(), handler.session.user_id)]
