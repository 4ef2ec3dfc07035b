"""Sockets that do what the test says, a poller that tells of them when it is asked, and an owner that takes notes."""

import errno
import os
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

READABLE, WRITABLE, ENDED = 1, 2, 4


def failure(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class ScriptedSocket:
    """The near end of a connection; the test is the far end.

    Attributes:
        established: The connect is over.
        error: What SO_ERROR will tell.
        incoming: What there is to receive: bytes, b"" for the end, errno values.
        room: Bytes that it still takes.
        share: Bytes that it takes at once.
        sent: What it has taken.
        broken: The errno value with which a send fails.
        finished: Its owner has shut down its sending side.
    """

    def __init__(self, address: Any) -> None:
        self.address = address
        self.established = False
        self.error = 0
        self.incoming: deque[Any] = deque()
        self.room = 1 << 30
        self.share = 1 << 30
        self.sent = bytearray()
        self.sizes: list[int] = []
        self.broken = 0
        self.finished = self.reset = self.closed = False

    def getsockopt(self, level: int, option: int) -> int:
        error, self.error = self.error, 0
        return error

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        self.reset = value == struct.pack("ii", 1, 0)

    def send(self, data: Any) -> int:
        assert self.established
        assert not self.finished
        if self.broken:
            raise failure(self.broken)
        size = min(len(data), self.room, self.share)
        if not size:
            raise failure(errno.EAGAIN)
        self.sent += data[:size]
        self.sizes.append(size)
        self.room -= size
        return size

    def recv(self, size: int) -> bytes:
        if not self.incoming:
            raise failure(errno.EAGAIN)
        found = self.incoming[0]
        if isinstance(found, int):
            self.incoming.popleft()
            raise failure(found)
        if len(found) > size:
            self.incoming[0] = found[size:]
        elif found:
            self.incoming.popleft()
        return bytes(found[:size])

    def shutdown(self, how: int) -> None:
        self.finished = True

    def close(self) -> None:
        self.closed = True

    def readiness(self) -> int:
        if self.error:
            return READABLE | WRITABLE | ENDED
        if not self.established:
            return 0
        over = any(not item or isinstance(item, int) for item in self.incoming)
        writable = WRITABLE if self.room or self.broken else 0
        return (READABLE if self.incoming else 0) | writable | (ENDED if over else 0)


class ScriptedPoller:
    """Tells of its sockets when the test has it look, or when a Doer asks."""

    def __init__(self) -> None:
        self.watched: dict[Any, tuple[int, Any]] = {}
        self.closed = False
        self.wakes = 0

    def register(self, sock: Any, mask: int, attendant: Any) -> None:
        assert sock not in self.watched
        self.watched[sock] = (mask, attendant)

    def modify(self, sock: Any, mask: int, attendant: Any) -> None:
        assert sock in self.watched
        self.watched[sock] = (mask, attendant)

    def unregister(self, sock: Any) -> None:
        self.watched.pop(sock, None)

    def ready(self) -> list[tuple[Any, int]]:
        found = [(attendant, sock.readiness() & (mask or ENDED)) for sock, (mask, attendant) in self.watched.items()]
        return [(attendant, mask) for attendant, mask in found if mask]

    def look(self) -> None:
        """Tell each attendant once what its socket is ready for."""
        for attendant, mask in self.ready():
            attendant.attend(mask)

    def wait(self, seconds: float | None) -> None:
        raise AssertionError("nobody waits here")

    def wake(self) -> None:
        self.wakes += 1

    def close(self) -> None:
        self.closed = True


class ScriptedNetwork:
    """A network whose sockets the test finds in ``socks``.

    Attributes:
        socks: All that were made, oldest first.
        refuses: The error of every connect from now on.
        at_once: New sockets are established when they are first looked at.
    """

    def __init__(self, *, at_once: bool = False) -> None:
        self.socks: list[ScriptedSocket] = []
        self.pollers: list[ScriptedPoller] = []
        self.refuses: OSError | None = None
        self.at_once = at_once

    def poller(self) -> ScriptedPoller:
        self.pollers.append(ScriptedPoller())
        return self.pollers[-1]

    def connect(self, address: Any) -> ScriptedSocket:
        if self.refuses is not None:
            raise self.refuses
        self.socks.append(ScriptedSocket(address))
        self.socks[-1].established = self.at_once
        return self.socks[-1]

    def listen(self, address: Any, *, backlog: int) -> Any:
        raise AssertionError("nobody listens here")

    def queued(self, sock: Any) -> int:
        return 0

    def descriptors(self) -> int:
        return 100


class Notes:
    """An owner that notes what it is told, and does what the test wants when it is."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.react: dict[str, Callable[[], object]] = {}
        self.data = b""
        self.error: OSError | None = None

    def _note(self, word: str) -> None:
        self.told.append(word)
        self.react.get(word, lambda: None)()

    def opened(self) -> None:
        self._note("opened")

    def received(self, data: bytes) -> None:
        self.data += data
        self._note("received")

    def drained(self) -> None:
        self._note("drained")

    def ended(self) -> None:
        self._note("ended")

    def lost(self, error: OSError) -> None:
        self.error = error
        self._note("lost")
