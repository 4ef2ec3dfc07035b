"""Sessions over real sockets: what they say to clients that say strange things, who may come in, and their limits."""

import contextlib
import logging
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.remote.peers import NONCE, Peer, error_of, packed
from tests.remote.support import PASSWORD, Site
from totohio import TotoException
from totohio.app.conveying import ROOM, LendingSteward
from totohio.app.lending import QUIET
from totohio.remote import DisconnectedError
from totohio.remote.table import TableFullError
from totohio.wire.framing import HEAD
from totohio.wire.lending import LendingError

Make = Callable[..., Site]
ADD = {"i": 10, "o": "call", "t": [None, "add"], "a": [1, 2]}


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes servers that lend."""
    sites: list[Site] = []

    def begin(**options: Any) -> Site:
        sites.append(Site(tmp_path, **options))
        return sites[-1]

    yield begin
    for site in sites:
        site.close()


def gone(site: Site) -> None:
    """Wait until there is no session."""
    site.until(lambda: not site.house.sessions, "all sessions are gone")


# ---------------------------------------------------------------- bytes


def test_requests_come_in_pieces_of_any_size(make: Make) -> None:
    with Peer(make()) as peer:
        peer.log_in()
        peer.trickle(packed(ADD))
        assert peer.receive() == {"r": 10, "v": 3}
        data = packed(ADD | {"i": 11}) + packed(ADD | {"i": 12, "a": ["a", "b"]}) + packed(ADD | {"i": 13})[:-1]
        peer.sock.sendall(data)
        assert [peer.receive(), peer.receive()] == [{"r": 11, "v": 3}, {"r": 12, "v": "ab"}]
        peer.sock.sendall(packed(ADD | {"i": 13})[-1:])
        assert peer.receive() == {"r": 13, "v": 3}


def test_more_requests_than_a_cycle_takes_are_all_answered_in_order(make: Make) -> None:
    with Peer(make()) as peer:
        peer.log_in()
        peer.send(*({"i": number, "o": "ping"} for number in range(10, 1010)))
        assert [peer.receive()["r"] for _ in range(1000)] == list(range(10, 1010))


def test_bytes_can_be_taken_out_before_they_are_read_as_a_request(make: Make) -> None:
    site = make()
    with Peer(site) as peer:
        peer.log_in()
        [session] = site.sessions()
        peer.sock.sendall(b"\0\1")
        site.until(lambda: session._framer._received, "the bytes are there")
        assert site.within(lambda: session.readbytes(3)) is None
        assert site.within(lambda: session.readbytes(1)) == b"\0"
        assert site.within(lambda: session.readbytes(1)) == b"\1"
        assert site.within(session.getRequest) is None
        assert site.within(session.handle) is False
        assert peer.ask(ADD) == {"r": 10, "v": 3}


@pytest.mark.parametrize(
    "data",
    [
        HEAD.pack(4) + b"\xc1\xc1\xc1\xc1",
        HEAD.pack(0),
        HEAD.pack(2**31),
        HEAD.pack(1_048_577),
        packed([1, 2]),
        packed({}),
        packed({"r": 99, "v": 1}),
        packed({"r": "1", "v": 1}),
        packed({"i": -1, "o": "ping"}),
        packed({"i": "1", "o": "ping"}),
        packed({"o": "nothing"}),
        packed({"o": "release", "a": [[7, 1]]}),
        packed({"o": "release", "a": ["x"]}),
    ],
    ids=repr,
)
def test_what_is_no_message_ends_its_session_and_no_other(make: Make, data: bytes) -> None:
    site = make()
    with Peer(site) as peer, Peer(site) as other:
        peer.log_in()
        other.log_in()
        peer.sock.sendall(data)
        assert peer.closed()
        assert other.ask(ADD) == {"r": 10, "v": 3}
        site.until(lambda: len(site.house.sessions) == 1, "one session is gone")


def test_a_number_that_is_still_asked_ends_the_session(make: Make) -> None:
    with Peer(make()) as peer:
        peer.log_in()
        peer.send({"i": 10, "o": "call", "t": [None, "nap"], "a": [50]}, ADD)
        assert peer.closed()


def test_arguments_that_are_none_are_refused(make: Make) -> None:
    with Peer(make()) as peer:
        peer.log_in()
        for strange in ({"a": 5}, {"k": [1]}, {"t": "x"}, {"t": [None]}, {"t": []}, {"o": ["call"]}, {"t": [1] * 40}):
            assert "v" not in peer.ask(ADD | strange), strange
        assert peer.ask(ADD) == {"r": 10, "v": 3}


# ---------------------------------------------------------------- who may come in


def test_nothing_is_done_for_somebody_who_has_not_said_who_it_is(make: Make) -> None:
    with Peer(make()) as peer:
        for message in (ADD, {"i": 11, "o": "dir"}, {"i": 12, "o": "ping"}, {"i": 13, "o": "hello", "a": []}):
            assert error_of(peer.ask(message))[4] == 1004
        assert "e" in peer.ask({"i": 14, "o": "hello", "a": [2]})
        assert error_of(peer.ask({"i": 15, "o": "prove", "a": [b"x" * 32]}))[4] == 1005
        assert error_of(peer.ask({"i": 16, "o": "challenge", "a": ["ada", b"short"]}))[4] == 1005
        assert error_of(peer.log_in(password="wrong"))[4] == 1005
        assert peer.log_in()["v"][0] == "ada"


def test_a_proof_is_good_once(make: Make) -> None:
    site = make()
    with Peer(site) as peer:
        sent: list[Any] = []
        ask = peer.ask
        peer.ask = lambda message: (sent.append(message), ask(message))[1]  # type: ignore[method-assign]
        assert peer.log_in()["v"][0] == "ada"
    with Peer(site) as thief:
        for message in sent[:-1]:
            thief.ask(message)
        assert error_of(thief.ask(sent[-1]))[4] == 1005


def test_a_frame_of_somebody_unknown_is_small(make: Make) -> None:
    with Peer(make()) as peer:
        peer.send({"i": 1, "o": "hello", "a": [1, "x" * 4096]})
        assert peer.closed()


def test_who_does_not_say_who_it_is_is_given_up_and_who_does_is_not(make: Make) -> None:
    site = make()
    with Peer(site) as peer, Peer(site) as other:
        other.log_in()
        peer.ask({"i": 1, "o": "hello", "a": [1]})
        site.advance(10.1)
        assert peer.closed()
        site.advance(10.1)
        assert other.ask(ADD) == {"r": 10, "v": 3}


def test_wrong_passwords_and_users_who_do_not_exist_look_alike(make: Make) -> None:
    site = make()
    errors = []
    for user_id, password in (("ada", "wrong"), ("nobody", PASSWORD), ("", ""), ("a" * 5000, "x"), ("ada", "")):
        try:
            site.connect(user_id, password=password)
        except TotoException as error:
            errors.append((error.code, error.value))
        except OSError:
            errors.append("closed")
    assert errors == [(1005, "Invalid user ID or password")] * 3 + ["closed", (1005, "Invalid user ID or password")]
    with Peer(site) as peer:
        shown = [peer.ask({"i": 1, "o": "challenge", "a": [name, NONCE]})["v"] for name in ("ada", "eve", "eve", "bob")]
    assert shown[1] == shown[2] != shown[3]
    assert len({tuple((key, each[key]) for key in sorted(each) if key != "salt") for each in shown}) == 1
    assert {len(each["salt"]) for each in shown} == {16}
    gone(site)


def test_users_need_the_role_that_is_asked_for(make: Make) -> None:
    site = make(users=("ada", "grace"), remote_role="lender")
    site.call("grant", {"user_id": "grace", "roles": ["lender"]})
    with pytest.raises(TotoException, match="Missing role: lender") as caught:
        site.connect("ada")
    assert caught.value.code == 1016
    with site.connect("grace") as remote:
        assert remote.user_id == "grace"
        assert remote.add(1, 2) == 3


def test_a_session_over_http_opens_one_when_its_key_signs(make: Make) -> None:
    site = make(hmac_enabled=True)
    session = site.call("account.login", {"user_id": "ada", "password": PASSWORD})
    known = {"session_id": session["session_id"], "session_key": session["key"]}
    with site.connect(**known) as remote:
        assert remote.user_id == "ada"
        assert remote.add(1, 2) == 3
    for wrong in ({"session_key": known["session_key"][::-1]}, {"session_id": "x" * 22}, {"session_key": ""}):
        with pytest.raises(TotoException) as caught:
            site.connect(**{**known, **wrong})
        assert caught.value.code == 1004


def test_a_session_without_a_key_opens_none(make: Make) -> None:
    site = make()
    session = site.call("account.login", {"user_id": "ada", "password": PASSWORD})
    assert "key" not in session
    with pytest.raises(TotoException) as caught:
        site.connect(session_id=session["session_id"], session_key="")
    assert caught.value.code == 1004


# ---------------------------------------------------------------- limits


def test_calls_under_way_are_counted(make: Make) -> None:
    with make(remote_max_calls=3).connect() as remote:
        naps = [remote.later(remote.nap)(50) for _ in range(3)]
        with pytest.raises(TotoException, match="3 calls are under way") as caught:
            remote.add(1, 2)
        assert caught.value.code == 1013
        naps[0].cancel()
        assert remote.add(1, 2) == 3


def test_requests_a_second_are_counted_in_tyme(make: Make) -> None:
    site = make(remote_rate=5.0)
    with Peer(site) as peer:
        peer.log_in()
        site.advance(10.0)
        replies = [peer.ask({"i": number, "o": "ping"}) for number in range(10, 20)]
        assert ["v" in reply for reply in replies[:5]] == [True] * 5
        assert error_of(replies[-1])[4] == 1013
        site.advance(0.5)
        replies = [peer.ask({"i": number, "o": "ping"}) for number in range(20, 30)]
        assert "v" in replies[0]
        assert "e" in replies[-1]


def test_objects_that_are_lent_are_counted(make: Make) -> None:
    with make(remote_max_references=5).connect() as remote:
        cat = remote.Cat
        cats = [cat("x") for _ in range(4)]
        with pytest.raises(TableFullError, match="let go of some"):
            cat("y")
        cats.pop()
        remote.ping()
        assert cat("z").greet() == "z greets you"


def test_callables_that_a_client_lends_are_counted(make: Make) -> None:
    site = make(remote_max_references=5)
    with site.connect() as remote:
        with pytest.raises(TableFullError, match="5 objects are lent already"):
            remote.keep([lambda: None for _ in range(6)])
        assert remote.echo(1) == 1
    gone(site)


def test_sessions_are_counted(make: Make) -> None:
    site = make(remote_max_sessions=2)
    with site.connect() as remote, Peer(site) as peer, Peer(site) as third:
        assert third.closed()
        assert remote.add(1, 2) == 3
        assert peer.log_in()["v"][0] == "ada"


@pytest.mark.parametrize("secure", [False, True])
def test_one_that_is_too_many_is_told_so_and_the_log_says_it_once(
    make: Make, tls: Any, secure: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "totohio")
    options, who = tls if secure else ({}, {})
    site = make(remote_max_sessions=1, **options)
    with site.connect(**who) as remote:
        for _ in range(3):
            with pytest.raises(DisconnectedError, match=r"has ended the session: there are too many sessions$"):
                site.connect(**who)
        assert remote.add(1, 2) == 3
        assert caplog.text.count("remote: no room for more than 1 sessions") == 1
        site.advance(QUIET + 1.0)
        remote.ping()
        with pytest.raises(DisconnectedError):
            site.connect(**who)
        assert caplog.text.count("remote: no room for more than 1 sessions") == 2
    gone(site)


def test_one_that_is_too_many_is_told_so_when_replies_are_gathered(
    make: Make, tls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shake = LendingSteward._shake

    def gathering(steward: LendingSteward) -> None:
        steward.server.gathered = []
        shake(steward)
        steward.server._dispense()
        steward.server.gathered = None

    options, who = tls
    site = make(remote_max_sessions=1, **options)
    monkeypatch.setattr(LendingSteward, "_shake", gathering)
    with site.connect(**who) as remote:
        with pytest.raises(DisconnectedError, match="there are too many sessions"):
            site.connect(**who)
        assert remote.add(1, 2) == 3


def test_who_begins_with_tls_when_the_server_goes_down_gets_no_session(make: Make, tls: Any) -> None:
    options, who = tls
    site = make(**options)
    context = ssl.create_default_context(cafile=who["cafile"])
    with site.connect(**who) as remote, Peer(site) as late:
        nap = remote.later(remote.nap)(5)
        remote.ping()
        site.until(lambda: len(site.server.built.lending.server.stewards) == 2, "both are connected")
        site.server.drain()
        site.until(lambda: site.house.retiring, "it drains")
        with contextlib.suppress(OSError), context.wrap_socket(late.sock, server_hostname="127.0.0.1") as secure:
            assert secure.recv(100) == b""
        assert len(site.house.sessions) == 1
        site.clock.offset += 5.1
        site.server.built.inbox.post(lambda: None)
        assert nap.result(30.0) == 5
    site._thread.join(30.0)
    assert not site._thread.is_alive()


def test_those_that_are_too_many_leave_room_for_others_however_slowly_they_read(make: Make) -> None:
    site = make(remote_max_sessions=1)
    with site.connect() as remote, contextlib.ExitStack() as peers:
        told = 0
        for peer in [peers.enter_context(Peer(site)) for _ in range(30)]:
            with contextlib.suppress(ConnectionError):
                told += peer.receive() == {"o": "end", "a": ["there are too many sessions"]}
        assert told == ROOM
        assert remote.add(1, 2) == 3


def test_who_does_not_begin_with_tls_takes_no_session_from_others(make: Make, tls: Any) -> None:
    options, who = tls
    site = make(remote_max_sessions=1, **options)
    with Peer(site), Peer(site), site.connect(**who) as remote:
        assert len(site.house.sessions) == 1
        assert remote.add(1, 2) == 3


def test_who_does_not_say_who_it_is_makes_room_for_others(make: Make) -> None:
    site = make(remote_max_sessions=2)
    with site.connect() as remote, Peer(site) as silent:
        site.until(lambda: len(site.house.sessions) == 2, "both are there")
        site.advance(1.0)
        with site.connect() as other:
            assert other.add(1, 2) == 3
            assert silent.closed()
            assert remote.add(1, 2) == 3
            with Peer(site) as late:
                assert late.closed()


def test_who_asks_and_asks_and_does_not_say_who_it_is_is_sent_away(make: Make) -> None:
    site = make()
    with Peer(site) as peer:
        asked = [{"i": number, "o": "challenge", "a": ["ada", b"n" * 16]} for number in range(21)]
        assert peer.ask(asked[0])["r"] == 0  # which may have to wait for the store
        peer.send(*asked[1:])
        assert [peer.receive()["r"] for _ in range(19)] == list(range(1, 20))
        assert peer.closed()
    gone(site)


def test_messages_are_as_large_as_they_may_be(make: Make) -> None:
    with make(remote_max_frame=5000).connect() as remote:
        assert remote.echo("x" * 4900) == "x" * 4900
        with pytest.raises(LendingError, match="5020 bytes, where 5000 are allowed"):
            remote.echo("x" * 5000)
        assert remote.echo(1) == 1


# ---------------------------------------------------------------- leases and ends


def test_what_is_lent_is_gone_when_nothing_is_heard_of_the_client_for_too_long(make: Make) -> None:
    site = make(remote_lease=30.0)
    with Peer(site) as peer:
        peer.log_in()
        peer.ask({"i": 10, "o": "call", "t": [None, "Cat"], "a": ["x"]})
        [session] = site.sessions()
        assert len(session.table) == 1
        site.advance(29.0)
        peer.send({"o": "ping"})
        site.until(lambda: site.house.lot.tyme - session.tyme < 5.0, "it was heard of")
        site.advance(29.0)
        assert peer.ask(ADD) == {"r": 10, "v": 3}
        site.advance(30.1)
        assert peer.closed()
        assert len(session.table) == 0
        assert not session.namespace
    gone(site)


def test_a_client_that_leaves_ends_its_calls_where_they_stand(make: Make) -> None:
    site = make()
    with site.connect() as remote:
        remote.later(remote.nap)(50)
        kitten = remote.tom.kitten()
        [session] = site.sessions()
        assert len(session.table) > 1
        del kitten
    gone(site)
    assert site.module.SEEN == [["ended", 50]]
    assert len(session.table) == 0
    assert not site.within(lambda: site.house.waits.dues or site.house.leases.dues or site.house.greetings.dues)


def test_a_server_that_drains_answers_what_is_under_way_and_ends_sessions(make: Make) -> None:
    site = make()
    with site.connect() as remote, site.connect() as idle:
        nap = remote.later(remote.nap)(5)
        remote.ping()
        site.server.drain()
        site.until(lambda: site.house.retiring, "it drains")
        with pytest.raises(DisconnectedError):
            idle.add(1, 2)
        site.clock.offset += 5.1
        site.server.built.inbox.post(lambda: None)
        assert nap.result(30.0) == 5
        with pytest.raises(DisconnectedError):
            remote.add(1, 2)
    site._thread.join(30.0)
    assert not site._thread.is_alive()


# ---------------------------------------------------------------- threads and statements


def test_a_function_in_a_thread_calls_back_and_others_do_not_wait(make: Make) -> None:
    site = make()
    with site.connect() as remote, site.connect() as other:
        found = []

        def callback(word: str) -> str:
            found.append(other.add(1, 2))  # the server answers others meanwhile
            return word * 2

        assert remote.apply_in_thread(callback, "x") == "xx"
        assert found == [3]
        with pytest.raises(ZeroDivisionError):
            remote.apply_in_thread(lambda: 1 / 0)


def test_a_thread_that_waits_for_a_client_that_leaves_is_told(make: Make) -> None:
    site = make()
    remote = site.connect()
    remote.later(remote.apply_in_thread)(lambda: None)
    site.until(lambda: any(session._asked for session in site.house.sessions), "it was called back")
    remote.close()
    gone(site)
    site.until(lambda: len(site.house._pool) == 0, "the thread has ended its call")


def test_statements_that_take_too_long_end_the_session_and_no_other(make: Make) -> None:
    site = make(users=("ada", "grace"), remote_exec=True, remote_exec_timeout=10.0)
    site.call("grant", {"user_id": "ada", "roles": ["admin"]})
    with site.connect("ada") as remote, site.connect("grace") as other:
        remote._ask("do", None, [f"import sys\nsys.modules[{site.module.__name__!r}].GATE.wait(30)"], None)
        site.until(lambda: len(site.house._statements) == 1, "it is being done")
        site.advance(9.0)
        assert len(site.sessions()) == 2
        site.advance(1.1)
        with pytest.raises(DisconnectedError):
            remote.add(1, 2)
        assert other.add(1, 2) == 3
        site.module.GATE.set()
        site.until(lambda: len(site.house._statements) == 0, "the statements end")
