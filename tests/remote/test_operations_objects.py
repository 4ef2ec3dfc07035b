"""What is done with objects that are lent, over a real socket and in a simulated world."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.remote.borrowers import KINDS, Borrower, Pause, Run, raised, running
from totohio import TotoException
from totohio.remote import Remote
from totohio.sim.worlding import Script


@pytest.fixture(params=KINDS, ids=str)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """Runs a script of a client."""
    yield from running(request.param, tmp_path)


def test_attributes_are_read_and_set_where_they_are_lent(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        cat = yield borrower.get("tom")  # kept, since it is lent no longer than that
        tom = cat._number
        assert (yield borrower.perform("get", [tom, "name"])) == "tom"
        assert (yield borrower.perform("get", [tom, "loud"])) == "TOM"
        yield borrower.perform("set", [tom, "mood"], "bad")
        assert (yield borrower.perform("get", [None, "tom", "mood"])) == "bad"
        for name in ("secret", "hidden", "__class__", "__dict__", "nothing", "items"):
            error = yield from raised(AttributeError, lambda name=name: borrower.perform("get", [tom, name]))
            assert type(error).__name__ == "ForbiddenError"
        for name in ("name", "loud", "secret", "__class__", "greet", "new"):
            yield from raised(AttributeError, lambda name=name: borrower.perform("set", [tom, name], 1))

    run(script)


def test_calls_reach_methods_classes_objects_and_modules(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        tom = yield borrower.get("tom")
        assert (yield tom.greet()) == "tom greets you"
        assert (yield tom.greet(other="x")) == "tom greets x"
        assert (yield tom.kind()) == "cat"
        assert (yield tom("miaow")) == "tom hears miaow"
        kitten = yield tom.kitten()
        assert (yield kitten.greet(tom)) == "tomlet greets tom"
        assert (yield borrower.call("tom.greet", kitten)) == "tom greets tomlet"
        assert (yield borrower.call("math.hypot", 3, 4)) == 5.0
        plain = yield borrower.call("plain")
        assert dir(plain) == []
        yield from raised(TypeError, plain)
        for target in (plain._number, [plain._number, "value"], [tom._number, "hidden"], [None, "secret"], 10_000):
            yield from raised(Exception, lambda target=target: borrower.perform("call", target))

    run(script)


def test_a_class_that_is_lent_is_asked_for_its_static_and_class_methods(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        album = yield borrower.get("Album")
        assert dir(album) == ["awaited", "burnt", "later", "opened", "threaded", "tracks"]
        assert (yield borrower.perform("dir", [None, "Album"])) == dir(album)
        assert (yield borrower.perform("help", [None, "Album", "opened"])) == "Open one."
        assert (yield (yield album.opened("Help")).play()) == "Help plays"
        assert (yield (yield album.opened(title="Fame")).play()) == "Fame plays"
        assert (yield borrower.perform("get", [(yield album.later(0.25))._number, "title"])) == "after 0.25"
        assert (yield (yield album.awaited("Low")).play()) == "Low plays"
        tracks = yield album.tracks(3)
        assert (yield borrower.perform("next", tracks._number, 9)) == [[0, 1, 4], True]
        held = yield borrower.perform("get", [album._number, "opened"])
        made = yield held("Blue")
        assert (yield made.play()) == "Blue plays"
        again = yield borrower.perform("call", [made._number, "opened"])  # and of an instance, as before
        assert (yield again.play()) == "untitled plays"
        single = yield borrower.call("Single.awaited", "Yes")
        assert (yield borrower.perform("get", [single._number, "title"])) == "Yes"

    run(script)


def test_members_of_a_class_run_in_threads_and_ask_for_roles_as_they_are_marked(run: Run) -> None:
    def refused(borrower: Borrower) -> Script:
        cycle = borrower.within(threading.get_ident)
        ident = yield borrower.call("Album.threaded")
        assert (ident != cycle) is isinstance(borrower.client, Remote)  # a world's threads are not the machine's
        album = yield borrower.get("Album")
        error = yield from raised(TotoException, album.burnt)
        assert error.code == 1016
        burnt = yield borrower.perform("get", [album._number, "burnt"])
        error = yield from raised(TotoException, burnt)
        assert error.code == 1016

    run(refused)


def test_of_a_class_nothing_else_is_reached(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        album = yield borrower.get("Album")
        bootleg = yield borrower.call("bootleg")
        assert dir(bootleg) == []
        assert "opened" not in dir((yield borrower.get("Single")))
        made = yield album.opened("Help")
        paths = [[album._number, name] for name in ("play", "title", "played", "hidden", "sorted", "mro", "__new__")]
        paths += [[bootleg._number, "opened"], [None, "Single", "opened"], [None, "Album", "opened", "__func__"]]
        for path in paths:
            for operation in ("call", "get", "help", "iter", "str"):
                error = yield from raised(
                    AttributeError, lambda path=path, operation=operation: borrower.perform(operation, path, made)
                )
                assert type(error).__name__ == "ForbiddenError"
        for target in (bootleg._number, [None, "Album", "burnt", "real"]):
            yield from raised(AttributeError, lambda target=target: borrower.perform("call", target))
        for name in ("len", "iter", "str", "bool"):
            yield from raised(AttributeError, lambda name=name: borrower.perform(name, album._number))
        for name in ("played", "opened", "title", "__doc__"):
            path = [album._number, name]
            yield from raised(AttributeError, lambda path=path: borrower.perform("set", path, 1))

    run(script)


def test_items_lengths_and_texts_are_had_by_operators(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        cat = yield borrower.get("tom")  # kept, since it is lent no longer than that
        tom = cat._number
        yield borrower.perform("setitem", tom, "a", [1])
        assert (yield borrower.perform("item", tom, "a")) == [1]
        assert (yield borrower.perform("len", tom)) == 1
        assert (yield borrower.perform("contains", tom, "a")) is True
        yield borrower.perform("delitem", tom, "a")
        assert (yield borrower.perform("contains", tom, "a")) is False
        yield from raised(KeyError, lambda: borrower.perform("item", tom, "a"))
        assert (yield borrower.perform("str", tom)) == "cat tom"
        assert (yield borrower.perform("bool", tom)) is True
        thing = yield borrower.call("plain")
        plain = thing._number
        for name in ("len", "str", "bool", "iter", "enter", "item"):
            error = yield from raised(AttributeError, lambda name=name: borrower.perform(name, plain, 0))
            assert type(error).__name__ == "ForbiddenError"

    run(script)


@pytest.mark.parametrize("name", ["counting", "squares"])
def test_iterators_give_many_items_at_a_time(run: Run, name: str) -> None:
    def script(borrower: Borrower) -> Script:
        lent = yield borrower.call(name, 250)
        iterator = lent._number
        found: list[int] = []
        sizes = []
        over = False
        while not over:
            items, over = yield borrower.perform("next", iterator, 100)
            sizes.append(len(items))
            found += items
        assert found == [number * number if name == "squares" else number for number in range(250)]
        assert sizes == [100, 100, 50]
        for count in (101, 0, -1, "1"):
            yield from raised(ValueError, lambda count=count: borrower.perform("next", iterator, count))

    run(script)


def test_a_context_is_entered_and_left_at_the_server(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        tom = yield borrower.get("tom")
        assert (yield borrower.perform("enter", tom._number)) is tom
        assert (yield borrower.perform("exit", tom._number, None)) is False
        assert (yield borrower.perform("exit", tom._number, ValueError("x"))) is True
        assert (yield borrower.perform("exit", tom._number, KeyError("x"))) is False
        told = [["enter", "tom"], ["exit", None], ["exit", "ValueError"], ["exit", "KeyError"]]
        assert (yield borrower.call("seen")) == told
        yield from raised(TypeError, lambda: borrower.perform("exit", tom._number, "error"))

    run(script)


# ---------------------------------------------------------------- calls that take their time


def test_calls_wait_in_the_cycle_or_run_in_threads_as_they_are_marked(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        assert (yield borrower.call("coroutine", 1)) == [1]
        assert (yield borrower.call("summed", 1000)) == 499500

    run(script)


def test_a_call_that_is_cancelled_ends_where_it_stands(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        begun = borrower.begin("nap", 50)
        yield borrower.perform("ping")
        borrower.cancel(begun)
        yield borrower.perform("ping")
        assert (yield borrower.call("seen")) == [["ended", 50]]
        assert not borrower.within(lambda: borrower.session().busy())

    run(script)


def test_a_call_that_takes_too_long_is_error_1014(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        begun = borrower.begin("nap", 500)
        yield borrower.perform("ping")
        yield Pause(7.5)
        error = yield from raised(TotoException, lambda: begun)
        assert error.code == 1014
        assert (yield borrower.call("seen")) == [["ended", 500]]

    run(script, remote_timeout=7.0)


def test_a_role_that_a_call_needs_is_looked_at(run: Run) -> None:
    def refused(borrower: Borrower) -> Script:
        error = yield from raised(TotoException, lambda: borrower.call("shut"))
        assert error.code == 1016

    run(refused)


def test_a_user_with_the_role_may_call_what_needs_it(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        assert (yield borrower.call("shut")) == "shut"

    run(script, roles=("admin",))


# ---------------------------------------------------------------- giving back


def test_what_nobody_uses_any_more_is_not_lent_any_more(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        cats = []
        for number in range(20):
            cat = yield borrower.call("Cat", str(number))
            cats += [cat]
        del cat
        assert borrower.lent() == 20
        numbers = [cat._number for cat in cats]
        del cats[5:]
        yield borrower.perform("ping")
        yield borrower.perform("ping")
        assert borrower.lent() == 5
        assert (yield cats[4].greet()) == "4 greets you"
        error = yield from raised(ReferenceError, lambda: borrower.perform("call", [numbers[10], "greet"]))
        assert "nothing is lent" in str(error)

    run(script)
