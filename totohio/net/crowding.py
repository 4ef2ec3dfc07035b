"""When there is no room for another connection: who has to leave for it, and what the log says of it.

A flood writes no flood of lines, and no addresses: what was counted is said at once, and from then on a minute later.
"""

import logging
import math
from typing import TYPE_CHECKING

from totohio.base.expiring import Deadlines
from totohio.net.linking import place
from totohio.net.stewarding import Steward

if TYPE_CHECKING:
    from totohio.net.serving import Server

logger = logging.getLogger("totohio")

QUIET = 60.0  # seconds after which it says again that there is no room for more connections
GRACE = 0.25  # seconds that a connection may keep its peer waiting before it has to make room for another
SEARCH = 64  # connections looked at, oldest first, for an idle one that can make room, when idle_timeout is off


class Usher:
    """Makes room for new connections, and says how often there was none.

    Attributes:
        closed: Connections that were closed for new ones since there were as many as there may be, in all.
        refused: New ones that were refused, in all.
        due: The tyme at which it has something to say; infinity for never.
    """

    def __init__(self, server: "Server") -> None:
        self.closed = self.refused = 0
        self.due = math.inf
        self._server = server
        self._said = (0, 0)  # of both, what the log knows of
        self._full_until = self._short_until = -math.inf  # tymes until which the one, or the other, is not said again

    def admit(self) -> bool:
        """Make room for one more than there may be; tell whether that was possible."""
        admitted = self.make_room()
        if admitted:
            self.closed += 1
        else:
            self.refused += 1
        if self.due == math.inf:
            self.due = max(self._server.now, self._full_until)
        return admitted

    def report(self) -> None:
        """Say what has happened since it was said last."""
        server, (closed, refused) = self._server, self._said
        self._said = self.closed, self.refused
        self._full_until, self.due = server.now + QUIET, math.inf
        logger.warning(
            "no room for more than %d connections at %s: %d closed for new ones, %d refused",
            server.bounds.max_connections,
            place(server.servant.ha),
            self.closed - closed,
            self.refused - refused,
        )

    def lack(self, error: OSError) -> None:
        """Say that the system has nothing left for another connection, and make room if that is possible."""
        now = self._server.now
        if now >= self._short_until:
            self._short_until = now + QUIET
            logger.warning("no room for another connection: %s", error.strerror)
        self.make_room()

    def close(self) -> None:
        """Say what is still to be said, and begin anew."""
        if self.due < math.inf:
            self.report()
        self._full_until = self._short_until = -math.inf

    def make_room(self) -> bool:
        """Close a connection that waits for its peer, the longest waiting first; tell whether there was one.

        One that is idle goes before one whose request, or the peer's taking of the reply, is under way; all
        have a moment for it, or those that came together would push each other out unanswered.
        """
        server = self._server
        return (
            self._close_oldest(server.lingers, server.idles)
            or (not server.bounds.idle_timeout and self._close_idle())
            or self._close_oldest(server.halves, server.handshakes, server.begins, server.writes)
        )

    def _close_oldest(self, *timers: Deadlines[Steward]) -> bool:
        for timer in timers:
            found = timer.oldest()
            if found is not None and found[1] <= self._server.now - GRACE:
                found[0].close()
                return True
        return False

    def _close_idle(self) -> bool:
        """Where idle connections have no deadline: look for one."""
        for _, steward in zip(range(SEARCH), self._server.stewards.values(), strict=False):
            if steward.idle():
                steward.close()
                return True
        return False
