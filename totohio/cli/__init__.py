"""The commands. Each is a file of this package that holds its `Command` as ``COMMAND``."""

import contextlib
import sys
import traceback
from collections.abc import Sequence

from totohio.base.errors import LoadError, SettingsError, TotohioError
from totohio.base.writing import printable
from totohio.cli import call, methods, new, remote, replay, send, serve, settings, sim
from totohio.cli.parsing import Command, UsageError, parse
from totohio.cli.printing import silence

COMMANDS: tuple[Command, ...] = (
    serve.COMMAND,
    call.COMMAND,
    send.COMMAND,
    remote.COMMAND,
    methods.COMMAND,
    settings.COMMAND,
    new.COMMAND,
    sim.COMMAND,
    replay.COMMAND,
)

FAILED = 1
MISUSED = 2
INTERRUPTED = 130  # what shells report for a program that Ctrl-C ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and give its exit status: 0 for success, 1 for failure, 2 for wrong usage or settings.

    Args:
        argv: The arguments without the program's name; None takes those of the process.
    """
    try:
        order = parse(sys.argv[1:] if argv is None else list(argv), COMMANDS)
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
