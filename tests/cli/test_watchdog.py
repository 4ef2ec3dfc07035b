"""What watches several processes, where one of them stands still, or ends while it is being replaced."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.processes import Process, until

PID = "import os\ndef invoke(handler, parameters):\n    return os.getpid()\n"
CRASH = "import os, signal\ndef invoke(handler, parameters):\n    os.kill(os.getpid(), signal.SIGSEGV)\n"
HANG = "import time\ndef invoke(handler, parameters):\n    time.sleep(3600)\n"
GATE = """
import os, time
if os.path.exists("gate"):
    open(f"waits-{os.getpid()}", "w").close()
    while os.path.exists("gate"):
        time.sleep(0.01)
"""
BROKEN = "1 / 0\n"

Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a server with several processes that ends with the test."""
    made: list[Process] = []

    def begin(*arguments: str) -> Process:
        more = ("--processes", "2", "--database", "none", "--log-level", "warning", *arguments)
        made.append(Process(tmp_path, {"pid": PID, "hang": HANG, "crash": CRASH, "gate": "\n"}, *more, traced=False))
        return made[-1]

    yield begin
    for server in made:
        (tmp_path / "gate").unlink(missing_ok=True)
        pids = workers(server)
        server.kill()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def workers(server: Process) -> list[int]:
    """The processes that serve."""
    with contextlib.suppress(OSError):
        return [int(text) for text in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()]
    return []


def answering(server: Process, count: int = 2) -> set[int]:
    """Call over new connections until so many processes have answered."""
    found: set[int] = set()

    def enough() -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            found.add(server.call("pid", seconds=1.0)["result"])
        return len(found) >= count

    until(enough, f"{count} processes answer")
    return found


def ask(sock: socket.socket, method: str) -> None:
    """Send a call over a connection that stays open."""
    sock.sendall(f"POST /{method} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode())


def served_by(sock: socket.socket) -> int:
    """Ask which process has a connection."""
    ask(sock, "pid")
    data = b""
    while not data.endswith(b"}"):
        data += sock.recv(65536)
    return int(json.loads(data.rpartition(b"\r\n")[2])["result"])


def test_a_process_that_stands_still_is_replaced_and_the_others_go_on(start: Start) -> None:
    server = start("--hang-timeout", "3", "--processes", "3")
    before = set(workers(server))
    with server.connect() as sock:
        hanging = served_by(sock)
        frozen, well = before - {hanging}
        os.kill(frozen, signal.SIGSTOP)  # so that it cannot even say where it stands
        ask(sock, "hang")
        assert sock.recv(1) == b"", "it has answered"
    until(lambda: len(now := workers(server)) == 3 and not {hanging, frozen} & set(now), "they are replaced")
    assert well in workers(server), "who answers is left alone"
    log = server.log.read_text()
    assert f"process {hanging}) has not answered for 3 s: it is killed" in log
    assert f"process {hanging}) has written this before it ended (killed by SIGABRT)" in log
    assert re.search(r'\n    +File ".*/methods/hang\.py", line 3 in invoke\n', log), "it is a part of that line"
    assert f"process {hanging}) has ended (killed by SIGABRT), started again" in log
    assert f"process {frozen}) has ended (killed by SIGKILL), started again" in log
    assert answering(server, 3) >= {well}


def test_where_a_process_crashed_is_a_field_of_a_line_where_lines_are_json(start: Start) -> None:
    server = start("--log-format", "json")
    with server.connect() as sock:
        crashing = served_by(sock)
        ask(sock, "crash")
        assert sock.recv(1) == b"", "it has answered"
    until(lambda: len(now := workers(server)) == 2 and crashing not in now, "it is replaced")
    _, *lines = server.log.read_text().splitlines()
    (found,) = [line for line in map(json.loads, lines) if "traceback" in line]
    assert found["level"] == "error"
    assert re.fullmatch(
        rf"worker \d \(process {crashing}\) has written this before it ended \(killed by SIGSEGV\)", found["message"]
    )
    assert 'methods/crash.py", line 3 in invoke' in found["traceback"]


def test_a_process_that_ends_while_its_successor_starts_is_replaced_by_that_one_alone(
    start: Start, tmp_path: Path
) -> None:
    server = start()
    before = answering(server)
    (tmp_path / "methods" / "gate.py").write_text(GATE)
    (tmp_path / "gate").touch()
    server.signal(signal.SIGHUP)
    until(lambda: list(tmp_path.glob("waits-*")), "the first successor starts")
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: "its successor starts already" in server.log.read_text(), "it is said")
    (tmp_path / "gate").unlink()
    until(lambda: len(workers(server)) == 2 and not before & set(workers(server)), "all are replaced")
    assert len(answering(server)) == 2
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert len(list(tmp_path.glob("waits-*"))) <= 2, "one was started too many"


def test_a_place_whose_process_ended_while_nothing_could_be_rolled_is_filled_once_it_can(
    start: Start, tmp_path: Path
) -> None:
    server = start()
    before = answering(server)
    module = tmp_path / "methods" / "gate.py"
    module.write_text(BROKEN)
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    until(lambda: "started again in 0.2 s" in server.log.read_text(), "it cannot begin")
    server.signal(signal.SIGHUP)
    until(lambda: "nothing is rolled" in server.log.read_text(), "it is not rolled")
    module.write_text("\n")
    assert len(answering(server)) == 2, "its place is filled"
