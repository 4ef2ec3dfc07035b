"""Recording what a server is asked and what it replies, in a file that can be run again.

Nothing of this exists unless the option ``record`` is set. Then connections get a `RecordedSteward`, which notes what
happens: a reference into a queue, and nothing else. `TranscriptDoer` makes lines of the notes, a bounded number in each
cycle, and a worker thread writes them (`Tape`). What waits between these three has a bound; beyond it requests are
missed, and the file says how many.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from totohio import __version__
from totohio.app.settings import LISTENING, OPTIONS, RECORDING, RUNNING, Settings
from totohio.app.taping import Tape, create
from totohio.base.doing import FOREVER, Doer
from totohio.base.environing import Environment
from totohio.net.accepting import Remoter
from totohio.net.serving import Server
from totohio.net.stewarding import Steward
from totohio.wire.masking import Masker
from totohio.wire.naming import NAMES, choose
from totohio.wire.requesting import Request
from totohio.wire.scribing import Scribe
from totohio.wire.transcript import Closed, Ended, Entry, Missed, Opened, Refused, Stopped, stamp, write

CAPACITY = 32 << 20  # bytes that wait to become lines or to be written
NOTE = 512  # bytes that a note takes beside its bodies, or a line of it the file
SLICE = 64  # steps that are worth a cycle: a millisecond or two of work
LAG = 0.2  # seconds that a line may lag behind what it tells
MARK = 4  # random bytes of a mark: nobody guesses it while the recording lasts

logger = logging.getLogger("totohio")


class RecordedSteward(Steward):
    """A Steward that notes what goes through it."""

    def __init__(self, *, remoter: Remoter, server: Server, transcript: "TranscriptDoer") -> None:
        super().__init__(remoter=remoter, server=server)
        self.responder = _respond
        self._transcript = transcript
        self._connection = 0  # its number in the recording; 0 when it is not in there
        self._count = 0  # requests that have reached the application
        self._arrived = 0  # requests that have come
        self._arrivals: deque[float] = deque()  # and when, as far as they have not reached the application
        self._open = 0  # the request that is being replied to and is in the recording
        self._reached = 0.0  # when it reached the application, by the monotonic clock
        self._halved = False  # the peer sends no more
        self._broken = False  # the peer may have left while nothing is read from it
        self._bare = False  # the reply has no body, as it answers a HEAD

    def open(self) -> None:
        """Begin to listen to the peer."""
        peer = self.remoter.peer
        self._connection = self._transcript.connect(str(peer[0]) if peer else "", self.remoter.secure)
        super().open()

    def advance(self) -> None:
        """Answer what has arrived."""
        news = self._count + len(self.requestant.requests) - self._arrived
        if news > 0:
            self._arrived += news
            self._arrivals.extend([self.server.now] * news)
        super().advance()

    def write(self, data: bytes) -> None:
        """Send a piece of the reply."""
        self._note(data, False)
        super().write(data)

    def reply(self, data: bytes) -> None:
        """Send the reply, or the last piece of it."""
        self._note(data, True)
        super().reply(data)

    def close(self) -> None:
        """End the connection."""
        if not self.closed and self._connection:
            transcript = self._transcript
            if self._open:
                transcript.lose(self._connection, self._open, self._took())
                self._open = 0
            gone = "reset" if self.remoter.cutoff or self._broken else "peer" if self._halved else "server"
            transcript.tell(Closed, self._connection, by=gone)
            self._connection = 0
        super().close()

    def reach(self, request: Request) -> None:
        """A request reaches the application."""
        self._count += 1
        arrival = self._arrivals.popleft() if self._arrivals else self.server.now
        if self._connection:
            self._reached = self._transcript.environment.clock.monotonic()
            kept = self._transcript.request(self._connection, self._count, arrival, request)
            self._open = self._count if kept else 0
            self._bare = request.method == "HEAD"

    def _note(self, data: bytes, last: bool) -> None:
        if self._open:
            kept = self._transcript.reply(self._connection, self._open, self._took(), data, last, self._bare)
            if last or not kept:
                self._open = 0

    def _took(self) -> float:
        return round(self._transcript.environment.clock.monotonic() - self._reached, 6)

    def _halve(self) -> None:
        if not self._halved and self._connection:
            self._halved = True
            self._transcript.tell(Ended, self._connection)

    def _end(self) -> None:
        self._halve()
        super()._end()

    def _leave(self) -> None:
        self._broken = True
        super()._leave()
        self._broken = False
        if not self.closed:
            self._halve()

    def _object(self) -> None:
        said = self.closing
        super()._object()
        fault = self.requestant.fault
        if fault is not None and not said and self._connection:
            self._transcript.tell(Refused, self._connection, status=fault.status, text=fault.text)


def _respond(steward: RecordedSteward, request: Request) -> None:
    steward.reach(request)
    steward.server.responder(steward, request)


class TranscriptDoer(Doer):
    """Makes lines of what was noted: 64 steps in a cycle or, when more notes wait, about half of them.

    It begins as soon as 64 notes wait or the first has waited for 0.2 s.

    Attributes:
        environment: The seams to the world.
        recording: It has begun, and neither ended nor become too large.
    """

    attentive = False

    def __init__(self, *, settings: Settings, environment: Environment, server: Server) -> None:
        super().__init__()
        self.environment = environment
        self.recording = False
        self._settings = settings
        self._server = server
        self._tape: Tape | None = None
        self._notes: deque[tuple[int, Callable[..., Iterator[bytes]], tuple[Any, ...]]] = deque()
        self._forget()

    def _forget(self) -> None:
        self._notes.clear()
        self._work: Iterator[bytes] | None = None
        self._weight = 0  # bytes of what is worked on
        self._waiting = 0  # bytes of all notes that are not lines yet
        self._size = 0  # bytes of all lines
        self._start = 0.0
        self._connections = 0
        self._missed = Missed(tyme=0.0)
        self._deadline = FOREVER

    # ------------------------------------------------------------ what Stewards note

    def connect(self, peer: str, secure: bool) -> int:
        """A connection has begun; give its number, or 0 when it is missed."""
        if not self.recording:
            return 0
        if self._full(NOTE):
            self._missed.connections += 1
            return 0
        self._connections += 1
        self.tell(Opened, self._connections, peer=peer, secure=secure)
        return self._connections

    def tell(self, kind: Callable[..., Entry], connection: int, **details: Any) -> None:
        """Something has happened to a connection."""
        self._add(0, _one, kind(self._tyme(), connection, **details))

    def request(self, connection: int, number: int, arrival: float, request: Request) -> bool:
        """A request has reached the application; tell whether it is kept."""
        if not self.recording:
            return False
        size = len(request.body)
        if self._full(size):
            self._missed.requests += 1
            return False
        tyme = arrival - self._start
        waited = self._server.now - arrival
        self._add(size, self._scribe.request, tyme, connection, number, waited, self.environment.clock.now(), request)
        return True

    def reply(self, connection: int, number: int, took: float, data: bytes, last: bool, bare: bool) -> bool:
        """A piece of a reply was made; tell whether it is kept."""
        if not self.recording:
            return False
        if self._full(len(data)):
            self._missed.replies += 1
            self._add(0, self._scribe.skip, connection, number)
            return False
        self._add(len(data), self._scribe.reply, self._tyme(), connection, number, took, data, last, bare)
        return True

    def lose(self, connection: int, number: int, took: float) -> None:
        """A reply will not become whole."""
        self._add(0, self._scribe.lose, self._tyme(), connection, number, took)

    def _tyme(self) -> float:
        return self._server.now - self._start

    def _full(self, size: int) -> bool:
        return self._waiting + size + (self._tape.waiting if self._tape is not None else 0) > CAPACITY

    def _add(self, size: int, function: Callable[..., Iterator[bytes]], *args: Any) -> None:
        if self.recording:
            size += NOTE
            self._waiting += size
            self._notes.append((size, function, args))

    # ------------------------------------------------------------ its life

    def due(self, tyme: float) -> float:
        """When the first note has waited for as long as it may."""
        if not self._notes and self._work is None:
            return FOREVER
        if self._deadline == FOREVER:
            self._deadline = tyme + LAG
        return self._deadline if len(self._notes) < SLICE and self._work is None else tyme

    def enter(self, *, temp: bool | None = None) -> None:
        """Make the file and have the server's connections recorded.

        Raises:
            SettingsError: There is a file of that name, or there cannot be one.
        """
        self._forget()
        environment, settings = self.environment, self._settings
        epoch = environment.clock.now()
        path = str(settings.record).replace("{time}", stamp(epoch).replace(":", "").replace("-", ""))
        file = create(environment.files, path, settings.sources.get("record", "argument"))
        tape = self._tape = Tape(file, path, environment.threads.pool("record", 1), self._fail)
        mark = environment.minter.draw(MARK).hex()
        masker = Masker(mark, choose(NAMES, settings.record_mask))
        self._scribe = Scribe(masker, max_body=settings.record_max_body)
        self._start = self.tyme
        self.recording = True
        self._put(self._scribe.start(version=__version__, epoch=epoch, settings=relevant(settings)))
        self._server.steward = partial(RecordedSteward, transcript=self)
        tape.move()

    def recur(self, tyme: float) -> bool:
        """Make lines when it is time, and have them written."""
        if self.recording and self.due(tyme) <= tyme:
            self._encode(max(SLICE, len(self._notes)))
            self._tell_missed()
            self._deadline = FOREVER
            if self._tape is not None:
                self._tape.move()
        return False

    def exit(self) -> None:
        """Make lines of all that is left, write them and close the file."""
        while self.recording and (self._notes or self._work is not None):
            self._encode(len(self._notes) + SLICE)
        self._tell_missed()
        if self.recording:
            self._stop("exit")
        if self._tape is not None:
            self._tape.close()
            self._tape = None

    def _encode(self, steps: int) -> None:
        """Make lines of notes, in so many steps."""
        try:
            while steps > 0 and self.recording:
                steps -= 1
                if self._work is None:
                    if not self._notes:
                        return
                    self._weight, function, args = self._notes.popleft()
                    self._work = function(*args)
                line = next(self._work, None)
                if line is None:
                    self._work = None
                    self._waiting -= self._weight
                elif line:
                    self._put(line)
        except Exception as error:  # ours; requests must not suffer from it
            logger.exception("what is recorded could not be written down")
            self._fail(error)

    def _tell_missed(self) -> None:
        missed = self._missed
        if self.recording and (missed.requests or missed.replies or missed.connections):
            self._missed = Missed(tyme=0.0)
            missed.tyme = self._tyme()
            self._put(write(missed))

    def _put(self, line: bytes) -> None:
        tape = self._tape
        if tape is None:
            return
        if self._size + len(line) > self._settings.record_max_size - NOTE:
            logger.warning("%s is as large as record_max_size allows: nothing more is recorded", tape.path)
            self._stop("full")
            tape.finish()
        else:
            self._size += len(line)
            tape.put(line)

    def _stop(self, why: str) -> None:
        """Record no more, with a last line that says why."""
        if self._tape is not None:
            self._tape.put(write(Stopped(tyme=self._tyme(), why=why)))
        self._let_go()

    def _fail(self, error: BaseException) -> None:
        """The file cannot be written: record no more."""
        tape, self._tape = self._tape, None
        if tape is not None:
            logger.error("%s cannot be written, nothing more is recorded: %s", tape.path, error)
            self._let_go()
            tape.abandon()

    def _let_go(self) -> None:
        self.recording = False
        self._server.steward = Steward
        self._forget()


def relevant(settings: Settings) -> dict[str, Any]:
    """Give the options that have to do with replies, without secrets."""
    others = (LISTENING, RUNNING, RECORDING)
    return {
        row.name: getattr(settings, row.name) for row in OPTIONS.values() if row.group not in others and not row.secret
    }


def _one(entry: Entry) -> Iterator[bytes]:
    yield write(entry)
