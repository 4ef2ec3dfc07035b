"""Channels that were opened, the frames of a client, right or wrong, and what a server sends."""

import base64
import zlib
from typing import Any

from totohio.wire.requesting import Limits, Request, Requestant
from totohio.wire.upgrading import Channel

KEY = base64.b64encode(b"k" * 16)
MASK = b"\x12\x34\x56\x78"
HEAD = b"GET /websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
VERSION = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n"
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"


def request(lines: bytes = HEAD + VERSION) -> Request:
    """What asks for it."""
    requestant = Requestant(Limits())
    requestant.feed(lines + b"\r\n")
    [found] = requestant.requests
    return found


def channel(*, max_size: int = 1 << 20, lines: bytes = HEAD + VERSION, compression: bool = False) -> Channel:
    """An open one."""
    made = Channel(max_size=max_size, compression=compression)
    right, reply = made.open(request(lines))
    assert right, reply
    assert reply.startswith(b"HTTP/1.1 101 ")
    return made


def frame(
    opcode: int, data: bytes = b"", *, fin: bool = True, bits: int = 0, masked: bool = True, length: bytes | None = None
) -> bytes:
    """The bytes of a client's frame, right or wrong."""
    if length is None:
        size = len(data)
        if size < 126:
            length = bytes([size])
        elif size < 65536:
            length = b"\x7e" + size.to_bytes(2, "big")
        else:
            length = b"\x7f" + size.to_bytes(8, "big")
    first = bytes([(0x80 if fin else 0) | bits | opcode])
    length = bytes([length[0] | (0x80 if masked else 0)]) + length[1:]
    body = bytes(byte ^ MASK[place % 4] for place, byte in enumerate(data)) if masked else data
    return first + length + (MASK if masked else b"") + body


TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def outcome(data: bytes, *, whole: bool = True, **options: Any) -> tuple[list[tuple[str, Any]], list[Any]]:
    """The messages that are understood, and the server's frames: opcodes with data, a close with its code."""
    made = channel(**options)
    messages: list[tuple[str, Any]] = []
    for piece in [data] if whole else [bytes([byte]) for byte in data]:
        messages += made.receive(piece)
        while made.more:
            messages += made.receive(b"")
    return messages, sent(made.take())


def sent(data: bytes) -> list[Any]:
    """The frames that a server has sent."""
    found: list[Any] = []
    while data:
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        opcode, body = data[0] & 15, data[start : start + size]
        data = data[start + size :]
        found.append(int.from_bytes(body[:2], "big") if opcode == CLOSE else (opcode, body))
    return found


def closing(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


def deflated(data: bytes, context: Any = None) -> bytes:
    """What is in a frame that is compressed."""
    compressor = context or zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def compressing(**options: Any) -> Channel:
    """An open one whose messages may be compressed."""
    return channel(lines=HEAD + VERSION + DEFLATE, compression=True, **options)
