"""Headless Chromium, driven over a pipe by the DevTools protocol."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.processes import LONG

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")


class Browser:
    """A browser with a profile of its own."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("chromium") is None:
            pytest.skip("chromium is not installed")
        ours, theirs = os.pipe(), os.pipe()
        self._read, self._write = theirs[0], ours[1]
        self._received = b""
        self._numbers = itertools.count(1)
        self._answers: dict[int, dict[str, Any]] = {}

        def hand_over() -> None:  # Chromium reads at descriptor 3 and writes at 4
            first, second = os.dup(ours[0]), os.dup(theirs[1])
            os.dup2(first, 3)
            os.dup2(second, 4)

        self.process = subprocess.Popen(
            ["chromium", *FLAGS, "--remote-debugging-pipe", f"--user-data-dir={folder}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=hand_over,
        )
        os.close(ours[0])
        os.close(theirs[1])

    def ask(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        """Send a command and give what it gives."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while number not in self._answers:
            assert select.select([self._read], [], [], LONG)[0], f"no answer to {method}"
            data = os.read(self._read, 1 << 20)
            assert data, "the browser has ended"
            *messages, self._received = (self._received + data).split(b"\0")
            for text in messages:
                found = json.loads(text)
                if "id" in found:
                    self._answers[found["id"]] = found
        answer = self._answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def open(self, url: str, *, width: int = 480, height: int = 640) -> "Window":
        """Open a window of its own profile."""
        context = self.ask("Target.createBrowserContext")["browserContextId"]
        place = {"url": "about:blank", "browserContextId": context, "width": width, "height": height}
        target = self.ask("Target.createTarget", **place)
        session = self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        window = Window(self, session)
        self.ask("Page.enable", session)
        self.ask("Page.navigate", session, url=url)
        window.wait("document.readyState === 'complete' && location.href !== 'about:blank'")
        return window

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._read)
        os.close(self._write)


class Window:
    """A window."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.browser = browser
        self.session = session

    def run(self, expression: str) -> Any:
        """Give the value of an expression; that of a promise once it is there."""
        found = self.browser.ask(
            "Runtime.evaluate", self.session, expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until an expression is true."""
        script = f"""new Promise((resolve, reject) => {{
            const end = Date.now() + {LONG * 1000};
            const look = () => {{
                if ({condition}) {{ resolve(true); }}
                else if (Date.now() > end) {{ reject(new Error("waited in vain")); }}
                else {{ setTimeout(look, 20); }}
            }};
            look();
        }})"""
        assert self.run(script) is True, condition

    def picture(self, path: Path) -> None:
        """Keep what it shows."""
        data = self.browser.ask("Page.captureScreenshot", self.session, format="png")["data"]
        path.write_bytes(base64.b64decode(data))
