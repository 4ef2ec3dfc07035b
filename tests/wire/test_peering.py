"""Two processes that share a key understand each other; nobody else is believed."""

import itertools
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from totohio.wire.framing import frame
from totohio.wire.peering import NONCE, PeerError, Peering, Role, key_of, pack

KEY = key_of("open sesame")
_numbers = itertools.count(1)


def peering(role: Role, *, key: bytes = KEY, origin: str = "", limit: int = 1000) -> Peering:
    nonce = next(_numbers).to_bytes(NONCE, "big")
    return Peering(role, key=key, origin=origin or role, nonce=nonce, limit=limit)


def read(end: Peering, data: bytes) -> tuple[list[Any], bytes]:
    """What an end understands, and what it answers."""
    messages, answer = [], b""
    for item in end.receive(data):
        if isinstance(item, bytes):
            answer += item
        else:
            messages.append(item)
    return messages, answer


def pair(**options: Any) -> tuple[Peering, Peering]:
    """Two ends that know each other."""
    dialer, acceptor = peering("dialer", **options), peering("acceptor", **options)
    _, answer = read(acceptor, dialer.start())
    opened, proof = read(dialer, answer)
    assert opened == [["open"]]
    assert read(acceptor, proof) == ([["open"]], b"")
    return dialer, acceptor


def test_both_learn_who_the_other_is() -> None:
    dialer, acceptor = pair()
    assert (dialer.state, dialer.peer) == ("open", "acceptor")
    assert (acceptor.state, acceptor.peer) == ("open", "dialer")


def test_messages_go_both_ways_in_pieces_of_any_size() -> None:
    dialer, acceptor = pair()
    data = dialer.seal(pack("event", "a", 1, "x", b"y")) + dialer.seal(pack("beat", {"a": 1}))
    found = [message for byte in data for message in read(acceptor, bytes([byte]))[0]]
    assert found == [["event", "a", 1, "x", b"y"], ["beat", {"a": 1}]]
    assert read(dialer, acceptor.seal(pack("done", 3))) == ([["done", 3]], b"")


def test_the_key_is_never_sent() -> None:
    dialer, acceptor = peering("dialer"), peering("acceptor")
    hello = dialer.start()
    _, answer = read(acceptor, hello)
    _, proof = read(dialer, answer)
    assert KEY not in hello + answer + proof


def test_an_acceptor_with_another_key_is_not_believed() -> None:
    dialer, acceptor = peering("dialer"), peering("acceptor", key=key_of("another"))
    _, answer = read(acceptor, dialer.start())
    with pytest.raises(PeerError, match="another key"):
        read(dialer, answer)
    assert dialer.state == "closed"


def test_a_dialer_with_another_key_is_not_believed() -> None:
    dialer, acceptor = peering("dialer", key=key_of("another")), peering("acceptor")
    read(acceptor, dialer.start())
    dialer._meet(1, "acceptor", dialer._nonce + acceptor._nonce)
    with pytest.raises(PeerError, match="another key"):
        read(acceptor, frame(pack("proof", dialer._proof("dialer"))))
    assert acceptor.state == "closed"


def test_who_only_repeats_what_it_is_told_is_not_believed() -> None:
    dialer = peering("dialer")
    with pytest.raises(PeerError):
        read(dialer, dialer.start())
    first, second = peering("acceptor"), peering("acceptor")
    _, answer = read(first, peering("dialer").start())
    [_, _, _, nonce, proof] = _message(answer)
    read(second, frame(pack("hello", 1, "dialer", nonce)))
    with pytest.raises(PeerError, match="another key"):
        read(second, frame(pack("proof", proof)))


def _message(data: bytes) -> list[Any]:
    from totohio.wire.packing import decode_msgpack

    found: list[Any] = decode_msgpack(data[4:])
    return found


def test_a_conversation_that_was_overheard_opens_nothing_later() -> None:
    dialer, acceptor = peering("dialer"), peering("acceptor")
    hello = dialer.start()
    _, answer = read(acceptor, hello)
    _, proof = read(dialer, answer)
    later = peering("acceptor")
    read(later, hello)
    with pytest.raises(PeerError, match="another key"):
        read(later, proof)


@pytest.mark.parametrize("change", ["flip", "repeat", "swap", "drop", "turn back"])
def test_nobody_between_them_can_change_what_they_say(change: str) -> None:
    dialer, acceptor = pair()
    first, second = dialer.seal(pack("turn", 1, "x", b"")), dialer.seal(pack("turn", 2, "x", b""))
    data = {
        "flip": bytes([*first[:-1], first[-1] ^ 1]),
        "repeat": first + first,
        "swap": second + first,
        "drop": second,
        "turn back": b"",
    }[change]
    end = acceptor
    if change == "turn back":
        end, data = dialer, first
    with pytest.raises(PeerError, match="not the peer's"):
        read(end, data)
    assert end.state == "closed"
    assert read(end, second) == ([], b"")


def test_every_byte_of_a_frame_counts() -> None:
    for place in range(4, 30):
        dialer, acceptor = pair()
        data = bytearray(dialer.seal(pack("turn", 1, "x", b"")))
        if place >= len(data):
            break
        data[place] ^= 0x40
        with pytest.raises(PeerError):
            read(acceptor, bytes(data))


def test_another_version_is_refused() -> None:
    with pytest.raises(PeerError, match="version 2"):
        read(peering("acceptor"), frame(pack("hello", 2, "x", bytes(NONCE))))


def test_a_stranger_may_not_send_much() -> None:
    with pytest.raises(PeerError, match="1025 bytes"):
        read(peering("acceptor"), frame(b"x" * 1025))


def test_a_peer_may_send_no_more_than_was_said() -> None:
    dialer, acceptor = pair(limit=100)
    with pytest.raises(PeerError, match="are allowed"):
        read(acceptor, dialer.seal(pack("event", "a", 1, "x", bytes(700))))


@given(st.lists(st.binary(max_size=60)), st.sampled_from(["dialer", "acceptor"]), st.booleans())
def test_whatever_comes_is_a_message_or_an_error(pieces: list[bytes], role: Role, framed: bool) -> None:
    end = peering(role)
    try:
        for piece in pieces:
            read(end, frame(piece) if framed else piece)
    except PeerError:
        assert end.state == "closed"
    assert end.state != "open"
