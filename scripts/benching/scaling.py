"""How many calls two processes answer beside one, on two cores, where the calls have something to do."""

import json
import os
from pathlib import Path

from loads import press
from peers import CLIENT_CORE, PEERS, SERVER_CORE, running

BUSY = json.dumps({"method": "busy", "parameters": {}}).encode()
CONNECTIONS = 64
COUNTS = (1, 2)  # processes


def scale(count: int, seconds: float) -> dict[str, float]:
    """Measure the calls per second of so many processes.

    Raises:
        Failure: A server does not start, or a call failed.
    """
    with running(PEERS[0], f"processes: {count}\ndatabase: none\n") as server:
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        for pid in (server.pid, *map(int, children)):
            os.sched_setaffinity(pid, {SERVER_CORE, CLIENT_CORE})
        press(server, BUSY, connections=CONNECTIONS, seconds=1)
        return {"calls": press(server, BUSY, connections=CONNECTIONS, seconds=seconds).rate}
