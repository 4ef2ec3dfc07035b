"""A connection that is cut at each boundary between messages, and in the middle of each, in either direction.

Whatever had come until then: all that the session has made is gone, its callbacks have failed, and no other session has
noticed anything.
"""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.remote.support import Dialer, empty, enrol, house_of, lending
from totohio import TotoException
from totohio.remote import DisconnectedError
from totohio.sim import World
from totohio.sim.hosting import Host
from totohio.sim.net.sockets import SimSocket
from totohio.sim.worlding import Script
from totohio.wire.framing import Framer, frame

LENT = """
import weakref

from totohio import lend

MADE = weakref.WeakSet()
KEPT = []
FAILED = []


@lend
def add(a, b):
    return a + b


@lend
class Thing:
    def __init__(self, name):
        self.name = name
        MADE.add(self)

    @lend
    def say(self):
        return self.name

    @lend
    def part(self):
        return Thing(self.name + "'s part")

    @lend
    def __iter__(self):
        yield from range(250)

    @lend
    def __enter__(self):
        return self

    @lend
    def __exit__(self, *error):
        return None


@lend
def apply(callback, value):
    try:
        return callback(value)
    except BaseException as error:
        FAILED.append(type(error).__name__)
        raise


apply_in_thread = lend(thread=True)(lambda callback, value: apply(callback, value))


@lend
def apply_later(callback, value):
    try:
        return (yield callback.later(value))
    except BaseException as error:
        FAILED.append(type(error).__name__)
        raise


@lend
def keep(callback):
    KEPT.append(callback)


@lend
def nap(seconds):
    yield seconds
    return seconds
"""

OPTIONS = {"remote_exec": True, "remote_lease": 20.0, "remote_timeout": 30.0, "remote_exec_timeout": 10.0}


@dataclass(frozen=True)
class Cut:
    """Where a connection ends.

    Attributes:
        sender: Whose bytes are counted.
        size: So many of them arrive.
        how: "reset" breaks it at both ends, "end" closes it as the sender would, "silence" has nothing arrive any more.
    """

    sender: str
    size: int
    how: str

    def __str__(self) -> str:
        return f"{self.how} after {self.size} bytes of the {self.sender}"


class Tap:
    """Has the bytes between a client and the port where a server lends pass, until a cut.

    Attributes:
        sent: What each of both has sent, by the name of its host.
        done: The connection is cut.
    """

    def __init__(self, world: World, client: str, server: str, cut: Cut | None) -> None:
        self.sent = {client: b"", server: b""}
        self.done = False
        self._world = world
        self._cut = cut
        self._carry, self._finish = world.net.carry, world.net.finish
        world.net.carry = self.carry  # type: ignore[method-assign]
        world.net.finish = self.finish  # type: ignore[method-assign]

    def _concerned(self, source: SimSocket) -> bool:
        assert source.peer is not None
        hosts = {source.stack.host.name, source.peer.stack.host.name}
        return hosts == set(self.sent)

    def carry(self, source: SimSocket, data: bytes) -> None:
        """Send bytes, as far as they come."""
        if not self._concerned(source):
            self._carry(source, data)
            return
        name, cut = source.stack.host.name, self._cut
        if cut is not None and cut.sender == name:
            data = data[: cut.size - len(self.sent[name])]
        if self.done:
            return
        self.sent[name] += data
        if data:
            self._carry(source, data)
        if cut is not None and cut.sender == name and len(self.sent[name]) >= cut.size:
            self.done = True
            if cut.how == "end":
                self._finish(source)
            elif cut.how == "reset":
                self._world.at(self._world.tyme + 1.0, self._world.net.break_off, source)

    def finish(self, source: SimSocket) -> None:
        """Send the end, where it comes."""
        if not (self.done and self._concerned(source)):
            self._finish(source)


def converse(dialer: Dialer) -> Script:
    """Use all that a session can do."""
    doer = dialer.doer
    remote = doer.remote
    yield doer.ready
    thing = yield remote.Thing("one")
    part = yield thing.part()
    assert (yield part.say()) == "one's part"
    del part
    assert (yield remote.apply(lambda n: n + 1, 1)) == 2
    assert (yield remote.apply_in_thread(lambda n: n + 1, 2)) == 3
    assert (yield remote.apply_later(lambda n: n + 1, 3)) == 4
    yield remote.keep(lambda: None)
    items = yield doer.perform("iter", thing._number)
    assert (yield doer.perform("next", items._number, [100])) == [list(range(100)), False]
    yield doer.perform("enter", thing._number)
    yield doer.perform("do", None, ["x = Thing('own')\ndef mine(): return x"])
    assert (yield doer.perform("call", [None, "mine"])) is not thing
    begun = [remote.nap(1000.0), remote.nap(0.5), remote.add(1, 2)]
    assert (yield begun[2]) == 3
    assert (yield begun[1]) == 0.5
    doer.cancel(begun[0])
    things = yield [remote.Thing(str(number)) for number in range(3)]
    slow = [remote.apply(never, 1), remote.apply_in_thread(never, 2), remote.apply_later(never, 3)]
    yield doer.perform("exit", thing._number, [None])
    yield remote.add(1, 1)
    yield doer.perform("ping")
    return things, slow


def never(_: Any) -> Any:
    """A callback whose answer never comes while the test lasts."""
    yield 10_000.0


def converse_and_fail(dialer: Dialer, found: list[Any]) -> Script:
    try:
        found.append((yield from converse(dialer)))
    except (DisconnectedError, TotoException, OSError) as error:
        found.append(error)


def others(dialer: Dialer, counts: list[int]) -> Script:
    """Another session, which wants an answer every other second, and a callback's."""
    remote = dialer.doer.remote
    yield dialer.doer.ready
    thing = yield remote.Thing("other")
    while True:
        assert (yield thing.say()) == "other"
        assert (yield remote.apply(lambda n: n * 2, 4)) == 8
        counts.append(1)
        yield 2.0


def conversation(world: World, cut: Cut | None) -> Tap:
    """Have it, with a cut, and see what is left; without one give what was said."""
    server = lending(world, LENT, **OPTIONS)
    enrol(world, server)
    world.call(server, "grant", {"user_id": "ada", "roles": ["admin"]})
    other = Dialer(world, server, name="other")
    counts: list[int] = []
    still = other.spawn(others(other, counts))
    world.run_until(lambda: counts, within=10.0)
    tap = Tap(world, "borrower", server.name, cut)
    dialer = Dialer(world, server)
    found: list[Any] = []
    dialer.spawn(converse_and_fail(dialer, found))
    if cut is None:
        world.run_until(lambda: found, within=60.0)
        assert isinstance(found[0], tuple), found[0]
        return tap
    world.run_until(lambda: tap.done, within=60.0)
    world.run(15.0)
    world.run_until(lambda: found, within=200.0)  # the client learns of it, too
    before = len(counts)
    world.run(60.0)
    assert not still, still
    assert len(counts) - before > 25, "the other session does not go on"
    left(server, cut)
    other.host.kill()
    world.run(1.0)
    assert empty(server)
    return tap


def left(server: Host, cut: Cut) -> None:
    """See that there is nothing of the session that was cut."""
    house = house_of(server)
    assert server.process is not None
    module = server.process.modules["server_methods.lent"]
    assert len(house.sessions) == 1
    assert [each.name for each in module.MADE] == ["other"], cut
    assert (len(house._pool), len(house._statements)) == (0, 0), cut
    assert set(module.FAILED) <= {"DisconnectedError", "GeneratorExit", "GreenletExit"}, module.FAILED
    for callback in module.KEPT:
        with pytest.raises(DisconnectedError):
            callback.later()


def cuts(tap: Tap) -> list[Cut]:
    """Give the cuts at each boundary of what was said, and in the middle of each message."""
    found = []
    hows = ("reset", "end", "silence")
    for sender, data in tap.sent.items():
        framer = Framer(1 << 24)
        framer.feed(data)
        end = 0
        while (message := framer.next()) is not None:
            size = len(frame(message))
            found.append(Cut(sender, end + 1 + (len(found) * 7) % (size - 1), hows[len(found) % 3]))
            end += size
            found += [Cut(sender, end, how) for how in hows]
        assert end == len(data)
    return found


@pytest.mark.parametrize(("profile", "step"), [("still", 1), ("sunny", 4)])
def test_a_connection_that_is_cut_anywhere_leaves_nothing(
    profile: str, step: int, request: pytest.FixtureRequest
) -> None:
    with World(0, faults=profile) as world:
        found = cuts(conversation(world, None))
    assert len(found) > 200
    assert {cut.sender for cut in found} == {"borrower", "server"}
    for cut in found[:: 13 if request.config.getoption("brief") else step]:
        with World(0, faults=profile) as world:
            assert conversation(world, cut).done, cut
