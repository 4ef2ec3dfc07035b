"""The plot of latency over time: a file that stands alone, says the figures, and bears any number of samples."""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from totohio.sim.pictures.plotting import latency_plot
from totohio.sim.seeding import Dice

Sample = tuple[float, float, str]

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"


def drawn(folder: Path, samples: list[Sample], title: str = "load") -> ElementTree.Element:
    path = folder / "latency.svg"
    latency_plot(samples, title=title, path=path)
    return ElementTree.fromstring(path.read_text("utf-8"))


def texts(picture: ElementTree.Element) -> list[str]:
    return ["".join(text.itertext()).strip() for text in picture.iter(f"{SVG}text")]


def many(count: int, seconds: float, outcomes: tuple[str, ...] = ("ok",)) -> list[Sample]:
    dice = Dice("plot", count)
    return [(seconds * number / count, dice.exponential(0.01), dice.pick(outcomes)) for number in range(count)]


def test_the_figures_stand_above_the_picture_and_failures_beside_it(tmp_path: Path):
    samples = [(number * 0.1, (number + 1) * 0.001, "ok") for number in range(100)]
    samples += [(3.0, 1.0, "ETIMEDOUT"), (4.0, 1.0, "ETIMEDOUT"), (5.0, 0.5, "1007")]
    said = texts(drawn(tmp_path, samples, "increments"))
    assert "increments" in said
    assert (
        "103 calls in 9.9 s  ·  p50 50 ms  ·  p90 90 ms  ·  p99 99 ms  ·  slowest 100 ms  ·  3 failed (2.91%)" in said
    )
    assert {"p50", "p90", "p99", "ETIMEDOUT (2)", "1007 (1)"} <= set(said)
    assert {"latency", "calls a second", "10 ms", "1 s"} <= set(said)


def test_each_window_has_its_own_percentiles(tmp_path: Path):
    calm = [(number * 0.1, 0.001, "ok") for number in range(400)]
    slow = [(40.0 + number * 0.1, 0.1, "ok") for number in range(400)]
    picture = drawn(tmp_path, calm + slow)
    curves = [path.get("d", "") for path in picture.iter(f"{SVG}path") if "stroke: #0b3d91" in path.get("style", "")]
    heights = {float(y) for _, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", max(curves, key=len))}
    assert len(heights) == 2


def test_an_hour_of_calls_gives_a_small_file_and_the_same_each_time(tmp_path: Path):
    samples = many(720_000, 3600.0, ("ok",) * 9 + ("ETIMEDOUT",))
    picture = drawn(tmp_path, samples)
    first = (tmp_path / "latency.svg").read_bytes()
    assert len(first) < 1_000_000
    assert any(text.startswith("720,000 calls in 3,600 s") for text in texts(picture))
    drawn(tmp_path, samples)
    assert (tmp_path / "latency.svg").read_bytes() == first


def test_the_file_needs_nothing_else(tmp_path: Path):
    picture = drawn(tmp_path, many(6000, 60.0))
    links = [element.get(LINK, "#") for element in picture.iter()]
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    assert any(link.startswith("data:") for link in links)  # the density


@pytest.mark.parametrize(
    "samples",
    [
        [],
        [(5.0, 0.25, "ok")],
        [(5.0, 0.25, "ETIMEDOUT")],
        [(5.0, 0.0, "ok"), (5.0, 0.0, "1000")],
        [(number, 0.25, "ok") for number in range(10_000)],
        [(5.0, 0.25, "ok")] * 10_000,
    ],
    ids=["none", "one", "one that failed", "no time at all", "always the same", "all at once"],
)
def test_odd_samples_are_drawn_too(tmp_path: Path, samples: list[Sample]):
    said = texts(drawn(tmp_path, samples))
    assert any(text.startswith(f"{len(samples):,} call" if samples else "no calls") for text in said)


def test_a_day_is_told_in_whole_seconds(tmp_path: Path):
    assert any(
        text.startswith("2 calls in 86,400 s")
        for text in texts(drawn(tmp_path, [(0.0, 1.0, "ok"), (86400.25, 1.0, "ok")]))
    )


def test_rare_outcomes_share_a_color(tmp_path: Path):
    samples = [(float(number), 0.1, str(1000 + number % 20)) for number in range(200)]
    said = texts(drawn(tmp_path, samples))
    assert "15 other outcomes (150)" in said
    assert "1004 (10)" in said
    assert "1005 (10)" not in said


def test_texts_are_drawn_as_they_are(tmp_path: Path):
    title, outcome = "a $x^{2$ & <b>\x00\n\ud800 日本", "<script>$\\frac{1}$\x1b"
    said = texts(drawn(tmp_path, [(1.0, 0.1, "ok"), (2.0, 0.1, outcome)], title))
    assert r"a $x^{2$ & <b>\x00\n\ud800 日本" in said
    assert r"<script>$\frac{1}$\x1b (1)" in said


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'totohio\[sim\]'"):
        latency_plot([], title="load", path=tmp_path / "latency.svg")
