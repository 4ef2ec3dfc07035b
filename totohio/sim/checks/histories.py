"""Histories: what concurrent clients have asked for, when, and what came of it."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Self

from totohio.base.errors import TotohioError

WIDTH = 60  # characters of a call or a result in a text

OPEN, OK, FAILED, UNKNOWN = "open", "ok", "failed", "unknown"  # outcomes


class _Any:
    def __repr__(self) -> str:
        return "ANY"

    def __reduce__(self) -> str:  # there is only one, copied or sent to another process
        return "ANY"


ANY: Any = _Any()
"""A result that nobody knows, or that does not matter."""


class Operation:
    """What one client has asked for, and what came of it.

    Attributes:
        client: Who asked.
        name: What for.
        args: With which arguments.
        result: What it got; ANY until then.
        outcome: "open" while nothing is known, then "ok", "failed" or "unknown".
        began: The tyme of the call.
        ended: The tyme at which the outcome was known; None before.
    """

    __slots__ = ("_call", "_history", "_return", "args", "began", "client", "ended", "name", "outcome", "result")

    def __init__(self, history: "History", client: object, name: str, args: tuple[Any, ...], at: float | None) -> None:
        self._history = history
        self._call = self._return = history._event(at)
        self.client = client
        self.name = name
        self.args = args
        self.result: Any = ANY
        self.outcome = OPEN
        self.began: float = self._call[0]
        self.ended: float | None = None

    def __repr__(self) -> str:
        return f"<{self.client}: {self.asked()} {self.told()}>"

    def ok(self, result: Any = None, *, at: float | None = None) -> Self:
        """It happened, and gave this result; ANY when it is not known."""
        return self._end(OK, result, at)

    def fail(self, *, at: float | None = None) -> Self:
        """It certainly did not happen."""
        return self._end(FAILED, ANY, at)

    def unknown(self, *, at: float | None = None) -> Self:
        """Nobody will tell: it may have happened at any time from its call on, even later than this, or never."""
        return self._end(UNKNOWN, ANY, at)

    def _end(self, outcome: str, result: Any, at: float | None) -> Self:
        if self.outcome not in (OPEN, UNKNOWN):  # a reply may still come when nobody counted on it any more
            raise TotohioError(f"{self!r} has ended already")
        event = self._history._event(at)
        if event < self._call:
            raise TotohioError(f"{self!r} cannot end at {event[0]}: it began at {self.began}")
        self.outcome, self.result, self.ended, self._return = outcome, result, event[0], event
        return self

    def asked(self) -> str:
        """Its name and arguments as a text."""
        return cut(f"{self.name}({', '.join(map(repr, self.args))})")

    def told(self) -> str:
        """Its outcome as a text."""
        return cut(f"-> {self.result!r}") if self.outcome == OK else self.outcome


class History:
    """What several clients have asked for and seen, in the order of tyme.

    Where two events have the same tyme, they happened in the order in which they were noted.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        """Begin without operations.

        Args:
            clock: Gives the tyme of what is noted without one, ``lambda: world.tyme`` for instance; without a clock
                that is the number of the event.
        """
        self.operations: list[Operation] = []
        self._clock = clock
        self._events = count()

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations)

    def __len__(self) -> int:
        return len(self.operations)

    def call(self, client: object, name: str, *args: Any, at: float | None = None) -> Operation:
        """Note that a client asks for something now, or at a tyme; how it ends is told to what this gives."""
        operation = Operation(self, client, name, args, at)
        self.operations.append(operation)
        return operation

    def _event(self, at: float | None) -> tuple[float, int]:
        number = next(self._events)
        if at is None:
            at = float(number) if self._clock is None else self._clock()
        return float(at), number


def table(operations: list[Operation]) -> list[str]:
    """Give a line for each: client, call, outcome, from and to which tyme."""
    cells = [
        (
            str(one.client),
            one.asked(),
            one.told(),
            str(round(one.began, 6)),
            "" if one.outcome != OK or one.ended is None else str(round(one.ended, 6)),
        )
        for one in operations
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        f"{client:{widths[0]}}  {asked:{widths[1]}}  {told:{widths[2]}}  {began:>{widths[3]}} .. {ended:>{widths[4]}}"
        for client, asked, told, began, ended in cells
    ]


def cut(text: str) -> str:
    """Give a text, or its beginning when it is long."""
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."
