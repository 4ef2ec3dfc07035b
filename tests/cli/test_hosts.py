"""Several hosts for real, each with several processes, that share events; and a Redis that goes away and comes back."""

import contextlib
import http.client
import json
import os
import select
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_processes import Server, children
from tests.processes import LONG, until
from tests.servers import Redis, free_port, redis_server
from tests.wire.test_streaming import parse

SEND = """
def invoke(handler, parameters):
    yield handler.event_manager.send(parameters["name"], parameters["args"], parameters.get("broadcast", True))
    return True
"""
STREAM = "def invoke(handler, parameters):\n    return handler.event_stream('news*').over\n"
ECHO = "def invoke(handler, parameters):\n    return parameters\n"
JOBS = """
from totohio import EventManager
DONE = []
def invoke(manager):
    def work(args):
        manager.send("news.done", args)
    manager.register_handler("job", work, run_on_main_loop=True, persist=True)
"""
METHODS = {"send": SEND, "stream": STREAM, "echo": ECHO, "jobs": JOBS}
HOSTS = ("127.0.0.1", "127.0.0.2")
STREAMS = 12  # to each host, so that both of its processes have some


class Listener:
    """A stream of events."""

    def __init__(self, server: Server, last_id: str = "") -> None:
        self.sock = server.connect()
        header = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
        self.sock.sendall(f"GET /stream HTTP/1.0\r\nHost: x\r\n{header}\r\n".encode())
        self.data = b""
        until(lambda: self.receive() or b"\n\nid: " in self.data or b"\nid: " in self.data, "the stream begins")

    def receive(self) -> None:
        """Take what is there."""
        while select.select([self.sock], [], [], 0.0)[0]:
            data = self.sock.recv(1 << 20)
            if not data:
                return
            self.data += data

    def events(self) -> list[tuple[str, Any]]:
        """What has come, in order."""
        self.receive()
        body = self.data.partition(b"\r\n\r\n")[2]
        whole = body[: body.rfind(b"\n\n") + 2]
        return [(kind, json.loads(data)) for kind, data, _ in parse(whole)[0]]

    def news(self) -> list[Any]:
        """The arguments of the events, in order."""
        return [args for kind, args in self.events() if kind.startswith("news")]

    def last_id(self) -> str:
        self.receive()
        body = self.data.partition(b"\r\n\r\n")[2]
        return parse(body[: body.rfind(b"\n\n") + 2])[1]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made: list[Server] = []

    def begin(*arguments: str) -> Server:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        more = ("--database", "none", "--log-level", "warning", "--event-init-module", "methods.jobs", *arguments)
        made.append(Server(folder, METHODS, *more, traced=False))
        return made[-1]

    yield begin
    for server in made:
        server.close()
        server.signal(signal.SIGKILL)
        server.wait()


def ports() -> int:
    """Give a port that is free, as is the next one, on both hosts; none that the kernel gives to connections."""
    first = 20_000 + os.getpid() % 100 * 100
    for port in range(first, first + 100, 2):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for host in HOSTS:
                for number in (port, port + 1):
                    stack.enter_context(socket.create_server((host, number)))
            return port
    raise AssertionError("no port is free")


def cluster(start: Start, bus: str, redis: Redis) -> list[Server]:
    """Two hosts with two processes each."""
    options = ["--event-bus", bus, "--processes", "2"]
    if bus == "redis":
        options += ["--database-url", redis.url, "--database-prefix", f"test{free_port()}"]
        return [start(*options) for _ in HOSTS]
    port = ports()
    return [
        start(
            *options,
            *("--event-mode", "on", "--event-host", host, "--event-port", str(port), "--event-key", "open sesame"),
            *("--remote-event-receivers", f"{other}:{port}, tcp://{other}:{port + 1}"),
        )
        for host, other in (HOSTS, HOSTS[::-1])
    ]


@pytest.mark.parametrize("bus", ["peers", "redis"])
def test_two_hosts_with_two_processes_each_share_events(start: Start, redis: Redis, bus: str) -> None:
    servers = cluster(start, bus, redis)
    assert all(len(children(server.pid)) == 2 for server in servers)
    until(lambda: linked(servers), "they are connected")
    listeners = [Listener(server) for server in servers for _ in range(STREAMS)]
    senders = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=LONG) for server in servers]
    for number in range(20):
        for place, sender in enumerate(senders):  # over one connection, so that one process sends them in order
            body = json.dumps({"name": "news", "args": [place, number]})
            sender.request("POST", "/send", body, {"Content-Type": "application/json"})
            assert json.loads(sender.getresponse().read()) == {"result": True}
    for sender in senders:
        sender.close()
    until(lambda: all(len(listener.news()) >= 40 for listener in listeners), "all are told")
    for listener in listeners:
        for place in range(2):
            assert [args[1] for args in listener.news() if args[0] == place] == list(range(20))
        assert len(listener.news()) == 40
    if bus == "redis":
        assert all(listener.news() == listeners[0].news() for listener in listeners), "one order for all"
    last_id = listeners[0].last_id()
    servers[0].call("send", {"name": "news", "args": "missed"})
    until(lambda: all("missed" in listener.news() for listener in listeners), "all are told")
    for server in servers:
        again = Listener(server, last_id)
        until(lambda again=again: again.news() == ["missed"], "what was missed comes, at any host")
        assert again.events()[0] == ("recovered", {"recovered": True})


def linked(servers: list[Server]) -> bool:
    """Send an event at each host, and tell whether it has come everywhere."""
    listeners = [Listener(server) for server in servers for _ in range(STREAMS)]
    for place, server in enumerate(servers):
        server.call("send", {"name": "news.probe", "args": place})
    with contextlib.suppress(AssertionError):
        until(lambda: all({0, 1} <= set(listener.news()) for listener in listeners), "not yet", seconds=0.5)
        return True
    return False


@pytest.mark.parametrize("bus", ["peers", "redis"])
def test_each_job_is_done_by_one_process(start: Start, redis: Redis, bus: str) -> None:
    servers = cluster(start, bus, redis)
    until(lambda: linked(servers), "they are connected")
    listener = Listener(servers[0])
    for number in range(40):
        servers[number % 2].call("send", {"name": "job", "args": number, "broadcast": False})
    until(lambda: len(listener.news()) >= 40, "all are done")
    assert sorted(listener.news()) == list(range(40))


def test_redis_may_go_away_and_come_back_under_load(tmp_path: Path, start: Start) -> None:
    redis = Redis(tmp_path / "redis")
    try:
        server = start("--event-bus", "redis", "--database-url", redis.url, "--database-timeout", "0.5")
        listener = Listener(server)
        assert server.call("send", {"name": "news", "args": "before"}) == {"result": True}
        until(lambda: listener.news() == ["before"], "it is told")
        redis.kill()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LONG)

        def refused() -> bool:
            for number in range(20):  # calls that send nothing go on meanwhile
                connection.request("POST", "/echo", json.dumps({"n": number}), {"Content-Type": "application/json"})
                assert json.loads(connection.getresponse().read()) == {"result": {"n": number}}
            error = server.call("send", {"name": "news", "args": "lost"}).get("error", {})
            return error.get("code") == 1012

        assert refused()
        assert refused()
        assert listener.news() == ["before"]
        redis.start()
        until(lambda: "result" in server.call("send", {"name": "news", "args": "after"}), "events can be sent again")
        until(lambda: "after" in listener.news(), "and are told")
        connection.close()
        news = listener.news()
        assert news[0] == "before"
        assert news.count("after") == 1
        again = Listener(server, listener.last_id())
        assert again.events()[0] == ("recovered", {"recovered": True})
    finally:
        redis.kill()
