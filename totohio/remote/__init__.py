"""Objects that are lent over a connection, and used as if they were here: ``totohio.remote.connect(url, ...)``."""

from totohio.remote.connecting import Later, Remote, connect
from totohio.remote.conversing import DisconnectedError
from totohio.remote.dialing import RemoteDoer
from totohio.remote.proxies import Proxy
from totohio.remote.raising import RemoteError

__all__ = ["DisconnectedError", "Later", "Proxy", "Remote", "RemoteDoer", "RemoteError", "connect"]
