"""The file of a recording: whose it is, how large it becomes, and what happens when it cannot be written."""

import errno
import logging
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.methods import Serve
from tests.recordings import ended, entries, only, until
from totohio.app import taping, transcribing
from totohio.base.environing import Environment
from totohio.base.errors import SettingsError
from totohio.base.filing import KernelFiles
from totohio.net.kernel import kernel_environment
from totohio.wire.transcript import Closed, Missed, Opened, Replied, Requested, Started, Stopped

HELLO = {"hello": "def invoke(handler, parameters):\n    return parameters\n"}
STREAM = {
    "stream": """
from totohio import raw_response
def invoke(handler, parameters):
    for number in range(3):
        yield handler.respond_raw(f"piece {number}\\n", "text/plain", False)
        yield 1.0
"""
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where recordings of this test go."""
    return tmp_path / "calls.jsonl"


# ---------------------------------------------------------------- the file


def test_only_its_owner_can_read_it_whatever_the_umask_is(serve: Serve, file: Path) -> None:
    before = os.umask(0)
    try:
        serve(HELLO, record=str(file))
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_with_something_in_it_is_refused(serve: Serve, file: Path) -> None:
    file.write_text("mine")
    with pytest.raises(SettingsError, match=r"record: .*calls.jsonl is there already; name a new file"):
        serve(HELLO, record=str(file))
    assert file.read_text() == "mine"


def test_an_empty_file_is_replaced_so_that_nobody_else_reads_it(serve: Serve, file: Path) -> None:
    file.touch(0o666)
    with open(file) as reader:
        world = serve(HELLO, record=str(file))
        assert ended(world, file)
        assert not reader.read()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("there", [False, True])
def test_a_link_is_not_followed(serve: Serve, file: Path, tmp_path: Path, there: bool) -> None:
    target = tmp_path / "target"
    file.symlink_to(target)
    if there:
        target.touch()
    with pytest.raises(SettingsError, match="is there already"):
        serve(HELLO, record=str(file))
    assert target.exists() == there


@pytest.mark.parametrize("name", ["", "missing/calls.jsonl"])
def test_a_file_that_cannot_be_made_is_told(serve: Serve, tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="record: "):
        serve(HELLO, record=str(tmp_path / name))


def test_the_time_of_the_start_can_be_in_its_name(serve: Serve, tmp_path: Path) -> None:
    for _ in range(2):
        serve(HELLO, record=str(tmp_path / "calls-{time}.jsonl")).close()
    names = sorted(path.name for path in tmp_path.glob("calls-*"))
    assert 1 <= len(names) <= 2  # one when both began in the same millisecond
    assert names[0].startswith("calls-2")


def test_a_server_that_is_entered_again_makes_a_new_file(serve: Serve, tmp_path: Path) -> None:
    world = serve(HELLO, record=str(tmp_path / "calls-{time}.jsonl"))
    world.connect().post("/hello", {})
    world.doist.exit()
    clock = world.server.environment.clock
    clock.now = lambda: 1_800_000_000.0  # type: ignore[method-assign]
    world.doist.doers = list(world.server.doers)
    world.doist.enter()
    world.connect().post("/hello", {"again": 1})
    found = ended(world, tmp_path / "calls-20270115T080000.000Z.jsonl")
    assert [type(entry) for entry in found] == [Started, Opened, Requested, Replied, Closed, Stopped]
    assert found[2].json == {"again": 1}


# ---------------------------------------------------------------- bounds and faults


def test_the_file_stops_growing_and_says_so(serve: Serve, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = serve(HELLO, record=str(file), record_max_size=20_000)
    client = world.connect()
    with caplog.at_level(logging.WARNING, "totohio"):
        for number in range(100):
            assert client.post("/hello", {"a": number}).json() == {"result": {"a": number}}
    world.advance(1.0)
    until(world, lambda: isinstance(entries(file)[-1], Stopped))
    assert entries(file)[-1].why == "full"
    assert file.stat().st_size <= 20_000
    assert len([record for record in caplog.records if "nothing more is recorded" in record.getMessage()]) == 1
    client.post("/hello", {})
    world.connect().post("/hello", {})
    size = file.stat().st_size
    world.close()
    assert file.stat().st_size == size


class FullDisk(KernelFiles):
    """Files that cannot grow beyond so many bytes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def open(self, *args: Any, **options: Any) -> Any:
        found = super().open(*args, **options)
        write = found._raw.write

        def take(data: Any, offset: int) -> int:
            if offset + len(data) > self.room:
                raise OSError(errno.ENOSPC, "No space left on device")
            return int(write(data, offset))

        found._raw.write = take
        return found


def on(disk: KernelFiles) -> Environment:
    """The machine's world with this disk."""
    environment = kernel_environment()
    environment.files = disk
    return environment


@pytest.mark.expects_errors
def test_a_full_disk_ends_the_recording_and_no_request(
    serve: Serve, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = serve(HELLO, record=str(file), environment=on(FullDisk(4000)))
    client = world.connect()
    for number in range(100):
        assert client.post("/hello", {"a": number}).json() == {"result": {"a": number}}
    world.advance(1.0)
    until(world, lambda: "nothing more is recorded" in caplog.text)
    assert client.post("/hello", {}).status == 200
    assert world.connect().post("/hello", {}).status == 200
    world.close()
    assert caplog.text.count("No space left on device") == 1
    assert entries(file)


@pytest.mark.expects_errors
def test_a_disk_that_is_full_at_the_end_is_told_once(
    serve: Serve, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = serve(HELLO, record=str(file), environment=on(FullDisk(4000)))
    client = world.connect()
    client.send(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
    client.reply()
    world.close()
    assert caplog.text.count("No space left on device") == 1


def test_what_comes_too_fast_is_missed_and_counted(serve: Serve, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = serve(HELLO, record=str(file))
    client = world.connect()
    client.post("/hello", {"a": 1})
    world.advance(1.0)
    monkeypatch.setattr(transcribing, "CAPACITY", 0)
    assert client.post("/hello", {"a": 2}).status == 200
    assert world.connect().post("/hello", {"a": 3}).status == 200
    monkeypatch.undo()
    assert client.post("/hello", {"a": 4}).status == 200
    world.advance(1.0)
    found = ended(world, file)
    assert [request.json["a"] for request in only(found, Requested)] == [1, 4]
    assert [request.number for request in only(found, Requested)] == [1, 3]
    assert [reply.number for reply in only(found, Replied)] == [1, 3]
    missed = only(found, Missed)
    assert sum(entry.requests for entry in missed) == 1
    assert sum(entry.connections for entry in missed) == 1


def test_a_reply_that_is_too_much_is_missed_and_its_request_stays(
    serve: Serve, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = serve(STREAM, record=str(file))
    client = world.connect()
    client.send(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
    world.advance(1.0)
    monkeypatch.setattr(transcribing, "CAPACITY", 0)
    for _ in range(4):
        world.advance(1.1)
    assert client.reply().body == b"piece 0\npiece 1\npiece 2\n"
    monkeypatch.undo()
    found = ended(world, file)
    assert len(only(found, Requested)) == 1
    assert not only(found, Replied)
    assert only(found, Missed)[0].replies == 1


@pytest.mark.expects_errors
def test_a_disk_that_does_not_answer_holds_neither_requests_nor_for_ever_the_end(
    serve: Serve, file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(taping, "PATIENCE", 0.01)
    world = serve(HELLO, record=str(file))
    [tape] = [doer._tape for doer in world.doer.doers if isinstance(doer, transcribing.TranscriptDoer)]
    assert tape is not None
    with tape._lock:  # as a thread that is stuck in a write
        client = world.connect()
        for _ in range(5):
            assert client.post("/hello", {"a": 1}).status == 200
            world.advance(1.0)
        world.close()
    assert "the disk does not answer" in caplog.text
    tape.close()  # as when the disk answers after all
    assert isinstance(entries(file)[-1], Stopped)
