"""Tell who is subscribed to events of a name."""

from typing import Any

from totohio.app.handling import TotoHandler
from totohio.base.errors import ERROR_MISSING_PARAMS, TotoException
from totohio.core.marking import optionally_authenticated, requires


@optionally_authenticated
@requires("name")
def invoke(handler: TotoHandler, parameters: Any) -> Any:
    """Give ``{"present": [...], "complete"}``: the user ids of those who stream ``name``, once for each stream.

    Those without a session are not among them. When ``complete`` is false, not all processes could be asked.
    """
    name = parameters["name"]
    handler.event_manager.admit(handler, [name] if isinstance(name, str) else [])
    try:
        return handler.event_manager.presence(name)
    except ValueError as error:
        raise TotoException(ERROR_MISSING_PARAMS, f"name: {error}") from None
