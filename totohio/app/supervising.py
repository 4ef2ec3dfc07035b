"""Many processes on one port: the one that watches the others, and does nothing else.

It makes a listening socket for each place and keeps all of them open, so that no connection is refused or lost while
a process is started, rolled or has crashed: those that wait at its socket are taken by the next one of the same place.
The states of a worker:

    starting    until it says that it listens; when it ends before, it has failed
    serving     until it ends, is told to leave, or does not answer when it is asked whether its cycle still runs
    hanging     it has not answered, and is killed
    leaving     another one serves in its place; it answers what is under way, and ends

    first worker of a place fails       all end, with its status
    a serving worker ends               another is started in its place, at once or, when that happens again, later
    it does not answer                  it has to say where it stands and to end, and is killed if it does not
    SIGHUP                              for one place after the other: another worker, and when it serves the old one
                                        leaves; when it fails the old one stays, and the rest as they are
    SIGTERM, SIGINT                     all drain; the second time they end at once
"""

import contextlib
import os
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from types import FrameType

from totohio.app.notifying import notify, watchdog
from totohio.app.placing import VARIABLE, Place
from totohio.app.settings import Settings
from totohio.app.sharing import Shares
from totohio.app.workers import Worker, ending
from totohio.base.clocking import Clock, Minter
from totohio.base.recording import logger

STARTING = 60.0  # seconds that a worker may take to listen
MARGIN = 5.0  # seconds beyond drain_timeout after which a worker that does not end is killed
SETTLED = 10.0  # seconds after which a worker that ends has not crashed because it was started
FIRST_PAUSE = 0.1  # seconds until a worker is started that has ended soon,
LAST_PAUSE = 10.0  # and after many that have
MOMENT = 3600.0  # seconds that it sleeps at most
GRACE = 1.0  # seconds that workers have which are to end at once
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Supervisor:
    """Runs workers until a signal ends it.

    Attributes:
        workers: Those that there are.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        command: Sequence[str],
        count: int,
        clock: Clock,
        minter: Minter,
        shares: Shares,
        on_open: Callable[[str, str | None], object] = print,
    ) -> None:
        """Set it up.

        Args:
            settings: Options of the server.
            command: Starts a worker.
            count: How many there are to be.
            clock: Tells the time.
            minter: Randomness.
            shares: The sockets that it hands them, and closes.
            on_open: Called with the URL, and with that where objects are lent or None, once all of them serve.
        """
        self.workers: list[Worker] = []
        self._settings = settings
        self._command = list(command)
        self._count = count
        self._clock = clock
        self._minter = minter
        self._shares = shares
        self._on_open = on_open
        self._selector = selectors.DefaultSelector()
        self._folder = ""
        self._key = ""
        self._numbers = 0
        self._rolls: deque[int] = deque()
        self._rolling: tuple[Worker, Worker | None] | None = None  # the new one, and the one that it replaces
        self._starts: dict[int, float] = {}  # places that wait for a worker, until when
        self._pauses = [0.0] * count
        self._received: list[int] = []
        self._asked = 0
        self._status = 0
        self._opened = False
        self._beat = watchdog() / 2.0
        self._beat_at = 0.0

    def run(self) -> int:
        """Serve until a signal ends it; give the exit status."""
        self._folder = tempfile.mkdtemp(prefix="totohio-", dir=os.environ.get("XDG_RUNTIME_DIR") or None)
        self._key = self._minter.token()
        before = {number: signal.signal(number, self._note) for number in SIGNALS}
        reading, writing = os.pipe()
        for end in (reading, writing):
            os.set_blocking(end, False)
        wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        self._selector.register(reading, selectors.EVENT_READ)
        try:
            for slot in range(self._count):
                self._start(slot).first = True
            while self.workers or self._starts:
                self._cycle(reading)
            return self._status
        finally:
            for worker in self.workers:
                worker.signal(signal.SIGKILL)
                worker.process.wait()
                worker.close()
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.close()
            os.close(reading)
            os.close(writing)
            self._shares.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    # ------------------------------------------------------------ one turn

    def _cycle(self, reading: int) -> None:
        now = self._clock.monotonic()
        dues = [*self._starts.values(), *(worker.awaited() for worker in self.workers), now + MOMENT]
        if self._beat and self._opened:
            dues.append(self._beat_at)
        for key, _ in self._selector.select(max(0.0, min(dues) - now)):
            if key.fd == reading:
                with contextlib.suppress(BlockingIOError):
                    os.read(reading, 4096)
            else:
                self._hear(key.data)
        while self._received:
            self._obey(self._received.pop(0))
        self._reap()
        now = self._clock.monotonic()
        for slot in [slot for slot, due in self._starts.items() if due <= now]:
            del self._starts[slot]
            self._start_again(slot)
        for worker in self.workers:
            self._watch(worker, now)
        if self._beat and self._opened and now >= self._beat_at:
            self._beat_at = now + self._beat
            notify("WATCHDOG=1")

    def _watch(self, worker: Worker, now: float) -> None:
        """See whether a worker goes on: kill it when it does not, or ask it when it is time."""
        if worker.due > now:
            if worker.ask_at <= now and not self._asked:
                worker.ask(now, self._settings.hang_timeout)
            return
        if worker.state == "serving" and not self._asked:
            logger().error("%r has not answered for %g s: it is killed", worker, self._settings.hang_timeout)
            worker.state, worker.due, worker.ask_at = "hanging", now + GRACE, float("inf")
            worker.signal(signal.SIGABRT)  # on which it says where it stands, unless not even that is possible
            return
        if worker.state != "hanging":
            logger().error("%r does not %s: it is killed", worker, "listen" if worker.state == "starting" else "end")
        worker.due = float("inf")
        worker.signal(signal.SIGKILL)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._received.append(number)

    def _obey(self, number: int) -> None:
        """A signal has come."""
        name = signal.Signals(number).name
        if number == signal.SIGHUP and not self._asked:
            logger().info("%s: rolling %d processes", name, self._count)
            self._rolls.extend(slot for slot in range(self._count) if slot not in self._rolls)
            notify(f"RELOADING=1\nMONOTONIC_USEC={int(self._clock.monotonic() * 1e6)}")
            self._roll()
        elif number in (signal.SIGTERM, signal.SIGINT):
            self._asked += 1
            if self._asked == 1:
                logger().info("%s: draining %d processes", name, len(self.workers))
                self._leave()
            else:
                logger().warning("%s again: ending at once", name)
                for worker in self.workers:
                    worker.say("stop")
                    worker.due = self._clock.monotonic() + GRACE

    def _leave(self) -> None:
        """Have all end."""
        notify("STOPPING=1")
        self._asked = max(self._asked, 1)
        self._rolls.clear()
        self._starts.clear()
        self._shares.close()  # else who connects now would wait at a socket from which nobody takes
        end = self._clock.monotonic() + self._settings.drain_timeout + MARGIN
        for worker in self.workers:
            worker.say("drain")  # not by a signal: a service manager has sent them one already, and two end at once
            worker.due = end

    # ------------------------------------------------------------ workers

    def _start(self, slot: int) -> Worker:
        """Start a worker in a place."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        words = os.memfd_create("words")
        number = self._numbers
        self._numbers += 1
        listen, remote, lend = self._shares.of(slot)
        events = os.path.join(self._folder, f"events-{number}.sock")
        place = Place(
            number=number,
            slot=slot,
            count=self._count,
            events=events,
            siblings=tuple(worker.events for worker in self.workers if worker.state == "serving"),
            key=self._key,
            listen=listen,
            remote=remote,
            lend=lend,
            control=theirs.fileno(),
            words=words,
        )
        descriptors = [each for each in (listen, remote, lend, place.control, words) if each >= 0]
        try:
            process = subprocess.Popen(
                self._command,
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is for the supervisor alone, which passes it on
                env={**os.environ, VARIABLE: place.text()},
            )
        except OSError:
            ours.close()
            os.close(words)
            raise
        finally:
            theirs.close()
        worker = Worker(number, slot, process, ours, words)
        worker.events = events
        worker.since = self._clock.monotonic()
        worker.due = worker.since + STARTING
        self.workers.append(worker)
        self._selector.register(ours, selectors.EVENT_READ, worker)
        return worker

    def _start_again(self, slot: int) -> None:
        """Start a worker in a place whose worker has ended; later, when the system has no room for one now."""
        try:
            self._start(slot)
        except OSError as error:
            logger().error("no process can be started (%s): tried again in %g s", error.strerror, LAST_PAUSE)
            self._starts[slot] = self._clock.monotonic() + LAST_PAUSE

    def _hear(self, worker: Worker) -> None:
        """A worker has said something, or has let go of its end."""
        try:
            data = worker.control.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(worker.control)
            return
        if worker.state == "serving" and not self._asked:
            worker.due = float("inf")  # it has answered
        if b"ready\n" not in data or worker.state != "starting":
            return
        worker.state = "serving"
        if not self._asked:
            worker.due = float("inf")
            worker.rest(self._clock.monotonic(), self._settings.hang_timeout)
        for other in self.workers:
            if other is not worker and other.state == "serving":
                other.say(f"sibling {worker.events}")
                worker.say(f"sibling {other.events}")
        if self._rolling is not None and self._rolling[0] is worker:
            self._replaced()
        if not self._opened and not self._asked and self._serving() == self._count:
            self._opened = True
            notify(f"READY=1\nSTATUS={self._count} processes serve")
            self._on_open(self._shares.url(), self._shares.remote_url())

    def _serving(self) -> int:
        return len({worker.slot for worker in self.workers if worker.state == "serving"})

    def _reap(self) -> None:
        """See who has ended."""
        for worker in list(self.workers):
            status = worker.process.poll()
            if status is None:
                continue
            self.workers.remove(worker)
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(worker.control)
            worker.bury(status)
            for other in self.workers:
                other.say(f"gone {worker.events}")
            if self._rolling is not None and self._rolling[1] is worker:
                if self._rolling[0].state == "starting":
                    self._rolling = (self._rolling[0], None)
                else:
                    self._rolling = None
                    self._roll()
            self._ended(worker, status)

    def _ended(self, worker: Worker, status: int) -> None:
        """A worker has ended: see what that means."""
        if self._asked:
            if status != 0 and worker.state != "starting":
                self._status = self._status or 1
            return
        if worker.state == "leaving":
            return
        if self._rolling is not None and self._rolling[0] is worker:
            empty = self._rolling[1] is None
            self._rolling = None
            self._rolls.clear()
            logger().error("%r has not begun to serve (%s): nothing is rolled", worker, ending(status))
            notify("READY=1")
            if not empty:
                return
        if worker.first and worker.state == "starting" and not self._opened:
            self._status = status if status > 0 else 1
            self._leave()
            return
        if any(other.slot == worker.slot and other.state == "starting" for other in self.workers):
            logger().error("%r has ended (%s), its successor starts already", worker, ending(status))
            return
        settled = self._clock.monotonic() - worker.since >= SETTLED
        pause = 0.0 if settled else min(LAST_PAUSE, max(FIRST_PAUSE, self._pauses[worker.slot] * 2.0))
        self._pauses[worker.slot] = pause
        again = f", started again in {pause:g} s" if pause else ", started again"
        logger().error("%r has ended (%s)%s", worker, ending(status), again)
        if pause:
            self._starts[worker.slot] = self._clock.monotonic() + pause
        else:
            self._start_again(worker.slot)

    # ------------------------------------------------------------ rolling

    def _roll(self) -> None:
        """Replace the next worker."""
        if self._rolling is not None or self._asked:
            return
        if not self._rolls:
            notify("READY=1")
            logger().info("all processes are rolled")
            return
        slot = self._rolls.popleft()
        self._starts.pop(slot, None)
        self._pauses[slot] = 0.0
        old = next((worker for worker in self.workers if worker.slot == slot and worker.state != "leaving"), None)
        try:
            self._rolling = (self._start(slot), old)
        except OSError as error:
            self._rolls.clear()
            logger().error("no process can be started (%s): nothing is rolled", error.strerror)
            notify("READY=1")

    def _replaced(self) -> None:
        """The new worker serves: the old one may leave."""
        assert self._rolling is not None
        old = self._rolling[1]
        if old is None or old not in self.workers:
            self._rolling = None
            self._roll()
            return
        old.state = "leaving"
        old.due = self._clock.monotonic() + self._settings.drain_timeout + MARGIN
        old.say("leave")
