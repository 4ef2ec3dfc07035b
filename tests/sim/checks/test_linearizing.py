"""What is linearizable and what is not: known histories, unknown outcomes, parts, the bound, and what is told."""

import pickle
from typing import Any

import pytest

from tests.sim.histories import Queue, history, is_linearizable
from totohio.base.errors import TotohioError
from totohio.sim.checks.histories import ANY, History
from totohio.sim.checks.linearizing import NotLinearizable, Undecided, check_linearizable
from totohio.sim.checks.models import Counter, Map, Register

# ------------------------------------------------------------ known histories


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="nothing"),
        pytest.param([("a", 0, 1, "write", 1, None), ("b", 2, 3, "read", 1)], id="a read after a write"),
        pytest.param([("a", 0, 3, "write", 1, None), ("b", 1, 2, "read", 0)], id="a read during a write, before it"),
        pytest.param([("a", 0, 3, "write", 1, None), ("b", 1, 2, "read", 1)], id="a read during a write, after it"),
        pytest.param(
            [("a", 0, 5, "write", 1, None), ("b", 1, 2, "read", 0), ("c", 3, 4, "read", 1)], id="two during a write"
        ),
        pytest.param(
            [("a", 0, 9, "read", 2), ("b", 1, 2, "write", 1, None), ("b", 3, 4, "write", 2, None)], id="a slow read"
        ),
        pytest.param(
            [("a", 0, 5, "write", 1, None), ("b", 0, 1, "write", 2, None), ("c", 6, 7, "read", 2)], id="two writes"
        ),
        pytest.param([("a", 0, 5, "cas", 0, 1, True), ("b", 1, 4, "cas", 0, 2, False)], id="one of two cas"),
        pytest.param([("a", 0, 5, "cas", 1, 2, True), ("b", 1, 4, "cas", 0, 1, True)], id="a cas on a cas"),
        pytest.param([("a", 0, 1, "write", 1, None), ("b", 1, 2, "read", 1)], id="one begins as the other ends"),
        pytest.param([("b", 1, 2, "read", 0), ("a", 0, 1, "write", 1, None)], id="noted as one that had begun before"),
        pytest.param([("a", 0, 1, "write", 1, None), ("b", 2, 3, "read", ANY)], id="a result that nobody knows"),
    ],
)
def test_a_register_may_look_like_this(lines: list[tuple[Any, ...]]) -> None:
    check_linearizable(history(*lines), Register(0))


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([("a", 0, 1, "write", 1, None), ("b", 2, 3, "read", 0)], id="a stale read"),
        pytest.param([("a", 0, 1, "write", 1, None), ("b", 2, 3, "read", 2)], id="a value from nowhere"),
        pytest.param(
            [("a", 0, 5, "write", 1, None), ("b", 1, 2, "read", 1), ("c", 3, 4, "read", 0)], id="back in time"
        ),
        pytest.param(
            [("a", 0, 9, "write", 1, None), ("b", 1, 2, "read", 1), ("b", 3, 4, "read", 0)], id="back for one client"
        ),
        pytest.param(
            [
                ("a", 0, 1, "write", 1, None),
                ("b", 0, 1, "write", 2, None),
                ("c", 2, 3, "read", 1),
                ("d", 4, 5, "read", 2),
            ],
            id="two orders of two writes",
        ),
        pytest.param([("a", 0, 5, "cas", 0, 1, True), ("b", 1, 4, "cas", 0, 2, True)], id="both of two cas"),
        pytest.param([("a", 0, 5, "cas", 0, 1, False), ("b", 1, 4, "read", 0)], id="a cas that could not fail"),
        pytest.param([("a", 0, 1, "write", 1, None), ("b", 1, 2, "read", 0)], id="one begins as the other ends"),
        pytest.param([("a", 0, 1, "write", 1, None), ("b", 2, 3, "read", 0), ("c", 9, None, "read", 0)], id="unended"),
    ],
)
def test_a_register_may_not_look_like_this(lines: list[tuple[Any, ...]]) -> None:
    with pytest.raises(NotLinearizable):
        check_linearizable(history(*lines), Register(0))


@pytest.mark.parametrize(
    ("lines", "fine"),
    [
        pytest.param([("a", 0, 3, "increment", 1), ("b", 1, 2, "increment", 2)], True, id="two"),
        pytest.param([("a", 0, 3, "increment", 1), ("b", 1, 2, "increment", 1)], False, id="a lost update"),
        pytest.param([("a", 0, 3, "increment", None), ("b", 0, 3, "increment", 2)], True, id="one acknowledged only"),
        pytest.param(
            [("a", 0, 3, "increment", None), ("b", 0, 3, "increment", ANY), ("a", 4, 5, "read", 1)],
            False,
            id="a lost update behind acknowledgements",
        ),
        pytest.param(
            [("a", 0, 3, "increment", None), ("b", 0, 3, "increment", ANY), ("a", 4, 5, "read", 2)],
            True,
            id="none lost",
        ),
        pytest.param([("a", 0, 3, "increment", 5, 6), ("b", 2, 4, "increment", 1)], True, id="overlapping, reversed"),
        pytest.param([("a", 0, 1, "increment", 5, 6), ("b", 2, 4, "increment", 1)], False, id="reversed"),
    ],
)
def test_counters(lines: list[tuple[Any, ...]], fine: bool) -> None:
    assert is_linearizable(history(*lines), Counter()) is fine


@pytest.mark.parametrize(
    ("lines", "fine"),
    [
        pytest.param(
            [
                ("a", 0, 2, "put", "x", None),
                ("b", 1, 3, "put", "y", None),
                ("b", 4, 6, "get", "x"),
                ("a", 5, 7, "get", "y"),
                ("a", 8, None, "put", "z", None),
            ],
            True,
            id="H1",
        ),
        pytest.param(
            [("a", 0, 1, "put", "x", None), ("b", 2, 3, "put", "y", None), ("a", 4, 5, "get", "y")], False, id="H2"
        ),
        pytest.param([("a", 0, None, "put", "x", None), ("b", 1, 2, "get", "x")], True, id="H3"),
        pytest.param(
            [
                ("a", 0, 2, "put", "x", None),
                ("b", 1, 3, "put", "y", None),
                ("a", 4, 6, "get", "y"),
                ("c", 5, 7, "get", "y"),
            ],
            False,
            id="H4",
        ),
    ],
)
def test_queues_as_in_herlihy_and_wing_1990(lines: list[tuple[Any, ...]], fine: bool) -> None:
    assert is_linearizable(history(*lines), Queue()) is fine


# ------------------------------------------------------------ unknown outcomes and failures


@pytest.mark.parametrize(
    ("reads", "fine"),
    [
        pytest.param([0, 0], True, id="it never happens"),
        pytest.param([1, 1], True, id="it has happened"),
        pytest.param([0, 1], True, id="it happens late"),
        pytest.param([1, 0], False, id="it does not go away"),
        pytest.param([2, 0], False, id="nothing else happens"),
    ],
)
def test_a_write_of_unknown_outcome_happens_at_any_time_or_never(reads: list[int], fine: bool) -> None:
    made = History()
    made.call("a", "write", 1, at=0).unknown(at=1)
    for tyme, value in enumerate(reads, 2):
        made.call("b", "read", at=tyme).ok(value, at=tyme + 0.5)
    assert is_linearizable(made, Register(0)) is fine


def test_an_operation_of_unknown_outcome_does_not_happen_before_its_call() -> None:
    made = history(("a", 0, 1, "read", 1), ("b", 2, None, "write", 1, None))
    assert not is_linearizable(made, Register(0))


def test_operations_may_be_noted_in_any_order() -> None:
    lines = [("c", 5, None, "write", 9, None), ("a", 0, None, "write", 1, None)]
    assert is_linearizable(history(("b", 7, 8, "read", 9), *lines, ("b", 1, 2, "read", 1)), Register(0))
    assert not is_linearizable(history(("b", 7, 8, "read", 1), *lines, ("b", 1, 2, "read", 9)), Register(0))


def test_an_operation_of_unknown_outcome_happens_only_once() -> None:
    lines = [("a", 0, None, "write", 1, None), ("b", 1, 2, "read", 1), ("b", 3, 4, "write", 2, None)]
    assert is_linearizable(history(*lines, ("b", 5, 6, "read", 2)), Register(0))
    assert not is_linearizable(history(*lines, ("b", 5, 6, "read", 1)), Register(0))
    assert is_linearizable(history(*lines, ("c", 5, None, "write", 1, None), ("b", 7, 8, "read", 1)), Register(0))


def test_what_failed_has_not_happened() -> None:
    made = History()
    made.call("a", "write", 1).fail()
    made.call("b", "read").ok(0)
    assert is_linearizable(made, Register(0))
    made.call("b", "read").ok(1)
    assert not is_linearizable(made, Register(0))


@pytest.mark.parametrize(("total", "fine"), [(0, True), (2, True), (3, True), (4, False)])
def test_as_many_of_unknown_outcome_happen_as_are_needed(total: int, fine: bool) -> None:
    made = history(*((client, 0, None, "increment", None) for client in "abc"), ("d", 1, 2, "read", total))
    assert is_linearizable(made, Counter()) is fine


# ------------------------------------------------------------ parts, and the bound


def test_keys_are_checked_one_by_one_and_the_wrong_one_is_named() -> None:
    made = history(
        ("a", 0, 1, "write", "x", 1, None),
        ("a", 2, 3, "write", "y", 2, None),
        ("b", 4, 5, "read", "y", 1),
        ("b", 6, 7, "read", "x", 1),
    )
    with pytest.raises(NotLinearizable, match="the 2 operations on 'y'") as caught:
        check_linearizable(made, Map())
    assert caught.value.key == "y"
    assert is_linearizable(history(*[("a", 0, 1, "write", [1], 1, None), ("a", 2, 3, "read", [1], 1)]), Map())


def hard(key: str, made: History) -> None:
    """Note thirty writes at once, and a read of something else."""
    running = [made.call(client, "write", key, client, at=0) for client in range(30)]
    for client, operation in enumerate(running):
        operation.ok(at=1 + client)
    made.call("a", "read", key, at=99).ok(-1, at=100)


def test_a_search_that_takes_too_long_is_given_up_and_says_so() -> None:
    made = History()
    hard("x", made)
    with pytest.raises(
        Undecided, match="undecided: 5000 steps did not tell whether the 31 operations on 'x'"
    ) as caught:
        check_linearizable(made, Map(), limit=5000)
    assert not isinstance(caught.value, AssertionError)
    assert "This order makes sense" in str(caught.value)


def test_what_is_known_to_be_wrong_outweighs_what_is_undecided() -> None:
    made = History()
    hard("x", made)
    made.call("a", "read", "y").ok(1)
    with pytest.raises(NotLinearizable, match="'y'"):
        check_linearizable(made, Map(), limit=5000)


def test_the_bound_holds_for_each_key() -> None:
    made = History()
    for key in "abcdef":
        for number in range(10):
            made.call("a", "write", key, number).ok()
            made.call("a", "read", key).ok(number)
    check_linearizable(made, Map(), limit=50)
    with pytest.raises(Undecided):
        check_linearizable(made, Map(), limit=10)


def test_a_state_that_cannot_be_hashed_is_named() -> None:
    made = history(("a", 0, 1, "write", bytearray(b"x"), None), ("b", 0, 2, "read", None))
    with pytest.raises(TotohioError, match="a bytearray cannot be hashed"):
        check_linearizable(made, Register())


# ------------------------------------------------------------ what is told


def test_the_explanation_shows_how_far_it_goes_and_what_does_not_fit() -> None:
    made = history(
        ("alice", 0, 1.5, "write", 1, None),
        ("bob", 2, 2.25, "read", 1),
        ("carol", 3, None, "write", 3, None),
        ("alice", 4, 5, "write", 22, None),
        ("bob", 6, 7.125, "read", 1),
        ("dave", 6.5, 10, "write", 4, None),
        ("bob", 8, 9, "read", 4),
    )
    with pytest.raises(NotLinearizable) as caught:
        check_linearizable(made, Register(0))
    assert str(caught.value) == (
        "not linearizable: no order of the 7 operations gives what their clients saw\n"
        "\n"
        "This order makes sense, and leaves 4:\n"
        "  alice  write(1)   -> None  0.0 ..   1.5\n"
        "  bob    read()     -> 1     2.0 ..  2.25\n"
        "  alice  write(22)  -> None  4.0 ..   5.0\n"
        "  dave   write(4)   -> None  6.5 ..  10.0\n"
        "None of these can come next:\n"
        "  bob    read()     -> 1     6.0 .. 7.125  it would give 4\n"
        "These may have happened or not:\n"
        "  carol  write(3)   open     3.0 ..\n"
        "Not reached: 1 that began later."
    )
    error = caught.value
    assert [one.client for one in error.prefix] == ["alice", "bob", "alice", "dave"]
    assert [one.client for one in error.blocked] == ["bob"]
    assert error.state == 4


def test_an_explanation_begins_at_the_beginning_when_nothing_fits() -> None:
    with pytest.raises(NotLinearizable, match=r"At the beginning there is 5\.\nNone of these can come next:\n  a"):
        check_linearizable(history(("a", 0, 1, "increment", 3)), Counter(5))
    with pytest.raises(NotLinearizable, match="it would give 6 or None"):
        check_linearizable(history(("a", 0, 1, "increment", 3)), Counter(5))


def test_an_explanation_stays_short_however_long_the_history_and_its_values() -> None:
    made = History()
    for number in range(1000):
        made.call("a", "write", "long" * 1000).ok()
        made.call("lost", "write", number).unknown()
    made.call("a", "read").ok("short")
    with pytest.raises(NotLinearizable) as caught:
        check_linearizable(made, Register())
    lines = str(caught.value).splitlines()
    assert len(lines) < 60
    assert max(map(len, lines)) < 250
    assert "  (988 more)" in lines


def test_a_model_describes_its_state() -> None:
    class Lamp(Register):
        def describe(self, state: Any) -> str:
            return "light" if state else "darkness"

    with pytest.raises(NotLinearizable, match="and leaves light:"):
        check_linearizable(history(("a", 0, 1, "write", 1, None), ("a", 2, 3, "read", 0)), Lamp())


def test_the_verdict_goes_to_another_process_as_a_text() -> None:
    made = History(lambda: 0.0)
    made.call("a", "read").ok(1)
    with pytest.raises(NotLinearizable) as caught:
        check_linearizable(made, Register(0))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
