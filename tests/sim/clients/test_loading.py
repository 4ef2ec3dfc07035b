"""Open-loop load in virtual time, held to what queueing says, call by call."""

import heapq
from pathlib import Path

import pytest

from totohio import TaskQueue
from totohio.sim.clients.loading import Load
from totohio.sim.scheduling import Stuck
from totohio.sim.worlding import Script, World

MEAN = 0.004  # seconds that a task takes on average
PATIENCE = 0.05  # seconds until a call that is still waiting gets error 1014
EXACT = 1e-6  # seconds: sums of floats at 3,600 s


def task() -> None:
    """What a thread does; the world says how long it takes."""


def method(threads: int) -> object:
    def invoke(handler: object, parameters: object) -> Script:
        yield TaskQueue.instance("load", threads).yield_task(task)

    return invoke


def loaded(
    threads: int, rate: float, seconds: float, *, seed: int = 1, patience: float = PATIENCE
) -> tuple[Load, list[float]]:
    """Load a server whose method waits for a thread; give what became of the calls, and how long each task took."""
    with World(seed, faults="still") as world:
        dice = world.dice.branch("service")
        services: list[float] = []

        def service() -> float:
            services.append(dice.exponential(MEAN))
            return services[-1]

        world.takes("task", service)
        server = world.server(methods={"work": method(threads)}, async_timeout=patience)
        load = world.load(server, "work", rate=rate, seconds=seconds)
        world.run(4 * seconds)  # tasks of calls that were given up have their turn as well
        return load, services


def expected(load: Load, services: list[float], threads: int) -> list[tuple[str, float]]:
    """What a first-come queue with so many servers makes of these arrivals and service times."""
    free = [0.0] * threads
    found = []
    for sample, service in zip(load.samples, services, strict=True):
        end = max(sample.tyme, heapq.heappop(free)) + service
        heapq.heappush(free, end)
        wait = end - sample.tyme
        found.append(("ok", wait) if wait < PATIENCE else ("1014", PATIENCE))
    return found


def check(load: Load, services: list[float], threads: int) -> None:
    wanted = expected(load, services, threads)
    assert [sample.outcome for sample in load.samples] == [outcome for outcome, _ in wanted]
    worst = max(abs(sample.seconds - seconds) for sample, (_, seconds) in zip(load.samples, wanted, strict=True))
    assert worst < EXACT


def test_each_call_waits_exactly_as_long_as_the_queue_before_it_lasts() -> None:
    load, services = loaded(1, rate=200.0, seconds=30.0)
    assert len(load.samples) > 5000
    assert set(load.outcomes()) == {"ok", "1014"}
    check(load, services, 1)


def test_the_same_holds_for_several_threads() -> None:
    load, services = loaded(3, rate=700.0, seconds=10.0)
    assert set(load.outcomes()) == {"ok", "1014"}
    check(load, services, 3)


def test_an_overloaded_server_times_out_all_but_the_first_calls() -> None:
    load, services = loaded(1, rate=1000.0, seconds=3.0)
    check(load, services, 1)
    late = [sample.outcome for sample in load.samples if sample.tyme > 1.0]
    assert set(late) == {"1014"}


def test_calls_come_whether_others_are_answered_or_not() -> None:
    with World(faults="still") as world:
        server = world.server(methods={"wait": "def invoke(handler, parameters):\n    yield 5.0\n"})
        load = world.load(server, "wait", rate=50.0, seconds=10.0)
        assert 400 < len(load.samples) < 600
        assert load.connections > 200
        assert load.percentile(0.0) == pytest.approx(5.0)
        assert load.percentile(1.0) == pytest.approx(5.0)


def test_calls_that_nobody_answers_are_counted_by_what_went_wrong() -> None:
    with World(faults="still") as world:
        server = world.server(methods={"wait": "def invoke(handler, parameters):\n    yield 5.0\n"})
        world.plan.at(2.0, server.kill)
        load = world.load(server, "wait", rate=50.0, seconds=4.0)
        assert "ok" not in load.outcomes()
        assert load.outcomes()["ConnectionRefusedError"] > 50
        with pytest.raises(ValueError, match="no call with the outcome ok"):
            load.percentile(0.5)


def test_it_ends_when_calls_have_no_end() -> None:
    with World(faults="still") as world:
        server = world.server(
            methods={"wait": "def invoke(handler, parameters):\n    yield 1e6\n"}, async_timeout=0, idle_timeout=0
        )
        with pytest.raises(Stuck, match="load"):
            world.load(server, "wait", rate=1.0, seconds=5.0, timeout=0.0)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_rate_at_which_nothing_would_ever_come_is_refused(rate: float) -> None:
    with World(faults="still") as world:
        server = world.server(methods={"add": "def invoke(handler, parameters):\n    pass\n"})
        with pytest.raises(ValueError, match="rate: expected calls a second"):
            world.load(server, "add", rate=rate, seconds=1.0)


def test_it_can_be_drawn(tmp_path: Path) -> None:
    load, _ = loaded(1, rate=200.0, seconds=5.0)
    load.plot(tmp_path / "latency.svg", title="A queue")
    text = (tmp_path / "latency.svg").read_text()
    assert "A queue" in text
    assert text.lstrip().startswith("<")
