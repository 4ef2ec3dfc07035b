"""What the timeline finds to belong together: rows, messages, calls, and what lasts."""

from tests.sim.traces import Noted, traced
from totohio.sim.pictures.drawing import calls, messages, rows, spans

ONE = "client-1:40001>server-1:8888#1"
TWO = "client-2:40001>server-1:8888#2"


# ---------------------------------------------------------------- rows


def test_servers_come_first_then_clients_then_other_hosts_and_the_world_last():
    noted: list[Noted] = [
        ("", "fault", 1),
        ("client-10", "call", "x"),
        ("client-2", "connect", "client-2:1>store:80#1"),
    ]
    noted += [("server-10", "crash"), ("server-9", "accept", TWO), ("store", "log", "info", ""), ("director", "boot")]
    assert rows(traced(*noted).entries) == [
        ("server-9", "server"),
        ("server-10", "server"),
        ("store", "server"),
        ("client-2", "client"),
        ("client-10", "client"),
        ("director", "host"),
        ("", "world"),
    ]


def test_the_world_has_a_row_even_when_nothing_happened_to_it():
    assert rows(()) == [("", "world")]


# ---------------------------------------------------------------- messages


def matched(*noted: Noted) -> list[tuple[int, int]]:
    return sorted(messages(traced(*noted).entries))


def test_what_arrives_in_pieces_is_matched_with_each_of_them():
    pieces = [("server-1", "receive", ONE, size, 0) for size in (1, 98, 1)]
    assert matched(("client-1", "send", ONE, 100, 0), *pieces) == [(0, 1), (0, 2), (0, 3)]


def test_what_arrives_at_once_is_matched_with_all_that_was_sent():
    sent = [("client-1", "send", ONE, 10, 0)] * 3
    assert matched(*sent, ("server-1", "receive", ONE, 25, 0), ("server-1", "receive", ONE, 5, 0)) == [
        (0, 3),
        (1, 3),
        (2, 3),
        (2, 4),
    ]


def test_both_directions_and_all_connections_are_matched_apart():
    noted: list[Noted] = [
        ("client-1", "send", ONE, 10, 0),
        ("server-1", "send", ONE, 10, 0),
        ("client-2", "send", TWO, 10, 0),
    ]
    noted += [
        ("server-1", "receive", TWO, 10, 0),
        ("client-1", "receive", ONE, 10, 0),
        ("server-1", "receive", ONE, 10, 0),
    ]
    assert matched(*noted) == [(0, 5), (1, 4), (2, 3)]


def test_what_never_arrives_is_matched_with_nothing():
    noted: list[Noted] = [
        ("client-1", "connect", ONE),
        ("client-1", "send", ONE, 10, 0),
        ("client-1", "send", ONE, 10, 0),
    ]
    assert matched(*noted, ("server-1", "receive", ONE, 10, 0)) == [(0, -1), (1, 3), (2, -1)]


def test_a_host_that_speaks_to_itself_is_matched_in_order():
    path = "server-1>/run/server.sock#1"
    noted: list[Noted] = [
        ("server-1", "connect", path),
        ("server-1", "accept", path),
        ("server-1", "send", path, 10, 0),
    ]
    noted += [
        ("server-1", "receive", path, 10, 0),
        ("server-1", "send", path, 5, 0),
        ("server-1", "receive", path, 5, 0),
    ]
    assert matched(*noted) == [(0, 1), (2, 3), (4, 5)]


def test_what_was_sent_before_the_first_entry_confuses_nothing():
    noted: list[Noted] = [
        ("server-1", "receive", ONE, 10, 0),
        ("client-1", "send", ONE, 10, 0),
        ("server-1", "receive", ONE, 10, 0),
    ]
    assert matched(*noted) == [(1, 2)]


# ---------------------------------------------------------------- calls


def test_calls_that_overlap_have_lanes_of_their_own_and_the_reply_that_names_them():
    noted: list[Noted] = [("c", "call", "c", "slow"), ("c", "call", "c", "fast"), ("d", "call", "d", "fast")]
    noted += [("c", "reply", "c", "fast", "ok"), ("c", "call", "c", "late"), ("c", "reply", "c", "slow", 500)]
    assert calls(traced(*noted).entries) == [(0, 5, 0), (1, 3, 1), (2, -1, 0), (4, -1, 1)]


def test_a_reply_that_names_no_open_call_belongs_to_the_oldest():
    noted: list[Noted] = [("c", "reply", "early"), ("c", "call", "a"), ("c", "call", "b"), ("c", "reply", 200)]
    assert calls(traced(*noted).entries) == [(1, 3, 0), (2, -1, 1)]


# ---------------------------------------------------------------- spans


def lasting(*noted: Noted) -> list[tuple[str, float | None, float | None, list[str], str]]:
    return [
        (span.kind, span.start, span.end, span.hosts, span.text) for span in spans(traced(*noted, step=1.0).entries)
    ]


def test_a_server_is_down_from_its_crash_to_its_next_start():
    assert lasting(("s", "crash"), ("s", "restart"), ("s", "boot"), ("s", "kill")) == [
        ("down", 0.0, 1.0, ["s"], "crash"),
        ("down", 3.0, None, ["s"], "kill"),
    ]


def test_a_pause_ends_with_the_process_or_when_it_is_resumed():
    assert lasting(("s", "pause"), ("s", "resume"), ("s", "pause"), ("s", "crash")) == [
        ("paused", 0.0, 1.0, ["s"], "pause"),
        ("paused", 2.0, 3.0, ["s"], "pause"),
        ("down", 3.0, None, ["s"], "crash"),
    ]


def test_a_fault_lasts_until_it_is_healed_and_concerns_the_hosts_that_it_names():
    noted: list[Noted] = [("server-1", "boot"), ("server-10", "boot"), ("client-1", "call")]
    noted += [
        ("", "fault", 3, "partition", "partition client-1 <-> server-10", 60.0),
        ("", "rule", "hold server-1 -> all"),
    ]
    noted += [("", "heal", "partition client-1 <-> server-10"), ("", "fault", 4, "reset", ONE, 1.0)]
    assert lasting(*noted) == [
        ("fault", 3.0, 5.0, ["", "client-1", "server-10"], "partition client-1 <-> server-10"),
        ("fault", 4.0, None, ["", "server-1"], "hold server-1 -> all"),
    ]


def test_a_fault_that_nothing_heals_lasts_as_long_as_it_says():
    assert lasting(("s", "boot"), ("", "fault", 0, "disk_full", "s", 2.5)) == [
        ("fault", 1.0, 3.5, ["", "s"], "disk_full s")
    ]
