"""API keys are made, listed, found while they live and scope allows, and ended."""

from typing import Any

import pytest

from tests.core.keeping import START, Desk, Process, Wall, failures
from totohio.base.errors import TotoException
from totohio.core.coding import allows
from totohio.core.keying import MAX_KEYS, MAX_NAME, MAX_SCOPE, MAX_SCOPES, ApiKey, key_key
from totohio.store.memory import MemoryStore


class House:
    """Two processes over one store."""

    def __init__(self, local: bool) -> None:
        self.clock = Wall()
        self.records = MemoryStore()
        self.one, self.two = (
            Process(Desk(self.records, local=local, held=False), clock=self.clock, name=name) for name in ("one", "two")
        )

    def create(self, name: Any = "mine", scopes: Any = ("a.b",), seconds: float = 0.0, user_id: str = "ada") -> Any:
        return self.one.call(self.one.keys.create, user_id, name, scopes, seconds)

    def find(self, text: str) -> ApiKey | None:
        return self.two.call(self.two.keys.find, text)  # type: ignore[no-any-return]

    def all(self, user_id: str = "ada") -> list[ApiKey]:
        return self.two.call(self.two.keys.all, user_id)  # type: ignore[no-any-return]

    def end(self, *key_id: str | None, user_id: str = "ada") -> int:
        return self.two.call(self.two.keys.end, user_id, *key_id)  # type: ignore[no-any-return]


@pytest.fixture(params=[True, False], ids=["local", "remote"])
def house(request: pytest.FixtureRequest) -> House:
    return House(request.param)


def test_a_key_is_found_by_its_text_and_by_no_other(house: House) -> None:
    text, key = house.create(scopes=("a.b", "c.*"))
    assert house.find(text) == key
    assert (key.user_id, key.name, key.scopes, key.created, key.expires) == ("ada", "mine", ("a.b", "c.*"), START, 0.0)
    for wrong in ("", "tk_", text[:-1], text + "A", text.swapcase(), key.key_id, f"tk_{key.key_id}", "\ud800"):
        assert house.find(wrong) is None


def test_the_store_holds_no_key(house: House) -> None:
    text, _ = house.create()
    assert len(text) == 46  # 32 bytes and its prefix
    for stored in house.records._values.items():
        assert all(text.encode() not in part and text[3:].encode() not in part for part in stored)


def test_keys_are_listed_oldest_first_and_those_of_others_are_not(house: House) -> None:
    keys = []
    for number in range(3):
        house.clock.time += 1.0
        keys.append(house.create(name=str(number))[1])
    house.create(user_id="bob")
    assert house.all() == keys
    assert house.all("nobody") == []


def test_one_that_expires_is_found_until_then(house: House) -> None:
    text, key = house.create(seconds=100.0)
    assert key.expires == START + 100.0
    house.clock.time = START + 99.0
    assert house.find(text) == key
    house.clock.time = START + 100.0
    assert house.find(text) is None
    house.records.sweep(house.clock.time, 10)
    assert house.records.read(key_key(text)) is None


def test_one_that_was_ended_opens_nothing_and_the_others_do(house: House) -> None:
    first, second = house.create(), house.create()
    house.create(user_id="bob")
    assert house.end(first[1].key_id) == 1
    assert house.find(first[0]) is None
    assert house.find(second[0]) is not None
    assert house.all() == [second[1]]
    for none in (first[1].key_id, "", "x"):
        assert house.end(none) == 0


def test_nobody_ends_the_keys_of_others(house: House) -> None:
    text, key = house.create()
    assert house.end(key.key_id, user_id="bob") == 0
    assert house.end(user_id="bob") == 0
    assert house.find(text) == key


def test_all_of_a_user_are_ended_together(house: House) -> None:
    texts = [house.create()[0] for _ in range(3)]
    assert house.end() == 3
    assert [house.find(text) for text in texts] == [None] * 3
    assert house.all() == []
    assert house.records._values == {}


def test_a_user_has_so_many_keys_and_those_that_have_expired_do_not_count(house: House) -> None:
    for number in range(MAX_KEYS):
        house.create(seconds=100.0 if number < 2 else 0.0)
    with pytest.raises(TotoException) as caught:
        house.create()
    assert caught.value.code == 1003
    assert len(house.all()) == MAX_KEYS
    house.clock.time += 100.0
    house.create()
    assert len(house.all()) == MAX_KEYS - 1


@pytest.mark.parametrize(
    ("name", "scopes"),
    [
        ("x" * (MAX_NAME + 1), ("*",)),
        *((name, ("*",)) for name in (None, 7, b"x", ["x"])),
        *(("x", scopes) for scopes in ((), ("",), ("a..b",), ("a.",), (".a",), ("a.b*",), ("*.a",), ("a b",), ("1a",))),
        *(("x", scopes) for scopes in (("a\n",), ("**",), ("a", None), ("a", 7), (["a"],))),
        *(("x", scopes) for scopes in (("a",) * (MAX_SCOPES + 1), ("a" * (MAX_SCOPE + 1),))),
    ],
)
def test_what_can_be_no_key_is_refused(house: House, name: Any, scopes: Any) -> None:
    with pytest.raises(TotoException) as caught:
        house.create(name=name, scopes=scopes)
    assert caught.value.code == 1003
    assert house.records._values == {}


def test_of_those_that_two_processes_make_and_end_at_once_all_are_listed_right(house: House) -> None:
    text, key = house.create()
    units = [house.one.unit(), house.two.unit(), house.one.unit()]
    ends = [
        house.one.start(house.one.keys.create, units[0], "ada", "one", ("*",)),
        house.two.start(house.two.keys.end, units[1], "ada", key.key_id),
        house.one.start(house.one.keys.create, units[2], "ada", "two", ("*",)),
    ]
    for _ in range(10):
        for process in (house.one, house.two):
            process.store.answer()  # type: ignore[attr-defined]
            process.step()
    assert [failures(unit) for unit in units] == [[], [], []]
    assert house.find(text) is None
    assert sorted(one.name for one in house.all()) == ["one", "two"]
    assert [house.find(end[0][0]) for end in (ends[0], ends[2])] == [end[0][1] for end in (ends[0], ends[2])]


@pytest.mark.parametrize(
    ("scopes", "opens", "shuts"),
    [
        (("*",), ["a", "a.b", "account.update"], []),
        (("a.b",), ["a.b"], ["a", "a.b.c", "a.bc", "b.a.b", "A.B"]),
        (("a.*",), ["a.b", "a.b.c"], ["a", "ab", "ab.c", "b.a.c"]),
        (("a", "b.c.*"), ["a", "b.c.d"], ["a.b", "b.c", "b.cd"]),
    ],
)
def test_scopes_open_what_they_name_and_nothing_else(
    scopes: tuple[str, ...], opens: list[str], shuts: list[str]
) -> None:
    assert all(allows(scopes, name) for name in opens)
    assert not any(allows(scopes, name) for name in shuts)
