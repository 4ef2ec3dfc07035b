"""Measures totohio beside its peers; `scripts/bench` starts it."""

import argparse
from pathlib import Path

from measuring import FULL, QUICK, measure
from peers import PEERS
from preparing import prepare
from reporting import plot, report
from steadying import Steadier

DOCS = Path(__file__).parents[2] / "docs"


def main() -> None:
    """Measure as the command line says, print the tables, and keep those of a full run."""
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure totohio beside its peers.")
    parser.add_argument("--quick", action="store_true", help="short rounds, for a first impression; writes no page")
    parser.add_argument("--only", metavar="NAME,...", help=f"some of {', '.join(names)}; writes no page")
    parser.add_argument("--docs", type=Path, default=DOCS, metavar="FOLDER", help="where the page goes (docs/)")
    options = parser.parse_args()
    chosen = options.only.split(",") if options.only else names
    if unknown := set(chosen) - set(names):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    peers = [peer for peer in PEERS if peer.name in chosen]
    plan = QUICK if options.quick else FULL
    prepare()
    steadier = Steadier()
    figures = measure(peers, plan, steadier)
    page = report(figures, peers, plan, steadier)
    print(page)
    if options.quick or options.only:
        return
    options.docs.mkdir(exist_ok=True)
    (options.docs / "benchmarks.md").write_text(page, "utf-8")
    plot(figures, peers, options.docs / "benchmarks.png")


if __name__ == "__main__":
    main()
