"""Structs over the wire: as they were, whatever their options, or an error that says what is wrong."""

import datetime
import enum
import typing
import uuid
from typing import Annotated, Any, Generic, TypeVar

import msgspec
import pytest

from tests.wire.test_lending import End
from totohio.wire.structuring import form_of

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Camel(msgspec.Struct, rename="camel"):
    first_name: str = "nobody"


class Strict(msgspec.Struct, rename="kebab", forbid_unknown_fields=True, tag=True, kw_only=True):
    last_name: str
    number: int | msgspec.UnsetType = msgspec.UNSET


class Row(msgspec.Struct, array_like=True, frozen=True):
    a: int
    b: list[Camel] = []


class Rich(msgspec.Struct):
    colour: Colour
    id: uuid.UUID
    colours: dict[Colour, list[Level | None]] = {}
    pairs: tuple[tuple[Colour, int], ...] = ()
    some: frozenset[Level] = frozenset()


class Box(msgspec.Struct, Generic[T]):
    thing: T
    size: Annotated[int, msgspec.Meta(ge=0)] = 0
    either: Camel | None = None
    known: typing.ClassVar[int] = 3


class Stern(msgspec.Struct):
    x: int = 0

    def __post_init__(self) -> None:
        if self.x == 7:
            raise LookupError("never")


KINDS = (Camel, Strict, Row, Rich, Box, Stern)
STRUCTS: list[msgspec.Struct] = [
    Camel("Ada"),
    Camel(),
    Strict(last_name="x"),
    Strict(last_name="x", number=3),
    Row(1),
    Row(1, [Camel("b")]),
    Rich(Colour.RED, uuid.UUID(int=5)),
    Rich(Colour.RED, uuid.UUID(int=5), {Colour.RED: [Level.LOW, None]}, ((Colour.RED, 1),), frozenset([Level.LOW])),
    Box(datetime.timedelta(1), either=Camel()),
    Box({"a": (1, 2)}, 3, Camel("c")),
]


@pytest.mark.parametrize("struct", STRUCTS, ids=repr)
def test_structs_come_as_they_were_whatever_their_options(struct: msgspec.Struct) -> None:
    end = End(*KINDS)
    found = end.there_and_back([struct, (struct,)])
    assert end.codec.wrong is None
    assert found == [struct, (struct,)]
    assert repr(found) == repr([struct, (struct,)])
    assert end.lent == []


WRONG: list[tuple[Any, str]] = [
    (Row(1.5), "no Row: Expected `int`, got `float` - in its field a"),  # type: ignore[arg-type]
    (Row(1, ["x"]), r"no Row: Expected `object`, got `str` - at `\$\[0\]` - in its field b"),  # type: ignore[list-item]
    (Box(1, -1), "no Box: Expected `int` >= 0 - in its field size"),
    (Rich("blue", uuid.UUID(int=5)), "no Rich: Invalid enum value 'blue' - in its field colour"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("struct", "text"), WRONG, ids=repr)
def test_a_field_of_another_type_is_said(struct: Any, text: str) -> None:
    end = End(*KINDS)
    assert end.there_and_back(struct) is None
    with pytest.raises(Exception, match=f"^{text}$"):
        raise end.codec.wrong or AssertionError


@pytest.mark.parametrize(
    ("kind", "fields", "text"),
    [
        (Strict, {}, "Missing required argument 'last_name'"),
        (Strict, {"last_name": "x", "more": 1}, "it has no field more"),
        (Strict, {"last-name": "x"}, "it has no field last-name"),
        (Stern, {"x": 7}, "never"),
    ],
)
def test_other_fields_than_it_may_have_are_said(kind: Any, fields: Any, text: str) -> None:
    with pytest.raises(Exception, match=text):
        form_of(kind).read(fields)


def test_fields_that_are_not_known_here_are_left_out() -> None:
    assert form_of(Camel).read({"first_name": "x", "more": 1, "known": 2}) == Camel("x")
