"""Requests to bytes, and what replies say."""

from typing import Any

import pytest

from totohio.base.errors import ERROR_SERVER
from totohio.wire.answering import Reply
from totohio.wire.asking import batch_body, call_body, method_path, open_error, open_reply, request_bytes
from totohio.wire.requesting import Limits, Request, Requestant

JSON = (("Content-Type", "application/json; charset=utf-8"),)


def parsed(*args: Any) -> Request:
    """Make a request, and read it as a server does."""
    requestant = Requestant(Limits())
    requestant.feed(request_bytes(*args))
    assert requestant.fault is None
    [request] = requestant.requests
    return request


def test_a_request_is_what_a_server_reads() -> None:
    request = parsed("POST", "/a?b=c", b"body", {"X-Name": "v\xe4lue"}, "host:80")
    assert (request.method, request.uri, request.body) == ("POST", "/a?b=c", b"body")
    assert dict(request.fields) == {b"host": b"host:80", b"content-length": b"4", b"x-name": b"v\xe4lue"}


@pytest.mark.parametrize(("verb", "length"), [("GET", None), ("HEAD", None), ("POST", b"0"), ("PUT", b"0")])
def test_a_length_is_told_where_one_is_expected(verb: str, length: bytes | None) -> None:
    raw = request_bytes(verb, "/", b"", {}, "host")
    assert (b"Content-Length: 0" in raw) is (length is not None)
    assert b"Content-Length: 4" in request_bytes(verb, "/", b"body", {}, "host")


def test_own_headers_go_before_the_usual_ones() -> None:
    raw = request_bytes("POST", "/", b"0\r\n\r\n", {"host": "other", "Transfer-Encoding": "chunked"}, "host")
    assert raw == b"POST / HTTP/1.1\r\nhost: other\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert raw.count(b"ost") == 1
    assert b"Content-Length" not in raw


@pytest.mark.parametrize(
    ("verb", "path", "headers"),
    [
        ("GET", "/a b", {}),
        ("GET", "/a\r\nX: y", {}),
        ("GET /", "/", {}),
        ("GET", "/\u20ac", {}),
        ("GET", "/", {"A": "b\r\nC: d"}),
        ("GET", "/", {"A": "b\nC: d"}),
        ("GET", "/", {"A\r": "b"}),
        ("GET", "/", {"A": "\0"}),
    ],
)
def test_what_would_be_another_request_is_refused(verb: str, path: str, headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        request_bytes(verb, path, b"", headers, "host")


def test_a_method_is_a_path_and_its_parameters_a_body() -> None:
    assert method_path("account.create") == "account/create"
    assert method_path("what? no") == "what%3F%20no"
    assert call_body({"a": 1}) == b'{"parameters":{"a":1}}'
    assert call_body(None) == call_body({}) == b"{}"
    with pytest.raises(TypeError):
        call_body({"a": object()})


def test_a_batch_is_made_of_pairs_or_entries() -> None:
    entries = {"a": ("add", {"x": 1}), "b": {"method": "echo"}}
    assert batch_body(entries, "parallel") == (
        b'{"batch":{"a":{"method":"add","parameters":{"x":1}},"b":{"method":"echo"}},"mode":"parallel"}'
    )


@pytest.mark.parametrize(
    ("status", "body", "found"),
    [
        (200, b'{"result": 3}', {"result": 3}),
        (200, b'{"session": {"user_id": ""}}', {"session": {"user_id": ""}}),
        (200, b'{"error": {"code": 1, "value": 2}}', {"error": {"code": 1, "value": 2}}),
        (404, b'{"error": {"code": 404, "value": "x"}}', {"error": {"code": 404, "value": "x"}}),
        (200, b"{}", {"result": None}),
        (200, b"", {"result": None}),
        (200, b'{"other": 1}', {"result": {"other": 1}}),
        (200, b"[1]", {"result": [1]}),
        (500, b'{"other": 1}', {"error": {"code": 500, "value": {"other": 1}}}),
    ],
)
def test_a_json_reply_is_an_envelope_or_the_result(status: int, body: bytes, found: Any) -> None:
    assert open_reply(Reply(status, JSON, body)) == found


def test_any_other_reply_is_its_bytes_or_an_error() -> None:
    assert open_reply(Reply(200, (), b"\x00")) == {"result": b"\x00"}
    assert open_reply(Reply(302, (), b"\xff" + b"x" * 5000)) == {
        "error": {"code": 302, "value": "\ufffd" + "x" * 999},
    }
    with pytest.raises(ValueError, match="malformed"):
        open_reply(Reply(200, JSON, b"?"))


def test_an_error_has_whatever_it_was_sent_with() -> None:
    error: Any = open_error({"code": "mine", "value": [1], "hint": "so", "_secret": 1})
    assert (error.code, error.value, error.hint) == ("mine", [1], "so")
    assert not hasattr(error, "_secret")
    assert open_error("text").code == ERROR_SERVER
    assert open_error("text").value == "text"
