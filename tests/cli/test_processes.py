"""``totohio serve`` with several processes, as whoever starts it sees it."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import LONG, Process, until
from tests.servers import free_port
from totohio.base.errors import SettingsError
from totohio.cli import main

PID = "import os\ndef invoke(handler, parameters):\n    return os.getpid()\n"
VERSION = "def invoke(handler, parameters):\n    return 1\n"
WAIT = "def invoke(handler, parameters):\n    return (yield handler.event(parameters['name']))\n"
SEND = "def invoke(handler, parameters):\n    handler.event_manager.send(parameters['name'], parameters.get('args'))\n"
STREAM = "def invoke(handler, parameters):\n    return handler.event_stream('news').over\n"
NAP = "def invoke(handler, parameters):\n    yield parameters['seconds']\n    return 'slept'\n"
METHODS = {"pid": PID, "version": VERSION, "wait": WAIT, "send": SEND, "stream": STREAM, "nap": NAP}


class Server(Process):
    """A server and the connections to it, which end with the test."""

    def connect(self) -> socket.socket:
        sock = super().connect()
        self.__dict__.setdefault("socks", []).append(sock)
        return sock

    def close(self) -> None:
        for sock in self.__dict__.get("socks", ()):
            sock.close()


Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start servers that end with the test."""
    made: list[Server] = []

    def begin(*arguments: str, methods: dict[str, str] = METHODS, traced: bool = False) -> Server:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        more = ("--processes", "2", "--database", "none", "--log-level", "warning", *arguments)
        made.append(Server(folder, methods, *more, traced=traced))
        return made[-1]

    yield begin
    for server in made:
        workers = children(server.pid)
        server.close()
        server.kill()
        for pid in workers:  # which end by themselves, but a test that fails must leave nothing behind
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    with contextlib.suppress(OSError):
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def pids(server: Server, count: int = 2) -> set[int]:
    """Call over new connections until so many processes have answered."""
    found: set[int] = set()

    def enough() -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            found.add(server.call("pid")["result"])
        return len(found) >= count

    until(enough, f"{count} processes answer")
    return found


def send_request(server: Server, method: str, parameters: Any = None) -> socket.socket:
    """Send a call and do not wait for the reply."""
    sock = server.connect()
    body = json.dumps(parameters or {}).encode()
    sock.sendall(f"POST /{method} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    return sock


def receive(sock: socket.socket, end: bytes) -> bytes:
    """Receive until something has come."""
    data = b""
    while end not in data:
        more = sock.recv(65536)
        assert more, data
        data += more
    return data


def test_the_kernel_spreads_connections_over_all_processes(start: Start) -> None:
    server = start(traced=True)
    found = pids(server)
    assert found == set(children(server.pid))
    assert server.pid not in found


def test_a_killed_process_is_replaced_within_a_second_and_the_others_serve_meanwhile(start: Start) -> None:
    server = start()
    first, second = pids(server)
    stay = [sock for sock in (server.connect() for _ in range(16)) if worker_of(sock) != first]
    os.kill(first, signal.SIGKILL)
    for sock in stay:
        assert worker_of(sock) == second, "another process has lost its connections"
    until(lambda: pids(server) - {first, second}, "another one is started", seconds=1.0 + 1.0)  # this machine is slow
    assert f"process {first}) has ended (killed by SIGKILL), started again" in server.log.read_text()


def worker_of(sock: socket.socket) -> int:
    """Ask over a connection which process has it."""
    sock.sendall(b"POST /pid HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
    data = receive(sock, b"}")
    return int(json.loads(data.rpartition(b"\r\n")[2])["result"])


def test_connections_that_wait_for_a_process_that_was_killed_are_answered_by_its_successor(start: Start) -> None:
    server = start()
    for pid in pids(server):
        os.kill(pid, signal.SIGKILL)
    socks = [send_request(server, "pid") for _ in range(8)]
    for sock in socks:
        assert b"200 OK" in receive(sock, b"result")


def test_sigterm_lets_streams_and_waits_end_with_a_word_and_the_server_with_zero(start: Start) -> None:
    server = start("--drain-timeout", "10", traced=True)
    streams = [send_request(server, "stream") for _ in range(100)]
    for sock in streams:
        receive(sock, b"recovered")
    waits = [send_request(server, "wait", {"name": "never"}) for _ in range(100)]
    naps = [send_request(server, "nap", {"seconds": 0.5}) for _ in range(4)]
    until(lambda: all(server.call("pid") for _ in range(4)), "it answers")
    server.signal(signal.SIGTERM)
    for sock in streams:
        assert b"event: close" in receive(sock, b"0\r\n\r\n")
    for sock in waits:
        assert b'"code":1014' in receive(sock, b"retry_after")
    for sock in naps:
        assert b"slept" in receive(sock, b"}")
    assert server.wait() == 0


def test_a_signal_to_all_processes_at_once_drains_them_too(start: Start) -> None:
    server = start()
    naps = [send_request(server, "nap", {"seconds": 1.0}) for _ in range(8)]
    until(lambda: server.call("pid"), "it answers")
    for pid in (*children(server.pid), server.pid):  # as systemd does
        os.kill(pid, signal.SIGTERM)
    for sock in naps:
        assert b"slept" in receive(sock, b"}")
    assert server.wait() == 0


def test_rolling_under_load_fails_no_request(start: Start) -> None:
    server = start()
    before = pids(server)
    failed: list[str] = []
    done = threading.Event()
    counts = [0] * 4

    def keep_alive(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LONG)
        while not done.is_set():
            ask(number, connection)
        connection.close()

    def anew(number: int) -> None:
        while not done.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LONG)
            ask(number, connection)
            connection.close()

    def ask(number: int, connection: http.client.HTTPConnection) -> None:
        try:
            connection.request("POST", "/version", "{}", {"Content-Type": "application/json"})
            if json.loads(connection.getresponse().read()) != {"result": 1}:
                failed.append("wrong")
        except (OSError, http.client.HTTPException, ValueError) as error:
            failed.append(repr(error))
            connection.close()
        counts[number] += 1

    threads = [threading.Thread(target=(keep_alive, anew)[number % 2], args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            old = set(children(server.pid))
            server.signal(signal.SIGHUP)
            until(lambda old=old: len(now := set(children(server.pid))) == 2 and not now & old, "all are replaced")
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert failed == []
    assert min(counts) > 20
    assert not before & pids(server)


def test_rolling_serves_new_methods_and_a_module_that_is_broken_rolls_nothing(start: Start) -> None:
    server = start()
    old = pids(server)
    path = server.log.parent / "methods" / "version.py"
    path.write_text(VERSION.replace("1", "22"))
    server.signal(signal.SIGHUP)
    until(lambda: not old & set(children(server.pid)) and len(pids(server)) == 2, "all are replaced")
    assert all(server.call("version") == {"result": 22} for _ in range(8))
    path.write_text("1 / 0\n")
    server.signal(signal.SIGHUP)
    until(lambda: "has not begun to serve" in server.log.read_text(), "it is said that nothing is rolled")
    assert all(server.call("version") == {"result": 22} for _ in range(8))
    assert "ZeroDivisionError" in server.log.read_text()


def test_events_reach_the_siblings_and_those_that_come_later(start: Start) -> None:
    server = start()
    for _ in range(2):
        waits = [send_request(server, "wait", {"name": "news"}) for _ in range(12)]
        until(lambda: server.call("pid"), "it answers")
        for sock in waits:
            sock.setblocking(False)
        told: set[socket.socket] = set()

        def all_told(waits: list[socket.socket] = waits, told: set[socket.socket] = told) -> bool:
            server.call("send", {"name": "news", "args": "x"})
            for sock in waits:
                with contextlib.suppress(BlockingIOError):
                    told |= {sock} if b'"x"' in sock.recv(65536) else set()
            return len(told) == len(waits)

        until(all_told, "all are told")
        old = set(children(server.pid))
        server.signal(signal.SIGHUP)
        until(lambda old=old: len(now := set(children(server.pid))) == 2 and not now & old, "all are replaced")


def test_workers_end_when_their_supervisor_is_killed(start: Start) -> None:
    server = start()
    workers = children(server.pid)
    assert len(workers) == 2
    server.kill()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "the workers end")


def test_a_process_that_crashes_again_and_again_is_started_later_and_later(start: Start) -> None:
    server = start(methods={**METHODS, "crash": "import os\ndef invoke(handler, parameters):\n    os._exit(3)\n"})

    def crashed() -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            server.call("crash", seconds=1.0)
        return "started again in 0.4 s" in server.log.read_text()

    until(crashed, "it waits longer")
    log = server.log.read_text()
    assert "has ended (status 3), started again in 0.1 s" in log
    assert "started again in 0.2 s" in log
    server.signal(signal.SIGTERM)
    assert server.wait() in (0, 1)


@pytest.mark.parametrize(("module", "said"), [("1 / 0\n", "ZeroDivisionError"), ("import nowhere\n", "nowhere")])
def test_a_server_that_cannot_begin_says_why_and_ends(
    tmp_path: Path, module: str, said: str, start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AssertionError):
        start(methods={"m": module})
    log = (tmp_path / "0" / "log").read_text()
    assert said in log
    assert "started again" not in log


def test_a_port_that_is_taken_is_said_and_nothing_begins(tmp_path: Path, start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(AssertionError):
        start("--port", str(taken.getsockname()[1]))
    assert "cannot listen on 127.0.0.1:" in (tmp_path / "0" / "log").read_text()


def test_a_second_signal_ends_it_at_once(start: Start) -> None:
    server = start()
    sock = send_request(server, "nap", {"seconds": 3600})
    until(lambda: server.call("pid"), "it answers")
    server.signal(signal.SIGTERM)
    until(lambda: server.refuses(), "it takes no more")
    server.signal(signal.SIGTERM)
    server.wait()
    assert "SIGTERM again: ending at once" in server.log.read_text()
    sock.close()


def test_all_processes_share_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    process = run(tmp_path, "--processes", "2", "--uds", str(path))
    try:
        found: set[int] = set()

        def answered() -> bool:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(LONG)
                sock.connect(str(path))
                found.add(worker_of(sock))
            return len(found) == 2

        until(answered, "both answer")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONG) == 0
    assert not path.exists()


def run(
    folder: Path, *arguments: str, command: tuple[str, ...] = (), package: str = "", **options: Any
) -> "subprocess.Popen[bytes]":
    """Start a server whose output nobody reads; ``package`` is run when its methods are imported."""
    (folder / "methods").mkdir()
    (folder / "methods" / "__init__.py").write_text(package)
    (folder / "methods" / "pid.py").write_text(PID)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = command or (sys.executable, "-m", "totohio", "serve", "--database", "none", *arguments)
    return subprocess.Popen(
        command, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [("record", "x.jsonl"), ("autoreload", "true"), ("database", "memory"), ("event_bus", "memory")],
)
def test_what_goes_with_one_process_only_is_refused(
    option: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"TOTOHIO_{option.upper()}", value)
    assert main(["serve", "--processes", "2"]) == 2
    assert f"{option}: " in capsys.readouterr().err


# ---------------------------------------------------------------- service managers


def test_a_service_manager_is_told_what_goes_on(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(LONG)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        server = start(traced=True)
        server.signal(signal.SIGHUP)

        def hear(word: bytes) -> None:
            while word not in manager.recv(4096):
                pass

        hear(b"READY=1")
        hear(b"RELOADING=1\nMONOTONIC_USEC=")
        hear(b"WATCHDOG=1")
        hear(b"READY=1")
        server.signal(signal.SIGTERM)
        hear(b"STOPPING=1")
    assert server.wait() == 0


def test_one_process_tells_its_service_manager_too(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(LONG)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        start("--processes", "1")
        heard = [manager.recv(4096) for _ in range(4)]
    assert heard.count(b"READY=1") == 1
    assert heard.count(b"WATCHDOG=1") == 3


@pytest.mark.parametrize("count", ["1", "2"])
def test_a_service_manager_may_hand_over_the_socket(tmp_path: Path, count: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port, number = sock.getsockname()[1], sock.fileno()
        serve = [sys.executable, "-m", "totohio", "serve", "--processes", count, "--database", "none"]
        script = f"import os; os.dup2({number}, 3); os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))"
        script += f"; os.execv({sys.executable!r}, {serve!r})"
        process = run(tmp_path, command=(sys.executable, "-c", script), pass_fds=[number])
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONG)
        connection.request("POST", "/pid", "{}", {"Content-Type": "application/json"})
        assert "result" in json.loads(connection.getresponse().read())
        connection.close()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONG) == 0


LATE = """
import os, time
try:
    os.close(os.open("first", os.O_CREAT | os.O_EXCL))
except FileExistsError:
    while not os.path.exists("go"):
        time.sleep(0.01)
"""


def test_a_signal_while_one_of_them_still_starts_ends_all(tmp_path: Path) -> None:
    port = free_port()
    process = run(tmp_path, "--processes", "2", "--port", str(port), package=LATE)
    try:
        sock = until(lambda: answered(port), "the first of them answers")
        sock.sendall(b"POST /pid HTTP/1.1")  # and it has a request to wait for
        process.send_signal(signal.SIGTERM)
        (tmp_path / "go").touch()
        until(lambda: process.poll() is not None or len(children(process.pid)) == 1, "the second has begun and ended")
        sock.close()
        assert process.wait(LONG) == 0
    finally:
        process.kill()


def answered(port: int) -> socket.socket | None:
    """Give a connection over which a call was answered; None when nobody does."""
    try:
        sock = socket.create_connection(("127.0.0.1", port), 1)
    except OSError:
        return None
    try:
        sock.sendall(b"POST /pid HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
        if sock.recv(65536):
            return sock
    except OSError:  # it waits at the one that does not serve yet
        pass
    sock.close()
    return None


# ---------------------------------------------------------------- health


def get(server: Server, path: str, verb: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LONG)
    with contextlib.closing(connection):
        connection.request(verb, path)
        response = connection.getresponse()
        return response.status, response.read()


def test_health_and_readiness_are_told(start: Start) -> None:
    server = start()
    assert get(server, "/-/health") == (200, b'{"status":"ok"}')
    assert get(server, "/-/ready") == (200, b'{"status":"ok"}')
    assert get(server, "/-/ready", "HEAD") == (200, b"")
    assert get(server, "/-/other")[0] == 404


def test_the_paths_may_be_others_and_none(start: Start) -> None:
    server = start("--health-path", "/up-and-well", "--ready-path", "")
    assert get(server, "/up-and-well")[0] == 200
    assert get(server, "/-/health")[0] == 404
    assert get(server, "/-/ready")[0] == 404


def test_a_server_whose_store_is_gone_is_not_ready_and_healthy(start: Start) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    methods = {**METHODS, "__init__": "from totohio.app.methods import account\n"}
    server = start("--processes", "1", "--database", "redis", "--database-url", url, methods=methods)

    def unready() -> bool:
        server.call("account.login", {"user_id": "x", "password": "y"})
        return get(server, "/-/ready")[0] == 503

    until(unready, "it says that it is not ready")
    assert get(server, "/-/health")[0] == 200


def test_processes_of_settings_are_counted() -> None:
    from totohio.app.configuring import load
    from totohio.app.processes import processes

    assert processes(load(arguments={"processes": 3}, environ={})) == 3
    assert processes(load(arguments={"processes": -1}, environ={})) == len(os.sched_getaffinity(0))
    with pytest.raises(SettingsError, match="at least 1"):
        load(arguments={"processes": 0}, environ={})
