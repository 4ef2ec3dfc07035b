"""Files: a buffer that says what has left it, and the machine's own disk.

A byte that is written goes three steps: into the buffer of this process, with `flush` into the system's cache, with
`sync` onto the disk. A killed process loses what it had not flushed, a power cut what was not synced. The name of a
file is an entry of its folder and is synced with the folder, not with the file (fsync(2), "Calling fsync() does not
necessarily ensure that the entry in the directory containing the file has also reached disk"). So a file is replaced
safely in four steps: write another one beside it, sync that, rename it over the old one, sync the folder.

A sync that failed is not to be tried again: Linux may have dropped the data by then and say yes the second time
(Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). Write it anew, elsewhere.
"""

import errno
import io
import os
from typing import Protocol

StrPath = str | os.PathLike[str]
Data = bytes | bytearray | memoryview
Names = list[str]

MODES = ("rb", "wb", "ab", "xb", "r+b")
BUFFER_SIZE = 1 << 16  # bytes: with records of 100 each, one write in 650 reaches the system
PIECE_SIZE = 1 << 18  # bytes that are asked for at once, because room is made for all of them first
FILE_PERMISSIONS = 0o666  # these two are what everyone asks for, and the umask decides
FOLDER_PERMISSIONS = 0o777


# ---------------------------------------------------------------- one file


class RawFile(Protocol):
    """An open file without a buffer and without a position. All but `close` raise an OSError when the disk does."""

    @property
    def closed(self) -> bool:
        """It is no longer open."""

    def read(self, size: int, offset: int) -> bytes:
        """Give what stands there, at most ``size`` bytes; none at the end."""

    def write(self, data: Data, offset: int) -> int:
        """Put data there, in mode "ab" at the end instead, and give how much of it was taken."""

    def size(self) -> int:
        """How long it is."""

    def truncate(self, size: int) -> None:
        """Make it that long, with zeros when it was shorter."""

    def sync(self) -> None:
        """Return when all of it is on the disk."""

    def close(self) -> None:
        """Release it."""


class BufferedFile:
    """An open file, for one thread at a time. Writes are buffered until `flush`, reads are not buffered.

    What a method cannot do with this mode raises io.UnsupportedOperation, and what is asked of a closed file
    ValueError. What the system refuses is an OSError, and what it has not taken stays in the buffer.

    Attributes:
        mode: How it was opened.
    """

    __slots__ = ("_pending", "_position", "_raw", "_start", "mode")

    def __init__(self, raw: RawFile, mode: str) -> None:
        self.mode = mode
        self._raw = raw
        self._pending = bytearray()
        self._position = raw.size() if mode == "ab" else 0
        self._start = self._position  # where the first of the pending bytes belongs

    def __enter__(self) -> "BufferedFile":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """It is no longer open."""
        return self._raw.closed

    def read(self, size: int = -1) -> bytes:
        """Give that many bytes, fewer when the file ends before; all that follow when the size is negative."""
        self._check("wb", "ab", "xb")
        self.flush()
        pieces = []
        while size:
            piece = self._raw.read(PIECE_SIZE if size < 0 else min(size, PIECE_SIZE), self._position)
            if not piece:
                break
            pieces.append(piece)
            self._position += len(piece)
            if size > 0:
                size -= len(piece)
        return b"".join(pieces)

    def write(self, data: Data) -> int:
        """Buffer all of the data and give its length; in mode "ab" it belongs at the end.

        A full buffer is flushed before. When that fails, none of the data is taken.
        """
        self._check("rb")
        pending = self._pending
        size = data.nbytes if isinstance(data, memoryview) else len(data)
        if pending and (self._position != self._start + len(pending) or len(pending) + size > BUFFER_SIZE):
            self.flush()
        if not pending:
            self._start = self._raw.size() if self.mode == "ab" else self._position
        pending += data
        self._position = self._start + len(pending)
        return size

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place counted from the beginning (0), from here (1) or from the end (2), and give where that is."""
        self._check()
        if whence == 2:
            self.flush()
            offset += self._raw.size()
        elif whence == 1:
            offset += self._position
        elif whence != 0:
            raise ValueError(f"whence is 0, 1 or 2, not {whence}")
        if offset < 0:
            raise OSError(errno.EINVAL, "there is nothing before the beginning of a file")
        self._position = offset
        return offset

    def tell(self) -> int:
        """Where the next byte is read or written."""
        self._check()
        return self._position

    def truncate(self, size: int | None = None) -> int:
        """Make the file that long, by default until here, with zeros when it was shorter, and give the length.

        What is buffered for beyond that never reaches the system, so this also repairs a file whose disk is full.
        """
        self._check("rb")
        length = self._position if size is None else size
        if length < 0:
            raise OSError(errno.EINVAL, "a file cannot be shorter than empty")
        del self._pending[max(0, length - self._start) :]
        self.flush()
        self._raw.truncate(length)
        return length

    def flush(self) -> None:
        """Hand what is buffered to the system, so that it survives this process."""
        self._check()
        pending = self._pending
        while pending:
            count = self._raw.write(pending, self._start)
            del pending[:count]
            self._start += count

    def sync(self) -> None:
        """Flush, and return when all of the file is on the disk, so that it survives a power cut."""
        self.flush()
        self._raw.sync()

    def discard(self) -> int:
        """Forget what is buffered and give how much that was; the position is where it began."""
        size = len(self._pending)
        if size:
            self._pending.clear()
            self._position = self._start
        return size

    def close(self) -> None:
        """Flush and release the file, also when flushing fails; twice does no harm."""
        if not self._raw.closed:
            try:
                self.flush()
            finally:
                self._pending.clear()
                self._raw.close()

    def _check(self, *unfit: str) -> None:
        if self._raw.closed:
            raise ValueError("I/O operation on closed file")
        if self.mode in unfit:
            raise io.UnsupportedOperation(f'a file opened with "{self.mode}" cannot do that')


def check_mode(mode: str) -> None:
    """Refuse a mode that files are not opened in.

    Raises:
        ValueError: It is none of `MODES`.
    """
    if mode not in MODES:
        raise ValueError(f"files are opened with one of {', '.join(MODES)}, not with {mode!r}")


# ---------------------------------------------------------------- the machine's disk


class _KernelRaw:
    """A descriptor, held by io.FileIO so that a forgotten one is closed and complained about."""

    def __init__(self, path: StrPath, mode: str, permissions: int) -> None:
        def opener(path: str, flags: int) -> int:
            return _descriptor(path, flags, permissions)

        self._file = io.FileIO(path, mode.replace("b", ""), opener=opener)
        self._fd = self._file.fileno()

    @property
    def closed(self) -> bool:
        return self._file.closed

    def read(self, size: int, offset: int) -> bytes:
        return os.pread(self._fd, size, offset)

    def write(self, data: Data, offset: int) -> int:
        return os.pwrite(self._fd, data, offset)  # with O_APPEND Linux appends, whatever the offset; see pwrite(2)

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)

    def sync(self) -> None:
        os.fsync(self._fd)

    def close(self) -> None:
        self._file.close()


def _descriptor(path: str, flags: int, permissions: int) -> int:
    """Open a file, and let a new one have exactly the permissions unless they are what everyone asks for."""
    if flags & os.O_CREAT and permissions != FILE_PERMISSIONS:
        try:
            fd = os.open(path, flags | os.O_EXCL, permissions)
        except FileExistsError:
            if flags & os.O_EXCL:
                raise
        else:
            try:
                os.fchmod(fd, permissions)
            except OSError:
                os.close(fd)
                raise
            return fd
    return os.open(path, flags, permissions)


class KernelFiles:
    """The machine's own files. All methods raise an OSError where the system refuses."""

    def open(self, path: StrPath, mode: str = "rb", permissions: int = FILE_PERMISSIONS) -> BufferedFile:
        """Open a file to read ("rb"), write anew ("wb"), append ("ab"), create ("xb") or change ("r+b").

        Args:
            path: Where it is.
            mode: As of the builtin `open`.
            permissions: Of the file if it is new. The umask takes away from the default, and from nothing else.

        Raises:
            ValueError: The mode is none of these.
        """
        check_mode(mode)
        return BufferedFile(_KernelRaw(path, mode, permissions), mode)

    def rename(self, source: StrPath, target: StrPath) -> None:
        """Give a file or folder another name; a file of that name is replaced in the same instant."""
        os.replace(source, target)

    def remove(self, path: StrPath) -> None:
        """Remove a file."""
        os.remove(path)

    def exists(self, path: StrPath) -> bool:
        """Tell whether there is a file or folder."""
        return os.path.exists(path)

    def plain(self, path: StrPath) -> bool:
        """Tell whether there is a file: neither a folder, nor a device, pipe or link."""
        return os.path.isfile(path) and not os.path.islink(path)

    def size(self, path: StrPath) -> int:
        """How long a file is, as far as it was flushed."""
        return os.stat(path).st_size

    def make_folder(self, path: StrPath, permissions: int = FOLDER_PERMISSIONS) -> None:
        """Make a folder, and those above it with default permissions; one that is there stays as it is."""
        path = os.fspath(path)
        path = path.rstrip("/") or path
        try:
            _make_one_folder(path, permissions)
        except FileNotFoundError:
            above = os.path.dirname(path)
            if not above:
                raise
            self.make_folder(above)
            _make_one_folder(path, permissions)

    def sync(self, folder: StrPath) -> None:
        """Return when the names in a folder are on the disk; its own name is synced with the folder above it."""
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def list(self, folder: StrPath) -> Names:
        """Give the names in a folder, sorted."""
        return sorted(os.listdir(folder))


def _make_one_folder(path: str, permissions: int) -> None:
    try:
        os.mkdir(path, permissions)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
    else:
        if permissions != FOLDER_PERMISSIONS:
            os.chmod(path, permissions)
