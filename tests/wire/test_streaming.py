"""Server-sent events, as a browser's parser would read them."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from totohio.wire.streaming import HEARTBEAT, message

Dispatched = tuple[str, str, str]


def parse(stream: bytes) -> tuple[list[Dispatched], str]:
    """Read a stream as section 9.2.6 of the HTML standard says; give what is dispatched, and the last id."""
    found: list[Dispatched] = []
    data: list[str] = []
    kind = last = ""
    text = stream.decode().replace("\r\n", "\n").replace("\r", "\n")
    for line in text.split("\n")[:-1]:
        if not line:
            if data:
                found.append((kind or "message", "\n".join(data), last))
            data, kind = [], ""
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            kind = value
        elif field == "id" and "\0" not in value:
            last = value
    return found, last


LINE = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), min_size=1)


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), LINE, LINE)))
def test_what_is_sent_is_what_is_read(sent: list[tuple[str, str, str]]) -> None:
    stream = b"".join(message(data, event=kind, id=id) + HEARTBEAT for data, kind, id in sent)
    found, last = parse(stream)
    wanted = [(kind, data.replace("\r\n", "\n").replace("\r", "\n"), id) for data, kind, id in sent]
    assert found == wanted
    assert last == (sent[-1][2] if sent else "")


def test_a_message_without_data_sets_the_id_and_is_not_told() -> None:
    assert parse(message("x", id="1") + message(None, id="2")) == ([("message", "x", "1")], "2")


def test_when_to_come_again_is_said_in_milliseconds() -> None:
    assert message("{}", event="close", retry=0.5) == b"event: close\nretry: 500\ndata: {}\n\n"


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\0b", "\n"])
def test_what_would_break_a_line_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cannot carry"):
        message("x", id=text)
    with pytest.raises(ValueError, match="cannot carry"):
        message("x", event=text)


def test_json_goes_as_it_is() -> None:
    assert message(b'{"a":1}') == b'data: {"a":1}\n\n'
    assert message(b"a\nb") == b"data: a\ndata: b\n\n"
