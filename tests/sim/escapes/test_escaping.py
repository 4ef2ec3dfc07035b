"""What simulated code reaches for in the real world is found and named, and nothing else is disturbed."""

import gc
import logging
import pickle
import random
import socket
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.sim.watching import MARK, Escapes
from tests.sim.watching import escapes as escapes
from totohio.sim.escapes.escaping import EscapeError, Watch

DIRECT = {
    # the wall clock
    "time.time()": "time.time",
    "time.time_ns()": "time.time_ns",
    "time.monotonic()": "time.monotonic",
    "time.monotonic_ns()": "time.monotonic_ns",
    "time.perf_counter()": "time.perf_counter",
    "time.perf_counter_ns()": "time.perf_counter_ns",
    "time.process_time()": "time.process_time",
    "time.sleep(0.01)": "time.sleep",
    "time.localtime()": "time.localtime",
    "time.localtime(None)": "time.localtime",
    "time.gmtime()": "time.gmtime",
    "time.ctime()": "time.ctime",
    "time.asctime()": "time.asctime",
    "time.strftime('%Y')": "time.strftime",
    "time.clock_gettime(time.CLOCK_REALTIME)": "time.clock_gettime",
    "datetime.datetime.now()": "datetime.datetime.now",
    "datetime.datetime.now(datetime.UTC)": "datetime.datetime.now",
    "datetime.datetime.utcnow()": "datetime.datetime.utcnow",
    "datetime.datetime.today()": "datetime.datetime.today",
    "datetime.date.today()": "datetime.date.today",
    # randomness of the machine
    "os.urandom(4)": "os.urandom",
    "os.getrandom(4)": "os.getrandom",
    "uuid.uuid4()": "os.urandom",
    "uuid.uuid1()": "uuid.uuid1",
    "secrets.token_hex(4)": "os.urandom",
    "secrets.choice([1, 2])": "os.urandom",
    "random.SystemRandom().random()": "os.urandom",
    "open('/dev/urandom', 'rb')": "open('/dev/urandom')",
    # the random of the whole process
    "random.random()": "random.random",
    "random.choice([1, 2])": "random.choice",
    "random.shuffle([1, 2])": "random.shuffle",
    "random.randint(1, 2)": "random.randint",
    "random.gauss(0, 1)": "random.gauss",
    "random.seed(5)": "random.seed",
    "random.Random()": "random.Random",
    "random.Random(None)": "random.Random",
    "random.Random(5).seed()": "random.Random.seed",
    # sockets
    "socket.socket()": "socket.socket",
    "socket.socketpair()": "socket.socketpair",
    "socket.create_connection(('127.0.0.1', 9))": "socket.create_connection",
    "socket.getaddrinfo('localhost', 80)": "socket.getaddrinfo",
    "asyncio.new_event_loop()": "asyncio.new_event_loop",
    "asyncio.Runner().get_loop()": "asyncio.new_event_loop",
    # threads and processes
    "threading.Thread(target=print).start()": "threading.Thread.start",
    "threading.Timer(0, print).start()": "threading.Thread.start",
    "_thread.start_new_thread(print, ())": "_thread.start_new_thread",
    "concurrent.futures.ThreadPoolExecutor().submit(print)": "threading.Thread.start",
    "subprocess.run(['true'])": "subprocess.run",
    "subprocess.Popen(['true'])": "subprocess.Popen",
    "os.system('true')": "os.system",
    "os.fork()": "os.fork",
}

IMPORTS = (
    "import _thread, asyncio, concurrent.futures, datetime, os, random, secrets, socket, subprocess\n"
    "import threading, time, uuid\n"
)


@pytest.mark.parametrize("call", DIRECT)
def test_what_is_reached_for_is_named_with_file_and_line(escapes: Escapes, call: str) -> None:
    module = escapes.module(f"{IMPORTS}\n\ndef invoke(handler, parameters):\n    pass\n    return {call}  {MARK}\n")
    assert escapes.named(lambda: module.invoke(None, {})) == DIRECT[call]


LIBRARIES = {
    "uuid.uuid4()": ("os.urandom", ["uuid.py"]),
    "secrets.token_hex(4)": ("os.urandom", ["secrets.py", "random.py"]),
    "MonoTimer(duration=1.0)": ("time.time", ["hio/help/timing.py"]),
    "Timer(duration=1.0).expired": ("time.time", ["hio/help/timing.py"]),
    "formatdate()": ("time.time", ["email/utils.py"]),
    "ThreadPoolExecutor().submit(print)": ("threading.Thread.start", ["concurrent/futures/thread.py"]),
    "Clock().now()": ("time.time", ["totohio/base/clocking.py"]),
    "Minter().token()": ("os.urandom", ["totohio/base/clocking.py", "secrets.py", "random.py"]),
}


@pytest.mark.parametrize("call", LIBRARIES)
def test_the_way_through_libraries_is_told(escapes: Escapes, call: str) -> None:
    imports = [
        "import secrets, uuid",
        "from concurrent.futures import ThreadPoolExecutor",
        "from email.utils import formatdate",
        "from hio.help.timing import MonoTimer, Timer",
        "from totohio.base.clocking import Clock, Minter",
    ]
    module = escapes.module("\n".join([*imports, "def invoke():", f"    return {call}  {MARK}"]))
    what, files = LIBRARIES[call]
    assert escapes.named(module.invoke) == what
    through = escapes.watch.escapes[-1].through
    assert [step.partition(":")[0] for step in through] == files
    assert all(int(step.partition(":")[2]) > 0 for step in through)


def test_an_escape_reads_like_this(escapes: Escapes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(escapes.folder)
    module = escapes.module("import time, uuid\n\ndef invoke():\n    time.time()\n\ndef other():\n    uuid.uuid4()\n")
    assert str(escapes.of(module.invoke)) == (
        "time.time() was called under simulation at bump.py:4 in invoke; use handler.environment.clock.now()"
    )
    error = escapes.of(module.other)
    assert str(error) == (
        f"os.urandom() was called under simulation at bump.py:7 in other, through {error.through[0]}; "
        "use handler.environment.minter.draw(size) or .token()"
    )
    assert error.label == "server-1"


def test_a_long_way_is_told_by_its_ends() -> None:
    error = EscapeError("os.fork", "bump.py", 3, "invoke", ("a.py:1", "b.py:2", "c.py:3", "d.py:4"))
    assert str(error) == "os.fork() was called under simulation at bump.py:3 in invoke, through a.py:1, ..., d.py:4"


def test_an_escape_survives_the_way_between_processes(escapes: Escapes) -> None:
    error = escapes.of(time.time)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.file, copy.line) == (str(error), error.file, error.line)


@pytest.mark.parametrize("clause", ["except Exception", "except BaseException", "except"])
def test_a_swallowed_escape_is_recorded_all_the_same(escapes: Escapes, clause: str) -> None:
    body = f"    try:\n        time.time()\n    {clause}:\n        return 'swallowed'\n"
    module = escapes.module(f"import time\ndef invoke():\n{body}")
    if clause == "except Exception":
        escapes.of(module.invoke)
    else:
        assert escapes.run(module.invoke) == "swallowed"
    (error,) = escapes.watch.escapes
    assert (error.what, error.line, Path(error.file).name) == ("time.time", 4, "bump.py")


def test_a_place_that_escapes_again_and_again_is_recorded_once(escapes: Escapes) -> None:
    module = escapes.module("import time\ndef one():\n    time.time()\ndef other():\n    time.time()\n")
    for _ in range(3):
        escapes.of(module.one)
        escapes.of(module.other)
    assert [error.line for error in escapes.watch.escapes] == [3, 5]


@pytest.mark.parametrize(
    ("call", "allow"),
    [
        ("time.time()", "time.time"),
        ("time.time()", "time"),
        ("datetime.datetime.now()", "datetime.datetime.now"),
        ("datetime.date.today()", "datetime.date"),
        ("uuid.uuid4()", "os.urandom"),
        ("uuid.uuid4()", "uuid.uuid4"),
        ("secrets.token_hex(4)", "secrets"),
        ("random.choice([1])", "random.choice"),
        ("random.Random()", "random.Random"),
        ("[socket.socket().close()]", "socket.socket"),
        ("[end.close() for end in socket.socketpair()]", "socket.socketpair"),
        ("[asyncio.new_event_loop().close()]", "asyncio.new_event_loop"),
        ("[t := threading.Thread(target=int), t.start(), t.join()]", "threading.Thread.start"),
        ("subprocess.run(['true'])", "subprocess.run"),
    ],
)
def test_what_is_allowed_works(escapes: Escapes, call: str, allow: str) -> None:
    module = escapes.module(f"{IMPORTS}\ndef invoke():\n    return {call}\n")
    lenient = Watch(allow={allow})
    assert escapes.run(module.invoke, lenient) is not None
    assert lenient.escapes == []
    escapes.of(module.invoke)


def test_allowing_one_thing_allows_no_other(escapes: Escapes) -> None:
    watch = Watch(allow={"time.time"})
    for reach in (time.monotonic, time.time_ns, random.random):
        with pytest.raises(EscapeError):
            escapes.run(reach, watch)
    assert len(watch.escapes) == 3


def test_nested_watches_are_left_one_by_one(escapes: Escapes) -> None:
    inner = Watch(allow={"time"})
    escapes.watch.enter("outer")
    inner.enter("inner")
    assert time.time() > 0
    inner.enter("innermost")
    inner.leave()
    assert time.time() > 0
    inner.leave()
    with pytest.raises(EscapeError) as caught:
        time.time()
    assert caught.value.label == "outer"
    escapes.watch.leave()
    assert time.time() > 0
    with pytest.raises(RuntimeError, match="not entered"):
        escapes.watch.leave()


def test_other_threads_are_not_disturbed(escapes: Escapes) -> None:
    entered, found = threading.Event(), []

    def work() -> None:
        entered.wait()
        found.append((time.time(), random.random(), threading.Thread(target=int).start()))

    thread = threading.Thread(target=work)
    thread.start()
    escapes.run(lambda: [entered.set(), thread.join()])
    assert len(found) == 1
    assert escapes.watch.escapes == []


def test_what_can_be_replayed_is_let_through(escapes: Escapes) -> None:
    def invoke() -> Any:
        lock = threading.Condition()
        with lock:
            lock.wait(0)
            lock.wait_for(lambda: True, 1.0)
        gc.collect()
        assert socket.getaddrinfo("127.0.0.1", 80)
        return (
            random.Random(5).random(),
            time.gmtime(0).tm_year,
            time.localtime(0)[0],
            time.strftime("%Y", time.gmtime(0)),
            time.asctime(time.gmtime(0)),
        )

    gc.collect()  # what other tests have left behind
    assert escapes.run(invoke) == (random.Random(5).random(), 1970, 1970, "1970", "Thu Jan  1 00:00:00 1970")


def test_logs_warnings_tracebacks_and_imports_are_let_through(escapes: Escapes) -> None:
    texts: list[str] = []

    class Formatting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(self.format(record))

    logger = logging.Logger("loose")
    handler = Formatting()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.addHandler(handler)
    (escapes.folder / "late.py").write_text("import multiprocessing.process, tempfile\nDONE = True\n")

    def invoke() -> None:
        try:
            raise ValueError("planned")
        except ValueError:
            logger.exception("logged")
            texts.append(traceback.format_exc())
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            warnings.warn("warned", stacklevel=1)
        assert escapes.module("import tempfile\nDONE = True\n", "late").DONE

    escapes.run(invoke)
    assert escapes.watch.escapes == []
    assert "planned" in texts[0]
    assert "planned" in texts[1]


def test_a_module_that_reaches_for_the_clock_while_it_is_imported_is_named(escapes: Escapes) -> None:
    assert escapes.named(lambda: escapes.module(f"import time\nSTARTED = time.time()  {MARK}\n")) == "time.time"
    assert escapes.watch.escapes[0].function == "<module>"


def test_a_formatter_that_asks_the_clock_itself_is_named(escapes: Escapes) -> None:
    source = [
        "import logging, time",
        "class Stamped(logging.Formatter):",
        "    def format(self, record):",
        f"        return str(time.time())  {MARK}",
    ]
    handler = logging.StreamHandler()
    handler.setFormatter(escapes.module("\n".join(source)).Stamped())
    assert escapes.named(lambda: handler.format(logging.makeLogRecord({}))) == "time.time"
    assert escapes.watch.escapes[0].function == "Stamped.format"
