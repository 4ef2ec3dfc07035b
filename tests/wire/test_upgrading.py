"""WebSocket, case by case as the Autobahn suite has them: what is right is understood, what is not is closed."""

import itertools
import zlib

import hypothesis.strategies as st
import pytest
from hypothesis import given
from websockets.frames import Close, Frame, Opcode

from tests.wire.channels import (
    BINARY,
    CLOSE,
    CONT,
    DEFLATE,
    HEAD,
    KEY,
    PING,
    PONG,
    TEXT,
    VERSION,
    channel,
    closing,
    compressing,
    deflated,
    frame,
    outcome,
    request,
    sent,
)
from totohio.wire.upgrading import Channel

# ---------------------------------------------------------------- the opening


def test_an_opening_is_answered_with_the_right_key() -> None:
    reply = Channel(max_size=100, compression=False).open(
        request(HEAD + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
    )[1]
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in reply  # RFC 6455, 1.3


@pytest.mark.parametrize(
    "lines",
    [
        HEAD,
        HEAD + b"Sec-WebSocket-Version: 13\r\n",
        HEAD + b"Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: " + KEY + b"\r\n",
        HEAD + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n",
        HEAD.replace(b"Upgrade: websocket", b"Upgrade: h2c") + VERSION,
        HEAD.replace(b"keep-alive, Upgrade", b"keep-alive") + VERSION,
    ],
)
def test_what_is_no_opening_is_refused(lines: bytes) -> None:
    right, _ = Channel(max_size=100, compression=False).open(request(lines))
    assert not right


# ---------------------------------------------------------------- framing


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65535, 65536, 70000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_messages_of_any_size_come_as_they_were_sent(opcode: int, size: int) -> None:
    data = b"*" * size
    wanted = ("text", data.decode()) if opcode == TEXT else ("binary", data)
    assert outcome(frame(opcode, data)) == ([wanted], [])


def test_messages_come_in_pieces_of_one_byte() -> None:
    data = frame(TEXT, "hé".encode()) + frame(BINARY, b"\0" * 130)
    assert outcome(data, whole=False) == ([("text", "hé"), ("binary", b"\0" * 130)], [])


@pytest.mark.parametrize("data", [b"", b"hello", b"\xfe\xff", b"x" * 125])
def test_a_ping_is_answered_with_what_it_says(data: bytes) -> None:
    assert outcome(frame(PING, data)) == ([], [(PONG, data)])


def test_a_pong_that_nobody_asked_for_is_no_fault() -> None:
    assert outcome(frame(PONG, b"x") + frame(PING)) == ([("pong", b"x")], [(PONG, b"")])


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_control_frames_are_small_and_whole(opcode: int) -> None:
    assert outcome(frame(opcode, b"\x03\xe8" + b"x" * 124))[1] == [1002]
    assert outcome(frame(opcode, b"\x03\xe8", fin=False))[1] == [1002]


@pytest.mark.parametrize("bits", [0x10, 0x20, 0x40, 0x70])
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
def test_bits_that_nobody_has_agreed_on_are_a_fault(opcode: int, bits: int) -> None:
    assert outcome(frame(opcode, b"", bits=bits)) == ([], [1002])


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_opcodes_that_do_not_exist_are_a_fault(opcode: int) -> None:
    assert outcome(frame(TEXT, b"x") + frame(opcode, b"x")) == ([("text", "x")], [1002])


def test_a_client_has_to_mask() -> None:
    assert outcome(frame(TEXT, b"x", masked=False)) == ([], [1002])


# ---------------------------------------------------------------- fragments


def test_a_message_in_fragments_is_one_message() -> None:
    pieces = [b"frag", b"", b"ment", b"s"]
    data = frame(TEXT, pieces[0], fin=False) + b"".join(frame(CONT, piece, fin=False) for piece in pieces[1:-1])
    assert outcome(data + frame(CONT, pieces[-1])) == ([("text", "fragments")], [])


def test_control_frames_may_stand_between_fragments() -> None:
    data = (
        frame(TEXT, b"a", fin=False)
        + frame(PING, b"p")
        + frame(CONT, b"b", fin=False)
        + frame(PONG)
        + frame(CONT, b"c")
    )
    messages, frames = outcome(data)
    assert messages == [("pong", b""), ("text", "abc")]
    assert frames == [(PONG, b"p")]


@pytest.mark.parametrize(
    "data",
    [
        frame(CONT, b"x"),
        frame(CONT, b"x", fin=False) + frame(TEXT, b"y"),
        frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"),
        frame(TEXT, b"a", fin=False) + frame(BINARY, b"b"),
        frame(TEXT, b"a") + frame(CONT, b"b"),
    ],
)
def test_fragments_that_do_not_belong_together_are_a_fault(data: bytes) -> None:
    assert outcome(data)[1] == [1002]


# ---------------------------------------------------------------- texts

GOOD = ["κόσμε", "hello", "\0", "\U0010ffff", "\ufffe", "\U00010000", "日本語 " * 50]
BAD = [
    "80",
    "bf",
    "fe",
    "ff",
    "c080",
    "e08080",
    "f0808080",
    "c1bf",
    "eda080",
    "edbfbf",
    "f4908080",
    "ce",
    "cebae1",
    "f8888080",
]


@pytest.mark.parametrize("text", GOOD)
def test_texts_in_utf_8_are_understood_wherever_they_are_cut(text: str) -> None:
    data = text.encode()
    for place in range(len(data) + 1):
        cut = frame(TEXT, data[:place], fin=False) + frame(CONT, data[place:])
        assert outcome(cut) == ([("text", text)], [])


@pytest.mark.parametrize("text", BAD)
def test_texts_that_are_no_utf_8_are_closed_with_1007(text: str) -> None:
    data = bytes.fromhex(text)
    assert outcome(frame(TEXT, b"ok " + data)) == ([], [1007])
    assert outcome(frame(TEXT, data[:1], fin=False) + frame(CONT, data[1:])) == ([], [1007])
    assert outcome(frame(BINARY, data)) == ([("binary", data)], [])


# ---------------------------------------------------------------- closing


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999])
def test_a_close_is_answered_with_its_code(code: int) -> None:
    made = channel()
    assert list(made.receive(closing(code, b"bye"))) == []
    assert sent(made.take()) == [code]
    assert made.closed
    assert made.over()


def test_a_close_without_a_code_is_answered_in_kind() -> None:
    assert outcome(frame(CLOSE))[1] == [0]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_codes_that_nobody_may_send_are_a_fault(code: int) -> None:
    assert outcome(closing(code))[1] == [1002]


def test_a_close_with_half_a_code_or_a_wrong_reason_is_a_fault() -> None:
    assert outcome(frame(CLOSE, b"\x03"))[1] == [1002]
    assert outcome(closing(1000, b"\xff"))[1] in ([1002], [1007])


def test_what_comes_after_a_close_is_not_looked_at() -> None:
    assert outcome(closing(1000) + frame(TEXT, b"late") + frame(PING)) == ([], [1000])


def test_our_own_close_waits_for_the_answer() -> None:
    made = channel()
    made.close(1001, "bye")
    assert sent(made.take()) == [1001]
    assert made.closed
    assert not made.over()
    assert list(made.receive(closing(1001))) == []
    assert made.over()
    made.send_text(b"late")
    made.close(1000)
    made.ping(b"")
    assert made.take() == b""


# ---------------------------------------------------------------- limits


def test_a_message_that_is_too_large_is_closed_with_1009() -> None:
    assert outcome(frame(BINARY, b"x" * 101), max_size=100) == ([], [1009])
    assert outcome(frame(BINARY, b"x" * 100), max_size=100) == ([("binary", b"x" * 100)], [])


def test_fragments_count_together_and_a_length_is_believed_before_it_has_come() -> None:
    data = frame(BINARY, b"x" * 60, fin=False) + frame(CONT, b"x" * 60)
    assert outcome(data, max_size=100) == ([], [1009])
    huge = frame(BINARY, length=b"\x7f" + (1 << 40).to_bytes(8, "big"))
    assert outcome(huge, max_size=100) == ([], [1009])
    assert outcome(frame(BINARY, length=b"\x7f" + (1 << 63).to_bytes(8, "big")), max_size=100)[1] in ([1002], [1009])


# ---------------------------------------------------------------- compression


def test_compressed_messages_are_understood_with_what_came_before_as_context() -> None:
    made = compressing()
    context = zlib.compressobj(wbits=-15)
    for text in ("hello hello hello", "hello hello hello", "bye"):
        assert list(made.receive(frame(TEXT, deflated(text.encode(), context), bits=0x40))) == [("text", text)]
    first = deflated(b"in fragments", context)
    data = frame(TEXT, first[:5], fin=False, bits=0x40) + frame(CONT, first[5:])
    assert list(made.receive(data)) == [("text", "in fragments")]
    assert list(made.receive(frame(TEXT, b"plain"))) == [("text", "plain")]


def test_what_is_sent_is_compressed() -> None:
    made = compressing()
    made.send_text(b"x" * 10_000)
    data = made.take()
    assert len(data) < 200
    assert data[0] == 0xC1


def test_a_bomb_is_not_unpacked() -> None:
    made = compressing(max_size=1000)
    bomb = deflated(b"\0" * 10_000_000)
    assert len(bomb) < 20_000
    made = compressing(max_size=100_000)
    assert list(made.receive(frame(BINARY, bomb, bits=0x40))) == []
    assert sent(made.take()) == [1009]


def test_what_is_no_deflate_is_closed() -> None:
    made = compressing()
    assert list(made.receive(frame(BINARY, b"\xff" * 20, bits=0x40))) == []
    assert sent(made.take())[0] in (1002, 1007)


def test_compression_is_not_agreed_on_where_it_is_off() -> None:
    made = Channel(max_size=100, compression=False)
    assert b"permessage-deflate" not in made.open(request(HEAD + VERSION + DEFLATE))[1]


# ---------------------------------------------------------------- whatever comes


@given(st.lists(st.binary(max_size=40), max_size=20), st.booleans())
def test_whatever_comes_is_a_message_or_a_close(pieces: list[bytes], framed: bool) -> None:
    made = channel(max_size=64)
    opcodes = itertools.cycle([TEXT, CONT, PING, BINARY, CLOSE, 5])
    for piece in pieces:
        data = frame(next(opcodes), piece, fin=len(piece) % 2 == 0) if framed else piece
        for kind, message in made.receive(data):
            assert kind in ("text", "binary", "pong")
            assert len(message) <= 125
        made.take()
    made.receive_end()
    assert made.over() or made.closed


def test_the_frames_of_this_file_are_those_of_the_standard() -> None:
    assert frame(TEXT, b"Hello", masked=False) == b"\x81\x05Hello"  # RFC 6455, 5.7
    ping = Frame(Opcode.PING, b"x")
    assert frame(PING, b"x", masked=False) == ping.serialize(mask=False)
    assert frame(CLOSE, Close(1000, "").serialize(), masked=False)[2:] == b"\x03\xe8"
