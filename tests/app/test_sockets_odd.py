"""WebSockets whose clients are slow, gone or odd, and servers that go down."""

import json
from pathlib import Path

from tests.app.pages import Page, options, sockets


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
