"""Releases that cross the next use of what they give back, in both directions: nothing is lost, and nothing is kept."""

import gc
import random
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.remote.support import LENT, Dialer, enrol, house_of, lending
from tests.remote.test_hostile_fuzz import Line
from totohio.remote import conversing
from totohio.remote.borrowing import Borrower
from totohio.remote.proxies import Proxy
from totohio.sim import World
from totohio.sim.worlding import Script

MORE = """
import math
import types


@lend
def module():
    return math


@lend
def function():
    return add


@lend
def builtin():
    return math.sqrt


@lend
def method():
    return tom.greet


@lend
def class_():
    return Cat


@lend
def instance():
    return tom


@lend
def fresh():
    return Cat("fresh")


@lend
def local():
    return type("Local", (Cat,), {})("local")


@lend
def fail_with(callback, number):
    raise ValueError("it fails")


@lend
def let_go():
    KEPT.clear()
"""
SINGULAR = ("module", "function", "builtin", "method", "class_", "instance", "fresh", "local", "tom")


class Crossing:
    """A client and a session between which messages are under way for as long as somebody wants."""

    url = "totohio://nowhere"
    waits = False

    def __init__(self, house: Any) -> None:
        self.line = Line(house, known=True)
        self.out: deque[bytes] = deque()
        self.borrower = Borrower(self, send=self.out.append)
        self.held: list[Any] = []
        self.errors: list[BaseException] = []
        self.called: list[str] = []

    @property
    def back(self) -> list[bytes]:
        """What the server has said, and the client has not heard."""
        return self.line.sent

    def check(self) -> None:
        """It is not over."""

    def dropped(self, number: int) -> None:
        """A proxy is used no more."""
        self.borrower.dropped(number)

    def ask(self, name: str, *args: Any) -> None:
        """Call something; what it brings is held."""

        def done(future: Any) -> None:
            value, error = future.outcome()
            if error is not None:
                self.errors.append(error)
            elif isinstance(value, Proxy):
                self.held.append(value)

        self.borrower.ask("call" if name != "tom" else "get", [None, name], args).add_done_callback(done)

    def there(self) -> None:
        """Have the server take a message."""
        if self.out:
            self.line.say(len(self.out[0]).to_bytes(4, "big") + self.out.popleft())
            assert self.line.session.closed is None, self.line.session.closed

    def here(self) -> None:
        """Have the client take a message."""
        if self.back:
            self.borrower.take(self.back.pop(0))

    def settle(self) -> None:
        """Have all messages come."""
        while self.out or self.back:
            self.there()
            self.here()


@pytest.fixture(scope="module")
def house() -> Iterator[Any]:
    """The sessions of a server that stands still."""
    with World(1, faults="sunny") as world:
        server = lending(world, LENT + MORE)
        yield house_of(server)


@pytest.fixture
def crossing(house: Any) -> Iterator[Crossing]:
    """A client of its."""
    crossing = Crossing(house)
    yield crossing
    crossing.line.end()


@pytest.mark.parametrize("seed", range(60))
def test_whatever_crosses_is_what_it_was_and_at_the_end_nothing_is_left(
    crossing: Crossing, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversing, "RELEASES", 1 + seed % 3)
    monkeypatch.setattr(conversing, "MOST_DESCRIPTIONS", 4 + seed % 5)
    chance = random.Random(seed)

    def make(name: str) -> Callable[[int], str]:
        def callback(number: int) -> str:
            crossing.called.append(name)
            return f"{name} {number}"

        return callback

    callbacks = [make(f"callback {number}") for number in range(3)]
    moves: list[Callable[[], None]] = [
        *[lambda: crossing.ask(chance.choice(SINGULAR))] * 4,
        *[lambda: crossing.ask(chance.choice(("echo", "apply_later", "fail_with")), chance.choice(callbacks), 1)] * 3,
        lambda: crossing.ask("keep", chance.choice(callbacks)),
        lambda: crossing.ask("keep", make("another")),
        lambda: crossing.ask("let_go"),
        lambda: crossing.ask("echo", chance.choice(crossing.held or [None])),
        *[lambda: crossing.held and crossing.held.pop(chance.randrange(len(crossing.held)))] * 5,
        crossing.borrower.give_back,
        crossing.line.session.give_back,
        *[crossing.there, crossing.here] * 6,
    ]
    for _ in range(400):
        chance.choice(moves)()
    crossing.settle()
    assert {str(error) for error in crossing.errors} <= {"it fails"}, seed
    assert crossing.called, seed
    crossing.held.clear()
    crossing.ask("let_go")
    crossing.settle()
    crossing.errors.clear()
    gc.collect()  # what exceptions hold on to
    crossing.borrower.give_back()
    crossing.line.session.give_back()
    crossing.settle()
    assert (len(crossing.line.session.table), len(crossing.borrower.table)) == (0, 0), seed
    assert (crossing.borrower._received, crossing.line.session._received) == ({}, {}), seed


@pytest.mark.parametrize("name", SINGULAR)
def test_what_is_described_once_more_while_it_is_given_back_means_the_same(crossing: Crossing, name: str) -> None:
    crossing.ask(name)
    crossing.there()
    crossing.here()
    shown = repr(crossing.held[0])
    crossing.ask(name)
    crossing.there()  # it is on its way once more
    crossing.held.clear()
    crossing.borrower.give_back()
    crossing.settle()
    assert [repr(each) for each in crossing.held] == [shown]
    assert len(crossing.line.session.table) == 1


@pytest.mark.parametrize("seed", range(3))
def test_scripts_with_callbacks_of_their_own_do_not_cross_each_other(seed: int) -> None:
    with World(seed) as world:
        server = lending(world, LENT + MORE)
        enrol(world, server)
        dialer = Dialer(world, server)

        def use(callback: Callable[[int], int]) -> Script:
            yield dialer.doer.ready
            for number in range(100):
                assert (yield dialer.doer.remote.apply(callback, number)) == callback(number)
                class_ = yield dialer.doer.remote.class_()
                del class_
            return "used"

        found = [dialer.spawn(use(lambda number, more=more: number + more)) for more in range(3)]
        world.run_until(lambda: all(found), within=600.0)
        assert found == [["used"]] * 3
