"""One event for many clients: how long until the last has it, and what that costs the server."""

import contextlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from statistics import median

from gathering import Audience, Caller, Whole, audience, request, settle
from peers import PEERS, Peer, Server, running

POLLS, STREAMS = 2000, 5000  # clients
WARM_UP = 2  # events before those that count

FANS = (
    PEERS[0],
    Peer("tornado", "Tornado with orjson", ("servers/tornadic_events.py", "{port}")),
    Peer("starlette", "Starlette with orjson on uvicorn, uvloop, httptools", ("servers/starlet_events.py", "{port}")),
)

WAIT, WATCH = request("wait", {}), request("watch", {})


def polls(peer: Peer, events: int) -> dict[str, float]:
    """Measure long-polls: each client has a call waiting, which the event answers.

    Raises:
        Failure: The server does not start, or a client is not told.
    """
    with running(peer) as server, audience(server, POLLS) as crowd, calling(server) as caller:
        return measure(crowd, caller, events, answered, lambda: crowd.ask(WAIT))


def streams(peer: Peer, events: int) -> dict[str, float]:
    """Measure server-sent events: each client has a stream open, over which all events come.

    Raises:
        Failure: The server does not start, or a client is not told.
    """
    with running(peer) as server, audience(server, STREAMS) as crowd, calling(server) as caller:
        crowd.ask(WATCH)
        return measure(crowd, caller, events, streamed, lambda: None)


def measure(
    crowd: Audience, caller: Caller, events: int, telling: Callable[[bytes], Whole], prepare: Callable[[], None]
) -> dict[str, float]:
    """Send events, each when everybody has got the one before and the server is at rest.

    Args:
        crowd: Who is told.
        caller: Who sends.
        events: How many count.
        telling: Gives what tells, for the arguments of an event, whether a client has all of it.
        prepare: Has everybody wait.

    Returns:
        Medians: seconds from the call that sends to the last byte of the last client, the seconds that the server
        spends on its core for it, and those that the clients spend on reading.
    """
    found: dict[str, list[float]] = defaultdict(list)
    server = crowd.server
    for number in range(WARM_UP + events):
        prepare()
        busy = settle(server)
        crowd.drain()
        args = {"n": number, "text": "hello"}
        fire, whole = request("fire", args), telling(json.dumps(args, separators=(",", ":")).encode())
        start = time.perf_counter()
        caller.send(fire)
        end, spent = crowd.gather(whole)
        caller.receive(answered(b"%d" % number))
        if number >= WARM_UP:
            found["last"].append(end - start)
            found["server"].append(settle(server) - busy)
            found["clients"].append(spent)
    return {metric: median(values) for metric, values in found.items()}


def answered(result: bytes) -> Whole:
    """Tell the reply of a call."""
    end = b'\r\n\r\n{"result":%b}' % result
    return lambda data: data.startswith(b"HTTP/1.1 200 ") and data.endswith(end)


def streamed(args: bytes) -> Whole:
    """Tell the message of a stream, in a chunk; its lines end as the server likes."""
    line = b"\ndata: " + args
    return lambda data: line in data and data.endswith(b"\n\r\n")


@contextlib.contextmanager
def calling(server: Server) -> Iterator[Caller]:
    """Have a client as long as the block lasts."""
    caller = Caller(server)
    try:
        yield caller
    finally:
        caller.close()
