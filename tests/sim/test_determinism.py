"""The same seed gives the same run, whatever is around it."""

import gc
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.sim.scenarios import calls, databases, mixture
from totohio import TaskQueue
from totohio.sim.profiles import PROFILES
from totohio.sim.worlding import Script, World

ROOT = Path(__file__).parents[2]
DIGESTS = """
import sys
sys.path.insert(0, ".")
from tests.sim.scenarios import databases, mixture
from totohio.sim.worlding import World
for profile in ("still", "sunny", "stormy", "radioactive"):
    for seed in range(3):
        for scenario in (mixture, databases):
            with World(seed, faults=profile) as world:
                scenario(world)
                print(profile, seed, world.trace.digest())
"""


# ---------------------------------------------------------------- the same again


@pytest.mark.parametrize("scenario", [mixture, databases])
@pytest.mark.parametrize("faults", PROFILES)
def test_the_same_seed_gives_the_same_run(faults: str, scenario: Callable[[World], list[Any]]) -> None:
    def run(seed: int) -> tuple[list[Any], str]:
        with World(seed, faults=faults) as world:
            return scenario(world), world.trace.digest()

    for seed in range(10):
        assert run(seed) == run(seed)


def test_what_becomes_of_garbage_when_a_world_is_over_is_no_part_of_its_trace() -> None:
    def invoke(handler: Any, parameters: object) -> None:
        def waiting(garbage: list[Any]) -> Script:
            try:
                yield
            finally:
                handler.environment.files.open("/late", "wb").close()
                handler.environment.network.listen(("", 9999), backlog=1).close()
                handler.environment.network.connect(("server", 9999)).close()
                closed.append(True)

        garbage: list[Any] = []
        garbage.append(waiting(garbage))
        next(garbage[0])

    closed: list[bool] = []
    gc.disable()
    try:
        with World(faults="still") as world:
            world.call(world.server(methods={"litter": invoke}), "litter")
        digest = world.trace.digest()
        gc.collect()
    finally:
        gc.enable()
    assert closed == [True]
    assert world.trace.digest() == digest


def test_other_seeds_give_other_runs() -> None:
    digests = []
    for seed in range(20):
        with World(seed) as world:
            calls(world)
            digests.append(world.trace.digest())
    assert len(set(digests)) == 20


def test_the_order_of_hashes_does_not_matter() -> None:
    found = set()
    for hash_seed in ("0", "1", "4242"):
        environ = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run([sys.executable, "-c", DIGESTS], cwd=ROOT, env=environ, capture_output=True, timeout=300)
        assert done.returncode == 0, done.stderr.decode()
        found.add(done.stdout)
    assert len(found) == 1
    assert len(found.pop().splitlines()) == 24


def logged(world: World) -> list[str]:
    """What was logged in a world."""
    return [str(entry[-1]) for entry in world.trace.entries if entry[2] == "log"]


def failing(handler: object, parameters: object) -> Script:
    """A method whose log text would be another one in each run."""
    TaskQueue.instance("q").add_task(partial(int, object()))
    yield 1.0


@pytest.mark.expects_errors
@pytest.mark.parametrize("level", [logging.DEBUG, logging.CRITICAL])
def test_what_is_logged_is_noted_whatever_the_logs_of_the_program_are_like(level: int) -> None:
    logger = logging.getLogger("totohio")
    before = logger.level
    logger.setLevel(level)
    try:
        with World(faults="still") as world:
            world.call(world.server(methods={"fail": failing}), "fail")
        assert logged(world) == ["the task functools.partial(<class 'int'>, <object object at 0x>) failed"]
        assert logger.level == level
    finally:
        logger.setLevel(before)


@pytest.mark.expects_errors
def test_what_other_threads_and_other_worlds_log_is_not_noted() -> None:
    with World(faults="still") as world:
        thread = threading.Thread(target=logging.getLogger("totohio").error, args=("elsewhere",))
        thread.start()
        thread.join()
        with World(faults="still") as other:
            other.call(other.server(methods={"fail": failing}), "fail")
        assert (len(logged(world)), len(logged(other))) == (0, 1)
