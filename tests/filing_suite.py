"""What every disk promises while nothing goes wrong: the same tests for the machine's and for the simulated one."""

import errno
import io
from abc import abstractmethod
from typing import Any

import pytest

from totohio.base.environing import Files
from totohio.base.filing import BUFFER_SIZE, MODES, PIECE_SIZE


class Disk:
    """A disk, and an empty folder on it."""

    files: Files
    root: str

    @abstractmethod
    def permissions(self, path: str) -> int:
        """The permission bits of a file or folder; the umask is 0o022."""

    def path(self, *names: str) -> str:
        return "/".join([self.root, *names])

    def put(self, name: str, data: bytes) -> str:
        """Write a file and give its path."""
        path = self.path(name)
        with self.files.open(path, "wb") as file:
            file.write(data)
        return path

    def get(self, path: str) -> bytes:
        with self.files.open(path) as file:
            return file.read()


class FilesSuite:
    """The tests; a subclass has a fixture ``disk``."""

    # ------------------------------------------------------------ reading and writing

    def test_what_was_written_is_read(self, disk: Disk) -> None:
        with disk.files.open(disk.path("a"), "wb") as file:
            assert file.write(b"one ") == 4
            assert file.write(bytearray(b"two ")) == 4
            assert file.write(memoryview(b"three")) == 5
        assert disk.get(disk.path("a")) == b"one two three"

    def test_a_file_larger_than_every_buffer_is_read_as_it_was_written(self, disk: Disk) -> None:
        parts = [bytes([number]) * (BUFFER_SIZE - 7) for number in range(12)]
        with disk.files.open(disk.path("a"), "wb") as file:
            for part in parts:
                assert file.write(part) == len(part)
        whole = b"".join(parts)
        assert len(whole) > 2 * PIECE_SIZE
        with disk.files.open(disk.path("a")) as file:
            assert file.read() == whole
            assert file.read() == b""
            file.seek(5)
            assert file.read(PIECE_SIZE + 100) == whole[5 : PIECE_SIZE + 105]
            assert file.read(10) == whole[PIECE_SIZE + 105 : PIECE_SIZE + 115]

    def test_reading_gives_what_is_there_and_nothing_at_the_end(self, disk: Disk) -> None:
        path = disk.put("a", b"abcdef")
        with disk.files.open(path) as file:
            assert file.read(0) == b""
            assert file.read(4) == b"abcd"
            assert file.tell() == 4
            assert file.read(4) == b"ef"
            assert file.read(4) == b""
            assert file.seek(100) == 100
            assert file.read() == b""

    def test_writes_are_buffered_until_they_are_flushed(self, disk: Disk) -> None:
        path = disk.path("a")
        with disk.files.open(path, "wb") as file:
            file.write(b"abc")
            assert disk.files.size(path) == 0
            assert file.tell() == 3
            file.flush()
            assert disk.files.size(path) == 3
            file.write(b"def")
            assert disk.get(path) == b"abc"
            file.sync()
            assert disk.get(path) == b"abcdef"

    def test_a_full_buffer_flushes_itself(self, disk: Disk) -> None:
        path = disk.path("a")
        with disk.files.open(path, "wb") as file:
            for _ in range(BUFFER_SIZE // 1000 + 1):
                file.write(b"x" * 1000)
            assert disk.files.size(path) == BUFFER_SIZE // 1000 * 1000

    def test_a_file_opened_for_change_is_changed_in_place(self, disk: Disk) -> None:
        path = disk.put("a", b"abcdef")
        with disk.files.open(path, "r+b") as file:
            assert file.read(2) == b"ab"
            assert file.write(b"XY") == 2
            assert file.read() == b"ef"
            file.seek(0)
            file.write(b"A")
            file.seek(-1, 2)
            file.write(b"F")
            assert file.seek(-5, 1) == 1
            assert file.read() == b"bXYeF"
        assert disk.get(path) == b"AbXYeF"

    def test_a_file_opened_to_append_grows_at_its_end_wherever_one_seeks(self, disk: Disk) -> None:
        path = disk.put("a", b"abc")
        with disk.files.open(path, "ab") as file:
            assert file.tell() == 3
            file.write(b"d")
            file.seek(0)
            assert file.tell() == 0
            file.write(b"e")
            assert file.tell() == 5
            file.flush()
            with disk.files.open(path, "ab") as other:
                other.write(b"f")
            file.write(b"g")
        assert disk.get(path) == b"abcdefg"

    def test_two_who_append_never_overwrite_each_other(self, disk: Disk) -> None:
        path = disk.put("a", b"abc")
        with disk.files.open(path, "ab") as one, disk.files.open(path, "ab") as other:
            one.write(b"one")
            other.write(b"other")
            one.flush()
            other.flush()
            one.write(b"!")
        assert disk.get(path) == b"abconeother!"

    def test_opening_to_write_empties_and_opening_to_create_refuses_a_file_that_is_there(self, disk: Disk) -> None:
        path = disk.put("a", b"abc")
        with pytest.raises(FileExistsError):
            disk.files.open(path, "xb")
        assert disk.get(path) == b"abc"
        disk.files.open(path, "wb").close()
        assert disk.get(path) == b""
        with disk.files.open(disk.path("b"), "xb") as file:
            file.write(b"new")
        assert disk.get(disk.path("b")) == b"new"

    def test_writing_beyond_the_end_leaves_zeros_between(self, disk: Disk) -> None:
        path = disk.put("a", b"ab")
        with disk.files.open(path, "r+b") as file:
            file.seek(3, 2)
            file.write(b"c")
            file.seek(1000)
            file.write(b"d")
        assert disk.get(path) == b"ab\0\0\0c" + bytes(994) + b"d"

    @pytest.mark.parametrize("mode", ["wb", "r+b", "ab"])
    def test_truncating_shortens_and_lengthens_and_stays_where_it_is(self, disk: Disk, mode: str) -> None:
        path = disk.path("a")
        disk.put("a", b"" if mode == "wb" else b"0123456789")
        with disk.files.open(path, mode) as file:
            file.write(b"abcdefghij" if mode != "ab" else b"")
            file.seek(10)
            assert file.truncate(4) == 4
            assert file.tell() == 10
            assert disk.files.size(path) == 4
            assert file.truncate() == 10
            assert disk.files.size(path) == 10
        begin = b"0123" if mode == "ab" else b"abcd"
        assert disk.get(path) == begin + bytes(6)

    def test_truncating_keeps_what_is_buffered_before_and_forgets_what_is_buffered_behind(self, disk: Disk) -> None:
        path = disk.path("a")
        with disk.files.open(path, "wb") as file:
            file.write(b"abc")
            file.flush()
            file.write(b"defgh")
            assert file.truncate(5) == 5
            assert disk.get(path) == b"abcde"
            file.seek(5)
            file.write(b"ijk")
            assert file.truncate(1) == 1
            assert disk.get(path) == b"a"
        assert disk.get(path) == b"a"

    def test_two_who_have_a_file_open_see_what_the_other_flushed(self, disk: Disk) -> None:
        path = disk.put("a", b"abc")
        with disk.files.open(path, "r+b") as writer, disk.files.open(path) as reader:
            assert reader.read() == b"abc"
            writer.seek(3)
            writer.write(b"d")
            assert reader.read() == b""
            writer.flush()
            assert reader.read() == b"d"
            writer.truncate(1)
            reader.seek(0)
            assert reader.read() == b"a"

    # ------------------------------------------------------------ misuse

    @pytest.mark.parametrize("mode", ["r", "w", "rw", "wb+", "w+b", "a+b", "", "b", "rbx"])
    def test_no_other_mode_is_taken(self, disk: Disk, mode: str) -> None:
        with pytest.raises(ValueError, match="not with"):
            disk.files.open(disk.path("a"), mode)
        assert not disk.files.exists(disk.path("a"))

    def test_a_file_does_only_what_it_was_opened_for(self, disk: Disk) -> None:
        path = disk.put("a", b"abc")
        for mode in ("wb", "ab", "xb"):
            file = disk.files.open(path if mode != "xb" else disk.path("b"), mode)
            with file, pytest.raises(io.UnsupportedOperation):
                file.read()
        with disk.files.open(path) as file:
            for write in (lambda: file.write(b"x"), lambda: file.truncate(0)):
                with pytest.raises(OSError, match='opened with "rb"'):
                    write()
            file.flush()
            file.sync()

    @pytest.mark.parametrize("mode", MODES)
    def test_a_closed_file_refuses_everything_but_to_be_closed_again(self, disk: Disk, mode: str) -> None:
        path = disk.path("a")
        if mode != "xb":
            disk.put("a", b"abc")
        file = disk.files.open(path, mode)
        assert not file.closed
        file.close()
        file.close()
        assert file.closed
        calls: list[Any] = [file.read, lambda: file.write(b"x"), lambda: file.seek(0), file.tell]
        for call in [*calls, file.truncate, file.flush, file.sync]:
            with pytest.raises(ValueError, match="closed file"):
                call()

    def test_places_before_the_beginning_are_refused(self, disk: Disk) -> None:
        with disk.files.open(disk.put("a", b"abc"), "r+b") as file:
            for call in (lambda: file.seek(-1), lambda: file.seek(-4, 2), lambda: file.truncate(-1)):
                with pytest.raises(OSError, match=r"before the beginning|shorter than empty") as caught:
                    call()
                assert caught.value.errno == errno.EINVAL
            with pytest.raises(ValueError, match="whence"):
                file.seek(0, 3)
            assert file.read() == b"abc"

    def test_a_file_that_is_not_there_is_missed(self, disk: Disk) -> None:
        files, path = disk.files, disk.path("a")
        for call in (
            lambda: files.open(path),
            lambda: files.open(path, "r+b"),
            lambda: files.open(disk.path("no", "a"), "wb"),
            lambda: files.remove(path),
            lambda: files.rename(path, disk.path("b")),
            lambda: files.size(path),
            lambda: files.list(path),
            lambda: files.sync(path),
            lambda: files.open(""),
            lambda: files.make_folder(""),
        ):
            with pytest.raises(FileNotFoundError):
                call()
        assert files.list(disk.root) == []
        assert not files.exists("")

    def test_a_folder_is_no_file_and_a_file_no_folder(self, disk: Disk) -> None:
        files, folder = disk.files, disk.path("folder")
        files.make_folder(folder)
        path = disk.put("a", b"abc")
        for mode in ("rb", "wb", "ab", "r+b"):
            with pytest.raises(IsADirectoryError):
                files.open(folder, mode)
        with pytest.raises(FileExistsError):
            files.open(folder, "xb")
        with pytest.raises(IsADirectoryError):
            files.remove(folder)
        inside = disk.path("a", "b")
        for call in (
            lambda: files.list(path),
            lambda: files.sync(path),
            lambda: files.open(inside),
            lambda: files.size(inside),
            lambda: files.make_folder(inside),
        ):
            with pytest.raises(NotADirectoryError):
                call()
        with pytest.raises(FileExistsError):
            files.make_folder(path)
        assert not files.exists(inside)
        assert disk.get(path) == b"abc"

    # ------------------------------------------------------------ names

    def test_a_renamed_file_replaces_the_one_of_that_name(self, disk: Disk) -> None:
        old, new = disk.put("a", b"new"), disk.put("b", b"old")
        with disk.files.open(new) as before:
            disk.files.rename(old, new)
            assert before.read() == b"old", "who has it open goes on with the file, not with the name"
        assert disk.get(new) == b"new"
        assert disk.files.list(disk.root) == ["b"]
        disk.files.rename(new, new)
        assert disk.get(new) == b"new"

    def test_a_file_that_is_open_can_be_renamed_and_removed(self, disk: Disk) -> None:
        path = disk.path("a")
        with disk.files.open(path, "wb") as file:
            file.write(b"one")
            disk.files.rename(path, disk.path("b"))
            file.flush()
            assert disk.get(disk.path("b")) == b"one"
            with disk.files.open(disk.path("b")) as reader:
                disk.files.remove(disk.path("b"))
                file.write(b"two")
                file.flush()
                assert reader.read() == b"onetwo"
        assert disk.files.list(disk.root) == []

    def test_folders_are_renamed_with_what_is_in_them(self, disk: Disk) -> None:
        files = disk.files
        files.make_folder(disk.path("a", "b"))
        disk.put("a/b/c", b"inside")
        files.make_folder(disk.path("empty"))
        files.rename(disk.path("a", "b"), disk.path("empty"))
        assert disk.get(disk.path("empty", "c")) == b"inside"
        assert files.list(disk.path("a")) == []
        path = disk.put("file", b"")
        refusals = {
            errno.ENOTEMPTY: lambda: files.rename(disk.path("a"), disk.path("empty")),
            errno.EINVAL: lambda: files.rename(disk.path("empty"), disk.path("empty", "deeper")),
            errno.ENOTDIR: lambda: files.rename(disk.path("a"), path),
            errno.EISDIR: lambda: files.rename(path, disk.path("a")),
        }
        for number, call in refusals.items():
            with pytest.raises(OSError) as caught:  # noqa: PT011 - each has a number of its own
                call()
            assert caught.value.errno == number
        assert files.list(disk.root) == ["a", "empty", "file"]

    def test_a_folder_lists_its_names_in_order(self, disk: Disk) -> None:
        for name in ("b", "a", "ä", "B", "c"):
            disk.put(name, b"")
        disk.files.make_folder(disk.path("d", "deeper"))
        assert disk.files.list(disk.root) == ["B", "a", "b", "c", "d", "ä"]
        disk.files.remove(disk.path("c"))
        assert disk.files.list(disk.root + "/") == ["B", "a", "b", "d", "ä"]

    def test_files_and_folders_exist_from_when_they_are_made(self, disk: Disk) -> None:
        path = disk.path("a", "b")
        assert not disk.files.exists(path)
        disk.files.make_folder(path + "/")
        assert disk.files.exists(path)
        assert not disk.files.plain(path)
        assert disk.files.exists(disk.path("a"))
        assert not disk.files.plain(disk.path("a/c"))
        assert disk.files.plain(disk.put("a/c", b"kept"))
        disk.files.make_folder(path)
        disk.files.make_folder(disk.path("a"))
        assert disk.get(disk.path("a", "c")) == b"kept"

    def test_syncing_succeeds_for_files_and_folders(self, disk: Disk) -> None:
        with disk.files.open(disk.path("a"), "wb") as file:
            file.write(b"abc")
            file.sync()
            assert disk.get(disk.path("a")) == b"abc"
        disk.files.sync(disk.root)

    # ------------------------------------------------------------ permissions

    def test_a_new_file_has_exactly_the_permissions_that_were_asked_for(self, disk: Disk) -> None:
        for mode in ("wb", "ab", "xb"):
            for permissions in (0o600, 0o660, 0o622):
                name = f"{mode} {permissions}"
                disk.files.open(disk.path(name), mode, permissions).close()
                assert disk.permissions(disk.path(name)) == permissions
        disk.files.make_folder(disk.path("above", "own"), 0o770)
        assert disk.permissions(disk.path("above", "own")) == 0o770

    def test_the_umask_decides_when_nothing_is_asked_for(self, disk: Disk) -> None:
        disk.files.make_folder(disk.path("above", "folder"))
        disk.put("above/a", b"")
        assert disk.permissions(disk.path("above", "a")) == 0o644
        assert disk.permissions(disk.path("above", "folder")) == 0o755
        assert disk.permissions(disk.path("above")) == 0o755

    def test_a_file_or_folder_that_is_there_keeps_its_permissions(self, disk: Disk) -> None:
        path = disk.path("a")
        disk.files.open(path, "xb", 0o600).close()
        for mode in ("wb", "ab", "r+b"):
            disk.files.open(path, mode, 0o644).close()
        disk.files.make_folder(disk.path("b"), 0o700)
        disk.files.make_folder(disk.path("b"), 0o755)
        assert (disk.permissions(path), disk.permissions(disk.path("b"))) == (0o600, 0o700)
        disk.files.rename(path, disk.path("c"))
        assert disk.permissions(disk.path("c")) == 0o600
