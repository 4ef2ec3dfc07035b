"""What clients say in tests of connections, and waiting for what the server makes of it."""

import json
from typing import Any

from tests.support import Client, Reply, World, request_bytes

MANY = 2000  # cycles in which everything that can happen without tyme has happened
CALL = request_bytes("POST", "/echo", b'{"a": 1}')
HOLD = request_bytes("POST", "/hold", b"{}")


def call_bytes(name: str, parameters: Any = None, **headers: str) -> bytes:
    """The bytes of a call."""
    return request_bytes("POST", "/" + name, json.dumps(parameters or {}).encode(), headers=headers)


def old_bytes(name: str, parameters: Any = None, *lines: str) -> bytes:
    """The bytes of a call over HTTP/1.0."""
    body = json.dumps(parameters or {}).encode()
    head = "".join(f"{line}\r\n" for line in [*lines, f"Content-Length: {len(body)}"])
    return f"POST /{name} HTTP/1.0\r\n{head}\r\n".encode() + body


def replies(client: Client, count: int) -> list[Reply]:
    """The next so many replies."""
    return [client.reply() for _ in range(count)]


def answers(client: Client) -> bool:
    """Tell whether a client is answered."""
    return bool(client.call("echo", {"a": 1}) == {"result": {"a": 1}})


def held(world: World, count: int = 1) -> list[Any]:
    """Wait until that many calls are held by the server, and give their handlers."""
    found: list[Any] = world.module("hold").held
    for _ in range(MANY):
        if len(found) >= count:
            return found
        world.step()
    raise AssertionError(f"{len(found)} calls have come, not {count}")


def await_count(world: World, count: int) -> None:
    """Wait until the server has that many connections."""
    for _ in range(MANY):
        if len(world.stewards) == count:
            return
        world.step()
    raise AssertionError(f"{len(world.stewards)} connections, not {count}")
