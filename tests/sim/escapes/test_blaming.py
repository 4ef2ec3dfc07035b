"""The line that is blamed is the user's own."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import totohio.sim
from tests.sim.watching import Escapes
from tests.sim.watching import escapes as escapes

SIM = Path(totohio.sim.__file__).parent / "pretended.py"
PACKAGE = "/nowhere/site-packages/some/where.py"
OWN = "/nowhere/methods/bump.py"
SEAM = Path(totohio.sim.__file__).parents[1] / "base" / "clocking.py"


def frame(file: str | Path, then: Callable[[], Any], module: str = "some.where") -> Callable[[], Any]:
    """Give a function of a file that calls another one in its second line."""
    names: dict[str, Any] = {"then": then, "__name__": module}
    exec(compile("def call():\n    return then()", str(file), "exec"), names)
    call: Callable[[], Any] = names["call"]
    return call


def blamed(escapes: Escapes, function: Callable[[], Any]) -> tuple[str, int, tuple[str, ...]]:
    error = escapes.of(function)
    return error.file, error.line, error.through


def test_own_code_is_blamed_rather_than_a_package_it_calls(escapes: Escapes) -> None:
    call = frame(OWN, frame(PACKAGE, time.time))
    assert blamed(escapes, call) == (OWN, 2, ("some/where.py:2",))


def test_the_innermost_of_ones_own_lines_is_blamed(escapes: Escapes) -> None:
    call = frame(OWN, frame(PACKAGE, frame("/nowhere/methods/inner.py", time.time)))
    assert blamed(escapes, call) == ("/nowhere/methods/inner.py", 2, ())


def test_the_simulation_is_no_step_of_the_way(escapes: Escapes) -> None:
    call = frame(OWN, frame(PACKAGE, frame(SIM, time.time)))
    assert blamed(escapes, call) == (OWN, 2, ("some/where.py:2",))


def test_who_runs_the_world_is_not_to_blame(escapes: Escapes) -> None:
    call = frame(OWN, frame(SIM, frame(PACKAGE, time.time)))
    assert blamed(escapes, call) == (PACKAGE, 2, ())


def test_who_asked_for_the_machines_clock_is_blamed_and_not_the_clock(escapes: Escapes) -> None:
    call = frame(OWN, frame(SIM, frame(PACKAGE, frame(SEAM, time.time))))
    assert blamed(escapes, call) == (PACKAGE, 2, ("totohio/base/clocking.py:2",))


def test_generated_code_is_not_blamed(escapes: Escapes) -> None:
    module = escapes.module(
        "import time\nfrom dataclasses import dataclass, field\n"
        "@dataclass\nclass Note:\n    at: float = field(default_factory=time.time)\n\n"
        "def invoke():\n    return Note()\n"
    )
    file, line, through = blamed(escapes, module.invoke)
    assert (Path(file).name, line) == ("bump.py", 8)
    assert through[0].startswith("<string>:")


def test_a_line_typed_at_a_prompt_is_ones_own(escapes: Escapes) -> None:
    assert blamed(escapes, frame("<stdin>", time.time)) == ("<stdin>", 2, ())


@pytest.mark.parametrize("module", ["hypothesis.core", "_pytest.runner", "coverage.collector", "pydevd"])
def test_tools_are_let_through(escapes: Escapes, module: str) -> None:
    tool = frame(f"/nowhere/site-packages/{module}.py", time.time, module)
    assert escapes.run(frame(OWN, tool)) > 0
    assert escapes.watch.escapes == []


def test_code_that_a_tool_calls_is_not_let_through(escapes: Escapes) -> None:
    tool = frame("/nowhere/site-packages/hypothesis/core.py", frame(OWN, time.time), "hypothesis.core")
    assert blamed(escapes, tool)[0] == OWN


def test_files_are_shown_from_the_working_directory_on(escapes: Escapes, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = escapes.folder / "methods"
    folder.mkdir()
    monkeypatch.chdir(escapes.folder)
    assert "at methods/bump.py:2 in call" in str(escapes.of(frame(folder / "bump.py", time.time)))
    assert f"at {OWN}:2 in call" in str(escapes.of(frame(OWN, time.time)))
    monkeypatch.chdir(folder)
    folder.rmdir()  # and there is none any more
    assert f"at {OWN}:2 in call" in str(escapes.of(frame(OWN, time.time)))
    monkeypatch.chdir(sys.prefix)
