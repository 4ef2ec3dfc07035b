"""LMDB where it is full, shared, killed and closed."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.processes import until
from totohio.core.ports import StoreError
from totohio.net.offloading import KernelThreads
from totohio.store.conforming import new, put
from totohio.store.lmdb import LmdbStore

MIB = 1 << 20


def opened(folder: Path, **options: Any) -> LmdbStore:
    store = LmdbStore(str(folder / "db"), threads=KernelThreads(), **{"first_size": MIB, **options})
    store.open()
    return store


def outcome(future: Any) -> Any:
    """What a commit came to, once it has."""
    until(future.done, "the commit is over")
    return future.exception() or future.result()


def child(folder: Path, *lines: str) -> "subprocess.Popen[str]":
    """Another process that has the same files open as ``store``."""
    source = "\n".join(
        (
            "import sys",
            "from pathlib import Path",
            "from tests.store.test_lmdb import *",
            "store = opened(Path(sys.argv[1]))",
            *lines,
        )
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", source, folder], env=environ, stdin=pipe, stdout=pipe, text=True)


def end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def test_the_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert stat.S_IMODE((tmp_path / "db").stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "db").iterdir()}
    assert modes == {"data.mdb": 0o600, "lock.mdb": 0o600}
    store.close()


def test_a_place_that_cannot_be_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "db"):
        with pytest.raises(StoreError, match="file"):
            LmdbStore(str(path), threads=KernelThreads()).open()


def test_the_files_grow_by_themselves_and_no_further_than_they_may(tmp_path: Path) -> None:
    store = opened(tmp_path, max_size=4 * MIB)
    value = new(b"x" * 50_000)
    results = [outcome(store.commit([put(b"k%d" % number, value)])) for number in range(100)]
    written = results.count([True])
    assert 30 < written < 90  # more than the first MiB holds, fewer than four
    assert all(isinstance(each, StoreError) for each in results[written:])
    assert store.read(b"k0") == value
    assert store.read(b"k%d" % written) is None
    assert outcome(store.commit([put(b"k%d" % number, None) for number in range(20)])) == [True] * 20
    for _ in range(2):  # pages are free once no transaction before can want them any more
        assert outcome(store.commit([put(b"small", new())])) == [True]
    assert outcome(store.commit([put(b"again", value)])) == [True]
    store.close()


def test_a_group_that_does_not_fit_is_not_there_in_part(tmp_path: Path) -> None:
    store = opened(tmp_path, max_size=2 * MIB)
    group = [put(b"k%d" % number, new(b"x" * 50_000)) for number in range(100)]
    assert isinstance(outcome(store.commit(group)), StoreError)
    assert [store.read(b"k%d" % number) for number in range(100)] == [None] * 100
    store.close()


def test_a_full_disk_fails_writes_and_no_reads_and_is_forgotten_when_there_is_room(tmp_path: Path) -> None:
    process = child(
        tmp_path,
        "import resource",
        "kept = new(b'kept')",
        "assert outcome(store.commit([put(b'kept', kept)])) == [True]",
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))  # as a disk that is full",
        "results = [outcome(store.commit([put(b'k%d' % n, new(b'x' * 20_000))])) for n in range(40)]",
        "failed = [each for each in results if isinstance(each, StoreError)]",
        "assert failed and results[0] == [True], results",
        "assert store.read(b'kept') == kept",
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))",
        "assert outcome(store.commit([put(b'later', new())])) == [True]",
        "store.close()",
        "print('good')",
    )
    output, _ = process.communicate(timeout=60)
    assert output == "good\n"


def test_processes_share_the_files_and_learn_of_their_growth(tmp_path: Path) -> None:
    store = opened(tmp_path)
    first = new(b"first")
    assert outcome(store.commit([put(b"a", first)])) == [True]
    process = child(
        tmp_path,
        "assert store.read(b'a')[8:] == b'first'",
        "for n in range(100):",
        "    assert outcome(store.commit([put(b'k%d' % n, new(b'x' * 50_000))])) == [True]",
        "assert outcome(store.commit([put(b'a', new(b'second'), (b'a', store.read(b'a')[:8]))])) == [True]",
        "print('written', flush=True)",
        "input()",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    assert (store.read(b"a") or b"")[8:] == b"second"
    assert (store.read(b"k99") or b"")[8:] == b"x" * 50_000
    assert outcome(store.commit([put(b"a", new(), (b"a", first[:8]))])) == [False]
    assert outcome(store.commit([put(b"a", new(b"third"))])) == [True]
    end(process)
    store.close()


def test_what_a_process_has_committed_survives_its_death_and_nothing_else_suffers(tmp_path: Path) -> None:
    for round_ in range(5):
        process = child(
            tmp_path,
            "for n in range(1000000):",
            "    assert outcome(store.commit([put(b'n', new(b'%d' % n)), put(b'm', new(b'%d' % n))])) == [True, True]",
            "    print(n, flush=True)",
        )
        assert process.stdout is not None
        told = 0
        while told < 20 + round_:
            told = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate(timeout=30)
        told = max([told, *map(int, rest.split())])
        store = opened(tmp_path)  # whoever held the lock for writing does not any more
        kept = [(store.read(key) or b"")[8:] for key in (b"n", b"m")]
        assert kept[0] == kept[1]
        assert told <= int(kept[0]) <= told + 1
        assert outcome(store.commit([put(b"mine", new())])) == [True]
        store.close()


def test_a_store_that_is_closed_refuses(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.close()
    with pytest.raises(StoreError):
        store.read(b"a")
    assert isinstance(outcome(store.commit([put(b"a", new())])), StoreError)
    assert isinstance(outcome(store.sweep(0.0, 1)), StoreError)
    assert isinstance(outcome(store.load([b"a"])), StoreError)


def test_closing_in_the_middle_of_a_commit_does_no_harm(tmp_path: Path) -> None:
    for _ in range(20):
        store = opened(tmp_path / str(_))
        futures = [store.commit([put(b"k%d" % number, new(b"x" * 5000)) for number in range(50)]) for _ in range(5)]
        store.close()
        results = [outcome(future) for future in futures]
        assert all(each == [True] * 50 or isinstance(each, StoreError) for each in results)
