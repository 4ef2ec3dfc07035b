"""A transaction that was overtaken is made anew for what is there, and with it what was built upon it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.keeping import Desk, Process, add, code, counted, failures, new, put, read
from totohio.base.errors import TotoException
from totohio.core.committing import TRIES, Rebase, Ticket, Unit, version_of
from totohio.core.ports import StoreError, Transaction
from totohio.store.memory import MemoryStore


@pytest.fixture(params=[True, False], ids=["local", "remote"])
def desk(request: pytest.FixtureRequest) -> Desk:
    return Desk(local=request.param)


# ---------------------------------------------------------------- what was overtaken


class Overtaken:
    """A process whose transaction on ``a`` another one has overtaken."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.process = Process(desk)
        self.seen: list[list[bytes | None]] = []

    def write(self, rebase: Rebase | None, key: bytes = b"a") -> Ticket:
        return self.process.journal.write(put(key, new(b"mine"), (key, None)), rebase)

    def overtake(self, key: bytes = b"a") -> bytes:
        value = new(b"theirs")
        self.desk.records.commit([put(key, value)])
        return value

    def round(self) -> None:
        """Send a group and let it land, with what has to be loaded then."""
        self.process.step()
        self.desk.next().complete()
        self.desk.answer()


@pytest.fixture
def overtaken(desk: Desk) -> Overtaken:
    return Overtaken(desk)


def test_without_a_way_on_its_call_fails_and_others_do_not(overtaken: Overtaken) -> None:
    ticket, other = overtaken.write(None), overtaken.write(None, b"b")
    theirs = overtaken.overtake()
    overtaken.round()
    assert code(ticket.exception()) == 1017
    assert other.result() is True
    assert read(overtaken.process, b"a") == theirs


def test_it_is_made_anew_for_what_is_there(overtaken: Overtaken) -> None:
    mine = new(b"both")

    def rebase(values: list[bytes | None]) -> Transaction:
        overtaken.seen.append(values)
        return put(b"a", mine, (b"a", version_of(values[0])))

    ticket = overtaken.write(rebase)
    theirs = overtaken.overtake()
    overtaken.round()
    assert overtaken.seen == [[theirs]]
    assert not ticket.done()
    assert read(overtaken.process, b"a") == mine
    overtaken.round()
    assert ticket.result() is True
    assert overtaken.desk.records.read(b"a") == mine


def test_it_gives_up_when_it_is_overtaken_again_and_again(overtaken: Overtaken) -> None:
    def rebase(values: list[bytes | None]) -> Transaction:
        overtaken.seen.append(values)
        return put(b"a", new(), (b"a", version_of(values[0])))

    ticket = overtaken.write(rebase)
    for _ in range(TRIES + 1):
        assert not ticket.done()
        overtaken.overtake()
        overtaken.round()
    assert code(ticket.exception()) == 1017
    assert len(overtaken.seen) == TRIES == 10
    assert not overtaken.process.journal.busy


def test_it_may_find_that_nothing_is_to_be_done(overtaken: Overtaken) -> None:
    ticket = overtaken.write(lambda values: None)
    theirs = overtaken.overtake()
    overtaken.round()
    assert ticket.result() is True
    assert not overtaken.process.journal.busy
    assert read(overtaken.process, b"a") == theirs


@pytest.mark.parametrize("error", [TotoException(1006, "taken"), ZeroDivisionError("a bug")])
def test_what_it_raises_is_what_its_call_is_answered_with(overtaken: Overtaken, error: Exception) -> None:
    def rebase(values: list[bytes | None]) -> Transaction:
        raise error

    ticket, other = overtaken.write(rebase), overtaken.write(None, b"b")
    overtaken.overtake()
    overtaken.round()
    assert ticket.exception() is error
    assert other.result() is True
    assert not overtaken.process.journal.busy


def test_it_fails_when_what_is_there_cannot_be_read(overtaken: Overtaken) -> None:
    ticket = overtaken.write(lambda values: None)
    overtaken.overtake()
    overtaken.process.step()
    commit = overtaken.desk.next()
    overtaken.desk.broken = StoreError("gone")
    commit.complete()
    assert isinstance(ticket.exception(), StoreError)
    assert not overtaken.process.journal.busy


def test_an_answer_that_comes_after_the_end_brings_nothing_back() -> None:
    overtaken = Overtaken(Desk(local=False))
    ticket = overtaken.write(lambda values: put(b"a", new(b"a ghost"), (b"a", version_of(values[0]))))
    overtaken.overtake()
    overtaken.process.step()
    overtaken.desk.next().complete()
    overtaken.process.journal.end()
    overtaken.desk.answer()
    assert not overtaken.process.journal.busy
    assert overtaken.process.journal.pending(b"a") is None
    assert not ticket.done()


# ---------------------------------------------------------------- many who write the same


def test_all_of_a_group_that_another_process_overtook_are_done_with_the_next(desk: Desk) -> None:
    """They were built one upon the other, so each fails when the first does, and none may build on what failed."""
    process = Process(desk)
    units = [process.unit() for _ in range(25)]
    for unit in units:
        process.start(add, unit)
        desk.answer()
        process.lot.service(0.0)
    other = Process(Desk(desk.records, held=False), name="other")
    other.call(add)
    process.step()
    desk.next().complete()
    desk.answer()
    process.step()
    desk.next().complete()
    assert [failures(unit) for unit in units] == [[]] * 25
    assert counted(desk.records.read(b"n")) == 26


def test_what_was_queued_behind_a_group_that_was_overtaken_follows_it(desk: Desk) -> None:
    process = Process(desk)
    other = Process(Desk(desk.records, held=False), name="other")
    units = [process.unit() for _ in range(9)]
    for number, unit in enumerate(units):
        process.start(add, unit)
        desk.answer()
        process.lot.service(0.0)
        if number == 3:
            process.step()
            other.call(add)
    desk.next().complete()
    desk.answer()
    process.step()
    desk.next().complete()
    assert [failures(unit) for unit in units] == [[]] * 9
    assert counted(desk.records.read(b"n")) == 10
    assert desk.groups == [4, 9]  # those behind were not sent in vain


ACTIONS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["add", "add", "add", "step", "complete", "complete", "answer", "fail", "lose"]),
    ),
    max_size=120,
)


@settings(max_examples=300)
@given(actions=ACTIONS, local=st.booleans())
def test_nothing_acknowledged_is_lost_and_nothing_counts_twice(actions: list[Any], local: bool) -> None:
    """Three processes count in one record; groups land, fail and are lost at any time."""
    records = MemoryStore()
    desks = [Desk(records, local=local) for _ in range(3)]
    processes = [Process(desk, name=str(number)) for number, desk in enumerate(desks)]
    units: list[Unit] = []
    ends: list[list[Any]] = []

    def act(process: Process, desk: Desk, what: str) -> None:
        if what == "add":
            units.append(process.unit())
            ends.append(process.start(add, units[-1]))
        elif what == "step":
            process.step()
        elif what == "answer":
            desk.answer()
        elif desk.commits:
            getattr(desk.next(), what)()

    for number, what in actions:
        act(processes[number], desks[number], what)
    for _ in range(100):
        for process, desk in zip(processes, desks, strict=True):
            for what in ("answer", "step", "complete"):
                act(process, desk, what)
    assert all(ends), "a call never ends"
    assert all(ticket.done() for unit in units for ticket, _ in unit.tickets), "a call is never answered"
    errors = [failures(unit) for unit in units]
    if sum(what == "complete" for _, what in actions) < TRIES // 2:  # nobody was overtaken often enough to give up
        assert not any(code(error) == 1017 for some in errors for error in some)
    acknowledged = sum(not some for some in errors)
    assert acknowledged <= counted(records.read(b"n")) <= len(units)
