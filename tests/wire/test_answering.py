"""Bytes to replies: framing, limits, and that neither pieces nor garbage make a difference."""

import itertools
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from totohio.wire.answering import LIMITS, MAX_INTERIM, Reply, Respondent
from totohio.wire.request import Limits

OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"Content-Length: 5\r\n\r\nhello"
EMPTY = OK + b"Content-Length: 0\r\n\r\n"
SMALL = Limits(max_header_size=200, max_headers=5, max_body_size=100)


def respond(data: bytes, *verbs: str, size: int = 0, finish: bool = False, limits: Limits = LIMITS) -> Respondent:
    """Feed bytes in pieces of a size, or as a whole."""
    respondent = Respondent(limits)
    for verb in verbs:
        respondent.expect(verb)
    size = size or len(data) or 1
    for start in range(0, len(data), size):
        respondent.feed(data[start : start + size])
    if finish:
        respondent.finish()
    return respondent


def told(respondent: Respondent) -> list[tuple[Any, ...]]:
    """All that can be seen of what it gave."""
    given = [(each.status, each.headers, each.body, each.interim, each.keep_alive) for each in respondent.replies]
    fault = respondent.fault
    return [*given, fault and fault.text, respondent.rest, respondent.over]


# ------------------------------------------------------------ framing


def bodies(data: bytes, *verbs: str, finish: bool = False) -> list[bytes]:
    respondent = respond(data, *verbs, finish=finish)
    assert respondent.fault is None
    return [reply.body for reply in respondent.replies]


def test_bodies_of_known_length_follow_each_other() -> None:
    assert bodies(HELLO + EMPTY + HELLO) == [b"hello", b"", b"hello"]


def test_chunks_are_put_together_and_trailers_dropped() -> None:
    chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nA: b\r\n\r\n"
    assert bodies(chunked + HELLO) == [b"hello world", b"hello"]


def test_a_body_of_unknown_length_ends_with_the_connection() -> None:
    data = OK + b"\r\nall of it\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
    respondent = respond(data)
    assert not respondent.replies
    assert respondent.begun
    respondent.finish()
    assert respondent.replies[0].body == data[len(OK) + 2 :]
    assert not respondent.replies[0].keep_alive


def test_the_reply_to_a_head_ends_with_its_head_also_among_others() -> None:
    data = HELLO + OK + b"Content-Length: 5\r\n\r\n" + OK + b"Transfer-Encoding: chunked\r\n\r\n" + OK + b"\r\n" + HELLO
    assert bodies(data, "GET", "HEAD", "HEAD", "HEAD", "POST") == [b"hello", b"", b"", b"", b"hello"]


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_some_statuses_have_no_body_whatever_their_headers_say(status: bytes) -> None:
    head = b"HTTP/1.1 " + status + b"\r\n"
    assert bodies(head + b"Content-Length: 5\r\n\r\n" + head + b"\r\n" + HELLO) == [b"", b"", b"hello"]


def test_interim_replies_go_before_the_final_one() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    respondent = respond(interim + OK + b"Content-Length: 5\r\n\r\n" + HELLO, "HEAD", "GET")
    assert [(reply.interim, reply.body) for reply in respondent.replies] == [((103, 100), b""), ((), b"hello")]


def test_what_follows_a_switch_of_protocols_is_not_read() -> None:
    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    for size in (0, 1, 3):
        respondent = respond(switch + b"\x81\x05hello", size=size)
        assert respondent.replies[0].status == 101
        assert respondent.rest == b"\x81\x05hello"
        assert respondent.fault is None


@pytest.mark.parametrize(
    ("head", "keep"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive, Close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n", True),
    ],
)
def test_a_reply_tells_whether_the_connection_goes_on(head: bytes, keep: bool) -> None:
    respondent = respond(head + b"Content-Length: 0\r\n\r\n")
    assert respondent.replies[0].keep_alive is keep
    assert respondent.over is not keep
    respondent.feed(EMPTY)
    assert (respondent.fault is None) is keep


def test_a_reply_gives_its_headers_in_any_case_and_its_json() -> None:
    data = OK + b'A: 1 \r\nSet-Cookie: x\r\nset-cookie: y\r\nContent-Length: 7\r\n\r\n{"a":1}'
    [reply] = respond(data).replies
    assert reply.header("SET-cookie") == "x, y"
    assert reply.header("a") == "1"
    assert reply.header("b") is None
    assert reply.json() == {"a": 1}
    with pytest.raises(ValueError, match="truncated"):
        Reply(200, body=b"{").json()


# ------------------------------------------------------------ what is no reply


BROKEN = {
    "garbage": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a line before the reply": b"\r\n" + HELLO,
    "another version": b"HTTP/2.0 200 OK\r\n\r\n",
    "a version that never was": b"HTTP/1.7 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 OK\r\n\r\n",
    "lone line feeds": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n" + EMPTY,
    "a line feed for an end": OK + b"A: b\n\nContent-Length: 0\r\n\r\n",
    "a folded header": OK + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "a NUL in a header": OK + b"A: \0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": OK + b"Content-Length: 3, 3\r\n\r\nabc",
    "a signed length": OK + b"Content-Length: +3\r\n\r\nabc",
    "length and chunks": OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another coding": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk of no size": OK + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
    "a body after the last reply": OK + b"Connection: close\r\nContent-Length: 1\r\n\r\nab",
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("size", [0, 1, 7])
def test_what_is_no_reply_is_a_fault_and_ends_the_stream(name: str, size: int) -> None:
    respondent = respond(BROKEN[name], size=size)
    assert respondent.fault is not None, name
    assert respondent.over
    before = len(respondent.replies)
    respondent.feed(HELLO)
    respondent.finish()
    assert len(respondent.replies) == before


@pytest.mark.parametrize("cut", [1, len(OK), len(HELLO) - 1])
def test_a_connection_that_ends_within_a_reply_is_a_fault(cut: int) -> None:
    respondent = respond(HELLO + HELLO[:cut], finish=True)
    assert [reply.body for reply in respondent.replies] == [b"hello"]
    assert respondent.fault is not None
    assert "within a reply" in respondent.fault.text


def test_a_connection_that_ends_between_replies_is_none() -> None:
    respondent = respond(HELLO, finish=True)
    assert respondent.fault is None
    assert respondent.over


def test_an_interim_reply_alone_is_not_the_end() -> None:
    assert respond(b"HTTP/1.1 100 Continue\r\n\r\n", finish=True).fault is not None


# ------------------------------------------------------------ limits


@pytest.mark.parametrize("size", [0, 1, 50])
def test_each_limit_is_exact(size: int) -> None:
    def head(length: int) -> bytes:
        rest = b"\r\nContent-Length: 0\r\n\r\n"
        return OK + b"A: " + b"x" * (length - len(OK) - 3 - len(rest)) + rest

    within = [
        head(200),
        OK + b"A: b\r\n" * 4 + b"Content-Length: 0\r\n\r\n",
        OK + b"Content-Length: 100\r\n\r\n" + bytes(100),
        OK + b"\r\n" + bytes(100),
        OK + b"Transfer-Encoding: chunked\r\n\r\n64\r\n" + bytes(100) + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * MAX_INTERIM + EMPTY,
    ]
    beyond = [
        head(201),
        OK + b"A: " + b"x" * 400,
        OK + b"A: b\r\n" * 5 + b"Content-Length: 0\r\n\r\n",
        OK + b"Content-Length: 101\r\n\r\n",
        OK + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
        OK + b"\r\n" + bytes(101),
        OK + b"Transfer-Encoding: chunked\r\n\r\n65\r\n" + bytes(101) + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INTERIM + 1) + EMPTY,
    ]
    for data in within:
        assert respond(data, size=size, finish=True, limits=SMALL).fault is None, data
    for data in beyond:
        assert respond(data, size=size, limits=SMALL).fault is not None, data


def test_the_reply_to_a_head_may_tell_of_any_length() -> None:
    assert respond(OK + b"Content-Length: 1000000\r\n\r\n", "HEAD", limits=SMALL).fault is None


# ------------------------------------------------------------ any replies in any pieces


@dataclass(frozen=True)
class Sent:
    """A reply as a server would send it."""

    verb: str
    status: int
    body: bytes
    framing: str
    interim: tuple[int, ...]
    chunk: int

    def raw(self, *, last: bool) -> bytes:
        lines = b"".join(b"HTTP/1.1 %d Wait\r\n\r\n" % status for status in self.interim)
        lines += b"HTTP/1.1 %d Words of some kind\r\nX-Name: value\r\n" % self.status
        if self.framing == "chunks":
            lines += b"Transfer-Encoding: chunked\r\n"
            pieces = [self.body[at : at + self.chunk] for at in range(0, len(self.body), self.chunk)]
            body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        elif self.framing == "end" and last:
            body = self.body
        else:
            lines += b"Content-Length: %d\r\n" % len(self.body)
            body = self.body
        return lines + b"\r\n" + (b"" if self.bodiless else body)

    @property
    def bodiless(self) -> bool:
        return self.verb == "HEAD" or self.status in (204, 304)


SENT = st.builds(
    Sent,
    verb=st.sampled_from(["GET", "POST", "HEAD"]),
    status=st.sampled_from([200, 204, 304, 404, 500]),
    body=st.binary(max_size=40) | st.just(b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
    framing=st.sampled_from(["length", "chunks", "end"]),
    interim=st.lists(st.sampled_from([100, 102, 103]), max_size=2).map(tuple),
    chunk=st.integers(1, 50),
)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


CUTS = st.lists(st.integers(0, 10_000), max_size=30)


@given(st.lists(SENT, min_size=1, max_size=5), CUTS)
def test_replies_come_whole_and_in_order_however_they_are_split(sent: list[Sent], cuts: list[int]) -> None:
    data = b"".join(each.raw(last=each is sent[-1]) for each in sent)
    respondent = Respondent()
    for each in sent:
        respondent.expect(each.verb)
    for piece in split(data, cuts):
        respondent.feed(piece)
    respondent.finish()
    assert respondent.fault is None
    found = [(reply.status, reply.body, reply.interim) for reply in respondent.replies]
    assert found == [(each.status, b"" if each.bodiless else each.body, each.interim) for each in sent]


@given(st.sampled_from([*BROKEN.values(), HELLO, EMPTY]), st.binary(max_size=30), CUTS, st.integers(0, 200))
def test_whatever_comes_is_replies_or_one_fault_and_pieces_make_no_difference(
    data: bytes, noise: bytes, cuts: list[int], at: int
) -> None:
    data = data[:at] + noise + data[at:]
    whole = respond(data, "GET", "HEAD", finish=True, limits=SMALL)
    pieces = Respondent(SMALL)
    pieces.expect("GET")
    pieces.expect("HEAD")
    for piece in split(data, cuts):
        pieces.feed(piece)
    pieces.finish()
    assert told(pieces) == told(whole)
