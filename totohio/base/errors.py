"""The errors that cross floors: what clients are told, and whose fault a protocol error is."""

from typing import Any

ERROR_SERVER = 1000
ERROR_INVALID_METHOD = 1001
ERROR_MISSING_METHOD = 1002
ERROR_MISSING_PARAMS = 1003
ERROR_NOT_AUTHORIZED = 1004
ERROR_USER_NOT_FOUND = 1005
ERROR_USER_ID_EXISTS = 1006
ERROR_INVALID_SESSION_ID = 1007
ERROR_INVALID_HMAC = 1008
ERROR_INVALID_RESPONSE_HMAC = 1009
ERROR_INVALID_USER_ID = 1010
ERROR_MALFORMED_BODY = 1011
ERROR_STORE_UNAVAILABLE = 1012
ERROR_TOO_MANY_REQUESTS = 1013
ERROR_TIMED_OUT = 1014
ERROR_BATCH_REFERENCE = 1015
ERROR_FORBIDDEN = 1016
ERROR_CONFLICT = 1017
ERROR_INVALID_SESSION_HMAC = -1


class TotoException(Exception):
    """An error with a code, made to be told to the client.

    Whatever other attributes an instance carries are sent along, so a subclass may add its own.

    Attributes:
        code: One of the ``ERROR_`` constants or the method's own; usually a number, a string will do.
        value: What happened, any serialisable object, mostly a text.
    """

    def __init__(self, code: Any, value: Any) -> None:
        super().__init__(code, value)
        self.code = code
        self.value = value

    def __str__(self) -> str:
        return f"TotoException: {self.code} Value: {self.value}"


class TotohioError(Exception):
    """What goes wrong in totohio itself, never sent to a client as such."""


class SettingsError(TotohioError):
    """An option that does not exist, or a value that an option cannot take."""


class LoadError(TotohioError):
    """A module that is to be served cannot be imported; its cause is what was raised.

    Attributes:
        module: The name of the module that is at fault.
        path: Its file, None where that is not known.
        line: The line in it, None where that is not known.
    """

    def __init__(self, text: str, *, module: str, path: str | None = None, line: int | None = None) -> None:
        super().__init__(text)
        self.module = module
        self.path = path
        self.line = line


class ProtocolError(TotohioError):
    """Somebody broke a protocol; the subclass says who."""


class LocalProtocolError(ProtocolError):
    """We were about to send what the protocol forbids; a method's reply, for instance."""


class RemoteProtocolError(ProtocolError):
    """The peer sent what the protocol forbids.

    Attributes:
        status: The HTTP status to answer with.
        text: What was wrong, for people; it never repeats what the peer sent.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text

    def __str__(self) -> str:
        return f"{self.status} {self.text}"
