"""Lines of a recording come back as they were written, and what is no recording is told."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from totohio.wire.transcript import (
    Closed,
    Cut,
    Ended,
    Entry,
    Missed,
    Opened,
    Refused,
    Replied,
    Requested,
    Started,
    Stopped,
    TranscriptError,
    plain_kind,
    read,
    stamp,
    write,
)

START = Started(
    tyme=0.0,
    format=1,
    totohio="0.1.0",
    epoch=1.5,
    at="1970-01-01T00:00:01.500Z",
    mark="0f1e2d3c",
    masked=["key"],
    max_body=10,
    settings={"root": "/"},
)

whole = st.integers(0, 2**31)
tymes = st.floats(0, 1e9)
texts = st.text(st.characters(codec="utf-8"))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
bodies = (
    st.just({})
    | st.fixed_dictionaries({"json": values})
    | st.fixed_dictionaries({"text": texts})
    | st.fixed_dictionaries({"base64": st.binary()})
    | st.fixed_dictionaries({"cut": st.builds(Cut, size=whole, why=texts, sha256=texts)})
)


def requested(body: dict[str, Any], **fields: Any) -> Entry:
    return Requested(**fields, **body)


def replied(body: dict[str, Any], **fields: Any) -> Entry:
    return Replied(**fields, **body)


common = {"tyme": tymes, "connection": whole}
entries: st.SearchStrategy[Entry] = st.one_of(
    st.builds(Opened, **common, peer=texts, secure=st.booleans()),
    st.builds(
        requested,
        bodies,
        **common,
        number=whole,
        at=texts,
        verb=texts,
        uri=texts,
        headers=st.dictionaries(texts, texts, max_size=3),
        version=texts,
        waited=tymes,
    ),
    st.builds(
        replied,
        bodies,
        **common,
        number=whole,
        took=tymes,
        status=whole,
        headers=st.dictionaries(texts, texts | st.lists(texts, max_size=3), max_size=3),
        pieces=st.lists(st.tuples(tymes, whole), max_size=3),
        lost=st.booleans(),
    ),
    st.builds(Ended, **common),
    st.builds(Closed, **common, by=texts),
    st.builds(Refused, **common, status=whole, text=texts),
    st.builds(Missed, tyme=tymes, requests=whole, replies=whole, connections=whole),
    st.builds(Stopped, tyme=tymes, why=texts),
)


@given(st.lists(entries, max_size=4))
def test_entries_come_back_as_they_were_written(entries: list[Entry]) -> None:
    lines = [write(entry) for entry in [START, *entries]]
    assert all(line.count(b"\n") == 1 and line.endswith(b"\n") for line in lines)
    assert list(read(lines)) == [START, *entries]


@given(entries)
def test_lines_are_json_with_the_kind_and_the_tyme_first(entry: Entry) -> None:
    line = json.loads(write(entry))
    assert list(line)[:2] == ["kind", "tyme"]


def test_what_goes_without_saying_is_left_out() -> None:
    entry = Requested(tyme=1.0, connection=1, number=2, at="", verb="GET", uri="/", headers={})
    assert write(entry) == (
        b'{"kind":"request","tyme":1.0,"connection":1,"number":2,"at":"","verb":"GET","uri":"/","headers":{}}\n'
    )


def test_a_body_of_null_is_none_and_no_body_is_another_thing() -> None:
    entry = Requested(tyme=1.0, connection=1, number=2, at="", verb="GET", uri="/", headers={}, json=None)
    assert b'"json":null' in write(entry)
    assert list(read([write(START), write(entry)]))[1].json is None


@given(entries, st.data())
def test_a_last_line_that_was_not_written_to_its_end_is_passed_over(entry: Entry, data: st.DataObject) -> None:
    line = write(entry)
    torn = line[: data.draw(st.integers(1, len(line) - 2))]
    assert list(read([write(START), torn])) == [START]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "it is empty"),
        ([b"name: value\n"], "it is no recording: line 1: JSON is malformed"),
        ([b"{}\n"], "it is no recording: line 1: Object missing required field `kind`"),
        ([b'{"kind":"open","tyme":0.0,"connection":1}\n'], "it is no recording: line 1: expected the start of one"),
        ([write(START).replace(b'"format":1', b'"format":2')], "line 1: format 2 is not known here, only 1"),
        ([write(START), b'{"kind":"open","tyme":0.0,"connection":"1"}\n'], "line 2: Expected `int`, got `str`"),
        ([write(START), b'{"kind":"open"\n', b""], "line 2: "),
        ([write(START), b"\xff\n"], "line 2: "),
        ([write(START)[:20]], "it is no recording: line 1: "),
        ([write(START), write(START)], "line 2: another recording begins, and each is a file of its own"),
    ],
)
def test_what_is_no_recording_is_told_with_its_line(lines: list[bytes], told: str) -> None:
    with pytest.raises(TranscriptError) as caught:
        list(read(lines))
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("application/json", "application/json"),
        ("Application/JSON; charset=utf-8", "application/json"),
        ("application/jsonx", "application/json"),  # as the server takes it
        ("application/problem+json", "application/json"),
        (" Text/HTML ;a", "text/html"),
        ("", ""),
    ],
)
def test_a_content_type_is_told_apart_by_its_name(given: str, plain: str) -> None:
    assert plain_kind(given) == plain


def test_a_wall_time_is_shown_in_utc_to_the_millisecond() -> None:
    assert stamp(1_800_000_000.0079) == "2027-01-15T08:00:00.007Z"
