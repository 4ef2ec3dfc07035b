"""Streams that are told of the same event send the same bytes; each is nevertheless a reply of its own."""

import re

from tests.methods import Serve, body
from tests.support import Client, World, request_bytes

METHODS = {
    "watch": body("return handler.event_stream('*', parameters.get('last_id')).over"),
    "fire": body("handler.event_manager.send('news', parameters)"),
}
IDLE = 10.0  # seconds


def watch(world: World, version: bytes = b"1.1") -> Client:
    client = world.connect()
    client.send(request_bytes("POST", "/watch", b"{}").replace(b"HTTP/1.1", b"HTTP/" + version))
    world.step(3)
    client.receive()
    return client


def told(world: World, client: Client, number: int) -> bytes:
    """What a client gets when an event is sent."""
    before = len(client.raw)
    world.connect().post("/fire", {"n": number})
    world.step(3)
    client.receive()
    return client.raw[before:]


def test_each_chunk_holds_one_message_with_the_id_of_the_event(serve: Serve) -> None:
    world = serve(METHODS)
    one, other = watch(world), watch(world)
    chunk = told(world, one, 1)
    other.receive()
    assert other.raw.endswith(chunk)
    size, _, rest = chunk.partition(b"\r\n")
    message = rest.removesuffix(b"\r\n")
    assert int(size, 16) == len(message)
    assert message.startswith(b"event: news\nid: ")
    assert message.endswith(b'\ndata: {"n":1}\n\n')


def test_a_client_of_http_1_0_gets_no_chunks(serve: Serve) -> None:
    world = serve(METHODS)
    new, old = watch(world), watch(world, b"1.0")
    chunk = told(world, new, 1)
    old.receive()
    assert old.raw.endswith(b"\n\n" + chunk.partition(b"\r\n")[2].removesuffix(b"\r\n"))


def test_events_that_wait_together_come_in_order(serve: Serve) -> None:
    world = serve(METHODS)
    client = watch(world)
    senders = [world.connect() for _ in range(3)]
    for number, sender in enumerate(senders):
        sender.send(request_bytes("POST", "/fire", b'{"n":%d}' % number))
    world.step(4)
    client.receive()
    assert re.findall(rb'\ndata: {"n":(\d)}\n\n', client.replies[-1].body) == [b"0", b"1", b"2"]


def test_a_client_that_leaves_meanwhile_harms_no_other(serve: Serve) -> None:
    world = serve(METHODS)
    gone, here = watch(world), watch(world)
    gone.abort()
    for number in range(3):
        assert b'data: {"n":%d}\n\n' % number in told(world, here, number)
    assert len([steward for steward in world.stewards if steward.waited]) == 1


def test_a_client_that_reads_late_gets_all_of_it(serve: Serve) -> None:
    world = serve({**METHODS, "fire": body("handler.event_manager.send('news', [parameters['n'], 'x' * 100_000])")})
    client = watch(world)
    sender = world.connect()
    for number in range(60):
        sender.post("/fire", {"n": number})
    for _ in range(200):
        world.step()
        client.receive()
    text = client.replies[-1].body
    shown = [number for number in range(60) if b"data: [%d," % number in text]
    assert shown[-1] == 59
    assert shown == list(range(60)) or b"event: gap" in text
