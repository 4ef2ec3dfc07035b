"""A code for a forgotten password is good once, for ten minutes, and tells nobody who has an account."""

from typing import Any

import pytest

from tests.core.keeping import START, Desk, Process, Wall, code, outcome
from totohio.base.errors import TotoException
from totohio.core.committing import Unit
from totohio.core.ports import StoreError
from totohio.core.resetting import LIFETIME, PAUSE, reset_key
from totohio.store.memory import MemoryStore


class House:
    """Two processes, and a user who has forgotten the password."""

    def __init__(self, local: bool) -> None:
        self.clock = Wall()
        self.records = MemoryStore()
        self.one, self.two = (
            Process(Desk(self.records, local=local, held=False), clock=self.clock, name=name) for name in ("one", "two")
        )
        self.one.call(self.one.accounts.create, "ada", "old", {})

    def begin(self, user_id: Any = "ada") -> str | None:
        return self.one.call(self.one.resets.begin, user_id)  # type: ignore[no-any-return]

    def finish(self, code: Any, password: Any = "new", user_id: Any = "ada", process: Process | None = None) -> None:
        process = process or self.two
        process.call(process.resets.finish, user_id, code, password)

    def opens(self, password: str) -> bool:
        try:
            self.two.call(self.two.accounts.verify, "ada", password)
        except TotoException:
            return False
        return True


@pytest.fixture(params=[True, False], ids=["local", "remote"])
def house(request: pytest.FixtureRequest) -> House:
    return House(request.param)


def refused(call: Any, *args: Any) -> Any:
    with pytest.raises(TotoException) as caught:
        call(*args)
    return caught.value.code


def test_a_code_sets_the_password_and_ends_all_sessions(house: House) -> None:
    session = house.one.call(house.one.accounts.login, "ada", lambda account: None)
    shown = house.begin("Ada")
    house.finish(shown, user_id="ADA")
    assert (house.opens("new"), house.opens("old")) == (True, False)
    assert house.one.call(house.one.sessions.find, session.session_id) is None


def test_it_is_good_once(house: House) -> None:
    shown = house.begin()
    house.finish(shown)
    for process in (house.one, house.two):
        assert refused(house.finish, shown, "newer", "ada", process) == 1005
    assert house.opens("new")


@pytest.mark.parametrize("slow", [True, False])
def test_of_many_who_show_it_at_once_one_sets_the_password(house: House, slow: bool) -> None:
    shown = house.begin()
    processes = [house.one, house.two] * 2
    units = [process.unit() for process in processes]
    house.one.held = house.two.held = slow
    ends = [
        process.start(process.resets.finish, unit, "ada", shown, f"new {number}")
        for number, (process, unit) in enumerate(zip(processes, units, strict=True))
    ]
    for _ in range(20):
        for process in (house.one, house.two):
            process.work()
            process.store.answer()  # type: ignore[attr-defined]
            process.step()
    answers = []
    for some, unit in zip(ends, units, strict=True):
        try:
            answers.append(outcome(some, unit))
        except TotoException as error:
            answers.append(code(error))
    assert sorted(map(str, answers)) == ["1005", "1005", "1005", "None"]
    house.one.held = house.two.held = False
    assert [house.opens(f"new {number}") for number in range(4)] == [answer is None for answer in answers]


def test_it_is_good_for_ten_minutes(house: House) -> None:
    shown = house.begin()
    house.clock.time = START + LIFETIME + 1.0
    assert refused(house.finish, shown) == 1005
    house.clock.time = START + LIFETIME - 1.0
    house.finish(shown)


def test_a_code_of_the_future_is_none(house: House) -> None:
    shown = house.begin()
    house.clock.time = START - LIFETIME - 1.0
    assert refused(house.finish, shown) == 1005


@pytest.mark.parametrize("wrong", ["", "A" * 32, None, 7, ["x"], "\ud800"])
def test_other_codes_set_nothing_and_leave_the_right_one_good(house: House, wrong: Any) -> None:
    shown = house.begin()
    assert refused(house.finish, wrong) == 1005
    house.finish(shown)


def test_it_is_the_users_and_nobody_elses(house: House) -> None:
    house.one.call(house.one.accounts.create, "bob", "old", {})
    shown = house.begin()
    for other in ("bob", "nobody", "", "a\0", None, 7):
        assert refused(house.finish, shown, "new", other) == 1005


def test_a_later_code_takes_the_place_of_an_earlier_one(house: House) -> None:
    first = house.begin()
    house.clock.time += PAUSE
    second = house.begin()
    assert first != second
    assert refused(house.finish, first) == 1005
    house.finish(second)


def test_a_password_that_will_not_do_leaves_the_code_good(house: House) -> None:
    shown = house.begin()
    for password in (None, 7):
        assert refused(house.finish, shown, password) == 1003
    house.finish(shown)


def test_a_wrong_code_is_refused_before_the_password_is_looked_at_or_hashed(house: House) -> None:
    house.begin()
    house.two.held = True
    unit = house.two.unit()
    ends = house.two.start(house.two.resets.finish, unit, "ada", "wrong", None)
    house.two.store.answer()  # type: ignore[attr-defined]
    house.two.step()
    assert code(ends[0]) == 1005
    assert house.two.waiting == []


# ---------------------------------------------------------------- who has an account


def test_asking_tells_nobody_who_has_an_account(house: House) -> None:
    """What is written, and what comes of asking again, is the same; no code of anybody's opens what is not there."""
    before = set(house.records._values)
    assert house.begin("nobody") is None
    [key] = set(house.records._values) - before
    unknown = house.records.read(key)
    shown = house.begin()
    known = house.records.read(reset_key("ada"))
    assert unknown is not None
    assert known is not None
    for user_id in ("nobody", "ada"):
        assert refused(house.begin, user_id) == 1013
    for wrong in ("", shown):
        assert refused(house.finish, wrong, "new", "nobody") == 1005


@pytest.mark.parametrize("user_id", ["a\0", None, 7, "x" * 300])
def test_asking_for_what_can_be_no_user_sends_nothing(house: House, user_id: Any) -> None:
    assert house.begin(user_id) is None


def test_another_may_be_asked_for_after_a_minute_and_the_error_says_when(house: House) -> None:
    house.begin()
    house.clock.time += PAUSE - 20.0
    with pytest.raises(TotoException) as caught:
        house.begin()
    assert (caught.value.code, caught.value.retry_after) == (1013, 20.0)  # type: ignore[attr-defined]
    house.clock.time += 20.0
    assert house.begin() is not None


def test_a_clock_that_stepped_back_locks_nobody_out(house: House) -> None:
    house.begin()
    house.clock.time -= 3600.0
    assert house.begin() is not None


def test_of_two_who_ask_at_once_one_code_is_sent(house: House) -> None:
    processes = [house.one, house.two]
    units = [process.unit() for process in processes]
    ends = [process.start(process.resets.begin, unit, "ada") for process, unit in zip(processes, units, strict=True)]
    for _ in range(10):
        for process in processes:
            process.store.answer()  # type: ignore[attr-defined]
            process.step()
    codes = [code(end[0]) for end in ends]
    assert 1013 in codes
    [shown] = [one for one in codes if isinstance(one, str)]
    house.finish(shown)


def test_a_code_that_is_not_kept_is_not_sent() -> None:
    house = House(True)
    desk: Any = house.one.store
    desk.held = True
    unit: Unit = house.one.unit()
    ends = house.one.start(house.one.resets.begin, unit, "ada")
    house.one.step()
    assert ends == []
    desk.next().fail()
    house.one.step()
    assert isinstance(ends[0], StoreError)


def test_the_store_holds_no_code(house: House) -> None:
    shown = house.begin()
    assert shown is not None
    assert len(shown) == 32  # 24 bytes
    assert not any(shown.encode() in value for value in house.records._values.values())
