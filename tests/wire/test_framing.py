"""Frames come whole, whatever pieces they came in."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from totohio.wire.framing import Framer, FramingError, frame


def take(framer: Framer) -> list[bytes]:
    found = []
    while (body := framer.next()) is not None:
        found.append(body)
    return found


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(1, 9), min_size=1))
def test_frames_come_as_they_were_sent(bodies: list[bytes], sizes: list[int]) -> None:
    data = b"".join(map(frame, bodies))
    framer, other = Framer(64), Framer(64)
    found: list[bytes] = []
    at_once: list[bytes] = []
    place = turn = 0
    while place < len(data):
        size = sizes[turn % len(sizes)]
        framer.feed(data[place : place + size])
        found += take(framer)
        at_once += other.frames(data[place : place + size])
        place += size
        turn += 1
    assert found == at_once == bodies
    assert [body for each in bodies for body in other.frames(frame(each))] == bodies


def test_a_frame_that_is_too_large_is_refused_before_it_has_come() -> None:
    framer = Framer(10)
    framer.feed(frame(b"x" * 10) + (1 << 31).to_bytes(4, "big"))
    assert framer.next() == b"x" * 10
    with pytest.raises(FramingError, match="2147483648 bytes, where 10 are allowed"):
        framer.next()
    with pytest.raises(FramingError, match="11 bytes, where 10 are allowed"):
        Framer(10).frames(frame(b"x" * 11))
