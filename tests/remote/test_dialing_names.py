"""Where a client that does not wait connects to: URLs, names that are looked up, addresses that are tried in turn."""

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.processes import LONG
from tests.remote.support import PASSWORD, PORT, Dialer, Site, empty, enrol, lending, serving
from tests.remote.test_dialing import drive, generator
from totohio import PollingDoist
from totohio.net.linking import CONNECT_TIMEOUT
from totohio.remote import RemoteDoer
from totohio.remote.places import Place, read_place, read_url
from totohio.sim import World, partition, sim
from totohio.sim.worlding import Script


def work(dialer: Dialer) -> Script:
    yield dialer.doer.ready
    return (yield dialer.doer.remote.add(1, 2))


def tasks(world: World, dialer: Dialer) -> list[Any]:
    """Give what the worker threads of a client have done."""
    return [entry[3] for entry in world.trace.entries if entry[1:3] == (dialer.host.name, "task")]


# ---------------------------------------------------------------- URLs


@pytest.mark.parametrize(
    ("url", "address", "secure", "web"),
    [
        ("totohio://example.org", ("example.org", 8890), False, False),
        ("totohio://127.0.0.1:1", ("127.0.0.1", 1), False, False),
        ("totohio+tls://[::1]:99", ("::1", 99), True, False),
        ("ws://example.org/lend", ("example.org", 80), False, True),
        ("wss://example.org/lend?a=b", ("example.org", 443), True, True),
        ("wss://example.org:8888/lend", ("example.org", 8888), True, True),
    ],
)
def test_a_url_says_where_and_how(url: str, address: Any, secure: bool, web: bool) -> None:
    assert read_url(url) == read_place(url, secure=secure) == Place(url, address, secure, web)


def test_an_address_or_a_path_is_as_good_as_a_url() -> None:
    assert read_place(("::1", 5), secure=True).url == "totohio+tls://[::1]:5"
    assert read_place(("host", 5), secure=False).url == "totohio://host:5"
    path = read_place("/run/lend", secure=False)
    assert (path.address, path.host) == ("/run/lend", "localhost")


@pytest.mark.parametrize("url", ["http://x", "totohio://", "ws://", "wss://x/#a", "://x"])
def test_what_is_no_such_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="is no URL such as"):
        RemoteDoer(url, user_id="ada", password="x")


@pytest.mark.parametrize("where", [("x", 0), ("x", -1), ("x", 65536), "totohio://x:65536", "ws://x:no/", "wss://x:-1"])
def test_what_is_no_port_is_refused_at_once(where: Any) -> None:
    with pytest.raises(ValueError, match=r"[Pp]ort"):
        RemoteDoer(where, user_id="ada", password="x")


def test_certificates_are_not_for_urls_without_tls() -> None:
    with pytest.raises(ValueError, match="without TLS"):
        read_place("totohio://127.0.0.1", secure=True)
    with pytest.raises(ValueError, match="without TLS"):
        read_place("ws://127.0.0.1/lend", secure=True)


# ---------------------------------------------------------------- in a simulated world


@sim(seeds=5, faults="sunny")
def test_addresses_are_tried_in_turn_until_one_answers(world: World) -> None:
    server, dead = lending(world), lending(world, name="dead")
    enrol(world, server)
    dead.kill()  # its host is there, and refuses
    silent = lending(world, name="silent")
    addresses = [(host, PORT) for host in ("10.9.9.9", dead.address, silent.address, server.address)]
    dialer = Dialer(world, server, address=("service", PORT), known={"service": addresses})
    with world.net.rule(partition(dialer.host, silent)):
        began = world.tyme
        assert dialer.run(work(dialer)) == 3
    assert world.tyme - began < CONNECT_TIMEOUT
    assert dialer.doer.url == f"totohio://service:{PORT}"


@sim(seeds=3, faults="sunny")
def test_addresses_of_which_none_answers_have_one_timeout_together(world: World) -> None:
    server = lending(world)
    others = [lending(world, name=f"other_{number}") for number in range(4)]
    known = {"service": [(host.address, PORT) for host in others]}
    dialer = Dialer(world, server, address=("service", PORT), known=known)
    with world.net.rule(partition(dialer.host)):
        began = world.tyme
        with pytest.raises(TimeoutError, match="no connection"):
            dialer.run(work(dialer))
    assert CONNECT_TIMEOUT * 0.9 < world.tyme - began < CONNECT_TIMEOUT * 1.1
    assert dialer.doer.poller._watched == {}


@sim(seeds=5, faults="sunny")
def test_a_name_that_takes_too_long_is_given_up_and_asked_for_again(world: World) -> None:
    server = lending(world)
    enrol(world, server)
    world.takes("SimNetwork.lookup", 15.0)
    once = Dialer(world, server, name="once")
    with pytest.raises(TimeoutError, match="no address of server within 10 seconds"):
        once.run(work(once))
    again = Dialer(world, server, name="again", reconnect=True)
    world.run(60.0)
    assert not again.doer.ready.done()
    assert tasks(world, once) == ["SimNetwork.lookup"]
    assert 3 <= len(tasks(world, again)) <= 10
    world.takes("SimNetwork.lookup", 1.0)
    assert again.run(work(again)) == 3


@sim(seeds=3, faults="sunny")
def test_lookups_that_hang_do_not_queue_up(world: World) -> None:
    server = lending(world)
    enrol(world, server)
    world.takes("SimNetwork.lookup", 100.0)
    dialer = Dialer(world, server, reconnect=True)
    world.run(350.0)
    world.takes("SimNetwork.lookup", 1.0)
    assert dialer.run(work(dialer)) == 3
    assert len(tasks(world, dialer)) <= 11  # of its two threads; it has tried twice as often


@sim(seeds=5, faults="sunny")
def test_a_name_that_nobody_knows_yet_may_be_known_later(world: World) -> None:
    other = lending(world, name="other")
    once = Dialer(world, other, name="once", address=("server", PORT))
    again = Dialer(world, other, name="again", address=("server", PORT), reconnect=True)
    with pytest.raises(socket.gaierror, match="there is no host server"):
        once.run(work(once))
    world.run(20.0)
    enrol(world, lending(world))
    assert again.run(work(again)) == 3


@pytest.mark.parametrize("host", ["server", "address"])
@sim(seeds=2, faults="sunny")
def test_only_a_name_costs_a_thread(world: World, host: str) -> None:
    server = lending(world, hmac_enabled=True)
    enrol(world, server)
    session = world.call(server, "account.login", {"user_id": "ada", "password": PASSWORD})
    known = {"session_id": session["session_id"], "session_key": session["key"]}
    dialer = Dialer(world, server, address=(getattr(server, "address" if host == "address" else "name"), PORT), **known)
    assert dialer.run(work(dialer)) == 3
    assert tasks(world, dialer) == ([] if host == "address" else ["SimNetwork.lookup"])


@sim(seeds=10, faults="sunny")
def test_a_doer_that_ends_while_a_name_is_looked_up_hears_of_it_no_more(world: World) -> None:
    server = lending(world)
    enrol(world, server)
    world.takes("SimNetwork.lookup", 5.0)
    dialer = Dialer(world, server)
    process = dialer.host.process
    assert process is not None
    world.run(3.0)
    process.do(dialer.doer.exit)
    world.run(20.0)
    assert tasks(world, dialer) == ["SimNetwork.lookup"]
    assert not [entry for entry in world.trace.entries if entry[1:3] == (dialer.host.name, "connect")]
    assert empty(server)


# ---------------------------------------------------------------- over real sockets


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server that lends."""
    with serving(tmp_path_factory.mktemp("names")) as site:
        yield site


def test_the_cycle_goes_on_while_a_name_is_looked_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    found, ask = threading.Event(), socket.getaddrinfo
    threads = []

    def slow(host: Any, port: Any, **options: Any) -> Any:
        if host != "lender.invalid":
            return ask(host, port, **options)
        threads.append(threading.get_ident())
        assert found.wait(LONG)
        stream = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(socket.AF_INET6, *stream, ("::1", port, 0, 0)), (socket.AF_INET, *stream, ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    port = int(site.url.rpartition(":")[2])
    doer = RemoteDoer(f"totohio://lender.invalid:{port}", user_id="ada", password=PASSWORD)
    doist = PollingDoist(doers=[doer])
    doist.enter()
    try:
        future = doer.spawn(generator(doer))
        for _ in range(100):
            doist.recur()
        assert not doer.ready.done()
        found.set()
        drive(doist, doer, future.done)
    finally:
        found.set()
        doist.exit()
    assert future.result() == [2.0, "tom greets you", 2, "raised"]
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    site.until(lambda: not site.house.sessions, "the session is gone")


def test_a_path_of_a_unix_socket_needs_no_name(tmp_path: Path) -> None:
    doer = RemoteDoer(str(tmp_path / "nothing"), user_id="ada", password="x")
    doist = PollingDoist(doers=[doer])
    doist.enter()
    assert isinstance(doer.ready.exception(), FileNotFoundError)
    doist.exit()
