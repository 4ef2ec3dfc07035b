"""``totohio new``: write a small project that works."""

import importlib.resources
import re
from importlib.resources.abc import Traversable
from pathlib import Path

from totohio.base.errors import TotohioError
from totohio.cli.parsing import Command, Order, UsageError

TEMPLATE = "template"  # the folder with the project's files
SUFFIX = ".in"  # behind the name of each, so that nobody takes them for our own modules
PLACE = "@NAME@"  # stands for the project's name in them


def _run(order: Order) -> int:
    folder = Path(order.words[0])
    name = folder.name
    if not re.fullmatch(r"[A-Za-z][\w-]*", name, re.ASCII):
        raise UsageError(f'{name or folder}: a project\'s name has only letters, digits, "-" and "_"')
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TotohioError(f"{folder} exists already and is left alone")
    template = importlib.resources.files("totohio.cli").joinpath(TEMPLATE)
    for path in sorted(_copy(template, folder, name)):
        print(f"wrote {path}")
    print(f"\nNext:\n\n  cd {folder}\n  totohio serve settings.yaml\n")
    print("and in another terminal:\n\n  totohio call hello name=Ada")
    return 0


def _copy(source: Traversable, target: Path, name: str) -> list[Path]:
    """Write the files of a template folder and give their paths."""
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for entry in source.iterdir():
        if entry.is_dir():
            written += _copy(entry, target / entry.name, name)
        elif entry.name.endswith(SUFFIX):
            path = target / entry.name.removesuffix(SUFFIX)
            with path.open("x", encoding="utf-8") as file:
                file.write(entry.read_text("utf-8").replace(PLACE, name))
            written.append(path)
    return written


COMMAND = Command(
    name="new",
    words="NAME",
    least=1,
    most=1,
    doc="Write a new project into the folder NAME.\n\n"
    "It holds a configuration file, a package with two methods, and a README. Nothing is overwritten.",
    run=_run,
)
