"""``totohio send``: events from outside, and servers that do nothing but exchange them."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_hosts import METHODS, Listener
from tests.cli.test_processes import Server
from tests.processes import LONG, until
from tests.servers import free_port, redis_server
from totohio.cli import main

KEY = ("--event-key", "open sesame")


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[tuple[Server, list[str]]]:
    """A server that takes events, and the options that lead to it."""
    address = ["--event-port", str(free_port()), *KEY]
    (tmp_path / "peer").mkdir()
    server = Server(tmp_path / "peer", METHODS, "--database", "none", "--event-mode", "on", *address)
    yield server, address
    server.close()
    server.kill()


def test_an_event_is_sent_from_outside(peer: tuple[Server, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    server, options = peer
    listener = Listener(server)
    assert main(["send", "news.today", "text=Hello", "n=3", *options]) == 0
    assert main(["send", "news", "--json", "[1, null]", *options]) == 0
    until(lambda: listener.news() == [{"text": "Hello", "n": 3}, [1, None]], "both are told")
    assert capsys.readouterr() == ("", "")


def test_a_job_is_given_to_one_process(peer: tuple[Server, list[str]]) -> None:
    server, options = peer
    listener = Listener(server)
    assert main(["send", "news.job", "--one", *options]) == 0
    assert main(["send", "news.all", *options]) == 0
    until(lambda: listener.news() == [{}], "a subscription hears what all are told")


def test_redis_takes_events_too(tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis") as redis:
        options = ["--event-bus", "redis", "--database-url", redis.url]
        (tmp_path / "server").mkdir()
        server = Server(tmp_path / "server", METHODS, "--database", "none", *options)
        try:
            listener = Listener(server)
            assert main(["send", "news", "a=1", *options]) == 0
            until(lambda: listener.news() == [{"a": 1}], "it is told")
        finally:
            server.close()
            server.kill()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["send"], 2, "usage: totohio send NAME"),
        (["send", "a*"], 1, "no \\*"),
        (["send", "x", *KEY, "--event-port", "1"], 1, "no server can be reached"),
        (["send", "x"], 2, "event_key: needed"),
        (
            ["send", "x", *KEY, "--remote-event-receivers", "nowhere"],
            2,
            "remote_event_receivers: 'nowhere' is no address",
        ),
        (["send", "x", "--event-bus", "redis", "--database-url", "redis://127.0.0.1:1/0"], 1, "Redis: "),
    ],
)
def test_what_goes_wrong_is_said(
    arguments: list[str],
    status: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("totohio.cli.send.PATIENCE", 0.5)
    assert main(arguments) == status
    assert re.search(said, capsys.readouterr().err)


def test_a_wrong_key_is_not_let_in(peer: tuple[Server, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    server, options = peer
    monkeypatch.setattr("totohio.cli.send.PATIENCE", 0.5)
    assert main(["send", "news", *options[:2], "--event-key", "another"]) == 1
    assert Listener(server).news() == []


def test_a_process_that_only_exchanges_events_listens_to_nobody_else(
    tmp_path: Path, peer: tuple[Server, list[str]]
) -> None:
    server, options = peer
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "__init__.py").touch()
    (tmp_path / "echoing.py").write_text(
        "def invoke(manager):\n"
        "    def answer(args):\n        manager.send('news.echo', args)\n"
        "    manager.register_handler('question', answer, run_on_main_loop=True, persist=True)\n"
    )
    remote = ["--remote-event-receivers", f"127.0.0.1:{options[1]}", "--event-port", str(free_port()), *KEY]
    command = [
        sys.executable,
        "-m",
        "totohio",
        "serve",
        "--event-mode",
        "only",
        "--event-init-module",
        "echoing",
        *remote,
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        assert re.match(r"totohio \S+ exchanges events at tcp://127\.0\.0\.1:\d+\n", process.stdout.readline())
        listener = Listener(server)

        def echoed() -> bool:
            main(["send", "question", "n=1", "--event-port", remote[3], *KEY])
            return {"n": 1} in listener.news()

        until(echoed, "it answers with an event")
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONG) == 0
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
