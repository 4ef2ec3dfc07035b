"""The simulated disk: what every disk promises, and what a kill, a full disk and a failing disk do to it."""

import errno
import os
import subprocess
import sys
import tempfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.filing_suite import Disk, FilesSuite
from totohio.base.environing import Files
from totohio.base.filing import BUFFER_SIZE, KernelFiles
from totohio.sim.disk.filing import SimFiles
from totohio.sim.seeding import Dice

FULL, BROKEN = os.strerror(errno.ENOSPC), os.strerror(errno.EIO)


class SimDisk(Disk):
    files: SimFiles

    def __init__(self, *seed: str | int) -> None:
        self.notes: list[tuple[Any, ...]] = []
        self.files = SimFiles(Dice("disk", *seed), lambda *note: self.notes.append(note))
        self.files.make_folder("/folder")
        self.files.sync("/")
        self.root = "/folder"
        self.notes.clear()

    def permissions(self, path: str) -> int:
        return self.files.permissions(path)


@pytest.fixture
def disk() -> SimDisk:
    return SimDisk()


class TestSimFiles(FilesSuite):
    """The suite that every disk passes."""


# ---------------------------------------------------------------- the same as the machine's, step by step

names = st.sampled_from(["a", "b", "x", "x/a", "x/b", "x/y", "a/a"])
sizes = st.integers(0, 1500)
steps = st.one_of(
    st.tuples(st.just("open"), names, st.sampled_from(["rb", "wb", "ab", "xb", "r+b"])),
    st.tuples(st.just("read"), st.integers(-1, 700)),
    st.tuples(st.just("write"), st.binary(min_size=1, max_size=20), st.integers(0, 60)),
    st.tuples(st.just("seek"), st.integers(-100, 1500), st.integers(0, 2)),
    st.tuples(st.just("truncate"), st.none() | sizes),
    st.tuples(st.sampled_from(["tell", "flush", "sync", "close"])),
    st.tuples(st.sampled_from(["remove", "exists", "plain", "make_folder", "list"]), names),
    st.tuples(st.just("rename"), names, names),
)


def outcomes(files: Files, root: str, script: list[tuple[Any, ...]]) -> list[Any]:
    """Do what the script says with the file that was opened last, and give what came of each step and in the end."""
    found: list[Any] = []
    file = files.open(f"{root}/first", "wb")
    for what, *arguments in script:
        try:
            if what == "open":
                opened = files.open(f"{root}/{arguments[0]}", arguments[1])
                file.close()
                file = opened
            elif what in ("remove", "exists", "plain", "make_folder", "list", "rename"):
                found.append(getattr(files, what)(*(f"{root}/{name}" for name in arguments)))
            elif what == "write":
                found.append(file.write(arguments[0] * arguments[1]))
            else:
                found.append(getattr(file, what)(*arguments))
        except (OSError, ValueError) as error:
            found.append((type(error).__name__, getattr(error, "errno", None)))
    file.close()
    for name in ("first", "a", "b", "x/a", "x/b"):
        try:
            with files.open(f"{root}/{name}") as file:
                found.append(file.read())
        except OSError as error:
            found.append(error.errno)
    return found


@given(st.lists(steps, max_size=40))
def test_whatever_is_done_to_it_gives_what_the_machines_disk_gives(script: list[tuple[Any, ...]]) -> None:
    disk = SimDisk()
    with tempfile.TemporaryDirectory() as folder:
        assert outcomes(disk.files, disk.root, script) == outcomes(KernelFiles(), folder, script)


# ---------------------------------------------------------------- kills


def test_a_kill_loses_what_was_not_flushed_and_nothing_else(disk: SimDisk) -> None:
    flushed = disk.files.open(disk.path("a"), "wb")
    flushed.write(b"flushed")
    flushed.flush()
    flushed.write(b" buffered")
    synced = disk.files.open(disk.path("b"), "wb")
    synced.write(b"synced")
    synced.sync()
    disk.put("c", b"closed")
    disk.notes.clear()
    disk.files.kill()
    assert [disk.get(disk.path(name)) for name in "abc"] == [b"flushed", b"synced", b"closed"]
    assert disk.notes[0] == ("lost", "buffer", disk.path("a"), 9)


@pytest.mark.parametrize("end", ["kill", "crash"])
def test_what_was_open_is_closed_afterwards(disk: SimDisk, end: str) -> None:
    path = disk.put("a", b"abc")
    files = [disk.files.open(path, mode) for mode in ("rb", "ab", "r+b")]
    files[1].write(b"lost")
    getattr(disk.files, end)()
    for file in files:
        assert file.closed
        for call in (file.tell, file.flush, file.sync, file.read):
            with pytest.raises(ValueError, match="closed file"):
                call()
        file.close()


def test_the_disk_is_used_again_afterwards(disk: SimDisk) -> None:
    disk.files.crash()
    path = disk.put("a", b"abc")
    disk.files.kill()
    with disk.files.open(path, "ab") as file:
        file.write(b"d")
    assert disk.get(path) == b"abcd"


# ---------------------------------------------------------------- a full disk


def test_a_full_disk_takes_what_fits_and_then_refuses(disk: SimDisk) -> None:
    disk.put("a", b"x" * 600)
    disk.files.capacity = 1000
    assert disk.files.used == 600
    with disk.files.open(disk.path("b"), "wb") as file:
        file.write(b"y" * 500)
        with pytest.raises(OSError, match=FULL) as caught:
            file.flush()
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, disk.path("b"))
        assert disk.get(disk.path("b")) == b"y" * 400
        disk.files.remove(disk.path("a"))
    assert disk.get(disk.path("b")) == b"y" * 500


def test_on_a_full_disk_what_is_there_can_be_changed_shortened_and_renamed(disk: SimDisk) -> None:
    path = disk.put("a", b"abcdef")
    disk.files.fill()
    with disk.files.open(path, "r+b") as file:
        file.write(b"ABC")
        file.sync()
        file.seek(4)
        file.write(b"EFG")
        with pytest.raises(OSError, match=FULL):
            file.flush()
        file.truncate(5)
        file.seek(5)
        file.write(b"f")
    disk.files.rename(path, disk.path("b"))
    assert disk.get(disk.path("b")) == b"ABCdEf"


def test_a_removed_file_takes_up_room_while_it_is_open(disk: SimDisk) -> None:
    path = disk.put("a", b"x" * 100)
    disk.files.fill(spare=10)
    with disk.files.open(path) as reader:
        disk.files.remove(path)
        assert disk.files.used == 100
        file = disk.files.open(disk.path("b"), "wb")
        file.write(b"y" * 50)
        with pytest.raises(OSError, match=FULL):
            file.flush()
        assert reader.read() == b"x" * 100
    file.close()
    assert disk.files.size(disk.path("b")) == 50


def test_a_healed_disk_has_room(disk: SimDisk) -> None:
    disk.files.fill()
    disk.files.heal()
    assert disk.get(disk.put("a", b"x" * 10_000)) == b"x" * 10_000


# ---------------------------------------------------------------- a failing disk


def test_the_nth_write_fails_and_does_nothing(disk: SimDisk) -> None:
    disk.files.fail("write", after=1, times=1)
    with disk.files.open(disk.path("a"), "wb") as file:
        file.write(b"one")
        file.flush()
        file.write(b"two")
        with pytest.raises(OSError, match=BROKEN) as caught:
            file.flush()
        assert (caught.value.errno, caught.value.filename) == (errno.EIO, disk.path("a"))
        assert disk.files.size(disk.path("a")) == 3
    assert disk.get(disk.path("a")) == b"onetwo"
    assert ("file", "failed", "write", disk.path("a")) in disk.notes


def test_operations_fail_until_the_disk_is_healed(disk: SimDisk) -> None:
    path = disk.put("a", b"abc")
    disk.files.fail("read")
    disk.files.fail("sync", path=disk.root)
    with disk.files.open(path, "r+b") as file:
        for _ in range(3):
            with pytest.raises(OSError, match=BROKEN):
                file.read()
            with pytest.raises(OSError, match=BROKEN):
                disk.files.sync(disk.root)
        file.write(b"A")
        file.sync()
        disk.files.heal()
        disk.files.sync(disk.root)
        assert file.read() == b"bc"


def test_only_the_file_that_was_named_fails(disk: SimDisk) -> None:
    disk.files.fail("write", path=disk.path("a"))
    disk.put("b", b"well")
    with pytest.raises(OSError, match=BROKEN):
        disk.put("a", b"refused")
    assert disk.get(disk.path("a")) == b""


def test_no_other_operation_can_fail(disk: SimDisk) -> None:
    with pytest.raises(ValueError, match="not 'seek'"):
        disk.files.fail("seek")


def after_a_failed_sync(seed: int, *, again: bool) -> tuple[bytes, bytes]:
    """Give what is shown after a sync that failed, and what is left after a power cut that follows."""
    disk = SimDisk(seed)
    with disk.files.open(disk.path("a"), "wb") as file:
        file.write(b"old" * 500)
        file.sync()
        disk.files.sync(disk.root)
        file.seek(0)
        file.write(b"new" * 500)
        disk.files.fail("sync", times=1)
        with pytest.raises(OSError, match=BROKEN):
            file.sync()
        if again:
            file.sync()
    shown = disk.get(disk.path("a"))
    disk.files.crash()
    return shown, disk.get(disk.path("a"))


def test_after_a_failed_sync_another_one_succeeds_and_the_data_may_be_lost_all_the_same() -> None:
    found = [after_a_failed_sync(seed, again=True) for seed in range(200)]
    assert {shown for shown, _ in found} == {b"new" * 500}, "the system shows the data as if nothing had happened"
    left = {data for _, data in found}
    assert {b"new" * 500, b"old" * 500} < left
    sectors = [{data[start : start + 512] for data in left} for start in range(0, 1500, 512)]
    assert [len(versions) for versions in sectors] == [2, 2, 2], "each is old or new, and nothing else"
    assert 100 < sum(data == b"new" * 500 for _, data in found) < 180


def test_everyone_who_has_the_file_open_is_told_once_of_a_failed_sync(disk: SimDisk) -> None:
    path = disk.put("a", b"abc")
    with disk.files.open(path, "r+b") as one, disk.files.open(path, "ab") as other:
        disk.files.fail("sync", times=1)
        with pytest.raises(OSError, match=BROKEN):
            one.sync()
        one.sync()
        with disk.files.open(path) as late:
            late.sync()
        with pytest.raises(OSError, match=BROKEN):
            other.sync()
        other.sync()


# ---------------------------------------------------------------- the trace


def test_what_is_done_to_names_and_what_is_synced_is_noted(disk: SimDisk) -> None:
    path = disk.path("new", "a")
    disk.files.make_folder(disk.path("new"))
    with disk.files.open(path, "xb") as file:
        file.write(b"abc")
        file.sync()
    disk.files.rename(path, disk.path("b"))
    disk.files.sync(disk.root)
    disk.files.remove(disk.path("b"))
    assert disk.notes == [
        ("file", "make_folder", disk.path("new")),
        ("file", "open", path, "xb"),
        ("sync", path),
        ("file", "rename", path, disk.path("b")),
        ("sync", disk.root),
        ("file", "remove", disk.path("b")),
    ]


def test_what_a_power_cut_takes_is_noted() -> None:
    kept = changed = 0
    for seed in range(50):
        disk = SimDisk(seed)
        with disk.files.open(disk.path("a"), "wb") as file:
            file.write(b"x" * 1500)
            file.sync()
            disk.files.sync(disk.root)
            file.seek(0)
            file.write(b"y" * 1500)
            file.flush()
        disk.files.rename(disk.path("a"), disk.path("b"))
        disk.notes.clear()
        disk.files.crash()
        name = "b" if disk.files.exists(disk.path("b")) else "a"
        assert (("lost", "rename", disk.path("a"), disk.path("b")) in disk.notes) == (name == "a")
        data = disk.get(disk.path(name))
        lost = sum(data[start : start + 512] != b"y" * len(data[start : start + 512]) for start in (0, 512, 1024))
        found = [note[3] for note in disk.notes if note[:3] == ("lost", "sectors", disk.path(name))]
        assert found == [lost] * bool(lost)
        kept += not lost
        changed += bool(lost)
    assert kept > 5
    assert changed > 5


def test_a_disk_needs_nobody_who_takes_notes() -> None:
    files = SimFiles(Dice(1))
    with files.open("a", "wb") as file:
        file.write(b"abc")
    files.crash()
    assert files.list("/") in ([], ["a"])


SCRIPT = """
from totohio.sim.disk.filing import SimFiles
from totohio.sim.seeding import Dice
notes = []
files = SimFiles(Dice("script", 7), lambda *note: notes.append(note))
for turn in range(40):
    for name in "abcdefgh":
        files.make_folder(f"/{name}")
        with files.open(f"/{name}/{turn % 5}", "ab") as file:
            file.write(name.encode() * 900)
        files.rename(f"/{name}/{turn % 5}", f"/{name}/{turn % 3}")
        if turn % 7 == 3:
            files.sync(f"/{name}")
            files.sync("/")
    files.crash()
print(len(notes), notes)
"""


def test_the_same_dice_give_the_same_outcome_whatever_the_hash_seed() -> None:
    texts = set()
    for seed in ("0", "1", "2"):
        command = [sys.executable, "-c", SCRIPT]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.stderr == ""
        texts.add(done.stdout)
    assert len(texts) == 1
    assert "lost" in texts.pop()


def test_a_disk_does_not_remember_more_than_it_needs() -> None:
    disk = SimDisk()
    with disk.files.open(disk.path("log"), "wb") as file:
        for number in range(5000):
            file.write(b"%07d\n" % number)
            file.flush()
            disk.files.open(disk.path(f"{number % 10}"), "wb").close()
            disk.files.remove(disk.path(f"{number % 10}"))
    disk.files.crash()
    lines = disk.get(disk.path("log")).split(b"\n")
    assert lines[:3000] == [b"%07d" % number for number in range(3000)], "the system has written what is old"


def test_a_large_write_goes_past_the_buffer_unharmed(disk: SimDisk) -> None:
    data = bytes(range(256)) * (BUFFER_SIZE // 64)
    assert disk.get(disk.put("a", data)) == data
