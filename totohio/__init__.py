"""Totohio: an RPC server with batteries, on hio.

A method is a module with ``invoke(handler, parameters)``; clients call it over HTTP by name, alone or in
batches. The server is made of hio Doers: it runs by itself, or beside the Doers of a larger application.
"""

from typing import TYPE_CHECKING

from totohio import remote as remote  # for who writes totohio.remote.connect; it imports next to nothing
from totohio.base.deferring import deferred
from totohio.base.errors import (
    ERROR_BATCH_REFERENCE,
    ERROR_CONFLICT,
    ERROR_FORBIDDEN,
    ERROR_INVALID_HMAC,
    ERROR_INVALID_METHOD,
    ERROR_INVALID_RESPONSE_HMAC,
    ERROR_INVALID_SESSION_HMAC,
    ERROR_INVALID_SESSION_ID,
    ERROR_INVALID_USER_ID,
    ERROR_MALFORMED_BODY,
    ERROR_MISSING_METHOD,
    ERROR_MISSING_PARAMS,
    ERROR_NOT_AUTHORIZED,
    ERROR_SERVER,
    ERROR_STORE_UNAVAILABLE,
    ERROR_TIMED_OUT,
    ERROR_TOO_MANY_REQUESTS,
    ERROR_USER_ID_EXISTS,
    ERROR_USER_NOT_FOUND,
    LoadError,
    SettingsError,
    TotoException,
    TotohioError,
)

if TYPE_CHECKING:
    from totohio.app.batching import BatchHandlerProxy
    from totohio.app.connecting import DBConnection
    from totohio.app.eventing import EventManager
    from totohio.app.handling import TotoHandler
    from totohio.app.serving import TotoServer
    from totohio.app.settings import Settings
    from totohio.app.streaming import EventStream, Stream
    from totohio.base.environing import Environment
    from totohio.base.futures import CancelledError, Future, InvalidStateError, sleep
    from totohio.core.account import TotoAccount
    from totohio.core.caching import TotoSessionCache
    from totohio.core.lending import lend
    from totohio.core.marking import (
        anonymous_session,
        asynchronous,
        authenticated,
        authenticated_with_parameter,
        default_parameters,
        error_redirect,
        jsonp,
        optionally_authenticated,
        pausable,
        raw_response,
        requires,
        requires_role,
    )
    from totohio.core.ports import StoreError
    from totohio.core.session import TotoSession
    from totohio.net.polling import PollingDoist
    from totohio.store.remembering import RedisSessionCache
    from totohio.store.sealed import AESCipher, ClientCache
    from totohio.work.queues import AwaitableInstance, InstancePool, TaskQueue
else:
    __getattr__, __dir__ = deferred(
        globals(),
        {
            "totohio.app.batching": "BatchHandlerProxy",
            "totohio.app.connecting": "DBConnection",
            "totohio.app.eventing": "EventManager",
            "totohio.app.handling": "TotoHandler",
            "totohio.app.serving": "TotoServer",
            "totohio.app.settings": "Settings",
            "totohio.app.streaming": "EventStream Stream",
            "totohio.base.environing": "Environment",
            "totohio.base.futures": "CancelledError Future InvalidStateError sleep",
            "totohio.core.account": "TotoAccount",
            "totohio.core.caching": "TotoSessionCache",
            "totohio.core.lending": "lend",
            "totohio.core.marking": (
                "anonymous_session asynchronous authenticated authenticated_with_parameter default_parameters "
                "error_redirect jsonp optionally_authenticated pausable raw_response requires requires_role"
            ),
            "totohio.core.ports": "StoreError",
            "totohio.core.session": "TotoSession",
            "totohio.net.polling": "PollingDoist",
            "totohio.store.remembering": "RedisSessionCache",
            "totohio.store.sealed": "AESCipher ClientCache",
            "totohio.work.queues": "AwaitableInstance InstancePool TaskQueue",
        },
    )

__version__ = "0.1.0"

__all__ = [
    # the server
    "TotoServer",
    "Settings",
    "PollingDoist",
    "Environment",
    # what methods are handed
    "TotoHandler",
    "BatchHandlerProxy",
    # events
    "EventManager",
    "Stream",
    "EventStream",
    # what methods are marked with
    "requires",
    "default_parameters",
    "raw_response",
    "jsonp",
    "error_redirect",
    "asynchronous",
    "authenticated",
    "authenticated_with_parameter",
    "optionally_authenticated",
    "anonymous_session",
    "requires_role",
    "pausable",
    "lend",
    # who calls
    "TotoSession",
    "TotoAccount",
    "DBConnection",
    "TotoSessionCache",
    "RedisSessionCache",
    "ClientCache",
    "AESCipher",
    # what methods wait for
    "sleep",
    "Future",
    "TaskQueue",
    "InstancePool",
    "AwaitableInstance",
    # what goes wrong
    "TotoException",
    "TotohioError",
    "SettingsError",
    "LoadError",
    "StoreError",
    "InvalidStateError",
    "CancelledError",
    "ERROR_SERVER",
    "ERROR_INVALID_METHOD",
    "ERROR_MISSING_METHOD",
    "ERROR_MISSING_PARAMS",
    "ERROR_NOT_AUTHORIZED",
    "ERROR_USER_NOT_FOUND",
    "ERROR_USER_ID_EXISTS",
    "ERROR_INVALID_SESSION_ID",
    "ERROR_INVALID_HMAC",
    "ERROR_INVALID_RESPONSE_HMAC",
    "ERROR_INVALID_USER_ID",
    "ERROR_MALFORMED_BODY",
    "ERROR_STORE_UNAVAILABLE",
    "ERROR_TOO_MANY_REQUESTS",
    "ERROR_TIMED_OUT",
    "ERROR_BATCH_REFERENCE",
    "ERROR_FORBIDDEN",
    "ERROR_CONFLICT",
    "ERROR_INVALID_SESSION_HMAC",
    "__version__",
]
