"""A simulated test runs in a world for each seed, and fails with the first seed that does."""

import contextlib
import os
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hio.base.doing import Doer

from tests.sim.scenarios import add
from tests.sim.worlds import ToyWorld
from totohio.base.futures import Future
from totohio.sim.clients.calling import Client
from totohio.sim.sweeps.running import explore, scenario_of, sim
from totohio.sim.worlding import Script, World

pytest_plugins = ["pytester"]

HEAD = """
import pytest
from tests.sim.worlds import ToyWorld
from totohio.sim.sweeps.running import sim

RUNS = []
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run where reports may leave something, and without orders."""
    monkeypatch.chdir(tmp_path)
    for variable in [name for name in os.environ if name.startswith("TOTOHIO_SIM_")]:
        monkeypatch.delenv(variable)


def note(error: BaseException) -> str:
    [text] = error.__notes__
    return str(text)


# ---------------------------------------------------------------- under pytest


def test_a_simulated_test_has_fixtures_parameters_marks_and_classes_as_any_other(pytester: pytest.Pytester):
    pytester.makepyfile(
        HEAD
        + """
@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"

@pytest.mark.usefixtures("capsys")
@pytest.mark.parametrize("number", [1, 2])
@sim(seeds=3, factory=ToyWorld)
def test_function(path, world, number):
    RUNS.append((world.seed, number, path.name))

class TestClass:
    @sim(seeds=2, first=7, factory=ToyWorld, check_determinism=False)
    @pytest.mark.parametrize("letter", "a")
    def test_method(self, letter, world):
        RUNS.append((world.seed, letter, type(self).__name__))

def test_afterwards():
    assert RUNS[:5] == [(0, 1, "file"), (0, 1, "file"), (1, 1, "file"), (1, 1, "file"), (2, 1, "file")]
    assert RUNS[5:10] == [(0, 2, "file"), (0, 2, "file"), (1, 2, "file"), (1, 2, "file"), (2, 2, "file")]
    assert RUNS[10:] == [(7, "a", "TestClass"), (8, "a", "TestClass")]
"""
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=4)


def test_a_simulated_test_that_skips_is_skipped_and_one_that_is_expected_to_fail_does(pytester: pytest.Pytester):
    pytester.makepyfile(
        HEAD
        + """
@sim(factory=ToyWorld)
def test_skips(world):
    pytest.skip("not here")

@pytest.mark.xfail(raises=ZeroDivisionError, strict=True)
@sim(factory=ToyWorld)
def test_fails(world):
    world.seed / (world.seed - 3)
"""
    )
    pytester.runpytest_inprocess().assert_outcomes(skipped=1, xfailed=1)


def test_pytest_shows_the_users_code_and_the_report(pytester: pytest.Pytester):
    pytester.makepyfile(
        test_bank=HEAD
        + """
class TestBank:
    @pytest.mark.parametrize("who", ["Ada Lovelace"])
    @sim(faults="radioactive", factory=ToyWorld)
    def test_nothing_is_lost(self, world, who):
        world.run()
        lost = 5 in world.fired and world.seed == 17
        assert not lost, "something is missing"
"""
    )
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       assert not lost, *",
            "E       AssertionError: something is missing",
            "E       seed 17, faults 'radioactive'",
            "E       replay:    totohio sim 'test_bank.py::TestBank::test_nothing_is_lost?Ada Lovelace?' --seed 17",
            "E       faults:    1 of the 20 that happened is needed:",
            "E                    fault 5: thunder at * s",
            "E       timeline:  .totohio-sim/test_nothing_is_lost-Ada-Lovelace-seed-17.html",
            "E       the failing run parts from the passing one at entry *:",
            "E           failing *  (world)  fault  5",
            "E         (compared: the seed with only those faults, and without fault 5, which passes)",
            "E       the last 20 of * entries of the trace:",
            "E         10.000000  toy      step   *",
        ]
    )
    shown = result.stdout.str()
    assert "sweeping.py" not in shown
    assert "trying.py" not in shown
    page = pytester.path / ".totohio-sim" / "test_nothing_is_lost-Ada-Lovelace-seed-17.html"
    assert "something is missing" in page.read_text("utf-8")


def test_the_environment_chooses_seeds_and_faults(monkeypatch: pytest.MonkeyPatch):
    runs: list[tuple[int, str]] = []

    @sim(seeds=5, factory=ToyWorld, check_determinism=False, sometimes=["it rains"])
    def test(world: ToyWorld) -> None:
        runs.append((world.seed, world.faults))

    monkeypatch.setenv("TOTOHIO_SIM_SEEDS", "2")
    monkeypatch.setenv("TOTOHIO_SIM_FIRST", "40")
    monkeypatch.setenv("TOTOHIO_SIM_FAULTS", "sunny")
    test()
    monkeypatch.setenv("TOTOHIO_SIM_CHECK_DETERMINISM", "1")
    test()
    assert runs == [(40, "sunny"), (41, "sunny"), (40, "sunny"), (40, "sunny"), (41, "sunny"), (41, "sunny")]


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (lambda: None, "takes no argument world"),
        (lambda world: (yield), "would do nothing when it is called: give its world a script with spawn"),
    ],
)
def test_what_cannot_be_simulated_is_refused_at_once(function: Any, error: str):
    with pytest.raises(TypeError, match=error):
        sim()(function)


def test_the_decorator_without_parentheses_is_refused():
    with pytest.raises(TypeError, match=r"is it to be @sim\(\) with parentheses\?"):

        @sim  # type: ignore[arg-type]
        def test(world: ToyWorld) -> None:
            """Nothing."""


@pytest.mark.parametrize("run", [sim, lambda seeds: explore(print, seeds)])
def test_a_sweep_without_seeds_is_refused(run: Callable[[int], object]):
    with pytest.raises(ValueError, match="seeds: a sweep has one at least, not 0"):
        run(0)


def test_a_simulated_test_can_be_told_from_others():
    @sim(seeds=7)
    def test(world: object) -> None:
        """Nothing."""

    scenario = scenario_of(test)
    assert scenario is not None
    assert (scenario.seeds, scenario.faults) == (7, "stormy")
    assert scenario_of(note) is None


# ---------------------------------------------------------------- in a real world


def escape(handler: object, parameters: object) -> float:
    return time.time()


def swallow(handler: object, parameters: object) -> None:
    with contextlib.suppress(BaseException):
        time.time()


class Mortal(Doer):
    """A Doer that dies."""

    def recur(self, tyme: float) -> bool:
        assert tyme < 2, "it was mortal"
        return False


def calls_what_escapes(world: World) -> None:
    world.call(world.server(methods={"m": escape}), "m")


def calls_what_swallows_its_escape(world: World) -> None:
    world.call(world.server(methods={"m": swallow}), "m")


def has_a_process_that_dies(world: World) -> None:
    world.host("mortal", lambda process: [Mortal(tock=0.5)])
    world.run(5)


def has_a_script_that_fails(world: World) -> None:
    def script() -> Script:
        yield 3.0
        raise LookupError("no such account")

    world.spawn(script())
    world.run()


def has_a_script_that_waits_for_nothing(world: World) -> None:
    def script() -> Script:
        yield Future()

    world.spawn(script())
    world.run()


def has_a_script_without_end(world: World) -> None:
    def script() -> Script:
        while True:
            yield 100.0

    world.spawn(script())
    world.run()


def breaks_a_promise(world: World) -> None:
    world.server(methods={"m": escape})
    world.eventually("it is answered", lambda: False, within=5)


@pytest.mark.parametrize(
    ("function", "error"),
    [
        pytest.param(calls_what_escapes, "EscapeError", marks=pytest.mark.expects_errors),  # its server logs it
        (calls_what_swallows_its_escape, "EscapeError"),
        (has_a_process_that_dies, "it was mortal"),
        (has_a_script_that_fails, "LookupError: no such account"),
        (has_a_script_that_waits_for_nothing, "nothing is left that could happen: .*script"),
        (has_a_script_without_end, "not done after 3600 seconds: .*script"),
        (breaks_a_promise, 'eventually "it is answered" did not hold within 5 s'),
    ],
)
def test_whatever_fails_in_a_world_is_reported_with_what_replays_it(
    function: Callable[[World], None], error: str, request: pytest.FixtureRequest
):
    with pytest.raises(BaseException) as caught:  # noqa: PT011  # its text is compared
        sim(seeds=5)(function)()
    assert re.search(error, f"{type(caught.value).__name__}: {caught.value}")
    test = shlex.quote(request.node.nodeid)
    assert f"\nseed 0, faults 'stormy'\nreplay:    totohio sim {test} --seed 0\n" in note(caught.value)
    assert "faults:    no fault is needed: it fails with faults 'still' as well" in note(caught.value)


def test_a_fault_of_a_real_world_is_found_and_the_point_where_it_strikes(request: pytest.FixtureRequest):
    def body(world: World) -> None:
        def script(client: Client) -> Script:
            for n in range(10):
                assert (yield client.call("add", {"a": n})) == n + 1

        world.visit(world.server(methods={"add": add}), script, clients=3)

    with pytest.raises(OSError, match="add: ") as caught:
        sim()(body)()
    text = note(caught.value)
    [needed] = re.findall(r"faults:    .* needed:\n +fault (\d+): \w+ ", text)
    assert re.search(rf"compared: the seed with only those faults, and without fault {needed}, which passes", text)
    assert re.search(r"\n +failing +\d+\.\d+  ", text)
