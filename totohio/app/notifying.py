"""What a service manager is told, and what it gives: systemd's sd_notify(3) and sd_listen_fds(3)."""

import contextlib
import os
import socket

from totohio.base.doing import Doer

FIRST = 3  # the first descriptor that is handed over


def notify(text: str) -> bool:
    """Tell the service manager something; tell whether there is one.

    Args:
        text: Lines such as ``READY=1``.
    """
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return False
    address = "\0" + path[1:] if path.startswith("@") else path
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)  # a manager that does not read holds up nobody
        sock.sendto(text.encode(), address)
        return True
    return False


def watchdog() -> float:
    """Give the seconds within which the service manager wants to hear ``WATCHDOG=1`` again; 0.0 when it does not."""
    try:
        seconds = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
        mine = int(os.environ.get("WATCHDOG_PID", str(os.getpid()))) == os.getpid()
    except ValueError:
        return 0.0
    return seconds if mine else 0.0


class WatchdogDoer(Doer):
    """Lets the service manager hear, twice in the time within which it wants to, that cycles take place."""

    def __init__(self, within: float) -> None:
        """Set it up.

        Args:
            within: Seconds, as `watchdog` gives them.
        """
        super().__init__()
        self._pause = within / 2.0
        self._next = 0.0

    def enter(self, *, temp: bool | None = None) -> None:
        """Let it be heard at once."""
        self._next = 0.0

    def due(self, tyme: float) -> float:
        """When it is to be heard again."""
        return self._next

    def recur(self, tyme: float) -> bool:
        """Let it be heard, if it is time."""
        if tyme >= self._next:
            self._next = tyme + self._pause
            notify("WATCHDOG=1")
        return False


def handed_socket() -> socket.socket | None:
    """Give the listening socket that the service manager has handed over, the first if there are several; or None.

    It is told once: whoever this process starts is not told.
    """
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdigit() or int(count) < 1:
        return None
    sock = socket.socket(fileno=FIRST)
    sock.setblocking(False)
    os.set_inheritable(FIRST, False)
    return sock
