"""The end of a server, and its next beginning."""

import json
import logging
import threading
from collections.abc import Iterator

import pytest
from hio.base import doing

from tests.methods import ECHO, Serve, asynchronous, body, call
from tests.support import Client, World, request_bytes
from tests.waiting import LONG
from totohio import TotoHandler
from totohio.base.clocking import Clock

NAP = body("yield parameters['seconds']", "return 'late'")
NEVER = asynchronous("return None")
ONE_BY_ONE = {"batch": {"a": {"method": "nap", "parameters": {"seconds": 50.0}}, "b": {"method": "echo"}}}


def begin(world: World, path: str, text: bytes = b"{}") -> Client:
    """A client whose request has reached the method."""
    client = world.connect()
    client.send(request_bytes("POST", path, text))
    world.step(5)
    return client


def enter(world: World, tyme: float = 0.0) -> None:
    """Have the server begin again under another Doist."""
    world.doist = doing.Doist(real=False, tock=0.03125, doers=world.server.doers, tyme=tyme)
    world.doist.enter()


# ---------------------------------------------------------------- the next beginning


def test_a_call_of_an_earlier_life_times_out_neither_in_the_next_nor_holds_up_its_timeouts(serve: Serve) -> None:
    world = serve({"never": NEVER, "nap": NAP}, async_timeout=100.0)
    world.advance(10_000.0)
    begin(world, "/nap", b'{"seconds": 50}')
    world.doist.exit()
    enter(world)
    client = begin(world, "/never")
    world.advance(101.0)
    assert client.reply().json()["error"]["code"] == 1014


def test_a_batch_of_an_earlier_life_starts_nothing_in_the_next(serve: Serve) -> None:
    many = body("seen.append(parameters)") + "seen = []\n"
    world = serve({"m": many}, batch_slice=1)
    client = world.connect()
    entries = ",".join(f'"{n:03}": {{"method": "m"}}' for n in range(300))
    client.send(request_bytes("POST", "/", b'{"batch": {%s}}' % entries.encode()))
    world.step(5)
    begun = len(world.module("m").seen)
    assert 0 < begun < 300
    world.doist.exit()
    enter(world)
    assert len(world.server.built.dispatcher.batches) == 0
    world.step(5)
    assert len(world.module("m").seen) == begun


def test_the_date_is_made_anew_though_tyme_begins_anew(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    world = serve({"echo": ECHO})
    world.advance(5000.0)
    assert call(world, "echo", {"x": 1}) == {"result": {"x": 1}}
    world.doist.exit()
    enter(world)
    monkeypatch.setattr(Clock, "now", lambda clock: 0.0)
    for verb in ("GET", "POST"):
        reply = world.connect().request(verb, "/echo", b"{}" if verb == "POST" else b"")
        assert reply.header("date") == "Thu, 01 Jan 1970 00:00:00 GMT"


# ---------------------------------------------------------------- what a drain waits for


def test_the_outlook_counts_calls_and_connections_that_are_not_idle(serve: Serve) -> None:
    world = serve({"nap": NAP, "echo": ECHO}, drain_timeout=7.5)
    end = ", at most 7.5 s; again to end at once"
    assert world.doer.outlook() == "draining, no calls under way"
    world.connect().post("/echo", {})  # and stays connected
    assert world.doer.outlook() == "draining, no calls under way"
    world.connect().send(request_bytes("POST", "/echo", b"{}")[:-1])
    world.step(5)
    assert world.doer.outlook() == "draining, no calls under way, 1 connection busy" + end
    begin(world, "/nap", b'{"seconds": 50}')
    assert world.doer.outlook() == "draining, 1 call under way, 1 more connection busy" + end
    begin(world, "/", json.dumps(ONE_BY_ONE).encode())  # a batch is one
    assert world.doer.outlook() == "draining, 2 calls under way, 1 more connection busy" + end


# ---------------------------------------------------------------- task queues

TASKS = body(
    "queue = TaskQueue.instance('tasks')",
    "def work():",
    "    begun.set()",
    "    go.wait(60)",
    "    threads.append(threading.current_thread())",
    "for _ in range(3):",
    "    queue.add_task(work)",
) + "threads, begun, go = [], threading.Event(), threading.Event()\n"  # fmt: skip


def test_task_queues_end_with_their_server_and_begin_with_it_again(serve: Serve) -> None:
    world = serve({"m": TASKS, "size": body("return len(TaskQueue.instance('tasks'))")})
    world.connect().post("/m", {})
    module = world.module("m")
    assert module.begun.wait(LONG)
    (thread,) = [thread for thread in threading.enumerate() if thread.name.startswith("tasks-")]
    world.doist.exit()
    module.go.set()
    thread.join(LONG)
    assert not thread.is_alive()
    assert module.threads == [thread]
    enter(world)
    assert call(world, "size") == {"result": 0}
    world.connect().post("/m", {})
    while call(world, "size") != {"result": 0}:
        pass
    assert len(module.threads) == 4
    assert thread not in module.threads[1:]


# ---------------------------------------------------------------- calls that are given up


class Lines(logging.Handler):
    """Keeps what is logged of calls."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.calls: list[list[str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "totohio.calls":
            self.calls.append(record.getMessage().split()[1:3])


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Lines]:
    """What is logged of calls: names and codes."""
    caplog.set_level(logging.INFO, "totohio")
    handler = Lines()
    logger = logging.getLogger("totohio")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.mark.parametrize("way", ["waits", "asynchronous", "batch", "left", "untimed"])
def test_a_call_that_is_given_up_at_the_end_is_logged_and_told_of_once(
    serve: Serve, hooks: None, lines: Lines, way: str
) -> None:
    after = []
    TotoHandler.set_after_handler(lambda handler, transaction: after.append(handler.name))
    timeout = 0.0 if way == "untimed" else 3600.0
    world = serve({"nap": NAP, "never": NEVER, "echo": ECHO}, log_level="info", async_timeout=timeout)
    if way == "batch":
        name, client = "<batch>", begin(world, "/", json.dumps(ONE_BY_ONE).encode())
    elif way == "asynchronous":
        name, client = "never", begin(world, "/never")
    else:
        name, client = "nap", begin(world, "/nap", b'{"seconds": 50}')
    if way == "left":
        client.abort()
        world.step(5)
    assert (after, lines.calls) == ([], [])
    world.doist.exit()
    assert after == [name]
    assert lines.calls == [[name, "code=1014"]]
    world.doist.exit()
    assert len(after) == len(lines.calls) == 1
