"""Values, and what is nearly one: the same in both directions, with clients that wait and those that do not."""

import collections
import datetime
import enum
import types
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from tests.remote.support import LENT, Dialer, Site, enrol, lending, serving
from totohio.remote import DisconnectedError, Remote
from totohio.sim import World
from totohio.sim.worlding import Script
from totohio.wire.lending import LendingError

NEARLY = """
import collections
import decimal
import enum
import types
import typing


class Colour(enum.Enum):
    RED = 1


class Number(enum.IntEnum):
    ONE = 1


class Pair(typing.NamedTuple):
    a: int
    b: int


class Text(str):
    pass


@lend
class Shelf(list):
    @lend
    def label(self):
        return "a shelf"


@lend
class Sealed(list):
    pass


VALUES = {
    "Colour": Colour.RED,
    "Number": Number.ONE,
    "Pair": Pair(1, 2),
    "OrderedDict": collections.OrderedDict(a=1),
    "Counter": collections.Counter("aab"),
    "defaultdict": collections.defaultdict(int),
    "deque": collections.deque([1]),
    "range": range(3),
    "complex": 1j,
    "Text": Text("x"),
    "mappingproxy": types.MappingProxyType({}),
}


@lend
class Camel(msgspec.Struct, rename="camel"):
    first_name: str = "nobody"
    colour: Colour | None = None


@lend
class Row(msgspec.Struct, array_like=True):
    number: int = 1


@lend
def row():
    return Row(1.5)


@lend
def nearly(name):
    return VALUES[name]


@lend
def kind(value):
    return type(value).__name__


@lend
def text(value):
    return repr(value)
"""


class Colour(enum.Enum):
    RED = 1


class Number(enum.IntEnum):
    ONE = 1


class Pair(NamedTuple):
    a: int
    b: int


class Text(str):
    """No text."""


VALUES: dict[str, tuple[Any, str]] = {
    "Colour": (Colour.RED, "its value"),
    "Number": (Number.ONE, "its value"),
    "Pair": (Pair(1, 2), "a tuple of it"),
    "OrderedDict": (collections.OrderedDict(a=1), "a dict of it"),
    "Counter": (collections.Counter("aab"), "a dict of it"),
    "defaultdict": (collections.defaultdict(int), "a dict of it"),
    "deque": (collections.deque([1]), "a list of it"),
    "range": (range(3), "a list of it, or its start, stop and step"),
    "complex": (1j, "its parts"),
    "Text": (Text("x"), "a str of it"),
    "mappingproxy": (types.MappingProxyType({}), "a dict of it"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server."""
    with serving(tmp_path_factory.mktemp("values"), LENT + NEARLY) as site:
        yield site


@pytest.fixture
def remote(site: Site) -> Iterator[Remote]:
    """A session, which is still good at the end."""
    with site.connect() as remote:
        yield remote
        assert remote.add(1, 2) == 3


@pytest.mark.parametrize("name", VALUES)
def test_what_is_nearly_a_value_is_refused_with_what_to_send_in_either_direction(remote: Remote, name: str) -> None:
    value, instead = VALUES[name]
    refused = f"^a {name} cannot be sent: send {instead}$"
    for use in (
        lambda: remote.echo(value),
        lambda: remote.echo([{"a": (value,)}]),
        lambda: remote.nearly(name),
        lambda: remote.apply(lambda: value),
        lambda: remote.apply(lambda _: 1, remote.apply(lambda: [value])),
    ):
        with pytest.raises(LendingError, match=refused):
            use()


def test_what_is_nearly_a_value_is_lent_where_something_is_marked(remote: Remote) -> None:
    assert remote.Shelf().label() == "a shelf"
    sealed = remote.Sealed()
    assert remote.kind(sealed) == "Sealed"
    assert remote.kind(remote.plain()) == "Plain"  # which is no value in any respect


def test_uuids_go_by_value(remote: Remote) -> None:
    value = uuid.UUID("12345678-1234-5678-1234-567812345678")
    assert remote.echo([value, {value: (value,)}]) == [value, {value: (value,)}]
    assert remote.kind(value) == "UUID"


def test_structs_go_by_value_whatever_their_options(site: Site) -> None:
    module = site.module
    with site.connect(structs=[module.Camel, module.Row]) as remote:
        for value in (module.Camel("Ada"), module.Camel("Ada", module.Colour.RED), module.Row(2)):
            assert remote.echo(value) == value
            assert remote.text(value) == repr(value)
        with pytest.raises(LendingError, match="no Row: Expected `int`, got `float` - in its field number"):
            remote.echo(module.Row(1.5))
        with pytest.raises(LendingError, match="no Row: Expected `int`, got `float` - in its field number"):
            remote.row()
        assert remote.add(1, 2) == 3


BERLIN = ZoneInfo("Europe/Berlin")
TIMES: list[Any] = [
    datetime.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN),
    datetime.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1),
    datetime.datetime(2024, 3, 31, 2, 30, tzinfo=BERLIN),
    datetime.datetime(2024, 10, 27, 2, 30, fold=1),
    datetime.datetime(2024, 10, 27, 2, 30, tzinfo=datetime.UTC, fold=1),
    datetime.datetime(1800, 1, 1, tzinfo=BERLIN),
    datetime.datetime(2024, 1, 1, 1, 2, 3, 4, tzinfo=ZoneInfo("Etc/GMT+5")),
    datetime.datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC")),
    datetime.time(2, 30, fold=1),
    datetime.time(2, 30, tzinfo=BERLIN),
    datetime.time(2, 30, tzinfo=BERLIN, fold=1),
    datetime.time(2, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=-3))),
]


@pytest.mark.parametrize("value", TIMES, ids=repr)
def test_times_have_their_zone_and_their_fold(remote: Remote, value: Any) -> None:
    found = remote.echo(value)
    assert (found, found.fold, repr(found.tzinfo)) == (value, value.fold, repr(value.tzinfo))
    assert found.utcoffset() == value.utcoffset()
    assert remote.text(value) == repr(value)


# ---------------------------------------------------------------- proxies of other sessions


def test_a_proxy_of_another_session_is_a_callable_as_long_as_that_is_open(site: Site, remote: Remote) -> None:
    with site.connect() as other:
        cat, method, plain = other.Cat("mia"), other.tom.greet, other.plain()
        assert remote.apply(cat, "word") == "mia hears word"
        assert remote.apply(method) == "tom greets you"
        with pytest.raises(LendingError, match="another session has it, and it cannot be called"):
            remote.echo(plain)
    for value in (cat, method, plain):
        with pytest.raises(DisconnectedError, match="the session that it belongs to is over: it was closed"):
            remote.echo(value)


@pytest.mark.parametrize("seed", range(2))
def test_so_it_is_for_clients_that_do_not_wait(seed: int) -> None:
    with World(seed, faults="sunny") as world:
        server = lending(world, LENT)
        enrol(world, server, "ada", "grace")
        one, two = (Dialer(world, server, name=f"{user}s", user_id=user) for user in ("ada", "grace"))

        def script() -> Script:
            yield one.doer.ready
            plain = yield one.doer.remote.plain()
            yield two.doer.ready
            try:
                yield two.doer.remote.echo(plain)
            except LendingError as error:
                return str(error)

        assert "another session has it" in two.run(script())
