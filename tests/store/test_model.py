"""Whatever is done to accounts and sessions, in whatever order, is as in a dict: on every store, and in every cache.

Two processes share the store. Each step is a whole call in one of them, or two that race; the model is a few plain
dicts, and what each call is answered with has to be what the model says.
"""

import shutil
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from tests.core.keeping import code
from tests.core.test_caching import Shelf, Slow
from tests.servers import Redis, redis_server
from tests.store.modelling import Model, canonical, changes, delays, keys, names, passwords, picks, rooms
from tests.store.sites import Caller
from totohio import TotoSession, TotoSessionCache
from totohio.base.clocking import Minter
from totohio.core.ports import Store
from totohio.store.lmdb import LmdbStore
from totohio.store.reaching import RemoteStore
from totohio.store.redis import RedisDriver
from totohio.store.sealed import sealing_cache


class Whole(Model):
    """All that can be done."""

    # ------------------------------------------------------------ forgotten passwords

    @rule(room=rooms, name=names)
    def ask_for_a_code(self, room: int, name: str) -> None:
        keeper, now = self.site.rooms[room].keeper, self.clock.now()
        answer = self.call(room, lambda caller: keeper.resets.begin(caller.unit(), name))
        user = self.users.get(canonical(name))
        if now - self.asked.get(canonical(name), 0.0) < 60.0:
            assert answer == 1013
            return
        self.asked[canonical(name)] = now
        assert isinstance(answer, str) == (user is not None)
        if user is not None:
            user.code, user.coded = answer, now

    @rule(room=rooms, name=names, right=st.booleans(), new=passwords)
    def use_a_code(self, room: int, name: str, right: bool, new: str) -> None:
        keeper, user = self.site.rooms[room].keeper, self.users.get(canonical(name))
        shown = user.code if user is not None and user.code is not None and right else "x" * 32
        answer = self.call(room, lambda caller: keeper.resets.finish(caller.unit(), name, shown, new))
        if user is None or shown != user.code or self.clock.now() > user.coded + 600.0:
            assert answer == 1005
        else:
            assert answer is None
            user.code, user.password = None, new
            self.end_all(canonical(name))
            self.asked.pop(canonical(name))

    # ------------------------------------------------------------ sessions

    @precondition(lambda self: self.ids)
    @rule(room=rooms, number=picks)
    def use(self, room: int, number: int) -> None:
        self.with_session(room, number, lambda caller, session: None)

    @precondition(lambda self: self.ids)
    @rule(room=rooms, number=picks, some=changes, gone=keys)
    def save(self, room: int, number: int, some: dict[str, Any], gone: str) -> None:
        def call(caller: Caller, session: TotoSession) -> None:
            del session[gone]
            for key, value in some.items():
                session[key] = value
            session.save()

        id, answer = self.with_session(room, number, call)
        if answer is None:
            id.state.pop(gone, None)
            id.state.update(some)

    @precondition(lambda self: self.ids)
    @rule(room=rooms, number=picks, some=changes)
    def change_without_saving(self, room: int, number: int, some: dict[str, Any]) -> None:
        def call(caller: Caller, session: TotoSession) -> Any:
            for key, value in some.items():
                session[key] = value
            session.refresh()
            return dict(session.state)

        id, answer = self.with_session(room, number, call)
        assert answer in ("no session", id.state)

    @precondition(lambda self: self.ids)
    @rule(number=picks, one=keys, other=keys, again=keys | st.none(), delays=delays)
    def race_to_save(self, number: int, one: str, other: str, again: str | None, delays: tuple[int, int]) -> None:
        """One of them may save once more, after what it has not seen."""
        id = self.pick(number)
        if not self.alive(id):
            return
        self.with_session(0, number, lambda caller, session: None)  # so that nothing is renewed in the race
        id = next(known for known in reversed(self.ids) if known.life is id.life and self.alive(known))

        self.races += 1
        new = [f"{room}, race {self.races}" for room in (0, 1)]  # what nobody has written before

        def save(room: int, key: str) -> Any:
            def call(caller: Caller) -> TotoSession:
                session = self.current(caller, room)
                assert session is not None
                for _ in range(9):
                    yield None  # the other one has it by then, too
                session[key] = new[room]
                session.save()
                if room == 0 and again is not None:
                    for _ in range(9):
                        yield None
                    session[f"again {again}"] = new[room]
                    session.save()
                return session

            return call

        before = dict(id.state)
        second = {} if again is None else {f"again {again}": new[0]}
        answers = self.site.race(delays, (0, save(0, one), id.text), (1, save(1, other), id.text))
        errors = [code(answer) for answer in answers if isinstance(answer, Exception)]
        if self.merged:
            assert errors == ([1017] if one == other else [])
            found = self.site.call(0, lambda caller: self.current(caller, 0).state, id.text)  # type: ignore[union-attr]
            assert found in (
                {**before, one: new[0], other: new[1], **second},
                {**before, other: new[1], one: new[0], **second},
            )
            id.state = dict(found)
            return
        assert errors == []
        saved = [self.now(id, answer) for answer in answers]
        for one_id, key, value in zip(saved, (one, other), new, strict=True):
            found = self.call(0, lambda caller, id=one_id: caller.db_connection.retrieve_session(id.text)).state
            assert found in ({**before, one: new[0], **second}, {**before, other: new[1]})
            assert found.get(key) == value or not self.cache.client_held  # type: ignore[union-attr]
            one_id.state = dict(found)

    @precondition(lambda self: self.ids)
    @rule(room=rooms, number=picks, then=st.booleans())
    def log_out(self, room: int, number: int, then: bool) -> None:
        def call(caller: Caller, session: TotoSession) -> Any:
            caller.db_connection.remove_session(session.session_id)
            if then:
                session["a"] = "after the end"
                session.save()
            return "over"

        id, answer = self.with_session(room, number, call)
        if answer == "no session":
            return
        if then:
            assert answer == 1004
        id.life.over = True

    @precondition(lambda self: self.ids)
    @rule(number=picks, delays=delays)
    def race_to_save_and_to_log_out(self, number: int, delays: tuple[int, int]) -> None:
        id = self.pick(number)
        if not self.alive(id):
            return

        def save(caller: Caller) -> Any:
            session = self.current(caller, 0)
            if session is None:
                return None
            yield None
            session["a"] = 1
            session.save()
            return session

        def remove(caller: Caller) -> Any:
            yield None
            caller.db_connection.remove_session(id.text)

        saved, removed = self.site.race(delays, (0, save, id.text), (1, remove, id.text))
        assert removed is None
        id.life.over = True
        if isinstance(saved, TotoSession):
            self.now(id, saved)
        else:
            assert code(saved) in (None, 1004)

    @rule(room=rooms, name=names)
    def clear(self, room: int, name: str) -> None:
        answer = self.call(room, lambda caller: caller.db_connection.clear_sessions(name))
        assert answer == (None if canonical(name) in self.users else 1005)
        self.end_all(canonical(name))

    @precondition(lambda self: self.ids)
    @rule(room=rooms, number=picks)
    def revoke_the_others(self, room: int, number: int) -> None:
        accounts = self.site.rooms[room].keeper.accounts

        def call(caller: Caller, session: TotoSession) -> Any:
            if not session.user_id:
                return "nobody"
            accounts.end_sessions(caller.unit(), session.user_id, lambda account: None, keep=session)
            return "revoked"

        id, answer = self.with_session(room, number, call)
        if answer == "revoked":
            self.end_all(id.life.user, id)
            self.begin_again(id)

    # ------------------------------------------------------------ API keys

    @rule(room=rooms, name=names, seconds=st.sampled_from([0.0, 50.0, 5000.0]))
    def create_key(self, room: int, name: str, seconds: float) -> None:
        key, now = self.site.rooms[room].keeper.keys, self.clock.now()
        text, made = self.call(room, lambda caller: key.create(caller.unit(), canonical(name), "x", ("*",), seconds))
        self.api[text] = (canonical(name), made.key_id, now + seconds if seconds else 1e12)

    @precondition(lambda self: self.api)
    @rule(room=rooms, number=picks, mine=st.booleans())
    def end_key(self, room: int, number: int, mine: bool) -> None:
        text = list(self.api)[number % len(self.api)]
        user, key_id, ends = self.api[text]
        owner, rules = user if mine else "mallory", self.site.rooms[room].keeper.keys
        answer = self.call(room, lambda caller: rules.end(caller.unit(), owner, key_id))
        assert answer <= mine
        if self.clock.now() < ends:
            assert answer == mine
        if mine:
            del self.api[text]

    @precondition(lambda self: self.api)
    @rule(room=rooms)
    def use_keys(self, room: int) -> None:
        rules = self.site.rooms[room].keeper.keys
        for text, (user, key_id, ends) in self.api.items():
            found = self.call(room, lambda caller, text=text: rules.find(caller.unit(), text))
            assert (found is not None) == (self.clock.now() < ends)
            assert found is None or (found.user_id, found.key_id) == (user, key_id)

    # ------------------------------------------------------------ time, and ends

    @rule(name=names)
    def crash_before_anything_is_sent(self, name: str) -> None:
        """What was written is lost with its process, and nobody was told of it."""
        self.site.crash(0, lambda caller: caller.db_connection.create_account(f"new {name}", "password"))
        answer = self.call(1, lambda caller: caller.db_connection.login(f"new {name}", "password"))
        assert answer == 1005

    @rule(room=rooms)
    def look_at_all(self, room: int) -> None:
        for name, user in self.users.items():
            account = self.call(
                room, lambda caller, name=name: self.site.rooms[room].keeper.accounts.get(caller.unit(), name)
            )
            assert account.roles == user.roles
            found = self.call(room, lambda caller, name=name: caller.db_connection.get_account(name))
            assert {key: found[key] for key in found} == user.properties
        for id in list(self.ids):
            session = self.call(room, lambda caller, id=id: caller.db_connection.retrieve_session(id.text))
            assert (session is not None) == self.alive(id)
            if session is not None:
                assert (session.user_id, session.expires, session.state) == (id.life.user, id.expires, id.state)

    @invariant()
    def nothing_waits(self) -> None:
        assert not any(room.keeper.journal.busy for room in self.site.rooms)


# ---------------------------------------------------------------- stores


class InMemory(Whole):
    """In memory."""


class InLmdb(Whole):
    """In files."""

    copies = 0

    def make(self) -> Store:
        return LmdbStore(f"{self.place}/{self.copies}", threads=self.site.threads, first_size=1 << 20)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = self.make()
        self.site.open(self.store, self.cache)

    @rule()
    def fail(self) -> None:
        """The machine is gone; its disk is put into another one."""
        before = Path(self.place, str(self.copies))
        self.copies += 1
        after = Path(self.place, str(self.copies))
        after.mkdir()
        shutil.copy(before / "data.mdb", after)
        self.store.close()
        self.store = self.make()
        self.site.open(self.store, self.cache)


class InRedis(Whole):
    """In a Redis server."""

    server: ClassVar[Redis]
    restarted = False

    def begin(self) -> float:
        return time.time()  # Redis has a clock of its own; the model's runs ahead of it

    def make(self) -> Store:
        with self.server.client() as client:
            client.flushall()
        return self.reach()

    def reach(self) -> Store:
        return RemoteStore(RedisDriver(self.server.url), threads=self.site.threads, clock=self.clock)

    @precondition(lambda self: not self.restarted)
    @rule()
    def kill_the_server(self) -> None:
        self.restarted = True
        self.server.kill()
        self.server.start()

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = self.reach()
        self.site.open(self.store, self.cache)


class OnShelf(Whole):
    """Sessions in a cache of the user's, and the rest in memory."""

    cached = True
    merged = False

    def make_cache(self) -> TotoSessionCache | None:
        return Shelf()


class OnSlowShelf(OnShelf):
    """Sessions in a cache that blocks."""

    def make_cache(self) -> TotoSessionCache | None:
        return Slow()


class WithClients(OnShelf):
    """Sessions that their clients hold."""

    def make_cache(self) -> TotoSessionCache | None:
        return sealing_cache([b"k" * 32], minter=Minter())


def run(model: type[Whole], folder: Path, examples: int) -> None:
    """Do all sorts of things."""
    model.folder = folder
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        model,
        settings=settings(max_examples=examples, stateful_step_count=40, deadline=None, suppress_health_check=checks),
    )


@pytest.mark.parametrize("model", [InMemory, InLmdb, OnShelf, OnSlowShelf, WithClients])
def test_accounts_and_sessions_are_as_in_a_dict(model: type[Whole], tmp_path: Path) -> None:
    run(model, tmp_path, 40)


def test_accounts_and_sessions_in_redis_are_as_in_a_dict(tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis") as server:
        InRedis.server = server
        run(InRedis, tmp_path, 25)
