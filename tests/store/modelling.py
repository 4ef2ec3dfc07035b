"""Accounts and sessions as plain dicts, and the calls that have to do the same to both."""

import math
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.core.keeping import START, Wall, code
from tests.store.sites import ROOMS, Caller, Site
from totohio import TotoException, TotoSession, TotoSessionCache
from totohio.core.ports import Store
from totohio.store.memory import MemoryStore

TTL, ANON_TTL, LIFETIME, GRANULARITY = 3000.0, 1000.0, 9000.0, 60.0  # seconds
LIVES = {"session_ttl": TTL, "anon_session_ttl": ANON_TTL, "session_lifetime": LIFETIME}
WRONG = "the wrong password"

names = st.sampled_from(["ada", "Ada", "bob", "\u00c9mile", "E\u0301mile"])
passwords = st.sampled_from(["one", "two", "three"])
keys = st.sampled_from("abc")
values = st.one_of(st.integers(0, 3), st.sampled_from([None, True, [1], {"x": b"\0"}, "\u00e9"]))
changes = st.dictionaries(keys, values, min_size=1, max_size=2)
rooms = st.integers(0, ROOMS - 1)
delays = st.tuples(st.integers(0, 4), st.integers(0, 4))  # cycles until calls that race begin
picks = st.integers(0, 1000)


class User:
    """An account, as the model has it."""

    def __init__(self, password: str, properties: dict[str, Any]) -> None:
        self.password = password
        self.properties = dict(properties)
        self.roles: list[str] = []
        self.code: str | None = None  # for a forgotten password,
        self.coded = 0.0  # and when it was made


class Life:
    """A session, which may have several ids where its client holds it."""

    def __init__(self, user: str, created: float) -> None:
        self.user = user
        self.created = created
        self.over = False


class Id:
    """What an id of a session opens."""

    def __init__(self, life: Life, session: TotoSession) -> None:
        self.life = life
        self.text = session.session_id
        self.expires = session.expires
        self.begun = life.created
        self.state: dict[str, Any] = {}
        self.over = False


def canonical(name: str) -> str:
    return {"\u00c9mile": "\u00e9mile", "E\u0301mile": "\u00e9mile"}.get(name, name.lower())


class Model(RuleBasedStateMachine):
    """Accounts and sessions in a store."""

    folder: ClassVar[Path]
    cached = False  # sessions are not in the store
    merged = True  # two who change different keys of one session both succeed

    def __init__(self) -> None:
        super().__init__()
        self.clock = Wall(self.begin())
        self.site = Site(self.clock, **LIVES, session_renew_granularity=GRANULARITY)
        self.place = tempfile.mkdtemp(dir=self.folder)
        self.store = self.make()
        self.cache = self.make_cache()
        self.site.open(self.store, self.cache)
        self.users: dict[str, User] = {}
        self.ids: list[Id] = []
        self.cutoffs: dict[str, float] = {}
        self.races = 0
        self.asked: dict[str, float] = {}  # when a code for a forgotten password was asked for, for whomever
        self.api: dict[str, tuple[str, str, float]] = {}  # API keys: whose, their ids, when they end

    def begin(self) -> float:
        """When it begins, in Unix seconds."""
        return START

    def make(self) -> Store:
        return MemoryStore()

    def make_cache(self) -> TotoSessionCache | None:
        return None

    def teardown(self) -> None:
        self.store.close()

    # ------------------------------------------------------------ the model

    def alive(self, id: Id) -> bool:
        now = self.clock.now()
        return not id.over and not id.life.over and id.expires > now and id.begun + LIFETIME > now

    def pick(self, number: int) -> Id:
        return self.ids[number % len(self.ids)]

    def known(self, session: TotoSession, user: str) -> None:
        """A session has been opened."""
        now = self.clock.now()
        assert session.user_id == user
        assert session.session_id not in [id.text for id in self.ids]
        id = Id(Life(user, max(now, self.cutoffs.get(user, 0.0)) if self.cached else now), session)
        assert id.expires == min(now + (TTL if user else ANON_TTL), now + LIFETIME)
        self.ids.append(id)

    def moved(self, id: Id, session: TotoSession) -> Id:
        """A session has been used: its end may have moved, and its id where the client holds it."""
        now = self.clock.now()
        ttl = TTL if id.life.user else ANON_TTL
        end = min(now + ttl, id.begun + LIFETIME)
        told = session.expires
        assert told in (id.expires, end)
        if end - id.expires >= max(GRANULARITY, ttl / 10):
            assert told == end, "it was to be renewed"
        if end - id.expires < min(GRANULARITY, ttl / 10):
            assert told == id.expires, "it was renewed too soon"
        id = self.now(id, session)
        id.expires = told
        return id

    def now(self, id: Id, session: TotoSession) -> Id:
        """The id that a session has now."""
        if session.session_id == id.text:
            return id
        assert self.cached
        later = Id(id.life, session)
        later.begun, later.state, later.expires = id.begun, dict(id.state), id.expires
        self.ids.append(later)
        return later

    def end_all(self, user: str, but: Id | None = None) -> None:
        # In a cache, what began until then is over, and what begins later does so after it.
        begun = [id.begun for id in self.ids if id.life.user == user]
        self.cutoffs[user] = math.nextafter(max(self.clock.now(), *begun, self.cutoffs.get(user, 0.0)), math.inf)
        for id in self.ids:
            if id.life.user == user and (but is None or id.text != but.text):
                id.over = True

    # ------------------------------------------------------------ calls

    def call(self, room: int, function: Any, session_id: str | None = None) -> Any:
        """What a call is answered with: its result, or the code of the error."""
        try:
            return self.site.call(room, function, session_id)
        except TotoException as error:
            return error.code

    def current(self, caller: Caller, room: int) -> TotoSession | None:
        """The session that a call comes with, as marks load it."""
        return self.site.rooms[room].keeper.admitter.current(caller)

    def with_session(self, room: int, number: int, function: Any) -> tuple[Id, Any]:
        """Make a call with a session, which has to be there when it is alive, and only then."""
        id = self.pick(number)
        wanted = self.alive(id)
        before = dict(id.state)
        seen: list[Id] = []

        def call(caller: Caller) -> Any:
            session = self.current(caller, room)
            if session is None:
                return "no session"
            assert session.user_id == id.life.user
            assert session.state == before
            seen.append(self.moved(id, session))
            result = function(caller, session)
            seen.append(self.now(seen[0], session))
            return result

        answer = self.call(room, call, id.text)
        assert (answer != "no session") == wanted
        return (seen[-1] if seen else id), answer

    # ------------------------------------------------------------ accounts

    @rule(room=rooms, name=names, password=passwords, properties=changes)
    def create(self, room: int, name: str, password: str, properties: dict[str, Any]) -> None:
        answer = self.call(room, lambda caller: caller.db_connection.create_account(name, password, properties))
        assert answer == (1006 if canonical(name) in self.users else None)
        self.users.setdefault(canonical(name), User(password, properties))

    @rule(name=names, password=passwords, delays=delays)
    def race_to_create(self, name: str, password: str, delays: tuple[int, int]) -> None:
        def create(number: int) -> Any:
            return lambda caller: caller.db_connection.create_account(name, f"{password} {number}", {"a": number})

        answers = [
            code(answer) for answer in self.site.race((0, *delays), *((n % 2, create(n), None) for n in range(3)))
        ]
        if canonical(name) in self.users:
            assert answers == [1006] * 3
        else:
            assert sorted(map(str, answers)) == ["1006", "1006", "None"]
            winner = answers.index(None)
            self.users[canonical(name)] = User(f"{password} {winner}", {"a": winner})

    @rule(room=rooms, name=names, right=st.booleans())
    def login(self, room: int, name: str, right: bool) -> None:
        user = self.users.get(canonical(name))
        password = user.password if user is not None and right else WRONG
        answer = self.call(room, lambda caller: caller.db_connection.login(name, password))
        if user is None or not right:
            assert answer == 1005
        else:
            self.known(answer, canonical(name))

    @rule(room=rooms)
    def open_anonymous(self, room: int) -> None:
        self.known(self.call(room, lambda caller: caller.db_connection.create_session()), "")

    @rule(room=rooms, name=names, properties=changes, gone=keys)
    def set_properties(self, room: int, name: str, properties: dict[str, Any], gone: str) -> None:
        def change(caller: Caller) -> Any:
            account = caller.db_connection.get_account(name)
            found = {key: account[key] for key in account}
            del account[gone]
            for key, value in properties.items():
                account[key] = value
            account.save()
            return found

        answer = self.call(room, change)
        user = self.users.get(canonical(name))
        if user is None:
            assert answer == 1005
        else:
            assert answer == user.properties
            user.properties.pop(gone, None)
            user.properties.update(properties)

    @rule(name=names, one=changes, other=changes, delays=delays)
    def race_to_set_properties(self, name: str, one: Any, other: Any, delays: tuple[int, int]) -> None:
        def change(properties: dict[str, Any]) -> Any:
            def call(caller: Caller) -> None:
                account = caller.db_connection.get_account(name)
                for key, value in properties.items():
                    account[key] = value
                account.save()

            return call

        answers = [code(answer) for answer in self.site.race(delays, (0, change(one), None), (1, change(other), None))]
        user = self.users.get(canonical(name))
        assert answers == ([1005] * 2 if user is None else [None] * 2)
        if user is not None:
            account = self.site.call(0, lambda caller: caller.db_connection.get_account(name))
            found = {key: account[key] for key in account}
            assert found in ({**user.properties, **one, **other}, {**user.properties, **other, **one})
            user.properties = found

    @rule(room=rooms, name=names, roles=st.lists(st.sampled_from(["x", "y"]), max_size=3))
    def set_roles(self, room: int, name: str, roles: list[str]) -> None:
        answer = self.call(room, lambda caller: caller.db_connection.set_roles(name, roles))
        if canonical(name) in self.users:
            assert answer is None
            self.users[canonical(name)].roles = sorted(set(roles))
        else:
            assert answer == 1005

    # ------------------------------------------------------------ passwords

    @precondition(lambda self: self.ids)
    @rule(room=rooms, number=picks, right=st.booleans(), new=st.none() | passwords, properties=changes)
    def update(self, room: int, number: int, right: bool, new: str | None, properties: dict[str, Any]) -> None:
        user = self.users.get(self.pick(number).life.user)
        if user is None:
            return
        parameters = {**properties, "password": user.password if right else WRONG}
        if new is not None:
            parameters["new_password"] = new

        def call(caller: Caller, session: TotoSession) -> Any:
            reserved = ("password", "new_password")
            return caller.db_connection.update_account(session, parameters, reserved)["updated_fields"]

        id, answer = self.with_session(room, number, call)
        if answer == "no session":
            return
        if not right:
            assert answer == 1005
            return
        assert sorted(answer) == sorted([*properties, *(["password"] if new is not None else [])])
        user.properties.update(properties)
        if new is not None:
            user.password = new
            self.end_all(id.life.user, id)
            self.begin_again(id)

    def begin_again(self, id: Id) -> None:
        """The session in whose call all others of the user were ended."""
        if self.cached:
            id.begun = self.cutoffs[id.life.user]

    @rule(room=rooms, name=names, right=st.booleans(), new=passwords)
    def change_password(self, room: int, name: str, right: bool, new: str) -> None:
        user = self.users.get(canonical(name))
        old = user.password if user is not None and right else WRONG
        answer = self.call(room, lambda caller: caller.db_connection.change_password(name, old, new))
        assert answer == (None if user is not None and right else 1005)
        if user is not None and right:
            user.password = new
            self.end_all(canonical(name))

    @rule(name=names, delays=delays)
    def race_to_change_the_password_and_to_log_in(self, name: str, delays: tuple[int, int]) -> None:
        user = self.users.get(canonical(name))
        if user is None:
            return
        old, new = user.password, f"{user.password}!"[-20:]
        changed, session = self.site.race(
            delays,
            (0, lambda caller: caller.db_connection.change_password(name, old, new), None),
            (1, lambda caller: caller.db_connection.login(name, old), None),
        )
        assert changed is None
        user.password = new
        if isinstance(session, TotoSession):
            self.known(session, canonical(name))
        else:
            assert code(session) == 1005
        self.end_all(canonical(name))

    @rule(room=rooms, name=names)
    def generate_password(self, room: int, name: str) -> None:
        answer = self.call(room, lambda caller: caller.db_connection.generate_password(name))
        if canonical(name) in self.users:
            self.users[canonical(name)].password = answer
            self.end_all(canonical(name))
        else:
            assert answer == 1005

    # ------------------------------------------------------------ time

    @rule(seconds=st.sampled_from([0.0, 1.0, 30.0, 61.0, 200.0, ANON_TTL, TTL]))
    def wait(self, seconds: float) -> None:
        self.clock.time += seconds

    @precondition(lambda self: any(map(self.alive, self.ids)))
    @rule(room=rooms, number=picks, early=st.booleans(), swept=st.booleans())
    def wait_for_the_end_of_a_session(self, room: int, number: int, early: bool, swept: bool) -> None:
        living = [id for id in self.ids if self.alive(id)]
        id = living[number % len(living)]
        self.clock.time = max(self.clock.time, id.expires - early)
        if swept:
            self.sweep()
        found = self.call(room, lambda caller: caller.db_connection.retrieve_session(id.text))
        assert (found is not None) == self.alive(id) == (early and id.expires > self.clock.time)

    @rule()
    def sweep(self) -> None:
        self.site.sweep()
