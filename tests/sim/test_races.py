"""Races between users, and between a user and somebody else: whatever the order, there is one winner.

They run in one server with files of its own, and in two that share a Redis.
"""

from typing import Any

import pyotp
import pytest

from tests.sim.users import PLACES, SENT, insist, outcome, serve, together
from totohio import TotoException
from totohio.sim import Client, World, sim
from totohio.sim.worlding import Script

ADA = {"user_id": "ada", "password": "password"}

CONFLICT = 1017

everywhere = pytest.mark.parametrize("place", PLACES)


def winner(results: list[Any], refusal: int) -> int:
    """The number of the only call that was not refused.

    Who has read what another of its server had not committed, and never will, is refused as well, and may try again.
    """
    codes = [outcome(result) for result in results]
    [number] = [number for number, code in enumerate(codes) if code not in (refusal, CONFLICT)]
    assert refusal in codes
    return number


@everywhere
@sim(seeds=40, faults="sunny")
def test_of_those_who_make_one_account_one_has_it(world: World, place: str) -> None:
    servers = serve(world, place)
    names = ("Ada", "ada", "ADA")
    calls = [("account.create", {"user_id": name, "password": f"password {n}"}) for n, name in enumerate(names)]
    first = winner(together(world, servers, calls), 1006)
    logins = [("account.login", {"user_id": "ada", "password": f"password {number}"}) for number in range(3)]
    assert winner(together(world, servers, logins), 1005) == first


@everywhere
@sim(seeds=40, faults="sunny")
def test_a_code_of_the_second_factor_is_good_once(world: World, place: str) -> None:
    servers = serve(world, place)

    def enrol(client: Client) -> Script:
        yield client.call("account.create", {**ADA})
        secret = (yield client.call("account.totp_enrol", {"password": "password"}))["secret"]
        totp = pyotp.TOTP(secret)
        code = totp.at(int(servers[0].clock.now()))
        assert (yield client.call("account.totp_enrol", {"password": "password", "code": code})) == {"enrolled": True}
        yield 60.0
        return totp

    [totp] = world.visit(servers[0], enrol)
    code = totp.at(int(servers[0].clock.now()))
    winner(together(world, servers, [("account.login", {**ADA, "code": code})] * 3), 1005)
    world.run(60.0)
    code = totp.at(int(servers[0].clock.now()))
    assert together(world, servers, [("account.login", {**ADA, "code": code})])[0]["user_id"] == "ada"


@everywhere
@sim(seeds=40, faults="sunny")
def test_a_code_for_a_new_password_is_good_once(world: World, place: str) -> None:
    SENT.clear()
    servers = serve(world, place, reset_function="tests.sim.users.send")

    def begin(client: Client) -> Script:
        yield client.call("account.create", {"user_id": "ada", "password": "old"})
        assert (yield client.call("account.reset", {"user_id": "ada"})) == {"sent": True}
        assert (yield client.call("account.reset", {"user_id": "nobody"})) == {"sent": True}
        yield 1.0
        return client.session_id

    [session_id] = world.visit(servers[0], begin)
    [(user_id, code)] = SENT
    assert user_id == "ada"
    calls = [("account.reset", {"user_id": "ada", "code": code, "new_password": f"new {n}"}) for n in range(3)]
    first = winner(together(world, servers, calls), 1005)
    logins = [("account.login", {"user_id": "ada", "password": f"new {number}"}) for number in range(3)]
    assert winner(together(world, servers, logins), 1005) == first
    assert [outcome(result) for result in together(world, servers, [("who", {})] * 2, session_id)] == [1004] * 2


@everywhere
@sim(seeds=40, faults="sunny")
def test_guesses_over_parallel_connections_and_in_batches_are_counted_together(world: World, place: str) -> None:
    servers = serve(world, place, trusted_proxies="10.0.0.0/8")
    guess = {"user_id": "ada", "password": "guess"}
    attacker = {"X-Forwarded-For": "203.0.113.9", "Content-Type": "application/json"}
    together(world, servers, [("account.create", {**ADA})])
    world.run(1.0)

    def script(client: Client, number: int) -> Script:
        codes: list[int] = []
        for turn in range(4):
            if number % 2:
                entries = {str(each): {"method": "account.login", "parameters": guess} for each in range(5)}
                body: Any = {"batch": entries, "mode": "parallel" if turn % 2 else "sequence"}
                reply = yield client.post("/", body, attacker)
                codes += [entry["error"]["code"] for entry in reply.json()["batch"].values()]
            else:
                reply = yield client.post("/account/login", guess, attacker)
                codes.append(reply.json()["error"]["code"])
        return codes

    clients = [world.client(servers[number % len(servers)]) for number in range(6)]
    futures = [world.spawn(script(client, number), on=client) for number, client in enumerate(clients)]
    began = world.tyme
    world.run()
    assert world.tyme - began < 1.0, "it took so long that another guess was free"
    codes = [code for future in futures for code in future.result()]
    assert {1005, 1013} <= set(codes) <= {1005, 1013, CONFLICT}
    assert codes.count(1005) <= 5, codes
    [owner] = together(world, servers, [("account.login", {**ADA})])
    assert outcome(owner)["user_id"] == "ada", "the owner is locked out elsewhere"


@everywhere
@sim(seeds=60, faults="sunny")
def test_a_session_that_is_revoked_while_it_is_used_does_not_come_back(world: World, place: str) -> None:
    servers = serve(world, place)

    def begin(client: Client) -> Script:
        yield client.call("account.create", {**ADA})
        first = client.session_id
        yield client.call("account.login", {**ADA})
        return first, client.session_id

    [(first, second)] = world.visit(servers[0], begin)

    def use(client: Client) -> Script:
        client.session_id = first
        try:
            return (yield client.call("use", {"seconds": 0.05}))
        except TotoException as error:
            return error

    def revoke(client: Client) -> Script:
        client.session_id = second
        yield world.dice.branch("when").random() * 0.08
        return (yield client.call("account.revoke", {}))

    one, other = world.client(servers[0]), world.client(servers[-1])
    used, revoked = world.spawn(use(one), on=one), world.spawn(revoke(other), on=other)
    world.run()
    assert revoked.result() == {"revoked": 1}
    assert outcome(used.result()) in (1, 1004)
    world.sometimes("it is revoked in the middle", outcome(used.result()) == 1004)
    world.sometimes("it is used before", outcome(used.result()) == 1)
    assert [outcome(result) for result in together(world, servers, [("who", {})] * 2, first)] == [1004] * 2
    assert together(world, servers, [("who", {})] * 2, second) == ["ada"] * 2


@everywhere
@sim(seeds=60, faults="sunny")
def test_a_login_with_a_password_that_is_being_changed_leaves_no_session(world: World, place: str) -> None:
    servers = serve(world, place)

    def begin(client: Client) -> Script:
        yield client.call("account.create", {"user_id": "ada", "password": "old"})
        return client.session_id

    [session_id] = world.visit(servers[0], begin)

    def change(client: Client) -> Script:
        client.session_id = session_id
        yield world.dice.branch("when").random() * 0.02
        return (yield client.call("account.update", {"password": "old", "new_password": "new"}))

    def login(client: Client, number: int) -> Script:
        yield number * 0.01
        try:
            yield client.call("account.login", {"user_id": "ada", "password": "old"})
        except TotoException as error:
            return error.code, None
        return 0, client.session_id

    one, others = world.client(servers[0]), [world.client(servers[number % len(servers)]) for number in range(4)]
    changed = world.spawn(change(one), on=one)
    futures = [world.spawn(login(other, number), on=other) for number, other in enumerate(others)]
    world.run()
    assert changed.result() == {"updated_fields": ["password"]}
    for future in futures:
        code, session = future.result()
        assert code in (0, 1005, CONFLICT)
        world.sometimes("a login comes before", code == 0)
        world.sometimes("a login comes too late", code == 1005)
        if session is not None:
            assert outcome(together(world, servers, [("who", {})], session)[0]) == 1004
    assert together(world, servers, [("who", {})], session_id) == ["ada"]
    old, new = (("account.login", {"user_id": "ada", "password": word}) for word in ("old", "new"))
    assert outcome(together(world, servers, [old])[0]) == 1005
    assert outcome(together(world, servers, [new])[0])["user_id"] == "ada"


@everywhere
@sim(seeds=40, faults="sunny")
def test_of_two_who_change_one_password_one_does(world: World, place: str) -> None:
    servers = serve(world, place)

    def begin(client: Client) -> Script:
        yield client.call("account.create", {"user_id": "ada", "password": "old"})
        return client.session_id

    [session_id] = world.visit(servers[0], begin)
    calls = [("account.update", {"password": "old", "new_password": f"new {number}"}) for number in range(3)]
    first = winner(together(world, servers, calls, session_id), 1005)
    logins = [("account.login", {"user_id": "ada", "password": f"new {number}"}) for number in range(3)]
    assert winner(together(world, servers, logins), 1005) == first


@everywhere
@sim(seeds=40, faults="sunny")
def test_every_session_that_was_opened_at_once_is_listed_and_ended(world: World, place: str) -> None:
    servers = serve(world, place)
    together(world, servers, [("account.create", {**ADA})])
    sessions = [result["session_id"] for result in together(world, servers, [("account.login", {**ADA})] * 6)]
    [listed] = together(world, servers, [("account.sessions", {})], sessions[0])
    assert len(listed) == 7
    together(world, servers, [("account.logout", {})], sessions[1])
    [revoked] = together(world, servers, [("account.revoke", {})], sessions[0])
    assert revoked == {"revoked": 5}
    for session_id in sessions[1:]:
        assert outcome(together(world, servers, [("who", {})], session_id)[0]) == 1004
    assert together(world, servers, [("who", {})], sessions[0]) == ["ada"]


@everywhere
@sim(seeds=40, faults="stormy")
def test_calls_that_change_different_parts_of_one_session_all_succeed(world: World, place: str) -> None:
    mark = (
        "from totohio import authenticated\n"
        "@authenticated\n"
        "def invoke(handler, parameters):\n"
        "    handler.session[parameters['name']] = True\n"
        "    handler.session.save()\n"
        "    return sorted(handler.session.state)\n"
    )
    methods = {"__init__": "from totohio.app.methods import account\n__all__ = ['account']\n", "mark": mark}
    servers = serve(world, place, methods=methods)

    def begin(client: Client) -> Script:
        while client.session_id is None:
            try:
                yield client.call("account.create", {**ADA}, timeout=5.0)
            except TotoException as error:
                if error.code == 1006:
                    yield from insist(client, "account.login", {**ADA})
            except OSError:
                yield 0.5
        return client.session_id

    [session_id] = world.visit(servers[0], begin)

    def script(client: Client, number: int) -> Script:
        client.session_id = session_id
        return (yield from insist(client, "mark", {"name": f"mark {number}"}))

    clients = [world.client(servers[number % len(servers)]) for number in range(5)]
    for number, client in enumerate(clients):
        world.spawn(script(client, number), on=client)
    world.run()
    clients[0].session_id = session_id
    last = world.spawn(insist(clients[0], "mark", {"name": "mark 0"}), on=clients[0])
    world.run()
    assert last.result() == [f"mark {number}" for number in range(5)]
