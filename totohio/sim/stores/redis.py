"""A simulated Redis: servers on hosts of their own, and who asks them over the simulated network.

A question may be lost on its way or come late, and an answer may be lost after its question was carried out. What the
server tells to be written is in the memory of its host, and on its disk as its ``appendfsync`` says.

What is simpler than with Redis: there is one replica at most, and it takes over when a test says so; sentinels are
taken for granted, so that whoever connects knows at once which host is the primary; and a server whose disk fails
refuses to write where Redis ends.
"""

import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from totohio.base.errors import TotohioError
from totohio.core.ports import StoreError, Transaction
from totohio.sim.net.polling import READABLE, WRITABLE, SimPoller
from totohio.sim.stores.answering import PORT, RedisDoer
from totohio.sim.stores.framing import Message, frame, frames, question
from totohio.sim.stores.rows import Rows
from totohio.sim.working import current
from totohio.store.driving import outcome

if TYPE_CHECKING:
    from totohio.sim.hosting import Host
    from totohio.sim.processing import Process
    from totohio.sim.staging import Stage

READ_SIZE = 65536  # bytes
TRIES = 2  # as `store.redis` has it: once more on a new connection
SENTINEL_PORT = 26379


class SimRedis:
    """A Redis of the simulated world, made by `World.redis`.

    Attributes:
        url: What the option ``database_url`` is to be.
        hosts: Its hosts: one, or two with a replica.
        primary: The host that takes writes.
        everysec: What is written is synced once a second only.
    """

    def __init__(self, world: "Stage", name: str, *, replica: bool, everysec: bool) -> None:
        self.everysec = everysec
        self.hosts: list[Host] = []
        self._world = world
        self._doers: dict[Host, RedisDoer] = {}
        self.url = f"redis+sentinel://{name}:{SENTINEL_PORT}/{name}" if replica else f"redis://{name}:{PORT}"
        self.primary: Host
        for each in (name, f"{name}-replica") if replica else (name,):
            self.hosts.append(world.host(each, self._boot))

    def __repr__(self) -> str:
        return f"<SimRedis {self.url}>"

    def _boot(self, process: "Process") -> list[Any]:
        if not self._doers:
            self.primary = process.host
        doer = self._doers[process.host] = RedisDoer(process, self)
        return [doer]

    @property
    def host(self) -> "Host":
        """The host that takes writes; see `Host` for what can be done to it."""
        return self.primary

    @property
    def rows(self) -> Rows:
        """The records of the primary; none while it does not run."""
        return self._doers[self.primary].rows if self.primary.running else Rows()

    @property
    def replica(self) -> "Host":
        """The host that only follows.

        Raises:
            TotohioError: There is none.
        """
        for host in self.hosts:
            if host is not self.primary:
                return host
        raise TotohioError(f"{self.url} has no replica: make it with world.redis(replica=True)")

    def crash(self) -> None:
        """Cut the power of the primary: with ``everysec`` it loses what it was told in the last second."""
        self.primary.crash()

    def restart(self) -> None:
        """Start what does not run."""
        for host in self.hosts:
            host.restart()

    def failover(self) -> None:
        """Have the replica take over, with what it has; the old primary becomes its replica when it hears of it.

        What had not reached the replica is lost, unless ``redis_replicas`` had it waited for.

        Raises:
            TotohioError: There is no replica that runs and has ever had anything from its primary.
        """
        old, new = self.primary, self.replica
        doer = self._doers[new]
        if new.process is None or new.paused or not doer.ready:
            raise TotohioError(f"{new.name} is no replica that can take over now")
        self._world.note(new.name, "failover", old.name)
        self.primary = new
        new.process.do(doer.promote, old.name)


class Line:
    """A connection of a worker thread to a server, which waits for what it asks."""

    def __init__(self, process: "Process", address: tuple[str, int], timeout: float) -> None:
        """Connect.

        Raises:
            OSError: It cannot, or not in so many seconds.
        """
        self._timeout = timeout
        self._received = bytearray()
        self._sock: Any = process.environment.network.connect(address)
        try:
            self._wait(WRITABLE)
            number = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                raise OSError(number, f"{address[0]} cannot be reached")
        except OSError:
            self.close()
            raise

    @property
    def idle(self) -> bool:
        """Nothing has come that nobody has asked for, no end either."""
        return not self._received and not self._sock.readiness() & READABLE

    def ask(self, questions: Sequence[Message], patience: float = 0.0) -> list[Message]:
        """Send questions and give the answers, which may take so many seconds longer than usual.

        Raises:
            OSError: The connection broke, or an answer is not there in time.
        """
        unsent = b"".join(map(frame, questions))
        while unsent:
            try:
                unsent = unsent[self._sock.send(unsent) :]
            except BlockingIOError:
                self._wait(WRITABLE)
        answers: list[Message] = []
        while len(answers) < len(questions):
            self._wait(READABLE, patience)
            try:
                data = self._sock.recv(READ_SIZE)
            except BlockingIOError:
                continue
            if not data:
                raise ConnectionError("the server has closed the connection")
            self._received += data
            answers += frames(self._received)
        return answers

    def close(self) -> None:
        """Let go of it; twice does no harm."""
        self._sock.close()

    def _wait(self, mask: int, patience: float = 0.0) -> None:
        """Wait until the socket is ready for something.

        Raises:
            TimeoutError: It is not in time.
        """
        thread = current()
        end = thread.now + self._timeout + patience
        poller = SimPoller(thread)
        poller.register(self._sock, mask, None)  # type: ignore[arg-type]  # nobody is told: who waits looks
        try:
            while not poller.ready():
                if thread.now >= end:
                    raise TimeoutError(f"no answer in {self._timeout:g} seconds")
                thread.wait(end)
        finally:
            poller.unregister(self._sock)


class SimDriver:
    """Asks a `SimRedis`, in simulated worker threads; the simulated side of `store.redis.RedisDriver`.

    Attributes:
        raw: None: there is no client of redis-py.
    """

    raw = None

    def __init__(
        self, process: "Process", address: Callable[[], tuple[str, int]], *, timeout: float, replicas: int = 0
    ) -> None:
        """Set it up; nothing is connected yet.

        Args:
            process: Whose threads ask.
            address: Gives the host and port to connect to.
            timeout: Seconds that connecting and each answer may take.
            replicas: How many replicas must have a write before it counts as done.
        """
        self._process = process
        self._address = address
        self._timeout = timeout
        self._replicas = replicas
        self._lines: list[Line] = []

    def __repr__(self) -> str:
        return f"<SimDriver of {self._process.host.name}>"

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Give the values of records."""
        [values], _ = self._ask([["get", list(keys)]])
        return list(values)

    def await_(self, key: bytes, version: bytes | None, seconds: float) -> bytes | None:
        """Give the value of a record as soon as it has another version, or after so many seconds."""
        [value], _ = self._ask([["await", key, version, int(seconds * 1000)]], seconds)
        return value  # type: ignore[no-any-return]

    def apply(self, transactions: Sequence[Transaction]) -> list[bool]:
        """Apply transactions."""
        if not transactions:
            return []
        questions = [question(transaction) for transaction in transactions]
        if self._replicas:
            questions.append(["wait", self._replicas, int(self._timeout * 500)])
        held, again = self._ask(questions)
        if self._replicas:
            reached = held.pop()
            if reached < self._replicas:
                raise StoreError(f"Redis: {reached} replicas have the write, {self._replicas} are wanted")
        return outcome(transactions, held, again=again)

    def close(self) -> None:
        """Close all connections that nobody uses now."""
        lines, self._lines = self._lines, []
        for line in lines:
            line.close()

    def _ask(self, questions: Sequence[Message], patience: float = 0.0) -> tuple[list[Any], bool]:
        """Ask, and once more when the answers are lost; give them, and whether they were asked for again."""
        for number in range(TRIES):
            line: Line | None = None
            try:
                line = self._line()
                answers = line.ask(questions, patience)
            except OSError as error:
                if line is not None:
                    line.close()
                if number == TRIES - 1:
                    raise StoreError(f"Redis: {error}") from error
                continue
            refused = [text for kind, text in answers if kind == "error"]
            if refused:
                line.close()  # the next one may lead to another host
                raise StoreError(f"Redis: {refused[0]}")
            self._lines.append(line)
            break
        return [value for _, value in answers], number > 0

    def _line(self) -> Line:
        while self._lines:
            line = self._lines.pop()
            if line.idle:
                return line
            line.close()
        return Line(self._process, self._address(), self._timeout)
