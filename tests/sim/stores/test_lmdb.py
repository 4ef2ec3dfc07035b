"""The simulated LMDB: what it keeps through crashes and broken disks, and that it loses nothing else."""

from collections import Counter

import pytest

from tests.sim.keepers import commit, keeper, lmdb, number_of, numbers, put, settle, told, value
from totohio.core.ports import StoreError, Transaction
from totohio.sim import World
from totohio.sim.hosting import Host


def ended_at_random(seed: int, end: str, *, lazy: bool = False) -> tuple[int, int, int]:
    """Commit groups one after the other until the host ends in the middle of it.

    Gives the number that was acknowledged last, the one that was asked for last, and the one that is there.
    """
    with World(seed, faults="sunny") as world:
        host = keeper(world)
        store = lmdb(host)
        asked = acknowledged = 0
        world.at(world.dice.branch("end").random() * 0.02, getattr(host, end))
        while host.running:
            asked += 1
            # Two records in two transactions: a group is all of it.
            group = [put(asked, b"a", lazy=lazy), put(asked, b"b" * 40, b"c" * 40, lazy=lazy)]
            future = store.commit(group)
            world.run_until(lambda future=future: future.done() or not host.running, within=10.0)  # type: ignore[misc]
            if future.done():
                acknowledged = asked
        host.restart()
        store = lmdb(host)
        one, two, three = numbers(world, store, b"a", b"b" * 40, b"c" * 40)
        assert one == two == three, "a group is there in part"
        assert commit(world, store, put(1000, b"a", expects=one, key=b"a")) == [True], "it does not go on"
        return acknowledged, asked, one or 0


@pytest.mark.parametrize("end", ["crash", "kill"])
def test_a_host_that_ends_in_the_middle_keeps_what_was_acknowledged_and_no_part_of_a_group(end: str) -> None:
    kept: Counter[str] = Counter()
    for seed in range(150):
        acknowledged, asked, there = ended_at_random(seed, end)
        assert acknowledged <= there <= asked
        assert asked - acknowledged <= 1
        kept["kept" if there > acknowledged else "lost"] += 1
    assert kept["kept"] > 10
    assert kept["lost"] > 10


def test_lazy_groups_may_be_lost_with_the_power_from_some_group_on_and_never_with_the_process() -> None:
    losses = [
        acknowledged - there for acknowledged, _, there in (ended_at_random(s, "crash", lazy=True) for s in range(60))
    ]
    assert max(losses) > 1
    assert all(
        there >= acknowledged for acknowledged, _, there in (ended_at_random(s, "kill", lazy=True) for s in range(60))
    )


def test_a_lazy_group_is_safe_once_a_later_one_is() -> None:
    for seed in range(30):
        with World(seed, faults="sunny") as world:
            host = keeper(world)
            store = lmdb(host)
            assert commit(world, store, put(1, b"a", lazy=True)) == [True]
            assert commit(world, store, put(2, b"b")) == [True]
            host.crash()
            host.restart()
            assert numbers(world, lmdb(host), b"a", b"b") == [1, 2]


def test_readers_see_what_is_committed_and_nothing_before() -> None:
    with World(faults="still") as world:
        world.takes("lmdb", 1.0)
        store = lmdb(keeper(world))
        commit(world, store, put(1, b"a"))
        seen: list[int | None] = []
        future = store.commit([put(2, b"a")])
        while not future.done():
            seen.append(number_of(store.read(b"a")))
            world.run(0.01)
        assert world.tyme == pytest.approx(2.0, abs=0.02)
        assert number_of(store.read(b"a")) == 2
        assert seen[0] == 1
        assert sorted(seen, key=lambda number: number or 0) == seen


def test_two_servers_of_a_process_share_it_and_commit_one_after_the_other() -> None:
    for seed in range(30):
        with World(seed, faults="sunny") as world:
            host = keeper(world)
            stores = [lmdb(host), lmdb(host)]
            # Both want to be the next after the same record, and one of them comes second.
            results = [
                store.commit([put(10 + each, b"a", expects=None, key=b"a")]) for each, store in enumerate(stores)
            ]
            held = [settle(world, store, result) for store, result in zip(stores, results, strict=True)]
            assert sorted(held) == [[False], [True]]
            winner = held.index([True])
            assert [numbers(world, store, b"a") for store in stores] == [[10 + winner]] * 2


def test_databases_in_other_folders_and_on_other_hosts_are_others() -> None:
    with World(faults="still") as world:
        one, other = keeper(world, "one"), keeper(world, "other")
        commit(world, lmdb(one, "/data/first"), put(1, b"a"))
        assert numbers(world, lmdb(one, "/data/first"), b"a") == [1]
        assert numbers(world, lmdb(one, "/data/second"), b"a") == [None]
        assert numbers(world, lmdb(other, "/data/first"), b"a") == [None]


# ---------------------------------------------------------------- disks that fail


def test_a_full_disk_refuses_what_is_written_until_there_is_room() -> None:
    with World(faults="still") as world:
        host = keeper(world)
        store = lmdb(host)
        assert commit(world, store, put(1, b"a")) == [True]
        host.files.fill(10)
        with pytest.raises(StoreError, match="No space left"):
            settle(world, store, store.commit([put(2, b"a")]))
        assert numbers(world, store, b"a") == [1]
        host.files.heal()
        assert commit(world, store, put(3, b"a", expects=1, key=b"a")) == [True]


@pytest.mark.parametrize("operation", ["write", "sync"])
def test_what_is_acknowledged_after_a_failure_of_the_disk_is_safe(operation: str) -> None:
    """Linux may say yes to the second sync though it has thrown away what the first was about."""
    for seed in range(60):
        with World(seed, faults="sunny") as world:
            host = keeper(world)
            store = lmdb(host)
            assert commit(world, store, put(1, b"a")) == [True]
            failure = host.files.fail(operation, times=1 + seed % 3)
            failed = 0
            while commit(world, store, put(2 + failed, b"a", b"b")) == "failed":
                failed += 1
            assert failed == 1 + seed % 3
            assert failure.times == 0
            assert commit(world, store, put(100, b"c")) == [True]
            for end in ("kill", "crash"):
                getattr(host, end)()
                host.restart()
                store = lmdb(host)
                assert numbers(world, store, b"a", b"b", b"c") == [2 + failed, 2 + failed, 100]


def test_a_group_whose_sync_failed_is_there_after_a_crash_or_not() -> None:
    there: Counter[int | None] = Counter()
    for seed in range(40):
        with World(seed, faults="sunny") as world:
            host = keeper(world)
            store = lmdb(host)
            commit(world, store, put(1, b"a"))
            host.files.fail("sync")
            assert commit(world, store, put(2, b"a")) == "failed"
            assert numbers(world, store, b"a") == [1]
            host.crash()
            host.files.heal()
            host.restart()
            there.update(numbers(world, lmdb(host), b"a"))
    assert set(there) == {1, 2}


def test_what_a_process_that_was_killed_has_left_is_safe_before_it_is_read() -> None:
    """Or a client is told of what the next power cut takes back."""
    seen: Counter[int | None] = Counter()
    for seed in range(40):
        with World(seed, faults="sunny") as world:
            host = keeper(world)
            store = lmdb(host)
            commit(world, store, put(1, b"a"))
            host.files.fail("sync", times=1)
            assert commit(world, store, put(2, b"a")) == "failed"
            host.kill()
            host.restart()
            found = numbers(world, lmdb(host), b"a")
            host.crash()
            host.restart()
            assert numbers(world, lmdb(host), b"a") == found
            seen.update(found)
    assert set(seen) == {2}


def test_a_database_can_be_opened_on_a_full_disk() -> None:
    with World(faults="still") as world:
        host = keeper(world)
        commit(world, lmdb(host), put(1, b"a"))
        host.files.fill()
        host.crash()
        host.restart()
        store = lmdb(host)
        assert numbers(world, store, b"a") == [1]
        assert commit(world, store, put(2, b"a")) == "failed"


def test_a_disk_that_cannot_be_read_fails_to_open_and_to_read() -> None:
    with World(faults="still") as world:
        host = keeper(world)
        store = lmdb(host)
        commit(world, store, put(1, b"a"))
        host.files.fail("read")
        with pytest.raises(StoreError, match="cannot be read"):
            store.read(b"a")
        assert isinstance(store.load([b"a"]).exception(), StoreError)
        host.kill()
        host.restart()
        with pytest.raises(StoreError, match="cannot be opened"):
            lmdb(host)
        host.files.heal()
        assert numbers(world, lmdb(host), b"a") == [1]


def test_it_grows_no_larger_than_it_may() -> None:
    with World(faults="still") as world:
        store = lmdb(keeper(world), max_size=100)
        assert commit(world, store, put(1, b"a")) == [True]
        assert commit(world, store, put(2, b"a", b"b" * 60, b"c" * 60)) == "failed"
        assert commit(world, store, put(3, b"a")) == [True]
        assert numbers(world, store, b"a", b"b" * 60) == [3, None]


def test_a_long_history_takes_no_more_room_than_a_few_times_what_is_there() -> None:
    with World(faults="still") as world:
        host = keeper(world)
        store = lmdb(host)
        large = value(7) + bytes(20_000)
        for number in range(400):
            commit(
                world, store, Transaction((), (put(number, b"a").writes[0], type(put(1, b"x").writes[0])(b"b", large)))
            )
        assert host.files.used < 3_000_000
        host.crash()
        host.restart()
        assert numbers(world, lmdb(host), b"a") == [399]


def test_a_slow_disk_holds_up_commits_alone() -> None:
    with World(faults="still") as world:
        host = keeper(world)
        store = lmdb(host)
        commit(world, store, put(1, b"a"))
        host.files.slow[0] = 1.5
        future = store.commit([put(2, b"a")])
        world.run(1.0)
        assert not future.done()
        assert numbers(world, store, b"a") == [1]
        world.run(0.6)
        assert future.result() == [True]


# ---------------------------------------------------------------- its life


def test_a_store_that_is_closed_refuses_and_what_it_had_begun_is_done() -> None:
    with World(faults="still") as world:
        world.takes("lmdb", 1.0)
        host = keeper(world)
        store = lmdb(host)
        begun, waiting = store.commit([put(1, b"a")]), store.commit([put(2, b"a")])
        world.run(0.1)
        store.close()
        assert isinstance(waiting.exception(), StoreError)
        assert isinstance(store.commit([put(3, b"a")]).exception(), StoreError)
        with pytest.raises(StoreError):
            store.read(b"a")
        world.run(2.0)
        assert begun.result() == [True]
        assert numbers(world, lmdb(host), b"a") == [1]


def test_a_host_that_stands_still_commits_later() -> None:
    with World(faults="still") as world:
        world.takes("lmdb", 0.5)
        host = keeper(world)
        store = lmdb(host)
        future = store.commit([put(1, b"a")])
        world.run(0.1)
        host.pause(5.0)
        world.run(4.0)
        assert not future.done()
        world.run(2.0)
        assert future.result() == [True]


def one_history(seed: int) -> list[object]:
    with World(seed, faults="radioactive") as world:
        host: Host = keeper(world)
        for number in range(40):
            if host.running:
                store = lmdb(host)
                commit(world, store, put(number, b"a", b"b"))
        return [entry for entry in world.trace.entries if entry[2] != "check"]


def test_the_same_seed_gives_the_same_history_and_another_one_another() -> None:
    assert one_history(5) == one_history(5)
    assert one_history(5) != one_history(6)


def test_drawn_faults_of_disks_strike_with_commits() -> None:
    kinds: Counter[str] = Counter()
    for seed in range(20):
        with World(seed, faults="radioactive") as world:
            host = keeper(world)
            assert len(world.plan.drawn) == world.profile.most  # as in a world without a database
            before = list(world.plan.drawn)
            store = lmdb(host)
            for number in range(60):
                commit(world, store, put(number, b"a"))
            assert world.plan.drawn[: len(before)] == before
            kinds.update(fault.kind for fault in world.plan.fired)
            assert len(told(world, "fault")) == len(world.plan.fired)
            first = world.plan.fired[0]
            assert first.index >= world.profile.most
            assert first.hit == "server"
            assert str(first).startswith(f"fault {first.index}: {first.kind} server for ")
        with World(seed, faults="radioactive", without=[first.index]) as world:
            store = lmdb(keeper(world))
            for number in range(60):
                commit(world, store, put(number, b"a"))
            assert first.index not in [fault.index for fault in world.plan.fired]
            assert world.plan.fired
    assert set(kinds) == {"store_slow", "store_full", "store_error"}


def test_healing_a_world_ends_what_its_disks_suffer_from() -> None:
    with World(2, faults="radioactive") as world:
        host = keeper(world)
        store = lmdb(host)
        number = 0
        while not {"store_full", "store_error"} & {fault.kind for fault in world.plan.fired}:
            number += 1
            commit(world, store, put(number, b"a"))
        world.heal()
        fired = len(world.plan.fired)
        for number in range(1000, 1200):
            assert commit(world, store, put(number, b"a")) == [True]
        assert len(world.plan.fired) == fired
