"""The verdict on random histories: small ones in every order, and long ones in few steps."""

from collections import Counter as Tally
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.histories import Dictionary, Plain, Queue, is_linearizable
from totohio.sim.checks.histories import ANY, History, Operation
from totohio.sim.checks.linearizing import NotLinearizable, check_linearizable
from totohio.sim.checks.models import AnyOf, Counter, Map, Model, Register
from totohio.sim.seeding import Dice

# ------------------------------------------------------------ against every order, tried one by one


def some_order_explains(made: History, model: Model) -> bool:
    """Try every order of every choice of what may have happened; an order is left where it is wrong already."""

    def agree(result: Any, seen: Any) -> bool:
        choices = result.results if isinstance(result, AnyOf) else (result,)
        return seen is ANY or any(choice is ANY or choice == seen for choice in choices)

    def goes_on(state: Any, left: list[Operation]) -> bool:
        if all(one.outcome != "ok" for one in left):
            return True
        for one in left:
            if any(other.outcome == "ok" and other.ended < one.began for other in left):  # type: ignore[operator]
                continue
            result, after = model.step(state, one.name, one.args)
            rest = [other for other in left if other is not one]
            if (one.outcome != "ok" or agree(result, one.result)) and goes_on(after, rest):
                return True
        return False

    return goes_on(model.initial, [one for one in made if one.outcome != "failed"])


def small_history(model: Model, asks: tuple[tuple[Any, ...], ...], moves: list[tuple[int, int]]) -> History:
    """Let four clients do something that follows the model, except when what they see is spoilt.

    Args:
        model: What it follows.
        asks: What they may ask.
        moves: Which client goes on next, and a number that says how.
    """
    made = History()
    state = model.initial
    running: dict[int, Operation] = {}
    happened: dict[int, Any] = {}  # the results of those that run
    seen: list[Any] = [None, ANY, 0, 1, 2]
    for client, number in moves:
        operation = running.get(client)
        if operation is None:
            if len(made) < 8:
                name, *args = asks[number % len(asks)]
                running[client] = made.call(client, name, *args)
        elif client not in happened and number % 8 > 1:
            result, state = model.step(state, operation.name, operation.args)
            happened[client] = result.results[number % 2] if isinstance(result, AnyOf) else result
            seen += [happened[client]] if happened[client] is not ANY else []
        else:
            del running[client]
            result = happened.pop(client, made)
            if number % 8 == 0:
                operation.fail()
            elif number % 8 == 1 or result is made:
                operation.unknown()
            else:
                operation.ok(result if number % 8 < 5 else seen[number // 8 % len(seen)])
    return made


REGISTER = ("read",), ("read",), ("write", 1), ("write", 2), ("cas", 0, 1), ("cas", 1, 2), ("read",)
WRITES = ("read",), ("read",), ("write", 1), ("write", 2), ("write", 3)
COUNTER = ("read",), ("increment",), ("increment",), ("increment", 2)
MAP = tuple((name, key, *args) for key in "xy" for name, *args in REGISTER)
QUEUE = ("put", 1), ("put", 2), ("get",), ("get",)


@pytest.mark.parametrize(
    ("checked", "whole", "asks"),
    [
        pytest.param(Register(0), Register(0), REGISTER, id="register"),
        pytest.param(Register(0), Register(0), WRITES, id="writes"),
        pytest.param(Plain(Register(0)), Register(0), REGISTER, id="plain"),
        pytest.param(Counter(), Counter(), COUNTER, id="counter"),
        pytest.param(Map(Register(0)), Dictionary(), MAP, id="map"),
        pytest.param(Queue(), Queue(), QUEUE, id="queue"),
    ],
)
def test_the_verdict_is_that_of_trying_every_order(
    checked: Model, whole: Model, asks: tuple[tuple[Any, ...], ...]
) -> None:
    verdicts: Tally[bool] = Tally()

    @settings(derandomize=True, database=None, max_examples=150)
    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 119)), min_size=12, max_size=26))
    def compare(moves: list[tuple[int, int]]) -> None:
        made = small_history(whole, asks, moves)
        verdict = is_linearizable(made, checked)
        verdicts[verdict] += 1
        assert verdict is some_order_explains(made, whole)

    compare()
    print(verdicts)
    assert min(verdicts[True], verdicts[False]) > 25, verdicts


# ------------------------------------------------------------ long histories


def lived(
    dice: Dice, model: Model, ask: Callable[[Dice, int], tuple[Any, ...]], *, size: int, pause: float, lost: float
) -> History:
    """Let ten clients ask something that follows the model: each takes a second or so, and pauses between."""
    made = History()
    state = model.initial
    events: list[tuple[float, int, str, Any]] = [(dice.random(), client, "ask", None) for client in range(10)]
    heapify(events)
    while events:
        now, client, kind, what = heappop(events)
        if kind == "ask" and len(made) < size:
            name, *args = ask(dice, len(made))
            operation = made.call(client, name, *args, at=now)
            takes = dice.exponential(1.0)
            if dice.chance(lost):  # half of what is lost happens all the same, some of it late
                if dice.chance(0.5):
                    heappush(events, (now + takes * dice.between(0, 5), client, "happen", operation))
                heappush(events, (now + 2.0, client, "ask", None))
            else:
                heappush(events, (now + takes * dice.random(), client, "happen", operation))
                heappush(events, (now + takes, client, "answer", operation))
        elif kind == "happen":
            result, state = model.step(state, what.name, what.args)
            what.result = result.results[0] if isinstance(result, AnyOf) else result
        elif kind == "answer":
            what.ok(what.result, at=now)
            heappush(events, (now + dice.exponential(pause), client, "ask", None))
    return made


def unique_writes(dice: Dice, number: int) -> tuple[Any, ...]:
    return ("read",) if dice.chance(0.5) else ("write", number)


def few_values(dice: Dice, number: int) -> tuple[Any, ...]:
    return dice.pick([("read",), ("write", dice.below(5)), ("cas", dice.below(5), dice.below(5))])


def increments(dice: Dice, number: int) -> tuple[Any, ...]:
    return dice.pick([("read",), ("increment",), ("increment",)])


def sums(dice: Dice, number: int) -> tuple[Any, ...]:
    return ("read",) if dice.chance(0.3) else ("increment", 1 + dice.below(4))


ASKS = [(Register(0), unique_writes), (Register(0), few_values), (Counter(), increments), (Counter(), sums)]


@pytest.mark.parametrize(("model", "ask"), ASKS)
@pytest.mark.parametrize(
    ("pause", "lost", "steps"),
    [
        pytest.param(9.0, 0.0, 2, id="calm"),
        pytest.param(1.0, 0.0, 10, id="busy"),
        pytest.param(9.0, 0.1, 20, id="lossy"),
    ],
)
def test_thousands_of_operations_take_few_steps_each(
    model: Model, ask: Any, pause: float, lost: float, steps: int
) -> None:
    made = lived(Dice("long", pause, lost), model, ask, size=3000, pause=pause, lost=lost)
    assert len([one for one in made if one.outcome == "open"]) >= lost * 2500
    check_linearizable(made, model, limit=steps * 3000)


@pytest.mark.parametrize(("model", "ask"), ASKS)
@pytest.mark.parametrize("lost", [0.0, 0.02])
def test_one_wrong_read_among_hundreds_of_operations_is_found(model: Model, ask: Any, lost: float) -> None:
    made = lived(Dice("wrong", lost), model, ask, size=500, pause=9.0, lost=lost)
    reads = [one for one in made if one.name == "read" and one.outcome == "ok"]
    check_linearizable(made, model)
    reads[100].result = -1
    with pytest.raises(NotLinearizable) as caught:
        check_linearizable(made, model)
    assert reads[100] in caught.value.blocked
    assert len(caught.value.prefix) > 200


def test_hundreds_of_unknown_operations_cost_nothing_when_none_is_needed() -> None:
    made = History()
    for number in range(300):
        made.call("lost", "write", 1000 + number).unknown()
        made.call("a", "write", number).ok()
        made.call("a", "read").ok(number)
    check_linearizable(made, Register(), limit=3000)


def test_what_happened_in_vain_is_not_tried_in_every_combination() -> None:
    made = History()
    for number in range(20):
        made.call("lost", "write", number).unknown()
    made.call("a", "write", 100).ok()
    made.call("a", "read").ok(-1)
    assert not is_linearizable(made, Plain(Register()), limit=5000)


def test_acknowledgements_alike_are_not_tried_in_every_order() -> None:
    made = History()
    running = [made.call(client, "increment") for client in range(100)]
    for operation in running:
        operation.ok(None)
    made.call("a", "read").ok(99)
    assert not is_linearizable(made, Counter(), limit=50_000)
