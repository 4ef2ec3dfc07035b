"""WebSockets: the opening, calls as messages, messages of the server's own, and sessions."""

from typing import Any

import pytest
from websockets.protocol import State

from tests.app.pages import METHODS, Page, options
from tests.methods import ECHO, Serve, body
from tests.support import World

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
