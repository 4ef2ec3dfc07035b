"""Methods, Doers and scripts for tests of hosts and what runs on them."""

from typing import Any

from totohio.base.doing import Doer
from totohio.sim.clients.asking import Client
from totohio.sim.worlding import Script

NAP = "def invoke(handler, parameters):\n    yield parameters['seconds']\n    return 'slept'\n"
NOW = (
    "def invoke(handler, parameters):\n"
    "    clock = handler.environment.clock\n"
    "    return clock.now(), clock.monotonic()\n"
)
WRITE = (
    "def invoke(handler, parameters):\n"
    "    with handler.environment.files.open('/notes', 'ab') as file:\n"
    "        file.write(parameters['text'].encode())\n"
    "        if parameters.get('sync'):\n"
    "            file.sync()\n"
    "            handler.environment.files.sync('/')\n"
)
READ = (
    "def invoke(handler, parameters):\n"
    "    files = handler.environment.files\n"
    "    return files.open('/notes').read().decode() if files.exists('/notes') else None\n"
)
METHODS = {"nap": NAP, "now": NOW, "write": WRITE, "read": READ}


class Ending(Doer):
    """Notes its end, and fails when it is told to."""

    def __init__(self, notes: list[str], fail_at: float | None = None) -> None:
        super().__init__()
        self.notes = notes
        self.fail_at = fail_at

    def due(self, tyme: float) -> float:
        return self.fail_at if self.fail_at is not None else super().due(tyme)

    def recur(self, tyme: float) -> bool:
        if self.fail_at is not None and tyme >= self.fail_at:
            raise RuntimeError("it had to be")
        return False

    def exit(self) -> None:
        self.notes.append("exit")


def attempt(client: Client, method: str, parameters: Any = None) -> Script:
    """A script that makes a call and gives its result, or the type of what went wrong."""
    try:
        return (yield client.call(method, parameters))
    except OSError as error:
        return type(error).__name__
