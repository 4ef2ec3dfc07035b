"""Bytes of replies."""

import json

import httptools
import pytest

from totohio.base.errors import LocalProtocolError, RemoteProtocolError
from totohio.wire.responding import CONTINUE, LAST_CHUNK, PHRASES, chunk, fault, head, http_date

DATE = "Thu, 01 Jan 1970 00:00:00 GMT"


class Reply:
    """A reply as a client reads it."""

    def __init__(self, raw: bytes) -> None:
        self.headers: list[tuple[str, str]] = []
        self.body = b""
        self.complete = False
        self.parser = httptools.HttpResponseParser(self)
        self.parser.feed_data(raw)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode(), value.decode("latin-1")))

    def on_body(self, piece: bytes) -> None:
        self.body += piece

    def on_message_complete(self) -> None:
        self.complete = True


def test_a_head_is_a_status_line_headers_and_a_blank_line() -> None:
    lines = [("Content-Length", "0"), ("X-Caf", "\xe9"), ("X-Empty", "")]
    assert head(200, lines) == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Caf: \xe9\r\nX-Empty: \r\n\r\n"
    assert head(404, iter([])) == b"HTTP/1.1 404 Not Found\r\n\r\n"


def test_a_status_without_a_phrase_is_sent_without_one() -> None:
    assert 299 not in PHRASES
    assert Reply(head(299, [("Content-Length", "0")])).parser.get_status_code() == 299


@pytest.mark.parametrize("status", [0, 99, 1000, -200])
def test_a_status_that_is_none_is_refused(status: int) -> None:
    with pytest.raises(LocalProtocolError, match="status"):
        head(status, [])


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nX: y", "a\rX: y", "a\r\n", "\n", "a\0b", "\u20ac"])
def test_a_value_that_would_break_the_head_is_refused(value: str) -> None:
    with pytest.raises(LocalProtocolError, match="header value"):
        head(200, [("X-Before", "fine"), ("X-A", value), ("X-After", "fine")])


def test_line_breaks_that_make_up_for_each_other_are_refused() -> None:
    with pytest.raises(LocalProtocolError):
        head(200, [("X-A", "a\r"), ("X-B", "\nb")])


@pytest.mark.parametrize("name", ["", "X A", "X:", "X\r\nY", "X\n", "\xc4", "X\0", "(X)", "\u20ac"])
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="header name"):
            head(200, [(name, "a")])


def test_chunks_put_together_are_the_body() -> None:
    raw = head(200, [("Transfer-Encoding", "chunked")])
    raw += chunk(b"a") + chunk(b"") + chunk(b"b" * 300) + chunk(bytes(range(256))) + LAST_CHUNK
    reply = Reply(raw)
    assert reply.body == b"a" + b"b" * 300 + bytes(range(256))
    assert reply.complete


def test_continue_is_an_interim_reply() -> None:
    assert Reply(CONTINUE).parser.get_status_code() == 100
    assert CONTINUE.endswith(b"\r\n\r\n")


def test_a_date_is_in_greenwich_and_in_english() -> None:
    assert http_date(0.0) == DATE
    assert http_date(784111777.9) == "Sun, 06 Nov 1994 08:49:37 GMT"


def test_a_fault_is_a_whole_reply_that_closes() -> None:
    raw = fault(RemoteProtocolError(431, "Too many."), [("Access-Control-Allow-Origin", "*")], date=DATE)
    reply = Reply(raw)
    assert reply.complete
    assert reply.parser.get_status_code() == 431
    assert json.loads(reply.body) == {"error": {"code": 431, "value": "Too many."}}
    assert dict(reply.headers) == {
        "Date": DATE,
        "Access-Control-Allow-Origin": "*",
        "Content-Type": "application/json",
        "Content-Length": str(len(reply.body)),
        "Connection": "close",
    }


def test_a_fault_of_the_method_says_what_is_allowed() -> None:
    assert ("Allow", "GET, HEAD, OPTIONS, POST") in Reply(fault(RemoteProtocolError(405, "No."), date=DATE)).headers


def test_the_text_of_a_fault_is_escaped() -> None:
    text = 'a"b\r\nX: y\0\u20ac'
    reply = Reply(fault(RemoteProtocolError(400, text), date=DATE))
    assert json.loads(reply.body)["error"]["value"] == text
    assert b"\n" not in reply.body
    assert reply.body.isascii()
