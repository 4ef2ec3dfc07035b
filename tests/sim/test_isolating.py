"""Modules of simulated processes: each process has its own, nobody else sees them."""

import sys
from pathlib import Path

import pytest

from totohio import TotoHandler
from totohio.sim.worlding import World

COUNTER = "count = 0\ndef invoke(handler, parameters):\n    global count\n    count += 1\n    return count\n"


def test_each_process_has_its_own_modules() -> None:
    with World(faults="still") as world:
        one, other = world.server(count=2, methods={"count": COUNTER})
        assert [world.call(one, "count") for _ in range(3)] == [1, 2, 3]
        assert world.call(other, "count") == 1


def test_a_process_that_was_killed_has_lost_what_its_modules_held() -> None:
    with World(faults="still") as world:
        server = world.server(methods={"count": COUNTER})
        assert [world.call(server, "count") for _ in range(2)] == [1, 2]
        server.kill()
        server.restart()
        assert world.call(server, "count") == 1


HOOKED = (
    "from totohio import TotoHandler\n"
    "seen = []\n"
    "TotoHandler.set_before_handler(lambda handler, id, name: seen.append(name))\n"
    "def invoke(handler, parameters):\n"
    "    return len(seen)\n"
)


def test_each_process_has_its_own_before_and_after_handlers_and_the_next_world_has_none() -> None:
    with World(faults="still") as world:
        one, other = world.server(count=2, methods={"seen": HOOKED})
        assert [world.call(one, "seen") for _ in range(3)] == [1, 2, 3]
        assert world.call(other, "seen") == 1
        one.kill()
        one.restart()
        assert [world.call(one, "seen"), world.call(other, "seen")] == [1, 2]
    assert TotoHandler._before is None


def test_handlers_that_a_test_sets_are_those_of_all_processes_without_others() -> None:
    seen: list[str] = []
    with World(faults="still") as world:
        server = world.server(methods={"nothing": lambda handler, parameters: None})
        hooked = world.server(name="hooked", methods={"seen": HOOKED})
        TotoHandler.set_after_handler(lambda handler, id: seen.append(handler.name))
        try:
            world.call(server, "nothing")
            world.call(hooked, "seen")
        finally:
            TotoHandler.set_after_handler(None)
        assert seen == ["nothing"]


def test_a_world_leaves_no_modules_and_no_paths_behind() -> None:
    modules, path = dict(sys.modules), list(sys.path)
    with World(faults="still") as world:
        server = world.server(methods={"deep.below.count": COUNTER})
        assert world.call(server, "deep.below.count") == 1
        assert not [name for name in sys.modules if name.startswith("server_methods")]
    assert sys.path == path
    assert {name for name in sys.modules if name not in modules} == set()


def test_methods_from_files_are_imported_anew_and_the_tests_own_copy_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "tallies"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "helper.py").write_text("seen = []\n")
    (package / "note.py").write_text(
        "from tallies import helper\n"
        "def invoke(handler, parameters):\n"
        "    helper.seen.append(1)\n"
        "    import tallies.late\n"
        "    return len(helper.seen), tallies.late.VALUE\n"
    )
    (package / "late.py").write_text("VALUE = 'late'\n")
    (tmp_path / "settings.yaml").write_text("method_module: tallies\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import tallies.helper as mine  # type: ignore[import-not-found]

    try:
        with World(faults="still") as world:
            one, other = world.server(tmp_path / "settings.yaml", count=2)
            assert [world.call(one, "note") for _ in range(2)] == [[1, "late"], [2, "late"]]
            assert world.call(other, "note") == [1, "late"]
            assert mine.seen == []
            assert sys.modules["tallies.helper"] is mine
        assert "tallies.late" not in sys.modules
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "tallies"]:
            del sys.modules[name]


def test_packages_named_by_isolate_are_copied_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ledger_of_test.py").write_text("entries = []\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    method = (
        "import ledger_of_test\n"
        "def invoke(handler, parameters):\n"
        "    ledger_of_test.entries.append(1)\n"
        "    return len(ledger_of_test.entries)\n"
    )
    with World(faults="still") as world:
        one, other = world.server(count=2, methods={"add": method}, isolate=["ledger_of_test"])
        assert [world.call(one, "add"), world.call(one, "add"), world.call(other, "add")] == [1, 2, 1]
    assert "ledger_of_test" not in sys.modules


def test_worlds_that_are_open_at_once_have_methods_of_their_own() -> None:
    with World(faults="still") as one, World(faults="still") as other:
        server = one.server(methods={"who": lambda handler, parameters: "one"})
        assert other.call(other.server(methods={"who": lambda handler, parameters: "other"}), "who") == "other"
        server.kill()
        server.restart()
        assert one.call(server, "who") == "one"


def test_a_function_can_be_a_method() -> None:
    def double(handler: object, parameters: dict[str, int]) -> int:
        return parameters["number"] * 2

    with World(faults="still") as world:
        assert world.call(world.server(methods={"double": double}), "double", {"number": 21}) == 42
