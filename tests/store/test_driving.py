"""What is known of transactions whose answers were lost."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.servers import Redis, redis_server
from totohio.core.ports import VERSION, StoreError, Transaction, Write
from totohio.store.driving import outcome
from totohio.store.redis import RedisDriver


def value(number: int) -> bytes:
    return number.to_bytes(VERSION, "big")


def step(key: bytes, before: int | None, after: int | None) -> Transaction:
    """Change one record from one number to another; None is no record."""
    written = None if after is None else value(after)
    return Transaction(((key, None if before is None else value(before)),), (Write(key, written),))


CHAIN = [step(b"a", None, 1), step(b"a", 1, 2), step(b"b", None, 1), step(b"a", 2, 3)]


@pytest.mark.parametrize("again", [False, True])
def test_what_a_later_one_was_built_upon_was_applied(again: bool) -> None:
    assert outcome(CHAIN, [True] * 4, again=again) == [True] * 4
    assert outcome(CHAIN, [False, False, True, True], again=again) == [True] * 4
    assert outcome([], [], again=again) == []


def test_what_was_asked_for_once_is_as_the_server_says() -> None:
    assert outcome(CHAIN, [False, False, True, False], again=False) == [False, False, True, False]
    assert outcome(CHAIN[1:2], [False], again=False) == [False]


@pytest.mark.parametrize("held", [[False] * 4, [True, True, True, False], [False, True, False, True]])
def test_what_was_asked_for_twice_and_does_not_hold_is_not_known(held: list[bool]) -> None:
    with pytest.raises(StoreError, match="changed by others since"):
        outcome(CHAIN, held, again=True)


def test_a_record_that_was_removed_tells_nothing() -> None:
    group = [step(b"a", 1, None), step(b"a", None, 2)]
    assert outcome(group, [True, True], again=True) == [True, True]
    assert outcome(group, [False, True], again=False) == [False, True]


# ---------------------------------------------------------------- a server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


class Deaf(RedisDriver):
    """A driver that does not hear the first answer.

    Attributes:
        meanwhile: What others do before it asks again.
    """

    meanwhile: Sequence[Transaction] = ()
    deaf = True

    def _run(self, transactions: Sequence[Transaction]) -> list[Any]:
        answers = super()._run(transactions)
        if self.deaf:
            self.deaf = False
            if self.meanwhile:
                super()._run(self.meanwhile)
            raise redis.TimeoutError("Timeout reading from socket")
        return answers


def test_a_group_whose_answer_was_lost_is_applied_once(server: Redis, tmp_path: Path) -> None:
    driver = Deaf(server.url, prefix=str(tmp_path))
    assert driver.apply(CHAIN) == [True] * 4
    assert driver.read([b"a", b"b"]) == [value(3), value(1)]
    driver.close()


def test_a_group_that_others_have_built_upon_before_it_was_asked_for_again_is_not_known(
    server: Redis, tmp_path: Path
) -> None:
    driver = Deaf(server.url, prefix=str(tmp_path))
    driver.meanwhile = [step(b"a", 3, 4)]
    with pytest.raises(StoreError, match="changed by others since"):
        driver.apply(CHAIN)
    assert driver.read([b"a"]) == [value(4)]
    driver.close()


def test_a_group_that_did_not_hold_the_first_time_is_told_so(server: Redis, tmp_path: Path) -> None:
    driver = RedisDriver(server.url, prefix=str(tmp_path))
    assert driver.apply([step(b"a", None, 1), step(b"a", None, 2)]) == [True, False]
    driver.close()


def test_a_server_that_has_forgotten_the_script_is_told_it_again(server: Redis, tmp_path: Path) -> None:
    driver = RedisDriver(server.url, prefix=str(tmp_path))
    assert driver.apply([step(b"a", None, 1)]) == [True]
    with server.client() as client:
        client.script_flush()
    assert driver.apply([step(b"a", 1, 2), step(b"a", 2, 3)]) == [True, True]
    assert driver.read([b"a"]) == [value(3)]
    driver.close()


def test_a_server_that_is_not_there_is_asked_twice_and_then_given_up(tmp_path: Path) -> None:
    with redis_server(tmp_path / "gone") as gone:
        driver = RedisDriver(gone.url)
    for ask in (lambda: driver.read([b"a"]), lambda: driver.apply(CHAIN)):
        with pytest.raises(StoreError, match="Redis: "):
            ask()
    driver.close()
