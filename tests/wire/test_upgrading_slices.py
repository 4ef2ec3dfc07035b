"""WebSocket: of what comes at once a slice is read, however small or large its frames are."""

import tracemalloc
from typing import Any

import pytest

from tests.wire.channels import (
    BINARY,
    CONT,
    PING,
    PONG,
    TEXT,
    channel,
    closing,
    compressing,
    deflated,
    frame,
    outcome,
    sent,
)
from totohio.wire.slicing import SLICE

ASKED = b"\x01" * 5  # what the last frame of a flood says


@pytest.mark.parametrize("compression", [False, True])
@pytest.mark.parametrize(
    "small",
    [frame(BINARY), frame(TEXT), frame(PING), frame(PONG), frame(CONT, fin=False), frame(CONT, b"x", fin=False)],
    ids=["binary", "text", "ping", "pong", "fragment", "fragment with a byte"],
)
def test_of_the_smallest_frames_a_slice_is_read_in_one_go_and_all_without_more_coming(
    small: bytes, compression: bool
) -> None:
    made = compressing() if compression else channel()
    begun = frame(BINARY, fin=False) if small[0] & 15 == CONT else b""
    data, rounds = begun + small * 1000 + frame(PING, ASKED), 0
    answers: list[Any] = []
    while rounds == 0 or made.more:
        found = list(made.receive(b"" if rounds else data))
        pongs = sent(made.take())
        assert len(found) <= SLICE
        assert len(pongs) <= SLICE
        answers += pongs
        rounds += 1
    assert rounds == -(-(1001 + bool(begun)) // SLICE)
    assert answers[-1] == (PONG, ASKED)
    [(_, message)] = made.receive(frame(CONT if begun else BINARY, b"next"))
    assert message[-4:] == b"next"


@pytest.mark.parametrize("whole", [True, False])
def test_what_is_read_in_slices_is_what_was_sent(whole: bool) -> None:
    texts = [str(number) for number in range(300)]
    pieces = [frame(TEXT, b"a", fin=False)] + [frame(CONT, b"b", fin=False) + frame(PING)] * 200 + [frame(CONT)]
    data = b"".join(frame(TEXT, text.encode()) for text in texts) + b"".join(pieces) + closing(1000)
    messages, frames = outcome(data + frame(TEXT, b"late"), whole=whole)
    assert messages == [("text", text) for text in texts] + [("text", "a" + "b" * 200)]
    assert frames == [(PONG, b"")] * 200 + [1000]


def test_what_is_wrong_is_found_where_it_stands() -> None:
    assert outcome(frame(TEXT, b"x") * 200 + frame(CONT) + frame(TEXT, b"x")) == ([("text", "x")] * 200, [1002])


def test_a_large_frame_is_read_as_it_comes() -> None:
    made = channel(max_size=1 << 20)
    data = frame(BINARY, b"x" * (1 << 20))
    messages: list[Any] = []
    for place in range(0, len(data), 65536):
        messages += made.receive(data[place : place + 65536])
        assert not made.more
    assert messages == [("binary", b"x" * (1 << 20))]


def test_frames_count_with_what_is_in_them_when_it_was_compressed() -> None:
    made = compressing(max_size=1 << 20)
    data, rounds = frame(BINARY, deflated(b"x" * 300_000), bits=0x40) * 10, []
    assert len(data) < 5000
    while not rounds or made.more:
        rounds.append(len(list(made.receive(b"" if rounds else data))))
    assert rounds == [1] * 10


def test_fragments_take_no_more_than_their_bytes() -> None:
    made = channel(max_size=1 << 20)
    piece = frame(BINARY, fin=False), frame(CONT, b"ab", fin=False)
    list(made.receive(piece[0]))
    tracemalloc.start()
    try:
        for _ in range(50_000):
            list(made.receive(piece[1]))
        assert tracemalloc.get_traced_memory()[0] < 300_000
    finally:
        tracemalloc.stop()
    assert list(made.receive(frame(CONT))) == [("binary", b"ab" * 50_000)]
