"""Hostile clients over real sockets: whatever they say, they get a precise error or are gone, and nobody else notices.

One server has them all. After each test it has no session of theirs, and nothing that is left of one.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import pytest

from tests.processes import LONG
from tests.remote.besieged import beside, cleared
from tests.remote.hostile import (
    CALLBACK,
    ENDS,
    EXCEPTIONS,
    GREETINGS,
    MORE,
    MORE_WALKS,
    OPERATIONS,
    RAISED,
    REFUSED,
    TOO_LARGE,
    WALKS,
    asking,
    ext,
    pack,
    within,
)
from tests.remote.peers import PATH, Peer, SocketPeer, ask, borrowed, error_of, numbers, packed
from tests.remote.support import LENT, Site
from totohio.base.errors import ERROR_TIMED_OUT
from totohio.remote import Remote
from totohio.wire.framing import frame

OPTIONS = {"remote_max_references": 500, "remote_max_calls": 40, "remote_timeout": 5.0, "remote_path": PATH}
Meet = Callable[[Site], Peer]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The server."""
    site = Site(tmp_path_factory.mktemp("hostile"), LENT + MORE, users=("ada", "grace"), **OPTIONS)
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


@pytest.fixture(params=[Peer, SocketPeer])
def meet(request: pytest.FixtureRequest) -> Meet:
    """Connects to the server, over TCP or a WebSocket."""
    return request.param  # type: ignore[no-any-return]


def session_of(site: Site, user_id: str = "ada") -> Any:
    """Give a user's session at the server."""
    [session] = [each for each in site.sessions() if each.user_id == user_id]
    return session


def held(session: Any) -> int:
    """Give how many bytes of what has come are kept."""
    return len(session._framer._received) if session._framer is not None else sum(map(len, session._messages))


# ---------------------------------------------------------------- what they say


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_what_is_no_message_ends_its_session_and_no_other(site: Site, other: Remote, meet: Meet, known: bool) -> None:
    wrong = []
    for name, data in [*ENDS.items(), *((size, None) for size in TOO_LARGE)]:
        with meet(site) as peer:
            if known:
                peer.log_in()
            try:
                peer.sock.sendall(peer.announced(name) if data is None else peer.wrap(data))
                said = peer.receive()
                if known and said.keys() == {"o", "a"} and said["o"] == "end" and said["a"][0]:
                    said = peer.receive()  # a stranger is not told why
                wrong.append((name, said))
            except ConnectionError:
                continue
    assert wrong == []
    assert len(ENDS) > 600


def test_requests_that_cannot_be_are_refused_with_what_is_wrong(site: Site, other: Remote, meet: Meet) -> None:
    with meet(site) as peer:
        peer.log_in()
        messages = [{"i": next(numbers), **request} for request, _ in REFUSED]
        peer.send(*messages)
        replies = {reply["r"]: reply for reply in (peer.receive() for _ in messages)}
        found = [error_of(replies[message["i"]])[0] for message in messages]
        wrong = [(request, error, got) for (request, error), got in zip(REFUSED, found, strict=True) if got != error]
        assert wrong == []
        assert ask(peer, "call", [None, "add"], 1, 2) == 3
        assert len(session_of(site).table) == 0


def test_nothing_is_done_for_somebody_unknown_whatever_it_asks(site: Site, other: Remote, meet: Meet) -> None:
    requests = [request for request, _ in REFUSED if request["o"] not in ("hello", "challenge", "prove", "present")]
    small = [request for request in requests if len(packed(request)) < 2000]
    greetings = [{"o": operation, "a": list(args)} for operation, args in GREETINGS]
    for asked, known in ((small, {1004, None}), (greetings, {1004, 1005, None})):  # None: arguments that are none
        for start in range(0, len(asked), 10):  # a few more, and it would be sent away
            with meet(site) as peer:
                some = asked[start : start + 10]
                peer.send(*({"i": next(numbers), **request} for request in some))
                assert {error_of(peer.receive())[4] for _ in some} <= known
                assert peer.log_in()["v"][0] == "ada"


def test_names_that_are_not_lent_are_reached_from_nothing_by_no_operation(site: Site, other: Remote) -> None:
    with Peer(site) as peer:
        peer.log_in()
        found = {
            "a function": ask(peer, "get", [None, "add"]),
            "a class": ask(peer, "get", [None, "Album"]),
            "a class that is not lent": ask(peer, "call", [None, "bootleg"]),
            "an instance": ask(peer, "get", [None, "tom"]),
            "a method": ask(peer, "get", [None, "tom", "greet"]),
            "a static method": ask(peer, "get", [None, "tom", "kind"]),
            "a module": ask(peer, "get", [None, "math"]),
            "a builtin": ask(peer, "get", [None, "math", "sqrt"]),
            "a cursor": ask(peer, "iter", [None, "tom"]),
            "an iterator": ask(peer, "call", [None, "counting"], 3),
            "a generator": ask(peer, "call", [None, "squares"], 3),
            "an object that is not lent": ask(peer, "call", [None, "plain"]),
        }
        roots = {name: [borrowed(value)] for name, value in found.items()}
        roots["a name"], roots["a path"] = [None], [None, "tom"]
        for root, path in roots.items():
            walks = [(operation, name) for operation in OPERATIONS for name in WALKS]
            walks += [("get", name) for name in MORE_WALKS] + [("call", "__call__"), ("set", "name")]
            if path == [None]:
                walks = [(operation, name) for operation, name in walks if name != "mro"]
            args = {"set": [1], "next": [1], "item": [0], "contains": [0], "exit": [None]}
            messages = [
                {"i": next(numbers), "o": operation, "t": [*path, name], "a": args.get(operation, [])}
                for operation, name in walks
            ]
            peer.send(*messages)
            errors = [error_of(peer.receive())[0] for _ in messages]
            wrong = [walk for walk, error in zip(walks, errors, strict=True) if error != "ForbiddenError"]
            assert wrong == [], root


def test_operators_are_not_used_on_what_does_not_lend_them(site: Site, other: Remote) -> None:
    with Peer(site) as peer:
        peer.log_in()
        plain = borrowed(ask(peer, "call", [None, "plain"]))
        targets: list[Any] = [[None, "add"], [None, "Cat"], [None, "Album"], [None, "math"], plain]
        for target in targets:
            for operation in OPERATIONS[3:]:
                if operation in ("dir", "help"):
                    continue
                with pytest.raises(RuntimeError, match="ForbiddenError"):
                    ask(peer, operation, target, *([1] if operation == "next" else []))
        with pytest.raises(RuntimeError, match="ForbiddenError"):
            ask(peer, "call", [None, "math"])
        assert ask(peer, "dir", plain) == []


def test_a_session_finds_nothing_of_another_by_its_numbers(site: Site, other: Remote) -> None:
    cats = [other.Cat(str(number)) for number in range(5)]
    with Peer(site) as peer:
        peer.log_in()
        for number in (*range(-2, 40), 2**31, 2**63):
            for target in (number, [number, "name"]):
                with pytest.raises(RuntimeError, match="NotLentError"):
                    ask(peer, "get", target)
        peer.send({"i": 1, "o": "call", "t": [None, "echo"], "a": [msgpack.ExtType(1, pack([1, 1]))]})
        assert peer.closed()
    with Peer(site) as peer:
        peer.log_in()
        peer.send({"o": "release", "a": [[1, 1], [2, 1]]})
        assert peer.closed()
    assert [cat.name for cat in cats] == list("01234")


def test_what_was_given_back_is_nothing_any_more_and_is_not_given_back_twice(site: Site, other: Remote) -> None:
    with Peer(site) as peer:
        peer.log_in()
        number = borrowed(ask(peer, "call", [None, "Cat"], "x"))
        assert borrowed(ask(peer, "call", [None, "echo"], msgpack.ExtType(1, pack([1, number])))) == number
        peer.send({"o": "release", "a": [[number, 1]]})
        assert ask(peer, "get", [number, "name"]) == "x"
        peer.send({"o": "release", "a": [[number, 1]]}, {"o": "cancel", "a": [12345]}, {"o": "cancel", "a": [-1]})
        with pytest.raises(RuntimeError, match="NotLentError"):
            ask(peer, "get", [number, "name"])
        assert borrowed(ask(peer, "call", [None, "Cat"], "y")) > number
        peer.send({"o": "release", "a": [[number + 1, 2]]})
        assert peer.closed()


@pytest.mark.parametrize("size", [1, 100, 10_000])
def test_one_that_leaves_in_the_middle_of_a_message_leaves_nothing(
    site: Site, other: Remote, meet: Meet, size: int
) -> None:
    with meet(site) as peer:
        peer.log_in()
        ask(peer, "call", [None, "Cat"], "x")
        peer.sock.sendall(peer.wrap(asking(pack("x" * 20_000)))[:size])


# ---------------------------------------------------------------- values


def test_values_that_are_dear_to_reckon_with_come_as_cheap_ones_do(site: Site, other: Remote) -> None:
    huge, tiny = ext(10, b"1E+999999999"), ext(10, b"-1E-999999999")
    large = ext(11, b"\x7f" + b"\xff" * 1023)
    with Peer(site) as peer:
        peer.log_in()
        for data in (
            asking(huge),
            asking(huge, tiny, name="add"),
            asking(huge, pack(1), name="add"),
            asking(ext(10, b"9" * 1024), ext(10, b"1E-1000"), name="add"),
            asking(large, large, name="add"),
            asking(ext(4, b"\x93" + huge + tiny + large)),
            asking(b"\x83" + huge + b"\x01" + pack(float("nan")) + b"\x01" + large + b"\x01"),
            asking(ext(10, b"sNaN"), pack(1), name="add"),
            asking(ext(10, b"NaN"), ext(10, b"NaN"), name="same"),
            asking(within(3, 64)),
            asking(b"\x91" * 400 + b"\xc0"),
            asking(b"\x91" * 1000 + b"\xc0"),
            asking(b"\x91" * 1000 + b"\xc0", b"\x91" * 1000 + b"\xc0", name="same"),
            asking(ext(4, b"\xdc\x00\x40" + b"".join(pack(float(2**61 - 1) * number) for number in range(64)))),
            asking(ext(-1, b"\0\0\0\1")),
            asking(pack(list(range(1000)) * 50)),
            asking(ext(5, pack(list(range(50_000))))),
        ):
            peer.sock.sendall(frame(data))
            assert peer.receive()["r"] == 10
        assert ask(peer, "call", [None, "add"], 1, 2) == 3


def test_exceptions_that_are_sent_say_nothing_but_what_they_were_sent_with(site: Site, other: Remote) -> None:
    with Peer(site) as peer:
        peer.log_in()
        for args in EXCEPTIONS:
            error = msgpack.ExtType(2, pack([args[0], "told", "lines", args[1:], None]))
            sent = ask(peer, "call", [None, "echo"], error)
            name, message, lines, _, code = msgpack.unpackb(sent.data)
            assert len(message) <= 4096
            assert len(lines) < 70_000
            assert code is None
            assert name in (args[0], "RemoteError", "FileNotFoundError")
        assert ask(peer, "call", [None, "add"], 1, 2) == 3


# ---------------------------------------------------------------- callbacks


@pytest.mark.parametrize("name", RAISED)
@pytest.mark.parametrize("function", ["apply", "apply_in_thread", "apply_later"])
def test_callbacks_that_raise_anything_end_their_call_alone(site: Site, name: str, function: str) -> None:
    with Peer(site) as peer:
        peer.log_in()
        peer.send({"i": 10, "o": "call", "t": [None, function], "a": [CALLBACK]})
        asked = peer.receive()
        error = msgpack.ExtType(2, pack([name, "told", "", [1], None]))
        peer.send({"r": asked["i"], "e": error}, {"r": asked["i"], "v": 1}, {"r": asked["i"], "e": error})
        reply = peer.receive()
        assert reply["r"] == 10
        assert error_of(reply)[0]
        assert ask(peer, "call", [None, "add"], 1, 2) == 3


@pytest.mark.parametrize("answer", [{"e": 1}, {"e": []}, {"e": "x"}, {"e": False}, {"e": {"a": 1}}], ids=str)
@pytest.mark.parametrize("function", ["apply", "apply_later"])
def test_an_error_in_reply_that_is_none_ends_the_session(
    site: Site, other: Remote, function: str, answer: dict[str, Any]
) -> None:
    with Peer(site) as peer:
        peer.log_in()
        peer.send({"i": 10, "o": "call", "t": [None, function], "a": [CALLBACK]})
        peer.send({"r": peer.receive()["i"], **answer})
        assert peer.closed()


@pytest.mark.parametrize("function", ["apply", "apply_in_thread", "apply_later"])
@pytest.mark.parametrize("ending", ["timeout", "cancel", "leaving"])
def test_a_callback_that_never_returns_holds_up_nobody(site: Site, other: Remote, function: str, ending: str) -> None:
    with Peer(site) as peer:
        peer.log_in()
        peer.send({"i": 10, "o": "call", "t": [None, function], "a": [CALLBACK]})
        asked = peer.receive()
        assert asked["o"] == "call"
        assert other.add(1, 2) == 3
        assert ask(peer, "call", [None, "add"], 1, 2) == 3
        if ending == "timeout":
            site.advance(5.1)
            assert error_of(peer.receive())[4] == ERROR_TIMED_OUT
        elif ending == "cancel":
            peer.send({"o": "cancel", "a": [10]})
        assert ask(peer, "call", [None, "add"], 1, 2) == 3


def test_callbacks_that_call_back_without_an_end_meet_the_bound_of_calls(site: Site, other: Remote) -> None:
    with Peer(site) as peer:
        peer.log_in()
        peer.send({"i": 1000, "o": "call", "t": [None, "again"], "a": [CALLBACK, 0]})
        asked = []
        while True:
            message = peer.receive()
            if "r" in message:
                break
            asked.append(message["i"])
            again = {"i": 1000 + len(asked), "o": "call", "t": [None, "again"], "a": [CALLBACK, len(asked)]}
            peer.send(again)
        assert len(asked) == 40
        assert error_of(message)[4] == 1013
        assert other.add(1, 2) == 3
        peer.send(*({"r": number, "v": "deep"} for number in reversed(asked)))
        assert [peer.receive()["v"] for _ in asked] == ["deep"] * 40


# ---------------------------------------------------------------- too much


def test_thousands_of_requests_at_once_are_answered_in_order_and_others_between(
    site: Site, other: Remote, meet: Meet
) -> None:
    with meet(site) as peer:
        peer.log_in()
        peer.send(*({"i": n, "o": "call", "t": [None, "add"], "a": [n, 1]} for n in range(10_000)))
        assert other.add(1, 2) == 3
        assert [peer.receive() for _ in range(10_000)] == [{"r": n, "v": n + 1} for n in range(10_000)]


def test_objects_are_lent_until_there_are_as_many_as_may_be(site: Site, other: Remote) -> None:
    with Peer(site) as peer:
        peer.log_in()
        peer.send(*({"i": n, "o": "call", "t": [None, "Cat"], "a": ["x"]} for n in range(10, 1010)))
        replies = [peer.receive() for _ in range(1000)]
        assert ["v" in reply for reply in replies] == [True] * 500 + [False] * 500
        assert error_of(replies[-1])[0] == "TableFullError"
        peer.send({"o": "release", "a": [[borrowed(reply["v"]), 1] for reply in replies[:500]]})
        assert borrowed(ask(peer, "call", [None, "Cat"], "y")) == 501
        assert len(session_of(site).table) == 1


def test_callables_are_taken_until_there_are_as_many_as_may_be(site: Site, other: Remote) -> None:
    references = [msgpack.ExtType(1, pack([0, number, "k", {"name": ["x"]}])) for number in range(501)]
    with Peer(site) as peer:
        peer.log_in()
        assert ask(peer, "call", [None, "same"], references[:500], references[0]) is False
        peer.send({"i": 1, "o": "ping", "a": references})
        assert peer.closed()


def test_one_that_reads_nothing_is_written_no_more_than_a_bound_and_all_when_it_reads(
    site: Site, other: Remote, meet: Meet
) -> None:
    with meet(site) as peer:
        peer.log_in()
        session = session_of(site)
        peer.send(*({"i": n, "o": "call", "t": [None, "nest"], "a": [10]} for n in range(40)))
        peer.sock.setblocking(False)
        data, most = peer.wrap(asking(pack("x" * 20_000))) * 10, 0
        rest, still, said = b"", 0, 0
        while still < 50:  # until the server takes no more
            said += 0 if rest else 10
            rest = rest or data
            try:
                rest = rest[peer.sock.send(rest) :]
                still = 0
            except BlockingIOError:
                still += 1
            most = max(most, site.within(lambda: session._carrier._steward.remoter.pending))
        assert other.add(1, 2) == 3
        assert 1_000_000 < most < 3_000_000
        assert site.within(lambda: held(session)) < 3_000_000
        peer.sock.settimeout(LONG)
        with peer.sending(rest):
            assert [peer.receive()["r"] for _ in range(40 + said)].count(10) == said + 1
