"""What the user of a session has no role for, that user does not hand over either."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from tests.remote.peers import Peer
from tests.remote.support import LENT, Site
from totohio import TotoException
from totohio.remote import Remote

MORE = '''

@lend
@requires_role("boss")
def boss_only(n):
    return f"the secret {n}"


@requires_role("boss")
def unlent(n):
    return f"the secret {n}"


@lend
def fetch():
    return unlent


class Desk:
    @lend
    @requires_role("boss")
    def open(self, *args):
        return "the secret of the desk"

    @lend
    def name(self):
        return "desk"

    @requires_role("boss")
    @lend
    @classmethod
    def made(cls, *args):
        return "the secret of the class"


@lend
@requires_role("boss")
class Safe:
    made = []

    def __init__(self, *items):
        self.made.append(items)


class Drawer:
    @lend
    @requires_role("boss")
    def __iter__(self):
        return iter(["the secret of the drawer"])

    @lend
    def label(self):
        return "drawer"


class Doorman:
    @lend
    @requires_role("boss")
    def __call__(self, *args):
        return "the secret of the doorman"


desk, drawer, doorman = lend(Desk)(), lend(Drawer)(), lend(Doorman)()


@lend
@requires_role("boss")
def secrets():
    return (f"secret {n}" for n in range(3))


@lend
def each(function, items):
    return [function(item) for item in items]


@lend(thread=True)
def where(_):
    return threading.get_ident()


@lend
def here(_):
    return threading.get_ident()


@lend
def unmarked():
    return lambda n: f"unmarked {n}"


@lend
def deep(things):
    """Call what is deep in things."""
    return things["a"][0][1](1)


@lend
def named(*, function):
    return function(1)


@lend
def items_of(thing):
    return list(thing)


@lend(settable=["wish"])
class Box:
    wish = None


@lend
def ask(callback):
    return callback()(1)
'''


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Lends to ada, who has the role exec, and to grace, who is a boss as well."""
    site = Site(tmp_path, LENT + MORE, users=("ada", "grace"), remote_exec=True, remote_exec_role="exec")
    site.call("grant", {"user_id": "ada", "roles": ["exec"]})
    site.call("grant", {"user_id": "grace", "roles": ["boss", "exec"]})
    yield site
    site.close()


def _get(remote: Remote, *path: str) -> Any:
    return remote.perform("get", [None, *path])


GUARDED: dict[str, Callable[[Remote], Any]] = {
    "a function": lambda remote: remote.boss_only,
    "a function that is not lent": lambda remote: remote.fetch(),
    "a method": lambda remote: _get(remote, "desk", "open"),
    "a class method": lambda remote: _get(remote, "desk", "made"),
    "a class": lambda remote: remote.Safe,
    "an object that is called": lambda remote: remote.doorman,
}
WAYS: dict[str, Callable[[Remote, Any], Any]] = {
    "as an argument": lambda remote, thing: remote.each(thing, [1]),
    "within containers": lambda remote, thing: remote.deep({"a": [(0, thing)]}),
    "by name": lambda remote, thing: remote.named(function=thing),
    "to a thread": lambda remote, thing: remote.apply_in_thread(thing, 1),
    "to a function of the session's": lambda remote, thing: remote.perform("call", [None, "ours"], [thing]),
    "as the answer of a callback": lambda remote, thing: remote.ask(lambda: thing),
    "within the answer of a callback": lambda remote, thing: remote.apply(lambda: [thing]),
    "to be an attribute": lambda remote, thing: setattr(remote.Box(), "wish", thing),
    "as an item": lambda remote, thing: remote.tom.__setitem__("key", thing),
    "for nothing": lambda remote, thing: remote.echo(thing),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("thing", GUARDED)
def test_what_asks_for_a_role_is_handed_over_by_those_alone_who_have_it(site: Site, thing: str, way: str) -> None:
    with site.connect("ada") as ada, site.connect("grace") as grace:
        for remote in (ada, grace):
            remote.do("def ours(function): return function(1)")
        if way == "as an item":
            grace.keep(grace.tom)  # it stays, so that what is kept in it does
        with pytest.raises(TotoException, match="Missing role: boss") as caught:
            WAYS[way](ada, GUARDED[thing](ada))
        assert caught.value.code == 1016
        assert site.within(lambda: site.module.Safe.made) == []
        assert site.within(lambda: site.module.tom.items) == {}
        assert ada.echo(1) == 1  # the session goes on
        WAYS[way](grace, GUARDED[thing](grace))


def test_an_object_whose_operators_ask_for_a_role_is_not_handed_over_and_one_whose_methods_do_is(site: Site) -> None:
    with site.connect("ada") as ada, site.connect("grace") as grace:
        assert grace.items_of(grace.drawer) == ["the secret of the drawer"]
        for name in ("items_of", "echo"):
            with pytest.raises(TotoException, match="Missing role: boss"):
                getattr(ada, name)(ada.drawer)
        assert ada.drawer.label() == "drawer"
        assert ada.echo(ada.desk) is ada.desk
        with pytest.raises(TotoException, match="Missing role: boss"):
            ada.desk.open()


def test_what_a_user_has_lost_the_role_for_is_not_handed_over_any_more(site: Site) -> None:
    with site.connect("grace") as grace:
        secrets = grace.secrets()
        assert next(secrets) == "secret 0"
        [session] = site.sessions()
        site.within(lambda: setattr(session, "roles", frozenset()))
        for use in (lambda: grace.items_of(secrets), lambda: next(secrets)):
            with pytest.raises(TotoException, match="Missing role: boss"):
                use()
        site.within(lambda: setattr(session, "roles", frozenset(["boss"])))
        assert grace.items_of(secrets) == ["secret 1", "secret 2"]


def test_what_is_handed_over_is_called_where_and_as_who_is_handed_it_calls(site: Site) -> None:
    """It is that one's own decision: a mark says how a borrower has something called, not how the server does."""
    with site.connect("ada") as ada:
        cycle = site.within(threading.get_ident)
        assert ada.where(1) != cycle
        assert ada.each(ada.where, [1]) == [cycle]
        assert ada.apply_in_thread(ada.here, 1) != cycle
        unmarked = ada.unmarked()
        with pytest.raises(TypeError):
            unmarked(1)
        assert ada.each(unmarked, [1]) == ["unmarked 1"]


def test_a_notice_that_refers_to_what_asks_for_a_role_is_held_against_no_request(site: Site) -> None:
    with Peer(site) as peer:
        peer.log_in()
        reference = peer.ask({"i": 10, "o": "get", "t": [None, "boss_only"]})["v"]
        _, number, *_ = msgpack.unpackb(reference.data)
        peer.send({"o": "ping", "x": msgpack.ExtType(1, msgpack.packb([1, number]))})
        assert peer.ask({"i": 11, "o": "call", "t": [None, "add"], "a": [1, 2]}) == {"r": 11, "v": 3}
