"""The World: scripts, faults, and what must hold."""

import time
from pathlib import Path

import pytest

from tests.sim.scenarios import METHODS, calls, mixture
from totohio import SettingsError, TotoException, TotohioError
from totohio.base.doing import Doer
from totohio.sim.checks.checking import CheckFailed
from totohio.sim.clients.asking import Client
from totohio.sim.escapes.escaping import EscapeError
from totohio.sim.profiles import PROFILES
from totohio.sim.scheduling import Stuck
from totohio.sim.worlding import Script, World

# ---------------------------------------------------------------- scripts


def test_scripts_that_wait_for_ever_are_named() -> None:
    with World(faults="still") as world:
        client = world.client(world.server(methods=METHODS), timeout=1e6)

        def waiting(client: Client) -> Script:
            yield client.call("nap", {"seconds": 5000.0})

        world.spawn(waiting(client))
        with pytest.raises(Stuck, match=r"not done after 100 seconds: .*waiting"):
            world.run(limit=100.0)


def test_what_a_script_raises_ends_the_run() -> None:
    def script() -> Script:
        yield 1.0
        raise LookupError("not what it should be")

    with World() as world:
        world.spawn(script())
        with pytest.raises(LookupError, match="not what it should be"):
            world.run()
        assert world.tyme >= 1.0


def test_a_script_that_lets_time_pass_instead_of_waiting_is_told_so() -> None:
    with World(faults="still") as world:
        server = world.server(methods=METHODS)

        def script() -> Script:
            yield 1.0
            world.call(server, "add", {"a": 1})

        world.spawn(script())
        with pytest.raises(TotohioError, match="<Process 0 of director> cannot let time pass: a script"):
            world.run()


def test_a_script_that_had_no_time_to_begin_fails_the_world() -> None:
    def script() -> Script:
        yield 1.0

    def test() -> None:
        with World() as world:
            world.run(5.0)
            world.spawn(script(), "shopping")

    with pytest.raises(Stuck, match="never begun: shopping; a script runs while time passes"):
        test()


def test_what_is_no_script_is_refused_where_it_is_spawned() -> None:
    with World() as world:
        server = world.server(methods=METHODS)
        with pytest.raises(TypeError, match="a script is a generator, a coroutine or a Future, not NoneType"):
            world.spawn(None)  # type: ignore[arg-type]

        def forgetful(client: Client) -> None:
            client.call("add", {"a": 1, "b": 1})

        with pytest.raises(TypeError, match="forgetful gives None: without a yield it waits for nothing"):
            world.visit(server, forgetful)


def test_what_must_hold_always_must_hold_when_all_time_has_passed_as_well() -> None:
    with World() as world:
        world.always("it is early", lambda: world.tyme < 3.0)
        with pytest.raises(CheckFailed, match="it is early"):
            world.run(5.0)


def test_what_only_time_brings_about_is_seen_at_the_end() -> None:
    with World() as world:
        world.run_until(lambda: world.tyme >= 5.0, within=5.0)


def test_an_error_reply_is_raised_in_the_script() -> None:
    def refuse(handler: object, parameters: object) -> None:
        raise TotoException(4001, "not today")

    with World() as world:
        server = world.server(methods={"refuse": refuse})
        with pytest.raises(TotoException) as caught:
            world.call(server, "refuse")
        assert (caught.value.code, caught.value.value) == (4001, "not today")


def test_scripts_of_several_clients_run_at_once() -> None:
    with World(faults="still") as world:
        server = world.server(methods=METHODS)

        def script(client: Client) -> Script:
            return (yield client.call("nap", {"seconds": 10.0}))

        assert world.visit(server, script, clients=5) == ["slept"] * 5
        assert world.tyme == 10.0


@pytest.mark.parametrize("act", ["crash", "kill"])
def test_scripts_end_with_the_host_that_they_run_on(act: str) -> None:
    with World(faults="still") as world:
        client = world.client(world.server(methods=METHODS))

        def script() -> Script:
            yield client.call("nap", {"seconds": 5.0})

        answer = world.spawn(script(), on=client)
        host = world.hosts["client-1"]
        world.after(1.0, getattr(host, act))
        world.run()
        assert (answer.cancelled(), world.tyme) == (True, 1.0)
        host.restart()
        with pytest.raises(TotohioError, match="no script runs on client-1 any more"):
            world.spawn(script(), on=client)


def test_clients_and_loads_find_names_of_their_own() -> None:
    with World(faults="still") as world:
        server = world.server(methods=METHODS)
        names = [world.client(server, name).name for name in ("client-2", "ada", None, None)]
        assert names == ["client-2", "ada", "client-1", "client-3"]
        for _ in range(2):
            world.load(server, "add", {"a": 1}, rate=10.0, seconds=1.0)
        assert list(world.hosts)[-2:] == ["load", "load-2"]


# ---------------------------------------------------------------- faults


@pytest.mark.parametrize("faults", ["stormy", "radioactive"])
def test_faults_strike_and_after_healing_all_works_again(faults: str) -> None:
    kinds: set[str] = set()
    for seed in range(40):
        with World(seed, faults=faults) as world:
            mixture(world)
            kinds |= {fault.kind for fault in world.plan.fired}
            for host in list(world.hosts.values()):
                if host.fallible:
                    assert host.running
                    assert world.call(host, "add", {"a": 1}) == 2
    assert kinds == set(PROFILES[faults].faults)


def test_a_fault_can_be_left_out_and_the_others_stay() -> None:
    with World(3, faults="stormy") as world:
        calls(world)
        drawn = [(fault.kind, fault.count, fault.seconds) for fault in world.plan.drawn]
        fired = [fault.index for fault in world.plan.fired]
    assert fired
    with World(3, faults="stormy", without={fired[0]}) as world:
        calls(world)
        assert [(fault.kind, fault.count, fault.seconds) for fault in world.plan.drawn] == drawn
        assert fired[0] not in [fault.index for fault in world.plan.fired]


def test_a_sunny_world_has_no_faults() -> None:
    with World(1, faults="sunny") as world:
        assert calls(world) == [list(range(1, 11))] * 3
        assert world.plan.drawn == []


def test_what_a_test_has_planned_is_accounted_for() -> None:
    with World(faults="still") as world:
        server = world.server(methods=METHODS)
        world.plan.at(5.0, server.kill, "kill it")
        world.plan.at(500.0, server.restart, "start it again")
        world.run(10.0)
        assert [str(action) for action in world.plan.unfired] == ["start it again"]
        assert not server.running


# ---------------------------------------------------------------- what must hold


def test_an_always_that_fails_ends_the_run_at_that_moment() -> None:
    with World(faults="still") as world:
        server = world.server(methods=METHODS)
        world.always("early", lambda: world.tyme < 3.0)
        with pytest.raises(CheckFailed, match='always "early"'):
            world.call(server, "nap", {"seconds": 5.0})
        assert world.tyme == 5.0


def test_a_predicate_that_lets_time_pass_is_told_so() -> None:
    with World(faults="still") as world:
        server = world.server(methods=METHODS)
        world.always("it answers", lambda: world.call(server, "add", {"a": 1}) == 2)
        with pytest.raises(CheckFailed, match="a predicate cannot let time pass"):
            world.run(1.0)


def test_an_eventually_waits_for_the_end_of_faults() -> None:
    with World(faults="still") as world:
        server = world.server(methods=METHODS)
        world.plan.at(5.0, server.kill)
        world.run(6.0)
        world.after(3.0, server.restart)
        world.eventually("it is up", lambda: server.running, within=4.0)
        world.settle()
        server.kill()
        world.eventually("it is up again", lambda: server.running, within=4.0)
        with pytest.raises(CheckFailed, match="it is up again"):
            world.settle()
        server.restart()


def test_an_eventually_that_nobody_waited_for_is_waited_for_at_the_end() -> None:
    world = World(faults="still")
    with pytest.raises(CheckFailed, match="never"), world:
        world.eventually("never", lambda: False, within=4.0)
    assert world.tyme == 4.0


def test_an_exit_that_escapes_is_found() -> None:
    class Late(Doer):
        def exit(self) -> None:
            time.time()

    with pytest.raises(EscapeError, match=r"time\.time"), World(faults="still") as world:
        world.host("mine", lambda process: [Late()])


# ---------------------------------------------------------------- servers


def test_a_server_has_its_settings_from_the_call_and_none_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOTOHIO_MAX_BATCH", "1")
    with World() as world:
        server = world.server(methods=METHODS, max_headers=7)
        assert server.server is not None
        assert (server.server.settings.max_headers, server.server.settings.max_batch) == (7, 10_000)


def test_a_server_on_a_unix_socket_is_out_of_reach_for_clients_on_other_hosts() -> None:
    with World() as world:
        server = world.server(methods=METHODS, uds="/run/socket")
        with pytest.raises(TotohioError, match="server listens on /run/socket, which no other host can reach"):
            world.client(server)
        assert list(world.hosts) == ["server"]


def test_tls_is_refused(tmp_path: Path) -> None:
    with World() as world, pytest.raises(SettingsError, match="carries no TLS"):
        world.server(methods=METHODS, certfile=str(tmp_path / "cert.pem"))


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of still, sunny, stormy, radioactive"):
        World(faults="mild")


def test_several_servers_are_named_with_a_number() -> None:
    with World() as world:
        names = [server.name for server in world.server(count=3, methods=METHODS)]
        assert names == ["server-1", "server-2", "server-3"]
        assert list(world.hosts) == names
