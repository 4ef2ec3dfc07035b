"""The simulated Redis: what is lost on the way to it and back, what it keeps, and who takes over."""

from collections import Counter
from functools import partial
from typing import Any

import pytest

from tests.sim.keepers import commit, keeper, number_of, numbers, put, remote, settle, told, value
from totohio.base.errors import SettingsError, TotohioError
from totohio.core.ports import StoreError
from totohio.sim import Profile, SimRedis, World, hold, one_way, partition, reset_nth
from totohio.sim.hosting import Host
from totohio.sim.stores.framing import frame, frames


def kept(redis: SimRedis, *keys: bytes) -> list[int | None]:
    """The numbers that the primary has under some keys, without asking it."""
    rows = redis._doers[redis.primary].rows
    return [number_of(rows.get(key)) for key in keys]


NARROW = Profile(name="narrow", latency=(0.001, 0.01), jitter=0.001, fragment=0.3, partial=0.2, least_buffer=64)


# ---------------------------------------------------------------- on the way


def test_a_question_takes_the_way_there_and_back() -> None:
    with World(faults="sunny") as world:
        redis = world.redis()
        store = remote(keeper(world), redis)
        commit(world, store, put(1, b"a"))
        before = world.tyme
        assert numbers(world, store, b"a") == [1]
        assert 0.0002 < world.tyme - before < 0.01


@pytest.mark.parametrize("lasting", [1.0, 60.0])
def test_a_server_out_of_reach_is_found_out_within_the_timeout_and_comes_back_by_itself(lasting: float) -> None:
    with World(faults="still") as world:
        redis = world.redis()
        host = keeper(world)
        store = remote(host, redis, timeout=1.0)
        commit(world, store, put(1, b"a"))
        with world.net.rule(partition(host, redis.host)):
            before = world.tyme
            assert commit(world, store, put(2, b"a")) == "failed"
            assert world.tyme - before <= 2.0  # tried twice
            assert isinstance(store.load([b"a"]).exception(), StoreError)  # at once, since it was not reached
            world.run(lasting)
        world.run(3.0)
        assert commit(world, store, put(3, b"b")) == [True]


def test_an_answer_may_be_lost_after_its_question_was_carried_out() -> None:
    with World(faults="still") as world:
        redis = world.redis()
        host = keeper(world)
        store = remote(host, redis)
        commit(world, store, put(1, b"a"))
        again = put(2, b"a", expects=1, key=b"a")
        with world.net.rule(one_way(redis.host, host)):
            assert commit(world, store, again) == "failed"
        assert kept(redis, b"a") == [2]
        world.run(3.0)
        assert commit(world, store, again) == [True]  # it knows it again


def test_a_question_that_nobody_waits_for_any_more_may_still_be_carried_out_later() -> None:
    with World(faults="still") as world:
        redis = world.redis()
        host = keeper(world)
        store = remote(host, redis)
        commit(world, store, put(1, b"a"))
        with world.net.rule(hold(host, redis.host)):
            assert commit(world, store, put(2, b"a", expects=1, key=b"a"), put(2, b"b")) == "failed"
            world.run(10.0)
            assert kept(redis, b"a", b"b") == [1, None]
        world.run(0.1)
        assert kept(redis, b"a", b"b") == [2, 2]


def test_a_question_that_comes_late_does_not_undo_what_was_done_meanwhile() -> None:
    with World(faults="still") as world:
        redis = world.redis()
        hosts = [keeper(world, name) for name in ("slow", "quick")]
        slow, quick = (remote(host, redis) for host in hosts)
        commit(world, slow, put(1, b"a"))
        with world.net.rule(hold(hosts[0], redis.host)):
            assert commit(world, slow, put(2, b"a", expects=1, key=b"a")) == "failed"
            assert commit(world, quick, put(3, b"a", expects=1, key=b"a")) == [True]
        world.run(1.0)
        assert kept(redis, b"a") == [3]


def test_a_connection_that_breaks_in_the_middle_of_a_group_is_tried_once_more() -> None:
    again: Counter[bool] = Counter()
    for seed in range(20):
        with World(seed, faults="stormy", without=range(100)) as world:
            redis = world.redis()
            host = keeper(world)
            store = remote(host, redis)
            world.net.add(reset_nth(1 + seed, host, redis.host))
            assert commit(world, store, *(put(each, b"%d" % each) for each in range(12))) == [True] * 12
            again[len(told(world, "connect")) > 1] += 1
    assert again[True] > 10


def test_a_connection_that_has_ended_meanwhile_is_no_try() -> None:
    with World(faults="still") as world:
        redis = world.redis()
        host = keeper(world)
        store = remote(host, redis)
        commit(world, store, put(1, b"a"))
        redis.host.kill()
        redis.restart()
        world.run(1.0)
        with world.net.rule(reset_nth(1, host, redis.host)):
            assert commit(world, store, put(2, b"a")) == [True]
        assert len(told(world, "connect")) == 3


def test_a_group_that_is_cut_off_is_applied_up_to_somewhere() -> None:
    """Transactions are whole, groups are not: that is what a pipeline of Redis is."""
    applied: set[int] = set()
    for seed in range(40):
        with World(seed, faults=NARROW) as world:
            redis = world.redis()
            host = keeper(world)
            store = remote(host, redis)
            commit(world, store, put(1, b"first"))
            for number in range(1, 4):  # both connections, sooner or later
                world.net.add(reset_nth(number * (2 + seed % 10), host, redis.host))
            commit(world, store, *(put(2, b"%d" % each, b"%d'" % each) for each in range(12)))
            there = [kept(redis, b"%d" % each, b"%d'" % each) for each in range(12)]
            assert all(one == other for one, other in there)
            count = sum(one == 2 for one, _ in there)
            assert all(one == 2 for one, _ in there[:count])
            applied.add(count)
    assert len(applied) > 3


def test_a_group_whose_answer_was_lost_is_known_again_although_its_parts_built_upon_each_other() -> None:
    with World(faults="still") as world:
        redis = world.redis()
        host = keeper(world)
        store = remote(host, redis)
        commit(world, store, put(1, b"first"))
        with world.net.rule(reset_nth(2, host, redis.host)):  # the answer
            group = [put(1, b"a", expects=None, key=b"a"), put(2, b"a", expects=1, key=b"a")]
            assert commit(world, store, *group) == [True, True]
        assert len(told(world, "connect")) == 2
        assert kept(redis, b"a") == [2]


def test_nobody_is_told_that_it_was_not_applied_what_was_and_what_others_have_changed_since() -> None:
    with World(faults="still") as world:
        redis = world.redis()
        hosts = [keeper(world, name) for name in ("one", "other")]
        one, other = (remote(host, redis) for host in hosts)
        commit(world, one, put(1, b"a"))
        with world.net.rule(one_way(redis.host, hosts[0])):
            future = one.commit([put(2, b"a", expects=1, key=b"a")])
            world.run(0.5)
            assert kept(redis, b"a") == [2]
            assert commit(world, other, put(3, b"a", expects=2, key=b"a")) == [True]
            world.run(0.45)  # it asks again a second after it has asked
        with pytest.raises(StoreError, match="changed by others since"):
            settle(world, one, future)


# ---------------------------------------------------------------- what it keeps


def increments(world: World, redis: SimRedis, happen: Any, **options: Any) -> tuple[int, int, int, int]:
    """Count up in a record while something happens.

    Gives what was acknowledged last, what was tried last, what is there, and how often something was there of which
    nobody had heard.
    """
    store = remote(keeper(world), redis, **options)
    world.at(world.dice.branch("when").random() * 0.05, happen)
    number = acknowledged = unheard = 0
    before: int | None = None
    for _ in range(15):
        number += 1
        held = commit(world, store, put(number, b"a", expects=before, key=b"a"))
        if held == [True]:
            acknowledged = before = number
        else:
            world.run(3.0)
            [before] = numbers(world, store, b"a")
            unheard += before == number
    world.run(3.0)
    there = numbers(world, store, b"a")[0]
    return acknowledged, number, there or 0, unheard


@pytest.mark.parametrize("end", ["crash", "kill"])
@pytest.mark.parametrize("everysec", [False, True])
def test_a_server_that_ends_loses_what_its_appendfsync_says(end: str, everysec: bool) -> None:
    lost = 0
    for seed in range(40):
        with World(seed, faults="sunny") as world:
            redis = world.redis(everysec=everysec)
            store = remote(keeper(world), redis)
            for number in range(4):
                assert commit(world, store, put(number, b"old")) == [True]
            world.run(1.1)
            for number in range(4):
                assert commit(world, store, put(number, b"young", b"other")) == [True]
            getattr(redis.host, end)()
            redis.restart()
            world.run(3.0)
            old, young, other = numbers(world, store, b"old", b"young", b"other")
            assert old == 3
            assert young == other
            lost += young != 3
    assert (lost > 5) is (everysec and end == "crash")
    assert everysec or not lost


def test_what_is_acknowledged_is_kept_while_it_is_killed_and_loses_power() -> None:
    heard: Counter[bool] = Counter()
    for seed in range(60):
        with World(seed, faults="sunny") as world:
            redis = world.redis()

            def end(world: World = world, redis: SimRedis = redis, seed: int = seed) -> None:
                (redis.host.crash if seed % 2 else redis.host.kill)()
                world.after(1.0, redis.restart)

            acknowledged, tried, there, unheard = increments(world, redis, end)
            assert acknowledged <= there <= tried
            heard[not unheard] += 1
    assert heard[False] > 5
    assert heard[True] > 5


def test_a_disk_that_is_full_or_fails_refuses_writes_and_lets_reads_be() -> None:
    with World(faults="still") as world:
        redis = world.redis()
        store = remote(keeper(world), redis)
        commit(world, store, put(1, b"a"))
        redis.host.files.fill()
        with pytest.raises(StoreError, match=r"MISCONF.*No space left"):
            settle(world, store, store.commit([put(2, b"a")]))
        world.run(1.0)
        assert numbers(world, store, b"a") == [1]
        redis.host.files.heal()
        redis.host.files.fail("sync", times=1)
        with pytest.raises(StoreError, match=r"MISCONF.*Input/output error"):
            settle(world, store, store.commit([put(3, b"a")]))
        world.run(1.0)
        assert commit(world, store, put(4, b"a", expects=1, key=b"a")) == [True]
        redis.crash()
        redis.restart()
        world.run(3.0)
        assert numbers(world, store, b"a") == [4]


def test_a_sync_that_fails_between_writes_is_made_good_by_a_new_file() -> None:
    for seed in range(20):
        with World(seed, faults="sunny") as world:
            redis = world.redis(everysec=True)
            store = remote(keeper(world), redis)
            commit(world, store, put(1, b"a"))
            redis.host.files.fail("sync", times=1)
            world.run(3.0)
            redis.crash()
            redis.restart()
            world.run(3.0)
            assert numbers(world, store, b"a") == [1]


def test_a_server_whose_disk_fails_as_it_starts_answers_once_what_it_has_read_is_safe() -> None:
    with World(faults="still") as world:
        redis = world.redis()
        store = remote(keeper(world), redis)
        commit(world, store, put(1, b"a"))
        redis.host.files.fail("sync")
        redis.host.kill()
        redis.restart()
        with pytest.raises(StoreError, match="LOADING"):
            numbers(world, store, b"a")
        redis.host.files.heal()
        world.run(3.0)
        assert numbers(world, store, b"a") == [1]


def test_records_expire_by_the_clock_of_the_server_a_minute_late() -> None:
    with World(faults="still") as world:
        redis = world.redis()
        store = remote(keeper(world), redis)
        now = redis.host.clock.now()
        commit(world, store, put(1, b"a", expires=now + 10.0), put(1, b"b"))
        world.run(60.0)
        assert numbers(world, store, b"a", b"b") == [1, 1]
        redis.host.step_clock(11.0)
        assert numbers(world, store, b"a", b"b") == [None, 1]
        assert commit(world, store, put(2, b"a", expects=None, key=b"a")) == [True]


def test_a_server_without_descriptors_takes_connections_later() -> None:
    with World(faults="still") as world:
        redis = world.redis()
        redis.host.stack.starved.add(0)
        store = remote(keeper(world), redis)
        future = store.commit([put(1, b"a")])
        world.run(0.5)
        assert not future.done()
        redis.host.stack.starved.clear()
        assert settle(world, store, future) == [True]


# ---------------------------------------------------------------- who takes over


def test_what_had_a_replica_waited_for_is_never_lost() -> None:
    for seed in range(60):
        with World(seed, faults="sunny") as world:
            redis = world.redis(replica=True)
            world.run(1.0)
            lag = hold(redis.primary, redis.replica)
            dice = world.dice.branch("lag")

            def begin(world: World = world, lag: Any = lag, dice: Any = dice, end: Any = None) -> None:
                world.net.add(lag)
                world.after(dice.random() * 0.02, end)

            def end(world: World = world, redis: SimRedis = redis, lag: Any = lag, seed: int = seed) -> None:
                old = redis.primary
                if seed % 2:
                    old.crash()
                redis.failover()
                world.net.remove(lag)
                world.after(5.0, old.restart)

            acknowledged, tried, there, _ = increments(world, redis, partial(begin, end=end), replicas=1)
            assert acknowledged <= there <= tried
            assert redis.primary is redis.hosts[1]


def lagging(replicas: int) -> tuple[Any, list[int | None]]:
    """Have a replica take over that has not heard of the last write."""
    with World(faults="still") as world:
        redis = world.redis(replica=True)
        store = remote(keeper(world), redis, replicas=replicas)
        world.run(1.0)
        assert commit(world, store, put(1, b"a")) == [True]
        world.run(1.0)
        with world.net.rule(partition(redis.primary, redis.replica)):
            told = commit(world, store, put(2, b"a"))
            redis.crash()
            redis.failover()
        redis.restart()
        world.run(5.0)
        return told, numbers(world, store, b"a")


def test_an_acknowledged_write_is_lost_by_a_replica_that_lags_unless_it_is_waited_for() -> None:
    assert lagging(replicas=0) == ([True], [1])
    assert lagging(replicas=1) == ("failed", [1])


def test_an_old_primary_that_nobody_has_told_goes_on_until_it_hears_of_the_new_one() -> None:
    with World(faults="still") as world:
        redis = world.redis(replica=True)
        host = keeper(world)
        store = remote(host, redis)
        commit(world, store, put(1, b"a"))
        old, new = redis.primary, redis.replica
        world.run(1.0)
        with world.net.rule(partition(old, new)):
            redis.failover()
            assert redis.primary is new
            assert commit(world, store, put(2, b"a"), put(2, b"b")) == [True, True]  # on the connection that it has
            world.run(5.0)
        world.run(200.0)
        assert numbers(world, store, b"a", b"b") == [1, None]
        assert commit(world, store, put(3, b"a")) == [True]
        world.run(2.0)
        assert [number_of(redis._doers[old].rows.get(key)) for key in (b"a", b"b")] == [3, None]
        beside = remote(host, redis, url=f"redis://{old.name}:6379")
        with pytest.raises(StoreError, match="READONLY"):
            settle(world, beside, beside.commit([put(4, b"a")]))


def test_whoever_reaches_a_host_that_is_no_primary_any_more_looks_for_the_new_one_the_next_time() -> None:
    with World(faults="still") as world:
        redis = world.redis(replica=True)
        host = keeper(world)
        store = remote(host, redis)
        world.run(1.0)
        with world.net.rule(hold(host, redis.primary)):
            future = store.commit([put(1, b"a")])
            world.run(0.2)
            redis.failover()
            world.run(0.2)
        with pytest.raises(StoreError, match="READONLY"):
            settle(world, store, future)
        world.run(1.0)
        assert commit(world, store, put(2, b"a")) == [True]


def test_roles_may_change_again_and_again() -> None:
    for seed in range(10):
        with World(seed, faults="sunny") as world:
            redis = world.redis(replica=True)
            store = remote(keeper(world), redis, replicas=1)
            world.run(2.0)
            for number in range(6):
                assert commit(world, store, put(number, b"a")) == [True]
                redis.failover()
                world.run(4.0)
            assert numbers(world, store, b"a") == [5]
            assert redis.primary is redis.hosts[0]


def test_a_replica_that_has_taken_over_reports_to_nobody() -> None:
    with World(faults="still") as world:
        redis = world.redis(replica=True)
        world.run(1.5)
        redis.crash()
        redis.failover()
        world.run(10.0)  # and does not spin
        assert commit(world, remote(keeper(world), redis), put(1, b"a")) == [True]


def test_a_replica_that_has_lost_its_primary_follows_again_when_that_is_back() -> None:
    with World(faults="still") as world:
        redis = world.redis(replica=True)
        store = remote(keeper(world), redis, replicas=1)
        world.run(1.0)
        commit(world, store, put(1, b"a"))
        redis.crash()
        world.run(3.0)
        redis.restart()
        world.run(10.0)
        assert commit(world, store, put(2, b"a")) == [True]  # which the replica has then
        assert number_of(redis._doers[redis.replica].rows.get(b"a")) == 2


def test_no_replica_takes_over_that_is_not_there_or_has_nothing() -> None:
    with World(faults="still") as world:
        with pytest.raises(TotohioError, match="has no replica"):
            world.redis("alone").failover()
        redis = world.redis(replica=True)
        with pytest.raises(TotohioError, match="can take over now"):
            redis.failover()
        world.run(1.0)
        redis.replica.kill()
        with pytest.raises(TotohioError, match="can take over now"):
            redis.failover()
        redis.restart()
        world.run(1.0)
        redis.failover()
        assert redis.primary.name == "redis-replica"


# ---------------------------------------------------------------- the rest


def test_a_url_that_names_no_server_of_the_world_is_refused() -> None:
    with World(faults="still") as world:
        redis = world.redis()
        assert redis.url == "redis://redis:6379"
        assert world.redis("second", replica=True).url == "redis+sentinel://second:26379/second"
        host = keeper(world)
        for url in ("redis://other:6379", "redis+sentinel://other/redis"):
            with pytest.raises(SettingsError, match="no Redis other in this world"):
                remote(host, redis, url=url)


def one_history(seed: int) -> list[object]:
    with World(seed, faults="radioactive") as world:
        redis = world.redis(replica=True)
        host: Host = keeper(world)
        host.fallible = False
        store = remote(host, redis)
        for number in range(60):
            commit(world, store, put(number, b"a"), put(number, b"b"))
            world.run(0.1)
        world.sometimes("something", bool(world.plan.fired))
        return list(world.trace.entries)


def test_the_same_seed_gives_the_same_history_and_another_one_another() -> None:
    assert one_history(5) == one_history(5)
    assert one_history(5) != one_history(6)


def test_frames_are_found_whatever_pieces_they_come_in() -> None:
    sent = [["get", [b"a", b"b"]], ["ok", [None, value(3)]], ["wait", 1, 500]]
    data = b"".join(map(frame, sent))
    for cut in range(len(data) + 1):
        received = bytearray()
        found = []
        for piece in (data[:cut], data[cut:]):
            received += piece
            found += frames(received)
        assert found == sent
        assert not received
