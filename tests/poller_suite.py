"""What a poller promises: the same tests for the kernel's and the simulated one."""

import socket

import pytest

from tests.benches import BOTH, ENDED, READABLE, WRITABLE, Bench, Watcher


class PollerSuite:
    """The tests; a subclass has a fixture ``bench``."""

    def test_readiness_is_told_again_until_it_is_over(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        poller = bench.poller()
        poller.register(ours, READABLE, Watcher())
        assert bench.found(poller) == 0
        bench.give(theirs, b"hello")
        assert [bench.found(poller) for _ in range(3)] == [READABLE] * 3
        assert bench.drain(ours) == b"hello"
        assert bench.found(poller) == 0
        bench.give(theirs, b"hello")
        assert bench.found(poller) == READABLE

    def test_it_tells_when_the_peer_has_made_room(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        bench.fill(ours)
        poller = bench.poller()
        poller.register(ours, WRITABLE, Watcher())
        assert bench.found(poller) == 0

        def read() -> int:
            bench.drain(theirs)
            return bench.found(poller)

        bench.until(lambda: read() == WRITABLE)

    def test_what_a_socket_is_watched_for_can_change(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        poller = bench.poller()
        bench.give(theirs, b"hello")
        poller.register(ours, READABLE, Watcher())
        for mask in (BOTH, WRITABLE, READABLE):
            poller.modify(ours, mask, Watcher())
            assert bench.found(poller) == mask

    def test_who_is_told_can_change(self, bench: Bench) -> None:
        ours, _ = bench.pair()
        poller = bench.poller()
        first, second = Watcher(), Watcher()
        poller.register(ours, WRITABLE, first)
        poller.modify(ours, WRITABLE, second)
        assert (second, WRITABLE) in poller.ready()
        assert (first, WRITABLE) not in poller.ready()

    def test_it_tells_only_of_what_is_watched_for(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        bench.give(ours, b"unread")
        theirs.close()  # with a reset, after which everything is ready
        bench.settle()
        poller = bench.poller()
        poller.register(ours, WRITABLE, Watcher())
        assert bench.found(poller) == WRITABLE
        poller.modify(ours, READABLE, Watcher())
        assert bench.found(poller) == READABLE

    def test_all_that_are_ready_are_told_of(self, bench: Bench) -> None:
        poller = bench.poller()
        watchers = [Watcher() for _ in range(5)]
        pairs = [bench.pair() for _ in watchers]
        for (ours, theirs), watcher in zip(pairs, watchers, strict=True):
            poller.register(ours, READABLE, watcher)
            bench.give(theirs, b"hello")
        bench.drain(pairs[2][0])
        found = [attendant for attendant, _ in poller.ready() if isinstance(attendant, Watcher)]
        assert sorted(map(watchers.index, found)) == [0, 1, 3, 4]

    def test_what_is_not_watched_any_more_is_not_told_of(self, bench: Bench) -> None:
        ours, _ = bench.pair()
        poller = bench.poller()
        for mask in (BOTH, 0):
            poller.register(ours, mask, Watcher())
            poller.unregister(ours)
            poller.unregister(ours)
            assert bench.found(poller) == 0

    def test_a_closed_socket_is_not_told_of(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        poller = bench.poller()
        poller.register(ours, BOTH, Watcher())
        poller.register(theirs, 0, Watcher())
        theirs.close()
        ours.close()
        bench.settle()
        assert bench.found(poller) == 0

    def test_a_socket_cannot_be_watched_twice_nor_changed_when_it_is_not_watched(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        poller = bench.poller()
        poller.register(ours, READABLE, Watcher())
        with pytest.raises(KeyError):
            poller.register(ours, READABLE, Watcher())
        with pytest.raises(KeyError):
            poller.modify(theirs, READABLE, Watcher())
        theirs.close()
        with pytest.raises(ValueError, match=r".+"):
            poller.register(theirs, READABLE, Watcher())

    # ------------------------------------------------------------ watched for nothing but the end

    def test_who_watches_for_nothing_is_told_once_of_the_end_and_once_of_the_hang_up(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        poller = bench.poller()
        poller.register(ours, 0, Watcher())
        bench.give(theirs, b"hello")
        assert bench.found(poller) == 0
        theirs.shutdown(socket.SHUT_WR)
        bench.settle()
        assert [bench.found(poller) for _ in range(3)] == [ENDED, 0, 0]
        bench.abort(theirs)
        assert [bench.found(poller) for _ in range(3)] == [ENDED, 0, 0]
        assert bench.drain(ours) == b"hello"

    def test_a_hang_up_that_comes_with_the_end_is_told_once(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        poller = bench.poller()
        bench.give(ours, b"unread")
        poller.register(ours, 0, Watcher())
        theirs.close()
        bench.settle()
        assert [bench.found(poller) for _ in range(3)] == [ENDED, 0, 0]

    def test_to_send_no_more_after_the_peers_end_is_a_hang_up(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        poller = bench.poller()
        poller.register(ours, 0, Watcher())
        theirs.shutdown(socket.SHUT_WR)
        bench.settle()
        assert bench.found(poller) == ENDED
        ours.shutdown(socket.SHUT_WR)
        bench.settle()
        assert [bench.found(poller) for _ in range(3)] == [ENDED, 0, 0]

    def test_who_begins_to_watch_for_nothing_is_told_of_what_was_before(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        poller = bench.poller()
        theirs.close()
        bench.settle()
        poller.register(ours, 0, Watcher())
        assert [bench.found(poller) for _ in range(2)] == [ENDED, 0]
        poller.modify(ours, 0, Watcher())
        assert [bench.found(poller) for _ in range(2)] == [ENDED, 0]
        poller.modify(ours, READABLE, Watcher())
        assert [bench.found(poller) for _ in range(2)] == [READABLE] * 2
        poller.modify(ours, 0, Watcher())
        assert [bench.found(poller) for _ in range(2)] == [ENDED, 0]

    def test_to_change_a_socket_to_nothing_begins_to_watch_it(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        poller = bench.poller()
        poller.modify(ours, 0, Watcher())
        assert bench.found(poller) == 0
        theirs.close()
        bench.settle()
        assert bench.found(poller) == ENDED

    # ------------------------------------------------------------ waking and closing

    def test_it_can_be_woken(self, bench: Bench) -> None:
        poller = bench.poller()
        bench.woken(poller)  # a new one may be awake
        assert not bench.woken(poller)
        poller.wake()
        assert bench.woken(poller)
        assert not bench.woken(poller)

    def test_to_wake_it_often_is_to_wake_it_once(self, bench: Bench) -> None:
        poller = bench.poller()
        bench.woken(poller)
        for _ in range(1000):
            poller.wake()
        assert bench.woken(poller)
        assert not bench.woken(poller)

    def test_a_closed_poller_knows_nothing_and_can_be_used_again(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        poller = bench.poller()
        poller.register(ours, BOTH, Watcher())
        poller.register(theirs, 0, Watcher())
        poller.close()
        poller.close()
        poller.unregister(ours)
        poller.wake()
        assert bench.found(poller) == 0
        poller.register(ours, BOTH, Watcher())
        assert bench.found(poller) == WRITABLE
        poller.register(theirs, 0, Watcher())
        ours.close()
        bench.settle()
        assert bench.found(poller) == ENDED
