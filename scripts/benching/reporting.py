"""What is made of the figures: tables with ratios and their spread, the verdicts, a page and a plot."""

import os
import platform
import subprocess
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

from matplotlib.figure import Figure
from measuring import CONNECTIONS, STREAM_CONNECTIONS, Figures, Plan
from peers import BATCH_SIZE, CLIENT_CORE, CROWD, PIECE_SIZE, PIECES, SERVER_CORE, SINGLE, Peer
from steadying import Steadier
from tabulate import tabulate

PACKAGES = ("totohio", "hio", "httptools", "msgspec", "uvicorn", "uvloop", "orjson", "fastapi", "tornado")
RED, GREY = "#b5302f", "#9aa5b1"

# Metric, its heading, and how one value is written.
Column = tuple[str, str, Callable[[float], str]]


def thousands(value: float) -> str:
    """Write a rate."""
    return f"{value:,.0f}"


def milliseconds(value: float) -> str:
    """Write seconds as milliseconds."""
    return f"{value * 1e3:.2f}"


def microseconds(value: float) -> str:
    """Write seconds as microseconds."""
    return f"{value * 1e6:,.0f}"


def times(value: float) -> str:
    """Write a ratio."""
    return f"{value:.2f}"


def percent(value: float) -> str:
    """Write a share."""
    return f"{value * 100:.2f}"


def kilobytes(value: float) -> str:
    """Write bytes as kilobytes of 1,024."""
    return f"{value / 1024:.1f}"


def megabytes(value: float) -> str:
    """Write bytes as megabytes of a million."""
    return f"{value / 1e6:,.0f}"


BUSY: tuple[Column, ...] = (
    ("calls", "calls/s", thousands),
    ("calls/uvicorn", "÷ uvicorn", times),
    ("calls/limit", "÷ limit", times),
    ("loaded p99", f"p99, {CONNECTIONS} connections, ms", milliseconds),
    ("p50", "p50, 1 connection, µs", microseconds),
    ("p99", "p99, 1 connection, µs", microseconds),
)
IDLE: tuple[Column, ...] = (
    ("cpu", "CPU, %", percent),
    ("memory", "KB a connection", kilobytes),
    ("alone p50", "p50 without, µs", microseconds),
    ("crowded p50", "p50 beside, µs", microseconds),
    ("crowding", "beside ÷ without", times),
)
BATCH: tuple[Column, ...] = (
    ("batched calls", "calls/s in batches", thousands),
    ("calls", "single calls/s", thousands),
    ("batching", "÷ single", times),
)
STREAM: tuple[Column, ...] = (
    ("streamed", "MB/s", megabytes),
    ("streamed/uvicorn", "÷ uvicorn", times),
)

# What is compared with these two.
BASES = ("uvicorn", "limit")
COMPARED = ("calls", "loaded p99", "p50", "streamed")

# What is claimed of totohio: metric, the side on which it must stay, the bound, and how it is said.
CLAIMS: tuple[tuple[str, str, float, str], ...] = (
    ("calls/uvicorn", "at least", 1.5, "calls/s ÷ those of raw uvicorn"),
    ("calls/limit", "at least", 0.6, "calls/s ÷ those of the practical limit"),
    ("loaded p99/uvicorn", "at most", 1.0, f"p99 at {CONNECTIONS} connections ÷ uvicorn's"),
    ("batching", "at least", 4.0, f"calls/s in batches of {BATCH_SIZE} ÷ single calls/s"),
    ("p50/uvicorn", "at most", 1.0, "one connection's p50 ÷ uvicorn's"),
    ("cpu %", "at most", 1.0, f"CPU with {CROWD:,} idle connections, %"),
    ("memory KB", "at most", 6.0, "memory of an idle connection, KB"),
    ("crowding", "at most", 1.3, f"an active client's p50 beside {CROWD:,} idle ones ÷ without them"),
)


def compare(figures: Figures) -> Figures:
    """Add the ratios, each of values from the same round."""
    ratios: Figures = {}
    for (peer, metric), values in figures.items():
        for base in BASES:
            if metric in COMPARED and (base, metric) in figures:
                ratios[peer, f"{metric}/{base}"] = divided(values, figures[base, metric])
        if metric == "crowded p50":
            ratios[peer, "crowding"] = divided(values, figures[peer, "alone p50"])
        elif metric == "batched calls":
            ratios[peer, "batching"] = divided(values, figures[peer, "calls"])
        elif metric == "cpu":
            ratios[peer, "cpu %"] = [100 * value for value in values]
        elif metric == "memory":
            ratios[peer, "memory KB"] = [value / 1024 for value in values]
    return {**figures, **ratios}


def divided(values: Sequence[float], bases: Sequence[float]) -> list[float]:
    """Divide round by round."""
    return [value / base for value, base in zip(values, bases, strict=True)]


def spread(values: Sequence[float] | None, write: Callable[[float], str]) -> str:
    """Write the median and, where rounds differ, from where to where they went."""
    if not values:
        return ""
    middle, low, high = write(median(values)), write(min(values)), write(max(values))
    return middle if low == high else f"{middle} ({low} to {high})"


def table(figures: Figures, peers: Sequence[Peer], columns: Sequence[Column]) -> str:
    """Give a table of the peers that have figures for the first column; nothing when none has."""
    rows = [
        [peer.name, *(spread(figures.get((peer.name, metric)), write) for metric, _, write in columns)]
        for peer in peers
        if (peer.name, columns[0][0]) in figures
    ]
    return (
        tabulate(rows, ["", *(heading for _, heading, _ in columns)], "github", disable_numparse=True) if rows else ""
    )


def verdicts(figures: Figures) -> str:
    """Give a table of what is claimed of totohio and what was measured; nothing when it was not."""
    rows = []
    for metric, way, bound, said in CLAIMS:
        if values := figures.get(("totohio", metric)):
            value = median(values)
            met = value >= bound if way == "at least" else value <= bound
            rows.append([said, f"{way} {bound:g}", spread(values, times), "yes" if met else "**no**"])
    return tabulate(rows, ["", "claimed", "measured", "holds"], "github", disable_numparse=True) if rows else ""


def facts() -> str:
    """Give what the figures were measured on."""
    wrk = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout.split()[1]
    return f"{machine(PACKAGES)}; wrk {wrk}."


def machine(packages: Sequence[str]) -> str:
    """Give the machine, and the versions of some packages."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return (
        f"{model}, {os.cpu_count()} cores; Linux {'.'.join(platform.release().split('.')[:2])}; "
        f"CPython {platform.python_version()}; {', '.join(f'{name} {version(name)}' for name in packages)}"
    )


def report(figures: Figures, peers: Sequence[Peer], plan: Plan, steadier: Steadier) -> str:
    """Give the page."""
    figures = compare(figures)
    about = "\n".join(f"- **{peer.name}**: {peer.about}" for peer in peers)
    parts = [
        "# Benchmarks",
        "Written by `scripts/bench`, which builds what it needs and measures all servers in one run.",
        facts(),
        f"Each server runs alone, in one process on core {SERVER_CORE}, and wrk on core {CLIENT_CORE}. In each of "
        f"{plan.rounds} rounds every server is started, checked to give the same reply, warmed up and measured; the "
        "order moves on by one from round to round. Tables show medians, and in brackets from where to where the "
        f"rounds went. Ratios are taken within a round. {steadier.said()}",
        f"The call is `POST /` with `{SINGLE.decode()}`.",
        about,
        "![calls per second](benchmarks.png)",
    ]
    sections = (
        ("What is claimed", "", verdicts(figures)),
        (
            "Calls",
            f"{CONNECTIONS} connections at full load, {plan.busy:g} s; then one connection, {plan.single:g} s.",
            table(figures, peers, BUSY),
        ),
        (
            f"{CROWD:,} idle connections",
            f"Each made one request before, and another afterwards. CPU over {plan.idle:g} s; p50 of one more "
            f"connection that is active, beside them and (the mean of before and after) without. "
            f"{plan.idle_rounds} rounds.",
            table(figures, peers, IDLE),
        ),
        (
            "Batches",
            f"{BATCH_SIZE} calls in each request, {CONNECTIONS} connections.",
            table(figures, peers, BATCH),
        ),
        (
            "Streams",
            f"A reply in {PIECES} pieces of {PIECE_SIZE // 1024} KB, {STREAM_CONNECTIONS} connections.",
            table(figures, peers, STREAM),
        ),
    )
    for title, text, rows in sections:
        if rows:
            parts += [f"## {title}", *filter(None, [text]), rows]
    return "\n\n".join(parts) + "\n"


def plot(figures: Figures, peers: Sequence[Peer], path: Path) -> None:
    """Draw the calls per second and the time of a single one."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    names = [peer.name for peer in peers]
    colors = [RED if name == "totohio" else GREY for name in names]
    for panel, metric, factor, title in (
        (panels[0], "calls", 1e-3, f"thousand calls/s, {CONNECTIONS} connections"),
        (panels[1], "p50", 1e6, "µs a call, 1 connection (p50)"),
    ):
        values = [[value * factor for value in figures[name, metric]] for name in names]
        middles = [median(row) for row in values]
        errors = [
            [middle - min(row) for middle, row in zip(middles, values, strict=True)],
            [max(row) - middle for middle, row in zip(middles, values, strict=True)],
        ]
        bars = panel.barh(names, middles, xerr=errors, color=colors, ecolor="#444444")
        panel.bar_label(bars, [f"{middle:,.0f}" for middle in middles], padding=6)
        panel.set_title(title, fontsize=10)
        panel.margins(x=0.2)
        panel.spines[["top", "right"]].set_visible(False)
    panels[1].set_xscale("log")  # hio at its default tock takes hundreds of times as long as the others
    panels[1].set_xlim(left=10)
    panels[0].invert_yaxis()
    figure.savefig(path, dpi=120)
