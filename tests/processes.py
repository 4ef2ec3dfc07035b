"""A server in a process of its own, and what the system knows of it."""

import http.client
import json
import os
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LONG = 30.0  # seconds that only a failing test waits
MOMENT = 0.01  # seconds between two looks
RESET = struct.pack("ii", 1, 0)


def until(condition: Callable[[], Any], what: str, seconds: float = LONG) -> Any:
    """Look again and again until a condition holds, and give what it gave."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        select.select([], [], [], MOMENT)
    raise AssertionError(f"waited {seconds:g} seconds in vain: {what}")


class Process:
    """A server that was started as users start it."""

    def __init__(
        self,
        folder: Path,
        methods: dict[str, str],
        *arguments: str,
        descriptors: int | None = None,
        traced: bool = True,
    ) -> None:
        """Start it and wait until it listens.

        Args:
            folder: An empty folder to run in.
            methods: Source texts by module name.
            arguments: Of the command line.
            descriptors: How many files it may open.
            traced: Its lines count for the coverage, which makes it several times slower.
        """
        package = folder / "methods"
        package.mkdir()
        for name, source in {"__init__": "", **methods}.items():
            (package / f"{name}.py").write_text(source)
        environ = {name: value for name, value in os.environ.items() if not name.startswith("TOTOHIO_")}
        if not traced:
            environ = {name: value for name, value in environ.items() if not name.startswith("COV")}
        environ["PYTHONPATH"] = os.pathsep.join(sys.path)
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "totohio", "serve", "--port", "0", *arguments],
                cwd=folder,
                env=environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=None if descriptors is None else lambda: limit(descriptors),
            )
        try:
            self.port = int(until(self._announced, f"it does not listen: {self.log.read_text()}"))
        except AssertionError:
            self.kill()
            raise
        self.pid = self.process.pid

    def _announced(self) -> str | None:
        assert self.process.poll() is None, self.log.read_text()
        found = re.search(r"listens on http://127\.0\.0\.1:(\d+)\n", self.log.read_text())
        return found[1] if found else None

    def connect(self) -> socket.socket:
        """Open a connection."""
        return socket.create_connection(("127.0.0.1", self.port), LONG)

    def call(self, name: str, parameters: Any = None, seconds: float = LONG) -> Any:
        """Call a method over a new connection, and give the decoded reply."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request("POST", f"/{name}", json.dumps(parameters or {}), {"Content-Type": "application/json"})
            response = connection.getresponse()
            body = response.read()
            if response.status == 503:
                raise ConnectionRefusedError(body)
            return json.loads(body) if body else None
        finally:
            connection.close()

    def status(self, field: str) -> int:
        """A figure of /proc/PID/status: VmRSS and VmHWM are the memory it has and had at most, in bytes."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"there is no {field}")

    def spent(self) -> float:
        """The processor time that it has used, in seconds."""
        total = 0.0
        for path in Path(f"/proc/{self.pid}/task").iterdir():
            total += int((path / "schedstat").read_text().split()[0])
        return total / 1e9

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end and give its exit status."""
        return self.process.wait(LONG)

    def refuses(self) -> bool:
        """Tell whether it takes no new connections."""
        try:
            self.connect().close()
        except ConnectionRefusedError:
            return True
        return False

    def kill(self) -> None:
        """End it whatever it does; twice does no harm."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(LONG)


def limit(descriptors: int) -> None:
    """Bound how many files this process may open."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))


def reset(sock: socket.socket) -> None:
    """Leave with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()
