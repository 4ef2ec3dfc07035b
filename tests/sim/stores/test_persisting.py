"""Ledgers: what is read from a disk that has lost its power, or failed, at any point."""

from collections import Counter

import pytest

from totohio.sim.disk.filing import SimFiles
from totohio.sim.seeding import Dice
from totohio.sim.stores.persisting import LONG, Ledger

FOLDER = "/var/db"


class Book:
    """A list of numbers whose state is their sum, kept in a ledger."""

    def __init__(self, files: SimFiles) -> None:
        self.ledger = Ledger(files, FOLDER)
        entries = self.ledger.open()
        self.total = sum(map(int, entries))

    def add(self, number: int, *, sync: bool = True, padding: int = 0) -> None:
        self.ledger.write(b"%*d" % (padding, number), lambda: b"%d" % self.total)
        if sync:
            self.ledger.sync()
        self.total += number


def test_an_empty_disk_has_nothing_and_what_was_written_is_read() -> None:
    files = SimFiles(Dice(1))
    book = Book(files)
    assert book.total == 0
    assert not files.exists(f"{FOLDER}/data.1")
    for number in (1, 10, 100):
        book.add(number)
    assert Book(files).total == 111
    assert files.permissions(FOLDER) == 0o700
    assert files.permissions(f"{FOLDER}/data.1") == 0o600


def test_a_power_cut_takes_nothing_that_was_synced_and_leaves_no_half_of_the_rest() -> None:
    kept: Counter[int] = Counter()  # how many of three entries that were not synced
    for seed in range(100):
        files = SimFiles(Dice(seed))
        book = Book(files)
        for _ in range(4):
            for number in range(1, 5):
                book.add(number, padding=700)  # longer than a sector
            totals = [book.total]
            for number in (10, 100, 1000):
                book.add(number, sync=False, padding=700)
                totals.append(book.total)
            files.crash()
            book = Book(files)
            kept[totals.index(book.total)] += 1
    assert set(kept) == {0, 1, 2, 3}


def test_any_cut_end_is_dropped_and_any_changed_byte_ends_it() -> None:
    files = SimFiles(Dice(1))
    book = Book(files)
    for number in (1, 10, 100):
        book.add(number)
    with files.open(f"{FOLDER}/data.1") as file:
        data = file.read()
    sums: Counter[int] = Counter()
    for cut in range(len(data)):
        for changed in (data[:cut], data[:cut] + bytes([data[cut] ^ 1]) + data[cut + 1 :]):
            with files.open(f"{FOLDER}/data.1", "wb") as file:
                file.write(changed)
            sums[Book(files).total] += 1
    assert set(sums) == {0, 1, 11}


def test_a_new_file_that_is_not_there_as_a_whole_leaves_the_older_one() -> None:
    totals: Counter[int] = Counter()
    for seed in range(40):
        files = SimFiles(Dice(seed))
        book = Book(files)
        book.add(1)
        Book(files).add(10, sync=False)
        files.crash()
        totals[Book(files).total] += 1
    assert set(totals) == {1, 11}


def test_what_an_older_file_has_is_not_taken_for_the_end_of_a_newer_one() -> None:
    files = SimFiles(Dice(1))
    book = Book(files)
    book.add(1)
    with files.open(f"{FOLDER}/data.1") as file:
        old = file.read()
    book = Book(files)
    book.add(10)
    with files.open(f"{FOLDER}/data.2", "ab") as file:
        file.write(old)
    assert Book(files).total == 11


def test_a_new_file_is_begun_after_each_start_and_older_ones_go() -> None:
    files = SimFiles(Dice(1))
    for number in range(5):
        book = Book(files)
        book.add(number, sync=False)
        assert len(files.list(FOLDER)) == (1 if not number else 2)
        book.ledger.sync()
        assert files.list(FOLDER) == [f"data.{number + 1}"]


def test_a_long_file_is_begun_anew() -> None:
    files = SimFiles(Dice(1))
    book = Book(files)
    for _ in range(30):
        book.add(1, padding=LONG // 10)
    assert files.list(FOLDER) == ["data.3"]
    assert files.used < 2 * LONG
    files.crash()
    assert Book(files).total == 30


def test_what_is_made_safe_after_a_start_is_there_whatever_was_lost_before() -> None:
    for seed in range(40):
        files = SimFiles(Dice(seed))
        book = Book(files)
        book.add(1)
        files.fail("sync", times=1)
        with pytest.raises(OSError, match="Input/output error"):
            book.add(10)
        files.kill()
        book = Book(files)
        found = book.total
        book.ledger.secure(b"%d" % found)
        files.crash()
        assert Book(files).total == found


def test_without_room_for_another_file_what_was_found_is_made_safe_where_it_is() -> None:
    for seed in range(40):
        files = SimFiles(Dice(seed))
        Book(files).add(1)
        book = Book(files)
        book.add(10, sync=False)
        files.kill()
        files.fill()
        book = Book(files)
        book.ledger.secure(b"%d" % book.total)
        files.crash()
        assert Book(files).total == 11 == book.total


@pytest.mark.parametrize("operation", ["write", "sync"])
@pytest.mark.parametrize("after", range(5))
def test_after_any_failure_what_is_synced_next_is_safe(operation: str, after: int) -> None:
    for seed in range(20):
        files = SimFiles(Dice(seed))
        book = Book(files)
        book.add(1)
        if after:  # begin a new file, which takes more steps
            book = Book(files)
        files.fail(operation, after=max(0, after - 1), times=2)
        failures = 0
        for number in (10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000):
            try:
                book.add(number)
            except OSError:
                failures += 1
        assert failures in (1, 2)
        assert book.total > 10_000_000
        files.kill()
        assert Book(files).total == book.total
        files.crash()
        assert Book(files).total == book.total


def test_a_full_disk_leaves_what_was_there() -> None:
    for spare in range(0, 120, 7):
        files = SimFiles(Dice(spare))
        book = Book(files)
        book.add(1)
        files.fill(spare)
        for number in (10, 100, 1000):
            try:
                book.add(number)
            except OSError:
                break
        files.heal()
        files.crash()
        there = Book(files).total
        assert there in (book.total, book.total + number)
        assert there >= 1


def test_a_disk_that_cannot_be_read_is_not_taken_for_an_empty_one() -> None:
    files = SimFiles(Dice(1))
    Book(files).add(1)
    files.fail("read")
    with pytest.raises(OSError, match="Input/output error"):
        Book(files)
