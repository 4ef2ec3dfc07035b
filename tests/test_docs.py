"""The documentation: what it names exists, and what it shows happens.

A page is done from top to bottom, as by a person who types in everything. A code block is a file when the
paragraph before it ends with a colon and names one. In a console block the lines after ``$`` are commands, what
follows each is its output, and ``...`` stands for any lines. A file that a page shows once is there when the
page's server starts; one that changes an existing file changes it under the running server, which has to notice.
"""

import ast
import json
import re
import shutil
import signal
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import totohio.cli
import totohio.sim
from tests.pages import SUFFIXES, anchors, blocks, commands, prose, words
from tests.terminal import ROOT, Terminal
from totohio.app.configuring import SECRETS, load
from totohio.app.settings import OPTIONS
from totohio.cli.parsing import Parser
from totohio.sim.sweeps.ordering import PREFIX, Orders
from totohio.wire.naming import NAMES

REFERENCE = ROOT / "docs" / "reference"
GENERATED = (
    "api.md",
    "settings.md",
    "sim.md",
    "benchmarks.md",
    "benchmarks_events.md",
    "benchmarks_remote.md",
)  # by scripts/docs and scripts/bench
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WRITTEN = [page for page in PAGES if page.name not in GENERATED]
TOOLS = ("curl", "jq", "openssl", "nginx")
FOREIGN = {"TypedDict", "MemoryError", "proxy_buffering", "proxy_http_version", "proxy_pass", "client_max_body_size"}
FOREIGN |= {"add_callback", "add_timeout"}  # Tornado's
FOREIGN |= {"SameSite", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "mdb_copy"}  # redis-py's and LMDB's
FOREIGN |= {"EventSource", "ListenStream", "WatchdogSec", "ExecReload"}  # browsers' and systemd's
FOREIGN |= {"socket_path", "log_file_prefix"}  # Toto's
FOREIGN |= {"access_token", "next_page_token"}  # somebody's own
ORDERS = [PREFIX + field.name.upper() for field in fields(Orders)]  # the simulation's variables
DEFINED = re.compile(r"^def (test_\w+)\(", re.M)
LEDGER = ROOT / "docs" / "examples" / "ledger"


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)
every_written_page = pytest.mark.parametrize("page", WRITTEN, ids=name_of)
every_typed_page = pytest.mark.parametrize(
    "page", [page for page in WRITTEN if any(block.language == "console" for block in blocks(page))], ids=name_of
)


# ---------------------------------------------------------------- what they show


@every_typed_page
def test_a_page_shows_what_happens(page: Path, tmp_path: Path) -> None:
    todo = [block for block in blocks(page) if block.language == "console" or block.file or block.logged]
    typed = " ".join(block.text for block in todo if block.language == "console")
    for tool in TOOLS:
        if re.search(rf"\b{tool}\b", typed) and shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    terminal = Terminal(tmp_path, todo)
    try:
        terminal.do()
    except BaseException:
        for server in (terminal.server, terminal.proxy):
            if server is not None:
                server.end(signal.SIGKILL)
        raise
    terminal.end(terminal.server)
    terminal.end(terminal.proxy)


@every_written_page
def test_code_without_a_file_runs_as_it_stands(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks(page):
        assert block.language in {*SUFFIXES, "console", "text"}, f"{block.language!r} is checked by nobody"
        if block.language == "python":
            code = compile(block.text, f"<{page.name}>", "exec")
            if not block.file:
                exec(code, {"__name__": "__main__"})
        elif block.language == "json":
            json.loads(block.text)
        elif block.language == "yaml":
            settings = tmp_path / "settings.yaml"
            settings.write_text(block.text)
            load(settings, environ={})


# ---------------------------------------------------------------- what they name


@cache
def identifiers() -> frozenset[str]:
    """All names in our code: what it defines and uses, and its texts that could be names."""
    found: set[str] = set()
    for path in (ROOT / "totohio").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            for field in ("id", "attr", "arg", "name", "value"):
                name = getattr(node, field, None)
                if isinstance(name, str) and name.isidentifier():
                    found.add(name)
    return frozenset(found)


@cache
def flags() -> frozenset[str]:
    """All options of the command line."""
    found = {"--help", "--version"}
    for row in OPTIONS.values():
        found |= {row.flag, row.flag.replace("--", "--no-", 1)}
    for command in totohio.cli.commands():
        if command.declare is not None:
            parser = Parser()
            command.declare(parser)
            found |= {flag for action in parser._actions for flag in action.option_strings}
    return frozenset(found)


@every_written_page
def test_names_are_those_of_the_code(page: Path) -> None:
    shown = {word for block in blocks(page) for word in re.findall(r"\w+", block.text)}
    for text in words(page):
        if re.fullmatch(r"(base|wire|core|net|work|app|sim|cli)/[\w/]+\.py", text):
            assert (ROOT / "totohio" / text).is_file(), text
        if text.startswith("test_"):
            continue  # they are looked for where it is said that they are
        for name in re.findall(r"\bERROR_[A-Z_]+\b|\b[a-z]+(?:_[a-z]+)+\b|\b(?:[A-Z][a-z]+){2,}\b", text):
            assert name in identifiers() | shown | FOREIGN, f"{name} is nowhere in the code"
        for variable in re.findall(r"\bTOTOHIO_[A-Z_]+\b", text):
            assert variable in {row.variable for row in OPTIONS.values()} | set(ORDERS) | SECRETS, variable
        for flag in re.findall(r"(?<!\S)--[a-z][a-z-]*", text):
            assert flag in flags() or flag in {"--json", "--all"}, flag


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{target} leads nowhere"
        if anchor and path.name == "settings.md":
            assert anchor in OPTIONS, f"{target}: there is no such option"
        elif anchor:
            assert anchor in anchors(path), f"{target}: there is no such heading"


@every_written_page
def test_options_in_examples_exist(page: Path) -> None:
    for block in blocks(page):
        if block.language == "yaml":
            assert yaml.safe_load(block.text).keys() <= OPTIONS.keys()
        elif block.language == "console":
            for command, _ in commands(block.text):
                if re.match(r"(\w+=\S+ )*(totohio|scripts/)", command):
                    used = set(re.findall(r" (--[a-z-]+)", command))
                    assert used <= flags(), used - flags()


@pytest.mark.parametrize("package", [totohio, totohio.sim], ids=lambda package: package.__name__)
def test_every_public_name_is_in_the_reference(package: ModuleType) -> None:
    documented = {word for page in REFERENCE.glob("*.md") for text in words(page) for word in re.findall(r"\w+", text)}
    assert set(package.__all__) <= documented, set(package.__all__) - documented


def test_the_ledger_is_the_one_that_the_tutorial_begins_with() -> None:
    shown: dict[str, str] = {}
    for block in blocks(ROOT / "docs" / "simulation.md"):
        if block.file:
            shown.setdefault(block.file, block.text)
    paths = [path for pattern in ("*.yaml", "*.py", "methods/*.py") for path in LEDGER.glob(pattern)]
    kept = {path.relative_to(LEDGER).as_posix(): path.read_text("utf-8") for path in paths}
    assert len(kept) == 6
    assert kept.items() <= shown.items()


def test_the_design_names_every_doer_that_a_server_is_made_of() -> None:
    [tree] = [block.text for block in blocks(ROOT / "docs" / "design.md") if "TotoDoer" in block.text]
    source = (ROOT / "totohio" / "app" / "building.py").read_text("utf-8")
    assert set(re.findall(r"\b(\w+Doer)\(", source)) <= set(re.findall(r"\w+", tree))


def test_the_names_of_what_is_masked_are_all_told() -> None:
    assert set(NAMES) <= words(ROOT / "docs" / "howto" / "record.md")


def test_what_is_promised_to_be_secure_is_tested() -> None:
    tests = {name for path in (ROOT / "tests").rglob("test_*.py") for name in DEFINED.findall(path.read_text("utf-8"))}
    promised = {word for word in words(ROOT / "docs" / "security.md") if word.startswith("test_")}
    assert len(promised) > 20
    assert promised <= tests, promised - tests


def test_every_page_is_in_the_table_of_contents() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / target).resolve() for target in re.findall(r"\]\(([^)#]+)\)", index.read_text("utf-8"))}
    assert set(WRITTEN[1:]) <= linked | {index}


def test_the_readme_has_a_place_for_the_figures() -> None:
    readme = PAGES[0].read_text("utf-8")
    assert re.search(r"^<!-- figures -->$.+?^<!-- /figures -->$", readme, re.M | re.S)
