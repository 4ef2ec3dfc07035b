"""CallerDoer: scripts, the time they wait, and the end of all of them."""

import gc
import inspect
import logging
import math
import threading
import weakref
from collections.abc import Generator
from typing import Any

import pytest

from tests.sim.desks import TOCK, ScriptedDesk, reply, result
from totohio import sleep
from totohio.base.futures import CancelledError, Future
from totohio.core.invoking import RESUMES
from totohio.sim.clients.calling import CallerDoer


@pytest.fixture
def desk() -> ScriptedDesk:
    return ScriptedDesk()


# ------------------------------------------------------------ scripts


def test_a_script_waits_for_whatever_methods_wait_for(desk: ScriptedDesk) -> None:
    client = desk.client()
    seen: list[Any] = []

    def inner(number: int) -> Generator[Any, Any, int]:
        yield 0.5
        return number

    async def coroutine() -> str:
        await sleep(0.25)
        return "awaited"

    def script() -> Generator[Any, Any, str]:
        seen.append((yield client.call("one")))
        seen.append((yield [client.call("two"), client.call("three")]))
        seen.append((yield {"a": client.call("four"), "b": inner(5)}))
        seen.append((yield from inner(6)))
        seen.append((yield coroutine()))
        seen.append((yield))
        return "done"

    outcome = desk.spawn(script())
    for count in (1, 2, 1):
        desk.cycle(3)
        desk.answer(b"".join(result(number) for number in range(count)))
    assert desk.wait(outcome) == ["done"]
    assert seen == [0, [0, 1], {"a": 0, "b": 5}, 6, "awaited", None]


def test_scripts_may_be_coroutines_or_futures(desk: ScriptedDesk) -> None:
    client = desk.client()

    async def script() -> int:
        found: int = await client.call("m")
        return found

    future: Future[int] = Future()
    outcomes = [desk.spawn(script()), desk.spawn(future)]
    desk.cycle(2)
    desk.answer(result(7))
    future.set_result(8)
    assert desk.wait(*outcomes) == [7, 8]


@pytest.mark.parametrize("script", [lambda: None, [1], 7, None])
def test_what_is_no_script_is_said_at_once(desk: ScriptedDesk, script: Any) -> None:
    with pytest.raises(TypeError, match="a script is"):
        desk.caller.spawn(script)


def test_a_script_begins_with_the_next_cycle(desk: ScriptedDesk) -> None:
    begun: list[float] = []

    def script() -> Generator[Any, Any, None]:
        begun.append(desk.caller.lot.tyme)
        yield

    desk.doist.tyme = 50.0
    desk.spawn(script())
    assert begun == []
    assert desk.caller.due(50.0) == 50.0
    assert not desk.caller.idle()
    desk.cycle()
    assert begun == [50.0]


def test_what_a_script_raises_is_told(desk: ScriptedDesk) -> None:
    def script() -> Generator[Any, Any, None]:
        yield 1.0
        raise KeyError("lost")

    outcome = desk.spawn(script())
    with pytest.raises(KeyError, match="lost"):
        desk.wait(outcome)
    assert outcome.result is None
    assert desk.caller.idle()


@pytest.mark.expects_errors
def test_what_a_script_raises_is_logged_when_nobody_else_is_told(desk: ScriptedDesk) -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]

    def script() -> Generator[Any, Any, None]:
        yield
        raise KeyError("lost")

    logging.getLogger("totohio").addHandler(handler)
    try:
        desk.caller.spawn(script())
        desk.cycle(3)
    finally:
        logging.getLogger("totohio").removeHandler(handler)
    assert [record.exc_info[0] for record in records if record.exc_info] == [KeyError]
    assert desk.caller.idle()


def test_a_script_can_have_others_run(desk: ScriptedDesk) -> None:
    outcomes: list[Any] = []

    def child(number: int) -> Generator[Any, Any, int]:
        yield number
        return number

    def parent() -> Generator[Any, Any, None]:
        outcomes.extend(desk.spawn(child(number)) for number in range(3))
        yield

    desk.run(parent())
    assert desk.wait(*outcomes) == [0, 1, 2]
    assert desk.caller.idle()


def test_a_cycle_begins_and_resumes_a_bounded_number_of_scripts(desk: ScriptedDesk) -> None:
    steps: list[int] = []

    def script() -> Generator[Any, Any, None]:
        steps.append(1)
        yield
        steps.append(1)

    for _ in range(RESUMES + 10):
        desk.spawn(script())
    counts = []
    while not desk.caller.idle():
        before = len(steps)
        desk.cycle()
        counts.append(len(steps) - before)
    assert max(counts) <= 2 * RESUMES
    assert sum(counts) == 2 * (RESUMES + 10)


# ------------------------------------------------------------ time


def test_it_is_due_when_a_script_or_a_timeout_is(desk: ScriptedDesk) -> None:
    caller, tyme = desk.caller, desk.doist.tyme
    assert caller.due(tyme) == math.inf
    client = desk.client(timeout=50.0)
    desk.wait(client.connect())
    tyme = desk.doist.tyme
    client.call("m")
    assert caller.due(tyme) == tyme + 50.0
    client.call("n", timeout=20.0)
    assert caller.due(tyme) == tyme + 20.0
    desk.answer(result(1) + result(2))
    assert caller.due(desk.doist.tyme) == math.inf


def test_it_is_due_when_a_connection_takes_too_long() -> None:
    desk = ScriptedDesk(at_once=False)
    client = desk.client()
    client.connect_timeout = 5.0
    tyme = desk.doist.tyme
    client.connect()
    assert desk.caller.due(tyme) == tyme + 5.0
    desk.sock.established = True
    desk.cycle()
    assert desk.caller.due(tyme) == math.inf


def test_timeouts_are_counted_from_when_the_call_is_made(desk: ScriptedDesk) -> None:
    client = desk.client()
    desk.doist.tyme = 1000.0  # no cycle has come since
    future = client.call("m", timeout=10.0)
    desk.advance(9.0)
    assert not future.done()
    desk.advance(1.5)
    assert future.done()


# ------------------------------------------------------------ asked from elsewhere


def test_a_call_may_come_from_any_thread(desk: ScriptedDesk) -> None:
    client = desk.client()
    made: list[Future[Any]] = []
    thread = threading.Thread(target=lambda: made.append(client.call("m")))
    thread.start()
    thread.join()
    assert desk.network.socks == []
    assert desk.caller.poller.wakes > 0
    assert desk.caller.due(desk.doist.tyme) <= desk.doist.tyme
    desk.cycle(2)
    desk.answer(result(5))
    assert made[0].result() == 5


def test_a_script_may_come_from_any_thread(desk: ScriptedDesk) -> None:
    future: Future[int] = Future()
    thread = threading.Thread(target=lambda: desk.caller.spawn(future))
    thread.start()
    thread.join()
    assert desk.caller.poller.wakes > 0
    future.set_result(1)
    desk.cycle(2)
    assert desk.caller.idle()


def test_what_is_asked_before_it_runs_is_done_when_it_does() -> None:
    other = ScriptedDesk()
    caller = CallerDoer(other.caller.environment)
    client = caller.client(("10.0.0.1", 80), timeout=5.0)
    future = client.call("m")
    assert other.network.socks == []
    other.doist.tyme = 100.0
    other.doist.deeds.extend(other.doist.enter(doers=[caller]))
    other.cycle(2)
    other.answer(result(1))
    assert future.result() == 1


# ------------------------------------------------------------ the end


def test_exit_closes_scripts_connections_and_poller(desk: ScriptedDesk) -> None:
    client, idle = desk.client(), desk.client()
    desk.wait(idle.connect())
    ended: list[str] = []

    def script() -> Generator[Any, Any, None]:
        try:
            yield client.call("m")
        finally:
            ended.append("script")
            late.append(client.call("too late"))

    async def never_begun() -> None:
        ended.append("never")

    late: list[Future[Any]] = []
    outcome = desk.spawn(script())
    desk.cycle(2)
    in_flight = [client.call("n"), client.send(b""), client.receive()]
    coroutine = never_begun()
    desk.caller.spawn(coroutine)
    posted: list[Future[Any]] = []
    thread = threading.Thread(target=lambda: posted.append(client.call("posted")))
    thread.start()
    thread.join()
    desk.doist.exit()
    assert ended == ["script"]
    assert not outcome.done
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
    for future in (in_flight[0], in_flight[2], *late, *posted, client.call("after"), client.connect()):
        with pytest.raises(ConnectionAbortedError, match="the client was ended"):
            future.result()
    assert all(sock.closed for sock in desk.network.socks)
    assert desk.network.pollers[0].closed
    assert not desk.network.pollers[0].watched
    assert desk.caller.idle()
    desk.caller.exit()
    client.close()


def test_it_can_be_entered_again(desk: ScriptedDesk) -> None:
    client = desk.client()
    client.call("lost")
    desk.doist.exit()
    desk.doist.tyme = 0.0
    desk.doist.deeds.extend(desk.doist.enter(doers=[desk.caller]))
    desk.cycle()
    future = client.call("m", timeout=5.0)
    desk.answer(result(1))
    assert future.result() == 1
    assert len(desk.network.socks) == 2


def test_a_client_that_nobody_knows_any_more_is_let_go(desk: ScriptedDesk) -> None:
    client = desk.client()
    future = client.call("m")
    desk.answer(reply(b"{}", "Connection: close"))
    assert future.result() is None
    seen = weakref.ref(client)
    del client, future
    gc.collect()
    assert seen() is None


def test_a_cancelled_wait_is_an_error_of_the_script(desk: ScriptedDesk) -> None:
    client = desk.client()
    future = client.call("m")

    def script() -> Generator[Any, Any, str]:
        with pytest.raises(CancelledError):
            yield future
        return "cancelled"

    outcome = desk.spawn(script())
    desk.cycle(2)
    future.cancel()
    assert desk.wait(outcome) == ["cancelled"]


def test_tyme_is_the_doists(desk: ScriptedDesk) -> None:
    ticks: list[float] = []

    def script() -> Generator[Any, Any, None]:
        for _ in range(3):
            ticks.append(desk.caller.lot.tyme)
            yield 2 * TOCK

    desk.run(script())
    assert ticks == [0.0, 2 * TOCK, 4 * TOCK]
