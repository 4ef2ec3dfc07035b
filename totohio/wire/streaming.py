"""Server-sent events: bytes for a browser's EventSource (WHATWG HTML, section 9.2).

A message is some lines and an empty one. The id of the last message comes back in the header ``Last-Event-ID`` when the
browser connects again; a message without data only sets it.
"""

import re

CONTENT_TYPE = "text/event-stream"
LINES = re.compile("\r\n|\r|\n")  # and no others: str.splitlines knows more
BREAKING = frozenset("\r\n\0")  # characters that an id or the name of an event cannot have
HEARTBEAT = b":\n\n"  # a comment: browsers skip it, and whatever stands between sees that the connection is in use


def message(data: str | bytes | None, *, event: str = "", id: str = "", retry: float | None = None) -> bytes:
    """Give the bytes of a message.

    Args:
        data: Its text, of any number of lines; None for none, so that nobody is told of it.
        event: What the listener is called that is told; "" for ``message``.
        id: What the client is to name when it comes again; "" leaves that as it was.
        retry: Seconds after which the client is to come again when the connection ends.

    Raises:
        ValueError: The id or the name cannot be sent.
    """
    lines = []
    if event:
        lines.append(f"event: {_checked(event)}\n")
    if id:
        lines.append(f"id: {_checked(id)}\n")
    if retry is not None:
        lines.append(f"retry: {round(retry * 1000)}\n")
    head = "".join(lines).encode()
    if data is None:
        return head + b"\n"
    if isinstance(data, bytes) and b"\n" not in data and b"\r" not in data:  # as JSON is
        return b"%bdata: %b\n\n" % (head, data)
    text = data.decode() if isinstance(data, bytes) else data
    return head + "".join(f"data: {line}\n" for line in LINES.split(text)).encode() + b"\n"


def _checked(text: str) -> str:
    if not BREAKING.isdisjoint(text):
        raise ValueError(f"{text!r} has a character that server-sent events cannot carry there")
    return text
