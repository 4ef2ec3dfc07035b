"""Sessions of a client that does not wait, from the first attempt to reach the server until they are over.

    coming        the server is reached, and told who we are
    entered       things can be asked
    over          for whatever reason; what it was lent is no more, and there is no way back

Whoever wants to go on begins another one, to which nothing of this one means anything.
"""

import math
import ssl
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from totohio.base.environing import Environment, Poller, Pool
from totohio.base.errors import TotohioError
from totohio.base.futures import Future
from totohio.core.invoking import DEFERRED, Lot
from totohio.core.proving import answer, greeted, session_mac, transcript, welcomed
from totohio.remote.borrowing import Borrower
from totohio.remote.conversing import DisconnectedError
from totohio.remote.places import Place
from totohio.remote.reaching import Line

VERSION = 1
NONCE = 16  # bytes
KEEPALIVE = 60.0  # seconds of tyme at most after which a client that says or hears nothing asks who is there
IMPATIENCE = 15.0  # and at most when it waits for an answer
SILENCE = 3  # times that it asks before it gives the server up


@dataclass(frozen=True)
class Terms:
    """What sessions of one client have in common.

    Attributes:
        place: Where the server is.
        secure: For TLS: whom it trusts, and what the server's certificate has to say that it is.
        user_id: Who we are, with ``password``.
        password: Of the user.
        session_id: Of a session over HTTP in place of both, with ``session_key``.
        session_key: Of that session.
        structs: Classes of Structs that go by value.
        errors: Classes of exceptions that arrive as themselves.
        environment: The seams to the world.
        poller: Tells which sockets are ready.
        pool: Worker threads, for what blocks or takes long.
        lot: Where what waits is parked.
        tyme: Tells what tyme it is.
    """

    place: Place
    secure: tuple[ssl.SSLContext, str] | None
    user_id: str | None
    password: str | None
    session_id: str | None
    session_key: str | None
    structs: Iterable[type[msgspec.Struct]]
    errors: Iterable[type[BaseException]]
    environment: Environment
    poller: Poller
    pool: Pool
    lot: Lot
    tyme: Callable[[], float]


class Host(Protocol):
    """Whose sessions they are."""

    def entered(self, visit: "Visit") -> None:
        """The session is open."""

    def ended(self, visit: "Visit", error: BaseException) -> None:
        """The session is over, before its calls are told so."""


class Guest(Borrower):
    """The end of a client that does not wait: callbacks of its may."""

    lot: Lot

    def returned(self, number: int, result: Any) -> None:
        """A callable of ours has returned something, or something to wait for."""
        if type(result) not in DEFERRED:
            self.answer(number, result)
            return

        def done(value: Any, error: BaseException | None) -> None:
            if error is None:
                self.answer(number, value)
            else:
                self.refuse(number, error)

        self.lot.run(result, done)


class Visit:
    """One session; the `Performer` of all that it is lent.

    Attributes:
        url: Where the server is.
        host: Whose session it is.
        user_id: Who we are there; None until the server has said so.
        began: The tyme at which it was open; infinity before.
        line: The way to the server.
        over: Why it is over; None as long as it is not.
    """

    waits = False

    def __init__(self, terms: Terms, host: Host) -> None:
        """Set it up; nothing happens before `begin`."""
        self.url = terms.place.url
        self.host = host
        self.user_id: str | None = None
        self.began = math.inf
        self.over: BaseException | None = None
        self._terms = terms
        self._outs: list[bytes] = []
        self._borrower = Guest(self, send=self._outs.append, structs=terms.structs, errors=terms.errors)
        self._borrower.lot = terms.lot
        self._tyme = terms.tyme
        self._spoken = self._heard = self._pinged = terms.tyme()  # tymes
        self._unanswered = 0  # times that it has asked since it has heard something
        self._lease = IMPATIENCE * SILENCE
        self.line = Line(
            terms.place,
            network=terms.environment.network,
            poller=terms.poller,
            pool=terms.pool,
            lot=terms.lot,
            tyme=terms.tyme,
            secure=terms.secure,
            owner=self,
        )

    # ------------------------------------------------------------ for whose session it is

    def begin(self) -> None:
        """Begin to reach the server."""
        self.line.begin()

    def due(self, tyme: float) -> float:
        """The tyme at which something is to be said, or given up."""
        line = self.line
        if line.open and self._outs:
            return tyme
        link = line.link
        return min(line.due(), self._alarm()) if link is not None and link.connected else line.due()

    def service(self, tyme: float) -> None:
        """Give up what takes too long, and ask a server that says nothing whether it is there."""
        line = self.line
        line.service(tyme)
        link = line.link
        if self.over is not None or link is None or not link.connected or tyme < self._alarm():
            return
        self._pinged = tyme
        if self.user_id is None:
            self.lost(TimeoutError("the server does not say whether we may come in"))
        elif self._unanswered >= SILENCE:
            self.lost(TimeoutError(f"nothing was heard of the server for {tyme - self._heard:g} seconds"))
        else:
            self._unanswered += 1
            self._borrower.ask("ping")

    def flush(self, tyme: float) -> None:
        """Send what was asked for since the last cycle."""
        if self._outs and self.line.open:
            self._spoken = tyme
            outs = self._outs.copy()
            self._outs.clear()
            self.line.send(outs)

    def leave(self) -> None:
        """End the connection; what is asked waits for `close`."""
        self.line.leave()

    def close(self, error: BaseException) -> None:
        """End it: who waits for an answer gets the error. Twice does no harm."""
        if self.over is None:
            self.over = error
            self.user_id = None
            self.line.close()
            self.host.ended(self, error)
            self._borrower.close(error)
            self._outs.clear()

    def check(self) -> None:
        """See that it is not over.

        Raises:
            DisconnectedError: It is.
        """
        if self.over is not None:
            raise DisconnectedError(f"the session that it belongs to is over: {self.over}")

    def cancel(self, future: Future[Any]) -> None:
        """Have the server end a call where it stands."""
        self._borrower.forget(future)

    # ------------------------------------------------------------ for proxies

    def perform(self, operation: str, target: Any = None, args: Any = (), kw: Any = None) -> Future[Any]:
        """Have something done; give a Future of what it brings.

        Raises:
            DisconnectedError: The session is over.
        """
        self.check()
        return self._borrower.ask(operation, target, args, kw)

    def dropped(self, number: int) -> None:
        """Nobody uses an object any more; the server is told with what this session sends next, if it goes on."""
        self._borrower.dropped(number)

    # ------------------------------------------------------------ what the Line tells

    def reached(self) -> None:
        """Nobody else can listen: say who we are."""
        self._spoken = self._heard = self._pinged = self._tyme()
        terms = self._terms
        if terms.user_id is not None and terms.password is not None:
            script = self._log_in(terms.user_id, terms.password)
        else:
            assert terms.session_id is not None
            assert terms.session_key is not None
            script = self._present(terms.session_id, terms.session_key)
        terms.lot.run(script, self._entered)

    def received(self, messages: list[bytes]) -> None:
        """The server has said something."""
        self._heard, self._unanswered = self._tyme(), 0
        take = self._borrower.take
        try:
            for message in messages:
                take(message)
        except (OSError, TotohioError, ReferenceError) as error:
            self.close(error)

    def lost(self, error: BaseException) -> None:
        """The server cannot be reached, or any more."""
        self.close(error)

    # ------------------------------------------------------------ the rest

    def _alarm(self) -> float:
        """The tyme at which the server is asked whether it is there, or given up."""
        return max(min(self._spoken, self._heard), self._pinged) + self._patience()

    def _patience(self) -> float:
        return min(IMPATIENCE if self._borrower.waits() else KEEPALIVE, self._lease / 3)

    def _log_in(self, user_id: str, password: str) -> Generator[Any, Any, None]:
        ask, terms = self._borrower.ask, self._terms
        greeting = yield ask("hello", None, [VERSION])
        self._borrower.greeted(greeting)
        nonce = terms.environment.minter.draw(NONCE)
        challenge = yield ask("challenge", None, [user_id, nonce])
        signed = transcript(user_id, greeted(greeting), nonce)
        ours, theirs = yield terms.pool.submit(answer, challenge, password, signed)
        self._enter((yield ask("prove", None, [ours])), theirs)

    def _present(self, session_id: str, key: str) -> Generator[Any, Any, None]:
        ask = self._borrower.ask
        greeting = yield ask("hello", None, [VERSION])
        self._borrower.greeted(greeting)
        mac = session_mac(key, greeted(greeting))
        self._enter((yield ask("present", None, [session_id, mac])), None)

    def _enter(self, welcome: Any, proof: bytes | None) -> None:
        self.user_id, _, self._lease = welcomed(welcome, proof)

    def _entered(self, result: Any, error: BaseException | None) -> None:
        if error is None:
            self.began = self._tyme()
            self.host.entered(self)
        else:
            self.close(error)
