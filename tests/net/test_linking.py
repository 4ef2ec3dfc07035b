"""Outbound connections, over sockets that do what the test says."""

import errno
import math
from typing import Any

import pytest

from tests.net.scripted import Notes, ScriptedNetwork, ScriptedPoller, ScriptedSocket, failure
from totohio.net.linking import READ_SIZE, WRITE_SIZE, Link, place

ADDRESS = ("10.0.0.1", 80)


class Bench:
    """A Link on a scripted socket."""

    def __init__(self, **options: Any) -> None:
        self.network = ScriptedNetwork()
        self.poller = ScriptedPoller()
        self.owner = Notes()
        self.link = Link(network=self.network, poller=self.poller, address=ADDRESS, owner=self.owner, **options)  # type: ignore[arg-type]

    @property
    def sock(self) -> ScriptedSocket:
        return self.network.socks[0]

    def establish(self) -> "Bench":
        self.link.open(0.0)
        self.sock.established = True
        self.poller.look()
        assert self.owner.told == ["opened"]
        self.owner.told.clear()
        return self

    def look(self, count: int = 1) -> list[Any]:
        """Have the poller look so many times, and give what the owner was told."""
        for _ in range(count):
            self.poller.look()
        told, self.owner.told = self.owner.told, []
        return told

    def gone(self) -> bool:
        return self.link.closed and self.sock.closed and not self.poller.watched


@pytest.fixture
def bench() -> Bench:
    return Bench().establish()


# ------------------------------------------------------------ connecting


def test_it_is_open_once_its_socket_is_writable() -> None:
    bench = Bench()
    bench.link.open(0.0)
    assert bench.look() == []
    assert not bench.link.connected
    bench.sock.established = True
    assert bench.look() == ["opened"]
    assert bench.link.connected
    assert bench.link.due == math.inf
    assert bench.look(5) == []


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.ETIMEDOUT, errno.EHOSTUNREACH])
def test_it_is_lost_when_it_cannot_connect_and_says_why_and_where(number: int) -> None:
    bench = Bench()
    bench.link.open(0.0)
    bench.sock.error = number
    assert bench.look(3) == ["lost"]
    assert bench.owner.error is not None
    assert bench.owner.error.errno == number
    assert "10.0.0.1:80" in str(bench.owner.error)
    assert bench.gone()


def test_connecting_is_given_up_when_its_time_is_over() -> None:
    bench = Bench(timeout=5.0)
    bench.link.open(100.0)
    assert bench.link.due == 105.0
    bench.link.service(104.9)
    assert bench.look() == []
    bench.link.service(105.0)
    assert bench.look() == ["lost"]
    assert isinstance(bench.owner.error, TimeoutError)
    assert "no connection to 10.0.0.1:80 within 5 seconds" in str(bench.owner.error)
    assert bench.gone()
    bench.link.service(200.0)
    assert bench.look() == []


def test_a_connection_that_stands_has_no_timeout(bench: Bench) -> None:
    bench.link.service(1e9)
    assert not bench.link.closed


def test_a_timeout_of_zero_leaves_it_to_the_network() -> None:
    bench = Bench(timeout=0.0)
    bench.link.open(0.0)
    assert bench.link.due == math.inf


@pytest.mark.parametrize("when", ["connect", "register"])
def test_what_fails_at_once_is_raised_and_leaves_nothing(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()

    def fail(*args: Any) -> None:
        raise failure(errno.ENOSPC)

    if when == "connect":
        bench.network.refuses = failure(errno.ENOSPC)
    else:
        monkeypatch.setattr(bench.poller, "register", fail)
    with pytest.raises(OSError, match="space"):
        bench.link.open(0.0)
    assert bench.link.closed
    assert all(sock.closed for sock in bench.network.socks)
    assert bench.owner.told == []


def test_what_is_sent_before_it_is_open_goes_when_it_is() -> None:
    bench = Bench()
    bench.link.open(0.0)
    bench.link.send(b"hello ")
    bench.link.send(b"world")
    assert bench.link.pending == 11
    bench.sock.established = True
    assert bench.look() == ["opened", "drained"]
    assert bench.sock.sent == b"hello world"


# ------------------------------------------------------------ sending


def test_what_the_socket_takes_goes_at_once(bench: Bench) -> None:
    bench.link.send(b"hello")
    assert bench.sock.sent == b"hello"
    assert bench.link.pending == 0
    assert bench.look(3) == []


def test_what_the_socket_does_not_take_goes_later_in_order(bench: Bench) -> None:
    bench.sock.room = 3
    bench.link.send(b"hello ")
    bench.link.send(b"world")
    assert bench.link.pending == 8
    assert bench.look(3) == []
    bench.sock.room = 4
    assert bench.look(3) == []
    bench.sock.room, bench.sock.share = 100, 2
    assert bench.look(10) == ["drained"]
    assert bench.sock.sent == b"hello world"


def test_nobody_asks_for_room_when_nothing_is_pending(bench: Bench) -> None:
    assert bench.poller.watched[bench.sock][0] == 1
    bench.sock.room = 0
    bench.link.send(b"x")
    assert bench.poller.watched[bench.sock][0] == 3
    bench.sock.room = 1
    bench.look()
    assert bench.poller.watched[bench.sock][0] == 1


def test_a_large_message_does_not_hold_a_cycle(bench: Bench) -> None:
    data = bytes(3 * WRITE_SIZE)
    bench.link.send(data)
    assert len(bench.sock.sent) == WRITE_SIZE
    assert bench.look() == []
    assert len(bench.sock.sent) == 2 * WRITE_SIZE
    assert bench.look() == ["drained"]
    assert bench.sock.sent == data


def test_what_waits_is_bounded_and_the_connection_lives_on() -> None:
    bench = Bench(max_pending=10).establish()
    bench.sock.room = 0
    bench.link.send(bytes(10))
    with pytest.raises(BufferError, match="10 bytes"):
        bench.link.send(b"x")
    bench.sock.room = 100
    assert bench.look() == ["drained"]
    bench.link.send(b"x")
    assert bench.sock.sent == bytes(10) + b"x"


def test_what_the_peer_had_sent_is_received_even_when_nothing_can_be_sent_any_more(bench: Bench) -> None:
    bench.sock.incoming += [b"a last ", b"word", b""]
    bench.sock.broken = errno.EPIPE
    bench.link.send(b"hello?")
    assert bench.owner.told == []
    assert bench.link.broken is not None
    bench.link.send(b"hello??")
    assert bench.look(4) == ["received", "received", "lost"]
    assert bench.owner.data == b"a last word"
    assert isinstance(bench.owner.error, BrokenPipeError)
    assert bench.gone()


def test_a_connection_that_breaks_when_the_peer_has_ended_already_is_lost(bench: Bench) -> None:
    bench.sock.incoming.append(b"")
    assert bench.look() == ["ended"]
    bench.sock.broken = errno.EPIPE
    bench.link.send(b"hello?")
    assert bench.look(2) == ["lost"]
    assert bench.gone()


def test_the_rest_is_dropped_when_a_send_breaks_later(bench: Bench) -> None:
    bench.sock.room = 0
    bench.link.send(b"hello")
    bench.sock.broken = errno.ECONNRESET
    bench.sock.incoming.append(b"")
    assert bench.look(2) == ["lost"]
    assert isinstance(bench.owner.error, ConnectionResetError)


# ------------------------------------------------------------ receiving


def test_it_receives_a_bounded_amount_in_a_cycle(bench: Bench) -> None:
    bench.sock.incoming.append(bytes(READ_SIZE + 5))
    assert bench.look() == ["received"]
    assert len(bench.owner.data) == READ_SIZE
    assert bench.look(3) == ["received"]
    assert len(bench.owner.data) == READ_SIZE + 5


def test_a_peer_that_sends_no_more_may_still_be_sent_to(bench: Bench) -> None:
    bench.sock.incoming += [b"bye", b""]
    assert bench.look(5) == ["received", "ended"]
    assert bench.link.ended
    bench.link.send(b"still here")
    assert bench.sock.sent == b"still here"
    assert bench.look(5) == []


def test_a_reset_loses_it(bench: Bench) -> None:
    bench.sock.incoming += [b"half", errno.ECONNRESET]
    assert bench.look(5) == ["received", "lost"]
    assert isinstance(bench.owner.error, ConnectionResetError)
    assert bench.gone()


def test_a_spurious_readiness_is_nothing(bench: Bench) -> None:
    bench.link.attend(1)
    assert bench.look() == []


def test_what_comes_while_it_is_paused_comes_when_it_goes_on(bench: Bench) -> None:
    bench.link.pause()
    bench.sock.incoming += [b"one", b""]
    assert bench.look(3) == []
    bench.link.resume()
    assert bench.look(3) == ["received", "ended"]


@pytest.mark.parametrize("paused", [True, False])
def test_a_peer_that_is_gone_is_noticed_while_nothing_is_received(bench: Bench, paused: bool) -> None:
    if paused:
        bench.link.pause()
    else:
        bench.sock.incoming.append(b"")
        assert bench.look() == ["ended"]
    bench.sock.error = errno.ECONNRESET
    assert bench.look(3) == ["lost"]
    assert isinstance(bench.owner.error, ConnectionResetError)


# ------------------------------------------------------------ ending


def test_a_shutdown_comes_after_what_is_pending(bench: Bench) -> None:
    bench.sock.room = 2
    bench.link.send(b"hello")
    bench.link.shutdown()
    assert not bench.sock.finished
    with pytest.raises(BrokenPipeError, match="was shut down"):
        bench.link.send(b"more")
    bench.sock.room = 100
    assert bench.look(3) == ["drained"]
    assert bench.sock.finished
    assert bench.sock.sent == b"hello"
    bench.sock.incoming += [b"reply", b""]
    assert bench.look(3) == ["received", "ended"]


def test_a_shutdown_while_it_connects_comes_after_what_was_sent() -> None:
    bench = Bench()
    bench.link.open(0.0)
    bench.link.send(b"hello")
    bench.link.shutdown()
    bench.sock.established = True
    assert bench.look(2) == ["opened", "drained"]
    assert bench.sock.sent == b"hello"
    assert bench.sock.finished


def test_an_abort_is_a_reset_and_a_close_is_none() -> None:
    for end, reset in ((Link.abort, True), (Link.close, False)):
        bench = Bench().establish()
        end(bench.link)
        end(bench.link)
        assert bench.sock.reset is reset
        assert bench.gone()
        bench.link.send(b"nobody hears")
        bench.link.shutdown()
        bench.link.pause()
        bench.link.attend(7)
        assert bench.owner.told == []


def test_a_link_that_was_never_opened_can_be_closed() -> None:
    bench = Bench()
    bench.link.abort()
    assert bench.link.closed
    assert bench.network.socks == []


@pytest.mark.parametrize("word", ["opened", "received", "drained", "ended", "lost"])
def test_the_owner_may_close_it_whatever_it_is_told(word: str) -> None:
    bench = Bench()
    bench.owner.react[word] = bench.link.close
    bench.link.open(0.0)
    bench.link.send(b"x")
    if word == "drained":
        bench.owner.react["opened"] = lambda: (setattr(bench.sock, "room", 0), bench.link.send(b"y"))
    bench.sock.established = True
    told = bench.look()
    if not bench.link.closed:
        bench.sock.room = 100
        bench.sock.incoming += [b"z", b""] if word != "lost" else [errno.ECONNRESET]
    told += bench.look(5)
    assert told[-1] == word  # and nothing after it
    assert bench.gone()


def test_an_address_is_written_as_people_do() -> None:
    assert place(("::1", 80)) == "[::1]:80"
    assert place(("10.0.0.1", 80)) == "10.0.0.1:80"
    assert place("/run/socket") == "/run/socket"
