"""Traces: what they keep, their digest, how they read, and where two of them part."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sim.traces import Noted, traced
from totohio.sim.pictures.tracing import Entry, Trace, divergence

CONNECTION = "client-1:40001>server-1:8888#3"
OTHER = "client-1:51234>server-1:8888#17"  # between the same two hosts

details = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(exclude_categories=())))
entries = st.tuples(st.floats(), st.text(), st.text(), details, details)


# ---------------------------------------------------------------- the digest


def test_the_digest_is_the_same_on_every_python_and_for_ever():
    trace = traced(
        ("server-1", "boot", 1, True, None),
        ("client-1", "send", CONNECTION, 412, 0xDEADBEEF),
        ("", "rule", 0.1 + 0.2, 1e300, -0.0, math.inf, math.nan),
        (
            "server-1",
            "log",
            "info",
            "é \U0001f40d ' \" \\ \n \ud800 \U0001e030 \u2ffc",
        ),  # the last two are new to 3.12 and 3.13
    )
    assert trace.digest() == "b1a86ccfe3b312a53bb1f5f665474dd6"


@given(st.lists(entries), st.integers(1, 5))
def test_a_trace_that_has_forgotten_most_entries_has_the_digest_of_all(noted: list[Entry], limit: int):
    whole, bounded = Trace(), Trace(limit=limit)
    for entry in noted:
        whole.note(*entry)
        bounded.note(*entry)
    assert bounded.digest() == whole.digest()
    assert len(bounded.entries) <= limit
    assert bounded.dropped + len(bounded.entries) == len(noted)
    assert list(map(repr, bounded.entries)) == list(map(repr, noted[bounded.dropped :]))


def test_a_digest_can_be_asked_for_in_between():
    trace = traced(("a", "boot"))
    early = trace.digest()
    assert trace.digest() == early
    trace.note(0.5, "a", "crash")
    assert trace.digest() == traced(("a", "boot"), ("a", "crash")).digest() != early


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: (entry[0] + 1e-15, *entry[1:]),
        lambda entry: (*entry[:3], True),
        lambda entry: (*entry[:3], "1"),
        lambda entry: (*entry[:3], 1.0),
        lambda entry: (*entry[:3], None),
        lambda entry: (*entry[:3], 1, ""),
        lambda entry: (entry[0], "boot", "a", 1),
    ],
)
def test_whatever_differs_gives_another_digest(change: Callable[[Entry], Entry]):
    one, other = Trace(), Trace()
    entry: Entry = (0.5, "a", "boot", 1)
    one.note(*entry)
    other.note(*change(entry))
    assert one.digest() != other.digest()


def test_a_detail_that_may_be_written_differently_elsewhere_is_refused_by_the_digest():
    trace = traced(("a", "boot"), ("a", "log", "info", "text"))
    trace.note(1.0, "a", "call", {"an": "object"})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"entry 2 of the trace \(call\) holds a dict"):
        trace.digest()


def test_a_trace_that_keeps_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one entry"):
        Trace(limit=0)


# ---------------------------------------------------------------- lines


def test_lines_are_aligned_and_show_microseconds_sizes_and_checksums():
    trace = Trace()
    trace.note(0.0, "", "fault", 3, "partition server-1 | server-2")
    trace.note(12.3456784, "client-1", "send", CONNECTION, 412, 0xBEEF)
    trace.note(100.0, "server-10", "pause", None, 0.25)
    assert trace.lines() == [
        "  0.000000  (world)    fault  3  partition server-1 | server-2",
        " 12.345678  client-1   send   client-1:40001>server-1:8888#3  412 bytes  crc 0000beef",
        "100.000000  server-10  pause  -  0.25",
    ]
    assert trace.lines(1, 2) == ["12.345678  client-1  send  client-1:40001>server-1:8888#3  412 bytes  crc 0000beef"]
    assert trace.lines(2) == ["100.000000  server-10  pause  -  0.25"]
    assert Trace().lines() == []


def test_a_line_stays_one_line_whatever_is_in_it():
    trace = traced(("host\n1", "log\r", "error", "first\nsecond \x1b[31m" + "x" * 1000))
    (line,) = trace.lines()
    assert line.startswith(r"0.000000  host\n1  log\r  error  first\nsecond \x1b[31mxxx")
    assert line.isprintable()
    assert len(line) < 250


# ---------------------------------------------------------------- where two runs part

RUN: tuple[Noted, ...] = (
    ("server-1", "boot"),
    ("client-1", "connect", CONNECTION),
    ("server-1", "accept", CONNECTION),
    ("client-1", "send", CONNECTION, 412, 1),
    ("server-1", "receive", CONNECTION, 412, 1),
    ("server-1", "log", "info", "hello"),
)


def test_runs_do_not_part_because_of_tymes_sizes_checksums_and_ports():
    passing = [
        (entry[0], entry[1], *(OTHER if detail == CONNECTION else detail for detail in entry[2:])) for entry in RUN
    ]
    passing = [(*entry[:3], 99, 7) if entry[1] in ("send", "receive") else entry for entry in passing]
    assert divergence(traced(*RUN), traced(*passing, step=7.0)) is None


def test_runs_do_not_part_because_a_stream_was_cut_into_other_pieces():
    cut = (
        *RUN[:4],
        ("server-1", "receive", CONNECTION, 400, 1),
        ("server-1", "accept", OTHER.replace("client-1", "client-2")),
        ("server-1", "receive", CONNECTION, 12, 2),
        RUN[5],
    )
    whole = (*RUN[:5], ("server-1", "accept", OTHER.replace("client-1", "client-2")), RUN[5])
    assert divergence(traced(*cut), traced(*whole)) is None


def test_runs_do_not_part_because_a_connection_is_accepted_after_its_first_bytes():
    assert divergence(traced(*RUN[:2], RUN[3], RUN[4], RUN[2], RUN[5]), traced(*RUN)) is None
    parting = divergence(traced(*RUN[:2], *RUN[3:]), traced(*RUN))
    assert parting is not None
    assert (parting.failing, parting.passing) == (None, (1.0, *RUN[2]))


def test_runs_do_not_part_because_the_same_fault_has_another_number_and_lasts_longer():
    one, other = ("", "fault", 3, "pause", "server-1", 0.25), ("", "fault", 4, "pause", "server-1", 2.5)
    assert divergence(traced(one), traced(other)) is None
    assert divergence(traced(one), traced((*other[:4], "server-2", 0.25))) is not None


def test_runs_do_not_part_because_things_on_different_hosts_came_in_another_order():
    ones = [("a", "log", "info", str(number)) for number in range(3)]
    others = [("b", "log", "info", str(number)) for number in range(3)]
    assert divergence(traced(*ones, *others), traced(*others, *ones)) is None


@pytest.mark.parametrize(
    "entry",
    [
        ("server-1", "crash"),
        ("server-1", "receive", "client-2:40001>server-1:8888#3", 412, 1),
        ("server-1", "end", CONNECTION),
        ("server-1", "log", "info", "hello"),
    ],
)
def test_runs_part_where_another_thing_happened(entry: Noted):
    parting = divergence(traced(*RUN[:4], entry, RUN[5]), traced(*RUN))
    assert parting is not None
    assert parting.index == 4
    assert parting.failing == (2.0, *entry)
    assert parting.passing == (2.0, *RUN[4])
    assert [each[1:] for each in parting.before] == list(RUN[:4])


def test_runs_part_where_things_on_one_host_came_in_another_order():
    one, other = ("a", "log", "info", "1"), ("a", "log", "info", "2")
    parting = divergence(traced(one, other), traced(other, one))
    assert parting is not None
    assert (parting.index, parting.failing, parting.passing) == (0, (0.0, *one), (0.0, *other))


def test_a_later_difference_on_another_host_is_not_the_first():
    passing = traced(("a", "boot"), ("b", "boot"), ("b", "call", "echo"), ("a", "exit"))
    parting = divergence(traced(("a", "boot"), ("b", "boot"), ("a", "crash"), ("b", "crash")), passing)
    assert parting is not None
    assert (parting.index, parting.passing) == (2, (1.5, "a", "exit"))


def test_runs_part_where_one_of_them_ends():
    shorter, longer = traced(*RUN[:5]), traced(*RUN)
    early = divergence(shorter, longer)
    assert early is not None
    assert (early.index, early.failing, early.passing) == (5, None, longer.entries[5])
    late = divergence(longer, shorter)
    assert late is not None
    assert (late.index, late.failing, late.passing) == (5, longer.entries[5], None)


def test_the_parting_of_runs_can_be_read():
    parting = divergence(traced(*RUN[:2], ("server-1", "crash")), traced(*RUN))
    assert str(parting) == "\n".join(
        [
            "the failing run parts from the passing one at entry 2:",
            "           0.000000  server-1  boot",
            "           0.500000  client-1  connect  client-1:40001>server-1:8888#3",
            "  failing  1.000000  server-1  crash",
            "  passing  2.000000  server-1  receive  client-1:40001>server-1:8888#3  412 bytes  crc 00000001",
        ]
    )
    assert str(divergence(traced(*RUN[:1]), traced(*RUN))).splitlines()[1:] == [
        "           0.000000  server-1  boot",
        "  failing  ends here",
        "  passing  0.500000  client-1  connect  client-1:40001>server-1:8888#3",
    ]
    assert str(divergence(traced(("", "fault", 1)), traced())).splitlines()[1:] == [
        "  failing  0.000000  (world)  fault  1",
        "  passing  nothing more happens to the world",
    ]


def test_runs_whose_beginning_is_forgotten_are_not_compared():
    forgetful = traced(*RUN, limit=3)
    assert forgetful.dropped
    for pair in ((forgetful, traced(*RUN)), (traced(*RUN), forgetful)):
        with pytest.raises(ValueError, match="forgotten"):
            divergence(*pair)
