"""Whoever has read what somebody else has not committed yet gets an error of its own when that is not committed."""

from typing import Any

import pytest

from tests.core.keeping import Desk, Process, code, failures, new, put
from totohio.base.errors import TotoException
from totohio.core.committing import Unit, version_of
from totohio.core.ports import StoreError


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def process(desk: Desk) -> Process:
    return Process(desk)


def refuse(values: list[bytes | None]) -> Any:
    raise TotoException(1005, "Invalid user ID or password")


def overtaken(process: Process, desk: Desk) -> Unit:
    """A request that writes a record, and will be refused since others have written it."""
    before = new(b"before")
    desk.records.commit([put(b"a", before)])
    writer = process.unit()
    writer.write(put(b"a", new(b"mine"), (b"a", version_of(before))), refuse)
    return writer


def land(process: Process, desk: Desk) -> None:
    """Commit what is queued, after others have written the record."""
    desk.records.commit([put(b"a", new(b"theirs"))])
    while process.journal.busy:
        process.step()
        for commit in desk.commits[:]:
            desk.commits.remove(commit)
            commit.complete()


def test_a_reader_gets_no_error_that_is_the_writers(process: Process, desk: Desk) -> None:
    writer, reader = overtaken(process, desk), process.unit()
    process.start(reader.read, b"a")
    land(process, desk)
    assert [code(error) for error in failures(writer)] == [1005]
    assert [code(error) for error in failures(reader)] == [1017]
    [(reliance, needed)] = reader.tickets
    assert needed
    with pytest.raises(TotoException, match="changed by another call"):
        reliance.result()


def test_who_writes_the_same_record_is_made_anew_and_needs_no_other(process: Process, desk: Desk) -> None:
    writer, second = overtaken(process, desk), process.unit()
    [found] = process.start(second.read, b"a")
    built: list[bytes | None] = []

    def build(values: list[bytes | None]) -> Any:
        built.append(values[0])
        return put(b"a", new(b"second"), (b"a", version_of(values[0])))

    second.write(build([found]), build)
    land(process, desk)
    assert [code(error) for error in failures(writer)] == [1005]
    assert failures(second) == []
    assert [value and value[8:] for value in built] == [b"mine", b"theirs"]
    assert desk.records.read(b"a").endswith(b"second")  # type: ignore[union-attr]


def test_who_writes_another_record_after_what_was_read_is_not_told_that_all_is_well(
    process: Process, desk: Desk
) -> None:
    overtaken(process, desk)
    second = process.unit()
    process.start(second.load, [b"a", b"b"])
    second.write(put(b"b", new(), (b"b", None)))
    land(process, desk)
    assert [code(error) for error in failures(second)] == [1017]


def test_who_writes_one_of_two_records_that_were_read_relies_on_the_other(process: Process, desk: Desk) -> None:
    first, second = process.unit(), process.unit()
    desk.records.commit([put(b"a", new())])
    transaction = put(b"a", new(), (b"a", None))
    first.write(type(transaction)(transaction.conditions, (*transaction.writes, *put(b"b", new()).writes)), refuse)
    [found] = process.start(second.load, [b"a", b"b"])
    second.write(put(b"b", new(), (b"b", version_of(found[1]))), lambda values: None)
    assert len(second.tickets) == 2  # its own, and one for both records
    land(process, desk)
    assert [code(error) for error in failures(second)] == [1017]


def test_a_store_that_fails_fails_all_who_relied_on_it_whatever_they_wrote(process: Process, desk: Desk) -> None:
    writer, second = overtaken(process, desk), process.unit()
    [found] = process.start(second.read, b"a")
    process.step()
    second.write(put(b"a", new(), (b"a", version_of(found))), lambda values: None)
    error = StoreError("no answer in time")
    desk.next().fail(error)
    land(process, desk)
    assert failures(writer) == [error]
    assert failures(second) == [error]


def test_whoever_relied_is_told_when_it_is_committed(process: Process, desk: Desk) -> None:
    process.unit().write(put(b"a", new()))
    reader = process.unit()
    process.start(reader.read, b"a")
    [(reliance, _)] = reader.tickets
    seen: list[Any] = []
    reliance.add_done_callback(seen.append)
    assert not reliance.done()
    process.step()
    desk.next().complete()
    assert seen == [reliance]
    assert reliance.done()
    assert reliance.result() is True
    assert failures(reader) == []


def test_nobody_relies_on_its_own(process: Process, desk: Desk) -> None:
    unit = process.unit()
    ticket = unit.write(put(b"a", new()))
    process.start(unit.read, b"a")
    assert unit.tickets == [(ticket, True)]
