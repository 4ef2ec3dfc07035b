"""A report says how to see a failure again."""

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.sim.worlds import ToyWorld
from totohio.sim.checks.checking import CheckFailed
from totohio.sim.sweeps.reporting import Subject, commit, current_test, reachable, report, trim, written
from totohio.sim.sweeps.shrinking import Shrunk, place, steps
from totohio.sim.sweeps.trying import Trial, attempt


def git(folder: Path, *words: str) -> None:
    names = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True)


def failing(seed: int = 3, faults: str = "stormy") -> Trial:
    def body(world: ToyWorld) -> None:
        world.run()
        raise ValueError("no more money")

    return attempt(body, ToyWorld, seed, faults)


def subject(folder: Path, name: str = "tests/test_bank.py::test_it[a b]", **options: Any) -> Subject:
    return Subject(
        **({"name": name, "folder": folder, "words": ("totohio", "sim", name), "faults": "stormy"} | options)
    )


# ---------------------------------------------------------------- which code


def test_the_commit_is_named_and_whether_something_was_changed_since(tmp_path: Path):
    git(tmp_path, "init")
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "Begin")
    known = commit(tmp_path)
    assert known is not None
    assert 7 <= len(known) <= 40
    assert set(known) <= set("0123456789abcdef")
    report(failing(), subject(tmp_path))
    assert commit(tmp_path) == known, "a report changes nothing"
    (tmp_path / "file").write_text("2")
    assert commit(tmp_path) == f"{known} + uncommitted changes"
    assert report(failing(), subject(tmp_path)).splitlines()[1].startswith(f"seed 3 of commit {known} + uncommitted")


def test_outside_of_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert commit(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit(Path(__file__).parent) is None
    assert report(failing(), subject(tmp_path)).splitlines()[1] == "seed 3, faults 'stormy'"


# ---------------------------------------------------------------- the command


@pytest.mark.parametrize(
    ("faults", "twice", "rest"),
    [
        ("stormy", False, ["--seed", "17"]),
        ("sunny", False, ["--seed", "17", "--faults", "sunny"]),
        ("stormy", True, ["--seed", "17", "--check-determinism"]),
    ],
)
def test_the_command_is_one_that_a_shell_takes(tmp_path: Path, faults: str, twice: bool, rest: list[str]):
    command = subject(tmp_path).command(17, faults, twice=twice)
    assert shlex.split(command) == ["totohio", "sim", "tests/test_bank.py::test_it[a b]", *rest]


def test_another_command_gets_its_seed_through_the_environment(tmp_path: Path):
    other = subject(tmp_path, words=("python", "bank it.py"), environ=True)
    assert other.command(17, "stormy") == "TOTOHIO_SIM_FIRST=17 TOTOHIO_SIM_SEEDS=1 python 'bank it.py'"
    assert " TOTOHIO_SIM_FAULTS=sunny python" in other.command(17, "sunny")


def test_the_test_that_runs_is_known(request: pytest.FixtureRequest):
    assert current_test() == request.node.nodeid


def test_a_test_is_named_as_seen_from_the_folder_in_which_one_is(tmp_path: Path):
    (tmp_path / "project" / "tests").mkdir(parents=True)
    (tmp_path / "project" / "tests" / "test_it.py").touch()
    for folder, name in (("project", "tests/test_it.py"), ("project/tests", "test_it.py")):
        assert reachable("tests/test_it.py::test[x]", tmp_path / folder) == f"{name}::test[x]"
    assert reachable("gone.py::test", tmp_path) == "gone.py::test"


# ---------------------------------------------------------------- faults and traces


def shrunk(trial: Trial, count: int, **options: Any) -> Shrunk:
    return Shrunk(**({"repeated": trial, "alike": True, "needed": trial.fired[:count], "runs": 9} | options))


def faults_line(tmp_path: Path, trial: Trial, found: Shrunk) -> str:
    [line] = [line for line in report(trial, subject(tmp_path), shrunk=found).splitlines() if "faults:  " in line]
    return line.partition(":")[2].strip()


def test_the_faults_that_it_takes_are_counted_and_named(tmp_path: Path):
    trial = failing()
    assert len(trial.fired) == 8
    text = report(trial, subject(tmp_path), shrunk=shrunk(trial, 2))
    assert "faults:    2 of the 8 that happened are needed:\n" in text
    assert f"             {trial.fired[0]}\n             {trial.fired[1]}\ntimeline:" in text


@pytest.mark.parametrize(
    ("count", "options", "line"),
    [
        (1, {}, "1 of the 8 that happened is needed:"),
        (8, {}, "all 8 that happened are needed:"),
        (0, {}, "no fault is needed of the 8 that happened"),
        (0, {"calm": "sunny"}, "no fault is needed: it fails with faults 'sunny' as well"),
        (3, {"minimal": False}, "at most 3 of the 8 that happened are needed, which 9 runs have shown:"),
        (8, {"alike": False}, "8 happened; which are needed cannot be told, because the seed does not fail alike"),
    ],
)
def test_what_is_known_of_the_faults_is_said(tmp_path: Path, count: int, options: dict[str, Any], line: str):
    trial = failing()
    assert faults_line(tmp_path, trial, shrunk(trial, count, **options)).startswith(line)


def test_many_faults_are_not_all_named(tmp_path: Path):
    trial = failing(faults="radioactive")
    many = (*trial.fired, *trial.fired)
    assert "\n             and 20 more\n" in report(trial, subject(tmp_path), shrunk=shrunk(trial, 0, needed=many))


def test_a_run_without_faults_says_so(tmp_path: Path):
    trial = failing(faults="sunny")
    assert faults_line(tmp_path, trial, shrunk(trial, 0)) == "no fault is needed: none happened"


def test_the_trace_is_shown_up_to_the_failure_and_not_beyond(tmp_path: Path):
    class World(ToyWorld):
        def __exit__(self, *_: object) -> None:
            self.note("cleared away")

    def body(world: World) -> None:
        world.run(30)
        world.note("last")
        raise ValueError

    trial = attempt(body, World, 3, "sunny")
    lines = report(trial, subject(tmp_path)).splitlines()
    assert "the last 20 of 31 entries of the trace:" in lines
    assert lines[-1].split() == ["30.000000", "toy", "last"]


def test_what_a_world_notes_while_it_is_taken_down_is_not_compared(tmp_path: Path):
    class Noisy(ToyWorld):
        def __exit__(self, *_: object) -> None:
            self.note("collapse")

    def body(world: ToyWorld) -> None:
        world.note("paid")
        assert world.seed != 3, "no more money"
        world.note("paid again")

    passing, failing = (attempt(body, Noisy, seed, "still") for seed in (2, 3))
    lines = report(failing, subject(tmp_path), passing=passing).splitlines()
    assert "    failing  ends here" in lines
    assert "    passing  0.000000  toy  paid again" in lines
    assert not any("collapse" in line for line in lines)


def test_the_page_is_written_where_it_is_asked_for_and_a_place_without_room_is_no_failure(tmp_path: Path):
    trial = failing()
    for folder in ("pages", str(tmp_path / "elsewhere")):
        text = report(trial, subject(tmp_path / "work"), folder=folder)
        [line] = [line for line in text.splitlines() if line.startswith("timeline:")]
        page = tmp_path / "work" / line.removeprefix("timeline:").strip()
        assert page.name == "test_it-a-b-seed-3.html"
        assert "no more money" in page.read_text("utf-8")
    (tmp_path / "file").touch()
    assert "timeline:  not written: " in report(trial, subject(tmp_path), folder=str(tmp_path / "file"))


# ---------------------------------------------------------------- the traceback


def test_frames_of_the_simulation_are_left_out_of_the_traceback():
    error = trim(failing().error or ValueError())
    assert [step.tb_frame.f_code.co_name for step in steps(error.__traceback__)] == ["body"]
    assert "trying.py" not in written(error)
    assert "no more money" in written(error)


def test_a_mistake_of_the_simulation_itself_is_shown():
    def body(world: ToyWorld) -> None:
        world.checks._promises = None  # type: ignore[assignment]
        world.checks.pending  # noqa: B018  # a property

    error = trim(attempt(body, ToyWorld, 0, "sunny").error or ValueError())
    assert "checking.py" in written(error)
    assert place(error)[0] == __file__


def test_a_check_that_fails_is_shown_where_the_user_let_time_pass():
    def body(world: ToyWorld) -> None:
        world.always("it is early", lambda: world.tyme < 4)
        world.run()

    error = trim(attempt(body, ToyWorld, 0, "sunny").error or ValueError())
    assert isinstance(error, CheckFailed)
    assert "checking.py" not in written(error)
