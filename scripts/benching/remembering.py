"""Measures calls with sessions: read and signed, counted and saved, and logins; beside a peer's plain call.

The servers take turns in rounds, and ratios are taken round by round: of totohio's calls with a session to those of a
raw ASGI application on uvicorn, which knows no session. Each kind of call goes over 64 connections, each of 64
sessions in turn.
"""

import argparse
import base64
import contextlib
import hmac
import http.client
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

from loads import CLIENT_TIMEOUT, Load, converse, load, press
from measuring import CONNECTIONS
from peers import HERE, PARAMETERS, PEERS, SINGLE, Failure, Peer, Server, free_port, serve, wait_until_listening
from preparing import prepare
from steadying import Steadier
from tabulate import tabulate

SESSIONS = 64
CALLS = 100  # different ones of each session
LOGINS = 20  # at once
SYNCED = ("--appendonly", "yes", "--appendfsync", "always")  # so that what was saved is on the disk
PASSWORD = "correct horse battery staple"
SETTINGS = """\
host: 127.0.0.1
port: {port}
method_module: methods
log_level: warning
startup_function: watching.start
hmac_enabled: true
login_throttle: false
"""


def request(body: bytes, session_id: str, key: str) -> bytes:
    """Give a signed call as it goes over the wire."""
    mac = base64.b64encode(hmac.digest(key.encode(), b"POST/" + body, "sha256")).decode()
    head = (
        f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"x-toto-session-id: {session_id}\r\nx-toto-hmac: {mac}\r\n\r\n"
    )
    return head.encode() + body


def rotate(server: Server, requests: list[bytes], seconds: float) -> Load:
    """Have wrk send these calls in turn, over kept-alive connections.

    Raises:
        Failure: A call failed.
    """
    data = b"".join(each + b"\n====\n" for each in requests)
    return load(server, "rotate.lua", data, connections=CONNECTIONS, seconds=seconds)


def call(server: Server, method: str, parameters: object) -> dict[str, object]:
    """Make a call without a session."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=CLIENT_TIMEOUT)
    body = json.dumps({"method": method, "parameters": parameters})
    connection.request("POST", "/", body, {"Content-Type": "application/json"})
    reply: dict[str, object] = json.loads(connection.getresponse().read())
    connection.close()
    if "error" in reply:
        raise Failure(f"{method}: {reply['error']}")
    return reply


@contextlib.contextmanager
def keeping(name: str, folder: Path, lines: str) -> Iterator[Server]:
    """Run a totohio that keeps sessions."""
    port = free_port()
    settings = folder / f"{name}.yaml"
    settings.write_text(SETTINGS.format(port=port) + lines)
    peer = Peer(name, "", ())
    command = [sys.executable, "-m", "totohio", "serve", str(settings)]
    process = subprocess.Popen(["taskset", "-c", "0", *command], cwd=HERE, stdout=subprocess.DEVNULL)
    try:
        wait_until_listening(peer, port, process)
        yield Server(peer, process.pid, port)
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def redis(folder: Path, *arguments: str) -> Iterator[str]:
    """Run a redis-server, and give its URL."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    command += arguments
    process = subprocess.Popen(["taskset", "-c", "1", *command], stdout=subprocess.DEVNULL)
    try:
        wait_until_listening(Peer("redis-server", "", ()), port, process)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


def people(server: Server, prefix: str) -> list[tuple[str, str]]:
    """Make accounts, and give the id and key of a session of each."""
    found = []
    for number in range(SESSIONS):
        parameters = {"user_id": f"{prefix}-{number}", "password": PASSWORD}
        result = call(server, "account.create", parameters)["result"]
        found.append((result["session_id"], result["key"]))  # type: ignore[index]
    return found


def signed(sessions: list[tuple[str, str]], method: str) -> list[bytes]:
    """Give signed calls of a method, of all sessions in turn; no two are alike, and so no two signatures."""
    found = []
    for number in range(CALLS):
        body = json.dumps({"method": method, "parameters": {**PARAMETERS, "number": number}}).encode()
        found += [request(body, *session) for session in sessions]
    return found


def p99(values: list[float]) -> float:
    """Give the value that one of a hundred exceeds."""
    return sorted(values)[len(values) * 99 // 100]


def logins(server: Server, seconds: float) -> tuple[float, float, float]:
    """Have twenty clients log in again and again; give their rate, and the p99 of a plain call before and meanwhile."""
    _, before = converse(server, seconds)
    over = threading.Event()
    counts = [0] * LOGINS

    def client(number: int) -> None:
        while not over.is_set():
            call(server, "account.login", {"user_id": f"reader-{number}", "password": PASSWORD})
            counts[number] += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(LOGINS)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    _, meanwhile = converse(server, seconds)
    over.set()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - start), before, meanwhile


def watched(server: Server, name: str, job: Callable[[], Load]) -> dict[str, float]:
    """Give what a job has found, and for how long commits held the cycle of the server meanwhile if it saved."""
    saved = name.endswith("saved")
    if saved:
        call(server, "holds", {})
    loaded = job()
    found = {name: loaded.rate, f"{name} p99": loaded.p99}
    if saved:
        found[f"{name} hold"] = p99(call(server, "holds", {})["result"])  # type: ignore[arg-type]
    return found


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="scripts/bench --sessions")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often each is measured (5)")
    parser.add_argument("--seconds", type=float, default=3.0, metavar="S", help="how long in each round (3)")
    options = parser.parse_args()
    prepare()
    if shutil.which("redis-server") is None:
        sys.exit("redis-server is missing. On Debian and Ubuntu:  sudo apt-get install redis-server")
    uvicorn = next(peer for peer in PEERS if peer.name == "uvicorn")
    figures: dict[str, list[float]] = defaultdict(list)
    steadier = Steadier()
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        folder = Path(place)
        url = stack.enter_context(redis(folder, *SYNCED))
        lmdb = stack.enter_context(keeping("lmdb", folder, f"database: lmdb\ndatabase_path: {folder}/data\n"))
        remote = stack.enter_context(keeping("redis", folder, f"database: redis\ndatabase_url: {url}\n"))
        peer = stack.enter_context(serve(uvicorn))
        sessions = {"lmdb": people(lmdb, "reader"), "redis": people(remote, "reader")}
        for number in range(options.rounds):
            rounds = [
                ("uvicorn, plain", lambda: press(peer, SINGLE, connections=CONNECTIONS, seconds=options.seconds)),
                ("plain", lambda: press(lmdb, SINGLE, connections=CONNECTIONS, seconds=options.seconds)),
                ("lmdb, read", lambda: rotate(lmdb, signed(sessions["lmdb"], "read"), options.seconds)),
                ("lmdb, saved", lambda: rotate(lmdb, signed(sessions["lmdb"], "count"), options.seconds)),
                ("redis, read", lambda: rotate(remote, signed(sessions["redis"], "read"), options.seconds)),
                ("redis, saved", lambda: rotate(remote, signed(sessions["redis"], "count"), options.seconds)),
            ]
            for name, job in rounds[number % len(rounds) :] + rounds[: number % len(rounds)]:
                found = steadier.measure(partial(watched, lmdb if name[0] == "l" else remote, name, job))
                for metric, value in found.items():
                    figures[metric].append(value)
                print(f"{number + 1}/{options.rounds}  {name}: {found[name]:.0f}/s", file=sys.stderr)
            rate, before, meanwhile = steadier.measure(partial(logins, lmdb, options.seconds))
            for name, value in (("logins", rate), ("before", before), ("meanwhile", meanwhile)):
                figures[name].append(value)
    print(f"{table(figures)}\n\n{steadier.said()}")


def table(figures: dict[str, list[float]]) -> str:
    """Give what was measured as a table: medians over the rounds, and of the ratios in each."""
    base = figures["uvicorn, plain"]
    rows = []
    for name in ("uvicorn, plain", "plain", "lmdb, read", "lmdb, saved", "redis, read", "redis, saved"):
        ratio = median(mine / theirs for mine, theirs in zip(figures[name], base, strict=True))
        hold = figures.get(f"{name} hold")
        rows.append(
            (
                name,
                f"{median(figures[name]):,.0f}",
                f"{ratio:.2f}",
                f"{median(figures[f'{name} p99']) * 1e3:.2f}",
                f"{median(hold) * 1e3:.3f}" if hold else "",
            )
        )
    text = tabulate(rows, ("call", "calls/s", "to uvicorn", "p99 ms", "commits hold the cycle, p99 ms"), "github")
    added = median(after - before for before, after in zip(figures["before"], figures["meanwhile"], strict=True))
    return (
        f"{text}\n\n{LOGINS} logins at once: {median(figures['logins']):.1f}/s; a plain call meanwhile has a p99 of "
        f"{median(figures['meanwhile']) * 1e3:.2f} ms, {added * 1e3:.2f} ms more than before."
    )


if __name__ == "__main__":
    main()
