"""From what happens to lines: bodies, pieces, bounds."""

import base64
import gzip
import hashlib
import itertools
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from totohio.wire.masking import Masker
from totohio.wire.requesting import Request
from totohio.wire.responding import LAST_CHUNK, chunk
from totohio.wire.scribing import WINDOW, Digest, Scribe
from totohio.wire.transcript import Replied, Requested, read

MARK = "0f1e2d3c"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n"


def scribe(**options: Any) -> Scribe:
    return Scribe(Masker(MARK), **{"max_body": 1000, **options})


def entries(scribe: Scribe, *steps: Iterator[bytes]) -> list[Any]:
    """What the lines say that these steps give."""
    lines = [scribe.start(version="0", epoch=0.0, settings={})]
    for step in steps:
        lines += [line for line in step if line]
    return list(read(lines))[1:]


def reply(*pieces: bytes, bare: bool = False, **options: Any) -> Replied:
    """The entry of a reply that was made in these pieces, one a second."""
    made = scribe(**options)
    steps = [made.reply(float(at), 3, 5, at / 2, piece, at + 1 == len(pieces), bare) for at, piece in enumerate(pieces)]
    [entry] = entries(made, *steps)
    return entry


def request(body: bytes, kind: str | None = None, **fields: str) -> Requested:
    headers = {name.replace("_", "-").encode(): value.encode() for name, value in fields.items()}
    if kind is not None:
        headers[b"content-type"] = kind.encode()
    made = scribe()
    [entry] = entries(
        made, made.request(1.5, 3, 5, 0.25, 1.8e9, Request("POST", "/a?b", "/a", "b", "1.0", headers, body=body))
    )
    return entry


def test_a_request_is_kept_with_all_that_it_said() -> None:
    assert request(b'{"a": [1, 2.5, "x"]}', "application/json; charset=utf-8", x_a="b") == Requested(
        tyme=1.5,
        connection=3,
        number=5,
        at="2027-01-15T08:00:00.000Z",
        verb="POST",
        uri="/a?b",
        headers={"x-a": "b", "content-type": "application/json; charset=utf-8"},
        version="1.0",
        waited=0.25,
        json={"a": [1, 2.5, "x"]},
    )


@pytest.mark.parametrize(
    ("kind", "body", "field", "kept"),
    [
        (None, b"[1]", "json", [1]),
        ("text/plain", b"[1,  2]", "text", "[1,  2]"),
        ("text/plain", "\u00e4\0".encode(), "text", "\u00e4\0"),
        ("image/png", b"\xff\xd8", "base64", b"\xff\xd8"),
        ("application/x-www-form-urlencoded", b"a=%20&b", "text", "a=%20&b"),
        ("application/msgpack", msgspec.msgpack.encode([1, b"\0"]), "base64", msgspec.msgpack.encode([1, b"\0"])),
        ("application/json", b"{oh", "text", "{oh"),
        ("application/json", b'"x"', "json", "x"),
    ],
)
def test_a_body_is_kept_as_readable_as_it_can_be(kind: str | None, body: bytes, field: str, kept: Any) -> None:
    entry = request(body, kind)
    assert getattr(entry, field) == kept
    others = {"json", "text", "base64", "cut"} - {field}
    assert all(getattr(entry, other) is msgspec.UNSET for other in others)


def test_no_body_is_none_of_these() -> None:
    entry = request(b"")
    assert all(getattr(entry, field) is msgspec.UNSET for field in ("json", "text", "base64", "cut"))


def test_a_reply_in_one_piece_is_one_entry() -> None:
    entry = reply(HEAD % b"application/json" + b'{"result":1}')
    assert (entry.status, entry.json, entry.pieces, entry.lost) == (200, {"result": 1}, [], False)
    assert (entry.connection, entry.number) == (3, 5)


def test_headers_that_are_repeated_are_a_list() -> None:
    head = b"HTTP/1.1 204 No Content\r\nX-A: 1\r\nLink: <a>\r\nLink: <b>\r\nLink: <a>\r\nX-B: a: b\r\n\r\n"
    assert reply(head).headers == {"X-A": "1", "Link": ["<a>", "<b>", "<a>"], "X-B": "a: b"}


def test_a_reply_in_pieces_is_kept_with_their_times() -> None:
    entry = reply(CHUNKED % b"text/plain" + chunk(b"one"), chunk(b"two") + chunk(b"\r\nthree"), LAST_CHUNK)
    assert entry.text == "onetwo\r\nthree"
    assert entry.pieces == [(0.0, 3), (1.0, 10)]
    assert (entry.tyme, entry.took) == (2.0, 1.0)


def test_a_reply_in_pieces_to_an_old_client_has_no_chunks() -> None:
    entry = reply(HEAD % b"text/plain" + b"5\r\n", b"two", b"")
    assert (entry.text, entry.pieces) == ("5\r\ntwo", [(0.0, 3), (1.0, 3)])


def test_a_reply_to_head_has_no_body() -> None:
    entry = reply(CHUNKED % b"text/plain", b"", bare=True)
    assert entry.text is msgspec.UNSET


def test_pieces_of_several_replies_are_kept_apart() -> None:
    made = scribe()
    first, second = (CHUNKED % b"text/plain" + chunk(text) for text in (b"a1", b"b1"))
    found = entries(
        made,
        made.reply(0.0, 1, 1, 0.0, first, False, False),
        made.reply(0.0, 2, 1, 0.0, second, False, False),
        made.reply(0.0, 2, 1, 0.0, chunk(b"b2") + LAST_CHUNK, True, False),
        made.reply(0.0, 1, 1, 0.0, chunk(b"a2") + LAST_CHUNK, True, False),
    )
    assert [(entry.connection, entry.text) for entry in found] == [(2, "b1b2"), (1, "a1a2")]


def test_a_reply_that_is_lost_is_kept_as_far_as_it_was_made() -> None:
    made = scribe()
    nothing, part = entries(
        made,
        made.lose(1.0, 1, 1, 0.5),
        made.reply(0.0, 1, 2, 0.0, CHUNKED % b"text/plain" + chunk(b"a"), False, False),
        made.lose(2.0, 1, 2, 0.5),
    )
    assert nothing == Replied(tyme=1.0, connection=1, number=1, took=0.5, lost=True)
    assert (part.status, part.text, part.lost) == (200, "a", True)


def test_a_reply_that_is_skipped_leaves_nothing_behind() -> None:
    made = scribe(max_streams=10)
    assert not entries(
        made,
        made.reply(0.0, 1, 1, 0.0, CHUNKED % b"text/plain" + chunk(b"123456789"), False, False),
        made.skip(1, 1),
        made.skip(1, 2),
    )
    [entry] = entries(made, made.reply(0.0, 1, 3, 0.0, CHUNKED % b"a" + chunk(b"123456789") + LAST_CHUNK, True, False))
    assert entry.text == "123456789"


# ---------------------------------------------------------------- bounds


@pytest.mark.parametrize("size", [1000, 1001])
def test_a_body_beyond_the_bound_is_cut(size: int) -> None:
    body = b"x" * size
    whole = reply(HEAD % b"text/plain" + body)
    streamed = reply(CHUNKED % b"text/plain" + chunk(body[:500]), chunk(body[500:]), LAST_CHUNK)
    for entry in (request(body, "text/plain"), whole, streamed):
        if size == 1000:
            assert entry.text == body.decode()
        else:
            assert entry.text is msgspec.UNSET
            assert entry.cut.size == size
            assert entry.cut.why == "large"
            assert entry.cut.sha256 == hashlib.sha256(body).hexdigest()


def test_replies_in_pieces_share_a_bound() -> None:
    made = scribe(max_streams=15)
    head = CHUNKED % b"text/plain"
    found = entries(
        made,
        made.reply(0.0, 1, 1, 0.0, head + chunk(b"x" * 10), False, False),
        made.reply(0.0, 2, 1, 0.0, head + chunk(b"y" * 10), False, False),
        made.reply(0.0, 1, 1, 0.0, chunk(b"z") + LAST_CHUNK, True, False),
        made.reply(0.0, 2, 1, 0.0, LAST_CHUNK, True, False),
        made.reply(0.0, 3, 1, 0.0, head + chunk(b"x" * 10) + LAST_CHUNK, True, False),
    )
    assert found[0].text == "x" * 10 + "z"
    assert found[1].cut.sha256 == hashlib.sha256(b"y" * 10).hexdigest()
    assert found[2].text == "x" * 10


def test_only_so_many_pieces_are_listed() -> None:
    entry = reply(CHUNKED % b"text/plain", *[chunk(b"x")] * 1500, LAST_CHUNK, max_body=10_000)
    assert len(entry.pieces) == 1000
    assert entry.text == "x" * 1500


def test_a_compressed_body_is_not_kept_as_nobody_sees_what_is_in_it() -> None:
    body = gzip.compress(b'{"password": "12345678"}')
    entry = request(body, "application/json", content_encoding="gzip")
    assert json.loads(msgspec.json.encode(entry.cut)) == {"size": len(body), "why": "encoded"}
    large = reply(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + b"x" * 1001)
    assert json.loads(msgspec.json.encode(large.cut)) == {"size": 1001, "why": "large"}


@pytest.mark.parametrize("depth", [100, 500, 900, 980, 5000])
def test_a_body_may_be_nested_as_deeply_as_it_likes(depth: int) -> None:
    made = Scribe(Masker(MARK), max_body=100_000)
    body = b"[" * depth + b"]" * depth
    [entry] = entries(made, made.request(0.0, 1, 1, 0.0, 0.0, Request("POST", "/", "/", "", "1.1", {}, body=body)))
    if depth == 100:
        assert msgspec.json.encode(entry.json) == body
    if depth == 5000:
        assert entry.text == body.decode()


@settings(max_examples=15)
@given(st.binary(max_size=100), st.lists(st.integers(1, 3 * WINDOW), max_size=6))
def test_the_pieces_in_which_a_body_comes_make_no_difference_to_its_hash(seed: bytes, cuts: list[int]) -> None:
    body = (b'"key":"12345678",' + seed + b"abc") * (3 * WINDOW // 20)
    whole = Digest(Masker(MARK))
    pieces = Digest(Masker(MARK))
    assert not any(whole.feed(body))
    edges = [0, *sorted(cuts), len(body)]
    for start, end in itertools.pairwise(edges):
        assert not any(pieces.feed(body[start:end]))
    assert pieces.close() == whole.close()


def test_a_large_body_is_hashed_in_bounded_steps() -> None:
    made = scribe()
    body = b"ab, " * WINDOW
    steps = list(made.request(0.0, 1, 1, 0.0, 0.0, Request("POST", "/", "/", "", "1.1", {}, body=body)))
    assert len(steps) > len(body) // WINDOW
    assert [bool(step) for step in steps].count(True) == 1
    [entry] = list(read([made.start(version="0", epoch=0.0, settings={}), steps[-1]]))[1:]
    assert entry.cut.sha256 == hashlib.sha256(body).hexdigest()


def test_binary_bodies_are_base64_in_the_file() -> None:
    made = scribe()
    steps = [
        *made.request(
            0.0, 1, 1, 0.0, 0.0, Request("POST", "/", "/", "", "1.1", {b"content-type": b"x"}, body=b"\xff\0")
        )
    ]
    assert json.loads(steps[-1])["base64"] == base64.b64encode(b"\xff\0").decode()
