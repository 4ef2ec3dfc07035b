"""What calls write is seen at once, is committed in groups and in order, and fails for whoever relied on it."""

from collections.abc import Callable

import pytest

from tests.core.keeping import Commit, Desk, Process, add, counted, failures, new, put, read
from totohio.core import committing
from totohio.core.committing import GROUP, SETTLED, Unit
from totohio.core.ports import StoreError


@pytest.fixture(params=[True, False], ids=["local", "remote"])
def desk(request: pytest.FixtureRequest) -> Desk:
    return Desk(local=request.param)


@pytest.fixture
def process(desk: Desk) -> Process:
    return Process(desk)


def waits(unit: Unit) -> bool:
    """Tell whether the answer of a request has to wait."""
    return any(not ticket.done() for ticket, _ in unit.tickets)


# ---------------------------------------------------------------- read your writes


def test_what_is_queued_is_read_before_it_is_committed(process: Process, desk: Desk) -> None:
    value = new(b"1")
    process.unit().write(put(b"a", value))
    assert read(process, b"a") == value
    process.step()
    assert read(process, b"a") == value
    assert desk.records.read(b"a") is None
    desk.next().complete()
    assert desk.records.read(b"a") == value


def test_who_waits_in_the_middle_for_what_it_has_read_goes_on_when_that_is_committed_or_is_not(
    process: Process, desk: Desk
) -> None:
    def wait() -> bytes | None:
        unit = process.unit()
        value = unit.read(b"a")
        for ticket, _ in unit.tickets:
            unit.wait(ticket)
        return value

    for end, expected in ((Commit.complete, bytes), (Commit.fail, StoreError)):
        process.unit().write(put(b"a", new()))
        ends = process.start(wait)
        process.step()
        assert ends == []
        end(desk.next())
        process.step()
        assert [type(each) for each in ends] == [expected]


def test_what_is_removed_is_gone_before_that_is_committed(process: Process, desk: Desk) -> None:
    desk.records.commit([put(b"a", new())])
    process.unit().write(put(b"a", None))
    assert read(process, b"a") is None


def test_a_reader_of_what_is_not_committed_waits_for_it_and_others_do_not(process: Process, desk: Desk) -> None:
    desk.records.commit([put(b"old", new())])
    process.unit().write(put(b"a", new()))
    reader, other = process.unit(), process.unit()
    process.start(reader.read, b"a")
    process.start(reader.read, b"a")
    assert waits(reader)
    assert len(reader.tickets) == 1
    process.start(other.read, b"old")
    assert other.tickets == []
    process.step()
    assert waits(reader)
    desk.next().complete()
    assert not waits(reader)
    later = process.unit()
    process.start(later.read, b"a")
    assert later.tickets == []


def test_of_several_writes_the_last_is_read_also_when_an_earlier_one_is_committed(process: Process, desk: Desk) -> None:
    first, second = new(b"1"), new(b"2")
    process.unit().write(put(b"a", first))
    process.step()
    process.unit().write(put(b"a", second))
    desk.next().complete()
    assert read(process, b"a") == second


def test_records_are_loaded_in_the_order_of_their_keys(process: Process, desk: Desk) -> None:
    stored, queued = new(b"stored"), new(b"queued")
    desk.records.commit([put(b"a", stored), put(b"c", stored)])
    process.unit().write(put(b"b", queued))
    ends = process.start(process.unit().load, [b"a", b"b", b"none", b"c"])
    desk.answer()
    process.step()
    assert ends == [[stored, queued, None, stored]]


def test_what_was_pending_is_given_though_it_is_committed_while_others_are_waited_for() -> None:
    desk = Desk(local=False)
    process = Process(desk)
    queued = new(b"queued")
    unit = process.unit()
    process.unit().write(put(b"b", queued))
    ends = process.start(unit.load, [b"a", b"b"])
    process.step()
    assert waits(unit)
    desk.next().complete()
    desk.answer()
    process.step()
    assert ends == [[None, queued]]
    assert not waits(unit)


def test_what_is_written_while_a_record_is_waited_for_is_read() -> None:
    desk = Desk(local=False)
    process = Process(desk)
    desk.records.commit([put(b"a", new(b"old"))])
    unit = process.unit()
    ends = process.start(unit.read, b"a")
    process.unit().write(put(b"a", new(b"new")))
    desk.answer()
    process.step()
    assert ends[0].endswith(b"new")
    assert waits(unit)


# ---------------------------------------------------------------- groups


def test_one_cycle_is_one_group_and_only_one_is_on_its_way(process: Process, desk: Desk) -> None:
    tickets = [process.unit().write(put(b"a", new(b"%d" % number))) for number in range(3)]
    process.step()
    tickets += [process.unit().write(put(b"a", new(b"%d" % number))) for number in range(3, 5)]
    process.step()
    process.step()
    assert desk.groups == [3]
    assert not any(ticket.done() for ticket in tickets)
    desk.next().complete()
    assert [ticket.done() for ticket in tickets] == [True] * 3 + [False] * 2
    assert counted(desk.records.read(b"a")) == 2
    process.step()
    desk.next().complete()
    assert desk.groups == [3, 2]
    assert counted(desk.records.read(b"a")) == 4


def test_groups_are_bounded_and_keep_their_order(process: Process, desk: Desk) -> None:
    for _ in range(GROUP + 5):
        add_one = process.unit()
        process.start(add, add_one)
        desk.answer()
        process.lot.service(0.0)
    process.step()
    desk.next().complete()
    process.step()
    desk.next().complete()
    assert desk.groups == [GROUP, 5]
    assert counted(desk.records.read(b"n")) == GROUP + 5


def test_no_more_is_queued_than_fits(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committing, "QUEUE", 3)
    for _ in range(3):
        process.unit().write(put(b"a", new()))
    with pytest.raises(StoreError):
        process.unit().write(put(b"b", new()))
    assert read(process, b"a") is not None
    assert process.journal.pending(b"b") is None
    process.step()
    process.unit().write(put(b"b", new()))


def test_a_call_that_commits_in_the_middle_goes_on_when_it_is_done(process: Process, desk: Desk) -> None:
    ends = process.start(process.unit().commit, put(b"a", new()))
    process.step()
    assert ends == []
    desk.next().complete()
    process.step()
    assert ends == [None]
    ends = process.start(process.unit().commit, put(b"a", new()))
    process.step()
    desk.next().fail()
    process.step()
    assert isinstance(ends[0], StoreError)


def test_a_request_that_goes_on_and_on_keeps_what_failed_and_no_more(process: Process, desk: Desk) -> None:
    unit = process.unit()
    for number in range(3 * SETTLED):
        unit.write(put(b"a", new()))
        process.step()
        commit = desk.next()
        if number == 5:
            commit.fail()
        else:
            commit.complete()
    assert len(unit.tickets) <= SETTLED + 1
    assert len(failures(unit)) == 1


# ---------------------------------------------------------------- failure


def never_answered(commit: Commit) -> None:
    commit.future.cancel()


def answered_in_part(commit: Commit) -> None:
    commit.future.set_result([True])


@pytest.mark.parametrize("end", [Commit.fail, Commit.lose, never_answered, answered_in_part])
def test_a_group_that_fails_fails_for_all_who_wrote_or_read_it(
    process: Process, desk: Desk, end: Callable[[Commit], None]
) -> None:
    before = new(b"before")
    desk.records.commit([put(b"a", before)])
    units = [process.unit() for _ in range(3)]
    units[0].write(put(b"a", new(b"after")))
    units[1].write(put(b"b", new()))
    process.start(units[2].read, b"a")
    process.step()
    end(desk.next())
    assert [len(failures(unit)) for unit in units] == [1, 1, 1]
    assert not process.journal.busy
    assert process.journal.pending(b"a") is None  # what there is now, the store knows
    good = process.unit()
    good.write(put(b"c", new()))
    process.step()
    desk.next().complete()
    assert failures(good) == []


def test_a_store_that_raises_fails_the_group_and_not_the_cycle(process: Process, desk: Desk) -> None:
    unit = process.unit()
    unit.write(put(b"a", new()))
    desk.broken = ZeroDivisionError("a bug of the store")
    process.step()
    assert [type(error) for error in failures(unit)] == [ZeroDivisionError]
    desk.broken = None
    unit = process.unit()
    unit.write(put(b"a", new()))
    process.step()
    desk.next().complete()
    assert failures(unit) == []


def test_a_failure_leaves_alone_what_was_queued_behind_it(process: Process, desk: Desk) -> None:
    process.unit().write(put(b"a", new(b"1")))
    process.step()
    second = new(b"2")
    unit = process.unit()
    unit.write(put(b"a", second))
    desk.next().fail()
    assert read(process, b"a") == second
    process.step()
    desk.next().complete()
    assert failures(unit) == []
    assert desk.records.read(b"a") == second


def test_what_is_ended_is_told_nothing_and_begins_anew(process: Process, desk: Desk) -> None:
    tickets = [process.unit().write(put(b"a", new(b"flying")))]
    process.step()
    tickets.append(process.unit().write(put(b"b", new(b"queued"))))
    old = desk.next()
    process.journal.end()
    assert not process.journal.busy
    fresh = process.unit().write(put(b"b", new(b"new life")))
    process.step()
    old.fail()
    assert not any(ticket.done() for ticket in [*tickets, fresh])
    assert process.journal.busy  # the group of this life, though that of the last has landed
    desk.next().complete()
    assert fresh.done()
