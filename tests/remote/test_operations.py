"""What a session does, over a real socket and in a simulated world: requests, replies, exceptions, callbacks."""

import datetime
import decimal
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.remote.borrowers import EXEC, KINDS, Borrower, Pause, Run, raised, running
from totohio import TotoException
from totohio.remote import Proxy, RemoteError
from totohio.sim.worlding import Script


@pytest.fixture(params=KINDS, ids=str)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """Runs a script of a client."""
    yield from running(request.param, tmp_path)


# ---------------------------------------------------------------- the session's own


def test_alloc_id_gives_numbers_that_nothing_has_or_gets(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        first = yield borrower.perform("alloc")
        tom = yield borrower.get("tom")
        second = yield borrower.perform("alloc")
        cat = yield borrower.call("Cat", "x")
        numbers = [first, tom._number, second, cat._number]
        assert numbers == sorted(set(numbers)), numbers
        error = yield from raised(ReferenceError, lambda: borrower.perform("call", first))
        assert "nothing is lent" in str(error)

    run(script)


def test_dir_gives_the_names_of_the_namespace_and_of_an_object(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        names = yield borrower.perform("dir")
        assert {"add", "tom", "Cat", "math"} <= set(names)
        assert not {"secret", "Plain", "Point", "msgspec", "SEEN"} & set(names)
        tom = yield borrower.get("tom")
        assert (yield borrower.perform("dir", tom._number)) == ["greet", "kind", "kitten", "loud", "mood", "name"]
        assert "sqrt" in (yield borrower.perform("dir", [None, "math"]))

    run(script)


def test_do_works_in_the_sessions_own_namespace(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        yield borrower.perform("do", None, "x = 1\ndef more(n):\n    return n + x\n_y = 2")
        assert (yield borrower.get("x")) == 1
        assert (yield borrower.call("more", 4)) == 5
        yield borrower.perform("do", None, "x = add(x, 40)")  # what is lent is there, too
        assert (yield borrower.call("more", 1)) == 42
        assert {"more", "x"} <= set((yield borrower.perform("dir")))
        yield from raised(AttributeError, lambda: borrower.get("_y"))
        error = yield from raised(ZeroDivisionError, lambda: borrower.perform("do", None, "\n1/0"))
        assert "line 2" in error.remote_traceback
        yield from raised(SyntaxError, lambda: borrower.perform("do", None, "1 +"))
        assert "x" not in borrower.within(lambda: borrower.house.lent)

    run(script, roles=("admin",), **EXEC)


@pytest.mark.parametrize(("roles", "options"), [((), EXEC), (("admin",), {}), (("other",), EXEC)])
def test_do_needs_the_option_and_the_role(run: Run, roles: tuple[str, ...], options: dict[str, Any]) -> None:
    def script(borrower: Borrower) -> Script:
        error = yield from raised(AttributeError, lambda: borrower.perform("do", None, "x = 1"))
        assert type(error).__name__ == "ForbiddenError"
        yield from raised(AttributeError, lambda: borrower.get("x"))

    run(script, roles=roles, **options)


def test_doimport_gives_what_modules_have_that_are_lent(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        assert (yield borrower.perform("import", None, "math", "pi")) == math.pi
        sqrt = yield borrower.perform("import", None, "math", "sqrt")
        assert (yield borrower.perform("call", sqrt._number, 9)) == 3.0
        module = yield borrower.perform("import", None, "math", "")
        assert (yield borrower.perform("call", [module._number, "floor"], 1.5)) == 1
        for name, attr in (("os", ""), ("os", "system"), ("math", "__loader__"), ("math", "nothing"), (3, "")):
            error = yield from raised(
                AttributeError, lambda name=name, attr=attr: borrower.perform("import", None, name, attr)
            )
            assert type(error).__name__ == "ForbiddenError"

    run(script)


def test_requests_are_answered_as_they_are_done_and_not_in_their_order(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        slow, fast = borrower.begin("nap", 20), borrower.begin("nap", 10)
        assert (yield borrower.call("add", 1, 2)) == 3
        assert (yield borrower.call("seen")) == []
        yield Pause(10.5)
        assert (yield fast) == 10
        assert (yield borrower.call("seen")) == [["slept", 10]]
        yield Pause(10.5)
        assert (yield slow) == 20

    run(script)


def test_a_request_without_a_known_operation_is_refused_and_the_session_goes_on(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        for operation, args in (("nothing", ()), ("do", ()), ("import", (1,)), ("ping", (1,)), ("__class__", ())):
            error = yield from raised(Exception, lambda each=operation, args=args: borrower.perform(each, None, *args))
            assert "there is no operation" in str(error)
        assert (yield borrower.perform("ping")) is None

    run(script)


def test_many_requests_at_once_are_all_answered(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        begun = [borrower.begin("add", number, 1) for number in range(500)]
        results = []
        for each in begun:
            result = yield each
            results += [result]
        assert results == list(range(1, 501))

    run(script)


# ---------------------------------------------------------------- replies and exceptions

VALUES: list[Any] = [
    None,
    True,
    1.5,
    -(2**63),
    2**64,
    2**1000,
    "text \u00e4\U0001f600",
    b"bytes\0",
    [1, [2, []]],
    (1, (2,), ()),
    {"a": {1: (2,)}},
    {1, 2},
    frozenset([("a", 1)]),
    datetime.datetime(2024, 2, 29, 12, 30, 1, 5, tzinfo=datetime.UTC),
    datetime.date(2024, 2, 29),
    datetime.time(23, 59),
    datetime.timedelta(days=-1, microseconds=3),
    decimal.Decimal("1.230"),
]


def test_what_is_a_value_goes_by_value_in_both_directions(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        for value in VALUES:
            found = yield borrower.call("echo", value)
            assert (type(found), found) == (type(value), value)
        point = borrower.module.Point(1, 2)
        assert (yield borrower.call("echo", [point, (point,)])) == [point, (point,)]
        assert (yield borrower.call("echo", 1, b=2)) == [[1], {"b": 2}]
        assert borrower.lent() == 0

    run(script)


def test_what_is_no_value_is_lent_and_is_itself_when_it_comes_back(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        tom = yield borrower.get("tom")
        assert type(tom) is Proxy
        assert tom is (yield borrower.get("tom"))
        assert (yield borrower.call("same", tom, tom)) is True
        assert (yield borrower.call("same", tom, (yield borrower.call("Cat", "tom")))) is False
        assert (yield borrower.call("echo", [tom, {"cat": (tom,)}])) == [tom, {"cat": (tom,)}]

    run(script)


@pytest.mark.parametrize(
    ("kind", "error", "args"),
    [
        ("zero", ZeroDivisionError, ("by zero",)),
        ("key", KeyError, ("k",)),
        ("odd", "OddError", ("odd", 7)),
        ("hidden", RemoteError, ("HiddenError: hidden",)),
        ("exit", RemoteError, ("SystemExit: 3",)),
    ],
)
def test_an_exception_comes_as_what_it_was_with_its_traceback(run: Run, kind: str, error: Any, args: Any) -> None:
    def script(borrower: Borrower) -> Script:
        wanted = getattr(borrower.module, error) if isinstance(error, str) else error
        found = yield from raised(BaseException, lambda: borrower.call("fail", kind))
        assert (type(found), found.args) == (wanted, args)
        assert "in fail" in found.remote_traceback
        assert (yield borrower.call("add", 1, 1)) == 2

    run(script)


def test_an_error_of_ours_keeps_its_code(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        found = yield from raised(TotoException, lambda: borrower.call("fail", "toto"))
        assert (found.code, found.value) == (1234, "no luck")

    run(script)


def test_a_reply_that_cannot_be_sent_is_the_error_that_says_so(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        assert isinstance((yield borrower.call("nest", 10)), tuple)
        error = yield from raised(Exception, lambda: borrower.call("nest", 200))
        assert "nested" in str(error)
        assert (yield borrower.call("add", 1, 1)) == 2

    run(script)


# ---------------------------------------------------------------- callbacks


def test_a_callback_is_waited_for_and_gives_what_the_client_returns(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        assert (yield borrower.call("apply", lambda a, b: [a, b], 1, b="x")) == [1, "x"]
        assert (yield borrower.call("apply", abs, -5)) == 5
        error = yield from raised(KeyError, lambda: borrower.call("apply", lambda: {}["k"]))
        assert error.args == ("k",)

    run(script)


def test_a_callback_can_be_waited_for_as_a_future(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        assert (yield borrower.call("apply_later", lambda n: n + 1, 1)) == ["later", 2]
        yield from raised(ZeroDivisionError, lambda: borrower.call("apply_later", lambda n: n / 0, 1))

    run(script)


def test_a_callback_is_waited_for_in_a_thread_while_the_session_goes_on(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        assert (yield borrower.call("apply_in_thread", lambda a, b: [a, b], 1, b="x")) == [1, "x"]
        both = [borrower.begin("apply_in_thread", str, number) for number in range(2)]
        assert (yield borrower.call("add", 1, 1)) == 2
        assert [(yield both[0]), (yield both[1])] == ["0", "1"]
        error = yield from raised(KeyError, lambda: borrower.call("apply_in_thread", lambda: {}["k"]))
        assert error.args == ("k",)

    run(script)


def test_statements_can_wait_for_what_a_client_returns(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        yield borrower.perform("do", None, "def double(callback, n): return callback(n) * 2")
        assert (yield borrower.call("double", lambda n: n + 1, 4)) == 10
        yield borrower.call("keep", lambda n: n + 1)
        yield borrower.perform("do", None, "x = kept()(5)")
        assert (yield borrower.get("x")) == 6

    run(script, roles=("admin",), **EXEC)


def test_the_session_can_call_back_by_number(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        yield borrower.call("keep", lambda *args, **kw: [list(args), kw])
        answers = borrower.within(
            lambda: borrower.session().sendCallback(borrower.module.KEPT[0].number, (1,), {"k": 2})
        )
        for _ in range(3):
            yield borrower.perform("ping")
        assert answers.result() == [[1], {"k": 2}]

    run(script)


def test_what_is_neither_a_value_nor_callable_cannot_be_lent_by_a_client(run: Run) -> None:
    def script(borrower: Borrower) -> Script:
        error = yield from raised(Exception, lambda: borrower.call("echo", object()))
        assert "neither a value nor callable" in str(error)
        assert (yield borrower.call("echo", 1)) == 1

    run(script)
