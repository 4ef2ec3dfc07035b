"""Guards that nobody has entered a watch for do what the originals do."""

import asyncio
import copy
import datetime
import inspect
import logging
import os
import pickle
import random
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.sim.watching import Escapes
from tests.sim.watching import escapes as escapes
from totohio.sim.escapes.escaping import Watch, install

pytestmark = pytest.mark.usefixtures("escapes")  # from here on there are guards


@pytest.mark.parametrize("name", ["time.time", "time.gmtime", "os.urandom", "random.choice", "socket.socketpair"])
def test_a_guard_is_what_it_stands_for_to_whoever_looks(name: str) -> None:
    module, _, function = name.partition(".")
    guard = getattr(sys.modules[module], function)
    original = guard.__wrapped__
    assert guard is not original
    assert (guard.__name__, guard.__doc__, repr(guard)) == (original.__name__, original.__doc__, repr(original))
    assert _outcome(lambda: inspect.signature(guard)) == _outcome(lambda: inspect.signature(original))
    assert pickle.loads(pickle.dumps(guard)) is guard
    assert copy.deepcopy(guard) is guard


@pytest.mark.parametrize(
    "call",
    [
        lambda of: of(vars(time)["sleep"])("x"),
        lambda of: of(time.time)(1),
        lambda of: of(time.gmtime)("x"),
        lambda of: of(time.gmtime)(10**9),
        lambda of: of(time.strftime)(),
        lambda of: of(time.strftime)("%Y-%m", time.gmtime(0)),
        lambda of: of(time.clock_gettime)(-1),
        lambda of: len(of(os.urandom)(5)),
        lambda of: of(os.urandom)(-1),
        lambda of: of(random.choice)([]),
        lambda of: of(random.randint)(3, 3),
    ],
)
def test_results_and_errors_are_those_of_the_original(call: Callable[[Callable[[Any], Any]], Any]) -> None:
    assert _outcome(lambda: call(lambda guard: guard)) == _outcome(lambda: call(lambda guard: guard.__wrapped__))


def _outcome(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception as error:
        return type(error), str(error)


def test_a_clock_in_a_class_does_not_become_a_method(escapes: Escapes) -> None:
    source = [
        "import datetime, logging, time",
        "class Formatter(logging.Formatter):",
        "    converter = time.gmtime",
        "class Timer:",
        "    clock = time.monotonic",
        "    now = datetime.datetime.now",
    ]
    module = escapes.module("\n".join(source))
    record = logging.makeLogRecord({"created": 0.0, "msecs": 0.0})
    assert module.Formatter().formatTime(record) == "1970-01-01 00:00:00,000"
    assert module.Timer().clock() <= time.monotonic()
    assert isinstance(module.Timer().now(), datetime.datetime)


def test_datetimes_stay_what_they_are() -> None:
    now = datetime.datetime.now(datetime.UTC)
    assert abs(now.timestamp() - time.time()) < 60
    assert type(now) is datetime.datetime
    assert isinstance(now, datetime.date)
    assert pickle.loads(pickle.dumps(now)) == now
    assert msgspec.json.decode(msgspec.json.encode(now), type=datetime.datetime) == now
    assert msgspec.convert({"at": now.isoformat()}, Stamped).at == now
    assert type(datetime.date.today()) is datetime.date
    assert type(datetime.datetime.today()) is datetime.datetime
    assert now.now(datetime.UTC) >= now
    with pytest.raises(TypeError, match="tzinfo"):
        datetime.datetime.now(5)  # type: ignore[arg-type]


class Stamped(msgspec.Struct):
    at: datetime.datetime


class Moment(datetime.datetime):
    """A datetime of one's own."""


def test_a_datetime_of_ones_own_makes_its_own(escapes: Escapes) -> None:
    assert type(Moment.now()) is Moment
    assert type(Moment.today()) is Moment
    assert escapes.of(Moment.now).what == "datetime.datetime.now"
    assert escapes.of(Moment.today).what == "datetime.datetime.today"


def test_the_warning_of_utcnow_blames_its_caller() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        now = datetime.datetime.utcnow()
    assert now.tzinfo is None
    assert abs(now.replace(tzinfo=datetime.UTC).timestamp() - time.time()) < 60
    assert [(str(w.message)[:26], w.filename) for w in caught] == (
        [("datetime.datetime.utcnow()", __file__)] if sys.version_info >= (3, 12) else []
    )


def test_random_gives_the_numbers_of_its_seed() -> None:
    state = random.getstate()
    try:
        random.seed(7)
        numbers = [random.random(), random.getrandbits(40), random.choice(range(1000)), random.gauss(0, 1)]
    finally:
        random.setstate(state)
    own = random.Random(7)
    assert numbers == [own.random(), own.getrandbits(40), own.choice(range(1000)), own.gauss(0, 1)]
    assert random.Random().random() != random.Random().random()
    assert random.Random(a).random() == random.Random(a).random() if (a := "text") else False
    assert copy.copy(own).random() == own.random()


def test_threads_sockets_and_loops_work() -> None:
    done: list[int] = []
    thread = threading.Thread(target=done.append, args=(1,))
    thread.start()
    thread.join()
    with pytest.raises(RuntimeError, match="once"):
        thread.start()
    assert done == [1]
    assert asyncio.run(_answer()) == 42
    left, right = socket.socketpair()
    with left, right:
        left.send(b"x")
        assert right.recv(1) == b"x"


async def _answer() -> int:
    await asyncio.sleep(0)
    return 42


def test_a_thread_that_was_refused_leaves_no_trace(escapes: Escapes) -> None:
    thread = threading.Thread(target=print)
    before = threading.enumerate()
    escapes.of(thread.start)
    assert threading.enumerate() == before
    assert not thread.is_alive()


def test_an_original_that_has_come_back_is_replaced_again(escapes: Escapes, monkeypatch: pytest.MonkeyPatch) -> None:
    guard: Any = time.time
    monkeypatch.setattr(time, "time", guard.__wrapped__)
    escapes.run(lambda: time.time())
    install()
    assert time.time is guard
    escapes.of(lambda: time.time())


def test_a_mock_in_the_place_of_a_guard_is_left_there(escapes: Escapes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 5.0)
    install()
    assert escapes.run(lambda: time.time()) == 5.0


def test_modules_that_are_none_do_no_harm() -> None:
    import trustme  # brings in what cffi has made, which passes for a module

    assert trustme is not None
    Watch()
