"""Sessions in a cache: a plain one, one whose methods block, and one whose clients hold them."""

from typing import Any

import pytest

from tests.core.keeping import START, Desk, Numbers, Process, Wall, code, failures
from totohio import TotoSession, TotoSessionCache
from totohio.base.errors import TotoException
from totohio.core.committing import Unit
from totohio.core.ports import StoreError
from totohio.store.memory import MemoryStore
from totohio.store.sealed import sealing_cache

DAY = 86_400.0


class Shelf(TotoSessionCache):
    """A cache of a user."""

    def __init__(self) -> None:
        self.sessions: dict[str, dict[str, Any]] = {}
        self.broken = False

    def store_session(self, session_data: dict[str, Any]) -> None:
        self._look()
        self.sessions[session_data["session_id"]] = dict(session_data)

    def load_session(self, session_id: str) -> dict[str, Any] | None:
        self._look()
        return self.sessions.get(session_id)

    def remove_session(self, session_id: str) -> None:
        self._look()
        self.sessions.pop(session_id, None)

    def _look(self) -> None:
        if self.broken:
            raise StoreError("the shelf has fallen")


class Slow(Shelf):
    """One that may block."""

    blocking = True


def sealed() -> TotoSessionCache:
    return sealing_cache([b"k" * 32], minter=Numbers("sealed"))


class House:
    """Two processes with one store and one cache, and a user who has logged in."""

    def __init__(self, cache: TotoSessionCache, local: bool) -> None:
        self.clock = Wall()
        self.cache = cache
        records = MemoryStore()
        self.one, self.two = (
            Process(Desk(records, local=local, held=False), clock=self.clock, cache=cache, name=name, ttl=DAY)
            for name in ("one", "two")
        )
        self.one.call(self.one.accounts.create, "ada", "old", {})
        self.session_id = self.login().session_id

    def login(self) -> TotoSession:
        """Open a session for the user."""
        return self.one.call(self.one.accounts.login, "ada", lambda account: None)  # type: ignore[no-any-return]

    def find(self, session_id: str | None = None, process: Process | None = None) -> TotoSession | None:
        """A whole call that looks for a session."""
        process = process or self.two
        return process.call(process.sessions.find, session_id or self.session_id)  # type: ignore[no-any-return]

    def use(self, function: Any, session_id: str | None = None) -> Any:
        """A whole call that does something with a session."""

        def call(unit: Unit) -> Any:
            session = self.one.sessions.find(unit, session_id or self.session_id)
            assert session is not None
            return function(unit, session)

        return self.one.call(call)

    def end(self, session_id: str | None = None) -> None:
        """Log out."""
        self.use(self.one.sessions.end, session_id)

    def renewed(self, session_id: str | None = None) -> TotoSession:
        """Use a session, as calls do."""

        def function(unit: Unit, session: TotoSession) -> TotoSession:
            self.one.sessions.renew(session)
            return session

        return self.use(function, session_id)  # type: ignore[no-any-return]

    def change_password(self, keep: str | None = None) -> TotoSession | None:
        """Set a password; give the session that stays."""

        def function(unit: Unit) -> TotoSession | None:
            kept = self.one.sessions.find(unit, keep) if keep is not None else None
            self.one.accounts.change_password(unit, "ada", "new", keep=kept)
            return kept

        return self.one.call(function)  # type: ignore[no-any-return]


@pytest.fixture(params=[True, False], ids=["local", "remote"])
def local(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=[Shelf, Slow, sealed], ids=["shelf", "slow", "sealed"])
def house(request: pytest.FixtureRequest, local: bool) -> House:
    return House(request.param(), local)


def save(**changes: Any) -> Any:
    def function(unit: Unit, session: TotoSession) -> str:
        for key, value in changes.items():
            session[key] = value
        session.save()
        return session.session_id

    return function


# ---------------------------------------------------------------- kept


def test_what_is_saved_is_found_by_all_processes(house: House) -> None:
    session_id = house.use(save(a=[1, b"\0"]))
    found = house.find(session_id)
    assert found is not None
    assert (found.user_id, found.state, found.session_id) == ("ada", {"a": [1, b"\0"]}, session_id)
    assert found.expires == START + DAY
    assert house.use(lambda unit, session: session.get_account().user_id, session_id) == "ada"


def test_anonymous_ones_are_kept_there_too(house: House) -> None:
    session = house.one.call(house.one.sessions.open_anonymous)
    found = house.find(session.session_id)
    assert found is not None
    assert found.user_id == ""
    assert len(house.one.store.records._values) == 1  # type: ignore[attr-defined]  # the account


def test_it_is_over_at_its_end(house: House) -> None:
    house.clock.time = START + DAY - 1.0
    assert house.find() is not None
    house.clock.time = START + DAY
    assert house.find() is None


def test_using_it_moves_its_end_and_the_id_that_is_told_has_it(house: House) -> None:
    house.clock.time = START + 30.0
    assert house.renewed().expires == START + DAY
    house.clock.time = START + 120.0
    session = house.renewed()
    assert session.expires == START + 120.0 + DAY
    found = house.find(session.session_id)
    assert found is not None
    assert found.expires == session.expires


@pytest.mark.parametrize("cache", [Shelf, Slow])
def test_when_its_end_cannot_be_moved_it_tells_the_old_one_and_the_call_goes_on(local: bool, cache: Any) -> None:
    house = House(cache(), local)
    house.clock.time = START + 120.0

    def function(unit: Unit, session: TotoSession) -> float:
        house.cache.broken = True  # type: ignore[attr-defined]
        house.one.sessions.renew(session)
        return session.expires

    assert house.use(function) == START + DAY


@pytest.mark.parametrize("cache", [Shelf, Slow])
def test_a_cache_that_is_down_fails_the_calls_that_need_it(local: bool, cache: Any) -> None:
    house = House(cache(), local)
    house.cache.broken = True  # type: ignore[attr-defined]
    for call in (house.find, house.end, house.login):
        with pytest.raises(StoreError):
            call()
    house.cache.broken = False  # type: ignore[attr-defined]
    assert house.find() is not None


# ---------------------------------------------------------------- in worker threads


def test_a_cache_that_blocks_is_asked_in_a_thread_and_others_go_on() -> None:
    house = House(Slow(), True)
    process = house.one
    process.held = True
    ends = process.start(process.sessions.find, process.unit(), house.session_id)
    assert ends == []
    assert process.start(process.accounts.find, process.unit(), "ada")
    process.work()
    process.step()
    assert ends[0].user_id == "ada"


def test_one_that_does_not_block_is_asked_at_once() -> None:
    house = House(Shelf(), True)
    house.one.held = True
    [session] = house.one.start(house.one.sessions.find, house.one.unit(), house.session_id)
    assert session.user_id == "ada"


# ---------------------------------------------------------------- ended


def test_one_that_was_logged_out_is_found_by_nobody(house: House) -> None:
    other = house.login().session_id
    house.end()
    assert house.find() is None
    assert house.find(other) is not None


def test_whoever_uses_it_while_it_is_logged_out_does_not_bring_it_back(house: House) -> None:
    unit = house.two.unit()
    session = house.two.call(lambda _: house.two.sessions.find(unit, house.session_id))
    house.end()
    session["a"] = 1
    house.two.start(session.save)
    house.two.step()
    assert house.find(session.session_id) is None
    house.clock.time = START + DAY - 1.0
    house.one.store.sweep(house.clock.time, 100)
    assert house.find(session.session_id) is None


def test_the_call_that_logs_out_cannot_save_afterwards(house: House) -> None:
    def function(unit: Unit, session: TotoSession) -> Any:
        house.one.sessions.end(unit, session)
        with pytest.raises(TotoException) as caught:
            session.save()
        return caught.value.code

    assert house.use(function) == 1004


def test_all_ids_of_a_session_end_with_it_whatever_they_say(house: House) -> None:
    """A client that holds its session may have ids of it that end later than the one that it logs out with."""
    house.clock.time = START + 23 * 3600.0
    later = house.renewed().session_id
    house.clock.time = START + 23.5 * 3600.0
    house.end(house.session_id)
    for hour in range(24, 48):
        house.clock.time = START + hour * 3600.0
        house.one.store.sweep(house.clock.time, 100)
        assert house.find(later) is None


# ---------------------------------------------------------------- all sessions of a user


def test_a_new_password_ends_all_sessions(house: House) -> None:
    other = house.login().session_id
    house.clock.time += 10.0
    house.change_password()
    assert house.find() is None
    assert house.find(other) is None
    assert house.find(house.login().session_id) is not None


def test_but_not_the_one_that_it_was_set_with(house: House) -> None:
    other = house.login().session_id
    house.clock.time += 10.0
    kept = house.change_password(keep=house.session_id)
    assert kept is not None
    found = house.find(kept.session_id)
    assert found is not None
    assert found.user_id == "ada"
    assert house.find(other) is None


def test_an_older_id_of_the_session_that_stays_is_over(local: bool) -> None:
    house = House(sealed(), local)
    house.clock.time += 10.0
    kept = house.change_password(keep=house.session_id)
    assert kept is not None
    assert kept.session_id != house.session_id
    assert house.find(house.session_id) is None


def test_a_session_of_the_very_moment_is_ended_and_the_next_one_is_not(house: House) -> None:
    """Clocks have steps: who logged in before is out, also when it was in the same step, and who comes after is in."""
    house.change_password()
    assert house.find() is None
    assert house.find(house.login().session_id) is not None


def test_a_login_after_it_is_good_though_the_clock_of_that_process_is_behind(house: House) -> None:
    house.clock.time += 30.0
    house.change_password()
    house.clock.time -= 25.0
    session = house.login()
    assert house.find(session.session_id) is not None
    assert house.find() is None


def test_sessions_of_others_and_of_nobody_stay(house: House) -> None:
    house.one.call(house.one.accounts.create, "bob", "password", {})
    bob = house.one.call(house.one.accounts.login, "bob", lambda account: None).session_id
    nobody = house.one.call(house.one.sessions.open_anonymous).session_id
    house.change_password()
    assert house.find(bob) is not None
    assert house.find(nobody) is not None


def test_one_that_is_used_while_the_password_changes_does_not_outlive_it(house: House) -> None:
    unit = house.two.unit()
    session = house.two.call(lambda _: house.two.sessions.find(unit, house.session_id))
    house.clock.time += 120.0
    house.change_password()
    session["a"] = 1
    house.two.start(session.save)
    house.two.start(house.two.sessions.renew, session)
    house.two.step()
    assert failures(unit) == []
    assert house.find(session.session_id) is None


# ---------------------------------------------------------------- what its client holds


def test_a_forged_one_is_an_error_of_its_own() -> None:
    house = House(sealed(), True)
    forged = house.session_id[:-2] + ("AA" if house.session_id[-2:] != "AA" else "BA")
    with pytest.raises(TotoException) as caught:
        house.find(forged)
    assert code(caught.value) in (-1, 1004)
    with pytest.raises(TotoException) as caught:
        house.find("no session at all!")
    assert code(caught.value) == 1004


def test_one_that_becomes_too_large_is_refused_and_the_old_id_is_good() -> None:
    house = House(sealed(), True)
    with pytest.raises(TotoException) as caught:
        house.use(save(a="x" * 5000))
    assert caught.value.code == 1000
    found = house.find()
    assert found is not None
    assert found.state == {}
