"""``totohio serve`` as whoever starts it sees it: a process with output, signals and an exit status."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from totohio.cli import main

SLOW = """
def invoke(handler, parameters):
    print("started", flush=True)
    yield 0.5
    return parameters["n"]
"""
LONG = """
def invoke(handler, parameters):
    print("started", flush=True)
    yield 3600.0
"""
STUCK = """
def invoke(handler, parameters):
    print("started", flush=True)
    while True:
        pass
"""
PID = """
import os

def invoke(handler, parameters):
    return [os.getpid(), VERSION]

VERSION = 1
"""
LIMIT = 60.0  # seconds after which a server that hangs is killed, so that its test fails and ends


class Process:
    """A server in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("TOTOHIO_")}
        environ |= {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "totohio", "serve", *arguments],
            cwd=folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.output, self.errors = self.process.stdout, self.process.stderr
        self.timer = threading.Timer(LIMIT, self.process.kill)
        self.timer.start()
        self.seen: list[str] = []

    def started(self, count: int = 1) -> None:
        """Wait until that many calls run."""
        assert [self.output.readline() for _ in range(count)] == ["started\n"] * count

    def connect(self) -> http.client.HTTPConnection:
        """Read where it listens, and connect."""
        parts = urllib.parse.urlsplit(self.url())
        assert (parts.scheme, parts.hostname, parts.path) == ("http", "127.0.0.1", "")
        return http.client.HTTPConnection("127.0.0.1", parts.port, timeout=LIMIT)

    def url(self) -> str:
        """Read where it listens from the line that it prints."""
        line = self.output.readline()
        found = re.fullmatch(r"totohio \S+ listens on (\S+)\n", line)
        assert found, line + self.log()
        return found[1]

    def until(self, text: str) -> None:
        """Wait until a line with this text is logged."""
        for line in iter(self.errors.readline, ""):
            self.seen.append(line)
            if text in line:
                return
        raise AssertionError(f"no {text!r} in {self.seen}")

    def log(self) -> str:
        """Give all that it has logged, when it has ended."""
        self.seen += self.errors.readlines()
        return "".join(self.seen)

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end and give its exit status."""
        return self.process.wait(LIMIT)

    def close(self) -> None:
        """End it, however it is."""
        self.timer.cancel()
        self.process.kill()
        self.process.wait(LIMIT)
        self.output.close()
        self.errors.close()


Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start servers in a folder with a few methods."""
    methods = tmp_path / "methods"
    methods.mkdir()
    for name, text in {"__init__": "", "slow": SLOW, "long": LONG, "stuck": STUCK, "pid": PID}.items():
        (methods / f"{name}.py").write_text(text)
    started: list[Process] = []

    def start(*arguments: str, folder: Path = tmp_path, address: tuple[str, ...] = ("--port", "0")) -> Process:
        started.append(Process(folder, *address, *arguments))
        return started[-1]

    yield start
    for process in started:
        process.close()


def send(connection: http.client.HTTPConnection, method: str, **parameters: Any) -> None:
    connection.request(
        "POST", "/" + method, json.dumps({"parameters": parameters}), {"Content-Type": "application/json"}
    )


def reply(connection: http.client.HTTPConnection) -> Any:
    return json.loads(connection.getresponse().read())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_fifty_calls_end_and_refuses_new_connections(start: Start, number: int):
    server = start()
    first = server.connect()
    clients = [first] + [http.client.HTTPConnection(first.host, first.port, timeout=LIMIT) for _ in range(49)]
    for n, client in enumerate(clients):
        send(client, "slow", n=n)
    server.started(50)
    server.signal(number)
    server.until(f"{signal.Signals(number).name}: draining, 50 calls under way, at most 10 s; again to end at once")
    assert [reply(client) for client in clients] == [{"result": n} for n in range(50)]
    assert server.wait() == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((first.host, first.port))
    assert server.output.readline() == ""
    log = server.log()
    assert log.count(" INFO  call slow code=0 ") == 50
    assert "Traceback" not in log
    for client in clients:
        client.close()


def test_a_second_signal_ends_at_once(start: Start):
    server = start("--drain-timeout", "1000")
    client = server.connect()
    send(client, "long", n=1)
    server.started()
    server.signal()
    server.until("draining")
    server.signal()
    server.wait()
    with pytest.raises((http.client.HTTPException, OSError)):
        reply(client)
    client.close()


def test_a_second_signal_ends_even_a_method_that_never_returns(start: Start):
    server = start()
    client = server.connect()
    send(client, "stuck")
    server.started()
    server.signal()
    server.until("draining")
    server.signal()
    assert server.wait() == -signal.SIGALRM
    client.close()


def test_what_does_not_end_in_time_is_given_up(start: Start):
    server = start("--drain-timeout=0.01")
    client = server.connect()
    send(client, "long", n=1)
    server.started()
    server.signal()
    assert server.wait() == 0
    with pytest.raises((http.client.HTTPException, OSError)):
        reply(client)
    client.close()


def test_a_port_in_use_is_one_line_and_status_1(start: Start):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = start(address=("--port", str(port)))
        assert server.wait() == 1
    assert server.output.readline() == ""
    assert server.log() == f"totohio: cannot listen on 127.0.0.1:{port}: Address already in use\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--port", "abc"], 'port: expected a number from 0 to 65535, got "abc" (from --port)'),
        (["--prot", "1"], "--prot: no such option; did you mean --port?"),
        (["nowhere.yaml"], "nowhere.yaml: No such file or directory"),
        (["--method-module", "nowhere"], "method_module: there is no module 'nowhere' on the module path"),
        (["--certfile", "nowhere.pem"], None),
        (["--startup-function", "methods.nothing"], None),
    ],
)
def test_wrong_settings_are_one_line_and_status_2(start: Start, arguments: list[str], error: str | None):
    server = start(*arguments)
    assert server.wait() == 2
    assert server.output.readline() == ""
    log = server.log()
    assert log.count("\n") == 1
    assert log == f"totohio: {error}\n" if error else log.startswith("totohio: " + arguments[0][2:].replace("-", "_"))


@pytest.mark.parametrize("option", ["--method-module=broken", "--startup-function=broken.deep.start"])
def test_a_module_that_cannot_be_imported_is_one_line_with_its_own_traceback_and_status_1(
    start: Start, tmp_path: Path, option: str
):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "__init__.py").touch()
    (tmp_path / "broken" / "deep.py").write_text("import json\n\njson.loads(1)\n")
    server = start(option)
    assert server.wait() == 1
    assert server.output.readline() == ""
    text = "TypeError: the JSON object must be str, bytes or bytearray, not int"
    assert [line for line in server.log().splitlines() if line.strip(" ~^")] == [
        f"totohio: broken.deep cannot be imported: {text} (broken/deep.py:3)",
        "Traceback (most recent call last):",
        f'  File "{tmp_path}/broken/deep.py", line 3, in <module>',
        "    json.loads(1)",
        text,
    ]


def test_calls_are_logged_as_json_lines_without_their_bodies(start: Start):
    server = start("--log-format", "json")
    client = server.connect()
    send(client, "pid", password="hunter2")
    reply(client)
    send(client, "nothing", password="hunter2")
    reply(client)
    client.close()
    server.signal()
    assert server.wait() == 0
    log = server.log()
    lines = [json.loads(line) for line in log.splitlines()]
    calls = [(line["method"], line["code"]) for line in lines if "method" in line]
    assert calls == [("pid", 0), ("nothing", 1001)]
    assert all(line["ms"] >= 0 for line in lines if "method" in line)
    assert "hunter2" not in log


@pytest.mark.parametrize(("level", "count"), [("debug", 1), ("info", 0)])
def test_a_module_that_seems_to_lack_invoke_is_named_at_debug_level(
    start: Start, tmp_path: Path, level: str, count: int
):
    (tmp_path / "methods" / "prise.py").write_text("def invok(handler, parameters): pass\n")
    server = start("--log-level", level)
    server.connect().close()
    server.signal()
    assert server.wait() == 0
    assert server.log().count("DEBUG not served: methods/prise.py has no function invoke\n") == count


def test_a_unix_socket_is_announced_and_answers(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    lending = ("--remote-enabled", "--remote-port", "0", "--remote-path", "/lend", "--database", "memory")
    server = start(*lending, address=("--uds", "socket"))
    assert server.url() == "unix:socket"
    assert re.search(r" lends at totohio://127\.0\.0\.1:\d+ and /lend of unix:socket\n$", server.output.readline())
    assert main(["call", "pid", "--url", f"unix:{tmp_path / 'socket'}"]) == 0
    assert json.loads(capsys.readouterr().out) == [server.process.pid, 1]
    server.signal()
    assert server.wait() == 0
    assert not (tmp_path / "socket").exists()


def test_over_tls_it_announces_https_and_where_it_lends_and_answers(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    lending = ("--remote-enabled", "--remote-port", "0", "--remote-path", "/lend", "--database", "memory")
    server = start("--certfile", "server.pem", "--log-format", "json", *lending)
    url = server.url()
    lent = rf"totohio \S+ lends at totohio\+tls://127\.0\.0\.1:\d+ and {url.replace('https', 'wss')}/lend\n"
    assert re.fullmatch(lent, server.output.readline())
    assert url.startswith("https://127.0.0.1:")
    assert main(["call", "pid", "--url", url, "--cafile", str(tmp_path / "ca.pem")]) == 0
    assert json.loads(capsys.readouterr().out) == [server.process.pid, 1]
    assert main(["call", "pid", "--url", url]) == 1
    assert "certificate verify failed" in capsys.readouterr().err


def test_a_new_project_is_served_and_answers_what_its_readme_calls(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "shop"]) == 0
    server = start("settings.yaml", folder=tmp_path / "shop")
    capsys.readouterr()
    url = server.url()
    for line, result in (("hello name=Ada", "Hello, Ada!"), ("hello", "Hello, world!"), ("add a=1 b=2", 3)):
        assert main(["call", *line.split(), "--url", url]) == 0
        assert json.loads(capsys.readouterr().out) == result
    assert main(["call", "add", "a=1", "b=two", "--url", url]) == 1
    assert capsys.readouterr().err == "totohio: error 1003: Expected `float`, got `str` - at `$.b`\n"


def test_nobody_reading_its_output_does_not_disturb_it(start: Start):
    server = start()
    client = server.connect()
    server.output.close()
    server.errors.close()
    send(client, "pid")
    assert reply(client)["result"][0] == server.process.pid
    client.close()
    server.signal()
    assert server.wait() == 0


def test_a_changed_method_is_served_after_a_reload_and_a_broken_one_is_not(start: Start, tmp_path: Path):
    conf = tmp_path / "settings.yaml"
    conf.write_text("host: 127.0.0.1\n")
    server = start("settings.yaml", "--autoreload")
    client = server.connect()
    send(client, "pid")
    assert reply(client) == {"result": [server.process.pid, 1]}
    (tmp_path / "methods" / "pid.py").write_text("VERSION = \n")
    server.until("pid.py changed, but cannot be loaded: invalid syntax")
    send(client, "pid")
    assert reply(client) == {"result": [server.process.pid, 1]}
    client.close()
    (tmp_path / "methods" / "pid.py").write_text(PID.replace("VERSION = 1", "VERSION = 22"))
    client = server.connect()
    send(client, "pid")
    assert reply(client) == {"result": [server.process.pid, 22]}
    client.close()
    server.signal()
    assert server.wait() == 0


def test_a_module_that_raises_is_waited_for_and_served_when_it_is_mended(start: Start, tmp_path: Path):
    server = start("--autoreload")
    server.connect().close()
    path = tmp_path / "methods" / "pid.py"
    path.write_text("VERSION = 1 / 0\n")
    server.until("pid.py changed: starting again")
    server.until("methods.pid cannot be imported: ZeroDivisionError: division by zero (methods/pid.py:1); waiting")
    path.write_text("VERSION = {}['x']\n")
    server.until("methods.pid cannot be imported: KeyError: 'x' (methods/pid.py:1); waiting")
    path.write_text(PID.replace("VERSION = 1", "VERSION = 333"))
    client = server.connect()
    send(client, "pid")
    assert reply(client) == {"result": [server.process.pid, 333]}
    client.close()
    server.signal()
    assert server.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_first_start_waits_for_a_broken_module_as_well_until_a_signal_ends_it(
    start: Start, tmp_path: Path, number: int
):
    (tmp_path / "methods" / "pid.py").write_text("def invoke(:\n")
    server = start("--autoreload")
    server.until("methods.pid cannot be imported: SyntaxError: ")
    server.signal(number)
    assert server.wait() == 0
    assert server.output.readline() == ""
    log = server.log()
    assert log.count("cannot be imported") == 1
    assert "registering.py" not in log
