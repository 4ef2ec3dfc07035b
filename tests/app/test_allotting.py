"""Threads that sessions share: who has one next, and what is given up."""

import random
from collections import Counter
from typing import Any

import pytest

from totohio.app.allotting import Allotter, Task, current
from totohio.base.futures import CancelledError, Future


class Session:
    def __init__(self, user_id: str) -> None:
        self.user_id = user_id

    def __repr__(self) -> str:
        return self.user_id


class FakePool:
    """Has all that was submitted in threads, and does it when a test says so."""

    def __init__(self) -> None:
        self.tasks: list[tuple[Task, Future[Any]]] = []
        self.closed = False

    def submit(self, task: Any) -> Future[Any]:
        if self.closed:
            raise RuntimeError("no thread")
        future: Future[Any] = Future()
        self.tasks.append((task, future))
        return future

    def carry_out(self, index: int = 0) -> Any:
        """Do one to its end; tell whose it was."""
        task, future = self.tasks.pop(index)
        try:
            value = task()
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(value)
        return task.session


def _made(size: int, **more: Any) -> tuple[Any, FakePool]:
    pool = FakePool()
    return Allotter(pool, size, **more), pool  # type: ignore[arg-type]


def _sessions(pool: FakePool) -> dict[Any, int]:
    return dict(Counter(task.session for task, _ in pool.tasks))


@pytest.mark.parametrize(
    ("size", "session", "user"), [(1, 1, 1), (2, 1, 1), (3, 2, 2), (4, 2, 3), (8, 4, 7), (9, 5, 8)]
)
def test_a_session_has_half_of_the_threads_and_a_user_all_but_one(size: int, session: int, user: int) -> None:
    allotter, pool = _made(size)
    sessions: list[Any] = [Session("ada") for _ in range(size + 1)]
    for _ in range(size + 1):
        allotter.submit(sessions[0], len, ())
    assert _sessions(pool) == {sessions[0]: session}
    for each in sessions[1:]:
        allotter.submit(each, len, ())
    assert sum(_sessions(pool).values()) == user
    other: Any = Session("grace")
    allotter.submit(other, len, ())
    assert _sessions(pool).get(other, 0) == (size > 1)


def test_who_has_had_no_thread_for_longest_has_the_next() -> None:
    allotter, pool = _made(2)
    ada, grace, eve = (Session(name) for name in ("ada", "grace", "eve"))
    for session in (ada, ada, ada, ada, grace, grace, eve):
        allotter.submit(session, len, ())
    order = []
    while pool.tasks:
        order.append(pool.carry_out())
    assert order == [ada, grace, ada, grace, eve, ada, ada]


def test_a_call_brings_what_it_returns_or_raises() -> None:
    allotter, pool = _made(1)
    good, bad = (allotter.submit(Session("ada"), divmod, 7, number) for number in (2, 0))
    pool.carry_out()
    pool.carry_out()
    assert good.result() == (3, 1)
    with pytest.raises(ZeroDivisionError):
        bad.result()
    assert len(allotter) == 0


def test_what_is_given_up_while_it_waits_is_never_carried_out() -> None:
    done: list[int] = []
    allotter, pool = _made(2)
    session: Any = Session("ada")
    futures = [allotter.submit(session, done.append, number) for number in range(400)]
    for future in futures[1:-1]:
        allotter.give_up(future)
    assert (len(allotter), allotter.held(session)) == (2, 0)
    while pool.tasks:
        pool.carry_out()
    assert done == [0, 399]
    assert not any(future.done() and not future.cancelled() for future in futures[1:-1])


def test_what_is_given_up_in_a_thread_has_it_to_its_end_and_waits_for_nobody() -> None:
    allotter, pool = _made(2)
    session: Any = Session("ada")
    found: list[Any] = []
    wait: Future[Any] = Future()

    def task() -> None:
        me = current()
        assert me is not None
        me.waits.add(wait)
        allotter.give_up(future)
        found.append((wait.cancelled(), me.given_up, allotter.held(session), len(allotter)))

    future = allotter.submit(session, task)
    pool.carry_out()
    assert found == [(True, True, 1, 1)]
    with pytest.raises(CancelledError):
        future.result()
    assert (allotter.held(session), len(allotter), current()) == (0, 0, None)
    for strange in (future, Future()):
        allotter.give_up(strange)


def test_who_begins_and_ends_is_told() -> None:
    told: list[Any] = []
    allotter, pool = _made(
        4, began=lambda session: told.append(("began", session)), ended=lambda session: told.append(("ended", session))
    )
    ada, grace = Session("ada"), Session("grace")
    for session in (ada, ada, ada, grace):
        allotter.submit(session, len, ())
    assert told == [("began", ada), ("began", ada), ("began", grace)]
    for _ in range(4):
        pool.carry_out()
    assert told[3:] == [("began", ada), ("ended", grace), ("ended", ada)]


def test_when_there_is_no_thread_all_are_told() -> None:
    allotter, pool = _made(2)
    pool.closed = True
    futures = [allotter.submit(Session("ada"), len, ()) for _ in range(3)]
    assert all(isinstance(future.exception(), RuntimeError) for future in futures)
    assert len(allotter) == 0


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_shares_are_kept_and_no_thread_is_idle_while_somebody_may_have_it(seed: int) -> None:
    dice = random.Random(seed)
    size = dice.randint(1, 9)
    allotter, pool = _made(size)
    sessions: list[Any] = [Session(dice.choice("abc")) for _ in range(dice.randint(1, 8))]
    futures: dict[Any, Any] = {}
    for _ in range(300):
        match dice.randint(0, 3):
            case 0 | 1:
                session = dice.choice(sessions)
                futures[allotter.submit(session, len, ())] = session
            case 2 if pool.tasks:
                pool.carry_out(dice.randrange(len(pool.tasks)))
            case 3 if futures:
                allotter.give_up(dice.choice(list(futures)))
        busy = Counter(task.session for task, _ in pool.tasks)
        users = Counter(task.user_id for task, _ in pool.tasks)
        share, most = (size + 1) // 2, max(size - 1, 1)
        assert sum(busy.values()) <= size
        assert max(busy.values(), default=0) <= share
        assert max(users.values(), default=0) <= most
        threads = {task.future for task, _ in pool.tasks}
        waiting = {session for future, session in futures.items() if not future.done() and future not in threads}
        may = {each for each in waiting if busy[each] < share and users[each.user_id] < most}
        assert not may or sum(busy.values()) == size
        for session in sessions:
            given_up = sum(task.given_up for task, _ in pool.tasks if task.session is session)
            assert allotter.held(session) == given_up
    while pool.tasks:
        pool.carry_out()
    assert all(future.done() for future in futures)
    assert (len(allotter), allotter._queues, allotter._busy, +allotter._users, +allotter._sessions) == (
        0,
        {},
        {},
        {},
        {},
    )
