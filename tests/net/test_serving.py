"""The server as a whole: where it listens, whom it lets in, and how it ends."""

import os
import socket
from typing import Any

import pytest
from hio.base import doing

from tests.net.conftest import MakeWorld
from tests.net.conversing import CALL, HOLD, answers, await_count, call_bytes, held
from tests.support import Client, World, request_bytes
from totohio import TotoServer
from totohio.net.polling import PollingDoist

HAS_IPV6 = socket.has_ipv6 and os.path.exists("/proc/net/if_inet6")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# ------------------------------------------------------------ listening


def test_port_zero_takes_a_free_port(world: MakeWorld) -> None:
    server = world(port=0)
    assert server.address[0] == "127.0.0.1"
    assert server.address[1] > 0
    assert server.server.url == f"http://127.0.0.1:{server.address[1]}"
    assert answers(server.connect())


@pytest.mark.parametrize("make", [doing.Doist, PollingDoist])
def test_a_port_in_use_is_an_error_and_leaves_nothing_open(world: MakeWorld, make: Any) -> None:
    server = world()
    before = descriptors()
    other = TotoServer(method_module=server.package, port=server.address[1], log_level="error")
    doist = make(doers=other.doers, real=True)
    with pytest.raises(OSError, match="in use"):
        doist.do()
    assert descriptors() == before
    assert answers(server.connect())


def test_it_can_listen_again_after_its_end(world: MakeWorld) -> None:
    server = world()
    client = server.connect()
    assert answers(client)
    server.doist.exit()
    client.wait_closed()
    server.doist.enter()
    assert answers(server.connect())


def test_listening_anew_while_it_listens_keeps_it_reachable(world: MakeWorld) -> None:
    server = world()
    old = server.connect()
    assert answers(old)
    server.server.built.server.reopen()
    assert answers(server.connect())
    assert answers(old)


@pytest.mark.skipif(not HAS_IPV6, reason="the machine has no IPv6")
def test_ipv6_is_served(world: MakeWorld) -> None:
    server = world({"who": "def invoke(handler, parameters):\n    return handler.request.remote_ip\n"}, host="::1")
    assert server.server.url == f"http://[::1]:{server.address[1]}"
    assert server.connect().call("who") == {"result": "::1"}


def test_an_empty_host_serves_all_interfaces(world: MakeWorld) -> None:
    server = world(host="")
    port = server.address[1]
    for host in ["127.0.0.1", *(["::1"] if HAS_IPV6 else [])]:
        client = Client(server, socket.create_connection((host, port), 5))
        server.clients.append(client)
        assert answers(client)


def test_a_unix_socket_is_served(world: MakeWorld, tmp_path: Any) -> None:
    path = tmp_path / "socket"
    server = world(uds=str(path))
    first, second = server.connect(), server.connect()
    for client in (first, second, first):
        assert answers(client)
    assert len(server.stewards) == 2
    assert server.server.url == f"unix:{path}"
    server.doist.exit()
    assert not path.exists()


def test_the_unix_socket_of_a_dead_server_is_replaced_and_a_foreign_file_is_not(
    world: MakeWorld, tmp_path: Any
) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert answers(world(uds=str(path)).connect())
    foreign = tmp_path / "foreign"
    foreign.write_text("mine")
    with pytest.raises(OSError, match="in use"):
        world(uds=str(foreign))
    assert foreign.read_text() == "mine"


# ------------------------------------------------------------ storms


def test_clients_that_connect_and_reset_are_survived(world: MakeWorld) -> None:
    server = world()
    for turn in range(200):
        client = server.connect()
        if turn % 3:
            client.send(CALL[: turn % len(CALL)])
        client.abort()
        server.clients.remove(client)
        if turn % 7 == 0:
            server.step()
    await_count(server, 0)
    assert answers(server.connect())


def test_more_connections_than_one_cycle_accepts_are_all_served(world: MakeWorld) -> None:
    server = world()
    clients = [server.connect() for _ in range(150)]
    for client in clients:
        client.send(CALL)
    for client in clients:
        assert client.reply().json() == {"result": {"a": 1}}
    assert server.server.built.server.connections == 150


@pytest.mark.expects_errors
def test_a_fault_of_ours_in_one_connection_ends_only_that_one(world: MakeWorld, monkeypatch: Any) -> None:
    server = world()
    good, bad = server.connect(), server.connect()
    assert answers(good)
    assert answers(bad)
    broken = server.stewards[1]

    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(broken, "advance", fail)
    bad.send(CALL)
    bad.wait_closed()
    assert answers(good)
    assert len(server.stewards) == 1


# ------------------------------------------------------------ the end


def drain(world: World) -> None:
    """Ask it to end, and let it learn that."""
    world.server.drain()
    world.step()


def ended(world: World) -> bool:
    return not world.doist.deeds


def test_a_server_without_work_drains_at_once(world: MakeWorld) -> None:
    server = world()
    idle = server.connect()
    assert answers(idle)
    drain(server)
    assert ended(server)
    idle.wait_closed()
    assert not idle.reset
    with pytest.raises(ConnectionRefusedError):
        server.connect()


def test_a_draining_server_answers_what_is_under_way_and_refuses_new_connections(world: MakeWorld) -> None:
    server = world(drain_timeout=10)
    idle = server.connect()
    assert answers(idle)
    clients = [server.connect() for _ in range(5)]
    for client in clients:
        client.send(HOLD)
    handlers = held(server, 5)
    drain(server)
    idle.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        server.connect()
    assert not ended(server)
    for handler, client in zip(handlers, clients, strict=True):
        handler.respond("served")
        reply = client.reply()
        assert reply.json() == {"result": "served"}
        assert reply.header("Connection") == "close"
        client.wait_closed()
        assert not client.reset
    server.step(2)
    assert ended(server)


def test_what_the_kernel_had_already_taken_when_it_drained_is_answered(world: MakeWorld) -> None:
    server = world()
    old = server.connect()
    assert answers(old)
    fresh = [server.connect() for _ in range(100)]  # the kernel has them, the server has not
    for client in [old, *fresh]:
        client.send(CALL)
    server.server.drain()
    for client in [old, *fresh]:
        assert client.reply().json() == {"result": {"a": 1}}
    assert ended(server)


def test_a_request_that_is_half_there_when_it_drains_is_answered(world: MakeWorld) -> None:
    server = world()
    client = server.connect()
    client.send(CALL[:20])
    server.step(3)
    drain(server)
    assert not ended(server)
    client.send(CALL[20:])
    reply = client.reply()
    assert reply.json() == {"result": {"a": 1}}
    assert reply.header("Connection") == "close"


def test_a_reply_that_is_half_sent_when_it_drains_arrives_whole(world: MakeWorld) -> None:
    server = world()
    client = server.connect()
    client.send(request_bytes("POST", "/fill", b'{"size": 30000000}'))
    server.step(5)
    drain(server)
    assert not ended(server)
    assert len(client.reply().json()["result"]) == 30_000_000


def test_a_pipeline_ends_with_the_reply_that_says_so(world: MakeWorld) -> None:
    server = world()
    client = server.connect()
    client.send(HOLD + CALL + CALL)
    handler = held(server, 1)[0]
    drain(server)
    handler.respond("served")
    reply = client.reply()
    assert reply.header("Connection") == "close"
    client.wait_closed()
    assert not client.reset
    assert len(client.replies) == 1


def test_what_takes_longer_than_drain_timeout_is_given_up(world: MakeWorld) -> None:
    server = world(drain_timeout=10)
    client = server.connect()
    client.send(HOLD)
    held(server, 1)
    drain(server)
    server.advance(9.0)
    assert not ended(server)
    server.advance(2.0)
    assert ended(server)
    client.wait_closed()
    assert client.raw == b""
    assert len(server.module("hold").closed) == 1


def test_a_client_that_never_finishes_its_request_does_not_hold_up_the_end(world: MakeWorld) -> None:
    server = world(drain_timeout=10)
    client = server.connect()
    client.send(CALL[:20])
    server.step(3)
    drain(server)
    server.advance(11.0)
    assert ended(server)
    client.wait_closed()


def test_stop_ends_it_with_the_cycle(world: MakeWorld) -> None:
    server = world()
    client = server.connect()
    client.send(HOLD)
    held(server, 1)
    server.server.stop()
    server.step()
    assert ended(server)
    client.wait_closed()


# ------------------------------------------------------------ in other Doists


def test_it_answers_in_a_polling_doist(world: MakeWorld) -> None:
    server = world()
    server.doist.exit()
    answered = []

    class Visitor(doing.Doer):  # type: ignore[misc]
        def recur(self, tyme: float) -> bool:
            if not self.client:
                self.client.append(server.connect())
                self.client[0].send(CALL)
            self.client[0].receive()
            if self.client[0].replies and self.client[0].replies[0].done:
                answered.append(self.client[0].replies[0].json())
                server.server.drain()
                return True
            return False

        client: list[Client] = []  # noqa: RUF012

    doist = PollingDoist(doers=[*server.server.doers, Visitor()], limit=20.0)
    doist.do()
    assert answered == [{"result": {"a": 1}}]
    assert doist.done


def test_two_servers_run_in_one_doist(world: MakeWorld) -> None:
    first = world()
    second = world(doist=first.doist)
    assert answers(first.connect())
    client = second.connect()
    assert answers(client)
    assert first.address != second.address


# ------------------------------------------------------------ replies that leave together


@pytest.mark.parametrize(("seconds", "seen"), [(0.0, [0, 0, 0]), (0.001, [0, 0, 2])])
def test_replies_leave_together_unless_the_first_has_waited_too_long(
    world: MakeWorld, seconds: float, seen: list[int]
) -> None:
    source = (
        "import time\n"
        "clients, seen = [], []\n"
        "def invoke(handler, parameters):\n"
        "    for client in clients:\n"
        "        client.receive()\n"
        "    seen.append(sum(bool(client.raw) for client in clients))\n"
        "    time.sleep(parameters['seconds'])\n"
        "    return 1\n"
    )
    server = world({"look": source})
    clients = [server.connect() for _ in range(3)]
    assert all(answers(client) for client in clients)
    for client in clients:
        client.raw = b""
        client.send(call_bytes("look", {"seconds": seconds}))
    look = server.module("look")
    look.clients += clients
    assert [client.reply().json() for client in clients] == [{"result": 1}] * 3
    assert look.seen == seen
