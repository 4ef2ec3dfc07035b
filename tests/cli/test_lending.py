"""``totohio serve`` with several processes that lend."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import LONG, Process, until
from tests.remote.support import PASSWORD
from totohio import remote
from totohio.remote import DisconnectedError, Remote

ACCOUNTS = "from totohio.app.methods import account\n"
LENT = """
import os

from totohio import lend


@lend
def pid():
    return os.getpid()


@lend
def nap(seconds):
    yield seconds
    return os.getpid()
"""
OPTIONS = {
    "processes": 2,
    "database": "lmdb",
    "password_memory": 64,
    "password_time": 1,
    "password_rules": "never",
    "remote_enabled": True,
    "remote_module": "lent",
    "remote_path": "/lend",
    "log_level": "warning",
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    """Two processes."""
    (tmp_path / "lent.py").write_text(LENT)
    settings = tmp_path / "settings.yaml"
    settings.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in OPTIONS.items()))
    server = Process(tmp_path, {"__init__": ACCOUNTS}, str(settings), "--remote-port", "0", traced=False)
    try:
        pattern = r"^totohio \S+ lends at (totohio://127\.0\.0\.1:\d+) and (ws://127\.0\.0\.1:\d+/lend)$"
        said = re.search(pattern, server.log.read_text(), re.M)
        assert said, server.log.read_text()
        server.remote, server.web = said.groups()  # type: ignore[attr-defined]
        server.call("account/create", {"user_id": "ada", "password": PASSWORD})
        yield server
    finally:
        server.kill()


def connect(server: Process) -> Remote:
    return remote.connect(
        server.remote,
        user_id="ada",
        password=PASSWORD,
        timeout=LONG,  # type: ignore[attr-defined]
    )


def test_sessions_are_spread_over_the_processes_and_end_with_theirs_alone(server: Process) -> None:
    with contextlib.ExitStack() as stack:
        sessions: dict[int, list[Remote]] = {}

        def both() -> bool:
            borrower = stack.enter_context(connect(server))
            sessions.setdefault(borrower.pid(), []).append(borrower)
            return len(sessions) == 2

        until(both, "both processes lend")
        (first, firsts), (second, others) = sessions.items()
        os.kill(first, signal.SIGKILL)
        for borrower in firsts:
            with pytest.raises(DisconnectedError):
                borrower.pid()
        assert {borrower.pid() for borrower in others} == {second}
        until(lambda: stack.enter_context(connect(server)).pid() not in (first, second), "another lends in its place")


def test_the_url_that_is_said_of_websockets_leads_to_what_is_lent(server: Process) -> None:
    url = server.web  # type: ignore[attr-defined]
    with remote.connect(url, user_id="ada", password=PASSWORD, timeout=LONG) as borrower:
        assert borrower.pid() != server.pid


def test_rolling_answers_what_is_under_way_and_lends_anew(server: Process) -> None:
    with connect(server) as borrower:
        old = borrower.pid()
        later = borrower.later(borrower.nap)(1.0)
        server.signal(signal.SIGHUP)
        assert later.result(LONG) == old

        def ended() -> bool:
            try:
                borrower.pid()
            except DisconnectedError:
                return True
            return False

        until(ended, "the session ends when its process goes")
    with connect(server) as borrower:
        assert borrower.pid() != old


def test_a_server_that_cannot_lend_says_why(tmp_path: Path) -> None:
    (tmp_path / "lent.py").write_text(LENT)
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "__init__.py").write_text(ACCOUNTS)
    for options, said in (
        (["--remote-module", "nowhere"], "remote_module: there is no module nowhere"),
        (["--remote-module", "lent", "--database", "none"], "remote_enabled: a database is needed"),
    ):
        arguments = [sys.executable, "-m", "totohio", "serve", "--port", "0", "--remote-enabled", "--remote-port", "0"]
        done = subprocess.run(
            [*arguments, *options], cwd=tmp_path, capture_output=True, text=True, timeout=LONG, check=False
        )
        assert done.returncode == 2, done
        assert said in done.stderr
