"""Streams of server-sent events: who may have which, what they are told, and that a slow one costs nobody anything."""

import json
from typing import Any

import pytest

from tests.methods import Serve, body
from tests.support import STEPS, Client, World, request_bytes
from tests.wire.test_streaming import parse

INIT = "from totohio.app.methods import events\n"
SEND = body("handler.event_manager.send(parameters['name'], parameters.get('args'))", "return True")
ACCESS = "def allowed(handler, name):\n    return name.startswith('chat.') or name == 'news'\n"
METHODS = {"__init__": INIT, "send": SEND, "access": ACCESS}


class Listener:
    """A client with a stream."""

    def __init__(self, world: World, query: str, **headers: str) -> None:
        self.world = world
        self.client = world.connect()
        self.client.send(request_bytes("GET", f"/events/stream?{query}", headers=headers))
        world.step(4)
        self.client.receive()

    @property
    def text(self) -> bytes:
        """What has come of the body."""
        return self.client.replies[0].body if self.client.replies else b""

    def events(self) -> list[tuple[str, Any]]:
        """What the page was told, without ids."""
        self.world.step(3)
        self.client.receive()
        return [(kind, json.loads(data)) for kind, data, _ in parse(self.text)[0]]

    def last_id(self) -> str:
        self.world.step(3)
        self.client.receive()
        return parse(self.text)[1]


@pytest.fixture
def world(serve: Serve, request: pytest.FixtureRequest) -> World:
    options = getattr(request, "param", {})
    made = serve({"m": "", **METHODS}, event_access_function=None, **options)
    made.server.built.dispatcher.events._access = made.module("access").allowed
    return made


def send(world: World, name: str, args: Any = None) -> None:
    assert world.connect().call("send", {"name": name, "args": args}) == {"result": True}


def options(**found: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("world", [found], indirect=True)


def test_a_page_is_told_what_it_wants_as_it_happens(world: World) -> None:
    listener = Listener(world, "name=chat.*&name=news")
    send(world, "chat.red", {"text": "hé\n"})
    send(world, "other", 1)
    send(world, "news", None)
    assert listener.events() == [("recovered", {"recovered": True}), ("chat.red", {"text": "hé\n"}), ("news", None)]


def test_nothing_between_keeps_a_stream(world: World) -> None:
    listener = Listener(world, "name=news")
    reply = listener.client.replies[0]
    assert reply.status == 200
    assert reply.header("Content-Type") == "text/event-stream"
    assert reply.header("Cache-Control") == "no-cache, no-transform"
    assert reply.header("X-Accel-Buffering") == "no"
    assert reply.header("Content-Encoding") is None
    assert reply.header("ETag") is None


@pytest.mark.parametrize("name", ["secret", "*", "chat*"])
def test_what_the_application_does_not_allow_is_refused(world: World, name: str) -> None:
    for path in ("stream", "poll"):
        reply = world.connect().get(f"/events/{path}?name={name}")
        assert reply.json()["error"]["code"] == 1016


def test_without_a_function_nobody_is_told_anything(serve: Serve) -> None:
    world = serve(METHODS)
    assert world.connect().get("/events/stream?name=news").json()["error"]["code"] == 1016


def test_the_function_is_found_by_its_name(serve: Serve, tmp_path: Any, monkeypatch: Any) -> None:
    (tmp_path / "my_access.py").write_text("def allowed(handler, name):\n    return handler.session is None\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    world = serve(METHODS, event_access_function="my_access.allowed")
    assert Listener(world, "name=anything").events() == [("recovered", {"recovered": True})]


@pytest.mark.parametrize("query", ["", "name=", "name=" + "x" * 300, "&".join(f"name=chat.{n}" for n in range(101))])
def test_what_is_no_name_is_refused(world: World, query: str) -> None:
    assert world.connect().get(f"/events/stream?{query}").json()["error"]["code"] == 1003


def test_a_browser_that_comes_again_gets_what_it_has_missed(world: World) -> None:
    listener = Listener(world, "name=chat.*")
    send(world, "chat.red", 1)
    last_id = listener.last_id()
    listener.client.close()
    for number in (2, 3):
        send(world, "chat.red", number)
        send(world, "news", number)
    again = Listener(world, "name=chat.*", **{"Last-Event-ID": last_id})
    assert again.events() == [("recovered", {"recovered": True}), ("chat.red", 2), ("chat.red", 3)]
    send(world, "chat.red", 4)
    assert again.events()[-1] == ("chat.red", 4)


@options(event_history=1)
def test_a_browser_that_has_missed_too_much_is_told_so(world: World) -> None:
    last_id = Listener(world, "name=news").last_id()
    for number in range(3):
        send(world, "news", number)
    again = Listener(world, f"name=news&last_id={last_id}")
    assert again.events()[0] == ("recovered", {"recovered": False})


def test_a_quiet_stream_is_kept_alive_and_moves_on(world: World) -> None:
    listener = Listener(world, "name=news")
    before = listener.last_id()
    size = len(listener.text)
    send(world, "chat.red", 1)
    world.advance(14.0)
    assert len(listener.text) == size
    world.advance(2.0)
    assert listener.last_id() != before, "it would be sent again what it does not want"
    assert listener.events() == [("recovered", {"recovered": True})]


def test_a_stream_goes_on_for_longer_than_a_call_may_take(serve: Serve) -> None:
    world = serve(METHODS, async_timeout=2.0)
    world.server.built.dispatcher.events._access = lambda handler, name: True
    listener = Listener(world, "name=news")
    for _ in range(20):
        world.advance(5.0)
    send(world, "news", 1)
    assert listener.events()[-1] == ("news", 1)


def test_a_browser_says_where_it_is_and_not_where_its_page_once_was(world: World) -> None:
    first = Listener(world, "name=news").last_id()
    send(world, "news", 1)
    again = Listener(world, f"name=news&last_id={first}")
    assert again.events()[1:] == [("news", 1)]
    third = Listener(world, f"name=news&last_id={first}", **{"Last-Event-ID": again.last_id()})
    assert third.events()[1:] == []


def test_a_stream_cannot_be_part_of_a_batch(world: World) -> None:
    entries = {"a": {"method": "events.stream", "parameters": {"name": "news"}}}
    reply = world.connect().post("/", {"batch": entries}).json()
    assert reply["batch"]["a"]["error"]["code"] == 1000
    assert len(world.server.built.dispatcher.events.teller.subscriptions) == 0


def test_a_server_that_goes_down_says_so_and_ends_its_streams(world: World) -> None:
    listener = Listener(world, "name=news")
    world.server.drain()
    assert listener.events()[-1] == ("close", {})
    assert b"retry: 500\n" in listener.text
    listener.client.wait_closed()
    assert listener.client.replies[0].done
    assert world.doer.done


def test_a_stream_whose_client_has_left_is_gone(world: World) -> None:
    listener = Listener(world, "name=news")
    teller = world.server.built.dispatcher.events.teller
    assert len(teller.subscriptions) == 1
    listener.client.close()
    world.step(4)
    assert len(teller.subscriptions) == len(teller.heartbeats) == 0
    assert not world.server.built.dispatcher.lot.runs


def test_a_head_learns_what_it_would_get(world: World) -> None:
    reply = world.connect().request("HEAD", "/events/stream?name=news")
    assert reply.header("Content-Type") == "text/event-stream"
    assert len(world.server.built.dispatcher.events.teller.subscriptions) == 0


def test_http_1_0_gets_a_stream_that_ends_with_the_connection(world: World) -> None:
    client = world.connect()
    client.send(b"GET /events/stream?name=news HTTP/1.0\r\nHost: test\r\n\r\n")
    world.step(3)
    send(world, "news", 7)
    world.step(3)
    client.receive()
    assert b"event: news\n" in client.raw
    assert b"chunked" not in client.raw


def test_who_streams_a_name_can_be_asked(serve: Serve) -> None:
    watch = body("yield handler.event_stream(parameters['name'], who=parameters['who']).over")
    world = serve({**METHODS, "watch": watch})
    world.server.built.dispatcher.events._access = lambda handler, name: name != "secret"
    streams = [world.connect() for _ in range(3)]
    for client, (name, who) in zip(streams, [("chat.tea", "ada"), ("chat.*", "bob"), ("other", "eve")], strict=True):
        client.send(request_bytes("GET", f"/watch?name={name}&who={who}"))
    Listener(world, "name=chat.tea")  # who does not say who it is
    reply = world.connect().get("/events/presence?name=chat.tea").json()
    assert reply == {"result": {"present": ["ada", "bob"], "complete": True}}
    streams[0].close()
    world.step(4)
    assert world.connect().get("/events/presence?name=chat.tea").json()["result"]["present"] == ["bob"]
    assert world.connect().get("/events/presence?name=secret").json()["error"]["code"] == 1016
    assert world.connect().get("/events/presence?name=chat.*").json()["error"]["code"] == 1003


# ---------------------------------------------------------------- slow clients


def stall(world: World, query: str = "name=news") -> Listener:
    """A client that reads nothing after the beginning."""
    client = world.connect()
    client.send(request_bytes("GET", f"/events/stream?{query}"))
    world.step(4)
    listener = Listener.__new__(Listener)
    listener.world, listener.client = world, client
    return listener


def drain(listener: Listener, end: bytes) -> list[tuple[str, Any]]:
    """Read at last, until something comes; give all that the page was told."""
    client = listener.client
    for _ in range(STEPS):
        client.receive()
        if end in client.raw[-40_000:]:
            return listener.events()
        listener.world.step()
    raise AssertionError(f"{end!r} does not come")


BIG = "x" * 20_000


@options(event_buffer=20, event_history_size=100_000, write_timeout=1000.0)
def test_a_stalled_client_costs_nobody_anything_and_no_more_memory_than_was_said(world: World) -> None:
    slow, quick = stall(world), Listener(world, "name=news")
    teller = world.server.built.dispatcher.events.teller
    [steward] = [each for each in world.stewards if each.remoter.ca == slow.client.sock.getsockname()]
    for number in range(400):
        send(world, "news", [number, BIG])
        if number % 20 == 0:
            assert quick.events()[-1] == ("news", [number, BIG])
        assert steward.remoter.pending < 3_000_000
        assert all(len(each) <= 21 for each in teller.subscriptions.everyone())
        assert teller.history.size <= 100_000
    assert [args[0] for kind, args in quick.events() if kind == "news"] == list(range(400))
    found = drain(slow, b"[399,")
    kinds = [kind for kind, _ in found]
    assert kinds.count("gap") >= 1, "it is told that some are missing"
    numbers = [args[0] for kind, args in found if kind == "news"]
    assert numbers == sorted(set(numbers))
    assert numbers[-20:] == list(range(380, 400)), "the last that were kept for it come"
    gap = kinds.index("gap")
    assert numbers[: gap - 1] == list(range(gap - 1)), "nothing is missing where it is not said"


@options(event_buffer=5, event_overflow="close", write_timeout=1000.0)
def test_a_stalled_client_may_be_closed_instead_and_gets_all_when_it_comes_again(world: World) -> None:
    slow = stall(world)
    for number in range(400):
        send(world, "news", [number, BIG])
    found = drain(slow, b"event: close")
    assert [kind for kind, _ in found[-2:]] == ["gap", "close"]
    last = [args[0] for kind, args in found if kind == "news"][-1]
    again = Listener(world, f"name=news&last_id={slow.last_id()}")
    assert again.events()[0] == ("recovered", {"recovered": last >= 300}), "of each name the last hundred are kept"
    if last >= 300:
        assert again.events()[1][1][0] == last + 1


def test_a_client_that_never_reads_is_closed_in_the_end(world: World) -> None:
    stall(world)
    for number in range(300):
        send(world, "news", [number, BIG])
    for _ in range(20):  # what the kernel still moves, later on a busy machine, counts as reading
        world.advance(31.0)
    assert len(world.server.built.dispatcher.events.teller.subscriptions) == 0


# ---------------------------------------------------------------- streams of a method's own


def test_a_generator_streams_what_it_likes(serve: Serve) -> None:
    method = body(
        "stream = handler.stream()",
        "yield stream.send({'n': 1})",
        "yield 1.0",
        "yield stream.send('two\\nlines', event='text', id='7', retry=2.0)",
    )
    world = serve({"m": method})
    client = world.connect()
    client.send(request_bytes("GET", "/m"))
    world.step(3)
    world.advance(1.1)
    reply = client.reply()
    assert parse(reply.body) == ([("message", '{"n":1}', ""), ("text", "two\nlines", "7")], "7")
    assert b"retry: 2000\n" in reply.body


def test_a_generator_sends_no_faster_than_its_client_reads(serve: Serve) -> None:
    method = (
        "SENT = []\ndef invoke(handler, parameters):\n    stream = handler.stream()\n    for n in range(2000):\n"
        "        yield stream.send('x' * 10000)\n        SENT.append(n)\n"
    )
    world = serve({"m": method}, write_timeout=1000.0)
    client = world.connect()
    client.send(request_bytes("GET", "/m"))
    world.step(400)
    assert 0 < len(world.module("m").SENT) < 1500
    assert len(parse(client.reply().body)[0]) == 2000


def test_a_quiet_method_s_stream_is_kept_alive(serve: Serve) -> None:
    world = serve({"m": body("handler.stream()", "yield 1000.0")})
    client = world.connect()
    client.send(request_bytes("GET", "/m"))
    world.step(3)
    world.advance(16.0)
    client.receive()
    assert client.replies[0].body == b":\n\n"


def test_a_method_whose_client_has_left_ends(serve: Serve) -> None:
    method = (
        "ENDED = []\ndef invoke(handler, parameters):\n    stream = handler.stream()\n    try:\n        while True:\n"
    )
    method += "            yield stream.send('tick')\n            yield 1.0\n    finally:\n        ENDED.append(1)\n"
    world = serve({"m": method})
    client: Client = world.connect()
    client.send(request_bytes("GET", "/m"))
    world.step(3)
    client.close()
    world.step(3)
    world.advance(1.1)
    assert world.module("m").ENDED == [1]


@pytest.mark.expects_errors
@pytest.mark.parametrize("what", ["'x', event='a\\nb'", "'x', id='a\\0b'", "object()"])
def test_what_cannot_be_sent_ends_the_stream(serve: Serve, what: str) -> None:
    world = serve({"m": body("stream = handler.stream()", f"yield stream.send({what})")})
    client = world.connect()
    client.send(request_bytes("GET", "/m"))
    client.wait_closed()
    assert not client.replies[0].done or b"\n\n" not in client.replies[0].body
