"""Events as clients meet them: long-polls that wait, handlers that fire, and what has happened of late."""

import json
from typing import Any

import pytest

from tests.methods import ECHO, Serve, asynchronous, body
from tests.support import Client, World, request_bytes

WAIT = body("return {'args': (yield handler.event(parameters['name'], timeout=parameters.get('timeout')))}")
SEND = body(
    "EventManager.instance().send(parameters['name'], parameters.get('args'), parameters.get('broadcast', True))",
    "return 'sent'",
)
REGISTER = asynchronous(
    "handler.register_event_handler(parameters['name'], lambda args: handler.respond({'args': args}),",
    "    run_on_main_loop=parameters.get('loop', True), deregister_on_finish=True)",
)
SINCE = body("return handler.events_since(parameters['names'], parameters.get('last_id'), parameters.get('timeout'))")
METHODS = {"wait": WAIT, "send": SEND, "register": REGISTER, "since": SINCE, "echo": ECHO}
CLUSTER = {"event_mode": "on", "event_key": "open sesame", "event_port": 0}


def ask(world: World, method: str, **parameters: Any) -> Client:
    """Send a call on a connection of its own, and let the server take it."""
    client = world.connect()
    client.send(request_bytes("POST", f"/{method}", json.dumps({"parameters": parameters}).encode()))
    world.step(3)
    return client


def send(world: World, name: str, args: Any = None, **parameters: Any) -> None:
    """Send an event."""
    assert world.connect().call("send", {"name": name, "args": args, **parameters}) == {"result": "sent"}
    world.step(3)


def silent(client: Client) -> bool:
    """Tell whether nothing has come."""
    client.receive()
    return not client.replies


def waiters(world: World) -> int:
    return len(world.server.built.dispatcher.events.teller.waiters)


def pair(serve: Serve) -> tuple[World, World]:
    """Two servers that share events, and go on together."""
    first, second = serve(METHODS, **CLUSTER), serve(METHODS, **CLUSTER)

    def step(count: int = 1) -> None:
        for _ in range(count):
            World.step(first)
            World.step(second)

    first.step = second.step = step  # type: ignore[method-assign]
    for one, other in ((first, second), (second, first)):
        one.server.built.dispatcher.events.register_server(str(other.server.built.dispatcher.events.address))
    first.step(20)
    return first, second


# ---------------------------------------------------------------- facts of Toto


def test_an_event_answers_all_who_wait_for_it_and_nobody_else(serve: Serve) -> None:
    world = serve(METHODS)
    waiting = [ask(world, "wait", name="news") for _ in range(5)]
    other = ask(world, "wait", name="weather")
    send(world, "news", {"n": 1})
    assert [client.reply().json() for client in waiting] == [{"result": {"args": {"n": 1}}}] * 5
    assert silent(other)


def test_a_wait_is_for_one_event(serve: Serve) -> None:
    world = serve(METHODS)
    first = ask(world, "wait", name="news")
    send(world, "news", 1)
    second = ask(world, "wait", name="news")
    send(world, "news", 2)
    assert first.reply().json() == {"result": {"args": 1}}
    assert second.reply().json() == {"result": {"args": 2}}
    assert waiters(world) == 0


@pytest.mark.parametrize("loop", [True, False])
def test_a_registered_handler_responds(serve: Serve, loop: bool) -> None:
    world = serve(METHODS)
    client = ask(world, "register", name="news", loop=loop)
    send(world, "news", ["a", None])
    assert client.reply().json() == {"result": {"args": ["a", None]}}


def test_events_reach_those_who_wait_in_another_process(serve: Serve) -> None:
    first, second = pair(serve)
    waiting = [ask(world, "wait", name="news") for world in (first, second, second)]
    send(first, "news", "x")
    assert [client.reply().json() for client in waiting] == [{"result": {"args": "x"}}] * 3


def test_an_event_that_is_not_broadcast_reaches_one_process_each_in_turn(serve: Serve) -> None:
    first, second = pair(serve)
    for round in range(4):
        waiting = [ask(world, "wait", name="job") for world in (first, first, second, second)]
        send(first, "job", round, broadcast=False)
        first.step(10)
        told = [client for client in waiting if not silent(client)]
        assert told in (waiting[:2], waiting[2:])
        send(first, "job", "rest")
        assert [client.reply().json()["result"]["args"] for client in told] == [round] * 2
        assert [client.reply().json()["result"]["args"] for client in waiting if client not in told] == ["rest"] * 2


def test_arguments_are_never_mixed_up_in_a_thousand_rounds(serve: Serve) -> None:
    first, second = pair(serve)
    names = ["red", "green"]
    senders = [first.connect(), second.connect()]
    for round in range(1000):
        waiting = {name: ask_again(world, name) for name, world in zip(names, (first, second), strict=True)}
        for place, name in enumerate(names):
            assert senders[(round + place) % 2].call("send", {"name": name, "args": [name, round]}) == {
                "result": "sent"
            }
        for name, client in waiting.items():
            assert client.reply().json() == {"result": {"args": [name, round]}}


def ask_again(world: World, name: str) -> Client:
    """Wait for an event on the connection that waited for it before."""
    found: dict[str, Client] = world.__dict__.setdefault("waiting", {})
    if name not in found:
        found[name] = world.connect()
    client = found[name]
    client.send(request_bytes("POST", "/wait", json.dumps({"name": name}).encode()))
    world.step(2)
    return client


def test_each_waiter_has_a_copy_of_the_arguments_of_its_own(serve: Serve) -> None:
    change = body("args = yield handler.event('news')", "args['seen'] += 1", "return args")
    world = serve({**METHODS, "change": change})
    waiting = [ask(world, "change") for _ in range(3)]
    send(world, "news", {"seen": 0})
    assert [client.reply().json() for client in waiting] == [{"result": {"seen": 1}}] * 3


def test_a_waiter_whose_client_has_left_is_gone(serve: Serve) -> None:
    world = serve(METHODS)
    for name in ("wait", "register"):
        ask(world, name, name="news").close()
    world.step(5)
    assert waiters(world) == 0
    stay = ask(world, "wait", name="news")
    send(world, "news", 1)
    assert stay.reply().json() == {"result": {"args": 1}}


def test_a_handler_that_persists_is_called_for_every_event_and_one_that_fails_harms_nobody(serve: Serve) -> None:
    keep = body(
        "manager = EventManager.instance()",
        "handler.environment.shared.setdefault('seen', [])",
        "seen = handler.environment.shared['seen']",
        "manager.register_handler('news', seen.append, run_on_main_loop=True, persist=True)",
        "return True",
    )
    world = serve({**METHODS, "keep": keep})
    assert world.connect().call("keep") == {"result": True}
    for number in range(3):
        send(world, "news", number)
    assert world.server.environment.shared["seen"] == [0, 1, 2]


@pytest.mark.expects_errors
def test_a_handler_that_raises_is_logged_and_the_others_are_called(serve: Serve) -> None:
    bad = body("EventManager.instance().register_handler('news', lambda args: 1 / 0, True)", "return True")
    world = serve({**METHODS, "bad": bad})
    world.connect().call("bad")
    waiting = ask(world, "wait", name="news")
    send(world, "news", 1)
    assert waiting.reply().json() == {"result": {"args": 1}}


def test_a_handler_that_is_taken_back_is_not_called(serve: Serve) -> None:
    fickle = body(
        "sig = handler.register_event_handler('news', lambda args: 1 / 0)",
        "handler.deregister_event_handler(sig)",
        "handler.deregister_event_handler(sig)",
        "return True",
    )
    world = serve({**METHODS, "fickle": fickle})
    world.connect().call("fickle")
    send(world, "news", 1)
    assert waiters(world) == 0


def test_a_handler_of_a_request_that_is_over_is_not_called(serve: Serve) -> None:
    brief = body("handler.register_event_handler('news', lambda args: 1 / 0)", "return True")
    world = serve({**METHODS, "brief": brief})
    world.connect().call("brief")
    send(world, "news", 1)
    assert waiters(world) == 0


# ---------------------------------------------------------------- ours


def test_a_wait_ends_when_its_time_is_over(serve: Serve) -> None:
    world = serve(METHODS)
    client = ask(world, "wait", name="news", timeout=5.0)
    world.advance(4.9)
    assert silent(client)
    world.advance(0.2)
    assert client.reply().json() == {"error": {"code": 1014, "value": "No event came in time."}}
    assert waiters(world) == 0


def test_a_call_that_is_timed_out_waits_for_no_event_any_more(serve: Serve) -> None:
    world = serve(METHODS, async_timeout=5.0)
    client = ask(world, "wait", name="news")
    world.advance(5.1)
    assert client.reply().json()["error"]["code"] == 1014
    assert waiters(world) == 0


def test_waits_of_a_batch_are_answered_together(serve: Serve) -> None:
    world = serve(METHODS)
    client = world.connect()
    entries = {id: {"method": "wait", "parameters": {"name": id}} for id in ("a", "b")}
    client.send(request_bytes("POST", "/", json.dumps({"batch": entries, "mode": "parallel"}).encode()))
    world.step(3)
    send(world, "a", 1)
    assert silent(client)
    send(world, "b", 2)
    assert client.reply().json() == {"batch": {"a": {"result": {"args": 1}}, "b": {"result": {"args": 2}}}}


@pytest.mark.parametrize(
    ("name", "args", "code"),
    [("", 1, 1000), ("close", 1, 1000), ("a*", 1, 1000), ("x" * 201, 1, 1000), ("a\nb", 1, 1000)],
)
@pytest.mark.expects_errors
def test_what_is_no_event_is_refused(serve: Serve, name: str, args: Any, code: int) -> None:
    world = serve(METHODS)
    assert world.connect().call("send", {"name": name, "args": args})["error"]["code"] == code


def test_arguments_that_cannot_be_sent_are_the_sender_s_error(serve: Serve) -> None:
    world = serve({"bad": body("EventManager.instance().send('x', object())")})
    error = world.connect().call("bad")["error"]
    assert error["code"] == 1000
    assert "object" in error["value"]


def test_a_sender_that_is_too_fast_is_told_so(serve: Serve) -> None:
    flood = body("for n in range(100):", "    handler.event_manager.send('x', n)")
    world = serve({"flood": flood}, event_queue=10)
    assert world.connect().call("flood")["error"]["code"] == 1013


def test_threads_may_send_and_register(serve: Serve) -> None:
    work = asynchronous(
        "manager = handler.event_manager",
        "def run():",
        "    manager.register_handler('news', lambda args: handler.respond(args), run_on_main_loop=True)",
        "    manager.send('news', 'from a thread')",
        "threading.Thread(target=run, daemon=True).start()",
    )
    world = serve({"work": work})
    client = ask(world, "work")
    assert client.reply().json() == {"result": "from a thread"}


def test_there_is_no_instance_where_no_server_runs() -> None:
    from totohio import EventManager, TotohioError

    with pytest.raises(TotohioError, match="while a totohio server runs"):
        EventManager.instance()


def test_a_module_registers_handlers_before_the_server_listens(serve: Serve, tmp_path: Any, monkeypatch: Any) -> None:
    (tmp_path / "my_events.py").write_text(
        "SEEN = []\ndef invoke(manager):\n    manager.register_handler('news', SEEN.append, True, persist=True)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    world = serve(METHODS, event_init_module="my_events")
    send(world, "news", 5)
    import my_events  # type: ignore[import-not-found]

    assert my_events.SEEN == [5]


def test_a_server_that_goes_down_has_those_who_wait_ask_again(serve: Serve) -> None:
    world = serve(METHODS)
    waiting, polling = ask(world, "wait", name="news"), ask(world, "since", names=["news"], last_id="x")
    last = polling.reply().json()["result"]["last_id"]
    polling = ask(world, "since", names=["news"], last_id=last)
    world.server.drain()
    reply = waiting.reply()
    assert reply.json()["error"] == {"code": 1014, "value": "The server is going down; ask again.", "retry_after": 0.0}
    assert reply.header("Connection") == "close"
    assert polling.reply().json()["result"] == {"events": [], "last_id": last, "recovered": True}
    world.step(5)
    assert world.doer.done


# ---------------------------------------------------------------- what has happened of late


def since(world: World, *names: str, last_id: str | None = None, timeout: float = 5.0) -> Any:
    return ask(world, "since", names=list(names), last_id=last_id, timeout=timeout).reply().json()["result"]


def test_who_was_away_gets_what_has_happened_in_order(serve: Serve) -> None:
    world = serve(METHODS)
    start = since(world, "chat.*")
    assert start["events"] == []
    for number in range(3):
        send(world, f"chat.{number}", number)
        send(world, "other", number)
    found = since(world, "chat.*", last_id=start["last_id"])
    assert [(event["name"], event["args"]) for event in found["events"]] == [
        ("chat.0", 0),
        ("chat.1", 1),
        ("chat.2", 2),
    ]
    assert found["recovered"]
    middle = found["events"][1]["id"]
    assert [event["args"] for event in since(world, "chat.*", last_id=middle)["events"]] == [2]


def test_who_has_seen_all_waits_for_the_next(serve: Serve) -> None:
    world = serve(METHODS)
    start = since(world, "news")["last_id"]
    client = ask(world, "since", names=["news"], last_id=start, timeout=60.0)
    send(world, "other", 0)
    assert silent(client)
    send(world, "news", 1)
    answer = client.reply().json()["result"]
    assert [event["args"] for event in answer["events"]] == [1]
    assert answer["recovered"]


def test_who_waits_in_vain_learns_how_far_everything_has_come(serve: Serve) -> None:
    world = serve(METHODS)
    start = since(world, "news")["last_id"]
    client = ask(world, "since", names=["news"], last_id=start, timeout=5.0)
    send(world, "other", 0)
    world.advance(5.1)
    answer = client.reply().json()["result"]
    assert answer["events"] == []
    assert answer["last_id"] != start


def test_who_was_away_for_too_long_is_told_so(serve: Serve) -> None:
    world = serve(METHODS, event_history=2)
    start = since(world, "news")["last_id"]
    for number in range(3):
        send(world, "news", number)
    found = since(world, "news", last_id=start)
    assert not found["recovered"]
    assert since(world, "news", last_id=found["last_id"], timeout=0.0)["recovered"]


@pytest.mark.parametrize(
    ("last_id", "told"),
    [("", []), ("nonsense", []), ("x" * 5000, []), ("a.1,a.2", []), ("unknown.5", [1, 2]), ("-", [1, 2])],
)
def test_an_id_that_nobody_knows_gives_what_is_kept_and_recovers_nothing(
    serve: Serve, last_id: str, told: list[int]
) -> None:
    world = serve(METHODS, event_history=2)
    for number in range(3):
        send(world, "news", number)
    answer = since(world, "news", last_id=last_id)
    assert [event["args"] for event in answer["events"]] == told
    assert not answer["recovered"]


def test_a_client_goes_on_at_another_process(serve: Serve) -> None:
    first, second = pair(serve)
    start = since(first, "news")["last_id"]
    for number in range(4):
        send((first, second)[number % 2], "news", number)
    first.step(10)
    seen = since(first, "news", last_id=start)
    assert sorted(event["args"] for event in seen["events"]) == [0, 1, 2, 3]
    assert since(second, "news", last_id=start)["recovered"]
    send(first, "news", 4)
    first.step(10)
    rest = since(second, "news", last_id=seen["last_id"])
    assert [event["args"] for event in rest["events"]] == [4]
    assert rest["recovered"]
