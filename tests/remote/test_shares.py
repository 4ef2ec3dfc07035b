"""What calls hold that were given up, in worker threads and elsewhere: as little as can be, and nobody else's."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.remote.support import LENT, Site
from totohio import TotoException
from totohio.core.lending import Exposures
from totohio.remote import DisconnectedError, Remote
from totohio.remote.operating import Operations

MORE = '''

@lend(thread=True)
def hold(word):
    """Have a thread until the test lets it go."""
    SEEN.append(word)
    GATE.wait(60)


@lend(thread=True)
def insist(callback):
    """Ask and ask again."""
    for _ in range(3):
        try:
            return callback()
        except Exception as error:
            SEEN.append(type(error).__name__)


@lend(thread=True)
def quick(n):
    return n
'''

Make = Callable[..., Site]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes servers that lend, with four threads."""
    sites: list[Site] = []

    def begin(**options: Any) -> Site:
        sites.append(Site(tmp_path, LENT + MORE, **{"users": ("ada", "grace"), "remote_threads": 4, **options}))
        return sites[-1]

    yield begin
    for site in sites:
        site.module.GATE.set()
        site.close()


def _asked(site: Site) -> int:
    return sum(len(session._asked) for session in site.house.sessions)


@pytest.mark.parametrize("user_id", ["ada", "grace"])
def test_a_client_that_does_not_answer_callbacks_leaves_threads_to_others(make: Make, user_id: str) -> None:
    site = make()
    with site.connect("ada") as idle, site.connect(user_id) as other:
        for _ in range(20):
            idle.later(idle.apply_in_thread)(lambda: None)
        site.until(lambda: _asked(site) == 2, "it has half of the threads")
        assert [other.quick(n) for n in range(5)] == list(range(5))
        assert site.within(lambda: _asked(site)) == 2


def test_a_user_with_many_sessions_leaves_a_thread_to_others(make: Make) -> None:
    site = make()
    idle = [site.connect("ada") for _ in range(5)]
    with site.connect("grace") as other:
        for remote in idle:
            remote.later(remote.apply_in_thread)(lambda: None)
        site.until(lambda: _asked(site) == 3, "they have all threads but one")
        assert other.quick(1) == 1
        idle.pop().close()
        for remote in idle:
            remote.close()


def _cancelled(site: Site, remote: Remote, later: Any) -> None:
    later.cancel()
    remote.ping()


def _expired(site: Site, remote: Remote, later: Any) -> None:
    site.advance(61.0)


@pytest.mark.parametrize("give_up", [_cancelled, _expired], ids=lambda each: each.__name__)
def test_a_thread_that_waits_for_a_callback_is_woken_when_its_call_is_given_up(make: Make, give_up: Any) -> None:
    site = make()
    with site.connect() as remote:
        later = remote.later(remote.insist)(lambda: 1)
        site.until(lambda: _asked(site), "it was called back")
        assert site.within(lambda: len(site.house._pool)) == 1
        give_up(site, remote, later)
        site.until(lambda: not len(site.house._pool), "the thread is free")
        assert site.module.SEEN == ["DisconnectedError"] * 3
        assert site.within(lambda: _asked(site)) == 0
        assert remote.add(1, 2) == 3


def test_statements_that_wait_for_a_callback_are_woken_when_they_are_given_up(make: Make) -> None:
    site = make(remote_exec=True, remote_exec_role="exec")
    site.call("grant", {"user_id": "ada", "roles": ["exec"]})
    with site.connect() as remote:
        remote.keep(lambda: None)
        future = remote._ask("do", None, ["kept()()"], None)
        site.until(lambda: _asked(site), "it was called back")
        remote._cancel(future)
        remote.ping()
        site.until(lambda: not len(site.house._statements), "the thread is free")
        assert not site.within(lambda: site.house.executions.dues)


def test_a_call_that_waits_in_the_cycle_for_a_callback_leaves_nothing_when_it_is_given_up(make: Make) -> None:
    site = make()
    with site.connect() as remote:
        later = remote.later(remote.apply)(lambda: 1)
        site.until(lambda: _asked(site), "it was called back")
        later.cancel()
        site.until(lambda: not _asked(site), "nobody waits for the answer")
        assert remote.add(1, 2) == 3  # and that is sent all the same


def test_calls_that_are_given_up_before_they_have_a_thread_are_never_carried_out(make: Make) -> None:
    site = make()
    with site.connect() as remote, site.connect("grace") as other:
        hold = remote.later(remote.hold)
        begun = [hold(str(n)) for n in range(100)]
        site.until(lambda: len(site.module.SEEN) == 2, "threads have begun")
        for later in begun[:50]:
            later.cancel()
        remote.ping()
        assert site.within(lambda: len(site.house._pool)) == 52  # two threads, and what still waits
        assert other.quick(1) == 1
    site.until(lambda: len(site.house._pool) == 2, "of a session that has ended nothing waits")
    site.module.GATE.set()
    site.until(lambda: not len(site.house._pool), "the threads are free")
    assert sorted(site.module.SEEN) == ["0", "1"]


def test_calls_that_are_given_up_and_have_a_thread_count_as_calls(make: Make) -> None:
    site = make(remote_max_calls=3)
    with site.connect() as remote:
        begun = [remote.later(remote.hold)(str(n)) for n in range(2)]
        site.until(lambda: len(site.module.SEEN) == 2, "threads have begun")
        for later in begun:
            later.cancel()
        nap = remote.later(remote.nap)(50)
        with pytest.raises(TotoException, match="3 calls are under way") as caught:
            remote.add(1, 2)
        assert caught.value.code == 1013
        site.module.GATE.set()
        site.until(lambda: not len(site.house._pool), "the threads are free")
        assert remote.add(1, 2) == 3
        nap.cancel()


# ---------------------------------------------------------------- what is kept of calls


def test_a_call_that_is_given_up_is_logged_and_nothing_of_it_is_kept(make: Make) -> None:
    site = make()
    entries: list[Any] = []
    site.within(lambda: (setattr(site.house, "_log", entries.append), setattr(site.house, "timed", True)))
    with site.connect() as remote:
        for _ in range(3):
            remote.later(remote.nap)(50).cancel()
        remote.ping()
        [session] = site.sessions()
        assert not site.within(lambda: session._calls._notes)
        assert [entry[:2] for entry in entries if entry[0] == "remote call nap"] == [("remote call nap", 0)] * 3


def test_a_server_that_drains_does_not_wait_for_a_session_whose_last_call_is_given_up(make: Make) -> None:
    site = make()
    with site.connect() as remote:
        nap = remote.later(remote.nap)(50)
        remote.ping()
        site.server.drain()
        site.until(lambda: site.house.retiring, "it drains")
        assert site.sessions()
        nap.cancel()
        site.until(lambda: not site.house.sessions, "the session is over")
        with pytest.raises(DisconnectedError):
            remote.add(1, 2)


# ---------------------------------------------------------------- names


def test_names_are_given_while_statements_make_more() -> None:
    namespace: dict[str, Any] = {}

    class Name(str):
        """Has another name made when it is looked at."""

        def startswith(self, *args: Any) -> bool:
            namespace[f"made{len(namespace)}"] = 1
            return super().startswith(*args)

    namespace |= {Name("x"): 1, Name("y"): len}
    operations = Operations(
        exposures=Exposures(), namespace=namespace, find=namespace.get, run=lambda *_: None, now=lambda: 0.0
    )
    assert operations.dir(None, [], {}) == ["x", "y"]
    assert len(namespace) == 4


def test_what_a_session_has_made_is_looked_for_while_statements_make_more() -> None:
    class Names(dict[str, Any]):
        """Has another name made when one is looked up."""

        def get(self, name: str, default: Any = None) -> Any:
            operations.free.add(f"made{len(operations.free)}")
            return super().get(name, default)

    namespace = Names(x=len)
    operations = Operations(
        exposures=Exposures(), namespace=namespace, find=namespace.get, run=lambda *_: None, now=lambda: 0.0
    )
    operations.free |= {"x", "y"}
    assert operations.own(len)
    assert not operations.own(print)
