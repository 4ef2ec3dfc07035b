"""One connection's conversation, as the client at its other end sees it."""

import pytest

from tests.net.conftest import MakeWorld
from tests.net.conversing import MANY, await_count, call_bytes, held, old_bytes, replies
from tests.support import request_bytes

# ------------------------------------------------------------ keeping and ending connections


def test_a_connection_serves_one_request_after_the_other(world: MakeWorld) -> None:
    server = world()
    client = server.connect()
    for number in range(20):
        assert client.call("echo", {"n": number}) == {"result": {"n": number}}
    assert len(server.stewards) == 1


def test_connection_close_is_answered_and_ends_it(world: MakeWorld) -> None:
    server = world()
    client = server.connect()
    client.send(call_bytes("echo", {"a": 1}, Connection="close"))
    reply = client.reply()
    assert reply.json() == {"result": {"a": 1}}
    assert reply.header("Connection") == "close"
    client.wait_closed()
    assert not client.reset
    client.close()
    await_count(server, 0)


def test_what_comes_after_the_end_does_not_take_the_reply_along(world: MakeWorld) -> None:
    server = world()
    client = server.connect()
    client.send(call_bytes("echo", {"a": 1}, Connection="close"))
    server.step(3)
    client.send(b"\r\n")  # as old browsers send behind a body
    server.step(3)
    assert client.reply().json() == {"result": {"a": 1}}
    client.wait_closed()
    assert not client.reset


def test_requests_after_connection_close_are_not_answered(world: MakeWorld) -> None:
    client = world().connect()
    client.send(call_bytes("echo", {"a": 1}, Connection="close") + call_bytes("echo", {"a": 2}))
    assert client.reply().json() == {"result": {"a": 1}}
    client.wait_closed()
    assert len(client.replies) == 1


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"GET /echo HTTP/1.1\r\n\r\n", "400 The Host header is missing."),
        (b"\x16\x03\x01\n", "400 This is not an HTTP request."),
        (b"GET /echo HTTP/3.0\r\nHost: x\r\n\r\n", "505 Only HTTP/1.1 and HTTP/1.0 are spoken here."),
    ],
)
def test_what_is_no_request_is_told_to_the_log_in_a_line(
    world: MakeWorld, caplog: pytest.LogCaptureFixture, sent: bytes, said: str
) -> None:
    caplog.set_level("INFO", "totohio")
    client = world().connect()
    client.send(sent)
    client.wait_closed()
    [line] = caplog.messages
    assert line.startswith("refused what (")
    assert line.endswith(f") sent: {said}")


def test_http_1_0_ends_with_its_reply(world: MakeWorld) -> None:
    client = world().connect()
    client.send(old_bytes("echo", {"a": 1}))
    assert client.reply().json() == {"result": {"a": 1}}
    client.wait_closed()
    assert not client.reset


def test_http_1_0_with_keep_alive_goes_on(world: MakeWorld) -> None:
    client = world().connect()
    for number in range(3):
        client.send(old_bytes("echo", {"n": number}, "Connection: keep-alive"))
        reply = client.reply()
        assert reply.json() == {"result": {"n": number}}
        assert reply.header("Connection") == "keep-alive"


def test_a_reply_in_pieces_to_http_1_0_ends_with_the_connection(world: MakeWorld) -> None:
    client = world().connect()
    client.send(old_bytes("pour", {"pieces": 3, "size": 10}, "Connection: keep-alive"))
    client.wait_closed()
    assert client.raw.endswith(b"\r\n\r\n" + b"x" * 30)
    assert b"chunked" not in client.raw


def test_bytes_may_come_one_by_one(world: MakeWorld) -> None:
    server = world()
    client = server.connect()
    for byte in call_bytes("echo", {"slow": True}):
        client.send(bytes([byte]))
        server.step()
    assert client.reply().json() == {"result": {"slow": True}}


# ------------------------------------------------------------ pipelines


@pytest.mark.parametrize("count", [2, 64, 65, 200])
def test_a_pipeline_is_answered_in_order(world: MakeWorld, count: int) -> None:
    client = world().connect()
    client.send(b"".join(call_bytes("echo", {"n": number}) for number in range(count)))
    assert [reply.json()["result"]["n"] for reply in replies(client, count)] == list(range(count))


def test_calls_that_wait_keep_their_place_in_a_pipeline(world: MakeWorld) -> None:
    server = world()
    client = server.connect()
    client.send(
        call_bytes("nap", {"seconds": 0.5})
        + call_bytes("echo", {"n": 1})
        + call_bytes("hold")
        + call_bytes("echo", {"n": 2})
        + call_bytes("nap", {"seconds": 0.25})
    )
    held(server)[0].respond("held")
    results = [reply.json()["result"] for reply in replies(client, 5)]
    assert results == ["slept", {"n": 1}, "held", {"n": 2}, "slept"]


def test_a_long_pipeline_leaves_the_others_their_turn(world: MakeWorld) -> None:
    server = world(
        {"count": "calls = []\ndef invoke(handler, parameters):\n    calls.append(1)\n    return len(calls)\n"}
    )
    calls = server.module("count").calls
    greedy, other = server.connect(), server.connect()
    most = 0
    greedy.send(b"".join(call_bytes("count") for _ in range(3000)))
    other.send(call_bytes("echo", {"me": "too"}))
    for _ in range(MANY):
        before = len(calls)
        server.step()
        most = max(most, len(calls) - before)
        greedy.receive()
        if len(calls) == 3000:
            break
        other.receive()
    assert most <= 128  # two turns of 64: what waited from the cycle before, and what came in this one
    assert other.reply().json() == {"result": {"me": "too"}}
    assert [reply.json()["result"] for reply in replies(greedy, 3000)] == list(range(1, 3001))


def test_a_fault_in_a_pipeline_is_answered_after_the_requests_before_it(world: MakeWorld) -> None:
    server = world()
    client = server.connect()
    client.send(call_bytes("hold") + call_bytes("echo", {"n": 1}) + b"NONSENSE\r\n\r\n" + call_bytes("echo"))
    held(server)[0].respond("held")
    assert client.reply().json() == {"result": "held"}
    assert client.reply().json() == {"result": {"n": 1}}
    assert client.reply().status == 400
    client.wait_closed()
    assert len(client.replies) == 3
    assert not client.reset


def test_large_replies_of_a_pipeline_wait_for_the_client(world: MakeWorld) -> None:
    server = world(max_write_buffer=1 << 20, write_timeout=0)
    client = server.connect()
    size = 4 << 20
    client.send(call_bytes("fill", {"size": size}) * 20)
    server.step(200)
    assert server.stewards[0].remoter.pending < 2 * size
    for reply in replies(client, 20):
        assert len(reply.body) > size


# ------------------------------------------------------------ 100-continue


def test_a_client_that_asks_is_told_to_go_on(world: MakeWorld) -> None:
    server = world()
    client = server.connect()
    head = request_bytes("POST", "/echo", b"", headers={"Expect": "100-continue", "Content-Length": "9"})
    client.send(head)
    for _ in range(MANY):
        client.receive()
        if client.raw:
            break
        server.step()
    assert client.raw == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b'{"a": 12}')
    assert client.reply().json() == {"result": {"a": 12}}


def test_a_client_that_asks_and_does_not_wait_is_answered_all_the_same(world: MakeWorld) -> None:
    client = world().connect()
    client.send(call_bytes("echo", {"a": 1}, Expect="100-continue"))
    assert client.reply().json() == {"result": {"a": 1}}


def test_to_go_on_is_said_after_the_replies_before_it(world: MakeWorld) -> None:
    server = world()
    client = server.connect()
    head = request_bytes("POST", "/echo", b"", headers={"Expect": "100-continue", "Content-Length": "2"})
    client.send(call_bytes("hold") + head)
    handler = held(server)[0]
    server.step(20)
    client.receive()
    assert client.raw == b""
    handler.respond("first")
    assert client.reply().json() == {"result": "first"}
    for _ in range(MANY):
        client.receive()
        if b"100 Continue" in client.raw:
            break
        server.step()
    client.send(b"{}")
    assert client.reply().json() == {"result": {}}


# ------------------------------------------------------------ faults


def test_a_fault_is_answered_and_the_connection_closed_in_order(world: MakeWorld) -> None:
    server = world()
    client = server.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    reply = client.reply()
    assert reply.status == 400
    assert reply.json()["error"]["code"] == 400
    assert reply.header("Connection") == "close"
    client.wait_closed()
    assert not client.reset
    client.close()
    await_count(server, 0)


def test_a_fault_reply_arrives_though_the_client_goes_on_sending(world: MakeWorld) -> None:
    server = world(max_body_size=1000)
    client = server.connect()
    head = request_bytes("POST", "/echo", b"", headers={"Content-Length": str(20 << 20)})
    client.send(head)
    for _ in range(20):
        client.send(b"x" * (1 << 20))  # as blocking clients do: all of it, before they look for a reply
    assert not client.reset
    assert client.reply().status == 413
    client.wait_closed()
    assert not client.reset


def test_a_client_that_never_stops_sending_after_its_fault_is_cut_off(world: MakeWorld) -> None:
    server = world(request_timeout=30)
    client = server.connect()
    client.send(b"NONSENSE\r\n\r\n")
    assert client.reply().status == 400
    for _ in range(40):
        client.send(b"x" * 1000)
        server.advance(1.0)
    assert server.stewards == []


def test_a_client_that_does_not_close_after_its_fault_is_closed(world: MakeWorld) -> None:
    server = world()
    client = server.connect()
    client.send(b"NONSENSE\r\n\r\n")
    assert client.reply().status == 400
    server.advance(1.5)
    assert len(server.stewards) == 1
    server.advance(1.0)
    assert server.stewards == []
