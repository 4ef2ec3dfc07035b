"""Blaming: whose line of code it was that reached for something, and through what.

What is looked for on the stack, from the inside out, is the first frame of the user's *own* code: that which is
neither the standard library's, nor an installed package's, nor the simulation's. Frames before it are the way it
took. Where a frame of the simulation comes after one of a server or a package, the world has begun to run a piece of
simulated code: beyond it nothing is simulated, and so nobody there is to blame.
"""

import contextlib
import functools
import os
import sysconfig
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from types import CodeType, FrameType

_HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SIM = os.path.join(_HOME, "sim") + os.sep
_SEAM = os.path.join(_HOME, "base", "clocking.py")
_STDLIB = tuple(
    {
        kind(path) + os.sep
        for path in (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), os.path.dirname(os.__file__))
        for kind in (os.path.abspath, os.path.realpath)
    }
)
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_GENERATED = ("<string>", "<attrs generated")  # methods that dataclasses and attrs have written

# They measure and shuffle for themselves, whatever code they happen to interrupt.
TOOLS = frozenset(
    [
        *("_hypothesis_pytestplugin", "hypothesis"),
        *("_pytest", "pluggy", "pytest", "pytest_cov", "execnet", "xdist"),
        *("_pydev_bundle", "_pydevd_bundle", "debugpy", "pydevd"),
        "coverage",
    ]
)


class Origin(Enum):
    """Where code comes from."""

    OWN = "own"
    PACKAGE = "package"
    STDLIB = "stdlib"
    SIM = "sim"
    SEAM = "seam"  # where production asks the machine: to blame is who has asked it


@dataclass(frozen=True, slots=True)
class Step:
    """A line that was being executed.

    Attributes:
        file: As its code object names it.
        line: Its number.
        function: The function's name, within its class if it has one.
        module: The module's name.
        origin: Where the code comes from.
    """

    file: str
    line: int
    function: str
    module: str
    origin: Origin

    @property
    def names(self) -> tuple[str, str]:
        """The function's names: in its module, and as its package may show it."""
        return f"{self.module}.{self.function}", f"{self.module.partition('.')[0]}.{self.function}"


@dataclass(frozen=True, slots=True)
class Blame:
    """Who has reached for something.

    Attributes:
        step: The line of the user's own code; where there is none, the innermost one outside the standard library.
        way: What it went through, from there to what was reached for.
    """

    step: Step
    way: tuple[Step, ...]


def blame(frame: FrameType | None, legitimate: Collection[str]) -> Blame | None:
    """Tell who has reached for something; None when it was somebody who may.

    Args:
        frame: The innermost one; the simulation's own frames at the inner end do not count.
        legitimate: Top-level modules that may reach for this.
    """
    way: list[Step] = []
    met = False  # something that the world runs
    while frame is not None:
        origin = origin_of(frame.f_code.co_filename)
        if origin is Origin.SIM:
            if met:
                break
        else:
            step = _step(frame, origin)
            top = step.module.partition(".")[0]
            if origin is Origin.OWN:
                return Blame(step, tuple(reversed(way)))
            if top in TOOLS or top in legitimate:
                return None
            way.append(step)
            met = met or origin is not Origin.STDLIB
        frame = frame.f_back
    return _nobodys(way) if way else None


def _nobodys(way: list[Step]) -> Blame:
    """Blame the best of them when none is the user's own."""
    for wanted in ({Origin.PACKAGE}, {Origin.PACKAGE, Origin.SEAM}, set(Origin)):
        for index, step in enumerate(way):
            if step.origin in wanted:
                return Blame(step, tuple(reversed(way[:index])))
    raise AssertionError("a way has steps")


def _step(frame: FrameType, origin: Origin) -> Step:
    code: CodeType = frame.f_code
    function = code.co_qualname.rpartition("<locals>.")[2]
    module = frame.f_globals.get("__name__")
    return Step(code.co_filename, frame.f_lineno or 0, function, module if isinstance(module, str) else "", origin)


@functools.lru_cache(maxsize=4096)
def origin_of(file: str) -> Origin:
    """Tell where the code of a file comes from."""
    if file.startswith(SIM):
        return Origin.SIM
    if file == _SEAM:
        return Origin.SEAM
    if file.startswith(_GENERATED) or any(part in file for part in _INSTALLED):
        return Origin.PACKAGE
    if file.startswith(("<frozen ", *_STDLIB)):
        return Origin.STDLIB
    return Origin.OWN


def shown(file: str) -> str:
    """Give the name of a file as people know it: from its package on, or from the working directory."""
    for part in _INSTALLED:
        if part in file:
            return file.rpartition(part)[2]
    roots = list(_STDLIB) if origin_of(file) is Origin.STDLIB else [os.path.dirname(_HOME) + os.sep]
    with contextlib.suppress(OSError):  # the directory was removed
        roots.append(os.path.join(os.getcwd(), ""))
    for root in roots:
        if file.startswith(root):
            return file[len(root) :]
    return file
