"""Replies on their way out: status and headers, whole or in pieces, no faster than the peer reads."""

import hashlib
import math
from threading import RLock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from totohio.app.replying import FRAMING, Replier, raw_bytes
from totohio.base.errors import ERROR_SERVER
from totohio.base.futures import Future
from totohio.net.stewarding import Steward
from totohio.wire.requesting import Request

if TYPE_CHECKING:
    from totohio.app.dispatching import Dispatcher

WINDOW = 65536  # bytes that may wait for the peer when the next piece of a stream is asked for
URL_CHARACTERS = "!#$%&'()*+,/:;=?@[]~"  # what stays as it is when the rest of a URL is percent-encoded

_posting = RLock()  # for counts of posted bytes; one for all replies, since it is held for an addition only


class Sender:
    """Sends one reply. It is the half of `TotoHandler` that knows of bytes but not of methods."""

    __slots__ = (
        "_dispatcher",
        "_extra",
        "_finished",
        "_headers",
        "_posted",
        "_status",
        "_steward",
        "_streaming",
        "request",
        "response_type",
    )

    _dispatcher: "Dispatcher"
    _steward: Steward
    request: Request
    response_type: str
    _status: int
    _headers: list[tuple[str, str]] | None
    _extra: bytes  # a line of the head that is made last, since it depends on the body
    _finished: bool
    _streaming: bool  # the first pieces of the reply are out
    _posted: float  # bytes that other threads have posted and that are not sent yet; unset until there are any

    def _fail(self, error: BaseException) -> None:
        """Reply with an error."""
        raise NotImplementedError

    def lost(self) -> None:
        """The peer has left, or sends no more."""
        raise NotImplementedError

    def _expire(self) -> None:
        """It took too long."""
        raise NotImplementedError

    def _finish(self, code: Any) -> None:
        """The reply is made: nothing can be added to it any more."""
        raise NotImplementedError

    # ------------------------------------------------------------ what methods use

    def respond_raw(self, body: Any, content_type: str, finish: bool = True) -> Future[None]:
        """Send bytes as they are; for any thread.

        With ``finish=False`` it sends one piece of the body and leaves the reply open for more; a method
        that returns finishes it, an asynchronous one finishes it with ``finish=True``.

        Args:
            body: Bytes, or a text that is sent as UTF-8.
            content_type: Of the reply; that of the first piece counts.
            finish: This is all, or the last piece.

        Returns:
            A Future that is done when the peer has taken enough for the next piece: a generator that
            yields it sends no faster than the peer reads. Called from another thread, this does not raise
            but the Future gets what went wrong.

        Raises:
            TypeError: The body is neither bytes nor text.
            BufferError: More than ``max_stream_buffer`` bytes wait for the peer; yield the Future. Another thread's
                Future gets it at once when as many wait to be sent, and the reply is cut off.
            ConnectionAbortedError: The peer has left, and this is not the last piece; the Future gets it as well.
        """
        data = raw_bytes(body)
        future: Future[None] = Future()
        if self._dispatcher.here():
            self._send_raw(data, content_type, finish)
            self._dispatcher.drains.watch(self._steward, future, WINDOW)
        else:
            self._post(data, content_type, finish, future)
        return future

    def flush(self) -> Future[None]:
        """Give a Future that is done when the peer has taken what was sent so far.

        When the peer leaves before that, it gets a ConnectionAbortedError.
        """
        future: Future[None] = Future()
        if self._dispatcher.here():
            self._dispatcher.drains.watch(self._steward, future)
        else:
            self._dispatcher.post(self._dispatcher.drains.watch, self._steward, future)
        return future

    def redirect(self, url: str, permanent: bool = False, status: int | None = None) -> None:
        """Reply with a redirect to ``url``: 302, 301 when permanent, or another status of the 300s.

        Raises:
            ValueError: The URL cannot be sent, or the status is none of the 300s.
        """
        status = status or (301 if permanent else 302)
        if not 300 <= status <= 399:
            raise ValueError(f"{status} is not the HTTP status of a redirect")
        self.set_header("Location", url if url.isascii() else quote(url, safe=URL_CHARACTERS))
        self._status = status
        self._send(b"", "text/html; charset=UTF-8")

    def set_status(self, status: int, reason: str | None = None) -> None:
        """Set the HTTP status of the reply; the reason phrase is always that of the standard.

        Raises:
            ValueError: It is no final status.
        """
        if not 200 <= status <= 999:
            raise ValueError(f"{status} is no final HTTP status")
        self._status = status

    def set_header(self, name: str, value: Any) -> None:
        """Set a header of the reply, replacing any of that name.

        Raises:
            ValueError: The name or value cannot be sent, or the header is the server's own.
        """
        self.clear_header(name)
        self.add_header(name, value)

    def add_header(self, name: str, value: Any) -> None:
        """Add a header to the reply, beside others of that name.

        Raises:
            ValueError: The name or value cannot be sent, or the header is the server's own.
        """
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if name.lower() in FRAMING:
            raise ValueError(f"{name} is set by the server")
        Replier.check(name, text)
        if self._headers is None:
            self._headers = []
        if name.lower() == "content-type":
            self.response_type = text
        else:
            self._headers.append((name, text))

    def clear_header(self, name: str) -> None:
        """Take back a header that was set for the reply."""
        if self._headers is not None:
            self._headers = [pair for pair in self._headers if pair[0].lower() != name.lower()]

    # ------------------------------------------------------------ making the reply

    def _send(self, body: bytes, content_type: str, code: Any = 0) -> None:
        """Send a whole reply."""
        if self._finished:
            return
        if self._streaming:
            raise RuntimeError("the reply has begun with respond_raw and can only go on with it")
        request, steward, replier = self.request, self._steward, self._dispatcher.replier
        if self._headers is None and self._status == 200 and request.method == "POST":
            data = replier.plain(request, steward, content_type, body, self._extra)
        else:
            headers = self._headers or []
            if self._extra:
                name, _, value = self._extra.decode("latin-1").rstrip().partition(": ")
                headers = [*headers, (name, value)]
            if self._status == 200 and request.method in ("GET", "HEAD"):
                etag = next((value for name, value in headers if name.lower() == "etag"), None)
                if etag is None:
                    etag = f'"{hashlib.sha1(body, usedforsecurity=False).hexdigest()}"'
                    headers = [("ETag", etag), *headers]
                if replier.matches(request, etag):
                    self._status, body = 304, b""
            data = replier.whole(request, steward, self._status, headers, content_type, body)
        self._finish(code)
        steward.reply(data)

    def _post(self, data: bytes, content_type: str, finish: bool, future: Future[None]) -> None:
        """Have the cycle send a piece, unless too much of this reply waits for that already."""
        dispatcher = self._dispatcher
        with _posting:
            posted = getattr(self, "_posted", 0)
            refused = not finish and posted > dispatcher.max_stream_buffer
            self._posted = math.inf if refused else posted + len(data)  # after one that lacks, no piece is taken
        if not refused:
            dispatcher.post(self._send_posted, data, content_type, finish, future)
            return
        error = BufferError("the server sends slower than this thread does: wait for what respond_raw returns")
        if posted < math.inf:
            dispatcher.post(self._overrun, error)
        future.set_exception(error)

    def _overrun(self, error: BufferError) -> None:
        """A thread has gone on without its reply being sent."""
        if not self._finished:
            self._fail(error)

    def _send_posted(self, data: bytes, content_type: str, finish: bool, future: Future[None]) -> None:
        """Send a piece for another thread; a reply that lacks a piece is of no use any more."""
        with _posting:
            self._posted -= len(data)
        try:
            self._send_raw(data, content_type, finish)
        except BaseException as error:
            future.set_exception(error)
            self._fail(error)
        else:
            self._dispatcher.drains.watch(self._steward, future, WINDOW)

    def _send_raw(self, data: bytes, content_type: str, finish: bool) -> None:
        request, steward, dispatcher = self.request, self._steward, self._dispatcher
        if not finish and steward.closed:
            raise ConnectionAbortedError("the peer has left")
        if self._finished:
            return
        if finish and not self._streaming:
            self._send(data, content_type)
            return
        if not finish and steward.remoter.pending > dispatcher.max_stream_buffer:
            raise BufferError("the peer does not read: yield what respond_raw returns before sending more")
        pieces = b""
        if not self._streaming:
            pieces = dispatcher.replier.stream(request, steward, self._status, self._headers or [], content_type)
            self._streaming = True
            self.response_type = content_type
        pieces += dispatcher.replier.piece(request, self._status, data, last=finish)
        if finish:
            self._finish(0)
            steward.reply(pieces)
        elif pieces:
            steward.write(pieces)
            if steward.exchange is self:
                dispatcher.waits.set(self, dispatcher.lot.tyme)  # it comes, so it is not too late

    def _send_chunk(self, data: bytes) -> None:
        """Send a piece, as `_send_raw` does, of a reply that has begun and goes in chunks; this is one already."""
        steward, dispatcher = self._steward, self._dispatcher
        if steward.closed:
            raise ConnectionAbortedError("the peer has left")
        if self._finished:
            return
        if steward.remoter.pending > dispatcher.max_stream_buffer:
            raise BufferError("the peer does not read")
        steward.write(data)
        if steward.exchange is self:
            dispatcher.waits.set(self, dispatcher.lot.tyme)

    def _abort(self) -> None:
        """End the connection, which is all that a peer can be told in the middle of a reply; unless it is whole."""
        if not self._finished:
            self._finish(ERROR_SERVER)
            self._steward.close()
