"""Replies as a client sees them: WIRE.md, "The reply"."""

import hashlib
import json

import pytest

from tests.methods import Serve, body
from tests.support import Client, request_bytes

ECHO = body("return {'got': parameters}")
NONE = body("return None")


@pytest.fixture
def client(serve: Serve) -> Client:
    return serve({"echo": ECHO, "none": NONE}).connect()


# ---------------------------------------------------------------- results


@pytest.mark.parametrize("value", [False, 0, "", [], {}, 42.5, 2**70, {"1": None}, "\u4e2d </script> \x00"])
def test_every_result_but_none_is_sent(serve: Serve, value: object) -> None:
    reply = serve({"m": body(f"return {value!r}")}).connect().post("/m", {})
    assert reply.json() == {"result": value}
    assert reply.header("Content-Type") == "application/json"


def test_a_plain_method_that_returns_none_gives_an_empty_body(client: Client) -> None:
    reply = client.post("/none", {})
    assert (reply.status, reply.body, reply.header("Content-Length")) == (200, b"", "0")
    assert reply.header("Content-Type") == "application/json"


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("object()", "object"),
        ("{'x': [object()]}", "object"),
        ("b'bytes'", "bytes"),
        ("float('nan')", "nan"),
        ("[float('-inf')]", "-inf"),
        ("'\\ud800'", "str"),
        ("{('a', 'b'): 1}", "tuple"),
        ("lambda: 1", "function"),
        ("10 ** 5000", "int"),
    ],
)
@pytest.mark.expects_errors
def test_an_unserialisable_result_is_error_1000_naming_its_type(serve: Serve, expression: str, name: str) -> None:
    client = serve({"m": body(f"return {expression}"), "echo": ECHO}, debug=True).connect()
    reply = client.post("/m", {})
    assert reply.status == 200
    assert reply.json()["error"]["code"] == 1000
    assert name in reply.json()["error"]["value"]
    assert client.post("/echo", {"x": 1}).json() == {"result": {"got": {"x": 1}}}


@pytest.mark.parametrize("nest", ["result = [result]", "result.append(result)", "result.append({'a': result})"])
def test_a_result_that_contains_itself_or_has_no_end_is_error_1000(serve: Serve, nest: str) -> None:
    times = 200_000 if nest == "result = [result]" else 1
    source = body("result = []", f"for _ in range({times}):", f"    {nest}", "return result")
    client = serve({"m": source, "echo": ECHO}).connect()
    assert client.post("/m", {}).json()["error"]["code"] == 1000
    assert client.post("/echo", {"x": 1}).json() == {"result": {"got": {"x": 1}}}


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("error", "form"),
    [
        ("TotoException(4242, 'text')", {"code": 4242, "value": "text"}),
        ("TotoException('E_CUSTOM', {'a': [1]})", {"code": "E_CUSTOM", "value": {"a": [1]}}),
        ("TotoException(None, None)", {"code": None, "value": None}),
    ],
)
def test_a_toto_exception_is_sent_with_its_code_and_value(serve: Serve, error: str, form: object) -> None:
    reply = serve({"m": body(f"raise {error}")}).connect().post("/m", {})
    assert (reply.status, reply.json()) == (200, {"error": form})


def test_an_error_carries_whatever_other_attributes_its_exception_has(serve: Serve) -> None:
    source = (
        "from totohio import TotoException\n"
        "class Refused(TotoException):\n"
        "    def __init__(self):\n"
        "        super().__init__(4299, 'sub')\n"
        "        self.hint = {'a': 1}\n"
        "        self._private = object()\n"
        "def invoke(handler, parameters):\n"
        "    raise Refused()\n"
    )
    reply = serve({"m": source}).connect().post("/m", {})
    assert reply.json() == {"error": {"code": 4299, "value": "sub", "hint": {"a": 1}}}


@pytest.mark.parametrize(
    ("error", "value"),
    [
        ("ValueError('caf\xe9')", "caf\xe9"),
        ("KeyError('missing')", "'missing'"),
        ("Exception()", ""),
        ("SystemExit(3)", "3"),
        ("KeyboardInterrupt('stop')", "stop"),
        ("RecursionError('deep')", "deep"),
        ("MemoryError()", ""),
        ("GeneratorExit()", ""),
        ("StopIteration(5)", "5"),
    ],
)
@pytest.mark.expects_errors
def test_any_other_exception_is_error_1000_with_its_text(serve: Serve, error: str, value: str) -> None:
    client = serve({"m": body(f"raise {error}"), "echo": ECHO}).connect()
    reply = client.post("/m", {})
    assert (reply.status, reply.json()) == (200, {"error": {"code": 1000, "value": value}})
    assert client.post("/echo", {"x": 1}).json() == {"result": {"got": {"x": 1}}}


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.expects_errors
def test_debug_logs_expected_errors_too_and_changes_nothing_else(
    serve: Serve, caplog: pytest.LogCaptureFixture, debug: bool
) -> None:
    caplog.set_level("INFO", "totohio")
    methods = {"known": body("raise TotoException(4001, 'no tea')"), "slip": body("raise KeyError('tea')")}
    client = serve(methods, debug=debug).connect()
    assert client.post("/known", {}).json() == {"error": {"code": 4001, "value": "no tea"}}
    assert client.post("/slip", {}).json() == {"error": {"code": 1000, "value": "'tea'"}}
    lines = [(record.levelname, record.getMessage(), bool(record.exc_info)) for record in caplog.records]
    unexpected = ("ERROR", "<TotoHandler POST 'slip'> failed", True)
    expected = ("INFO", "<TotoHandler POST 'known'>: error 4001: no tea", False)
    assert lines == ([expected] if debug else []) + [unexpected]


@pytest.mark.expects_errors
def test_with_debug_an_expected_error_that_cannot_be_made_text_does_no_harm(serve: Serve) -> None:
    source = (
        "from totohio import TotoException\n"
        "class Odd:\n    def __str__(self):\n        raise SystemExit\n"
        "def invoke(handler, parameters):\n    raise TotoException(4001, Odd())\n"
    )
    client = serve({"m": source, "echo": ECHO}, debug=True).connect()
    assert client.post("/m", {}).json()["error"]["code"] == 1000  # it cannot be sent, either
    assert client.post("/echo", {"x": 1}).json() == {"result": {"got": {"x": 1}}}


@pytest.mark.parametrize("raised", ["ValueError('again')", "SystemExit()", "RecursionError()"])
@pytest.mark.expects_errors
def test_an_exception_that_cannot_be_made_text_is_error_1000_all_the_same(serve: Serve, raised: str) -> None:
    source = (
        f"class Odd(Exception):\n    def __str__(self):\n        raise {raised}\n"
        "    __repr__ = __str__\n"
        "def invoke(handler, parameters):\n    raise Odd()\n"
    )
    client = serve({"m": source, "echo": ECHO}).connect()
    assert client.post("/m", {}).json() == {"error": {"code": 1000, "value": "Odd"}}
    assert client.post("/echo", {"x": 1}).json() == {"result": {"got": {"x": 1}}}


def test_an_error_that_cannot_be_packed_is_error_1000(serve: Serve) -> None:
    client = serve({"m": body("raise TotoException(4242, object())")}).connect()
    assert client.post("/m", {}).json()["error"]["code"] == 1000


# ---------------------------------------------------------------- headers, verbs and paths


def test_every_reply_has_cors_headers_and_one_content_type(serve: Serve) -> None:
    world = serve({"echo": ECHO, "bad": body("raise TotoException(1, 'x')")}, allow_origin="https://a.example")
    client = world.connect()
    replies = [
        client.post("/echo", {"x": 1}), client.post("/bad", {}), client.post("/nope", {}), client.post("/", b"{"),
        client.get("/echo"), client.request("HEAD", "/echo"), client.request("OPTIONS", "/echo"),
        client.request("PUT", "/echo"), client.get("/no-such-path"),
        world.connect().get("/" + "x" * 9000),
        world.connect().get("/echo", headers={"X": "y" * 17000}),
        world.connect().post("/echo", {}, headers={"Content-Length": "99999999999"}),
        world.connect().post("/echo", {}, headers={"Transfer-Encoding": "gzip"}),
    ]  # fmt: skip
    half = world.connect()
    half.send(b"POST /echo HTTP/1.1\r\n")
    world.step(3)
    world.advance(31.0)
    replies.append(half.reply())
    assert [reply.status for reply in replies] == [200] * 7 + [405, 404, 414, 431, 413, 400, 408]
    for reply in replies:
        assert reply.header("Access-Control-Allow-Origin") == "https://a.example"
        assert reply.header("Access-Control-Expose-Headers") == "x-toto-hmac"
        assert reply.header("Content-Type") == "application/json"
        assert reply.header("Date") is not None
    for reply in replies[7:]:
        assert reply.json()["error"]["code"] == reply.status


def test_a_get_has_an_etag_of_its_body(client: Client) -> None:
    reply = client.get("/echo?x=1")
    assert reply.header("ETag") == f'"{hashlib.sha1(reply.body).hexdigest()}"'
    assert client.get("/nope").header("ETag") is not None  # an error is a reply with status 200 like others
    assert client.post("/echo", {"x": "1"}).header("ETag") is None


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
def test_a_client_that_has_the_body_already_gets_304(client: Client, form: str) -> None:
    etag = client.get("/echo?x=1").header("ETag")
    reply = client.get("/echo?x=1", headers={"If-None-Match": form.format(etag)})
    assert (reply.status, reply.body, reply.header("ETag")) == (304, b"", etag)
    assert reply.header("Access-Control-Allow-Origin") == "*"
    assert client.get("/echo?x=2", headers={"If-None-Match": str(etag)}).status == 200
    assert client.post("/echo", {"x": "1"}, headers={"If-None-Match": "*"}).status == 200


def test_head_gives_the_headers_of_the_get_and_no_body(serve: Serve) -> None:
    source = (
        "def invoke(handler, parameters):\n    return {'only': handler.headers_only, 'verb': handler.request.method}"
    )
    client = serve({"echo": ECHO, "head": source, "late": "def invoke(h, p):\n    yield\n    return 5"}).connect()
    for path in ("/echo?x=1", "/nope", "/late", "/no-such-path"):
        got = client.get(path)
        reply = client.request("HEAD", path)
        assert reply.status == got.status
        for name in ("Content-Length", "ETag", "Content-Type"):
            assert reply.header(name) == got.header(name)
    assert client.get("/head").json() == {"result": {"only": False, "verb": "GET"}}
    reply = client.request("HEAD", "/head")
    assert reply.header("Content-Length") == str(
        len(json.dumps({"result": {"only": True, "verb": "HEAD"}}, separators=(",", ":")))
    )


@pytest.mark.parametrize("path", ["/", "/echo", "/no-such-path", "*"])
def test_options_on_any_path_is_a_preflight(client: Client, path: str) -> None:
    headers = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "X-Custom, Content-Type",
    }
    reply = client.request("OPTIONS", path, headers=headers)
    assert (reply.status, reply.body, reply.header("Content-Length")) == (200, b"", "0")
    assert reply.header("Access-Control-Allow-Methods") == "HEAD,POST,OPTIONS,GET"
    assert reply.header("Access-Control-Allow-Headers") == "origin,x-toto-session-id,x-toto-hmac,content-type,x-custom"
    plain = client.request("OPTIONS", path)
    assert plain.status == 200
    assert plain.header("Access-Control-Allow-Headers") == "origin,x-toto-session-id,x-toto-hmac,content-type"


def test_options_for_a_verb_that_is_not_served_is_405(client: Client) -> None:
    reply = client.request("OPTIONS", "/echo", headers={"Access-Control-Request-Method": "DELETE"})
    assert reply.status == 405
    assert reply.json()["error"]["code"] == 405


def test_options_gives_back_only_what_can_be_names_of_headers(client: Client) -> None:
    reply = client.request("OPTIONS", "/echo", headers={"Access-Control-Request-Headers": 'x-ok, "<b>"'})
    assert "<" not in str(reply.header("Access-Control-Allow-Headers"))


@pytest.mark.parametrize("verb", ["PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "FOO"])
def test_an_unknown_verb_is_405_and_the_connection_goes_on(client: Client, verb: str) -> None:
    reply = client.request(verb, "/echo")
    assert {name.strip() for name in str(reply.header("Allow")).split(",")} == {"GET", "HEAD", "OPTIONS", "POST"}
    assert reply.status == 405
    assert reply.json()["error"]["code"] == 405


@pytest.mark.parametrize(
    "path", ["/return%20value", "/a-b", "/caf%C3%A9", "/a;b", "/a~b", "/a%2Fb", "/(echo)", "/e:cho"]
)
def test_a_path_that_can_be_no_method_is_404(client: Client, path: str) -> None:
    for reply in (client.post(path, {}), client.get(path)):
        assert reply.status == 404
        assert reply.json()["error"]["code"] == 404
    assert client.post("/echo", {"x": 1}).json() == {"result": {"got": {"x": 1}}}


# ---------------------------------------------------------------- connections


def test_pipelined_calls_are_answered_in_order(serve: Serve) -> None:
    slow = body("yield parameters['seconds']", "return parameters['n']")
    client = serve({"slow": slow, "echo": ECHO}).connect()
    client.send(
        b"".join(
            request_bytes("POST", "/slow", json.dumps({"n": n, "seconds": 1.0 - n / 10}).encode()) for n in range(5)
        )
        + request_bytes("POST", "/echo", b'{"x":1}')
    )
    assert [client.reply().json()["result"] for _ in range(5)] == [0, 1, 2, 3, 4]
    assert client.reply().json() == {"result": {"got": {"x": 1}}}


def test_connection_close_is_said_and_done(client: Client) -> None:
    reply = client.post("/echo", {"x": 1}, headers={"Connection": "close"})
    assert reply.header("Connection") == "close"
    client.wait_closed()


def test_http_1_0_is_answered_and_closed_unless_it_wants_more(serve: Serve) -> None:
    world = serve({"echo": ECHO})
    client = world.connect()
    client.send(b"GET /echo?x=1 HTTP/1.0\r\n\r\n")
    assert client.reply().json() == {"result": {"got": {"x": "1"}}}
    client.wait_closed()
    client = world.connect()
    for _ in range(2):
        client.send(b"GET /echo?x=1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        reply = client.reply()
        assert reply.json() == {"result": {"got": {"x": "1"}}}
        assert reply.header("Connection") == "keep-alive"


def test_a_chunked_request_with_expect_100_continue_is_answered(client: Client) -> None:
    client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
    client.world.step(3)
    client.receive()
    assert client.raw == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b'4\r\n{"x"\r\n4\r\n : 1\r\n1\r\n}\r\n0\r\n\r\n')
    assert client.reply().json() == {"result": {"got": {"x": 1}}}
