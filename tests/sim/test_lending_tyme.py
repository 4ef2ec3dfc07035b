"""Lending as tyme passes: clients and servers that say nothing, and statements without end."""

from tests.remote.support import Dialer, empty, enrol, grant, house_of, lending
from totohio import TotoException
from totohio.remote import DisconnectedError
from totohio.sim import World, sim
from totohio.sim.worlding import Script


@sim(seeds=10, faults="sunny")
def test_a_client_that_is_idle_stays_and_one_that_stands_still_is_given_up(world: World) -> None:
    server = lending(world, remote_lease=30.0)
    enrol(world, server)
    dialer = Dialer(world, server)

    def script() -> Script:
        yield dialer.doer.ready
        cat = yield dialer.doer.remote.Cat("x")
        yield 600.0
        assert (yield cat.greet()) == "x greets you"
        return cat

    cat = dialer.run(script(), within=700.0)
    [session] = house_of(server).sessions
    assert len(session.table) == 1
    dialer.host.pause()
    world.run(31.0)
    assert empty(server)
    assert len(session.table) == 0
    dialer.host.resume()

    def after() -> Script:
        try:
            yield cat.greet()
        except DisconnectedError:
            return "over"

    world.run(1.0)
    assert dialer.run(after()) == "over"


@sim(seeds=10, faults="sunny")
def test_a_server_that_has_gone_silent_is_given_up_by_who_waits_soon_and_by_others_later(world: World) -> None:
    server = lending(world)
    enrol(world, server)
    waiting, idle = Dialer(world, server, name="waiting"), Dialer(world, server, name="idle")

    def script() -> Script:
        yield waiting.doer.ready
        yield 59.0
        assert (yield waiting.doer.remote.add(1, 2)) == 3  # it is there, though it has said nothing for long
        yield 10.0
        began = world.tyme
        try:
            yield waiting.doer.remote.add(1, 2)
        except DisconnectedError:
            return world.tyme - began

    found = waiting.spawn(script())
    world.run(65.0)
    server.pause()
    world.run_until(lambda: found, within=100.0)
    assert 45.0 < found[0] < 70.0
    assert idle.doer.user_id == "ada"
    world.run(300.0)
    assert idle.doer.user_id is None
    server.resume()
    world.run(1.0)
    assert empty(server)


@sim(seeds=10, faults="sunny")
def test_statements_that_take_too_long_end_the_session(world: World) -> None:
    world.takes("RemoteSession._execute", 20.0)
    server = lending(world, remote_exec=True, remote_exec_timeout=10.0)
    enrol(world, server)
    grant(world, server, "admin")
    dialer, other = Dialer(world, server), Dialer(world, server, name="other")

    def script() -> Script:
        yield [dialer.doer.ready]
        begin = world.tyme
        try:
            yield dialer.doer.perform("do", None, ["x = 1"])
        except DisconnectedError:
            return world.tyme - begin

    assert 10.0 <= dialer.run(script()) < 11.0

    def still() -> Script:
        return (yield other.doer.remote.add(1, 2))

    assert other.run(still()) == 3


@sim(seeds=10, faults="sunny")
def test_a_thread_that_waits_for_a_callback_is_free_when_its_call_has_taken_too_long(world: World) -> None:
    server = lending(world)
    enrol(world, server)
    dialer = Dialer(world, server)

    def never() -> Script:
        yield 1000.0

    def script() -> Script:
        yield dialer.doer.ready
        try:
            yield dialer.doer.remote.apply_in_thread(never)
        except TotoException as error:
            return error.code

    assert dialer.run(script(), within=100.0) == 1014
    world.run(1.0)
    assert len(house_of(server)._pool) == 0


@sim(seeds=5, faults="sunny")
def test_a_server_that_does_not_answer_is_given_up(world: World) -> None:
    server = lending(world)
    server.pause()
    dialer = Dialer(world, server)

    def script() -> Script:
        try:
            yield dialer.doer.ready
        except TimeoutError as error:
            return str(error)

    assert dialer.run(script(), within=20.0) == "the server does not say whether we may come in"
    server.resume()
