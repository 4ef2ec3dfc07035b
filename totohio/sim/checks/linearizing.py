"""Linearizability: whether what concurrent clients saw could have happened one operation after the other.

A history is linearizable when its operations can be put in one order that a sequential model explains, and in which
no operation comes before one that had ended when it began (Herlihy and Wing, 1990). The search is that of Wing and
Gong (Testing and Verifying Concurrent Objects, 1993) with the memory that Lowe gave it (Testing for Linearizability,
2017): it goes from configuration to configuration, each the set of operations that are in order already and the
state they leave, and to none twice. What may come next is what began before the first reply that is still to be
placed. Some things keep the number of configurations small:

-   The set is written as the number of replies that are all placed and one bit for each later one, so that a
    configuration is small however long the history is.
-   The search goes on where the most replies are placed, and reorders what overlaps only when it gets no further.
-   A query whose result is right is placed at once: it could be moved there from wherever else it stood.
-   Of operations alike the one that ended first is taken first.
-   Operations with an unknown outcome are placed when little else goes on, and a configuration that used more of them
    than another one is dropped: they may be left out, so to have used up fewer is never worse.
-   Keys are checked one by one (locality; P-compositionality in Horn and Kroening, 2015).
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any

from totohio.base.errors import TotohioError
from totohio.sim.checks.histories import ANY, FAILED, OK, Operation, cut, table
from totohio.sim.checks.models import AnyOf, Model

LIMIT = 2_000_000  # steps for one key: some seconds, and some hundred megabytes at the worst
WEIGHT = 8  # replies that one more unknown operation has to be worth (6 to 12 take the fewest steps)
SHOWN = 12  # operations in each part of an explanation


class NotLinearizable(AssertionError):
    """No order of the operations explains what their clients saw.

    Attributes:
        key: The part of the whole that they are about; None when the model has no keys.
        prefix: The longest order found, in which everything is explained.
        state: The model's state after it.
        blocked: What would have to come next, none of which can; what ended first comes first.
    """

    key: Any = None
    prefix: Sequence[Operation] = ()
    state: Any = None
    blocked: Sequence[Operation] = ()

    def __reduce__(self) -> Any:  # to another process its text goes, and no clock
        return type(self), self.args


class Undecided(TotohioError):
    """The search was given up: the operations may be linearizable or not."""


def check_linearizable(history: Iterable[Operation], model: Model, *, limit: int = LIMIT) -> None:
    """See whether a history is linearizable.

    Args:
        history: What the clients saw.
        model: What they should have seen.
        limit: Steps that the search may take for one key: each is one step of the model, or one look at a
            configuration that was met before.

    Raises:
        NotLinearizable: It is not; the text explains why.
        Undecided: The limit was reached, and all keys that were decided are fine.
    """
    parts: dict[Any, tuple[Any, list[Operation]]] = {}
    for operation in history:
        if operation.outcome != FAILED:
            key = model.key(operation.name, operation.args)
            parts.setdefault(_frozen(key), (key, []))[1].append(operation)
    undecided: Undecided | None = None
    for key, operations in parts.values():
        search = _Search(operations, model, limit)
        about = f"the {len(operations)} operations" + ("" if key is None else f" on {cut(repr(key))}")
        try:
            if not search.run():
                error = NotLinearizable(
                    f"not linearizable: no order of {about} gives what their clients saw\n\n"
                    + search.explain("None of these can come next:")
                )
                error.key, error.state = key, search.best.state
                error.prefix, error.blocked = search.prefix(), search.blocked()
                raise error
        except _SpentError:
            undecided = undecided or Undecided(
                f"undecided: {limit} steps did not tell whether {about} are linearizable\n\n"
                + search.explain("What was tried next leads no further, or was not tried to the end:")
            )
    if undecided is not None:
        raise undecided


class _SpentError(Exception):
    pass


class _Node:
    """A configuration: all replies before ``place`` are in order, of the later ones those in ``mask`` as well."""

    __slots__ = ("mask", "parent", "place", "state", "taken", "used")

    def __init__(
        self, place: int, mask: int, used: int, state: Any, parent: "_Node | None", taken: list[Operation]
    ) -> None:
        self.place = place
        self.mask = mask  # bit 0 is the reply at place, and never set
        self.used = used  # which operations of unknown outcome are in order
        self.state = state
        self.parent = parent
        self.taken = taken  # what was placed since the parent

    def rank(self) -> tuple[int, int, int]:
        return self.place, self.mask.bit_count(), -self.used.bit_count()


class _Search:
    """The search for an order of the operations on one key.

    Attributes:
        done: Operations with a reply, in the order of their replies: a place is an index here.
        open: Operations of unknown outcome, in the order of their calls.
        best: The configuration in which the most is explained.
    """

    def __init__(self, operations: list[Operation], model: Model, limit: int) -> None:
        self.model = model
        self.limit = limit
        self.steps = 0
        self.done = sorted((one for one in operations if one.outcome == OK), key=lambda one: one._return)
        self.open = [one for one in operations if one.outcome != OK and one.name not in model.queries]
        self.open.sort(key=lambda one: one._call)
        self.asks: list[list[int]] = []  # by place: queries that may come next
        self.acts: list[list[int]] = []  # by place: what else may come next
        self.opened: list[int] = []  # by place: how many of `open` may come next
        self.blind: list[bool] = []  # by place: all of `acts` and `open` that may come next overwrite the state
        self._lay_out()
        self.twins = _twins((one.name, one.args, one.result) for one in self.done)
        self.open_twins = _twins((one.name, one.args) for one in self.open)
        self._seen: dict[Any, tuple[int, ...]] = {}
        self.best = _Node(0, 0, 0, model.initial, None, [])

    def _lay_out(self) -> None:
        done, model = self.done, self.model
        began = sorted(range(len(done)), key=lambda index: done[index]._call)
        calls, openings = [done[index]._call for index in began], [one._call for one in self.open]
        sighted = [index for index, one in enumerate(self.open) if one.name not in model.overwrites]
        running: list[int] = []
        start = 0
        for one in done:
            end = bisect_left(calls, one._return)
            for index in began[start:end]:
                insort(running, index)
            start = end
            acts = [index for index in running if done[index].name not in model.queries]
            opened = bisect_left(openings, one._return)
            self.acts.append(acts)
            self.asks.append([index for index in running if done[index].name in model.queries])
            self.opened.append(opened)
            self.blind.append(
                not (sighted and sighted[0] < opened) and all(done[index].name in model.overwrites for index in acts)
            )
            del running[0]  # this one: what ends first

    def run(self) -> bool:
        """Tell whether there is an order.

        Raises:
            _SpentError: That would take more steps than there may be.
        """
        number = count()
        heap: list[tuple[int, int, int, int, _Node]] = []  # what to go on with: cost, stage
        children = [self._enter(0, 0, 0, self.model.initial, None, [])]
        while True:
            for child in children:
                if child is not None:
                    if child.place == len(self.done):
                        return True
                    unknown = child.used.bit_count()
                    heappush(heap, (WEIGHT * unknown - child.place, unknown, 0, next(number), child))
            if not heap:
                return False
            cost, unknown, stage, _, node = heappop(heap)
            if stage < 2:
                children = self._order(node, stage == 0)
                if stage == 0:
                    heappush(heap, (cost, unknown, 1, next(number), node))
                elif self.opened[node.place]:
                    heappush(heap, (cost + WEIGHT, unknown, 2, next(number), node))
            else:
                children = self._suppose(node)

    def _order(self, node: _Node, first: bool) -> list[_Node | None]:
        """Place one more reply: what must come first because it ended first, or one that came later."""
        place, mask = node.place, node.mask
        acts = self.acts[place]
        nodes = []
        for index in acts:
            if mask >> index - place & 1 or (index == place) != first:
                continue
            twin = self.twins[index]
            if twin >= place and not mask >> twin - place & 1 and twin in acts:
                continue
            one = self.done[index]
            result, state = self._step(node.state, one)
            if _agree(result, one.result):
                nodes.append(self._enter(place, mask | 1 << index - place, node.used, state, node, [one]))
        return nodes

    def _suppose(self, node: _Node) -> list[_Node | None]:
        """Suppose that one more operation of unknown outcome happened now."""
        place, used = node.place, node.used
        nodes = []
        for index, one in enumerate(self.open[: self.opened[place]]):
            twin = self.open_twins[index]
            if not used >> index & 1 and (twin < 0 or used >> twin & 1):
                _, state = self._step(node.state, one)
                nodes.append(self._enter(place, node.mask, used | 1 << index, state, node, [one]))
        return nodes

    def _enter(
        self, place: int, mask: int, used: int, state: Any, parent: _Node | None, taken: list[Operation]
    ) -> _Node | None:
        """Place the queries that are right, and give the configuration unless it leads no further than others do."""
        total = len(self.done)
        supposed = parent is not None and used != parent.used
        while place < total:
            while mask & 1:
                mask >>= 1
                place += 1
            if place == total:
                break
            for index in self.asks[place]:
                one = self.done[index]
                if not mask >> index - place & 1 and _agree(self._step(state, one)[0], one.result):
                    mask |= 1 << index - place
                    taken.append(one)
            if not mask & 1:
                break
        if supposed and len(taken) == 1 and self.blind[place]:
            return None  # nobody sees it before it is overwritten
        key = (place, mask, state)
        try:
            seen = self._seen.get(key, ())
        except TypeError:
            key = (place, mask, _frozen(state))
            seen = self._seen.get(key, ())
        self.steps += len(seen)
        if any(fewer & used == fewer for fewer in seen):
            return None
        self._seen[key] = (*(more for more in seen if more & used != used), used) if seen else (used,)
        node = _Node(place, mask, used, state, parent, taken)
        if node.rank() > self.best.rank() or parent is None:
            self.best = node
        return node

    def _step(self, state: Any, one: Operation) -> tuple[Any, Any]:
        self.steps += 1
        if self.steps > self.limit:
            raise _SpentError
        return self.model.step(state, one.name, one.args)

    # ------------------------------------------------------------ how far it came

    def prefix(self) -> list[Operation]:
        """Give the operations of the best configuration in their order."""
        pieces: list[list[Operation]] = []
        node: _Node | None = self.best
        while node is not None:
            pieces.append(node.taken)
            node = node.parent
        return [one for piece in reversed(pieces) for one in piece]

    def blocked(self) -> list[Operation]:
        """Give what would have to come next, in the order in which it ended."""
        place, mask = self.best.place, self.best.mask
        indices = sorted(self.asks[place] + self.acts[place])
        return [self.done[index] for index in indices if not mask >> index - place & 1]

    def explain(self, title: str) -> str:
        """Say how far it came, and under a title what would have to come next."""
        best, order, blocked = self.best, self.prefix(), self.blocked()
        spare = [one for index, one in enumerate(self.open[: self.opened[best.place]]) if not best.used >> index & 1]
        state = cut(self.model.describe(best.state))
        parts = [
            (f"This order makes sense, and leaves {state}:" if order else f"At the beginning there is {state}.", order),
            (title, blocked),
            ("These may have happened or not:", spare),
        ]
        shown = [order[-SHOWN:], blocked[:SHOWN], spare[:SHOWN]]
        rows = iter(table([one for part in shown for one in part]))
        lines = []
        for (heading, whole), part in zip(parts, shown, strict=True):
            if whole or whole is order:
                lines.append(heading)
            more = [f"  ({len(whole) - len(part)} more)"] if len(whole) > len(part) else []
            block = [f"  {next(rows)}{self._remark(one) if whole is blocked else ''}".rstrip() for one in part]
            lines += more + block if whole is order else block + more
        later = len(self.done) + len(self.open) - len(order) - len(blocked) - len(spare)
        if later:
            lines.append(f"Not reached: {later} that began later.")
        return "\n".join(lines)

    def _remark(self, one: Operation) -> str:
        result, _ = self.model.step(self.best.state, one.name, one.args)
        return "" if _agree(result, one.result) else f"  it would give {cut(repr(result))}"


def _agree(result: Any, seen: Any) -> bool:
    """Tell whether a model's result is what a client has seen."""
    if result is ANY or seen is ANY:
        return True
    if type(result) is AnyOf:
        return any(_agree(one, seen) for one in result.results)
    return bool(result == seen)


def _twins(kinds: Iterable[Any]) -> list[int]:
    """Give for each the index of the last one before it that is equal, or -1."""
    last: dict[Any, int] = {}
    twins = []
    for index, kind in enumerate(kinds):
        kind = _frozen(kind)
        twins.append(last.get(kind, -1))
        last[kind] = index
    return twins


def _frozen(value: Any) -> Any:
    """Give something that can be hashed and is equal for equal values.

    Raises:
        TotohioError: There is something in it that cannot be hashed.
    """
    try:
        hash(value)
    except TypeError:
        match value:
            case dict():
                return dict, frozenset((key, _frozen(item)) for key, item in value.items())
            case list() | tuple():
                return type(value), tuple(map(_frozen, value))
            case set():
                return frozenset(value)
        raise TotohioError(f"a {type(value).__name__} cannot be hashed: {cut(repr(value))}") from None
    return value
