"""The chat of conf/chat, in windows of a real browser."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browsing import Browser, Window
from tests.cli.test_processes import children
from tests.processes import LONG, until
from tests.servers import free_port

ROOT = Path(__file__).parents[1]
JSON = {"Content-Type": "application/json"}
PICTURE = os.environ.get("TOTOHIO_TEST_PICTURES")  # a folder for pictures of what the windows show


class Chat:
    """The server of the chat, with both of its processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.start()

    def start(self) -> None:
        """Start it, again after `kill`."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("TOTOHIO_", "COV"))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "totohio", "serve", str(ROOT / "conf/chat/settings.yaml"), "--port", str(self.port)],
            cwd=self.folder,
            env={**environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        assert "listens on" in self.process.stdout.readline()
        assert len(children(self.process.pid)) == 2

    def end(self) -> None:
        """End it as a service manager does."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(LONG) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()

    def url(self, query: str = "") -> str:
        return f"http://127.0.0.1:{self.port}/chat{query}"

    def say(self, text: str) -> None:
        """Say something over a new connection, which any of the processes may get."""
        body = json.dumps({"room": "tea", "nick": "Bot", "text": text}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/say", body, JSON)
        with urllib.request.urlopen(request, timeout=LONG) as reply:
            assert json.load(reply) == {"result": True}


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    made = Chat(tmp_path)
    yield made
    if made.process.poll() is None:
        made.end()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    made = Browser(tmp_path / "profile")
    yield made
    made.close()


def join(browser: Browser, url: str, nick: str) -> Window:
    """Open a window and go into the room."""
    window = browser.open(url)
    window.run(f"element('nick').value = {json.dumps(nick)}; document.querySelector('#join button').click()")
    window.wait("element('state').textContent.startsWith('connected')")
    return window


def say(window: Window, text: str) -> None:
    window.run(f"element('text').value = {json.dumps(text)}; document.querySelector('#say button').click()")


def sees(window: Window, nick: str, text: str, count: int = 1) -> None:
    """Wait until the window shows a message, so many times."""
    lines = "[...document.querySelectorAll('#log .said')].map((line) => line.textContent)"
    window.wait(f"{lines}.filter((line) => line === {json.dumps(nick + text)}).length === {count}")


def test_windows_of_two_processes_talk_and_go_on_when_the_server_comes_again(chat: Chat, browser: Browser) -> None:
    ada, bob = join(browser, chat.url(), "Ada"), join(browser, chat.url(), "Bob")
    old = join(browser, chat.url("?transport=poll"), "Old")
    assert old.run("element('state').textContent") == "connected, by polling"
    say(ada, "Hello, is anybody here?")
    say(bob, "I am. <b>Tea?</b> & biscuits")
    for window in (ada, bob, old):
        sees(window, "Ada", "Hello, is anybody here?")
        sees(window, "Bob", "I am. <b>Tea?</b> & biscuits")  # as a text
        assert window.run("document.querySelectorAll('#log b').length") == 0
    say(old, "Polling works, too.")
    sees(ada, "Old", "Polling works, too.")
    if PICTURE:
        ada.picture(Path(PICTURE) / "chat.png")
    for number in range(8):
        chat.say(f"from anywhere {number}")
    for window in (ada, bob, old):
        sees(window, "Old", "Polling works, too.")
        for number in range(8):
            sees(window, "Bot", f"from anywhere {number}")
    chat.end()
    chat.start()
    for window in (ada, bob, old):
        window.wait("element('state').textContent.startsWith('connected')")

    def heard() -> bool:
        chat.say("back again")
        return all("back again" in window.run("element('log').textContent") for window in (ada, bob, old))

    until(heard, "all windows go on")


def test_the_page_lets_in_nothing_from_elsewhere(chat: Chat) -> None:
    with urllib.request.urlopen(chat.url(), timeout=LONG) as reply:
        assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
        assert reply.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("change", [{"room": "Tea room"}, {"nick": ""}, {"text": "x" * 1001}, {"text": None}])
def test_what_is_no_message_is_refused(chat: Chat, change: dict[str, object]) -> None:
    body = json.dumps({"room": "tea", "nick": "Ada", "text": "x"} | change).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{chat.port}/say", body, JSON)
    with urllib.request.urlopen(request, timeout=LONG) as reply:
        assert json.load(reply)["error"]["code"] == 1003
