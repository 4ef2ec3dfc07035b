"""A terminal that does what a page of the documentation shows, and compares what happens with what is shown."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from tests.pages import Block, commands

ROOT = Path(__file__).parents[1]
PORTS = ("8888", "8080")  # in the pages; each page gets free ones in their place
RUN = "/run/shop"  # where a page has its socket
PATIENCE = 20.0  # seconds that only a failing test waits
VARYING = {  # what is different each time, and how it is compared
    r"\r": "",
    r"totohio \d+\.\d+\.\d+": "totohio VERSION",
    r"\d{4}-\d\d-\d\dT[\d:.]+Z": "TIME",
    r"\d+\.\d+ ms": "MS",
    r'"ms": \d+\.\d+': '"ms": MS',
    r"(?m)^\d+ of \d+ seeds, .*\n": "",  # how far a sweep is, when it takes long
    r"\bin \d+\.\d s( \(\d+ a second\))?:": "in TIME:",
    r"\bcrc [0-9a-f]{8}\b": "crc CRC",
    r"\bheld in \d+ of (\d+) runs\b": r"held in N of \1 runs",  # a port with more digits makes other segments
    r"(?m)^(Date|ETag): .*": r"\1: ...",
}


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
        self.folder = folder / "work" / "totohio"  # where pages begin: in a clone
        self.activate = self.folder / ".venv" / "bin" / "activate"
        self.activate.parent.mkdir(parents=True)
        self.activate.touch()
        self.todo = todo
        self.places = dict(zip(PORTS, free_ports(len(PORTS)), strict=True)) | {RUN: str(folder)}
        self.server: Server | None = None
        self.proxy: Server | None = None
        others = ("TOTOHIO_", "COV")  # the lines of what pages show count for the coverage in tests of their own
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        self.environ |= {"PYTHONPATH": str(ROOT), "PATH": f"{folder}:{os.environ['PATH']}"}
        self.environ |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # plugins cost more than all the rest of a start
        self.environ |= {"CURL_HOME": str(folder), "NO_PROXY": "*"}
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
            self.folder = (self.folder / command[3:]).resolve(strict=True)
        elif command.startswith(". "):
            assert (self.folder / command[2:]).resolve() == self.activate, f"{command} in {self.folder}"
        else:
            self.shell(command, output)

    def goes_on(self, command: str) -> bool:
        """Tell whether it is a program that runs a Doist until it is told to end."""
        return command.startswith("python ") and ".do()" in (self.folder / command[7:]).read_text("utf-8")

    def shell(self, command: str, output: str) -> None:
        """Run a command that ends by itself."""
        if "--url" not in command:
            command = command.replace("totohio call ", f"totohio call --url http://127.0.0.1:{self.places['8888']} ")
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
        """Start a server in place of the one before, with all files that the page only adds to the same folder."""
        self.end(self.server)
        files = [block.file for block in self.todo]
        for block in self.todo:
            if block.language == "console" and "\n$ cd " in f"\n{block.text}":
                break
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


def free_ports(count: int) -> list[str]:
    """Ports that nobody listens on; all are found before any is let go, so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [str(sock.getsockname()[1]) for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()
