"""The documentation: what it names exists, and what it shows happens.

A page is done from top to bottom, as by a person who types in everything. A code block is a file when the
paragraph before it ends with a colon and names one. In a console block the lines after ``$`` are commands, what
follows each is its output, and ``...`` stands for any lines. A file that a page shows once is there when the
page's server starts; one that changes an existing file changes it under the running server, which has to notice.
"""

import ast
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

import totohio
from totohio.app.configuring import load
from totohio.app.settings import OPTIONS
from totohio.cli import COMMANDS
from totohio.cli.parsing import Parser

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
GENERATED = ("api.md", "settings.md", "benchmarks.md")  # from code and measurements, which scripts/docs and bench do
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WRITTEN = [page for page in PAGES if page.name not in GENERATED]
SUFFIXES = {"python": ".py", "yaml": ".yaml", "json": ".json", "nginx": ".conf", "ini": ".service"}
PORTS = ("8888", "8080")  # in the pages; each page gets free ones in their place
RUN = "/run/shop"  # where a page has its socket
TOOLS = ("curl", "openssl", "nginx")
FOREIGN = {"TypedDict", "proxy_buffering", "proxy_http_version", "proxy_pass", "add_callback", "add_timeout"}
PATIENCE = 20.0  # seconds that only a failing test waits
VARYING = {  # what is different each time, and how it is compared
    r"\r": "",
    r"totohio \d+\.\d+\.\d+": "totohio VERSION",
    r"\d{4}-\d\d-\d\dT[\d:.]+Z": "TIME",
    r"\d+\.\d+ ms": "MS",
    r'"ms": \d+\.\d+': '"ms": MS',
    r"(?m)^(Date|ETag): .*": r"\1: ...",
}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)
every_written_page = pytest.mark.parametrize("page", WRITTEN, ids=name_of)


# ---------------------------------------------------------------- reading pages


@dataclass(frozen=True)
class Block:
    """A fenced code block; ``before`` is the paragraph that introduces it."""

    language: str
    text: str
    before: str

    @property
    def file(self) -> str | None:
        """The name of the file that it shows."""
        names = re.findall(r"`([\w./-]+)`", self.before) if self.before.endswith(":") else []
        files = [name for name in names if Path(name).suffix == SUFFIXES.get(self.language)]
        return files[-1] if files else None

    @property
    def logged(self) -> bool:
        """It shows what the running server has written."""
        return self.before.endswith("the server writes:")


def blocks(page: Path) -> list[Block]:
    found: list[Block] = []
    paragraph: list[str] = []
    code: list[str] | None = None
    language, ended = "", True
    for line in page.read_text("utf-8").splitlines():
        if code is not None and line != "```":
            code.append(line)
        elif code is not None:
            found.append(Block(language, "".join(f"{each}\n" for each in code), " ".join(paragraph)))
            code, paragraph = None, []
        elif line.startswith("```"):
            code, language = [], line[3:]
        elif line and ended:
            paragraph = [line]
        elif line:
            paragraph.append(line)
        ended = not line
    assert code is None, f"{page.name}: a code block without an end"
    return found


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)


def words(page: Path) -> set[str]:
    """What stands in backticks."""
    return set(re.findall(r"`([^`\n]+)`", prose(page)))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


# ---------------------------------------------------------------- doing what they show


class Server:
    """A program that goes on running, and all that it has written."""

    def __init__(self, command: list[str], folder: Path, environ: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.text = ""
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.text += line
                self._news.notify_all()

    def wait_for(self, expected: str, start: int, plain: Any) -> None:
        """Wait until these lines have been written, in this order, perhaps with others between them."""
        pattern = "(.*\n)*".join(re.escape(line) + "\n" for line in plain(expected).splitlines() if line != "...")
        with self._news:
            there = self._news.wait_for(lambda: re.search(pattern, plain(self.text[start:])), PATIENCE)
        assert there, f"expected from {self.process.args}:\n{expected}\ngot:\n{self.text[start:]}"

    def end(self, number: int = signal.SIGINT) -> None:
        """End it as Ctrl-C does; it ends well."""
        self.process.send_signal(number)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        assert status == 0 or number == signal.SIGKILL, f"{self.process.args} ended with {status}:\n{self.text}"


class Terminal:
    """Does what one page shows."""

    def __init__(self, folder: Path, todo: list[Block]) -> None:
        self.home = folder
        self.folder = folder / "work"
        self.folder.mkdir()
        self.todo = todo
        self.places = dict(zip(PORTS, free_ports(len(PORTS)), strict=True)) | {RUN: str(folder)}
        self.server: Server | None = None
        self.proxy: Server | None = None
        self.environ = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{self.home}:{os.environ['PATH']}"}
        self.environ["CURL_HOME"] = str(folder)
        (folder / ".curlrc").write_text("silent\nshow-error\n")
        for program, code in {
            "totohio": f"#!{sys.executable}\nimport sys\nfrom totohio.cli import main\nsys.exit(main())\n",
            "python": f'#!/bin/sh\nexec {sys.executable} "$@"\n',
        }.items():
            (folder / program).write_text(code)
            (folder / program).chmod(0o755)

    def live(self, text: str) -> str:
        """The text with the ports and the folder that this page really uses."""
        return re.sub("|".join(self.places), lambda match: self.places[match[0]], text)

    def plain(self, text: str) -> str:
        """The text without what is different each time."""
        for shown, real in self.places.items():
            text = text.replace(real, shown)
        for pattern, replacement in VARYING.items():
            text = re.sub(pattern, replacement, text)
        return "".join(f"{line.rstrip()}\n" for line in text.strip("\n").splitlines())

    def do(self) -> None:
        """Go through the page."""
        while self.todo:
            block = self.todo.pop(0)
            if block.file:
                self.write(block.file, block.text)
            elif block.logged:
                assert self.server is not None
                self.server.wait_for(block.text, 0, self.plain)
            elif block.language == "console":
                for command, output in commands(block.text):
                    self.run(command, output)

    def write(self, name: str, text: str) -> None:
        """Make a file; a running server that has read the one before starts again."""
        path = self.folder / name
        text = self.live(text)
        if path.exists() and path.read_text("utf-8") == text:
            return
        noticed = self.server is not None and path.exists() and path.suffix in (".py", ".yaml")
        mark = len(self.server.text) if self.server is not None else 0
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        if noticed and self.server is not None:
            self.server.wait_for("totohio 0.0.0 listens on http://127.0.0.1:8888", mark, self.plain)

    def run(self, command: str, output: str) -> None:
        """Run a command and compare what it says."""
        command = self.live(command)
        if command == "scripts/serve":
            port = self.places["8888"]
            self.serve(["totohio", "serve", str(ROOT / "conf" / "settings.yaml"), "--port", port], output)
        elif command.startswith("totohio serve") or self.goes_on(command):
            self.serve(shlex.split(command), output)
        elif command == "sudo systemctl reload nginx":
            self.reverse()
        elif command == "scripts/test":
            assert os.access(ROOT / command, os.X_OK)
        elif command.startswith("cd "):
            self.folder = self.folder / command[3:]
        elif command != ". .venv/bin/activate":
            self.shell(command, output)

    def goes_on(self, command: str) -> bool:
        """Tell whether it is a program that runs a Doist until it is told to end."""
        return command.startswith("python ") and ".do()" in (self.folder / command[7:]).read_text("utf-8")

    def shell(self, command: str, output: str) -> None:
        """Run a command that ends by itself."""
        if command.startswith("totohio call") and "--url" not in command:
            command += f" --url http://127.0.0.1:{self.places['8888']}"
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        pieces = [re.escape(self.plain(piece)) if piece else "" for piece in re.split(r"(?m)^\.\.\.\n", output)]
        log = self.server.text if self.server is not None else ""
        alike = re.fullmatch("(.*\n)*".join(pieces), self.plain(done.stdout)) is not None
        assert alike, f"$ {command}\n{done.stdout}\nexpected:\n{output}\nthe server:\n{log}"
        for path in self.folder.glob("*/settings.yaml"):  # a new project's
            path.write_text(self.live(path.read_text("utf-8")), "utf-8")

    def serve(self, command: list[str], output: str) -> None:
        """Start a server in place of the one before, with all files that the page only adds."""
        self.end(self.server)
        files = [block.file for block in self.todo]
        for block in self.todo:
            if block.file and files.count(block.file) == 1 and not (self.folder / block.file).exists():
                self.write(block.file, block.text)
        self.server = Server(command, self.folder, self.environ)
        self.server.wait_for(output, 0, self.plain)

    def reverse(self) -> None:
        """Have nginx serve the page's totohio.conf."""
        self.end(self.proxy)
        names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = "".join(f"{name}_temp_path {self.home}/{name};" for name in names)
        whole = self.home / "nginx.conf"
        whole.write_text(
            f"daemon off; master_process off; pid {self.home}/nginx.pid; error_log stderr notice; events {{}}"
            f"http {{ access_log off; {paths} include {self.folder}/totohio.conf; }}"
        )
        self.proxy = Server(["nginx", "-e", "stderr", "-c", str(whole)], self.folder, self.environ)
        with self.proxy._news:
            assert self.proxy._news.wait_for(lambda: "using the" in self.proxy.text, PATIENCE), self.proxy.text

    def end(self, server: Server | None) -> None:
        """End a server, if it runs."""
        if server is self.server:
            self.server = None
        else:
            self.proxy = None
        if server is not None:
            server.end()


def commands(text: str) -> Iterator[tuple[str, str]]:
    assert text.startswith("$ "), f"a console block begins with a command: {text}"
    for piece in re.split(r"(?m)^\$ ", text)[1:]:
        match = re.match(r"((?:.*\\\n)*.*)\n", piece)
        assert match is not None
        yield match[1], piece[match.end() :]


def free_ports(count: int) -> list[str]:
    """Ports that nobody listens on; all are found before any is let go, so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [str(sock.getsockname()[1]) for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


@every_written_page
def test_a_page_shows_what_happens(page: Path, tmp_path: Path) -> None:
    todo = [block for block in blocks(page) if block.language == "console" or block.file or block.logged]
    if not any(block.language == "console" for block in todo):
        return
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
    for command in COMMANDS:
        if command.declare is not None:
            parser = Parser()
            command.declare(parser)
            found |= {flag for action in parser._actions for flag in action.option_strings}
    return frozenset(found)


@every_written_page
def test_names_are_those_of_the_code(page: Path) -> None:
    shown = {word for block in blocks(page) for word in re.findall(r"\w+", block.text)}
    for text in words(page):
        if re.fullmatch(r"(base|wire|core|net|work|app|cli)/\w+\.py", text):
            assert (ROOT / "totohio" / text).is_file(), text
        for name in re.findall(r"\bERROR_[A-Z_]+\b|\b[a-z]+(?:_[a-z]+)+\b|\b(?:[A-Z][a-z]+){2,}\b", text):
            assert name in identifiers() or name in shown, f"{name} is nowhere in the code"
        for variable in re.findall(r"\bTOTOHIO_[A-Z_]+\b", text):
            assert variable in {row.variable for row in OPTIONS.values()}, variable
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
            ours = [command for command, _ in commands(block.text) if re.match(r"(\w+=\S+ )*(totohio|scripts/)", command)]
            used = {flag for command in ours for flag in re.findall(r" (--[a-z-]+)", command)}
            assert used <= flags() | {"--json"}, used - flags()


def test_every_public_name_is_in_the_reference() -> None:
    documented = {word for page in REFERENCE.glob("*.md") for text in words(page) for word in re.findall(r"\w+", text)}
    assert set(totohio.__all__) <= documented, set(totohio.__all__) - documented


def test_every_page_is_in_the_table_of_contents() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / target).resolve() for target in re.findall(r"\]\(([^)#]+)\)", index.read_text("utf-8"))}
    assert {page for page in PAGES[1:] if page.parent.name != "examples"} <= linked | {index, ROOT / "docs/benchmarks.md"}


def test_the_readme_has_a_place_for_the_figures() -> None:
    readme = PAGES[0].read_text("utf-8")
    assert re.search(r"^<!-- figures -->$.+?^<!-- /figures -->$", readme, re.M | re.S)
