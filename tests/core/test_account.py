"""User ids as they are kept, and accounts as methods see them."""

import time
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.keeping import Desk, Process, failures
from totohio import TotoAccount
from totohio.base.errors import TotoException
from totohio.core.account import MAX_USER_ID, canonical
from totohio.core.committing import Unit
from totohio.store.memory import MemoryStore

# ---------------------------------------------------------------- user ids


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Ada@Example.ORG", "ada@example.org"),
        ("", ""),
        ("E\u0301MILE", "\u00e9mile"),
        ("\u00c9mile", "\u00e9mile"),
        ("\u212bngstr\u00f6m", "\u00e5ngstr\u00f6m"),
        ("\u0130", "i\u0307"),
        ("a b", "a b"),
        ("\U0001f600", "\U0001f600"),
        ("x" * MAX_USER_ID, "x" * MAX_USER_ID),
        ("e\u0301" * MAX_USER_ID, "\u00e9" * MAX_USER_ID),
    ],
)
def test_user_ids_are_lower_case_and_composed(given: str, kept: str) -> None:
    assert canonical(given) == kept


@pytest.mark.parametrize(
    "given",
    [
        *(None, 1, b"ada", ["ada"], {"a": 1}, True),
        *(
            "a\0",
            "a\n",
            "a\t",
            "\x7f",
            "\x85",
            "a\u200bb",
            "a\u202eb",
            "\u2028",
            "\ufeffada",
            "\ud800",
            "\ue000",
            "\u0378",
        ),
        *("x" * (MAX_USER_ID + 1), "x" * 100_000),
    ],
)
def test_what_can_be_no_user_id_is_refused(given: Any) -> None:
    with pytest.raises(TotoException) as caught:
        canonical(given)
    assert caught.value.code == 1010


@given(st.text(max_size=20))
def test_what_is_kept_stays_as_it_is(text: str) -> None:
    try:
        kept = canonical(text)
    except TotoException:
        return
    assert canonical(kept) == kept
    assert kept.isprintable()
    assert unicodedata.is_normalized("NFC", kept)
    assert canonical(unicodedata.normalize("NFD", text)) == kept
    assert canonical(text.lower()) == kept


def test_what_cannot_be_a_user_id_holds_nobody_up() -> None:
    """Composing many marks takes the square of their number: seconds for what fits into a request."""
    before = time.process_time()
    with pytest.raises(TotoException):
        canonical("a" + "\u0301\u0316" * 40_000)
    assert time.process_time() - before < 1.0


# ---------------------------------------------------------------- accounts in methods


@pytest.fixture(params=[True, False], ids=["local", "remote"])
def pair(request: pytest.FixtureRequest) -> tuple[Process, Process]:
    records = MemoryStore()
    one, two = (Process(Desk(records, local=request.param, held=False), name=name) for name in ("one", "two"))
    one.call(one.accounts.create, "ada", "password", {"a": 1, "b": [2], "c": None})
    return one, two


def use(process: Process, function: Any) -> Any:
    """A whole call that does something with the account."""
    return process.call(lambda unit: function(process.accounts.open(unit, "ada")))


def properties(process: Process) -> dict[str, Any]:
    return dict(use(process, lambda account: [(name, account[name]) for name in account]))


def save(**changes: Any) -> Any:
    def function(account: TotoAccount) -> None:
        for name, value in changes.items():
            account[name] = value
        account.save()

    return function


def test_it_reads_and_writes_like_a_dict(pair: tuple[Process, Process]) -> None:
    def function(account: TotoAccount) -> None:
        assert (account["a"], account["b"], account["c"], account["none"]) == (1, [2], None, None)
        assert (account.get("a"), account.get("none", 3)) == (1, 3)
        assert ("c" in account, "none" in account, len(account), bool(account)) == (True, False, 3, True)
        assert account.user_id == "ada"
        account["a"] = 2
        del account["b"]
        del account["none"]
        assert list(account) == ["a", "c"]

    use(pair[0], function)
    assert properties(pair[1]) == {"a": 1, "b": [2], "c": None}  # nothing was saved


def test_what_is_saved_is_there_and_what_was_deleted_is_gone(pair: tuple[Process, Process]) -> None:
    def function(account: TotoAccount) -> None:
        del account["b"]
        account["d"] = {"x": b"\0"}
        account.save()

    use(pair[0], function)
    assert properties(pair[1]) == {"a": 1, "c": None, "d": {"x": b"\0"}}


def test_saving_nothing_writes_nothing(pair: tuple[Process, Process]) -> None:
    one, _ = pair
    groups = list(one.store.groups)  # type: ignore[attr-defined]
    use(one, lambda account: account.save())
    assert one.store.groups == groups  # type: ignore[attr-defined]


def overtaken(pair: tuple[Process, Process], first: Any, second: Any) -> Unit:
    """Two processes have the account in their hands; the second saves first."""
    one, two = pair
    unit = one.unit()
    account = one.call(lambda _: one.accounts.open(unit, "ada"))
    use(two, second)

    def go_on() -> None:
        first(account)

    one.start(go_on)
    for _ in range(10):
        one.step()
        one.store.answer()  # type: ignore[attr-defined]
    return unit


def test_two_who_change_different_properties_both_succeed(pair: tuple[Process, Process]) -> None:
    unit = overtaken(pair, save(a=10), save(b=20, d=30))
    assert failures(unit) == []
    assert properties(pair[1]) == {"a": 10, "b": 20, "c": None, "d": 30}


def test_of_two_who_change_one_property_the_last_counts(pair: tuple[Process, Process]) -> None:
    unit = overtaken(pair, save(a=10), save(a=20))
    assert failures(unit) == []
    assert properties(pair[1])["a"] == 10


def test_properties_are_read_again_when_that_is_asked_for(pair: tuple[Process, Process]) -> None:
    seen: list[Any] = []

    def first(account: TotoAccount) -> None:
        account["a"], account["b"], account["mine"] = 10, 20, 30
        seen.append(account.load_property("a"))
        seen.append(account.load_property("new"))
        seen.append([account["a"], account["b"]])
        account.load_property("a", "b")
        seen.append(account["b"])
        account["c"] = 4
        account.load_property()
        seen.append([account["c"], account["mine"]])
        account.save()  # nothing that was changed is left

    unit = overtaken(pair, first, save(a=2, new=3))
    assert failures(unit) == []
    assert seen == [2, 3, [2, 20], [2], [None, None]]
    assert properties(pair[1]) == {"a": 2, "b": [2], "c": None, "new": 3}


def test_a_property_that_cannot_be_kept_is_refused_and_the_others_are_not_forgotten(
    pair: tuple[Process, Process],
) -> None:
    def function(account: TotoAccount) -> None:
        account["a"] = 5
        account["bad"] = object()
        with pytest.raises(TotoException) as caught:
            account.save()
        assert caught.value.code == 1000
        del account["bad"]
        account.save()

    use(pair[0], function)
    assert properties(pair[1])["a"] == 5


def test_an_account_that_is_not_there_is_1005(pair: tuple[Process, Process]) -> None:
    with pytest.raises(TotoException) as caught:
        pair[0].call(pair[0].accounts.open, "nobody")
    assert caught.value.code == 1005
