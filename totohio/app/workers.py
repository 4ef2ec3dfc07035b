"""A worker as its supervisor knows it."""

import contextlib
import logging
import math
import os
import signal
import socket
import subprocess

from totohio.base.recording import logger

LONGEST = 1 << 20  # bytes of a worker's last words that are read, of which the log takes the first and the last
FRACTION = 0.25  # of the time that a worker has to answer passes until it is asked again


class Worker:
    """One process that serves.

    Attributes:
        number: Counts all workers.
        slot: Its place.
        process: The process.
        state: See above.
        control: The connection with it.
        words: The descriptor of the file for its last words. It is one in memory: a pipe that is full, or standard
            error when nobody reads that, would hold up who dies, and what is written there is no line of the log.
        since: The monotonic time at which it was started.
        events: Where it takes events of its siblings.
        first: It is the first in its place.
        due: The monotonic time at which it is killed unless it has gone on; infinity for never.
        ask_at: The monotonic time at which it is asked again whether its cycle runs; infinity for never.
    """

    def __init__(
        self, number: int, slot: int, process: "subprocess.Popen[bytes]", control: socket.socket, words: int
    ) -> None:
        self.number = number
        self.slot = slot
        self.process = process
        self.control = control
        self.words = words
        self.state = "starting"
        self.since = 0.0
        self.events = ""
        self.first = False
        self.due = math.inf
        self.ask_at = math.inf

    def __repr__(self) -> str:
        return f"worker {self.number} (process {self.process.pid})"

    def say(self, word: str) -> None:
        """Tell it something."""
        with contextlib.suppress(OSError):
            self.control.send(word.encode() + b"\n")

    def awaited(self) -> float:
        """When something has to be done about it."""
        return min(self.due, self.ask_at)

    def ask(self, now: float, patience: float) -> None:
        """Ask it whether its cycle runs, unless it still owes an answer.

        Args:
            now: The monotonic time.
            patience: Seconds that it has to answer.
        """
        self.rest(now, patience)
        if self.state == "serving" and self.due == math.inf:
            self.due = now + patience
            self.say("answer")

    def rest(self, now: float, patience: float) -> None:
        """Ask it the next time after a part of the time that it has to answer; never when that is 0."""
        self.ask_at = now + patience * FRACTION if patience else math.inf

    def signal(self, number: int) -> None:
        """Send it a signal."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def bury(self, status: int) -> None:
        """It has ended: log its last words, as the traceback that they are, and let go of it."""
        words, log = os.pread(self.words, LONGEST, 0).decode(errors="replace").strip(), logger()
        if words and log.isEnabledFor(logging.ERROR):
            text, args = "%r has written this before it ended (%s)", (self, ending(status))
            log.handle(log.makeRecord(log.name, logging.ERROR, "", 0, text, args, None, sinfo=words))
        self.close()

    def close(self) -> None:
        """Let go of it."""
        self.control.close()
        os.close(self.words)


def ending(status: int) -> str:
    """Say how a process has ended, from its exit status."""
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"status {status}"
