"""Looking again at who has a session while the store is down, slow or takes something back, and what it costs."""

from collections import Counter
from typing import Any

import pytest

from tests.remote.reviewed import MANAGE, MOMENT, PERIOD, begin, lasts, manage, use
from tests.remote.support import Dialer, empty, grant, house_of, lending
from totohio import TotoException
from totohio.base.futures import Future
from totohio.core.ports import StoreError
from totohio.remote.sessions import RemoteSession
from totohio.sim import World, hold, partition, sim
from totohio.sim.worlding import Script


@sim(seeds=3, faults="sunny")
def test_a_store_that_is_down_ends_nothing_and_forgives_nothing(world: World) -> None:
    redis = world.redis()
    shared = {"database": "redis", "database_url": redis.url, "database_timeout": 1.0}
    server = begin(world, **shared)
    other = lending(world, name="other", methods={"manage": MANAGE}, **shared)
    world.run(1.0)
    grant(world, server, "admin")
    ada, grace = Dialer(world, server), Dialer(world, server, name="second", user_id="grace")
    assert [use(ada), use(grace)] == [3, 3]
    with world.net.rule(partition(server, redis.host)):
        world.run(world.dice.between(0.0, PERIOD))
        manage(world, other, "password")
        world.run(5 * PERIOD)
        assert [use(ada), use(grace)] == [3, 3]
        assert {frozenset(session.roles) for session in house_of(server).sessions} == {
            frozenset(["admin"]),
            frozenset(),
        }
    assert lasts(world, ada, PERIOD + 5.0) <= PERIOD + 5.0  # of which a moment is for it to find the store again
    world.run(2 * PERIOD)
    assert use(grace) == 3


def test_what_was_read_and_never_committed_ends_nothing() -> None:
    with World(0, faults="still") as world:
        server = begin(world)
        ada = Dialer(world, server)
        assert use(ada) == 3
        keeper = house_of(server).gate._keeper
        commit, never = keeper.store.commit, Future[Any]()
        keeper.store.commit = lambda transactions: never
        world.run(PERIOD - 5.0)
        client = world.client(server)
        cleared = world.spawn(clearing(client), on=client)
        world.run(10.0)
        assert len(house_of(server).reviews) == 1, "it does not wait for what it has read"
        keeper.store.commit = commit
        server.process.do(never.set_exception, StoreError("the disk is full"))
        world.run(3 * PERIOD)
        assert cleared.result() == 1012
        assert use(ada) == 3
        manage(world, server, "clear")
        assert lasts(world, ada, PERIOD + MOMENT) <= PERIOD + MOMENT


def clearing(client: Any) -> Script:
    """End all sessions of a user; give the code of the error that says that this was not done."""
    try:
        yield client.call("manage", {"what": "clear", "user_id": "ada"})
    except TotoException as error:
        return error.code


@pytest.mark.parametrize("how", ["leaves", "vanishes", "drain", "stays"])
def test_one_look_at_a_time_waits_for_the_store_and_holds_nobody_up(how: str) -> None:
    with World(0, faults="still") as world:
        redis = world.redis()
        slow = {"database": "redis", "database_url": redis.url, "database_timeout": 60.0}
        server = begin(world, remote_review=10.0, remote_lease=12.0, **slow)
        ada = Dialer(world, server)
        assert use(ada) == 3
        house = house_of(server)
        [session] = house.sessions
        looks = counted(house)
        held = hold(server, redis.host)
        world.net.add(held)
        world.run(35.0)
        assert looks == {session: 1}
        assert use(ada) == 3
        if how == "stays":
            world.net.remove(held)
            world.run(MOMENT)
            assert looks == {session: 2}  # at once, since it was due while the first one waited
            assert not house.reviews
            world.run(10.0)
            assert looks == {session: 3}
        elif how == "drain":
            before = world.tyme
            server.drain()
            world.run_until(lambda: ada.doer.user_id is None, within=PERIOD)
            assert world.tyme - before < MOMENT
            assert not house.reviews
        else:
            if how == "leaves":
                ada.host.kill()
                world.run(MOMENT)
            else:
                ada.host.pause()
                world.run(15.0)
            assert empty(server)
            world.net.remove(held)
            world.run(25.0)
            assert server.running
            assert looks == {session: 1}


def counted(house: Any) -> Counter[RemoteSession]:
    """Count how often a session is looked at."""
    looks: Counter[RemoteSession] = Counter()
    review = house.gate.review

    def look(session: RemoteSession) -> Any:
        looks[session] += 1
        return review(session)

    house.gate.review = look
    return looks


class Nowhere:
    """Carries nothing."""

    def send(self, data: bytes) -> None:
        """Forget it."""

    def close(self) -> None:
        """Do nothing."""


def test_a_thousand_idle_sessions_are_looked_at_one_by_one_as_they_came_each_with_one_read() -> None:
    with World(0, faults="still") as world:
        server = begin(world, remote_lease=100_000.0)
        house, process = house_of(server), server.process
        keeper = house.gate._keeper
        account = keeper.accounts.find(keeper.unit(), "ada")

        def enter() -> None:
            session = house.begin(Nowhere(), address="", framed=True)
            house.gate._admit(session, account, "")
            session.enter([account.user_id, None])

        for _ in range(1000):
            process.do(enter)
            world.run(PERIOD / 1000)
        looks, tymes = counted(house), Counter[float]()
        read = keeper.store.read

        def reading(key: bytes) -> Any:
            tymes[world.tyme] += 1
            return read(key)

        keeper.store.read = reading
        world.run(PERIOD)
        assert len(looks) == 1000
        assert set(looks.values()) == {1}
        assert tymes.total() <= 1001
        assert max(tymes.values()) <= 5


@sim(seeds=3, faults="sunny")
def test_who_comes_while_the_store_is_down_is_told_so_and_nothing_of_the_server(world: World) -> None:
    redis = world.redis()
    server = begin(world, database="redis", database_url=redis.url, database_timeout=1.0)
    with world.net.rule(partition(server, redis.host)):
        dialer = Dialer(world, server)
        code, traceback = dialer.run(refused(dialer))
        assert code == 1012
        assert "Traceback" not in traceback


def refused(dialer: Dialer) -> Script:
    """Give the code with which a client is not let in, and what it is told of where that was raised."""
    try:
        yield dialer.doer.ready
    except TotoException as error:
        return [error.code, error.remote_traceback]  # type: ignore[attr-defined]
