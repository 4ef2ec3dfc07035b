"""Clients that leave: what is still answered, who is told, and that nothing is left behind."""

import pytest

from tests.net.conftest import MakeWorld
from tests.net.conversing import MANY, await_count, call_bytes, held, replies


@pytest.mark.parametrize("name", ["echo", "nap", "fill"])
def test_a_client_that_closes_its_sending_side_still_gets_its_reply(world: MakeWorld, name: str) -> None:
    server = world()
    client = server.connect()
    client.send(call_bytes(name, {"seconds": 1.0, "size": 4 << 20}))
    client.shutdown()
    reply = client.reply()
    assert reply.status == 200
    client.wait_closed()
    assert not client.reset
    await_count(server, 0)


def test_a_pipeline_whose_client_has_closed_its_sending_side_is_answered_whole(world: MakeWorld) -> None:
    client = world().connect()
    client.send(call_bytes("nap", {"seconds": 0.25}) + call_bytes("echo", {"n": 1}) * 100)
    client.shutdown()
    assert [reply.status for reply in replies(client, 101)] == [200] * 101
    client.wait_closed()


def test_a_method_is_told_when_the_client_sends_no_more_and_its_reply_still_arrives(world: MakeWorld) -> None:
    server = world()
    client = server.connect()
    client.send(call_bytes("hold"))
    handler = held(server)[0]
    client.shutdown()
    server.step(20)
    assert server.module("hold").closed == [handler]
    handler.respond("after all")
    assert client.reply().json() == {"result": "after all"}
    client.wait_closed()
    assert server.module("hold").closed == [handler]


@pytest.mark.parametrize("leave", ["close", "abort"])
def test_a_client_that_leaves_while_its_call_is_held_ends_only_that_connection(world: MakeWorld, leave: str) -> None:
    server = world()
    client, other = server.connect(), server.connect()
    client.send(call_bytes("hold"))
    other.send(call_bytes("hold"))
    handler = held(server, 2)[0]
    getattr(client, leave)()
    server.step(20)
    closed = server.module("hold").closed
    assert len(closed) == 1
    handler.respond("nobody is there")
    server.module("hold").held[1].respond("for you")
    assert other.reply().json() == {"result": "for you"}
    await_count(server, 1)


def test_a_reset_in_the_middle_of_a_reply_ends_only_that_connection(world: MakeWorld) -> None:
    server = world()
    client, other = server.connect(), server.connect()
    client.send(call_bytes("fill", {"size": 20 << 20}))
    server.step(50)
    assert len(server.stewards) == 2
    client.abort()
    await_count(server, 1)
    assert other.call("echo", {"a": 1}) == {"result": {"a": 1}}


def test_a_method_that_streams_ends_when_its_client_leaves(world: MakeWorld) -> None:
    server = world()
    client = server.connect()
    client.send(call_bytes("pour", {"pieces": 10_000, "size": 65536}))
    server.step(100)
    module = server.module("pour")
    assert 0 < len(module.sent) < 10_000
    client.abort()
    for _ in range(MANY):
        if module.ends:
            break
        server.step()
    assert module.ends == [1]
    assert len(module.sent) < 10_000


def test_a_client_that_leaves_in_the_middle_of_a_request_leaves_nothing_behind(world: MakeWorld) -> None:
    server = world()
    for data in (b"", b"POST", call_bytes("echo")[:-1]):
        client = server.connect()
        client.send(data)
        server.step(5)
        client.abort()
    await_count(server, 0)


def test_a_request_that_ends_half_way_is_told_so(world: MakeWorld) -> None:
    server = world()
    client = server.connect()
    client.send(call_bytes("echo", {"a": 1})[:-1])
    client.shutdown()
    assert client.reply().status == 400
    client.wait_closed()
    await_count(server, 0)


@pytest.mark.expects_errors
@pytest.mark.parametrize("kind", ["ZeroDivisionError", "SystemExit", "KeyboardInterrupt"])
def test_a_fault_in_on_connection_close_ends_nothing_else(world: MakeWorld, kind: str) -> None:
    source = (
        "from totohio import asynchronous\n"
        "@asynchronous\ndef invoke(handler, parameters):\n    pass\n"
        f"def on_connection_close(handler):\n    raise {kind}\n"
    )
    server = world({"faulty": source})
    client = server.connect()
    client.send(call_bytes("faulty"))
    server.step(10)
    client.abort()
    await_count(server, 0)
    assert server.connect().call("echo", {"a": 1}) == {"result": {"a": 1}}


@pytest.mark.parametrize("leave", ["close", "abort"])
def test_a_client_that_leaves_with_another_request_behind_its_held_call_is_noticed(
    world: MakeWorld, leave: str
) -> None:
    server = world()
    client = server.connect()
    client.send(call_bytes("hold") + call_bytes("hold"))
    held(server)
    server.step(5)
    getattr(client, leave)()
    server.step(20)
    assert len(server.module("hold").closed) == 1
    if leave == "abort":
        await_count(server, 0)


def test_a_reset_after_the_end_of_sending_closes_the_connection(world: MakeWorld) -> None:
    server = world()
    client = server.connect()
    client.send(call_bytes("hold"))
    held(server)
    client.shutdown()
    server.step(5)
    client.abort()
    await_count(server, 0)


def test_what_follows_a_held_call_is_answered_when_it_is(world: MakeWorld) -> None:
    server = world()
    client = server.connect()
    client.send(call_bytes("hold") + call_bytes("echo", {"n": 1}) + call_bytes("echo", {"n": 2}))
    handler = held(server)[0]
    server.step(5)
    handler.respond("first")
    assert [reply.json()["result"] for reply in replies(client, 3)] == ["first", {"n": 1}, {"n": 2}]


def test_peers_that_have_left_a_held_call_make_room_for_new_ones(world: MakeWorld) -> None:
    server = world(max_connections=2)
    for _ in range(2):
        client = server.connect()
        client.send(call_bytes("hold"))
        server.step(5)
        client.close()
    server.step(10)
    server.advance(1.0)
    assert server.connect().request("POST", "/echo", b"{}").status == 200
