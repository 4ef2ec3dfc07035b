"""Trying again: what may pass, and for how long one waits."""

import errno
import socket
import ssl
from typing import Any

import pytest

from totohio import TotoException
from totohio.core.proving import ProofError
from totohio.remote import DisconnectedError, RemoteError
from totohio.remote.raising import describe_error, made_error
from totohio.remote.retrying import FIRST_PAUSE, LAST_PAUSE, Backoff, may_pass
from totohio.remote.tunnelling import NotLendingError
from totohio.sim.clocking import SimMinter
from totohio.sim.seeding import Dice
from totohio.wire.framing import FramingError
from totohio.wire.lending import LendingError


def told(error: BaseException) -> BaseException:
    """Give an exception as it arrives from a server."""
    return made_error(describe_error(error, {}), {})


class StrangeError(Exception):
    """One that a client does not know."""


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
        ConnectionResetError(errno.ECONNRESET, "reset"),
        TimeoutError("late"),
        FileNotFoundError(errno.ENOENT, "no such path"),
        OSError(errno.EHOSTUNREACH, "no way"),
        socket.gaierror(socket.EAI_AGAIN, "later"),
        socket.gaierror(socket.EAI_NONAME, "unknown"),
        DisconnectedError("the server has closed the connection"),
        ssl.SSLEOFError("cut off"),
        *(TotoException(code, "for now") for code in (1000, 1012, 1013, 1014)),
        told(StrangeError("of the server's own")),
        told(KeyError("a mistake in the server")),
    ],
    ids=repr,
)
def test_what_may_pass_is_tried_again(error: BaseException) -> None:
    assert may_pass(error)


@pytest.mark.parametrize(
    "error",
    [
        ssl.SSLCertVerificationError("not trusted"),
        ssl.SSLError("wrong version"),
        *(told(TotoException(code, "for good")) for code in (1004, 1005, 1016, "own")),
        NotLendingError("404"),
        ProofError("somebody else"),
        FramingError("HTTP"),
        LendingError("garbage"),
        told(LendingError("version 2 is not spoken here")),
        RemoteError("Strange", "made here"),
        ValueError("ours"),
    ],
    ids=repr,
)
def test_what_is_there_to_stay_is_not(error: Any) -> None:
    assert not may_pass(error)


def test_pauses_are_bounded_whatever_chance_says() -> None:
    backoff = Backoff(SimMinter(Dice(1)))
    pauses = [backoff.next() for _ in range(2000)]
    assert FIRST_PAUSE / 2 <= pauses[0] <= FIRST_PAUSE
    assert all(LAST_PAUSE / 2 <= pause <= LAST_PAUSE for pause in pauses[9:])
    assert len(set(pauses[9:])) > 1000
    backoff.reset()
    assert backoff.next() <= FIRST_PAUSE
