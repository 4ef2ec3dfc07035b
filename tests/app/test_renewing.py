"""The end of a session that a reply tells is the one that is kept, also where it could not be moved."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.core.keeping import Desk
from tests.support import STEPS, World, request_bytes
from totohio.core.ports import StoreError

METHODS = {
    "begin": "from totohio import *\n@anonymous_session\ndef invoke(handler, parameters):\n    return True\n",
    "fine": "from totohio import *\n@anonymous_session\ndef invoke(handler, parameters):\n    return True\n",
    "fault": (
        "from totohio import *\n"
        "@anonymous_session\n"
        "def invoke(handler, parameters):\n"
        "    raise TotoException(4711, 'no')\n"
    ),
    "says": (
        "from totohio import *\n"
        "@asynchronous\n"
        "@anonymous_session\n"
        "def invoke(handler, parameters):\n"
        "    handler.respond(error=TotoException(4711, 'no'))\n"
    ),
}
METHODS["set"] = METHODS["begin"].replace(
    "    return", "    handler.session['a'] = 1\n    handler.session.save()\n    return"
)
METHODS["get"] = METHODS["begin"].replace("return True", "return handler.session['a']")
DAY = 86_400.0


class Site:
    """A server whose store does what the test says, and a client with a session."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.desk = Desk(held=False)
        self.keeper = world.server.built.dispatcher.keeper
        assert self.keeper is not None
        self.keeper.journal.store = self.desk
        self.now = 1_700_000_000.0
        self.keeper.sessions.clock.now = lambda: self.now  # type: ignore[method-assign]
        self.client = world.connect()
        reply = self.client.post("/begin", {}).json()
        self.session_id = reply["session"]["session_id"]
        assert reply["session"]["expires"] == self.now + DAY

    def send(self, body: Any, *, fail: bool) -> Any:
        """Make a call, and end the group that it waits for."""
        self.desk.held = True
        headers = {"x-toto-session-id": self.session_id}
        self.client.send(request_bytes("POST", "/", json.dumps(body).encode(), headers=headers))
        for _ in range(STEPS):
            if self.desk.commits:
                break
            self.world.step()
        commit = self.desk.next()
        self.desk.held = False
        if fail:
            commit.fail(StoreError("no room"))
        else:
            commit.complete()
        return self.client.reply().json()

    @property
    def kept(self) -> float:
        """The end that is kept."""
        session = self.keeper.sessions.find(self.keeper.unit(), self.session_id)  # type: ignore[union-attr]
        assert session is not None
        return session.expires


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    world = World(tmp_path, METHODS, anon_session_ttl=DAY)
    yield Site(world)
    world.close()


BODIES = [
    {"method": "fine"},
    {"method": "fault"},
    {"method": "says"},
    {"batch": {"a": {"method": "fine"}}},
    {"batch": {"a": {"method": "fault"}}},
    {"batch": {"a": {"method": "fine"}, "b": {"method": "fault"}}, "atomic": True},
    {"batch": {"a": {"method": "fine"}}, "atomic": True},
]


@pytest.mark.parametrize("fail", [True, False])
@pytest.mark.parametrize("body", BODIES, ids=str)
def test_it_is_told_after_it_is_known(site: Site, body: Any, fail: bool) -> None:
    site.now += 1000.0
    reply = site.send(body, fail=fail)
    assert reply["session"]["expires"] == site.kept
    assert site.kept == site.now + DAY - (1000.0 if fail else 0.0)
    assert reply.get("error", {}).get("code") == (None if "batch" in body or body["method"] == "fine" else 4711)


@pytest.mark.parametrize("others", [{}, {"b": {"method": "fault"}}], ids=["alone", "with a fault"])
@pytest.mark.parametrize("atomic", [True, False])
def test_a_batch_tells_nothing_that_is_not_committed(site: Site, atomic: bool, others: Any) -> None:
    """One that only reads waits all the same for what it has read, and is an error when that is never committed."""
    site.desk.held = True
    headers = {"x-toto-session-id": site.session_id}
    batch = {"batch": {"a": {"method": "get"}, **others}, "atomic": atomic}
    for client, body in ((site.client, {"method": "set"}), (site.world.connect(), batch)):
        client.send(request_bytes("POST", "/", json.dumps(body).encode(), headers=headers))
        site.world.step(5)
    reader = site.world.clients[-1]
    reader.receive()
    assert reader.replies == []
    site.desk.next().fail(StoreError("no room"))
    assert site.client.reply().json()["error"]["code"] == 1012
    assert reader.reply().json()["batch"]["a"]["error"]["code"] == 1012
