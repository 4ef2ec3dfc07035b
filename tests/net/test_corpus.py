"""Every raw request of the corpus, sent over a real socket to one server that has to live through all of them."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.corpus.loading import Case, cases
from tests.support import Client, World

ECHO = "def invoke(handler, parameters):\n    return {'parameters': parameters}\n"
SETTLED = 6  # cycles without a byte after which nothing more will come
PIECE = 7  # bytes in a piece: small and prime, so that the pieces fall anywhere in a line


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One server for all cases: that it answers after the last is the point."""
    world = World(tmp_path_factory.mktemp("corpus"), {"echo": ECHO})
    yield world
    world.close()


def outcome(world: World, case: Case, size: int) -> tuple[list[int], bool]:
    """Send a case in pieces of a size; give the final statuses that came back, and whether the server closed."""
    client = world.connect()
    for start in range(0, len(case.raw), size):
        if client.closed:
            break
        client.send(case.raw[start : start + size])
        world.step()
        client.receive()
    if case.half_close and not client.reset:
        client.sock.shutdown(socket.SHUT_WR)
    quiet = 0
    while quiet < SETTLED and not client.closed:
        before = len(client.raw)
        world.step()
        client.receive()
        quiet = quiet + 1 if len(client.raw) == before else 0
    client.close()
    assert not client.reset, "the reply was lost in a reset"
    return [reply.status for reply in client.replies if reply.status >= 200], client.closed


def check(world: World, case: Case, size: int) -> None:
    statuses, closed = outcome(world, case, size)
    assert statuses == case.replies, case.why
    assert closed == case.close, case.why
    fresh: Client = world.connect()
    reply = fresh.post("/echo", {"parameters": {"after": case.name}})
    assert (reply.status, reply.json()) == (200, {"result": {"parameters": {"after": case.name}}})
    fresh.close()


@pytest.mark.parametrize("case", cases(), ids=str)
def test_a_raw_request_gets_its_reply_and_the_next_client_too(world: World, case: Case) -> None:
    check(world, case, len(case.raw) or 1)


@pytest.mark.parametrize("case", [case for case in cases() if len(case.raw) < 2000], ids=str)
def test_a_raw_request_in_pieces_gets_the_same_reply(world: World, case: Case) -> None:
    check(world, case, PIECE)


def test_the_corpus_is_large_and_explains_itself() -> None:
    assert len(cases()) >= 150
    assert all(case.section and case.why for case in cases())
    assert {Path(case.name).parts[0] for case in cases()} >= {"framing", "headers", "host", "target", "limits"}
