"""How long an event takes from a client of one process to a client of another, one event at a time."""

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from fanning import answered, calling, streamed
from gathering import Caller, request
from peers import PEERS, Failure, Server, free_port, running
from remembering import p99, redis

WARM_UP = 200  # events
LINK_TIMEOUT = 15.0  # seconds until the processes have to know each other
LINK_PAUSE = 0.2  # seconds that an event is waited for until then
BUSES = {
    "memory": "one process: what a call and a stream cost without any bus between",
    "peers": "two processes with a link each way",
    "redis": "two processes and a redis-server, which shares the core of the clients",
}
PEER_LINES = """\
event_mode: "on"
event_bus: peers
event_key: bench
event_port: {port}
remote_event_receivers: 127.0.0.1:{other}
"""
REDIS_LINES = """\
event_mode: "on"
event_bus: redis
database_url: {url}
"""


def relay(bus: str, events: int) -> dict[str, float]:
    """Measure the seconds from sending the call that sends an event to having received the event.

    Raises:
        Failure: A server does not start, or an event does not come.
    """
    with (
        pair(bus) as (here, there),
        calling(here) as sender,
        calling(there) as receiver,
    ):
        receiver.send(request("watch", {}))
        link(sender, receiver)
        spent = [pass_on(sender, receiver, number) for number in range(WARM_UP + events)][WARM_UP:]
    return {"p50": sorted(spent)[len(spent) // 2], "p99": p99(spent)}


@contextlib.contextmanager
def pair(bus: str) -> Iterator[tuple[Server, Server]]:
    """Run the servers that a bus needs: where events are sent, and where they are received."""
    totohio = PEERS[0]
    with contextlib.ExitStack() as stack:
        if bus == "memory":
            server = stack.enter_context(running(totohio))
            yield server, server
            return
        if bus == "peers":
            one, two = free_port(), free_port()
            lines = [PEER_LINES.format(port=one, other=two), PEER_LINES.format(port=two, other=one)]
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            lines = 2 * [REDIS_LINES.format(url=stack.enter_context(redis(folder)))]
        here, there = (stack.enter_context(running(totohio, each)) for each in lines)
        yield here, there


def link(sender: Caller, receiver: Caller) -> None:
    """Send events until they arrive, and forget what is still on its way.

    Raises:
        Failure: They never do.
    """
    deadline = time.monotonic() + LINK_TIMEOUT
    receiver.sock.settimeout(LINK_PAUSE)
    number = 0
    while time.monotonic() < deadline:
        number -= 1
        with contextlib.suppress(TimeoutError):
            pass_on(sender, receiver, number)
            break
    else:
        raise Failure("the processes do not find each other")
    with contextlib.suppress(TimeoutError):
        while receiver.receive(bool):
            pass
    receiver.sock.settimeout(sender.sock.gettimeout())


def pass_on(sender: Caller, receiver: Caller, number: int) -> float:
    """Send an event, and give the seconds until it is received."""
    args = {"n": number, "text": "hello"}
    fire, whole = request("fire", args), streamed(json.dumps(args, separators=(",", ":")).encode())
    start = time.perf_counter()
    sender.send(fire)
    try:
        receiver.receive(whole)
        end = time.perf_counter()
    finally:
        sender.receive(answered(b"%d" % number))
    return end - start
