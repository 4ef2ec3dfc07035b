"""Instances that are lent to one user at a time, and objects whose methods run in threads."""

import copy
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.waiting import new_environment, result, running, settle
from totohio.base.environing import Environment
from totohio.work.queues import AwaitableInstance, InstancePool, TaskQueue


@pytest.fixture
def server() -> Iterator[Environment]:
    """A server whose cycle the test is in; its queues are no other test's."""
    with running(new_environment()) as environment:
        yield environment


@pytest.fixture
def name() -> str:
    """The name of a queue that lives as long as the process."""
    return f"queue {uuid4()}"


class Account:
    """Not made for threads: it notices when two use it at once."""

    def __init__(self) -> None:
        self.balance = 0
        self._busy = threading.Lock()

    def add(self, amount: int, *, twice: bool = False) -> int:
        assert self._busy.acquire(blocking=False), "two at once"
        self.balance += amount * (2 if twice else 1)
        self._busy.release()
        return self.balance

    def fail(self) -> None:
        raise ValueError("tulip")

    def me(self) -> "Account":
        return self


def test_a_method_of_the_pool_is_called_on_an_instance() -> None:
    account = Account()
    pool = InstancePool(account)
    assert pool.add(2) == 2
    assert pool.add(3, twice=True) == 8
    assert account.balance == 8


@pytest.mark.parametrize("kind", [list, tuple, set, iter])
def test_a_collection_is_lent_one_by_one(kind: Callable[[Any], Any]) -> None:
    accounts = [Account(), Account()]
    pool = InstancePool(kind(accounts))
    with pool.instance() as first, pool.instance() as second:
        assert {first, second} == set(accounts)


def test_an_instance_comes_back_whatever_happens() -> None:
    pool = InstancePool(Account())
    with pytest.raises(ValueError, match="tulip"):
        pool.fail()
    with pytest.raises(AttributeError):
        pool.no_such_method()
    with pytest.raises(ZeroDivisionError):
        pool.transaction(lambda _: 1 // 0)
    with pytest.raises(KeyError), pool.instance():
        raise KeyError
    assert pool.add(1) == 1


def test_whoever_wants_an_instance_waits_until_one_is_back(server: Environment) -> None:
    pool = InstancePool(Account())
    with pool.instance() as account:
        future = pool.await_transaction(lambda instance: instance)
        assert not future.done()
    assert result(future) is account


def test_a_transaction_has_one_instance_for_itself(server: Environment) -> None:
    pool = InstancePool([Account() for _ in range(2)])
    queue = TaskQueue.instance("pool", 8)

    def transact(account: Account) -> int:
        before = account.balance
        return account.add(1) - before

    futures = [pool.await_transaction(transact) for _ in range(200)]
    assert [result(future) for future in futures] == [1] * 200
    with pool.instance() as first, pool.instance() as second:
        assert first.balance + second.balance == 200
    assert len(queue) == 0


def test_an_async_transaction_is_run_in_the_queue(server: Environment) -> None:
    ran: list[Any] = []
    account = Account()
    pool = InstancePool(account, default_queue="bank")
    pool.async_transaction(lambda instance: ran.append((instance, threading.current_thread().name)))
    pool.async_transaction(lambda instance: ran.append((instance, threading.current_thread().name)), "other bank")
    settle(TaskQueue.instance("bank").yield_task(int), TaskQueue.instance("other bank").yield_task(int))
    assert sorted(name for _, name in ran) == ["bank-1", "other bank-1"]
    assert {instance for instance, _ in ran} == {account}


@pytest.mark.expects_errors
def test_a_failed_async_transaction_is_logged_and_its_instance_comes_back(
    server: Environment, caplog: pytest.LogCaptureFixture
) -> None:
    pool = InstancePool(Account())
    with caplog.at_level(logging.ERROR, "totohio"):
        pool.async_transaction(Account.fail)
        assert result(pool.await_transaction(lambda account: account.add(1))) == 1
    assert "tulip" in caplog.text


@pytest.mark.parametrize("spelling", ["await", "await_", "awaitable"])
def test_the_awaitable_face_runs_methods_in_the_queue(server: Environment, spelling: str) -> None:
    pool = InstancePool(Account(), default_queue="bank")
    awaitable = getattr(pool, spelling)()
    assert isinstance(awaitable, AwaitableInstance)
    assert result(awaitable.add(2, twice=True)) == 4
    assert awaitable.task_queue is TaskQueue.instance("bank")
    assert getattr(pool, spelling)("other").task_queue is TaskQueue.instance("other")
    assert getattr(pool, spelling)(queue_name="other").task_queue is TaskQueue.instance("other")


def test_an_empty_pool_is_refused_because_nobody_would_ever_get_anything() -> None:
    with pytest.raises(ValueError, match="at least one"):
        InstancePool([])


def test_a_pool_does_not_claim_abilities_that_python_asks_for() -> None:
    pool = InstancePool(Account())
    assert not hasattr(pool, "__iter__")
    assert not hasattr(pool, "__len__")
    assert not hasattr(copy.copy(AwaitableInstance(Account())), "__html__")


# ------------------------------------------------------------ AwaitableInstance


def test_every_method_of_an_awaitable_instance_returns_a_future(server: Environment) -> None:
    account = Account()
    awaitable = AwaitableInstance(account, "bank")
    assert awaitable.instance is account
    futures = [awaitable.add(1) for _ in range(10)]
    assert [result(future) for future in futures] == list(range(1, 11))
    assert result(awaitable.me()) is account


def test_errors_of_an_awaitable_instance_come_with_the_future(server: Environment) -> None:
    awaitable = AwaitableInstance(Account())
    for future, kind in ((awaitable.fail(), ValueError), (awaitable.no_such_method(), AttributeError)):
        settle(future)
        assert isinstance(future.exception(), kind)


def test_an_awaitable_instance_that_was_made_outside_uses_the_threads_of_each_server(name: str) -> None:
    class Where:
        """Tells where it runs."""

        def thread(self) -> threading.Thread:
            return threading.current_thread()

    awaitable = AwaitableInstance(Where(), name)
    outside = result(awaitable.thread())
    with running(new_environment()):
        inside = result(awaitable.thread())
        assert result(TaskQueue.instance(name).yield_task(threading.current_thread)) is inside
    assert inside is not outside


def test_an_instance_pool_that_was_made_outside_uses_the_threads_of_each_server(name: str) -> None:
    pool = InstancePool(Account(), default_queue=name)
    with running(new_environment()):
        thread = result(TaskQueue.instance(name).yield_task(threading.current_thread))
        assert result(pool.await_transaction(lambda _: threading.current_thread())) is thread
