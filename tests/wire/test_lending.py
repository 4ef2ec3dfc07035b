"""Messages between two that lend: values come as what they were, and from whatever bytes nothing but values."""

import collections
import datetime
import decimal
import enum
import math
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from totohio.wire.lending import DEPTH, INTEGER_SIZE, Codec, LendingError


class Inner(msgspec.Struct, frozen=True):
    n: int


class Outer(msgspec.Struct):
    inner: Inner
    words: tuple[str, ...] = ()
    at: datetime.datetime | None = None
    thing: Any = None


class Thing:
    """Goes as a reference."""


class End:
    """A codec, and what it has lent and borrowed."""

    def __init__(self, *structs: type[msgspec.Struct]) -> None:
        self.lent: list[Any] = []
        self.codec = Codec(
            lend=self._lend,
            borrow=lambda payload: ("borrowed", payload),
            raised=lambda error: [type(error).__name__, str(error)],
            caught=lambda payload: RuntimeError(payload),
            structs=structs,
        )

    def _lend(self, value: Any) -> Any:
        self.lent.append(value)
        return len(self.lent)

    def there_and_back(self, value: Any) -> Any:
        """Write and read a value."""
        return self.codec.unpack(self.codec.pack({"v": value}))["v"]


zones = st.sampled_from([None, datetime.UTC, datetime.timezone(datetime.timedelta(hours=-3, minutes=30))])
hashable = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers().map(lambda number: number << 1800)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.dates()
    | st.times()
    | st.datetimes(timezones=zones)
    | st.timedeltas()
    | st.decimals(allow_nan=False),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple),
    max_leaves=8,
)
values = st.recursive(
    hashable | st.sets(hashable, max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(hashable, inner, max_size=4) | st.tuples(inner),
    max_leaves=12,
)


def alike(one: Any, other: Any) -> bool:
    """Tell whether two values are the same, of the same types all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict):
        return len(one) == len(other) and all(key in other and alike(each, other[key]) for key, each in one.items())
    if isinstance(one, decimal.Decimal):
        return one.as_tuple() == other.as_tuple()
    return bool(one == other)


@given(values)
@example([1, True, 1.0, (2, {3: {4}})])
@example({(1, "a"): frozenset({(2, b"x")})})
def test_values_come_as_what_they_were(value: Any) -> None:
    end = End()
    assert alike(end.there_and_back(value), value)
    assert end.lent == []


def test_numbers_that_are_none_come_as_such() -> None:
    assert math.isnan(End().there_and_back(math.nan))
    assert End().there_and_back(decimal.Decimal("NaN")).is_nan()


class Colour(enum.IntEnum):
    RED = 1


Pair = collections.namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    "value",
    [Thing(), Thing, len, lambda: None, Colour.RED, Pair(1, 2), collections.OrderedDict(a=1), 1j, ...],
    ids=lambda each: type(each).__name__,
)
def test_anything_else_is_lent_also_what_is_nearly_a_value(value: Any) -> None:
    end = End()
    assert end.there_and_back([value, (value,)]) == [("borrowed", 1), (("borrowed", 2),)]
    assert end.lent == [value, value]


def test_what_holds_bytes_goes_as_bytes() -> None:
    end = End()
    assert end.there_and_back([bytearray(b"x"), memoryview(b"y")]) == [b"x", b"y"]
    assert end.lent == []


def test_registered_structs_go_by_value_and_others_are_lent() -> None:
    end = End(Inner, Outer)
    at = datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC)
    outer = Outer(Inner(1), ("a",), at, {"x": (1,)})
    assert end.there_and_back([outer, {Inner(2): 1}]) == [outer, {Inner(2): 1}]
    assert end.lent == []
    other = End(Outer)
    other.codec.pack({"v": Inner(1)})
    assert other.lent == [Inner(1)]


def test_a_struct_is_made_of_what_its_fields_may_be_alone() -> None:
    end = End(Inner)

    def struct(*payload: Any) -> bytes:
        return msgpack.packb({"v": msgpack.ExtType(12, msgpack.packb(list(payload)))})

    assert end.codec.unpack(struct("Inner", {"n": 1})) == {"v": Inner(1)}
    for payload in (("Inner",), ("Inner", [1]), (1, 2), ("Inner", {1: 2})):
        with pytest.raises(LendingError):
            end.codec.unpack(struct(*payload))
    for payload in (("Inner", {"n": "1"}), ("Inner", {}), ("Outer", {})):
        assert end.codec.unpack(struct(*payload)) == {"v": None}
        assert type(end.codec.wrong) is LendingError
    assert end.codec.unpack(struct("Inner", {"n": 1}))
    assert end.codec.wrong is None


def test_two_structs_of_one_name_cannot_be_told_apart() -> None:
    other = type("Inner", (msgspec.Struct,), {})
    with pytest.raises(ValueError, match="two Structs are named Inner"):
        End(Inner, other)
    assert End(Inner, Inner).there_and_back(Inner(1)) == Inner(1)


def test_exceptions_have_a_form_of_their_own() -> None:
    caught = End().there_and_back([KeyError("k")])[0]
    assert isinstance(caught, RuntimeError)
    assert caught.args == (["KeyError", "'k'"],)


def deep(kind: type, depth: int) -> Any:
    """Give a value nested that deep."""
    value: Any = kind()
    for _ in range(depth):
        value = kind([value])
    return value


def test_what_is_nested_too_deep_or_holds_itself_cannot_be_sent() -> None:
    end = End()
    endless: list[Any] = []
    endless.append(endless)
    through: list[Any] = []
    through.append((through,))
    for value in (endless, through, deep(tuple, DEPTH + 1), deep(list, 100_000)):
        with pytest.raises(LendingError, match="cannot be sent"):
            end.codec.pack({"v": value})
        assert end.there_and_back(1) == 1  # nothing of it is left
    assert end.there_and_back(deep(tuple, DEPTH - 1)) == deep(tuple, DEPTH - 1)


def test_what_is_nested_in_both_ways_takes_no_more_stack_than_there_is() -> None:
    end = End()

    def mixed(*depths: int) -> Any:
        value: Any = None
        for depth in reversed(depths):
            for _ in range(depth):
                value = [value]
            value = (value,)
        return value

    most = [1000] * 4 + [60] * (DEPTH - 5)
    assert end.codec.unpack(end.codec.pack({"v": mixed(*most)})).keys() == {"v"}
    value = mixed(*[900] * (DEPTH - 5))  # packed by recursion: more than 8 MiB of stack, and the process would be gone
    with pytest.raises(LendingError, match="cannot be sent: it is nested"):
        end.codec.pack({"v": value})
    assert end.there_and_back(1) == 1


@pytest.mark.parametrize("value", ["\ud800", 1 << (8 * INTEGER_SIZE), {"\ud800": 1}, [b"x", ("\udfff",)]], ids=repr)
def test_what_has_no_form_cannot_be_sent(value: Any) -> None:
    end = End()
    with pytest.raises(LendingError, match="cannot be sent"):
        end.codec.pack({"v": value})
    assert end.there_and_back(1) == 1


def test_what_lending_raises_ends_the_packing() -> None:
    def full(value: Any) -> Any:
        raise KeyError("full")

    codec = Codec(lend=full, borrow=full, raised=full, caught=full)
    with pytest.raises(KeyError):
        codec.pack({"v": [(Thing(),)]})
    assert codec.unpack(codec.pack({"v": (1,)})) == {"v": (1,)}
    with pytest.raises(KeyError):
        codec.unpack(msgpack.packb({"v": msgpack.ExtType(1, b"\x01")}))


# ---------------------------------------------------------------- whatever bytes

PLAIN = (type(None), bool, int, float, str, bytes)


def check(end: End, data: bytes) -> None:
    """See that bytes give a dict of nothing but values, or a LendingError."""
    try:
        message = end.codec.unpack(data)
    except LendingError:
        return
    assert type(message) is dict
    stack: list[Any] = [message]
    while stack:
        value = stack.pop()
        if type(value) is dict:
            stack += [*value.keys(), *value.values()]
        elif type(value) in (list, tuple, set, frozenset):
            stack += value
        elif isinstance(value, (Inner, Outer)):
            stack += [getattr(value, name) for name in value.__struct_fields__]
        else:
            assert type(value) in (*PLAIN, datetime.datetime, datetime.date, datetime.time, datetime.timedelta,
                                   decimal.Decimal, RuntimeError, msgpack.Timestamp), value  # fmt: skip


END = End(Inner, Outer)


@given(st.binary(max_size=200))
@example(b"")
@example(b"\x80")
@example(b"\x81\xc1")
@example(b"\xdf\xff\xff\xff\xff")
@example(b"\x81\xa1v\xdd\xff\xff\xff\xff")
@example(b"\x81\xa1v\xc6\xff\xff\xff\xff")
@example(b"\x80\x80")
@example(b"\x81\x90\x01")
@example(b"\x81\xa1v" + b"\x91" * 5000 + b"\xc0")
@example(b"\x81\xa1v\xd7\xff" + b"\xff" * 8)
@example(b"\x81\xa1v\xd4\x0b\xff")
@example(b"\x81\xa1\xff\xc0")
def test_any_bytes_are_a_message_or_a_lending_error(data: bytes) -> None:
    check(END, data)


payloads = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats()
    | st.text(max_size=8) | st.binary(max_size=20)
    | st.sampled_from(["2024-02-29", "Inner", "Outer", "n", b"Infinity", b"1e99", "9" * 30]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    | st.builds(lambda code, data: msgpack.ExtType(code, msgpack.packb(data)), st.integers(0, 20), inner)
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=20)),
    max_leaves=10,
)  # fmt: skip


@given(payloads)
@example(msgpack.ExtType(4, msgpack.packb([[1]])))
@example(msgpack.ExtType(4, msgpack.packb([{"a": 1}])))
@example(msgpack.ExtType(9, msgpack.packb([10**10, 0, 0])))
@example(msgpack.ExtType(9, msgpack.packb([True, 0, 0])))
@example(msgpack.ExtType(6, b"9999-99-99"))
@example(msgpack.ExtType(10, b"1e" + b"9" * 500))
@example(msgpack.ExtType(10, b"s" * 2000))
@example(msgpack.ExtType(11, b""))
@example(msgpack.ExtType(11, b"\x01" * 2000))
@example(msgpack.ExtType(12, msgpack.packb(["Inner", {"n": 2**63}])))
def test_any_extension_is_a_value_or_a_lending_error(payload: Any) -> None:
    check(END, msgpack.packb({"v": payload}))


@given(values, st.data())
def test_a_message_that_was_changed_on_the_way_is_another_or_a_lending_error(value: Any, data: st.DataObject) -> None:
    packed = bytearray(END.codec.pack({"v": value}))
    for _ in range(data.draw(st.integers(1, 3))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    check(END, bytes(packed[: data.draw(st.integers(0, len(packed)))]))
    check(END, bytes(packed))


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 9, 12])
def test_a_bomb_of_extensions_within_each_other_is_a_lending_error(code: int) -> None:
    data = msgpack.packb([])
    for _ in range(500):
        data = msgpack.packb([msgpack.ExtType(code, data)])
    with pytest.raises(LendingError):
        END.codec.unpack(msgpack.packb({"v": msgpack.ExtType(code, data)}))
    assert END.there_and_back((1,)) == (1,)
