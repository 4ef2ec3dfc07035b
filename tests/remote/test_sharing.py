"""A session that several threads share, where one of them can send no more, or callables call each other for ever."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.processes import LONG, until
from tests.remote.support import LENT, Site, serving
from totohio.base.futures import CancelledError
from totohio.remote import DisconnectedError, Remote
from totohio.remote.carrying import SocketCarrier
from totohio.wire.framing import Framer, frame

LENT_GATE = """

@lend
def wait():
    GATE.wait(60)
    SEEN.append("free")


@lend(thread=True)
def flood(callback, size):
    for _ in range(8):
        callback(bytes(size))
"""
MANY = bytes(50_000_000)  # more than there is room for between a client and a server that does not read


@pytest.fixture(params=["tcp", "tls", "websocket"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, tls: Any) -> Iterator[tuple[Site, dict[str, Any]]]:
    """A server that can be made to read nothing, and how it is reached."""
    options, who = tls if request.param == "tls" else ({}, {})
    with serving(tmp_path, LENT + LENT_GATE, remote_path="/lend", remote_max_frame=1 << 26, **options) as site:
        if request.param == "websocket":
            who = {"url": site.server.url.replace("http", "ws") + "/lend"}
        try:
            yield site, who
        finally:
            site.module.GATE.set()


class Stuck:
    """A session one of whose threads is stuck in sending.

    Attributes:
        ends: What that thread gets.
    """

    def __init__(self, site: Site, remote: Remote) -> None:
        self.ends: list[BaseException | None] = []
        self._gate = site.module.GATE
        self._send = remote.echo
        remote.later(remote.wait)()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        until(lambda: remote._sending, "it is stuck")

    def _run(self) -> None:
        try:
            self._send(MANY)
        except BaseException as error:
            self.ends.append(error)
        else:
            self.ends.append(None)

    def join(self) -> BaseException | None:
        """Wait until the thread is done, and give what it got."""
        self._thread.join(LONG)
        assert not self._thread.is_alive()
        return self.ends[0]

    def free(self) -> None:
        """Let the server read."""
        self._gate.set()


def test_a_thread_that_is_stuck_in_sending_keeps_no_other_from_anything(shop: Any) -> None:
    site, who = shop
    with site.connect(**who, timeout=1e7) as remote:  # which is longer than poll(2) can wait
        first, second = remote.later(remote.nap)(1e6), remote.later(remote.nap)(1e6)
        stuck = Stuck(site, remote)
        assert not first.done()
        with pytest.raises(TimeoutError):
            first.result(0.01)
        first.cancel()
        with pytest.raises(CancelledError):
            first.result()
        assert not second.done()
        assert not stuck.ends  # which would have let the others go on
        assert not site.module.SEEN
        stuck.free()
        assert stuck.join() is None
        assert remote.add(1, 2) == 3


def test_a_session_can_be_closed_while_a_thread_is_stuck_in_sending(shop: Any) -> None:
    site, who = shop
    remote = site.connect(**who)
    stuck = Stuck(site, remote)
    remote.close()
    error = stuck.join()
    assert isinstance(error, DisconnectedError)
    assert "it was closed" in str(error)
    assert not site.module.SEEN


@pytest.mark.parametrize("shop", ["websocket"], indirect=True)
def test_a_websocket_whose_server_takes_nothing_any_more_is_given_up(shop: Any) -> None:
    site, who = shop
    remote = site.connect(**who, timeout=1.0)
    stuck = Stuck(site, remote)
    assert isinstance(stuck.join(), (DisconnectedError, TimeoutError))
    assert not site.module.SEEN
    remote.close()


def test_what_several_threads_send_at_once_comes_whole_and_what_the_server_sends_meanwhile_too(shop: Any) -> None:
    site, who = shop
    with site.connect(**who) as remote:
        echo, flood, seen = remote.echo, remote.flood, list[int]()
        data = bytes(range(256)) * 12_000

        def work(number: int) -> bool:
            if number == 0:
                flood(lambda piece: seen.append(len(piece)), 1_000_000)
                return True
            return all(echo(data) == data for _ in range(3)) and echo(number) == number

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(work, range(4)))
        assert seen == [1_000_000] * 8


def test_more_than_there_is_room_for_goes_both_ways_at_once(shop: Any) -> None:
    site, who = shop
    with site.connect(**who) as remote:
        echo, data = remote.later(remote.echo), bytes(range(256)) * 12_000
        laters = [echo(data) for _ in range(12)]
        assert all(later.result(LONG) == data for later in laters)


def test_calls_that_another_thread_has_to_send_wait_until_it_does(shop: Any) -> None:
    site, who = shop
    with site.connect(**who) as remote:
        add = remote.later(remote.add)
        stuck = Stuck(site, remote)
        calls: list[Any] = []
        thread = threading.Thread(target=lambda: calls.extend(add(number, 1) for number in range(200)))
        thread.start()
        until(lambda: remote._waiting or not thread.is_alive(), "it waits")
        assert len(remote._carrier.outs) < 100
        stuck.free()
        thread.join(LONG)
        assert [call.result(LONG) for call in calls] == list(range(1, 201))
        assert stuck.join() is None


def test_what_comes_while_a_thread_sends_is_received_in_its_order_by_another() -> None:
    here, there = socket.socketpair()
    with there:
        carrier = SocketCarrier(here, LONG)
        sender = threading.Thread(target=lambda: carrier.send(MANY))
        sender.start()
        for number in range(3):
            there.sendall(frame(b"%d" % number))
            until(lambda number=number: len(carrier._came) > number, "it has come")
        assert carrier.receive(LONG) == [b"0", b"1", b"2"]
        left = len(frame(MANY))
        while left:
            left -= len(there.recv(1 << 20))
        sender.join(LONG)
        assert not sender.is_alive()
        with carrier._receiving:  # as somebody has who sends
            assert carrier.receive(None) == carrier.receive(0.0) == []
        carrier.close()


def test_nothing_comes_into_the_midst_of_a_message_that_is_sent_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = socket.socketpair()
    with there:
        carrier = SocketCarrier(here, LONG)
        put = carrier._put

        def piece(data: bytes) -> int:
            monkeypatch.undo()
            carrier.post(b"of another thread")
            return put(data[:7])

        monkeypatch.setattr(carrier, "_put", piece)
        carrier.post(b"in two pieces")
        carrier.post(b"the last")
        carrier.flush()
        assert Framer(100).frames(there.recv(100)) == [b"in two pieces", b"of another thread", b"the last"]
        carrier.close()


@pytest.mark.parametrize("more", range(12))  # each call takes about as many frames of the stack
def test_callables_that_call_each_other_for_ever_are_a_recursion_error_and_the_session_goes_on(
    remote: Remote, more: int
) -> None:
    apply = remote.apply

    def down(number: int) -> Any:
        return apply(down, number + 1)

    def deeper(count: int, step: Callable[[], Any]) -> Any:
        return step() if count == 0 else deeper(count - 1, step)

    with pytest.raises(RecursionError, match="nested too deeply"):
        deeper(more, lambda: apply(down, 0))
    assert remote.add(1, 2) == 3
    assert apply(lambda number: number + 1, 1) == 2


def test_callables_may_call_each_other_fifty_deep(remote: Remote) -> None:
    def down(number: int) -> Any:
        return remote.apply(down, number - 1) + 1 if number else 0

    assert down(50) == 50
