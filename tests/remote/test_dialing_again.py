"""A client that does not wait and connects again: when it does, how often, and what becomes of what it was asked."""

import itertools
from typing import Any

import pytest

from tests.remote.support import PASSWORD, PORT, Dialer, empty, enrol, grant, house_of, lending
from totohio import TotoException
from totohio.base.errors import ERROR_USER_ID_EXISTS
from totohio.remote import DisconnectedError
from totohio.remote.retrying import FIRST_PAUSE, LAST_PAUSE, STEADY
from totohio.remote.tunnelling import NotLendingError
from totohio.sim import World, partition, refuse, sim
from totohio.sim.hosting import Host
from totohio.sim.worlding import Script

TROUBLE = (OSError, TotoException)


def surviving(world: World, **options: Any) -> Host:
    """Start a server that has its accounts on a disk."""
    server = lending(world, database="lmdb", **options)
    enrol(world, server)
    return server


def enrolling(client: Any) -> Script:
    """Make an account, however often that takes."""
    while True:
        try:
            return (yield client.call("account.create", {"user_id": "ada", "password": PASSWORD}))
        except OSError:
            yield 0.5
        except TotoException as error:
            if error.code == ERROR_USER_ID_EXISTS:
                return None
            yield 0.5


def tries(world: World, host: Host) -> list[float]:
    """Give the tymes at which a host has begun a connection."""
    return [tyme for tyme, where, kind, *_ in world.trace.entries if (where, kind) == (host.name, "connect")]


def cycles(dialer: Dialer) -> list[float]:
    """Give the tymes of the cycles that a client has from now on."""
    seen: list[float] = []
    recur = dialer.doer.recur

    def counted(tyme: float) -> bool:
        seen.append(tyme)
        return recur(tyme)

    dialer.doer.recur = counted  # type: ignore[method-assign]
    return seen


# ---------------------------------------------------------------- a session after another


@sim(seeds=10, faults="sunny")
def test_a_server_that_is_killed_and_started_again_has_its_client_back(world: World) -> None:
    server = surviving(world)
    dialer = Dialer(world, server, reconnect=True)
    doer = dialer.doer

    def script() -> Script:
        yield doer.ready
        cat = yield doer.remote.Cat("felix")
        first, nap = doer.ready, doer.remote.nap(1000)
        yield 1.0
        server.kill()
        with pytest.raises(DisconnectedError, match="ended before the answer"):
            yield nap
        assert doer.user_id is None
        assert doer.ready is not first
        assert not doer.ready.done()
        with pytest.raises(DisconnectedError, match="no session with totohio://server:8890"):
            doer.remote.add(1, 2)
        for use in (cat.greet, lambda: doer.operate(cat, "len"), lambda: doer.assign(cat, "mood", "bad")):
            with pytest.raises(DisconnectedError, match="the session that it belongs to is over"):
                use()
        yield 1.0
        server.start()
        yield doer.ready
        assert doer.user_id == "ada"
        assert (yield doer.remote.math.sqrt(4)) == 2.0
        tom = yield doer.remote.Cat("tom")  # which has the number that felix had
        assert tom._number == cat._number
        with pytest.raises(DisconnectedError, match="the session that it belongs to is over"):
            cat.greet()
        with pytest.raises(DisconnectedError, match="the session that it belongs to is over"):
            doer.remote.echo(cat)
        cat = None  # and the server is not told to let go of tom
        assert (yield doer.remote.add(1, 2)) == 3
        return (yield tom.greet())

    assert dialer.run(script()) == "tom greets you"
    assert len(house_of(server).sessions) == 1
    dialer.host.kill()
    world.run(1.0)
    assert empty(server)


@sim(seeds=5, faults="sunny")
def test_without_being_told_to_it_opens_one_session(world: World) -> None:
    server = surviving(world)
    dialer = Dialer(world, server)

    def script() -> Script:
        yield dialer.doer.ready
        first = dialer.doer.ready
        server.kill()
        yield 1.0
        server.start()
        yield 100.0
        assert dialer.doer.ready is first
        with pytest.raises(DisconnectedError, match="no session with"):
            dialer.doer.remote.add(1, 2)

    dialer.run(script())
    assert len(tries(world, dialer.host)) == 1


@sim(seeds=5, faults="sunny")
def test_a_server_that_refuses_at_first_is_reached_when_it_is_there(world: World) -> None:
    server = surviving(world)
    server.kill()
    dialer = Dialer(world, server, reconnect=True)
    world.run(60.0)
    ready = dialer.doer.ready
    assert not ready.done()
    assert len(tries(world, dialer.host)) > 3
    server.start()

    def script() -> Script:
        yield dialer.doer.ready
        return (yield dialer.doer.remote.add(1, 2))

    assert dialer.run(script()) == 3
    assert dialer.doer.ready is ready


@sim(seeds=5, faults="sunny")
def test_too_many_sessions_are_no_reason_to_give_up(world: World) -> None:
    server = surviving(world, remote_max_sessions=1)
    first = Dialer(world, server, name="first")
    world.run_until(first.doer.ready.done, 10.0)
    second = Dialer(world, server, name="second", reconnect=True)
    world.run(5.0)
    assert not second.doer.ready.done()
    first.host.kill()
    world.run_until(second.doer.ready.done, LAST_PAUSE * 2)
    assert second.doer.user_id == "ada"


@sim(seeds=5, faults="sunny")
def test_a_server_that_has_gone_silent_is_left_and_found_again(world: World) -> None:
    server = surviving(world, remote_lease=20.0)
    dialer = Dialer(world, server, reconnect=True)
    world.run_until(dialer.doer.ready.done, 10.0)
    with world.net.rule(partition(dialer.host, server)):
        world.run(120.0)
        assert not dialer.doer.ready.done()
    world.run_until(dialer.doer.ready.done, LAST_PAUSE * 2)
    world.run(30.0)
    assert len(house_of(server).sessions) == 1


@sim(seeds=2, faults="sunny")
def test_a_session_that_garbage_ends_is_followed_by_another(world: World) -> None:
    server = surviving(world)
    dialer = Dialer(world, server, reconnect=True)

    def script() -> Script:
        yield dialer.doer.ready
        [session] = house_of(server).sessions
        nap = dialer.doer.remote.nap(1000)
        assert server.process is not None
        server.process.do(session._carrier.send, b"\xc1")
        with pytest.raises(DisconnectedError, match="message"):
            yield nap
        yield dialer.doer.ready
        return (yield dialer.doer.remote.add(1, 2))

    assert dialer.run(script()) == 3


@sim(seeds=5, faults="sunny")
def test_a_session_by_key_is_followed_by_another_until_it_is_over(world: World) -> None:
    server = surviving(world, hmac_enabled=True)
    session = world.call(server, "account.login", {"user_id": "ada", "password": PASSWORD})
    known = {"session_id": session["session_id"], "session_key": session["key"]}
    dialer = Dialer(world, server, reconnect=True, **known)
    doer = dialer.doer

    def script() -> Script:
        for _ in range(2):
            yield doer.ready
            assert (yield doer.remote.add(1, 2)) == 3
            server.kill()
            yield 1.0
            server.start()
        yield doer.ready
        server.step_clock(10 * 365 * 86400.0)  # the session has expired when it is asked for again
        server.kill()
        yield 1.0
        server.start()
        with pytest.raises(TotoException, match="1004"):
            yield doer.ready

    dialer.run(script())
    before = len(tries(world, dialer.host))
    world.run(300.0)
    assert len(tries(world, dialer.host)) == before


@sim(seeds=12, faults="radioactive")
def test_a_script_gets_all_done_whatever_breaks_on_the_way(world: World) -> None:
    server = lending(world, database="lmdb", remote_lease=20.0)
    enrolled = world.spawn(enrolling(world.client(server)))
    world.run_until(enrolled.done, 600.0)
    dialer = Dialer(world, server, reconnect=True)
    doer, dice = dialer.doer, world.dice.branch("work")
    losses = 0

    def script() -> Script:
        nonlocal losses
        done = 0
        while done < 30:
            try:
                yield doer.ready
                yield dice.between(0.0, 1.0)
                assert (yield doer.remote.apply(lambda n: n + 1, done)) == done + 1
                done += 1
            except TROUBLE:
                losses += 1
        return done

    found = dialer.spawn(script())
    world.run(60.0)
    world.heal()
    world.run_until(lambda: found, within=200.0)
    assert found == [30]
    world.sometimes("a session is lost on the way", losses)
    assert len([session for session in house_of(server).sessions if session.user_id]) <= 2  # one, and one unnoticed


# ---------------------------------------------------------------- what ends it for good


@pytest.mark.parametrize(
    ("who", "code"), [({"password": "wrong"}, 1005), ({"user_id": "nobody"}, 1005), ({"user_id": "grace"}, 1016)]
)
@sim(seeds=2, faults="sunny")
def test_who_is_not_let_in_asks_once(world: World, who: dict[str, Any], code: int) -> None:
    server = lending(world, remote_role="lender")
    enrol(world, server, "ada", "grace")
    grant(world, server, "lender")
    dialer = Dialer(world, server, reconnect=True, **who)

    def script() -> Script:
        with pytest.raises(TotoException) as caught:
            yield dialer.doer.ready
        assert caught.value.code == code
        with pytest.raises(DisconnectedError, match=f"no session with .*{code}"):
            dialer.doer.remote.add(1, 2)

    dialer.run(script())
    world.run(600.0)
    assert len(tries(world, dialer.host)) == 1


@sim(seeds=2, faults="sunny")
def test_a_role_that_is_taken_away_ends_it_with_the_next_try(world: World) -> None:
    server = surviving(world, remote_role="lender")
    grant(world, server, "lender")
    dialer = Dialer(world, server, reconnect=True)
    world.run_until(dialer.doer.ready.done, 10.0)
    grant(world, server)
    server.kill()
    server.start()

    def script() -> Script:
        with pytest.raises(TotoException, match="1016"):
            yield dialer.doer.ready

    world.run(0.01)
    dialer.run(script())
    world.run(600.0)
    assert len(tries(world, dialer.host)) == 2


@sim(seeds=2, faults="sunny")
def test_somebody_who_speaks_something_else_is_asked_once(world: World) -> None:
    server = lending(world)
    enrol(world, server)
    dialer = Dialer(world, server, address=(server.name, server.port), reconnect=True)  # where HTTP is spoken

    def script() -> Script:
        with pytest.raises(NotLendingError, match="HTTP is spoken there"):
            yield dialer.doer.ready

    dialer.run(script())
    world.run(600.0)
    assert len(tries(world, dialer.host)) == 1


# ---------------------------------------------------------------- how often


@sim(seeds=5, faults="still")
def test_it_tries_less_and_less_often_and_costs_nothing_between(world: World) -> None:
    server = lending(world)
    with world.net.rule(refuse(None, server)):
        dialer = Dialer(world, server, address=("10.0.0.1", PORT), reconnect=True)
        seen = cycles(dialer)
        world.run(600.0)
    tymes = tries(world, dialer.host)
    gaps = [later - sooner for sooner, later in itertools.pairwise(tymes)]
    expected = [min(LAST_PAUSE, FIRST_PAUSE * 2.0**number) for number in range(len(gaps))]
    assert all(most / 2 <= gap <= most + 0.01 for gap, most in zip(gaps, expected, strict=True))
    assert len(set(gaps[10:])) > 5  # chance is in them
    assert 600.0 / LAST_PAUSE <= len(tymes) <= 50
    assert len(seen) <= 4 * len(tymes)


@sim(seeds=5, faults="sunny")
def test_sessions_that_do_not_last_are_not_tried_for_more_and_more_often(world: World) -> None:
    server = surviving(world)
    dialer = Dialer(world, server, reconnect=True)

    def script() -> Script:
        pauses = []
        for number in range(10):
            yield dialer.doer.ready
            began = world.tyme
            if number == 9:
                yield STEADY + 1.0  # this one has lasted
                began = world.tyme
            for session in list(house_of(server).sessions):
                session.end(OSError("enough"))
            while dialer.doer.user_id is not None:
                yield 0.001
            yield dialer.doer.ready
            pauses.append(world.tyme - began)
        return pauses

    *pauses, last = dialer.run(script())
    assert pauses[-1] >= LAST_PAUSE / 4
    assert last < 1.0


# ---------------------------------------------------------------- the end


@sim(seeds=20, faults="sunny")
def test_a_doer_that_ends_at_any_moment_leaves_nothing(world: World) -> None:
    server = surviving(world)
    if world.dice.branch("dead").chance(0.5):
        server.kill()
    dialer = Dialer(world, server, reconnect=True)
    doer, process = dialer.doer, dialer.host.process
    assert process is not None
    dice = world.dice.branch("moment")
    world.run(dice.between(0.0, dice.pick((0.01, 3.0))))
    waiting = doer._visit is None
    world.sometimes("it waits for the next try", waiting)
    world.sometimes("it comes", doer._visit is not None and doer.user_id is None)
    world.sometimes("it has a session", doer.user_id is not None)

    def script() -> Script:
        yield doer.ready
        yield 1e6

    spawned: list[Any] = []
    process.do(lambda: spawned.append(doer.spawn(script())))
    ready = doer.ready
    process.do(doer.exit)
    process.do(doer.exit)
    assert spawned[0].cancelled()
    assert ready.done()
    assert doer.poller._watched == {}
    if not server.running:
        server.start()
    before = len(tries(world, dialer.host))
    world.run(300.0)
    assert len(tries(world, dialer.host)) == before
    assert empty(server)
    with pytest.raises(DisconnectedError, match="the client ends"):
        doer.remote.add(1, 2)
