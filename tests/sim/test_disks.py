"""What a power cut leaves: what was synced is there, what was not may be, and what was never written is not."""

import zlib
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from totohio.sim.disks import SECTOR
from totohio.sim.filing import SimFiles
from totohio.sim.seeding import Dice

SEEDS = range(200)


def new_disk(*seed: str | int) -> SimFiles:
    files = SimFiles(Dice("disk", *seed))
    for folder in ("/x", "/y"):
        files.make_folder(folder)
    files.sync("/")
    return files


def put(files: SimFiles, path: str, data: bytes, *, sync: bool = True) -> None:
    with files.open(path, "wb") as file:
        file.write(data)
        if sync:
            file.sync()


def get(files: SimFiles, path: str) -> bytes | None:
    if not files.exists(path):
        return None
    with files.open(path) as file:
        return file.read()


def after_crashes(script: Callable[[SimFiles], None], path: str) -> "Counter[bytes | None]":
    """Give what is at a path after a power cut that follows a script, and with how many of the seeds."""
    found: Counter[bytes | None] = Counter()
    for seed in SEEDS:
        files = new_disk(seed)
        script(files)
        files.crash()
        found[get(files, path)] += 1
    return found


# ---------------------------------------------------------------- a model of what may be

PATHS = [f"/{folder}/{name}" for folder in "xy" for name in "abc"]
paths = st.sampled_from(PATHS)
folders = st.sampled_from(["/x", "/y"])


class Inode:
    """What one file may hold after a power cut, from all that it has held since its last sync."""

    def __init__(self, shown: bytes = b"") -> None:
        self.states = [shown]
        self.cuts: list[int] = []

    @property
    def shown(self) -> bytes:
        return self.states[-1]

    def write(self, offset: int, data: bytes) -> None:
        shown = self.shown.ljust(offset, b"\0")
        self.states.append(shown[:offset] + data + shown[offset + len(data) :])

    def truncate(self, size: int) -> None:
        if size < len(self.shown):
            self.cuts.append(size)
        self.states.append(self.shown[:size].ljust(size, b"\0"))

    def sync(self) -> None:
        self.__init__(self.shown)  # type: ignore[misc]

    def check(self, found: bytes) -> None:
        lengths = [len(state) for state in self.states]
        assert min(lengths) <= len(found) <= max(lengths)
        for start in range(0, len(found), SECTOR):
            sector = found[start : start + SECTOR]
            assert sector in self.versions(start, len(sector)), f"the sector at {start} never was like that"

    def versions(self, start: int, size: int) -> Iterator[bytes]:
        """Give what a sector may be: as it once was, perhaps cut where the file was; zeros where there was nothing."""
        for state in self.states:
            for cut in [len(state), *self.cuts]:
                yield state[:cut][start : start + size].ljust(size, b"\0")


class Crashes(RuleBasedStateMachine):
    """Files in two folders; each has permissions of its own, by which it is known under whatever name."""

    @initialize(seed=st.integers(0, 1 << 32))
    def begin(self, seed: int) -> None:
        self.files = new_disk("machine", seed)
        self.inodes: dict[int, Inode] = {}
        self.names: dict[str, int | None] = dict.fromkeys(PATHS)
        self.possible: dict[str, set[int | None]] = {path: {None} for path in PATHS}
        self.safe: set[int] = set()  # files that must be there under some name
        self.made = 0
        self.written = 0

    # ------------------------------------------------------------ what is done

    def data(self, size: int) -> bytes:
        self.written += 1
        return bytes([1 + self.written % 255]) * size

    def name(self, path: str, inode: int | None) -> None:
        self.names[path] = inode
        self.possible[path].add(inode)

    def inode(self, path: str) -> Inode:
        number = self.names[path]
        assert number is not None
        return self.inodes[number]

    @precondition(lambda self: self.made < 0o600)  # below the default, which the umask changes
    @rule(path=paths, size=st.integers(0, 3000), sync=st.booleans())
    def create_or_write_anew(self, path: str, size: int, sync: bool) -> None:
        if self.names[path] is None:
            self.made += 1
            self.inodes[self.made] = Inode()
            self.name(path, self.made)
        inode, data = self.inode(path), self.data(size)
        with self.files.open(path, "wb", self.made) as file:
            file.write(data)
            inode.truncate(0)
            inode.write(0, data)
            if sync:
                file.sync()
                inode.sync()

    def present(self) -> list[str]:
        return [path for path, inode in self.names.items() if inode is not None]

    @precondition(lambda self: self.present())
    @rule(data=st.data(), offset=st.integers(0, 3000), size=st.integers(1, 1500), sync=st.booleans())
    def change(self, data: st.DataObject, offset: int, size: int, sync: bool) -> None:
        path, piece = data.draw(st.sampled_from(self.present())), self.data(size)
        with self.files.open(path, "r+b") as file:
            file.seek(offset)
            file.write(piece)
            self.inode(path).write(offset, piece)
            if sync:
                file.sync()
                self.inode(path).sync()

    @precondition(lambda self: self.present())
    @rule(data=st.data(), size=st.integers(1, 700), sync=st.booleans())
    def append(self, data: st.DataObject, size: int, sync: bool) -> None:
        path, piece = data.draw(st.sampled_from(self.present())), self.data(size)
        with self.files.open(path, "ab") as file:
            file.write(piece)
            self.inode(path).write(len(self.inode(path).shown), piece)
            if sync:
                file.sync()
                self.inode(path).sync()

    @precondition(lambda self: self.present())
    @rule(data=st.data(), size=st.integers(0, 3000))
    def truncate(self, data: st.DataObject, size: int) -> None:
        path = data.draw(st.sampled_from(self.present()))
        with self.files.open(path, "r+b") as file:
            file.truncate(size)
        self.inode(path).truncate(size)

    @precondition(lambda self: self.present())
    @rule(data=st.data(), name=paths)
    def rename(self, data: st.DataObject, name: str) -> None:
        source = data.draw(st.sampled_from(self.present()))
        self.files.rename(source, name)
        if source != name:
            self.safe.discard(self.names[name] or 0)
            self.name(name, self.names[source])
            self.name(source, None)

    @precondition(lambda self: self.present())
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(self.present()))
        self.files.remove(path)
        self.safe.discard(self.names[path] or 0)
        self.name(path, None)

    @rule(folder=folders)
    def sync_folder(self, folder: str) -> None:
        self.files.sync(folder)
        for path in PATHS:
            if path.startswith(folder):
                self.possible[path] = {self.names[path]}
                self.safe |= {self.names[path]} - {None}  # type: ignore[arg-type]

    # ------------------------------------------------------------ what comes of it

    @invariant()
    def the_system_shows_what_was_done(self) -> None:
        if hasattr(self, "files"):
            for path, number in self.names.items():
                assert get(self.files, path) == (None if number is None else self.inodes[number].shown)

    @rule(size=st.integers(0, 2000))
    def kill(self, size: int) -> None:
        for path in self.present():
            self.files.open(path, "r+b").write(b"\xff" * size)
        self.files.kill()

    @rule()
    def crash(self) -> None:
        self.files.crash()
        found = {path: self.files.permissions(path) if self.files.exists(path) else None for path in PATHS}
        assert {f"/{folder}/{name}" for folder in "xy" for name in self.files.list(f"/{folder}")} <= set(PATHS)
        there = [number for number in found.values() if number is not None]
        assert len(set(there)) == len(there), "a renamed file has one name"
        assert self.safe <= set(there), "a file whose name was synced has that name or a later one"
        for path, number in found.items():
            assert number in self.possible[path], "a synced name stands for what it stood for then, or later"
            if number is not None:
                data = get(self.files, path)
                assert data is not None
                self.inodes[number].check(data)
                self.inodes[number] = Inode(data)
        self.names = found
        self.possible = {path: {number} for path, number in found.items()}
        self.safe = set(there)


TestCrashes = Crashes.TestCase
TestCrashes.settings = settings(max_examples=60, stateful_step_count=40)


# ---------------------------------------------------------------- all that may be happens with some seed


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


# ---------------------------------------------------------------- protocols that are meant to be safe

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
