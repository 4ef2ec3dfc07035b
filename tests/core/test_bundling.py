"""An atomic batch is one transaction: all of it or nothing, and nobody sees any of it before."""

import pytest

from tests.core.keeping import Desk, Process, add, code, counted, failures, new, put, read
from totohio.base.errors import TotoException
from totohio.core.bundling import Bundle, Part
from totohio.core.committing import version_of
from totohio.core.ports import StoreError, Transaction, Write


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def process(desk: Desk) -> Process:
    return Process(desk)


@pytest.fixture
def bundle(process: Process) -> Bundle:
    return Bundle(process.journal)


def test_entries_see_each_other_and_nobody_else_sees_them(process: Process, desk: Desk, bundle: Bundle) -> None:
    desk.records.commit([put(b"gone", new())])
    value = new(b"1")
    Part(bundle).write(put(b"a", value))
    Part(bundle).write(put(b"gone", None))
    other = Part(bundle)
    assert other.read(b"a") == value
    assert other.load([b"gone", b"a", b"none"]) == [None, value, None]
    assert read(process, b"a") is None
    assert read(process, b"gone") is not None
    assert not process.journal.busy


def test_all_of_it_is_one_transaction(process: Process, desk: Desk, bundle: Bundle) -> None:
    for key in (b"a", b"b", b"a"):
        Part(bundle).write(put(key, new(key)))
    add(Part(bundle))
    add(Part(bundle))
    bundle.finish()
    process.step()
    [transaction] = desk.commits[0].transactions
    assert sorted(write.key for write in transaction.writes) == [b"a", b"b", b"n"]
    desk.next().complete()
    assert failures(bundle) == []
    assert counted(desk.records.read(b"n")) == 2


def test_it_asks_for_what_was_there_before_it_and_not_for_its_own(process: Process, desk: Desk, bundle: Bundle) -> None:
    before = new(b"5")
    desk.records.commit([put(b"n", before)])
    add(Part(bundle))
    add(Part(bundle))
    Part(bundle).write(put(b"made", new(), (b"made", None)))
    Part(bundle).write(put(b"made", None))
    Part(bundle).write(put(b"made", new(), (b"made", None)))
    bundle.finish()
    process.step()
    [transaction] = desk.commits[0].transactions
    assert dict(transaction.conditions) == {b"n": version_of(before), b"made": None}


@pytest.mark.parametrize("theirs", [b"n", b"b"])
def test_when_anything_of_it_was_overtaken_nothing_is_written(
    process: Process, desk: Desk, bundle: Bundle, theirs: bytes
) -> None:
    add(Part(bundle))
    add(Part(bundle), b"b")
    Part(bundle).write(put(b"c", new()))
    value = new(b"7")
    desk.records.commit([put(theirs, value)])
    bundle.finish()
    process.step()
    desk.next().complete()
    assert [code(error) for error in failures(bundle)] == [1017]
    assert not process.journal.busy
    found = {key: read(process, key) for key in (b"n", b"b", b"c")}
    assert found == {b"n": None, b"b": None, b"c": None, theirs: value}


def test_what_changed_between_two_entries_is_noticed(process: Process, desk: Desk, bundle: Bundle) -> None:
    """The second entry has read something newer than the first; the transaction wants what the first has read."""
    desk.records.commit([put(b"n", new(b"1"))])
    Part(bundle).write(Transaction(((b"n", version_of(bundle.read(b"n"))),), (Write(b"a", new()),)))
    desk.records.commit([put(b"n", new(b"2"))])
    Part(bundle).write(Transaction(((b"n", version_of(bundle.read(b"n"))),), (Write(b"b", new()),)))
    bundle.finish()
    process.step()
    desk.next().complete()
    assert [code(error) for error in failures(bundle)] == [1017]


def test_an_entry_that_holds_an_old_version_of_what_another_wrote_is_refused(bundle: Bundle) -> None:
    stale = version_of(new())
    Part(bundle).write(put(b"a", new()))
    with pytest.raises(TotoException) as caught:
        Part(bundle).write(put(b"a", new(), (b"a", stale)))
    assert caught.value.code == 1017


def test_it_relies_on_what_it_has_read_before_that_was_committed(process: Process, desk: Desk, bundle: Bundle) -> None:
    process.unit().write(put(b"a", new()))
    process.step()
    Part(bundle).read(b"a")
    Part(bundle).write(put(b"b", new()))
    bundle.finish()
    desk.next().fail()
    process.step()
    desk.next().complete()
    assert [type(error) for error in failures(bundle)] == [StoreError]


def test_one_that_only_reads_writes_nothing(process: Process, bundle: Bundle) -> None:
    Part(bundle).read(b"a")
    bundle.finish()
    assert not process.journal.busy


def test_one_that_is_not_finished_has_never_been(process: Process, bundle: Bundle) -> None:
    part = Part(bundle)
    part.write(put(b"a", new()))
    assert part.wrote
    process.step()
    assert read(process, b"a") is None


def test_what_nobody_needs_goes_its_own_way(process: Process, desk: Desk, bundle: Bundle) -> None:
    part = Part(bundle)
    part.write(put(b"a", new()), needed=False)
    assert not part.wrote
    process.step()
    desk.next().fail()
    assert failures(part) == failures(bundle) == []


def test_but_not_what_the_batch_itself_has_written(process: Process, desk: Desk, bundle: Bundle) -> None:
    """Or others would see it before the batch is committed, and though it never is."""
    value = new(b"secret")
    Part(bundle).write(put(b"a", value))
    later = new(b"secret, and later")
    Part(bundle).write(put(b"a", later, (b"a", version_of(value))), needed=False)
    assert read(process, b"a") is None
    assert not process.journal.busy
    assert Part(bundle).read(b"a") == later
    bundle.finish()
    process.step()
    desk.next().complete()
    assert desk.records.read(b"a") == later


def test_a_commit_in_the_middle_of_an_entry_waits_for_nothing(process: Process, bundle: Bundle) -> None:
    assert process.start(Part(bundle).commit, put(b"a", new())) == [None]
    assert not process.journal.busy
    assert Part(bundle).read(b"a") is not None
