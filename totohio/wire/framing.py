"""Frames: a length of 4 bytes, the highest first, and as many bytes.

Whatever bytes come, in pieces of any size: the frames, or a `FramingError`. No more is kept than one frame may have.
"""

import struct

from totohio.base.errors import TotohioError

HEAD = struct.Struct(">I")


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
        if len(received) < HEAD.size:
            return None
        size: int = HEAD.unpack_from(received)[0]
        if size > self.limit:
            raise FramingError(f"a frame of {size} bytes, where {self.limit} are allowed")
        end = HEAD.size + size
        if len(received) < end:
            return None
        body = bytes(received[HEAD.size : end])
        del received[:end]
        return body


def frame(body: bytes) -> bytes:
    """Give the bytes of a frame."""
    return HEAD.pack(len(body)) + body
