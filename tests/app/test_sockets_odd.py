"""WebSockets whose clients are slow, gone or odd, and servers that go down."""

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from tests.app.pages import METHODS, Page, options, sockets
from tests.methods import Serve
from tests.processes import reset
from tests.support import STEPS
from totohio.wire.slicing import SLICE
from totohio.wire.upgrading import Channel


def test_a_client_that_says_nothing_is_asked_and_given_up(page: Page) -> None:
    page.world.advance(20.1)
    page.receive()  # its protocol answers pings
    page.world.step(3)
    page.world.advance(19.0)
    assert not page.ended
    page.protocol.receive_data = lambda data: None  # type: ignore[method-assign]
    page.world.advance(2.0)
    page.world.advance(20.1)
    page.until(lambda: page.ended)
    assert not sockets(page).pings.dues
    assert not sockets(page).pongs.dues


@options(max_web_socket_message=1000)
def test_a_message_that_is_too_large_closes_with_1009(page: Page) -> None:
    page.text("x" * 1001)
    assert page.closed() == 1009


def test_a_frame_that_is_wrong_closes_with_1002(page: Page) -> None:
    page.sock.sendall(b"\x83\x80abcd")
    assert page.closed() == 1002


@options(max_web_socket_calls=3)
def test_a_client_with_many_calls_is_not_read_from_until_one_is_done(page: Page) -> None:
    for number in range(6):
        page.send("nap", {"seconds": 1.0}, id=number)
        page.world.step(2)
    [socket_] = [call.socket for call in page.world.server.built.dispatcher.waits.dues][:1]
    assert len(socket_._calls) == 3
    for _ in range(3):
        page.world.advance(1.1)
        page.world.step(3)
    page.until(lambda: len(page.messages) == 6)
    assert [message["id"] for message in page.messages] == list(range(6))


@options(max_web_socket_buffer=100_000)
def test_a_client_that_does_not_read_is_closed_and_costs_no_more_than_was_said(page: Page, pages: list[Page]) -> None:
    pages.append(Page(page.world))
    big = "x" * 50_000
    for number in range(300):
        page.send("echo", [number, big], id=number)
        page.world.step()
        assert all(steward.remoter.pending < 300_000 for steward in page.world.stewards)
    assert pages[-1].call("echo", 1) == {"result": 1}
    page.until(lambda: page.ended)
    assert page.code in (1013, None)
    assert len(page.messages) < 300


def test_a_client_that_leaves_takes_what_waits_along(page: Page) -> None:
    page.send("wait", id=1)
    page.send("nap", {"seconds": 5.0}, id=2)
    page.world.step(3)
    teller = page.world.server.built.dispatcher.events.teller
    assert len(teller.waiters) == 1
    page.close()
    page.world.step(4)
    assert len(teller.waiters) == 0
    page.world.advance(6.0)
    assert not page.world.server.built.dispatcher.lot.runs
    assert not sockets(page).pings.dues


def test_a_client_that_closes_is_answered(page: Page) -> None:
    page.protocol.send_close(1000)
    page.flush()
    assert page.closed() == 1000


def test_a_server_that_goes_down_answers_what_is_under_way_and_closes(page: Page, pages: list[Page]) -> None:
    pages.append(Page(page.world))
    page.send("nap", {"seconds": 1.0}, id=1)
    page.world.step(3)
    page.world.server.drain()
    assert pages[-1].closed() == 1001
    page.world.advance(1.1)
    assert page.next() == {"id": 1, "result": "slept"}
    assert page.closed() == 1001
    page.world.step(5)
    assert page.world.doer.done


def test_many_messages_in_one_segment_are_all_answered(page: Page, tmp_path: Path) -> None:
    for number in range(200):
        page.protocol.send_text(json.dumps({"method": "echo", "parameters": number, "id": number}).encode())
    page.flush()
    page.until(lambda: len(page.messages) == 200)
    assert [message["result"] for message in page.messages] == list(range(200))


# ---------------------------------------------------------------- much at once


def counts(page: Page, count: int) -> list[Any]:
    """Have a page send so many messages in one segment; give the list that grows with each that is carried out."""
    page.call("count", 0)
    found: list[Any] = page.world.module("count").COUNT
    found.clear()
    send_counts(page, range(count))
    return found


def send_counts(page: Page, numbers: range) -> None:
    for number in numbers:
        page.protocol.send_text(b'{"method":"count","parameters":%d}' % number)
    page.flush()


def test_of_what_comes_at_once_a_slice_is_carried_out_in_a_cycle_and_others_are_served_between(
    page: Page, pages: list[Page]
) -> None:
    other = Page(page.world)
    pages.append(other)
    found, answers, most, late = counts(page, 1000), 0, 0, range(0)
    other.send("echo", 1, id=0)
    for _ in range(STEPS):
        before = len(found)
        if before == 1200:
            break
        page.world.step()
        if not late and len(found) - before == SLICE:
            late = range(1000, 1200)
            send_counts(page, late)  # which are there when the last slice of the others is read
        most = max(most, len(found) - before)
        other.receive()
        if other.messages:
            other.messages.clear()
            other.send("echo", 1, id=0)
            answers += 1
    assert found == list(range(1200))
    assert most == SLICE
    assert answers >= 3


@pytest.mark.parametrize("path", ["/websocket", "/lend"])
@pytest.mark.parametrize(
    "small",
    [b"\x89\x80mask", b"\x8a\x80mask", b"\x00\x80mask"],
    ids=["pings", "pongs", "fragments"],
)
def test_of_the_smallest_frames_a_slice_is_read_in_a_cycle(
    serve: Serve, pages: list[Page], path: str, small: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    lending = {"remote_enabled": True, "remote_modules": "math", "remote_port": 0, "remote_path": "/lend"}
    page = Page(serve(METHODS, use_web_sockets=True, **lending), path)
    pages.append(page)
    reads: list[int] = []
    monkeypatch.setattr(Channel, "receive", counting(Channel.receive, reads))
    begun = b"\x02\x80mask" if small[0] == 0 else b""
    page.sock.sendall(begun + small * 3000)
    late = small * 1000 + Frame(Opcode.PING, b"last").serialize(mask=True)
    pongs = answers(page)
    for _ in range(STEPS):
        before = len(reads)
        page.world.step()
        assert len(reads) - before <= SLICE
        if len(reads) - before == SLICE and late:
            page.sock.sendall(late)  # which is there when the last slice of the others is read
            late = b""
        page.receive()
        if b"last" in pongs:
            break
    assert len(reads) == 4001 + bool(begun)


def counting(receive: Any, reads: list[int]) -> Any:
    """Give a Channel's method that notes how many frames are read with each call."""

    def counted(channel: Channel, data: bytes) -> Iterator[tuple[str, Any]]:
        protocol = channel._protocol
        take = type(protocol).recv_frame

        def taken(frame: Frame) -> None:
            reads.append(1)
            take(protocol, frame)

        protocol.recv_frame = taken
        yield from receive(channel, data)

    return counted


def answers(page: Page) -> list[bytes]:
    """Give a list that grows with each pong that a page receives."""
    found: list[bytes] = []
    take = page.protocol.recv_frame

    def taken(frame: Frame) -> None:
        if frame.opcode is Opcode.PONG:
            found.append(bytes(frame.data))
        take(frame)

    page.protocol.recv_frame = taken  # type: ignore[method-assign]
    return found


def test_what_a_client_has_sent_before_it_ends_is_carried_out(page: Page) -> None:
    found = counts(page, 300)
    page.sock.shutdown(socket.SHUT_WR)
    page.until(lambda: page.ended)
    assert found == list(range(300))
    assert not sockets(page).pings.dues


def test_what_is_left_of_a_client_that_is_gone_is_dropped(page: Page) -> None:
    found = counts(page, 1200)
    page.world.step(3)
    reset(page.sock)
    page.world.step(3)
    assert 0 < len(found) < 1200
    assert not page.world.stewards
    assert not sockets(page).pings.dues


@options(max_web_socket_calls=3)
def test_what_came_with_too_many_calls_is_carried_out_when_some_are_done(page: Page) -> None:
    for number in range(200):
        message = {"method": "nap", "parameters": {"seconds": 1.0}, "id": number}
        page.protocol.send_text(json.dumps(message).encode())
    page.flush()
    waits, most = page.world.server.built.dispatcher.waits, 0
    for _ in range(STEPS):
        page.world.step(5)
        most = max(most, len(waits.dues))
        page.world.advance(1.1)
        page.receive()
        if len(page.messages) == 200:
            break
    assert 0 < most < 3 + SLICE
    assert [message["id"] for message in page.messages] == list(range(200))


@options(max_web_socket_buffer=100_000)
def test_pings_of_one_that_reads_nothing_are_read_no_more_until_it_reads(
    page: Page, pages: list[Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages.append(Page(page.world))
    reads: list[int] = []
    monkeypatch.setattr(Channel, "receive", counting(Channel.receive, reads))
    [steward] = [each for each in page.world.stewards if each.remoter.ca == page.sock.getsockname()]
    ping = Frame(Opcode.PING, b"x" * 125).serialize(mask=True)
    sent, rest, passed, still = 0, b"", False, 0
    while still < 200:  # cycles in which nothing is read, though something has come
        with contextlib.suppress(BlockingIOError):
            data = rest or ping * 1000
            size = page.sock.send(data)
            sent, rest = sent + size, data[size:]
        before = len(reads)
        page.world.step()
        still = still + 1 if passed and len(reads) == before else 0
        assert steward.remoter.pending <= 100_000 + 127 * SLICE
        passed = passed or steward.remoter.pending > 100_000
    assert 0 < len(reads) < sent // len(ping)
    assert pages[-1].call("echo", 1) == {"result": 1}
    pongs, rest = answers(page), rest[: len(rest) % len(ping)]
    while rest:
        with contextlib.suppress(BlockingIOError):
            rest = rest[page.sock.send(rest) :]
        page.world.step()
        page.receive()
    page.until(lambda: len(pongs) == -(-sent // len(ping)))
    assert page.call("echo", 1) == {"result": 1}


@pytest.mark.expects_errors
def test_what_fails_in_a_later_slice_ends_its_connection_alone(
    page: Page, pages: list[Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages.append(Page(page.world))

    def failing(channel: Channel, data: bytes, receive: Any = Channel.receive) -> Any:
        if not data:
            raise RuntimeError("ours")
        return receive(channel, data)

    monkeypatch.setattr(Channel, "receive", failing)
    found = counts(page, 300)
    page.until(lambda: page.ended)
    assert 0 < len(found) <= 2 * SLICE
    assert pages[-1].call("echo", 1) == {"result": 1}
