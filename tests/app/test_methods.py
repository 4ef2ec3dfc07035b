"""The ways in which a method may be written: plain, waiting, in threads."""

import json
import threading

import pytest

from tests.methods import ECHO, Serve, asynchronous, body, call, coroutine, in_thread
from tests.support import Client, request_bytes

# ---------------------------------------------------------------- methods that wait


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ("return [(yield)]", [None]),
        ("return [(yield 0)]", [None]),
        ("yield 0.25; yield 1; return 7", 7),
        ("yield sleep(0.5); return 7", 7),
        ("f = Future(); f.set_result(5); return (yield f)", 5),
        ("f, g = Future(), Future(); g.set_result(2); f.set_result(1); return (yield [f, g])", [1, 2]),
        (
            "f, g = Future(), Future(); f.set_result(1); g.set_result(2); return (yield {'a': f, 5: g})",
            {"a": 1, "5": 2},
        ),
        ("return (yield [])", []),
        ("return (yield {})", {}),
        ("return (yield inner(3))", 4),
        ("return (yield [inner(1), inner(5)])", [2, 6]),
        ("return (yield from inner(3))", 4),
        ("return (yield [yield_task(pow, 2, n) for n in range(3)])", [1, 2, 4]),
        ("return (yield InstancePool(['ab']).awaitable().upper())", "AB"),
    ],
)
def test_a_generator_waits_for_what_it_yields(serve: Serve, line: str, result: object) -> None:
    inner = "\ndef inner(x):\n    yield 0.5\n    return x + 1\n\nyield_task = TaskQueue.instance('q', 2).yield_task\n"
    assert call(serve({"m": body(line) + inner})) == {"result": result}


@pytest.mark.parametrize("wait", ["f", "[done, f]", "{'f': f}", "inner()"])
def test_the_exception_of_what_a_generator_waits_for_is_raised_where_it_yields(serve: Serve, wait: str) -> None:
    futures = ("f, done = Future(), TaskQueue.instance('q').yield_task(pow, 2, 2)", "f.set_exception(KeyError('k'))")
    source = body(*futures, "try:", f"    yield {wait}", "except KeyError as error:", "    return str(error)")
    assert call(serve({"m": source + "\ndef inner():\n    yield 0.5\n    raise KeyError('k')\n"})) == {"result": "'k'"}


@pytest.mark.parametrize(
    ("lines", "result"),
    [
        (("return 7",), 7),
        (("await sleep(0.5)", "return 7"), 7),
        (("f = Future()", "f.set_result(5)", "return await f"), 5),
        (("async def inner(x):", "    await sleep(0.5)", "    return x", "return await inner(3)"), 3),
        (("return await TaskQueue.instance('q').yield_task(pow, 2, 5)",), 32),
    ],
)
def test_a_coroutine_waits_for_what_it_awaits(serve: Serve, lines: tuple[str, ...], result: object) -> None:
    assert call(serve({"m": coroutine(*lines)})) == {"result": result}


def test_a_plain_method_may_return_a_future(serve: Serve) -> None:
    assert call(serve({"m": body("return TaskQueue.instance('q').yield_task(pow, 2, 5)")})) == {"result": 32}


@pytest.mark.parametrize("make", [body, coroutine])
def test_errors_of_methods_that_wait_are_errors_like_others(serve: Serve, make: object) -> None:
    pause = "yield 0.1" if make is body else "await sleep(0.1)"
    world = serve({"m": make(pause, "raise TotoException(4242, 'x')")})  # type: ignore[operator]
    assert call(world) == {"error": {"code": 4242, "value": "x"}}


@pytest.mark.parametrize(
    "error", ["ValueError('x')", "SystemExit('x')", "KeyboardInterrupt('x')", "RecursionError('x')"]
)
@pytest.mark.expects_errors
def test_whatever_a_waiting_method_raises_is_error_1000(serve: Serve, error: str) -> None:
    world = serve({"m": body("yield 0.1", f"raise {error}"), "echo": ECHO})
    assert call(world) == {"error": {"code": 1000, "value": "x"}}
    assert call(world, "echo", {"x": 1}) == {"result": {"x": 1}}


@pytest.mark.parametrize("wanted", ["'text'", "object()", "float('nan')", "float('inf')", "[1, object()]"])
@pytest.mark.expects_errors
def test_what_nothing_can_be_waited_for_is_raised_where_it_was_yielded(serve: Serve, wanted: str) -> None:
    source = body("try:", f"    yield {wanted}", "except TypeError as error:", "    return 'refused'")
    assert call(serve({"m": source})) == {"result": "refused"}


@pytest.mark.parametrize("idle", [0.0, 1000.0])
def test_a_pause_lasts_its_time_also_when_the_server_was_idle_before(serve: Serve, idle: float) -> None:
    world = serve({"m": body("yield 5.0", "return 1")})
    client = world.connect()
    world.step(3)
    world.doist.tyme += idle
    client.send(request_bytes("POST", "/m", b"{}"))
    world.step(5)
    world.advance(4.0)
    client.receive()
    assert client.raw == b""
    world.advance(1.1)
    assert client.reply().json() == {"result": 1}


def test_an_asynchronous_generator_method_responds_itself(serve: Serve) -> None:
    assert call(serve({"m": asynchronous("yield 0.1", "handler.respond({'both': True})")})) == {
        "result": {"both": True}
    }
    assert call(serve({"m": asynchronous("yield 0.1", "return 5")})) == {"result": 5}


def test_waiting_calls_hold_up_nobody(serve: Serve) -> None:
    world = serve({"slow": body("yield 3.0", "return 1"), "echo": ECHO})
    clients = [world.connect() for _ in range(20)]
    for client in clients:
        client.send(request_bytes("POST", "/slow", b"{}"))
    world.step(3)
    assert call(world, "echo", {"x": 1}) == {"result": {"x": 1}}
    world.advance(3.5)
    assert [client.reply().json()["result"] for client in clients] == [1] * 20


# ---------------------------------------------------------------- threads


def test_many_threads_respond_each_to_its_own_call(serve: Serve) -> None:
    world = serve({"m": in_thread("handler.respond(parameters['n'])")})
    clients: list[Client] = [world.connect() for _ in range(30)]
    for n, client in enumerate(clients):
        client.send(request_bytes("POST", "/m", json.dumps({"n": n}).encode()))
    assert [client.reply().json()["result"] for client in clients] == list(range(30))


def test_methods_run_in_the_thread_of_the_cycle_and_tasks_beside_it(serve: Serve) -> None:
    lines = (
        "here = threading.get_ident()",
        "there = yield TaskQueue.instance('q').yield_task(threading.get_ident)",
        "return [here, there]",
    )
    here, there = call(serve({"m": body(*lines)}))["result"]  # type: ignore[index]
    assert here == threading.get_ident() != there


def test_a_future_completed_by_a_thread_wakes_a_method(serve: Serve) -> None:
    lines = (
        "future = Future()",
        "threading.Thread(target=future.set_result, args=(9,), daemon=True).start()",
        "return (yield future)",
    )
    assert call(serve({"m": body(*lines)})) == {"result": 9}
