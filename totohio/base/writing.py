"""Text that leaves the process beside replies: quoting it, and writing it to a stream that never holds us up.

A log is read by a terminal, a pipe to another program, a socket of the system's journal, or a file. A
reader that stops reading fills its pipe, and a plain write would then hang the whole server. A `Sink`
writes only what is taken at once and counts the lines that were not.
"""

import json
import os
import select
import socket
import stat
import threading
from collections.abc import Callable
from typing import TextIO

REENTERED = 100  # texts that signal handlers may leave while a write is under way
ATOMIC = select.PIPE_BUF  # bytes that a pipe takes as a whole, without waiting, once poll says that it is writable


def quoted(text: str) -> str:
    """Give a text in double quotes on one line, its control characters escaped, as both JSON and YAML read it."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def printable(text: str) -> str:
    """Give a text with everything escaped that would break its line or play with the terminal."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in text)


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


class Sink:
    """A stream that takes text without ever waiting or raising; for any thread and for signal handlers.

    Lines are kept whole: when the stream takes only a part, the rest goes first the next time.

    Attributes:
        dropped: How many lines were lost because the stream did not take them.
    """

    def __init__(self, stream: TextIO) -> None:
        self.dropped = 0
        self._stream = stream
        self._rest = b""
        self._lock = threading.RLock()
        self._writing = False
        self._reentered: list[tuple[str, int]] = []
        self._closers: list[Callable[[], None]] = []
        self._send = self._sender(stream)

    @property
    def clear(self) -> bool:
        """Nothing is left of what was written before."""
        return not self._rest

    def write(self, text: str, lines: int = 1) -> None:
        """Write a text of that many whole lines, or drop it."""
        with self._lock:
            if self._writing:  # a signal handler that interrupted this thread's own write
                if len(self._reentered) < REENTERED:
                    self._reentered.append((text, lines))
                else:
                    self.dropped += lines
                return
            self._writing = True
            try:
                self._put(text, lines)
                while self._reentered:
                    self._put(*self._reentered.pop(0))
            finally:
                self._writing = False

    def close(self) -> None:
        """Release what it opened for itself, never the stream it was given; twice does no harm."""
        with self._lock:
            closers, self._closers = self._closers, []
            for closer in closers:
                closer()
            self._send = _refuse

    def _put(self, text: str, lines: int) -> None:
        if self._rest and not self._pass_on(self._rest):
            self.dropped += lines
            return
        if not self._pass_on(text.encode("utf-8", "backslashreplace")) and not self._rest:
            self.dropped += lines

    def _pass_on(self, data: bytes) -> bool:
        """Send; keep the rest when a part was taken. Tell whether all of it was."""
        try:
            sent = self._send(data)
        except Exception:  # a log that cannot be written is no reason to stop serving
            return False
        if sent:
            self._rest = data[sent:]
        return sent == len(data)

    def _sender(self, stream: TextIO) -> Callable[[bytes], int]:
        """Find the way of writing to this stream that cannot wait."""
        try:
            stream.flush()
            fileno = stream.fileno()
            mode = os.fstat(fileno).st_mode
        except (OSError, ValueError, AttributeError):  # it lives in memory, or is closed
            return self._send_to_stream
        if stat.S_ISSOCK(mode):
            sock = socket.socket(fileno=os.dup(fileno))
            self._closers.append(sock.close)
            return lambda data: sock.send(data, socket.MSG_DONTWAIT)
        if stat.S_ISREG(mode):
            return lambda data: os.write(fileno, data)
        try:
            # O_NONBLOCK on the stream itself would change it for everybody who shares it, the shell
            # included. Opened anew, the pipe or terminal gets a description that is ours alone.
            own = os.open(f"/proc/self/fd/{fileno}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            return lambda data: _send_pieces(fileno, data)
        self._closers.append(lambda: os.close(own))
        return lambda data: os.write(own, data)

    def _send_to_stream(self, data: bytes) -> int:
        self._stream.write(data.decode("utf-8", "backslashreplace"))
        self._stream.flush()
        return len(data)


def _send_pieces(fileno: int, data: bytes) -> int:
    """Write in pieces small enough that a descriptor which is said to be writable takes them without waiting."""
    poll = select.poll()
    poll.register(fileno, select.POLLOUT)
    sent = 0
    while sent < len(data) and poll.poll(0):
        sent += os.write(fileno, data[sent : sent + ATOMIC])
    return sent


def _refuse(data: bytes) -> int:
    return 0
