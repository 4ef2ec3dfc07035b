"""The servers that are measured: how each is started, pinned to its core, checked and stopped."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SERVER_CORE, CLIENT_CORE = 0, 1
START_TIMEOUT = 20.0  # seconds until a server has to listen
STOP_TIMEOUT = 5.0  # seconds until a server that should stop is killed
CROWD = 4000  # idle connections in the idle measurement

PARAMETERS = {"arg1": 1, "arg2": "hello"}
PIECES, PIECE_SIZE = 64, 16384  # of the streamed reply
BATCH_SIZE = 100

SINGLE = json.dumps({"method": "echo", "parameters": PARAMETERS}).encode()
SINGLE_REPLY = json.dumps({"result": {"parameters": PARAMETERS}}, separators=(",", ":")).encode()
STREAM = json.dumps({"method": "stream", "parameters": {}}).encode()
BATCH = json.dumps(
    {"batch": {f"{number:03}": {"method": "echo", "parameters": PARAMETERS} for number in range(BATCH_SIZE)}}
).encode()
BATCH_REPLY = {"batch": {f"{number:03}": {"result": {"parameters": PARAMETERS}} for number in range(BATCH_SIZE)}}

TOTOHIO_SETTINGS = """\
host: 127.0.0.1
port: {port}
method_module: methods
log_level: warning
max_connections: {connections}
"""


class Failure(Exception):
    """A server did not do what was asked of it; the text says which and what."""


@dataclass(frozen=True)
class Peer:
    """A server to measure.

    Attributes:
        name: What `--only` and the tables call it.
        about: What it is, for the page.
        arguments: What Python runs; `{port}` and `{settings}` are filled in.
        streams: It sends the streamed reply too.
        batches: It answers batches too.
    """

    name: str
    about: str
    arguments: tuple[str, ...]
    streams: bool = False
    batches: bool = False


PEERS = (
    Peer(
        "totohio",
        "all of its dispatch, limits and timeouts; calls are not logged, nor by the others",
        ("-m", "totohio", "serve", "{settings}"),
        streams=True,
        batches=True,
    ),
    Peer("limit", "epoll, httptools, msgspec and nothing else: the practical limit", ("servers/limit.py", "{port}")),
    Peer("uvicorn", "a raw ASGI application on uvloop, httptools, orjson", ("servers/asgi.py", "{port}"), streams=True),
    Peer("fastapi", "FastAPI on the same uvicorn", ("servers/fast.py", "{port}")),
    Peer("tornado", "Tornado with orjson", ("servers/tornadic.py", "{port}")),
    Peer("hio-spinning", "hio's BareServer, tock 0: never sleeps", ("servers/stock.py", "{port}", "0.0")),
    Peer("hio", "hio's BareServer, default tock", ("servers/stock.py", "{port}", "0.03125")),
)


@dataclass(frozen=True)
class Server:
    """A running server."""

    peer: Peer
    pid: int
    port: int

    def connect(self) -> http.client.HTTPConnection:
        """Give a connection to it, which opens with the first request."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def check(self) -> None:
        """Make sure that every kind of request that is measured gets the right reply.

        Raises:
            Failure: One does not.
        """
        connection = self.connect()
        body = ask(connection, SINGLE)
        if body != SINGLE_REPLY:
            raise Failure(f"{self.peer.name} answers {body!r} instead of {SINGLE_REPLY!r}")
        if self.peer.batches and json.loads(ask(connection, BATCH)) != BATCH_REPLY:
            raise Failure(f"{self.peer.name} answers the batch wrongly")
        if self.peer.streams and ask(connection, STREAM) != bytes(PIECES * PIECE_SIZE):
            raise Failure(f"{self.peer.name} streams something else")
        connection.close()

    def memory(self) -> int:
        """Give its resident memory in bytes."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def busy(self) -> float:
        """Give the seconds that all of its threads have spent on a core so far."""
        threads = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def ask(connection: http.client.HTTPConnection, body: bytes) -> bytes:
    """Send one call and give the body of its reply."""
    send(connection, body)
    return receive(connection)


def send(connection: http.client.HTTPConnection, body: bytes) -> None:
    """Send one call without waiting for its reply."""
    connection.request("POST", "/", body, {"Content-Type": "application/json"})


def receive(connection: http.client.HTTPConnection) -> bytes:
    """Wait for a reply and give its body."""
    response = connection.getresponse()
    body = response.read()
    if response.status != http.HTTPStatus.OK:
        raise Failure(f"status {response.status}: {body!r}")
    return body


@contextlib.contextmanager
def serve(peer: Peer) -> Iterator[Server]:
    """Run a server on its core as long as the block lasts, after a look at what it answers.

    Raises:
        Failure: It does not start, or answers wrongly.
    """
    with running(peer) as server:
        server.check()
        yield server


@contextlib.contextmanager
def running(peer: Peer, lines: str = "") -> Iterator[Server]:
    """Run a server on its core as long as the block lasts.

    Args:
        peer: Which.
        lines: What its settings say beside those that all have.

    Raises:
        Failure: It does not start.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "settings.yaml"
        settings.write_text(TOTOHIO_SETTINGS.format(port=port, connections=2 * CROWD) + lines)
        arguments = [argument.format(port=port, settings=settings) for argument in peer.arguments]
        process = subprocess.Popen([sys.executable, *arguments], cwd=HERE, stdout=subprocess.DEVNULL)
        os.sched_setaffinity(process.pid, {SERVER_CORE})
        try:
            wait_until_listening(peer, port, process)
            yield Server(peer, process.pid, port)
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    """Give a port that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def wait_until_listening(peer: Peer, port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server takes connections.

    Raises:
        Failure: It ended, or it takes too long.
    """
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise Failure(f"{peer.name} did not start")
