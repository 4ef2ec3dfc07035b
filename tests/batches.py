"""Batches that tests send, and the methods that they call."""

import json
from typing import Any

from tests.methods import ECHO, asynchronous, body
from tests.support import Client, World, request_bytes

METHODS = {
    "echo": ECHO,
    "log": "entries = []\n",
    "note": body("from . import log; log.entries.append(handler.request_key)"),
    "slow": body(
        "from . import log; log.entries.append(handler.request_key)",
        "yield parameters.get('seconds', 1.0)",
        "log.entries.append(handler.request_key + ' ends')",
        "return parameters.get('value')",
    ),
    "later": asynchronous("from . import log; log.entries.append(handler.request_key); log.waiting.append(handler)")
    + "from . import log\nlog.waiting = []\n",
    "bad": body("raise TotoException(4242, 'bad')"),
}


def entry(method: str, **parameters: Any) -> dict[str, Any]:
    """An entry."""
    return {"method": method, "parameters": parameters}


def send(world: World, entries: Any, **more: Any) -> Client:
    """A client whose batch has reached the server."""
    client = world.connect()
    client.send(request_bytes("POST", "/", json.dumps({"batch": entries, **more}).encode()))
    world.step(3)
    return client


def batch(world: World, entries: Any, **more: Any) -> Any:
    """The replies of a batch's entries."""
    reply = world.connect().post("/", {"batch": entries, **more})
    assert reply.status == 200
    assert list(reply.json()) == ["batch"]
    return reply.json()["batch"]


def ref(id: Any, path: Any = "") -> dict[str, Any]:
    """A reference to an entry's result."""
    return {"resultOf": id, "path": path}
