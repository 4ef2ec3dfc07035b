"""Whatever bytes come, each is answered, refused or ends the session: nothing else is raised, nothing is left behind.

Conversations that are right are recorded, and said again with bits turned over, with pieces left out or said twice, and
with frames of others in between; to a session as a whole and byte by byte, and to a client as well.
"""

import datetime
import decimal
import math
import types
from collections.abc import Iterator
from datetime import UTC
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.remote.hostile import BODIES, MORE, REFUSED, VALUES, asking, pack
from tests.remote.support import LENT, house_of, lending
from totohio.base.errors import TotohioError
from totohio.core.lending import Exposures, lent_in
from totohio.remote.borrowing import Borrower
from totohio.remote.conversing import Conversation
from totohio.remote.raising import BUILTIN, made_error
from totohio.remote.sessions import RemoteSession
from totohio.sim import World
from totohio.wire.framing import HEAD, Framer, frame
from totohio.wire.lending import Codec, LendingError

EXAMPLES = settings().max_examples  # fewer with --brief
MANY, FEW = settings(max_examples=3 * EXAMPLES), settings(max_examples=EXAMPLES * 2 // 3)
LIMIT = 50  # slices of what has come that are carried out; each is of 64 requests


class Line:
    """A session of a server that stands still, and the connection that it has."""

    def __init__(self, house: Any, *, known: bool) -> None:
        self.sent: list[bytes] = []
        self.over = False
        self.house = house
        self.session: RemoteSession = house.begin(self, address="192.0.2.1", framed=True)
        if known:
            self.session.roles = frozenset()
            self.session.enter(["ada", None])

    def send(self, data: bytes) -> None:
        """The session says something."""
        self.sent.append(data)

    def close(self) -> None:
        """The session ends."""
        self.over = True

    def say(self, data: bytes, size: int = 1 << 24) -> None:
        """Have bytes come, in pieces of a size, and what they ask for carried out."""
        for start in range(0, len(data), size):
            self.session.feed(data[start : start + size])
            for _ in range(LIMIT):
                if not self.session.handle():
                    break
        self.house.lot.service(self.house.lot.tyme)

    def end(self) -> None:
        """The client leaves; nothing may be left."""
        house, session = self.house, self.session
        session.end(ConnectionResetError("the client has left"))
        house.lot.service(house.lot.tyme)
        assert self.over
        assert session not in house.sessions
        assert not any(each.dues for each in (house.waits, house.leases, house.greetings, house.executions))
        assert not house.lot.runs
        assert (len(session.table), session.namespace, session.busy(), session._asked) == (0, {}, False, {})


class Performer:
    """A client of which only what it says is of interest."""

    url = "totohio://nowhere"
    waits = False

    def __init__(self, line: Any) -> None:
        self.line = line
        self.said: list[bytes] = []
        self.borrower = Borrower(self, send=self._send)

    def _send(self, data: bytes) -> None:
        self.said.append(data)
        if self.line is not None:
            self.line.say(frame(data))
            self.listen()

    def listen(self) -> None:
        """Take what the session has said."""
        sent, self.line.sent = self.line.sent, []
        for data in sent:
            self.borrower.take(data)

    def perform(self, operation: str, target: Any = None, args: Any = (), kw: Any = None) -> Any:
        """Have something done; give what it brings when it is there at once."""
        future = self.borrower.ask(operation, target, args, kw)
        return future.result() if future.done() and future.outcome()[1] is None else None

    def dropped(self, number: int) -> None:
        """It does not use something any more."""
        self.borrower.dropped(number)


def converse(performer: Performer) -> None:
    """Say what a client says."""
    perform = performer.perform
    perform("dir")
    perform("call", [None, "add"], [1, 2])
    perform("call", [None, "echo"], [{"a": (1, {2, 3}), 4: [b"x", None]}, 2**80, 1.5])
    cat = perform("call", [None, "Cat"], ["mia"])
    assert cat is not None
    perform("get", [cat._number, "name"])
    perform("set", [cat._number, "mood"], ["bad"])
    perform("setitem", cat._number, ["k", cat])
    perform("item", cat._number, ["k"])
    perform("str", cat._number)
    cursor = perform("iter", cat._number)
    perform("next", cursor._number, [10])
    perform("call", [None, "apply"], [lambda *args: list(args), 1, 2])
    perform("call", [None, "apply_later"], [lambda: 1 / 0])
    perform("call", [None, "keep"], [print])
    perform("call", [None, "nap"], [50])
    perform("call", [None, "fail"], ["zero"])
    perform("exit", cat._number, [ValueError("x")])
    perform("import", None, ["math", "sqrt"])
    performer.borrower.notify("cancel", 15)
    del cat, cursor
    performer.borrower.give_back()
    perform("ping")


class Place:
    """A server in a world that stands still, and what was said there when all was right.

    Attributes:
        house: Its sessions.
        frames: What a client has said, frame by frame.
        replies: What the server has said, message by message.
    """

    def __init__(self, world: World) -> None:
        self.house = house_of(lending(world, LENT + MORE, remote_max_calls=20, remote_max_references=50))
        line = Line(self.house, known=True)
        self.replies: list[bytes] = []
        send = line.session._send

        def note(data: bytes) -> None:
            self.replies.append(data)
            send(data)

        line.session._send = note
        performer = Performer(line)
        converse(performer)
        line.end()
        self.frames = [frame(data) for data in performer.said]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """The server."""
    with World(0, faults="still") as world:
        yield Place(world)


# ---------------------------------------------------------------- what is said

POOL = [*map(frame, BODIES.values()), *(frame(asking(value)) for value in VALUES.values() if len(value) < 5000)]
POOL += [frame(pack({"i": 1000 + n, **request})) for n, (request, _) in enumerate(REFUSED)]
HELLOS = [
    frame(pack({"i": 1, "o": "hello", "a": [1]})),
    frame(pack({"i": 2, "o": "challenge", "a": ["ada", b"n" * 16]})),
    frame(pack({"i": 3, "o": "prove", "a": [b"p" * 32]})),
    frame(pack({"i": 4, "o": "present", "a": ["s", b"p" * 32]})),
]
changes = st.lists(
    st.tuples(
        st.sampled_from(["flip", "drop", "repeat", "splice", "swap", "cut", "insert"]),
        st.integers(0, 2**16),
        st.integers(0, 2**16),
    ),
    min_size=1,
    max_size=6,
)


def changed(frames: list[bytes], wanted: list[tuple[str, int, int]], *, framed: bool = True) -> bytes:
    """Give a conversation that is not right any more; with ``framed``, mostly in frames that are."""
    bodies = [data[HEAD.size :] for data in frames]
    for kind, where, what in wanted:
        if not bodies:
            break
        at = where % len(bodies)
        body = bodies[at]
        place = what % max(1, len(body))
        match kind:
            case "flip" if body:
                bodies[at] = body[:place] + bytes((body[place] ^ 1 << where % 8,)) + body[place + 1 :]
            case "drop":
                del bodies[at]
            case "repeat":
                bodies.insert(what % len(bodies), body)
            case "splice":
                bodies[at] = body[:place] + bodies[what % len(bodies)][place:]
            case "swap":
                other = what % len(bodies)
                bodies[at], bodies[other] = bodies[other], body
            case "cut":
                bodies[at] = body[:place]
            case _:
                bodies.insert(at, POOL[what % len(POOL)][HEAD.size :])
    data = b"".join(map(frame, bodies))
    if not framed and data:
        at = wanted[0][1] * 7 % len(data)
        data = data[:at] + bytes((data[at] ^ 1 << wanted[0][2] % 8,)) + data[at + 1 :]
    return data


def unanswered(line: Line, data: bytes) -> list[Any]:
    """Give the numbers of requests that were said, and neither answered nor given up, in a session that goes on."""
    asked: list[Any] = []
    framer = Framer(1 << 24)
    framer.feed(data)
    given_up = set()
    while (body := framer.next()) is not None:
        match msgpack.unpackb(body, strict_map_key=False):
            case {"r": number} if number is not None:
                pass
            case {"i": number}:
                asked.append(number)
            case {"o": "cancel", "a": [number]}:
                given_up.add(number)
    for sent in line.sent:
        said = msgpack.unpackb(sent, strict_map_key=False)
        if "r" in said:
            asked.remove(said["r"])
    return [number for number in asked if number not in given_up]


@given(changes, st.booleans(), st.booleans())
@MANY
def test_each_byte_is_answered_refused_or_ends_the_session(
    place: Place, wanted: list[tuple[str, int, int]], known: bool, framed: bool
) -> None:
    data = changed(place.frames if known else HELLOS, wanted, framed=framed)
    line = Line(place.house, known=known)
    try:
        line.say(data)
        if line.session.closed is None and framed:
            assert set(unanswered(line, data)) <= line.session._calls.runs.keys()
    finally:
        line.end()


@given(changes, st.booleans(), st.sampled_from([1, 1, 2, 7, 1000]))
@FEW
def test_pieces_make_no_difference(place: Place, wanted: list[tuple[str, int, int]], known: bool, size: int) -> None:
    data = changed(place.frames if known else HELLOS, wanted)
    found = []
    for pieces in (1 << 24, size):
        line = Line(place.house, known=known)
        line.say(data, pieces)
        said = [msgpack.unpackb(sent, strict_map_key=False) for sent in line.sent]
        found.append((str(line.session.closed), [(each["r"], each.keys()) for each in said if "r" in each]))
        line.end()
    assert found[0] == found[1]


@given(st.lists(st.binary(max_size=60), max_size=8), st.booleans())
def test_any_bytes_are_answered_refused_or_end_the_session(place: Place, bodies: list[bytes], known: bool) -> None:
    for data in (b"".join(bodies), b"".join(map(frame, bodies))):
        line = Line(place.house, known=known)
        line.say(data)
        line.end()


@given(changes)
@MANY
def test_each_byte_of_a_server_is_taken_or_ends_the_connection(
    place: Place, wanted: list[tuple[str, int, int]]
) -> None:
    data = changed([frame(reply) for reply in place.replies], wanted)
    performer = Performer(None)
    for number in range(30):
        performer.borrower.ask("call", [None, "apply"], [lambda *args: args, number])
    framer = Framer(1 << 20)
    framer.feed(data)
    try:
        while (body := framer.next()) is not None:
            performer.borrower.take(body)
    except (TotohioError, ReferenceError) as error:
        performer.borrower.close(error)
    performer.borrower.close(ConnectionResetError("over"))
    assert (len(performer.borrower.table), performer.borrower._asked) == (0, {})
    assert isinstance(performer.borrower, Conversation)


# ---------------------------------------------------------------- the parts

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=9)
    | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(0, 9), inner, max_size=3)
    ),
    max_leaves=6,
)


def codec() -> Codec:
    """Give a codec that takes whatever can be taken."""
    return Codec(lend=id, borrow=lambda _: None, raised=repr, caught=lambda payload: made_error(payload, {}))


@given(st.integers(-128, 127), st.binary(max_size=40) | plain.map(pack))
@MANY
def test_an_extension_is_a_value_or_none(code: int, payload: bytes) -> None:
    data = b"\x81\xa1v\xc8" + len(payload).to_bytes(2, "big") + code.to_bytes(1, "big", signed=True) + payload
    try:
        found = list(codec().unpack(data))
    except LendingError:
        return
    assert found == ["v"]


@given(st.sampled_from(sorted(BUILTIN)), st.lists(plain, max_size=6), st.text(max_size=9))
@MANY
def test_an_exception_of_any_arguments_can_say_what_it_is(name: str, args: list[Any], message: str) -> None:
    made = codec().unpack(codec_bytes([name, message, "", args, None]))["e"]
    assert isinstance(made, Exception)
    assert isinstance(str(made), str)
    assert isinstance(repr(made), str)


def codec_bytes(payload: list[Any]) -> bytes:
    """Give a message with an exception."""
    body = pack(payload)
    return b"\x81\xa1e\xc8" + len(body).to_bytes(2, "big") + b"\x02" + body


def test_a_timestamp_of_messagepack_is_a_datetime_as_others_are() -> None:
    assert codec().unpack(b"\x81\xa1v\xd6\xff\x00\x00\x00\x01")["v"] == datetime.datetime(
        1970, 1, 1, 0, 0, 1, tzinfo=UTC
    )


def test_a_decimal_that_nobody_would_take_is_not_sent() -> None:
    with pytest.raises(LendingError, match="1025 characters"):
        codec().pack({"v": decimal.Decimal("1" * 1025)})


@given(st.text() | st.binary() | st.none() | st.integers() | st.lists(st.text(max_size=3)))
def test_no_name_leads_to_what_is_not_lent(name: Any) -> None:
    module = types.ModuleType("lent")
    exec(LENT, module.__dict__)
    exposures = Exposures([math])
    for target in (*lent_in(module).names.values(), math, math.sqrt, exposures, module, name):
        try:
            exposures.get(target, name)
        except AttributeError:
            continue
        assert name in exposures.names(target)
        assert not name.startswith("_")
