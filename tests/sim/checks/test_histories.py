"""Histories: when things happened, how they ended, and what is not believed."""

import copy
import pickle
from collections.abc import Callable

import pytest

from totohio.base.errors import TotohioError
from totohio.sim.checks.histories import ANY, History, Operation


def test_what_is_noted_without_a_tyme_is_noted_at_that_of_the_clock() -> None:
    tymes = iter((0.5, 2.0))
    operation = History(lambda: next(tymes)).call("a", "read").ok(7)
    assert (operation.began, operation.ended, operation.result) == (0.5, 2.0, 7)


def test_a_tyme_that_is_given_wins_over_the_clock() -> None:
    operation = History(lambda: 9.0).call("a", "write", 1, at=0.0).fail(at=1.0)
    assert (operation.began, operation.ended) == (0.0, 1.0)


def test_without_a_clock_tyme_counts_what_is_noted() -> None:
    history = History()
    first, second = history.call("a", "read"), history.call("b", "read")
    first.ok()
    assert (first.began, second.began, first.ended) == (0.0, 1.0, 2.0)


def test_operations_stand_in_the_order_of_their_calls() -> None:
    history = History()
    operations = [history.call(client, "read") for client in "cab"]
    operations[1].ok()
    assert list(history) == operations
    assert len(history) == 3


def test_an_operation_says_what_is_known_of_it() -> None:
    operation = History().call("a", "cas", 1, "x")
    assert repr(operation) == "<a: cas(1, 'x') open>"
    assert operation.result is ANY
    assert operation.ended is None
    operation.ok(True)
    assert repr(operation) == "<a: cas(1, 'x') -> True>"
    assert operation.outcome == "ok"


def test_what_is_long_is_shown_in_part() -> None:
    assert len(repr(History().call("a", "write", "x" * 1000).ok("y" * 1000))) < 150


@pytest.mark.parametrize("first", [Operation.ok, Operation.fail])
@pytest.mark.parametrize("second", [Operation.ok, Operation.fail, Operation.unknown])
def test_what_is_known_does_not_change(
    first: Callable[[Operation], Operation], second: Callable[[Operation], Operation]
) -> None:
    operation = first(History().call("a", "read"))
    before = operation.outcome, operation.ended
    with pytest.raises(TotohioError, match="ended already"):
        second(operation)
    assert (operation.outcome, operation.ended) == before


def test_a_reply_may_come_after_all() -> None:
    operation = History().call("a", "read", at=0.0).unknown(at=1.0)
    assert operation.ok(5, at=2.0).result == 5
    assert (operation.outcome, operation.ended) == ("ok", 2.0)


def test_nothing_ends_before_it_begins() -> None:
    operation = History().call("a", "read", at=2.0)
    with pytest.raises(TotohioError, match=r"cannot end at 1\.5: it began at 2\.0"):
        operation.ok(at=1.5)
    assert operation.outcome == "open"


def test_there_is_one_any_wherever_it_goes() -> None:
    assert pickle.loads(pickle.dumps(ANY)) is ANY
    assert copy.deepcopy([ANY])[0] is ANY
