"""Clients that do anything in any order: they get the replies they asked for in order, and nothing is left behind."""

import contextlib
import random
from typing import Any

import pytest

from tests.net.conftest import MakeWorld
from tests.net.conversing import MANY, call_bytes
from tests.support import Client, World

ACTIONS = 1000
CLIENTS = 6


class Guest:
    """One client with a will of its own."""

    def __init__(self, world: World, dice: random.Random) -> None:
        self.client: Client = world.connect()
        self.world = world
        self.dice = dice
        self.expected: list[Any] = []
        self.todo = b""
        self.deaf = False
        self.left = False  # it sends no more
        self.faulty = False
        self.answered = 0

    def ask(self) -> None:
        """Decide on a request, or a few."""
        if self.left or self.faulty:
            return
        for _ in range(self.dice.choice([1, 1, 1, 2, 5, 100])):
            name = self.dice.choice(["echo", "echo", "echo", "nap", "fill", "hold", "pour", "nonsense"])
            number = self.dice.randrange(1000)
            if name == "nonsense":
                if self.dice.random() < 0.9:
                    continue
                self.todo += self.dice.choice([b"NONSENSE\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"])
                self.faulty = True
                return
            size = self.dice.choice([0, 1, 1000, 70_000, 300_000])
            parameters = {"n": number, "size": size, "seconds": self.dice.choice([0, 0.1, 1]), "pieces": 3}
            headers = {"Expect": "100-continue"} if self.dice.random() < 0.05 else {}
            if self.dice.random() < 0.02:
                headers["Connection"] = "close"
                self.faulty = True
            self.todo += call_bytes(name, parameters, **headers)
            self.expected.append((name, parameters))
            if self.faulty:
                return

    def send(self) -> None:
        """Send some of what was decided, at most what fits."""
        if self.todo and not self.left:
            piece = self.todo[: self.dice.choice([1, 10, 100, 10_000, 1_000_000])]
            try:
                self.todo = self.todo[self.client.sock.send(piece) :]
            except BlockingIOError:
                pass
            except OSError:
                self.left = True

    def read(self) -> None:
        """Read, unless it has chosen not to."""
        if not self.deaf:
            self.client.receive()

    def act(self) -> None:
        """Do anything."""
        action = self.dice.random()
        if action < 0.2:
            self.ask()
        elif action < 0.6:
            self.send()
        elif action < 0.9:
            self.read()
        elif action < 0.94:
            self.deaf = not self.deaf
        elif action < 0.945 and not self.left:
            self.left = True
            with contextlib.suppress(OSError):  # the server has left already
                self.client.shutdown()

    def check(self) -> None:
        """All that came is what was asked for, in order."""
        finals = [reply for reply in self.client.replies if reply.done and reply.status != 100]
        assert len(finals) <= len(self.expected) + 1
        for reply, (name, parameters) in zip(finals, self.expected, strict=False):
            if reply.status in (400, 408, 503):  # it was slow or faulty, or there was no room
                assert reply is finals[-1]
                break
            assert reply.status == 200, reply.status
            self.answered += 1
            if name == "echo":
                assert reply.json() == {"result": parameters}
            elif name == "fill":
                assert len(reply.json().get("result", "")) == parameters["size"]
            elif name == "nap":
                assert reply.json() == {"result": "slept"}
            elif name == "pour":
                assert reply.body == b"x" * parameters["size"] * 3


@pytest.mark.parametrize("seed", range(12))
def test_clients_that_do_anything_get_what_they_asked_for_and_leave_nothing_behind(world: MakeWorld, seed: int) -> None:
    dice = random.Random(seed)
    server = world(
        max_connections=dice.choice([4, 100]), max_write_buffer=dice.choice([1000, 1 << 20]), max_body_size=1000
    )
    guests: list[Guest] = []
    everyone: list[Guest] = []
    hold = server.module("hold")
    for _ in range(ACTIONS):
        if len(guests) < CLIENTS and dice.random() < 0.3:
            guests.append(Guest(server, dice))
            everyone.append(guests[-1])
        if guests:
            dice.choice(guests).act()
        if dice.random() < 0.5:
            server.step()
        if dice.random() < 0.02:
            server.advance(dice.choice([0.1, 1.0, 11.0, 31.0]))
        if hold.held and dice.random() < 0.5:
            hold.held.pop(dice.randrange(len(hold.held))).respond("held")
        if guests and dice.random() < 0.02:
            guest = guests.pop(dice.randrange(len(guests)))
            dice.choice([guest.client.abort, guest.client.close])()
            server.clients.remove(guest.client)
    for guest in everyone:
        guest.check()
    assert sum(guest.answered for guest in everyone) > 0
    built = server.server.built
    for client in server.clients:
        client.close()
    server.clients.clear()
    for _ in range(MANY):
        while hold.held:
            hold.held.pop().respond("held")
        server.step()
        if not server.stewards and not built.dispatcher.lot.runs:
            break
    server.advance(5000.0)  # whatever still waited for its timeout
    server.advance(5000.0)
    inner = built.server
    assert server.stewards == []
    assert inner.servant.ixes == {}
    assert [len(timer) for timer in inner._timers] == [0] * len(inner._timers)
    assert len(built.dispatcher.waits) == 0
    assert not built.dispatcher.lot.runs
    assert not built.dispatcher.drains
    told = [told for _, told, _ in inner.poller._selector._watched.values()]
    watched = [each for each in told if each is not inner.poller._ends]
    assert watched == [inner.poller, inner]  # its own wake-up and the listening socket
    assert not inner.poller._ends.attendants
