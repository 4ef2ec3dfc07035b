"""Large batches, batches that take results from each other, and how batches end."""

from typing import Any

import pytest

from tests.batches import METHODS, batch, entry, ref, send
from tests.methods import ECHO, Serve, body, call
from tests.support import World, request_bytes


@pytest.fixture
def world(serve: Serve) -> World:
    return serve(METHODS)


# ---------------------------------------------------------------- references


@pytest.mark.parametrize("mode", ["sequence", "parallel"])
def test_a_reference_takes_another_entrys_result_and_orders_the_two(world: World, mode: str) -> None:
    entries = {
        "a": {"method": "echo", "parameters": {"#x": ref("z", "/value/1"), "y": 2}},
        "b": entry("slow", value=5),
        "c": {"method": "echo", "parameters": {"#all": ref("b"), "#deep": ref("a", "/x")}},
        "z": entry("slow", value={"value": [7, 8]}),
    }
    replies = batch(world, entries, mode=mode)
    assert replies["a"] == {"result": {"x": 8, "y": 2}}
    assert replies["c"] == {"result": {"all": 5, "deep": 8}}
    assert world.module("log").entries.index("z ends") > world.module("log").entries.index("b")


def test_a_star_gathers_from_every_item(world: World) -> None:
    people = [{"name": "ann", "mails": [1, 2]}, {"name": "bob", "mails": [3]}]
    entries = {
        "1": entry("echo", people=people),
        "2": {
            "method": "echo",
            "parameters": {"#names": ref("1", "/people/*/name"), "#mails": ref("1", "/people/*/mails")},
        },
    }
    assert batch(world, entries)["2"] == {"result": {"names": ["ann", "bob"], "mails": [1, 2, 3]}}


def test_what_a_reference_brings_is_a_copy(serve: Serve) -> None:
    world = serve({"echo": ECHO, "change": body("parameters['x']['a'] = 2", "return parameters['x']")})
    entries = {"1": entry("echo", a=1), "2": {"method": "change", "parameters": {"#x": ref("1")}}}
    assert batch(world, entries) == {"1": {"result": {"a": 1}}, "2": {"result": {"a": 2}}}


@pytest.mark.parametrize("mode", ["sequence", "parallel"])
def test_an_asynchronous_source_is_waited_for_and_what_follows_keeps_its_place(world: World, mode: str) -> None:
    entries = {
        "a": entry("later"), "b": {"method": "echo", "parameters": {"#x": ref("a")}},
        "c": {"method": "echo", "parameters": {"#x": ref("b", "/x")}}, "d": entry("note"),
    }  # fmt: skip
    client = send(world, entries, mode=mode)
    log = world.module("log")
    assert log.entries == (["a"] if mode == "sequence" else ["a", "d"])
    log.waiting[0].respond(5)
    replies = client.reply().json()["batch"]
    assert (replies["b"], replies["c"]) == ({"result": {"x": 5}}, {"result": {"x": 5}})
    assert log.entries == ["a", "d"]


@pytest.mark.parametrize("mode", ["sequence", "parallel"])
@pytest.mark.parametrize(
    "parameters",
    [
        {"#x": ref("a")}, {"#x": ref("b")}, {"#x": ref("nobody")}, {"#x": ref("fails")}, {"#x": ref("c", "/no")},
        {"#x": ref("c", "no-slash")}, {"#x": ref("c", "/x/~2")}, {"#x": ref(5)}, {"#x": ref("c", 5)},
        {"#x": {"resultOf": "c"}}, {"#x": ref("c"), "x": 1}, {"#x": ref("c", "/x/-")}, {"#x": ref("late")},
    ],
)  # fmt: skip
def test_a_reference_that_cannot_be_resolved_is_error_1015(world: World, parameters: Any, mode: str) -> None:
    entries = {
        "a": {"method": "echo", "parameters": parameters},
        "b": {"method": "echo", "parameters": {"#y": ref("a")}},
        "c": entry("echo", x=[1]),
        "fails": entry("bad"),
        "late": entry("nope"),
    }
    replies = batch(world, entries, mode=mode)
    assert replies["a"]["error"]["code"] == replies["b"]["error"]["code"] == 1015
    assert replies["c"] == {"result": {"x": [1]}}


def test_a_name_with_a_hash_and_no_reference_is_an_ordinary_parameter(world: World) -> None:
    parameters = {"#a": 1, "#b": {"x": 1}, "#c": None, "#": {"path": "/"}, "b": {"resultOf": "1", "path": ""}}
    assert batch(world, {"1": {"method": "echo", "parameters": parameters}}) == {"1": {"result": parameters}}


def test_references_outside_a_batch_are_ordinary_parameters(world: World) -> None:
    assert call(world, "echo", {"#a": ref("1")}) == {"result": {"#a": ref("1")}}


# ---------------------------------------------------------------- large batches


def test_a_batch_of_10_000_entries_leaves_the_other_clients_their_turns(world: World) -> None:
    client = send(
        world,
        {f"{n:05}": entry("echo", n=n) for n in range(10_000)},
    )
    cycles, other = 0, world.connect()
    while True:
        client.receive()
        if client.raw:
            break
        other.send(request_bytes("POST", "/echo", b'{"x": 1}'))
        for _ in range(3):  # an answer within three cycles, each time, while the batch goes on
            cycles += 1
            world.step()
            other.receive()
        assert other.replies[-1].json() == {"result": {"x": 1}}
    assert cycles >= 30  # at most 200 entries each
    replies = client.reply().json()["batch"]
    assert len(replies) == 10_000
    assert replies["09999"] == {"result": {"n": 9999}}


def test_two_large_batches_go_on_in_turn(serve: Serve) -> None:
    world = serve(METHODS, batch_slice=10)
    entries = {f"{n:04}": entry("note") for n in range(1000)}
    first, second = send(world, entries), send(world, dict(list(entries.items())[:200]))
    assert second.reply().json()["batch"]["0199"] == {"result": None}
    first.receive()
    assert first.raw == b""
    assert len(first.reply().json()["batch"]) == 1000


def test_a_large_batch_with_waits_and_references_comes_out_whole(world: World) -> None:
    entries: dict[str, Any] = {"0000": entry("slow", value={"n": 0}, seconds=0.1)}
    for n in range(1, 2000):
        if n % 100 == 0:
            entries[f"{n:04}"] = entry("slow", value={"n": n}, seconds=0.1)
        else:
            entries[f"{n:04}"] = {"method": "echo", "parameters": {"#n": ref(f"{n - 1:04}", "/n")}}
    replies = batch(world, entries, mode="parallel")
    assert all(replies[f"{n:04}"] == {"result": {"n": n // 100 * 100}} for n in range(2000))


def test_more_entries_than_max_batch_are_error_1011(serve: Serve) -> None:
    world = serve(METHODS, max_batch=3)
    assert len(batch(world, {str(n): entry("echo") for n in range(3)})) == 3
    reply = world.connect().post("/", {"batch": {str(n): entry("echo") for n in range(4)}})
    assert reply.json()["error"]["code"] == 1011


# ---------------------------------------------------------------- ends


def test_what_is_not_done_after_async_timeout_is_error_1014_and_the_rest_is_answered(serve: Serve) -> None:
    ends = body("try:", "    yield 1e9", "finally:", "    ended.append(handler.request_key)") + "ended = []\n"
    world = serve({**METHODS, "ends": ends}, async_timeout=60.0)
    entries = {"a": entry("echo", x=1), "b": entry("later"), "c": entry("ends"), "d": entry("echo", x=2)}
    client = send(world, entries)
    world.advance(59.0)
    client.receive()
    assert client.raw == b""
    world.advance(2.0)
    replies = client.reply().json()["batch"]
    assert replies["a"] == {"result": {"x": 1}}
    assert [replies[id]["error"]["code"] for id in "bcd"] == [1014] * 3
    assert world.module("ends").ended == ["c"]
    world.module("log").waiting[0].respond("too late")
    assert client.call("echo", {"x": 1}) == {"result": {"x": 1}}


def test_a_batch_whose_client_leaves_starts_nothing_more(serve: Serve) -> None:
    world = serve(METHODS)
    entries = {"a": entry("slow", seconds=5.0), **{f"b{n:04}": entry("note") for n in range(1000)}}
    client = send(world, entries)
    client.abort()
    world.step(5)
    world.advance(6.0)
    world.step(10)
    assert world.module("log").entries == ["a", "a ends"]
    assert call(world, "echo", {"x": 1}) == {"result": {"x": 1}}


def test_a_large_batch_whose_client_leaves_stops(world: World) -> None:
    client = send(world, {f"{n:05}": entry("note") for n in range(10_000)})
    client.abort()
    world.step(60)
    assert len(world.module("log").entries) < 2000
    assert call(world, "echo", {"x": 1}) == {"result": {"x": 1}}


def test_a_batch_whose_client_only_stopped_sending_is_answered(world: World) -> None:
    client = send(world, {"a": entry("slow", seconds=2.0, value=1), "b": entry("note")})
    client.shutdown()
    world.step(5)
    world.advance(2.1)
    assert client.reply().json() == {"batch": {"a": {"result": 1}, "b": {"result": None}}}


def test_a_batch_by_head_or_get_is_none(world: World) -> None:
    assert world.connect().get("/?batch=x").json()["error"]["code"] == 1002
