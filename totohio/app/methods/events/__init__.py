"""Events for clients: a stream of them, and what has happened of late.

They are served when the package of methods says ``from totohio.app.methods import events``. Who may be told of what is
said by the option ``event_access_function``; without it nobody is.
"""

from typing import Any

from totohio.base.errors import ERROR_MISSING_PARAMS, TotoException
from totohio.core.eventing import check_name

MOST_NAMES = 100  # names and patterns that a client may ask for at once


def wanted(parameters: Any) -> list[str]:
    """Give the names and patterns that a client asks for, in the parameter ``name``: a text, or a list of them.

    Raises:
        TotoException: 1003, they are none.
    """
    names = parameters["name"]
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not 0 < len(names) <= MOST_NAMES:
        raise TotoException(ERROR_MISSING_PARAMS, f"name: expected 1 to {MOST_NAMES} names of events")
    try:
        return [check_name(name, pattern=True) for name in names]
    except ValueError as error:
        raise TotoException(ERROR_MISSING_PARAMS, f"name: {error}") from None
