"""Simulated disks and power cuts for the tests of what the cuts leave."""

from collections import Counter
from collections.abc import Callable

from totohio.sim.disk.filing import SimFiles
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
