"""Every raw request of the corpus, cut anywhere and slowly, gets in the simulation what it gets over a real socket."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import httptools
import pytest

from tests.corpus.loading import Case, cases
from totohio.sim.clients.asking import Client
from totohio.sim.profiles import PROFILES
from totohio.sim.seeding import Dice
from totohio.sim.worlding import Script, World

QUIET = 1.0  # seconds without a byte after which nothing more will come; no timeout of the server is as short
SHREDDING = replace(PROFILES["stormy"], name="shredding", fragment=0.8, faults={}, most=0)
SEEDS = 2  # worlds in which all cases are tried


def echo(handler: object, parameters: object) -> object:
    return {"parameters": parameters}


@pytest.fixture(scope="module", params=range(SEEDS), ids="seed-{}".format)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """One server for all cases: that it answers after the last is the point."""
    with World(request.param, faults=SHREDDING) as world:
        world.server(methods={"echo": echo})
        yield world


class Statuses:
    """The statuses of replies, found by a parser that is not the server's."""

    def __init__(self) -> None:
        self.found: list[int] = []
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        with contextlib.suppress(httptools.HttpParserUpgrade):
            self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        self.found.append(self._parser.get_status_code())


def converse(client: Client, case: Case, dice: Dice) -> Script:
    """Send a case in random pieces; give the final statuses that came back, and whether the server closed."""
    statuses = Statuses()
    closed = False
    try:
        yield client.connect()
        rest = case.raw
        while rest:
            size = 1 + dice.below(len(rest)) if dice.chance(0.7) else len(rest)
            yield client.send(rest[:size])
            rest = rest[size:]
            if dice.chance(0.3):
                yield dice.exponential(0.01)
    except (ConnectionResetError, BrokenPipeError, ConnectionAbortedError):
        closed = True  # it said what was wrong before it had all of it; what it said is read below
    if case.half_close:
        client.shutdown()
    while True:
        try:
            data = yield client.receive(timeout=QUIET)
        except TimeoutError:
            break
        except ConnectionResetError:
            raise AssertionError("the reply was lost in a reset") from None
        if not data:
            closed = True
            break
        statuses.feed(data)
    client.close()
    return [status for status in statuses.found if status >= 200], closed


@pytest.mark.parametrize("case", cases(), ids=str)
def test_a_raw_request_gets_the_same_outcome(world: World, case: Case) -> None:
    server = world.hosts["server"]
    client = world.client(server, f"{case.name} of {world.seed}")
    answer = world.spawn(converse(client, case, world.dice.branch("cut", case.name)), on=client)
    world.run()
    assert answer.result() == (case.replies, case.close), case.why
    assert world.call(server, "echo", {"after": case.name}) == {"parameters": {"after": case.name}}


def test_all_cases_are_tried() -> None:
    assert len(cases()) >= 150
