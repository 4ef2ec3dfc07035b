"""Replaying: a recording's requests once more, against today's code in virtual time, and how its replies differ.

The server is put together as in production, in a world without latency, chance or faults that begins at the wall time
at which the recording began. Each connection is opened, used and left at the tymes at which it was, from a host that
has its peer's address. What a recording lacks (a body that was too large, a secret that only the client knew) cannot
be sent; then the call is refused, and whatever it has changed in the server will be missing for others.
"""

import dataclasses
import math
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from msgspec import UNSET

from totohio.app.configuring import module_path
from totohio.app.serving import TotoServer
from totohio.app.settings import Settings
from totohio.base.doing import Doer
from totohio.base.errors import SettingsError, TotohioError
from totohio.net.linking import Link
from totohio.sim.escapes.escaping import EscapeError
from totohio.sim.hosting import Host
from totohio.sim.isolating import Modules
from totohio.sim.processing import Process, ProcessDied
from totohio.sim.recordings.recalling import DEEP, Judge, Outcome, request_of
from totohio.sim.scheduling import Stuck
from totohio.sim.worlding import World
from totohio.wire.answering import Respondent
from totohio.wire.requesting import Request as ServerRequest
from totohio.wire.transcript import Closed, Ended, Missed, Opened, Refused, Replied, Requested, Started, Stopped
from totohio.wire.unmasking import LackError, Values

PORT = 80
DESCRIPTORS = 1 << 20  # sockets of each host
SLACK = 1e-6  # seconds that a reset comes later, so that a reply which was made just before it is made before it again
GRACE = 3600.0  # seconds after the end of a recording in which replies may still come


@dataclasses.dataclass
class Report:
    """What became of all calls of a recording.

    Attributes:
        outcomes: In the order in which the requests came.
        notes: What else has to be known.
    """

    outcomes: list[Outcome]
    notes: list[str]

    def count(self, verdict: str) -> int:
        """How many calls have this verdict."""
        return sum(outcome.verdict == verdict for outcome in self.outcomes)


class PeerDoer(Doer):
    """Runs the connections of one host: in each cycle, whatever the poller reports."""

    def __init__(self, process: Process) -> None:
        super().__init__()
        self.network = process.environment.network
        self.poller = self.network.poller()

    def recur(self, tyme: float) -> bool:
        """Do what is ready."""
        for attendant, mask in self.poller.ready():
            attendant.attend(mask)
        return False

    def exit(self) -> None:
        """Release the poller."""
        self.poller.close()


class Peer:
    """One recorded connection, once more."""

    def __init__(self, process: Process, doer: PeerDoer, judge: Judge) -> None:
        self.process = process
        self.judge = judge
        self.waiting: deque[Outcome] = deque()  # for their replies
        self.held: deque[tuple[Outcome, bool]] = deque()  # until those before them have theirs, where that is True
        self._previous: Replied | None = None
        self._finishing = False
        self.gone = ""  # why nothing can be sent or received any more
        self._respondent = Respondent()
        self._link = Link(network=doer.network, poller=doer.poller, address=("server", PORT), owner=self, timeout=0.0)

    def open(self) -> None:
        """Connect."""
        try:
            self._link.open(self.process.world.tyme)
        except OSError as error:
            self.lost(error)

    def send(self, outcome: Outcome) -> None:
        """Send a request, when the replies have come that its client had when it sent it."""
        previous, self._previous = self._previous, outcome.reply
        patient = previous is not None and not previous.lost and previous.tyme <= outcome.request.tyme
        self.held.append((outcome, patient))
        self._go_on()

    def _go_on(self) -> None:
        while self.held and not (self.waiting and self.held[0][1] and not self.gone):
            outcome, _ = self.held.popleft()
            if self.gone:
                self.judge.fail(outcome, "connection", "open", self.gone)
                continue
            try:
                data = request_of(outcome.request, self.judge.values)
            except (LackError, RecursionError) as error:
                self.judge.refuse(outcome, DEEP if isinstance(error, RecursionError) else str(error))
                continue
            self.waiting.append(outcome)
            self._respondent.expect(outcome.request.verb)
            self._link.send(data)
        if self._finishing and not self.held and not self._link.closed:
            self._link.shutdown()

    def shutdown(self) -> None:
        """Send no more than what is held."""
        self._finishing = True
        self._go_on()

    def abort(self) -> None:
        """Leave with a reset."""
        self._link.abort()
        self._end("left by the client")

    # ------------------------------------------------------------ what its Link tells

    def opened(self) -> None:
        """It is connected."""

    def received(self, data: bytes) -> None:
        """Judge the replies that are complete."""
        self._respondent.feed(data)
        self._take()

    def drained(self) -> None:
        """All was sent."""

    def ended(self) -> None:
        """The server sends no more."""
        self._respondent.finish()
        self._take()
        self._link.close()
        self._end("closed by the server")

    def lost(self, error: OSError) -> None:
        """The connection broke."""
        self._end(f"lost: {error.strerror}")

    def _take(self) -> None:
        replies = self._respondent.replies
        while replies and self.waiting:
            self.judge.reply(self.waiting.popleft(), replies.popleft())
        self._go_on()
        if self._respondent.fault is not None:
            self._end(f"broken: {self._respondent.fault.text}")

    def _end(self, why: str) -> None:
        self.gone = self.gone or why
        while self.waiting:
            self.judge.fail(self.waiting.popleft(), "reply", "", why)
        self._go_on()


class Stage(World):
    """A world in which methods that reach out of it are noted, and the others go on."""

    def __init__(self, *, epoch: float, seed: int, allow: Collection[str]) -> None:
        super().__init__(seed, faults="still", epoch=epoch, allow=allow)
        self.escapes: list[str] = []

    def judge(self) -> None:
        """See whether the run has failed; an escape is no failure."""
        if self.watch.escapes:
            self.escapes += map(str, self.watch.escapes)
            self.watch.escapes.clear()
        super().judge()


def replay(
    entries: Iterable[Any],
    settings: Settings,
    *,
    given: Mapping[str, str | None] | None = None,
    allow: Collection[str] = frozenset(),
    seed: int = 0,
) -> Report:
    """Run a recording against a server with these settings.

    Args:
        entries: Of the recording, as `totohio.wire.transcript.read` gives them.
        settings: Of the server; where it listens, its TLS and what it records do not count.
        given: For masked values that only the clients knew, by name: a value, or None for one that is made up.
        allow: What methods may reach for though it is not simulated, such as ``"time.time"``; see `World`.
        seed: Decides what is random in the server.

    Raises:
        TotohioError: The server cannot be put together.
    """
    return _Replay(list(entries), settings, given or {}, allow, seed).run()


class _Replay:
    """One replay."""

    def __init__(
        self, entries: list[Any], settings: Settings, given: Mapping[str, str | None], allow: Collection[str], seed: int
    ) -> None:
        self.entries = entries
        self.start: Started = entries[0]
        self.settings = dataclasses.replace(
            settings, host="", port=PORT, uds=None, certfile=None, keyfile=None, cafile=None, record=None
        )
        self.stage = Stage(epoch=self.start.epoch, seed=seed, allow=allow)
        self.judge = Judge(Values(self.start.mark, self.start.masked, given), self.stage.escapes)
        self.peers: dict[int, Peer] = {}
        self.hosts: dict[str, tuple[Process, PeerDoer]] = {}
        replies = {(each.connection, each.number): each for each in entries if isinstance(each, Replied)}
        self.outcomes = {
            index: Outcome(each, replies.get((each.connection, each.number)), method_of(each, settings.root))
            for index, each in enumerate(entries)
            if isinstance(each, Requested)
        }

    def run(self) -> Report:
        order = sorted(range(len(self.entries)), key=lambda index: (self.entries[index].tyme, index))
        acts = deque(index for index in order if isinstance(self.entries[index], (Opened, Requested, Ended, Closed)))
        died = ""
        with self.stage as stage:
            try:
                self._serve()
                if acts:
                    stage.at(self.entries[acts[0]].tyme, self._act, acts)
                last = self.entries[order[-1]].tyme
                stage.pass_until(last)
                stage.pass_until(last + GRACE, lambda: not acts and not any(map(_waits, self.peers.values())))
            except (ProcessDied, Stuck) as error:
                if isinstance(error, ProcessDied) and stage.hosts["server"].running:
                    raise  # it is a fault of ours, then
                died = str(error)
        for outcome in self.outcomes.values():
            if not outcome.verdict:
                self.judge.fail(outcome, "reply", "", died or f"none within {GRACE:g} seconds")
        order = [index for index in order if index in self.outcomes]
        return Report([self.outcomes[index] for index in order], self._notes())

    def _serve(self) -> None:
        """Start the server."""
        settings = self.settings
        named = (settings.method_module, settings.startup_function or "")
        roots = tuple(dict.fromkeys(each.partition(".")[0] for each in named if each))
        modules = Modules(roots, tuple(module_path(settings)))
        try:
            self.stage.host("server", self._boot, modules=modules, fallible=False)
        except SettingsError:
            raise
        except EscapeError as error:
            raise TotohioError(f"the server cannot be started: {error}, or --allow {error.what}") from None
        except Exception as error:  # whatever a module raises while it is imported
            raise TotohioError(f"the server cannot be started: {type(error).__name__}: {error}") from error

    def _boot(self, process: Process) -> list[Any]:
        process.host.stack.limit = DESCRIPTORS
        server = process.server = TotoServer(settings=self.settings, environment=process.environment)
        responder = server.built.server.responder
        opened = [entry for entry in self.entries if isinstance(entry, Opened)]
        secure = any(entry.secure for entry in opened)
        local = not any(entry.peer for entry in opened)  # they came over a Unix socket, where peers have no address

        def respond(steward: Any, request: ServerRequest) -> None:
            request.secure = secure
            if local:
                request.remote = None
            responder(steward, request)

        server.built.server.responder = respond
        return server.doers

    # ------------------------------------------------------------ what happened, once more

    def _act(self, acts: deque[int]) -> None:
        """Do what happened next, and come back for what happened then.

        That is the least bit later when it happened in the same cycle: the server does first what came first.
        """
        index = acts.popleft()
        entry = self.entries[index]
        if isinstance(entry, Opened):
            self._open(entry)
        elif isinstance(entry, Requested):
            self._send(self.outcomes[index])
        else:
            self._leave(entry)
        if acts:
            tyme = max(self.entries[acts[0]].tyme, math.nextafter(self.stage.tyme, math.inf))
            self.stage.at(tyme, self._act, acts)
        self.stage.trace.entries.clear()  # nobody looks at it, and long recordings fill it

    def _open(self, entry: Opened) -> None:
        process, doer = self._host(entry.peer)
        peer = self.peers[entry.connection] = Peer(process, doer, self.judge)
        process.do(peer.open)

    def _host(self, address: str) -> tuple[Process, PeerDoer]:
        """Give the host that has the address of a peer."""
        found = self.hosts.get(address)
        if found is None:
            doers: list[PeerDoer] = []

            def boot(process: Process) -> list[Any]:
                process.host.stack.limit = DESCRIPTORS
                doers.append(PeerDoer(process))
                return list(doers)

            host: Host = self.stage.host(f"peer-{len(self.hosts) + 1}", boot, fallible=False)
            host.address = address or host.address
            assert host.process is not None
            found = self.hosts[address] = host.process, doers[0]
        return found

    def _send(self, outcome: Outcome) -> None:
        peer = self.peers.get(outcome.request.connection)
        if peer is None:
            self.judge.refuse(outcome, "its connection is not in the recording")
            return
        peer.process.do(peer.send, outcome)

    def _leave(self, entry: Ended | Closed) -> None:
        peer = self.peers.get(entry.connection)
        if peer is None:
            return
        if isinstance(entry, Ended):  # the close of such a connection is the server's then
            peer.process.do(peer.shutdown)
        elif entry.by == "reset":
            self.stage.after(SLACK, peer.process.do, peer.abort)

    # ------------------------------------------------------------ the report

    def _notes(self) -> list[str]:
        found = []
        missed = [entry for entry in self.entries if isinstance(entry, Missed)]
        for name in ("requests", "replies", "connections"):
            count = sum(getattr(entry, name) for entry in missed)
            if count:
                found.append(f"came too fast to be recorded: {count} {name}")
        refused = sum(isinstance(entry, Refused) for entry in self.entries)
        if refused:
            found.append(f"no request, and not in the recording, was what came on so many connections: {refused}")
        last = self.entries[-1]
        if not isinstance(last, Stopped):
            found.append("the recording has no end: its server was killed, or could not write it")
        elif last.why == "full":
            found.append("the recording ends where its file was full")
        return found + [f"{text}, or --allow {text.partition('(')[0]}" for text in dict.fromkeys(self.stage.escapes)]


def _waits(peer: Peer) -> bool:
    return bool(peer.waiting or peer.held)


def method_of(request: Requested, root: str) -> str:
    """Give the name of the method that a request calls."""
    body = request.json if request.json is not UNSET else None
    if isinstance(body, dict) and "batch" in body:
        return "<batch>"
    path = request.uri.partition("?")[0].removeprefix(root.rstrip("/")).strip("/")
    name = path.replace("/", ".")
    if not name and isinstance(body, dict) and isinstance(body.get("method"), str):
        name = body["method"]
    return name
