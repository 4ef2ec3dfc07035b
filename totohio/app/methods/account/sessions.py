"""List the sessions of the user."""

import base64
from typing import Any

from totohio.core.devices import Device
from totohio.core.marking import authenticated
from totohio.core.sessioning import session_key


@authenticated
def invoke(handler: Any, parameters: Any) -> list[dict[str, Any]]:
    """Give the sessions of the user, oldest first: what `account.revoke` takes, since when, from where and with what.

    Times are Unix seconds; ``last_seen`` is written once in a while only. Sessions that clients hold are not listed.
    """
    session = handler.session
    own = session_key(session.session_id)
    return [
        {
            "id": handle(device),
            "created": kept.created,
            "last_seen": kept.seen,
            "expires": kept.expires,
            "address": device.address,
            "agent": device.agent,
            "current": device.session == own,
        }
        for device, kept in handler._keeper().sessions.of(handler.unit(), session.user_id)
    ]


def handle(device: Device) -> str:
    """What names a session in lists; it opens nothing."""
    return base64.urlsafe_b64encode(device.session[1:17]).rstrip(b"=").decode()
