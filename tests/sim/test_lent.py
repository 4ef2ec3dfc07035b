"""Lending in rough worlds: whatever breaks, calls are answered or fail, and nothing stays lent to who has left.

What a session does in a quiet world stands beside the same over real sockets, in tests/remote/test_operations.py.
"""

from typing import Any

import pytest

from tests.remote.support import PASSWORD, PORT, Dialer, empty, enrol, grant, house_of, lending
from totohio import TotoException
from totohio.net.linking import Link
from totohio.remote import DisconnectedError, RemoteDoer
from totohio.sim import World, partition, sim
from totohio.sim.clients.calling import CallerDoer
from totohio.sim.hosting import Host
from totohio.sim.worlding import Script
from totohio.wire.framing import Framer, frame
from totohio.wire.lending import Codec

TROUBLE = (OSError, TotoException)


# ---------------------------------------------------------------- bytes


class Raw:
    """A client on a host of its own that says what it likes."""

    def __init__(self, world: World, server: Host, name: str = "raw") -> None:
        self.messages: list[dict[str, Any]] = []
        self.over = False
        self._framer = Framer(1 << 24)
        self._codec = Codec(lend=id, borrow=lambda _: None, raised=repr, caught=lambda each: RuntimeError(each))

        def boot(process: Any) -> list[Any]:
            caller = CallerDoer(process.environment)
            self._link = Link(
                network=process.environment.network, poller=caller.poller, address=(server.name, PORT), owner=self
            )
            return [caller]

        self.host = world.host(name, boot, fallible=False)
        self._do(self._link.open, world.tyme)

    def _do(self, function: Any, *args: Any) -> None:
        assert self.host.process is not None
        self.host.process.do(function, *args)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._do(self._link.send, data)

    def packed(self, **message: Any) -> bytes:
        """Give the frame of a message."""
        return frame(self._codec.pack(message))

    def opened(self) -> None:
        """It is connected."""

    def received(self, data: bytes) -> None:
        """Something has come."""
        self._framer.feed(data)
        while (message := self._framer.next()) is not None:
            self.messages.append(self._codec.unpack(message))

    def drained(self) -> None:
        """All is sent."""

    def ended(self) -> None:
        """The server has closed the connection."""
        self.over = True

    def lost(self, error: OSError) -> None:
        """It broke."""
        self.over = True


@sim(seeds=30, faults="sunny")
def test_requests_come_in_pieces_of_any_size(world: World) -> None:
    server = lending(world)
    raw = Raw(world, server)
    world.run(1.0)
    data = b"".join(raw.packed(i=number, o="hello", a=[1]) for number in range(1, 21))
    dice = world.dice.branch("pieces")
    while data:
        size = dice.pick((1, 2, 3, 5, 20, 60))
        raw.send(data[:size])
        data = data[size:]
        world.run(0.1)
    assert [message["r"] for message in raw.messages] == list(range(1, 21))
    world.run(11.0)
    assert raw.over  # it has not said who it is
    assert empty(server)


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", frame(b"\xc1"), frame(b"\x80"), frame(b"\x90")], ids=repr)
@sim(seeds=3, faults="sunny")
def test_what_is_no_message_ends_the_session_and_no_other(world: World, data: bytes) -> None:
    server = lending(world)
    enrol(world, server)
    dialer, raw = Dialer(world, server), Raw(world, server)

    def script() -> Script:
        yield dialer.doer.ready
        raw.send(data)
        yield 1.0
        assert (yield dialer.doer.remote.add(1, 2)) == 3

    dialer.run(script())
    assert raw.over
    assert len(house_of(server).sessions) == 1


def test_bytes_can_be_taken_out_before_they_are_read_as_a_request() -> None:
    with World(0, faults="still") as world:
        server = lending(world)
        raw = Raw(world, server)
        world.run(0.1)
        raw.send(b"\0\1")
        world.run(0.1)
        [session] = house_of(server).sessions
        assert [session.readbytes(3), session.readbytes(1), session.readbytes(1)] == [None, b"\0", b"\1"]
        assert session.getRequest() is None
        assert session.handle() is False
        raw.send(raw.packed(i=1, o="hello", a=[1]))
        world.run(0.1)
        assert raw.messages[0]["v"]["version"] == 1


# ---------------------------------------------------------------- who comes in


@pytest.mark.parametrize(
    ("who", "code"),
    [({}, None), ({"password": "wrong"}, 1005), ({"user_id": "nobody"}, 1005), ({"user_id": "grace"}, 1016)],
    ids=str,
)
@sim(seeds=3, faults="sunny")
def test_a_client_comes_in_by_password_and_role(world: World, who: dict[str, Any], code: int | None) -> None:
    server = lending(world, remote_role="lender")
    enrol(world, server, "ada", "grace")
    grant(world, server, "lender")
    dialer = Dialer(world, server, **who)

    def script() -> Script:
        try:
            yield dialer.doer.ready
        except TotoException as error:
            return error.code
        assert dialer.doer.user_id == "ada"
        return None

    assert dialer.run(script()) == code


@sim(seeds=10, faults="sunny")
def test_a_user_who_does_not_exist_has_one_salt_in_all_processes_and_lives(world: World) -> None:
    url = world.redis().url
    servers = [lending(world, name=name, database="redis", database_url=url) for name in ("server", "other")]
    world.run(1.0)
    enrol(world, servers[0])

    def challenges() -> list[Any]:
        raws = [Raw(world, server, name=f"raw-{len(world.hosts)}-{number}") for number, server in enumerate(servers)]
        world.run(1.0)
        for raw in raws:
            raw.send(raw.packed(i=1, o="challenge", a=["nobody", b"n" * 16]))
            raw.send(raw.packed(i=2, o="challenge", a=["ada", b"n" * 16]))
        world.run(2.0)
        return [{message["r"]: message["v"] for message in raw.messages} for raw in raws]

    [one, other] = challenges()
    assert one == other
    assert one[1]["salt"] != one[2]["salt"]
    assert {**one[1], "salt": 0} == {**one[2], "salt": 0}
    servers[0].kill()
    servers[0].start()
    world.run(2.0)
    assert challenges() == [one, one]


@sim(seeds=5, faults="sunny")
def test_a_client_comes_in_by_the_session_that_it_has_over_http(world: World) -> None:
    server = lending(world, hmac_enabled=True)
    enrol(world, server)
    session = world.call(server, "account.login", {"user_id": "ada", "password": PASSWORD})
    known = {"session_id": session["session_id"], "session_key": session["key"]}

    def script(dialer: Dialer) -> Script:
        try:
            yield dialer.doer.ready
        except TotoException as error:
            return error.code
        return (yield dialer.doer.remote.add(1, 2))

    good = Dialer(world, server, name="good", **known)
    assert good.run(script(good)) == 3
    bad = Dialer(world, server, name="bad", **{**known, "session_key": "x" * 22})
    assert bad.run(script(bad)) == 1004


def test_it_has_to_be_said_who_one_is() -> None:
    with World(0, faults="still") as world:

        def boot(process: Any) -> list[Any]:
            poller = process.environment.network.poller()
            with pytest.raises(ValueError, match="say who it is"):
                RemoteDoer(("server", PORT), environment=process.environment, poller=poller, user_id="ada")
            return [CallerDoer(process.environment)]

        world.host("borrower", boot)


# ---------------------------------------------------------------- what breaks


def borrow(world: World, dialer: Dialer, done: list[Any]) -> Script:
    """Do this and that until it breaks; each answer must be the right one."""
    dice = world.dice.branch("borrow", dialer.host.name)
    remote = dialer.doer.remote
    try:
        yield dialer.doer.ready
        for number in range(30):
            match dice.below(7):
                case 0:
                    assert (yield remote.add(number, 1)) == number + 1
                case 1:
                    cat = yield remote.Cat(str(number))
                    assert (yield cat.greet()) == f"{number} greets you"
                case 2:
                    assert (yield remote.apply(lambda n: n + 1, number)) == number + 1
                case 3:
                    assert (yield remote.apply_later(lambda n: n + 1, number)) == ["later", number + 1]
                case 4:
                    assert (yield remote.apply_in_thread(lambda n: n + 1, number)) == number + 1
                case 5:
                    results = yield [remote.nap(dice.between(0.0, 1.0)), remote.summed(number)]
                    assert results[1] == sum(range(number))
                case _:
                    yield dice.between(0.0, 0.5)
    except BaseException as error:
        world.sometimes("it breaks while something is asked", isinstance(error, TROUBLE))
        done.append(error)
        return
    done.append(None)


def borrowed_in_trouble(world: World) -> None:
    """Have clients borrow until all are done or cut off, and see that nothing stays lent."""
    server = lending(world, remote_lease=20.0)
    try:
        enrol(world, server)
    except TROUBLE:
        return
    done: list[Any] = []
    dialers = [Dialer(world, server, name=f"borrower-{number}") for number in range(3)]
    for dialer in dialers:
        dialer.spawn(borrow(world, dialer, done))
    world.run_until(lambda: len(done) == 3, within=600.0)
    assert all(error is None or isinstance(error, TROUBLE) for error in done)
    for dialer in dialers:
        dialer.host.kill()
    world.heal()
    world.run(60.0)
    world.sometimes("one has done all though there was trouble", None in done and bool(world.plan.fired))
    assert server.running
    assert empty(server)


@sim(seeds=60, faults="stormy")
def test_nothing_stays_lent_after_storms(world: World) -> None:
    borrowed_in_trouble(world)


@sim(seeds=60, faults="radioactive")
def test_nothing_stays_lent_after_crashes(world: World) -> None:
    borrowed_in_trouble(world)
    world.sometimes("the server crashes", any(fault.kind == "crash" for fault in world.plan.fired))


@sim(seeds=40, faults="sunny")
def test_a_client_that_vanishes_leaves_nothing_and_callbacks_to_it_fail(world: World) -> None:
    server = lending(world, remote_lease=20.0, remote_timeout=0)
    enrol(world, server)
    dialer, other = Dialer(world, server), Dialer(world, server, name="other")
    how = world.dice.pick(("crash", "kill", "cut"))

    def script() -> Script:
        yield dialer.doer.ready
        yield dialer.doer.remote.keep(lambda: None)
        cats = yield [dialer.doer.remote.Cat(str(number)) for number in range(5)]
        naps = [dialer.doer.remote.nap(1000), dialer.doer.remote.nap(2000)]
        return cats, naps

    dialer.run(script())
    world.run(0.5)
    [session] = [each for each in house_of(server).sessions if len(each.table)]
    if how == "cut":
        world.net.add(partition(dialer.host, server))
    else:
        getattr(dialer.host, how)()
    assert server.process is not None
    module = server.process.modules["server_methods.lent"]
    calls: list[Any] = []
    server.process.do(lambda: calls.append(session.sendCallback(module.KEPT[0].number)))
    world.run(55.0)

    def still() -> Script:
        assert (yield other.doer.remote.seen()) == [["ended", 1000], ["ended", 2000]]

    other.run(still())
    assert session not in house_of(server).sessions
    assert (len(session.table), session.namespace, session.busy()) == (0, {}, False)
    with pytest.raises(DisconnectedError):
        calls[0].result()


@sim(seeds=20, faults="sunny")
def test_a_server_that_drains_answers_what_is_under_way(world: World) -> None:
    server = lending(world)
    enrol(world, server)
    dialer = Dialer(world, server)

    def script() -> Script:
        yield dialer.doer.ready
        nap = dialer.doer.remote.nap(5)
        yield 1.0
        server.drain()
        assert (yield nap) == 5
        yield 1.0
        try:
            yield dialer.doer.remote.add(1, 2)
        except DisconnectedError:
            return "over"

    assert dialer.run(script()) == "over"
    world.run(5.0)
    assert not server.running
