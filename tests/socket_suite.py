"""What stream sockets promise, and what peers do to them: the same tests for the machine's and the simulated ones.

Left out is what differs from machine to machine: how large buffers are, how many bytes one call takes or gives, how
long the kernel tries, and what becomes of connections beyond the backlog.
"""

import socket
from typing import Any

import pytest

from tests.benches import BOTH, PATTERN, PERIOD, READABLE, RESET, WRITABLE, Bench, number, pending


class SocketSuite:
    """The tests for TCP's and Unix sockets; a subclass has a fixture ``bench``."""

    # ------------------------------------------------------------ connecting and accepting

    def test_a_connection_makes_the_listener_readable_and_its_own_end_writable(self, bench: Bench) -> None:
        listener = bench.listen()
        assert bench.ready(listener) == 0
        assert number(listener.accept) == "EAGAIN"
        ours = bench.connect(listener)
        bench.until(lambda: bench.ready(listener) == READABLE)
        bench.until(lambda: bench.ready(ours) == WRITABLE)
        theirs = bench.accept(listener)
        assert bench.ready(listener) == 0
        assert number(listener.accept) == "EAGAIN"
        assert bench.ready(theirs) == WRITABLE
        assert pending(ours) is None

    def test_connections_are_accepted_in_their_order(self, bench: Bench) -> None:
        listener = bench.listen()
        for letter in (b"a", b"b", b"c"):
            bench.give(bench.connected(listener), letter)
        assert [bench.take(bench.accept(listener), 1) for _ in range(3)] == [b"a", b"b", b"c"]

    def test_a_connection_that_ended_before_it_was_accepted_is_accepted(self, bench: Bench) -> None:
        listener = bench.listen()
        ours = bench.connected(listener)
        bench.give(ours, b"hello")
        ours.close()
        bench.settle()
        theirs = bench.accept(listener)
        assert bench.take(theirs, 5) == b"hello"
        assert bench.piece(theirs) == b""

    def test_a_listener_that_closes_resets_those_that_wait(self, bench: Bench) -> None:
        listener = bench.listen()
        clients = [bench.connected(listener) for _ in range(2)]
        listener.close()
        for ours in clients:
            bench.until(lambda ours=ours: bench.ready(ours) == BOTH)
            assert number(ours.recv, 100) == "ECONNRESET"
            assert ours.recv(100) == b""

    def test_accepted_connections_outlive_their_listener(self, bench: Bench) -> None:
        ours, theirs = bench.pair()  # which closes it
        bench.settle()
        bench.give(ours, b"ping")
        assert bench.take(theirs, 4) == b"ping"
        bench.give(theirs, b"pong")
        assert bench.take(ours, 4) == b"pong"

    def test_an_address_is_in_use_until_its_listener_closes(self, bench: Bench) -> None:
        listener = bench.listen()
        address = listener.getsockname()
        ours = bench.connected(listener)
        theirs = bench.accept(listener)
        assert number(lambda: bench.there.listen(address, backlog=5)) == "EADDRINUSE"
        listener.close()
        again = bench.keep(bench.there.listen(address, backlog=5))
        assert again.getsockname() == address
        bench.give(theirs, b"still")  # the old connection does not mind
        assert bench.take(ours, 5) == b"still"
        bench.connected(again)
        bench.accept(again)

    @pytest.mark.parametrize("backlog", [0, 1, 3])
    def test_one_more_than_the_backlog_may_wait(self, bench: Bench, backlog: int) -> None:
        listener = bench.listen(backlog=backlog)
        for _ in range(backlog + 1):
            bench.connected(listener)
        for _ in range(backlog + 1):
            bench.accept(listener)
        assert number(listener.accept) == "EAGAIN"

    def test_a_closed_listener_can_only_be_closed_again(self, bench: Bench) -> None:
        listener = bench.listen()
        listener.close()
        listener.close()
        assert number(listener.accept) == "EBADF"
        assert number(listener.getsockname) == "EBADF"

    # ------------------------------------------------------------ bytes

    def test_bytes_arrive_in_both_directions(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        assert number(ours.recv, 100) == "EAGAIN"
        assert number(theirs.recv, 100) == "EAGAIN"
        bench.give(ours, b"ping")
        bench.give(theirs, b"pong")
        assert bench.take(theirs, 4) == b"ping"
        assert bench.take(ours, 4) == b"pong"
        assert number(ours.recv, 100) == "EAGAIN"

    def test_what_was_sent_can_be_changed_afterwards(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        buffer = bytearray(b"hello")
        sent = ours.send(buffer)
        with memoryview(b"hello" + buffer)[sent:5] as rest:
            sent += ours.send(rest)
        buffer[:] = b"xxxxx"
        assert bench.take(theirs, sent) == b"hello"[:sent]

    def test_no_more_is_received_than_was_asked_for_and_the_rest_stays(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        bench.give(ours, b"abcdef")
        first = bench.piece(theirs, 2)
        assert 0 < len(first) <= 2
        assert bench.ready(theirs) == BOTH
        assert first + bench.take(theirs, 6 - len(first)) == b"abcdef"
        assert bench.ready(theirs) == WRITABLE

    def test_to_send_nothing_is_no_end(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        assert ours.send(b"") == 0
        bench.settle()
        assert number(theirs.recv, 100) == "EAGAIN"

    def test_a_full_buffer_blocks_until_the_peer_reads(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        size = bench.fill(ours)
        assert bench.ready(ours) == 0
        assert number(ours.send, b"x") == "EAGAIN"
        assert bench.here.queued(ours) > 0
        taken = bytearray()
        while not bench.ready(ours, WRITABLE):
            taken += bench.piece(theirs)
            bench.settle()
        assert len(taken) < size or bench.ready(theirs) == WRITABLE
        ours.close()
        while piece := bench.piece(theirs):
            taken += piece
        assert taken == (PATTERN * (size // len(PATTERN) + 1))[:size]

    def test_what_the_peer_has_taken_is_not_queued(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        assert bench.here.queued(ours) == 0
        bench.give(ours, b"hello")
        assert bench.take(theirs, 5) == b"hello"
        bench.until(lambda: bench.here.queued(ours) == 0)

    # ------------------------------------------------------------ ends

    def test_the_end_comes_after_all_bytes_and_stays(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        bench.give(ours, PATTERN[:PERIOD])
        ours.close()
        assert bench.take(theirs, PERIOD) == PATTERN[:PERIOD]
        bench.until(lambda: bench.ready(theirs, READABLE))
        assert [theirs.recv(100) for _ in range(3)] == [b""] * 3
        assert bench.ready(theirs) == BOTH
        assert pending(theirs) is None

    def test_who_sends_no_more_still_receives(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        bench.give(ours, b"question")
        ours.shutdown(socket.SHUT_WR)
        ours.shutdown(socket.SHUT_WR)
        assert number(ours.send, b"x") == "EPIPE"
        assert bench.ready(ours) == WRITABLE  # which EPIPE is as well
        assert bench.take(theirs, 8) == b"question"
        assert bench.piece(theirs) == b""
        bench.give(theirs, b"answer")
        theirs.close()
        assert bench.take(ours, 6) == b"answer"
        assert bench.piece(ours) == b""

    def test_who_was_accepted_can_be_the_first_to_end(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        theirs.shutdown(socket.SHUT_WR)
        assert bench.piece(ours) == b""
        bench.give(ours, b"all the same")
        assert bench.take(theirs, 12) == b"all the same"
        assert number(theirs.recv, 100) == "EAGAIN"

    def test_a_connection_whose_directions_have_both_ended_is_ready_for_anything(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        ours.shutdown(socket.SHUT_WR)
        theirs.shutdown(socket.SHUT_WR)
        bench.settle()
        for sock in (ours, theirs):
            assert bench.ready(sock) == BOTH
            assert sock.recv(100) == b""
            assert number(sock.send, b"x") == "EPIPE"
            assert pending(sock) is None

    def test_who_shuts_down_receiving_finds_the_end(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        ours.shutdown(socket.SHUT_RD)
        assert bench.ready(ours) == BOTH
        assert ours.recv(100) == b""
        bench.give(ours, b"hello")
        assert bench.take(theirs, 5) == b"hello"

    def test_to_close_with_something_unread_resets_the_peer_after_what_it_was_sent(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        bench.give(ours, b"unread")
        bench.give(theirs, b"last words")
        theirs.close()
        bench.settle()
        assert bench.ready(ours) == BOTH
        assert bench.take(ours, 10) == b"last words"
        assert bench.ready(ours) == BOTH
        assert number(ours.recv, 100) == "ECONNRESET"
        assert ours.recv(100) == b""
        assert number(ours.send, b"x") == "EPIPE"
        assert pending(ours) is None

    def test_so_error_tells_the_error_in_place_of_the_next_call(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        bench.give(ours, b"unread")
        theirs.close()
        bench.settle()
        assert pending(ours) == "ECONNRESET"
        assert pending(ours) is None
        assert bench.ready(ours) == BOTH
        assert ours.recv(100) == b""
        assert number(ours.send, b"x") == "EPIPE"

    def test_what_was_read_does_not_make_a_close_a_reset(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        bench.give(ours, b"read")
        assert bench.take(theirs, 4) == b"read"
        theirs.close()
        bench.settle()
        assert ours.recv(100) == b""
        assert pending(ours) is None

    def test_nothing_can_be_done_with_a_closed_socket(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        bench.give(theirs, b"unread")
        ours.close()
        ours.close()
        assert number(ours.send, b"x") == "EBADF"
        assert number(ours.recv, 100) == "EBADF"
        assert number(ours.getpeername) == "EBADF"
        assert number(ours.getsockname) == "EBADF"
        assert number(ours.getsockopt, socket.SOL_SOCKET, socket.SO_ERROR) == "EBADF"
        assert number(ours.setsockopt, socket.SOL_SOCKET, socket.SO_LINGER, RESET) == "EBADF"
        assert number(ours.shutdown, socket.SHUT_WR) == "EBADF"
        assert bench.here.queued(ours) == 0

    # ------------------------------------------------------------ descriptors

    def test_without_descriptors_a_connection_waits_to_be_accepted(self, bench: Bench) -> None:
        listener = bench.listen()
        ours = bench.connected(listener)
        with bench.exhausted():
            errors = [number(listener.accept) for _ in range(2)]
        assert errors == ["EMFILE", "EMFILE"]
        assert bench.ready(listener) == READABLE
        theirs = bench.accept(listener)
        bench.give(ours, b"hello")
        assert bench.take(theirs, 5) == b"hello"

    def test_without_descriptors_nothing_is_opened(self, bench: Bench) -> None:
        listener = bench.listen()
        address: Any = bench.reach(listener)
        free = bench.free()
        with bench.exhausted():
            errors = [
                number(listener.accept),  # though nobody waits: a descriptor is taken first
                number(bench.here.connect, address),
                number(lambda: bench.there.listen(free, backlog=5)),
            ]
        assert errors == ["EMFILE"] * 3
        bench.connected(listener)
        bench.accept(listener)
