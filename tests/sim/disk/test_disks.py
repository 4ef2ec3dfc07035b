"""What a power cut leaves: all that may be happens with some seed, and nothing else with any."""

import pytest

from tests.sim.cutting import SEEDS, after_crashes, get, new_disk, put
from totohio.sim.disk.disks import SECTOR
from totohio.sim.disk.filing import SimFiles

# ---------------------------------------------------------------- bytes and names


def test_the_sectors_of_an_unsynced_write_reach_the_disk_all_or_none_or_some_in_any_order() -> None:
    def script(files: SimFiles) -> None:
        put(files, "/x/a", b"o" * 4 * SECTOR)
        files.sync("/x")
        with files.open("/x/a", "r+b") as file:
            file.write(b"n" * 4 * SECTOR)

    found = after_crashes(script, "/x/a")
    patterns = {bytes(data[::SECTOR]) for data in found if data is not None}
    assert {b"oooo", b"nnnn", b"nooo", b"nnoo", b"nnno"} < patterns, "from the beginning to somewhere"
    assert patterns & {b"onoo", b"ooon", b"onon", b"noon", b"nono"}, "in any order"
    assert all(
        len(set(data[start : start + SECTOR])) == 1 for data in found for start in range(0, 2048, SECTOR) if data
    )
    assert set(map(len, filter(None, found))) == {4 * SECTOR}


def test_a_file_that_grew_may_be_longer_than_its_data_and_then_ends_with_zeros() -> None:
    def script(files: SimFiles) -> None:
        put(files, "/x/a", b"old")
        files.sync("/x")
        with files.open("/x/a", "ab") as file:
            file.write(b"n" * 2000)

    found = after_crashes(script, "/x/a")
    assert found[b"old"]
    assert found[b"old" + b"n" * 2000]
    assert found[b"old" + bytes(2000)]
    assert found[b"old" + b"n" * (SECTOR - 3)]
    assert all(data is not None and data.startswith(b"old") for data in found)


def test_several_unsynced_writes_may_be_there_up_to_any_of_them_or_in_another_order() -> None:
    def script(files: SimFiles) -> None:
        put(files, "/x/a", bytes(3 * SECTOR))
        files.sync("/x")
        with files.open("/x/a", "r+b") as file:
            for place, letter in enumerate((b"1", b"2", b"3")):
                file.seek(place * SECTOR)
                file.write(letter)
                file.flush()

    found = {bytes(data[::SECTOR]) for data in after_crashes(script, "/x/a") if data is not None}
    assert {b"\0\0\0", b"1\0\0", b"12\0", b"123"} < found
    assert {b"\0\x003", b"1\x003", b"\x0023", b"\x002\0"} & found


def test_a_sector_that_was_written_several_times_has_any_one_of_its_versions() -> None:
    def script(files: SimFiles) -> None:
        put(files, "/x/a", b"0000")
        files.sync("/x")
        with files.open("/x/a", "r+b") as file:
            for place in range(4):
                file.seek(place)
                file.write(b"1")
                file.flush()

    assert set(after_crashes(script, "/x/a")) == {b"0000", b"1000", b"1100", b"1110", b"1111"}


def test_a_truncated_file_has_its_old_content_or_a_part_of_its_new_one_and_never_of_both() -> None:
    def script(files: SimFiles) -> None:
        put(files, "/x/a", b"o" * 2000)
        files.sync("/x")
        put(files, "/x/a", b"n" * 1000, sync=False)

    found = after_crashes(script, "/x/a")
    assert found[b"o" * 2000]
    assert found[b"n" * 1000]
    assert found[b""]
    assert found[b"n" * SECTOR]
    assert not any(data is None or (b"o" in data and data != b"o" * 2000) for data in found)


def test_a_new_name_may_be_lost_although_the_file_is_synced() -> None:
    found = after_crashes(lambda files: put(files, "/x/a", b"synced"), "/x/a")
    assert set(found) == {None, b"synced"}
    assert min(found.values()) > 40


def test_a_removed_file_may_come_back_until_its_folder_is_synced() -> None:
    def script(files: SimFiles) -> None:
        put(files, "/x/a", b"data")
        files.sync("/x")
        files.remove("/x/a")

    def synced(files: SimFiles) -> None:
        script(files)
        files.sync("/x")

    assert set(after_crashes(script, "/x/a")) == {None, b"data"}
    assert set(after_crashes(synced, "/x/a")) == {None}


@pytest.mark.parametrize("target", ["/x/b", "/y/b"])
def test_a_renamed_file_has_its_old_name_or_its_new_one(target: str) -> None:
    outcomes = set()
    for seed in SEEDS:
        files = new_disk(seed)
        put(files, "/x/a", b"a")
        put(files, target, b"b")
        files.sync("/x")
        files.sync("/y")
        files.rename("/x/a", target)
        files.crash()
        outcomes.add((get(files, "/x/a"), get(files, target)))
    assert outcomes == {(b"a", b"b"), (None, b"a")}


def test_changes_of_different_names_survive_independently_and_those_of_one_name_in_their_order() -> None:
    outcomes = set()
    for seed in SEEDS:
        files = new_disk(seed)
        for name in "ab":
            put(files, f"/x/{name}", name.encode())
        files.sync("/x")
        files.rename("/x/a", "/x/c")
        files.rename("/x/b", "/x/d")
        files.rename("/x/c", "/x/e")
        files.crash()
        outcomes.add("".join(files.list("/x")))
    assert outcomes == {"ab", "bc", "be", "ad", "cd", "de"}


@pytest.mark.parametrize("synced", ["/x", "/y"])
def test_syncing_either_folder_makes_a_move_between_them_safe(synced: str) -> None:
    for seed in SEEDS:
        files = new_disk(seed)
        put(files, "/x/a", b"a")
        files.rename("/x/a", "/x/b")
        files.rename("/x/b", "/y/c")
        files.sync(synced)
        files.crash()
        assert (files.list("/x"), get(files, "/y/c")) == ([], b"a")


# ---------------------------------------------------------------- folders


def test_a_new_folder_is_lost_with_all_that_is_in_it_until_the_one_above_is_synced() -> None:
    def script(files: SimFiles) -> None:
        files.make_folder("/x/new")
        put(files, "/x/new/a", b"data")
        files.sync("/x/new")

    def synced(files: SimFiles) -> None:
        script(files)
        files.sync("/x")

    assert set(after_crashes(script, "/x/new/a")) == {None, b"data"}
    assert set(after_crashes(synced, "/x/new/a")) == {b"data"}


@pytest.mark.parametrize("sync", [None, "/x", "/x/new/deep"])
def test_a_file_that_is_moved_into_a_new_folder_does_not_vanish_with_it(sync: str | None) -> None:
    outcomes = set()
    for seed in SEEDS:
        files = new_disk(seed)
        put(files, "/x/a", b"data")
        files.sync("/x")
        files.make_folder("/x/new/deep")
        files.rename("/x/a", "/x/new/deep/a")
        if sync:
            files.sync(sync)
        files.crash()
        found = get(files, "/x/a"), get(files, "/x/new/deep/a")
        assert sorted(found, key=bool) == [None, b"data"]
        outcomes.add(found.index(b"data"))
    assert outcomes == ({1} if sync else {0, 1})


def test_moved_folders_keep_what_is_in_them_and_never_swallow_each_other() -> None:
    for seed in SEEDS:
        files = new_disk(seed)
        files.make_folder("/a/b")
        put(files, "/a/one", b"1")
        put(files, "/a/b/two", b"2")
        for folder in ("/", "/a", "/a/b"):
            files.sync(folder)
        files.rename("/a/b", "/b")
        files.rename("/a", "/b/a")
        files.crash()
        assert [get(files, path) for path in ("/a/one", "/b/a/one")].count(b"1") == 1
        assert [get(files, path) for path in ("/a/b/two", "/b/two")].count(b"2") == 1
