"""Method modules as source texts, for servers that a test starts, and calls of them."""

from collections.abc import Callable
from typing import Any

from tests.support import World

Serve = Callable[..., World]
"""Starts a server: ``serve({"name": source}, option=value)``."""

ECHO = "def invoke(handler, parameters):\n    return parameters\n"


def body(*lines: str, marks: str = "") -> str:
    """A method with these lines, all of totohio imported, under decorators such as ``@jsonp``."""
    indented = "".join(f"    {line}\n" for line in lines)
    return f"import threading\nfrom totohio import *\n\n{marks}\ndef invoke(handler, parameters):\n{indented}"


def asynchronous(*lines: str) -> str:
    """The same, asynchronous."""
    return body(*lines, marks="@asynchronous")


def coroutine(*lines: str) -> str:
    """The same, as ``async def``."""
    return body(*lines).replace("def invoke", "async def invoke")


def in_thread(*lines: str) -> str:
    """An asynchronous method whose lines run in a thread."""
    start = "threading.Thread(target=work, daemon=True).start()"
    return asynchronous("def work():", *(f"    {line}" for line in lines), start)


def call(world: World, name: str = "m", parameters: object = None) -> Any:
    """The decoded reply to a call over a new connection."""
    return world.connect().post("/", {"method": name, "parameters": parameters or {}}).json()
