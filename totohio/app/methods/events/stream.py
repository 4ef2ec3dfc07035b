"""Stream events to a browser as they happen: ``new EventSource("/events/stream?name=chat.*")``."""

from typing import Any

from totohio.app.handling import TotoHandler
from totohio.app.methods.events import wanted
from totohio.core.marking import optionally_authenticated, requires


@optionally_authenticated
@requires("name")
def invoke(handler: TotoHandler, parameters: Any) -> Any:
    """Send server-sent events: those of the names and patterns in ``name``, first those since ``last_id``.

    The id of the last event stands in ``last_id`` or, as browsers have it, in the header ``Last-Event-ID``.
    """
    names = wanted(parameters)
    handler.event_manager.admit(handler, names)
    last_id = None
    if "last-event-id" not in handler.request.headers:  # which a browser has from the stream, when it comes again
        last_id = parameters.get("last_id")
    session = handler.session
    who = session.user_id if session is not None else None
    stream = handler.event_stream(names, last_id if isinstance(last_id, str) else None, who)
    if handler.headers_only:
        stream.close()
    return stream.over
