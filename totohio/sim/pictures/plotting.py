"""Latency over time, as a picture: how long calls took, which of them failed, and how many there were.

The picture stays small and can be read however many samples there are: many points become a density, and percentiles
are taken over windows of a round length. The same samples give the same file.
"""

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from os import PathLike
from typing import TYPE_CHECKING, Any

from totohio.base.writing import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = Any  # an array; numpy's own types for it are written for the newest Python only

OK = "ok"  # the outcome of a call that went well
SHARES = (0.5, 0.9, 0.99)
SINGLE = 4_000  # samples that are drawn one by one; more are drawn as a density
CELLS = (240, 90)  # of the density, in tyme and in latency
WINDOWS = 120  # over the whole run at most
FILL = 40  # samples that a window should have on average: fewer say little about its slowest hundredth
FAILURES = 6  # outcomes that are told apart; the rarest share one
LEAST = 1e-6  # seconds: what took less is drawn there, because the axis is logarithmic
SIZE = (11.0, 6.4)  # inches
LONGEST = 60  # characters of an outcome

BLUES = ("#0b3d91", "#2f7de1", "#18a0c4")  # of the percentiles, the lowest first
GREYS = ("#e9ecf0", "#b4bcc7", "#7d8896")  # of single calls, from few to many
CALM = "#b9cdea"  # of the calls in each second
REDS = ("#d1242f", "#e8710a", "#8250df", "#bf3989", "#9a6700", "#57606a")
TEXT, MUTED, EDGE = "#1c2128", "#667080", "#dde1e6"
STYLE = {
    "font.family": "sans-serif",
    "font.size": 10.0,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "totohio",  # the names in the file are the same each time
    "text.color": TEXT,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": EDGE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": EDGE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.minor.size": 0.0,
    "ytick.minor.size": 0.0,
    "legend.frameon": False,
}


def latency_plot(samples: Sequence[tuple[float, float, str]], *, title: str, path: str | PathLike[str]) -> None:
    """Draw latency over time into an SVG file that needs nothing else.

    Args:
        samples: Of each call the tyme at which it came, the seconds that it took, and its outcome: "ok" or what went
            wrong.
        title: What stands above it.
        path: Of the file.

    Raises:
        ImportError: Matplotlib is not installed; the extra ``totohio[sim]`` brings it.
        OSError: The file cannot be written.
    """
    matplotlib = _package("matplotlib")
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # Who shows the file has fonts of his own.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure = _figure(samples, title)
        figure.savefig(path, format="svg", metadata={"Date": None, "Title": printable(title)})


def _package(name: str) -> Any:
    """Give a package that only plots need."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"a plot needs the package {name}: pip install 'totohio[sim]'") from error


def _figure(samples: Sequence[tuple[float, float, str]], title: str) -> "Figure":
    np = _package("numpy")
    from matplotlib.figure import Figure

    count = len(samples)
    tymes = np.fromiter((sample[0] for sample in samples), float, count)
    taken = np.maximum(np.fromiter((sample[1] for sample in samples), float, count), LEAST)
    well = np.fromiter((sample[2] == OK for sample in samples), bool, count)

    figure = Figure(figsize=SIZE)
    figure.set_layout_engine("constrained", h_pad=0.08, w_pad=0.1)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    figure.suptitle(printable(title), x=0.009, ha="left", fontsize=13, fontweight="bold").set_parse_math(False)
    upper.set_title(_summary(tymes, taken[well], count), loc="left", fontsize=10, color=MUTED, pad=8)
    upper.set_ylabel("latency")
    lower.set_ylabel("calls a second")
    lower.set_xlabel("tyme at which the call came, s")
    if count:
        edges = _edges(float(tymes.min()), float(tymes.max()), count)
        _draw_points(upper, tymes[well], taken[well])
        _draw_percentiles(upper, tymes[well], taken[well], edges)
        _draw_failures(upper, samples, tymes, taken)
        _draw_rates(lower, tymes, well, edges)
        lower.set_xlim(edges[0], edges[-1])
        _scale_latency(upper)
        handles, labels = upper.get_legend_handles_labels()
        legend = figure.legend(handles, labels, loc="outside lower left", ncols=6, fontsize=9)
        for text in legend.get_texts():
            text.set_parse_math(False)
    figure.align_ylabels((upper, lower))
    return figure


def _summary(tymes: Floats, taken: Floats, count: int) -> str:
    if not count:
        return "no calls"
    failed = count - len(taken)
    seconds = float(tymes.max() - tymes.min())
    length = f"{seconds:,.0f}" if seconds >= 1000.0 else f"{seconds:.4g}"
    parts = [f"{count:,} call{'' if count == 1 else 's'} in {length} s"]
    if len(taken):
        ordered = sorted(taken.tolist())
        parts += [f"p{share * 100:g} {_lasting(_ranked(ordered, share))}" for share in SHARES]
        parts.append(f"slowest {_lasting(ordered[-1])}")
    parts.append(f"{failed:,} failed ({failed / count:.2%})" if failed else "none failed")
    return "  ·  ".join(parts)


def _ranked(ordered: Sequence[float], share: float) -> float:
    """Give the percentile by its nearest rank: the least value that so many do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _lasting(seconds: float) -> str:
    """Write a time in the unit that suits it."""
    for size, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= size * 0.9995:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def _edges(first: float, last: float, count: int) -> Floats:
    """Give the edges of windows that cover all samples, of a round length except for the first and the last."""
    np = _package("numpy")
    windows = max(1, min(WINDOWS, count // FILL))
    rough = (last - first) / windows or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    length = next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= rough * 0.9999)
    inner = np.arange(math.ceil(first / length), math.floor(last / length) + 1) * length
    inner = inner[(inner - first > length / 2) & (last - inner > length / 2)]  # what is left over joins its neighbour
    return np.concatenate(([first], inner, [np.nextafter(last, math.inf) if last > first else first + length]))


# ---------------------------------------------------------------- what is drawn


def _draw_points(axes: "Axes", tymes: Floats, taken: Floats) -> None:
    """Draw calls that went well, one by one or, when they are many, as a density."""
    np = _package("numpy")
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    if not len(tymes):
        return
    if len(tymes) <= SINGLE:
        axes.scatter(tymes, taken, s=5, color=GREYS[2], alpha=0.6, linewidths=0, rasterized=len(tymes) > SINGLE // 4)
        return
    columns = np.linspace(tymes.min(), tymes.max(), CELLS[0] + 1)
    low, high = math.log10(taken.min()), math.log10(taken.max())
    cells = np.logspace(low - 1e-9, max(high, low + 1e-3) + 1e-9, CELLS[1] + 1)
    density, _, _ = np.histogram2d(tymes, taken, (columns, cells))
    shades = LinearSegmentedColormap.from_list("calls", GREYS)
    axes.pcolormesh(
        columns,
        cells,
        np.ma.masked_equal(density.T, 0),
        cmap=shades,
        norm=LogNorm(1, max(2.0, float(density.max()))),
        rasterized=True,  # a picture inside the picture: 20,000 cells as paths are megabytes
    )


def _draw_percentiles(axes: "Axes", tymes: Floats, taken: Floats, edges: Floats) -> None:
    np = _package("numpy")
    numbers = edges.searchsorted(tymes, "right")  # of the windows, from 1
    order = np.lexsort((taken, numbers))
    taken = taken[order]
    bounds = numbers[order].searchsorted(np.arange(1, len(edges) + 1))
    middles = (edges[:-1] + edges[1:]) / 2
    windows: list[list[float]] = [taken[start:end].tolist() for start, end in pairwise(bounds)]
    curves = [[_ranked(window, share) if window else math.nan for window in windows] for share in SHARES]
    for (lower, upper), color in zip(pairwise(curves), BLUES[1:], strict=True):
        axes.fill_between(middles, lower, upper, color=color, alpha=0.16, linewidth=0)
    for curve, share, color in zip(curves, SHARES, BLUES, strict=True):
        marker = "o" if np.isfinite(curve).sum() < 3 else ""
        axes.plot(middles, curve, color=color, linewidth=1.6, marker=marker, markersize=4, label=f"p{share * 100:g}")


def _draw_failures(axes: "Axes", samples: Sequence[tuple[float, float, str]], tymes: Floats, taken: Floats) -> None:
    """Mark calls that went wrong, by outcome; of those that would cover each other, one."""
    np = _package("numpy")
    counts = Counter(sample[2] for sample in samples if sample[2] != OK)
    kinds = [outcome for outcome, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    numbers = {outcome: min(place, FAILURES - 1) for place, outcome in enumerate(kinds)}
    groups = np.fromiter((numbers.get(sample[2], -1) for sample in samples), int, len(samples))
    span = max(float(np.ptp(tymes)), LEAST)
    for number in range(min(len(kinds), FAILURES)):
        these = groups == number
        places = np.column_stack(
            (np.round((tymes[these] - tymes.min()) / span * CELLS[0] * 2), np.round(np.log10(taken[these]) * 60))
        )
        _, kept = np.unique(places, axis=0, return_index=True)
        several = number == FAILURES - 1 and len(kinds) > FAILURES
        text = f"{len(kinds) - number} other outcomes" if several else printable(str(kinds[number]))[:LONGEST]
        axes.scatter(
            tymes[these][kept],
            taken[these][kept],
            marker="x",
            s=26,
            linewidths=1.3,
            color=REDS[number],
            zorder=3,
            rasterized=len(kept) > SINGLE // 4,
            label=f"{text} ({int(these.sum()):,})",
        )


def _draw_rates(axes: "Axes", tymes: Floats, well: Any, edges: Floats) -> None:
    np = _package("numpy")
    lengths = np.diff(edges)
    whole, _ = np.histogram(tymes, edges)
    failed, _ = np.histogram(tymes[~well], edges)
    axes.stairs(whole / lengths, edges, fill=True, color=CALM, linewidth=0)
    if failed.any():
        axes.stairs(failed / lengths, edges, fill=True, color=REDS[0], linewidth=0)
    axes.set_ylim(0.0, float((whole / lengths).max()) * 1.15)


def _scale_latency(axes: "Axes") -> None:
    """Have a logarithmic axis with round times on it, also where the latencies are much the same."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_yscale("log")
    low, high = axes.dataLim.intervaly
    low, high = float(low) / 1.15, float(high) * 1.3
    axes.set_ylim(low, high)
    steps: tuple[float, ...] = (1.0,) if high / low > 300.0 else (1.0, 2.0, 5.0)
    if high / low < 6.0:
        steps = tuple(step / 2 for step in range(2, 20))
    axes.yaxis.set_major_locator(LogLocator(subs=steps, numticks=20))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda seconds, _: _lasting(seconds)))
