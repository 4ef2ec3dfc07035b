"""A recorded request goes out as it came, and a reply is judged by what a client would notice."""

from typing import Any

import bson
import msgspec
import pytest

from totohio.sim.recordings.recalling import Judge, Outcome, request_of
from totohio.wire.answering import Reply
from totohio.wire.masking import Masker
from totohio.wire.naming import NAMES
from totohio.wire.requesting import Limits, Request, Requestant
from totohio.wire.scribing import Digest
from totohio.wire.transcript import Cut, Replied, Requested
from totohio.wire.unmasking import Difference, LackError, Values

MARK = "0f1e2d3c"
TOKEN = f"~token.1.{MARK}~"
JSON = "application/json"


def known(token: str = "a b/c") -> Values:
    found = Values(MARK, list(NAMES))
    assert found.compare(TOKEN, token) is None
    return found


def recorded(uri: str = "/", headers: dict[str, str] | None = None, verb: str = "POST", **body: Any) -> Requested:
    return Requested(tyme=0.0, connection=1, number=1, at="", verb=verb, uri=uri, headers=headers or {}, **body)


def sent(request: Requested, values: Values | None = None) -> Request:
    """What the server understands of it."""
    requestant = Requestant(Limits())
    requestant.feed(request_of(request, values or known()))
    assert requestant.fault is None
    [found] = requestant.requests
    return found


# ---------------------------------------------------------------- requests


def test_a_request_goes_out_with_its_target_headers_and_body() -> None:
    request = sent(recorded("/a?b=1", {"host": "x", "content-type": JSON, "x-a": "b"}, json={"a": [1, None]}))
    assert (request.method, request.uri, request.body) == ("POST", "/a?b=1", b'{"a":[1,null]}')
    assert dict(request.headers) == {"host": "x", "content-type": JSON, "x-a": "b", "content-length": "14"}


def test_values_are_written_as_their_place_wants_it() -> None:
    headers = {"host": "x", "x-a": TOKEN, "cookie": f"c={TOKEN}", "referer": f"https://x.org/?a={TOKEN}"}
    request = sent(recorded(f"/{TOKEN}?t={TOKEN}", headers, json={"a": TOKEN}))
    assert request.uri == "/a%20b%2Fc?t=a%20b%2Fc"
    assert request.body == b'{"a":"a b/c"}'
    assert request.headers["x-a"] == "a b/c"
    assert request.headers["cookie"] == "c=a b/c"
    assert request.headers["referer"] == "https://x.org/?a=a%20b%2Fc"


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("application/x-www-form-urlencoded", {"text": f"a=%20&t={TOKEN}"}, b"a=%20&t=a+b%2Fc"),
        ("text/plain", {"text": f"\u00e4 {TOKEN}"}, "\u00e4 a b/c".encode()),
        ("image/png", {"base64": b"\xff" + TOKEN.encode()}, b"\xffa b/c"),
        (
            "application/msgpack",
            {"base64": msgspec.msgpack.encode([TOKEN, b"\0"])},
            msgspec.msgpack.encode(["a b/c", b"\0"]),
        ),
        ("application/bson", {"base64": bson.encode({"a": TOKEN})}, bson.encode({"a": "a b/c"})),
        (JSON, {"json": None}, b"null"),
        (JSON, {}, b""),
    ],
)
def test_each_kind_of_body_goes_out_again(kind: str, body: dict[str, Any], expected: bytes) -> None:
    assert sent(recorded(headers={"host": "x", "content-type": kind}, **body)).body == expected


def test_a_request_that_came_in_chunks_goes_out_in_chunks() -> None:
    request = recorded(headers={"host": "x", "transfer-encoding": "chunked"}, text="hello")
    assert b"5\r\nhello\r\n0\r\n\r\n" in request_of(request, known())
    assert sent(request).body == b"hello"


def test_a_request_without_a_body_goes_out_without_one() -> None:
    assert b"content-length" not in request_of(recorded(headers={"host": "x"}, verb="GET"), known())
    assert sent(recorded(headers={"host": "x", "content-length": "0"}, verb="GET")).headers["content-length"] == "0"


def test_the_version_of_http_stays() -> None:
    request = recorded(headers={"host": "x"}, verb="GET")
    request.version = "1.0"
    assert sent(request).version == "1.0"


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (recorded(cut=Cut(70000, "large")), "larger than record_max_body"),
        (recorded(cut=Cut(10, "encoded")), "compressed"),
        (recorded(cut=Cut(10, "unreadable")), "broken"),
        (recorded(f"/?a=~key.9.{MARK}~"), "key 9 is masked"),
        (recorded(headers={"x-a": f"~key.9.{MARK}~"}), "key 9 is masked"),
        (recorded(json=[f"~key.9.{MARK}~"]), "key 9 is masked"),
    ],
)
def test_what_the_recording_lacks_cannot_be_sent(request_: Requested, why: str) -> None:
    with pytest.raises(LackError, match=why):
        request_of(request_, known())


def test_a_value_never_ends_the_line_of_its_header() -> None:
    with pytest.raises(LackError, match="cannot stand in a header"):
        request_of(recorded(headers={"host": "x", "x-a": TOKEN}), known("a\r\nX-Evil: yes"))


# ---------------------------------------------------------------- replies


def judged(expected: Replied | None, now: Reply, values: Values | None = None) -> Outcome:
    outcome = Outcome(recorded(), expected, "method")
    Judge(values or known(), []).reply(outcome, now)
    return outcome


def expected(status: int = 200, headers: dict[str, Any] | None = None, **body: Any) -> Replied:
    return Replied(tyme=0.0, connection=1, number=1, took=0.0, status=status, headers=headers or {}, **body)


def now(status: int = 200, body: bytes = b"", *headers: tuple[str, str]) -> Reply:
    return Reply(status, headers, body)


def difference(expected: Replied, now: Reply) -> tuple[str, str, str] | None:
    outcome = judged(expected, now)
    found = outcome.difference
    assert (found is None) == (outcome.verdict == "reproduced")
    return (found.where, found.recorded, found.now) if found is not None else None


def test_a_reply_that_is_the_same_is_reproduced() -> None:
    headers = {"Content-Type": JSON, "X-A": ["1", "2"]}
    reply = now(200, b'{ "result" : 1.0 }', ("content-type", JSON), ("X-A", "1"), ("x-a", "2"))
    assert difference(expected(200, headers, json={"result": 1}), reply) is None


@pytest.mark.parametrize("name", ["Date", "Server", "Content-Length", "Connection"])
def test_some_headers_are_another_matter_each_time(name: str) -> None:
    assert difference(expected(200, {name: "1"}), now(200, b"", (name, "2"))) is None
    assert difference(expected(200, {name: "1"}), now(200)) is None


def test_the_status_is_compared_first_and_shown_with_its_error() -> None:
    reply = now(404, b'{"error":{"code":404,"value":"gone"}}', ("Content-Type", JSON))
    found = difference(expected(200, {"Content-Type": JSON}, json={"result": 1}), reply)
    assert found == ("status", "200", '404, {"code":404,"value":"gone"}')
    found = difference(expected(500, json={"error": {"code": 1}}), now(200))
    assert found == ("status", '500, {"code":1}', "200")


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ({"ETag": '"a"'}, [("ETag", '"b"')], ("header etag", '"\\"a\\""', '"\\"b\\""')),
        ({"X-A": "1"}, [], ("header x-a", "1", "nothing")),
        ({}, [("X-A", "1")], ("header x-a", "nothing", "1")),
        ({"X-A": ["1", "2"]}, [("X-A", "1")], ("header x-a", "1, 2", "1")),
        ({"Content-Type": JSON}, [("Content-Type", "text/html")], ("header content-type", f'"{JSON}"', '"text/html"')),
    ],
)
def test_other_headers_are_compared(
    old: dict[str, Any], new: list[tuple[str, str]], found: tuple[str, str, str]
) -> None:
    assert difference(expected(200, old), now(200, b"", *new)) == found


def test_the_body_is_compared_before_the_tag_that_is_made_from_it() -> None:
    old = expected(200, {"ETag": '"a"', "Content-Type": JSON}, json={"result": 1})
    new = now(200, b'{"result":2}', ("ETag", '"b"'), ("Content-Type", JSON))
    assert difference(old, new) == ("$.result", "1", "2")


@pytest.mark.parametrize(
    ("kind", "old", "new", "found"),
    [
        ("text/plain", {"text": "one"}, b"two", ("body", '"one"', '"two"')),
        ("text/plain", {"text": "one"}, b"\xff", ("body", '"one"', '"\u00ff"')),
        ("text/plain", {}, b"two", ("body", '""', '"two"')),
        ("image/png", {"base64": b"\xff"}, b"\xfe", ("body", '"\u00ff"', '"\u00fe"')),
        (JSON, {"json": [1]}, b"no", ("body", "[1]", '"no"')),
        ("application/msgpack", {"base64": b"\x91\x01"}, b"\x91\x02", ("$[0]", "1", "2")),
        ("application/msgpack", {"base64": b"\x91\x01"}, b"\x91", ("body", '"\u0091\\u0001"', '"\u0091"')),
        ("application/bson", {"base64": bson.encode({"a": 1})}, bson.encode({"a": 2}), ("$.a", "1", "2")),
    ],
)
def test_bodies_are_compared_by_their_kind(
    kind: str, old: dict[str, Any], new: bytes, found: tuple[str, str, str]
) -> None:
    headers = {"Content-Type": kind}
    assert difference(expected(200, headers, **old), now(200, new, ("Content-Type", kind))) == found


def test_a_body_that_was_too_large_is_compared_by_its_hash() -> None:
    body = b'{"token":"12345678","a":"' + b"x" * 1000 + b'"}'
    digest = Digest(Masker(MARK))
    assert not any(digest.feed(body))
    old = expected(200, cut=Cut(len(body), "large", digest.close()))
    assert difference(old, now(200, body.replace(b"12345678", b"another"))) is None
    assert difference(old, now(200, body.replace(b"xx", b"xy"))) == ("body", "1027 bytes", "1027 others")
    assert difference(expected(200, cut=Cut(5, "encoded")), now(200, b"whatever")) is None


@pytest.mark.parametrize("old", [None, Replied(tyme=0.0, connection=1, number=1, took=0.0, lost=True)])
def test_a_call_without_a_recorded_reply_is_refused(old: Replied | None) -> None:
    outcome = judged(old, now())
    assert outcome.verdict == "refused"
    assert "reply" in outcome.why


def test_a_method_that_reaches_out_of_the_simulation_is_refused() -> None:
    told = "time.time() was called under simulation at a.py:1 in invoke"
    reply = now(200, msgspec.json.encode({"error": {"code": 1000, "value": told}}), ("Content-Type", JSON))
    outcome = judged(expected(200, {"Content-Type": JSON}, json={"result": 1}), reply)
    assert (outcome.verdict, outcome.why) == ("refused", told)


def test_no_reply_is_a_difference_unless_there_was_none() -> None:
    judge = Judge(known(), [])
    outcome = Outcome(recorded(), expected(200), "")
    judge.fail(outcome, "reply", "", "the connection was lost")
    assert outcome.verdict == "differing"
    assert outcome.difference == Difference("reply", "200", "the connection was lost")
    outcome = Outcome(recorded(), None, "")
    judge.fail(outcome, "reply", "", "the connection was lost")
    assert outcome.verdict == "refused"
