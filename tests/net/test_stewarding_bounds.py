"""How long and how much a client may keep the server waiting."""

import tracemalloc

import pytest

from tests.net.conftest import MakeWorld
from tests.net.conversing import call_bytes, held
from tests.support import Client, World, request_bytes

# ------------------------------------------------------------ timeouts


def test_a_connection_without_a_request_ends_after_idle_timeout(world: MakeWorld) -> None:
    server = world(idle_timeout=10)
    client = server.connect()
    server.advance(9.0)
    assert len(server.stewards) == 1
    server.advance(2.0)
    client.wait_closed()
    assert client.raw == b""


def test_idle_timeout_begins_afresh_with_each_reply(world: MakeWorld) -> None:
    server = world(idle_timeout=10)
    client = server.connect()
    for _ in range(5):
        server.advance(8.0)
        assert client.call("echo", {"a": 1}) == {"result": {"a": 1}}
    server.advance(11.0)
    client.wait_closed()


def test_a_call_that_takes_longer_than_idle_timeout_is_not_idle(world: MakeWorld) -> None:
    server = world(idle_timeout=10, request_timeout=10)
    client = server.connect()
    client.send(call_bytes("hold"))
    handler = held(server)[0]
    server.advance(100.0)
    handler.respond("at last")
    assert client.reply().json() == {"result": "at last"}


@pytest.mark.parametrize("part", [1, 20, -1])
def test_a_request_that_does_not_arrive_in_time_is_answered_with_408(world: MakeWorld, part: int) -> None:
    server = world(request_timeout=10, idle_timeout=100)
    client = server.connect()
    client.send(call_bytes("echo", {"a": 1})[:part])
    server.step(5)
    server.advance(9.0)
    assert len(server.stewards) == 1
    server.advance(2.0)
    assert client.reply().status == 408
    client.wait_closed()
    assert not client.reset


def test_further_bytes_do_not_put_off_request_timeout(world: MakeWorld) -> None:
    server = world(request_timeout=10)
    client = server.connect()
    data = call_bytes("echo", {"a": 1})
    for byte in data[:11]:
        client.send(bytes([byte]))
        server.advance(1.0)
    assert client.reply().status == 408


def test_request_timeout_begins_afresh_with_each_request(world: MakeWorld) -> None:
    server = world(request_timeout=10)
    client = server.connect()
    data = call_bytes("echo", {"a": 1})
    client.send(data[:5])
    for _ in range(6):  # each send ends a request and begins the next, so one has always begun
        server.advance(6.0)
        client.send(data[5:] + data[:5])
        assert client.reply().status == 200
    server.advance(6.0)
    client.send(data[5:])
    assert client.reply().status == 200


def test_request_timeout_begins_when_the_request_before_is_answered(world: MakeWorld) -> None:
    server = world(request_timeout=10)
    client = server.connect()
    data = call_bytes("echo", {"a": 1})
    client.send(call_bytes("hold") + data[:20])
    handler = held(server)[0]
    server.advance(100.0)
    handler.respond("first")
    assert client.reply().json() == {"result": "first"}
    server.advance(9.0)
    client.send(data[20:])
    assert client.reply().json() == {"result": {"a": 1}}


def test_timeouts_of_zero_never_end_anything(world: MakeWorld) -> None:
    server = world(request_timeout=0, idle_timeout=0, write_timeout=0)
    idle, slow, deaf = server.connect(), server.connect(), server.connect()
    slow.send(b"POST")
    deaf.send(call_bytes("fill", {"size": 20 << 20}))
    server.step(20)
    server.advance(1e6)
    assert len(server.stewards) == 3
    assert idle.call("echo", {"a": 1}) == {"result": {"a": 1}}


# ------------------------------------------------------------ clients that do not read


def test_a_client_that_never_reads_is_cut_off_after_write_timeout(world: MakeWorld) -> None:
    server = world(write_timeout=10)
    client = server.connect()
    client.send(call_bytes("fill", {"size": 40 << 20}))
    server.step(20)
    server.advance(9.0)
    assert len(server.stewards) == 1
    for _ in range(20):  # what the kernel still moves, later on a busy machine, counts as reading
        server.advance(11.0)
    assert server.stewards == []
    client.wait_closed()
    assert client.reset
    assert len(client.raw) < 40 << 20


def test_a_client_that_reads_slowly_is_not_cut_off(world: MakeWorld) -> None:
    server = world(write_timeout=10, idle_timeout=10)
    client = server.connect()
    size = 20 << 20
    client.send(call_bytes("fill", {"size": size}))
    server.step(50)
    got = 0
    for _ in range(400):
        server.advance(5.0)
        try:
            got += len(client.sock.recv(1 << 20))
        except BlockingIOError:
            break
        server.step(3)
    assert got > size


def test_a_large_reply_that_nobody_reads_is_kept_once(world: MakeWorld) -> None:
    size = 40 << 20
    server = world(
        {"large": f"TEXT = 'x' * {size}\ndef invoke(handler, parameters):\n    return TEXT\n"}, write_timeout=0
    )
    client = server.connect()
    client.send(call_bytes("large"))
    tracemalloc.start()
    try:
        server.step(50)
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1.1 * size
    assert most < 3.5 * size  # while it is encoded
    assert len(client.reply().json()["result"]) == size


def test_clients_that_do_not_read_do_not_hold_up_the_others(world: MakeWorld) -> None:
    server = world()
    for _ in range(5):
        server.connect().send(call_bytes("fill", {"size": 10 << 20}))
    other = server.connect()
    for number in range(20):
        assert other.call("echo", {"n": number}) == {"result": {"n": number}}


def test_a_stream_goes_no_faster_than_its_client_reads(world: MakeWorld) -> None:
    server = world()
    client = server.connect()
    client.send(call_bytes("pour", {"pieces": 100, "size": 1 << 18}))
    server.step(200)
    module = server.module("pour")
    assert 0 < len(module.sent) < 60
    assert server.stewards[0].remoter.pending <= 1 << 19
    reply = client.reply()
    assert len(module.sent) == 100
    assert len(reply.body) == 100 << 18


@pytest.mark.expects_errors
def test_a_plain_method_cannot_send_more_pieces_than_may_wait(world: MakeWorld) -> None:
    source = (
        "sent = []\n"
        "def invoke(handler, parameters):\n"
        "    for _ in range(1000):\n"
        "        handler.respond_raw(b'x' * (1 << 20), 'text/plain', finish=False)\n"
        "        sent.append(1)\n"
    )
    server = world({"flood": source}, max_stream_buffer=8 << 20)
    client = server.connect()
    client.send(call_bytes("flood"))
    server.step(5)
    assert len(server.module("flood").sent) < 100
    client.wait_closed()
    assert server.connect().call("echo", {"a": 1}) == {"result": {"a": 1}}


# ------------------------------------------------------------ clients that send too much


def sendable(client: Client, data: bytes, world: World) -> int:
    """How many bytes of data the server takes while it does not answer."""
    view = memoryview(data)
    quiet = 0
    while view and quiet < 50:
        try:
            view = view[client.sock.send(view) :]
            quiet = 0
        except BlockingIOError:
            quiet += 1
        world.step()
    return len(data) - len(view)


def test_a_client_is_not_read_on_while_it_owes_the_server_patience(world: MakeWorld) -> None:
    server = world()
    client = server.connect()
    client.send(call_bytes("hold"))
    handler = held(server)[0]
    pipeline = call_bytes("echo", {"n": 1}) * 300_000
    taken = sendable(client, pipeline, server)
    assert taken < len(pipeline)  # the rest waits in the client, whose kernel and ours hold some megabytes
    assert len(server.stewards[0].requestant.requests) < 3000
    handler.respond("now")
    assert client.reply().json() == {"result": "now"}


def test_a_request_that_comes_while_another_is_answered_is_held_to_its_bound(world: MakeWorld) -> None:
    server = world(max_body_size=1 << 20)
    client = server.connect()
    client.send(call_bytes("hold"))
    handler = held(server)[0]
    body = b"[" + b"1," * 400_000 + b"1]"
    client.send(request_bytes("POST", "/echo", body))
    server.step(50)
    handler.respond("now")
    assert client.reply().json() == {"result": "now"}
    assert client.reply().status == 200
