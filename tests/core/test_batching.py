"""Entries of a batch start after those whose results they take."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from totohio.base.errors import TotoException
from totohio.core.batching import REFERENCE, Budget, order, resolve
from totohio.wire.enveloping import Batch, open_body


def batch_of(graph: dict[str, Any]) -> Batch:
    """A batch in which each entry takes the results of the named others."""
    calls = {
        id: {"method": "m", "parameters": {f"#{n}": {"resultOf": end, "path": ""} for n, end in enumerate(ends)}}
        for id, ends in graph.items()
    }
    batch = open_body({"batch": calls}, "", "both")
    assert isinstance(batch, Batch)
    return batch


def take(path: str, result: Any) -> Any:
    """What a reference to this result gives."""
    return resolve({"#x": {"resultOf": "a", "path": path}}, {"a": {"result": result}})["x"]


def refused(call: Any, *args: Any) -> str:
    with pytest.raises(TotoException) as caught:
        call(*args)
    assert caught.value.code == 1015
    return str(caught.value.value)


# ---------------------------------------------------------------- order


def test_without_references_entries_start_in_sorted_order() -> None:
    assert order(batch_of({"b": [], "10": [], "a": [], "2": []})) == (["10", "2", "a", "b"], {}, {})


def test_a_reference_makes_its_entry_wait_and_no_other() -> None:
    ids, sources, faults = order(batch_of({"a": ["z"], "b": [], "y": ["a"], "z": []}))
    assert ids == ["b", "z", "a", "y"]
    assert sources == {"a": {"z"}, "y": {"a"}}
    assert faults == {}


def test_entries_in_a_circle_are_refused_and_the_others_run() -> None:
    ids, sources, faults = order(batch_of({"a": ["b"], "b": ["a"], "c": [], "d": ["d"], "after": ["a", "c"]}))
    assert ids == ["c", "after"]
    assert sources == {"after": {"a", "c"}}
    assert set(faults) == {"a", "b", "d"}
    assert all(error.code == 1015 and "circle" in error.value for error in faults.values())


def test_a_source_that_does_not_exist_is_named() -> None:
    ids, _, faults = order(batch_of({"a": ["nobody"], "b": ["a"]}))
    assert ids == ["b"]
    assert faults["a"].code == 1015
    assert "'nobody'" in faults["a"].value


def test_malformed_entries_have_their_place_in_the_order() -> None:
    batch = open_body({"batch": {"b": None, "a": {"method": "m", "parameters": None}}}, "", "both")
    assert isinstance(batch, Batch)
    assert order(batch) == (["a", "b"], {}, {})


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.lists(st.sampled_from("abcdefgh?"), max_size=3)))
def test_every_entry_follows_its_sources_or_is_refused_for_a_reason(graph: dict[str, list[str]]) -> None:
    ids, sources, faults = order(batch_of(graph))
    assert sorted([*ids, *faults]) == sorted(graph)
    done: set[str] = set(faults)
    for id in ids:
        assert set(graph[id]) <= done
        assert set(graph[id]) == sources.get(id, set())
        done.add(id)
    for id in faults:
        assert set(graph[id]) - graph.keys() or reaches_a_circle(graph, id)
    unbound = [id for id in ids if not graph[id]]
    assert unbound == sorted(unbound)


def reaches_a_circle(graph: dict[str, list[str]], id: str) -> bool:
    """Whether following sources from here meets an entry that depends on itself."""

    def reachable(start: str) -> set[str]:
        found: set[str] = set()
        todo = list(graph[start])
        while todo:
            end = todo.pop()
            if end in graph and end not in found:
                found.add(end)
                todo.extend(graph[end])
        return found

    return any(end in reachable(end) for end in reachable(id) | {id})


def test_ten_thousand_entries_in_a_chain_are_ordered() -> None:
    graph = {str(n): [str(n + 1)] for n in range(10_000)}
    graph["10000"] = []
    ids, _, faults = order(batch_of(graph))
    assert ids == [str(n) for n in range(10_000, -1, -1)]
    assert not faults


# ---------------------------------------------------------------- references


def test_a_reference_becomes_the_parameter_it_names() -> None:
    parameters = {"keep": 1, "#ids": {"resultOf": "a", "path": "/list/0"}}
    assert resolve(parameters, {"a": {"result": {"list": [7, 8]}}}) == {"keep": 1, "ids": 7}
    assert parameters == {"keep": 1, "#ids": {"resultOf": "a", "path": "/list/0"}}


@pytest.mark.parametrize(
    "parameters", [None, 5, "#x", [], {}, {"#x": 1}, {"#tag": {"path": "/a"}}, {"x": {"resultOf": "a"}}]
)
def test_parameters_that_refer_to_nothing_are_left_alone(parameters: Any) -> None:
    assert resolve(parameters, {}) is parameters


POINTED = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "m~n": 8, "~1": 9, "0": {"*": "star"}, "null": None}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("", POINTED),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/m~0n", 8),
        ("/~01", 9),
        ("/0/*", "star"),
        ("/null", None),
    ],
)
def test_paths_are_json_pointers(path: str, value: Any) -> None:
    assert take(path, POINTED) == value


@pytest.mark.parametrize(
    ("path", "result", "value"),
    [
        ("/*", [1, 2], [1, 2]),
        ("/list/*/id", {"list": [{"id": 1}, {"id": 2}]}, [1, 2]),
        ("/*/tags", [{"tags": ["a", "b"]}, {"tags": []}, {"tags": "c"}], ["a", "b", "c"]),
        ("/*/*", [[1, [2]], [3]], [1, 2, 3]),
        ("/*/1", [[1, 2], [3, 4]], [2, 4]),
        ("/*", [], []),
    ],
)
def test_a_star_goes_through_a_list_and_lists_found_there_are_joined(path: str, result: Any, value: Any) -> None:
    assert take(path, result) == value


@pytest.mark.parametrize(
    ("path", "result"),
    [
        ("/no", {}),
        ("/a/b", {"a": 1}),
        ("/a/b", {"a": None}),
        ("/2", [1, 2]),
        ("/-", [1]),
        ("/01", [1, 2]),
        ("/-1", [1]),
        ("/+1", [1, 2]),
        ("/1e0", [1, 2]),
        ("/\u0661", [1, 2]),  # an Arabic digit
        pytest.param("/" + "9" * 5000, [1], id="long index"),
        ("/*", 5),
        ("/*/id", [{"id": 1}, {}]),
        ("no/slash", {"no": {"slash": 1}}),
        ("/a~b", {"a~b": 1}),
        ("/a~", {"a~": 1}),
        ("/a~2", {"a~2": 1}),
        pytest.param("/0" * 5000, 5, id="long path"),
    ],
)
def test_paths_that_lead_nowhere_are_1015(path: str, result: Any) -> None:
    refused(take, path, result)


@pytest.mark.parametrize(
    "reference",
    [{"resultOf": "a"}, {"resultOf": "a", "path": None}, {"resultOf": 1, "path": ""}, {"resultOf": None, "path": ""}],
)
def test_malformed_references_are_1015(reference: Any) -> None:
    refused(resolve, {"#x": reference}, {"a": {"result": 1}})
    batch = open_body({"batch": {"a": {"method": "m", "parameters": {"#x": reference}}}}, "", "both")
    assert isinstance(batch, Batch)
    assert order(batch)[2]["a"].code == 1015


def test_a_parameter_given_twice_is_1015() -> None:
    refused(resolve, {"#x": {"resultOf": "a", "path": ""}, "x": 1}, {"a": {"result": 1}})


def test_a_source_that_failed_or_never_ran_is_1015() -> None:
    reference = {"#x": {"resultOf": "a", "path": ""}}
    assert "'a' failed" in refused(resolve, reference, {"a": {"error": {"code": 1, "value": ""}}})
    refused(resolve, reference, {})


def test_changing_what_was_taken_does_not_change_the_reply_it_came_from() -> None:
    result = {"list": [[1]]}
    take("", result).clear()
    take("/list", result).clear()
    take("/list", result)[0].clear()
    assert result == {"list": [[1]]}


@dataclass
class Account:
    """A result that is no plain value."""

    name: str
    tags: set[str]


def test_results_are_seen_as_the_client_sees_them() -> None:
    assert take("/name", Account("ann", {"x"})) == "ann"
    assert take("/*/tags/0", [Account("ann", {"x"})]) == ["x"]
    assert take("", (Account("ann", set()),)) == [{"name": "ann", "tags": []}]
    assert take("", {1: None}) == {"1": None}
    assert take("/1/null", {1: {None: 2}}) == 2
    assert take("/x", {"x": b"bytes"}) == b"bytes"  # which MessagePack can say


@pytest.mark.parametrize("path", ["", "/x"])
def test_a_result_that_cannot_be_sent_cannot_be_taken_either(path: str) -> None:
    refused(take, path, {"x": object()})


def test_results_nested_too_deeply_are_refused() -> None:
    deep: list[Any] = []
    for _ in range(200_000):
        deep = [deep]
    try:
        refused(take, "", deep)
    finally:
        while deep:
            deep = deep.pop()


def test_entries_that_double_each_other_come_to_an_end_before_the_memory_does() -> None:
    budget = Budget()
    replies: dict[str, Any] = {"0": {"result": {"x": "some text"}}}
    for n in range(1, 60):
        reference = {"resultOf": str(n - 1), "path": ""}
        try:
            replies[str(n)] = {"result": resolve({"#x": reference, "#y": reference}, replies, budget)}
        except TotoException as error:
            replies[str(n)] = {"error": {"code": error.code, "value": error.value}}
    assert "error" not in replies["5"]
    assert "too large" in replies["30"]["error"]["value"] or "failed" in replies["30"]["error"]["value"]
    assert {reply["error"]["code"] for reply in replies.values() if "error" in reply} == {1015}


def test_once_a_batch_took_too_much_it_gets_nothing_more() -> None:
    budget = Budget(REFERENCE + 10)
    replies = {"a": {"result": ["x" * 20, 1]}}
    refused(resolve, {"#x": {"resultOf": "a", "path": "/0"}}, replies, budget)
    refused(resolve, {"#x": {"resultOf": "a", "path": "/1"}}, replies, budget)
    assert resolve({"#x": {"resultOf": "a", "path": "/1"}}, replies, Budget(REFERENCE + 10)) == {"x": 1}


@pytest.mark.parametrize(
    ("item", "path"), [([[[[]]]], "/*/0/0/0"), ({1: []}, "/*/1")], ids=["a long path", "keys that are no texts"]
)
def test_a_star_costs_more_where_each_item_takes_longer(item: Any, path: str) -> None:
    assert take(path, [item] * 1_000) == []
    assert "too large" in refused(take, path, [item] * 50_000)


def test_a_star_over_many_empty_items_is_paid_for_by_the_item() -> None:
    replies = {"a": {"result": [[]] * 200_000}}
    with pytest.raises(TotoException, match="too large"):
        resolve({"#x": {"resultOf": "a", "path": "/*"}}, replies)
