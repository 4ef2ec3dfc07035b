"""Scripted clients and a real server: calls, batches, requests, raw conversations."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.methods import ECHO, body, coroutine
from tests.sim.desks import ADDRESS, RealDesk, ScriptedDesk, reply
from tests.support import World
from totohio import TotoException
from totohio.sim.clients.asking import MAX_REMEMBERED, MAX_REPLIES
from totohio.wire.answering import Reply

METHODS = {
    "echo": ECHO,
    "deep.echo": ECHO,
    "nothing": "def invoke(handler, parameters):\n    pass\n",
    "nap": "def invoke(handler, parameters):\n    yield float(parameters['seconds'])\n    return 'slept'\n",
    "fail": "from totohio import TotoException\nclass Odd(TotoException):\n    pass\n"
    "def invoke(handler, parameters):\n    error = Odd('odd', [1])\n    error.hint = 'so'\n    raise error\n",
    "raw": body("return b'\\x00\\xff'", marks="@raw_response"),
    "pieces": body(
        "for piece in (b'one ', b'two ', b'three'):",
        "    yield handler.respond_raw(piece, 'text/plain', finish=False)",
        "yield 1.0",
        "handler.respond_raw(b'!', 'text/plain')",
    ),
    "header": body("return handler.request.headers.get(parameters['name'])"),
    "wait": coroutine("await sleep(0.5)", "return 'waited'"),
}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[RealDesk]:
    world = World(tmp_path, METHODS)
    yield RealDesk(world)
    world.close()


# ------------------------------------------------------------ calls


def test_a_call_gives_the_methods_result(desk: RealDesk) -> None:
    client = desk.client()

    def script() -> Any:
        assert not client.connected
        assert (yield client.call("echo", {"a": [1, "\u20ac"]})) == {"a": [1, "\u20ac"]}
        assert client.connected
        assert (yield client.call("deep.echo", {"b": 2})) == {"b": 2}
        assert (yield client.call("echo")) == {}
        assert (yield client.call("nothing")) is None
        assert (yield client.call("nap", {"seconds": 2})) == "slept"
        assert (yield client.call("wait")) == "waited"
        return (yield client.call("raw"))

    assert desk.run(script()) == b"\x00\xff"
    assert desk.world.server.built.server.connections == 1


def test_an_error_is_raised_as_the_exception_it_was(desk: RealDesk) -> None:
    client = desk.client()

    def script() -> Any:
        with pytest.raises(TotoException) as caught:
            yield client.call("fail")
        error: Any = caught.value
        assert (error.code, error.value, error.hint) == ("odd", [1], "so")
        with pytest.raises(TotoException, match=r"Cannot call 'no\.such'"):
            yield client.call("no.such")

    desk.run(script())


def test_what_cannot_be_sent_is_said_at_once(desk: RealDesk) -> None:
    client = desk.client()
    with pytest.raises(TypeError):
        client.call("echo", {"a": object()})
    with pytest.raises(ValueError, match="cannot be sent"):
        client.get("/a b")
    assert not client.connected


def test_calls_go_out_at_once_and_are_answered_in_order(desk: RealDesk) -> None:
    client = desk.client()
    order = []
    futures = [client.call("nap", {"seconds": 10})] + [client.call("echo", {"n": n}) for n in range(200)]
    for number, future in enumerate(futures):
        future.add_done_callback(lambda _, number=number: order.append(number))
    desk.cycle(20)
    assert order == []
    desk.advance(10.0)
    results = desk.wait(*futures)
    assert results == ["slept", *({"n": n} for n in range(200))]
    assert order == list(range(201))
    assert desk.world.server.built.server.connections == 1


def test_a_batch_gives_its_entries(desk: RealDesk) -> None:
    client = desk.client()
    entries = {"a": ("echo", {"x": 1}), "b": {"method": "fail"}, "c": ("nap", {"seconds": 1})}
    for mode in ("sequence", "parallel"):
        found = desk.wait(client.batch(entries, mode))[0]
        assert found["a"] == {"result": {"x": 1}}
        assert found["b"]["error"]["code"] == "odd"
        assert found["c"] == {"result": "slept"}
    with pytest.raises(TotoException, match="mode"):
        desk.wait(client.batch(entries, "sideways"))


@pytest.mark.parametrize("root", ["/api", "/api/"])
def test_calls_go_below_the_root(tmp_path: Path, root: str) -> None:
    world = World(tmp_path, METHODS, root="/api")
    try:
        desk = RealDesk(world)
        client = desk.client(root=root)
        assert desk.wait(client.call("echo", {"a": 1}), client.batch({"x": ("nothing", {})})) == [
            {"a": 1},
            {"x": {"result": None}},
        ]
        with pytest.raises(TotoException, match="404"):
            desk.wait(desk.client(root="/elsewhere").call("echo"))
    finally:
        world.close()


def test_a_unix_socket_is_called_by_its_path(tmp_path: Path) -> None:
    world = World(tmp_path / "methods", METHODS, uds=str(tmp_path / "socket"), port=8888)
    try:
        desk = RealDesk(world)
        assert desk.wait(desk.client().call("header", {"name": "host"})) == ["localhost"]
    finally:
        world.close()


# ------------------------------------------------------------ requests


def test_a_request_gives_the_reply_whatever_its_status(desk: RealDesk) -> None:
    client = desk.client()
    good, bad = desk.wait(client.get("/echo?a=1"), client.request("DELETE", "/echo"))
    assert isinstance(good, Reply)
    assert (good.status, good.json()) == (200, {"result": {"a": "1"}})
    assert (bad.status, bad.header("allow") is not None) == (405, True)


def test_a_post_takes_bytes_or_what_becomes_json(desk: RealDesk) -> None:
    client = desk.client()
    raw = client.post("/header", b'{"parameters":{"name":"x-own"}}', {"X-Own": "1"})
    made = client.post("/echo", {"parameters": {"a": 1}})
    assert [each.json()["result"] for each in desk.wait(raw, made)] == ["1", {"a": 1}]


def test_the_reply_to_a_head_has_no_body_and_others_follow(desk: RealDesk) -> None:
    client = desk.client()
    futures = [client.request(verb, "/echo?a=1") for verb in ("GET", "HEAD", "HEAD", "GET")]
    bodies = [found.body for found in desk.wait(*futures)]
    assert bodies == [b'{"result":{"a":"1"}}', b"", b"", b'{"result":{"a":"1"}}']
    assert desk.world.server.built.server.connections == 1


def test_a_reply_in_chunks_comes_whole(desk: RealDesk) -> None:
    client = desk.client()
    future = client.get("/pieces")
    desk.cycle(20)
    assert not future.done()
    found = desk.wait(future)[0]
    assert found.header("transfer-encoding") == "chunked"
    assert found.body == b"one two three!"


def test_a_server_that_says_go_on_is_heard(desk: RealDesk) -> None:
    client = desk.client()

    def script() -> Any:
        head = b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 23\r\n\r\n"
        yield client.send(head)
        assert (yield client.receive()) == b"HTTP/1.1 100 Continue\r\n\r\n"
        yield client.send(b'{"parameters":{"a":10}}')
        return (yield client.expect())

    found = desk.run(script())
    assert found.interim == (100,)
    assert found.json() == {"result": {"a": 10}}


# ------------------------------------------------------------ raw conversations


def test_a_raw_conversation_gets_the_bytes_as_they_come(desk: RealDesk) -> None:
    client = desk.client()

    def script() -> Any:
        yield client.send(b"NONSENSE\r\n\r\n")
        raw = b""
        while data := (yield client.receive()):
            raw += data
        assert not client.connected
        assert (yield client.receive()) == b""
        return raw

    raw = desk.run(script())
    assert raw.startswith(b"HTTP/1.1 400 ")
    assert [each.status for each in client.replies] == [400]


def test_what_was_sent_raw_is_answered_in_replies(desk: RealDesk) -> None:
    client = desk.client()

    def script() -> Any:
        yield client.send(b"GET /echo?a=1 HTTP/1.1\r\nHost: x\r\n\r\nHEAD /echo HTTP/1.1\r\nHost: x\r\n\r\n")
        first, second = yield [client.expect(), client.expect("HEAD")]
        yield client.send(b"GET /echo HTTP/1.0\r\n\r\n")
        third = yield client.expect()
        assert (yield client.receive()) == b""
        return [first.body, second.body, third.body]

    assert desk.run(script()) == [b'{"result":{"a":"1"}}', b"", b'{"result":{}}']


def test_a_half_closed_client_gets_its_replies(desk: RealDesk) -> None:
    client = desk.client()

    def script() -> Any:
        slow = client.call("nap", {"seconds": 0.5})
        yield 0.1
        client.shutdown()
        with pytest.raises(BrokenPipeError, match="shut down"):
            yield client.call("echo")
        assert (yield slow) == "slept"
        yield 0.5
        assert not client.connected
        assert (yield client.call("echo", {"again": 1})) == {"again": 1}

    desk.run(script())
    assert desk.world.server.built.server.connections == 2


def test_a_connection_can_stand_without_a_request(desk: RealDesk) -> None:
    client = desk.client()
    desk.wait(client.connect())
    assert client.connected
    desk.cycle(3)
    assert len(desk.world.stewards) == 1
    desk.wait(client.connect())
    client.close()
    assert not client.connected
    desk.cycle(3)
    assert desk.world.stewards == []


def test_an_abort_is_noticed_by_the_server(desk: RealDesk) -> None:
    client = desk.client()
    future = client.call("nap", {"seconds": 100})
    desk.cycle(10)
    client.abort()
    with pytest.raises(ConnectionAbortedError, match=r"nap: .* closed the connection"):
        desk.wait(future)
    desk.cycle(5)
    assert desk.world.stewards == []


# ------------------------------------------------------------ what it remembers and tells


def test_a_session_is_kept_and_sent_back() -> None:
    desk = ScriptedDesk()
    client = desk.client()
    told = json.dumps({"result": 1, "session": {"session_id": "abc", "expires": 1.0, "user_id": ""}}).encode()
    failed = json.dumps({"error": {"code": 1, "value": 2}, "session": {"session_id": "def"}}).encode()
    for body_, session in ((told, "abc"), (failed, "def"), (b'{"result":1,"session":{}}', "def")):
        future = client.call("m")
        desk.answer(reply(body_))
        assert future.done()
        assert client.session_id == session
    client.keep_session = False
    client.call("m")
    desk.answer(reply(told))
    client.get("/x")
    desk.answer(reply(told))
    assert client.session_id == "def"
    client.session_id = None
    client.call("m")
    sent = bytes(desk.sock.sent).decode().lower().split("post ")[1:]
    assert ["x-toto-session-id: abc" in each for each in sent] == [False, True, False, False, False]
    assert ["x-toto-session-id: def" in each for each in sent] == [False, False, True, True, False]


def test_its_observer_hears_of_calls_and_replies() -> None:
    heard: list[Any] = []
    desk = ScriptedDesk()
    client = desk.client(name="ada", observer=lambda *details: heard.append(details))
    futures = [client.call("a"), client.call("b"), client.get("/c"), client.batch({}), client.call("d", timeout=1.0)]
    assert heard == [("call", "ada", name) for name in ("a", "b", "GET /c", "batch", "d")]
    heard.clear()
    error = reply(b'{"error":{"code":1002,"value":"x"}}')
    desk.answer(reply(), error, reply(status=404), reply(b"{}"))
    desk.advance(2.0)
    assert all(future.done() for future in futures)
    outcomes = ["ok", 1002, 404, "ok", "TimeoutError"]
    names = ["a", "b", "GET /c", "batch", "d"]
    assert heard == [("reply", "ada", name, outcome) for name, outcome in zip(names, outcomes, strict=True)]


def test_the_last_replies_are_remembered() -> None:
    desk = ScriptedDesk()
    client = desk.client()
    for number in range(MAX_REPLIES + 5):
        client.keep(Reply(200, body=str(number).encode()))
    assert len(client.replies) == MAX_REPLIES
    assert client.replies[-1].body == str(MAX_REPLIES + 4).encode()
    for _ in range(3):
        client.keep(Reply(200, body=bytes(MAX_REMEMBERED // 2)))
    assert [len(each.body) for each in client.replies] == [MAX_REMEMBERED // 2] * 2
    client.keep(Reply(200, body=bytes(MAX_REMEMBERED * 2)))
    assert len(client.replies) == 1


def test_it_says_where_it_connects_to() -> None:
    desk = ScriptedDesk()
    client = desk.client(name="ada")
    desk.wait(client.connect())
    assert desk.sock.address == ADDRESS
    assert repr(client) == "<Client ada of 10.0.0.1:80>"
