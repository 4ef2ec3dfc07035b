"""Interrupting: Ctrl-C ends a world wherever it comes.

It may come within a method, and whatever is raised there a server takes for the method's own error: it would go on,
with a world that is not the same as without. So the world itself is told.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType

from totohio.sim.escapes.blaming import Origin, origin_of, shown


class Interrupts:
    """Ctrl-C between `begin` and `end`, as long as nobody else sees to it.

    Attributes:
        error: What was raised when it came; None when it has not come. Its text tells where that was.
    """

    def __init__(self, tell: Callable[[BaseException], None]) -> None:
        """Take whom to tell."""
        self.error: KeyboardInterrupt | None = None
        self._tell = tell
        self._set = False

    def begin(self) -> None:
        """Take it over from Python; elsewhere than in the main thread nothing happens."""
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._interrupt)
            self._set = True

    def end(self) -> None:
        """Give it back; twice does no harm."""
        if self._set:
            self._set = False
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        __tracebackhide__ = True
        self.error = KeyboardInterrupt(f"at {_place(frame)}")
        self._tell(self.error)
        raise self.error


def _place(frame: FrameType | None) -> str:
    """Name the line of the user's own code that is being executed, or else the innermost."""
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    own = (each for each in frames if origin_of(each.f_code.co_filename) is Origin.OWN)
    found = next(own, frames[0])
    return f"{shown(found.f_code.co_filename)}:{found.f_lineno} in {found.f_code.co_name}"
