"""Sessions that are counted in and saved while hosts crash and stores fail: nothing is lost, nothing counts twice."""

import contextlib
from collections.abc import Sequence
from typing import Any

import pytest

from tests.sim.users import METHODS, insist, serve
from totohio import TotoException
from totohio.base.errors import TotohioError
from totohio.sim import Client, SimRedis, World, delay, hold, one_way, partition, sim
from totohio.sim.hosting import Host
from totohio.sim.worlding import Script

UNAVAILABLE, TIMED_OUT, CONFLICT = 1012, 1014, 1017


def count(world: World, client: Client, token: str, method: str = "count") -> Script:
    """Count once in the session; give whether that was acknowledged, None where nobody knows."""
    try:
        yield client.call(method, {"token": token}, timeout=5.0)
    except TotoException as error:
        if error.code not in (UNAVAILABLE, TIMED_OUT, CONFLICT):
            raise
        world.sometimes("the store is unavailable", error.code == UNAVAILABLE)
        return False if error.code == CONFLICT else None
    except OSError:
        world.sometimes("a call is lost")
        return None
    return True


def check(kept: Any, acknowledged: Sequence[str], refused: Sequence[str]) -> None:
    """See that what is kept fits what clients were told."""
    assert kept is not None, "the session is gone"
    number, tokens = kept
    assert number == len(tokens) == len(set(tokens)), "counted twice"
    assert not set(acknowledged) - set(tokens), "an acknowledged increment is missing"
    assert not set(refused) & set(tokens), "an increment was refused and counts"


def counting(world: World, servers: Sequence[Host], *, clients: int, calls: int, rest: float = 0.0) -> None:
    """Clients count, each in a session of its own and at any of the servers.

    Args:
        world: Where.
        servers: Whom they call.
        clients: How many.
        calls: How many increments each has acknowledged in the end.
        rest: Seconds that the servers have between the end of all faults and the last look.
    """

    def script(number: int, asked: list[Client]) -> Script:
        told: dict[bool | None, list[str]] = {True: [], False: [], None: []}
        session_id: str | None = None
        for attempt in range(40):
            if len(told[True]) == calls:
                break
            client = asked[(number + attempt) % len(asked)]
            client.session_id = session_id
            token = f"{number}.{attempt}"
            known = yield from count(world, client, token)
            if session_id is None and known:
                session_id = client.session_id
                told = {True: [], False: [], None: []}  # what went before had sessions of its own
            told[known].append(token)
            if not known:
                yield 0.3
        world.heal()
        yield rest
        if session_id is not None:
            asked[number % len(asked)].session_id = session_id
            check((yield from insist(asked[number % len(asked)], "show")), told[True], told[False])

    for number in range(clients):
        asked = [world.client(server) for server in servers]
        world.spawn(script(number, asked), on=asked[0])
    world.run()


def crashes(world: World) -> set[tuple[str, str]]:
    """What has struck, and whom."""
    return {(fault.kind, fault.hit) for fault in world.plan.fired}


# ---------------------------------------------------------------- in files


@sim(seeds=160, faults="radioactive")
def test_nothing_acknowledged_is_lost_from_files(world: World) -> None:
    counting(world, serve(world, "lmdb"), clients=3, calls=4)
    kinds = {kind for kind, _ in crashes(world)}
    world.sometimes("a host loses power", "crash" in kinds)
    world.sometimes("a process is killed", "kill" in kinds)
    world.sometimes("a disk is full", bool({"disk_full", "store_full"} & kinds))
    world.sometimes("a disk fails", bool({"disk_error", "store_error"} & kinds))


@sim(seeds=120, faults="sunny")
def test_a_crash_in_the_middle_of_a_commit_takes_back_nothing_that_was_told(world: World) -> None:
    """The power fails again and again, each time while clients are busy."""
    [server] = serve(world, "lmdb")
    dice = world.dice.branch("crashes")

    def cut() -> None:
        (server.crash if dice.chance(0.7) else server.kill)()
        world.after(0.1, server.restart)

    for number in range(4):
        world.at(0.5 * number + dice.random() * 0.3, cut)
    counting(world, [server], clients=3, calls=6, rest=3.0)


# ---------------------------------------------------------------- in Redis


@sim(seeds=100, faults="radioactive")
def test_nothing_acknowledged_is_lost_from_redis(world: World) -> None:
    counting(world, serve(world, "redis"), clients=3, calls=4)
    struck = crashes(world)
    world.sometimes("redis loses power", ("crash", "redis") in struck)
    world.sometimes("redis is killed", ("kill", "redis") in struck)
    world.sometimes("redis stands still", ("pause", "redis") in struck)


@sim(seeds=60, faults="stormy")
def test_nothing_acknowledged_is_lost_when_replicas_take_over(world: World) -> None:
    redis = world.redis(replica=True)
    servers = serve(world, "redis", redis_replicas=1, database_timeout=1.0)
    dice = world.dice.branch("failover")
    taken: list[str] = []

    def take_over() -> None:
        if dice.chance(0.3):
            redis.crash()
        with contextlib.suppress(TotohioError):  # the replica does not run, or has nothing
            redis.failover()
            taken.append(redis.primary.name)
        world.after(2.0, redis.restart)

    for number in range(3):
        world.at(1.0 + 2.0 * number + dice.random() * 2.0, take_over)
    world.run(1.0)
    counting(world, servers, clients=3, calls=5, rest=15.0)
    world.sometimes("a replica takes over", bool(taken))
    world.sometimes("and gives it back", len(set(taken)) > 1)


@sim(seeds=60, faults="sunny")
def test_what_a_replica_lags_behind_is_lost_unless_it_is_waited_for(world: World) -> None:
    """What the test before shows is shown by a world that can lose it."""
    redis = world.redis(replica=True)
    servers = serve(world, "redis")
    world.run(1.0)

    def script(client: Client) -> Script:
        yield from insist(client, "count", {"token": "old"})
        yield 1.0
        with world.net.rule(delay(0.5, redis.primary, redis.replica)):
            yield from insist(client, "count", {"token": "young"})
            redis.crash()
            redis.failover()
        yield 5.0
        return (yield from insist(client, "show"))

    [kept] = world.visit(servers[0], script)
    assert kept == [1, ["old"]]


@sim(seeds=40, faults="sunny")
def test_a_redis_that_syncs_once_a_second_loses_no_more_than_that(world: World) -> None:
    redis = world.redis(everysec=True)
    servers = serve(world, "redis")

    def script(client: Client) -> Script:
        for number in range(3):
            yield from insist(client, "count", {"token": f"old {number}"})
        yield 2.0
        yield from insist(client, "count", {"token": "young"})
        redis.crash()
        redis.restart()
        yield 5.0
        number, tokens = yield from insist(client, "show")
        assert number == len(tokens)
        assert {f"old {number}" for number in range(3)} <= set(tokens)
        world.sometimes("the last second is lost", "young" not in tokens)
        world.sometimes("it is not", "young" in tokens)

    world.visit(servers[0], script)


# ---------------------------------------------------------------- one session, many calls


@pytest.mark.parametrize("place", ["lmdb", "redis"])
@sim(seeds=100, faults="stormy")
def test_calls_that_share_a_session_lose_nothing_and_are_told_so(world: World, place: str) -> None:
    servers = serve(world, place)

    def opener(client: Client) -> Script:
        turn = 0
        while client.session_id is None:
            yield from count(world, client, f"opener {turn}")
            turn += 1
        return client.session_id

    [shared] = world.visit(servers[0], opener)
    told: dict[bool | None, list[str]] = {True: [], False: [], None: []}

    def script(client: Client, number: int) -> Script:
        client.session_id = shared
        for attempt in range(4):
            token = f"{number}.{attempt}"
            told[(yield from count(world, client, token, ("count", "slow_count")[attempt % 2]))].append(token)
            yield 0.02

    for number in range(4):
        client = world.client(servers[number % len(servers)])
        world.spawn(script(client, number), on=client)
    world.run()
    world.sometimes("two calls change the same", bool(told[False]))
    world.heal()

    def reader(client: Client) -> Script:
        client.session_id = shared
        return (yield from insist(client, "show"))

    [kept] = world.visit(servers[0], reader)
    check(kept, told[True], told[False])


# ---------------------------------------------------------------- without the store


def unreachable(redis: SimRedis, server: Host) -> list[Any]:
    """What keeps a server from its Redis, in several ways."""
    return [partition(server, redis.host), one_way(redis.host, server), hold(server, redis.host)]


@sim(seeds=20, faults="sunny")
def test_calls_that_need_no_store_go_on_without_it(world: World) -> None:
    redis = world.redis()
    server = world.server(
        methods={**METHODS, "echo": lambda handler, parameters: parameters},
        database="redis",
        database_url=redis.url,
        database_timeout=1.0,
    )

    def script(client: Client) -> Script:
        yield client.call("count", {"token": "a"})
        for place, rule in enumerate(unreachable(redis, server)):
            with world.net.rule(rule):
                for number in range(5):
                    began = world.tyme
                    with pytest.raises(TotoException) as caught:
                        yield client.call("count", {"token": f"{place}.{number}"})
                    assert caught.value.code == UNAVAILABLE
                    assert world.tyme - began < 4.5
                    began = world.tyme
                    assert (yield client.call("echo", {"x": number})) == {"x": number}
                    assert world.tyme - began < 0.1
            yield 3.0
            yield client.call("count", {"token": f"after {place}"})  # it has come back by itself

    world.visit(server, script)


@sim(seeds=20, faults="sunny")
def test_a_slow_store_holds_up_those_who_need_it_and_loses_nothing(world: World) -> None:
    redis = world.redis()
    [server, _] = serve(world, "redis", database_timeout=3.0)

    def script(client: Client, number: int) -> Script:
        yield client.call("count", {"token": "first"})
        with world.net.rule(delay(0.4, server, redis.host)):
            for turn in range(3):
                yield client.call("count", {"token": f"slow {turn}"})
        return (yield client.call("show"))

    for kept in world.visit(server, script, clients=3):
        assert kept == [4, ["first", "slow 0", "slow 1", "slow 2"]]


@sim(seeds=20, faults="sunny")
def test_nobody_is_told_of_a_session_that_could_not_be_kept(world: World) -> None:
    redis = world.redis()
    servers = serve(world, "redis", database_timeout=1.0)

    def script(client: Client) -> Script:
        kept = yield client.call("count", {"token": "a"})
        assert kept == 1
        first, client.session_id = client.session_id, None
        with world.net.rule(partition(servers[0], redis.host)):
            with pytest.raises(TotoException, match="unavailable"):
                yield client.call("count", {"token": "b"})
            assert client.session_id is None
            client.session_id = first
            with pytest.raises(TotoException, match="unavailable"):
                yield client.call("count", {"token": "c"})
        yield 3.0
        assert (yield client.call("count", {"token": "d"})) == 2

    world.visit(servers[0], script)


@sim(seeds=20, faults="sunny")
def test_a_client_that_leaves_while_the_store_fails_leaves_no_error_behind(world: World) -> None:
    redis = world.redis()
    servers = serve(world, "redis", database_timeout=1.0)

    def script(client: Client) -> Script:
        yield client.call("count", {"token": "a"})
        with world.net.rule(partition(servers[0], redis.host)):
            with pytest.raises(TimeoutError):
                yield client.call("count", {"token": "b"}, timeout=0.5)
            yield 5.0

    world.visit(servers[0], script)
    logs = [entry[3:] for entry in world.trace.entries if entry[2] == "log"]
    assert {level for level, _ in logs} == {"WARNING"}, logs
