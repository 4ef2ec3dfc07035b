"""Batches as a client sees them: WIRE.md, "Batch"."""

from typing import Any

import msgpack
import pytest

from tests.batches import METHODS, batch, entry, send
from tests.methods import ECHO, Serve, asynchronous, body, call, coroutine, in_thread
from tests.support import World


@pytest.fixture
def world(serve: Serve) -> World:
    return serve(METHODS)


# ---------------------------------------------------------------- entries and their replies


def test_each_entry_has_its_result_or_error(world: World) -> None:
    entries = {"b": entry("echo", x=1), "a": entry("bad"), "c": entry("nope"), "\u4e2d": entry("note")}
    assert batch(world, entries) == {
        "a": {"error": {"code": 4242, "value": "bad"}},
        "b": {"result": {"x": 1}},
        "c": {"error": {"code": 1001, "value": "Cannot call 'nope'."}},
        "\u4e2d": {"result": None},
    }


def test_the_replies_stand_in_sorted_order(world: World) -> None:
    assert list(batch(world, {id: entry("echo") for id in ("b", "10", "a", "9")})) == ["10", "9", "a", "b"]


@pytest.mark.parametrize("path", ["/", "/echo", "/no/such"])
def test_a_batch_beats_path_and_method(world: World, path: str) -> None:
    reply = world.connect().post(path, {"batch": {"a": entry("echo", x=1)}, "method": "bad", "parameters": {"y": 2}})
    assert reply.json() == {"batch": {"a": {"result": {"x": 1}}}}


def test_an_empty_batch_has_an_empty_reply(world: World) -> None:
    assert batch(world, {}) == {}


@pytest.mark.parametrize("calls", [None, [], [{"method": "echo"}], "x", 5, True])
def test_a_batch_that_is_no_object_is_error_1011(world: World, calls: Any) -> None:
    assert world.connect().post("/", {"batch": calls}).json()["error"]["code"] == 1011


@pytest.mark.parametrize(
    "more", [{"mode": "both"}, {"mode": None}, {"mode": ["parallel"]}, {"atomic": 1}, {"atomic": None}]
)
def test_an_unknown_mode_is_error_1011(world: World, more: Any) -> None:
    assert world.connect().post("/", {"batch": {"a": entry("echo")}, **more}).json()["error"]["code"] == 1011


@pytest.mark.parametrize(
    ("malformed", "code"),
    [
        (None, 1011), ([1], 1011), ("echo", 1011), (5, 1011), ({"method": 5}, 1011), ({"method": ["echo"]}, 1011),
        ({}, 1002), ({"parameters": {}}, 1002), ({"method": None}, 1002), ({"method": ""}, 1001),
        ({"method": "__init__"}, 1001),
    ],
)  # fmt: skip
def test_a_malformed_entry_is_that_entrys_error(world: World, malformed: Any, code: int) -> None:
    replies = batch(world, {"a": malformed, "b": entry("echo", x=1)})
    assert replies["a"]["error"]["code"] == code
    assert replies["b"] == {"result": {"x": 1}}


def test_absent_parameters_are_an_object_and_null_is_none(serve: Serve) -> None:
    world = serve({"kind": body("return type(parameters).__name__")})
    entries = {
        "a": {"method": "kind"},
        "b": {"method": "kind", "parameters": None},
        "c": {"method": "kind", "parameters": []},
    }
    assert batch(world, entries) == {"a": {"result": "dict"}, "b": {"result": "NoneType"}, "c": {"result": "list"}}


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}])
def test_every_result_is_sent_none_as_null(serve: Serve, value: Any) -> None:
    methods = {
        "m": body(f"return {value!r}"),
        "a": asynchronous(f"handler.respond({value!r})"),
        "g": body("yield", f"return {value!r}"),
    }
    entries = {name: entry(name) for name in methods}
    assert batch(serve(methods), entries) == {name: {"result": value} for name in methods}


@pytest.mark.expects_errors
def test_whatever_an_entry_raises_is_its_own_error(serve: Serve) -> None:
    kinds = ("ValueError", "SystemExit", "KeyboardInterrupt", "RecursionError", "MemoryError", "GeneratorExit")
    methods = {kind: body(f"raise {kind}('x')") for kind in kinds}
    methods |= {f"{kind}_late": body("yield 0.1", f"raise {kind}('x')") for kind in kinds}
    replies = batch(
        serve({**methods, "echo": ECHO}), {**{name: entry(name) for name in methods}, "z": entry("echo", x=1)}
    )
    assert {name: replies[name] for name in methods} == {
        name: {"error": {"code": 1000, "value": "x"}} for name in methods
    }
    assert replies["z"] == {"result": {"x": 1}}


@pytest.mark.parametrize("expression", ["object()", "{'x': b'bytes'}", "float('nan')", "'\\ud800'"])
@pytest.mark.parametrize("before", ["pass", "yield 0.1", "handler.respond({})"])
def test_an_unserialisable_result_is_that_entrys_error(serve: Serve, before: str, expression: str) -> None:
    before = before.format(expression)
    world = serve({"m": body(before, f"return {expression}"), "echo": ECHO})
    replies = batch(world, {"a": entry("echo", x=1), "m": entry("m"), "z": entry("echo", x=2)})
    assert replies["m"]["error"]["code"] == 1000
    assert (replies["a"], replies["z"]) == ({"result": {"x": 1}}, {"result": {"x": 2}})


@pytest.mark.parametrize(
    "source",
    [
        body("return b'x'", marks="@raw_response"),
        body("return 1", marks="@jsonp"),
        body("handler.respond_raw(b'x', 'text/plain')"),
        body("handler.respond_raw(b'x', 'text/plain', finish=False)"),
        body("yield 0.1", "handler.respond_raw(b'x', 'text/plain')"),
        body("handler.redirect('/x')"),
        body("raise TotoException(1, 'x')", marks="@error_redirect({1: '/x'})"),
        body("yield 0.1", "raise TotoException(1, 'x')", marks="@error_redirect({1: '/x'})"),
    ],
)
def test_redirects_and_raw_replies_are_that_entrys_error(serve: Serve, source: str) -> None:
    replies = batch(serve({"m": source, "echo": ECHO}), {"m": entry("m", jsonp="cb"), "z": entry("echo", x=1)})
    assert list(replies["m"]) == ["error"]
    assert replies["z"] == {"result": {"x": 1}}


@pytest.mark.parametrize("mark", ["authenticated", "anonymous_session"])
def test_marks_count_for_the_entry_alone(serve: Serve, mark: str) -> None:
    world = serve(
        {"m": body("return 1", marks=f"@{mark}"), "r": body("return 1", marks="@requires('a')"), "echo": ECHO},
        database="none",
    )
    replies = batch(world, {"a": entry("m"), "b": entry("echo", x=1), "c": entry("r", b=1), "d": entry("r", a=1)})
    assert [replies[id].get("error", {}).get("code") for id in "abcd"] == [1004, None, 1003, None]


def test_an_entrys_handler_is_a_proxy_of_the_requests(serve: Serve) -> None:
    source = body(
        "handler.set_header('X-Key', handler.request_key)",
        "handler.seen = getattr(handler, 'seen', 0) + 1",
        "names = [type(handler).__name__, type(handler.handler).__name__]",
        "return [*names, handler.request_key, handler.request.path, handler.body['mode'], handler.handler.seen]",
    )
    reply = serve({"m": source}).connect().post("/", {"batch": {"a": entry("m"), "b": entry("m")}, "mode": "sequence"})
    names = ["BatchHandlerProxy", "TotoHandler"]
    assert reply.json() == {
        "batch": {
            "a": {"result": [*names, "a", "/", "sequence", 1]},
            "b": {"result": [*names, "b", "/", "sequence", 2]},
        }
    }
    assert reply.header("X-Key") == "b"


def test_an_entry_that_sets_a_type_which_cannot_be_sent_spoils_nothing(serve: Serve) -> None:
    source = body("yield 0.1", "handler.response_type = 'a\\r\\nb'", "return 1")
    world = serve({"m": source, "echo": ECHO})
    assert world.connect().post("/", {"batch": {"a": entry("m")}}).json() == {"batch": {"a": {"result": 1}}}
    assert call(world, "echo", {"x": 1}) == {"result": {"x": 1}}


def test_msgpack_batches_are_answered_in_kind(serve: Serve) -> None:
    client = serve({"echo": ECHO}, msgpack_enabled=True).connect()
    sent = msgpack.packb({"batch": {"a": entry("echo", x=b"\xff")}})
    reply = client.post("/", sent, headers={"Content-Type": "application/msgpack"})
    assert msgpack.unpackb(reply.body) == {"batch": {"a": {"result": {"x": b"\xff"}}}}


# ---------------------------------------------------------------- order


def test_entries_start_in_sorted_order_and_one_that_waits_finishes_before_the_next(world: World) -> None:
    entries = {"c": entry("note"), "a": entry("slow"), "b": entry("slow"), "d": entry("note")}
    assert batch(world, entries)["a"] == {"result": None}
    assert world.module("log").entries == ["a", "a ends", "b", "b ends", "c", "d"]


def test_asynchronous_entries_run_together(world: World) -> None:
    client = send(world, {"a": entry("later"), "b": entry("later"), "c": entry("note"), "d": entry("later")})
    log = world.module("log")
    assert log.entries == ["a", "b", "c", "d"]
    client.receive()
    assert client.raw == b""
    for proxy in reversed(log.waiting):
        proxy.respond(proxy.request_key)
    assert client.reply().json() == {
        "batch": {"a": {"result": "a"}, "b": {"result": "b"}, "c": {"result": None}, "d": {"result": "d"}}
    }


def test_an_asynchronous_generator_finishes_before_the_next_starts(serve: Serve) -> None:
    source = asynchronous(
        "from . import log; log.entries.append(handler.request_key)",
        "yield 1.0",
        "log.entries.append(handler.request_key + ' ends')",
        "log.waiting.append(handler)",
    )
    world = serve({**METHODS, "both": source})
    client = send(world, {"a": entry("both"), "b": entry("note")})
    world.advance(1.1)
    assert world.module("log").entries == ["a", "a ends", "b"]
    world.module("log").waiting[0].respond(5)
    assert client.reply().json()["batch"]["a"] == {"result": 5}


@pytest.mark.parametrize("make", [body, coroutine])
def test_in_parallel_those_that_wait_run_together(serve: Serve, make: Any) -> None:
    pause = "yield" if make is body else "await sleep"
    note = "log.entries.append(handler.request_key)"
    source = make("from . import log", note, f"{pause}(parameters['seconds'])", note, "return parameters['seconds']")
    world = serve({**METHODS, "m": source})
    entries = {"a": entry("m", seconds=3.0), "b": entry("m", seconds=1.0), "c": entry("m", seconds=2.0)}
    client = send(world, entries, mode="parallel")
    for _ in range(3):
        world.advance(1.1)
    assert world.module("log").entries == ["a", "b", "c", "b", "c", "a"]
    assert client.reply().json() == {"batch": {id: {"result": entries[id]["parameters"]["seconds"]} for id in "abc"}}


def test_entries_may_respond_from_threads(serve: Serve) -> None:
    methods = {
        "t": in_thread("handler.respond(parameters['n'])"),
        "e": in_thread("handler.respond(error=TotoException(7, 'x'))"),
    }
    entries = {str(n): entry("t", n=n) for n in range(50)} | {"e": entry("e")}
    replies = batch(serve(methods), entries)
    assert replies.pop("e") == {"error": {"code": 7, "value": "x"}}
    assert replies == {str(n): {"result": n} for n in range(50)}


def test_only_the_first_reply_of_an_entry_counts(serve: Serve) -> None:
    lines = ("handler.respond(1)", "handler.respond(error=TotoException(2, ''))", "return 3")
    methods = {"a": body(*lines), "b": asynchronous(*lines), "c": in_thread(*lines), "d": body("yield", *lines)}
    assert batch(serve(methods), {name: entry(name) for name in methods}) == {name: {"result": 1} for name in methods}


def test_an_entry_with_result_and_error_is_an_error(serve: Serve) -> None:
    world = serve({"m": in_thread("handler.respond({'r': 1}, TotoException(4444, 'both'))")})
    assert batch(world, {"a": entry("m")}) == {"a": {"error": {"code": 4444, "value": "both"}}}


@pytest.mark.expects_errors
def test_an_entry_that_fails_while_it_is_packed_spoils_only_itself(serve: Serve) -> None:
    broken = (
        "from collections.abc import Mapping\n"
        "class Broken(Mapping):\n"
        "    def __getitem__(self, key):\n"
        "        raise RuntimeError('no')\n"
        "    def __iter__(self):\n"
        "        return iter(['a'])\n"
        "    def __len__(self):\n"
        "        return 1\n"
        "def invoke(handler, parameters):\n"
        "    return Broken()\n"
    )
    client = serve({"echo": body("return parameters"), "broken": broken}).connect()
    replies = client.post("/", {"batch": {"a": {"method": "broken"}, "b": {"method": "echo"}}}).json()["batch"]
    assert replies["a"]["error"]["code"] == 1000
    assert replies["b"] == {"result": {}}


def test_an_entry_nested_so_deeply_that_it_only_fits_alone_spoils_only_itself(serve: Serve) -> None:
    deep = body("value = []", "for _ in range(parameters['depth']):", "    value = [value]", "return value")
    client = serve({"deep": deep, "echo": ECHO}).connect()
    low, high = 1, 1_000_000
    while high - low > 1:  # the deepest that can be sent by itself
        middle = (low + high) // 2
        low, high = (middle, high) if "result" in client.call("deep", {"depth": middle}) else (low, middle)
    for depth in range(low - 4, low + 4):
        replies = client.post("/", {"batch": {"a": entry("deep", depth=depth), "b": entry("echo", x=1)}})
        assert b'"b":{"result":{"x":1}}' in replies.body


def test_an_entry_cannot_change_the_type_of_the_whole_reply(serve: Serve) -> None:
    client = serve({"paint": body("handler.response_type = 'text/plain'; return 1")}).connect()
    reply = client.post("/", {"batch": {"a": {"method": "paint"}}})
    assert reply.header("content-type") == "application/json"
    assert reply.json() == {"batch": {"a": {"result": 1}}}
