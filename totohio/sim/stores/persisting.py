"""How simulated databases keep their records on the disk of their host, which may fail or lose its power at any time.

A ledger is a file in a folder, `data.7` for instance. Its first entry is a whole state, each further one what changed
it. Each carries a checksum over all before it, so that after a power cut the entries are read up to the first that is
not there as a whole. Whenever the disk has failed, after a start, and when it has grown long, a new file is begun with
the state as it is; the old one goes when the new one is safe, with its name. A sync that has failed is not tried again
(see `base.filing`). What is found at a start need not be safe, for the process before may have been killed before its
sync: so whoever promises that what is read stays has it made safe first.
"""

import errno
import posixpath
import struct
import zlib
from collections.abc import Callable

from totohio.base.environing import File, Files

HEAD = struct.Struct(">II")  # the length of an entry, and the checksum
LONG = 1 << 20  # bytes from which on a file is long,
GROWTH = 4  # if it is that many times as long as the state that it began with
NAME = "data"
PERMISSIONS = 0o600
FOLDER_PERMISSIONS = 0o700


class Ledger:
    """Entries on a disk.

    Attributes:
        broken: The disk has failed, or nothing was written yet: the next entry begins a new file.
    """

    def __init__(self, files: Files, folder: str) -> None:
        self.broken = True
        self._files = files
        self._folder = folder
        self._file: File | None = None
        self._number = 0
        self._numbers: list[int] = []  # of the files that are there
        self._new = False  # the file's name may not be safe, and older ones are there
        self._found: int | None = None  # the file that was read
        self._size = self._limit = 0
        self._sum = 0

    def open(self) -> list[bytes]:
        """Give what the disk holds: a state, and what has changed it; nothing from an empty disk.

        Raises:
            OSError: The disk fails.
        """
        self._files.make_folder(self._folder, FOLDER_PERMISSIONS)
        names = [name.removeprefix(f"{NAME}.") for name in self._files.list(self._folder)]
        self._numbers = sorted(int(name) for name in names if name.isdigit())
        self._number = self._numbers[-1] if self._numbers else 0
        for number in reversed(self._numbers):
            with self._files.open(self._path(number)) as file:
                entries = _entries(file.read(), number)
            if entries:
                self._found = number
                return entries
        return []

    def write(self, entry: bytes, state: Callable[[], bytes]) -> None:
        """Hand an entry to the system, so that it outlives the process.

        Args:
            entry: What changes the state.
            state: Gives the state before it, or after it if to change it twice makes no difference.

        Raises:
            OSError: The disk fails or is full; the entry may be there or not.
        """
        try:
            if self.broken or self._size > self._limit:
                self._begin(state())
            self._put(entry)
        except OSError:
            self._give_up()
            raise

    def secure(self, state: bytes) -> None:
        """Make a state safe, in a new file; where there is no room for one, in the one that it was found in.

        Raises:
            OSError: The disk fails.
        """
        try:
            self._begin(state)
            self.sync()
        except OSError as error:
            self._give_up()
            if error.errno != errno.ENOSPC or self._found is None:
                raise
            with self._files.open(self._path(self._found), "r+b") as file:
                file.sync()
            self._sync_names()

    def sync(self) -> None:
        """Return when all that was written is safe from a power cut.

        Raises:
            OSError: The disk fails; what was not safe may be so or not.
        """
        if self._file is None:
            return
        try:
            self._file.sync()
            if self._new:
                self._make_safe()
        except OSError:
            self._give_up()
            raise

    def _begin(self, state: bytes) -> None:
        self._give_up()
        self._number += 1
        self._numbers.append(self._number)
        self._file = self._files.open(self._path(self._number), "wb", PERMISSIONS)
        self._new = True
        self._size = 0
        self._sum = self._number
        self._limit = max(LONG, GROWTH * len(state))
        self._put(state)
        self.broken = False

    def _put(self, entry: bytes) -> None:
        assert self._file is not None
        head, self._sum = _head(entry, self._sum)
        self._file.write(head + entry)
        self._file.flush()
        self._size += len(head) + len(entry)

    def _sync_names(self) -> None:
        folder = posixpath.normpath(posixpath.join("/", self._folder))
        self._files.sync(folder)
        while folder != "/":  # its own name, and those of all above it
            folder = posixpath.dirname(folder)
            self._files.sync(folder)

    def _make_safe(self) -> None:
        self._sync_names()
        self._new = False
        for number in self._numbers[:-1]:
            if self._files.exists(self._path(number)):  # a file whose making has failed may not be
                self._files.remove(self._path(number))
        del self._numbers[:-1]

    def _give_up(self) -> None:
        """Let go of the file; what it holds already stays."""
        file, self._file = self._file, None
        self.broken = True
        if file is not None and not file.closed:
            discard = getattr(file, "discard", None)
            if discard is not None:
                discard()
            file.close()

    def _path(self, number: int) -> str:
        return posixpath.join(self._folder, f"{NAME}.{number}")


def _head(entry: bytes, before: int) -> tuple[bytes, int]:
    checksum = zlib.crc32(entry, zlib.crc32(before.to_bytes(8, "big")))
    return HEAD.pack(len(entry), checksum), checksum


def _entries(data: bytes, number: int) -> list[bytes]:
    """Give the entries of a file up to the first that is not there as a whole."""
    found: list[bytes] = []
    place, checksum = 0, number
    while place + HEAD.size <= len(data):
        size, _ = HEAD.unpack_from(data, place)
        entry = data[place + HEAD.size : place + HEAD.size + size]
        head, checksum = _head(entry, checksum)
        if data[place : place + HEAD.size] != head:  # which has the length, too
            break
        found.append(entry)
        place += HEAD.size + size
    return found
