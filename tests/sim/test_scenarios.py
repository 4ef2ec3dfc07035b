"""The server in rough worlds: what must hold whatever the network, its hosts and its clients do."""

import itertools
from typing import Any

import pytest

from tests.corpus.loading import cases
from tests.sim.scenarios import METHODS, calls, mixture
from totohio import TotoException
from totohio.sim import Client, Counter, History, World, check_linearizable, sim
from totohio.sim.worlding import Script

TROUBLE = (OSError, TotoException)


LOST = {
    "ConnectionResetError",
    "ConnectionRefusedError",
    "ConnectionAbortedError",
    "TimeoutError",
    "error 408",  # the server, of a request that does not arrive
}


@sim(seeds=240, faults="stormy")
def test_every_answer_is_the_right_one(world: World) -> None:
    for results in calls(world):
        for number, result in enumerate(results):
            assert result == number + 1 or result in LOST
            world.sometimes("a connection is reset in the middle", result == "ConnectionResetError")
            world.sometimes("a connection is refused", result == "ConnectionRefusedError")
    world.sometimes("nothing at all happens", not world.plan.fired)


@sim(seeds=200, faults="radioactive")
def test_a_cluster_that_is_healed_serves_again(world: World) -> None:
    mixture(world)
    for host in list(world.hosts.values()):
        if host.fallible:
            assert world.call(host, "add", {"a": 41}) == 42
    world.sometimes("a host loses power", any(fault.kind == "crash" for fault in world.plan.fired))
    world.sometimes("a process is killed", any(fault.kind == "kill" for fault in world.plan.fired))


@sim(seeds=200, faults="stormy")
def test_a_counter_is_linearizable(world: World) -> None:
    count = itertools.count(1)
    server = world.server(methods={"increment": lambda handler, parameters: next(count)})
    history = History(lambda: world.tyme)

    def script(client: Client) -> Script:
        for _ in range(6):
            operation = history.call(client.name, "increment")
            try:
                operation.ok((yield client.call("increment")))
            except ConnectionRefusedError:
                operation.fail()
            except TROUBLE:
                operation.unknown()
                world.sometimes("nobody knows whether it was counted")

    world.visit(server, script, clients=3, timeout=5.0)
    check_linearizable(history, Counter())


@sim(seeds=160, faults="stormy")
def test_pipelined_requests_are_answered_in_order(world: World) -> None:
    server = world.server(methods=METHODS)
    dice = world.dice.branch("test")

    def script(client: Client) -> Script:
        asked = [("add", {"a": number}) if dice.chance(0.7) else ("nap", {"seconds": 0.01}) for number in range(20)]
        futures = [client.call(*each) for each in asked]
        answered = 0
        lost = False
        for (name, parameters), future in zip(asked, futures, strict=True):
            try:
                result = yield future
            except TROUBLE:
                lost = True
                continue
            assert not lost, "a request was answered behind one that was lost"
            assert result == (parameters["a"] + 1 if name == "add" else "slept")
            answered += 1
        world.sometimes("all are answered", answered == 20)
        world.sometimes("some are answered", 0 < answered < 20)

    world.visit(server, script, clients=2)


@sim(seeds=160, faults="stormy")
def test_batches_are_answered_whole_or_not_at_all(world: World) -> None:
    server = world.server(methods=METHODS, batch_slice=3)
    entries = {f"{number:02}": {"method": "add", "parameters": {"a": number}} for number in range(15)}
    entries["nap"] = {"method": "nap", "parameters": {"seconds": 0.05}}
    entries["sum"] = {"method": "add", "parameters": {"#a": {"resultOf": "00", "path": ""}}}
    wanted: dict[str, Any] = {f"{number:02}": {"result": number + 1} for number in range(15)}
    wanted |= {"nap": {"result": "slept"}, "sum": {"result": 2}}

    def script(client: Client, number: int) -> Script:
        for _ in range(3):
            try:
                assert (yield client.batch(entries, "parallel" if number else "sequence")) == wanted
            except TROUBLE:
                world.sometimes("a batch is lost")

    world.visit(server, script, clients=2)


def pour(handler: Any, parameters: dict[str, int]) -> Script:
    """Send pieces no faster than the client takes them."""
    for number in range(parameters["pieces"]):
        yield handler.respond_raw(bytes([number % 251]) * 997, "application/octet-stream", finish=False)


@sim(seeds=200, faults="stormy")
def test_a_stream_arrives_whole_or_is_seen_to_be_cut(world: World) -> None:
    server = world.server(methods={"pour": pour}, write_timeout=20.0)
    whole = b"".join(bytes([number % 251]) * 997 for number in range(60))

    def script(client: Client) -> Script:
        for _ in range(2):
            try:
                reply = yield client.post("/pour", {"pieces": 60})
            except TROUBLE:
                world.sometimes("a stream is cut")
                continue
            assert reply.body == whole
            world.sometimes("a stream is whole")

    world.visit(server, script, clients=2)


@sim(seeds=200, faults="stormy")
def test_a_server_that_drains_answers_what_it_has_taken(world: World) -> None:
    done: list[int] = []

    def mark(handler: object, parameters: dict[str, Any]) -> Script:
        yield parameters["seconds"]
        done.append(parameters["number"])
        return parameters["number"]

    server = world.server(methods={"mark": mark}, drain_timeout=300.0)
    answered: list[int] = []
    cut: list[int] = []
    dice = world.dice.branch("test")

    def script(client: Client, number: int) -> Script:
        for turn in range(5):
            name = number * 10 + turn
            try:
                answered.append((yield client.call("mark", {"number": name, "seconds": dice.between(0.0, 0.5)})))
            except ConnectionRefusedError:
                return
            except TROUBLE:
                cut.append(name)

    world.after(dice.between(0.1, 1.5), server.drain)
    world.visit(server, script, clients=4)
    world.settle()
    world.run(400.0)
    assert not server.running
    assert set(answered) <= set(done)
    if not world.plan.fired:
        lost = set(done) - set(answered)
        assert not lost, "it did what it did not say"
        world.sometimes("drained without a fault")


@sim(seeds=150, faults="stormy")
def test_calls_that_take_too_long_are_ended_when_that_was_said(world: World) -> None:
    server = world.server(methods=METHODS, async_timeout=3.0)
    moments: list[float] = []
    codes: set[object] = set()

    def script(client: Client) -> Script:
        start = world.tyme
        try:
            yield client.call("nap", {"seconds": 1000.0})
        except TotoException as error:
            codes.add(error.code)
            moments.append(world.tyme - start)
        except TROUBLE:
            world.sometimes("lost before it was ended")

    world.visit(server, script, clients=3)
    assert codes <= {1014}
    for seconds in moments:
        assert seconds >= 3.0
        world.sometimes("ended soon", seconds < 3.5)


@sim(seeds=200, faults="stormy")
def test_hostile_clients_do_not_disturb_the_others(world: World) -> None:
    server = world.server(methods={"echo": lambda handler, parameters: parameters, **METHODS})
    dice = world.dice.branch("test")
    small = [case for case in cases() if len(case.raw) < 2000]

    def hostile(client: Client) -> Script:
        for _ in range(4):
            case = dice.pick(small)
            try:
                yield client.send(case.raw[: 1 + dice.below(len(case.raw) or 1)])
                if dice.chance(0.5):
                    client.abort()
                else:
                    while (yield client.receive(timeout=0.5)):
                        pass
            except TROUBLE:
                world.sometimes("the server has had enough of it")
            client.close()

    for number in range(3):
        client = world.client(server, f"hostile-{number}")
        world.spawn(hostile(client), on=client)

    def good(client: Client) -> Script:
        for number in range(8):
            try:
                assert (yield client.call("add", {"a": number})) == number + 1
            except TROUBLE:
                assert world.plan.fired, "somebody else's garbage has cost an honest client its reply"

    world.visit(server, good, clients=2)


KEEP = (
    "import json\n"
    "def kept(handler):\n"
    "    files = handler.environment.files\n"
    "    if not files.exists('/journal'):\n"
    "        return []\n"
    "    lines = files.open('/journal').read().split(b'\\n')\n"
    "    return [int(line) for line in lines[:-1]]\n"
    "def invoke(handler, parameters):\n"
    "    files = handler.environment.files\n"
    "    if 'number' in parameters:\n"
    "        fresh = not files.exists('/journal')\n"
    "        with files.open('/journal', 'ab') as file:\n"
    "            file.write(b'%d\\n' % parameters['number'])\n"
    "            file.sync()\n"
    "        if fresh:\n"
    "            files.sync('/')\n"
    "    return kept(handler)\n"
)


@pytest.mark.expects_errors  # a full disk is one
@sim(seeds=160, faults="radioactive")
def test_what_was_synced_before_the_reply_is_there_after_any_fault(world: World) -> None:
    server = world.server(methods={"keep": KEEP})
    acknowledged: list[int] = []

    def script(client: Client) -> Script:
        for number in range(12):
            try:
                yield client.call("keep", {"number": number})
                acknowledged.append(number)
            except TROUBLE:
                world.sometimes("not acknowledged")

    world.visit(server, script, timeout=10.0)
    world.settle()
    kept = world.call(server, "keep", {})
    assert set(acknowledged) <= set(kept)
    world.sometimes("a crash comes between", any(fault.kind == "crash" for fault in world.plan.fired))


@sim(seeds=100, faults="sunny")
def test_a_world_without_faults_answers_everything(world: World) -> None:
    assert calls(world, clients=4, count=8) == [list(range(1, 9))] * 4
