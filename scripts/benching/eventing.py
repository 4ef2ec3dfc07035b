"""Measures events beside those of peers; `scripts/bench --events` starts it."""

import argparse
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fanning import FANS, polls, streams
from measuring import Figures, rotated
from preparing import prepare
from recounting import recount
from relaying import BUSES, relay
from scaling import COUNTS, scale
from steadying import Steadier

DOCS = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True)
class Plan:
    """How much is measured: rounds, an odd number; in each events for many, events passed on, and seconds of calls."""

    rounds: int
    fanned: int
    relayed: int
    seconds: float


FULL = Plan(rounds=5, fanned=9, relayed=2000, seconds=4)
QUICK = Plan(rounds=3, fanned=3, relayed=500, seconds=2)


def measure(plan: Plan, steadier: Steadier) -> Figures:
    """Measure all in one interleaved run; the figures are of a server or bus, and a metric."""
    figures: Figures = defaultdict(list)
    jobs: dict[str, Callable[[], dict[str, float]]] = {}
    for peer in FANS:
        jobs[f"{peer.name} polls"] = lambda peer=peer: polls(peer, plan.fanned)
        jobs[f"{peer.name} streams"] = lambda peer=peer: streams(peer, plan.fanned)
    for bus in BUSES:
        jobs[f"{bus} relay"] = lambda bus=bus: relay(bus, plan.relayed)
    for count in COUNTS:
        jobs[f"{count} scale"] = lambda count=count: scale(count, plan.seconds)
    for number in range(plan.rounds):
        for job in rotated(list(jobs), number):
            found = steadier.measure(jobs[job])
            name, _, kind = job.partition(" ")
            for metric, value in found.items():
                figures[name, f"{kind} {metric}"].append(value)
            told = "  ".join(
                f"{metric} {value:,.0f}/s" if metric == "calls" else f"{metric} {value * 1e3:.3f} ms"
                for metric, value in found.items()
            )
            print(f"{number + 1}/{plan.rounds}  {job}: {told}", file=sys.stderr)
    return figures


def main() -> None:
    """Measure as the command line says, print the tables, and keep those of a full run."""
    parser = argparse.ArgumentParser(prog="scripts/bench --events", description="Measure events beside those of peers.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a first impression; writes no page")
    parser.add_argument("--docs", type=Path, default=DOCS, metavar="FOLDER", help="where the page goes (docs/)")
    options = parser.parse_args()
    if shutil.which("redis-server") is None:
        sys.exit("redis-server is missing. On Debian and Ubuntu:  sudo apt-get install redis-server")
    plan = QUICK if options.quick else FULL
    prepare()
    steadier = Steadier()
    figures = measure(plan, steadier)
    page = recount(figures, steadier, rounds=plan.rounds, fanned=plan.fanned, relayed=plan.relayed)
    print(page)
    if not options.quick:
        (options.docs / "benchmarks_events.md").write_text(page, "utf-8")


if __name__ == "__main__":
    main()
