"""The timeline page: what it holds, that nothing breaks out of it, and that a browser draws it."""

import base64
import json
import math
import re
import shutil
import subprocess
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sim.traces import Noted, traced
from totohio.sim.pictures.drawing import SAFE, timeline
from totohio.sim.pictures.tracing import Detail, Trace

ONE = "client-1:40001>server-1:8888#1"
HOSTILE = "</script><script>throw 1</script><!--<script>\u2028&lt;\x00'\"]]>\ud800 -->"


RUN: tuple[Noted, ...] = (
    ("server-1", "boot"),
    ("server-2", "boot"),
    ("client-1", "call", "client-1", "echo"),
    ("client-1", "connect", ONE),
    ("server-1", "accept", ONE),
    ("client-1", "send", ONE, 100, 1),
    ("server-1", "receive", ONE, 100, 1),
    ("server-1", "log", "warning", "it is late"),
    ("server-1", "send", ONE, 50, 2),
    ("client-1", "receive", ONE, 50, 2),
    ("client-1", "reply", "client-1", "echo", "ok"),
    ("", "fault", 0, "crash", "server-2", 0.5),
    ("server-2", "crash"),
    ("client-2", "call", "client-2", "echo"),
    ("", "check", "nothing is lost", "always", "failed"),
    ("server-1", "exit"),
)


class Page(HTMLParser):
    """What an HTML parser finds in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag
        self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open][-1] += data

    @property
    def scene(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.texts["script"][0])
        return found

    @property
    def entries(self) -> list[tuple[Any, ...]]:
        scene = self.scene
        return [
            (tyme, scene["hosts"][host]["name"], scene["kinds"][kind], *details)
            for tyme, host, kind, *details in scene["entries"]
        ]


def page_of(trace: Trace, failure: str | None = None, **options: Any) -> Page:
    return Page(timeline(trace, title="a test", seed=7, facts={}, failure=failure, **options))


# ---------------------------------------------------------------- what the page holds


def test_the_page_holds_the_trace_and_what_is_known_of_the_run():
    facts = {"commit": "abc123", "replay": "totohio sim test_it.py --seed 7"}
    page = Page(timeline(traced(*RUN), title="test_it.py::test_it", seed=7, facts=facts, failure="it is lost"))
    assert page.entries == traced(*RUN).entries
    assert page.texts["title"] == ["test_it.py::test_it"]
    assert page.scene["title"] == "test_it.py::test_it"
    assert (page.scene["seed"], page.scene["failure"]) == ("7", "it is lost")
    assert page.scene["facts"] == [["commit", "abc123"], ["replay", "totohio sim test_it.py --seed 7"]]


def test_the_page_needs_nothing_else():
    page = page_of(traced(*RUN))
    assert not {"link", "img", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.elements}
    assert not [
        attributes for _, attributes in page.elements if {"src", "srcset", "style", "onclick"} & attributes.keys()
    ]
    assert not re.search(
        r"(?i)url\(|@import|fetch\(|XMLHttpRequest|innerHTML|outerHTML|insertAdjacent|document\.write",
        "".join(page.texts["style"] + page.texts["script"]),
    )


def test_its_policy_lets_only_its_own_script_and_style_act():
    page = page_of(traced(*RUN))
    (policy,) = (attributes["content"] for _, attributes in page.elements if "http-equiv" in attributes)
    style, script = (
        base64.b64encode(sha256(text.encode()).digest()).decode()
        for text in (page.texts["style"][0], page.texts["script"][1])
    )
    assert policy == f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'"


@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())))
def test_no_text_breaks_out_of_the_page(host: str, text: str):
    check_hostile(host + HOSTILE, text)


def test_texts_made_for_breaking_out_of_the_page_do_not():
    check_hostile(HOSTILE, HOSTILE)
    check_hostile("@DATA@", "@SCRIPT@")


def check_hostile(host: str, text: str) -> None:
    trace = traced((host, text, text), (host, "log", "error", text))
    page = Page(timeline(trace, title=host, seed=text, facts={text: host}, failure=text))
    host, text = (each.encode("utf-8", "backslashreplace").decode("utf-8") for each in (host, text))
    assert page.entries == [(0.0, host, text, text), (0.5, host, "log", "error", text)]
    assert (page.scene["title"], page.scene["seed"], page.scene["failure"]) == (host, text, text)
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in page_of(traced()).elements]
    assert [len(text) for text in page.texts["script"][1:]] == [
        len(text) for text in page_of(traced()).texts["script"][1:]
    ]


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        (None, None),
        (True, True),
        (0.1 + 0.2, 0.1 + 0.2),
        (SAFE - 1, SAFE - 1),
        (SAFE, str(SAFE)),
        (-(10**30), str(-(10**30))),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (math.nan, "nan"),
        ("half \ud800 of one", "half \\ud800 of one"),
        ("x" * 5000, "x" * 2000 + "…"),
    ],
)
def test_details_that_a_browser_cannot_hold_are_shown_as_text(detail: Detail, shown: Detail):
    assert page_of(traced(("a", "odd", detail))).entries == [(0.0, "a", "odd", shown)]


def test_a_long_trace_is_shown_from_where_it_still_fits():
    trace = traced(*[("a", "log", "info", str(number)) for number in range(20)], limit=12)
    page = page_of(trace, limit=5)
    assert [entry[-1] for entry in page.entries] == ["15", "16", "17", "18", "19"]
    assert page.scene["first"] == 15
    assert page_of(trace).scene["first"] == trace.dropped > 0


def test_what_comes_after_the_end_is_not_shown():
    trace = traced(*RUN)
    assert page_of(trace, end=len(RUN) - 1).entries == trace.entries[:-1]
    forgetful = traced(*[("a", "log", "info", str(number)) for number in range(20)], limit=12)
    assert page_of(forgetful, end=18, limit=3).scene["first"] == 15
    assert [entry[-1] for entry in page_of(forgetful, end=18, limit=3).entries] == ["15", "16", "17"]
    assert page_of(forgetful, end=3).entries == []


def test_the_moment_of_failure_is_the_check_that_failed_or_else_the_end():
    assert page_of(traced(*RUN), "it is lost").scene["failed"] == 14
    assert page_of(traced(*RUN[:10]), "an exception").scene["failed"] == 9
    assert page_of(traced(("", "check", "x", "sometimes", "held"), ("a", "boot")), "an exception").scene["failed"] == 1
    assert page_of(traced(*RUN)).scene["failed"] == -1
    assert page_of(traced(), "at once").scene["failed"] == -1


def test_the_scene_says_what_belongs_together_by_the_numbers_of_the_entries():
    scene = page_of(traced(*RUN)).scene
    assert scene["messages"] == [[3, 4], [5, 6], [8, 9]]
    assert scene["calls"] == [[2, 10, 0], [13, -1, 0]]
    assert scene["spans"] == [
        {"from": 5.5, "to": 6.0, "kind": "fault", "rows": [1, 4], "entries": [11], "text": "crash server-2"},
        {"from": 6.0, "to": None, "kind": "down", "rows": [1], "entries": [12], "text": "crash"},
        {"from": 7.5, "to": None, "kind": "down", "rows": [0], "entries": [15], "text": "exit"},
    ]


# ---------------------------------------------------------------- in a browser


def browse(folder: Path, page: str, fragment: str = "") -> Page:
    """Load a page in Chromium and give what has become of it."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    (folder / "page.html").write_text(page, "utf-8")
    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--window-size=1200,900",
        "--virtual-time-budget=5000",
    ]
    done = subprocess.run(
        [chromium, *options, f"--user-data-dir={folder}/profile", "--dump-dom", f"file://{folder}/page.html{fragment}"],
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return Page(done.stdout.decode("utf-8"))


def of_class(page: Page, name: str) -> list[dict[str, str | None]]:
    return [attributes for _, attributes in page.elements if name in (attributes.get("class") or "").split()]


def test_a_browser_draws_the_rows_lists_the_entries_and_finds_the_failure(tmp_path: Path):
    page = browse(tmp_path, timeline(traced(*RUN), title="a test", seed=7, facts={}, failure="it is lost"))
    (root,) = (attributes for tag, attributes in page.elements if tag == "html")
    assert "data-error" not in root
    assert root["data-drawn"] == "5 rows, 3 messages, 2 calls, 13 marks"
    assert len(of_class(page, "name")) == 5
    assert [text for text in page.texts["span"] if text in ("server-1", "server-2", "client-1", "client-2", "world")][
        :5
    ] == [
        "server-1",
        "server-2",
        "client-1",
        "client-2",
        "world",
    ]
    assert [row["id"] for row in of_class(page, "row")] == [f"entry-{number}" for number in range(len(RUN))]
    assert [row["id"] for row in of_class(page, "chosen")] == ["entry-14"]


def test_a_browser_shows_the_entry_that_the_address_names_and_takes_hostile_texts_for_texts(tmp_path: Path):
    noted = [(HOSTILE, "log", "error", HOSTILE)] * 12_000
    page = browse(
        tmp_path,
        timeline(traced(*noted, limit=10_000), title=HOSTILE, seed=7, facts={}, failure=HOSTILE),
        "#entry=9000",
    )
    (root,) = (attributes for tag, attributes in page.elements if tag == "html")
    assert "data-error" not in root
    assert [row["id"] for row in of_class(page, "chosen")] == ["entry-9000"]
    assert 5 < len(of_class(page, "row")) < 100
    assert len(page.texts["script"]) == 2
