"""``totohio sim`` runs simulated tests with many seeds in several processes, or one seed again."""

import importlib.util
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.processes import LONG, until
from totohio.cli import main, simulating

HEAD = "import pytest\nfrom totohio.sim.sweeps.running import sim\n\n"
SEVEN = (
    HEAD
    + """
@sim(seeds=20, faults="sunny")
def test_luck(world):
    print("rolling", world.seed)
    assert world.seed % 8 != 7, "no luck"
"""
)
RAIN = (
    HEAD
    + """
@sim(seeds=6, faults="sunny")
def test_rain(world):
    world.sometimes("it rains", world.seed == 3)

def test_plain():
    assert False
"""
)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they cost more than all the rest of a start


def test_the_first_seed_that_fails_is_reported_and_nothing_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    (tmp_path / "test_luck.py").write_text(SEVEN)
    assert main(["sim", "test_luck.py"]) == 1
    out, err = capfd.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[:3] == ["test_luck.py::test_luck fails with seed 7:", "", "Traceback (most recent call last):"]
    assert "AssertionError: no luck" in lines
    assert "replay:    totohio sim test_luck.py::test_luck --seed 7" in lines
    assert "timeline:  .totohio-sim/test_luck-seed-7.html" in lines
    assert re.fullmatch(r"8 seeds in [\d.]+ s \(\d+ a second\): 1 fails", lines[-1])
    assert (tmp_path / ".totohio-sim" / "test_luck-seed-7.html").exists()
    assert "passed" not in out
    assert "rolling" not in out


def test_one_seed_is_run_with_what_it_prints(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    (tmp_path / "test_luck.py").write_text(SEVEN)
    assert main(["sim", "test_luck.py::test_luck", "--seed", "7", "--faults", "still"]) == 1
    out = capfd.readouterr().out
    assert out.startswith("rolling 7\ntest_luck.py::test_luck fails with seed 7:\n")
    assert "replay:    totohio sim test_luck.py::test_luck --seed 7 --faults still\n" in out
    assert re.search(r"\n\n1 seed in [\d.]+ s: 1 fails\n\Z", out), "pytest says nothing of its own, not even late"
    assert main(["sim", "test_luck.py::test_luck", "--seed", "6"]) == 0
    assert re.fullmatch(r"rolling 6\n1 seed in [\d.]+ s: none fails\n", capfd.readouterr().out)


def test_going_on_finds_all_seeds_that_fail_and_reports_those_alike_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    (tmp_path / "test_luck.py").write_text(SEVEN)
    assert main(["sim", "test_luck.py", "--first", "5", "--seeds", "30", "--jobs", "2", "--keep-going"]) == 1
    out = capfd.readouterr().out
    assert "test_luck.py::test_luck fails with 4 seeds (7, 15, 23, 31):\n" in out
    assert out.count("replay:") == 1
    assert "--seed 7\n" in out
    assert "30 seeds in " in out
    assert out.endswith(": 4 fail\n")


def test_what_sometimes_holds_is_counted_over_all_jobs(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    (tmp_path / "test_rain.py").write_text(RAIN)
    assert main(["sim", "test_rain.py", "--jobs", "2"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == 'test_rain.py::test_rain: sometimes "it rains" held in 1 of 6 runs'
    assert re.fullmatch(r"6 seeds in [\d.]+ s \(\d+ a second\): none fails", lines[1])


@pytest.mark.parametrize(
    ("seeds", "status", "said"), [("6", 1, "never held in 6 runs"), ("5", 0, "held in none of 5 runs")]
)
def test_what_never_holds_in_a_whole_sweep_fails_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], seeds: str, status: int, said: str
):
    (tmp_path / "test_rain.py").write_text(RAIN)
    assert main(["sim", "test_rain.py", "--first", "10", "--seeds", seeds]) == status
    out = capfd.readouterr().out
    assert f'test_rain.py::test_rain: sometimes "it rains" {said}\n' in out
    assert out.endswith(": none fails, 1 never held\n" if status else ": none fails\n")


def test_every_seed_can_be_run_twice(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    source = """
from itertools import count
NUMBER = count()

@sim(seeds=20, faults="sunny")
def test_number(world):
    if world.seed == 9:
        world.note("", "number", next(NUMBER))
"""
    (tmp_path / "test_number.py").write_text(HEAD + source)
    assert main(["sim", "test_number.py"]) == 0
    assert main(["sim", "test_number.py", "--check-determinism"]) == 1
    out = capfd.readouterr().out
    assert "DeterminismError: two runs of seed 9 differ\n" in out
    assert "replay:    totohio sim test_number.py::test_number --seed 9 --check-determinism\n" in out


def test_what_goes_wrong_around_a_simulation_is_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    source = """
@pytest.fixture
def bank():
    raise LookupError("no bank is open")

@sim(seeds=20)
def test_bank(world, bank):
    pass
"""
    (tmp_path / "test_bank.py").write_text(HEAD + source)
    assert main(["sim", "test_bank.py"]) == 1
    out = capfd.readouterr().out
    assert "test_bank.py::test_bank:\n" in out
    assert "LookupError: no bank is open" in out
    assert out.endswith(": none fails, 1 error\n")
    (tmp_path / "test_bank.py").write_text("nonsense!")
    for more in ([], ["--seed", "3"]):
        assert main(["sim", "test_bank.py", *more]) == 1
        out = capfd.readouterr().out
        assert re.match(
            r'test_bank\.py:\nE +File ".*test_bank\.py", line 1\n(E .*\n)+\n0 seeds in .*, 1 error\n\Z', out
        )


def test_a_breakpoint_stops_only_where_somebody_watches(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    (tmp_path / "test_luck.py").write_text(HEAD + "@sim(seeds=3)\ndef test_luck(world):\n    breakpoint()\n")
    assert main(["sim", "test_luck.py"]) == 0
    assert capfd.readouterr().out.endswith(": none fails\n")
    done = subprocess.run(
        [sys.executable, "-m", "totohio", "sim", "test_luck.py", "--seed", "1"],
        input="p world.seed * 1000\nc\n",
        stdout=subprocess.PIPE,
        text=True,
        timeout=LONG,
        check=True,
    )
    assert "1000\n" in done.stdout


def test_a_test_that_is_meant_to_fail_does_not_fail(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    tail = "\n@sim(seeds=3)\ndef test_last(world):\n    pass\n"
    (tmp_path / "test_luck.py").write_text(SEVEN.replace("@sim", "@pytest.mark.xfail\n@sim") + tail)
    assert main(["sim", "test_luck.py"]) == 0
    assert re.fullmatch(r"11 seeds in .*: none fails\n", capfd.readouterr().out)
    (tmp_path / "test_luck.py").write_text(SEVEN.replace("@sim", "@pytest.mark.xfail(raises=OSError)\n@sim") + tail)
    assert main(["sim", "test_luck.py", "--jobs", "2"]) == 1
    assert "fails with seed 7:" in capfd.readouterr().out


def test_a_test_that_skips_does_not_fail(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    source = "@sim(seeds=20)\ndef test_tide(world):\n    pytest.skip('not at low tide')\n"
    (tmp_path / "test_tide.py").write_text(HEAD + source)
    assert main(["sim", "test_tide.py"]) == 0
    assert capfd.readouterr().out.endswith(": none fails\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ('(seeds=3, faults="stromy")', "faults: expected one of still, sunny, stormy, radioactive, got 'stromy'"),
        ('(seeds=3, fualts="stormy")', "TypeError: fualts: no such option; did you mean faults?"),
        ("", "is it to be @sim() with parentheses?"),
    ],
)
def test_a_decorator_that_is_misspelt_is_shown_in_the_test_and_not_in_the_kit(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], words: str, says: str
):
    (tmp_path / "test_typo.py").write_text(HEAD + f"@sim{words}\ndef test_typo(world):\n    pass\n")
    assert main(["sim", "test_typo.py"]) == 1
    out = capfd.readouterr().out
    assert says in out
    assert "test_typo.py:4: in <module>" in out
    assert str(Path(simulating.__file__).parents[1]) not in out


def test_a_process_that_ends_before_its_seeds_are_done_is_no_success(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    source = "import os\ndef leave(world):\n    if world.seed == 3:\n        os._exit(0)\n"
    (tmp_path / "bank.py").write_text(source)
    assert main(["sim", "bank:leave"]) == 1
    out = capfd.readouterr().out
    assert out.startswith("a process ended before its seeds were done, with status 0\n")
    assert out.endswith(": none fails, 1 error\n")
    (tmp_path / "test_bank.py").write_text(
        HEAD + "import os\n\n@sim()\ndef test_leave(world):\n    os.kill(os.getpid(), 9)\n"
    )
    assert main(["sim", "test_bank.py", "--jobs", "2"]) == 1
    assert "a process ended before its seeds were done, by SIGKILL\n" in capfd.readouterr().out


@pytest.mark.parametrize(("source", "says"), [("undefined", "NameError: name 'undefined'"), ("def (", "SyntaxError")])
def test_a_module_that_cannot_be_imported_is_an_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], source: str, says: str
):
    (tmp_path / "broken_bank.py").write_text(source)
    assert main(["sim", "broken_bank:transfer"]) == 1
    out = capfd.readouterr().out
    assert says in out
    assert out.count('File "') == 1, "nothing of how we came there"
    assert out.endswith(": none fails, 1 error\n")


def test_a_function_is_run_without_pytest(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    source = "def transfer(world):\n    world.run(1)\n    assert world.seed != 3 or world.profile.name != 'sunny'\n"
    (tmp_path / "bank.py").write_text(source)
    assert main(["sim", "bank:transfer", "--seeds", "5", "--faults", "sunny"]) == 1
    assert "replay:    totohio sim bank:transfer --seed 3 --faults sunny\n" in capfd.readouterr().out
    assert main(["sim", "bank:transfer", "--seeds", "5", "--faults", "still"]) == 0


@pytest.mark.parametrize("more", [[], ["--seed", "3"]])
@pytest.mark.parametrize(
    ("test", "error"),
    [
        ("bank:missing", "module 'bank' has no attribute 'missing'"),
        ("missing_bank:transfer", "No module named 'missing_bank'"),
        ("bank:rob", "rob would do nothing when it is called: give its world a script with spawn"),
        ("bank:pay", "pay cannot be called with a world: missing a required argument: 'amount'"),
    ],
)
def test_a_function_that_is_none_of_a_world_is_one_line_and_status_2(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], test: str, error: str, more: list[str]
):
    (tmp_path / "bank.py").write_text("def rob(world):\n    yield 1\ndef pay(world, amount):\n    pass\n")
    assert main(["sim", test, *more]) == 2
    assert capfd.readouterr() == ("", f"totohio: {test}: {error}\n")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("missing.py", "missing.py: file or directory not found: missing.py"),
        ("missing.py --seed 3", "missing.py: file or directory not found: missing.py"),
        ("test_rain.py::test_plain --seed 3", "test_rain.py::test_plain: no test in it is simulated with @sim"),
        ("test_rain.py::test_plain", "test_rain.py::test_plain: no test in it is simulated with @sim"),
        ("test_rain.py --faults rainy", '--faults: expected one of still, sunny, stormy, radioactive, got "rainy"'),
        ("test_rain.py --seed 3 --seeds 4", "--seed: one seed has no --seeds, --first or --jobs"),
        ("test_rain.py --jobs 0", 'argument --jobs: expected a number from 1, got "0" (see totohio sim --help)'),
        ("", "usage: totohio sim TEST (see totohio sim --help)"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(tmp_path: Path, capfd: pytest.CaptureFixture[str], words: str, error: str):
    (tmp_path / "test_rain.py").write_text(RAIN)
    assert main(["sim", *words.split()]) == 2
    assert capfd.readouterr() == ("", f"totohio: {error}\n")


def test_what_is_not_installed_is_named_with_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["sim", "test_rain.py"]) == 2
    assert capfd.readouterr().err == "totohio: pytest is not installed: pip install 'totohio[sim]'\n"


def test_without_a_terminal_there_is_a_line_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(simulating, "INTERVAL", 0.0)
    (tmp_path / "test_rain.py").write_text(RAIN)
    assert main(["sim", "test_rain.py"]) == 0
    lines = capfd.readouterr().err.splitlines()
    assert re.fullmatch(r"0 of \? seeds, 0/s, failures: 0", lines[0])
    assert re.fullmatch(r"6 of 6 seeds, \d+/s, failures: 0", lines[-1])


def test_a_terminal_has_a_bar(tmp_path: Path):
    (tmp_path / "test_rain.py").write_text(RAIN)
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    os.set_blocking(ours, False)
    words = [sys.executable, "-m", "totohio", "sim", "test_rain.py"]
    done = subprocess.run(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=theirs, timeout=LONG, check=True)
    shown = os.read(ours, 1 << 20).decode()
    for end in (ours, theirs):
        os.close(end)
    assert "failures=0" in shown
    assert " seeds/s" in shown
    assert b"none fails" in done.stdout


def test_ctrl_c_ends_all_jobs(tmp_path: Path):
    source = """
import os, pathlib

@sim(seeds=10**9, faults="sunny")
def test_long(world):
    pathlib.Path(f"job-{os.getpid()}").touch()
"""
    (tmp_path / "test_long.py").write_text(HEAD + source)
    words = [sys.executable, "-m", "totohio", "sim", "test_long.py", "--jobs", "2"]
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        until(lambda: len(list(tmp_path.glob("job-*"))) == 2, "two jobs run")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=LONG)
    finally:
        process.kill()
    assert process.returncode == 130
    assert re.fullmatch(r"(totohio: interrupted: test_long\.py::test_long with seed \d+( at .*)?\n){0,2}", out)
    for path in tmp_path.glob("job-*"):
        assert not Path("/proc", path.name.removeprefix("job-")).exists()


@pytest.mark.parametrize(
    "words", [["totohio", "sim", "test_spin.py"], ["pytest", "-q", "test_spin.py"]], ids=lambda words: words[0]
)
def test_ctrl_c_tells_where_a_run_hangs_also_in_a_method(tmp_path: Path, words: list[str]):
    source = """
import pathlib

def spin(handler, parameters):
    pathlib.Path("spinning").touch()
    while True:
        pass

@sim(seeds=20, faults="sunny")
def test_spin(world):
    server = world.server(methods={"spin": spin})
    if world.seed == 3:
        world.call(server, "spin")
"""
    (tmp_path / "test_spin.py").write_text(HEAD + source)
    process = subprocess.Popen(
        [sys.executable, "-m", *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        until((tmp_path / "spinning").exists, "the method runs")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=LONG)
    finally:
        process.kill()
    if words[0] == "totohio":
        assert process.returncode == 130
        assert re.fullmatch(
            r"totohio: interrupted: test_spin\.py::test_spin with seed 3 at test_spin\.py:(8|9) in spin\n", out
        )
    else:
        assert process.returncode == pytest.ExitCode.INTERRUPTED
        assert "KeyboardInterrupt: at test_spin.py:" in out


def test_jobs_whose_parent_is_gone_end_by_themselves(tmp_path: Path):
    source = """
import os, pathlib

@sim(seeds=10**9, faults="sunny")
def test_long(world):
    pathlib.Path(f"job-{os.getpid()}").touch()
"""
    (tmp_path / "test_long.py").write_text(HEAD + source)
    words = [sys.executable, "-m", "totohio", "sim", "test_long.py"]
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: list(tmp_path.glob("job-*")), "a job runs")
    finally:
        process.kill()
        process.wait(LONG)
    [path] = tmp_path.glob("job-*")
    until(lambda: not Path("/proc", path.name.removeprefix("job-")).exists(), "the job ends")


def test_a_method_that_cannot_be_imported_is_named_with_its_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "__init__.py").touch()
    (tmp_path / "served" / "price.py").write_text("import json\nPRICE = 1 / 0\n")
    (tmp_path / "settings.yaml").write_text("method_module: served\n")
    source = '@sim(seeds=1)\ndef test_it(world):\n    world.server("settings.yaml")\n'
    (tmp_path / "test_it.py").write_text(HEAD + source)
    assert main(["sim", "test_it.py"]) == 1
    out = capfd.readouterr().out
    where = f'  File "{tmp_path}/served/price.py", line 2, in <module>\n'
    assert f"Traceback (most recent call last):\n{where}    PRICE = 1 / 0\n" in out
    assert "served.price cannot be imported: ZeroDivisionError: division by zero (served/price.py:2)\n" in out
    assert "importlib" not in out
