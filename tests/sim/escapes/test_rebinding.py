"""Modules that have bound the originals before there were guards are watched like others."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.watching import MARK, Escapes
from tests.sim.watching import escapes as escapes
from totohio.sim.escapes.escaping import install

EARLY = f"""
import datetime, queue, time as clock
from datetime import datetime as moment
from os import urandom
from random import choice, random, seed
from threading import Thread
from time import sleep, time
from uuid import uuid4

now = datetime.datetime.now
drawers = [choice]

class Timer:
    watch = clock.monotonic
    still = staticmethod(clock.perf_counter)

    @classmethod
    def make(cls, clock=clock.time_ns):
        return clock()  {MARK}

def waiting(seconds, *, sleep=sleep):
    sleep(seconds)  {MARK}

def decorated(clock):
    def inner():
        return clock()  {MARK}
    return inner

held = decorated(clock.time)

def of_time(): time()  {MARK}
def of_urandom(): urandom(3)  {MARK}
def of_choice(): choice([1])  {MARK}
def of_random(): random()  {MARK}
def of_seed(): seed(3)  {MARK}
def of_list(): drawers[0]([1])  {MARK}
def of_uuid(): uuid4()  {MARK}
def of_now(): now()  {MARK}
def of_type(): moment.now()  {MARK}
def of_thread(): Thread(target=print).start()  {MARK}
def of_attribute(): Timer().watch()  {MARK}
def of_static(): Timer.still()  {MARK}
def of_classmethod(): Timer.make()
def of_keyword(): waiting(0)
def of_closure(): held()
def of_queue(): queue.Queue().get(timeout=1.0)  {MARK}
"""

WHAT = {
    "of_time": "time.time",
    "of_urandom": "os.urandom",
    "of_choice": "random.choice",
    "of_random": "random.random",
    "of_seed": "random.seed",
    "of_list": "random.choice",
    "of_uuid": "os.urandom",
    "of_now": "datetime.datetime.now",
    "of_type": "datetime.datetime.now",
    "of_thread": "threading.Thread.start",
    "of_attribute": "time.monotonic",
    "of_static": "time.perf_counter",
    "of_classmethod": "time.time_ns",
    "of_keyword": "time.sleep",
    "of_closure": "time.time",
    "of_queue": "time.monotonic",
}


@pytest.mark.parametrize("name", WHAT)
def test_a_module_imported_after_the_guards_is_watched(escapes: Escapes, name: str) -> None:
    assert escapes.named(getattr(escapes.module(EARLY, "late"), name)) == WHAT[name]


def test_a_module_imported_before_the_guards_is_watched(tmp_path: Path) -> None:
    (tmp_path / "early.py").write_text(EARLY)
    (tmp_path / "main.py").write_text(f"""
import early
from totohio.sim.escapes.escaping import EscapeError, Watch

watch = Watch()
for name in {list(WHAT)}:
    watch.enter("")
    try:
        getattr(early, name)()
    except EscapeError as error:
        print(name, error.what, error.line)
    finally:
        watch.leave()
""")
    ran = subprocess.run([sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    found = [line.split() for line in ran.stdout.splitlines()]
    assert {name: what for name, what, _ in found} == WHAT
    lines = EARLY.splitlines()
    assert all(MARK in lines[int(line) - 1] for _, _, line in found)


def test_what_is_imported_between_two_watches_is_looked_through(escapes: Escapes) -> None:
    source = f"import time\nclock = time.time.__wrapped__\ndef invoke():\n    return clock()  {MARK}\n"
    module = escapes.module(source, "between")
    assert escapes.run(module.invoke) > 0
    install()
    assert escapes.named(module.invoke) == "time.time"


def test_odd_modules_do_no_harm(monkeypatch: pytest.MonkeyPatch, escapes: Escapes) -> None:
    class Proxy:
        @property
        def __class__(self) -> type:
            raise RuntimeError("there is nothing behind it now")

        def __hash__(self) -> int:
            raise RuntimeError("nor here")

    module = escapes.module(
        "def empty():\n    def inner():\n        return missing\n    return inner\n    missing = 1\n"
    )
    module.proxy = Proxy()  # type: ignore[attr-defined]
    module.inner = module.empty()  # type: ignore[attr-defined]
    module.method = type("Loose", (), {"__hash__": None, "m": lambda self: 1})().m  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "no_module_at_all", 5)  # type: ignore[arg-type]
    install()
    assert module.method() == 1
