"""Modules that a test writes, and what of them escapes."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from totohio.sim.escapes.escaping import EscapeError, Watch

MARK = "# here"  # stands on the line that is to be named


class Escapes:
    """Runs pieces of code under a watch.

    Attributes:
        watch: The watch.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.watch = Watch()
        self.names: list[str] = []

    def module(self, source: str, name: str = "bump") -> ModuleType:
        """Write a module and import it."""
        path = self.folder / f"{name}.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        self.names.append(name)
        spec.loader.exec_module(module)
        return module

    def run(self, function: Callable[[], Any], watch: Watch | None = None) -> Any:
        """Run something under the watch."""
        watch = watch or self.watch
        watch.enter("server-1")
        try:
            return function()
        finally:
            watch.leave()

    def of(self, function: Callable[[], Any]) -> EscapeError:
        """Give the error with which something ends under the watch."""
        with pytest.raises(EscapeError) as caught:
            self.run(function)
        return caught.value

    def named(self, function: Callable[[], Any]) -> str:
        """Have something escape from the marked line of a written module, and tell what it reached for."""
        error = self.of(function)
        assert MARK in Path(error.file).read_text().splitlines()[error.line - 1], str(error)
        assert Path(error.file).parent == self.folder
        assert self.watch.escapes[-1] is error
        return error.what


@pytest.fixture
def escapes(tmp_path: Path) -> Iterator[Escapes]:
    made = Escapes(tmp_path)
    yield made
    for name in made.names:
        sys.modules.pop(name, None)
