"""A code of the second factor is good once, whoever shows it first and wherever."""

from typing import Any

import pyotp
import pytest

from tests.core.keeping import START, Desk, Process, Wall, code, outcome
from totohio import TotoSession
from totohio.base.errors import TotoException
from totohio.core import factoring
from totohio.core.account import Account
from totohio.core.coding import STEP
from totohio.core.committing import Unit
from totohio.store.memory import MemoryStore


class House:
    """Two processes, and a user with an account."""

    def __init__(self, local: bool) -> None:
        self.clock = Wall()
        records = MemoryStore()
        self.one, self.two = (
            Process(Desk(records, local=local, held=False), clock=self.clock, name=name) for name in ("one", "two")
        )
        self.one.call(self.one.accounts.create, "ada", "password", {})

    def enrol(self) -> pyotp.TOTP:
        """Begin with a second factor."""
        secret, _ = self.one.call(lambda unit: factoring.enrol(self.one.accounts, unit, "ada", "us"))
        return pyotp.TOTP(secret)

    def confirm(self, code: Any, process: Process | None = None) -> None:
        process = process or self.one
        process.call(lambda unit: factoring.confirm(process.accounts, unit, "ada", code, self.clock.now()))

    def remove(self, *code: Any) -> None:
        self.one.call(lambda unit: factoring.remove(self.one.accounts, unit, "ada", *code, self.clock.now()))

    def login(self, process: Process, code: Any = None, meanwhile: Any = None) -> Any:
        """What a call does that logs in, as `Keeper.open_session` does."""

        def function(unit: Unit) -> TotoSession:
            account = process.accounts.get(unit, "ada")
            use = factoring.second_factor(account, code, self.clock.now())
            if meanwhile is not None:
                meanwhile()
            return process.accounts.login(unit, "ada", use)

        return function

    @property
    def account(self) -> Account:
        return self.two.call(self.two.accounts.get, "ada")  # type: ignore[no-any-return]


@pytest.fixture(params=[True, False], ids=["local", "remote"])
def house(request: pytest.FixtureRequest) -> House:
    return House(request.param)


@pytest.fixture
def totp(house: House) -> pyotp.TOTP:
    """The app of a user who has a second factor; its code of now was used to confirm it."""
    totp = house.enrol()
    house.confirm(totp.at(int(START)))
    house.clock.time += 3 * STEP
    return totp


def now(house: House, totp: pyotp.TOTP, steps: int = 0) -> str:
    """What the app shows, so many steps from now."""
    return totp.at(int(house.clock.time) + steps * STEP)


def refused(call: Any, *args: Any) -> TotoException:
    with pytest.raises(TotoException) as caught:
        call(*args)
    return caught.value


# ---------------------------------------------------------------- asked for


def test_without_one_no_code_is_asked_for_and_none_does_harm(house: House) -> None:
    assert house.one.call(house.login(house.one)).user_id == "ada"
    assert house.one.call(house.login(house.one, "123456")).user_id == "ada"


def test_it_is_asked_for_once_it_was_confirmed_and_not_before(house: House) -> None:
    totp = house.enrol()
    assert house.one.call(house.login(house.one)).user_id == "ada"
    for wrong in ("000000", "", None, 0, [], "x" * 1000, "\u0661" * 6):
        assert refused(house.confirm, wrong).code == 1005
    house.confirm(now(house, totp))
    error = refused(house.one.call, house.login(house.one))
    assert (error.code, error.second_factor) == (1003, "totp")  # type: ignore[attr-defined]


def test_the_code_that_confirmed_it_opens_nothing(house: House) -> None:
    totp = house.enrol()
    code = now(house, totp)
    house.confirm(code)
    assert refused(house.one.call, house.login(house.one, code)).code == 1005


def test_nobody_can_confirm_what_is_not_there_or_there_already(house: House) -> None:
    assert refused(house.confirm, "000000").code == 1005
    totp = house.enrol()
    house.confirm(now(house, totp))
    house.clock.time += 3 * STEP
    assert refused(house.confirm, now(house, totp)).code == 1005
    assert refused(house.enrol).code == 1016
    assert house.one.call(house.login(house.one, now(house, totp))).user_id == "ada"


def test_beginning_anew_makes_another_secret(house: House) -> None:
    first, second = house.enrol(), house.enrol()
    assert refused(house.confirm, now(house, first)).code == 1005
    house.confirm(now(house, second))


@pytest.mark.parametrize(("steps", "good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_clocks_may_differ_by_a_step(house: House, totp: pyotp.TOTP, steps: int, good: bool) -> None:
    login = house.login(house.one, now(house, totp, steps))
    if good:
        assert house.one.call(login).user_id == "ada"
    else:
        assert refused(house.one.call, login).code == 1005


# ---------------------------------------------------------------- good once


def test_a_code_is_good_once_and_those_before_it_no_more(house: House, totp: pyotp.TOTP) -> None:
    earlier = now(house, totp, -1)
    code = now(house, totp)
    assert house.one.call(house.login(house.one, code)).user_id == "ada"
    for process in (house.one, house.two):
        for used in (code, earlier, f"{code[:3]} {code[3:]}"):
            assert refused(process.call, house.login(process, used)).code == 1005
    assert house.two.call(house.login(house.two, now(house, totp, 1))).user_id == "ada"


def test_of_many_who_show_it_at_once_one_is_let_in(house: House, totp: pyotp.TOTP) -> None:
    shown = now(house, totp)
    processes = [house.one, house.two] * 3
    units = [process.unit() for process in processes]
    ends = [process.start(house.login(process, shown), unit) for process, unit in zip(processes, units, strict=True)]
    for _ in range(10):
        for process in (house.one, house.two):
            process.store.answer()  # type: ignore[attr-defined]
            process.step()
    answers = []
    for some, unit in zip(ends, units, strict=True):
        try:
            answers.append(outcome(some, unit).session_id)
        except TotoException as error:
            answers.append(code(error))
    [winner] = [answer for answer in answers if isinstance(answer, str)]
    assert set(answers) <= {winner, 1005, 1017}
    assert house.one.call(house.one.sessions.find, winner) is not None
    assert len(house.two.call(house.two.sessions.of, "ada")) == 1


# ---------------------------------------------------------------- changed meanwhile


def test_a_login_without_a_code_is_refused_when_one_is_wanted_meanwhile(house: House) -> None:
    """The login has looked, and needed none; then the user confirms the second factor."""
    totp = house.enrol()
    login = house.login(house.one, None, lambda: house.confirm(now(house, totp), house.two))
    assert refused(house.one.call, login).code == 1003
    assert house.two.call(house.two.sessions.of, "ada") == []


def test_a_code_of_a_secret_that_is_gone_opens_nothing(house: House, totp: pyotp.TOTP) -> None:
    def renew() -> None:
        house.remove(None)
        another = house.enrol()
        house.confirm(now(house, another))

    login = house.login(house.two, now(house, totp), renew)
    assert refused(house.two.call, login).code == 1005


# ---------------------------------------------------------------- removed


def test_only_a_good_code_takes_it_away(house: House, totp: pyotp.TOTP) -> None:
    for wrong in ("000000", "", 0, now(house, totp, 2), now(house, totp, -2)):
        assert refused(house.remove, wrong).code == 1005
    assert house.account.totp_on
    house.remove(now(house, totp))
    assert (house.account.totp_on, house.account.totp) == (False, b"")
    assert house.one.call(house.login(house.one)).user_id == "ada"


def test_a_code_that_has_opened_a_session_does_not_take_it_away(house: House, totp: pyotp.TOTP) -> None:
    shown = now(house, totp)
    house.one.call(house.login(house.one, shown))
    assert refused(house.remove, shown).code == 1005


def test_whoever_runs_the_server_takes_it_away_without_a_code(house: House, totp: pyotp.TOTP) -> None:
    house.remove(None)
    assert house.one.call(house.login(house.one)).user_id == "ada"


# ---------------------------------------------------------------- looked at with the password


def test_a_wrong_code_counts_as_a_wrong_password(house: House, totp: pyotp.TOTP) -> None:
    """Otherwise who has the password and a session tries all codes and takes the second factor away."""
    account = house.account
    assert refused(factoring.look, account, "000000", house.clock.now()).code == 1005
    factoring.look(account, now(house, totp), house.clock.now())
    factoring.look(account, None, house.clock.now())
    factoring.look(Account("bob", "", 0.0, 0.0), "000000", house.clock.now())
