"""What drawn faults hit, and that what a test does itself goes before."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.sim.scenarios import METHODS
from totohio.sim.clients.asking import Client
from totohio.sim.profiles import Profile
from totohio.sim.worlding import Script, World

LASTING = 10.0  # seconds that a drawn fault lasts here


def struck(kind: str) -> World:
    """A world in which one fault of that kind strikes the server with the first segments."""
    return World(faults=Profile(name="struck", gap=0.01, most=1, seconds=(LASTING, LASTING), faults={kind: 1}))


def meet(world: World) -> Any:
    """Have the fault strike, and give the host that it has hit."""
    server = world.server(methods=METHODS)

    def script(client: Client) -> Script:
        try:
            yield client.call("add", {"a": 1}, timeout=1.0)
        except OSError:
            return

    world.spawn(script(world.client(server)))
    world.run(1.0)
    assert len(world.plan.fired) == 1
    return server


@pytest.mark.parametrize("kind", ["crash", "kill"])
def test_a_drawn_death_ends_by_itself(kind: str) -> None:
    with struck(kind) as world:
        server = meet(world)
        assert not server.running
        world.run(LASTING)
        assert server.running


@pytest.mark.parametrize("act", ["crash", "kill"])
@pytest.mark.parametrize("kind", ["crash", "kill"])
def test_a_host_that_the_test_ends_stays_so_whatever_was_drawn(kind: str, act: str) -> None:
    with struck(kind) as world:
        server = meet(world)
        getattr(server, act)()
        world.run(2 * LASTING)
        world.heal()
        assert not server.running
        server.restart()
        getattr(server, act)()
        world.run(2 * LASTING)
        assert not server.running


def test_a_pause_of_the_test_outlasts_a_drawn_one() -> None:
    with struck("pause") as world:
        server = meet(world)
        server.pause(2 * LASTING)
        world.run(1.5 * LASTING)
        assert server.paused
        world.run(LASTING)
        assert not server.paused


def test_a_drawn_pause_ends_with_the_process() -> None:
    with struck("pause") as world:
        server = meet(world)
        server.kill()
        server.restart()
        assert not server.paused
        server.pause()
        world.run(2 * LASTING)
        assert server.paused


@pytest.mark.parametrize("kind", ["disk_full", "disk_error"])
def test_a_disk_that_the_test_breaks_stays_so_whatever_was_drawn(kind: str) -> None:
    def works(act: Callable[[], object]) -> bool:
        try:
            act()
        except OSError:
            return False
        return True

    def write() -> None:
        with server.files.open("/notes", "ab") as file:
            file.write(b"text")
            file.sync()

    with struck(kind) as world:
        server = meet(world)
        assert not works(write)
        server.files.fail("read")
        server.files.fill(8)
        world.run(LASTING)
        assert [works(write) for _ in range(3)] == [True, True, False]
        assert not works(server.files.open("/notes").read)
        server.files.heal()
        assert works(write)


def test_a_kind_of_fault_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"faults: expected some of reset, .*, disk_error, got 'crsh'"):
        Profile(name="mine", faults={"crsh": 1})
