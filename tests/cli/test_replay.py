"""``totohio replay`` runs a recording against today's code and shows what is different."""

import json
import re
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import LONG, until
from tests.support import Client, World
from totohio.base.recording import logger
from totohio.cli import main

METHODS = {
    "add": "def invoke(handler, parameters):\n    return parameters['a'] + parameters['b']\n",
    "hello": "def invoke(handler, parameters):\n    return 'Hello, ' + parameters['name']\n",
}

Record = Callable[[Callable[[Client], object]], World]


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
    """Record what a client does into calls.jsonl of the working directory, which is the project's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def run(script: Callable[[Client], object], **options: object) -> World:
        world = World(tmp_path, METHODS, record="calls.jsonl", **options)
        script(world.connect())
        world.close()
        (tmp_path / "settings.yaml").write_text(f"method_module: {world.package}\n")
        return world

    return run


def two(client: Client) -> None:
    client.call("add", {"a": 1, "b": 2})
    client.call("hello", {"name": "Ada"})


def test_what_is_reproduced_is_counted(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    record(two)
    assert main(["replay", "calls.jsonl", "settings.yaml"]) == 0
    assert capsys.readouterr().out == "2 calls: 2 reproduced, 0 differing, 0 refused\n"


def test_without_a_configuration_file_the_recorded_settings_hold(
    record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    record(two)
    assert main(["replay", "calls.jsonl"]) == 0
    assert main(["replay", "calls.jsonl", "--allow-origin", "https://x.org"]) == 1
    out = capsys.readouterr().out
    assert "where:     header access-control-allow-origin" in out
    assert 'now:       "https://x.org"' in out


def test_what_differs_is_shown_with_its_first_difference(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    world = record(two)
    Path(world.package, "add.py").write_text(METHODS["add"].replace("+", "-"))
    assert main(["replay", "calls.jsonl", "settings.yaml"]) == 1
    first, *rest = capsys.readouterr().out.splitlines()
    at = json.loads(Path("calls.jsonl").read_text().splitlines()[2])["at"]
    assert first == f"differing   add  (connection 1, request 1, at {at})"
    assert rest == [
        "    where:     $.result",
        "    recorded:  3",
        "    now:       -1",
        "2 calls: 1 reproduced, 1 differing, 0 refused",
    ]


def test_verbose_lists_all_calls(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    record(two)
    assert main(["replay", "calls.jsonl", "settings.yaml", "--verbose"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[:2] for line in lines[:2]] == [["reproduced", "add"], ["reproduced", "hello"]]


def test_one_method_can_be_picked(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    world = record(two)
    Path(world.package, "add.py").write_text(METHODS["add"].replace("+", "-"))
    assert main(["replay", "calls.jsonl", "settings.yaml", "--method", "hello"]) == 0
    assert capsys.readouterr().out == "1 call: 1 reproduced, 0 differing, 0 refused\n"
    assert main(["replay", "calls.jsonl", "settings.yaml", "--method", "add", "--method", "hello"]) == 1
    assert main(["replay", "calls.jsonl", "settings.yaml", "--method", "ad"]) == 2
    assert capsys.readouterr().err == "totohio: --method: the recording has no call of ad\n"


def test_a_refused_call_is_shown_with_the_reason_and_is_no_difference(
    record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    record(lambda client: client.call("hello", {"name": "Ada", "key": "my-key"}))
    assert main(["replay", "calls.jsonl", "settings.yaml"]) == 0
    assert "    why:       key 1 is masked, and no reply has told it\n" in capsys.readouterr().out
    for given in ("key", "key=my-other-key"):
        assert main(["replay", "calls.jsonl", "settings.yaml", "--give", given]) == 0
        assert capsys.readouterr().out == "1 call: 1 reproduced, 0 differing, 0 refused\n"


def test_the_real_world_can_be_allowed(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    world = record(two)
    text = "import time\ndef invoke(handler, parameters):\n    return int(time.time() * 0) + 3\n"
    Path(world.package, "add.py").write_text(text)
    assert main(["replay", "calls.jsonl", "settings.yaml"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("refused     add")
    assert "note: time.time() was called under simulation at" in out
    assert main(["replay", "calls.jsonl", "settings.yaml", "--allow", "time.time"]) == 0
    assert capsys.readouterr().out == "2 calls: 2 reproduced, 0 differing, 0 refused\n"


def test_errors_of_methods_are_logged_when_they_are_asked_for(
    record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    world = record(two)
    handlers = list(logger().handlers)
    Path(world.package, "add.py").write_text("def invoke(handler, parameters):\n    return 1 / 0\n")
    assert main(["replay", "calls.jsonl", "settings.yaml"]) == 1
    assert capsys.readouterr().err == ""
    assert main(["replay", "calls.jsonl", "settings.yaml", "--verbose"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert logger().handlers == handlers


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "No such file or directory"),
        ("", "it is empty"),
        ("name: value\n", "it is no recording: line 1: JSON is malformed"),
    ],
)
def test_what_is_no_recording_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, told: str
) -> None:
    path = tmp_path / "calls.jsonl"
    if text is not None:
        path.write_text(text)
    assert main(["replay", str(path)]) == 1
    assert capsys.readouterr().err.startswith(f"totohio: {path}: {told}")


def test_a_large_file_that_is_no_recording_is_not_read_to_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "disk.img"
    with path.open("wb") as file:
        file.truncate(128 << 20)
    tracemalloc.start()
    try:
        assert main(["replay", str(path)]) == 1
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
    assert capsys.readouterr().err.startswith(f"totohio: {path}: it is no recording: line 1: ")


def test_ctrl_c_ends_it_also_in_a_method_and_tells_where(record: Record, tmp_path: Path) -> None:
    world = record(two)
    Path(world.package, "add.py").write_text(
        "import pathlib\ndef invoke(handler, parameters):\n    pathlib.Path('spinning').touch()\n    while True: pass\n"
    )
    words = [sys.executable, "-m", "totohio", "replay", "calls.jsonl"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        until((tmp_path / "spinning").exists, "the method runs")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=LONG)
    finally:
        process.kill()
    assert process.returncode == 130
    assert re.fullmatch(r"totohio: interrupted at \w+/add\.py:(3|4) in invoke\n", out)


def test_a_recording_has_to_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay"]) == 2
    assert "usage: totohio replay FILE [CONF]" in capsys.readouterr().err


def test_what_clients_have_sent_cannot_play_with_the_terminal(
    record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    record(lambda client: client.call("a\x1b[2Jb", {"a\x1b": 1}))
    assert main(["replay", "calls.jsonl", "settings.yaml", "--verbose"]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_a_method_that_cannot_be_imported_is_told_as_when_it_is_served(
    record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    world = record(two)
    Path(world.package, "add.py").write_text("x = 1 / 0\n")
    assert main(["replay", "calls.jsonl", "settings.yaml"]) == 1
    first, *rest = capsys.readouterr().err.splitlines()
    text = "ZeroDivisionError: division by zero"
    assert first == f"totohio: {world.package}.add cannot be imported: {text} ({world.package}/add.py:1)"
    assert rest[-1] == text
    assert sum(line.startswith("  File ") for line in rest) == 1
