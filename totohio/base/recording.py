"""The logs: hio's ogler gives the loggers, one handler writes their lines, and calls are logged in bulk.

A line is for people ("2026-01-01T12:00:00.123Z INFO  call echo code=0 0.21 ms") or one JSON object.
What clients send can reach a log only escaped, so that nobody forges lines; bodies never do.

Logging a call costs the call one append. `RecordDoer` writes what has gathered, many lines at once.
"""

import json
import logging
import os
import re
import sys
import traceback
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from hio import help as hiohelp

from totohio.base.clocking import Clock
from totohio.base.doing import FOREVER, Doer
from totohio.base.writing import Sink, printable, quoted

NAME = "totohio"
CALLS = NAME + ".calls"
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
LABELS = {10: "DEBUG", 20: "INFO ", 30: "WARN ", 40: "ERROR", 50: "CRIT "}
LARGEST = 65536  # characters of one record: a traceback with a huge message must not fill the disk
LONGEST_NAME = 100  # characters of a method's name or transaction that are logged
CAPACITY = 16384  # calls that wait to be logged: a fifth of a second at 80,000 calls a second
SLICE = 256  # lines that are worth a write: 0.3 ms of work
LAG = 0.2  # seconds that a line may lag behind its call
REMEMBERED = 4096  # names of methods that are kept in their written form

Entry = tuple[str | None, Any, float, Any]  # method, code (0 when all went well), seconds, transaction ("" for none)


def logger(name: str = NAME) -> logging.Logger:
    """Give a logger: ``totohio``, set up by hio's ogler, or one below it such as ``totohio.net``.

    Until `configure` is called, the application's ogler rules: its handlers hold, and its level. Hio's
    default level, critical, would hide what goes wrong in methods, so errors are logged in any case.
    """
    top = logging.getLogger(NAME)
    if top.propagate:  # ogler switches that off, so this is the first time
        others = list(top.handlers)
        top = hiohelp.ogler.getLogger(NAME, level=min(hiohelp.ogler.level, logging.ERROR))
        for handler in list(top.handlers):
            address = getattr(handler, "address", None)
            if isinstance(address, str) and not os.path.exists(address):
                top.removeHandler(handler)  # without a syslog its handler complains about every line
        for handler in others:  # ogler removes whatever somebody attached before
            top.addHandler(handler)
    return logging.getLogger(name)


def configure(
    level: str = "info",
    format: Literal["text", "json"] = "text",
    stream: TextIO | None = None,
    *,
    clock: Clock | None = None,
) -> "Recorder":
    """Have all logs written to a stream; again, to change how.

    Args:
        level: The least level that is written: debug, info, warning, error or critical.
        format: Lines for people, or JSON.
        stream: Where to; None is standard error. It is never closed.
        clock: Where the time in each line comes from.
    """
    top = logger()
    ogler = hiohelp.ogler
    hios = [getattr(ogler, name, None) for name in ("baseConsoleHandler", "baseSysLogHandler", "baseFileHandler")]
    for handler in list(top.handlers):
        if isinstance(handler, Recorder) or handler in hios:
            top.removeHandler(handler)
        if isinstance(handler, Recorder):
            handler.close()
    style = JsonLines(clock or Clock()) if format == "json" else TextLines(clock or Clock())
    recorder = Recorder(Sink(stream if stream is not None else sys.stderr), style)
    top.addHandler(recorder)
    top.setLevel(LEVELS[level])
    return recorder


# ---------------------------------------------------------------- how lines look


class TextLines:
    """Lines for people."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._known: dict[str | None, str] = {}

    def stamp(self) -> str:
        """The time now in UTC, to the millisecond."""
        milliseconds = int(self.clock.now() * 1000)
        second = datetime.fromtimestamp(milliseconds // 1000, UTC)
        return f"{second:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"

    def record(self, record: logging.LogRecord) -> str:
        """Write one record; whatever follows its first line is indented, so that it cannot pass for another."""
        first, *more = (record.getMessage() + "\n" + _trace(record)).splitlines() or [""]
        label = LABELS.get(record.levelno) or record.levelname
        lines = [f"{self.stamp()} {label} {printable(first)}", *("    " + printable(line) for line in more if line)]
        return _bounded("\n".join(lines)) + "\n"

    def calls(self, entries: Sequence[Entry]) -> str:
        """Write one line for each call."""
        start = f"{self.stamp()} INFO  call "
        known = self._known
        lines = []
        # Ordinary calls of methods whose name has been written before stand here, not in a call of `call`,
        # and names are kept in their written form: 0.3 us a line instead of 1.6.
        for name, code, seconds, transaction in entries:
            word = known.get(name)
            if word is None or transaction or type(code) is not int:
                lines.append(self.call(start, name, code, seconds, transaction))
            else:
                lines.append(f"{start}{word} code={code} {seconds * 1000:.2f} ms\n")
        return "".join(lines)

    def call(self, start: str, name: str | None, code: Any, seconds: float, transaction: Any) -> str:
        """Write the line of one call after its beginning."""
        word = "-" if name is None else self._remember(name)
        end = "\n" if not transaction else f" transaction={self.word(transaction)}\n"
        return f"{start}{word} code={code if type(code) is int else self.word(code)} {seconds * 1000:.2f} ms{end}"

    def word(self, value: Any) -> str:
        """Write anything as one word: quoted, unless it is nothing but letters, digits and ``-._<>:/``."""
        text = _text(value)
        return text if re.fullmatch(r"[-\w.<>:/]+", text, re.ASCII) else quoted(text)

    def _remember(self, name: str) -> str:
        if len(self._known) >= REMEMBERED:  # clients can make up names without end
            self._known.clear()
        word = self._known[name] = self.word(name)
        return word


class JsonLines(TextLines):
    """One JSON object a line."""

    def record(self, record: logging.LogRecord) -> str:
        """Write one record; a traceback is one string in it."""
        line = {
            "time": self.stamp(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _bounded(record.getMessage()),
        }
        trace = _trace(record)
        if trace:
            line["traceback"] = _bounded(trace)
        return json.dumps(line) + "\n"

    def calls(self, entries: Sequence[Entry]) -> str:
        """Write one line for each call."""
        start = f'{{"time": "{self.stamp()}", "level": "info", "logger": "{CALLS}", "method": '
        known = self._known
        lines = []
        for name, code, seconds, transaction in entries:
            word = known.get(name)
            if word is None or transaction or type(code) is not int:
                lines.append(self.call(start, name, code, seconds, transaction))
            else:
                lines.append(f'{start}{word}, "code": {code}, "ms": {seconds * 1000:.3f}}}\n')
        return "".join(lines)

    def call(self, start: str, name: str | None, code: Any, seconds: float, transaction: Any) -> str:
        """Write the line of one call after its beginning."""
        word = "null" if name is None else self._remember(name)
        end = "}\n" if not transaction else f', "transaction": {self.word(transaction)}}}\n'
        written = code if type(code) is int else self.word(code)
        return f'{start}{word}, "code": {written}, "ms": {seconds * 1000:.3f}{end}'

    def word(self, value: Any) -> str:
        """Write anything as a JSON string."""
        return quoted(_text(value))


def _text(value: Any) -> str:
    try:
        return str(value)[:LONGEST_NAME]
    except Exception:  # a transaction id is any object of the user's
        return f"<{type(value).__name__}>"


def _trace(record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info and record.exc_info[0] is not None:
        parts.append("".join(traceback.format_exception(*record.exc_info)).rstrip())
    if record.stack_info:
        parts.append(record.stack_info)
    return "\n".join(parts)


def _bounded(text: str) -> str:
    if len(text) <= LARGEST:
        return text
    return f"{text[: LARGEST // 2]} [{len(text) - LARGEST} characters left out] {text[-LARGEST // 2 :]}"


# ---------------------------------------------------------------- writing them


class Recorder(logging.Handler):
    """The handler that writes all of totohio's logs to one stream.

    It never raises and never waits. When the stream takes lines again after some were lost, it says how many.

    Attributes:
        sink: Where lines go.
        style: How they look.
    """

    def __init__(self, sink: Sink, style: TextLines) -> None:
        super().__init__()
        self.sink = sink
        self.style = style
        self._reported = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            line = self.style.record(record)
        except Exception as error:  # its arguments do not fit its text, or cannot be shown
            line = self.style.record(_plain(record.levelno, f"a log line cannot be shown: {type(error).__name__}"))
        self._write(line, 1)

    def calls(self, entries: Sequence[Entry]) -> None:
        """Write one line for each call, all at once."""
        self._write(self.style.calls(entries), len(entries))

    def close(self) -> None:
        """Let go of the stream, which stays open."""
        self.sink.close()
        super().close()

    def _write(self, text: str, lines: int) -> None:
        lost = self.sink.dropped - self._reported
        self.sink.write(text, lines)
        if lost and self.sink.dropped - self._reported == lost and self.sink.clear:
            self._reported += lost
            self.sink.write(self.style.record(_plain(logging.WARNING, f"{lost} log lines were lost")))


def _plain(level: int, text: str, name: str = NAME) -> logging.LogRecord:
    return logging.LogRecord(name, level, "", 0, text, None, None)


class CallLog:
    """Calls that are to be logged, one line each.

    Attributes:
        capacity: How many may wait to be written.
        dropped: How many were not logged because so many waited already.
    """

    __slots__ = ("_entries", "_reported", "_style", "capacity", "dropped")

    def __init__(self, *, capacity: int = CAPACITY, clock: Clock | None = None) -> None:
        self.capacity = capacity
        self.dropped = 0
        self._entries: deque[Entry] = deque()
        self._reported = 0
        self._style = TextLines(clock or Clock())

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def wanted(self) -> bool:
        """The log level lets calls through."""
        return logger(CALLS).isEnabledFor(logging.INFO)

    def append(self, entry: Entry) -> None:
        """Note a call: its method (None when it named none), code (0 when all went well), seconds and transaction."""
        if len(self._entries) < self.capacity:
            self._entries.append(entry)
        else:
            self.dropped += 1

    def write(self, limit: int) -> None:
        """Write the first ``limit`` calls that wait."""
        entries = [self._entries.popleft() for _ in range(min(limit, len(self._entries)))]
        log = logger(CALLS)
        if not log.isEnabledFor(logging.INFO):
            return
        for handler in logger().handlers:
            if handler.level > logging.INFO:
                continue
            if isinstance(handler, Recorder):
                handler.calls(entries)
            else:  # the host application's
                for entry in entries:
                    handler.handle(_plain(logging.INFO, self._style.call("call ", *entry).rstrip(), CALLS))
        if self.dropped > self._reported:
            log.warning("%d calls were not logged", self.dropped - self._reported)
            self._reported = self.dropped

    def flush(self) -> None:
        """Write whatever waits."""
        while self._entries:
            self.write(self.capacity)


class RecordDoer(Doer):
    """Writes the lines of calls: 256 as soon as there are so many, fewer when the first has waited 0.2 s.

    A cycle writes at most 256 of them or, when there are more, half of what waits, so that it keeps up
    with any load.
    """

    attentive = False

    def __init__(self, *, calls: CallLog, tymth: Any = None) -> None:
        super().__init__(tymth=tymth)
        self.calls = calls
        self._deadline = FOREVER

    def due(self, tyme: float) -> float:
        """When the first line has waited for as long as it may."""
        if not self.calls:
            return FOREVER
        if self._deadline == FOREVER:
            self._deadline = tyme + LAG
        return self._deadline if len(self.calls) < SLICE else tyme

    def recur(self, tyme: float) -> bool:
        """Write a slice when it is time."""
        waiting = len(self.calls)
        if waiting and (waiting >= SLICE or self.due(tyme) <= tyme):
            self.calls.write(max(SLICE, waiting // 2))
            self._deadline = FOREVER if not self.calls else tyme + LAG
        return False

    def exit(self) -> None:
        """Write whatever is left."""
        self.calls.flush()


logger()  # so that it is set up whoever asks logging for it
