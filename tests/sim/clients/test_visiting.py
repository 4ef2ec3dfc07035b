"""Visits of real servers, over loopback and in this thread."""

import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from tests.methods import ECHO
from tests.net.fakes import Ours
from tests.support import World
from totohio import Future, TotoException, TotoServer, sleep
from totohio.base.doing import Doer
from totohio.sim.clients.calling import Client
from totohio.sim.clients.visiting import parse_url, visit

METHODS = {
    "echo": ECHO,
    "nap": "def invoke(handler, parameters):\n    yield float(parameters['seconds'])\n    return 'slept'\n",
    "count": "count = 0\ndef invoke(handler, parameters):\n    global count\n    count += 1\n    return count\n",
}

Serve = Callable[..., TotoServer]


@pytest.fixture
def serve(tmp_path: Path) -> Any:
    """Make servers that do not run yet."""
    worlds: list[World] = []

    def make(**options: Any) -> TotoServer:
        world = World(tmp_path / str(len(worlds)), METHODS, **options)
        worlds.append(world)
        world.doist.exit()  # a server can be entered again
        return world.server

    yield make
    for world in worlds:
        world.close()


class Runner(Doer):
    """Has a server in a Doist of its own go on, as if it ran elsewhere."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def due(self, tyme: float) -> float:
        return tyme

    def recur(self, tyme: float) -> bool:
        self.world.step()
        return False


def test_each_client_does_its_part_and_the_results_come_in_order(serve: Serve) -> None:
    def script(client: Client, number: int) -> Generator[Any, Any, Any]:
        yield 0.01 * (3 - number)
        found = yield client.call("echo", {"n": number})
        return client.name, found["n"]

    assert visit(serve(), script, clients=3) == [("client-0", 0), ("client-1", 1), ("client-2", 2)]


def test_a_workload_may_be_any_function_of_a_client(serve: Serve) -> None:
    async def coroutine(client: Client) -> Any:
        await sleep(0.001)
        return await client.call("echo", {"a": 1})

    def future(client: Client) -> Future[Any]:
        return client.call("echo", {"a": 2})

    def plain(client: Client, suffix: str = "!") -> str:
        return client.name + suffix

    for workload, expected in ((coroutine, {"a": 1}), (future, {"a": 2}), (plain, "client-0!")):
        assert visit(serve(), workload) == [expected]


def test_a_thousand_calls_by_ten_clients(serve: Serve) -> None:
    def script(client: Client, number: int) -> Generator[Any, Any, list[int]]:
        counts: list[int] = []
        for _ in range(50):
            counts += yield [client.call("count")]
        counts += yield [client.call("count") for _ in range(50)]
        return counts

    results = visit(serve(), script, clients=10)
    assert sorted(count for counts in results for count in counts) == list(range(1, 1001))
    assert all(counts == sorted(counts) for counts in results)


def test_a_server_that_runs_elsewhere_is_visited_by_its_url(tmp_path: Path) -> None:
    world = World(tmp_path, METHODS, root="/api")
    try:
        url = world.server.url + "/api"
        assert visit(url, lambda client: client.call("echo", {"a": 1}), doers=[Runner(world)]) == [{"a": 1}]
    finally:
        world.close()


def test_a_server_on_a_unix_socket_is_visited(serve: Serve, tmp_path: Path) -> None:
    server = serve(uds=str(tmp_path / "socket"), port=8888)
    assert visit(server, lambda client: client.call("echo", {"a": 1})) == [{"a": 1}]


def test_the_first_exception_ends_the_visit_and_the_other_scripts(serve: Serve) -> None:
    ended: list[int] = []

    def script(client: Client, number: int) -> Generator[Any, Any, None]:
        try:
            if number == 1:
                yield client.call("no.such")
            yield client.call("nap", {"seconds": 100})
        finally:
            ended.append(number)

    witness = Ours()
    with pytest.raises(TotoException, match=r"no\.such"):
        visit(serve(), script, clients=3, doers=[witness])
    assert sorted(ended) == [0, 1, 2]
    assert witness.tymes[-1] < 10.0


def test_a_workload_that_raises_before_it_waits_ends_the_visit(serve: Serve) -> None:
    def script(client: Client) -> Any:
        raise LookupError("nothing to do")

    with pytest.raises(LookupError, match="nothing to do"):
        visit(serve(), script)


def test_a_visit_has_a_limit(serve: Serve) -> None:
    def script(client: Client, number: int) -> Generator[Any, Any, Any]:
        if number:
            yield client.call("nap", {"seconds": 100})

    with pytest.raises(TimeoutError, match=r"2 of 3 scripts were not done within 0\.1 seconds"):
        visit(serve(), script, clients=3, limit=0.1)


def test_a_server_that_is_not_there_refuses(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="echo"):
        visit(f"unix:{tmp_path / 'nothing'}", lambda client: client.call("echo"))


def test_other_doers_run_along_and_end_with_the_visit(serve: Serve) -> None:
    ours = Ours()
    visit(serve(), lambda client: client.call("echo"), doers=[ours])
    assert ours.tymes
    assert ours.exits == 1


def test_an_interrupt_is_not_swallowed(serve: Serve) -> None:
    class Interrupting(Doer):
        def recur(self, tyme: float) -> bool:
            raise KeyboardInterrupt

    for limit in (30.0, 0.0):
        with pytest.raises(KeyboardInterrupt):
            visit(serve(), lambda client: client.call("nap", {"seconds": 100}), limit=limit, doers=[Interrupting()])


def test_nothing_is_left_behind(serve: Serve) -> None:
    server = serve()
    visit(server, lambda client: client.call("echo"))
    before = os.listdir("/proc/self/fd")
    visit(server, lambda client: client.call("echo"), clients=5)
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.parametrize(
    ("url", "address", "root"),
    [
        ("http://127.0.0.1:8888", ("127.0.0.1", 8888), ""),
        ("http://localhost/api/", ("localhost", 80), "/api"),
        ("http://[::1]:1", ("::1", 1), ""),
        ("unix:/run/socket", "/run/socket", ""),
        ("unix:///run/socket", "/run/socket", ""),
    ],
)
def test_a_url_is_an_address_and_a_root(url: str, address: Any, root: str) -> None:
    assert parse_url(url) == (address, root)


@pytest.mark.parametrize("url", ["https://127.0.0.1", "127.0.0.1:80", "http://", "http://x:0", "http://x:99999", ""])
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"expected http|out of range"):
        visit(url, lambda client: None)
