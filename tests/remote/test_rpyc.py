"""What a user of RPyC asks for, row by row of the table in docs/howto/rpyc.md, over real sockets."""

import datetime
import decimal
import gc
import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from tests.pages import prose
from tests.remote.support import Site, asked
from tests.terminal import ROOT
from totohio.core.lending import ForbiddenError
from totohio.remote import Proxy, Remote
from totohio.wire.lending import LendingError

PAGE = ROOT / "docs" / "howto" / "rpyc.md"
LENT = Path(__file__).with_name("lent_books.py").read_text("utf-8")


@pytest.fixture(scope="module")
def site(bookshop: Site) -> Site:
    return bookshop


def refused(remote: Remote, operation: str, target: Any, *args: Any) -> bool:
    """Tell whether the server itself refuses a request, whatever a proxy would have sent."""
    with pytest.raises(ForbiddenError):
        remote.perform(operation, target, args)
    return True


# ---------------------------------------------------------------- services


def test_what_is_marked_is_lent_under_its_own_name_and_nothing_else(remote: Remote) -> None:
    assert remote.add(1, 2) == 3
    for name in ("unmarked", "exposed_add", "_add", "SEEN", "weakref"):
        with pytest.raises(AttributeError):
            getattr(remote, name)


def test_the_names_of_the_module_are_attributes_of_the_remote(remote: Remote) -> None:
    functions = ["add", "append", "counted", "each", "each_later", "echo", "fail", "function", "has", "is_shared"]
    assert remote.dir() == ["Book", *functions, "keep", "math", "nap", "shared"]
    assert remote.shared.title == "Emma"


def test_an_object_is_shared_and_a_class_makes_one_for_each_session(site: Site, remote: Remote) -> None:
    with site.connect("grace") as other:
        remote.shared.pages = 7
        assert other.shared.pages == 7
        mine, hers = remote.Book("Ivanhoe", 1), other.Book("Ivanhoe", 1)
        mine.pages = 2
        assert hers.pages == 1


def test_what_a_session_has_made_is_gone_with_it(site: Site) -> None:
    with site.connect() as remote:
        book = remote.Book("Persuasion")
        assert book.describe() == "Persuasion, 0 pages"
        assert "made Persuasion" in site.module.SEEN
        assert "gone Persuasion" not in site.module.SEEN
    site.until(lambda: "gone Persuasion" in site.module.SEEN, "the book is gone")
    del book


def test_a_client_lends_callables_and_nothing_else(remote: Remote) -> None:
    def callback() -> None:
        """Has an attribute."""

    callback.colour = "red"  # type: ignore[attr-defined]
    assert remote.has(callback, "__call__")
    assert not remote.has(callback, "colour")
    with pytest.raises(LendingError, match="neither a value nor callable"):
        remote.keep(object())


# ---------------------------------------------------------------- attributes


def test_attributes_are_read_and_set_as_the_class_says(remote: Remote) -> None:
    book = remote.Book("Ulysses")
    book.pages = 730
    assert (book.title, book.pages, book.describe()) == ("Ulysses", 730, "Ulysses, 730 pages")
    for name in ("title", "price"):
        with pytest.raises(AttributeError):
            setattr(book, name, 1)


def test_a_public_name_without_a_mark_is_reached_by_no_request(remote: Remote) -> None:
    book = remote.Book("Walden", 3)
    for name in ("price", "burn"):
        with pytest.raises(AttributeError, match="lends no"):
            getattr(book, name)
        assert refused(remote, "get", [book._number, name])
        assert refused(remote, "call", [book._number, name])
    assert book.pages == 3


def test_a_method_is_not_set_and_nothing_is_deleted(remote: Remote) -> None:
    book = remote.Book("Walden")
    with pytest.raises(AttributeError, match="lets nobody set"):
        book.describe = print
    with pytest.raises(AttributeError):
        del book.pages
    assert book.describe() == "Walden, 0 pages"


def test_operators_are_marked_one_by_one_and_dunders_are_no_names(remote: Remote) -> None:
    book = remote.Book("Walden", 2)
    assert (len(book), book[1]) == (2, "page 1")
    with pytest.raises(TypeError, match="lends no __iter__"):
        list(book)
    assert refused(remote, "iter", book._number)
    for name in ("__len__", "__class__", "__dict__", "__init__", "__globals__"):
        assert refused(remote, "get", [book._number, name])


def test_arithmetic_and_order_are_not_passed_on(remote: Remote) -> None:
    one, other = remote.Book("Walden"), remote.Book("Walden")
    with pytest.raises(TypeError, match="unsupported operand"):
        one + 1
    with pytest.raises(TypeError, match="not supported"):
        one < other  # noqa: B015
    assert one == one
    assert one != other


def test_what_is_called_has_to_be_marked(remote: Remote) -> None:
    function = remote.function()
    with pytest.raises(TypeError, match="cannot be called"):
        function()
    assert refused(remote, "call", function._number)


def test_dir_and_repr_say_what_is_lent(remote: Remote) -> None:
    book = remote.Book("Walden")
    assert dir(book) == ["describe", "pages", "title"]
    assert repr(book) == f"<remote Book of {remote.url}>"
    assert book.__doc__ == "A book."


def test_a_proxy_is_an_instance_of_nothing_else(site: Site, remote: Remote) -> None:
    assert type(remote.shared) is Proxy
    assert not isinstance(remote.shared, site.module.Book)


# ---------------------------------------------------------------- by value and by reference


def test_values_of_many_types_arrive_as_what_they_were(remote: Remote) -> None:
    at = datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC)
    values = [
        None,
        True,
        2**100,
        0.5,
        "é",
        b"\0",
        (1, (2,)),
        {1},
        frozenset({1}),
        at,
        at.date(),
        decimal.Decimal("0.1"),
    ]
    found = remote.echo([*values, {"key": [1]}])
    assert found == [*values, {"key": [1]}]
    assert [type(value) for value in found[:-1]] == [type(value) for value in values]


def test_lists_and_dicts_are_copies(remote: Remote) -> None:
    items = [1]
    assert remote.append(items, 2) == [1, 2]
    assert items == [1]


def test_slices_and_complex_numbers_cannot_be_sent(remote: Remote) -> None:
    for value in (slice(1, 2), 1j, ...):
        with pytest.raises(LendingError, match="cannot be sent"):
            remote.echo(value)
    assert remote.echo(1) == 1


def test_a_reference_that_comes_back_is_the_object_itself(remote: Remote) -> None:
    assert remote.is_shared(remote.shared)
    assert remote.echo(remote.shared) is remote.shared


def test_a_copy_is_had_of_a_struct_and_not_by_pickle(site: Site, remote: Remote) -> None:
    point = remote.echo(site.module.Point(1, 2))
    assert point == site.module.Point(1, 2)
    with pytest.raises(TypeError):
        pickle.dumps(remote.shared)


def test_a_reference_that_is_dropped_is_given_back_with_the_next_request(site: Site, remote: Remote) -> None:
    book = remote.Book("Dubliners")
    count = asked(remote)
    del book
    gc.collect()
    assert asked(remote) == count
    assert remote.add(1, 2) == 3
    site.until(lambda: "gone Dubliners" in site.module.SEEN, "the book is gone")


# ---------------------------------------------------------------- the table


def test_every_row_of_the_table_has_its_test_and_every_test_its_row() -> None:
    rows = [line.strip("| ").split(" | ") for line in prose(PAGE).splitlines() if re.match(r"\| .*`test_", line)]
    assert {len(row) for row in rows} == {4}
    named = [name for row in rows for name in re.findall(r"`(test_\w+)`", row[-1])]
    assert len(named) == len(rows)
    texts = [path.read_text("utf-8") for path in sorted(Path(__file__).parent.glob("test_rpyc*.py"))]
    tests = [name for text in texts for name in re.findall(r"^def (test_\w+)\(", text, re.M)]
    tests.remove("test_every_row_of_the_table_has_its_test_and_every_test_its_row")
    assert sorted(named) == sorted(tests)
