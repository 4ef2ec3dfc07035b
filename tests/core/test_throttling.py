"""Attempts that fail are counted by where they come from, in all processes, before anything comes of them."""

import pytest

from tests.core.keeping import code
from tests.core.test_accounting import Pair, login, refused
from totohio.base.futures import Future
from totohio.core.committing import Unit
from totohio.core.devices import devices_key
from totohio.core.limiting import PAIR
from totohio.core.throttling import LoginThrottle, place


@pytest.fixture(params=[True, False], ids=["local", "remote"])
def ada(request: pytest.FixtureRequest) -> Pair:
    """Two processes, and a user with an account."""
    pair = Pair(request.param)
    pair.one.call(pair.one.accounts.create, "Ada", "old", {})
    for process in (pair.one, pair.two):
        process.accounts.throttle = LoginThrottle(clock=pair.clock, minter=process.minter)
    return pair


@pytest.mark.parametrize(
    ("address", "counts"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("a name", "a name"),
    ],
)
def test_what_counts_of_an_address(address: str, counts: str) -> None:
    assert place(address) == counts


def test_addresses_are_remembered_as_the_throttle_sees_them(ada: Pair) -> None:
    """A user who has logged in from a network is known there, whatever address of it is next."""
    process = ada.one
    seen: list[bool] = []

    class Throttle(LoginThrottle):
        def reserve(self, unit: Unit, user_id: str, address: str, known: bool) -> Future[bool]:
            seen.append(known)
            return super().reserve(unit, user_id, address, known)

    process.accounts.throttle = Throttle(clock=ada.clock, minter=process.minter)
    for address in (
        "2001:db8:1:2::1",
        "2001:db8:1:2:3:4:5:6",
        "2001:db8:1:3::1",
        "192.0.2.1",
        "::ffff:192.0.2.1",
        "::ffff:192.0.2.2",
    ):
        process.call(login(process), "old", address)
    assert seen == [False, True, False, False, True, False]
    assert len(ada.account().known) == 4


def test_of_two_guesses_in_two_processes_where_one_is_left_one_is_made(ada: Pair) -> None:
    """The other is refused whether it was right or not: otherwise each process would add a guess to those allowed."""
    for _ in range(PAIR.free - 1):
        assert refused(lambda: ada.one.call(login(ada.one), "wrong", "192.0.2.1")) == 1005
    answers = ada.race(
        (ada.one, login(ada.one), ("wrong", "192.0.2.1")), (ada.two, login(ada.two), ("old", "192.0.2.1"))
    )
    assert list(map(code, answers)) == [1005, 1013]
    assert ada.records.read(devices_key("ada")) is None
    assert ada.one.call(login(ada.one), "old", "192.0.2.2").user_id == "ada"
