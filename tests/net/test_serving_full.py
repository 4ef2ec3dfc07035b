"""When there is no room for another connection, or nothing left to make it of."""

import errno
import logging
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.net.conftest import MakeWorld
from tests.net.conversing import CALL, HOLD, answers, await_count, held
from tests.support import World, request_bytes
from totohio.base.environing import Network
from totohio.net.kernel import kernel_environment
from totohio.net.networking import KernelNetwork

Said = Callable[[], list[str]]


def test_a_connection_that_is_idle_makes_room_for_a_new_one(world: MakeWorld) -> None:
    server = world(max_connections=3)
    clients = [server.connect() for _ in range(3)]
    for client in clients:
        assert answers(client)
    server.advance(1.0)
    assert answers(clients[0])  # so another one is the longest idle
    server.advance(1.0)
    late = server.connect()
    assert answers(late)
    clients[1].wait_closed()
    assert len(server.stewards) == 3
    assert answers(clients[0])
    assert answers(clients[2])


def test_idle_connections_make_room_without_an_idle_timeout_too(world: MakeWorld) -> None:
    server = world(max_connections=2, idle_timeout=0)
    clients = [server.connect() for _ in range(2)]
    for client in clients:
        assert answers(client)
    assert answers(server.connect())


def test_a_request_that_never_arrives_makes_room(world: MakeWorld) -> None:
    server = world(max_connections=3)
    slow = [server.connect() for _ in range(3)]
    for client in slow:
        client.send(b"POST / HTTP/1.1\r\nHost: ")
    await_count(server, 3)
    server.step(3)
    server.advance(1.0)
    assert answers(server.connect())
    slow[0].wait_closed()


def test_a_client_that_does_not_take_its_reply_makes_room(world: MakeWorld) -> None:
    server = world(max_connections=1)
    deaf = server.connect()
    deaf.send(request_bytes("POST", "/fill", b'{"size": 20000000}'))
    server.step(20)
    server.advance(1.0)
    assert answers(server.connect())


def test_calls_that_are_answered_make_no_room_and_the_new_client_is_told(world: MakeWorld) -> None:
    server = world(max_connections=2)
    busy = [server.connect() for _ in range(2)]
    for client in busy:
        client.send(HOLD)
    handlers = held(server, 2)
    server.advance(10.0)
    late = server.connect()
    reply = late.reply()
    assert reply.status == 503
    late.wait_closed()
    for handler, client in zip(handlers, busy, strict=True):
        handler.respond("served")
        assert client.reply().json() == {"result": "served"}
    server.advance(1.0)
    assert answers(server.connect())


def test_clients_that_come_together_do_not_push_each_other_out(world: MakeWorld) -> None:
    server = world(max_connections=8)
    clients = [server.connect() for _ in range(24)]
    for client in clients:
        client.send(CALL)
    statuses = [client.reply().status for client in clients]
    assert statuses.count(200) == 8
    assert statuses.count(503) == 16


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Iterator[Said]:
    """Give what the log has said of room since it was asked before."""
    logger = logging.getLogger("totohio")
    caplog.set_level(logging.WARNING, "totohio")
    logger.addHandler(caplog.handler)

    def said() -> list[str]:
        texts = [record.getMessage() for record in caplog.records if "no room" in record.getMessage()]
        caplog.clear()
        return texts

    yield said
    logger.removeHandler(caplog.handler)


def refuse(server: World, count: int) -> None:
    """Have clients come that are told that there is no room."""
    for client in [server.connect() for _ in range(count)]:
        assert client.reply().status == 503


def test_who_is_refused_is_counted_and_said_at_once_and_then_once_a_minute(world: MakeWorld, warnings: Said) -> None:
    server = world(max_connections=2)
    for _ in range(2):
        server.connect().send(HOLD)
    held(server, 2)
    refuse(server, 1)
    server.step()
    (text,) = warnings()
    assert re.fullmatch(
        r"no room for more than 2 connections at 127\.0\.0\.1:\d+: 0 closed for new ones, 1 refused", text
    )
    for _ in range(5):
        server.advance(10.0)
        refuse(server, 2)
    assert not warnings()
    assert server.server.built.server.due(server.doist.tyme) <= server.doist.tyme + 10.0, "it wakes to say so"
    server.advance(11.0)
    (text,) = warnings()
    assert text.endswith("0 closed for new ones, 10 refused")
    server.advance(61.0)
    assert not warnings(), "nothing has happened since"
    refuse(server, 3)
    server.step()
    (text,) = warnings()
    assert text.endswith("0 closed for new ones, 3 refused")
    assert server.server.built.server.usher.refused == 14


def test_who_is_closed_for_a_new_one_is_counted_too_and_a_server_that_ends_says_what_it_had_not(
    world: MakeWorld, warnings: Said
) -> None:
    server = world(max_connections=1)
    for _ in range(4):
        assert answers(server.connect())
        server.advance(1.0)
    (text,) = warnings()
    assert text.endswith("1 closed for new ones, 0 refused")
    assert server.server.built.server.usher.closed == 3
    server.close()
    (text,) = warnings()
    assert text.endswith("2 closed for new ones, 0 refused")


class Starving:
    """A listening socket of a process that has no descriptors left, as long as the test says so."""

    def __init__(self, sock: Any, network: "StarvingNetwork") -> None:
        self.sock = sock
        self.network = network

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)

    def accept(self) -> Any:
        self.network.accepts += 1
        if self.network.error is not None:
            raise OSError(self.network.error, os.strerror(self.network.error))
        return self.sock.accept()


class StarvingNetwork(Network):
    """The machine's network without descriptors."""

    def __init__(self) -> None:
        self.kernel = KernelNetwork()
        self.error: int | None = None
        self.accepts = 0

    def poller(self) -> Any:
        return self.kernel.poller()

    def listen(self, address: Any, *, backlog: int) -> Any:
        return Starving(self.kernel.listen(address, backlog=backlog), self)

    def queued(self, sock: Any) -> int:
        return self.kernel.queued(sock)

    def descriptors(self) -> int:
        return self.kernel.descriptors()


@pytest.fixture
def starving() -> StarvingNetwork:
    return StarvingNetwork()


def start(world: MakeWorld, network: StarvingNetwork, **options: Any) -> World:
    environment = kernel_environment()
    environment.network = network
    return world(environment=environment, **options)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_without_descriptors_it_pauses_goes_on_serving_and_recovers(
    world: MakeWorld, starving: StarvingNetwork, number: int
) -> None:
    server = start(world, starving)
    old = server.connect()
    old.send(HOLD)
    handler = held(server, 1)[0]
    starving.error = number
    late = server.connect()
    server.step(10)
    before = starving.accepts
    server.step(4)  # of 1/32 s each: it holds its breath for 1/4 s
    assert starving.accepts - before <= 1
    handler.respond("meanwhile")
    assert old.reply().json() == {"result": "meanwhile"}
    starving.error = None
    server.advance(1.0)
    assert answers(late)
    assert answers(old)


def test_without_descriptors_an_idle_connection_makes_room(world: MakeWorld, starving: StarvingNetwork) -> None:
    server = start(world, starving)
    idle = server.connect()
    assert answers(idle)
    server.advance(1.0)
    starving.error = errno.EMFILE
    late = server.connect()
    server.step(10)
    idle.wait_closed()
    starving.error = None
    server.advance(1.0)
    assert answers(late)


def test_a_long_shortage_is_said_once_and_not_in_every_cycle(
    world: MakeWorld, starving: StarvingNetwork, warnings: Said
) -> None:
    server = start(world, starving)
    starving.error = errno.EMFILE
    server.connect()
    for _ in range(40):
        server.advance(0.25)
    assert len(warnings()) == 1


def test_an_unforeseen_error_of_the_listening_socket_neither_spins_nor_kills(
    world: MakeWorld, starving: StarvingNetwork
) -> None:
    server = start(world, starving)
    old = server.connect()
    assert answers(old)
    server.advance(0.0)
    starving.error = errno.EIO
    late = server.connect()
    old.send(HOLD)
    held(server, 1)
    before = starving.accepts
    server.step(6)
    assert starving.accepts - before <= 2
    starving.error = None
    server.advance(1.0)
    assert answers(late)
