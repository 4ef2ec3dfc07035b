"""What TCP's sockets promise that Unix sockets do not, and the other way round."""

import socket

import pytest

from tests.benches import BOTH, READABLE, RESET, WRITABLE, Bench, number, pending


class TcpSuite:
    """The tests for TCP's sockets; a subclass has a fixture ``bench``."""

    # ------------------------------------------------------------ connecting

    def test_each_end_knows_both_addresses(self, bench: Bench) -> None:
        listener = bench.listen()
        ours = bench.connected(listener)
        theirs, address = listener.accept()
        bench.keep(theirs)
        assert address == ours.getsockname() == theirs.getpeername()
        assert ours.getpeername() == theirs.getsockname()
        assert theirs.getsockname()[1] == listener.getsockname()[1]
        assert all(isinstance(each, str) for each in (address[0], ours.getpeername()[0]))

    def test_port_zero_is_any_free_one(self, bench: Bench) -> None:
        listeners = [bench.listen() for _ in range(3)]
        assert len({each.getsockname()[1] for each in listeners}) == 3
        assert all(each.getsockname()[1] for each in listeners)

    def test_a_refused_connection_is_ready_for_anything_and_tells_why_once(self, bench: Bench) -> None:
        ours = bench.keep(bench.here.connect(bench.vacant()))
        bench.until(lambda: bench.ready(ours) == BOTH)
        assert pending(ours) == "ECONNREFUSED"
        assert pending(ours) is None
        assert bench.ready(ours) == BOTH
        assert ours.recv(100) == b""
        assert number(ours.send, b"x") == "EPIPE"

    def test_who_receives_from_a_refused_connection_is_told(self, bench: Bench) -> None:
        ours = bench.keep(bench.here.connect(bench.vacant()))
        bench.until(lambda: bench.ready(ours) == BOTH)
        assert number(ours.recv, 100) == "ECONNREFUSED"
        assert ours.recv(100) == b""
        assert number(ours.send, b"x") == "EPIPE"
        assert number(ours.getpeername) == "ENOTCONN"
        assert number(ours.shutdown, socket.SHUT_WR) == "ENOTCONN"
        assert ours.getsockname()[1] > 0

    def test_who_sends_to_a_refused_connection_is_told(self, bench: Bench) -> None:
        ours = bench.keep(bench.here.connect(bench.vacant()))
        bench.until(lambda: bench.ready(ours) == BOTH)
        assert number(ours.send, b"x") == "ECONNREFUSED"
        assert number(ours.send, b"x") == "EPIPE"
        assert ours.recv(100) == b""

    def test_nothing_can_be_sent_or_received_while_it_connects(self, bench: Bench) -> None:
        ours = self.connecting(bench)
        assert bench.ready(ours) == 0
        assert number(ours.send, b"x") == "EAGAIN"
        assert number(ours.recv, 100) == "EAGAIN"
        assert number(ours.getpeername) == "ENOTCONN"
        assert ours.getsockname()[1] > 0
        assert pending(ours) is None

    def test_to_shut_it_down_while_it_connects_ends_it(self, bench: Bench) -> None:
        ours = self.connecting(bench)
        ours.shutdown(socket.SHUT_WR)
        assert bench.ready(ours) == BOTH
        assert pending(ours) == "ECONNRESET"

    def test_to_close_it_while_it_connects_makes_it_never_have_been(self, bench: Bench) -> None:
        listener = bench.listen()
        ours = bench.connected(listener)
        bench.accept(listener)
        hasty = bench.connect(listener)
        hasty.close()
        bench.settle()
        while bench.ready(listener):  # it was fast enough, as on a loopback it is
            assert bench.piece(bench.accept(listener)) == b""
        bench.give(ours, b"the others do not notice")

    @pytest.mark.parametrize("port", [-1, 0, 65536])
    def test_a_port_that_cannot_be_is_an_error_at_once(self, bench: Bench, port: int) -> None:
        host = bench.reach(bench.listen())[0]
        assert number(bench.here.connect, (host, port)) == "EADDRNOTAVAIL"

    @staticmethod
    def connecting(bench: Bench) -> socket.socket:
        """A connection that stays unanswered, because the listener's queue is full."""
        listener = bench.listen(backlog=0)
        bench.connected(listener)
        ours: socket.socket = bench.connect(listener)
        bench.settle()
        return ours

    # ------------------------------------------------------------ resets

    def test_a_lingering_close_without_time_is_a_reset(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        bench.give(theirs, b"last words")
        bench.abort(theirs)
        assert bench.ready(ours) == BOTH
        assert bench.take(ours, 10) == b"last words"
        assert number(ours.recv, 100) == "ECONNRESET"
        assert ours.recv(100) == b""
        assert number(ours.send, b"x") == "EPIPE"
        assert pending(ours) is None

    def test_who_sends_after_a_reset_is_told_once(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        bench.abort(theirs)
        assert number(ours.send, b"x") == "ECONNRESET"
        assert number(ours.send, b"x") == "EPIPE"
        assert ours.recv(100) == b""

    def test_a_dead_connection_has_no_peer_and_cannot_be_shut_down(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        name = ours.getsockname()
        bench.abort(theirs)
        assert number(ours.getpeername) == "ENOTCONN"
        assert number(ours.shutdown, socket.SHUT_WR) == "ENOTCONN"
        assert ours.getsockname() == name
        assert pending(ours) == "ECONNRESET"  # which these have not told

    def test_a_connection_that_was_reset_before_it_was_accepted_is_accepted(self, bench: Bench) -> None:
        listener = bench.listen()
        ours = bench.connected(listener)
        name = ours.getsockname()
        bench.give(ours, b"hello")
        bench.abort(ours)
        assert bench.ready(listener) == READABLE
        theirs, address = listener.accept()
        bench.keep(theirs).setblocking(False)
        assert address == name
        assert bench.ready(theirs) == BOTH
        assert number(theirs.getpeername) == "ENOTCONN"
        assert bench.take(theirs, 5) == b"hello"
        assert number(theirs.recv, 100) == "ECONNRESET"
        assert theirs.recv(100) == b""

    def test_the_first_write_to_a_closed_peer_succeeds_and_the_next_does_not(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        theirs.close()
        bench.settle()
        assert ours.getpeername()
        assert ours.send(b"x") == 1
        bench.settle()
        assert bench.ready(ours) == BOTH
        assert ours.recv(100) == b""  # the end had come before the reset, and hides it
        assert number(ours.send, b"x") == "EPIPE"
        assert number(ours.send, b"x") == "EPIPE"
        assert pending(ours) is None

    def test_so_error_tells_of_a_reset_that_came_after_the_end(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        theirs.close()
        bench.settle()
        assert pending(ours) is None
        assert ours.send(b"x") == 1
        bench.settle()
        assert pending(ours) == "EPIPE"
        assert pending(ours) is None
        assert number(ours.getpeername) == "ENOTCONN"

    def test_a_reset_after_the_peers_half_close_hides_behind_the_end(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        theirs.shutdown(socket.SHUT_WR)
        bench.settle()
        bench.abort(theirs)
        assert bench.ready(ours) == BOTH
        assert ours.recv(100) == b""
        assert number(ours.send, b"x") == "EPIPE"

    def test_a_reset_reaches_who_sends_no_more(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        ours.shutdown(socket.SHUT_WR)
        bench.settle()
        bench.abort(theirs)
        assert bench.ready(ours) == BOTH
        assert number(ours.recv, 100) == "ECONNRESET"
        assert ours.recv(100) == b""
        assert number(ours.send, b"x") == "EPIPE"

    def test_a_connection_whose_directions_have_both_ended_has_no_peer(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        ours.shutdown(socket.SHUT_WR)
        bench.settle()
        assert ours.getpeername() == theirs.getsockname()
        theirs.shutdown(socket.SHUT_WR)
        bench.settle()
        for sock in (ours, theirs):
            assert number(sock.getpeername) == "ENOTCONN"
            assert number(sock.shutdown, socket.SHUT_WR) == "ENOTCONN"

    def test_who_sends_no_more_is_writable_however_much_is_queued(self, bench: Bench) -> None:
        ours, _ = bench.pair()
        bench.fill(ours)
        assert bench.ready(ours) == 0
        ours.shutdown(socket.SHUT_WR)
        assert bench.ready(ours) == WRITABLE  # which EPIPE is
        assert number(ours.send, b"x") == "EPIPE"

    def test_a_peer_that_closes_takes_nothing_more(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        bench.fill(ours)
        theirs.close()
        bench.until(lambda: bench.ready(ours) == BOTH)
        assert bench.here.queued(ours) > 0  # and never will be taken
        assert pending(ours) == "ECONNRESET"

    def test_options_that_change_nothing_here_can_be_set(self, bench: Bench) -> None:
        ours, _ = bench.pair()
        ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ours.setblocking(False)


class UnixSuite:
    """The tests for Unix sockets; a subclass has a fixture ``bench``."""

    def test_it_is_connected_at_once(self, bench: Bench) -> None:
        listener = bench.listen()
        ours = bench.connect(listener)
        assert bench.ready(ours) == WRITABLE
        assert bench.ready(listener) == READABLE
        assert ours.getpeername() == listener.getsockname() == bench.reach(listener)
        assert ours.getsockname() == ""
        theirs, address = listener.accept()
        bench.keep(theirs)
        assert address == theirs.getpeername() == ""
        assert theirs.getsockname() == listener.getsockname()

    def test_a_path_where_nobody_ever_listened_does_not_exist(self, bench: Bench) -> None:
        assert number(bench.here.connect, bench.vacant()) == "ENOENT"

    def test_a_path_that_nobody_listens_at_any_more_does_not_exist(self, bench: Bench) -> None:
        listener = bench.listen()
        path = bench.reach(listener)
        listener.close()
        assert number(bench.here.connect, path) == "ENOENT"

    def test_a_path_whose_listener_died_refuses_until_it_is_listened_at_again(self, bench: Bench) -> None:
        path = bench.dead()
        assert number(bench.here.connect, path) == "ECONNREFUSED"
        listener = bench.keep(bench.there.listen(path, backlog=5))
        bench.connected(listener)
        bench.accept(listener)

    def test_a_full_queue_refuses(self, bench: Bench) -> None:
        listener = bench.listen(backlog=0)
        bench.connected(listener)
        assert number(bench.connect, listener) == "ECONNREFUSED"
        bench.accept(listener)
        bench.connected(listener)

    def test_no_write_to_a_closed_peer_succeeds(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        theirs.close()
        bench.settle()
        assert bench.ready(ours) == BOTH
        assert [number(ours.send, b"x") for _ in range(2)] == ["EPIPE", "EPIPE"]
        assert ours.recv(100) == b""
        assert pending(ours) is None

    def test_the_reset_is_told_to_who_receives_and_not_to_who_sends(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        bench.give(ours, b"unread")
        theirs.close()
        bench.settle()
        assert number(ours.send, b"x") == "EPIPE"
        assert number(ours.recv, 100) == "ECONNRESET"
        assert ours.recv(100) == b""

    def test_the_reset_is_told_even_after_the_end(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        bench.give(ours, b"unread")
        theirs.shutdown(socket.SHUT_WR)
        bench.settle()
        assert ours.recv(100) == b""
        theirs.close()
        bench.settle()
        assert number(ours.recv, 100) == "ECONNRESET"
        assert ours.recv(100) == b""

    def test_a_connection_whose_peer_is_gone_keeps_its_name(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        name = ours.getpeername()
        theirs.close()
        bench.settle()
        assert ours.getpeername() == name
        ours.shutdown(socket.SHUT_WR)
        assert ours.getpeername() == name

    def test_who_sends_no_more_is_writable_when_the_peer_has_read(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        bench.fill(ours)
        ours.shutdown(socket.SHUT_WR)
        assert bench.ready(ours) == 0
        bench.drain(theirs)
        assert bench.ready(ours) == WRITABLE
        assert number(ours.send, b"x") == "EPIPE"

    def test_linger_means_nothing(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        bench.give(theirs, b"last words")
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        theirs.close()
        bench.settle()
        assert bench.take(ours, 10) == b"last words"
        assert ours.recv(100) == b""
        assert pending(ours) is None

    def test_what_was_sent_is_queued_until_it_was_received(self, bench: Bench) -> None:
        ours, theirs = bench.pair()
        bench.give(ours, b"hello")
        assert bench.here.queued(ours) > 0
        assert bench.take(theirs, 5) == b"hello"
        bench.until(lambda: bench.here.queued(ours) == 0)
