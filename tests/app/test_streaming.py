"""Replies in pieces: `respond_raw` and `flush`, as a client sees them."""

import itertools

import pytest

from tests.methods import ECHO, Serve, asynchronous, body, call, in_thread
from tests.support import Client, World, request_bytes

PIECES = "for n in range(3):"
PIECE = "    handler.respond_raw('part%d;' % n, 'text/plain', finish=False)"
END = "handler.respond_raw('end', 'text/plain')"


def start(world: World, path: str = "/m", verb: str = "POST") -> Client:
    """A client whose request has reached the method."""
    client = world.connect()
    client.send(request_bytes(verb, path, b"{}" if verb == "POST" else b""))
    world.step(3)
    return client


WAYS = {
    "plain": body(PIECES, PIECE, END),
    "returns": body(PIECES, PIECE, "handler.respond_raw(b'end', 'text/plain', finish=False)"),
    "generator": body(PIECES, PIECE, "    yield 0.1", END),
    "coroutine": body(PIECES, PIECE, "    await sleep(0.1)", END).replace("def invoke", "async def invoke"),
    "waits": body(PIECES, "    yield handler.respond_raw('part%d;' % n, 'text/plain', finish=False)", END),
    "flushes": body(PIECES, PIECE, "    yield handler.flush()", END),
    "asynchronous": asynchronous(PIECES, PIECE, "    yield 0.1", END),
    "thread": in_thread(PIECES, PIECE, END),
}


@pytest.mark.parametrize("way", sorted(WAYS))
def test_pieces_make_one_chunked_reply(serve: Serve, way: str) -> None:
    client = serve({"m": WAYS[way], "echo": ECHO}).connect()
    for _ in range(2):
        reply = client.post("/m", {})
        assert (reply.status, reply.body) == (200, b"part0;part1;part2;end")
        assert reply.header("Transfer-Encoding") == "chunked"
        assert reply.header("Content-Length") is None
        assert reply.header("Content-Type") == "text/plain"
        assert reply.header("Access-Control-Allow-Origin") == "*"
    assert client.call("echo", {"x": 1}) == {"result": {"x": 1}}


@pytest.mark.parametrize("way", sorted(WAYS))
def test_a_client_of_http_1_0_learns_the_end_from_the_connection(serve: Serve, way: str) -> None:
    client = serve({"m": WAYS[way]}).connect()
    client.send(b"POST /m HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}")
    client.wait_closed()
    head, _, sent = client.raw.partition(b"\r\n\r\n")
    assert sent == b"part0;part1;part2;end"
    assert b"chunked" not in head
    assert b"Content-Length" not in head
    assert b"Connection: close" in head


@pytest.mark.parametrize("way", sorted(WAYS))
def test_a_head_gets_the_head_alone(serve: Serve, way: str) -> None:
    client = serve({"m": WAYS[way], "echo": ECHO}).connect()
    assert client.request("HEAD", "/m").header("Content-Type") == "text/plain"
    client.world.advance(1.0)
    assert client.call("echo", {"x": 1}) == {"result": {"x": 1}}


@pytest.mark.parametrize("status", [204, 205, 304])
def test_a_status_without_content_is_streamed_without(serve: Serve, status: int) -> None:
    client = serve({"m": body(f"handler.set_status({status})", PIECES, PIECE, END), "echo": ECHO}).connect()
    reply = client.post("/m", {})
    assert (reply.status, reply.body, reply.header("Transfer-Encoding")) == (status, b"", None)
    assert client.call("echo", {"x": 1}) == {"result": {"x": 1}}


def test_status_and_headers_of_a_stream_are_those_before_its_first_piece(serve: Serve) -> None:
    source = body(
        "handler.set_status(201)", "handler.set_header('X-One', 'a')", PIECES, PIECE, "handler.set_status(500)"
    )
    reply = serve({"m": source}).connect().post("/m", {})
    assert (reply.status, reply.header("X-One"), reply.body) == (201, "a", b"part0;part1;part2;")


def test_pieces_arrive_before_the_reply_is_finished(serve: Serve) -> None:
    world = serve({"m": body(PIECES, PIECE, "    yield 10.0", END)})
    client = start(world)
    for n in range(3):
        client.receive()
        assert client.raw.count(b"part") == n + 1
        world.advance(10.1)
    assert client.reply().body == b"part0;part1;part2;end"


def test_pieces_of_many_sizes_come_whole_and_in_order(serve: Serve) -> None:
    sizes = [0, 1, 15, 16, 255, 4096, 65536, 0, 1 << 20, 3]
    source = body(f"for size in {sizes}:", "    yield handler.respond_raw(b'%d,' % size * size, 'x/y', finish=False)")
    reply = serve({"m": source}).connect().post("/m", {})
    assert reply.body == b"".join(b"%d," % size * size for size in sizes)


def test_a_whole_raw_reply_has_its_length(serve: Serve) -> None:
    client = serve({"m": body("handler.respond_raw(b'\\x00\\xff', 'image/x')")}).connect()
    for reply in (client.post("/m", {}), client.get("/m")):
        assert (reply.body, reply.header("Content-Length"), reply.header("Content-Type")) == (
            b"\x00\xff",
            "2",
            "image/x",
        )


def test_what_comes_after_the_end_is_ignored(serve: Serve) -> None:
    lines = (END, "handler.respond_raw('more', 'text/plain')", PIECES, PIECE, "handler.respond(1)", "return 2")
    client = serve({"m": body(*lines), "echo": ECHO}).connect()
    assert client.post("/m", {}).body == b"end"
    assert client.call("echo", {"x": 1}) == {"result": {"x": 1}}


@pytest.mark.parametrize("piece", ["7", "None", "{'a': 1}", "'\\ud800'"])
@pytest.mark.expects_errors
def test_a_piece_that_is_no_bytes_is_refused(serve: Serve, piece: str) -> None:
    assert call(serve({"m": body(f"handler.respond_raw({piece}, 'text/plain')")}))["error"]["code"] == 1000


@pytest.mark.parametrize(
    "line",
    ["raise ValueError('x')", "handler.respond(1)", "handler.respond(error=ValueError('x'))", "handler.redirect('/x')"],
)
@pytest.mark.parametrize("pause", ["pass", "yield 0.1"])
@pytest.mark.expects_errors
def test_a_stream_that_goes_wrong_is_cut_off_rather_than_passed_for_whole(serve: Serve, pause: str, line: str) -> None:
    world = serve({"m": body(PIECES, PIECE, pause, line), "echo": ECHO})
    client = start(world)
    client.wait_closed()
    assert client.raw.endswith(b"part2;\r\n")  # no last chunk: the client knows that something is missing
    assert call(world, "echo", {"x": 1}) == {"result": {"x": 1}}


@pytest.mark.expects_errors
def test_a_response_type_that_cannot_be_sent_is_an_error_before_the_stream_begins(serve: Serve) -> None:
    source = body("handler.respond_raw('x', 'a\\r\\nX-Evil: 1', finish=False)")
    reply = serve({"m": source}).connect().post("/m", {})
    assert (reply.json()["error"]["code"], reply.header("X-Evil")) == (1000, None)


# ---------------------------------------------------------------- peers that read slowly, or not at all

SLOW = body(
    "for n in range(200):",
    "    sent.append(n)",
    "    yield handler.respond_raw(bytes([n]) * 100_000, 'x/y', finish=False)",
) + "sent = []\n"  # fmt: skip


@pytest.mark.parametrize("wait", ["yield handler.respond_raw", "handler.respond_raw"])
def test_a_method_that_waits_sends_no_faster_than_its_client_reads(serve: Serve, wait: str) -> None:
    source = SLOW if wait.startswith("yield") else SLOW.replace("yield handler", "handler") + ""
    if not wait.startswith("yield"):
        source = source.replace("finish=False)\n", "finish=False)\n        yield handler.flush()\n")
    world = serve({"m": source, "echo": ECHO})
    client = start(world)
    world.step(300)
    assert len(world.module("m").sent) < 120  # what the kernel holds between the two, and one piece more
    assert world.stewards[0].remoter.pending <= 100_100
    assert call(world, "echo", {"x": 1}) == {"result": {"x": 1}}  # others are served meanwhile
    assert client.reply().body == b"".join(bytes([n]) * 100_000 for n in range(200))
    assert len(world.module("m").sent) == 200


@pytest.mark.parametrize("pause", ["", "    yield 0.01"])
@pytest.mark.expects_errors
def test_a_method_that_does_not_wait_is_stopped_at_the_bound(serve: Serve, pause: str) -> None:
    lines = (
        "for n in range(1000):",
        "    sent.append(n)",
        "    handler.respond_raw(bytes(100_000), 'x/y', finish=False)",
    )
    source = body(*lines, pause or "pass") + "sent = []\n"
    world = serve({"m": source, "echo": ECHO}, max_stream_buffer=1_000_000)
    start(world)
    world.step(1000)
    assert len(world.module("m").sent) < 120
    assert call(world, "echo", {"x": 1}) == {"result": {"x": 1}}


def test_the_buffer_error_tells_a_method_what_to_do(serve: Serve) -> None:
    lines = (
        "try:",
        "    while True:",
        "        handler.respond_raw(bytes(100_000), 'x/y', finish=False)",
        "except BufferError as e:",
    )
    world = serve({"m": body(*lines, "    raised.append(str(e))") + "raised = []\n"}, max_stream_buffer=1_000_000)
    start(world)
    assert "yield" in world.module("m").raised[0]


@pytest.mark.expects_errors
def test_a_thread_that_does_not_wait_has_its_reply_cut_off_at_the_bound(serve: Serve) -> None:
    lines = (
        "last = [handler.respond_raw(bytes(100_000), 'x/y', finish=False) for n in range(300)][-1]",
        "futures.append(last)",
    )
    world = serve({"m": in_thread(*lines) + "futures = []\n", "echo": ECHO}, max_stream_buffer=1_000_000)
    client = start(world)
    while not world.module("m").futures or not world.module("m").futures[0].done():
        world.step()
    assert isinstance(world.module("m").futures[0].exception(), (BufferError, ConnectionError))
    client.wait_closed()
    assert call(world, "echo", {"x": 1}) == {"result": {"x": 1}}


@pytest.mark.expects_errors
@pytest.mark.parametrize("more", ["pass", "handler.respond_raw(b'end', 'x/y')"])
def test_pieces_that_a_thread_sends_before_the_server_has_a_turn_are_bounded(serve: Serve, more: str) -> None:
    source = asynchronous(
        "def work():",
        "    futures.extend(handler.respond_raw(bytes(100_000), 'x/y', finish=False) for n in range(300))",
        f"    {more}",
        "thread = threading.Thread(target=work)",
        "thread.start()",
        "thread.join()",  # the cycle stands still meanwhile
        "known.extend(future.done() and type(future.exception()) for future in futures)",
    )
    source += "futures = []\nknown = []\n"
    world = serve({"m": source, "echo": ECHO}, max_stream_buffer=1_000_000)
    client = start(world)
    known = world.module("m").known
    assert known == [False] * 11 + [BufferError] * 289  # the first that is too much is the last that is taken
    client.wait_closed()
    assert not client.raw.endswith(b"0\r\n\r\n")  # a reply that lacks pieces must not pass for whole
    assert len(world.server.built.inbox) == 0
    assert call(world, "echo", {"x": 1}) == {"result": {"x": 1}}


def test_a_thread_that_waits_may_send_any_amount(serve: Serve) -> None:
    lines = (
        "gone = threading.Semaphore(0)",
        "for n in range(50):",
        "    future = handler.respond_raw(bytes([n]) * 600_000, 'x/y', finish=False)",
        "    future.add_done_callback(lambda future: gone.release())",
        "    gone.acquire()",
        "handler.respond_raw(b'end', 'x/y')",
    )
    client = start(serve({"m": in_thread(*lines)}, max_stream_buffer=1_000_000))
    assert client.reply().body == b"".join(bytes([n]) * 600_000 for n in range(50)) + b"end"


@pytest.mark.parametrize(
    "loop",
    [
        "yield handler.respond_raw(bytes(100_000), 'x/y', finish=False)",
        "handler.respond_raw(bytes(1000), 'x/y', finish=False); yield 0.01",
        "handler.respond_raw(bytes(1000), 'x/y', finish=False); yield",
    ],
)
@pytest.mark.parametrize("leave", ["close", "abort"])
def test_a_stream_without_end_ends_when_its_client_leaves(serve: Serve, loop: str, leave: str) -> None:
    source = body("try:", "    while True:", f"        {loop}", "finally:", "    ended.append(1)") + "ended = []\n"
    world = serve({"m": source, "echo": ECHO})
    client = start(world)
    world.step(20)
    assert world.module("m").ended == []
    getattr(client, leave)()
    world.step(50)
    assert world.module("m").ended == [1]
    assert call(world, "echo", {"x": 1}) == {"result": {"x": 1}}


def test_a_thread_that_streams_without_end_learns_that_its_client_has_left(serve: Serve) -> None:
    lines = ("while True:", "    futures.append(handler.respond_raw(b'x', 'x/y', finish=False))", "    go.acquire()")
    world = serve({"m": in_thread(*lines) + "futures = []\ngo = threading.Semaphore(0)\n"})
    client = start(world)
    module = world.module("m")
    client.abort()
    for wanted in itertools.count(1):
        while len(module.futures) < wanted or not module.futures[wanted - 1].done():
            world.step()
        if module.futures[wanted - 1].exception() is not None:
            break
        module.go.release()
    assert isinstance(module.futures[-1].exception(), ConnectionAbortedError)


def test_a_stream_that_goes_on_is_not_too_late_and_one_that_stopped_is(serve: Serve) -> None:
    world = serve(
        {
            "m": body(
                "while True:", "    handler.respond_raw(b'x', 'x/y', finish=False)", "    yield parameters['every']"
            )
        },
        async_timeout=60.0,
    )
    client = world.connect()
    client.send(request_bytes("POST", "/m", b'{"every": 40.0}'))
    other = world.connect()
    other.send(request_bytes("POST", "/m", b'{"every": 4000.0}'))
    world.step(3)
    for n in range(1, 6):
        client.receive()
        assert client.raw.count(b"1\r\nx\r\n") == n
        world.advance(40.1)
    other.wait_closed()
    assert not other.raw.endswith(b"0\r\n\r\n")


def test_a_reply_behind_a_long_one_waits_until_it_is_read(serve: Serve) -> None:
    source = body("return 'x' * 3_000_000")
    world = serve({"m": source + "", "echo": ECHO})
    client = world.connect()
    client.send(request_bytes("POST", "/m", b"{}") * 3 + request_bytes("POST", "/echo", b'{"x": 1}'))
    world.step(20)
    for _ in range(3):
        assert len(client.reply().json()["result"]) == 3_000_000
    assert client.reply().json() == {"result": {"x": 1}}


def test_a_stream_whose_client_reads_nothing_ends_after_the_write_timeout(serve: Serve) -> None:
    source = (
        body(
            "try:",
            "    while True:",
            "        yield handler.respond_raw(bytes(100_000), 'x/y', finish=False)",
            "except ConnectionAbortedError:",
            "    ended.append(1)",
        )
        + "ended = []\n"
    )
    world = serve({"m": source, "echo": ECHO}, write_timeout=30.0)
    start(world)
    world.step(300)
    world.advance(29.0)
    assert world.module("m").ended == []
    for _ in range(20):  # what the kernel still moves, later on a busy machine, counts as reading
        world.advance(31.0)
    assert world.module("m").ended == [1]
    assert call(world, "echo", {"x": 1}) == {"result": {"x": 1}}


def test_a_flush_that_a_thread_waits_for_fails_when_the_client_leaves_first(serve: Serve) -> None:
    lines = ("handler.respond_raw(bytes(8_000_000), 'x/y', finish=False)", "futures.append(handler.flush())")
    world = serve({"m": in_thread(*lines) + "futures = []\n"})
    client = start(world)
    module = world.module("m")
    while not module.futures or not world.stewards[0].remoter.pending:
        world.step()
    assert not module.futures[0].done()
    client.abort()
    world.step(5)
    assert isinstance(module.futures[0].exception(), ConnectionAbortedError)
