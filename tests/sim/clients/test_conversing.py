"""One connection of a scripted client, byte for byte: replies in any pieces, and every way in which it can end."""

import errno
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.net.scripted import failure
from tests.sim.desks import ScriptedDesk, reply, result
from totohio.wire.request import Limits

CLOSING = "Connection: close"


@pytest.fixture
def desk() -> ScriptedDesk:
    return ScriptedDesk()


# ------------------------------------------------------------ replies


@given(st.lists(st.integers(0, 2), min_size=1, max_size=6), st.lists(st.integers(0, 2000), max_size=25))
def test_replies_in_any_pieces_go_to_their_calls(forms: list[int], cuts: list[int]) -> None:
    desk = ScriptedDesk()
    client = desk.client()
    futures = [client.call("m") for _ in forms]
    data = b""
    for number, form in enumerate(forms):
        whole = result(number)
        if form == 1:
            whole = b"HTTP/1.1 100 Continue\r\n\r\n" + whole
        elif form == 2:
            body = whole.partition(b"\r\n\r\n")[2]
            head = b"HTTP/1.1 200 Yes\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            whole = head + b"3\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:3], len(body) - 3, body[3:])
        data += whole
    places = sorted({cut % len(data) for cut in cuts} | {0, len(data)})
    desk.answer(*(data[start:end] for start, end in itertools.pairwise(places)))
    assert [future.result() for future in futures] == list(range(len(forms)))


def test_requests_that_are_sent_while_replies_come_keep_their_order(desk: ScriptedDesk) -> None:
    client = desk.client()
    first = client.call("first")
    desk.answer(result(1)[:20])
    second = client.call("second")
    desk.answer(result(1)[20:] + result(2))
    assert (first.result(), second.result()) == (1, 2)
    assert desk.heard() == ["POST /first HTTP/1.1", "POST /second HTTP/1.1"]


def test_a_body_without_a_length_is_complete_when_the_server_closes(desk: ScriptedDesk) -> None:
    future = desk.client().get("/")
    desk.answer(b"HTTP/1.1 200 OK\r\n\r\nall ", b"of it")
    assert not future.done()
    desk.answer(b"")
    assert future.result().body == b"all of it"


def test_a_reset_does_not_complete_a_body(desk: ScriptedDesk) -> None:
    future = desk.client().get("/")
    desk.answer(b"HTTP/1.1 200 OK\r\n\r\nall ", errno.ECONNRESET)
    with pytest.raises(ConnectionResetError, match="whether it was carried out is not known"):
        future.result()


def test_requests_behind_the_last_reply_of_a_connection_are_not_answered(desk: ScriptedDesk) -> None:
    client = desk.client()
    first, second = client.call("first"), client.call("second")
    desk.answer(reply(b'{"result":1}', CLOSING))
    assert first.result() == 1
    with pytest.raises(ConnectionResetError, match="second: the server ended the connection"):
        second.result()
    assert desk.sock.closed


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "no HTTP reply"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", "exceeds 100 bytes"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + bytes(101), "exceeds 100 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + bytes(101), "exceeds 100 bytes"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 1000, "exceeds 200 bytes"),
    ],
)
def test_what_is_no_reply_or_too_large_ends_the_connection(desk: ScriptedDesk, data: bytes, words: str) -> None:
    client = desk.client()
    client.limits = Limits(max_header_size=200, max_body_size=100)
    futures = [client.call("m"), client.call("n")]
    desk.answer(data)
    for future in futures:
        with pytest.raises(ConnectionAbortedError, match=f"no proper reply: .*{words}"):
            future.result()
    assert desk.sock.closed


def test_a_reply_that_is_no_json_though_it_says_so_is_an_error_of_its_call_alone(desk: ScriptedDesk) -> None:
    client = desk.client()
    first, second = client.call("first"), client.call("second")
    desk.answer(reply(b"{") + result(2))
    assert second.result() == 2
    with pytest.raises(ValueError, match="truncated"):
        first.result()


# ------------------------------------------------------------ how connections end


def test_a_connection_that_was_closed_between_requests_is_made_anew(desk: ScriptedDesk) -> None:
    client = desk.client()
    for number in range(3):
        future = client.call("m")
        desk.answer(result(number))
        assert future.result() == number
        desk.answer(b"" if number != 1 else errno.ECONNRESET)
        assert not client.connected
        assert desk.sock.closed
    assert len(desk.network.socks) == 3


def test_what_was_sent_into_a_closing_connection_is_not_sent_again(desk: ScriptedDesk) -> None:
    client = desk.client()
    desk.wait(client.connect())
    desk.sock.incoming.append(b"")  # it is on its way when the request is sent
    future = client.call("m")
    desk.cycle(3)
    with pytest.raises(ConnectionResetError, match="closed the connection before it answered"):
        future.result()
    assert len(desk.heard()) == 1
    again = client.call("m")
    desk.answer(result(1))
    assert again.result() == 1
    assert len(desk.network.socks) == 2


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ([b""], "closed the connection before it answered"),
        ([b"HTTP/1.1 200", b""], "closed the connection within its reply"),
        ([errno.ECONNRESET], "reset by peer; whether it was carried out"),
        ([b"HTTP/1.1 200", errno.ECONNRESET], "reset by peer; whether it was carried out"),
    ],
)
def test_calls_in_flight_fail_when_their_connection_ends(desk: ScriptedDesk, ends: list[Any], words: str) -> None:
    client = desk.client()
    futures = [client.call(name) for name in ("one", "two", "three")]
    desk.answer(result(1), *ends)
    assert futures[0].result() == 1
    for name, future in zip(("two", "three"), futures[1:], strict=True):
        with pytest.raises(ConnectionResetError, match=f"{name}: .*{words}.*10.0.0.1:80"):
            future.result()
    errors = [future.exception() for future in futures[1:]]
    assert errors[0] is not errors[1]  # each has a traceback of its own


def test_a_reply_is_read_although_the_server_takes_no_more(desk: ScriptedDesk) -> None:
    client = desk.client()
    desk.wait(client.connect())
    desk.sock.broken = errno.EPIPE
    desk.sock.incoming += [reply(b'{"error":{"code":503,"value":"full"}}', CLOSING, status=503), errno.ECONNRESET]
    first, second = client.get("/"), client.get("/")
    desk.cycle(3)
    assert first.result().status == 503
    with pytest.raises(ConnectionResetError):
        second.result()


def test_a_send_into_a_broken_connection_is_a_reset(desk: ScriptedDesk) -> None:
    client = desk.client()
    desk.wait(client.connect())
    desk.sock.broken = errno.EPIPE
    desk.sock.incoming.append(b"")
    futures = [client.call("m"), client.send(b"x")]
    desk.cycle(3)
    for future in futures:
        with pytest.raises(ConnectionResetError):
            future.result()


def test_a_refused_connection_fails_what_waits_for_it() -> None:
    desk = ScriptedDesk(at_once=False)
    client = desk.client()
    futures = [client.call("m"), client.connect(), client.send(b"x"), client.receive()]
    desk.sock.error = errno.ECONNREFUSED
    desk.cycle(2)
    for future in futures:
        with pytest.raises(ConnectionRefusedError, match=r"10\.0\.0\.1:80"):
            future.result()
    desk.network.refuses = failure(errno.ECONNREFUSED)
    futures = [client.call("m"), client.connect(), client.send(b"x")]
    for future in futures:
        with pytest.raises(ConnectionRefusedError, match=r"10\.0\.0\.1:80"):
            future.result()


def test_connecting_has_a_time_of_its_own() -> None:
    desk = ScriptedDesk(at_once=False)
    client = desk.client()
    client.connect_timeout = 5.0
    future = client.call("m")
    desk.advance(4.9)
    assert not future.done()
    desk.advance(0.2)
    with pytest.raises(TimeoutError, match=r"no connection to 10\.0\.0\.1:80 within 5 seconds"):
        future.result()
    assert desk.sock.closed


# ------------------------------------------------------------ calls that take too long


def test_a_call_that_takes_too_long_fails_and_takes_its_connection_along(desk: ScriptedDesk) -> None:
    client = desk.client(timeout=10.0)
    first, second = client.call("first"), client.call("second", timeout=50.0)
    desk.advance(9.9)
    assert not first.done()
    desk.advance(0.2)
    with pytest.raises(TimeoutError, match="first: not done within 10 seconds"):
        first.result()
    with pytest.raises(ConnectionAbortedError, match=r"second: .* took too long"):
        second.result()
    assert desk.sock.closed


def test_a_call_that_waits_for_one_before_it_can_be_given_up_alone(desk: ScriptedDesk) -> None:
    client = desk.client()
    first, second, third = client.call("first"), client.call("second", timeout=1.0), client.call("third")
    desk.advance(1.5)
    with pytest.raises(TimeoutError):
        second.result()
    desk.answer(result(1) + result(2) + result(3))
    assert (first.result(), third.result()) == (1, 3)


def test_a_call_that_was_answered_has_no_timeout_left(desk: ScriptedDesk) -> None:
    client = desk.client(timeout=1.0)
    future = client.call("m")
    desk.answer(result(1))
    desk.advance(100.0)
    assert future.result() == 1
    assert client.connected


def test_a_timeout_of_zero_is_none(desk: ScriptedDesk) -> None:
    future = desk.client(timeout=0.0).call("m")
    desk.advance(1e6)
    assert not future.done()
    assert desk.caller.due(desk.doist.tyme) > 1e9


def test_a_call_that_was_cancelled_leaves_its_reply_to_nobody(desk: ScriptedDesk) -> None:
    client = desk.client()
    first, second = client.call("first"), client.call("second")
    first.cancel()
    desk.answer(result(1) + result(2))
    assert second.result() == 2
