"""What can happen to a simulated host, and what is left afterwards."""

import pytest

from tests.sim.hosts import METHODS, Ending, attempt
from totohio.sim.net.ruling import delay
from totohio.sim.worlding import World


def test_a_killed_server_closes_its_connections_and_refuses_others_until_it_is_back() -> None:
    with World(faults="still") as world:
        server = world.server(methods=METHODS)
        client = world.client(server)
        answer = world.spawn(attempt(client, "nap", {"seconds": 5.0}))
        world.after(1.0, server.kill)
        world.run()
        assert answer.result() in {"ConnectionAbortedError", "ConnectionResetError"}
        refused = world.spawn(attempt(client, "nap", {"seconds": 0.0}))
        world.run()
        assert refused.result() == "ConnectionRefusedError"
        server.restart()
        slept = world.spawn(attempt(client, "nap", {"seconds": 0.0}))
        world.run()
        assert slept.result() == "slept"


def test_a_host_without_power_says_nothing() -> None:
    with World(faults="still") as world:
        server = world.server(methods=METHODS)
        client = world.client(server, timeout=30.0)
        answer = world.spawn(attempt(client, "nap", {"seconds": 5.0}))
        world.after(1.0, server.crash)
        world.run()
        assert answer.result() == "TimeoutError"
        assert world.tyme == pytest.approx(30.0)


def test_a_host_that_loses_power_while_a_connection_begins_says_nothing() -> None:
    with World(faults="still") as world:
        server = world.server(methods=METHODS)
        answer = world.spawn(attempt(world.client(server, timeout=30.0), "now"))
        with world.net.rule(delay(1.0)):
            world.after(2.5, server.crash)  # it has answered, and the third segment of the handshake is under way
            world.run()
        assert answer.result() == "TimeoutError"


def test_a_paused_server_goes_on_where_it_was() -> None:
    with World(faults="still") as world:
        server = world.server(methods=METHODS)
        client = world.client(server, timeout=100.0)
        answer = world.spawn(attempt(client, "nap", {"seconds": 5.0}))
        world.after(1.0, server.pause, 60.0)
        world.run()
        assert answer.result() == "slept"
        assert world.tyme == 61.0


def test_of_pauses_that_overlap_the_last_to_end_counts() -> None:
    with World(faults="still") as world:
        server = world.server(methods=METHODS)
        server.pause(1.0)
        server.pause(10.0)
        server.pause(2.0)
        world.run(5.0)
        assert server.paused
        server.resume()
        assert not server.paused
        server.pause(20.0)
        world.run(10.0)
        assert server.paused


def test_a_stepped_clock_changes_wall_time_alone() -> None:
    with World(faults="still", epoch=1_000_000.0) as world:
        server = world.server(methods=METHODS)
        world.run(10.0)
        assert world.call(server, "now") == [1_000_010.0, 10.0]
        server.step_clock(-3600.0)
        assert world.call(server, "now") == [996_410.0, 10.0]


def test_files_survive_a_power_cut_only_as_far_as_they_were_synced() -> None:
    found = set()
    for seed in range(30):
        with World(seed, faults="still") as world:
            server = world.server(methods=METHODS)
            world.call(server, "write", {"text": "first ", "sync": True})
            world.call(server, "write", {"text": "second"})
            server.crash()
            server.restart()
            text = world.call(server, "read")
            assert text.startswith("first ")
            found.add(text)
    assert "first " in found


def test_files_survive_a_kill_as_far_as_they_were_given_to_the_kernel() -> None:
    with World(faults="still") as world:
        server = world.server(methods=METHODS)
        world.call(server, "write", {"text": "written and closed"})
        server.kill()
        server.restart()
        assert world.call(server, "read") == "written and closed"


def test_a_server_that_was_killed_before_it_recorded_anything_can_record_in_that_file_again() -> None:
    with World(faults="still") as world:
        server = world.server(methods=METHODS, record="/recording")
        server.kill()
        server.restart()
        assert server.running


def test_a_server_drains_as_in_production() -> None:
    with World(faults="still") as world:
        server = world.server(methods=METHODS)
        client = world.client(server)
        answer = world.spawn(attempt(client, "nap", {"seconds": 5.0}))
        world.after(1.0, server.drain)
        world.run()
        assert answer.result() == "slept"
        world.run(1.0)
        assert not server.running


def test_names_of_hosts_are_used_once() -> None:
    with World() as world:
        world.host("mine", lambda process: [Ending([])])
        with pytest.raises(ValueError, match="there is a host mine already"):
            world.host("mine", lambda process: [Ending([])])
