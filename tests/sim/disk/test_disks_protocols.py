"""Protocols that are meant to survive power cuts do, and with a step left out they are caught."""

import zlib
from collections.abc import Iterator

from tests.sim.cutting import SEEDS, get, new_disk, put
from totohio.sim.disk.filing import SimFiles

OLD, NEW = b"o" * 1500, b"n" * 1200


def replacing(files: SimFiles, *, sync_file: bool = True, sync_folder: bool = True) -> Iterator[None]:
    """Replace a file step by step; a power cut may come at each yield."""
    with files.open("/x/a.new", "wb") as file:
        yield
        for start in range(0, len(NEW), 500):
            file.write(NEW[start : start + 500])
            yield
        if sync_file:
            file.sync()
            yield
    yield
    files.rename("/x/a.new", "/x/a")
    yield
    if sync_folder:
        files.sync("/x")


def replaced(seed: int, until: int | None, **options: bool) -> bytes | None:
    """Give the file after a power cut that came before the given step of replacing it, or after the last."""
    files = new_disk(seed)
    put(files, "/x/a", OLD)
    files.sync("/x")
    for step, _ in enumerate(replacing(files, **options)):
        if step == until:
            break
    files.crash()
    return get(files, "/x/a")


def test_a_file_that_is_written_beside_synced_and_renamed_is_old_or_new_at_every_moment() -> None:
    found = {replaced(seed, step) for seed in SEEDS for step in range(9)}
    assert found == {OLD, NEW}
    assert {replaced(seed, None) for seed in SEEDS} == {NEW}, "and new when all is done"


def test_without_the_sync_of_the_file_it_is_found_empty_or_torn() -> None:
    found = {replaced(seed, None, sync_file=False) for seed in SEEDS}
    assert b"" in found
    assert any(data not in (b"", OLD, NEW) for data in found)


def test_without_the_sync_of_the_folder_the_old_one_comes_back() -> None:
    assert {replaced(seed, None, sync_folder=False) for seed in SEEDS} == {OLD, NEW}


def record(number: int) -> bytes:
    body = b"%d:" % number + b"." * (number * 37 % 700)
    return len(body).to_bytes(4, "big") + zlib.crc32(body).to_bytes(4, "big") + body


def recovered(data: bytes) -> list[bytes]:
    """Give the records of a log up to the first that is not whole."""
    found, place = [], 0
    while place + 8 <= len(data):
        size, check = int.from_bytes(data[place : place + 4], "big"), int.from_bytes(data[place + 4 : place + 8], "big")
        body = data[place + 8 : place + 8 + size]
        if not size or len(body) < size or zlib.crc32(body) != check:
            break
        found.append(data[place : place + 8 + size])
        place += 8 + size
    return found


def test_a_log_of_checked_records_recovers_all_that_were_synced_and_a_beginning_of_the_others() -> None:
    counts, torn, holes = set(), 0, 0
    records = [record(number) for number in range(20)]
    for seed in SEEDS:
        files = new_disk(seed)
        with files.open("/x/log", "ab") as log:
            files.sync("/x")
            for number, each in enumerate(records):
                log.write(each)
                log.flush()
                if number == 9:
                    log.sync()
        files.crash()
        data = get(files, "/x/log")
        assert data is not None
        found = recovered(data)
        assert found == records[: len(found)]
        assert len(found) >= 10
        counts.add(len(found))
        rest = data[sum(map(len, found)) :]
        torn += bool(rest)
        holes += any(each in rest for each in records[len(found) + 1 :])
    assert {10, 20} < counts
    assert torn > 20, "without checks, what is torn would be taken for records"
    assert holes > 5, "a whole record may follow one that is lost"


def test_a_log_goes_on_after_the_torn_end_was_cut_off() -> None:
    for seed in SEEDS:
        files = new_disk(seed)
        written: list[bytes] = []
        put(files, "/x/log", b"")
        files.sync("/x")
        for boot in range(5):
            data = get(files, "/x/log")
            assert data is not None
            found = recovered(data)
            assert found == written[: len(found)]
            written = found
            with files.open("/x/log", "r+b") as log:
                log.truncate(sum(map(len, found)))
                log.sync()
                log.seek(0, 2)
                for number in range(3):
                    written.append(record(boot * 10 + number))
                    log.write(written[-1])
                    if number == 1:
                        log.sync()
                        safe = len(written)
                files.crash()
            data = get(files, "/x/log")
            assert data is not None
            assert len(recovered(data)) >= safe
