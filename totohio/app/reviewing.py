"""Looks again, once in a while, whether those who are lent objects may stay, and what they may do.

A session is looked at every so many seconds from when its user was let in, by one look at a time. A look that waits for
the store takes nothing away meanwhile. What cannot be known changes nothing: the session stays as it is,
and is looked at again when that is due, or at once when that was while the look still waited.
"""

import logging
from typing import TYPE_CHECKING, Any

from totohio.base.errors import TotoException
from totohio.base.expiring import Deadlines
from totohio.core.invoking import Run
from totohio.core.ports import StoreError
from totohio.remote.conversing import DisconnectedError

if TYPE_CHECKING:
    from totohio.app.keeping import Keeper
    from totohio.app.lending import LendingHouse
    from totohio.remote.sessions import RemoteSession

logger = logging.getLogger("totohio")

REVIEWS = 64  # sessions that are looked at in a cycle; each costs the store a record or two


class Reviews:
    """Has the gate look at the users of a house again.

    Attributes:
        dues: Sessions, by when they are looked at next.
    """

    def __init__(self, house: "LendingHouse", keeper: "Keeper", seconds: float) -> None:
        """Set it up.

        Args:
            house: Whose sessions they are.
            keeper: Is told when the store does not answer.
            seconds: Of tyme between two looks at a session; 0.0 for none.
        """
        self.dues: Deadlines[RemoteSession] = Deadlines(seconds)
        self._house = house
        self._keeper = keeper
        self._runs: dict[RemoteSession, Run | None] = {}  # looks that wait for the store; None for one that begins

    def __len__(self) -> int:
        """How many looks wait for the store."""
        return len(self._runs)

    def begin(self, session: "RemoteSession") -> None:
        """Look at a session from now on, when it is time for that."""
        self.dues.set(session, self._house.lot.tyme)

    def end(self, session: "RemoteSession") -> None:
        """Look at it no more, and give up a look that waits."""
        self.dues.drop(session)
        run = self._runs.pop(session, None)
        if run is not None:
            run.close()

    def service(self, tyme: float) -> None:
        """Look at some of those for whom it is time."""
        if self.dues.due() > tyme:
            return
        for session in self.dues.take(tyme, REVIEWS):
            if session.closed is None and session not in self._runs:
                self._look(session, tyme)

    def _look(self, session: "RemoteSession", tyme: float) -> None:
        house = self._house
        self.dues.set(session, tyme)

        def done(reason: Any, error: BaseException | None) -> None:
            del self._runs[session]
            self._looked(session, reason, error)
            if session.closed is None and session not in self.dues.dues:
                self._look(session, house.lot.tyme)

        try:
            result = house.fibers.call(house.gate.review, session)
        except Exception as error:
            self._looked(session, "", error)
            return
        if not house.fibers.paused(result):
            self._looked(session, result, None)
            return
        self._runs[session] = None
        run = house.lot.run(result, done)
        if run is not None:
            self._runs[session] = run

    def _looked(self, session: "RemoteSession", reason: str, error: BaseException | None) -> None:
        if isinstance(error, StoreError):
            self._keeper.unavailable(error)
        elif isinstance(error, TotoException):  # what it has read was written by a call that came to nothing
            logger.info("remote: %r is looked at again later: %s", session, error)
        elif error is not None:
            logger.error("remote: %r cannot be looked at", session, exc_info=error)
        elif reason:
            logger.info("remote: %r was ended: %s", session, reason)
            self._house.dismiss(session, DisconnectedError(reason))
