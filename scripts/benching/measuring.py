"""What is measured, in rounds: in each the servers take turns, in an order that moves on by one."""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException

from loads import Crowd, converse, press
from peers import BATCH, BATCH_SIZE, CROWD, SINGLE, STREAM, Failure, Peer, Server, serve
from steadying import Steadier

CONNECTIONS = 64
STREAM_CONNECTIONS = 8
TRIES = 3
SETTLE = 1.0  # seconds between opening a crowd and watching what it costs

# Peer and metric to the values of the rounds, in their order.
Figures = dict[tuple[str, str], list[float]]


@dataclass(frozen=True)
class Plan:
    """How long everything is measured: rounds, and seconds within a round."""

    rounds: int
    idle_rounds: int
    warm_up: float
    busy: float
    single: float
    idle: float


FULL = Plan(rounds=5, idle_rounds=2, warm_up=1, busy=5, single=3, idle=5)
QUICK = Plan(rounds=2, idle_rounds=1, warm_up=1, busy=1, single=1, idle=2)


def measure(peers: Sequence[Peer], plan: Plan, steadier: Steadier) -> Figures:
    """Measure all servers in one interleaved run."""
    figures: Figures = defaultdict(list)
    for name, rounds, job in (("busy", plan.rounds, measure_busy), ("idle", plan.idle_rounds, measure_idle)):
        for number in range(rounds):
            for peer in rotated(peers, number):
                found = steadier.measure(partial(attempt, peer, job, plan))
                for metric, value in found.items():
                    figures[peer.name, metric].append(value)
                told = "  ".join(f"{metric} {value:.6g}" for metric, value in found.items())
                print(f"{name} {number + 1}/{rounds}  {peer.name}: {told}", file=sys.stderr)
    return figures


def attempt(peer: Peer, job: Callable[[Server, Plan], dict[str, float]], plan: Plan) -> dict[str, float]:
    """Measure one server in one round. Stock hio dies of connections that are reset, so peers may try again.

    Raises:
        SystemExit: The server failed each time; totohio has one try.
    """
    for left in reversed(range(1 if peer.name == "totohio" else TRIES)):
        try:
            with serve(peer) as server:
                return job(server, plan)
        except (Failure, OSError, HTTPException) as error:
            print(f"{peer.name} failed, {left} tries left: {error}", file=sys.stderr)
    sys.exit(f"{peer.name} could not be measured")


def rotated(peers: Sequence[Peer], number: int) -> Iterable[Peer]:
    """Give the peers in the order of one round, so that none always runs first or after the same."""
    start = number % len(peers)
    return [*peers[start:], *peers[:start]]


def measure_busy(server: Server, plan: Plan) -> dict[str, float]:
    """Measure a server at full load, with one connection, and with what else it can do."""
    press(server, SINGLE, connections=CONNECTIONS, seconds=plan.warm_up)
    load = press(server, SINGLE, connections=CONNECTIONS, seconds=plan.busy)
    found = {"calls": load.rate, "loaded p99": load.p99}
    found["p50"], found["p99"] = converse(server, plan.single)
    if server.peer.batches:
        load = press(server, BATCH, connections=CONNECTIONS, seconds=plan.single)
        found["batched calls"] = load.rate * BATCH_SIZE
    if server.peer.streams:
        load = press(server, STREAM, connections=STREAM_CONNECTIONS, seconds=plan.single)
        found["streamed"] = load.bandwidth
    return found


def measure_idle(server: Server, plan: Plan) -> dict[str, float]:
    """Measure what a crowd of idle connections costs the server and its one active client."""
    converse(server, plan.warm_up)
    before, _ = converse(server, plan.single)
    memory = server.memory()
    crowd = Crowd(server, CROWD)
    time.sleep(SETTLE)
    found = {"memory": (server.memory() - memory) / CROWD}
    busy, start = server.busy(), time.monotonic()
    time.sleep(plan.idle)
    found["cpu"] = (server.busy() - busy) / (time.monotonic() - start)
    found["crowded p50"] = converse(server, plan.single)[0]
    crowd.check()
    crowd.close()
    time.sleep(SETTLE)
    after, _ = converse(server, plan.single)
    found["alone p50"] = (before + after) / 2  # what the machine does meanwhile moves it by more than a crowd should
    return found
