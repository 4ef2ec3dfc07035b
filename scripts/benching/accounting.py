"""What is made of the figures of lent objects: tables with ratios, whether what is aimed at is met, and a page."""

from dataclasses import replace
from statistics import median

from borrowing import IN_FLIGHT, MESSAGE
from measuring import Figures
from peers import CLIENT_CORE, PEERS, SERVER_CORE, Peer
from reporting import Column, divided, kilobytes, machine, microseconds, percent, spread, table, thousands, times
from steadying import Steadier
from tabulate import tabulate

from totohio.remote.connecting import KEEPALIVE

PACKAGES = ("totohio", "hio", "msgspec", "rpyc")
SESSIONS = 1000  # idle ones
LENDERS = (
    replace(PEERS[0], about="the lent function of a module, and the client that waits"),
    Peer("rpyc", "RPyC's ThreadedServer, an exposed method, `rpyc.connect`", ("servers/rpyc_threaded.py", "{port}")),
    Peer(
        "echo",
        f"a socket and a thread that sends {len(MESSAGE)} bytes back: what a round trip costs in Python at least",
        ("servers/echo.py", "{port}"),
    ),
)
KINDS = ("single", "flight")
IDLE: tuple[Column, ...] = (
    ("idle", "CPU, %", percent),
    ("alone", "CPU without, %", percent),
    ("memory", "KB a session", kilobytes),
)

# What is aimed at: metric, the side on which it has to stay, the bound, and how it is said.
AIMS: tuple[tuple[str, str, float, str], ...] = (
    ("single calls ratio", "at least", 1.3, "calls/s, call by call, ÷ RPyC's"),
    ("flight calls ratio", "at least", 2.5, f"calls/s, {IN_FLIGHT} in flight, ÷ RPyC's"),
    ("idle %", "below", 1.0, f"CPU with {SESSIONS:,} idle sessions, %"),
)


def columns(kind: str) -> tuple[Column, ...]:
    """Give the columns of one kind of calls."""
    return (
        (f"{kind} calls", "calls/s", thousands),
        (f"{kind} calls ratio", "÷ rpyc", times),
        (f"{kind} server", "server's CPU, µs a call", microseconds),
        (f"{kind} client", "client's CPU, µs a call", microseconds),
    )


def compare(figures: Figures) -> Figures:
    """Add the ratios to RPyC's, each of values from the same round."""
    ratios: Figures = {
        (name, f"{metric} ratio"): divided(values, figures["rpyc", metric])
        for (name, metric), values in figures.items()
        if metric in [f"{kind} calls" for kind in KINDS]
    }
    ratios["totohio", "idle %"] = [100 * value for value in figures["totohio", "idle"]]
    return {**figures, **ratios}


def verdicts(figures: Figures) -> str:
    """Give a table of what is aimed at and what was measured."""
    rows = []
    for metric, way, bound, said in AIMS:
        values = figures["totohio", metric]
        value = median(values)
        met = value >= bound if way == "at least" else value < bound
        rows.append([said, f"{way} {bound:g}", spread(values, times), "yes" if met else "**no**"])
    return tabulate(rows, ["", "aim", "measured", "met"], "github", disable_numparse=True)


def account(figures: Figures, steadier: Steadier, *, rounds: int, seconds: float, idle_rounds: int, idle: float) -> str:
    """Give the page."""
    figures = compare(figures)
    about = "\n".join(f"- **{peer.name}**: {peer.about}" for peer in LENDERS)
    parts = [
        "# Benchmarks of lent objects",
        "Written by `scripts/bench --remote`, which builds what it needs and measures all in one run.",
        f"{machine(PACKAGES)}.",
        f"Each server runs alone, in one process on core {SERVER_CORE}, and its client in one process on core "
        f"{CLIENT_CORE}. In each of {rounds} rounds every server is started anew, warmed up and measured; their order "
        "moves on by one. Tables show medians of rounds, and in brackets from where to where these went. Ratios are "
        f"taken within a round. {steadier.said()}",
        about,
        "## What is aimed at",
        verdicts(figures),
        "## Call by call",
        f"One connection, and `add(1, 2)`, whose every sum is looked at; {seconds:g} s in a round. The client waits "
        "for each. What is called has been fetched before: `remote.add`, and `connection.root.add`. In totohio the "
        "client has logged in, and each call has a deadline and counts against limits; RPyC's client is anybody.",
        table(figures, LENDERS, columns("single")),
        f"## {IN_FLIGHT} calls in flight",
        f"The same connection, afterwards. The client waits for the oldest of {IN_FLIGHT} calls and makes another, in "
        "totohio with `remote.later(remote.add)`, in RPyC with `rpyc.async_(connection.root.add)`.",
        table(figures, LENDERS, columns("flight")),
        f"## {SESSIONS:,} idle sessions",
        f"{SESSIONS:,} clients have logged in, over a connection each, and say nothing but that they are there, every "
        f"{KEEPALIVE:g} s, as the client that waits does; they come evenly spread, so that the server is woken for "
        "each. They are in one process. CPU is what all threads of the server spend, over "
        f"{idle:g} s; without is before they have come. Afterwards each session is asked whether it is still served. "
        f"{idle_rounds} round{'s' if idle_rounds > 1 else ''}.",
        table(figures, LENDERS, IDLE),
        "## What to keep in mind",
        "One machine with two cores, and the loopback interface. Call by call, most of the time goes into waking the "
        "other end, which is the same for all, and costs more in a virtual machine; the echo shows how much. RPyC's "
        "server has a thread for each connection, totohio's has one for all of them. Where anything else runs on the "
        "machine, calls per second tell of that as well; the CPU that a call takes does so less.",
    ]
    return "\n\n".join(parts) + "\n"
