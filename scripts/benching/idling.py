"""Clients that have a session open and say no more than that they are there, in one process; `lending.py` starts it.

``idling.py PORT COUNT`` prints a line when all are open. From then on each sends its ping as often as the client that
waits does, one after the other at even distances, until standard input ends; then it prints how many are still served.
"""

import select
import sys
import time

from borrowing import PASSWORD, USER

from totohio.remote import DisconnectedError, Remote
from totohio.remote.carrying import open_carrier
from totohio.remote.connecting import KEEPALIVE, TIMEOUT


class Idler(Remote):
    """A session whose pings somebody else sends, since each would need a thread for them."""

    def _keep_alive(self, seconds: float) -> None:
        """Leave it to the others."""

    def say(self) -> None:
        """Say that it is there, as its thread would."""
        self._borrower.notify("ping")


def enter(port: int) -> Idler:
    """Open a session."""
    url = f"totohio://127.0.0.1:{port}"
    idler = Idler(open_carrier(url, TIMEOUT), url, timeout=TIMEOUT, structs=(), errors=())
    idler._log_in(USER, PASSWORD)
    return idler


def linger(idlers: list[Idler]) -> None:
    """Say that they are there, each in its turn, until standard input ends."""
    pause = KEEPALIVE / len(idlers)
    due = time.monotonic()
    while True:
        for idler in idlers:
            due += pause
            if select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
                return
            idler.say()


def served(idler: Idler) -> bool:
    """Tell whether the server still answers it."""
    try:
        idler.ping()
    except DisconnectedError:
        return False
    return True


def main() -> None:
    """Open the sessions, keep them, and tell how many are left."""
    port, count = int(sys.argv[1]), int(sys.argv[2])
    idlers = [enter(port) for _ in range(count)]
    print(len(idlers), flush=True)
    linger(idlers)
    print(sum(map(served, idlers)), flush=True)


if __name__ == "__main__":
    main()
