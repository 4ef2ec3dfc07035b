"""What docs/security.md promises, each by itself and as a client sees it."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import Client, World, request_bytes
from totohio import AESCipher, ClientCache, TotoException
from totohio.app import keeping
from totohio.base.clocking import Minter
from totohio.base.futures import Future
from totohio.core import passwording
from totohio.core.hashing import Passwords
from totohio.store.sealed import sealing_cache
from totohio.wire import signing
from totohio.wire.cookies import Signer

METHODS = {
    "__init__": "from totohio.app.methods import account\n",
    "who": "from totohio import *\n@authenticated\ndef invoke(handler, _):\n    return handler.session.user_id\n",
    "admin": "from totohio import *\n@requires_role('admin')\ndef invoke(handler, parameters):\n    return 'done'\n",
    "grant": (
        "def invoke(handler, parameters):\n"
        "    handler.db_connection.set_roles(parameters['user_id'], parameters['roles'])\n"
        "    return True\n"
    ),
    "count": (
        "from totohio import *\n"
        "@authenticated\n"
        "def invoke(handler, parameters):\n"
        "    handler.session['n'] = (handler.session['n'] or 0) + 1\n"
        "    handler.session.save()\n"
        "    return handler.session['n']\n"
    ),
}
QUICK = {"password_memory": 64, "password_time": 1}
PASSWORD = "correct horse"
SENT: list[str] = []

Serve = Callable[..., "Site"]


def bring(user_id: str, code: str) -> None:
    """Bring a code to its user."""
    SENT.append(code)


class Site:
    """A server, and a person who uses it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.client: Client = world.connect()

    def call(self, method: str, parameters: Any = None, session: str | None = None, **headers: str) -> Any:
        """The reply to a call."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if session is not None:
            named["x-toto-session-id"] = session
        return self.client.post("/", {"method": method, "parameters": parameters or {}}, headers=named).json()

    def code(self, *args: Any, **headers: str) -> int:
        """The code of the error that a call is answered with; 0 without one."""
        return int(self.call(*args, **headers).get("error", {}).get("code", 0))

    def join(self, user_id: str = "ada", password: str = PASSWORD) -> str:
        """Make an account, and give the id of a session."""
        return str(self.call("account.create", {"user_id": user_id, "password": password})["result"]["session_id"])

    def login(self, password: str = PASSWORD, **more: Any) -> Any:
        """Log in; the reply."""
        return self.call("account.login", {"user_id": "ada", "password": password, **more})

    def later(self, seconds: float) -> None:
        """Let wall time pass."""
        self.world.server.environment.clock.ahead += seconds  # type: ignore[attr-defined]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    worlds: list[World] = []

    def start(**options: Any) -> Site:
        world = World(tmp_path / str(len(worlds)), METHODS, **{**QUICK, **options})
        clock = world.server.environment.clock
        now = type(clock).now
        clock.ahead = 0.0  # type: ignore[attr-defined]
        clock.now = lambda: now(clock) + clock.ahead  # type: ignore[attr-defined, method-assign]
        worlds.append(world)
        return Site(world)

    yield start
    for world in worlds:
        world.close()


# ---------------------------------------------------------------- passwords


@pytest.mark.parametrize(("password", "code"), [("x" * 7, 1003), ("zqj!7 kw", 0), ("zq j" * 16, 0), ("zq j" * 250, 0)])
def test_a_password_has_8_characters_or_more(serve: Serve, password: str, code: int) -> None:
    site = serve(password_rules="always")
    assert site.code("account.create", {"user_id": "ada", "password": password}) == code
    assert site.code("account.login", {"user_id": "ada", "password": password}) == (1005 if code else 0)


@pytest.mark.parametrize(
    "password", ["ffffffgh", "        ", "\u00e9\u4e2d\u6587\U0001f600 \u00fc\u00f6\u00e4", "a\x00b\tcdef"]
)
def test_any_characters_will_do_and_all_count(serve: Serve, password: str) -> None:
    site = serve(password_rules="always")
    site.join(password=password)
    assert "error" not in site.login(password)
    for other in (password[:-1], password + " ", password.swapcase() + "x", password.strip() + "y"):
        assert site.login(other)["error"]["code"] == 1005


@pytest.mark.parametrize("password", ["password", "PassWord", "iloveyou", "1qaz2wsx", "12345678"])
def test_common_passwords_are_refused(serve: Serve, password: str) -> None:
    assert serve(password_rules="always").code("account.create", {"user_id": "ada", "password": password}) == 1003
    assert serve(password_rules="never").code("account.create", {"user_id": "ada", "password": password}) == 0


def test_the_list_of_common_passwords_has_3000() -> None:
    assert len(passwording._common()) == 3000
    assert all(len(password) >= 8 for password in passwording._common())


def test_changing_the_password_takes_the_current_one_and_ends_other_sessions(serve: Serve) -> None:
    site = serve()
    first = site.join()
    second = site.login()["result"]["session_id"]
    assert site.code("account.update", {"password": "wrong", "new_password": "new one"}, first) == 1005
    assert site.code("who", {}, second) == 0
    assert site.code("account.update", {"password": PASSWORD, "new_password": "new one"}, first) == 0
    assert (site.code("who", {}, first), site.code("who", {}, second)) == (0, 1004)
    assert (site.login()["error"]["code"], "error" in site.login("new one")) == (1005, False)


def test_passwords_are_kept_as_argon2id_hashes(serve: Serve) -> None:
    site = serve(password_memory=19_456, password_time=2)
    site.join()
    store = site.world.server.built.dispatcher.keeper.store  # type: ignore[union-attr]
    values = b"".join(store._values.values())  # type: ignore[attr-defined]
    assert b"$argon2id$v=19$m=19456,t=2,p=1$" in values
    assert PASSWORD.encode() not in values


def test_hashes_of_toto_verify_and_are_replaced_at_login(serve: Serve) -> None:
    site = serve()
    keeper = site.world.server.built.dispatcher.keeper
    assert keeper is not None
    keeper.connect().import_account("ada", "$p5k2$c$u9HvcT4d$Sd1gwSVCLZYAuqZ25piRnbBEoAesaa/g", nick="a")
    site.world.step(3)
    assert site.login("gnat")["error"]["code"] == 1005
    assert "error" not in site.login("gnu")
    account = keeper.accounts.find(keeper.unit(), "ada")
    assert account is not None
    assert account.password.startswith("$argon2id$")
    assert "error" not in site.login("gnu")


# ---------------------------------------------------------------- logging in


def test_guessing_is_slowed_down_and_the_owner_is_let_in(serve: Serve) -> None:
    site = serve(trusted_proxies="127.0.0.1")
    site.join()
    guess = {"user_id": "ada", "password": "guess"}
    replies = [site.call("account.login", guess, x_forwarded_for="192.0.2.1") for _ in range(10)]
    codes = [reply["error"]["code"] for reply in replies]
    assert codes == [1005] * 5 + [1013] * 5
    assert 0.0 < replies[-1]["error"]["retry_after"] <= 1.0
    right = {"user_id": "ada", "password": PASSWORD}
    assert site.code("account.login", right, x_forwarded_for="192.0.2.1") == 1013
    assert site.code("account.login", right, x_forwarded_for="192.0.2.2") == 0
    site.later(1.1)
    assert site.code("account.login", guess, x_forwarded_for="192.0.2.1") == 1005
    site.later(1.1)
    assert site.code("account.login", guess, x_forwarded_for="192.0.2.1") == 1013  # two seconds now
    site.later(1000.0)
    assert site.code("account.login", right, x_forwarded_for="192.0.2.1") == 0


def test_the_properties_of_an_account_have_a_bound(serve: Serve) -> None:
    site = serve(max_account_size=1000)
    large = {"user_id": "ada", "password": PASSWORD, "text": "x" * 1000}
    assert site.code("account.create", large) == 1003
    session = site.join()
    change = {"password": PASSWORD, "one": "x" * 600}
    assert site.code("account.update", change, session) == 0
    assert site.code("account.update", {"password": PASSWORD, "two": "x" * 600}, session) == 1003
    assert site.code("account.update", {"password": PASSWORD, "one": "", "two": "x" * 600}, session) == 0


def test_more_passwords_than_can_be_looked_at_soon_are_refused_at_once(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "HASHES", 3)
    site = serve()
    site.join()
    keeper = site.world.server.built.dispatcher.keeper
    assert keeper is not None
    pool, waiting = keeper._pool, []

    class Slow:
        """Begins with nothing before it is told to."""

        def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
            future: Future[Any] = Future()
            waiting.append((future, function, args))
            return future

    keeper._pool = Slow()  # type: ignore[assignment]
    entry = {"method": "account.login", "parameters": {"user_id": "ada", "password": PASSWORD}}
    entries = {str(number): entry for number in range(8)}
    client = site.world.connect()
    client.send(request_bytes("POST", "/", json.dumps({"batch": entries, "mode": "parallel"}).encode()))
    site.world.step(50)
    assert len(waiting) == 3
    assert site.login()["error"]["code"] == 1013
    for future, function, args in waiting:
        future.set_result(function(*args))
    replies = client.reply().json()["batch"].values()
    assert sum("result" in reply for reply in replies) == 3
    refused = [reply["error"] for reply in replies if "error" in reply]
    assert {error["code"] for error in refused} == {1013}
    assert all(error["retry_after"] > 0 for error in refused)
    keeper._pool = pool
    assert "result" in site.login()  # none of those that were refused counts as failed


def test_guesses_in_a_batch_count_each(serve: Serve) -> None:
    site = serve()
    site.join()
    entry = {"method": "account.login", "parameters": {"user_id": "ada", "password": "guess"}}
    for mode in ("sequence", "parallel"):
        reply = site.client.post("/", {"batch": {str(number): entry for number in range(20)}, "mode": mode}).json()
        codes = [each["error"]["code"] for each in reply["batch"].values()]
        assert codes.count(1005) == (5 if mode == "sequence" else 0), codes
        assert set(codes) <= {1005, 1013}


def test_a_wrong_password_and_an_unknown_user_are_answered_alike(serve: Serve) -> None:
    site = serve()
    site.join()
    wrong, unknown = (site.call("account.login", {"user_id": name, "password": "x"}) for name in ("ada", "bob"))
    assert wrong == unknown
    keeper = site.world.server.built.dispatcher.keeper
    assert keeper is not None
    verified: list[str] = []
    verify = keeper.hasher.verify
    keeper.hasher.verify = lambda hashed, password: verified.append(hashed) or verify(hashed, password)  # type: ignore[func-returns-value, method-assign]
    site.call("account.login", {"user_id": "carl", "password": "x"})
    assert [hashed.startswith("$argon2id$") for hashed in verified] == [True]  # as much work as for one who is there


def test_a_code_of_the_second_factor_is_good_once_and_not_for_long(serve: Serve) -> None:
    site = serve(login_throttle=False)
    session = site.join()
    clock = site.world.server.environment.clock
    assert site.code("account.totp_enrol", {"password": "wrong"}, session) == 1005
    result = site.call("account.totp_enrol", {"password": PASSWORD}, session)["result"]
    totp = pyotp.TOTP(result["secret"])
    assert result["uri"].startswith("otpauth://totp/")
    assert "error" not in site.login()  # not before a code was seen
    assert site.code("account.totp_enrol", {"password": PASSWORD, "code": "000000"}, session) == 1005
    code = totp.at(int(clock.now()))
    assert site.code("account.totp_enrol", {"password": PASSWORD, "code": code}, session) == 0
    missing = site.login()["error"]
    assert (missing["code"], missing["second_factor"]) == (1003, "totp")
    assert site.login(code=code)["error"]["code"] == 1005  # it was used to enrol
    site.later(60.0)
    code = totp.at(int(clock.now()))
    assert "error" not in site.login(code=code)
    assert site.login(code=code)["error"]["code"] == 1005
    site.later(60.0)
    assert site.login(code=totp.at(int(clock.now()) - 120))["error"]["code"] == 1005
    assert site.login(code=totp.at(int(clock.now()) - 30))["result"]["user_id"] == "ada"


def test_guesses_of_the_second_factor_are_slowed_down(serve: Serve) -> None:
    site = serve()
    session = site.join()
    secret = site.call("account.totp_enrol", {"password": PASSWORD}, session)["result"]["secret"]
    code = pyotp.TOTP(secret).at(int(site.world.server.environment.clock.now()))
    site.call("account.totp_enrol", {"password": PASSWORD, "code": code}, session)
    codes = [site.login(code=f"{number:06}")["error"]["code"] for number in range(10)]
    assert codes == [1005] * 5 + [1013] * 5


@pytest.mark.parametrize(
    "between",
    [("account.totp_enrol", {"password": PASSWORD}), ("account.update", {"password": PASSWORD, "town": "London"})],
)
def test_the_password_alone_does_not_make_guesses_of_the_second_factor_forgotten(
    serve: Serve, between: tuple[str, dict[str, str]]
) -> None:
    site = serve()
    session = site.join()
    secret = site.call("account.totp_enrol", {"password": PASSWORD}, session)["result"]["secret"]
    code = pyotp.TOTP(secret).at(int(site.world.server.environment.clock.now()))
    site.call("account.totp_enrol", {"password": PASSWORD, "code": code}, session)
    codes = []
    for number in range(10):
        codes.append(site.code("account.totp_remove", {"password": PASSWORD, "code": f"{number:06}"}, session))
        site.call(*between, session)
    assert codes == [1005] * 5 + [1013] * 5


def test_a_code_for_a_forgotten_password_is_good_once_and_for_ten_minutes(serve: Serve) -> None:
    SENT.clear()
    site = serve(reset_function="tests.test_security.bring")
    session = site.join()
    assert site.call("account.reset", {"user_id": "nobody"})["result"] == {"sent": True}
    assert site.call("account.reset", {"user_id": "Ada"})["result"] == {"sent": True}
    assert site.code("account.reset", {"user_id": "ada"}) == 1013
    site.world.step(50)
    [code] = SENT
    assert len(base64.urlsafe_b64decode(code)) >= 20
    new = {"user_id": "ada", "new_password": "another one"}
    assert site.code("account.reset", {**new, "code": code[:-1] + ("A" if code[-1] != "A" else "B")}) == 1005
    assert site.code("account.reset", {**new, "code": code, "user_id": "nobody"}) == 1005
    assert site.code("account.reset", {**new, "code": code}) == 0
    assert site.code("account.reset", {**new, "code": code}) == 1005
    assert site.code("who", {}, session) == 1004
    assert "error" not in site.login("another one")
    site.later(61.0)
    site.call("account.reset", {"user_id": "ada"})
    site.world.step(50)
    site.later(601.0)
    assert site.code("account.reset", {**new, "code": SENT[1]}) == 1005


# ---------------------------------------------------------------- sessions


def test_ids_of_sessions_are_128_random_bits(serve: Serve) -> None:
    site = serve()
    drawn: list[int] = []
    minter = site.world.server.environment.minter
    draw = minter.draw
    minter.draw = lambda size: drawn.append(size) or draw(size)  # type: ignore[func-returns-value, method-assign]
    session = site.join()
    assert re.fullmatch(r"[\w-]{22}", session, re.ASCII)
    assert 16 in drawn


def test_each_login_gives_a_new_id(serve: Serve) -> None:
    site = serve()
    first = site.join()
    ids = {
        first,
        *(
            site.call("account.login", {"user_id": "ada", "password": PASSWORD}, first)["session"]["session_id"]
            for _ in range(3)
        ),
    }
    assert len(ids) == 4


def test_sessions_end_when_they_are_not_used_and_after_their_lifetime(serve: Serve) -> None:
    site = serve(session_ttl=1000, session_lifetime=3000)
    used, unused = site.join(), site.login()["session"]["session_id"]
    for _ in range(5):
        site.later(500.0)
        assert site.code("who", {}, used) == 0
    assert site.code("who", {}, unused) == 1004
    site.later(501.0)
    assert site.code("who", {}, used) == 1004


@pytest.mark.parametrize("keys", [None, base64.b64encode(bytes(32)).decode()], ids=["stored", "held by the client"])
def test_logging_out_ends_a_session_everywhere(serve: Serve, keys: str | None) -> None:
    site = serve(session_keys=keys)
    site.join()
    session = site.login()["session"]["session_id"]
    other = site.login()["session"]["session_id"]
    assert site.call("account.logout", {}, session)["result"] == {"authenticated": False}
    assert site.code("who", {}, session) == 1004
    assert site.code("count", {}, session) == 1004
    assert site.code("who", {}, other) == 0


def test_sessions_that_clients_hold_end_with_a_change_of_the_password(serve: Serve) -> None:
    site = serve(session_keys=base64.b64encode(bytes(32)).decode())
    session = site.join()
    other = site.login()["session"]["session_id"]
    site.later(1.0)
    reply = site.call("account.update", {"password": PASSWORD, "new_password": "new one"}, session)
    assert site.code("who", {}, reply["session"]["session_id"]) == 0
    assert site.code("who", {}, other) == 1004


def test_users_see_their_sessions_and_end_them(serve: Serve) -> None:
    site = serve()
    first = site.join()
    second = site.call("account.login", {"user_id": "ada", "password": PASSWORD}, user_agent="toaster")["session"][
        "session_id"
    ]
    site.join("bob")
    listed = site.call("account.sessions", {}, first)["result"]
    assert [(each["agent"], each["address"], each["current"]) for each in listed] == [
        ("", "127.0.0.1", True), ("toaster", "127.0.0.1", False),
    ]  # fmt: skip
    assert first not in str(listed)
    assert second not in str(listed)
    assert site.code("account.revoke", {"id": "nothing"}, first) == 1003
    assert site.call("account.revoke", {"id": listed[1]["id"]}, first)["result"] == {"revoked": 1}
    assert (site.code("who", {}, first), site.code("who", {}, second)) == (0, 1004)
    third = site.login()["session"]["session_id"]
    assert site.call("account.revoke", {}, first)["result"] == {"revoked": 1}
    assert (site.code("who", {}, first), site.code("who", {}, third)) == (0, 1004)


def test_a_reader_of_the_store_learns_no_id_code_or_key(serve: Serve) -> None:
    SENT.clear()
    site = serve(reset_function="tests.test_security.bring")
    session = site.join()
    key = site.call("account.create_key", {"password": PASSWORD, "name": "k", "scopes": ["*"]}, session)["result"][
        "key"
    ]
    site.call("account.reset", {"user_id": "ada"})
    site.world.step(50)
    store = site.world.server.built.dispatcher.keeper.store  # type: ignore[union-attr]
    kept = b"".join(name + value for name, value in store._values.items())  # type: ignore[attr-defined]
    assert b"ada" in kept
    for secret in (session, key, SENT[0]):
        assert secret.encode() not in kept
        assert secret[3:].encode() not in kept


# ---------------------------------------------------------------- cookies and pages


def cookie_of(reply: Any) -> str:
    """The one Set-Cookie of a reply."""
    [value] = [value for name, value in reply.headers if name.lower() == "set-cookie"]
    return str(value)


def test_the_cookie_is_for_the_server_alone(serve: Serve) -> None:
    site = serve(use_cookies=True, cookie_prefix="__Host-", session_ttl=1000)
    reply = site.client.post("/", {"method": "account.create", "parameters": {"user_id": "ada", "password": PASSWORD}})
    name, *attributes = cookie_of(reply).split("; ")
    assert name.startswith("__Host-toto-session-id=")
    assert {"HttpOnly", "SameSite=Lax", "Secure", "Path=/"} <= set(attributes)
    [age] = [int(each.removeprefix("Max-Age=")) for each in attributes if each.startswith("Max-Age=")]
    assert 990 <= age <= 1000
    reply = site.client.post(
        "/", {"method": "account.logout"}, headers={"Cookie": name, "Content-Type": "application/json"}
    )
    assert "Max-Age=0" in cookie_of(reply).split("; ")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 0),
        ({"Origin": "https://test"}, 0),
        ({"Origin": "https://friend.example"}, 0),
        ({"Sec-Fetch-Site": "same-origin"}, 0),
        ({"Origin": "https://evil.example"}, 1016),
        ({"Origin": "null"}, 1016),
        ({"Origin": "https://test.evil.example"}, 1016),
        ({"Sec-Fetch-Site": "cross-site"}, 1016),
        ({"Sec-Fetch-Site": "same-site"}, 1016),
        ({"Content-Type": "text/plain"}, 1016),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 1016),
    ],
)
def test_a_call_with_a_cookie_comes_from_the_servers_own_pages(
    serve: Serve, headers: dict[str, str], code: int
) -> None:
    site = serve(use_cookies=True, secure_cookies=False, trusted_origins="https://friend.example")
    session = site.join()
    headers = {"Content-Type": "application/json", "Cookie": f"toto-session-id={session}", **headers}
    body = b"method=who" if headers["Content-Type"].startswith("application/x-www") else b"{}"
    reply = site.client.request("POST", "/who", body, headers=headers).json()
    assert reply.get("error", {}).get("code", 0) == code
    del headers["Cookie"]
    headers["x-toto-session-id"] = session  # no page can have this sent without asking first
    reply = site.client.request("POST", "/who", body, headers=headers).json()
    assert reply.get("error", {}).get("code", 0) == 0


# ---------------------------------------------------------------- what clients hold

DATA = {"user_id": "ada", "expires": 2e9, "created": 1e9, "key": "k" * 22, "state": b"\x80", "token": "t" * 22}


@given(st.data(), st.sampled_from(["sealing", "toto"]))
def test_a_sealed_session_is_refused_when_any_byte_was_changed(data: st.DataObject, kind: str) -> None:
    key = bytes(range(32))
    cache = sealing_cache([key], minter=Minter()) if kind == "sealing" else ClientCache(AESCipher(key, key[:16]), key)
    sealed = cache.store_session({"session_id": "", **DATA})
    assert cache.load_session(sealed) == DATA
    raw = bytearray(base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4)))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    changed = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
    character = data.draw(st.integers(0, len(sealed) - 1))
    other = data.draw(st.sampled_from("ABCxyz019-_.~ \u00e9"))
    replaced = sealed[:character] + other + sealed[character + 1 :]
    for text in (
        changed,
        sealed[:-1],
        sealed + "A",
        sealed[: len(sealed) // 2],
        "",
        replaced if replaced != sealed else "x",
    ):
        with pytest.raises(TotoException) as caught:
            cache.load_session(text)
        assert caught.value.code in (-1, 1004)


def test_sealing_draws_anew_each_time_and_keys_can_be_changed() -> None:
    old, new = bytes(range(32)), bytes(range(32, 64))
    before = sealing_cache([old], minter=Minter())
    sealed = {before.store_session({"session_id": "", **DATA}) for _ in range(20)}
    assert len(sealed) == 20
    assert len({len(each) for each in sealed}) == 1
    between = sealing_cache([new, old], minter=Minter())
    assert all(between.load_session(each) == DATA for each in sealed)
    fresh = between.store_session({"session_id": "", **DATA})
    after = sealing_cache([new], minter=Minter())
    assert after.load_session(fresh) == DATA
    with pytest.raises(TotoException):
        after.load_session(sealed.pop())


def signature(key: str, verb: str, uri: str, body: bytes, *others: Any) -> str:
    return signing.request_signature(key, verb, uri, body, *others).decode()


def test_a_call_that_is_not_signed_is_refused(serve: Serve) -> None:
    site = serve(hmac_enabled=True)
    made = site.call("account.create", {"user_id": "ada", "password": PASSWORD})["result"]
    session, key = made["session_id"], made["key"]
    body = b'{"method": "who"}'
    right = signature(key, "POST", "/", body)

    def code(mac: str | None, sent: bytes = body, path: str = "/") -> int:
        headers = {"x-toto-session-id": session, **({"x-toto-hmac": mac} if mac is not None else {})}
        reply = site.client.request("POST", path, sent, headers=headers).json()
        assert ("session" in reply) == ("error" not in reply)
        return int(reply.get("error", {}).get("code", 0))

    assert code(right) == 0
    assert code(right) == 0  # repeats are refused only where that is asked for
    wrong = [
        None,
        "",
        "AAAA",
        right[:-1],
        right + "=",
        right.lower(),
        "\xe9",
        signature("x" * 22, "POST", "/", body),
    ]
    assert [code(mac) for mac in wrong] == [1008] * len(wrong)
    assert code(right, body + b" ") == 1008
    assert code(right, body, "/who") == 1008
    assert code(signature(key, "GET", "/", body)) == 1008


def test_a_signed_call_is_answered_once(serve: Serve) -> None:
    site = serve(hmac_enabled=True, hmac_replay_window=60)
    made = site.call("account.create", {"user_id": "ada", "password": PASSWORD})["result"]
    body = b'{"method": "who"}'
    clock = site.world.server.environment.clock

    def code(nonce: str | None, date: str | None) -> int:
        headers = {"x-toto-session-id": made["session_id"]}
        headers |= {
            name: value for name, value in (("x-toto-date", date), ("x-toto-nonce", nonce)) if value is not None
        }
        headers["x-toto-hmac"] = signature(made["key"], "POST", "/", body, "sha256", date, nonce)
        reply = site.client.request("POST", "/", body, headers=headers).json()
        return int(reply.get("error", {}).get("code", 0))

    def replayed(nonce: str, date: str, other: str, then: str) -> list[int]:
        """The codes of a signed call, and of the same bytes with another border between date, nonce and body."""
        form = b"method=who&a=1"
        headers = {"x-toto-session-id": made["session_id"], "content-type": "application/x-www-form-urlencoded"}
        headers["x-toto-hmac"] = signature(made["key"], "POST", "/who", form, "sha256", date, nonce)
        signed = date.encode() + nonce.encode() + form
        found = []
        for word, moment in ((nonce, date), (other, then)):
            headers |= {"x-toto-date": moment, "x-toto-nonce": word}
            body = signed[len(moment) + len(word) :]
            reply = site.client.request("POST", "/who", body, headers=headers).json()
            found.append(int(reply.get("error", {}).get("code", 0)))
        return found

    now = f"{clock.now():.3f}"
    assert replayed("once", now, now[-1] + "once", now[:-1]) == [0, 1008]
    assert replayed("1more", now, "more", now + "1") == [0, 1008]
    assert replayed("only", now, "onl", now) == [0, 1008]
    assert [code("one", now), code("one", now), code("two", now)] == [0, 1008, 0]
    assert [code(None, now), code("three", None), code("", now)] == [1008] * 3
    assert code("four", f"{clock.now() - 61:.0f}") == 1008
    assert code("five", f"{clock.now() + 62:.0f}") == 1008
    for date in ("nan", "inf", "1e9", "-5", "now", "9" * 400):
        assert code("six", date) == 1008
    site.later(200.0)
    assert code("one", now) == 1008  # too old by now, however long nonces are kept


@given(st.text("ABCabc019-_", min_size=1, max_size=60), st.data())
def test_a_signed_cookie_is_refused_when_any_byte_was_changed(value: str, data: st.DataObject) -> None:
    signer = Signer(["sixteen characters", "another secret of ours"])
    sealed = signer.seal("name", value)
    assert signer.open("name", sealed) == value
    assert Signer(["another secret of ours", "sixteen characters"]).open("name", sealed) == value
    assert signer.open("other", sealed) is None
    assert Signer(["another secret of ours"]).open("name", sealed) is None
    place = data.draw(st.integers(0, len(sealed) - 1))
    other = data.draw(st.sampled_from("ABCxyz019-_.~\u00e9"))
    changed = sealed[:place] + other + sealed[place + 1 :]
    for text in (changed if changed != sealed else "", sealed[:-1], sealed + "A", value, ""):
        assert signer.open("name", text) is None


# ---------------------------------------------------------------- who may do what


def test_a_role_that_was_taken_away_is_gone_with_the_next_call(serve: Serve) -> None:
    site = serve()
    session = site.join()
    assert site.code("admin") == 1004
    assert site.code("admin", {}, session) == 1016
    site.call("grant", {"user_id": "Ada", "roles": ["admin", "other"]})
    assert site.call("admin", {}, session)["result"] == "done"
    site.call("grant", {"user_id": "ada", "roles": []})
    assert site.code("admin", {}, session) == 1016


def test_an_api_key_opens_what_its_scopes_name(serve: Serve) -> None:
    site = serve()
    session = site.join()
    make = {"password": PASSWORD, "name": "mine", "scopes": ["who", "account.*"], "seconds": 100}
    assert site.code("account.create_key", {**make, "password": "wrong"}, session) == 1005
    assert site.code("account.create_key", {**make, "scopes": ["a b"]}, session) == 1003
    made = site.call("account.create_key", make, session)["result"]
    bearer = f"Bearer {made['key']}"
    assert site.call("who", {}, authorization=bearer) == {"result": "ada"}
    assert site.code("count", {}, authorization=bearer) == 1016
    assert site.code("account.create_key", make, authorization=bearer) == 1016
    assert site.code("who", {}, authorization=bearer[:-1]) == 1004
    [listed] = site.call("account.keys", {}, session)["result"]
    assert made["key"] not in str(listed)
    site.later(101.0)
    assert site.code("who", {}, authorization=bearer) == 1004
    other = site.call("account.create_key", make, session)["result"]
    assert site.call("account.revoke_key", {"key_id": other["key_id"]}, session)["result"] == {"revoked": 1}
    assert site.code("who", {}, authorization=f"Bearer {other['key']}") == 1004


def test_hashing_is_as_slow_as_is_promised() -> None:
    hashed = Passwords().hash("password", bytes(16))
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
