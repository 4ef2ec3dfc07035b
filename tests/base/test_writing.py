"""Writing to streams that do not take everything."""

import contextlib
import errno
import io
import json
import os
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from totohio.base import writing
from totohio.base.writing import Sink, printable, quoted


class Pipe:
    """A pipe, or whatever else has two ends, with a sink that writes to it."""

    def __init__(self, reader: int, writer: int) -> None:
        self.reader = reader
        self.stream: TextIO = os.fdopen(writer, "w", encoding="utf-8")
        self.sink = Sink(self.stream)

    def close(self) -> None:
        self.sink.close()
        self.stream.close()
        with contextlib.suppress(OSError):
            os.close(self.reader)

    def read(self) -> str:
        """Take out all that is in it."""
        parts = []
        while select.select([self.reader], [], [], 0)[0]:
            part = os.read(self.reader, 1 << 20)
            if not part:
                break
            parts.append(part)
        return b"".join(parts).decode()


@pytest.fixture(params=["pipe", "socket", "pieces"])
def pipe(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    if request.param == "pieces":  # a system without /proc
        real = os.open
        monkeypatch.setattr(os, "open", lambda path, *rest: real(str(path).replace("/proc/", "/no/proc/"), *rest))
    if request.param == "socket":
        near, far = socket.socketpair()
        pipe = Pipe(near.detach(), far.detach())
    else:
        pipe = Pipe(*os.pipe())
    yield pipe
    pipe.close()


def fill(sink: Sink) -> int:
    """Write lines until some are dropped; give how many were written before that."""
    for count in range(100_000):
        sink.write("x" * 99 + "\n")
        if sink.dropped:
            return count
    raise AssertionError("the stream takes everything")


def test_lines_arrive(pipe: Pipe):
    sink = pipe.sink
    sink.write("one\ntwo\n", 2)
    sink.write("zwölf\n")
    assert pipe.read() == "one\ntwo\nzwölf\n"
    assert sink.dropped == 0
    assert sink.clear


def test_a_full_stream_drops_lines_instead_of_waiting_and_never_tears_one(pipe: Pipe):
    sink = pipe.sink
    written = fill(sink)
    sink.write(("y" * 99 + "\n") * 2, 2)
    assert sink.dropped == 3
    text = pipe.read()
    sink.write("after\n")
    text += pipe.read()
    assert text.splitlines() == ["x" * 99] * written + ["after"]
    assert sink.dropped == 3


def test_a_text_larger_than_the_stream_takes_is_finished_later(pipe: Pipe):
    sink = pipe.sink
    text = "".join(f"{number:07}\n" for number in range(100_000))
    sink.write(text, 100_000)
    assert not sink.clear
    found = pipe.read()
    while not sink.clear:
        sink.write("lost\n")
        found += pipe.read()
    assert found.removesuffix("lost\n") == text


def test_a_stream_whose_reader_is_gone_drops_lines(pipe: Pipe):
    sink = pipe.sink
    os.close(pipe.reader)
    for _ in range(3):
        sink.write("x\n")
    assert sink.dropped == 3


def test_nobody_else_who_shares_the_stream_sees_it_become_nonblocking():
    pipe = Pipe(*os.pipe())
    sink = pipe.sink
    sink.write("x\n")
    assert os.get_blocking(pipe.stream.fileno())
    sink.close()
    sink.close()
    pipe.stream.write("still open\n")
    pipe.stream.flush()
    assert pipe.read() == "x\nstill open\n"
    pipe.close()


def test_a_closed_sink_drops_lines(pipe: Pipe):
    sink = pipe.sink
    sink.close()
    sink.write("x\n")
    assert (pipe.read(), sink.dropped) == ("", 1)


def test_a_file_is_appended_to_and_a_full_disk_drops_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "log"
    with path.open("w", encoding="utf-8") as file:
        file.write("first\n")
        sink = Sink(file)
        sink.write("second\n")

        def full(*_: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            sink.write("third\n")
        sink.write("fourth\n")
    assert path.read_text() == "first\nsecond\nfourth\n"
    assert sink.dropped == 1


def test_a_stream_in_memory_works_and_when_closed_drops_lines():
    stream = io.StringIO()
    sink = Sink(stream)
    sink.write("x\n")
    assert stream.getvalue() == "x\n"
    stream.close()
    sink.write("y\n")
    assert sink.dropped == 1
    Sink(stream).write("closed from the beginning\n")


def test_a_write_from_a_signal_handler_in_the_middle_of_another_comes_after_it():
    class Interrupted(io.StringIO):
        def write(self, text: str) -> int:
            count = super().write(text[:2])
            if text == "outer\n":
                sink.write("inner\n")
            return count + super().write(text[2:])

    stream = Interrupted()
    sink = Sink(stream)
    sink.write("outer\n")
    assert stream.getvalue() == "outer\ninner\n"


def test_threads_do_not_tear_each_others_lines(pipe: Pipe):
    sink = pipe.sink
    threads = [
        threading.Thread(target=lambda name=name: [sink.write(f"{name * 50}\n") for _ in range(100)]) for name in "abc"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = pipe.read().splitlines()
    assert len(lines) + sink.dropped == 300
    assert set(lines) <= {name * 50 for name in "abc"}


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_quoted_text_is_one_line_that_json_and_yaml_read_back(text: str):
    line = quoted(text)
    assert line.isprintable()
    assert json.loads(line) == text
    if all(ord(letter) < 0x10000 for letter in text):  # YAML knows no surrogate pairs
        assert yaml.safe_load(line) == text


@given(st.text(st.characters()))
def test_a_printable_text_breaks_no_line(text: str):
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)


def test_the_limits_are_those_of_the_system():
    assert writing.ATOMIC >= 512
