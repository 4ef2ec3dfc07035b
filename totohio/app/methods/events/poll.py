"""Give the events that have happened since the last that a client has seen, or wait for the next."""

import math
from typing import Any

from totohio.app.handling import TotoHandler
from totohio.app.methods.events import wanted
from totohio.base.errors import ERROR_MISSING_PARAMS, TotoException
from totohio.core.marking import default_parameters, optionally_authenticated, requires

LONGEST = 300.0  # seconds that a client may wait; proxies mostly allow less


@optionally_authenticated
@default_parameters({"last_id": None, "timeout": 25.0})
@requires("name")
def invoke(handler: TotoHandler, parameters: Any) -> Any:
    """Wait for events of the names and patterns in ``name``, at most ``timeout`` seconds.

    Gives ``{"events": [{"name", "args", "id"}, ...], "last_id", "recovered"}``. The next call names that ``last_id``;
    the first has none, and comes back at once with one. When ``recovered`` is false, events may be missing.
    """
    names = wanted(parameters)
    handler.event_manager.admit(handler, names)
    last_id, timeout = parameters["last_id"], parameters["timeout"]
    if last_id is not None and not isinstance(last_id, str):
        raise TotoException(ERROR_MISSING_PARAMS, "last_id: expected a text")
    try:
        seconds = float(timeout)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0.0 <= seconds <= LONGEST:
        raise TotoException(ERROR_MISSING_PARAMS, f"timeout: expected 0 to {LONGEST:g} seconds")
    return handler.events_since(names, last_id, seconds)
