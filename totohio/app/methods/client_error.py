"""Log what went wrong in a client."""

import logging
from typing import Any

from totohio.core.marking import requires

LONGEST = 2000  # characters of a report that are logged

logger = logging.getLogger("totohio")


@requires("client_error", "client_type")
def invoke(handler: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """Log a client's error, with the kind of the client."""
    kind, error = str(parameters["client_type"])[:100], str(parameters["client_error"])[:LONGEST]
    logger.warning("client error of %r: %r", kind, error)
    return {"logged": True}
