"""What a session may do follows the account: who is removed, logged out or less than before does not stay for long."""

import base64
from pathlib import Path

import pytest

from tests.remote.reviewed import MOMENT, PERIOD, begin, lasts, logged_in, manage, use
from tests.remote.support import Dialer, grant, house_of, serving
from totohio import TotoException
from totohio.core.lending import ForbiddenError
from totohio.remote import DisconnectedError
from totohio.sim import World, sim
from totohio.sim.worlding import Script

# ---------------------------------------------------------------- who may not stay


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("remove", "the account is gone"),
        ("renew", "the password was changed"),
        ("password", "the password was changed"),
        ("clear", "all sessions of the user were ended"),
        ("demote", "Missing role: lender"),
        ("factor", "An account with one-time codes comes in with its HTTP session."),
    ],
)
@sim(seeds=2, faults="sunny")
def test_a_session_ends_when_its_user_would_not_be_let_in_any_more(world: World, what: str, why: str) -> None:
    server = begin(world, remote_role="lender", remote_timeout=0)
    for user_id in ("ada", "grace"):
        world.call(server, "grant", {"user_id": user_id, "roles": ["lender"]})
    ada, grace = Dialer(world, server), Dialer(world, server, name="other", user_id="grace")
    assert [use(ada), use(grace)] == [3, 3]
    nap = ada.spawn(waiting(ada))
    world.run(world.dice.between(0.0, 3 * PERIOD))
    assert not nap
    manage(world, server, what)
    assert lasts(world, ada, PERIOD + MOMENT) <= PERIOD + MOMENT
    [error] = nap
    assert str(error).endswith(f"the server has ended the session: {why}")
    world.run(2 * PERIOD)
    assert use(grace) == 3
    assert [session.user_id for session in house_of(server).sessions] == ["grace"]


def waiting(dialer: Dialer) -> Script:
    """Wait for a call that takes longer than the session lasts."""
    yield dialer.doer.ready
    return (yield dialer.doer.remote.nap(50 * PERIOD))


@sim(seeds=2, faults="sunny")
def test_a_session_by_an_http_session_ends_with_that_one_and_no_other(world: World) -> None:
    server = begin(world, hmac_enabled=True)
    known = [logged_in(world, server) for _ in range(3)]
    one, two, three = (Dialer(world, server, name=f"by-{number}", **each) for number, each in enumerate(known))
    password = Dialer(world, server, name="by-password")
    everybody = (one, two, three, password)
    assert [use(each) for each in everybody] == [3] * 4
    manage(world, server, "logout", session_id=known[0]["session_id"])
    world.run(PERIOD + MOMENT)
    assert [each.doer.user_id for each in everybody] == [None, "ada", "ada", "ada"]
    assert "the session over HTTP has ended" in one.doer._why
    manage(world, server, "others", session_id=known[1]["session_id"])
    world.run(PERIOD + MOMENT)
    assert [each.doer.user_id for each in everybody] == [None, "ada", None, None]
    manage(world, server, "password")
    assert lasts(world, two, PERIOD + MOMENT) <= PERIOD + MOMENT


@sim(seeds=2, faults="sunny")
def test_a_review_does_not_keep_an_http_session_alive(world: World) -> None:
    server = begin(world, hmac_enabled=True, session_ttl=300.0, session_renew_granularity=0.0, remote_review=10.0)
    used, unused = logged_in(world, server), logged_in(world, server)
    one = Dialer(world, server, name="one", **unused)
    other = Dialer(world, server, name="other")
    assert [use(one), use(other)] == [3, 3]
    began = world.tyme
    world.run(250.0)
    assert use(one) == 3  # nor does it end it too early, or does a call that is lent keep it
    world.run_until(lambda: one.doer.user_id is None, within=100.0)
    assert 299.0 <= world.tyme - began <= 312.0
    assert use(other) == 3
    assert used != unused


@sim(seeds=1, faults="sunny")
def test_a_session_by_an_http_session_that_its_client_holds_ends_when_that_is_logged_out(world: World) -> None:
    server = begin(world, hmac_enabled=True, session_keys=base64.b64encode(bytes(32)).decode())
    known = [logged_in(world, server) for _ in range(2)]
    one, two = (Dialer(world, server, name=f"by-{number}", **each) for number, each in enumerate(known))
    assert [use(one), use(two)] == [3, 3]
    manage(world, server, "logout", session_id=known[0]["session_id"])
    world.run(PERIOD + MOMENT)
    assert [one.doer.user_id, use(two)] == [None, 3]
    manage(world, server, "clear")
    assert lasts(world, two, PERIOD + MOMENT) <= PERIOD + MOMENT


@sim(seeds=1, faults="sunny")
def test_with_no_period_nobody_is_looked_at_again(world: World) -> None:
    server = begin(world, remote_review=0)
    ada = Dialer(world, server)
    assert use(ada) == 3
    manage(world, server, "remove")
    world.run(10 * PERIOD)
    assert use(ada) == 3


def test_who_has_come_in_does_not_become_somebody_else_by_a_proof_that_was_slower() -> None:
    with World(0, faults="still") as world:
        server = begin(world)
        ada = Dialer(world, server)
        assert use(ada) == 3
        [session] = house_of(server).sessions
        gate = house_of(server).gate
        account = gate._keeper.accounts.find(gate._keeper.unit(), "grace")
        with pytest.raises(TotoException, match="Not authorized"):
            gate._admit(session, account, "")
        manage(world, server, "remove", "grace")
        world.run(2 * PERIOD)
        assert use(ada) == 3


# ---------------------------------------------------------------- what a session may do


@sim(seeds=2, faults="sunny")
def test_a_session_has_the_roles_that_its_user_has_now(world: World) -> None:
    server = begin(world, remote_exec=True)
    ada = Dialer(world, server)
    assert use(ada) == 3

    def codes() -> Script:
        found = []
        for ask in (ada.doer.remote.shut, lambda: ada.doer.perform("do", None, ["x = 1"])):
            try:
                found.append((yield ask()))
            except TotoException as error:
                found.append(error.code)
            except ForbiddenError:
                found.append("forbidden")
        return found

    refused = [1016, "forbidden"]
    assert ada.run(codes()) == refused
    grant(world, server, "admin")
    world.run(PERIOD + MOMENT)
    assert ada.run(codes()) == ["shut", None]
    grant(world, server)
    world.run(PERIOD + MOMENT)
    assert ada.run(codes()) == refused


# ---------------------------------------------------------------- over real sockets


@pytest.mark.parametrize("way", ["totohio", "ws"])
def test_a_client_that_waits_is_told_why_its_session_was_ended(tmp_path: Path, way: str) -> None:
    with serving(tmp_path, remote_role="lender", remote_path="/lend", remote_timeout=0) as site:
        site.call("grant", {"user_id": "ada", "roles": ["lender"]})
        host, port = site.server.address
        url = site.url if way == "totohio" else f"ws://{host}:{port}/lend"
        with site.connect(url=url) as idle, site.connect(url=url) as busy:
            assert idle.add(1, 2) == 3
            nap = busy.later(busy.nap)(50 * PERIOD)
            site.advance(PERIOD + 0.1)
            assert idle.add(1, 2) == 3
            site.call("grant", {"user_id": "ada", "roles": []})
            site.advance(PERIOD + 0.1)
            site.until(lambda: not site.house.sessions, "both are ended")
            for use in (lambda: idle.add(1, 2), nap.result, lambda: busy.add(1, 2)):
                with pytest.raises(DisconnectedError, match="the server has ended the session: Missing role: lender"):
                    use()


def test_what_the_server_has_said_last_is_read_by_a_client_that_cannot_send_any_more(tmp_path: Path) -> None:
    with serving(tmp_path, remote_lease=30.0) as site, site.connect() as remote:
        assert remote.add(1, 2) == 3
        site.advance(30.1)
        site.until(lambda: not site.house.sessions, "it is ended")
        remote._carrier._sock.shutdown(1)  # for writing
        with pytest.raises(DisconnectedError, match="nothing was heard of it for too long"):
            remote.add(1, 2)
