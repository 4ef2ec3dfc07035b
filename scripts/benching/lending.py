"""Measures lent objects beside those of a peer; `scripts/bench --remote` starts it."""

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from accounting import LENDERS, SESSIONS, account
from borrowing import PASSWORD, USER
from measuring import SETTLE, Figures, rotated
from peers import HERE, Failure, Peer, Server, free_port, running
from preparing import prepare
from remembering import call
from steadying import Steadier

DOCS = Path(__file__).parents[2] / "docs"
CLIENT_TIMEOUT = 60.0  # seconds that a client may take beyond what it measures
LENDING = """\
database: memory
password_memory: 64
password_time: 1
password_rules: never
remote_enabled: true
remote_port: {port}
remote_module: lent
"""  # with a cheap hash, so that a thousand sessions are open soon: no figure is of that


@dataclass(frozen=True)
class Plan:
    """How much is measured: rounds of calls, and of idle sessions; in these seconds of each."""

    rounds: int
    warm_up: float
    seconds: float
    idle_rounds: int
    alone: float
    idle: float


FULL = Plan(rounds=5, warm_up=1, seconds=3, idle_rounds=3, alone=10, idle=30)
QUICK = Plan(rounds=3, warm_up=0.5, seconds=1, idle_rounds=1, alone=2, idle=5)


def measure(plan: Plan, steadier: Steadier) -> Figures:
    """Measure all in one interleaved run; the figures are of a server, and a metric."""
    figures: Figures = defaultdict(list)
    for number in range(plan.rounds):
        for peer in rotated(LENDERS, number):
            found = steadier.measure(partial(calls, peer, plan))
            for metric, value in found.items():
                figures[peer.name, metric].append(value)
            told = "  ".join(f"{metric} {value:.6g}" for metric, value in found.items())
            print(f"calls {number + 1}/{plan.rounds}  {peer.name}: {told}", file=sys.stderr)
    for number in range(plan.idle_rounds):
        found = steadier.measure(partial(idle, plan))
        for metric, value in found.items():
            figures["totohio", metric].append(value)
        told = "  ".join(f"{metric} {value:.6g}" for metric, value in found.items())
        print(f"idle {number + 1}/{plan.idle_rounds}  totohio: {told}", file=sys.stderr)
    return figures


@contextlib.contextmanager
def lender(peer: Peer) -> Iterator[tuple[Server, int]]:
    """Run a server on its core as long as the block lasts; give it, and the port where it lends.

    Raises:
        Failure: It does not start.
    """
    if peer.name != "totohio":
        with running(peer) as server:
            yield server, server.port
        return
    port = free_port()
    with running(peer, LENDING.format(port=port)) as server:
        call(server, "account.create", {"user_id": USER, "password": PASSWORD})
        yield server, port


def calls(peer: Peer, plan: Plan) -> dict[str, float]:
    """Measure the calls of one client, one by one and with many in flight: how many a second, and what they cost.

    Raises:
        Failure: The server does not start, or a call failed.
    """
    with lender(peer) as (server, port):
        command = [HERE / "borrowing.py", peer.name, server.pid, port, plan.warm_up, plan.seconds]
        limit = 2 * (plan.warm_up + plan.seconds) + CLIENT_TIMEOUT
        run = subprocess.run(
            [sys.executable, *map(str, command)], capture_output=True, text=True, check=False, timeout=limit
        )
    if run.returncode:
        raise Failure(f"the client of {peer.name} failed: {run.stderr}")
    found: dict[str, float] = json.loads(run.stdout)
    return found


def idle(plan: Plan) -> dict[str, float]:
    """Measure what idle sessions cost the server: the share of a core, and bytes of each.

    Raises:
        Failure: The server does not start, or has not kept all sessions.
    """
    command = [sys.executable, str(HERE / "idling.py")]
    with lender(LENDERS[0]) as (server, port):
        time.sleep(SETTLE)
        found = {"alone": load(server, plan.alone)}
        memory = server.memory()
        with subprocess.Popen(
            [*command, str(port), str(SESSIONS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as clients:
            assert clients.stdin is not None
            assert clients.stdout is not None
            try:
                opened = clients.stdout.readline()
                time.sleep(SETTLE)
                found["memory"] = (server.memory() - memory) / SESSIONS
                found["idle"] = load(server, plan.idle)
                left, _ = clients.communicate(timeout=CLIENT_TIMEOUT)
            finally:
                clients.kill()
    if not opened.strip() == left.strip() == str(SESSIONS):
        raise Failure(
            f"of {SESSIONS} sessions {opened.strip() or 'none'} were opened, and {left.strip() or 'none'} kept"
        )
    return found


def load(server: Server, seconds: float) -> float:
    """Give the share of a core that a server takes."""
    busy, start = server.busy(), time.monotonic()
    time.sleep(seconds)
    return (server.busy() - busy) / (time.monotonic() - start)


def main() -> None:
    """Measure as the command line says, print the tables, and keep those of a full run."""
    parser = argparse.ArgumentParser(prog="scripts/bench --remote", description="Measure lent objects beside a peer's.")
    parser.add_argument("--quick", action="store_true", help="short rounds, for a first impression; writes no page")
    parser.add_argument("--docs", type=Path, default=DOCS, metavar="FOLDER", help="where the page goes (docs/)")
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    prepare()
    steadier = Steadier()
    page = account(
        measure(plan, steadier),
        steadier,
        rounds=plan.rounds,
        seconds=plan.seconds,
        idle_rounds=plan.idle_rounds,
        idle=plan.idle,
    )
    print(page)
    if not options.quick:
        options.docs.mkdir(exist_ok=True)
        (options.docs / "benchmarks_remote.md").write_text(page, "utf-8")


if __name__ == "__main__":
    main()
