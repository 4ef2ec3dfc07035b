"""Servers for tests of calls."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.pages import METHODS, Page
from tests.methods import Serve
from tests.support import World
from totohio import TotoHandler


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start servers that end with the test."""
    worlds: list[World] = []

    def start(methods: dict[str, str], **options: Any) -> World:
        world = World(tmp_path / str(len(worlds)), methods, **options)
        worlds.append(world)
        return world

    yield start
    for world in worlds:
        world.close()


@pytest.fixture
def hooks() -> Iterator[None]:
    """Leave no before or after handler behind."""
    yield
    TotoHandler.set_before_handler(None)
    TotoHandler.set_after_handler(None)


@pytest.fixture
def pages() -> Iterator[list[Page]]:
    """Pages that close with the test."""
    made: list[Page] = []
    yield made
    for page in made:
        page.close()


@pytest.fixture
def page(serve: Serve, pages: list[Page], request: pytest.FixtureRequest) -> Page:
    """A page that is connected to a server."""
    world = serve(METHODS, use_web_sockets=True, **getattr(request, "param", {}))
    pages.append(Page(world))
    return pages[-1]
