"""The Doers of a running server."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from totohio.app.dispatching import Dispatcher
from totohio.app.sending import Sender
from totohio.base.doing import DoDoer, Doer
from totohio.base.environing import Environment, Poller, activate
from totohio.base.errors import ERROR_TIMED_OUT
from totohio.core.invoking import RESUMES
from totohio.net.serving import Server, ServerDoer
from totohio.work import queues

if TYPE_CHECKING:
    from totohio.app.lending import LendingDoer

logger = logging.getLogger("totohio")

PATIENCE = 1.0  # seconds that a drain waits for answers to peers that send no more and have probably left
GRACE = 1.0  # seconds without a request after which a connection is closed whose process leaves
EXPIRIES = 256  # requests that waited too long and are answered so in a cycle


class CallDoer(Doer):
    """Resumes parked methods, at most ``RESUMES`` in a cycle, and ends what has waited too long."""

    attentive = False

    def __init__(self, dispatcher: Dispatcher, server: Server) -> None:
        super().__init__()
        self.dispatcher = dispatcher
        self.server = server
        self.lot = dispatcher.lot

    def due(self, tyme: float) -> float:
        """The tyme at which the next method goes on, or the next request times out."""
        due, dispatcher = self.lot.due(), self.dispatcher
        if dispatcher.waits.dues:
            due = min(due, dispatcher.waits.due())
        return due if dispatcher.sockets is None else min(due, dispatcher.sockets.due())

    def enter(self, *, temp: bool | None = None) -> None:
        """Learn what tyme it is."""
        self.lot.tyme = self.tyme

    def recur(self, tyme: float) -> bool:
        """Resume what is due."""
        self.lot.service(tyme, RESUMES)
        waits = self.dispatcher.waits
        if waits.due() <= tyme:
            for handler in waits.take(tyme, EXPIRIES):
                handler._expire()
        if self.dispatcher.sockets is not None:
            self.dispatcher.sockets.service(tyme)
        return False

    def exit(self) -> None:
        """End all that is parked and give up what has no reply then: to logs and after handlers it has timed out."""
        self.lot.close()
        exchanges = [steward.exchange for steward in self.server.stewards.values()]
        for handler in [*self.dispatcher.waits.dues, *exchanges]:
            if isinstance(handler, Sender):
                handler._finish(ERROR_TIMED_OUT)


class SilentDoer(ServerDoer):
    """Runs the connections of a process that serves nobody, but exchanges events: in each cycle what is ready."""

    def enter(self, *, temp: bool | None = None) -> None:
        """Do not listen."""


class TotoDoer(DoDoer):
    """A whole server as one Doer: it runs the others, and ends when it has drained.

    Attributes:
        poller: What a `PollingDoist` waits in for it.
        draining: It takes no new connections and ends when the last reply is sent.
        entered: Called once it listens, if anybody wants to know.
        lending: Lends objects; None where none are lent.
    """

    def __init__(
        self,
        *,
        doers: list[Any],
        environment: Environment,
        poller: Poller,
        server: Server,
        dispatcher: Dispatcher,
        drain_timeout: float,
    ) -> None:
        super().__init__(doers=doers)
        self.environment = environment
        self.poller = poller
        self.server = server
        self.dispatcher = dispatcher
        self.drain_timeout = drain_timeout
        self.draining = False
        self.entered: Callable[[], None] | None = None
        self.lending: LendingDoer | None = None
        self._asked: str | None = None
        self._gently = False
        self._end: float | None = None
        self._impatient = 0.0

    def due(self, tyme: float) -> float:
        """The earliest tyme at which one of its Doers, or the end of its drain, needs a cycle."""
        return self._until(super().due(tyme), tyme)

    def due_next(self, tyme: float) -> float:
        """The same, right after `recur`."""
        return super().due_next(tyme) if self._asked is None else self.due(tyme)

    def _until(self, due: float, tyme: float) -> float:
        if self._end is None:
            return due
        end = self._impatient if tyme < self._impatient else self._end
        return min(due, end, tyme + GRACE / 4 if self._gently else end)

    def drain(self) -> None:
        """Have it end once what is being answered has been; for any thread and for signal handlers."""
        self._asked = self._asked or "drain"
        self.poller.wake()

    def leave(self) -> None:
        """Have it end as with `drain`, but let clients that are connected have one more reply that says so.

        For a process whose place another one has taken already: so no request of theirs meets a connection that is
        just being closed.
        """
        self._gently = True
        self.drain()

    def stop(self) -> None:
        """Have it end with this cycle; for any thread and for signal handlers."""
        self._asked = "stop"
        self.poller.wake()

    def outlook(self) -> str:
        """Say what a drain that begins now has to wait for, and for how long it will at most."""
        stewards = self.server.stewards.values()
        calls = sum(steward.waited for steward in stewards)
        others = sum(not steward.waited and not steward.idle() for steward in stewards)
        text = f"draining, {calls or 'no'} call{'' if calls == 1 else 's'} under way"
        if others:
            text += f", {others} {'more ' if calls else ''}connection{'' if others == 1 else 's'} busy"
        if calls or others:
            text += f", at most {self.drain_timeout:g} s; again to end at once"
        return text

    def enter(self, doers: Any = None, **kwa: Any) -> Any:
        """Enter the Doers; the server listens when the last of them has entered."""
        if doers is None:
            queues.reopen(self.environment)
        before = activate(self.environment)
        try:
            deeds = super().enter(doers=doers, **kwa)
        finally:
            activate(before)
        if doers is None and self.entered is not None:
            self.entered()
        return deeds

    def recur(self, tyme: float, deeds: Any = None) -> bool:
        """Run each of the Doers once; True when the server has drained or was stopped."""
        self.dispatcher.lot.tyme = tyme  # requests come before CallDoer's turn, perhaps after a long wait
        before = activate(self.environment)
        try:
            done: bool = super().recur(tyme, deeds)
        finally:
            activate(before)
        if self._asked is not None:
            if self._asked == "stop":
                return True
            done = self._drained(tyme) or done
        return done

    def exit(self, deeds: Any = None) -> None:
        """Exit the Doers, last first, and forget what is of this life only, for it may be entered anew in any tyme.

        Task queues are closed last: until then what ends may still ask for tasks.
        """
        before = activate(self.environment)
        try:
            super().exit(deeds)
        finally:
            activate(before)
        if deeds is None:
            queues.close(self.environment)
            dispatcher = self.dispatcher
            dispatcher.waits.dues.clear()
            dispatcher.batches._queue.clear()
            dispatcher.replier.forget()
            self.draining = dispatcher.replier.retiring = False
            self._asked = self._end = None
            self._gently = False

    def _idle(self, tyme: float) -> bool:
        """Tell whether no connection needs this process any more."""
        if not self._gently:
            return self.server.idle(patient=tyme < self._impatient)
        for steward in list(self.server.stewards.values()):
            if steward.idle() and tyme - steward.since >= GRACE:
                steward.close()
        return not self.server.stewards

    def _drained(self, tyme: float) -> bool:
        if self._end is None:
            self.draining = True
            self._end = tyme + self.drain_timeout
            self._impatient = tyme + min(PATIENCE, self.drain_timeout)
            self.dispatcher.replier.retiring = True
            self.dispatcher.events.teller.retire()
            if self.lending is not None:
                self.lending.retire()
            if self._gently:
                self.server.refuse()
            else:
                self.server.retire()
        if self._idle(tyme) and self.dispatcher.events.teller.rest() and (not self.lending or self.lending.rest()):
            return True
        if tyme >= self._end:
            logger.warning("drained for %g seconds; what is still being answered is given up", self.drain_timeout)
            return True
        return False
