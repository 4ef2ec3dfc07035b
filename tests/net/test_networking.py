"""The machine's own sockets, on whatever ports are free and in folders of their own."""

import contextlib
import errno
import os
import select
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.waiting import LONG
from totohio.net.networking import KernelNetwork, is_numeric

# ------------------------------------------------------------ listening sockets


@pytest.fixture
def network() -> KernelNetwork:
    return KernelNetwork()


def test_port_zero_is_a_free_port_of_loopback(network: KernelNetwork) -> None:
    with network.listen(("127.0.0.1", 0), backlog=5) as sock:
        assert sock.getsockname()[1] > 0
        with socket.create_connection(sock.getsockname(), LONG):
            pass


def test_a_port_in_use_is_an_error(network: KernelNetwork) -> None:
    for host in ("127.0.0.1", ""):
        with network.listen((host, 0), backlog=5) as sock, pytest.raises(OSError, match="in use"):
            network.listen((host, sock.getsockname()[1]), backlog=5)


def test_an_empty_host_listens_on_all_interfaces(network: KernelNetwork) -> None:
    with network.listen(("", 0), backlog=5) as sock:
        port = sock.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), LONG):
            pass
        if sock.family == socket.AF_INET6:
            with socket.create_connection(("::1", port), LONG):
                pass


def test_localhost_is_where_ipv4_clients_look_first(network: KernelNetwork) -> None:
    with network.listen(("localhost", 0), backlog=5) as sock:
        assert sock.getsockname()[0] in ("127.0.0.1", "::1")


def test_an_unknown_host_is_an_error(network: KernelNetwork) -> None:
    with pytest.raises(OSError, match=r".+"):
        network.listen(("no-such-host.invalid", 0), backlog=5)


def test_a_unix_socket_has_a_file_while_it_is_open(network: KernelNetwork, tmp_path: Any) -> None:
    path = str(tmp_path / "socket")
    sock = network.listen(path, backlog=5)
    assert os.path.exists(path)
    sock.close()
    sock.close()
    assert not os.path.exists(path)


def test_the_stale_file_of_a_dead_server_is_replaced(network: KernelNetwork, tmp_path: Any) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with network.listen(path, backlog=5), socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


@pytest.mark.parametrize("backlog", [0, 5])
def test_the_socket_of_a_living_server_is_not_taken(network: KernelNetwork, tmp_path: Any, backlog: int) -> None:
    path = str(tmp_path / "socket")
    clients = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    with network.listen(path, backlog=backlog):
        for client in clients:
            client.setblocking(False)
            client.connect_ex(path)  # with no backlog it is full, and who connects would have to wait
        with pytest.raises(OSError, match="in use"):
            network.listen(path, backlog=5)
        assert os.path.exists(path)
    for client in clients:
        client.close()


def test_a_foreign_file_is_left_alone(network: KernelNetwork, tmp_path: Any) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(OSError, match="in use"):
        network.listen(str(path), backlog=5)
    assert path.read_text() == "mine"


def test_a_link_to_elsewhere_is_left_alone(network: KernelNetwork, tmp_path: Any) -> None:
    target = tmp_path / "target"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(target))
    link = tmp_path / "link"
    link.symlink_to(target)
    with pytest.raises(OSError, match="in use"):
        network.listen(str(link), backlog=5)
    assert target.exists()


def test_a_file_that_has_taken_the_place_of_ours_is_left_alone(network: KernelNetwork, tmp_path: Any) -> None:
    path = tmp_path / "socket"
    sock = network.listen(str(path), backlog=5)
    path.rename(tmp_path / "moved")
    path.write_text("foreign")
    sock.close()
    assert path.read_text() == "foreign"


def test_a_folder_that_does_not_exist_is_an_error(network: KernelNetwork, tmp_path: Any) -> None:
    with pytest.raises(FileNotFoundError):
        network.listen(str(tmp_path / "no" / "socket"), backlog=5)


# ------------------------------------------------------------ connecting sockets


@pytest.fixture
def refusing() -> Iterator[tuple[str, int]]:
    """An address that is taken, but where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()


def outcome(sock: socket.socket) -> int:
    """Wait until it is connected or has failed; give the error."""
    assert select.select([], [sock], [], LONG)[1] == [sock]
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


@pytest.mark.parametrize(("host", "at"), [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("::1", "::1")])
def test_it_connects_without_waiting(network: KernelNetwork, host: str, at: str) -> None:
    with network.listen((at, 0), backlog=5) as listener, network.connect((host, listener.getsockname()[1])) as sock:
        assert not sock.getblocking()
        assert outcome(sock) == 0
        peer, _ = listener.accept()
        with peer:
            sock.send(b"hello")
            assert peer.recv(100) == b"hello"


def test_small_pieces_leave_at_once(network: KernelNetwork) -> None:
    with network.listen(("127.0.0.1", 0), backlog=5) as listener, network.connect(listener.getsockname()) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_refused_connection_is_told_of_later(network: KernelNetwork, refusing: tuple[str, int]) -> None:
    with network.connect(refusing) as sock:
        assert outcome(sock) == errno.ECONNREFUSED


@pytest.mark.parametrize("host", ["example.org", "", "no such host", "a\0b", "\udc80", "x" * 300])
def test_no_name_is_looked_up(network: KernelNetwork, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = []
    ask = socket.getaddrinfo

    def note(*args: Any, **options: Any) -> Any:
        flags.append(options["flags"])
        return ask(*args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", note)
    with pytest.raises(OSError, match="neither a numeric address nor localhost"):
        network.connect((host, 80))
    assert flags == [socket.AI_NUMERICHOST | socket.AI_NUMERICSERV]


def test_a_name_has_its_addresses_once_each_in_the_order_of_the_system(
    network: KernelNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    places: list[Any] = [("fe80::1", 80, 0, 3), ("::1", 80, 0, 0), ("127.0.0.1", 80), ("127.0.0.1", 80)]
    found = [(socket.AF_INET6 if len(place) == 4 else socket.AF_INET, 1, 6, "", place) for place in places]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert network.lookup("example.org", 80) == [("fe80::1%3", 80), ("::1", 80), ("127.0.0.1", 80)]


@pytest.mark.parametrize("host", ["a..b", "x" * 300, "a\0b", "\udc80"])
def test_what_cannot_be_a_name_is_one_that_nobody_knows(network: KernelNetwork, host: str) -> None:
    with pytest.raises(OSError, match="is no name of a host"):
        network.lookup(host, 80)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "fe80::1%3"])
def test_a_numeric_host_is_known_without_asking(host: str) -> None:
    assert is_numeric(host)


@pytest.mark.parametrize("host", ["", "example.org", "127.0.0", "local", "::1]"])
def test_any_other_host_is_a_name(host: str) -> None:
    assert not is_numeric(host)


@pytest.mark.parametrize("port", [-1, 0, 65536, 70000])
def test_a_port_that_cannot_be_is_an_error(network: KernelNetwork, port: int) -> None:
    with pytest.raises(OSError, match="is no port"):
        network.connect(("127.0.0.1", port))


def test_it_connects_to_a_path(network: KernelNetwork, tmp_path: Any) -> None:
    path = str(tmp_path / "socket")
    with network.listen(path, backlog=5) as listener, network.connect(path) as sock:
        assert outcome(sock) == 0
        listener.accept()[0].close()


def test_a_path_where_nobody_listens_is_an_error_at_once(network: KernelNetwork, tmp_path: Any) -> None:
    with pytest.raises(FileNotFoundError):
        network.connect(str(tmp_path / "nothing"))
    path = str(tmp_path / "dead")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with pytest.raises(ConnectionRefusedError):
        network.connect(path)
    with pytest.raises(OSError, match="too long"):
        network.connect("x" * 200)


def test_a_path_whose_server_has_a_full_backlog_refuses(network: KernelNetwork, tmp_path: Any) -> None:
    path = str(tmp_path / "socket")
    with network.listen(path, backlog=0):
        socks = [network.connect(path)]
        try:
            with pytest.raises(ConnectionRefusedError, match="queue of connections is full"):
                socks += [network.connect(path) for _ in range(3)]
        finally:
            for sock in socks:
                sock.close()


def test_what_fails_leaves_no_descriptor(network: KernelNetwork, tmp_path: Any) -> None:
    before = os.listdir("/proc/self/fd")
    for address in [
        ("example.org", 80),
        ("127.0.0.1", 0),
        ("255.255.255.255", 80),
        str(tmp_path / "nothing"),
        "x" * 200,
    ]:
        with pytest.raises(OSError, match=r".+"):
            network.connect(address)
    assert len(os.listdir("/proc/self/fd")) == len(before)


# ------------------------------------------------------------ what is known of them


def test_it_knows_what_the_peer_has_not_taken(network: KernelNetwork) -> None:
    with network.listen(("127.0.0.1", 0), backlog=5) as listener, network.connect(listener.getsockname()) as sock:
        assert outcome(sock) == 0
        peer, _ = listener.accept()
        with peer:
            assert network.queued(sock) == 0
            sent = 0
            with contextlib.suppress(BlockingIOError):
                while True:
                    sent += sock.send(bytes(1 << 20))
            assert 0 < network.queued(sock) <= sent
    assert network.queued(sock) == 0  # it is closed
