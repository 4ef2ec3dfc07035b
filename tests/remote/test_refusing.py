"""What the other end would not take: an error of that call, at whichever end it is found, and no end of the session."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest

from tests.remote.besieged import beside, cleared
from tests.remote.hostile import MORE, SPOILT, asking, ext, pack
from tests.remote.peers import PATH, Peer, SocketPeer, ask, error_of
from tests.remote.support import LENT, Site, serving
from totohio.remote import DisconnectedError, Remote, conversing
from totohio.remote.table import TableFullError
from totohio.wire.lending import HASHED, LendingError

RETURNING = """
import dataclasses


@lend
def ignore(*args, **kw):
    pass


@lend
def call(callback):
    return callback()


@lend
@dataclasses.dataclass
class Dot:
    x: int = 0


class Strange:
    def __hash__(self):
        raise LookupError("no hash today")


@lend
def strange():
    return Strange()


@lend
def numbers(count):
    return set(range(count))


@lend
def keys(count):
    return dict.fromkeys(range(count))


@lend
def deep(count):
    value = []
    for _ in range(count):
        value = [value]
    return value


@lend
def text(count):
    return "x" * count


@lend
def cats(count):
    return [Cat("x") for _ in range(count)]


@lend
def local():
    return type("Local", (Cat,), {})("local")


@lend
def point(x=1, y=2):
    return Point(x, y)


@lend
def try_often(callback, count):
    for _ in range(count):
        try:
            callback(Cat("x"))
        except ValueError:
            pass


@lend
def fail_with(callback):
    raise ValueError("it fails")
"""
Meet = Callable[[Site], Peer]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The server."""
    site = Site(tmp_path_factory.mktemp("refusing"), LENT + MORE + RETURNING, users=("ada", "grace"), remote_path=PATH)
    yield site
    site.close()


@pytest.fixture
def site(place: Site) -> Iterator[Site]:
    """The server, in which nothing may be left afterwards."""
    yield from cleared(place)


@pytest.fixture
def other(site: Site) -> Iterator[Remote]:
    """Somebody else."""
    yield from beside(site)


@pytest.fixture
def remote(site: Site) -> Iterator[Remote]:
    """A session, which is still good at the end."""
    with site.connect() as remote:
        yield remote
        assert remote.add(1, 2) == 3


def deep(count: int) -> Any:
    """Give lists in each other."""
    value: Any = []
    for _ in range(count):
        value = [value]
    return value


# ---------------------------------------------------------------- found by who reads it


@pytest.mark.parametrize("kind", [Peer, SocketPeer])
def test_what_is_no_value_here_is_refused_with_its_request_alone(site: Site, other: Remote, kind: Meet) -> None:
    with kind(site) as peer:
        peer.log_in()
        for name, value in SPOILT.items():
            peer.sock.sendall(peer.wrap(asking(value)))
            reply = peer.receive()
            assert reply["r"] == 10, name
            assert error_of(reply)[0] == "LendingError", name
            assert len(error_of(reply)[1]) < 200, name
        assert ask(peer, "call", [None, "add"], 1, 2) == 3


def test_strangers_are_not_told_what_is_no_value_here(site: Site, other: Remote) -> None:
    for name, value in SPOILT.items():
        with Peer(site) as peer:
            peer.sock.sendall(peer.wrap(asking(value)))
            with pytest.raises(ConnectionError):
                raise AssertionError((name, peer.receive()))


def test_what_nobody_waits_for_ends_the_session_when_it_is_no_value(site: Site, other: Remote) -> None:
    for value in SPOILT.values():
        with Peer(site) as peer:
            peer.log_in()
            peer.sock.sendall(peer.wrap(b"\x82" + pack("o") + pack("ping") + pack("x") + value))
            assert peer.receive()["o"] == "end"
            assert peer.closed()


def test_what_comes_with_a_value_that_is_none_counts(site: Site, other: Remote) -> None:
    callback = ext(1, pack([0, 7, 7, {"name": "callback"}]))
    with Peer(site) as peer:
        peer.log_in()
        for bad in (ext(12, pack(["Nothing", {}])), b"\x81" + ext(12, pack(["Point", {"x": 1}])) + b"\x01"):
            peer.sock.sendall(peer.wrap(asking(callback, bad, callback)))
            assert error_of(peer.receive())[0] == "LendingError"
        [session] = [each for each in site.sessions() if each.user_id == "ada"]
        site.within(session.give_back)
        assert peer.receive() == {"o": "release", "a": [[7, 4]]}


def test_objects_that_have_no_hash_at_the_server_are_no_keys(remote: Remote) -> None:
    dot, strange = remote.Dot(), remote.strange()
    for value in ({dot: 1}, {dot}, {(1, dot)}, frozenset([dot])):
        with pytest.raises(LendingError, match="has no hash here: unhashable type: 'Dot'"):
            remote.ignore(value)
    with pytest.raises(LendingError, match=r"has no hash here: .*no hash today"):
        remote.ignore({1: {strange: 1}})
    assert remote.call(lambda: 5) == 5
    with pytest.raises(LendingError, match="has no hash here"):
        remote.call(lambda: {dot: 1})


def test_structs_that_differ_at_the_two_ends_are_an_error_of_the_call(site: Site) -> None:
    other = msgspec.defstruct("Point", [("x", str), ("y", str, "")])
    with site.connect(structs=[other]) as remote:
        with pytest.raises(LendingError, match="no Point: Expected `int`, got `str` - in its field x"):
            remote.echo(other("a"))
        with pytest.raises(LendingError, match="no Point: Expected `str`, got `int` - in its field x"):
            remote.point()
        assert remote.add(1, 2) == 3
    with site.connect(structs=[]) as remote:
        with pytest.raises(LendingError, match="a Point, which is no Struct that goes by value here"):
            remote.point()
        with pytest.raises(LendingError, match=r"a Point cannot be sent: send .* named in structs=\[...\] here"):
            remote.echo(site.module.Point(1))
        assert remote.add(1, 2) == 3


# ---------------------------------------------------------------- found by who sends it


@pytest.mark.parametrize("path", [None, PATH])
def test_messages_that_are_too_large_for_the_server_are_not_sent(site: Site, path: str | None) -> None:
    with site.connect(url=site.server.url.replace("http", "ws") + path if path else None) as remote:
        for use in (lambda: remote.ignore(bytes(2 << 20)), lambda: remote.call(lambda: bytes(2 << 20))):
            with pytest.raises(LendingError, match=r"its message has 20971\d\d bytes, where 1048576 are allowed"):
                use()
        with pytest.raises(LendingError, match="1048576 are allowed"):
            remote.ignore([lambda: 1, bytes(2 << 20)])
        assert len(remote._borrower.table) <= 1  # the one that was called; nothing of what was not sent
        assert remote.add(1, 2) == 3


def test_messages_that_are_too_large_for_the_client_are_not_sent(site: Site, remote: Remote) -> None:
    [session] = site.sessions()
    site.within(lambda: setattr(session, "max_frame", 5000))
    with pytest.raises(LendingError, match=r"its message has 6\d\d\d bytes, where 5000 are allowed"):
        remote.text(6000)
    with pytest.raises(LendingError, match="where 5000 are allowed"):
        remote.apply(lambda text: None, "x" * 6000)
    with pytest.raises(LendingError, match="where 5000 are allowed"):
        remote.echo([remote.tom, "x" * 4990])


def test_an_error_that_is_too_large_is_told_as_such(site: Site, remote: Remote) -> None:
    [session] = site.sessions()
    site.within(lambda: setattr(session, "max_frame", 300))
    with pytest.raises(LendingError, match="where 300 are allowed"):
        remote.fail("hidden")


def test_sets_and_dicts_have_as_many_items_as_can_be_read(remote: Remote) -> None:
    with pytest.raises(LendingError, match="cannot be sent: too many keys and items of sets"):
        remote.ignore(set(range(HASHED + 1)))
    for use in (
        lambda: remote.ignore(dict.fromkeys(range(HASHED + 1))),
        lambda: remote.ignore([set(range(HASHED)), dict.fromkeys(range(200))]),
        lambda: remote.numbers(HASHED + 1),
        lambda: remote.keys(HASHED + 1),
        lambda: remote.call(lambda: set(range(HASHED + 1))),
        lambda: remote.call(lambda: dict.fromkeys(range(HASHED + 1))),
    ):
        with pytest.raises(LendingError, match="too many keys and items of sets"):
            use()
    assert remote.echo(set(range(HASHED))) == set(range(HASHED))
    assert len(remote.keys(HASHED)) == HASHED


def test_whatever_depth_can_be_written_can_be_read(remote: Remote) -> None:
    for depth in range(1015, 1030):
        for use in (
            lambda depth=depth: remote.ignore(deep(depth)),
            lambda depth=depth: remote.ignore((deep(depth),)),
            lambda depth=depth: remote.deep(depth),
            lambda depth=depth: remote.call(lambda: deep(depth)),
        ):
            with contextlib.suppress(LendingError):  # which ends no session
                use()
    assert remote.deep(1000)
    with pytest.raises(LendingError, match="cannot be sent"):
        remote.ignore(deep(1030))


# ---------------------------------------------------------------- how many


def test_callables_that_are_used_no_more_make_room_for_others(tmp_path: Path) -> None:
    with serving(tmp_path, LENT + RETURNING, remote_max_references=100) as site, site.connect() as remote:
        for _ in range(300):
            remote.ignore(lambda: 1)
        for _ in range(10):
            remote.ignore([lambda: 1 for _ in range(60)])
        for _ in range(300):
            with pytest.raises(ValueError, match="it fails"):
                remote.fail_with(lambda: 1)
        with pytest.raises(TableFullError, match="100 objects are lent already"):
            remote.ignore([lambda: 1 for _ in range(101)])
        assert remote.add(1, 2) == 3


def test_calls_that_fail_give_back_their_callables(site: Site, remote: Remote) -> None:
    for _ in range(1500):
        with pytest.raises(ValueError, match="it fails"):
            remote.fail_with(lambda: 1)
    assert len(remote._borrower.table) < 1000


def test_callbacks_that_fail_give_back_what_they_were_handed(tmp_path: Path) -> None:
    def fail(cat: Any) -> None:
        raise ValueError("it fails")

    with serving(tmp_path, LENT + RETURNING, remote_max_references=100) as site, site.connect() as remote:
        for callback in (fail, lambda cat: None):
            remote.try_often(callback, 300)
        assert remote.add(1, 2) == 3


def test_a_client_borrows_as_many_objects_as_the_server_lends(tmp_path: Path) -> None:
    with serving(tmp_path, LENT + RETURNING, remote_max_references=20_000) as site, site.connect() as remote:
        cats = remote.cats(15_000)
        assert cats[-1].name == "x"
        with pytest.raises(TableFullError):
            remote.cats(5001)
        assert remote.add(1, 2) == 3


def test_objects_of_any_number_of_classes_can_be_borrowed(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversing, "MOST_DESCRIPTIONS", 20)
    kept = [remote.local() for _ in range(50)]
    assert {each.name for each in kept} == {"local"}
    assert remote.Cat("y").greet() == "y greets you"


# ---------------------------------------------------------------- when it has to end all the same


@pytest.mark.parametrize("path", [None, PATH])
def test_a_session_that_ends_for_what_was_said_is_told_so(site: Site, other: Remote, path: str | None) -> None:
    with site.connect(url=site.server.url.replace("http", "ws") + path if path else None) as remote:
        remote._carrier.send(msgpack.packb({"o": "release", "a": [[99, 1]]}))
        with pytest.raises(DisconnectedError, match="the server has ended the session: 99 was not lent 1 times"):
            remote.later(remote.nap)(60).result(60.0)


def test_a_message_that_is_too_large_all_the_same_is_told_so(site: Site, other: Remote) -> None:
    with site.connect() as remote:
        remote._borrower.max_frame = 1 << 30
        with pytest.raises(DisconnectedError, match=r"ended the session: a frame of \d+ bytes, where 1048576 are"):
            remote.ignore(bytes(1 << 21))
