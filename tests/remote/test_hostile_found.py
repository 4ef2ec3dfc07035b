"""Hostile peers whose ways were found by trying: threads and memory that are kept, greetings that are none."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest

from tests.remote.besieged import postponed
from tests.remote.hostile import MORE, ext, pack
from tests.remote.peers import Peer, packed
from tests.remote.rogues import Rogue, welcoming
from tests.remote.support import LENT, Site
from totohio import remote as remoting
from totohio.base.errors import TotohioError
from totohio.core.proving import ProofError
from totohio.remote import DisconnectedError
from totohio.wire.framing import frame

CALLBACK = msgpack.ExtType(1, pack([0, 1, "k", {"name": "callback"}]))
HALF = """

@lend
def half():
    return [Cat("half"), 1 << 100_000]
"""


@pytest.fixture
def site(tmp_path: Any) -> Iterator[Site]:
    site = Site(tmp_path, LENT + MORE + HALF, remote_max_references=20)
    yield site
    site.close()


def test_an_error_that_is_none_frees_the_thread_that_waits(site: Site) -> None:
    with Peer(site) as peer:
        peer.log_in()
        peer.send({"i": 10, "o": "call", "t": [None, "apply_in_thread"], "a": [CALLBACK]})
        peer.send({"r": peer.receive()["i"], "e": 1})
        assert peer.closed()
    site.until(lambda: not len(site.house._pool), "the thread is free")


def test_a_reply_that_cannot_be_sent_lends_nothing(site: Site) -> None:
    with site.connect() as remote:
        for _ in range(3):
            with pytest.raises(TotohioError):
                remote.half()
        [session] = site.sessions()
        before = len(session.table)
        assert remote.Cat("x").greet() == "x greets you"
        assert before <= 1


def test_arguments_that_cannot_be_sent_lend_nothing(site: Site) -> None:
    with site.connect() as remote:
        function = lambda: 5  # noqa: E731
        with pytest.raises(TotohioError):
            remote.keep([function, object()])
        assert len(remote._borrower.table) == 0
        assert remote.apply(function) == 5


def test_descriptions_of_callables_are_not_kept_whole(site: Site) -> None:
    with Peer(site) as peer:
        peer.log_in()
        for number in range(20):
            reference = ext(1, pack([0, number, f"k{number}", {"name": "f", "x": "y" * 900_000}]))
            peer.sock.sendall(
                frame(b"\x83" + pack("i") + pack(number) + pack("o") + pack("ping") + pack("x") + reference)
            )
            while peer.receive().get("r") != number:
                pass
        [session] = site.sessions()
        kept = site.within(lambda: sum(len(repr(each)) for each in session._descriptions.values()))
        assert kept < 100_000


def test_a_session_that_floods_has_one_slice_a_cycle(site: Site) -> None:
    with Peer(site) as peer, Peer(site) as other:
        peer.log_in()
        other.log_in()
        data = packed({"i": 1, "o": "ping"}) * 200_000
        thread = threading.Thread(target=lambda: [peer.receive() for _ in range(200_000)])
        sender = threading.Thread(target=peer.sock.sendall, args=(data,))
        thread.start()
        sender.start()
        most = backlog = 0
        while thread.is_alive():
            most = max(most, site.within(lambda: postponed(site)))
            found = site.within(lambda: [len(each._framer._received) for each in site.house.sessions])
            backlog = max(backlog, *found)
        sender.join()
        assert (most, backlog < 1_200_000) == (1, True)


@pytest.mark.parametrize("greeting", [None, 1, {}, [], {"nonce": 1}, {"nonce": "x"}, {"nonce": None}], ids=repr)
def test_a_greeting_that_is_none_is_said_to_be(greeting: Any) -> None:
    rogue = Rogue(lambda message: packed({"r": message["i"], "v": greeting if message["o"] == "hello" else {}}))
    for who in ({"user_id": "ada", "password": "x"}, {"session_id": "s", "session_key": "k"}):
        with pytest.raises(ProofError):
            remoting.connect(rogue.url, timeout=10.0, **who)
    rogue.close()


@pytest.mark.parametrize(
    "lease", [0, -1, -1.0, 1e-9, float("nan"), float("inf"), 10**400], ids=lambda each: repr(each)[:9]
)
def test_a_lease_that_is_none_lets_nobody_in(lease: Any) -> None:
    raw = ext(11, lease.to_bytes(200, "big")) if lease == 10**400 else pack(lease)

    def say(message: dict[str, Any]) -> bytes:
        if message.get("o") == "hello":
            return packed({"r": message["i"], "v": {"nonce": b"n" * 16}})
        welcome = b"\x94" + pack("ada") + pack(None) + pack([]) + raw
        return frame(b"\x82" + pack("r") + pack(message.get("i", 0)) + pack("v") + welcome)

    rogue = Rogue(say)
    with pytest.raises(ProofError):
        remoting.connect(rogue.url, timeout=10.0, session_id="s", session_key="k").close()
    rogue.close()


def test_a_description_does_not_have_the_client_ask_anything() -> None:
    inner = ext(1, pack([0, 2, "i", {"name": "i", "operators": ["__str__", "__bool__"]}]))
    outer = b"\x94\x00\x01" + pack("k") + b"\x83" + pack("name") + inner + pack("help") + inner + pack("call") + inner

    def say(message: dict[str, Any]) -> bytes:
        if message.get("o") == "ping":
            return frame(b"\x82" + pack("r") + pack(message["i"]) + pack("v") + ext(1, outer))
        return packed({"r": message.get("i", 0), "v": "x"})

    rogue = Rogue(welcoming(say))
    with (
        remoting.connect(rogue.url, timeout=10.0, session_id="s", session_key="k") as remote,
        contextlib.suppress(DisconnectedError),
    ):
        remote.perform("ping")
    rogue.close()
    assert [message.get("o") for message in rogue.heard if "i" in message] == ["hello", "present", "ping"]


@pytest.mark.parametrize("names", [[[]], [1, "a"], [None]], ids=repr)
def test_names_that_are_none_do_no_harm(names: Any) -> None:
    def say(message: dict[str, Any]) -> bytes:
        if message.get("o") == "hello":
            return packed({"r": message["i"], "v": {"nonce": b"n" * 16}})
        return packed({"r": message.get("i", 0), "v": ["ada", None, names, 60.0]})

    rogue = Rogue(say)
    with (
        contextlib.suppress(TotohioError),
        remoting.connect(rogue.url, timeout=10.0, session_id="s", session_key="k") as remote,
    ):
        dir(remote)
    rogue.close()


@pytest.mark.parametrize(
    ("greeting", "code"),
    [
        ({"o": "hello", "a": [99]}, None),
        ({"o": "call", "t": [None, "add"], "a": [1, 2]}, 1004),
        ({"o": "challenge", "a": [7, b"n" * 16]}, 1005),
        ({"o": "prove", "a": [b"m" * 32]}, 1005),
        ({"o": "present", "a": ["s", b"m" * 32]}, 1004),
    ],
)
def test_a_stranger_is_not_told_where_in_the_server_what_was_raised(
    site: Site, greeting: dict[str, Any], code: int | None
) -> None:
    with Peer(site) as peer:
        reply = peer.ask({"i": 1, **greeting})
    _, _, lines, _, found = msgpack.unpackb(reply["e"].data)
    assert found == code
    assert "Traceback" not in lines


@pytest.mark.expects_errors
def test_what_fails_within_the_server_is_told_to_its_log_and_not_to_strangers(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any) -> Any:
        raise RuntimeError("the password of the database is tiger")

    site.house.gate.challenge = fail
    with Peer(site) as peer:
        reply = peer.ask({"i": 1, "o": "challenge", "a": ["ada", b"n" * 16]})
    assert b"tiger" not in reply["e"].data
    assert msgpack.unpackb(reply["e"].data)[-1] == 1000
    assert "tiger" in caplog.text
