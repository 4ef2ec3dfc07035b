"""Sessions and accounts in rough worlds: nothing acknowledged is lost or counts twice, and races have one winner."""

from typing import Any

import pyotp
import pytest

from totohio import TotoException
from totohio.sim import Client, World, one_way, partition, sim
from totohio.sim.hosting import Host
from totohio.sim.worlding import Script

TROUBLE = (OSError, TotoException)
QUICK = {"password_memory": 64, "password_time": 1}  # KiB and passes: hashes that cost nothing
START = 1_700_000_000  # any time

ACCOUNTS = "from totohio.app.methods import account\n__all__ = ['account']\n"
COUNT = """
from totohio import anonymous_session

@anonymous_session
def invoke(handler, parameters):
    session = handler.session
    session["n"] = (session["n"] or 0) + 1
    session["tokens"] = [*(session["tokens"] or []), parameters["token"]]
    session.save()
    return session["n"]
"""
SLOW_COUNT = COUNT.replace("    session = handler.session\n", "    session = handler.session\n    yield 0.05\n")
SHOW = """
from totohio import optionally_authenticated

@optionally_authenticated
def invoke(handler, parameters):
    session = handler.session
    return None if session is None else [session["n"], session["tokens"]]
"""
WHO = """
from totohio import authenticated

@authenticated
def invoke(handler, parameters):
    return handler.session.user_id
"""
USE = """
from totohio import authenticated

@authenticated
def invoke(handler, parameters):
    handler.session["n"] = (handler.session["n"] or 0) + 1
    yield parameters["seconds"]
    handler.session.save()
    return handler.session["n"]
"""
SENT: list[tuple[str, str]] = []


def send(user_id: str, code: str) -> None:
    """Bring a code to its user: into the test's hands."""
    SENT.append((user_id, code))


def insist(client: Client, method: str, parameters: Any = None, *, times: int = 200) -> Script:
    """Call until there is an answer."""
    for _ in range(times):
        try:
            return (yield client.call(method, parameters, timeout=5.0))
        except TROUBLE as error:
            last = error
            yield 0.5
    raise last


def counting(world: World, server: Host, *, clients: int, calls: int) -> None:
    """Clients count in their sessions; what they were told, and what is kept, must fit what they did."""

    def script(client: Client, number: int) -> Script:
        acknowledged: list[str] = []
        for attempt in range(40):
            if len(acknowledged) == calls:
                break
            token = f"{number}.{attempt}"
            known = client.session_id
            try:
                yield client.call("count", {"token": token}, timeout=5.0)
            except TROUBLE as error:
                world.sometimes("a call fails", True)
                world.sometimes("the store is unavailable", getattr(error, "code", 0) == 1012)
                yield 0.3
            else:
                if known is None:
                    acknowledged.clear()  # what went before had sessions of its own
                acknowledged.append(token)
        world.heal()
        if not acknowledged:
            return
        kept = yield from insist(client, "show")
        assert kept is not None, "the session is gone"
        count, tokens = kept
        assert count == len(tokens) == len(set(tokens)), "counted twice"
        assert not set(acknowledged) - set(tokens), "an acknowledged increment is missing"

    world.visit(server, script, clients=clients)


@sim(seeds=700, faults="radioactive")
def test_nothing_acknowledged_is_lost_from_files(world: World) -> None:
    server = world.server(methods={"count": COUNT, "show": SHOW}, database="lmdb")
    counting(world, server, clients=3, calls=4)
    kinds = {fault.kind for fault in world.plan.fired}
    world.sometimes("a host loses power", "crash" in kinds)
    world.sometimes("a process is killed", "kill" in kinds)
    world.sometimes("a disk is full", "disk_full" in kinds)
    world.sometimes("a disk fails", "disk_error" in kinds)


@sim(seeds=500, faults="radioactive")
def test_nothing_acknowledged_is_lost_from_redis(world: World) -> None:
    redis = world.redis()
    server = world.server(methods={"count": COUNT, "show": SHOW}, database="redis", database_url=redis.url)
    counting(world, server, clients=3, calls=4)
    struck = {(fault.kind, fault.hit) for fault in world.plan.fired}
    world.sometimes("redis is killed", ("kill", "redis") in struck)
    world.sometimes("redis is paused", ("pause", "redis") in struck)


@sim(seeds=300, faults="stormy")
def test_two_hosts_share_one_redis(world: World) -> None:
    redis = world.redis()
    servers = world.server(count=2, methods={"count": COUNT, "show": SHOW}, database="redis", database_url=redis.url)
    counting(world, servers[0], clients=2, calls=3)

    def script(client: Client) -> Script:
        for number in range(3):
            yield from insist(client, "count", {"token": f"first {number}"})
        other = world.client(servers[1])
        other.session_id = client.session_id
        kept = yield from insist(other, "show")
        assert kept is not None
        assert {f"first {number}" for number in range(3)} <= set(kept[1])

    world.visit(servers[0], script)


@sim(seeds=300, faults="stormy")
def test_calls_that_share_a_session_lose_nothing(world: World) -> None:
    server = world.server(methods={"count": SLOW_COUNT, "show": SHOW}, database="lmdb")

    def opener(client: Client) -> Script:
        yield from insist(client, "count", {"token": "opener"})
        return client.session_id

    [shared] = world.visit(server, opener)
    told: list[str] = []
    codes: set[int] = set()

    def script(client: Client, number: int) -> Script:
        client.session_id = shared
        for attempt in range(4):
            token = f"{number}.{attempt}"
            try:
                yield client.call("count", {"token": token}, timeout=10.0)
            except TotoException as error:
                codes.add(error.code)
                world.sometimes("two calls change the same", error.code == 1017)
            except OSError:
                yield 0.2
            else:
                told.append(token)

    world.visit(server, script, clients=3)
    assert codes <= {1012, 1014, 1017}
    world.heal()

    def reader(client: Client) -> Script:
        client.session_id = shared
        return (yield from insist(client, "show"))

    [[count, tokens]] = world.visit(server, reader)
    assert count == len(tokens) == len(set(tokens))
    assert set(told) <= set(tokens)


@sim(seeds=20, faults="sunny")
def test_calls_that_need_no_store_go_on_without_it(world: World) -> None:
    redis = world.redis()
    server = world.server(
        methods={"count": COUNT, "echo": lambda handler, parameters: parameters},
        database="redis",
        database_url=redis.url,
        database_timeout=1.0,
    )

    def script(client: Client) -> Script:
        yield client.call("count", {"token": "a"})
        for rule in (partition(server, redis.host), one_way(redis.host, server)):
            with world.net.rule(rule):
                for number in range(5):
                    with pytest.raises(TotoException) as caught:
                        yield client.call("count", {"token": f"b{number}"})
                    assert caught.value.code == 1012
                    assert (yield client.call("echo", {"x": number})) == {"x": number}
            yield 3.0
            yield client.call("count", {"token": "c"})  # it has come back by itself

    world.visit(server, script)


# ---------------------------------------------------------------- races


def served(world: World, **options: Any) -> Host:
    """A server with accounts."""
    methods = {"__init__": ACCOUNTS, "who": WHO, "use": USE}
    return world.server(methods=methods, database="lmdb", password_rules="never", **QUICK, **options)


def outcome(result: Any) -> Any:
    """The code of an error, or the result."""
    return result.code if isinstance(result, TotoException) else result


def together(
    world: World, server: Host, calls: list[tuple[str, dict[str, Any]]], session_id: str | None = None
) -> list[Any]:
    """Make calls at the same time, each on a connection of its own."""

    def script(client: Client, number: int) -> Script:
        client.session_id = session_id
        try:
            return (yield client.call(*calls[number]))
        except TotoException as error:
            return error

    return world.visit(server, script, clients=len(calls))


@sim(seeds=100, faults="sunny")
def test_of_two_who_make_one_account_one_has_it(world: World) -> None:
    server = served(world)
    calls = [("account.create", {"user_id": "Ada", "password": f"password {number}"}) for number in range(3)]
    codes = [outcome(result) for result in together(world, server, calls)]
    assert codes.count(1006) == 2
    [winner] = [number for number, code in enumerate(codes) if code != 1006]
    logins = [("account.login", {"user_id": "ada", "password": f"password {number}"}) for number in range(3)]
    results = [outcome(result) for result in together(world, server, logins)]
    assert [number for number, code in enumerate(results) if code != 1005] == [winner]


@sim(seeds=100, faults="sunny")
def test_a_code_of_the_second_factor_is_good_once(world: World) -> None:
    server = served(world)
    login = {"user_id": "ada", "password": "password"}

    def enrol(client: Client) -> Script:
        yield client.call("account.create", login)
        secret = (yield client.call("account.totp_enrol", {"password": "password"}))["secret"]
        totp = pyotp.TOTP(secret)
        code = totp.at(int(server.clock.now()))
        assert (yield client.call("account.totp_enrol", {"password": "password", "code": code})) == {"enrolled": True}
        with pytest.raises(TotoException) as caught:
            yield client.call("account.login", login)
        assert caught.value.code == 1003
        yield 60.0
        return totp

    [totp] = world.visit(server, enrol)
    code = totp.at(int(server.clock.now()))
    codes = [outcome(result) for result in together(world, server, [("account.login", {**login, "code": code})] * 3)]
    assert codes.count(1005) == 2, codes


@sim(seeds=100, faults="sunny")
def test_a_code_for_a_new_password_is_good_once(world: World) -> None:
    SENT.clear()
    server = served(world, reset_function="tests.sim.test_sessions.send")

    def begin(client: Client) -> Script:
        yield client.call("account.create", {"user_id": "ada", "password": "old"})
        assert (yield client.call("account.reset", {"user_id": "ada"})) == {"sent": True}
        assert (yield client.call("account.reset", {"user_id": "nobody"})) == {"sent": True}
        yield 1.0

    world.visit(server, begin)
    [(user_id, code)] = SENT
    assert user_id == "ada"
    calls = [
        ("account.reset", {"user_id": "ada", "code": code, "new_password": f"new {number}"}) for number in range(3)
    ]
    codes = [outcome(result) for result in together(world, server, calls)]
    assert codes.count(1005) == 2, codes
    [winner] = [number for number, code in enumerate(codes) if code != 1005]
    logins = [("account.login", {"user_id": "ada", "password": f"new {number}"}) for number in range(3)]
    results = [outcome(result) for result in together(world, server, logins)]
    assert [number for number, code in enumerate(results) if code != 1005] == [winner]


@sim(seeds=60, faults="sunny")
def test_guesses_are_counted_over_parallel_connections_and_in_batches(world: World) -> None:
    server = served(world)
    right = {"user_id": "ada", "password": "password"}
    guess = {"user_id": "ada", "password": "guess"}

    def create(client: Client) -> Script:
        yield client.call("account.create", {**right})

    world.visit(server, create)

    def script(client: Client, number: int) -> Script:
        codes: list[Any] = []
        if number % 2:
            batch = {str(each): {"method": "account.login", "parameters": guess} for each in range(10)}
            reply = yield client.post("/", {"batch": batch, "mode": "parallel"})
            codes = [entry["error"]["code"] for entry in reply.json()["batch"].values()]
        else:
            for _ in range(10):
                try:
                    yield client.call("account.login", guess)
                except TotoException as error:
                    codes.append(error.code)
        return codes

    clients = [world.client(server, "attacker")]
    futures = [world.spawn(script(clients[0], number), on=clients[0]) for number in range(4)]
    world.run()
    codes = [code for future in futures for code in future.result()]
    assert set(codes) == {1005, 1013}
    assert codes.count(1005) <= 6, codes  # five that are free, and the one that is waited for
    assert world.call(server, "account.login", right)["user_id"] == "ada"  # from elsewhere


@sim(seeds=100, faults="sunny")
def test_a_session_that_is_revoked_while_it_is_used_does_not_come_back(world: World) -> None:
    server = served(world)

    def begin(client: Client) -> Script:
        yield client.call("account.create", {"user_id": "ada", "password": "password"})
        first = client.session_id
        yield client.call("account.login", {"user_id": "ada", "password": "password"})
        return first, client.session_id

    [(first, second)] = world.visit(server, begin)

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

    one, other = world.client(server), world.client(server)
    used, revoked = world.spawn(use(one), on=one), world.spawn(revoke(other), on=other)
    world.run()
    assert revoked.result() == {"revoked": 1}
    assert outcome(used.result()) in (1, 1004)
    world.sometimes("it is revoked in the middle", outcome(used.result()) == 1004)
    world.sometimes("it is used before", outcome(used.result()) == 1)
    [after] = together(world, server, [("who", {})], first)
    assert outcome(after) == 1004
    assert together(world, server, [("who", {})], second) == ["ada"]


@sim(seeds=100, faults="sunny")
def test_a_login_with_a_password_that_is_being_changed_has_no_session_afterwards(world: World) -> None:
    server = served(world)

    def begin(client: Client) -> Script:
        yield client.call("account.create", {"user_id": "ada", "password": "old"})
        return client.session_id

    [session_id] = world.visit(server, begin)

    def change(client: Client) -> Script:
        client.session_id = session_id
        yield world.dice.branch("when").random() * 0.01
        return (yield client.call("account.update", {"password": "old", "new_password": "new"}))

    def login(client: Client) -> Script:
        try:
            yield client.call("account.login", {"user_id": "ada", "password": "old"})
        except TotoException as error:
            return error.code, None
        return 0, client.session_id

    one, others = world.client(server), [world.client(server) for _ in range(3)]
    changed = world.spawn(change(one), on=one)
    futures = [world.spawn(login(other), on=other) for other in others]
    world.run()
    assert changed.result() == {"updated_fields": ["password"]}
    for future in futures:
        code, session = future.result()
        world.sometimes("a login comes before", code == 0)
        world.sometimes("a login comes too late", code == 1005)
        if session is not None:
            [result] = together(world, server, [("who", {})], session)
            assert outcome(result) == 1004
    assert together(world, server, [("who", {})], session_id) == ["ada"]
    assert outcome(together(world, server, [("account.login", {"user_id": "ada", "password": "old"})])[0]) == 1005


# ---------------------------------------------------------------- power cuts that take back


@sim(seeds=30, faults="sunny")
def test_a_redis_that_syncs_once_a_second_loses_no_more_than_that(world: World) -> None:
    redis = world.redis(everysec=True)
    server = world.server(methods={"count": COUNT, "show": SHOW}, database="redis", database_url=redis.url)

    def script(client: Client) -> Script:
        for number in range(3):
            yield from insist(client, "count", {"token": f"old {number}"})
        yield 2.0
        yield from insist(client, "count", {"token": "young"})
        redis.host.crash()
        redis.host.restart()
        yield 5.0
        count, tokens = yield from insist(client, "show")
        assert count == len(tokens)
        assert {f"old {number}" for number in range(3)} <= set(tokens)
        world.sometimes("the last second is lost", "young" not in tokens)

    world.visit(server, script)
