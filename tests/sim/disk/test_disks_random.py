"""Whatever is done to files before a power cut: what was synced is there, and nothing that never was."""

from collections.abc import Iterator

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.sim.cutting import get, new_disk
from totohio.sim.disk.disks import SECTOR

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
