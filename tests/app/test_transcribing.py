"""With ``record``, what goes through a server is in a file, and nothing of it is noticed by anybody."""

import json
from pathlib import Path

import pytest

from tests.methods import Serve
from tests.recordings import ended, entries, only, until
from totohio.net.stewarding import Steward
from totohio.wire.transcript import Closed, Ended, Refused, Replied, Requested, Started, Stopped

HELLO = {"hello": "def invoke(handler, parameters):\n    return parameters\n"}
SLOW = {"slow": "def invoke(handler, parameters):\n    yield 1.0\n    return 1\n"}
STREAM = {
    "stream": """
from totohio import raw_response
def invoke(handler, parameters):
    for number in range(3):
        yield handler.respond_raw(f"piece {number}\\n", "text/plain", False)
        yield 1.0
"""
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where recordings of this test go."""
    return tmp_path / "calls.jsonl"


# ---------------------------------------------------------------- what is recorded


def test_requests_and_replies_are_in_the_file_in_the_order_in_which_they_came(serve: Serve, file: Path) -> None:
    world = serve(HELLO, record=str(file), allow_origin="https://x.org")
    client = world.connect()
    client.post("/hello", {"a": 1}, headers={"X-More": "yes"})
    world.advance(2.0)
    client.get("/hello?b=2")
    start, opened, first, replied, second, also, closed, stop = ended(world, file)
    assert isinstance(start, Started)
    assert start.settings["allow_origin"] == "https://x.org"
    assert (opened.connection, opened.peer) == (1, "127.0.0.1")
    assert (first.verb, first.uri, first.json) == ("POST", "/hello", {"a": 1})
    assert (first.connection, first.number, first.headers["x-more"]) == (1, 1, "yes")
    assert (replied.connection, replied.number, replied.status) == (1, 1, 200)
    assert replied.json == {"result": {"a": 1}}
    assert replied.headers["Access-Control-Allow-Origin"] == "https://x.org"
    assert (second.verb, second.uri, second.number) == ("GET", "/hello?b=2", 2)
    assert second.tyme - first.tyme >= 2.0
    assert also.json == {"result": {"b": "2"}}
    assert closed.by == "server"
    assert stop.why == "exit"


def test_connections_are_told_apart(serve: Serve, file: Path) -> None:
    world = serve(HELLO, record=str(file))
    first, second = world.connect(), world.connect()
    second.post("/hello", {"who": "second"})
    first.post("/hello", {"who": "first"})
    requests = only(ended(world, file), Requested)
    assert [request.json["who"] for request in requests] == ["second", "first"]
    assert len({request.connection for request in requests}) == 2


def test_a_pipelined_request_tells_when_it_came_and_how_long_it_waited(serve: Serve, file: Path) -> None:
    world = serve(SLOW, record=str(file))
    client = world.connect()
    client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
    world.step(3)
    for _ in range(2):
        world.advance(1.1)
        client.reply()
    found = ended(world, file)
    first, second = only(found, Requested)
    early, late = only(found, Replied)
    assert first.tyme == second.tyme
    assert second.waited >= 1.1
    assert second.waited == pytest.approx(early.tyme - first.tyme)
    assert late.tyme >= early.tyme + 1.1


def test_a_reply_in_pieces_tells_when_each_was_made(serve: Serve, file: Path) -> None:
    world = serve(STREAM, record=str(file))
    client = world.connect()
    client.send(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
    for _ in range(4):
        world.advance(1.1)
    client.reply()
    [reply] = only(ended(world, file), Replied)
    assert reply.text == "piece 0\npiece 1\npiece 2\n"
    tymes, sizes = zip(*reply.pieces, strict=True)
    assert sizes == (8, 8, 8)
    assert tymes[1] - tymes[0] >= 1.0
    assert reply.tyme - tymes[2] >= 1.0


def test_a_reply_that_takes_time_tells_how_much(serve: Serve, file: Path) -> None:
    world = serve({"work": "def invoke(handler, parameters):\n    return sum(range(2_000_000))\n"}, record=str(file))
    world.connect().get("/work")
    [reply] = only(ended(world, file), Replied)
    assert reply.took > 0.001


def test_a_peer_that_sends_no_more_is_told_and_gets_its_reply(serve: Serve, file: Path) -> None:
    world = serve(SLOW, record=str(file))
    client = world.connect()
    client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    world.step(2)
    client.shutdown()
    world.step(2)
    world.advance(1.1)
    client.reply()
    client.wait_closed()
    found = ended(world, file)
    assert [type(entry) for entry in found[2:]] == [Requested, Ended, Replied, Closed, Stopped]
    assert only(found, Closed)[0].by == "peer"


def test_a_reply_whose_connection_was_lost_is_marked(serve: Serve, file: Path) -> None:
    world = serve(SLOW, record=str(file))
    client = world.connect()
    client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    world.step(2)
    client.abort()
    world.step(2)
    found = ended(world, file)
    [reply] = only(found, Replied)
    assert (reply.lost, reply.status) == (True, 0)
    assert only(found, Closed)[0].by == "reset"


def test_a_reply_that_never_came_is_marked(serve: Serve, file: Path) -> None:
    world = serve(SLOW, record=str(file))
    world.connect().send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    world.step(2)
    found = ended(world, file)
    assert only(found, Replied)[0].lost
    assert only(found, Closed)[0].by == "server"


def test_a_connection_that_its_peer_closes_says_so(serve: Serve, file: Path) -> None:
    world = serve(HELLO, record=str(file))
    client = world.connect()
    client.post("/hello", {})
    client.close()
    world.step(2)
    found = ended(world, file)
    assert [type(entry) for entry in found[-3:]] == [Ended, Closed, Stopped]
    assert only(found, Closed)[0].by == "peer"


def test_what_is_no_request_is_told_without_what_it_was(serve: Serve, file: Path) -> None:
    world = serve(HELLO, record=str(file))
    client = world.connect()
    client.send(b"SECRET\r\n\r\n")
    client.reply()
    [refused] = only(ended(world, file), Refused)
    assert refused.status == 400
    assert b"SECRET" not in file.read_bytes()


def test_a_reply_to_head_is_kept_without_a_body(serve: Serve, file: Path) -> None:
    world = serve(HELLO, record=str(file))
    client = world.connect()
    client.request("HEAD", "/hello?a=1")
    client.get("/hello?a=1")
    head, whole = only(ended(world, file), Replied)
    assert "json" not in json.loads(file.read_text().splitlines()[3])
    assert whole.json == {"result": {"a": "1"}}
    assert head.status == 200


def test_secrets_are_not_in_the_file(serve: Serve, file: Path) -> None:
    world = serve(HELLO, record=str(file), record_mask="pin")
    client = world.connect()
    client.post("/hello?token=my-own-token", {"password": "hunter2", "pin": 4711})
    client.get("/hello?say=my-own-token", headers={"Cookie": "id=my-own-cookie"})
    world.close()
    data = file.read_bytes()
    assert not any(secret in data for secret in (b"my-own-token", b"hunter2", b"4711", b"my-own-cookie"))


def test_settings_that_have_to_do_with_replies_are_in_the_file_and_no_others(serve: Serve, file: Path) -> None:
    world = serve(HELLO, record=str(file), max_batch=7)
    [start, *_] = ended(world, file)
    assert start.settings["max_batch"] == 7
    assert start.settings["method_module"] == world.package
    assert not start.settings.keys() & {"host", "port", "uds", "keyfile", "log_level", "record", "record_mask"}


def test_a_batch_is_one_request(serve: Serve, file: Path) -> None:
    world = serve(HELLO, record=str(file))
    world.connect().post("/", {"batch": {"1": {"method": "hello", "parameters": {"a": 1}}}})
    found = ended(world, file)
    assert len(only(found, Requested)) == 1
    assert only(found, Replied)[0].json == {"batch": {"1": {"result": {"a": 1}}}}


# ---------------------------------------------------------------- when it is written


def test_what_has_happened_is_in_the_file_a_second_later(serve: Serve, file: Path) -> None:
    world = serve(HELLO, record=str(file))
    world.connect().post("/hello", {"a": 1})
    world.advance(1.0)
    until(world, lambda: len(only(entries(file), Replied)) == 1)


def test_many_requests_are_written_while_they_come(serve: Serve, file: Path) -> None:
    world = serve(HELLO, record=str(file))
    client = world.connect()
    client.send(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n" * 500)
    for _ in range(500):
        client.reply()
    until(world, lambda: len(only(entries(file), Replied)) == 500)
    assert len(only(ended(world, file), Requested)) == 500


def test_without_it_connections_are_what_they_always_were(serve: Serve, tmp_path: Path) -> None:
    world = serve(HELLO)
    world.connect().post("/hello", {})
    assert [type(steward) for steward in world.stewards] == [Steward]
