"""Servers inside other programs: the examples, run as they stand, and servers beside and below other Doers."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hio.base import doing

from tests.methods import ECHO
from tests.support import Client, World
from totohio import PollingDoist, TotoServer

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"
LONG = 60.0  # seconds that only a failing test waits


def run(name: str, folder: Path, *words: str) -> str:
    """Run an example in an empty folder and give what it prints."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("TOTOHIO_", "COV"))}
    paths = [str(ROOT), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *words],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=LONG, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["embed_stock", "embed_polling"])
def test_a_server_runs_beside_an_unrelated_doer(name: str, tmp_path: Path) -> None:
    greetings = "".join(f"Hello, {number}!\n" for number in range(5))
    assert run(name, tmp_path) == f"{greetings}5 calls, 8 beats, done: True\n"


def test_a_server_runs_by_recur_in_tyme_of_its_own(tmp_path: Path) -> None:
    assert run("drive_by_recur", tmp_path) == '{"result":"at last"} after 30 seconds of tyme\n' * 2


def test_a_load_is_simulated_told_and_drawn(tmp_path: Path) -> None:
    head, *outcomes, expected, median, _, _ = run("load", tmp_path, "--seconds", "20").splitlines()
    assert re.fullmatch(r"[34]\d{3} calls in 20 simulated seconds, \d+\.\d real ones", head)
    shares = {words[0]: float(words[2].rstrip("%")) for words in map(str.split, outcomes)}
    assert shares.keys() == {"ok", "1014"}
    assert 5.0 < shares["1014"] < 13.0  # 8.21 % in the long run
    assert "8.21%" in expected
    assert re.fullmatch(r"50% of those answered took at most 1[0-6]\.\d ms", median)
    assert "<svg" in (tmp_path / "load.svg").read_text("utf-8")


def test_there_is_a_test_for_each_example() -> None:
    names = sorted(path.stem for path in EXAMPLES.glob("*.py"))
    assert names == ["drive_by_recur", "embed_polling", "embed_stock", "load"]


# ---------------------------------------------------------------- beside and below others


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "first", {"echo": ECHO})
    yield world
    world.close()


class Counter(doing.Doer):
    """An ordinary Doer of its own generation of hio."""

    count = 0

    def recur(self, tyme: float) -> bool:
        self.count += 1
        return False


@pytest.mark.parametrize("kind", [doing.Doist, PollingDoist])
def test_two_servers_and_other_doers_share_a_doist(world: World, tmp_path: Path, kind: Any) -> None:
    counter = Counter(tock=0.0)
    doist = kind(real=False, tock=0.03125, doers=[counter])
    second = World(tmp_path / "second", {"echo": ECHO}, doist=doist)
    try:
        client = second.connect()
        for number in range(10):
            assert client.call("echo", {"n": number}) == {"result": {"n": number}}
        assert world.connect().call("echo", {"n": 1}) == {"result": {"n": 1}}
        assert counter.count >= 10
    finally:
        second.close()


class Cycles:
    """Runs a Doist for a client that waits."""

    def __init__(self, doist: Any) -> None:
        self.doist = doist

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self.doist.recur()


@pytest.mark.parametrize("depth", [1, 3])
def test_a_server_runs_below_doers_of_an_application(world: World, depth: int) -> None:
    server = TotoServer(method_module=world.package, port=0, log_level="error")
    doers: list[Any] = [Counter(), *server.doers]
    for _ in range(depth):
        doers = [doing.DoDoer(doers=doers)]
    doist = doing.Doist(real=False, tock=0.03125, doers=doers)
    doist.enter()
    try:
        with socket.create_connection(server.address, LONG) as sock:
            assert Client(Cycles(doist), sock).call("echo", {"x": 1}) == {"result": {"x": 1}}  # type: ignore[arg-type]
    finally:
        doist.exit()


def test_a_drained_server_ends_and_the_other_doers_go_on(tmp_path: Path) -> None:
    counter = Counter()
    world = World(tmp_path, {"echo": ECHO}, doist=doing.Doist(real=False, tock=0.03125, doers=[counter]))
    try:
        client = world.connect()
        assert client.call("echo", {"x": 1}) == {"result": {"x": 1}}
        world.server.drain()
        client.wait_closed()
        world.step(3)
        assert world.doer.done is True
        count = counter.count
        world.step(3)
        assert counter.count == count + 3
    finally:
        world.close()
