"""Projects whose servers record, and whose recordings run again."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from totohio.app.configuring import load
from totohio.sim.recordings.replaying import Report, replay
from totohio.sim.worlding import World
from totohio.wire.transcript import Replied, Requested, Started, Stopped, read, write

METHODS = {
    "add": "def invoke(handler, parameters):\n    return parameters['a'] + parameters['b']\n",
    "echo": "def invoke(handler, parameters):\n    return parameters\n",
    "wait": "def invoke(handler, parameters):\n    yield float(parameters['seconds'])\n    return parameters\n",
    "count": "TOTAL = []\ndef invoke(handler, parameters):\n    TOTAL.append(1)\n    return len(TOTAL)\n",
    "login": """
SESSIONS = {}
def invoke(handler, parameters):
    session = handler.environment.minter.token()
    SESSIONS[session] = parameters["user"], parameters["password"]
    handler.set_header("Set-Cookie", f"id={session}; Path=/")
    return {"session_id": session}
""",
    "whoami": """
from ..login import SESSIONS
def invoke(handler, parameters):
    return SESSIONS[handler.request.headers["x-toto-session-id"]]
""",
    "about": """
def invoke(handler, parameters):
    return [handler.request.remote_ip, handler.request.protocol, int(handler.environment.clock.now())]
""",
    "stream": """
from totohio import raw_response
@raw_response
def invoke(handler, parameters):
    for number in range(3):
        yield handler.respond_raw(f"piece {number}\\n", "text/plain", False)
        yield 0.25
""",
    "silent": "from totohio import asynchronous\n@asynchronous\ndef invoke(handler, parameters):\n    pass\n",
}
METHODS["whoami"] = METHODS["whoami"].replace("from ..login", "from project_methods.login")


class Project:
    """A folder with methods, their recordings, and replays of these."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "settings.yaml"
        self.conf.write_text("method_module: project_methods\n")
        (folder / "project_methods").mkdir()
        (folder / "project_methods" / "__init__.py").touch()
        for name, text in METHODS.items():
            self.change(name, text)

    def change(self, name: str, text: str) -> None:
        """Write a method anew."""
        (self.folder / "project_methods" / f"{name}.py").write_text(text)

    def record(self, *scripts: Callable[[Any], Any], seed: int = 0, faults: str = "sunny", **options: Any) -> list[Any]:
        """Run scripts of clients against a server that records."""
        with World(seed, faults=faults) as world:
            server = world.server(str(self.conf), record="calls.jsonl", **options)
            for script in scripts:
                client = world.client(server)
                world.spawn(script(client), on=client)
            world.run()
        with server.files.open("calls.jsonl") as file:
            return list(read(file.read().splitlines(keepends=True)))

    def replay(self, entries: list[Any], **options: Any) -> Report:
        """Run a recording."""
        return replay(entries, load(str(self.conf), environ={}), **options)


def verdicts(report: Report) -> list[tuple[str, str]]:
    return [(outcome.method, outcome.verdict) for outcome in report.outcomes]


def calls(client: Any) -> Iterator[Any]:
    """A client that does a little of everything."""
    yield client.call("add", {"a": 1, "b": 2})
    yield 1.5
    yield client.call("count")
    session = (yield client.call("login", {"user": "ada", "password": "hunter22"}))["session_id"]
    client.session_id = session
    yield client.call("whoami")
    yield client.get(f"/echo?token={session}&a=1")
    yield [client.call("wait", {"seconds": 2.0, "a": 1}), client.call("count")]
    yield client.get("/stream")
    yield client.batch({"1": ("count", {}), "2": ("add", {"a": 1, "b": 1})})
    yield client.request("HEAD", "/echo?a=1")
    yield client.request("OPTIONS", "/echo")
    yield client.call("about")


def recording(*entries: Any) -> list[Any]:
    """A recording by hand."""
    start = Started(
        tyme=0.0, format=1, totohio="0", epoch=1.8e9, at="", mark="0f1e2d3c", masked=[], max_body=100, settings={}
    )
    found = [start, *entries, Stopped(tyme=100.0, why="exit")]
    return list(read(map(write, found)))


def requested(tyme: float, number: int, uri: str, **fields: Any) -> Requested:
    headers = {"host": "x", **fields.pop("headers", {})}
    return Requested(tyme=tyme, connection=1, number=number, at="", verb="GET", uri=uri, headers=headers, **fields)


def replied(tyme: float, number: int, result: Any) -> Replied:
    headers: dict[str, str | list[str]] = {"Content-Type": "application/json"}
    return Replied(
        tyme=tyme, connection=1, number=number, took=0.0, status=200, headers=headers, json={"result": result}
    )
