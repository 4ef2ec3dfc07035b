"""Worker threads of simulated processes."""

import sys
from pathlib import Path

import pytest

from totohio import TaskQueue, TotoServer
from totohio.base.doing import Doer
from totohio.sim.clients.asking import Client
from totohio.sim.isolating import Modules, folder, package
from totohio.sim.processing import Process
from totohio.sim.worlding import Script, World

QUEUE = (
    "from totohio import TaskQueue\n"
    "def work(handler):\n"
    "    return handler._dispatcher.here()\n"
    "def invoke(handler, parameters):\n"
    "    start = handler.environment.clock.monotonic()\n"
    "    here = yield TaskQueue.instance('q', parameters.get('threads', 1)).yield_task(work, handler)\n"
    "    return [here, handler.environment.clock.monotonic() - start]\n"
)


def at_once(world: World, count: int, threads: int) -> list[float]:
    """Have that many clients call at once, and give how long each task took, waiting included."""
    server = world.server(methods={"queue": QUEUE})

    def script(client: Client) -> Script:
        return (yield client.call("queue", {"threads": threads}))

    return sorted(seconds for _, seconds in world.visit(server, script, clients=count))


def test_a_task_takes_the_time_that_was_said() -> None:
    with World(faults="still") as world:
        world.takes("work", 0.25)
        assert at_once(world, 1, 1) == [0.25]


def test_tasks_beyond_the_number_of_threads_wait_their_turn() -> None:
    with World(faults="still") as world:
        world.takes("q", 0.5)
        assert at_once(world, 5, 2) == [0.5, 0.5, 1.0, 1.0, 1.5]


def test_a_task_is_not_in_the_thread_of_the_cycle() -> None:
    with World(faults="still") as world:
        server = world.server(methods={"queue": QUEUE})
        assert world.call(server, "queue")[0] is False


def test_what_a_task_raises_reaches_the_method() -> None:
    def fail() -> None:
        raise LookupError("nothing there")

    def invoke(handler: object, parameters: object) -> Script:
        try:
            yield TaskQueue.instance("q").yield_task(fail)
        except LookupError as error:
            return str(error)

    with World(faults="sunny") as world:
        assert world.call(world.server(methods={"look": invoke}), "look") == "nothing there"


def test_a_task_of_a_dead_process_is_never_heard_of_and_has_happened_or_not() -> None:
    happened = []
    for seed in range(40):
        done: list[int] = []

        def invoke(handler: object, parameters: object, done: list[int] = done) -> Script:
            yield TaskQueue.instance("q").yield_task(done.append, 1)

        with World(seed, faults="still") as world:
            world.takes("q", 1.0)
            server = world.server(methods={"work": invoke})
            client = world.client(server)

            def script(client: Client = client) -> Script:
                try:
                    yield client.call("work")
                except OSError:
                    return "lost"

            answer = world.spawn(script())
            world.after(0.5, server.kill)
            world.run()
            assert answer.result() == "lost"
            world.run(10.0)
            happened.append(len(done))
    assert set(happened) == {0, 1}


def test_a_paused_process_gets_what_its_threads_finished_when_it_goes_on() -> None:
    with World(faults="still") as world:
        world.takes("q", 1.0)
        server = world.server(methods={"queue": QUEUE})
        world.after(0.5, server.pause, 10.0)
        assert world.call(server, "queue") == [False, 10.5]


def test_queues_of_a_module_that_all_processes_share_serve_each_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "queues_of_test.py").write_text(
        "from totohio import TaskQueue\nOWN = TaskQueue(2, name='own')\nSHARED = TaskQueue.instance('shared', 2)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    method = (
        "import queues_of_test as queues\n"
        "def invoke(handler, parameters):\n"
        "    return (yield [queues.OWN.yield_task(sum, [1, 2]), queues.SHARED.yield_task(sum, [3, 4])])\n"
    )
    try:
        for seed in range(2):
            with World(seed, faults="still") as world:
                servers = world.server(count=2, methods={"add": method})
                servers[0].kill()
                servers[0].restart()
                assert [world.call(server, "add") for server in servers] == [[3, 7], [3, 7]]
    finally:
        sys.modules.pop("queues_of_test", None)


def test_two_servers_of_one_process_have_task_queues_of_their_own() -> None:
    with World(faults="still") as world:
        package("beside", {"queue": QUEUE})
        servers: list[TotoServer] = []

        def boot(process: Process) -> list[Doer]:
            for port, environment in ((80, process.environment), (81, process.another())):
                servers.append(TotoServer(method_module="beside", port=port, environment=environment))
            return [doer for server in servers for doer in server.doers]

        host = world.host("mine", boot, modules=Modules(("beside",), (folder("beside"),)))
        world.takes("q", 1.0)

        def script(client: Client) -> Script:
            return (yield client.call("queue", {}))

        servers[1].drain()
        world.run(20.0)
        answer = world.spawn(script(world.client((host.name, 80))))
        world.run()
        assert answer.result() == [False, 1.0]
        servers[0].drain()
        world.run(20.0)
        assert not host.running


def test_a_task_can_be_given_before_the_server_runs() -> None:
    method = (
        "from totohio import TaskQueue\n"
        "seen = []\n"
        "TaskQueue.instance('early').add_task(seen.append, 1)\n"
        "def invoke(handler, parameters):\n"
        "    return seen\n"
    )
    with World(faults="still") as world:
        server = world.server(methods={"seen": method})
        world.run(1.0)
        assert world.call(server, "seen") == [1]


def test_a_pool_needs_a_thread() -> None:
    with World(faults="still") as world:
        server = world.server(methods={})
        assert server.process is not None
        with pytest.raises(ValueError, match="at least 1 thread"):
            server.process.environment.threads.pool("none", 0)
