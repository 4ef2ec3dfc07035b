"""The server over TLS: handshakes, bytes that TLS holds back, and proper goodbyes."""

import contextlib
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.net.conftest import MakeWorld
from tests.support import Client, World, request_bytes

HOST = "totohio.test"
MANY = 5000  # cycles in which a handshake or a reply has happened
CALL = request_bytes("POST", "/echo", b'{"a": 1}')


class Nonblocking:
    """A TLS socket that says that it would block as plain sockets do."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.sock = sock
        self.farewell = False  # the server has said that this was all, as TLS wants it said

    def setblocking(self, flag: bool) -> None:
        self.sock.setblocking(flag)

    def send(self, data: Any) -> int:
        try:
            return self.sock.send(data[:16384])
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def recv(self, size: int) -> bytes:
        try:
            data = self.sock.recv(size)  # an end without a goodbye is an error
        except ssl.SSLWantReadError:
            raise BlockingIOError from None
        self.farewell = not data
        return data

    def close(self) -> None:
        self.sock.close()


class Authority:
    """Certificates for one test."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        leaf = self.ca.issue_cert(HOST)
        leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
        self.ca.cert_pem.write_to_path(str(folder / "ca.pem"))
        self.certfile = str(folder / "server.pem")
        self.cafile = str(folder / "ca.pem")

    def context(self, *, known: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        if known:
            self.ca.issue_cert("client.test").configure_cert(context)
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def handshake(world: World, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Connect and shake hands.

    Raises:
        OSError: One of the two refuses.
    """
    plain = socket.create_connection(world.address, 5)
    sock = context.wrap_socket(plain, server_hostname=HOST, do_handshake_on_connect=False, suppress_ragged_eofs=False)
    sock.setblocking(False)
    for _ in range(MANY):
        try:
            sock.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            world.step()
        except OSError:
            sock.close()
            raise
        else:
            return sock
    sock.close()
    raise AssertionError("the handshake never ends")


def secure(world: World, context: ssl.SSLContext) -> Client:
    """A client over TLS."""
    client = Client(world, Nonblocking(handshake(world, context)))  # type: ignore[arg-type]
    world.clients.append(client)
    return client


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_calls_are_answered_over_tls(world: MakeWorld, authority: Authority, version: ssl.TLSVersion) -> None:
    server = world(certfile=authority.certfile)
    context = authority.context()
    context.maximum_version = version
    client = secure(server, context)
    for number in range(5):
        assert client.call("echo", {"n": number}) == {"result": {"n": number}}
    assert server.server.url.startswith("https://")


def test_large_bodies_go_both_ways(world: MakeWorld, authority: Authority) -> None:
    server = world(certfile=authority.certfile)
    client = secure(server, authority.context())
    text = "x" * (5 << 20)
    for _ in range(2):
        assert client.call("echo", {"text": text}) == {"result": {"text": text}}


def test_a_pipeline_of_large_replies_arrives_whole(world: MakeWorld, authority: Authority) -> None:
    server = world(certfile=authority.certfile)
    client = secure(server, authority.context())
    sizes = [3_000_000, 10, 70_000, 2_000_000, 1, 1_100_000]
    client.send(b"".join(request_bytes("POST", "/fill", b'{"size": %d}' % size) for size in sizes))
    server.step(50)
    assert [len(client.reply().json()["result"]) for _ in sizes] == sizes


def test_what_tls_has_decrypted_already_is_not_forgotten(world: MakeWorld, authority: Authority) -> None:
    server = world(certfile=authority.certfile)
    client = secure(server, authority.context())
    client.send(b"".join([CALL] * 500))  # several requests a record, several records a receive
    for _ in range(500):
        assert client.reply().json() == {"result": {"a": 1}}


def test_a_request_that_comes_along_with_the_end_of_the_handshake_is_answered(
    world: MakeWorld, authority: Authority
) -> None:
    server = world(certfile=authority.certfile)
    plain = socket.create_connection(server.address, 5)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = authority.context().wrap_bio(incoming, outgoing, server_hostname=HOST)
    plain.setblocking(False)
    for _ in range(MANY):
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            plain.sendall(outgoing.read())
            server.step()
            with contextlib.suppress(BlockingIOError):
                incoming.write(plain.recv(65536))
    tls.write(CALL)
    plain.sendall(outgoing.read())  # the last flight of the handshake and the request in one
    got = b""
    for _ in range(MANY):
        server.step()
        with contextlib.suppress(BlockingIOError):
            incoming.write(plain.recv(65536))
        with contextlib.suppress(ssl.SSLWantReadError):
            got += tls.read(65536)
        if b'{"a":1}' in got:
            break
    plain.close()
    assert b'{"a":1}' in got


def test_a_handshake_that_never_comes_is_ended(world: MakeWorld, authority: Authority) -> None:
    server = world(certfile=authority.certfile, handshake_timeout=10, idle_timeout=1000)
    silent = server.connect()
    slow = server.connect()
    slow.send(b"\x16\x03\x01")
    server.step(5)
    server.advance(9.0)
    assert len(server.stewards) == 2
    server.advance(2.0)
    silent.wait_closed()
    slow.wait_closed()
    assert server.stewards == []


def test_a_finished_handshake_is_followed_by_idle_timeout(world: MakeWorld, authority: Authority) -> None:
    server = world(certfile=authority.certfile, handshake_timeout=1, idle_timeout=10)
    client = secure(server, authority.context())
    server.advance(9.0)
    assert client.call("echo", {"a": 1}) == {"result": {"a": 1}}
    server.advance(11.0)
    client.wait_closed()


GARBAGE = [CALL, b"\x00" * 100, b"\x16\x03\x01\xff\xff" + b"\xff" * 300, b"\x80\x2e\x01\x00\x02"]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_instead_of_a_handshake_ends_only_that_connection(
    world: MakeWorld, authority: Authority, garbage: bytes
) -> None:
    server = world(certfile=authority.certfile, handshake_timeout=10)
    other = secure(server, authority.context())
    client = server.connect()
    client.send(garbage)
    server.step(5)
    server.advance(11.0)
    assert len(server.stewards) == 1
    assert other.call("echo", {"a": 1}) == {"result": {"a": 1}}


def test_a_client_that_leaves_during_the_handshake_ends_only_that_connection(
    world: MakeWorld, authority: Authority
) -> None:
    server = world(certfile=authority.certfile)
    for leave in ("close", "abort"):
        for data in (b"", b"\x16\x03\x01\x02\x00\x01"):
            client = server.connect()
            client.send(data)
            server.step(2)
            getattr(client, leave)()
            server.clients.remove(client)
    for _ in range(MANY):
        if not server.stewards:
            break
        server.step()
    assert server.stewards == []
    assert secure(server, authority.context()).call("echo", {"a": 1}) == {"result": {"a": 1}}


def test_handshakes_that_are_never_finished_make_room(world: MakeWorld, authority: Authority) -> None:
    server = world(certfile=authority.certfile, max_connections=3)
    for _ in range(3):
        server.connect()
    server.step(5)
    server.advance(1.0)
    assert secure(server, authority.context()).call("echo", {"a": 1}) == {"result": {"a": 1}}


def test_the_end_is_said_as_tls_wants_it(world: MakeWorld, authority: Authority) -> None:
    server = world(certfile=authority.certfile)
    for data in (
        request_bytes("POST", "/echo", b"{}", headers={"Connection": "close"}),
        b"NONSENSE\r\n\r\n",
        request_bytes("POST", "/fill", b'{"size": 3000000}', headers={"Connection": "close"}),
    ):
        client = secure(server, authority.context())
        client.send(data)
        client.wait_closed()
        assert client.replies[0].done
        assert client.sock.farewell  # type: ignore[attr-defined]


def test_clients_without_a_certificate_are_refused_where_one_is_wanted(world: MakeWorld, authority: Authority) -> None:
    server = world(certfile=authority.certfile, cafile=authority.cafile)
    assert secure(server, authority.context(known=True)).call("echo", {"a": 1}) == {"result": {"a": 1}}
    try:
        stranger = secure(server, authority.context())
    except OSError:
        return
    stranger.send(CALL)  # with TLS 1.3 the client only learns it now
    stranger.wait_closed()
    assert stranger.replies == []


def test_a_client_that_does_not_read_is_cut_off_over_tls_too(world: MakeWorld, authority: Authority) -> None:
    server = world(certfile=authority.certfile, write_timeout=10)
    client = secure(server, authority.context())
    client.send(request_bytes("POST", "/fill", b'{"size": 20000000}'))
    server.step(20)
    server.advance(9.0)
    assert len(server.stewards) == 1
    for _ in range(20):  # what the kernel still moves, later on a busy machine, counts as reading
        server.advance(11.0)
    assert server.stewards == []


def test_a_draining_server_answers_over_tls(world: MakeWorld, authority: Authority) -> None:
    server = world(certfile=authority.certfile)
    client = secure(server, authority.context())
    client.send(request_bytes("POST", "/nap", b'{"seconds": 1}'))
    server.step(5)
    server.server.drain()
    reply = client.reply()
    assert reply.json() == {"result": "slept"}
    assert reply.header("Connection") == "close"
    client.wait_closed()
