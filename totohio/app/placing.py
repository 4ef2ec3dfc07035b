"""The place of a process among its siblings: what the supervisor hands a worker, and what they say to each other.

They speak over a pair of connected sockets, in lines of which each is a word and perhaps a path:

    worker      ready             it listens, and takes events from its siblings
                here              its cycle runs
    supervisor  sibling PATH      a process takes events there from now on
                gone PATH         it does not any more
                answer            whether its cycle runs
                drain             the server goes down: answer what is under way, then end
                stop              end at once
                leave             another process has taken the place: answer what is under way, then end

When the supervisor is gone, which ends the connection, its workers leave as on SIGTERM.
"""

import contextlib
import json
import os
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from totohio.base.doing import Doer
from totohio.base.environing import Poller

VARIABLE = "TOTOHIO_PLACE"  # of the environment in which a worker is told its place
READABLE = 1
READ_SIZE = 65536  # bytes


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a worker is told.

    Attributes:
        number: Which process this is, counted from 0 over the supervisor's life.
        slot: Its place, from 0 to one less than the number of processes.
        count: How many processes there are.
        events: The path of the Unix socket on which it takes events of its siblings.
        siblings: The same of those that there are.
        key: A secret that they share.
        listen: The descriptor of the socket on which it serves.
        remote: That of the socket on which it takes events of other hosts; -1 for none.
        lend: That of the socket on which it lends objects; -1 for none.
        control: That of the connection with the supervisor.
        words: That of the file for its last words: where it stands when a signal kills it.
    """

    number: int
    slot: int
    count: int
    events: str
    siblings: tuple[str, ...]
    key: str
    listen: int
    remote: int
    lend: int
    control: int
    words: int

    def text(self) -> str:
        """Give it as it stands in the environment."""
        return json.dumps(asdict(self))


def take_place() -> Place | None:
    """Give the place of this process; None when nobody has given it one. It is told once."""
    text = os.environ.pop(VARIABLE, None)
    if text is None:
        return None
    fields = json.loads(text)
    return Place(**{**fields, "siblings": tuple(fields["siblings"])})


class ControlDoer(Doer):
    """Listens to the supervisor: takes what has come of its words, in the cycle in which they come."""

    attentive = False

    def __init__(
        self,
        place: Place,
        poller: Poller,
        *,
        leave: Callable[[], object],
        drain: Callable[[], object],
        stop: Callable[[], object],
        meet: Callable[[str], object],
        part: Callable[[str], object],
    ) -> None:
        """Set it up.

        Args:
            place: The place of this process.
            poller: Tells when something has come.
            leave: Ends the server when another has taken its place.
            drain: Ends the server when all end, or the supervisor is gone.
            stop: Ends the server at once.
            meet: Gets the path of each new sibling.
            part: Gets that of each that is gone.
        """
        super().__init__()
        self._poller = poller
        self._sock = socket.socket(fileno=place.control)
        self._sock.setblocking(False)
        self._received = b""
        self._leave, self._drain, self._stop, self._meet, self._part = leave, drain, stop, meet, part

    def enter(self, *, temp: bool | None = None) -> None:
        """Begin to listen."""
        self._poller.register(self._sock, READABLE, self)

    def exit(self) -> None:
        """Stop listening."""
        self._poller.unregister(self._sock)

    def ready(self) -> None:
        """Say that the server listens."""
        self._say(b"ready\n")

    def _say(self, line: bytes) -> None:
        with contextlib.suppress(OSError):  # nobody is there to hear it, which is seen later
            self._sock.send(line)

    def attend(self, mask: int) -> None:
        """Take what has come."""
        try:
            data = self._sock.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._poller.unregister(self._sock)
            self._drain()
            return
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            word, _, path = line.decode().partition(" ")
            self._obey(word, path)

    def _obey(self, word: str, path: str) -> None:
        actions: dict[str, Callable[[], Any]] = {
            "answer": lambda: self._say(b"here\n"),
            "drain": self._drain,
            "stop": self._stop,
            "leave": self._leave,
            "sibling": lambda: self._meet(path),
            "gone": lambda: self._part(path),
        }
        if word in actions:
            actions[word]()
