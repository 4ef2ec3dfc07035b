"""What is made of the figures of events: tables with ratios, whether what is aimed at is met, and a page."""

import subprocess
from statistics import median

from fanning import FANS, POLLS, STREAMS, WARM_UP
from measuring import Figures
from peers import CLIENT_CORE, SERVER_CORE
from relaying import BUSES
from reporting import Column, divided, machine, microseconds, milliseconds, spread, table, thousands, times
from scaling import COUNTS
from steadying import Steadier
from tabulate import tabulate

PACKAGES = (
    "totohio",
    "hio",
    "httptools",
    "msgspec",
    "tornado",
    "starlette",
    "sse-starlette",
    "uvicorn",
    "uvloop",
    "orjson",
    "redis",
)
AIM = 2.0  # times as fast as the faster of the others
KINDS = {"polls": f"{POLLS:,} long-polls", "streams": f"{STREAMS:,} streams"}
RELAYED: tuple[Column, ...] = (("relay p50", "p50, µs", microseconds), ("relay p99", "p99, µs", microseconds))


def columns(kind: str) -> tuple[Column, ...]:
    """Give the columns of what one event for many costs."""
    return (
        (f"{kind} last", "last client has it, ms", milliseconds),
        (f"{kind} last ratio", "÷ totohio", times),
        (f"{kind} server", "server's CPU, ms", milliseconds),
        (f"{kind} server ratio", "÷ totohio", times),
        (f"{kind} clients", "clients read, ms", milliseconds),
    )


def compare(figures: Figures) -> Figures:
    """Add the ratios to totohio's, each of values from the same round."""
    ratios: Figures = {}
    for peer in FANS:
        for kind in KINDS:
            for metric in (f"{kind} last", f"{kind} server"):
                ratios[peer.name, f"{metric} ratio"] = divided(figures[peer.name, metric], figures["totohio", metric])
    return {**figures, **ratios}


def verdicts(figures: Figures) -> str:
    """Give a table of what is aimed at and what was measured: beside the other that is faster in its median."""
    rows = []
    others = [peer.name for peer in FANS if peer.name != "totohio"]
    for kind, said in KINDS.items():
        for metric, what in (("last", "time to the last client"), ("server", "server's CPU")):
            best = min(others, key=lambda name: median(figures[name, f"{kind} {metric}"]))
            values = figures[best, f"{kind} {metric} ratio"]
            met = "yes" if median(values) >= AIM else "**no**"
            aim = f"at least {AIM:g}" if metric == "last" else ""
            rows.append([f"{said}: {what}, {best}'s ÷ totohio's", aim, spread(values, times), met if aim else ""])
    return tabulate(rows, ["", "aim", "measured", "met"], "github", disable_numparse=True)


def scaled(figures: Figures) -> list[list[str]]:
    """Give the lines of a table of calls by processes."""
    rows = [[str(count), spread(figures[str(count), "scale calls"], thousands)] for count in COUNTS]
    one, two = (figures[str(count), "scale calls"] for count in COUNTS)
    return [*rows, ["2 ÷ 1", spread(divided(two, one), times)]]


def recount(figures: Figures, steadier: Steadier, *, rounds: int, fanned: int, relayed: int) -> str:
    """Give the page."""
    figures = compare(figures)
    others = "\n".join(f"- **{peer.name}**: {peer.about}" for peer in FANS[1:])
    buses = "\n".join(f"- **{name}**: {about}" for name, about in BUSES.items())
    version = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=False).stdout.split()
    relays = [[name, *(spread(figures[name, metric], write) for metric, _, write in RELAYED)] for name in BUSES]
    parts = [
        "# Benchmarks of events",
        "Written by `scripts/bench --events`, which builds what it needs and measures all in one run.",
        f"{machine(PACKAGES)}; redis-server {version[2].removeprefix('v=')}.",
        f"The servers run on core {SERVER_CORE}, each in one process; all clients are one process on core "
        f"{CLIENT_CORE}, raw sockets in an epoll. In each of {rounds} rounds every server is started anew, and their "
        "order moves on by one. A round's value is the median of its events. Tables show medians of rounds, and in "
        f"brackets from where to where these went. Ratios are taken within a round. {steadier.said()}",
        others,
        "## What is aimed at",
        f"To be at least {AIM:g} times as fast as the faster of the others in the time to the last client.",
        verdicts(figures),
        f"## {KINDS['polls']}",
        f"{POLLS:,} clients with a kept-alive connection each have a call waiting. One more calls a method that sends "
        "an event, which answers all of them. Measured is from before that call is sent until the last byte of the "
        f"last answer is there; {WARM_UP} events to warm up, then {fanned}. Each answer is compared with what was "
        "sent. The server's CPU is what all its threads spend from then on until it is at rest again; what the clients "
        "need for reading is told, too. They never sleep meanwhile: over the loopback interface the sender pays for "
        "waking a reader that sleeps, in a virtual machine as much as for the sending, and no server pays that for "
        'clients on other machines. In totohio the method is `args = yield handler.event("bench")`; '
        "in Tornado it waits for a `tornado.locks.Condition`, as in the chat of its documentation; in Starlette for an "
        "`asyncio.Event` that is made anew for each event.",
        table(figures, FANS, columns("polls")),
        f"## {KINDS['streams']}",
        f"{STREAMS:,} clients have a stream of server-sent events open. An event is sent and measured as above. Each "
        "message has a name, an id and the data, and is looked for in what each client receives. In totohio the "
        'method is `handler.event_stream("bench")`: it keeps a history from which a client that comes again gets what '
        "it has missed, and bounds what waits for each. Tornado makes the message once and writes it to each handler "
        "in turn, without either. In Starlette it goes into an `asyncio.Queue` for each client, from which "
        "sse-starlette's `EventSourceResponse`, without its pings, takes it.",
        table(figures, FANS, columns("streams")),
        "## From process to process",
        f"A client calls a method of one process that sends an event; another has a stream open in the other process. "
        f"Both are in one process of one thread, so that one clock measures: from before the call is sent until the "
        f"event is received, nothing subtracted. {relayed:,} events in a round, each sent when the one before has been "
        "received and the call before answered. Both servers share a core.",
        buses,
        tabulate(relays, ["", *(heading for _, heading, _ in RELAYED)], "github", disable_numparse=True),
        "The redis-server writes nothing to a disk.",
        "## Two processes",
        "Calls of a method that computes for about a third of a millisecond, from wrk with 64 connections, which "
        "shares the cores with the processes. Aimed at: at least 1.7 times the calls of one.",
        tabulate(scaled(figures), ["processes", "calls/s"], "github", disable_numparse=True),
        "## What to keep in mind",
        "One machine with two cores, and the loopback interface: what the kernel does for the clients when they are "
        "sent something is done on the server's core, and counts for every server alike. Where anything else runs on "
        "the machine, the time to the last client tells more of that than of the servers; the server's CPU does not. "
        "All clients read at once; slow ones are not measured here.",
    ]
    return "\n\n".join(parts) + "\n"
