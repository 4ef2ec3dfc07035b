"""A server in the background: started, stopped, and asked whether it runs."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from totohio.app.locking import PidFile
from totohio.app.settings import Settings
from totohio.base.clocking import Clock
from totohio.base.errors import TotohioError

ACTIONS = ("start", "stop", "restart", "status")
PIDFILE = "totohio.pid"
LOG = "totohio.log"
MOMENT = 0.05  # seconds between two looks
MARGIN = 10.0  # seconds beyond drain_timeout that it may take to end
RUNS, DEAD, NONE = 0, 1, 3  # exit statuses of status, as the Linux Standard Base has them for init scripts


def control(action: str, settings: Settings, arguments: Sequence[str]) -> int:
    """Do what is asked for, and give the exit status.

    Args:
        action: One of `ACTIONS`.
        settings: Options of the server.
        arguments: Those of the command line that start it in the foreground.

    Raises:
        TotohioError: It does not start, or not end, or runs already.
    """
    file = PidFile(settings.pidfile or PIDFILE)
    if action == "status":
        return _status(file)
    if action in ("stop", "restart"):
        _stop(file, settings.drain_timeout + MARGIN)
    if action in ("start", "restart"):
        _start(file, settings, arguments)
    return 0


def _status(file: PidFile) -> int:
    number = file.holder()
    if number is not None:
        print(f"totohio runs: process {number}")
        return RUNS
    if file.exists():
        print(f"totohio does not run, and has not ended well: {file.path} is there")
        return DEAD
    print("totohio does not run")
    return NONE


def _stop(file: PidFile, patience: float) -> None:
    """End the process, and wait for its end; nothing happens when there is none."""
    number = file.holder()
    if number is None:
        return
    clock = Clock()
    end = clock.monotonic() + patience
    os.kill(number, signal.SIGTERM)
    while file.holder() == number:
        if clock.monotonic() > end:
            raise TotohioError(f"process {number} does not end")
        clock.sleep(MOMENT)


def _start(file: PidFile, settings: Settings, arguments: Sequence[str]) -> None:
    """Start a process of its own session; come back when it listens."""
    number = file.holder()
    if number is not None:
        raise TotohioError(f"{file.path}: process {number} runs already")
    path = settings.log_file or LOG
    with open(path, "ab") as log:
        begin = log.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "totohio", "serve", *arguments, "--pidfile", os.path.abspath(file.path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            text=True,
        )
    assert process.stdout is not None
    said = "".join(process.stdout.readline() for _ in range(2 if settings.remote_enabled else 1))
    process.stdout.close()
    if not said:
        process.wait()
        with open(path, encoding="utf-8", errors="replace") as log_file:
            log_file.seek(begin)
            raise TotohioError(f"it has not started:\n{log_file.read().strip()}")
    print(said.strip())
