"""The logs: what lines look like, and that nothing about them can hold up or end a server."""

import io
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hio.base import doing
from hypothesis import given
from hypothesis import strategies as st

from totohio.base.clocking import Clock
from totohio.base.doing import FOREVER
from totohio.base.recording import LAG, SLICE, CallLog, JsonLines, RecordDoer, Recorder, TextLines, configure, logger
from totohio.base.writing import Sink

NOW = 1767225600.123  # 2026-01-01T00:00:00.123Z
STAMP = "2026-01-01T00:00:00.123Z"


class StillClock(Clock):
    """A clock that always shows the same time."""

    def now(self) -> float:
        return NOW


@pytest.fixture
def start() -> Iterator[Callable[..., io.StringIO]]:
    """Configure the logs to go to a stream in memory; everything is as before afterwards."""
    top = logger()
    level, handlers = top.level, list(top.handlers)

    def start(level: str = "info", format: Any = "text") -> io.StringIO:
        stream = io.StringIO()
        configure(level, format, stream, clock=StillClock())
        return stream

    yield start
    for handler in list(top.handlers):
        if handler not in handlers:
            top.removeHandler(handler)
    for handler in handlers:
        if handler not in top.handlers:
            top.addHandler(handler)
    top.setLevel(level)


# ---------------------------------------------------------------- records


def test_a_line_has_time_level_and_text(start: Callable[..., io.StringIO]):
    stream = start()
    logger().info("ready on %s", "port 1")
    logger("totohio.net").warning("hm")
    assert stream.getvalue() == f"{STAMP} INFO  ready on port 1\n{STAMP} WARN  hm\n"


def test_a_json_line_is_one_object(start: Callable[..., io.StringIO]):
    stream = start(format="json")
    logger("totohio.net").warning("two\nlines")
    line, end = stream.getvalue().split("\n")
    assert end == ""
    assert json.loads(line) == {"time": STAMP, "level": "warning", "logger": "totohio.net", "message": "two\nlines"}


def test_only_the_wanted_levels_are_written(start: Callable[..., io.StringIO]):
    stream = start(level="warning")
    logger().info("no")
    logger().warning("yes")
    assert stream.getvalue() == f"{STAMP} WARN  yes\n"


def test_configuring_again_replaces_what_was_configured(start: Callable[..., io.StringIO]):
    before, after = start(), start()
    logger().info("x")
    assert (before.getvalue(), after.getvalue()) == ("", f"{STAMP} INFO  x\n")


def test_handlers_of_others_stay_and_hios_own_go(start: Callable[..., io.StringIO]):
    own = logging.NullHandler()
    logger().addHandler(own)
    start()
    assert own in logger().handlers
    assert [type(handler) for handler in logger().handlers].count(Recorder) == 1
    assert not any(type(handler) is logging.StreamHandler for handler in logger().handlers)
    logger().removeHandler(own)


@pytest.mark.expects_errors
def test_a_traceback_is_indented_in_text_and_one_line_in_json(start: Callable[..., io.StringIO]):
    for format in ("text", "json"):
        stream = start(format=format)
        try:
            raise ValueError("first\n2026-01-01T00:00:00.123Z INFO  forged")
        except ValueError as error:
            logger().error("failed", exc_info=error)
        lines = stream.getvalue().splitlines()
        if format == "json":
            assert json.loads(lines[0])["traceback"].startswith("Traceback")
            assert len(lines) == 1
        else:
            assert lines[0] == f"{STAMP} ERROR failed"
            assert all(line.startswith("    ") for line in lines[1:])
            assert len(lines) > 3


@given(st.text())
def test_no_text_forges_a_line(text: str):
    record = logging.LogRecord("totohio", logging.INFO, "", 0, "%s", (text,), None)
    for style in (TextLines(StillClock()), JsonLines(StillClock())):
        written = style.record(record)
        assert all(letter.isprintable() or letter == "\n" for letter in written)
        assert all(line.startswith("    ") for line in written.removesuffix("\n").split("\n")[1:])


def test_a_record_that_cannot_be_shown_is_reported_as_such():
    stream = io.StringIO()
    recorder = Recorder(Sink(stream), TextLines(StillClock()))
    recorder.handle(logging.LogRecord("totohio", logging.INFO, "", 0, "%d", ("no number",), None))
    assert stream.getvalue() == f"{STAMP} INFO  a log line cannot be shown: TypeError\n"


def test_a_huge_record_is_cut(start: Callable[..., io.StringIO]):
    stream = start()
    logger().info("begin" + "x" * 1_000_000 + "end")
    assert len(stream.getvalue()) < 70_000
    assert "begin" in stream.getvalue()
    assert stream.getvalue().endswith("end\n")


def test_lines_that_were_lost_are_counted_in_a_line_once_the_stream_takes_some_again(start: Callable[..., io.StringIO]):
    start()
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        recorder = configure("info", "text", stream, clock=StillClock())
        while not recorder.sink.dropped:
            logger().info("x" * 100)
        logger().info("x" * 100)
        os.read(reader, 1 << 20)
        logger().info("after")
        assert os.read(reader, 1 << 20).decode().endswith(f"INFO  after\n{STAMP} WARN  2 log lines were lost\n")
        logger().info("all is well")
        assert os.read(reader, 1 << 20).decode() == f"{STAMP} INFO  all is well\n"
        start()
    os.close(reader)


# ---------------------------------------------------------------- calls


@pytest.mark.parametrize(
    ("entry", "text", "fields"),
    [
        (("user.add", 0, 0.00021, None), "user.add code=0 0.21 ms", {"method": "user.add", "code": 0, "ms": 0.21}),
        (("x", 1001, 1.5, "t-1"), "x code=1001 1500.00 ms transaction=t-1", {"code": 1001, "transaction": "t-1"}),
        ((None, 1002, 0.0, None), "- code=1002 0.00 ms", {"method": None}),
        (("<batch>", 0, 0.0, 7), "<batch> code=0 0.00 ms transaction=7", {"method": "<batch>", "transaction": "7"}),
        (("a\n", "odd 1", 0.0, "\x1b[2J"), r'"a\n" code="odd 1" 0.00 ms transaction="\u001b[2J"', {"method": "a\n"}),
        (("", 0, 0.0, ""), '"" code=0 0.00 ms', {"method": ""}),
        (("x" * 500, 0, 0.0, None), "x" * 100 + " code=0 0.00 ms", {"method": "x" * 100}),
        (("ß", 0, 0.0, None), '"ß" code=0 0.00 ms', {"method": "ß"}),
    ],
)  # fmt: skip
def test_a_call_is_one_line(start: Callable[..., io.StringIO], entry: Any, text: str, fields: dict[str, Any]):
    calls = CallLog()
    for format in ("text", "json"):
        stream = start(format=format)
        calls.append(entry)
        calls.append(entry)  # its name is known now
        calls.flush()
        first, second, end = stream.getvalue().split("\n")
        assert (first, end) == (second, "")
        if format == "text":
            assert first == f"{STAMP} INFO  call {text}"
        else:
            assert (
                json.loads(first).items()
                >= ({"time": STAMP, "level": "info", "logger": "totohio.calls"} | fields).items()
            )


def test_a_transaction_that_cannot_be_shown_is_named_by_its_type(start: Callable[..., io.StringIO]):
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    stream = start()
    calls = CallLog()
    calls.append(("m", 0, 0.0, Broken()))
    calls.flush()
    assert stream.getvalue().endswith("transaction=<Broken>\n")


def test_calls_are_written_at_once(start: Callable[..., io.StringIO], monkeypatch: pytest.MonkeyPatch):
    stream = start()
    writes: list[str] = []
    monkeypatch.setattr(stream, "write", writes.append)
    calls = CallLog()
    for number in range(100):
        calls.append((f"m{number}", 0, 0.0, None))
    calls.flush()
    assert len(writes) == 1
    assert writes[0].count("\n") == 100


def test_calls_below_the_level_are_not_written_and_not_wanted(start: Callable[..., io.StringIO]):
    calls = CallLog()
    start()
    assert calls.wanted
    stream = start(level="warning")
    assert not calls.wanted
    calls.append(("m", 0, 0.0, None))
    calls.flush()
    assert stream.getvalue() == ""
    assert len(calls) == 0


def test_calls_beyond_the_capacity_are_counted_and_not_kept(start: Callable[..., io.StringIO]):
    stream = start()
    calls = CallLog(capacity=2)
    for _ in range(5):
        calls.append(("m", 0, 0.0, None))
    assert (len(calls), calls.dropped) == (2, 3)
    calls.flush()
    assert stream.getvalue().endswith(f"{STAMP} WARN  3 calls were not logged\n")
    calls.append(("m", 0, 0.0, None))
    calls.flush()
    assert stream.getvalue().count("not logged") == 1


def test_handlers_of_the_host_application_get_calls_as_records(start: Callable[..., io.StringIO]):
    texts: list[str] = []

    class Own(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(f"{record.name} {record.levelname} {record.getMessage()}")

    start()
    own = Own()
    logger().addHandler(own)
    calls = CallLog()
    calls.append(("m", 0, 0.001, None))
    calls.flush()
    logger().removeHandler(own)
    assert texts == ["totohio.calls INFO call m code=0 1.00 ms"]


def test_names_made_up_by_clients_without_end_are_not_all_remembered():
    style = TextLines(StillClock())
    for number in range(20_000):
        style.calls([(f"m{number}", 0, 0.0, None)])
    assert len(style._known) < 5_000


# ---------------------------------------------------------------- the Doer


@pytest.fixture
def lines(start: Callable[..., io.StringIO]) -> Callable[[], int]:
    stream = start()
    return lambda: stream.getvalue().count("\n")


def note(calls: CallLog, count: int) -> None:
    for _ in range(count):
        calls.append(("m", 0, 0.0, None))


def test_a_line_comes_a_fifth_of_a_second_after_its_call_at_the_latest(lines: Callable[[], int]):
    doer = RecordDoer(calls=CallLog())
    assert doer.due(1.0) == FOREVER
    doer.recur(1.0)
    note(doer.calls, 1)
    assert doer.due(1.0) == 1.0 + LAG
    doer.recur(1.1)
    assert doer.due(1.1) == 1.0 + LAG
    assert lines() == 0
    doer.recur(1.0 + LAG)
    assert lines() == 1
    assert doer.due(1.0 + LAG) == FOREVER


def test_under_a_doist_that_never_asks_lines_come_too(lines: Callable[[], int]):
    calls = CallLog()
    doist = doing.Doist(doers=[RecordDoer(calls=calls)], real=False, tock=0.03125, limit=1.0)
    doist.enter()
    note(calls, 1)
    while doist.tyme < LAG - doist.tock:
        doist.recur()
    assert lines() == 0
    for _ in range(3):
        doist.recur()
    assert lines() == 1
    note(calls, 1)
    doist.exit()
    assert lines() == 2


def test_many_calls_are_written_without_waiting_in_bounded_slices(lines: Callable[[], int]):
    doer = RecordDoer(calls=CallLog())
    note(doer.calls, SLICE - 1)
    doer.recur(0.0)
    assert lines() == 0
    note(doer.calls, 1 + 9 * SLICE)
    assert doer.due(0.0) == 0.0
    doer.recur(0.0)
    assert lines() == 5 * SLICE
    tyme = 0.0
    while doer.calls:
        before, tyme = lines(), tyme + LAG
        doer.recur(tyme)
        assert 0 < lines() - before <= 5 * SLICE
    assert lines() == 10 * SLICE


def test_more_calls_a_cycle_than_a_slice_do_not_pile_up(lines: Callable[[], int]):
    doer = RecordDoer(calls=CallLog())
    for cycle in range(20):
        note(doer.calls, 4 * SLICE)
        doer.recur(cycle / 1000)
    assert doer.calls.dropped == 0
    assert len(doer.calls) <= 8 * SLICE


def test_what_is_left_is_written_at_exit_and_twice_does_no_harm(lines: Callable[[], int]):
    doer = RecordDoer(calls=CallLog())
    note(doer.calls, 3 * SLICE)
    doer.exit()
    doer.exit()
    assert lines() == 3 * SLICE


def test_the_stamp_of_a_line_is_the_time_in_utc(start: Callable[..., io.StringIO]):
    class OtherClock(Clock):
        def now(self) -> float:
            return 1.9999

    stream = io.StringIO()
    start()
    configure("info", "text", stream, clock=OtherClock())
    logger().info("x")
    assert re.match(r"1970-01-01T00:00:01\.999Z ", stream.getvalue())
