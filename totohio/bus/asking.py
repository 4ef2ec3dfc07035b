"""Questions to all processes that are connected, and their answers."""

import itertools
import math
from typing import TYPE_CHECKING, Any

from totohio.base.futures import Future
from totohio.wire.peering import pack

if TYPE_CHECKING:
    from totohio.bus.dialing import Dialer

PATIENCE = 1.0  # seconds within which others have to answer

Answer = tuple[list[Any], bool]


class Question:
    """A question that is under way."""

    def __init__(self, dialers: "list[Dialer]", due: float) -> None:
        self.future: Future[Answer] = Future()
        self.left = dict.fromkeys(dialers)
        self.found: list[Any] = []
        self.complete = True
        self.due = due

    def close(self) -> None:
        """Whoever has not answered will not."""
        if not self.future.done():
            self.future.set_result((self.found, self.complete and not self.left))


class Questions:
    """Those that are under way, by their numbers."""

    def __init__(self) -> None:
        self._asked: dict[int, Question] = {}
        self._numbers = itertools.count(1)

    def ask(self, dialers: "list[Dialer]", name: str, tyme: float) -> Future[Answer]:
        """Ask processes who is subscribed to a name; the Future gets what they say, and whether all have answered."""
        question = Question(dialers, tyme + PATIENCE)
        if not dialers:
            question.close()
            return question.future
        number = next(self._numbers)
        self._asked[number] = question
        for dialer in dialers:
            dialer.say(pack("who", number, name))
        return question.future

    def answered(self, dialer: "Dialer", number: int, found: list[Any]) -> None:
        """One has answered."""
        question = self._asked.get(number)
        if question is not None and dialer in question.left:
            del question.left[dialer]
            question.found += found
            self._look(number, question)

    def lost(self, dialer: "Dialer") -> None:
        """One will not answer."""
        for number, question in list(self._asked.items()):
            if dialer in question.left:
                del question.left[dialer]
                question.complete = False
                self._look(number, question)

    def service(self, tyme: float) -> None:
        """End those that take too long."""
        for number, question in list(self._asked.items()):
            if question.due > tyme:
                return
            del self._asked[number]
            question.close()

    def due(self) -> float:
        """The tyme at which the first of them takes too long."""
        for question in self._asked.values():
            return question.due
        return math.inf

    def close(self) -> None:
        """End all."""
        for question in self._asked.values():
            question.close()
        self._asked.clear()

    def _look(self, number: int, question: Question) -> None:
        if not question.left:
            del self._asked[number]
            question.close()
