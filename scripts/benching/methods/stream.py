"""A reply in 64 pieces of 16 KB, as the servers that it is compared with send it."""

from collections.abc import Generator
from typing import Any

from totohio import Future, raw_response

PIECE = bytes(16384)
PIECES = 64


@raw_response
def invoke(handler: Any, parameters: Any) -> Generator[Future[None], None, None]:
    """Send the pieces no faster than the peer takes them."""
    for _ in range(PIECES):
        yield handler.respond_raw(PIECE, "application/octet-stream", finish=False)
