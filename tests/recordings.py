"""Recordings as tests look at them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import World
from totohio.wire.transcript import read


def entries(file: Path) -> list[Any]:
    """What is in the file now."""
    with open(file, "rb") as lines:
        return list(read(lines))


def ended(world: World, file: Path) -> list[Any]:
    """What is in the file when the server has ended."""
    world.close()
    return entries(file)


def only(found: list[Any], *kinds: type) -> list[Any]:
    return [entry for entry in found if isinstance(entry, kinds)]


def until(world: World, holds: Callable[[], bool]) -> None:
    """Run the server until a thread has done its work."""
    for _ in range(3000):
        if holds():
            return
        world.step()
    raise AssertionError("it does not get written")
