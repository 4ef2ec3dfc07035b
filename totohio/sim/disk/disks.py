"""What a power cut leaves on a disk: the bytes that were synced, the names that were synced, and chance.

The model promises what POSIX and the journals of ext4, XFS and btrfs have in common, and nothing more. It follows
fsync(2) and the persistence properties that Pillai et al. found the file systems to differ in ("All File Systems Are
Not Created Equal", OSDI 2014, the tool ALICE).

Bytes
    A sector of 512 bytes reaches the disk whole or not at all. Those that were written since the last sync of their
    file reach it in any order or never, each in any of the versions it had. The length is written for itself, so a
    file may have grown while the new bytes are zeros. What a truncation took away is never seen together with what
    was written after it.
Names
    Making, renaming and removing are steps. Each happens as a whole or not at all: a renamed file has its old name or
    its new one. Steps that touch the same name keep their order, others need not. A step is safe once a folder that
    it touched was synced. Syncing a file does not make its name safe, and syncing a folder not what is in its files.

So this disk is harsher than ext4 with data=ordered and delayed allocation as it is mounted by default: there names
survive in the order in which they were changed, syncing a new file takes its name along, appended data reach the disk
before the new length, and a file that is renamed over another is written out first (auto_da_alloc). Software that
needs any of these finds out here.

A file that is never synced, or a folder, would have to be remembered from its beginning on; of more than 1,024 changes
the older half is taken to have reached the disk, as the system writes by itself what has waited for long.
"""

from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

from totohio.sim.seeding import Dice

SECTOR = 512  # bytes that a disk writes as a whole; that many also where it could do more
LONGEST_MEMORY = 1024  # changes of one file, or steps of a disk, that may be undone by a power cut


# ---------------------------------------------------------------- bytes


class _Change:
    """One write or truncation, as it reaches the disk: sectors as they were after it, and the length."""

    __slots__ = ("image", "sectors", "size", "start")

    def __init__(self, size: int, start: int = 0, image: bytes | None = None) -> None:
        self.size = size
        self.start = start  # of a sector
        self.image = image  # None for a truncation
        self.sectors = range(start // SECTOR, -(-(start + len(image)) // SECTOR)) if image else range(0)

    def put(self, disk: bytearray, sectors: Sequence[int] | None = None) -> None:
        """Do it on the disk, wholly or for some sectors only; those of a truncation make no difference."""
        if self.image is None:
            resize(disk, self.size)
        elif sectors is None:
            _place(disk, self.start, self.image)
        else:
            for sector in sectors:
                start = sector * SECTOR
                _place(disk, start, self.image[start - self.start : start - self.start + SECTOR])


def resize(data: bytearray, size: int) -> None:
    """Make data that long, with zeros when they were shorter."""
    if size < len(data):
        del data[size:]
    else:
        data += bytes(size - len(data))


def _place(data: bytearray, start: int, piece: bytes | memoryview) -> None:
    if start > len(data):
        resize(data, start)
    data[start : start + len(piece)] = piece


class Content:
    """What a file holds, whatever its name.

    Attributes:
        number: Which of the disk's files it is, in the order in which they were made.
        permissions: Its permission bits.
        data: What the system shows.
        disk: What surely outlives a power cut.
        errors: How many syncs have failed; everyone who has it open then is told once.
    """

    __slots__ = ("_changes", "data", "disk", "errors", "number", "permissions")

    def __init__(self, number: int, permissions: int) -> None:
        self.number = number
        self.permissions = permissions
        self.data = bytearray()
        self.disk = bytearray()
        self.errors = 0
        self._changes: list[_Change] = []

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Show data there."""
        end = offset + len(data)
        _place(self.data, offset, data)
        start = offset - offset % SECTOR
        image = bytes(memoryview(self.data)[start : end + -end % SECTOR])
        self._remember(_Change(len(self.data), start, image))

    def truncate(self, size: int) -> None:
        """Show that length."""
        if size != len(self.data):
            resize(self.data, size)
            self._remember(_Change(size))

    def sync(self) -> None:
        """Let all of it be on the disk."""
        self._settle(len(self._changes))

    def drop(self, dice: Dice) -> int:
        """Fail to sync: what did not reach the disk is shown as before, and no sync tries it again.

        So does Linux on ext4 and XFS (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020).
        Gives how many sectors are shown that are not on the disk.
        """
        self._tear(dice)
        if self.data == self.disk:
            return 0
        return sum(
            self.data[start : start + SECTOR] != self.disk[start : start + SECTOR]
            for start in range(0, max(len(self.data), len(self.disk)), SECTOR)
        )

    def cut(self, dice: Dice) -> int:
        """Cut the power: show what has reached the disk, and give how many sectors that is different in."""
        different = self.drop(dice)
        self.data = self.disk[:]
        return different

    def _remember(self, change: _Change) -> None:
        self._changes.append(change)
        if len(self._changes) > LONGEST_MEMORY:
            self._settle(LONGEST_MEMORY // 2)

    def _settle(self, count: int) -> None:
        for change in self._changes[:count]:
            change.put(self.disk)
        del self._changes[:count]

    def _tear(self, dice: Dice) -> None:
        """Let some of the changes reach the disk and forget the others."""
        fate = dice.below(4)
        if fate == 1:
            self._settle(len(self._changes))
        elif fate == 2:
            self._tear_in_order(dice)
        elif fate == 3:
            self._tear_in_any_order(dice)
        self._changes.clear()

    def _tear_in_order(self, dice: Dice) -> None:
        left = dice.below(sum(len(change.sectors) or 1 for change in self._changes) + 1)
        for change in self._changes:
            if left <= 0:
                break
            change.put(self.disk, change.sectors[:left])
            left -= len(change.sectors) or 1

    def _tear_in_any_order(self, dice: Dice) -> None:
        changes = self._changes[: dice.below(len(self._changes) + 1)] if dice.chance(0.5) else self._changes
        counts = Counter(sector for change in changes for sector in change.sectors)
        share = dice.pick((0.0, dice.random()))  # of the sectors that reach the disk; 0 leaves the lengths alone
        versions = {
            sector: 1 + dice.below(count) if dice.chance(share) else 0 for sector, count in sorted(counts.items())
        }
        seen: Counter[int] = Counter()
        for change in changes:
            seen.update(change.sectors)
            change.put(self.disk, [sector for sector in change.sectors if seen[sector] <= versions[sector]])
            if change.size > len(self.disk) and dice.chance(0.5):
                resize(self.disk, change.size)


# ---------------------------------------------------------------- names


class Folder:
    """Names and what they stand for.

    Attributes:
        permissions: Its permission bits.
        entries: What the system shows.
        disk: What surely outlives a power cut.
        placed: The step that made it or gave it its name, while a power cut could undo that.
    """

    __slots__ = ("disk", "entries", "permissions", "placed")

    def __init__(self, permissions: int) -> None:
        self.permissions = permissions
        self.entries: dict[str, Node] = {}
        self.disk: dict[str, Node] = {}
        self.placed: Step | None = None


Node: TypeAlias = Content | Folder
Key: TypeAlias = tuple[Folder, str]


class Step:
    """A change of names that happens as a whole or not at all.

    Attributes:
        what: What it is, for people.
        edits: The names, and what each stands for afterwards.
        needs: Steps that must have happened if this one has: those that made the folders which this one moves to.
    """

    __slots__ = ("edits", "needs", "what")

    def __init__(self, what: tuple[str, ...], edits: dict[Key, Node | None], needs: Sequence["Step"] = ()) -> None:
        self.what = what
        self.edits = edits
        self.needs = needs

    def show(self) -> None:
        """Let the system show it."""
        for (folder, name), node in self.edits.items():
            _enter(folder.entries, name, node)
            if isinstance(node, Folder):
                node.placed = self

    def put(self) -> None:
        """Let the disk hold it."""
        for (folder, name), node in self.edits.items():
            _enter(folder.disk, name, node)
            if isinstance(node, Folder) and node.placed is self:
                node.placed = None


def _enter(entries: dict[str, Node], name: str, node: Node | None) -> None:
    if node is None:
        entries.pop(name, None)
    else:
        entries[name] = node


class Tree:
    """The names of a disk.

    Attributes:
        root: The folder "/".
    """

    def __init__(self, permissions: int) -> None:
        self.root = Folder(permissions)
        self._steps: list[Step] = []

    def do(self, step: Step) -> None:
        """Change names."""
        step.show()
        self._steps.append(step)
        if len(self._steps) > LONGEST_MEMORY:
            for old in self._steps[: LONGEST_MEMORY // 2]:
                old.put()
            del self._steps[: LONGEST_MEMORY // 2]

    def sync(self, folder: Folder) -> None:
        """Let the disk hold each step that touched the folder, and those which these build on."""
        names: set[Key] = set()
        needed: set[Step] = set()
        for step in reversed(self._steps):
            if step in needed or any(key[0] is folder or key in names for key in step.edits):
                needed.add(step)
                needed.update(step.needs)
                names.update(step.edits)
        for step in self._steps:
            if step in needed:
                step.put()
        self._steps = [step for step in self._steps if step not in needed]

    def cut(self, dice: Dice) -> list[Step]:
        """Cut the power: show the names that have reached the disk, and give the steps that have not."""
        share = dice.pick((0.0, 1.0, dice.random()))  # of the steps that reach the disk
        until = dice.below(len(self._steps) + 1) if dice.chance(0.5) else len(self._steps)
        names: set[Key] = set()
        lost: dict[Step, None] = {}
        for place, step in enumerate(self._steps):
            broken = any(key in names for key in step.edits) or any(need in lost for need in step.needs)
            if broken or place >= until or not dice.chance(share):
                lost[step] = None
                names.update(step.edits)
            else:
                step.put()
        self._steps.clear()
        _restore(self.root)
        return list(lost)

    def contents(self) -> list[tuple[str, Content]]:
        """Give all files with their paths, in the order of their names."""
        found: list[tuple[str, Content]] = []
        _collect(self.root, "", found)
        return found


def _restore(folder: Folder) -> None:
    folder.entries = dict(folder.disk)
    folder.placed = None
    for node in folder.entries.values():
        if isinstance(node, Folder):
            _restore(node)


def _collect(folder: Folder, path: str, found: list[tuple[str, Content]]) -> None:
    for name, node in sorted(folder.entries.items()):
        if isinstance(node, Content):
            found.append((f"{path}/{name}", node))
        else:
            _collect(node, f"{path}/{name}", found)
