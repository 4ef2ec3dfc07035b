"""The machine's own disk."""

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.filing_suite import Disk, FilesSuite
from tests.waiting import new_environment
from totohio.base.filing import BUFFER_SIZE, KernelFiles


class KernelDisk(Disk):
    def __init__(self, root: Path) -> None:
        self.files = KernelFiles()
        self.root = str(root)

    def permissions(self, path: str) -> int:
        return stat.S_IMODE(os.stat(path).st_mode)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[KernelDisk]:
    before = os.umask(0o022)
    yield KernelDisk(tmp_path)
    os.umask(before)


def descriptors() -> list[str]:
    return [fd for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")]


class TestKernelFiles(FilesSuite):
    """The suite that every disk passes."""


def test_an_environment_has_the_machines_files_unless_it_is_given_others(tmp_path: Path) -> None:
    with new_environment().files.open(tmp_path / "a", "wb") as file:
        file.write(b"abc")
    assert (tmp_path / "a").read_bytes() == b"abc"


def test_a_link_or_a_pipe_is_no_plain_file(disk: KernelDisk) -> None:
    os.symlink(disk.put("a", b"abc"), disk.path("link"))
    os.mkfifo(disk.path("pipe"))
    assert [disk.files.plain(disk.path(name)) for name in ("a", "link", "pipe")] == [True, False, False]


def test_permissions_do_not_depend_on_the_umask(disk: KernelDisk) -> None:
    os.umask(0o377)
    with disk.files.open(disk.path("a"), "wb", 0o640) as file:
        file.write(b"abc")
    disk.files.make_folder(disk.path("b"), 0o750)
    assert (disk.permissions(disk.path("a")), disk.permissions(disk.path("b"))) == (0o640, 0o750)


def test_a_new_file_is_at_no_moment_open_to_more_than_was_asked_for(
    disk: KernelDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.umask(0)

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "not yours")

    monkeypatch.setattr(os, "fchmod", refuse)
    with pytest.raises(PermissionError):
        disk.files.open(disk.path("a"), "wb", 0o600)
    assert disk.permissions(disk.path("a")) == 0o600


def test_links_are_followed_and_one_that_points_nowhere_gets_its_target(disk: KernelDisk) -> None:
    os.symlink("target", disk.path("link"))
    with disk.files.open(disk.path("link"), "wb", 0o600) as file:
        file.write(b"abc")
    assert disk.get(disk.path("target")) == b"abc"
    assert disk.permissions(disk.path("target")) == 0o600
    assert os.path.islink(disk.path("link"))


def test_files_are_not_inherited_by_programs_that_are_started(disk: KernelDisk) -> None:
    before = descriptors()
    with disk.files.open(disk.path("a"), "wb", 0o600), disk.files.open(disk.path("b"), "wb"):
        opened = [int(fd) for fd in descriptors() if fd not in before]
        assert len(opened) == 2
        assert not any(os.get_inheritable(fd) for fd in opened)


def test_a_forgotten_file_is_closed_and_complained_about(disk: KernelDisk) -> None:
    file = disk.files.open(disk.path("a"), "wb")
    with pytest.warns(ResourceWarning, match="unclosed"):
        del file
    assert not any(os.path.samefile(f"/proc/self/fd/{fd}", disk.path("a")) for fd in descriptors())


def test_syncing_asks_the_system_for_the_file_with_all_of_its_data_and_for_the_folder(
    disk: KernelDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, int]] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append((os.path.realpath(f"/proc/self/fd/{fd}"), os.fstat(fd).st_size))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    with disk.files.open(disk.path("a"), "wb") as file:
        file.write(b"abc")
        file.sync()
    assert synced == [(os.path.realpath(disk.path("a")), 3)]
    disk.files.sync(disk.root)
    assert [path for path, _ in synced[1:]] == [os.path.realpath(disk.root)]


def test_a_sync_that_fails_is_told(disk: KernelDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    before = descriptors()
    with disk.files.open(disk.path("a"), "wb") as file, pytest.raises(OSError, match=os.strerror(errno.EIO)):
        file.sync()
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        disk.files.sync(disk.root)
    assert len(descriptors()) == len(before)


def test_a_killed_process_loses_what_it_has_not_flushed_and_nothing_else(disk: KernelDisk) -> None:
    program = """
import os, signal, sys
from totohio.base.filing import KernelFiles
files = KernelFiles()
a = files.open(sys.argv[1], "wb"); a.write(b"flushed"); a.flush(); a.write(b" buffered")
b = files.open(sys.argv[2], "wb"); b.write(b"closed"); b.close()
os.kill(os.getpid(), signal.SIGKILL)
"""
    paths = [disk.path("a"), disk.path("b")]
    done = subprocess.run([sys.executable, "-c", program, *paths], timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert [disk.get(path) for path in paths] == [b"flushed", b"closed"]


class Full:
    """A disk that takes only so many more bytes."""

    def __init__(self, room: int) -> None:
        self.room = room
        self._write = os.pwrite

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        count = min(self.room, len(data))
        if not count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= count
        return self._write(fd, bytes(data[:count]), offset)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Full:
    full = Full(5)
    monkeypatch.setattr(os, "pwrite", full.pwrite)
    return full


def test_a_full_disk_takes_a_part_and_the_rest_stays_buffered(disk: KernelDisk, full: Full) -> None:
    with disk.files.open(disk.path("a"), "wb") as file:
        file.write(b"abcdefgh")
        for _ in range(2):
            with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                file.flush()
        assert disk.get(disk.path("a")) == b"abcde"
        full.room = 100
        file.flush()
        assert disk.get(disk.path("a")) == b"abcdefgh"


def test_what_a_full_disk_tore_can_be_cut_off(disk: KernelDisk, full: Full) -> None:
    with disk.files.open(disk.path("a"), "wb") as file:
        file.write(b"abcdefgh")
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            file.flush()
        file.truncate(3)
    assert disk.get(disk.path("a")) == b"abc"


def test_a_write_that_cannot_make_room_in_the_buffer_takes_nothing(disk: KernelDisk, full: Full) -> None:
    with disk.files.open(disk.path("a"), "wb") as file:
        file.write(b"x" * BUFFER_SIZE)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            file.write(b"refused")
        full.room = 1 << 20
        file.write(b"taken")
    assert disk.get(disk.path("a")) == b"x" * BUFFER_SIZE + b"taken"


def test_closing_a_file_on_a_full_disk_tells_it_and_closes(disk: KernelDisk, full: Full) -> None:
    file = disk.files.open(disk.path("a"), "wb")
    file.write(b"abcdefgh")
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        file.close()
    assert file.closed
    file.close()
    assert disk.get(disk.path("a")) == b"abcde"


def test_what_is_buffered_can_be_discarded(disk: KernelDisk) -> None:
    with disk.files.open(disk.path("a"), "wb") as file:
        file.write(b"abc")
        file.flush()
        file.write(b"defg")
        assert file.discard() == 4
        assert file.discard() == 0
        file.write(b"h")
    assert disk.get(disk.path("a")) == b"abch"
