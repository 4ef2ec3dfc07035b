"""What was acknowledged is there, however often the server is killed.

Real processes, real files: clients increment counters and save them while the server is killed with SIGKILL and
started again. Each client knows how many of its calls were acknowledged and how many it has made, and each reply must
fit both: an acknowledged increment that is missing makes the count too low, one that is counted twice too high.
"""

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from tests.processes import until
from tests.servers import free_port, redis_server

CLIENTS = 8
LMDB_KILLS = 50
REDIS_KILLS = 10
CALLS = 40  # calls that are acknowledged, more or less, before the next kill
COUNT = """
from totohio import anonymous_session

@anonymous_session
def invoke(handler, parameters):
    session, name = handler.session, parameters["name"]
    session[name] = (session[name] or 0) + 1
    session.save()
    return session[name]
"""
MAKE = """
from totohio import pausable

@pausable
def invoke(handler, parameters):
    handler.db_connection.create_account(parameters["user_id"], "correct horse")
    return True
"""
# It imports once and forks a server each time that it is told to, since a server is to be killed fifty times.
KEEPER = """
import os, sys
from totohio import TotoServer
settings = dict(pair.split("=", 1) for pair in sys.argv[1:])
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.close(0)
        quick = dict(log_level="error", password_memory=64, password_time=1)
        TotoServer(port=int(settings.pop("port")), **quick, **settings).run()
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""


class Killed:
    """A server that is killed and started again on the same port and the same data."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        package = folder / "methods"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "count.py").write_text(COUNT)
        (package / "make.py").write_text(MAKE)
        self.port = free_port()
        self.pid = 0
        pairs = {"port": self.port, **settings}
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("TOTOHIO_", "COV"))}
        self.keeper = subprocess.Popen(
            [sys.executable, "-c", KEEPER, *(f"{name}={value}" for name, value in pairs.items())],
            cwd=folder,
            env=environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self) -> None:
        assert self.keeper.stdin is not None
        assert self.keeper.stdout is not None
        self.keeper.stdin.write("start\n")
        self.keeper.stdin.flush()
        self.pid = int(self.keeper.stdout.readline())
        until(self.listens, "the server listens")

    def listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 5.0).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        assert self.keeper.stdout is not None
        os.kill(self.pid, signal.SIGKILL)
        assert self.keeper.stdout.readline() == "gone\n"

    def close(self) -> None:
        assert self.keeper.stdin is not None
        assert self.keeper.stdout is not None
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.keeper.stdin.close()
        self.keeper.wait(30.0)
        self.keeper.stdout.close()


class Client(threading.Thread):
    """Calls one after another, and counts what it has asked for and what it was told.

    Attributes:
        faults: What cannot be.
    """

    def __init__(self, number: int, port: int, shared: str, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.number = number
        self.port = port
        self.over = over
        self.acknowledged = 0
        self.faults: list[str] = []
        self.sessions: dict[str, str | None] = {"own": None, "shared": shared}
        self.made = {"own": 0, "shared": 0}
        self.told = {"own": 0, "shared": 0}
        self.unsure = {"own": 0, "shared": 0}
        self.accounts: list[str] = []
        self.connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        dice = random.Random(self.number)
        while not self.over.is_set() and not self.faults:
            which = "own" if dice.random() < 0.5 else "shared"
            try:
                self.count(which)
                if dice.random() < 0.05:
                    self.make()
            except (OSError, http.client.HTTPException):
                self.forget()
                self.over.wait(0.002)
        self.forget()

    def forget(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def call(self, method: str, parameters: dict[str, Any], session_id: str | None = None) -> Any:
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30.0)
        headers = {"Content-Type": "application/json"}
        if session_id is not None:
            headers["x-toto-session-id"] = session_id
        body = json.dumps({"method": method, "parameters": parameters})
        self.connection.request("POST", "/", body, headers)
        return json.loads(self.connection.getresponse().read())

    def count(self, which: str) -> None:
        """Increment a counter; what comes back must be one of the numbers that are possible."""
        self.made[which] += 1
        self.unsure[which] += 1  # until it is acknowledged
        reply = self.call("count", {"name": f"client {self.number}"}, self.sessions[which])
        if "error" in reply:
            if reply["error"]["code"] not in (1012, 1017):
                self.faults.append(f"client {self.number}, {which}: {reply}")
            return
        if which == "own" and self.sessions["own"] is None:
            self.sessions["own"] = reply["session"]["session_id"]
            self.told["own"], self.unsure["own"], self.made["own"] = 0, 1, 1  # what went before had other sessions
        elif reply["session"]["session_id"] != self.sessions[which]:
            self.faults.append(f"client {self.number}, {which}: the session is gone")
            return
        least, most = self.told[which] + 1, self.told[which] + self.unsure[which]
        if not least <= reply["result"] <= most:
            self.faults.append(f"client {self.number}, {which}: got {reply['result']}, not {least} to {most}")
        self.told[which], self.unsure[which] = reply["result"], 0
        self.acknowledged += 1

    def make(self) -> None:
        """Make an account; one that was acknowledged cannot be made again."""
        user_id = f"user {self.number} {len(self.accounts)}"
        reply = self.call("make", {"user_id": user_id})
        if reply.get("result") is True or reply.get("error", {}).get("code") == 1006:
            self.accounts.append(user_id)


def torment(server: Killed, kills: int) -> None:
    """Kill a server that many times while clients count."""
    server.start()
    opener = Client(99, server.port, "", threading.Event())
    shared = opener.call("count", {"name": "opener"})["session"]["session_id"]
    opener.forget()
    over = threading.Event()
    clients = [Client(number, server.port, shared, over) for number in range(CLIENTS)]
    dice = random.Random(kills)
    for client in clients:
        client.start()
    try:
        for _ in range(kills):
            goal = sum(client.acknowledged for client in clients) + dice.randrange(CALLS)
            until(
                lambda goal=goal: (
                    sum(client.acknowledged for client in clients) >= goal or any(c.faults for c in clients)
                ),
                "calls are acknowledged",
            )
            server.kill()
            server.start()
        goal = sum(client.acknowledged for client in clients) + CLIENTS * 4
        until(lambda: sum(client.acknowledged for client in clients) >= goal, "it works in the end")
    finally:
        over.set()
        for client in clients:
            client.join(60.0)
    assert [fault for client in clients for fault in client.faults] == []
    accounts = [account for client in clients for account in client.accounts]
    assert accounts
    for account in accounts:
        assert opener.call("make", {"user_id": account})["error"]["code"] == 1006
    opener.forget()
    server.kill()


def test_nothing_acknowledged_is_lost_when_the_server_is_killed_fifty_times(tmp_path: Path) -> None:
    server = Killed(tmp_path, database="lmdb", database_path=tmp_path / "data")
    try:
        torment(server, LMDB_KILLS)
    finally:
        server.close()


def test_the_same_on_redis(tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis") as redis:
        server = Killed(tmp_path, database="redis", database_url=redis.url)
        try:
            torment(server, REDIS_KILLS)
        finally:
            server.close()
