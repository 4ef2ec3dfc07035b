"""What methods do with their handler, as a client sees it."""

import pytest

from tests.methods import ECHO, Serve, asynchronous, body, call, in_thread
from tests.support import request_bytes
from totohio import TotoHandler

# ---------------------------------------------------------------- respond


@pytest.mark.parametrize("make", [body, asynchronous, in_thread])
@pytest.mark.parametrize(
    ("arguments", "reply"),
    [
        ("{'a': 1}", {"result": {"a": 1}}),
        ("result=0", {"result": 0}),
        ("", {}),
        ("error=TotoException(4343, {'why': 1})", {"error": {"code": 4343, "value": {"why": 1}}}),
        ("error={'anything': 'goes'}", {"error": {"anything": "goes"}}),
        ("{'r': 1}, TotoException(4444, 'both')", {"result": {"r": 1}, "error": {"code": 4444, "value": "both"}}),
    ],
)
def test_respond_sends_what_it_is_given(serve: Serve, make: object, arguments: str, reply: object) -> None:
    assert call(serve({"m": make(f"handler.respond({arguments})")})) == reply  # type: ignore[operator]


@pytest.mark.expects_errors
def test_respond_with_any_other_error_is_error_1000(serve: Serve) -> None:
    world = serve(
        {"m": in_thread("handler.respond(error=ValueError('plain'))"), "s": body("handler.respond(None, 'text')")}
    )
    assert call(world) == {"error": {"code": 1000, "value": "plain"}}
    assert call(world, "s") == {"error": {"code": 1000, "value": "text"}}


@pytest.mark.parametrize("make", [body, asynchronous, in_thread])
def test_only_the_first_reply_counts(serve: Serve, make: object) -> None:
    lines = ("handler.respond(1)", "handler.respond(2)", "handler.respond(error=TotoException(3, ''))", "return 4")
    client = serve({"m": make(*lines), "echo": ECHO}).connect()  # type: ignore[operator]
    assert client.call("m") == {"result": 1}
    assert client.call("echo", {"x": 1}) == {"result": {"x": 1}}


@pytest.mark.parametrize("make", [body, asynchronous, in_thread])
@pytest.mark.parametrize(
    "line",
    [
        "handler.respond(object())",
        "handler.respond_raw(b'x', 'a\\r\\nb')",
        "handler.respond(error=TotoException(1, object()))",
    ],
)
@pytest.mark.expects_errors
def test_what_cannot_be_sent_is_error_1000_and_not_a_reply_that_never_comes(
    serve: Serve, make: object, line: str
) -> None:
    client = serve({"m": make(line), "echo": ECHO}).connect()  # type: ignore[operator]
    assert client.call("m")["error"]["code"] == 1000
    assert client.call("echo", {"x": 1}) == {"result": {"x": 1}}


@pytest.mark.expects_errors
def test_a_response_type_that_cannot_be_sent_is_error_1000(serve: Serve) -> None:
    lines = ("handler.response_type = 'a\\r\\nb'", "handler.respond(1)")
    for make in (body, asynchronous, in_thread):
        assert call(serve({"m": make(*lines)}))["error"]["code"] == 1000  # type: ignore[index]


def test_an_asynchronous_method_that_returns_a_result_has_replied(serve: Serve) -> None:
    for value in ({"immediate": True}, 0, False):
        assert call(serve({"m": asynchronous(f"return {value!r}")})) == {"result": value}


@pytest.mark.expects_errors
def test_an_asynchronous_method_that_raises_has_replied(serve: Serve) -> None:
    assert call(serve({"m": asynchronous("raise ValueError('x')")})) == {"error": {"code": 1000, "value": "x"}}


def test_an_asynchronous_method_that_returns_none_leaves_the_connection_open(serve: Serve) -> None:
    world = serve({"m": asynchronous("handlers.append(handler)") + "handlers = []\n", "echo": ECHO})
    client = world.connect()
    client.send(request_bytes("POST", "/m", b"{}"))
    world.step(3)
    world.advance(3000.0)
    client.receive()
    assert client.raw == b""
    assert call(world, "echo", {"x": 1}) == {"result": {"x": 1}}
    waiting = world.module("m").handlers[0]
    waiting.respond("late")
    assert client.reply().json() == {"result": "late"}


@pytest.mark.parametrize("lines", [(), ("yield Future()",), ("yield 1e9",), ("yield [Future()]",)])
def test_a_call_that_takes_longer_than_async_timeout_is_error_1014(serve: Serve, lines: tuple[str, ...]) -> None:
    ends = ("try:", *(f"    {line}" for line in lines), "    pass", "finally:", "    ended.append(1)")
    world = serve({"m": asynchronous(*ends) + "ended = []\n", "echo": ECHO}, async_timeout=60.0)
    client = world.connect()
    client.send(request_bytes("POST", "/m", b"{}"))
    world.step(3)
    world.advance(59.0)
    client.receive()
    assert client.raw == b""
    world.advance(2.0)
    reply = client.reply()
    assert (reply.status, reply.json()["error"]["code"]) == (200, 1014)
    assert world.module("m").ended == [1]
    assert client.call("echo", {"x": 1}) == {"result": {"x": 1}}


@pytest.mark.expects_errors
def test_a_method_that_fails_while_its_time_is_over_harms_nobody(serve: Serve) -> None:
    source = body("try:", "    yield 1e9", "finally:", "    raise SystemExit('no')")
    world = serve({"m": source, "echo": ECHO}, async_timeout=60.0)
    client = world.connect()
    client.send(request_bytes("POST", "/m", b"{}"))
    world.step(3)
    world.advance(61.0)
    assert client.reply().json()["error"]["code"] == 1014
    assert call(world, "echo", {"x": 1}) == {"result": {"x": 1}}


# ---------------------------------------------------------------- status and headers


@pytest.mark.parametrize("status", [200, 201, 202, 404, 418, 500, 599])
def test_set_status_sets_the_status(serve: Serve, status: int) -> None:
    reply = serve({"m": body(f"handler.set_status({status})", "return 1")}).connect().post("/m", {})
    assert (reply.status, reply.json()) == (status, {"result": 1})


@pytest.mark.parametrize("status", [204, 205, 304])
def test_a_status_without_content_is_sent_without(serve: Serve, status: int) -> None:
    client = serve({"m": body(f"handler.set_status({status})", "return 1"), "echo": ECHO}).connect()
    for verb in ("POST", "GET"):
        reply = client.request(verb, "/m", b"{}" if verb == "POST" else b"")
        assert (reply.status, reply.body) == (status, b"")
        assert reply.header("Content-Length") == ("0" if status == 205 else None)
        assert client.call("echo", {"x": 1}) == {"result": {"x": 1}}


@pytest.mark.parametrize("status", [204, 205, 304])
def test_an_error_is_seen_whatever_status_was_set(serve: Serve, status: int) -> None:
    source = body(f"handler.set_status({status})", "raise TotoException(1, 'x')")
    reply = serve({"m": source}).connect().post("/m", {})
    assert (reply.status, reply.json()) == (200, {"error": {"code": 1, "value": "x"}})


@pytest.mark.parametrize("status", ["100", "199", "1000", "'201'", "None"])
@pytest.mark.expects_errors
def test_a_status_that_cannot_be_sent_is_refused(serve: Serve, status: str) -> None:
    assert call(serve({"m": body(f"handler.set_status({status})", "return 1")}))["error"]["code"] == 1000  # type: ignore[index]


def test_headers_are_set_added_and_cleared(serve: Serve) -> None:
    source = body(
        "handler.set_header('X-One', 'a')", "handler.set_header('x-one', 2)", "handler.add_header('X-Two', 'a')",
        "handler.add_header('X-Two', b'b')", "handler.set_header('X-Three', 'a')", "handler.clear_header('x-three')",
        "handler.clear_header('x-never')", "return 1",
    )  # fmt: skip
    reply = serve({"m": source}).connect().post("/m", {})
    assert [pair for pair in reply.headers if pair[0].lower().startswith("x-")] == [
        ("x-one", "2"), ("X-Two", "a"), ("X-Two", "b"),
    ]  # fmt: skip


def test_headers_of_one_reply_are_not_those_of_the_next(serve: Serve) -> None:
    source = body(
        "if parameters.get('set'):", "    handler.set_header('X-One', 'a'); handler.set_status(201)", "return 1"
    )
    client = serve({"m": source}).connect()
    assert client.post("/m", {"set": 1}).header("X-One") == "a"
    reply = client.post("/m", {"x": 1})
    assert (reply.status, reply.header("X-One")) == (200, None)


@pytest.mark.parametrize(
    ("name", "value"), [("Access-Control-Allow-Origin", "https://me.example"), ("Date", "today"), ("ETag", '"mine"')]
)
def test_a_method_may_say_otherwise_than_the_server(serve: Serve, name: str, value: str) -> None:
    reply = serve({"m": body(f"handler.set_header({name!r}, {value!r})", "return 1")}).connect().get("/m")
    assert reply.header(name) == value  # and it is there once


def test_a_methods_own_etag_is_compared(serve: Serve) -> None:
    client = serve({"m": body("handler.set_header('ETag', '\"v7\"')", "return 1")}).connect()
    assert client.get("/m", headers={"If-None-Match": '"v7"'}).status == 304
    assert client.get("/m", headers={"If-None-Match": '"v6"'}).status == 200


@pytest.mark.parametrize("how", ["set_header", "add_header"])
def test_the_content_type_is_never_sent_twice(serve: Serve, how: str) -> None:
    source = body(
        f"handler.{how}('Content-Type', 'text/plain')", f"handler.{how}('content-type', 'application/x')", "return 1"
    )
    reply = serve({"m": source}).connect().post("/m", {})
    assert (reply.header("Content-Type"), reply.json()) == ("application/x", {"result": 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-One", "a\r\nX-Evil: 1"), ("X-One", "a\nb"), ("X-One", "a\0b"), ("X-One\r\nX-Evil", "a"), ("X One", "a"),
        ("", "a"), ("X-One:", "a"), ("X-One", "\u4e2d"), ("Content-Length", "5"), ("Transfer-Encoding", "chunked"),
        ("connection", "close"), ("Content-Type", "a\r\nX-Evil: 1"),
    ],
)  # fmt: skip
@pytest.mark.expects_errors
def test_a_header_that_would_break_the_reply_is_refused(serve: Serve, name: str, value: str) -> None:
    for how in ("set_header", "add_header"):
        client = serve({"m": body(f"handler.{how}({name!r}, {value!r})", "return 1"), "echo": ECHO}).connect()
        reply = client.post("/m", {})
        assert reply.json()["error"]["code"] == 1000
        assert reply.header("X-Evil") is None
        assert client.call("echo", {"x": 1}) == {"result": {"x": 1}}


@pytest.mark.parametrize(
    ("arguments", "status", "location"),
    [
        ("'/there?a=1'", 302, "/there?a=1"),
        ("'https://x.example/', permanent=True", 301, "https://x.example/"),
        ("'/there', status=303", 303, "/there"),
        ("'/caf\xe9/\u4e2d?x=%20'", 302, "/caf%C3%A9/%E4%B8%AD?x=%20"),
    ],
)
def test_redirect_sends_the_client_elsewhere(serve: Serve, arguments: str, status: int, location: str) -> None:
    client = serve({"m": body(f"handler.redirect({arguments})"), "echo": ECHO}).connect()
    reply = client.post("/m", {})
    assert (reply.status, reply.header("Location"), reply.body) == (status, location, b"")
    assert reply.header("Access-Control-Allow-Origin") == "*"
    assert client.call("echo", {"x": 1}) == {"result": {"x": 1}}


@pytest.mark.parametrize("arguments", ["'/x\\r\\nX-Evil: 1'", "'/x', status=200", "'/x', status=404"])
@pytest.mark.expects_errors
def test_a_redirect_that_cannot_be_one_is_refused(serve: Serve, arguments: str) -> None:
    reply = serve({"m": body(f"handler.redirect({arguments})")}).connect().post("/m", {})
    assert (reply.status, reply.json()["error"]["code"], reply.header("X-Evil")) == (200, 1000, None)


# ---------------------------------------------------------------- the request


def test_the_request_is_known_to_the_method(serve: Serve) -> None:
    source = body(
        "r = handler.request",
        "headers = [r.headers['x-one'], r.headers.get('X-ONE'), 'nope' in r.headers]",
        "rest = [handler.body, handler.response_type, handler.headers_only, handler.session]",
        "return [r.method, r.path, r.uri, *headers, r.body.decode(), r.remote_ip, *rest]",
    )
    reply = serve({"a.m": source}).connect().post("/a/m?x=%20", b'{"y": 1}', headers={"X-One": "v"})
    request = ["POST", "/a/m", "/a/m?x=%20", "v", "v", False, '{"y": 1}', "127.0.0.1"]
    assert reply.json()["result"] == [*request, {"y": 1}, "application/json", False, None]


def test_methods_and_hooks_may_keep_attributes_on_the_handler(serve: Serve, hooks: None) -> None:
    TotoHandler.set_before_handler(lambda handler, *_: setattr(handler, "user", "ann"))
    world = serve({"m": body("handler.seen = 1", "return [handler.user, handler.seen]")})
    assert call(world) == {"result": ["ann", 1]}
    assert world.connect().post("/", {"batch": {"a": {"method": "m"}}}).json() == {
        "batch": {"a": {"result": ["ann", 1]}}
    }
