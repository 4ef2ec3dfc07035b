"""Accounts and sessions are what a dictionary would make of them, over HTTP, on every store, whatever is done when."""

import base64
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tests.servers import Redis, redis_server
from tests.support import World
from totohio import TotoSessionCache
from totohio.base.clocking import Clock

TTL, LIFETIME, GRAIN = 1000, 5000, 60
USERS = st.sampled_from(["ada", "Bob", "\u00e9mile"])
PASSWORDS = st.sampled_from(["one", "two", "thr\u00e9e"])
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.text(max_size=5), st.lists(st.integers(0, 9), max_size=3)
)
PROPERTIES = st.dictionaries(st.sampled_from("xyz"), VALUES, max_size=2)
METHODS = {
    "__init__": "from totohio.app.methods import account\n",
    "put": (
        "from totohio import *\n@authenticated\ndef invoke(handler, parameters):\n"
        "    for key, value in parameters['values'].items():\n        handler.session[key] = value\n"
        "    handler.session.save()\n    return True\n"
    ),
    "get": (
        "from totohio import *\n@authenticated\ndef invoke(handler, parameters):\n"
        "    account = handler.session.get_account()\n"
        "    return [handler.session.user_id, handler.session.state, {name: account[name] for name in account}]\n"
    ),
}
SERVERS: dict[str, Redis] = {}


class Toy(TotoSessionCache):
    """A cache as a user might write it."""

    def __init__(self) -> None:
        self.sessions: dict[str, dict[str, Any]] = {}

    def store_session(self, session_data: dict[str, Any]) -> None:
        self.sessions[session_data["session_id"]] = dict(session_data)

    def load_session(self, session_id: str) -> dict[str, Any] | None:
        return self.sessions.get(session_id)

    def remove_session(self, session_id: str) -> None:
        self.sessions.pop(session_id, None)


class Blocking(Toy):
    """One whose methods may block."""

    blocking = True


class Kept:
    """A session as the model has it."""

    def __init__(self, user: str, session_id: str, now: float) -> None:
        self.user, self.id, self.created = user, session_id, now
        self.expires = now + TTL
        self.state: dict[str, Any] = {}
        self.over = False


class Model(RuleBasedStateMachine):
    """A server with one client, beside a model of it."""

    options: ClassVar[dict[str, Any]] = {"database": "memory"}
    cache: ClassVar[type[Toy] | None] = None
    lists = True  # sessions can be listed and ended from another

    sessions = Bundle("sessions")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        options = dict(self.options)
        if options["database"] == "lmdb":
            options["database_path"] = str(self.folder / "data")
        if options["database"] == "redis":
            options |= {"database_url": SERVERS["redis"].url, "database_prefix": str(self.folder)}
        quick = {"password_memory": 64, "password_time": 1, "login_throttle": False, "password_rules": "never"}
        ends = {"session_ttl": TTL, "session_lifetime": LIFETIME, "session_renew_granularity": GRAIN}
        self.world = World(self.folder, METHODS, **quick, **ends, **options)
        self.now = float(int(Clock().now()))  # Redis has a clock of its own, by which what is long over is gone
        self.world.server.environment.clock.now = lambda: self.now  # type: ignore[method-assign]
        if self.cache is not None:
            keeper = self.world.server.built.dispatcher.keeper
            assert keeper is not None
            keeper.connect().set_session_cache(self.cache())
        self.client = self.world.connect()
        self.passwords: dict[str, str] = {}
        self.properties: dict[str, dict[str, Any]] = {}
        self.kept: list[Kept] = []

    def teardown(self) -> None:
        self.world.close()
        shutil.rmtree(self.folder)

    def call(self, method: str, parameters: Any, session: Kept | None = None) -> Any:
        headers = {"x-toto-session-id": session.id} if session is not None else {}
        reply = self.client.post("/", {"method": method, "parameters": parameters}, headers=headers).json()
        if "error" in reply:
            return reply["error"]["code"]
        if session is not None:
            self.renew(session)
            assert reply["session"]["expires"] == session.expires
            session.id = reply["session"]["session_id"]
        return reply["result"]

    def renew(self, session: Kept) -> None:
        end = min(self.now + TTL, session.created + LIFETIME)
        if end - session.expires >= GRAIN:
            session.expires = end

    def good(self, session: Kept) -> bool:
        return not session.over and session.expires > self.now

    @rule(target=sessions, user=USERS, password=PASSWORDS, values=PROPERTIES)
    def create(self, user: str, password: str, values: dict[str, Any]) -> Kept | None:
        found = self.call("account.create", {"user_id": user, "password": password, **values})
        name = user.lower()
        if name in self.passwords:
            assert found == 1006
            return None
        self.passwords[name], self.properties[name] = password, values
        return self.opened(name, found)

    @rule(target=sessions, user=USERS, password=PASSWORDS)
    def login(self, user: str, password: str) -> Kept | None:
        found = self.call("account.login", {"user_id": user, "password": password})
        if self.passwords.get(user.lower()) != password:
            assert found == 1005
            return None
        return self.opened(user.lower(), found)

    def opened(self, name: str, found: Any) -> Kept:
        assert found["user_id"] == name
        session = Kept(name, found["session_id"], self.now)
        assert found["expires"] == session.expires
        self.kept.append(session)
        return session

    @rule(session=sessions, values=st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3))
    def put(self, session: Kept | None, values: dict[str, Any]) -> None:
        if session is not None:
            good = self.good(session)
            found = self.call("put", {"values": values}, session if good else copied(session))
            assert found == (True if good else 1004)
            if good:
                session.state |= values

    @rule(session=sessions)
    def get(self, session: Kept | None) -> None:
        if session is not None:
            good = self.good(session)
            wanted = [session.user, session.state, self.properties[session.user]]
            assert self.call("get", {}, session if good else copied(session)) == (wanted if good else 1004)

    @rule(session=sessions, password=PASSWORDS, values=PROPERTIES)
    def update(self, session: Kept | None, password: str, values: dict[str, Any]) -> None:
        if session is not None and self.good(session):
            found = self.call("account.update", {"password": password, **values}, session)
            if self.passwords[session.user] != password:
                assert found == 1005
                self.used(session)
                return
            assert found == {"updated_fields": list(values)}
            self.properties[session.user] = {**self.properties[session.user], **values}

    @rule(session=sessions, password=PASSWORDS, new=PASSWORDS)
    def change(self, session: Kept | None, password: str, new: str) -> None:
        self.now += 1.0  # sessions that clients hold are ended by when they began
        if session is not None and self.good(session):
            found = self.call("account.update", {"password": password, "new_password": new}, session)
            if self.passwords[session.user] != password:
                assert found == 1005
                self.used(session)
                return
            assert found == {"updated_fields": ["password"]}
            self.passwords[session.user] = new
            self.end_others(session)
            if not self.lists:
                session.created = self.now
            self.now += 1.0

    def used(self, session: Kept) -> None:
        """A call has used a session, and its reply was an error."""
        self.renew(session)

    @rule(session=sessions)
    def revoke(self, session: Kept | None) -> None:
        if session is not None and self.good(session) and self.lists:
            self.call("account.revoke", {}, session)
            self.end_others(session)
            assert [each["current"] for each in self.call("account.sessions", {}, session)] == [True]

    def end_others(self, session: Kept) -> None:
        for each in self.kept:
            if each.user == session.user and each is not session:
                each.over = True

    @rule(session=consumes(sessions))
    def logout(self, session: Kept | None) -> None:
        if session is not None and self.good(session):
            assert self.call("account.logout", {}, session) == {"authenticated": False}
            session.over = True
            assert self.call("get", {}, copied(session)) == 1004

    @rule(seconds=st.sampled_from([1.0, 59.0, 61.0, 500.0, 999.0, 1001.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def sweep(self) -> None:
        self.world.advance(20.0)

    @invariant()
    def nobody_is_let_in_by_a_guess(self) -> None:
        assert self.call("get", {}, Kept("", "A" * 22, self.now)) in (1004, -1)


def copied(session: Kept) -> Kept:
    """The same id, for a call that is to be refused and is no use of the session."""
    return Kept(session.user, session.id, session.created)


class OnLmdb(Model):
    options: ClassVar[dict[str, Any]] = {"database": "lmdb"}


class OnRedis(Model):
    options: ClassVar[dict[str, Any]] = {"database": "redis"}


class Sealed(Model):
    """Sessions whose clients hold them; one that changes the password begins anew."""

    options: ClassVar[dict[str, Any]] = {"database": "memory", "session_keys": base64.b64encode(bytes(32)).decode()}
    lists = False

    def used(self, session: Kept) -> None:
        """Nothing: a reply that is an error brings its client no new id, and the old one says when it ends."""


class InToy(Model):
    cache = Toy
    lists = False


class InBlocking(Model):
    cache = Blocking
    lists = False


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        SERVERS["redis"] = server
        yield


LIMITS = settings(max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
TestOnMemory = Model.TestCase
TestOnMemory.settings = LIMITS
TestOnLmdb = OnLmdb.TestCase
TestOnLmdb.settings = LIMITS
TestOnRedis = OnRedis.TestCase
TestOnRedis.settings = settings(LIMITS, max_examples=12)
TestSealed = Sealed.TestCase
TestSealed.settings = LIMITS
TestInToy = InToy.TestCase
TestInToy.settings = LIMITS
TestInBlocking = InBlocking.TestCase
TestInBlocking.settings = settings(LIMITS, max_examples=12)
