"""A recording runs against today's code: the same code gives the same replies, other code is found out."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sim.projects import METHODS, Project, calls, recording, replied, requested, verdicts
from totohio.base.errors import SettingsError, TotohioError
from totohio.wire.transcript import Closed, Ended, Opened, Replied, Requested, Stopped


@pytest.fixture(scope="module")
def bytecode() -> Iterator[None]:
    """Leave none: methods change within the resolution of file times."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    yield
    sys.dont_write_bytecode = before


@pytest.fixture
def project(bytecode: None, tmp_path: Path) -> Project:
    return Project(tmp_path)


# ---------------------------------------------------------------- the same code


def test_the_same_code_gives_the_same_replies(project: Project) -> None:
    report = project.replay(project.record(calls, calls))
    assert [verdict for _, verdict in verdicts(report)] == ["reproduced"] * 24
    assert report.notes == []


def test_replays_are_the_same_whatever_the_seed_was(project: Project) -> None:
    entries = project.record(calls)
    for seed in range(3):
        assert project.replay(entries, seed=seed).count("reproduced") == len(project.replay(entries).outcomes)


values = st.none() | st.integers(-5, 5) | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
steps = st.one_of(
    st.tuples(st.just("echo"), st.dictionaries(st.text(max_size=5), values, max_size=3)),
    st.tuples(st.just("add"), st.fixed_dictionaries({"a": st.integers(), "b": st.integers()})),
    st.tuples(st.just("count"), st.just({})),
    st.tuples(st.just("wait"), st.fixed_dictionaries({"seconds": st.sampled_from([0.0, 0.25, 1.0, 2.5])})),
    st.tuples(st.just("stream"), st.just({})),
    st.tuples(st.just("no.method"), st.just({})),
)
scripts = st.lists(st.lists(st.tuples(steps, st.sampled_from(["wait", "go on", "leave"])), max_size=6), max_size=3)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scripts, st.integers(0, 1000), st.sampled_from(["still", "sunny", "stormy"]))
def test_whatever_was_recorded_with_the_same_code_does_not_differ(
    project: Project, scripts: list[Any], seed: int, faults: str
) -> None:
    def run(steps: list[Any], number: int) -> Callable[[Any], Iterator[Any]]:
        own = 0.00713 * number  # nobody knows what came first of two things that happen in the same moment

        def script(client: Any) -> Iterator[Any]:
            yield own
            for (method, parameters), after in steps:
                if method == "wait":
                    parameters = {"seconds": parameters["seconds"] + own}
                future = client.call(method, parameters)
                if after == "leave":
                    yield 0.125 + own
                    client.abort()
                elif after == "wait":
                    try:
                        yield future
                    except Exception:
                        yield 0.125 + own

        return script

    entries = project.record(*map(run, scripts, range(3)), seed=seed, faults=faults)
    report = project.replay(entries)
    assert not [outcome for outcome in report.outcomes if outcome.verdict == "differing"]
    lost = sum(isinstance(entry, Replied) and entry.lost for entry in entries)
    assert report.count("refused") == lost
    assert len(report.outcomes) == sum(isinstance(entry, Requested) for entry in entries)


def test_the_server_knows_its_peers_the_wall_time_and_whether_there_was_tls(project: Project) -> None:
    entries = project.record(calls)
    [about] = [
        entry
        for entry in entries
        if isinstance(entry, Replied)
        and isinstance(entry.json, dict)
        and isinstance(entry.json.get("result"), list)
        and "http" in entry.json["result"]
    ]
    address, _, now = about.json["result"]
    assert now > 1_800_000_000
    for entry in entries:
        if isinstance(entry, Opened):
            entry.peer, entry.secure = "203.0.113.7", True
    about.json["result"][:2] = ["203.0.113.7", "https"]
    report = project.replay(entries)
    assert address.startswith("10.")
    assert report.count("differing") == 0


# ---------------------------------------------------------------- other code


def test_other_replies_are_found_with_their_first_difference(project: Project) -> None:
    entries = project.record(calls)
    project.change("add", METHODS["add"].replace("+", "-"))
    report = project.replay(entries)
    differing = [outcome for outcome in report.outcomes if outcome.verdict == "differing"]
    assert [outcome.method for outcome in differing] == ["add", "<batch>"]
    found = differing[0].difference
    assert found is not None
    assert (found.where, found.recorded, found.now) == ("$.result", "3", "-1")
    assert differing[1].difference is not None
    assert differing[1].difference.where == '$.batch["2"].result'


def test_a_method_that_is_gone_is_found(project: Project) -> None:
    entries = project.record(calls)
    (project.folder / "project_methods" / "echo.py").unlink()
    report = project.replay(entries)
    assert {outcome.method for outcome in report.outcomes if outcome.verdict == "differing"} == {"echo"}


def test_a_reply_that_does_not_come_any_more_is_found(project: Project) -> None:
    entries = project.record(calls)
    project.change("add", METHODS["silent"])
    report = project.replay(entries)
    [first, *_] = [outcome for outcome in report.outcomes if outcome.verdict == "differing"]
    assert first.method == "add"


@pytest.mark.expects_errors
def test_a_server_that_ends_is_told_with_all_that_it_did_not_answer(project: Project) -> None:
    entries = project.record(calls)
    project.change("add", "def invoke(handler, parameters):\n    handler._steward.close()\n    raise SystemExit\n")
    report = project.replay(entries)
    assert report.outcomes[0].verdict == "differing"
    assert report.outcomes[0].difference is not None
    assert report.outcomes[0].difference.now == "closed by the server"
    assert report.outcomes[1].difference is not None
    assert report.outcomes[1].difference.where == "connection"


def test_what_a_method_keeps_is_its_own_in_each_replay(project: Project) -> None:
    entries = project.record(calls)
    for _ in range(2):
        assert project.replay(entries).count("differing") == 0


# ---------------------------------------------------------------- what cannot be told


@pytest.mark.expects_errors
def test_a_method_that_reaches_for_the_real_world_is_refused_and_the_others_go_on(project: Project) -> None:
    entries = project.record(calls)
    project.change("add", "import time\ndef invoke(handler, parameters):\n    return time.time()\n")
    report = project.replay(entries)
    assert verdicts(report)[:2] == [("add", "refused"), ("count", "reproduced")]
    assert "time.time() was called under simulation at" in report.outcomes[0].why
    assert any("--allow time.time" in note for note in report.notes)
    allowed = project.replay(entries, allow=["time.time"])
    assert verdicts(allowed)[0] == ("add", "differing")
    assert allowed.notes == []


def test_a_secret_that_only_the_client_knew_is_refused_unless_it_is_given(project: Project) -> None:
    def client(client: Any) -> Iterator[Any]:
        yield client.call("echo", {"pin": "4711", "a": 1})
        yield client.call("echo", {"password": "hunter22"})

    entries = project.record(client, record_mask="pin")
    assert verdicts(project.replay(entries)) == [("echo", "refused"), ("echo", "reproduced")]
    assert "pin 1 is masked" in project.replay(entries).outcomes[0].why
    for value in ("0815", None):
        assert verdicts(project.replay(entries, given={"pin": value})) == [("echo", "reproduced")] * 2


def test_a_body_that_was_too_large_is_refused(project: Project) -> None:
    def client(client: Any) -> Iterator[Any]:
        yield client.call("echo", {"a": "x" * 200})
        yield client.call("add", {"a": "y" * 60, "b": "z" * 60})

    report = project.replay(project.record(client, record_max_body=180))
    assert verdicts(report) == [("echo", "refused"), ("add", "reproduced")]
    assert "larger than record_max_body" in report.outcomes[0].why


def test_a_request_that_was_never_answered_is_refused(project: Project) -> None:
    def client(client: Any) -> Iterator[Any]:
        client.call("silent", {})
        yield 1.0
        client.abort()
        yield 1.0

    report = project.replay(project.record(client))
    assert verdicts(report) == [("silent", "refused")]


def test_what_the_recording_lacks_is_noted(project: Project) -> None:
    entries = project.record(calls)[:-1]
    assert project.replay(entries).notes == ["the recording has no end: its server was killed, or could not write it"]
    full = project.replay([*entries, Stopped(tyme=entries[-1].tyme, why="full")])
    assert full.notes == ["the recording ends where its file was full"]
    requests = [entry for entry in entries if not isinstance(entry, Opened)]
    assert project.replay(requests).count("refused") == 12


def test_a_recording_without_a_request_has_nothing_to_tell(project: Project) -> None:
    assert project.replay(project.record()).outcomes == []


# ---------------------------------------------------------------- connections


def test_a_pipelined_request_waits_for_the_one_before_it(project: Project) -> None:
    entries = recording(
        Opened(tyme=1.0, connection=1),
        requested(1.0, 1, "/wait?seconds=1&a=b"),
        replied(2.0, 1, {"seconds": "1", "a": "b"}),
        requested(1.0, 2, "/count", waited=1.0),
        replied(2.0, 2, 1),
        Closed(tyme=3.0, connection=1, by="server"),
    )
    report = project.replay(entries)
    found = [outcome.difference.where for outcome in report.outcomes if outcome.difference is not None]
    assert found == ["header access-control-allow-origin"] * 2  # the bodies were the same


def test_a_request_waits_for_a_reply_that_takes_longer_now_and_so_does_the_end(project: Project) -> None:
    project.change("count", METHODS["wait"].replace("parameters['seconds']", "5"))
    entries = recording(
        Opened(tyme=1.0, connection=1),
        requested(1.0, 1, "/count"),
        replied(1.0, 1, {}),
        requested(1.5, 2, "/echo?a=b"),
        replied(1.5, 2, {"a": "b"}),
        Ended(tyme=2.0, connection=1),
        Closed(tyme=2.0, connection=1, by="peer"),
    )
    report = project.replay(entries)
    found = [outcome.difference.where for outcome in report.outcomes if outcome.difference is not None]
    assert found == ["header access-control-allow-origin"] * 2  # the bodies were the same


def test_a_request_on_a_connection_that_today_is_closed_is_found(project: Project) -> None:
    entries = recording(
        Opened(tyme=1.0, connection=1),
        requested(1.0, 1, "/count", headers={"connection": "close"}),
        replied(1.0, 1, 1),
        requested(2.0, 2, "/count"),
        replied(2.0, 2, 2),
    )
    found = project.replay(entries).outcomes[1].difference
    assert found is not None
    assert (found.where, found.recorded, found.now) == ("connection", "open", "closed by the server")


def test_there_may_be_more_connections_than_a_simulated_host_usually_has(project: Project) -> None:
    opened = [Opened(tyme=1.0, connection=1 + number, peer="203.0.113.7") for number in range(5000)]
    last = requested(2.0, 1, "/count")
    last.connection = 5000
    [outcome] = project.replay(recording(*opened, last)).outcomes
    assert outcome.why == "its reply is not in the recording"


def test_clients_of_a_unix_socket_have_no_address(project: Project) -> None:
    entries = recording(
        Opened(tyme=1.0, connection=1), requested(1.0, 1, "/about"), replied(1.0, 1, ["", "http", 1_800_000_001])
    )
    found = project.replay(entries).outcomes[0].difference
    assert found is not None
    assert found.where == "header access-control-allow-origin"  # the bodies were the same


def test_bodies_may_be_nested_deeply(project: Project) -> None:
    def client(client: Any) -> Iterator[Any]:
        for depth in (100, 900, 3000):
            yield client.request("POST", "/echo", b"[" * depth + b"1" + b"]" * depth)

    report = project.replay(project.record(client))
    assert report.count("differing") == 0
    assert report.outcomes[0].verdict == "reproduced"


def test_requests_of_several_connections_keep_their_order(project: Project) -> None:
    def client(client: Any) -> Iterator[Any]:
        for _ in range(20):
            yield client.call("count")
            yield 0.25

    report = project.replay(project.record(client, client, client, faults="still"))
    assert report.count("reproduced") == 60


# ---------------------------------------------------------------- the server


def test_where_the_server_listens_and_what_it_records_does_not_count(project: Project, tmp_path: Path) -> None:
    entries = project.record(calls)
    project.conf.write_text(f"method_module: project_methods\nuds: {tmp_path}/socket\nrecord: {tmp_path}/again.jsonl\n")
    assert project.replay(entries).count("differing") == 0
    assert not (tmp_path / "again.jsonl").exists()


def test_a_server_that_cannot_be_put_together_is_told(project: Project) -> None:
    entries = project.record(calls)
    project.conf.write_text("method_module: missing_methods\n")
    with pytest.raises(SettingsError):
        project.replay(entries)
    project.conf.write_text("method_module: project_methods\n")
    project.change("__init__", "1 / 0")
    with pytest.raises(TotohioError, match=r"cannot be started: .*ZeroDivisionError"):
        project.replay(entries)
    project.change("__init__", "import time\nSTART = time.time()\n")
    with pytest.raises(TotohioError, match=r"was called under simulation at .*, or --allow time\.time"):
        project.replay(entries)
    assert project.replay(entries, allow=["time.time"]).count("differing") == 0
