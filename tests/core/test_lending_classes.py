"""What of a class that is lent can be reached through the class itself: its marked static and class methods alone."""

import collections
import enum
import types
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from totohio import requires_role
from totohio.core.lending import METHOD, Exposures, ForbiddenError, lend


class Meta(type):
    """Whatever is marked of a metaclass is not the class's."""

    @lend
    def of_meta(cls) -> str:
        return "meta"

    @lend
    @property
    def opened(cls) -> str:
        return "meta"

    @lend
    def __call__(cls, *args: Any) -> Any:
        return super().__call__(*args)

    @lend
    def __len__(cls) -> int:
        return 3

    @lend
    def __iter__(cls) -> Iterator[int]:
        return iter(())


class Kept:
    """What a class that is lent is made of, not lent itself."""

    @lend
    @classmethod
    def kept(cls) -> str:
        """Say whose it is."""
        return cls.__name__

    @lend
    @staticmethod
    def buried() -> str:
        return "buried"

    @lend
    @staticmethod
    def shadowed() -> str:
        return "shadowed"

    @lend
    @classmethod
    def valued(cls) -> str:
        return "valued"

    @lend
    @classmethod
    def unmarked(cls) -> str:
        return "unmarked"

    @lend
    @classmethod
    def nested(cls) -> str:
        return "nested"


@lend(attributes=["title", "valued"], settable=["pages"])
class Book(Kept, metaclass=Meta):
    """A book."""

    shelf: ClassVar[list[str]] = []
    pages = 0
    valued = "a value"  # type: ignore[assignment]
    borrowed = collections.Counter

    def __init__(self, title: str = "") -> None:
        self.title = title

    @lend
    @classmethod
    def opened(cls, title: str) -> "Book":  # which the metaclass has as well, as a property
        """Open one."""
        return cls(title)

    @classmethod
    @lend
    def turned(cls) -> type:
        return cls

    @lend
    @staticmethod
    def weighed(grams: int) -> int:
        return grams

    @staticmethod
    @lend
    def bound(name: str) -> str:
        return name

    @classmethod
    def hidden(cls) -> None:
        """Not lent."""

    @staticmethod
    def secret() -> None:
        """Not lent."""

    @lend
    @classmethod
    def _inner(cls) -> None:
        """Marked, and never lent for its name."""

    @lend
    @classmethod
    def __class_getitem__(cls, key: Any) -> Any:
        return key

    @lend
    @staticmethod
    def __fixed__() -> None:
        """Marked, and never lent for its name."""

    @lend
    def described(self) -> str:
        return self.title

    @lend
    @property
    def loud(self) -> str:
        return self.title.upper()

    @staticmethod
    def unmarked() -> None:  # type: ignore[override]
        """Overridden, and not lent any more."""

    @lend
    def buried(self) -> str:  # type: ignore[override]
        """Overridden by what is a method of instances."""
        return "method"

    @lend
    @property
    def shadowed(self) -> str:  # type: ignore[override]
        return "property"

    @lend
    class nested:
        """Overridden by a class."""

        @lend
        @staticmethod
        def deep() -> int:
            return 1


OF_BOOK = {"opened", "turned", "weighed", "bound", "kept"}


@lend
class Novel(Book):
    """Lent as well."""

    @lend
    @staticmethod
    def bound(name: str) -> str:
        return f"novel {name}"

    @classmethod
    def turned(cls) -> type:
        return cls


class Diary(Book):
    """Not lent."""

    @lend
    @classmethod
    def read(cls) -> str:
        return "dear diary"


class Colour(enum.Enum):
    RED = 1

    @lend
    @classmethod
    def named(cls) -> str:
        return "colour"


@pytest.fixture
def exposures() -> Exposures:
    return Exposures()


def reached(exposures: Exposures, target: Any) -> set[str]:
    """All names that can be reached of a class, of those that it, its metaclass and its instances have."""
    found = set()
    for name in {*dir(target), *dir(type(target)), *vars(Meta), *vars(Book), "", "title", "name", "nothing", "read"}:
        try:
            exposures.get(target, name)
        except ForbiddenError:
            continue
        found.add(name)
    return found


def test_of_a_class_its_marked_static_and_class_methods_are_reached(exposures: Exposures) -> None:
    assert reached(exposures, Book) == OF_BOOK
    assert exposures.names(Book) == dict.fromkeys(sorted(OF_BOOK), METHOD)
    book = exposures.get(Book, "opened")("Emma")  # and not what the metaclass has by that name
    assert (type(book), book.title) == (Book, "Emma")
    assert exposures.get(Book, "turned")() is Book
    assert exposures.get(Book, "kept")() == "Book"
    assert exposures.get(Book, "weighed")(3) == 3
    assert exposures.get(Book, "bound")("x") == "x"
    for name in OF_BOOK:
        assert exposures.callable(exposures.get(Book, name))


def test_what_a_lent_class_inherits_is_its_own_and_what_it_overrides_has_to_be_marked(exposures: Exposures) -> None:
    assert reached(exposures, Novel) == OF_BOOK - {"turned"}
    assert exposures.get(Novel, "bound")("x") == "novel x"
    assert exposures.get(Novel, "kept")() == "Novel"
    assert type(exposures.get(Novel, "opened")("Emma")) is Novel


@pytest.mark.parametrize("target", [Diary, Kept, Meta, Colour, type, int, dict, object, collections.Counter])
def test_of_a_class_that_is_not_lent_itself_nothing_is_reached(exposures: Exposures, target: type) -> None:
    assert reached(exposures, target) == set()
    assert exposures.names(target) == {}
    with pytest.raises(ForbiddenError, match="cannot be called"):
        exposures.callable(target)
    for special in ("__call__", "__len__", "__iter__", "__next__", "__getitem__", "__class_getitem__"):
        with pytest.raises(ForbiddenError):
            exposures.operator(target, special)


def test_what_a_metaclass_lends_is_not_the_classs(exposures: Exposures) -> None:
    for special in ("__len__", "__iter__", "__call__", "__class_getitem__"):
        with pytest.raises(ForbiddenError):
            exposures.operator(Book, special)
    assert exposures.describe(Book)[1]()["operators"] == []
    with pytest.raises(ForbiddenError):
        exposures.get(Book, "of_meta")


def test_nothing_of_a_class_can_be_set(exposures: Exposures) -> None:
    for name in ("pages", "title", "opened", "valued", "shelf", "__doc__", "_inner", "new", "__abstractmethods__"):
        with pytest.raises(ForbiddenError):
            exposures.set(Book, name, 1)
    assert Book.pages == 0


def test_an_instance_reaches_what_it_did(exposures: Exposures) -> None:
    book = Book("Emma")
    found = {"title", "pages", "valued", "described", "loud", "buried", "shadowed"} | OF_BOOK
    assert exposures.names(book).keys() == found
    assert exposures.get(book, "kept")() == "Book"
    assert exposures.get(book, "buried")() == "method"


def test_a_class_of_a_module_of_the_settings_is_called_and_no_more() -> None:
    module = types.ModuleType("open_to_all")
    module.Kept, module.Counter, module.Book = Kept, collections.Counter, Book  # type: ignore[attr-defined]
    exposures = Exposures([module])
    assert reached(exposures, Kept) == reached(exposures, collections.Counter) == set()
    assert exposures.callable(Kept)
    assert reached(exposures, Book) == OF_BOOK  # for it is lent


def test_a_class_is_described_with_what_is_reached_of_it(exposures: Exposures) -> None:
    key, description = exposures.describe(Book)
    assert key is None, "a class is described by itself: it has the metaclass of many"
    assert description() == {
        "name": "Book",
        "names": dict.fromkeys(sorted(OF_BOOK), METHOD),
        "operators": [],
        "call": True,
        "help": "A book.",
    }
    assert exposures.help(exposures.get(Book, "opened")) == "Open one."
    assert exposures.help(exposures.get(Novel, "kept")) == "Say whose it is."
    assert exposures.describe(Diary)[1]()["names"] == {}


def test_what_is_put_in_the_place_of_a_member_later_has_to_be_marked(
    exposures: Exposures, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert exposures.get(Book, "bound")("x") == "x"
    monkeypatch.setattr(Book, "bound", staticmethod(lambda name: "changed"))
    with pytest.raises(ForbiddenError):
        exposures.get(Book, "bound")
    assert "bound" not in exposures.names(Book)


# ---------------------------------------------------------------- marks of members

ORDERS: list[Callable[[Any, Any], Any]] = [
    lambda kind, function: requires_role("admin")(lend(thread=True)(kind(function))),
    lambda kind, function: lend(thread=True)(requires_role("admin")(kind(function))),
    lambda kind, function: requires_role("admin")(kind(lend(thread=True)(function))),
    lambda kind, function: lend(thread=True)(kind(requires_role("admin")(function))),
    lambda kind, function: kind(lend(thread=True)(requires_role("admin")(function))),
    lambda kind, function: kind(requires_role("admin")(lend(thread=True)(function))),
]


@pytest.mark.parametrize("order", range(len(ORDERS)))
@pytest.mark.parametrize("kind", [staticmethod, classmethod])
def test_threads_and_roles_of_members_hold_in_any_order_of_the_decorators(
    exposures: Exposures, kind: Any, order: int
) -> None:
    def function(*args: Any) -> int:
        return 1

    made = lend(type("Made", (), {"member": ORDERS[order](kind, function)}))
    for owner in (made, made()):
        mark = exposures.callable(exposures.get(owner, "member"))
        assert (mark.roles, mark.thread) == (("admin",), True)


def test_a_role_that_a_class_asks_for_is_for_making_an_instance(exposures: Exposures) -> None:
    @requires_role("admin")
    @lend
    class Vault:
        @lend
        @staticmethod
        def opening_hours() -> str:
            return "never"

    assert exposures.callable(Vault).roles == ("admin",)
    assert exposures.callable(exposures.get(Vault, "opening_hours")).roles == ()


def test_a_property_asks_for_no_role_and_is_not_lent_where_it_does(exposures: Exposures) -> None:
    def read(self: Any) -> int:
        return 1

    with pytest.raises(TypeError, match="lend a method that asks for the role"):
        lend(property(requires_role("admin")(read)))
    made = type("Made", (), {"read": property(requires_role("admin")(lend(read)))})
    with pytest.raises(ForbiddenError):
        exposures.get(made(), "read")
    assert exposures.names(made()) == {}


def test_a_property_asks_for_no_thread_and_is_not_lent_where_it_does(exposures: Exposures) -> None:
    def read(self: Any) -> str:
        return "slow"

    with pytest.raises(TypeError, match="lend a method that is called in a worker thread"):
        lend(thread=True)(property(read))
    made = type("Made", (), {"read": property(lend(thread=True)(read))})  # where nobody sees yet that it is a property
    assert reached(exposures, made()) == set()
    with pytest.raises(ForbiddenError):
        exposures.get(made(), "read")
