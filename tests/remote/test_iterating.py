"""What of iterators arrives, and when; over a real socket and in a simulated world."""

import functools
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.remote.borrowers import KINDS, Borrower, Run, raised, running
from tests.remote.support import LENT, serving
from totohio import TotoException
from totohio.core.lending import PLAIN
from totohio.remote import Remote
from totohio.remote.iterating import Cursor
from totohio.sim.worlding import Script

MORE = '''
import collections
import itertools
import re
import time

@lend
def breaking(count):
    """Items, and an error."""
    def generate():
        yield from range(count)
        raise OddError("odd", count)
    return generate()


@lend
def odd_items():
    """Items of which one cannot be sent."""
    return iter([0, 1, 2, nest(200), 4, 5])


class Own:
    """An iterator that is lent as an object of its own."""

    def __init__(self, items):
        self.items = items

    @lend
    def __next__(self):
        if not self.items:
            raise StopIteration
        item = self.items.pop(0)
        if item == "odd":
            raise OddError("odd")
        return item

    def __iter__(self):
        SEEN.append("iterated")
        return iter(["wrong"])


@lend
def own():
    return Own([0, 1, "odd", 3, nest(200), 5])


@lend(thread=True)
def slowly(count, seconds):
    def generate():
        for n in range(count):
            time.sleep(seconds)
            yield n
    return generate()


@lend
def doubled(items):
    return map(lambda n: n * 2, items)


@lend(thread=True)
def idents(count):
    """Where items are made."""
    return map(lambda _: threading.get_ident(), range(count))


@lend(thread=True)
def idents_generated(count):
    for _ in range(count):
        yield threading.get_ident()


LAZY = {
    "map": lambda: map(str, [1, 2]),
    "zip": lambda: zip([1], [2]),
    "enumerate": lambda: enumerate("ab"),
    "filter": lambda: filter(None, [0, 1]),
    "reversed": lambda: reversed((1, 2)),
    "reversed list": lambda: reversed([1, 2]),
    "chain": lambda: itertools.chain([1], [2]),
    "islice": lambda: itertools.islice(itertools.count(), 3),
    "product": lambda: itertools.product([1, 2], "a"),
    "finditer": lambda: re.finditer("a", "aa"),
    "callable": lambda: iter([3, 2, 1].pop, 3),
    "keys": lambda: {1: 2}.keys(),
    "values": lambda: {1: 2}.values(),
    "items": lambda: {1: 2}.items(),
    "ordered": lambda: collections.OrderedDict(a=1).items(),
}


@lend
def lazy(name):
    return LAZY[name]()


@lend
def grouped():
    return itertools.groupby("aabccc")


class Shelf(dict):
    @lend
    @property
    def lines(self):
        return (line for line in ["a", "b"])

    @lend
    @property
    def slow(self):
        """A property that waits, as methods do."""
        yield
        return "waited"

    @lend
    def __getitem__(self, key):
        return (n for n in range(key))

    @lend
    def __enter__(self):
        yield
        return "entered"

    @lend
    def __exit__(self, *error):
        return None


@lend(attributes=["kept"])
class Holder:
    def __init__(self):
        self.kept = (n for n in range(3))


shelf = lend(Shelf)()


@lend
class Rows:
    @lend(thread=True)
    def __iter__(self):
        SEEN.append(threading.get_ident())
        return iter([1, 2, 3])


@lend
class Hidden:
    @lend
    @requires_role("boss")
    def __iter__(self):
        SEEN.append("hidden")
        return iter([1, 2, 3])


rows, hidden = Rows(), Hidden()
'''


@pytest.fixture(params=KINDS, ids=str)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """Runs a script of a client."""
    for each in running(request.param, tmp_path):
        yield functools.partial(each, lent=LENT + MORE)


def _rest(borrower: Borrower, iterator: Any, found: list[Any]) -> Script:
    """Have all that an iterator gives, request by request; what it raises is among it."""
    for _ in range(20):
        try:
            items, over = yield borrower.perform("next", iterator._number, 100)
        except Exception as error:
            found.append(type(error).__name__)
        else:
            found.append(items)
            if over:
                return found
    raise AssertionError(f"it has no end: {found}")


def test_items_before_an_error_arrive_and_then_the_error(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        iterator = yield borrower.call("breaking", 3)
        assert (yield from _rest(borrower, iterator, [])) == [[0, 1, 2], "OddError", []]
        iterator = yield borrower.call("breaking", 0)
        assert (yield from _rest(borrower, iterator, [])) == ["OddError", []]
        iterator = yield borrower.call("breaking", 150)
        found = yield from _rest(borrower, iterator, [])
        assert [len(each) for each in found] == [100, 50, 8, 0]

    run(script)


def test_an_item_that_cannot_be_sent_loses_no_other(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        iterator = yield borrower.call("odd_items")
        found = yield from _rest(borrower, iterator, [])
        assert [each for each in found if each == "LendingError"] == ["LendingError"]
        before, after = found[: found.index("LendingError")], found[found.index("LendingError") + 1 :]
        assert ([*itertools.chain(*before)], [*itertools.chain(*after)]) == ([0, 1, 2], [4, 5])

    run(script)


def test_an_iterator_with_a_name_of_its_own_loses_no_item_either(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        iterator = yield borrower.call("own")
        found = yield from _rest(borrower, iterator, [])
        assert found == [[0, 1], "OddError", [3], "LendingError", [5], []]
        assert (yield borrower.call("seen")) == []  # only what is lent of it is used
        assert not borrower.within(lambda: borrower.session()._operations._rests)

    run(script)


LAZY = (
    "map",
    "zip",
    "enumerate",
    "filter",
    "reversed",
    "reversed list",
    "chain",
    "islice",
    "product",
    "finditer",
    "callable",
    "keys",
    "values",
    "items",
    "ordered",
)


@pytest.mark.parametrize("name", LAZY)
def test_what_python_iterates_lazily_is_an_iterator_and_nothing_else(run: Run, name: str) -> None:
    def script(borrower: Borrower) -> Script:
        module = borrower.module
        wanted = list(module.LAZY[name]())
        found = yield borrower.call("lazy", name)
        assert dir(found) == []
        iterator = yield borrower.perform("iter", found._number)
        items, over = yield borrower.perform("next", iterator._number, 100)
        assert over
        assert len(items) == len(wanted)
        assert name == "finditer" or items == wanted
        for operation in ("len", "contains", "item", "str", "bool", "call", "enter"):
            error = yield from raised(AttributeError, lambda each=operation: borrower.perform(each, found._number))
            assert type(error).__name__ == "ForbiddenError"

    run(script)


def test_items_that_come_slowly_come_one_by_one(tmp_path: Path) -> None:
    with serving(tmp_path, LENT + MORE) as site, site.connect() as remote:
        for seconds, wanted in ((0.1, [[[0], False], [[1], False], [[], True]]), (0.0, [[[0, 1], True]])):
            iterator = remote.slowly(2, seconds)
            assert [remote.perform("next", iterator._number, [100]) for _ in wanted] == wanted


def test_items_are_made_where_the_function_that_has_given_them_runs(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        cycle = borrower.within(threading.get_ident)
        for name in ("idents", "idents_generated"):
            iterator = yield borrower.call(name, 2)
            items, over = yield borrower.perform("next", iterator._number, 100)
            assert over
            assert len(items) == 2
            assert (cycle in items) is not isinstance(
                borrower.client, Remote
            )  # a world's threads are not the machine's
        iterator = yield borrower.perform("iter", [None, "rows"])
        assert (yield borrower.perform("next", iterator._number, 100)) == [[1, 2, 3], True]
        [ident] = yield borrower.call("seen")
        assert (ident == cycle) is not isinstance(borrower.client, Remote)

    run(script)


def test_items_cannot_be_had_twice_at_once() -> None:
    def items() -> Iterator[Any]:
        yield 1
        with pytest.raises(RuntimeError, match="are being had already"):
            cursor.gather(1, lambda: 0.0)
        yield 2

    cursor = Cursor(items(), PLAIN)
    sent: list[Any] = []
    cursor.gather(100, lambda: 0.0).deliver(sent.append)
    assert sent == [[[1, 2], True]]


def test_items_that_were_taken_before_a_call_was_ended_come_with_the_next() -> None:
    class Ended(BaseException):
        """As what ends a call that waits."""

    answers: list[Any] = [1, 2, Ended(), 3]

    def answer() -> Any:
        found = answers.pop(0)
        if isinstance(found, BaseException):
            raise found
        return found

    cursor, sent = Cursor(iter(answer, None), PLAIN), []
    with pytest.raises(Ended):
        cursor.gather(3, lambda: 0.0)
    for _ in range(2):
        cursor.gather(1, lambda: 0.0).deliver(sent.append)
    assert sent == [[[1], False], [[2], False]]
    assert next(cursor) == 3


def test_groups_are_not_taken_away_by_those_after_them(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        groups = yield borrower.call("grouped")
        found = []
        for _ in range(3):
            items, _ = yield borrower.perform("next", groups._number, 100)
            [(key, group)] = items
            [members, _] = yield borrower.perform("next", group._number, 100)
            found.append((key, members))
        assert found == [("a", ["a", "a"]), ("b", ["b"]), ("c", ["c", "c", "c"])]
        assert (yield borrower.perform("next", groups._number, 100)) == [[], True]

    run(script)


def test_a_generator_that_an_attribute_a_property_or_an_item_is_gives_items(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        holder = yield borrower.call("Holder")
        for wanted, path in ((["a", "b"], [None, "shelf", "lines"]), ([0, 1, 2], [holder._number, "kept"])):
            iterator = yield borrower.perform("get", path)
            assert (yield borrower.perform("next", iterator._number, 100)) == [wanted, True]
        iterator = yield borrower.perform("item", [None, "shelf"], 3)
        assert (yield borrower.perform("next", iterator._number, 100)) == [[0, 1, 2], True]
        kept = yield borrower.call("echo", [(yield borrower.perform("get", [holder._number, "kept"]))])
        assert (yield borrower.perform("next", kept[0]._number, 100)) == [[], True]

    run(script)


def test_a_property_or_operator_that_is_a_generator_itself_waits_as_methods_do(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        for operation, path, wanted in (
            ("get", [None, "shelf", "slow"], "waited"),
            ("enter", [None, "shelf"], "entered"),
        ):
            assert (yield borrower.perform(operation, path)) == wanted

    run(script)


def test_an_iter_is_carried_out_as_it_is_marked_and_for_those_who_have_the_role(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        error = yield from raised(TotoException, lambda: borrower.perform("iter", [None, "hidden"]))
        assert error.code == 1016
        assert (yield borrower.call("seen")) == []

    run(script)
