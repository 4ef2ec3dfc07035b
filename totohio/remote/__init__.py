"""Objects that are lent over a connection, and used as if they were here: ``totohio.remote.connect(url, ...)``."""

from typing import TYPE_CHECKING

from totohio.base.deferring import deferred

if TYPE_CHECKING:
    from totohio.remote.connecting import Later, Remote, connect
    from totohio.remote.conversing import DisconnectedError
    from totohio.remote.dialing import RemoteDoer
    from totohio.remote.proxies import Proxy
    from totohio.remote.raising import RemoteError
else:
    __getattr__, __dir__ = deferred(
        globals(),
        {
            "totohio.remote.connecting": "Later Remote connect",
            "totohio.remote.conversing": "DisconnectedError",
            "totohio.remote.dialing": "RemoteDoer",
            "totohio.remote.proxies": "Proxy",
            "totohio.remote.raising": "RemoteError",
        },
    )

__all__ = ["DisconnectedError", "Later", "Proxy", "Remote", "RemoteDoer", "RemoteError", "connect"]
