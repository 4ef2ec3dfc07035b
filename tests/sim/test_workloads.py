"""One workload, in the simulation and against a real server."""

from pathlib import Path

import pytest

from tests.support import World as RealWorld
from totohio import TotoException, TotoServer
from totohio.sim import Client, World, visit
from totohio.sim.worlding import Script

TAKE = (
    "from totohio import TotoException\n"
    "left = 10\n"
    "def invoke(handler, parameters):\n"
    "    global left\n"
    "    if not left:\n"
    "        raise TotoException(4001, 'sold out')\n"
    "    left -= 1\n"
    "    return left\n"
)


class Shoppers:
    """Take things until there are none; each gives what it got."""

    def __call__(self, client: Client, number: int) -> Script:
        got = []
        while True:
            try:
                got.append((yield client.call("take")))
            except TotoException as error:
                return number, got, error.code
            yield 0.001 * number


def check(results: list[tuple[int, list[int], int]]) -> None:
    assert [number for number, _, _ in results] == [0, 1, 2]
    assert {code for _, _, code in results} == {4001}
    assert sorted(left for _, got, _ in results for left in got) == list(range(10))


@pytest.mark.parametrize("faults", ["still", "sunny"])
def test_it_runs_in_the_simulation(faults: str) -> None:
    with World(faults=faults) as world:
        check(world.visit(world.server(methods={"take": TAKE}), Shoppers(), clients=3))


def test_it_runs_against_a_real_server(tmp_path: Path) -> None:
    real = RealWorld(tmp_path, {"take": TAKE})
    real.doist.exit()  # only its methods are needed; the visit runs a server of its own
    try:
        server = TotoServer(method_module=real.package, port=0, log_level="error")
        check(visit(server, Shoppers(), clients=3))
    finally:
        real.close()
