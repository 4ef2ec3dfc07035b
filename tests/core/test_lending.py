"""What of an object that is lent can be reached: what is marked, and nothing else whatever its name."""

import functools
import math
import statistics
import types
from typing import Any, Generic, TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from totohio import requires_role
from totohio.core.lending import MARK, METHOD, VALUE, Exposures, ForbiddenError, lend, lent_in, mark_of


@lend(attributes=["name"], settable=["mood"])
class Animal:
    """An animal."""

    kind = "animal"

    def __init__(self) -> None:
        self.name = "tom"
        self.mood = "good"
        self._inner = "x"

    @lend
    def greet(self) -> str:
        """Say something."""
        return self.name

    @lend
    @property
    def loud(self) -> str:
        return self.name.upper()

    @property
    def quiet(self) -> str:
        return self.name.lower()

    @lend
    @staticmethod
    def fixed() -> int:
        return 1

    @lend
    @classmethod
    def made(cls) -> "Animal":
        return cls()

    def hidden(self) -> None:
        """Not lent."""

    @lend
    def _marked(self) -> None:
        """Marked, and never lent for its name."""

    @lend
    def __len__(self) -> int:
        return 3

    def __getitem__(self, key: Any) -> Any:
        return key


class Dog(Animal):
    """Made of what is lent, and not lent itself."""

    def greet(self) -> str:  # overridden, and not lent any more
        return "wow"

    @lend
    def bark(self) -> str:
        return "wow"


class Stray(Animal):
    __len__ = None  # type: ignore[assignment]


class Plain:
    """Nothing of it is lent."""

    value = 1

    def method(self) -> None:
        """Not lent."""


@lend
class Caller:
    @lend(thread=True)
    def __call__(self) -> int:
        return 1


class Silent(Caller):
    def __call__(self) -> int:
        return 2


@pytest.fixture
def exposures() -> Exposures:
    return Exposures([math, statistics])


def reached(exposures: Exposures, target: Any) -> set[str]:
    """All names that can be reached of an object, of those that it has and some more."""
    found = set()
    for name in {*dir(target), "nothing", "", "name", "__dict__", "__class__", "_inner", "__globals__"}:
        try:
            exposures.get(target, name)
        except ForbiddenError:
            continue
        found.add(name)
    return found


def test_of_an_object_what_is_marked_is_reached(exposures: Exposures) -> None:
    animal = Animal()
    assert reached(exposures, animal) == {"name", "mood", "greet", "loud", "fixed", "made"}
    assert exposures.names(animal) == {
        "name": VALUE, "mood": VALUE, "loud": VALUE, "greet": METHOD, "fixed": METHOD, "made": METHOD,
    }  # fmt: skip
    assert exposures.get(animal, "loud") == "TOM"
    assert exposures.get(animal, "greet")() == "tom"


def test_what_is_overridden_without_a_mark_is_not_lent_any_more(exposures: Exposures) -> None:
    assert reached(exposures, Dog()) == {"name", "mood", "loud", "fixed", "made", "bark"}
    assert exposures.operator(Dog(), "__len__")
    for name, target in (("__len__", Stray()), ("__call__", Silent())):
        with pytest.raises(ForbiddenError):
            exposures.operator(target, name)
    with pytest.raises(ForbiddenError):
        exposures.callable(Silent())


@pytest.mark.parametrize(
    "target", [Plain(), object(), 1, "text", [], {}, lambda: None, len, Dog, Plain, types, Animal().greet]
)
def test_of_anything_else_nothing_is_reached(exposures: Exposures, target: Any) -> None:
    assert reached(exposures, target) == set()
    assert not exposures.names(target)
    with pytest.raises(ForbiddenError):
        exposures.set(target, "value", 2)


@given(st.one_of(st.text(), st.sampled_from(dir(Animal())), st.integers(), st.none(), st.binary(), st.lists(st.text())))
def test_no_name_of_any_kind_reaches_what_is_not_marked(name: Any) -> None:
    exposures, animal = Exposures(), Animal()
    if name in ("name", "mood", "greet", "loud", "fixed", "made"):
        return
    with pytest.raises(ForbiddenError):
        exposures.get(animal, name)
    with pytest.raises(ForbiddenError):
        exposures.set(animal, name, 1)


def test_a_name_that_is_refused_is_not_told_whether_it_is_there(exposures: Exposures) -> None:
    messages = set()
    for name in ("hidden", "hideen"):
        with pytest.raises(ForbiddenError) as caught:
            exposures.get(Animal(), name)
        messages.add(str(caught.value).replace(name, "x"))
    assert messages == {"Animal lends no 'x'"}
    with pytest.raises(ForbiddenError) as caught:
        exposures.get(Animal(), "x" * 100_000)
    assert len(str(caught.value)) < 200


def test_attributes_are_set_where_that_is_said(exposures: Exposures) -> None:
    animal = Animal()
    exposures.set(animal, "mood", "bad")
    assert animal.mood == "bad"
    for name in ("name", "loud", "greet", "quiet", "kind", "__class__", "_inner", "new"):
        with pytest.raises(ForbiddenError):
            exposures.set(animal, name, 1)
    assert animal.name == "tom"


def test_a_marked_attribute_that_is_overridden_by_code_cannot_be_set() -> None:
    class Strict(Animal):
        @property
        def mood(self) -> str:  # type: ignore[override]
            return "strict"

        @mood.setter
        def mood(self, value: str) -> None:
            pass

    with pytest.raises(ForbiddenError):
        Exposures().set(Strict(), "mood", 1)


def test_the_public_names_of_a_module_are_reached_and_no_others(exposures: Exposures) -> None:
    assert exposures.get(math, "pi") == math.pi
    assert exposures.names(math)["pi"] == VALUE
    assert exposures.names(math)["sqrt"] == METHOD
    assert reached(exposures, statistics) == set(statistics.__all__)
    for name in ("__loader__", "__name__", "__builtins__", "nothing"):
        with pytest.raises(ForbiddenError):
            exposures.get(math, name)
    with pytest.raises(ForbiddenError):
        exposures.set(math, "pi", 3)
    with pytest.raises(ForbiddenError):
        Exposures().get(math, "pi")


def test_a_module_lends_no_modules_that_it_has_imported() -> None:
    module = types.ModuleType("loose")
    module.math, module.value, module._private = math, 1, 2  # type: ignore[attr-defined]
    exposures = Exposures([module])
    assert reached(exposures, module) == {"value"}


# ---------------------------------------------------------------- calls and operators


@lend
def function() -> int:
    """A function."""
    return 1


@lend(thread=True)
@requires_role("admin")
def careful() -> int:
    return 1


@requires_role("late")
@lend
def late() -> int:
    return 1


def test_what_is_marked_can_be_called_and_what_allowed_modules_have(exposures: Exposures) -> None:
    animal = Animal()
    for target in (function, Animal, animal.greet, animal.fixed, Animal.made, Caller(), math.sqrt, statistics.mean):
        assert exposures.callable(target)
    for other in (len, eval, Plain, Plain().method, Dog, animal.hidden, animal, lambda: 1, statistics.math, int, 1):
        with pytest.raises(ForbiddenError, match="cannot be called"):
            exposures.callable(other)


def test_a_mark_says_where_it_is_called_and_for_whom(exposures: Exposures) -> None:
    assert exposures.callable(function).thread is False
    assert exposures.callable(careful).thread is True
    assert exposures.callable(careful).roles == ("admin",)
    assert exposures.callable(late).roles == ("late",)
    assert exposures.callable(Caller()).thread is True


def test_operators_are_used_where_their_method_is_marked(exposures: Exposures) -> None:
    assert exposures.operator(Animal(), "__len__")
    for name in ("__getitem__", "__iter__", "__str__", "__init__", "__class__", "__reduce__"):
        with pytest.raises(ForbiddenError):
            exposures.operator(Animal(), name)
    with pytest.raises(ForbiddenError):
        exposures.get(Animal(), "__len__")


@pytest.mark.parametrize(
    "target", [iter([1]), (n for n in ()), iter({}), iter(set()), iter(range(2)), iter("x")], ids=repr
)
def test_an_iterator_lends_its_items_and_nothing_else(exposures: Exposures, target: Any) -> None:
    assert exposures.operator(target, "__next__")
    assert reached(exposures, target) == set()
    for special in ("__len__", "__getitem__", "__call__"):
        with pytest.raises(ForbiddenError):
            exposures.operator(target, special)


# ---------------------------------------------------------------- marks and descriptions


def test_a_class_that_is_made_of_a_lent_one_is_not_lent() -> None:
    assert mark_of(Animal) is not None
    assert mark_of(Dog) is None
    assert mark_of(Animal.hidden) is None
    assert mark_of(len) is None


def test_a_private_name_cannot_be_marked_as_an_attribute() -> None:
    for option in ({"attributes": ["_x"]}, {"settable": ["__class__"]}):
        with pytest.raises(ValueError, match="begins with an underscore"):
            lend(**option)  # type: ignore[call-overload]


@pytest.mark.parametrize("target", [1, "text", len, int, math.sqrt], ids=str)
def test_what_can_carry_no_mark_cannot_be_lent(target: Any) -> None:
    with pytest.raises(TypeError, match="cannot be lent by a mark"):
        lend(target)


T = TypeVar("T")


class Held(Generic[T]):
    """What holds no function."""


class Deaf:
    """What takes no attribute, and does not say so."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    "target",
    [
        functools.lru_cache(max),
        functools.partial(max, 1),
        functools.cached_property(lambda held: 1),
        functools.partialmethod(max, 1),
        staticmethod(functools.partial(max, 1)),
        property(functools.partial(max, 1)),  # type: ignore[arg-type]
        Held(),
        Held[int],
        Held().__str__,
        Deaf(),
    ],
    ids=lambda target: type(target).__name__,
)
def test_what_would_carry_a_mark_in_vain_is_refused_and_left_as_it_was(target: Any) -> None:
    with pytest.raises(TypeError, match="cannot be lent by a mark: lend a function that calls it"):
        lend(target)
    assert MARK not in getattr(target, "__dict__", {})
    assert mark_of(Held) is None


def test_an_object_is_described_by_its_class_once_and_a_function_by_itself(exposures: Exposures) -> None:
    one, description = exposures.describe(Animal())
    assert one == exposures.describe(Animal())[0] != exposures.describe(Dog())[0]
    assert description() == {
        "name": "Animal",
        "names": {"name": VALUE, "mood": VALUE, "loud": VALUE, "greet": METHOD, "fixed": METHOD, "made": METHOD},
        "operators": ["__len__"],
        "call": False,
        "help": "An animal.",
    }
    for single in (function, Animal, math, math.sqrt, Animal().greet):
        assert exposures.describe(single)[0] is None
    assert exposures.describe(function)[1]()["call"] is True
    assert exposures.describe(Plain())[1]()["names"] == {}


def test_two_classes_of_one_name_have_keys_of_their_own(exposures: Exposures) -> None:
    kinds = [type("Same", (), {}) for _ in range(2)]
    assert exposures.describe(kinds[0]())[0] != exposures.describe(kinds[1]())[0]


def test_a_module_lends_what_is_marked_in_it() -> None:
    module = types.ModuleType("lent")

    @lend
    class Struct(msgspec.Struct):
        n: int

    @lend
    class Error(Exception):
        pass

    class Loose(Exception):
        pass

    animal = Animal()
    for name, value in {
        "function": function, "Animal": Animal, "animal": animal, "Struct": Struct, "Error": Error, "Loose": Loose,
        "Dog": Dog, "dog": Dog(), "plain": Plain(), "_private": function, "math": math, "number": 1, "len": len,
    }.items():  # fmt: skip
        setattr(module, name, value)
    found = lent_in(module)
    assert found.names == {"function": function, "Animal": Animal, "animal": animal}
    assert (found.structs, found.errors) == ([Struct], [Error])
