"""The files of one simulated host, which a kill, a power cut, a full and a failing disk do to what real ones do.

`totohio.sim.disk.disks` says what a power cut leaves. A kill leaves what was flushed. After either of them the files
that were open are closed: whatever is left of the program that had them gets ValueError, as from any closed file.

Permissions are kept but not enforced, as for root. There are no links, so ".." and "." in paths are resolved as text.
"""

import errno
import os
import posixpath
from collections.abc import Callable

from totohio.base.filing import (
    FILE_PERMISSIONS,
    FOLDER_PERMISSIONS,
    BufferedFile,
    Data,
    Names,
    StrPath,
    check_mode,
)
from totohio.sim.disk.disks import Content, Folder, Node, Step, Tree
from totohio.sim.disk.failing import Failure
from totohio.sim.seeding import Dice

UMASK = 0o022  # what hosts usually have
OPERATIONS = ("read", "write", "sync")

Note = Callable[..., None]
Folders = list[Folder]


def _error(number: int, path: str, target: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), path, None, target)


class _SimRaw:
    """An open file of a simulated host, without a buffer."""

    def __init__(self, files: "SimFiles", number: int, content: Content, path: str, *, appends: bool) -> None:
        self.content = content
        self.path = path
        self.closed = False
        self._files = files
        self._number = number
        self._appends = appends
        self._errors = content.errors

    def read(self, size: int, offset: int) -> bytes:
        self._files.strike("read", self.path)
        return bytes(memoryview(self.content.data)[offset : offset + size])

    def write(self, data: Data, offset: int) -> int:
        self._files.strike("write", self.path)
        length = len(self.content.data)
        if self._appends:
            offset = length
        room = self._files.room()
        if room is not None:
            fitting = length + room - offset
            if fitting <= 0:
                raise _error(errno.ENOSPC, self.path)
            data = data[:fitting]
        self.content.write(bytes(data), offset)
        return len(data)

    def size(self) -> int:
        return len(self.content.data)

    def truncate(self, size: int) -> None:
        self.content.truncate(size)

    def sync(self) -> None:
        known, self._errors = self._errors, self.content.errors
        try:
            self._files.sync_content(self.content, self.path)
        except OSError:
            self._errors = self.content.errors
            raise
        if known != self.content.errors:  # since Linux 4.13; see fsync(2)
            raise _error(errno.EIO, self.path)

    def close(self) -> None:
        self.closed = True
        self._files.forget(self._number)


class SimFiles:
    """The disk of one host, in memory.

    Attributes:
        capacity: How many bytes fit on the disk, None for any number. A write that does not fit takes what does and
            then raises ENOSPC. The zeros of a hole count too, but making a hole by `truncate` is never refused.
        filled: The faults that have left no room for another byte, by their index.
        slow: The faults that make databases wait for it, and how many seconds, by their index.
    """

    def __init__(self, dice: Dice, note: Note | None = None) -> None:
        """Give it an empty disk.

        Args:
            dice: Decide what a power cut and a failed sync leave.
            note: Told of each entry for the trace: its kind, then texts and numbers. "file": what is done to names,
                and what failed; "sync": the path; "lost": what, where and how much.
        """
        self.capacity: int | None = None
        self.filled: set[int] = set()
        self.slow: dict[int, float] = {}
        self._dice = dice
        self._note: Note = note or (lambda kind, *details: None)
        self._tree = Tree(FOLDER_PERMISSIONS & ~UMASK)
        self._open: dict[int, tuple[BufferedFile, _SimRaw]] = {}
        self._failures: list[Failure] = []
        self._numbers = {"file": 0, "handle": 0, "cut": 0, "drop": 0}

    # ------------------------------------------------------------ the port

    def open(self, path: StrPath, mode: str = "rb", permissions: int = FILE_PERMISSIONS) -> BufferedFile:
        """Open a file to read ("rb"), write anew ("wb"), append ("ab"), create ("xb") or change ("r+b").

        Args:
            path: Where it is; one that is relative begins at "/".
            mode: As of the builtin `open`.
            permissions: Of the file if it is new. The umask, 0o022, takes away from the default, and from nothing else.

        Raises:
            ValueError: The mode is none of these.
        """
        check_mode(mode)
        where, above, name = self._place(path)
        content = above[-1].entries.get(name) if name else above[-1]
        if isinstance(content, Folder):
            raise _error(errno.EEXIST if mode == "xb" else errno.EISDIR, where)
        if content is None:
            if mode in ("rb", "r+b"):
                raise _error(errno.ENOENT, where)
            bits = permissions & ~UMASK if permissions == FILE_PERMISSIONS else permissions
            content = Content(self._number("file"), bits)
            self._tree.do(Step(("create", where), {(above[-1], name): content}))
        elif mode == "xb":
            raise _error(errno.EEXIST, where)
        elif mode == "wb":
            content.truncate(0)
        self._note("file", "open", where, mode)
        number = self._number("handle")
        raw = _SimRaw(self, number, content, where, appends=mode == "ab")
        file = BufferedFile(raw, mode)
        self._open[number] = file, raw
        return file

    def rename(self, source: StrPath, target: StrPath) -> None:
        """Give a file or folder another name; a file of that name is replaced in the same instant."""
        old, old_above, old_name = self._place(source)
        new, new_above, new_name = self._place(target)
        if not old_name or not new_name:
            raise _error(errno.EBUSY, old, new)
        node = old_above[-1].entries.get(old_name)
        if node is None:
            raise _error(errno.ENOENT, old, new)
        if node in new_above:
            raise _error(errno.EINVAL, old, new)  # a folder into itself
        other = new_above[-1].entries.get(new_name)
        if other is node:
            return
        if isinstance(other, Folder) and not isinstance(node, Folder):
            raise _error(errno.EISDIR, old, new)
        if isinstance(other, Content) and isinstance(node, Folder):
            raise _error(errno.ENOTDIR, old, new)
        if isinstance(other, Folder) and other.entries:
            raise _error(errno.ENOTEMPTY, old, new)
        needs = [folder.placed for folder in new_above if folder.placed is not None]
        edits: dict[tuple[Folder, str], Node | None] = {
            (old_above[-1], old_name): None,
            (new_above[-1], new_name): node,
        }
        self._tree.do(Step(("rename", old, new), edits, needs))
        self._note("file", "rename", old, new)

    def remove(self, path: StrPath) -> None:
        """Remove a file; whoever has it open goes on with it."""
        where, above, name = self._place(path)
        node = above[-1].entries.get(name) if name else above[-1]
        if node is None:
            raise _error(errno.ENOENT, where)
        if isinstance(node, Folder):
            raise _error(errno.EISDIR, where)
        self._tree.do(Step(("remove", where), {(above[-1], name): None}))
        self._note("file", "remove", where)

    def exists(self, path: StrPath) -> bool:
        """Tell whether there is a file or folder."""
        try:
            self._node(path)
        except OSError:
            return False
        return True

    def plain(self, path: StrPath) -> bool:
        """Tell whether there is a file: neither a folder, nor a device, pipe or link, of which there are none here."""
        try:
            return isinstance(self._node(path), Content)
        except OSError:
            return False

    def size(self, path: StrPath) -> int:
        """How long a file is, as far as it was flushed."""
        node = self._node(path)
        return len(node.data) if isinstance(node, Content) else 0

    def make_folder(self, path: StrPath, permissions: int = FOLDER_PERMISSIONS) -> None:
        """Make a folder, and those above it with default permissions; one that is there stays as it is."""
        where = _absolute(path)
        folder, place = self._tree.root, ""
        for name in where.split("/")[1:] if where != "/" else ():
            place += "/" + name
            node = folder.entries.get(name)
            if isinstance(node, Content):
                raise _error(errno.EEXIST if place == where else errno.ENOTDIR, where)
            if node is None:
                exact = place == where and permissions != FOLDER_PERMISSIONS
                node = Folder(permissions if exact else FOLDER_PERMISSIONS & ~UMASK)
                self._tree.do(Step(("make_folder", place), {(folder, name): node}))
                self._note("file", "make_folder", place)
            folder = node

    def sync(self, folder: StrPath) -> None:
        """Return when the names in a folder are on the disk; its own name is synced with the folder above it."""
        where = _absolute(folder)
        node = self._folder(folder)
        self.strike("sync", where)
        self._tree.sync(node)
        self._note("sync", where)

    def list(self, folder: StrPath) -> Names:
        """Give the names in a folder, sorted."""
        return sorted(self._folder(folder).entries)

    # ------------------------------------------------------------ what tests ask and do

    @property
    def used(self) -> int:
        """How many bytes the files have, those included that were removed and are still open."""
        contents = {content.number: content for _, content in self._tree.contents()}
        contents.update((raw.content.number, raw.content) for _, raw in self._open.values())
        return sum(len(content.data) for content in contents.values())

    @property
    def lag(self) -> float:
        """The seconds that a database waits for it beside what is usual."""
        return sum(self.slow.values())

    def permissions(self, path: StrPath) -> int:
        """The permission bits of a file or folder."""
        return self._node(path).permissions

    def fill(self, spare: int = 0) -> None:
        """Let only so many more bytes fit on the disk."""
        self.capacity = self.used + spare

    def fail(self, operation: str, *, path: StrPath | None = None, after: int = 0, times: int | None = None) -> Failure:
        """Let an operation fail with EIO.

        A read or write that fails does nothing. When the sync of a file fails, some of what was not synced reaches the
        disk, and with even chances the rest is not tried again, though it is still shown: only a power cut reveals it.
        Everyone else who has the file open then is told by the next sync of theirs.

        Args:
            operation: "read", "write" or "sync", as the system sees them: what is buffered is written by a flush.
            path: Only of that file or folder, by the name with which it was opened.
            after: How many go well before.
            times: How many fail; until `heal` if None.

        Returns:
            What `heal` takes to let only this one end.

        Raises:
            ValueError: There is no such operation.
        """
        if operation not in OPERATIONS:
            raise ValueError(f"what fails is one of {', '.join(OPERATIONS)}, not {operation!r}")
        failure = Failure(operation, None if path is None else _absolute(path), after, times)
        self._failures.append(failure)
        return failure

    def heal(self, failure: Failure | None = None) -> None:
        """Let one failure end; or let nothing fail any more, and any number of bytes fit."""
        if failure is None:
            self._failures.clear()
            self.filled.clear()
            self.slow.clear()
            self.capacity = None
        elif failure in self._failures:
            self._failures.remove(failure)

    def kill(self) -> None:
        """End the host's program: what was not flushed is lost, and what was open is closed."""
        for file, raw in list(self._open.values()):
            size = file.discard()
            raw.close()
            if size:
                self._note("lost", "buffer", raw.path, size)

    def crash(self) -> None:
        """Cut the power: besides, what was not synced is lost, or some of it."""
        self.kill()
        dice = self._dice.branch("cut", self._number("cut"))
        for step in self._tree.cut(dice.branch("names")):
            self._note("lost", *step.what)
        for path, content in self._tree.contents():
            sectors = content.cut(dice.branch(content.number))
            if sectors:
                self._note("lost", "sectors", path, sectors)

    # ------------------------------------------------------------ for open files

    def room(self) -> int | None:
        """How many more bytes fit; None for any number."""
        if self.filled:
            return 0
        return None if self.capacity is None else max(0, self.capacity - self.used)

    def strike(self, operation: str, path: str) -> None:
        """Fail if that is to be."""
        for failure in self._failures:
            if failure.strikes(operation, path):
                self._note("file", "failed", operation, path)
                raise _error(errno.EIO, path)

    def sync_content(self, content: Content, path: str) -> None:
        """Sync a file, or fail to."""
        try:
            self.strike("sync", path)
        except OSError:
            content.errors += 1
            dice = self._dice.branch("drop", self._number("drop"))
            if dice.chance(0.5):
                self._note("lost", "dropped", path, content.drop(dice))
            raise
        content.sync()
        self._note("sync", path)

    def forget(self, number: int) -> None:
        """Count a file as closed."""
        del self._open[number]

    # ------------------------------------------------------------ helpers

    def _number(self, what: str) -> int:
        self._numbers[what] += 1
        return self._numbers[what]

    def _place(self, path: StrPath) -> tuple[str, Folders, str]:
        """Give the absolute path, the folders from the root to where its last name stands, and that name."""
        where = _absolute(path)
        *names, last = where.split("/")[1:]
        above = [self._tree.root]
        for name in names:
            node = above[-1].entries.get(name)
            if node is None:
                raise _error(errno.ENOENT, where)
            if isinstance(node, Content):
                raise _error(errno.ENOTDIR, where)
            above.append(node)
        return where, above, last

    def _node(self, path: StrPath) -> Node:
        where, above, name = self._place(path)
        node = above[-1].entries.get(name) if name else above[-1]
        if node is None:
            raise _error(errno.ENOENT, where)
        return node

    def _folder(self, path: StrPath) -> Folder:
        node = self._node(path)
        if isinstance(node, Content):
            raise _error(errno.ENOTDIR, _absolute(path))
        return node


def _absolute(path: StrPath) -> str:
    text = os.fspath(path)
    if not text:
        raise _error(errno.ENOENT, text)
    return "/" + posixpath.normpath("/" + text).lstrip("/")
