"""WebSockets: calls as messages, messages of the server's own, and clients that are slow, gone or odd."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from tests.methods import ECHO, Serve, asynchronous, body
from tests.support import STEPS, World

COUNT = body("COUNT.append(parameters)", "return len(COUNT)") + "\nCOUNT = []\n"
METHODS = {
    "echo": ECHO,
    "nap": body("yield parameters['seconds']", "return 'slept'"),
    "later": asynchronous("handler.environment.shared['later'] = handler"),
    "push": body("for n in range(parameters['count']):", "    handler.send_message({'n': n})", "return 'done'"),
    "named": body("handler.send_message('data', message_id='m')"),
    "wait": body("return (yield handler.event('news'))"),
    "send": body("handler.event_manager.send('news', parameters)"),
    "bad": body("raise ValueError('no')"),
    "odd": body("return object()"),
    "stream": body("handler.stream()"),
    "raw": body("handler.respond_raw(b'', 'text/plain')"),
    "typed": "def invoke(handler, number: int):\n    return number + 1\n",
    "count": COUNT,
}


class Page:
    """A client of a WebSocket, with a protocol that is not the server's."""

    def __init__(self, world: World, path: str = "/websocket", **headers: str) -> None:
        self.world = world
        host, port = world.address
        self.protocol = ClientProtocol(parse_uri(f"ws://{host}:{port}{path}"), origin=headers.pop("Origin", None))  # type: ignore[arg-type]
        self.sock = socket.create_connection(world.address, 5)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # each message leaves when it is sent
        self.sock.setblocking(False)
        self.response: Response | None = None
        self.messages: list[Any] = []
        self.code: int | None = None
        self.ended = False
        request = self.protocol.connect()
        for name, value in headers.items():
            request.headers[name.replace("_", "-")] = value
        self.protocol.send_request(request)
        self.flush()
        self.until(lambda: self.response is not None)

    def flush(self) -> None:
        for data in self.protocol.data_to_send():
            if data:
                self.sock.sendall(data)

    def receive(self) -> None:
        """Take what is there."""
        try:
            data = self.sock.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.ended = True
            return
        self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            if isinstance(event, Response):
                self.response = event
            elif isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY):
                self.messages.append(json.loads(event.data) if event.opcode is Opcode.TEXT else bytes(event.data))
            elif isinstance(event, Frame) and event.opcode is Opcode.CLOSE:
                self.code = int.from_bytes(event.data[:2], "big")
        self.flush()

    def until(self, condition: Any) -> None:
        for _ in range(STEPS):
            if condition():
                return
            self.world.step()
            self.receive()
        raise AssertionError(f"it does not come; messages {self.messages} code {self.code} {self.response}")

    def send(self, method: str, parameters: Any = None, id: Any = None, **more: Any) -> None:
        message: dict[str, Any] = {"method": method, **more}
        if parameters is not None:
            message["parameters"] = parameters
        if id is not None:
            message["id"] = id
        self.text(json.dumps(message))

    def text(self, text: str) -> None:
        self.protocol.send_text(text.encode())
        self.flush()

    def next(self) -> Any:
        self.until(lambda: self.messages)
        return self.messages.pop(0)

    def call(self, method: str, parameters: Any = None) -> Any:
        self.send(method, parameters, id="x")
        message = self.next()
        assert message.pop("id") == "x"
        return message

    def closed(self) -> int | None:
        """Wait for the end; give the code."""
        self.until(lambda: self.ended)
        return self.code

    def close(self) -> None:
        self.sock.close()


@pytest.fixture
def pages() -> Iterator[list[Page]]:
    made: list[Page] = []
    yield made
    for page in made:
        page.close()


@pytest.fixture
def page(serve: Serve, pages: list[Page], request: pytest.FixtureRequest) -> Page:
    world = serve(METHODS, use_web_sockets=True, **getattr(request, "param", {}))
    pages.append(Page(world))
    return pages[-1]


def options(**found: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", [found], indirect=True)


def sockets(page: Page) -> Any:
    return page.world.server.built.dispatcher.sockets


# ---------------------------------------------------------------- calls


def test_a_message_with_an_id_is_answered_with_it(page: Page) -> None:
    for id in (1, "a", [2], {"n": None}):
        page.send("echo", {"a": 1}, id=id)
        assert page.next() == {"id": id, "result": {"a": 1}}


def test_none_is_a_result(page: Page) -> None:
    assert page.call("send", 1) == {"result": None}


def test_a_message_without_an_id_is_carried_out_and_not_answered(page: Page) -> None:
    page.send("count", 7)
    assert page.call("count", 8) == {"result": 2}
    assert page.messages == []


def test_parameters_are_an_object_when_there_are_none(page: Page) -> None:
    assert page.call("echo") == {"result": {}}


@pytest.mark.expects_errors
@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('{"method":"none"}', 1001),
        ('{"parameters":1}', 1002),
        ('{"method":5}', 1002),
        ("{", 1011),
        ("[1]", 1011),
        ("", 1011),
        ('{"method":"bad"}', 1000),
        ('{"method":"raw"}', 1000),
        ('{"method":"stream"}', 1000),
        ('{"method":"odd","id":1}', 1000),
        ('{"method":"typed","parameters":"x"}', 1003),
    ],
)
def test_what_goes_wrong_is_told_and_the_connection_goes_on(page: Page, message: str, code: int) -> None:
    page.text(message)
    answer = page.next()
    assert answer["error"]["code"] == code
    assert "result" not in answer
    assert page.call("typed", 1) == {"result": 2}


def test_calls_run_together_and_are_answered_when_they_are_done(page: Page) -> None:
    page.send("nap", {"seconds": 2.0}, id="slow")
    page.send("nap", {"seconds": 1.0}, id="quick")
    page.world.step(3)
    page.world.advance(1.1)
    assert page.next() == {"id": "quick", "result": "slept"}
    page.world.advance(1.0)
    assert page.next() == {"id": "slow", "result": "slept"}


def test_an_asynchronous_method_answers_later(page: Page) -> None:
    page.send("later", id=1)
    page.world.step(3)
    page.world.server.environment.shared["later"].respond("now")
    assert page.next() == {"id": 1, "result": "now"}


def test_a_method_sends_messages_of_its_own(page: Page) -> None:
    page.send("push", {"count": 3}, id=1)
    assert [page.next() for _ in range(4)] == [{"n": 0}, {"n": 1}, {"n": 2}, {"id": 1, "result": "done"}]
    page.send("named")
    assert page.next() == {"message_id": "m", "data": "data"}


@options(async_timeout=5.0)
def test_a_call_that_takes_too_long_is_ended(page: Page) -> None:
    page.send("nap", {"seconds": 100.0}, id=1)
    page.world.step(3)
    page.world.advance(5.1)
    assert page.next() == {"id": 1, "error": {"code": 1014, "value": "The call took too long."}}


def test_events_reach_those_who_wait(page: Page, pages: list[Page]) -> None:
    pages.append(Page(page.world))
    page.send("wait", id=1)
    page.world.step(3)
    pages[-1].send("send", "hello")
    assert page.next() == {"id": 1, "result": "hello"}


@options(msgpack_enabled=True)
def test_binary_messages_are_messagepack(page: Page) -> None:
    import msgspec

    page.protocol.send_binary(msgspec.msgpack.encode({"method": "echo", "parameters": b"\x00", "id": 1}))
    page.flush()
    assert msgspec.msgpack.decode(page.next()) == {"id": 1, "result": b"\x00"}


def test_binary_messages_are_not_taken_otherwise(page: Page) -> None:
    page.protocol.send_binary(b"\x00")
    page.flush()
    assert page.closed() == 1003


def test_methods_may_be_of_another_package(serve: Serve, pages: list[Page]) -> None:
    world = serve({**METHODS, "live": "", "live.only": ECHO}, use_web_sockets=True)
    package = world.package
    other = serve({"m": ECHO}, use_web_sockets=True, socket_method_module=f"{package}.live")
    pages.append(Page(other))
    assert pages[-1].call("only", 1) == {"result": 1}
    assert pages[-1].call("m", 1)["error"]["code"] == 1001


# ---------------------------------------------------------------- the opening


@pytest.mark.parametrize(
    ("options_", "origin", "status"),
    [
        ({}, None, 101),
        ({}, "same", 101),
        ({}, "http://evil.example", 403),
        ({}, "null", 403),
        ({"web_socket_origins": "https://good.example, https://other.example"}, "https://good.example", 101),
        ({"web_socket_origins": "https://good.example"}, "http://good.example", 403),
        ({"web_socket_origins": "*"}, "http://evil.example", 101),
    ],
)
def test_pages_of_other_origins_may_not_connect(
    serve: Serve, pages: list[Page], options_: dict[str, Any], origin: str | None, status: int
) -> None:
    world = serve(METHODS, use_web_sockets=True, **options_)
    if origin == "same":
        origin = f"http://{world.address[0]}:{world.address[1]}"
    pages.append(Page(world, **({"Origin": origin} if origin is not None else {})))
    assert pages[-1].response is not None
    assert pages[-1].response.status_code == status


def test_without_the_option_there_is_no_such_path(serve: Serve, pages: list[Page]) -> None:
    pages.append(Page(serve(METHODS)))
    assert pages[-1].response is not None
    assert pages[-1].response.status_code == 200
    assert pages[-1].protocol.state is not State.OPEN


def test_the_path_and_the_root_may_be_others(serve: Serve, pages: list[Page]) -> None:
    world = serve(METHODS, use_web_sockets=True, web_socket_path="live", root="/api")
    pages.append(Page(world, "/api/live"))
    assert pages[-1].call("echo", 1) == {"result": 1}


def test_what_is_no_opening_is_answered_as_http_and_the_connection_goes_on(page: Page) -> None:
    client = page.world.connect()
    reply = client.get("/websocket", headers={"Upgrade": "websocket"})
    assert reply.status == 400
    assert client.call("echo", {"a": 1}) == {"result": {"a": 1}}


# ---------------------------------------------------------------- sessions

WHO = body("return handler.session.user_id", marks="@authenticated")
ACCOUNTS = {"__init__": "from totohio.app.methods import account\n", "who": WHO, **METHODS}
QUICK = {"password_rules": "never", "password_memory": 64, "password_time": 1}


@pytest.fixture
def users(serve: Serve) -> tuple[World, str]:
    """A server, and the session of a user."""
    world = serve(ACCOUNTS, use_web_sockets=True, **QUICK)
    reply = world.connect().call("account.create", {"user_id": "ada", "password": "pw"})
    return world, reply["result"]["session_id"]


def test_the_session_comes_with_a_header_or_the_path(users: tuple[World, str], pages: list[Page]) -> None:
    world, session_id = users
    for page in (Page(world, x_toto_session_id=session_id), Page(world, f"/websocket/{session_id}")):
        pages.append(page)
        answer = page.call("who")
        assert answer["result"] == "ada"
        assert answer["session"]["session_id"] == session_id


def test_without_a_session_or_with_a_wrong_one_it_is_error_1004(users: tuple[World, str], pages: list[Page]) -> None:
    world, _ = users
    for page in (Page(world), Page(world, "/websocket/" + "x" * 22)):
        pages.append(page)
        assert page.call("who")["error"]["code"] == 1004
        assert page.call("echo", 1) == {"result": 1}


def test_a_session_that_ends_is_over_for_the_next_message(users: tuple[World, str], pages: list[Page]) -> None:
    world, session_id = users
    pages.append(Page(world, f"/websocket/{session_id}"))
    assert pages[0].call("who")["result"] == "ada"
    world.connect().post("/account/logout", {}, headers={"x-toto-session-id": session_id})
    assert pages[0].call("who")["error"]["code"] == 1004


# ---------------------------------------------------------------- slow, gone, odd


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
