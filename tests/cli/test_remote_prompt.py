"""``totohio remote`` at a terminal: what is typed, completed and shown."""

import contextlib
import fcntl
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import LONG
from tests.remote.support import PASSWORD, Site, serving

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\a")
LENT = """
from totohio import lend

ASKED = []


@lend
def add(a, b=0):
    return a + b


@lend
def addition():
    return "added"


@lend
def fail(text):
    raise ValueError(text)


@lend
def nap(seconds):
    ASKED.append("nap")
    yield seconds


@lend(attributes=["name"])
class Cat:
    def __init__(self, name):
        self.called = name

    @lend
    @property
    def purr(self):
        ASKED.append("purr")
        return self.called

    @lend
    def purrs(self):
        return 7

    @property
    def name(self):
        ASKED.append("name")
        return self.called


tom = Cat("Tom")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(tmp_path_factory.mktemp("site"), LENT) as site:
        yield site


class Screen:
    """A terminal at which somebody types."""

    def __init__(self, url: str, **environ: str) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 200))
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TOTOHIO_")}
        known = {"TERM": "dumb", "INPUTRC": os.devnull, "PYTHONPATH": os.pathsep.join(sys.path)}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "totohio", "remote", url, "--user-id", "ada"],
                env=clean | known | environ,
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            )
        finally:
            os.close(theirs)
        self._new = ""

    def see(self, text: str) -> str:
        """Wait until a text appears after what was seen before, and give all up to its end."""
        end = time.monotonic() + LONG
        while text not in self._new:
            assert self._read(end), f"expected {text!r}, got {self._new!r}"
        seen, _, self._new = self._new.partition(text)
        return seen + text

    def _read(self, end: float) -> bool:
        if not select.select([self._ours], [], [], max(0.0, end - time.monotonic()))[0]:
            return False
        try:
            data = os.read(self._ours, 1 << 16)
        except OSError:  # the program has ended
            return False
        self._new = ESCAPE.sub("", self._new + data.decode().replace("\r", ""))
        return True

    def type(self, text: str) -> None:
        """Type a text."""
        os.write(self._ours, text.encode())

    def do(self, statement: str) -> str:
        """Type a statement, and give what it shows until the next prompt."""
        self.type(statement + "\n")
        self.see(statement + "\n")
        return self.see(">>> ").removesuffix(">>> ")

    def end(self) -> tuple[int, str]:
        """Wait until the program ends; give its status and what was not seen before."""
        end = time.monotonic() + LONG
        while self._read(end):
            pass
        return self._process.wait(LONG), self._new

    def close(self) -> None:
        """End it, if it has not ended."""
        self._process.kill()
        self._process.wait(LONG)
        os.close(self._ours)


@contextlib.contextmanager
def screen(site: Site, **environ: str) -> Iterator[Screen]:
    """A terminal at which the prompt has come."""
    with contextlib.closing(Screen(site.url, TOTOHIO_PASSWORD=PASSWORD, **environ)) as found:
        yield found


def test_a_terminal_is_asked_for_the_password_and_told_who_we_are(site: Site):
    with contextlib.closing(Screen(site.url)) as screen:
        screen.see("Password: ")
        screen.type(PASSWORD + "\n")
        banner = screen.see(">>> ")
        assert PASSWORD not in banner
        assert f"You are ada at {site.url}, which lends 7 names" in banner
        assert "Ctrl-D or exit() leaves" in banner
        assert screen.do("add(1, 2)") == "3\n"
        assert screen.do("_ + 1") == "4\n"
        assert screen.do("tom") == f"<remote Cat of {site.url}>\n"
        screen.type("\x04")
        assert screen.end() == (0, "\n")
    site.until(lambda: not site.house.sessions, "the session is gone")


def test_a_tab_completes_what_is_lent_and_asks_for_no_value(site: Site):
    site.module.ASKED.clear()
    with screen(site) as terminal:
        terminal.see(">>> ")
        terminal.type("add\t\t")
        assert re.search(r"\nadd +addition *\n>>> add$", terminal.see(">>> add"))
        terminal.type("i\t()\n")
        assert terminal.see(">>> ") == "ition()\n'added'\n>>> "
        terminal.type("tom.\t\t")
        assert terminal.see(">>> tom.").split() == ["tom.", "tom.name", "tom.purr", "tom.purrs", ">>>", "tom."]
        terminal.type("n\t.up\t\t")  # of which nothing is known until it is asked for
        assert terminal.see(".up") == "name.up"
        terminal.type("\x15")
        assert terminal.do("kitty = tom").strip() == ""
        assert site.module.ASKED == []
        for typed, shown in (
            ("kitty.n\t", "kitty.name\n'Tom'\n"),
            ("kit\t", f"kitty\n<remote Cat of {site.url}>\n"),
            ("remote.tom.purrs\t()", "remote.tom.purrs()\n7\n"),
            ("remote.ping\t() > 0", "remote.ping() > 0\nTrue\n"),
            ("math.sq\t(4)", "math.sqrt(4)\n2.0\n"),
            ("str.swapc\t('a')", "str.swapcase('a')\n'A'\n"),
        ):
            terminal.type(typed + "\n")
            assert terminal.see(">>> ").removesuffix(">>> ") == shown
    assert site.module.ASKED == ["name"]  # which was typed


def test_an_exception_is_shown_and_the_prompt_comes_again(site: Site):
    with screen(site) as terminal:
        terminal.see(">>> ")
        shown = terminal.do("fail('no \\x1b[31m luck')")
        here, there = shown.split("\nAt the server:\n")
        for part in (here, there):
            assert part.rstrip().endswith("ValueError: no \\x1b[31m luck")
        assert "in fail" in there
        assert "NameError: name 'nothing_such' is not defined" in terminal.do("nothing_such")
        assert "SyntaxError" in terminal.do("1 +")
        assert terminal.do("add(1, 2)") == "3\n"
        terminal.type("exit()\n")
        assert terminal.end() == (0, "exit()\n")


def test_ctrl_c_ends_the_wait_for_a_call_and_the_session_goes_on(site: Site):
    site.module.ASKED.clear()
    with screen(site) as terminal:
        terminal.see(">>> ")
        terminal.type("nap(1000)\n")
        site.until(lambda: site.module.ASKED, "the call is under way")
        terminal.type("\x03")
        terminal.see("KeyboardInterrupt")
        terminal.see(">>> ")
        assert terminal.do("add(1, 2)") == "3\n"


def test_a_prompt_ends_with_one_line_when_the_connection_has(tmp_path: Path):
    with serving(tmp_path, LENT) as site, screen(site) as terminal:
        terminal.see(">>> ")
        site.close()
        terminal.type("add(1, 2)\n")
        terminal.see("add(1, 2)\n")
        status, shown = terminal.end()
    assert status == 1
    assert re.fullmatch(rf"totohio: {site.url}: the connection .+\n", shown)
