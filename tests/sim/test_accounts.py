"""Accounts while hosts crash and stores fail: what ended stays ended, and what belongs together happens together."""

from typing import Any

import pytest

from tests.sim.users import METHODS, PLACES, TROUBLE, certain, outcome, serve, together
from totohio import TotoException
from totohio.sim import Client, World, sim
from totohio.sim.worlding import Script

DEAD, CONFLICT = 1004, 1017

BOTH = """
from totohio import authenticated

@authenticated
def invoke(handler, parameters):
    account, session = handler.session.get_account(), handler.session
    return [account["n"], session["n"]]
"""
ACCOUNT = """
from totohio import authenticated

@authenticated
def invoke(handler, parameters):
    account = handler.session.get_account()
    account["n"] = parameters["n"]
    account.save()
"""
SESSION = """
from totohio import authenticated

@authenticated
def invoke(handler, parameters):
    handler.session["n"] = parameters["n"]
    handler.session.save()
"""

everywhere = pytest.mark.parametrize("place", PLACES)


def enrolled(client: Client, user_id: str, password: str) -> Script:
    """Have an account and a session, whatever it takes; give the session's id."""
    user = {"user_id": user_id, "password": password}
    for _ in range(50):
        result = yield from certain(client, "account.create", user)
        if outcome(result) == 1006:  # an earlier try was carried out, and nobody heard of it
            result = yield from certain(client, "account.login", user)
        if isinstance(result, dict):
            return result["session_id"]
        assert result.code in (1006, CONFLICT), result
    raise AssertionError("there is no account")


def lives(client: Client, session_id: str) -> Script:
    """Tell whether a session is one."""
    before, client.session_id = client.session_id, session_id
    result = yield from certain(client, "who")
    client.session_id = before
    assert outcome(result) in ("ada", "grace", DEAD), result
    return outcome(result) != DEAD


def struck(world: World) -> None:
    """Note what has happened to the hosts."""
    kinds = {fault.kind for fault in world.plan.fired}
    world.sometimes("power fails", "crash" in kinds)
    world.sometimes("a process is killed", "kill" in kinds)


@everywhere
@sim(seeds=40, faults="radioactive")
def test_a_session_that_ended_never_comes_back_and_one_that_did_not_stays(world: World, place: str) -> None:
    servers = serve(world, place)

    def script(client: Client, user_id: str) -> Script:
        open_ids = [(yield from enrolled(client, user_id, "password"))]
        ended: list[str] = []
        for _ in range(3):
            login = yield from certain(client, "account.login", {"user_id": user_id, "password": "password"})
            if isinstance(login, dict):
                open_ids.append(login["session_id"])
            if len(open_ids) > 1:
                client.session_id = gone = open_ids.pop(0)
                result = yield from certain(client, "account.logout")
                if outcome(result) == CONFLICT:
                    open_ids.append(gone)
                else:
                    assert result == {"authenticated": False} or outcome(result) == DEAD, result
                    ended.append(gone)
            for session_id in ended:
                assert not (yield from lives(client, session_id)), "a session came back"
            yield 0.2
        world.heal()
        yield 1.0
        for session_id in ended:
            assert not (yield from lives(client, session_id)), "a session came back"
        for session_id in open_ids:
            assert (yield from lives(client, session_id)), "a session is lost"
        world.sometimes("sessions end", len(ended) > 1)

    for number, user_id in enumerate(("ada", "grace")):
        client = world.client(servers[number % len(servers)])
        world.spawn(script(client, user_id), on=client)
    world.run()
    struck(world)


@everywhere
@sim(seeds=60, faults="radioactive")
def test_a_new_password_and_the_end_of_other_sessions_come_together(world: World, place: str) -> None:
    servers = serve(world, place)

    def script(client: Client) -> Script:
        first = yield from enrolled(client, "ada", "old")
        other: Any = None
        while not isinstance(other, dict):
            other = yield from certain(client, "account.login", {"user_id": "ada", "password": "old"})
        client.session_id = first
        told = None
        try:
            told = yield client.call("account.update", {"password": "old", "new_password": "new"}, timeout=5.0)
        except TROUBLE:
            world.sometimes("nobody knows whether it was changed")
        world.heal()
        yield 5.0
        results = {}
        for word in ("old", "new"):
            results[word] = yield from certain(client, "account.login", {"user_id": "ada", "password": word})
        changed = isinstance(results["new"], dict)
        assert changed != isinstance(results["old"], dict), "one password is right"
        assert changed or told is None, "the change was acknowledged and is lost"
        assert (yield from lives(client, first)), "the session that changed it is lost"
        assert (yield from lives(client, other["session_id"])) is not changed
        world.sometimes("it was changed and nobody was told", changed and told is None)
        world.sometimes("it was not changed", not changed)

    world.visit(servers[0], script)
    struck(world)


@everywhere
@sim(seeds=60, faults="radioactive")
def test_an_account_that_was_made_is_there_and_its_user_can_log_in(world: World, place: str) -> None:
    servers = serve(world, place)

    def script(client: Client, number: int) -> Script:
        told = None
        user_id = f"user {number}"
        try:
            told = yield client.call("account.create", {"user_id": user_id, "password": "password"}, timeout=5.0)
        except TROUBLE:
            world.sometimes("nobody knows whether it was made")
        world.heal()
        yield 5.0
        login = yield from certain(client, "account.login", {"user_id": user_id, "password": "password"})
        if isinstance(login, TotoException):
            assert login.code == 1005
            assert told is None, "the account was acknowledged and is lost"
            again = yield from certain(client, "account.create", {"user_id": user_id, "password": "other"})
            assert again["user_id"] == user_id
        else:
            again = yield from certain(client, "account.create", {"user_id": user_id, "password": "other"})
            assert outcome(again) == 1006
            world.sometimes("it was made and nobody was told", told is None)

    clients = [world.client(servers[number % len(servers)]) for number in range(3)]
    for number, client in enumerate(clients):
        world.spawn(script(client, number), on=client)
    world.run()


@everywhere
@sim(seeds=60, faults="radioactive")
def test_an_atomic_batch_is_there_as_a_whole_or_not_at_all(world: World, place: str) -> None:
    methods = {**METHODS, "both": BOTH, "put_account": ACCOUNT, "put_session": SESSION}
    servers = serve(world, place, methods=methods)

    def script(client: Client) -> Script:
        yield from enrolled(client, "ada", "password")
        acknowledged: int | None = None
        unknown: set[int | None] = set()  # these may still be carried out, whatever came after them
        for number in range(1, 7):
            entries = {
                "1": {"method": "put_account", "parameters": {"n": number}},
                "2": {"method": "put_session", "parameters": {"n": number}},
            }
            try:
                reply = yield client.post("/", {"batch": entries, "atomic": True}, timeout=5.0)
            except OSError:
                world.sometimes("nobody knows whether it was applied")
                unknown.add(number)
            else:
                parts = reply.json()["batch"]
                failed = ["error" in part for part in parts.values()]
                assert failed in ([False] * 2, [True] * 2), parts
                if not any(failed):
                    acknowledged = number
                elif parts["1"]["error"]["code"] == 1012:
                    unknown.add(number)
            both = yield from certain(client, "both")
            if both[0] != both[1]:  # it reads one after the other, and a batch that was late came in between
                yield 20.0
                both = yield from certain(client, "both")
            assert both[0] == both[1], "a batch is there in part"
            assert both[0] in {acknowledged, *unknown}, "a batch was acknowledged and is lost"

    world.visit(servers[0], script)
    struck(world)


@everywhere
@sim(seeds=20, faults="sunny")
def test_an_atomic_batch_whose_client_leaves_in_the_middle_does_nothing(world: World, place: str) -> None:
    slow = ACCOUNT + "    yield 1.0\n"
    methods = {**METHODS, "both": BOTH, "put_slowly": slow, "put_session": SESSION}
    servers = serve(world, place, methods=methods)
    entries = {
        "1": {"method": "put_slowly", "parameters": {"n": 1}},
        "2": {"method": "put_session", "parameters": {"n": 1}},
    }

    def script(client: Client) -> Script:
        session_id = yield from enrolled(client, "ada", "password")
        asked = client.post("/", {"batch": entries, "atomic": True})
        yield 0.5
        client.abort()
        with pytest.raises(ConnectionAbortedError):
            yield asked
        yield 3.0
        client.session_id = session_id
        assert (yield client.call("both")) == [None, None]
        reply = yield client.post("/", {"batch": entries, "atomic": True})
        assert all("error" not in part for part in reply.json()["batch"].values()), reply.json()
        assert (yield client.call("both")) == [1, 1]

    world.visit(servers[0], script)


@sim(seeds=60, faults="sunny")
def test_who_logs_out_on_one_host_is_out_on_the_other_at_once(world: World) -> None:
    servers = serve(world, "redis")
    ada = {"user_id": "ada", "password": "password"}
    [made] = together(world, servers[:1], [("account.create", ada)])
    session_id = made["session_id"]
    assert together(world, servers[1:], [("who", {})], session_id) == ["ada"]
    assert together(world, servers[1:], [("account.logout", {})], session_id) == [{"authenticated": False}]
    assert outcome(together(world, servers[:1], [("who", {})], session_id)[0]) == DEAD
