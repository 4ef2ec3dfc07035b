"""The calls of a session that are under way, and how they end before they are done."""

from typing import TYPE_CHECKING, Any

from totohio.base.errors import ERROR_TIMED_OUT, TotoException
from totohio.remote.ports import House

if TYPE_CHECKING:
    from totohio.remote.sessions import RemoteSession


class Calls:
    """A session's calls that are under way.

    One that is given up is ended where it stands; if it waits for a worker thread it is never carried out. What a
    thread does for it goes on, and is counted as long as it does.

    Attributes:
        runs: By the client's number: what makes the reply, and what it waits for.
    """

    __slots__ = ("_house", "_notes", "_session", "runs")

    def __init__(self, session: "RemoteSession", house: House) -> None:
        self.runs: dict[int, tuple[Any, Any]] = {}
        self._notes: dict[int, tuple[str, float]] = {}  # by the client's number: what is logged when it is done
        self._session = session
        self._house = house

    def count(self) -> int:
        """Tell how many there are, with those that were given up and still have a thread."""
        return len(self.runs) + self._house.held(self._session)

    def note(self, number: int, title: str) -> None:
        """A call begins that is logged when it is done."""
        self._notes[number] = (title, self._house.monotonic())

    def noted(self, number: int, code: Any) -> None:
        """A call is done: log it."""
        if self._notes:
            title, began = self._notes.pop(number, ("", 0.0))
            if title:
                self._house.log(title, code, self._house.monotonic() - began)

    def park(self, number: int, result: Any) -> None:
        """Reply when a result is there that a call waits for."""

        def done(value: Any, error: BaseException | None) -> None:
            if self.runs.pop(number, None) is None:
                return
            self._house.waits.drop((self._session, number))
            if error is None:
                self._session.sendReply(number, value)
            else:
                self._session.sendException(number, error)
            self._house.done(self._session)

        self.runs[number] = (None, result)
        self._house.waits.set((self._session, number), self._house.lot.tyme)
        run = self._house.lot.run(result, done)
        if run is not None:
            self.runs[number] = (run, result)

    def cancel(self, number: int) -> None:
        """The client gives a call up; no reply is sent."""
        if self._end(number):
            self.noted(number, 0)
            self._house.done(self._session)

    def expire(self, number: int) -> None:
        """A call takes too long."""
        if self._end(number):
            self._session.sendException(number, TotoException(ERROR_TIMED_OUT, "The call took too long."))
            self._house.done(self._session)

    def close(self) -> None:
        """End all, where they stand."""
        self._notes.clear()
        for number in list(self.runs):
            self._end(number)

    def _end(self, number: int) -> bool:
        run, result = self.runs.pop(number, (None, None))
        if result is None:
            return False
        self._house.waits.drop((self._session, number))
        if run is not None:
            run.close()
        self._house.give_up(result)
        return True
