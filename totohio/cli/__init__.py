"""The commands. Each is a file of this package that holds its `Command` as ``COMMAND``, imported when it runs."""

import contextlib
import importlib
import sys
import traceback
from collections.abc import Sequence

from totohio.base.errors import LoadError, SettingsError, TotohioError
from totohio.base.writing import printable
from totohio.cli.parsing import Command, UsageError, parse
from totohio.cli.printing import silence

NAMES = ("serve", "call", "send", "remote", "methods", "settings", "new", "sim", "replay")

FAILED = 1
MISUSED = 2
INTERRUPTED = 130  # what shells report for a program that Ctrl-C ended


def commands(names: Sequence[str] = NAMES) -> tuple[Command, ...]:
    """Import commands."""
    return tuple(importlib.import_module(f"totohio.cli.{name}").COMMAND for name in names)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and give its exit status: 0 for success, 1 for failure, 2 for wrong usage or settings.

    Args:
        argv: The arguments without the program's name; None takes those of the process.
    """
    try:
        words = sys.argv[1:] if argv is None else list(argv)
        order = parse(words, commands(words[:1] if words[:1] and words[0] in NAMES else NAMES))
        status = order.command.run(order)
        sys.stdout.flush()
        return status
    except SystemExit as done:  # --help and --version have been answered
        return done.code if isinstance(done.code, int) else 0
    except BrokenPipeError:  # whoever reads our output has had enough
        silence()
        return FAILED
    except KeyboardInterrupt as error:
        if str(error):  # it says where, as that of a simulation does
            print(f"totohio: interrupted {error}", file=sys.stderr)
        return INTERRUPTED
    except (UsageError, SettingsError) as error:
        return _fail(error, MISUSED)
    except LoadError as error:
        return _fail(error, FAILED, error.__cause__)
    except (TotohioError, OSError) as error:
        return _fail(error, FAILED)


def _fail(error: Exception, status: int, cause: BaseException | None = None) -> int:
    """Say what is wrong, with the traceback of what has caused it, and give the exit status."""
    with contextlib.suppress(OSError, ValueError):
        print(f"totohio: {error}", file=sys.stderr)
        if cause is not None:
            lines = "".join(traceback.format_exception(cause)).splitlines()
            print("\n".join(map(printable, lines)), file=sys.stderr)
    return status
