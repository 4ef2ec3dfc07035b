"""Importing what is to be served; when that fails, telling which module is at fault and where.

The traceback of such a failure begins in our own code and in Python's import machinery, and may end in a library. Only
the lines between, the user's own, say what to mend, so the others are taken out of it.
"""

import os
import sys
import sysconfig
import types
from collections.abc import Iterator

from totohio.base.errors import LoadError
from totohio.base.writing import printable

OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INSTALLED = frozenset(("site-packages", "dist-packages"))  # folders of libraries
FOREIGN = tuple(os.path.realpath(path) + os.sep for path in (OURS, *map(sysconfig.get_path, ("stdlib", "platstdlib"))))


def load(name: str) -> types.ModuleType:
    """Import a module.

    Raises:
        ModuleNotFoundError: There is no module of this name.
        LoadError: It raises, or a module that it imports does; its cause is what was raised.
    """
    try:
        __import__(name)  # unlike import_module it leaves the machinery out of tracebacks, as the statement does
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise
        raise _fault(name, error) from error
    except (Exception, SystemExit) as error:
        raise _fault(name, error) from error
    return sys.modules[name]


def own_files(error: BaseException) -> Iterator[str]:
    """Give the files of the user's that a failure went through, and the one that cannot even be read as Python."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        yield error.filename
    for entry in _entries(error.__traceback__):
        yield entry.tb_frame.f_code.co_filename


def is_own(path: str) -> bool:
    """Tell whether a file is the user's: in no folder of Python, of libraries or of ours."""
    path = os.path.realpath(path)
    return not INSTALLED.intersection(path.split(os.sep)) and not path.startswith(FOREIGN)


def shown(path: str) -> str:
    """Give a path as short as it is: from the working directory, where it leads below that."""
    here = os.path.join(os.getcwd(), "")
    return path.removeprefix(here)


def _fault(name: str, error: BaseException) -> LoadError:
    """Make the LoadError for what was raised while this module was imported."""
    _cut(error, name.partition(".")[0], set())
    module, path, line = name, None, None
    for entry in _entries(error.__traceback__):
        if entry.tb_frame.f_code.co_name == "<module>":  # the last one that runs is the one that fails
            module = entry.tb_frame.f_globals.get("__name__", name)
            path, line = entry.tb_frame.f_code.co_filename, entry.tb_lineno
    text = str(error)
    if isinstance(error, SyntaxError):
        text = error.msg
        if error.filename is not None and error.filename != path and error.filename.endswith(".py"):
            path, line = error.filename, error.lineno
            module = _module_of(path) or name
    what = printable(f"{type(error).__name__}: {text}" if text else type(error).__name__)
    place = "" if path is None else f" ({printable(shown(path))}:{line})"
    return LoadError(f"{module} cannot be imported: {what}{place}", module=module, path=path, line=line)


def _cut(error: BaseException, root: str, seen: set[int]) -> None:
    """Leave only the user's own lines in the traceback of an exception, and in those of what led to it."""
    seen.add(id(error))
    kept = [entry for entry in _entries(error.__traceback__) if _own(entry.tb_frame, root)]
    chain = None
    for entry in reversed(kept):
        chain = types.TracebackType(chain, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    error.__traceback__ = chain
    for other in (error.__cause__, error.__context__):
        if other is not None and id(other) not in seen:
            _cut(other, root, seen)


def _entries(trace: types.TracebackType | None) -> Iterator[types.TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _own(frame: types.FrameType, root: str) -> bool:
    """Tell whether code is the user's: of the package that is imported, or in no folder of somebody else."""
    if str(frame.f_globals.get("__name__")).partition(".")[0] == root:
        return True
    return not frame.f_code.co_filename.startswith("<") and is_own(frame.f_code.co_filename)


def _module_of(path: str) -> str | None:
    """Give the name by which a file on the module path is imported."""
    for folder in sorted(sys.path, key=len, reverse=True):
        start = os.path.join(folder or os.getcwd(), "")
        if path.startswith(start):
            return path.removeprefix(start).removesuffix(".py").removesuffix(f"{os.sep}__init__").replace(os.sep, ".")
    return None
