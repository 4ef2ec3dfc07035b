"""Clearing away processes that were killed: whatever is left of them must not run on.

A killed process runs no exit and no finally block. Python, though, runs the finally blocks of a generator when it
is thrown away, which could be at any time. So what a killed process leaves is kept until its world ends, and then
taken apart here with everything it could reach already out of its reach: its sockets are closed, its disk is not
looked at any more, and what it raises or logs is dropped.
"""

import contextlib
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from totohio.sim.processing import Process


def bury(process: "Process") -> None:
    """Take a dead process apart, and swallow whatever it says."""
    doist = process.doist
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        if doist is not None:
            for doer in _doers(doist.deeds):
                for name in ("exit", "close", "cease", "abort"):
                    with contextlib.suppress(AttributeError):  # a generator function, or a class with slots
                        setattr(doer, name, _nothing)
            with contextlib.suppress(BaseException):
                doist.exit()
        server = process.server
        if server is not None:
            with contextlib.suppress(BaseException):
                server.built.dispatcher.lot.close()
        wake(process)
        process.doist = process.server = None
    finally:
        logging.disable(before)


def wake(process: "Process") -> None:
    """End its worker threads that wait in the middle of a task: Python would, when they are thrown away."""
    sleepers = list(process.sleepers)
    process.sleepers.clear()
    for thread in sleepers:
        with contextlib.suppress(BaseException):
            thread.end()


def _doers(deeds: Any) -> list[Any]:
    found = []
    for _, _, doer in deeds:
        if doer is not None:
            found.append(doer)
            found += _doers(getattr(doer, "deeds", None) or ())
    return found


def _nothing(*_: Any, **__: Any) -> None:
    """Do nothing."""
