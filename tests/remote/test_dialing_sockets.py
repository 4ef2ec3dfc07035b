"""A client that does not wait, through WebSockets and TLS, by URL."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from tests.processes import LONG
from tests.remote.support import PASSWORD, Dialer, Site, empty, enrol, house_of, lending, serving
from tests.remote.test_dialing import coroutine, drive, generator
from totohio import Future, PollingDoist, TotoException
from totohio.base.doing import Doer
from totohio.base.errors import TotohioError
from totohio.remote import DisconnectedError, RemoteDoer
from totohio.remote.tunnelling import NotLendingError, Tunnel
from totohio.sim import World
from totohio.sim.worlding import Script
from totohio.wire.lending import LendingError

ALLOWED = {"websockets"}  # the package draws its masks itself
URL = "ws://server:8888/lend"
LIMIT = 1000  # bytes


# ---------------------------------------------------------------- bytes


def begun(limit: int = LIMIT) -> tuple[Tunnel, ServerProtocol]:
    """Give both ends of a WebSocket."""
    tunnel, server = Tunnel(URL, limit), ServerProtocol()
    server.receive_data(tunnel.take())
    [request] = server.events_received()
    assert isinstance(request, Request)
    assert request.path == "/lend"
    server.send_response(server.accept(request))
    assert not tunnel.open
    assert tunnel.received(said(server)) == []
    assert tunnel.open
    return tunnel, server


def said(server: ServerProtocol) -> bytes:
    return b"".join(server.data_to_send())


def test_messages_go_both_ways_whatever_the_pieces() -> None:
    tunnel, server = begun()
    server.receive_data(tunnel.pack([b"one", b"two"]))
    assert [event.data for event in server.events_received() if isinstance(event, Frame)] == [b"one", b"two"]
    server.send_binary(b"whole")
    server.send_binary(b"in ", fin=False)
    server.send_continuation(b"", fin=False)
    server.send_ping(b"here?")
    server.send_continuation(b"pieces", fin=True)
    server.send_binary(b"")
    data, found = said(server), []
    for place in range(len(data)):
        found += tunnel.received(data[place : place + 1])
    assert found == [b"whole", b"in pieces", b""]


def test_a_ping_is_answered() -> None:
    tunnel, server = begun()
    server.send_ping(b"here?")
    assert tunnel.received(said(server)) == []
    server.receive_data(tunnel.take())
    [pong] = server.events_received()
    assert (pong.opcode, pong.data) == (Opcode.PONG, b"here?")  # type: ignore[union-attr]


def test_a_close_is_answered_after_what_came_before_it() -> None:
    tunnel, server = begun()
    server.send_binary(b"last")
    server.send_close(1001, "the session has ended")
    assert tunnel.received(said(server)) == [b"last"]
    assert tunnel.closed is not None
    assert "the session has ended" in tunnel.closed
    server.receive_data(tunnel.take())
    assert server.close_rcvd is not None
    assert server.close_rcvd.code == 1001
    assert tunnel.leave() == b""
    with pytest.raises(ConnectionResetError, match="the session has ended"):
        tunnel.pack([b"late"])


def test_it_says_goodbye() -> None:
    tunnel, server = begun()
    server.receive_data(tunnel.leave())
    assert server.close_rcvd is not None
    assert server.close_rcvd.code == 1000
    with pytest.raises(ConnectionResetError, match="it was left"):
        tunnel.pack([b"late"])


@pytest.mark.parametrize("pieces", [1, 2, 50])
def test_a_message_has_a_bound_however_many_its_pieces(pieces: int) -> None:
    for size, fits in ((LIMIT, True), (LIMIT + pieces, False)):
        tunnel, server = begun()
        part = b"x" * (size // pieces)
        server.send_binary(part, fin=pieces == 1)
        for number in range(1, pieces):
            server.send_continuation(part, fin=number == pieces - 1)
        if fits:
            assert tunnel.received(said(server)) == [b"x" * LIMIT]
        else:
            with pytest.raises(LendingError, match="breaks the protocol"):
                tunnel.received(said(server))
            server.receive_data(tunnel.take())
            assert server.close_rcvd is not None
            assert server.close_rcvd.code == 1009


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"\xff\xff", 1002), (Frame(Opcode.TEXT, b"text").serialize(mask=False), 1003), (b"\x82\x80    ", 1002)],
)
def test_what_is_no_message_ends_it_and_the_server_is_told_why(data: bytes, code: int) -> None:
    tunnel, server = begun()
    with pytest.raises(LendingError):
        tunnel.received(data)
    server.receive_data(tunnel.take())
    assert server.close_rcvd is not None
    assert server.close_rcvd.code == code


@pytest.mark.parametrize(
    ("status", "kind"),
    [(b"404 Not Found", NotLendingError), (b"200 OK", NotLendingError), (b"503 Busy", OSError), (b"429 Busy", OSError)],
)
def test_a_reply_that_opens_none_says_whether_to_come_again(status: bytes, kind: type[OSError]) -> None:
    tunnel = Tunnel(URL)
    with pytest.raises(ConnectionRefusedError, match=status.decode()) as caught:
        tunnel.received(b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\nno" % status)
    assert isinstance(caught.value, NotLendingError) is (kind is NotLendingError)


@given(st.binary(max_size=200), st.booleans(), st.integers(1, 50))
def test_any_bytes_are_messages_or_an_error(data: bytes, opened: bool, size: int) -> None:
    tunnel = begun()[0] if opened else Tunnel(URL)
    try:
        for place in range(0, len(data), size):
            tunnel.received(data[place : place + size])
            tunnel.take()
            if tunnel.closed is not None:
                return
    except (OSError, TotohioError):
        tunnel.take()


# ---------------------------------------------------------------- in a simulated world


def run_world(seed: int) -> list[Any]:
    """Have a client lose its server, come back, and end; give what has happened, but for what was masked by chance."""
    with World(seed, faults="sunny", allow=ALLOWED) as world:
        server = lending(world, database="lmdb", remote_path="/lend")
        enrol(world, server)
        dialer = Dialer(world, server, address=f"ws://server:{server.port}/lend", reconnect=True)
        doer = dialer.doer

        def script() -> Script:
            for _ in range(2):
                yield doer.ready
                tom = yield doer.fetch(doer.remote.tom)
                assert (yield tom.greet()) == "tom greets you"
                assert (yield doer.remote.apply(lambda n: n + 1, 1)) == 2
                assert len((yield doer.remote.echo("x" * 500_000))) == 500_000
                nap = doer.remote.nap(1000)
                yield 1.0
                server.kill()
                with pytest.raises(DisconnectedError):
                    yield nap
                yield 1.0
                server.start()
            yield doer.ready
            yield 200.0  # nothing is said, but for who is there
            return (yield doer.remote.add(1, 2))

        assert dialer.run(script()) == 3
        assert len(house_of(server).sessions) == 1
        assert dialer.host.process is not None
        dialer.host.process.do(doer.exit)
        world.run(1.0)
        assert empty(server)
        assert doer.poller._watched == {}  # type: ignore[attr-defined]
        return [entry[:5] for entry in world.trace.entries]


def test_the_same_is_spoken_over_a_simulated_websocket_again_and_again() -> None:
    assert run_world(1) == run_world(1)


@pytest.mark.parametrize("path", ["/lend", "/other"])
def test_a_path_without_a_websocket_is_asked_once(path: str) -> None:
    with World(0, faults="sunny", allow=ALLOWED) as world:
        server = lending(world, remote_path="/lend")
        dialer = Dialer(world, server, address=f"ws://server:{server.port}{path}", reconnect=True)

        def script() -> Script:
            with pytest.raises(NotLendingError if path == "/other" else TotoException):
                yield dialer.doer.ready

        dialer.run(script())
        world.run(100.0)
        connects = [entry for entry in world.trace.entries if entry[1:3] == (dialer.host.name, "connect")]
        assert len(connects) == 1


def test_a_session_too_many_is_asked_for_again() -> None:
    with World(0, faults="sunny", allow=ALLOWED) as world:
        server = lending(world, remote_path="/lend", remote_max_sessions=1)
        enrol(world, server)
        url = f"ws://server:{server.port}/lend"
        first = Dialer(world, server, name="first", address=url)
        world.run_until(first.doer.ready.done, 10.0)
        second = Dialer(world, server, name="second", address=url, reconnect=True)
        world.run(5.0)
        assert not second.doer.ready.done()
        first.host.kill()
        world.run_until(second.doer.ready.done, 60.0)
        assert second.doer.user_id == "ada"


# ---------------------------------------------------------------- over real sockets


def run(site: Site, url: str, script: Any, **more: Any) -> Any:
    """Run a script in a program of its own."""
    doer = RemoteDoer(url, user_id="ada", password=PASSWORD, **more)
    doist = PollingDoist(doers=[doer])
    doist.enter()
    try:
        future = doer.spawn(script(doer))
        drive(doist, doer, future.done)
    finally:
        doist.exit()
    site.until(lambda: not site.house.sessions, "the session is gone")
    return future.result()


async def echo(doer: RemoteDoer) -> int:
    await doer.ready
    return len(await doer.remote.echo("x" * 900_000))


def test_the_same_is_spoken_over_a_websocket(tmp_path: Path) -> None:
    with serving(tmp_path, remote_path="/lend") as site:
        for url in (site.url, site.server.url.replace("http", "ws") + "/lend"):
            assert run(site, url, generator) == [2.0, "tom greets you", 2, "raised"]
            assert run(site, url, coroutine)[1] == 250
            assert run(site, url, echo) == 900_000


def test_the_same_is_spoken_over_tls_by_those_who_trust_the_certificate(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    contexts = []
    for each in (authority, stranger):
        contexts.append(ssl.create_default_context())
        each.configure_trust(contexts[-1])
    with serving(tmp_path, certfile=str(tmp_path / "server.pem"), remote_path="/lend") as site:
        urls = (site.url, site.server.url.replace("https", "wss") + "/lend")
        assert [url.partition(":")[0] for url in urls] == ["totohio+tls", "wss"]
        for url in urls:
            assert run(site, url, generator, context=contexts[0]) == [2.0, "tom greets you", 2, "raised"]
            assert run(site, url, echo, context=contexts[0]) == 900_000
            for wrong in ({"context": contexts[1]}, {"context": contexts[0], "server_hostname": "example.org"}, {}):
                with pytest.raises(ssl.SSLCertVerificationError):  # which ends it, however often it would come again
                    run(site, url, generator, reconnect=True, **wrong)


def dialed(scheme: str, serve: Callable[[socket.socket], Any]) -> tuple[Any, BaseException]:
    """Have a client dial a server of the test's own; give what that has found, and why there is no session."""
    found = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            sock, _ = listener.accept()
            sock.settimeout(LONG)
            with sock:
                found.append(serve(sock))

        thread = threading.Thread(target=accept)
        thread.start()
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}{'/lend' if scheme.startswith('ws') else ''}"
        doer = RemoteDoer(url, user_id="ada", password=PASSWORD, reconnect=True)
        doist = PollingDoist(doers=[doer])
        doist.enter()
        try:
            drive(doist, doer, doer.ready.done)
        finally:
            doist.exit()
        thread.join(LONG)
    error = doer.ready.exception()
    assert error is not None
    return found[0], error


@pytest.mark.parametrize(
    ("data", "code"), [(Frame(Opcode.TEXT, b"text").serialize(mask=False), 1003), (b"\xff\xff", 1002)]
)
def test_a_server_that_says_what_is_no_message_is_told_so_before_the_connection_ends(data: bytes, code: int) -> None:
    def serve(sock: socket.socket) -> int | None:
        server = ServerProtocol()
        while received := sock.recv(65536):
            server.receive_data(received)
            for event in server.events_received():
                if isinstance(event, Request):
                    server.send_response(server.accept(event))
                    sock.sendall(said(server) + data)
        return None if server.close_rcvd is None else server.close_rcvd.code

    assert dialed("ws", serve)[0] == code


@pytest.mark.parametrize(
    ("data", "what"), [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"), (b"\x15\x03\x03\x00\x02\x02\x46", "TLS")]
)
def test_who_speaks_something_else_is_recognised_and_not_asked_again(data: bytes, what: str) -> None:
    def serve(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(data)
        with contextlib.suppress(ConnectionResetError):
            sock.recv(65536)

    _, error = dialed("totohio", serve)
    assert isinstance(error, NotLendingError)
    assert str(error) == f"{what} is spoken there"


def test_a_server_whose_certificate_is_not_trusted_is_told_so_before_the_connection_ends() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    def serve(sock: socket.socket) -> str:
        try:
            context.wrap_socket(sock, server_side=True)
        except OSError as error:
            return str(error)
        return "nothing"

    heard, error = dialed("wss", serve)
    assert isinstance(error, ssl.SSLCertVerificationError)
    assert "alert unknown ca" in heard


class Until(Doer):
    """Ends a Doist when something is done."""

    def __init__(self, done: Callable[[], bool]) -> None:
        super().__init__()
        self._done = done

    def recur(self, tyme: float) -> bool:
        if self._done():
            raise KeyboardInterrupt
        return False


def test_a_server_that_ends_and_is_started_again_has_its_client_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites: list[Site] = []
    waits: list[float | None] = []

    def start(**options: Any) -> Site:
        folder = tmp_path / str(len(sites))
        folder.mkdir()
        sites.append(Site(folder, **options))
        return sites[-1]

    doer = RemoteDoer(start().url, user_id="ada", password=PASSWORD, reconnect=True)
    wait = doer.poller.wait
    monkeypatch.setattr(doer.poller, "wait", lambda seconds: (waits.append(seconds), wait(seconds)))

    def script() -> Script:
        yield doer.ready
        tom = yield doer.fetch(doer.remote.tom)
        assert (yield tom.greet()) == "tom greets you"
        sites[0].close()
        while doer.user_id is not None:
            yield 0.01
        with pytest.raises(DisconnectedError):
            tom.greet()
        waits.clear()
        yield 0.3
        assert 1 <= len(waits) < 50  # each for as long as nothing is to be done
        start(remote_port=int(doer.url.rpartition(":")[2]))
        yield doer.ready
        return (yield doer.remote.add(1, 2))

    futures: list[Future[Any]] = []
    doist = PollingDoist(doers=[doer, Until(lambda: futures[0].done())], limit=LONG)
    try:
        futures.append(doer.spawn(script()))
        doist.do()
        assert futures[0].result() == 3
        sites[1].until(lambda: not sites[1].house.sessions, "the session is gone")
    finally:
        for site in sites:
            site.close()
