"""Hostile clients over WebSockets: whatever frames they send, they are told what is wrong and are gone."""

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest
from websockets.frames import Frame, Opcode

from tests.processes import reset
from tests.remote.besieged import beside, cleared
from tests.remote.hostile import asking, pack
from tests.remote.peers import PATH, SocketPeer, ask, borrowed, packed
from tests.remote.support import LENT, Site
from totohio.app.conveying import STRANGE
from totohio.app.lending import GREETING
from totohio.remote import Remote
from totohio.remote.sessions import GREETING_SIZE
from totohio.wire.framing import FramingError, frame
from totohio.wire.slicing import SLICE
from totohio.wire.upgrading import _Protocol as Reading

LARGEST = 150_000  # bytes of a message; fewer than somebody unknown may say in all
FLOOD = 15_000  # frames; more than are received at once
BINARY, TEXT, CONT, PING, PONG, CLOSE = (
    Opcode.BINARY, Opcode.TEXT, Opcode.CONT, Opcode.PING, Opcode.PONG, Opcode.CLOSE
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The server."""
    options = {"remote_max_frame": LARGEST, "remote_path": PATH, "use_web_sockets": True}
    site = Site(tmp_path_factory.mktemp("sockets"), LENT, users=("ada", "grace"), **options)
    yield site
    site.close()


@pytest.fixture
def site(place: Site) -> Iterator[Site]:
    """The server, in which nothing may be left afterwards."""
    yield from cleared(place)


@pytest.fixture
def other(site: Site) -> Iterator[Remote]:
    """Somebody else, over TCP."""
    yield from beside(site)


def masked(opcode: Opcode, data: bytes = b"", *, fin: bool = True, first: int = 0) -> bytes:
    """Give a frame of a client; with ``first``, bits of its first byte that are to be another way."""
    made = Frame(opcode, data, fin).serialize(mask=True)
    return bytes((made[0] ^ first,)) + made[1:]


def keeping(what: str, number: int = 10) -> bytes:
    """Give the frame of a request of which the server can be asked afterwards whether it was carried out."""
    return masked(BINARY, asking(pack(what), name="keep", number=number))


WRONG: dict[str, tuple[bytes, int]] = {  # what is said, and the code that the server closes the WebSocket with
    "a text": (masked(TEXT, b"text"), 1003),
    "an empty text": (masked(TEXT), 1003),
    "a text that holds a message": (masked(TEXT, pack({"i": 1, "o": "ping"})), 1007),
    "a text in fragments": (masked(TEXT, b"te", fin=False) + masked(PING) + masked(CONT, b"xt"), 1003),
    "a text that is none": (masked(TEXT, b"\xff"), 1007),
    "an empty message": (masked(BINARY), 1001),
    "what is no message": (masked(BINARY, b"\xc1"), 1001),
    "what is no message, in fragments": (masked(BINARY, b"\x82", fin=False) + masked(CONT, b"\xc1"), 1001),
    "a frame of TCP": (masked(BINARY, packed({"i": 1, "o": "ping"})), 1001),
    "a message that is too large": (b"\x82\xff" + (LARGEST + 1).to_bytes(8, "big") + b"mask", 1009),
    "a message of 2**63 - 1 bytes": (b"\x82\xff" + (2**63 - 1).to_bytes(8, "big") + b"mask", 1009),
    "fragments that are too large": (
        masked(BINARY, b"x" * LARGEST, fin=False) + masked(CONT, b"x", fin=False) + masked(CONT, b""),
        1009,
    ),
    "a frame without a mask": (Frame(BINARY, pack({"i": 1, "o": "ping"})).serialize(mask=False), 1002),
    "a frame of no kind": (masked(BINARY, b"x", first=BINARY ^ 3), 1002),
    "a control frame of no kind": (masked(PING, b"x", first=PING ^ 11), 1002),
    "a bit of an extension": (masked(BINARY, b"x", first=0x40), 1002),
    "a continuation of nothing": (masked(CONT, b"x"), 1002),
    "a message in another": (masked(BINARY, b"x", fin=False) + masked(BINARY, b"x"), 1002),
    "a ping in fragments": (masked(PING, b"x", first=0x80), 1002),
    "a ping that is too large": (b"\x89\xfe\x00\x7emask" + b"x" * 126, 1002),
    "a close": (masked(CLOSE, b"\x03\xe8"), 1000),
    "a close that says nothing": (masked(CLOSE), 1005),
    "a close of one byte": (masked(CLOSE, b"x"), 1002),
    "a close with a code that nobody may send": (masked(CLOSE, b"\x03\xed"), 1002),
    "a close with a reason that is no text": (masked(CLOSE, b"\x03\xe8\xff"), 1007),
    "a close in a message": (masked(BINARY, b"x", fin=False) + masked(CLOSE, b"\x03\xe8"), 1002),
    "bytes of TCP": (frame(pack({"i": 1, "o": "ping"})), 1002),
    "a request of HTTP": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1002),
}


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_frames_that_are_none_and_texts_end_their_session_with_what_is_wrong(
    site: Site, other: Remote, known: bool
) -> None:
    found = {}
    for name, (data, _) in WRONG.items():
        with SocketPeer(site) as peer:
            if known:
                peer.log_in()
                ask(peer, "call", [None, "Cat"], name)
            peer.sock.sendall(data)
            assert peer.closed()
            found[name] = peer.code
            site.until(lambda: len(site.house.sessions) == 1, f"{name} ends the session at once")
    assert found == {name: code for name, (_, code) in WRONG.items()}


@pytest.mark.parametrize(
    "end", ["a text", "a text that is none", "a message that is too large", "a close in a message"]
)
def test_what_comes_after_the_end_is_not_carried_out(site: Site, other: Remote, end: str) -> None:
    data, code = WRONG[end]
    for separately in (False, True):
        with SocketPeer(site) as peer:
            peer.log_in()
            assert ask(peer, "call", [None, "keep"], "before") is None
            if separately:
                peer.sock.sendall(data)
                site.until(lambda: len(site.house.sessions) == 1, "the session ends")
            peer.sock.sendall(keeping("after") if separately else data + keeping("after"))
            assert peer.closed()
            assert peer.code == code
    assert other.kept() == "before"


def test_what_came_before_a_close_is_carried_out(site: Site, other: Remote) -> None:
    with SocketPeer(site) as peer:
        peer.log_in()
        peer.sock.sendall(keeping("last words") + masked(CLOSE, b"\x03\xe8"))
        assert peer.closed()
    assert other.kept() == "last words"


def test_a_message_comes_in_any_fragments_with_other_frames_between(site: Site, other: Remote) -> None:
    body = asking(pack("x" * 200), name="Cat")
    with SocketPeer(site) as peer:
        peer.log_in()
        pieces = [masked(BINARY, fin=False), *(masked(CONT, bytes((each,)), fin=False) for each in body)]
        peer.sock.sendall((masked(PING, b"are you there") + masked(PONG) + masked(CONT, fin=False)).join(pieces))
        peer.sock.sendall(masked(CONT))
        assert borrowed(peer.receive()["v"]) == 1


def test_fragments_without_bytes_are_not_kept(site: Site, other: Remote) -> None:
    with SocketPeer(site) as peer:
        peer.log_in()
        [session] = [each for each in site.sessions() if each.user_id == "ada"]
        peer.sock.sendall(masked(BINARY, fin=False) + masked(CONT, fin=False) * 10_000 + masked(PING, b"last"))
        peer._protocol.receive_data(peer._receive())  # the pong
        assert site.within(lambda: len(session._carrier._channel._fragments)) == 0


@pytest.mark.parametrize("leave", [socket.socket.close, reset, lambda sock: sock.shutdown(socket.SHUT_WR)])
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize(
    "begun",
    [b"", masked(BINARY, b"x" * 5000)[:4000], masked(BINARY, b"x", fin=False), masked(PING, b"x")[:-1], b"\x82"],
)
def test_one_that_leaves_without_a_close_leaves_nothing(
    site: Site, other: Remote, begun: bytes, known: bool, leave: Callable[[socket.socket], None]
) -> None:
    with SocketPeer(site) as peer:
        if known:
            peer.log_in()
            ask(peer, "call", [None, "Cat"], "x")
            peer.send({"i": 10, "o": "call", "t": [None, "nap"], "a": [50]})
        peer.sock.sendall(begun)
        leave(peer.sock)
        site.until(lambda: len(site.house.sessions) == 1, "the session ends")


def test_one_that_never_says_who_it_is_is_closed(site: Site) -> None:
    with SocketPeer(site) as silent, SocketPeer(site) as busy:
        busy.sock.sendall(masked(PING, b"x"))
        assert busy.ask({"i": 1, "o": "hello", "a": [1]})["r"] == 1
        site.advance(GREETING + 0.1)
        for peer in (silent, busy):
            assert peer.closed()
            assert peer.code == 1001


def test_one_that_is_unknown_is_heard_for_no_longer_than_a_greeting(site: Site, other: Remote) -> None:
    hello = {"i": 1, "o": "hello", "a": [1], "x": "x" * GREETING_SIZE}
    for data in (
        masked(BINARY, pack(hello)),  # longer than a greeting
        masked(BINARY, fin=False) + masked(CONT, b"x", fin=False) * (STRANGE // 7),
        masked(PING, b"x" * 100) * (STRANGE // 100),
    ):
        with SocketPeer(site) as peer:
            [session] = [each for each in site.sessions() if each.user_id is None]
            with peer.sending(data):
                assert peer.closed()
            assert peer.code == 1001
            assert type(session.closed) is FramingError


def test_pings_of_one_that_reads_nothing_are_read_no_more_until_it_reads(
    site: Site, other: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SocketPeer(site) as peer:
        peer.log_in()
        cycles = frames_of(site, monkeypatch)
        [session] = [each for each in site.sessions() if each.user_id == "ada"]
        steward = session._carrier._steward
        peer.sock.setblocking(False)
        ping, sent, rest = masked(PING, b"x" * 125), 0, b""
        bound = site.server.built.server.bounds.max_write_buffer
        passed = read = still = 0
        while still < 200:  # cycles in which nothing is read, though something has come
            with contextlib.suppress(BlockingIOError):
                data = rest or ping * 1000
                size = peer.sock.send(data)
                sent, rest = sent + size, data[size:]
            pending, before = site.within(lambda: steward.remoter.pending), read
            read = sum(cycles)
            still = still + 1 if passed and read == before else 0
            assert pending <= bound + 127 * SLICE
            passed = passed or pending > bound
        assert 0 < read < sent // len(ping)
        assert other.add(1, 2) == 3
        peer.sock.setblocking(True)
        rest = rest[: len(rest) % len(ping)]  # whole frames, as it ends
        with peer.sending(rest + masked(PING, b"last")):
            received = b""
            while not received.endswith(b"last"):
                received += peer._receive()
        assert received == Frame(PONG, b"x" * 125).serialize(mask=False) * (-(-sent // len(ping))) + b"\x8a\x04last"


@pytest.mark.parametrize("lent", [True, False], ids=["lent", "events"])
@pytest.mark.parametrize("kind", [PING, PONG, CONT], ids=lambda kind: kind.name)
def test_of_the_smallest_frames_a_slice_is_read_in_a_cycle_and_all_without_more_coming(
    site: Site, other: Remote, lent: bool, kind: Opcode, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = masked(BINARY, fin=False) if kind is CONT else b""
    with SocketPeer(site, PATH if lent else "/websocket") as peer:
        if lent:
            peer.log_in()
        cycles = frames_of(site, monkeypatch)
        peer.sock.sendall(begun + masked(kind, fin=kind is not CONT) * FLOOD + masked(PING, b"last"))
        received = b""
        while not received.endswith(b"last"):
            received += peer._receive()
        assert received.count(b"\x8a") == (FLOOD + 1 if kind is PING else 1)
        assert max(cycles) == SLICE
        assert sum(cycles) == FLOOD + 1 + bool(begun)


def frames_of(site: Site, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give a list of how many frames are read in each cycle from now on."""
    cycles: list[int] = [0]
    server = site.server.built.server
    service, read = server.service, Reading.recv_frame

    def begin() -> None:
        cycles.append(0)
        service()

    def counted(protocol: Reading, frame: Frame) -> None:
        cycles[-1] += 1
        read(protocol, frame)

    monkeypatch.setattr(server, "service", begin)
    monkeypatch.setattr(Reading, "recv_frame", counted)
    return cycles


def test_what_a_client_has_sent_before_it_ends_is_carried_out(site: Site, other: Remote) -> None:
    with SocketPeer(site) as peer:
        peer.log_in()
        asked = b"".join(keeping(f"word {number}", number) for number in range(10, 310))
        peer.sock.sendall(asked)
        peer.sock.shutdown(socket.SHUT_WR)
        site.until(lambda: len(site.house.sessions) == 1, "the session ends")
    assert other.kept() == "word 309"
