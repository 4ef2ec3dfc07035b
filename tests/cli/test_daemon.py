"""``totohio serve --daemon``: a server in the background, and one at a time."""

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_processes import PID, children
from tests.processes import LONG, until
from totohio.app.locking import PidFile
from totohio.base.errors import TotohioError


class Shell:
    """Where the commands are typed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "methods").mkdir()
        (folder / "methods" / "__init__.py").touch()
        (folder / "methods" / "pid.py").write_text(PID)

    def daemon(self, action: str, *arguments: str) -> tuple[int, str, str]:
        """Type a command; give its exit status and what it says."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("TOTOHIO_", "COV"))}
        done = subprocess.run(
            [
                *(sys.executable, "-m", "totohio", "serve", "--daemon", action),
                *("--port", "0", "--database", "none", *arguments),
            ],
            cwd=self.folder,
            env={**environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=2 * LONG,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    @property
    def pid(self) -> int:
        """The number in the file."""
        return int((self.folder / "totohio.pid").read_text())


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path)
    yield made
    with contextlib.suppress(OSError, ValueError):
        for pid in (*children(made.pid), made.pid):
            os.kill(pid, signal.SIGKILL)


def call(said: str) -> int:
    """Call the server that a line of output tells of; give the number of its process."""
    found = re.search(r"listens on (http://\S+)", said)
    assert found is not None, said
    request = urllib.request.Request(found[1] + "/pid", b"{}", {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=LONG) as reply:
        return int(re.findall(rb"\d+", reply.read())[0])


def test_it_is_started_asked_and_stopped(shell: Shell) -> None:
    assert shell.daemon("status")[:2] == (3, "totohio does not run\n")
    status, said, _ = shell.daemon("start")
    assert status == 0
    assert call(said) == shell.pid
    assert shell.daemon("status")[:2] == (0, f"totohio runs: process {shell.pid}\n")
    assert os.getsid(shell.pid) == shell.pid, "it has a session of its own"
    status, _, errors = shell.daemon("start")
    assert (status, errors) == (1, f"totohio: totohio.pid: process {shell.pid} runs already\n")
    pid = shell.pid
    assert shell.daemon("stop")[0] == 0
    assert not Path(f"/proc/{pid}/cwd").exists() or not os.path.exists(shell.folder / "totohio.pid")
    assert shell.daemon("status")[0] == 3
    assert shell.daemon("stop")[0] == 0
    log = (shell.folder / "totohio.log").read_text()
    assert "call pid code=0" in log
    assert "SIGTERM: draining" in log


def test_several_processes_run_in_the_background_too(shell: Shell) -> None:
    status, said, _ = shell.daemon("start", "--processes", "2")
    assert status == 0
    assert call(said) in children(shell.pid)
    first = shell.pid
    status, said, _ = shell.daemon("restart", "--processes", "2")
    assert status == 0
    assert shell.pid != first
    assert call(said) in children(shell.pid)
    assert shell.daemon("stop")[0] == 0


def test_one_that_was_killed_is_told_from_one_that_was_stopped(shell: Shell) -> None:
    shell.daemon("start")
    pid = shell.pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: PidFile(str(shell.folder / "totohio.pid")).holder() is None, "it has ended")
    status, said, _ = shell.daemon("status")
    assert status == 1
    assert "has not ended well" in said
    assert shell.daemon("start")[0] == 0
    assert shell.pid != pid
    assert shell.daemon("stop")[0] == 0


def test_a_number_that_another_process_has_by_now_is_left_alone(shell: Shell) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        (shell.folder / "totohio.pid").write_text(f"{other.pid}\n")
        assert shell.daemon("status")[0] == 1
        assert shell.daemon("stop")[0] == 0
        assert other.poll() is None
        other.kill()


def test_what_keeps_it_from_starting_is_said(shell: Shell) -> None:
    (shell.folder / "methods" / "bad.py").write_text("1 / 0\n")
    status, said, errors = shell.daemon("start")
    assert (status, said) == (1, "")
    assert "it has not started" in errors
    assert "ZeroDivisionError" in errors
    assert shell.daemon("status")[0] == 3


def test_the_file_and_the_log_may_be_elsewhere_and_it_says_where_it_lends(shell: Shell) -> None:
    options = ("--pidfile", "run.pid", "--log-file", "my.log")
    status, said, _ = shell.daemon("start", *options, "--database", "memory", "--remote-enabled", "--remote-port", "0")
    assert status == 0
    assert re.search(r"^totohio \S+ lends at totohio://127\.0\.0\.1:\d+$", said, re.M), "the second line is passed on"
    assert (shell.folder / "run.pid").exists()
    assert not (shell.folder / "totohio.pid").exists()
    assert (shell.folder / "my.log").exists()
    assert shell.daemon("stop", *options)[0] == 0


def test_a_file_is_held_by_one_and_released_with_it(tmp_path: Path) -> None:
    path = str(tmp_path / "pid")
    first, second = PidFile(path), PidFile(path)
    assert not first.exists()
    assert first.holder() is None
    first.take()
    assert second.holder() == os.getpid()
    with pytest.raises(TotohioError, match=f"process {os.getpid()} runs already"):
        second.take()
    first.release()
    first.release()
    assert not second.exists()
    second.take()
    second.release()


def test_a_lock_without_a_number_is_no_process_to_be_signalled(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(TotohioError, match="no number"):
            PidFile(str(path)).holder()
