"""Frames: a length of 4 bytes, the highest first, and as many bytes.

Whatever bytes come, in pieces of any size: the frames, or a `FramingError`. No more is kept than one frame may have.
"""

import math
import struct

from totohio.base.errors import TotohioError

HEAD = struct.Struct(">I")
SIZE = HEAD.size
_pack, _unpack_from = HEAD.pack, HEAD.unpack_from


class FramingError(TotohioError):
    """A frame is larger than it may be."""


class Framer:
    """Takes frames out of bytes.

    Attributes:
        limit: Bytes that a frame may have; a security limit, which may be raised once the peer is known.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._received = bytearray()

    def feed(self, data: bytes) -> None:
        """Take bytes that have come."""
        self._received += data

    def frames(self, data: bytes, most: float = math.inf) -> list[bytes]:
        """Take bytes that have come, and take out all frames that are there as a whole, or the first ``most`` of them.

        Raises:
            FramingError: One is larger than ``limit``.
        """
        if not self._received and len(data) >= SIZE:
            (size,) = _unpack_from(data)
            if size == len(data) - SIZE and size <= self.limit:
                return [data[SIZE:]]  # as it mostly is
        self.feed(data)
        frames: list[bytes] = []
        while len(frames) < most and (frame := self.next()) is not None:
            frames.append(frame)
        return frames

    def take(self, count: int) -> bytes | None:
        """Take out so many bytes, whatever they are; None when there are not as many yet."""
        received = self._received
        if len(received) < count:
            return None
        data = bytes(received[:count])
        del received[:count]
        return data

    def next(self) -> bytes | None:
        """Take out the next frame; None when none is there as a whole.

        Raises:
            FramingError: It is larger than ``limit``.
        """
        received = self._received
        if len(received) < SIZE:
            return None
        (size,) = _unpack_from(received)
        if size > self.limit:
            raise FramingError(f"a frame of {size} bytes, where {self.limit} are allowed")
        end = SIZE + size
        if len(received) < end:
            return None
        body = bytes(received[SIZE:end])
        del received[:end]
        return body


def frame(body: bytes) -> bytes:
    """Give the bytes of a frame."""
    return _pack(len(body)) + body
