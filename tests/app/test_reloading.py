"""Autoreload notices what changed, at a bounded cost, and keeps a server whose files are broken."""

import importlib
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from totohio.app import reloading
from totohio.app.reloading import INTERVAL, SLICE, ReloadDoer, repaired
from totohio.base.errors import LoadError, SettingsError
from totohio.core.importing import load

Make = Callable[[str], Path]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Write a module into the project and load it."""
    names = []

    def make(name: str) -> Path:
        path = tmp_path / f"{name}.py"
        path.write_text("VALUE = 1\n")
        spec = importlib.util.spec_from_file_location(f"reloading_{name}".replace("/", "_"), path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        names.append(spec.name)
        return path

    yield make
    for name in names:
        del sys.modules[name]


class Watch:
    """A ReloadDoer over a folder, with tyme of its own."""

    def __init__(self, folder: Path, *files: Path, package: Path | None = None) -> None:
        self.reloads: list[str] = []
        self.tyme = 0.0
        packages = [str(package)] if package else []
        self.doer = ReloadDoer(
            folders=[str(folder)], packages=packages, files=map(str, files), reload=self.reloads.append
        )
        self.doer.enter()

    def look(self) -> bool:
        """Let a second go by and one look at all files; tell whether the Doer is done."""
        self.tyme += INTERVAL
        done = self.doer.recur(self.tyme)
        while not done and self.doer.due(self.tyme) <= self.tyme:
            done = self.doer.recur(self.tyme)
        return done


def change(path: Path, text: str) -> None:
    """Write a file so that its time changes even where clocks are coarse."""
    status = path.stat()
    path.write_text(text)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))


def test_a_changed_module_is_reported_once_and_ends_the_doer(make: Make, tmp_path: Path):
    path = make("first")
    make("second")
    watch = Watch(tmp_path)
    assert not watch.look()
    change(path, "VALUE = 2\n")
    assert watch.look()
    assert watch.reloads == [str(path)]


def test_a_changed_configuration_file_is_reported(tmp_path: Path):
    conf = tmp_path / "settings.yaml"
    conf.write_text("port: 1\n")
    watch = Watch(tmp_path, conf)
    assert not watch.look()
    change(conf, "port: 2\n")
    assert watch.look()
    assert watch.reloads == [str(conf)]


@pytest.mark.expects_errors
@pytest.mark.parametrize("broken", ["VALUE =\n", "VALUE = '\0'\n", "  x = 1\n"])
def test_a_module_with_a_syntax_error_is_logged_once_and_waits_for_its_repair(
    make: Make, tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture
):
    path = make("first")
    watch = Watch(tmp_path)
    change(path, broken)
    assert not watch.look()
    assert not watch.look()
    errors = [record for record in caplog.records if "cannot be loaded" in record.getMessage()]
    assert len(errors) == 1
    assert watch.reloads == []
    change(path, "VALUE = 3\n")
    assert watch.look()


@pytest.mark.expects_errors
def test_a_configuration_file_with_an_error_is_not_reported(tmp_path: Path):
    conf = tmp_path / "settings.yaml"
    conf.write_text("port: 1\n")
    watch = Watch(tmp_path, conf)
    change(conf, "prot: 2\n")
    assert not watch.look()
    assert watch.reloads == []


def test_a_file_that_an_editor_is_just_replacing_is_reported_when_it_is_back(make: Make, tmp_path: Path):
    path = make("first")
    watch = Watch(tmp_path)
    status = path.stat()
    path.unlink()
    assert not watch.look()
    path.write_text("VALUE = 2\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert watch.look()


def test_a_module_that_is_loaded_later_is_watched_from_then_on(make: Make, tmp_path: Path):
    watch = Watch(tmp_path)
    path = make("late")
    assert not watch.look()
    change(path, "VALUE = 2\n")
    assert watch.look()


def test_a_new_module_of_a_package_is_reported(tmp_path: Path):
    package = tmp_path / "methods"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    watch = Watch(tmp_path, package=package)
    assert not watch.look()
    (package / "deep" / "notes.txt").write_text("no module")
    assert not watch.look()
    path = package / "deep" / "fresh.py"
    path.write_text("VALUE = 1\n")
    assert watch.look()
    assert watch.reloads == [str(path)]


def test_modules_elsewhere_are_not_watched(make: Make, tmp_path: Path):
    path = make("first")
    other = tmp_path / "first"  # its name begins as that of the module does
    other.mkdir()
    watch = Watch(other)
    change(path, "VALUE = 2\n")
    assert not watch.look()


def test_a_module_beside_a_package_with_a_longer_name_is_not_new_in_it(make: Make, tmp_path: Path):
    package = tmp_path / "methods"
    beside = tmp_path / "methods_of_others"
    package.mkdir()
    beside.mkdir()
    watch = Watch(tmp_path, package=package)
    make("methods_of_others/late")
    assert not watch.look()
    assert watch.reloads == []


def test_a_cycle_finds_no_more_files_than_it_looks_at(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    package = tmp_path / "methods"
    for number in range(2 * SLICE):
        (package / f"sub{number}").mkdir(parents=True)
        (package / f"sub{number}" / "__init__.py").touch()
    watch = Watch(tmp_path, package=package)
    made = make("first")
    work: list[object] = []
    scandir, realpath = os.scandir, os.path.realpath
    monkeypatch.setattr(reloading.os, "scandir", lambda path: work.append(path) or scandir(path))
    monkeypatch.setattr(reloading.os.path, "realpath", lambda path: work.append(path) or realpath(path))
    counts = []
    while not counts or watch.doer.due(1.0) <= 1.0:
        work.clear()
        watch.doer.recur(1.0)
        counts.append(len(work))
    assert max(counts) <= SLICE + 1  # a folder is read before its step ends
    assert len(counts) > 4  # folders, their modules, and what else is loaded
    watch.tyme = 1.0
    change(made, "VALUE = 2\n")
    assert watch.look()


def test_it_looks_once_a_second_and_at_a_bounded_number_of_files_in_a_cycle(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    files = [tmp_path / f"{number}.yaml" for number in range(2 * SLICE + 1)]
    for file in files:
        file.touch()
    watch = Watch(tmp_path, *files)
    looks: list[object] = []
    stat = os.stat
    monkeypatch.setattr(reloading.os, "stat", lambda path: looks.append(path) or stat(path))
    counts = []
    for tyme in (1.0, 1.5, 1.96875, 2.0):
        while True:
            looks.clear()
            watch.doer.recur(tyme)
            counts.append(len(looks))
            if tyme == 2.0 or watch.doer.due(tyme) > tyme:
                break
    assert counts[:3] == [SLICE, SLICE, 1]
    assert set(counts[3:-1]) == {0}
    assert counts[-1] == SLICE
    while watch.doer.due(2.0) <= 2.0:
        watch.doer.recur(2.0)
    assert watch.doer.due(2.0) == 3.0


# ---------------------------------------------------------------- waiting for a repair


class Broken:
    """A project whose server cannot be put together, and what happens while it waits."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.package = folder / "mended"
        self.package.mkdir()
        (self.package / "__init__.py").touch()
        self.conf = folder / "settings.yaml"
        self.conf.write_text("port: 1\n")
        self.steps: list[Callable[[], object]] = []
        self.waits = 0
        monkeypatch.setattr(reloading.threading, "Event", lambda: self)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def wait(self, seconds: float) -> None:
        """Take the place of a second that goes by."""
        assert seconds == INTERVAL
        self.waits += 1
        self.steps.pop(0)()

    def error(self) -> Exception:
        """Import the method, and give what is raised."""
        importlib.invalidate_caches()
        with pytest.raises(LoadError) as caught:
            load("mended.price")
        return caught.value

    def ends(self, *steps: Callable[[], object], error: Exception | None = None) -> bool:
        """Tell whether it tries again after the last of these steps; or else that it ends."""
        self.steps = list(steps)
        files = [str(self.conf)]
        again = repaired(error or self.error(), package="mended", folders=[str(self.folder)], files=files)
        assert not self.steps
        return again


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broken]:
    before = set(sys.modules)
    yield Broken(tmp_path, monkeypatch)
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("mended", "helping"):
            del sys.modules[name]


def nothing() -> None:
    """Let a second go by."""


@pytest.mark.expects_errors
def test_a_module_that_raises_is_told_of_once_and_tried_again_when_it_changes(
    broken: Broken, caplog: pytest.LogCaptureFixture
):
    path = broken.package / "price.py"
    path.write_text("1 / 0\n")
    assert broken.ends(nothing, nothing, lambda: change(path, "1 / 1\n"))
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage() == (
        f"mended.price cannot be imported: ZeroDivisionError: division by zero ({path}:1); waiting until a file changes"
    )
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


@pytest.mark.expects_errors
@pytest.mark.parametrize("step", ["other", "new", "gone", "conf"])
def test_any_module_of_the_package_or_the_configuration_file_may_be_what_mends_it(broken: Broken, step: str):
    path = broken.package / "price.py"
    path.write_text("1 / 0\n")
    (broken.package / "other.py").write_text("x = 1\n")
    steps: dict[str, Callable[[], object]] = {
        "other": lambda: change(broken.package / "other.py", "x = 2\n"),
        "new": lambda: (broken.package / "new.py").write_text("x = 1\n"),
        "gone": path.unlink,
        "conf": lambda: change(broken.conf, "port: 2\n"),
    }
    assert broken.ends(nothing, steps[step])


@pytest.mark.expects_errors
def test_a_package_that_cannot_be_imported_itself_is_watched_where_it_lies(broken: Broken):
    (broken.package / "__init__.py").write_text("1 / 0\n")
    assert broken.ends(nothing, lambda: (broken.package / "new.py").write_text("x = 1\n"))


@pytest.mark.expects_errors
def test_a_module_beside_the_package_is_watched_when_it_is_at_fault_or_missing(broken: Broken):
    (broken.package / "price.py").write_text("import helping\n")
    path = broken.folder / "helping.py"
    assert broken.ends(nothing, lambda: path.write_text("x =\n"))
    assert broken.ends(nothing, lambda: change(path, "x = 11\n"))


@pytest.mark.expects_errors
def test_a_configuration_file_with_an_error_is_not_tried(broken: Broken):
    (broken.package / "price.py").write_text("1 / 0\n")
    wrong, right = (lambda: change(broken.conf, "prot: 2\n")), (lambda: change(broken.conf, "port: 22\n"))
    assert broken.ends(wrong, nothing, right)


@pytest.mark.expects_errors
def test_whatever_else_keeps_the_server_from_being_made_is_waited_for_too(
    broken: Broken, caplog: pytest.LogCaptureFixture
):
    step = lambda: change(broken.conf, "port: 2\n")  # noqa: E731
    assert broken.ends(step, error=SettingsError("certfile: nowhere"))
    assert broken.ends(step, error=KeyError("of the startup function"))
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.getMessage().partition(";")[0] for record in errors] == [
        "certfile: nowhere",
        "KeyError: 'of the startup function'",
    ]
    assert [bool(record.exc_info) for record in errors] == [False, True]


@pytest.mark.expects_errors
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait_and_a_hangup_does_not(broken: Broken, number: int):
    (broken.package / "price.py").write_text("1 / 0\n")
    handlers = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    assert not broken.ends(lambda: signal.raise_signal(signal.SIGHUP), nothing, lambda: signal.raise_signal(number))
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == handlers


AGAIN = """
import os, sys
from totohio.app.reloading import restart
print("run", sys.argv[1:], flush=True)
if not os.environ.get("AGAIN"):
    os.environ["AGAIN"] = "1"
    restart()
"""


def test_a_restart_runs_the_same_command_line_again(tmp_path: Path):
    script = tmp_path / "again.py"
    script.write_text(AGAIN)
    command = [sys.executable, "-X", "utf8", str(script), "serve", "--port", "0"]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=environ).stdout
    assert output == "run ['serve', '--port', '0']\n" * 2
