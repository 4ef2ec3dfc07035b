"""The record of a user's sessions is bounded, and says what is to end."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.keeping import Desk, Process, Wall, failures
from totohio.core.account import Account
from totohio.core.committing import Unit
from totohio.core.devices import AGENT, MAX_DEVICES, Device, added, devices_key, read, record
from totohio.core.ports import VERSION
from totohio.core.sessioning import session_key
from totohio.store.memory import MemoryStore

DEVICES = st.lists(
    st.builds(Device, st.binary(max_size=33), st.floats(0.0, 1e10), st.text(max_size=9), st.text(max_size=9)),
    max_size=MAX_DEVICES,
)


@given(devices=DEVICES)
def test_what_is_recorded_is_read(devices: list[Device]) -> None:
    value = record(devices, b"v" * VERSION)
    assert (value is None) == (not devices)
    assert read(value) == devices


@given(devices=DEVICES)
def test_so_many_are_kept_and_the_latest_of_them(devices: list[Device]) -> None:
    new = Device(b"new", 0.0, "", "")
    after = added(devices, new)
    assert after[-1] is new
    assert len(after) == min(len(devices) + 1, MAX_DEVICES)
    assert after[:-1] == devices[len(devices) + 1 - len(after) :]


class House:
    """Two processes, and a user with sessions."""

    def __init__(self, local: bool) -> None:
        self.clock = Wall()
        self.records = MemoryStore()
        self.one, self.two = (
            Process(Desk(self.records, local=local, held=False), clock=self.clock, name=name, ttl=1000.0)
            for name in ("one", "two")
        )
        self.one.call(self.one.accounts.create, "ada", "password", {})

    def login(self, **where: str) -> Any:
        self.clock.time += 1.0

        def function(unit: Unit) -> Any:
            return self.one.accounts.login(unit, "ada", lambda account: None, **where)

        return self.one.call(function)

    @property
    def listed(self) -> list[bytes]:
        """The keys of the sessions that a user sees."""
        return [device.session for device, _ in self.two.call(self.two.sessions.of, "ada")]

    def keys(self, *sessions: Any) -> list[bytes]:
        return [session_key(session.session_id) for session in sessions]


@pytest.fixture(params=[True, False], ids=["local", "remote"])
def house(request: pytest.FixtureRequest) -> House:
    return House(request.param)


def test_each_session_is_listed_with_where_it_came_from(house: House) -> None:
    house.login(address="192.0.2.1", agent="x" * 1000)
    house.login()
    [(device, kept), (other, _)] = house.two.call(house.two.sessions.of, "ada")
    assert (device.address, device.agent, other.address, other.agent) == ("192.0.2.1", "x" * AGENT, "", "")
    assert device.created == kept.created == house.clock.time - 1.0
    assert house.two.call(house.two.sessions.of, "bob") == []


def test_those_that_have_ended_are_not_listed(house: House) -> None:
    first, second, third = (house.login() for _ in range(3))
    house.one.call(house.one.sessions.end, second)
    assert house.listed == house.keys(first, third)
    assert len(read(house.records.read(devices_key("ada")))) == 2
    house.clock.time = first.expires
    assert house.listed == house.keys(third)


def test_the_last_one_leaves_no_record(house: House) -> None:
    session = house.login()
    house.one.call(house.one.sessions.end, session)
    assert house.records.read(devices_key("ada")) is None
    assert house.listed == []


def test_one_is_ended_by_its_record(house: House) -> None:
    first, second = house.login(), house.login()
    house.two.call(house.two.sessions.end_record, "ada", *house.keys(first))
    assert house.listed == house.keys(second)
    assert house.one.call(house.one.sessions.find, first.session_id) is None


def test_logins_and_logouts_at_once_are_all_in_it(house: House) -> None:
    old = [house.login() for _ in range(3)]
    processes = [house.one, house.two] * 3
    units = [process.unit() for process in processes]
    ends = []
    for number, (process, unit) in enumerate(zip(processes, units, strict=True)):
        if number < 3:
            ends.append(process.start(process.accounts.login, unit, "ada", lambda account: None))
        else:
            process.start(process.sessions.end, unit, old[number - 3])
    for _ in range(20):
        for process in (house.one, house.two):
            process.store.answer()  # type: ignore[attr-defined]
            process.step()
    assert [failures(unit) for unit in units] == [[]] * 6
    assert sorted(house.listed) == sorted(house.keys(*(end[0] for end in ends)))


def test_all_are_ended_together_but_for_one(house: House) -> None:
    sessions = [house.login() for _ in range(4)]

    def end(unit: Unit, keep: Any) -> None:
        def edit(account: Account) -> None:
            account.roles = ["seen"]

        house.two.accounts.end_sessions(unit, "ada", edit, keep=keep)

    house.two.call(end, sessions[2])
    assert house.listed == house.keys(sessions[2])
    assert [house.one.call(house.one.sessions.find, one.session_id) is not None for one in sessions] == [
        False, False, True, False,
    ]  # fmt: skip
    assert house.one.call(house.one.accounts.get, "ada").roles == ["seen"]
    house.two.call(end, None)
    assert house.listed == []
    assert house.records.read(devices_key("ada")) is None


def test_a_session_that_begins_while_all_are_ended_is_before_or_after(house: House) -> None:
    house.login()
    units = [house.one.unit(), house.two.unit()]
    ends = house.one.start(house.one.accounts.login, units[0], "ada", lambda account: None)
    house.two.start(house.two.accounts.end_sessions, units[1], "ada", lambda account: None)
    for _ in range(20):
        for process in (house.two, house.one):
            process.store.answer()  # type: ignore[attr-defined]
            process.step()
    assert [failures(unit) for unit in units] == [[], []]
    [session] = ends
    alive = house.two.call(house.two.sessions.find, session.session_id) is not None
    assert house.listed == (house.keys(session) if alive else [])
