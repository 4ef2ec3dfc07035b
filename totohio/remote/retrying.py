"""Trying again: what may pass, and how long to wait for it."""

import ssl

from totohio.base.clocking import Minter
from totohio.base.errors import (
    ERROR_SERVER,
    ERROR_STORE_UNAVAILABLE,
    ERROR_TIMED_OUT,
    ERROR_TOO_MANY_REQUESTS,
    TotoException,
)
from totohio.remote.tunnelling import NotLendingError
from totohio.wire.lending import LendingError

FIRST_PAUSE = 0.1  # seconds at most until it is tried again for the first time; each time twice as many,
LAST_PAUSE = 30.0  # up to these
STEADY = 30.0  # seconds for which a session has to last, so that its end is the first again and not the next of many
PASSING = frozenset((ERROR_SERVER, ERROR_STORE_UNAVAILABLE, ERROR_TOO_MANY_REQUESTS, ERROR_TIMED_OUT))
CUT_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)  # in the midst of TLS


def may_pass(error: BaseException) -> bool:
    """Tell whether a session that could not be opened may be opened later, with nothing changed at this end.

    A name that nobody knows may be known later, and a server that fails within itself may recover. A certificate that
    is not trusted, a user whose password is wrong or who has not the role, and somebody who speaks something else or
    cannot prove to be the server are there to stay.
    """
    if isinstance(error, TotoException):
        return error.code in PASSING
    if hasattr(error, "remote_traceback"):  # it was raised by the server, and is none of those that it has a code for
        return not isinstance(error, LendingError)
    if isinstance(error, ssl.SSLError):
        return isinstance(error, CUT_OFF)
    return isinstance(error, OSError) and not isinstance(error, NotLendingError)


class Backoff:
    """How long to wait before it is tried again: twice as long each time, and half of that by chance.

    Chance keeps clients that a server has lost at once from coming back at once.
    """

    def __init__(self, minter: Minter) -> None:
        self._minter = minter
        self._pause = FIRST_PAUSE

    def next(self) -> float:
        """Give the seconds until the next try."""
        pause, self._pause = self._pause, min(LAST_PAUSE, self._pause * 2.0)
        return pause * (0.5 + int.from_bytes(self._minter.draw(2), "big") / (2.0 * 65536.0))

    def reset(self) -> None:
        """Begin again with the shortest pause."""
        self._pause = FIRST_PAUSE
