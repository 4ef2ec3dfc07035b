"""The server that runs on the host of a simulated Redis."""

import math
from typing import TYPE_CHECKING, Any, cast

from totohio.base.doing import FOREVER, Doer
from totohio.base.environing import Poller
from totohio.core.ports import VERSION
from totohio.sim.net.polling import READABLE, WRITABLE
from totohio.sim.stores.framing import Message, frame, frames, transaction
from totohio.sim.stores.persisting import Ledger
from totohio.sim.stores.rows import Changes, Rows, pack, unpack

if TYPE_CHECKING:
    from totohio.sim.disk.filing import SimFiles
    from totohio.sim.processing import Process
    from totohio.sim.stores.redis import SimRedis

PORT = 6379
BACKLOG = 511  # as Redis has it
FOLDER = "/var/lib/redis"
SLACK = 60.0  # seconds for which `store.redis` has the server keep what has expired
READ_SIZE = 65536  # bytes
BREATH = 0.1  # seconds without accepting when there is no descriptor for another connection
RETRY = 1.0  # seconds between two tries of a replica to reach its primary
PERIOD = 1.0  # seconds between two syncs, of appendfsync everysec, and between two reports of a replica
POOL = "redis"  # by which ``world.takes`` says how long a sync takes


class Peer:
    """A connection of the server's: to one who asks, or to another server.

    Attributes:
        offset: How far the changes had come with what was last run for it.
        acknowledged: How far a replica has come; None for who is none.
        closed: It is no more.
    """

    def __init__(self, sock: Any, doer: "RedisDoer") -> None:
        self.offset = 0
        self.acknowledged: int | None = None
        self.closed = False
        self._sock = sock
        self._doer = doer
        self._received = bytearray()
        self._unsent = bytearray()
        doer.poller.register(sock, READABLE, self)

    def attend(self, mask: int) -> None:
        """Take what has come, and send what still waits."""
        if mask & WRITABLE:
            self._flush()
        if mask & READABLE and not self.closed:
            self._receive()

    def send(self, *message: Any) -> None:
        """Send a message."""
        if not self.closed:
            self._unsent += frame(message)
            self._flush()

    def close(self, *, abrupt: bool = False) -> None:
        """Let go of it; twice does no harm."""
        if not self.closed:
            self.closed = True
            if abrupt:
                self._sock.abort()
            else:
                self._sock.close()
            self._doer.lost(self)

    def _receive(self) -> None:
        try:
            data = self._sock.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not data:
            self.close()
            return
        self._received += data
        for message in frames(self._received):
            if not self.closed:
                self._doer.take(self, message)

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._sock.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        self._doer.poller.modify(self._sock, READABLE | (WRITABLE if self._unsent else 0), self)


class RedisDoer(Doer):
    """Answers questions, as a primary or as its replica: in each cycle whatever has come.

    What one cycle changes is written, and synced where every write is, before anybody is answered.

    Attributes:
        poller: What a `PollingDoist` waits in for it.
        rows: The records.
        primary: It takes writes.
        ready: As a replica, it has all that its primary had when it asked.
    """

    def __init__(self, process: "Process", server: "SimRedis") -> None:
        super().__init__()
        self.poller: Poller = process.environment.network.poller()
        self.rows = Rows()
        self.primary = server.primary is process.host
        self.ready = False
        self._process = process
        self._server = server
        self._dice = process.dice.branch("redis")
        self._files = cast("SimFiles", process.environment.files)
        self._ledger = Ledger(self._files, FOLDER)
        self._listener: Any = None
        self._peers: dict[Peer, None] = {}
        self._link: Peer | None = None  # to the primary; of a new primary, to the old one
        self._unfollowed = ""  # the host that is to be told that it is a replica
        self._retry_at = math.inf
        self._sync_at = math.inf
        self._offset = 0  # counts the cycles that have changed something
        self._changes: Changes = {}
        self._answers: list[tuple[Peer, Message]] = []
        self._asked: list[tuple[Peer, int, float]] = []  # who waits for replicas: how many, and until when
        self._waits: list[tuple[Peer, int, int, float]] = []  # the same, and for which offset
        self._awaits: list[tuple[Peer, bytes, bytes | None, float]] = []  # who waits for a record to change
        self._loading = False  # what it has found on its disk is not safe yet
        self._leaving = False  # it is to be a replica, once it has answered
        self._accept_at = math.inf
        self._tell_at = math.inf

    # ------------------------------------------------------------ hio's interface

    def due(self, tyme: float) -> float:
        """When a wait ends, a sync is due, or the primary is looked for again."""
        ends = [until for *_, until in (*self._waits, *self._awaits)]
        return min([self._retry_at, self._sync_at, self._tell_at, self._accept_at, *ends], default=FOREVER)

    def enter(self, *, temp: bool | None = None) -> None:
        """Read what the disk has, and listen."""
        entries = self._ledger.open()
        for entry in entries:
            self.rows.put(unpack(entry))
        if entries and not self._server.everysec:
            self._loading = True
            self._sync_at = self._process.world.tyme
        self._listener = self._process.environment.network.listen(("0.0.0.0", PORT), backlog=BACKLOG)
        self.poller.register(self._listener, READABLE, self)
        if not self.primary:
            self._follow()

    def recur(self, tyme: float) -> bool:
        """Take what has come, see that it lasts, and answer."""
        if tyme >= self._accept_at:
            self._accept_at = math.inf
            self.poller.register(self._listener, READABLE, self)
        for attendant, mask in self.poller.ready():
            attendant.attend(mask)
        if tyme >= self._retry_at:
            self._retry_at = math.inf
            self._follow()
        if tyme >= self._tell_at and self._link is not None:
            self._tell_at = tyme + PERIOD
            self._link.send("ack", self._offset)  # and so learns that its primary has forgotten it
        self._persist(tyme)
        self._conclude(tyme)
        if self._leaving:
            self._step_down()
        return False

    def exit(self) -> None:
        """Close everything."""
        if self._listener is not None:
            self._listener.close()
        for peer in list(self._peers):
            peer.close()
        self.poller.close()

    def attend(self, mask: int) -> None:
        """Take new connections."""
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:  # there is no descriptor for another one
                self.poller.unregister(self._listener)
                self._accept_at = self._process.world.tyme + BREATH
                return
            self._peers[Peer(sock, self)] = None

    # ------------------------------------------------------------ what peers say

    def take(self, peer: Peer, message: Message) -> None:
        """Do what a peer asks for."""
        match message:
            case ["get" | "run" | "await", *_] if self._loading:
                self._answer(peer, "error", "LOADING Redis is loading the dataset in memory")
            case ["get", keys]:
                horizon = self._horizon()
                self._answer(peer, "ok", [self.rows.get(key, self._changes, horizon) for key in keys])
            case ["await", key, version, milliseconds]:
                self._awaits.append((peer, key, version, self._process.world.tyme + milliseconds / 1000))
            case ["run", _, _] if not self.primary:
                self._answer(peer, "error", "READONLY You can't write against a read only replica.")
            case ["run", conditions, writes]:
                asked = [transaction(conditions, writes)]
                self._answer(peer, "ok", *self.rows.plan(asked, self._changes, self._horizon()))
                peer.offset = self._offset + 1 if self._changes else self._offset
            case ["wait", count, milliseconds]:
                self._asked.append((peer, count, self._process.world.tyme + milliseconds / 1000))
            case ["sync"] if self.primary:
                peer.acknowledged = -1  # it has nothing yet
            case ["ack", offset]:
                peer.acknowledged = offset
            case ["replicaof", _]:
                self._answer(peer, "ok", True)
                self._leaving = True
            case ["state", offset, rows]:
                self._adopt(offset, unpack(rows))
            case ["put", offset, changes]:
                self._changes.update(unpack(changes))
                self._offset = offset
                self._answer(peer, "ack", offset)
            case ["ok", _] if peer is self._link and self.primary:  # the old primary knows
                self._unfollowed = ""
                peer.close()
            case _:
                peer.close(abrupt=True)

    def lost(self, peer: Peer) -> None:
        """A connection is no more."""
        self._peers.pop(peer, None)
        if peer is self._link:
            self._link = None
            self._tell_at = math.inf
            if not self.primary or self._unfollowed:
                self._retry_at = self._process.world.tyme + RETRY

    def _horizon(self) -> float:
        """The wall time before which what has expired is gone, as this host's clock has it."""
        return self._process.environment.clock.now() - SLACK

    def _answer(self, peer: Peer, *message: Any) -> None:
        self._answers.append((peer, list(message)))

    # ------------------------------------------------------------ at the end of a cycle

    def _persist(self, tyme: float) -> None:
        """Write what was changed, and sync it when that is due; who asked is refused when it cannot be."""
        changes = self._changes
        try:
            if changes:
                self._process.world.plan.commit(self._process.host)
                self._ledger.write(pack(changes), self.rows.pack)
                if self._server.everysec:
                    self._sync_at = min(self._sync_at, tyme + PERIOD)
                else:
                    self._sync()
            if tyme >= self._sync_at:
                self._sync_at = math.inf
                if self._ledger.broken:  # the last one has failed, or it has just begun
                    self._ledger.secure(self.rows.pack())
                else:
                    self._sync()
                self._loading = False
        except OSError as error:
            if self._server.everysec or self._loading:
                self._sync_at = tyme + PERIOD
            self._refuse(f"MISCONF Errors writing to the AOF file: {error.strerror}")
            return
        if changes:
            self.rows.put(changes)
            self._changes = {}
            if self.primary:
                self._offset += 1
                for peer in list(self._peers):
                    if peer.acknowledged is not None and peer.acknowledged >= 0:
                        peer.send("put", self._offset, pack(changes))

    def _sync(self) -> None:
        world = self._process.world
        self._ledger.sync()
        world.spend(world.duration("sync", POOL, self._dice) + self._files.lag)  # who is answered waits for it

    def _refuse(self, why: str) -> None:
        """Change nothing, and tell so everybody who has asked in this cycle."""
        changed, self._changes = bool(self._changes), {}
        answers, self._answers = self._answers, []
        for peer, message in answers:
            if message[0] == "ack":  # of a replica, which then begins anew
                peer.close()
            else:
                self._answer(peer, *(("error", why) if changed else message))

    def _conclude(self, tyme: float) -> None:
        """Answer, and tell those who wait for replicas or for a record."""
        awaits, self._awaits = self._awaits, []
        for peer, key, version, until in awaits:
            value = self.rows.get(key, self._changes, self._horizon())
            if tyme >= until or (None if value is None else value[:VERSION]) != version:
                self._answer(peer, "ok", value)
            elif not peer.closed:
                self._awaits.append((peer, key, version, until))
        answers, self._answers = self._answers, []
        for peer, message in answers:
            peer.send(*message)
        for peer in list(self._peers):
            if peer.acknowledged == -1:  # a new replica
                peer.acknowledged = 0
                peer.send("state", self._offset, self.rows.pack())
        self._waits += [(peer, count, peer.offset, until) for peer, count, until in self._asked]
        self._asked.clear()
        waits, self._waits = self._waits, []
        for peer, count, offset, until in waits:
            reached = sum(each.acknowledged is not None and each.acknowledged >= offset for each in self._peers)
            if reached >= count or tyme >= until:
                peer.send("ok", reached)
            elif not peer.closed:
                self._waits.append((peer, count, offset, until))

    # ------------------------------------------------------------ primaries and replicas

    def promote(self, old: str) -> None:
        """Be the primary from now on, and tell the one that was."""
        self.primary = True
        self._tell_at = math.inf
        self._unfollowed = old
        link, self._link = self._link, None
        if link is not None:
            link.close()
        self._follow()

    def _step_down(self) -> None:
        """Be a replica from now on; whoever was connected is to look for the primary."""
        self.primary = self.ready = self._leaving = False
        self._unfollowed = ""
        for peer in list(self._peers):
            peer.close()
        self._retry_at = self._process.world.tyme

    def _follow(self) -> None:
        """Connect to the primary, or as a new one to the old."""
        other = self._unfollowed if self.primary else self._server.primary.name
        if not other or other == self._process.host.name or self._link is not None:
            return
        try:
            self._link = Peer(self._process.environment.network.connect((other, PORT)), self)
        except OSError:
            self._retry_at = self._process.world.tyme + RETRY
            return
        self._peers[self._link] = None
        if self.primary:
            self._link.send("replicaof", self._process.host.name)
        else:
            self._link.send("sync")

    def _adopt(self, offset: int, rows: Changes) -> None:
        """Have what the primary has, and nothing else."""
        self.rows = Rows()
        self.rows.put(rows)
        self._offset = offset
        self.ready = True
        self._tell_at = self._process.world.tyme + PERIOD
        try:
            self._ledger.secure(self.rows.pack())
            self._loading = False
        except OSError:
            self.ready = False
            if self._link is not None:
                self._link.close()
