"""A server with a few methods, for tests of what goes on below them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import World
from totohio.app.settings import OPTIONS

MakeWorld = Callable[..., World]
"""Starts a server: ``world(option=value)``, with more methods as ``world({"name": source})``."""

METHODS = {
    "echo": "def invoke(handler, parameters):\n    return parameters\n",
    "fill": "def invoke(handler, parameters):\n    return 'x' * int(parameters['size'])\n",
    "nap": "def invoke(handler, parameters):\n    yield float(parameters['seconds'])\n    return 'slept'\n",
    # Answers when the test says so, and notes whose connection has closed meanwhile.
    "hold": (
        "from totohio import asynchronous\n"
        "held, closed = [], []\n"
        "@asynchronous\n"
        "def invoke(handler, parameters):\n"
        "    held.append(handler)\n"
        "def on_connection_close(handler):\n"
        "    closed.append(handler)\n"
    ),
    # Sends pieces no faster than the client reads, and notes how many.
    "pour": (
        "sent, ends = [], []\n"
        "def invoke(handler, parameters):\n"
        "    try:\n"
        "        for _ in range(int(parameters['pieces'])):\n"
        "            yield handler.respond_raw(b'x' * int(parameters['size']), 'text/plain', finish=False)\n"
        "            sent.append(1)\n"
        "    finally:\n"
        "        ends.append(1)\n"
    ),
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[MakeWorld]:
    """Start servers that end with the test."""
    worlds: list[World] = []

    def start(methods: dict[str, str] | None = None, **options: Any) -> World:
        if "uds" in options:
            options["port"] = OPTIONS["port"].default  # it listens on one of them, and says so when both are set
        made = World(tmp_path / str(len(worlds)), {**METHODS, **(methods or {})}, **options)
        worlds.append(made)
        return made

    yield start
    for made in worlds:
        made.close()
