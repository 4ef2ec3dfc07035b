"""What is called around calls: before and after handlers, and when a client leaves."""

import json

import pytest

from tests.methods import ECHO, Serve, asynchronous, body, call
from tests.support import request_bytes
from totohio import TotoHandler

# ---------------------------------------------------------------- before and after


def test_before_and_after_handlers_frame_every_call_with_one_transaction_id(serve: Serve, hooks: None) -> None:
    seen: list[tuple[str, ...]] = []
    TotoHandler.set_before_handler(lambda handler, id, name: seen.append(("before", id, name)))
    TotoHandler.set_after_handler(lambda handler, id: seen.append(("after", id)))
    slow = body("yield 0.5", "return 1")
    client = serve({"a.m": ECHO, "slow": slow, "bad": body("raise TotoException(1, '')")}).connect()
    client.call("a.m")
    client.post("/a/m", {})
    client.call("slow")
    client.call("bad")
    client.call("nope")
    client.post("/", {"batch": {"x": {"method": "a.m"}, "y": {"method": "slow"}}})
    names = ["a.m", "a.m", "slow", "bad", "nope", "<batch>"]
    assert [entry[2] for entry in seen if entry[0] == "before"] == names
    assert [entry[0] for entry in seen] == ["before", "after"] * len(names)
    ids = [entry[1] for entry in seen]
    assert ids[::2] == ids[1::2]
    assert len(set(ids)) == len(names)
    assert all(len(id) == 22 for id in ids)


def test_what_is_no_call_is_framed_by_neither(serve: Serve, hooks: None) -> None:
    seen: list[object] = []
    TotoHandler.set_before_handler(lambda *arguments: seen.append(arguments))
    TotoHandler.set_after_handler(lambda *arguments: seen.append(arguments))
    client = serve({"m": ECHO}).connect()
    client.post("/", b"{")
    client.post("/", {})
    client.get("/no-path")
    client.request("OPTIONS", "/m")
    assert seen == []


def test_the_transaction_id_is_the_handlers(serve: Serve, hooks: None) -> None:
    seen: list[str] = []
    TotoHandler.set_before_handler(lambda handler, id, name: seen.append(id))
    world = serve({"m": body("return handler.transaction_id")})
    assert call(world) == {"result": seen[0]}
    reply = world.connect().post("/", {"batch": {"x": {"method": "m"}, "y": {"method": "m"}}}).json()
    assert reply["batch"] == {"x": {"result": seen[1]}, "y": {"result": seen[1]}}


@pytest.mark.expects_errors
def test_what_a_before_handler_raises_becomes_the_reply(serve: Serve, hooks: None) -> None:
    after: list[str] = []

    def refuse(handler: TotoHandler, id: str, name: str) -> None:
        raise RuntimeError(f"no {name}")

    TotoHandler.set_before_handler(refuse)
    TotoHandler.set_after_handler(lambda handler, id: after.append(id))
    world = serve({"m": body("called.append(1)") + "called = []\n"})
    assert call(world) == {"error": {"code": 1000, "value": "no m"}}
    assert world.connect().post("/", {"batch": {"x": {"method": "m"}}}).json()["error"]["value"] == "no <batch>"
    assert world.module("m").called == []
    assert len(after) == 2


@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
@pytest.mark.expects_errors
def test_an_after_handler_that_fails_harms_nobody(serve: Serve, hooks: None, error: type[BaseException]) -> None:
    def fail(handler: TotoHandler, id: str) -> None:
        raise error("after")

    TotoHandler.set_after_handler(fail)
    client = serve({"m": ECHO, "slow": body("yield 0.5", "return 1")}).connect()
    for _ in range(2):
        assert client.call("m", {"x": 1}) == {"result": {"x": 1}}
        assert client.call("slow") == {"result": 1}


# ---------------------------------------------------------------- on_connection_close

CLOSE = "\ndef on_connection_close(handler):\n    closed.append(handler)\nclosed = []\n"


@pytest.mark.parametrize("lines", [("pass",), ("yield 1e6",), ("yield Future()",)])
def test_a_method_is_told_once_when_its_client_leaves(serve: Serve, lines: tuple[str, ...]) -> None:
    world = serve({"m": asynchronous(*lines) + CLOSE, "echo": ECHO})
    client = world.connect()
    client.send(request_bytes("POST", "/m", b"{}"))
    world.step(3)
    assert world.module("m").closed == []
    client.close()
    world.step(5)
    assert len(world.module("m").closed) == 1
    world.advance(4000.0)
    world.step(5)
    assert len(world.module("m").closed) == 1
    assert call(world, "echo", {"x": 1}) == {"result": {"x": 1}}


def test_a_method_that_has_replied_is_not_told(serve: Serve) -> None:
    world = serve({"m": body("return 1") + CLOSE, "slow": body("yield 0.1", "return 1") + CLOSE})
    client = world.connect()
    client.call("m")
    client.call("slow")
    client.close()
    world.step(5)
    assert world.module("m").closed == world.module("slow").closed == []


def test_entries_of_a_batch_are_told_with_their_own_handlers(serve: Serve) -> None:
    world = serve({"m": asynchronous("pass") + CLOSE, "slow": body("yield 1e6") + CLOSE, "echo": ECHO})
    client = world.connect()
    batch = {"a": {"method": "m"}, "b": {"method": "echo"}, "c": {"method": "slow"}, "d": {"method": "m"}}
    client.send(request_bytes("POST", "/", json.dumps({"batch": batch}).encode()))
    world.step(3)
    client.close()
    world.step(5)
    assert [proxy.request_key for proxy in world.module("m").closed] == ["a"]  # d waits for c
    assert [proxy.request_key for proxy in world.module("slow").closed] == ["c"]


@pytest.mark.expects_errors
def test_an_on_connection_close_that_fails_harms_nobody(serve: Serve) -> None:
    source = asynchronous("pass") + "\ndef on_connection_close(handler):\n    raise SystemExit('no')\n"
    world = serve({"m": source, "echo": ECHO})
    client = world.connect()
    client.send(request_bytes("POST", "/m", b"{}"))
    world.step(3)
    client.close()
    world.step(5)
    assert call(world, "echo", {"x": 1}) == {"result": {"x": 1}}


def test_a_result_after_the_client_left_is_dropped(serve: Serve, hooks: None) -> None:
    after: list[str] = []
    TotoHandler.set_after_handler(lambda handler, id: after.append(handler.name))
    methods = {
        "slow": body("yield 5.0", "ended.append(1)", "return 1") + "ended = []\n",
        "wait": asynchronous("handlers.append(handler)") + "handlers = []\n",
        "echo": ECHO,
    }
    world = serve(methods)
    for name in ("slow", "wait"):
        client = world.connect()
        client.send(request_bytes("POST", f"/{name}", b"{}"))
        world.step(3)
        client.abort()
        world.step(5)
    world.module("wait").handlers[0].respond("late")
    world.module("wait").handlers[0].respond(error=ValueError("later"))
    world.advance(6.0)
    assert world.module("slow").ended == [1]  # what has begun is not cut short
    assert sorted(after) == ["slow", "wait"]
    assert not world.server.built.dispatcher.waits.due() < 1e300  # nothing of them is kept
    assert call(world, "echo", {"x": 1}) == {"result": {"x": 1}}


def test_a_call_whose_client_first_stops_sending_and_then_leaves_ends_with_it(serve: Serve, hooks: None) -> None:
    after: list[str] = []
    TotoHandler.set_after_handler(lambda handler, id: after.append(handler.name))
    world = serve({"m": asynchronous("pass") + CLOSE}, idle_timeout=75.0, async_timeout=3600.0)
    client = world.connect()
    client.send(request_bytes("POST", "/m", b"{}"))
    client.shutdown()
    world.step(5)
    assert (len(world.module("m").closed), after) == (1, [])
    world.advance(80.0)  # nobody knows whether the client still reads; it gets the time of an idle one
    client.wait_closed()
    assert (len(world.module("m").closed), after) == (1, ["m"])


def test_an_error_for_a_client_that_left_is_dropped(serve: Serve) -> None:
    source = body("yield 5.0", "ended.append(1)", "raise TotoException(4242, 'x')") + "ended = []\n"
    world = serve({"m": source})
    client = world.connect()
    client.send(request_bytes("POST", "/m", b"{}"))
    world.step(3)
    client.abort()
    world.step(3)
    world.advance(6.0)
    assert world.module("m").ended == [1]


def test_a_client_that_only_closed_its_sending_side_gets_its_reply(serve: Serve) -> None:
    world = serve(
        {"slow": body("yield 5.0", "return 1"), "wait": asynchronous("handlers.append(handler)") + "handlers = []\n"}
    )
    clients = {}
    for name in ("slow", "wait"):
        clients[name] = world.connect()
        clients[name].send(request_bytes("POST", f"/{name}", b"{}"))
        clients[name].shutdown()
        world.step(3)
    world.module("wait").handlers[0].respond("late")
    world.advance(6.0)
    assert clients["wait"].reply().json() == {"result": "late"}
    assert clients["slow"].reply().json() == {"result": 1}
