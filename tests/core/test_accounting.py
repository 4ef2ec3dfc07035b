"""Accounts are made, changed and logged in to, by several processes at once."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.core.keeping import START, Desk, Process, Wall, code, failures, outcome
from totohio import TotoSession
from totohio.base.errors import TotoException
from totohio.core.account import Account, account_key
from totohio.core.accounting import MAX_KNOWN
from totohio.core.committing import Unit
from totohio.core.devices import MAX_DEVICES, devices_key
from totohio.core.devices import read as devices_of
from totohio.core.hashing import Passwords
from totohio.core.ports import StoreError
from totohio.core.sessioning import session_key
from totohio.store.memory import MemoryStore


class Pair:
    """Two processes over one store."""

    def __init__(self, local: bool) -> None:
        self.clock = Wall()
        self.records = MemoryStore()
        self.one, self.two = (
            Process(Desk(self.records, local=local, held=False), clock=self.clock, name=name) for name in ("one", "two")
        )

    def account(self, user_id: str = "ada") -> Account:
        """What is kept."""
        return self.two.call(self.two.accounts.get, user_id)  # type: ignore[no-any-return]

    def alive(self, session: TotoSession) -> bool:
        """Tell whether a session is good in both processes."""
        found = [process.call(process.sessions.find, session.session_id) for process in (self.one, self.two)]
        assert (found[0] is None) == (found[1] is None)
        return found[0] is not None

    def race(self, *calls: tuple[Process, Callable[..., Any], Any]) -> list[Any]:
        """Make calls at the same time; give what each is answered with, an error or the result."""
        units = [process.unit() for process, _, _ in calls]
        ends = [
            process.start(function, unit, *args) for unit, (process, function, args) in zip(units, calls, strict=True)
        ]
        for _ in range(20):
            for process in (self.one, self.two):
                process.work()
                process.step()
                process.store.answer()  # type: ignore[attr-defined]
        answers = []
        for some, unit in zip(ends, units, strict=True):
            try:
                answers.append(outcome(some, unit))
            except Exception as error:
                answers.append(error)
        return answers


@pytest.fixture(params=[True, False], ids=["local", "remote"])
def pair(request: pytest.FixtureRequest) -> Pair:
    return Pair(request.param)


@pytest.fixture
def ada(pair: Pair) -> Pair:
    """A pair with an account."""
    pair.one.call(pair.one.accounts.create, "Ada", "old", {"n": 1})
    return pair


def login(process: Process) -> Callable[..., TotoSession]:
    """What a call does that logs in with a password, as `Keeper.open_session` does."""

    def function(unit: Unit, password: str = "old", address: str = "") -> TotoSession:
        accounts = process.accounts
        verified = accounts.verify(unit, "ada", password, address=address)
        fresh = accounts.hash(unit, password) if accounts.hasher.outdated(verified.password) else None

        def edit(account: Account) -> None:
            if account.changed != verified.changed:
                raise TotoException(1005, "Invalid user ID or password")
            if fresh is not None and account.password == verified.password:
                account.password = fresh

        return accounts.login(unit, "ada", edit, address=address)

    return function


def change(process: Process) -> Callable[..., None]:
    """What a call does that sets a password with the current one."""

    def function(unit: Unit, old: str, new: str) -> None:
        verified = process.accounts.verify(unit, "ada", old)
        process.accounts.change_password(unit, "ada", new, verified=verified)

    return function


def refused(call: Callable[[], Any]) -> Any:
    """The code of the error that a call is answered with."""
    with pytest.raises(TotoException) as caught:
        call()
    return caught.value.code


# ---------------------------------------------------------------- made


def test_an_account_is_kept_under_its_canonical_name(ada: Pair) -> None:
    account = ada.account()
    assert (account.user_id, account.created, account.changed) == ("ada", START, START)
    assert ada.one.call(login(ada.one)).user_id == "ada"


@pytest.mark.parametrize("name", ["ada", "ADA", "Ada"])
def test_there_is_one_account_of_a_name(ada: Pair, name: str) -> None:
    before = ada.account()
    assert refused(lambda: ada.two.call(ada.two.accounts.create, name, "new", {})) == 1006
    assert ada.account() == before


@pytest.mark.parametrize(
    ("name", "password", "wanted"),
    [("", "p", 1010), ("a\0", "p", 1010), (7, "p", 1010), ("x", 7, 1003), ("x", None, 1003)],
)
def test_what_can_be_no_account_is_refused(pair: Pair, name: Any, password: Any, wanted: int) -> None:
    assert refused(lambda: pair.one.call(pair.one.accounts.create, name, password, {})) == wanted
    assert pair.records._values == {}


@pytest.mark.parametrize("held", [True, False], ids=["slow hash", "fast hash"])
def test_of_many_who_make_one_account_one_has_it(pair: Pair, held: bool) -> None:
    pair.one.held = pair.two.held = held
    calls: list[Any] = [
        (process, process.accounts.create, ("Ada" if number % 2 else "ada", f"password {number}", {"n": number}))
        for number, process in enumerate([pair.one, pair.two, pair.one, pair.two])
    ]
    answers = pair.race(*calls)
    assert sorted(map(str, map(code, answers))) == ["1006", "1006", "1006", "ada"]
    [winner] = [number for number, answer in enumerate(answers) if answer == "ada"]
    pair.one.held = pair.two.held = False
    assert pair.two.call(pair.two.accounts.verify, "ada", f"password {winner}").user_id == "ada"
    assert pair.two.call(lambda unit: pair.two.accounts.open(unit, "ada")["n"]) == winner


def test_an_account_whose_answer_was_lost_is_there_once(pair: Pair) -> None:
    desk = pair.one.store
    desk.held = True  # type: ignore[attr-defined]
    unit = pair.one.unit()
    pair.one.start(pair.one.accounts.create, unit, "ada", "first", {})
    for _ in range(4):
        desk.answer()  # type: ignore[attr-defined]
        pair.one.step()
    desk.next().lose()  # type: ignore[attr-defined]
    assert [type(error) for error in failures(unit)] == [StoreError]
    desk.held = False  # type: ignore[attr-defined]
    assert refused(lambda: pair.one.call(pair.one.accounts.create, "ada", "second", {})) == 1006
    assert pair.one.call(pair.one.accounts.verify, "ada", "first").user_id == "ada"


def test_who_is_refused_for_an_account_that_is_being_made_waits_for_it() -> None:
    """Otherwise a client is told of an account that a power cut takes back."""
    desk = Desk()
    process = Process(desk)
    units = [process.unit(), process.unit()]
    ends = [process.start(process.accounts.create, unit, "ada", "password", {}) for unit in units]
    assert [code(*end) for end in ends] == ["ada", 1006]
    assert [any(not ticket.done() for ticket, _ in unit.tickets) for unit in units] == [True, True]
    process.step()
    desk.next().fail()
    assert [[type(error) for error in failures(unit)] for unit in units] == [[StoreError], [StoreError]]


# ---------------------------------------------------------------- verified


def test_only_the_password_opens_it(ada: Pair) -> None:
    verify = ada.two.accounts.verify
    assert ada.two.call(verify, "ADA", "old").user_id == "ada"
    wrong: list[tuple[Any, Any]] = [("ada", "Old"), ("ada", ""), ("ada", None), ("ada", 7)]
    wrong += [("bob", "old"), ("", "old"), (None, "old"), ("a\0", "old")]
    for user_id, password in wrong:
        assert refused(lambda user_id=user_id, password=password: ada.two.call(verify, user_id, password)) == 1005


def test_the_wrong_user_takes_as_long_as_the_wrong_password(ada: Pair) -> None:
    hasher = ada.one.hasher
    refused(lambda: ada.one.call(ada.one.accounts.verify, "ada", "wrong"))
    assert hasher.verified == [ada.account().password]
    hasher.verified.clear()
    refused(lambda: ada.one.call(ada.one.accounts.verify, "nobody", "wrong"))
    assert hasher.verified == [hasher.dummy]


def test_so_does_one_without_a_password_and_one_whose_hash_is_weak(ada: Pair) -> None:
    """A hash of Toto's is a hundred times faster than those of now: it would tell that there is such a user."""
    hasher = ada.one.hasher
    for name, hashed in (("none", ""), ("weak", "old$$secret")):
        ada.one.call(lambda unit, name=name, hashed=hashed: ada.one.accounts.create(unit, name, "", {}, hashed=hashed))
        hasher.verified.clear()
        for password in ("wrong", ""):
            assert refused(lambda name=name, p=password: ada.one.call(ada.one.accounts.verify, name, p)) == 1005
            assert hasher.dummy in hasher.verified
    hasher.verified.clear()
    assert ada.one.call(ada.one.accounts.verify, "weak", "secret").user_id == "weak"
    assert hasher.verified == ["old$$secret"]  # the new hash, which comes then, takes the time


def test_what_nobody_can_have_typed_holds_nobody_up() -> None:
    """Composing many marks takes the square of their number, and all threads wait for it."""
    passwords = Passwords(memory=64, time=1)
    before = time.process_time()
    hashed = passwords.hash("a" + "\u0301\u0316" * 40_000, b"saltsalt")
    assert time.process_time() - before < 1.0
    assert passwords.verify(hashed, "a" + "\u0301\u0316" * 40_000)
    assert not passwords.verify(hashed, "a" + "\u0316\u0301" * 40_000)


def test_a_weak_hash_is_made_anew_by_who_logs_in(ada: Pair) -> None:
    ada.one.call(ada.one.accounts.change, "ada", lambda account: setattr(account, "password", "old$$old"))
    before = ada.account()
    ada.one.call(login(ada.one))
    after = ada.account()
    assert after.password.startswith("now$")
    assert after.changed == before.changed  # it is the same password
    assert ada.two.call(login(ada.two)).user_id == "ada"


def test_two_who_log_in_while_the_hash_is_made_anew_are_both_let_in(ada: Pair) -> None:
    ada.one.call(ada.one.accounts.change, "ada", lambda account: setattr(account, "password", "old$$old"))
    ada.one.held = ada.two.held = True
    answers = ada.race((ada.one, login(ada.one), ()), (ada.two, login(ada.two), ()), (ada.one, login(ada.one), ()))
    ada.one.held = ada.two.held = False
    assert [isinstance(answer, TotoSession) for answer in answers] == [True] * 3
    assert ada.account().password.startswith("now$")
    assert all(map(ada.alive, answers))


def test_who_changes_the_password_while_the_hash_is_made_anew_is_not_refused(ada: Pair) -> None:
    ada.one.call(ada.one.accounts.change, "ada", lambda account: setattr(account, "password", "old$$old"))
    ada.one.held = ada.two.held = True
    answers = ada.race((ada.one, login(ada.one), ()), (ada.two, change(ada.two), ("old", "new")))
    ada.one.held = ada.two.held = False
    assert answers[1] is None
    assert ada.two.call(ada.two.accounts.verify, "ada", "new").user_id == "ada"
    assert refused(lambda: ada.two.call(ada.two.accounts.verify, "ada", "old")) == 1005
    if isinstance(answers[0], TotoSession):
        assert not ada.alive(answers[0])


# ---------------------------------------------------------------- a password that is being changed


def test_changing_it_ends_all_sessions_but_one(ada: Pair) -> None:
    sessions = [ada.one.call(login(ada.one)) for _ in range(3)]

    def function(unit: Unit) -> None:
        ada.two.accounts.change_password(unit, "ada", "new", keep=sessions[1])

    ada.two.call(function)
    assert [ada.alive(session) for session in sessions] == [False, True, False]
    [device] = devices_of(ada.records.read(devices_key("ada")))
    assert device.session == session_key(sessions[1].session_id)
    assert refused(lambda: ada.one.call(login(ada.one))) == 1005
    assert ada.alive(ada.one.call(login(ada.one), "new"))


@pytest.mark.parametrize("order", [0, 1])
def test_a_login_that_was_verified_with_the_old_one_has_no_session_afterwards(ada: Pair, order: int) -> None:
    ada.one.held = ada.two.held = True
    calls: list[Any] = [(ada.one, login(ada.one), ()), (ada.two, change(ada.two), ("old", "new"))]
    answers = ada.race(*(calls if order else reversed(calls)))
    session, changed = answers if order else reversed(answers)
    assert changed is None
    ada.one.held = ada.two.held = False
    assert not isinstance(session, TotoSession) or not ada.alive(session)
    assert code(session) == 1005 or isinstance(session, TotoSession)


def test_of_two_who_change_it_one_is_refused(ada: Pair) -> None:
    ada.one.held = ada.two.held = True
    answers = ada.race((ada.one, change(ada.one), ("old", "one")), (ada.two, change(ada.two), ("old", "two")))
    ada.one.held = ada.two.held = False
    assert sorted(map(str, map(code, answers))) == ["1005", "None"]
    winner = ["one", "two"][answers.index(None)]
    assert ada.one.call(ada.one.accounts.verify, "ada", winner).user_id == "ada"


def test_a_password_that_was_set_in_the_same_moment_is_another_one(ada: Pair) -> None:
    """The clock stands; who was verified with the first one must not pass for the second."""
    first = ada.account()
    ada.one.call(ada.one.accounts.change_password, "ada", "second")
    second = ada.account()
    assert first.changed < second.changed
    assert (
        refused(lambda: ada.one.call(lambda unit: ada.one.accounts.change_password(unit, "ada", "x", verified=first)))
        == 1005
    )


def test_a_change_of_properties_and_one_of_the_password_both_succeed(ada: Pair) -> None:
    def properties(unit: Unit) -> None:
        account = ada.one.accounts.open(unit, "ada")
        account["n"] = 2
        account.save()

    answers = ada.race((ada.one, properties, ()), (ada.two, change(ada.two), ("old", "new")))
    assert answers == [None, None]
    assert ada.one.call(lambda unit: ada.one.accounts.open(unit, "ada")["n"]) == 2
    assert ada.one.call(ada.one.accounts.verify, "ada", "new").user_id == "ada"


# ---------------------------------------------------------------- sessions of a user


def test_each_login_has_a_session_of_its_own(ada: Pair) -> None:
    sessions = ada.race(*((process, login(process), ()) for process in (ada.one, ada.two) * 4))
    assert len({session.session_id for session in sessions}) == 8
    assert all(map(ada.alive, sessions))
    assert len(devices_of(ada.records.read(devices_key("ada")))) == 8


def test_a_login_can_save_its_session_at_once_also_when_it_is_overtaken(ada: Pair) -> None:
    def function(unit: Unit) -> TotoSession:
        session = login(ada.one)(unit)
        session["a"] = 1
        session.save()
        return session

    answers = ada.race((ada.two, login(ada.two), ()), (ada.one, function, ()), (ada.two, login(ada.two), ()))
    assert all(isinstance(answer, TotoSession) for answer in answers)
    [found] = [ada.two.call(ada.two.sessions.find, answers[1].session_id)]
    assert found.state == {"a": 1}


def test_a_user_who_is_gone_cannot_log_in(ada: Pair) -> None:
    assert refused(lambda: ada.one.call(ada.one.accounts.login, "nobody", lambda account: None)) == 1005
    assert len(ada.records._values) == 1


def test_the_oldest_session_ends_when_there_are_too_many(ada: Pair) -> None:
    first = ada.one.call(login(ada.one))
    second = ada.one.call(login(ada.one))
    for _ in range(MAX_DEVICES - 2):
        ada.one.call(ada.one.accounts.login, "ada", lambda account: None)
    assert ada.alive(first)
    ada.one.call(login(ada.one))
    assert not ada.alive(first)
    assert ada.alive(second)
    assert len(devices_of(ada.records.read(devices_key("ada")))) == MAX_DEVICES


# ---------------------------------------------------------------- where users log in from


def test_so_many_addresses_are_remembered_and_the_latest_of_them(ada: Pair) -> None:
    for number in range(MAX_KNOWN + 5):
        ada.one.call(login(ada.one), "old", f"192.0.2.{number}")
    known = ada.account().known
    assert len(known) == MAX_KNOWN
    ada.one.call(login(ada.one), "old", f"192.0.2.{MAX_KNOWN + 4}")
    assert ada.account().known == known


def test_the_record_of_an_account_has_neither_password_nor_address(ada: Pair) -> None:
    ada.one.call(login(ada.one), "old", "192.0.2.77")
    value = ada.records.read(account_key("ada"))
    assert value is not None
    assert b"192.0.2.77" not in value
