"""Raw conversations of a scripted client, byte for byte, and their ends."""

import errno

import pytest

from tests.sim.desks import ScriptedDesk, reply, result
from totohio.sim.clients.conversing import MAX_RAW, MAX_UNCLAIMED

CLOSING = "Connection: close"


@pytest.fixture
def desk() -> ScriptedDesk:
    return ScriptedDesk()


def test_bytes_come_as_they_came_and_then_the_end(desk: ScriptedDesk) -> None:
    client = desk.client()
    waiting = client.receive()
    desk.answer(b"one", b"two", b"")
    assert waiting.result() == b"one"
    assert [client.receive().result() for _ in range(3)] == [b"two", b"", b""]
    client.send(b"still open")
    assert desk.sock.sent == b"still open"
    assert not desk.sock.closed


def test_a_reset_is_told_to_whoever_receives_after_what_came_before(desk: ScriptedDesk) -> None:
    client = desk.client()
    client.send(b"x")
    desk.answer(b"one", errno.ECONNRESET)
    assert client.receive().result() == b"one"
    for _ in range(2):
        with pytest.raises(ConnectionResetError, match="receive"):
            client.receive().result()


def test_receiving_has_a_timeout_and_can_go_on(desk: ScriptedDesk) -> None:
    client = desk.client(timeout=5.0)
    late = client.receive(timeout=1.0)
    usual = client.receive()
    desk.advance(2.0)
    with pytest.raises(TimeoutError, match="receive: not done within 1 seconds"):
        late.result()
    desk.answer(b"one")
    assert usual.result() == b"one"


def test_who_receives_after_a_call_whose_connection_has_ended_connects_anew(desk: ScriptedDesk) -> None:
    client = desk.client()
    client.call("m")
    desk.answer(result(1), b"")
    future = client.receive()
    desk.answer(b"welcome")
    assert future.result() == b"welcome"
    assert len(desk.network.socks) == 2


def test_a_send_is_done_when_the_socket_has_taken_all() -> None:
    desk = ScriptedDesk(at_once=False)
    client = desk.client()
    first = client.send(b"12345")
    desk.sock.room = 3
    desk.sock.established = True
    desk.cycle(3)
    assert not first.done()
    desk.sock.room = 2
    desk.cycle()
    assert first.done()
    assert client.send(b"").done()


def test_a_send_that_the_server_does_not_take_is_given_up(desk: ScriptedDesk) -> None:
    client = desk.client(timeout=5.0)
    desk.wait(client.connect())
    desk.sock.room = 0
    future = client.send(b"x")
    desk.advance(6.0)
    with pytest.raises(TimeoutError, match="send: not done within 5 seconds"):
        future.result()
    assert client.connected


def test_too_much_to_send_is_an_error_and_nothing_else() -> None:
    desk = ScriptedDesk(at_once=False)
    client = desk.client()
    small, large = client.call("m"), client.send(bytes(65 << 20))
    with pytest.raises(BufferError):
        large.result()
    desk.sock.established = True
    desk.cycle(2)
    desk.answer(result(1))
    assert small.result() == 1


def test_what_nobody_receives_is_bounded_and_then_left_to_the_server(desk: ScriptedDesk) -> None:
    client = desk.client()
    client.send(b"x")
    piece = bytes(1 << 16)
    desk.answer(*[piece] * 40)
    left = len(desk.sock.incoming)
    assert left == 40 - MAX_RAW // len(piece)
    received = b""
    while len(received) < 40 * len(piece):
        future = client.receive()
        desk.cycle()
        received += future.result()
    assert not desk.sock.incoming


def test_raw_bytes_are_parsed_as_replies_as_well(desk: ScriptedDesk) -> None:
    client = desk.client()
    client.send(b"x")
    desk.answer(result(1), result(2))
    assert [each.json() for each in client.replies] == [{"result": 1}, {"result": 2}]
    assert client.receive().result() == result(1)
    assert client.expect().result().json() == {"result": 1}
    assert client.expect().result().json() == {"result": 2}
    later = client.expect()
    desk.answer(result(3), b"")
    assert later.result().json() == {"result": 3}
    assert client.receive().result() == b""


def test_nothing_can_be_expected_of_a_connection_that_has_ended(desk: ScriptedDesk) -> None:
    client = desk.client()
    client.send(b"x")
    waiting = client.expect()
    desk.answer(b"SSH-2.0\r\n", b"")
    for future in (waiting, client.expect()):
        with pytest.raises((ConnectionAbortedError, ConnectionResetError)):
            future.result()


def test_unclaimed_replies_are_bounded(desk: ScriptedDesk) -> None:
    client = desk.client()
    desk.wait(client.connect())
    for number in range(MAX_UNCLAIMED + 10):
        desk.answer(result(number))
    assert client.expect().result().json() == {"result": 10}


def test_another_protocol_takes_over_after_a_switch(desk: ScriptedDesk) -> None:
    client = desk.client()
    switch = client.get("/socket", {"Upgrade": "websocket", "Connection": "Upgrade"})
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    desk.answer(head + b"\x81\x01a", b"\x81\x01b")
    assert switch.result().status == 101
    assert [client.receive().result() for _ in range(2)] == [b"\x81\x01a", b"\x81\x01b"]
    client.send(b"\x81\x01c")
    assert desk.sock.sent.endswith(b"\x81\x01c")
    assert len(desk.network.socks) == 1


def test_a_call_after_a_raw_conversation_that_has_ended_is_made_anew(desk: ScriptedDesk) -> None:
    client = desk.client()
    client.send(b"x")
    desk.answer(reply(b"{}", CLOSING))
    future = client.call("m")
    desk.cycle(2)
    desk.answer(result(1))
    assert future.result() == 1
    assert [sock.closed for sock in desk.network.socks] == [True, False]


def test_a_client_that_leaves_fails_what_is_in_flight(desk: ScriptedDesk) -> None:
    for leave, reset in (("close", False), ("abort", True)):
        client = desk.client()
        desk.wait(client.connect())
        futures = [client.call("m"), client.receive(), client.expect()]
        getattr(client, leave)()
        for future in futures:
            with pytest.raises(ConnectionAbortedError, match="the client has closed the connection"):
                future.result()
        assert desk.sock.closed
        assert desk.sock.reset is reset
        getattr(client, leave)()
        client.shutdown()
