"""WebSockets read a slice at a time, so that a flood of the smallest frames holds nobody's cycle.

An empty frame has two bytes, six of a client, and to read one takes some 3 to 5 microseconds (measured), so that the
64 KiB that come at once may hold the work of 100 milliseconds. The grammar is that of the package ``websockets``; what
is changed is when its protocol finds that there is nothing more to read.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING

from websockets.frames import Frame
from websockets.streams import StreamReader

if TYPE_CHECKING:
    from websockets.protocol import Protocol as _Protocol
else:
    _Protocol = object

SLICE = 64  # frames of one connection that are read in a cycle
WEIGHT = 4096  # bytes in a frame, after it was compressed, that count as one more frame


class Sliced(_Protocol):
    """To be put before the package's protocol of either side: it pauses when it has read a slice."""

    reader: "SlicedReader"

    def parse(self) -> Generator[None, None, None]:
        """Read frames, for as long as the connection lives."""
        self.reader = SlicedReader()
        yield from super().parse()

    def recv_frame(self, frame: Frame) -> None:
        """A frame was read."""
        self.reader.left -= 1 + len(frame.data) // WEIGHT
        super().recv_frame(frame)


class SlicedReader(StreamReader):
    """What has come. Once the slice is read, its next frame is not there for the protocol, as if it were to come yet.

    Attributes:
        left: Frames of the slice that may still be read.
    """

    left: float = SLICE

    @property
    def waits(self) -> bool:
        """Tell whether more than the slice has come."""
        return self.left <= 0 and bool(self.buffer)

    def at_eof(self) -> Generator[None, None, bool]:
        """Tell whether all is read and no more comes; asked before each frame, and waits when that is not known."""
        while True:
            if self.left > 0:
                if self.buffer:
                    return False
                if self.eof:
                    return True
            yield
