"""A server that means no good to its clients: they get an error that says so, and nothing is done for it."""

from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import pytest

from tests.remote.hostile import BODIES, VALUES, ext, pack
from tests.remote.peers import packed
from tests.remote.rogues import CHALLENGES, Rogue, Say, welcoming
from totohio import TotoException
from totohio import remote as remoting
from totohio.base.errors import TotohioError
from totohio.remote import DisconnectedError, Remote, RemoteError
from totohio.remote.table import NotLentError
from totohio.wire.framing import HEAD, frame

Make = Callable[[Say], Rogue]
Answer = Callable[[int], bytes]  # to the request of that number
SESSION = {"session_id": "s", "session_key": "k"}
GIVEN_UP = ("a reply to 1,", "an error in reply to 1,")
USER = {"user_id": "ada", "password": "secret"}


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes servers."""
    made: list[Rogue] = []

    def begin(say: Say) -> Rogue:
        made.append(Rogue(say))
        return made[-1]

    yield begin
    for rogue in made:
        rogue.close()


def borrow(rogue: Rogue, **who: Any) -> Remote:
    """Connect."""
    return remoting.connect(rogue.url, timeout=30.0, **(who or SESSION))


def saying(make: Make, *answers: "bytes | Callable[[int], bytes]") -> Rogue:
    """Make a server that gives these answers, one after another, to whoever was let in."""
    left = list(answers)

    def say(message: dict[str, Any]) -> bytes | None:
        if not left or "i" not in message:
            return b""
        answer = left.pop(0)
        return answer(message["i"]) if callable(answer) else answer

    return make(welcoming(say))


def value(raw: bytes) -> Callable[[int], bytes]:
    """Give what answers with a value, whatever bytes that has."""
    return lambda number: frame(b"\x82" + pack("r") + pack(number) + pack("v") + raw)


def always(data: bytes) -> Answer:
    """Give what answers with these bytes."""
    return lambda _: data


def test_what_is_no_message_ends_the_connection(make: Make) -> None:
    said: list[Answer] = []
    wrong = []
    rogue = make(welcoming(lambda message: said[0](message["i"])))
    answers = [(name, value(raw)) for name, raw in VALUES.items()]
    for name, body in BODIES.items():
        if not name.startswith("a request") and not name.startswith(GIVEN_UP):
            answers.append((name, always(frame(body))))
    answers += [(f"{size} bytes", always(HEAD.pack(size))) for size in (2**28 + 1, 2**31, 2**32 - 1)]
    for name, answer in answers:
        said[:] = [answer]
        with borrow(rogue) as remote:
            try:
                wrong.append((name, remote.perform("ping")))
            except DisconnectedError:
                continue
    assert wrong == []
    assert len(answers) > 300


@pytest.mark.parametrize("challenge", CHALLENGES, ids=lambda each: repr(each)[:40])
def test_a_challenge_that_is_none_is_not_answered(make: Make, challenge: Any) -> None:
    def say(message: dict[str, Any]) -> bytes:
        said = {"hello": {"version": 1, "nonce": b"n" * 16}, "challenge": challenge}
        return packed({"r": message["i"], "v": said[message["o"]]})

    rogue = make(say)
    with pytest.raises(TotohioError):
        borrow(rogue, **USER)
    assert [message["o"] for message in rogue.heard] == ["hello", "challenge"]


@pytest.mark.parametrize("proof", [None, b"", b"x" * 32, "x", 1, [], True], ids=repr)
def test_a_server_that_does_not_know_the_password_is_found_out(make: Make, proof: Any) -> None:
    challenge = {"algorithm": "pbkdf2-sha1", "rounds": 1, "salt": b"s", "size": 24}

    def say(message: dict[str, Any]) -> bytes:
        said = {
            "hello": {"version": 1, "nonce": b"n" * 16},
            "challenge": challenge,
            "prove": ["ada", proof, ["add"], 60.0],
        }
        return packed({"r": message["i"], "v": said[message["o"]]})

    rogue = make(say)
    with pytest.raises(TotohioError, match="has not shown that it knows the user"):
        borrow(rogue, **USER)
    assert not any(b"secret" in repr(message).encode() for message in rogue.heard)


@pytest.mark.parametrize(
    "welcome", [None, 1, [], ["ada"], {}, [1, None, [], 1.0], ["ada", None, 1, 1.0], "ada"], ids=repr
)
def test_a_welcome_that_is_none_lets_nobody_in(make: Make, welcome: Any) -> None:
    def say(message: dict[str, Any]) -> bytes:
        said = {"hello": {"version": 1, "nonce": b"n" * 16}, "present": welcome}
        return packed({"r": message["i"], "v": said[message["o"]]})

    with pytest.raises(TotohioError, match="says something else than who we are"):
        borrow(make(say))


@pytest.mark.parametrize(
    "name", ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "BaseException", "Unknown", "__class__"]
)
def test_exceptions_that_would_end_the_client_are_others(make: Make, name: str) -> None:
    error = ext(2, pack([name, "told", "trace", [1], None]))
    rogue = saying(make, lambda number: frame(b"\x82" + pack("r") + pack(number) + pack("e") + error), value(pack(3)))
    with borrow(rogue) as remote:
        with pytest.raises(RemoteError) as caught:
            remote.perform("ping")
        assert (caught.value.name, str(caught.value)) == (name, f"{name}: told")
        assert remote.perform("ping") == 3


def test_an_error_of_ours_has_what_value_it_can_say(make: Make) -> None:
    error = ext(2, pack(["TotoException", "told", "", [[1, {}]], 7]))
    rogue = saying(make, lambda number: frame(b"\x82" + pack("r") + pack(number) + pack("e") + error))
    with borrow(rogue) as remote, pytest.raises(TotoException) as caught:
        remote.perform("ping")
    assert (caught.value.code, caught.value.value) == (7, "told")


@pytest.mark.parametrize(
    "description",
    [
        {},
        [],
        1,
        {"name": 1, "names": [], "operators": {}, "call": None, "help": 5},
        {"name": "x" * 100_000, "names": {"__class__": "method", "_x": "value"}, "operators": ["__class__", "__del__"]},
        {"name": None, "names": {"__init__": "method", "a": "odd", "": "value"}, "operators": [1, None, b"__len__"]},
        {
            "name": "x\0\n",
            "names": {"perform": "method"},
            "operators": ["__getattr__", "__reduce__"],
            "help": "y" * 99_999,
        },
    ],
    ids=lambda each: repr(each)[:30],
)
def test_a_description_that_lies_gives_nothing_that_the_client_has_not_asked_for(make: Make, description: Any) -> None:
    rogue = saying(make, value(ext(1, pack([0, 1, "k", description]))))
    with borrow(rogue) as remote:
        proxy = remote.perform("ping")
        assert type(proxy).__name__ == "Proxy"
        assert len(repr(proxy)) < 400
        assert isinstance(dir(proxy), list)
        assert bool(proxy) is True
        for name in ("_x", "_performer_", "__wrapped__", "__deepcopy__", "nothing"):
            with pytest.raises(AttributeError):
                getattr(proxy, name)
        for use in (len, iter, list, lambda each: each(), lambda each: each[0], lambda each: 1 in each):
            with pytest.raises(TypeError):
                use(proxy)
        assert [message["o"] for message in rogue.heard] == ["hello", "present", "ping"]


def test_a_server_reaches_nothing_but_the_callables_that_it_was_given(make: Make) -> None:
    called: list[Any] = []
    asked = [
        {"i": 1, "o": "call", "t": 99},
        {"i": 2, "o": "call", "t": None},
        {"i": 3, "o": "call", "t": [1, "__globals__"]},
        {"i": 4, "o": "get", "t": [1, "__globals__"]},
        {"i": 5, "o": "do", "a": ["x = 1"]},
        {"i": 6, "o": "import", "a": ["os", ""]},
        {"i": 7, "o": "set", "t": [1, "x"], "a": [1]},
        {"i": 8, "o": ["call"], "t": 1},
        {"i": 9, "o": "call", "t": 1, "a": 5},
        {"i": 10, "o": "call", "t": 1, "k": {1: 2}},
        {"i": 11, "o": "call", "t": 1, "k": {"x": 1}},
        {"i": 12, "o": "call", "t": 1, "a": [1]},
    ]

    def say(message: dict[str, Any]) -> bytes:
        if message.get("o") == "call":
            return b"".join(map(packed, asked))
        if message.get("r") == 12:
            return packed({"r": 3, "v": "done"})
        return b""

    rogue = make(welcoming(say))
    with borrow(rogue) as remote:
        assert remote.perform("call", [None, "add"], [called.append]) == "done"
        replies = {message["r"]: message for message in rogue.heard if "r" in message}
    assert called == [1]
    names = {number: msgpack.unpackb(reply["e"].data)[0] for number, reply in replies.items() if "e" in reply}
    assert [names[number] for number in (1, 2, 3)] == [NotLentError.__name__] * 3
    assert [names[number] for number in (4, 5, 6, 7, 8)] == ["ForbiddenError"] * 5
    assert [names[number] for number in (9, 10, 11)] == ["TypeError"] * 3
    assert set(replies) == set(range(1, 13))


def test_a_server_that_calls_back_without_an_end_is_told_so(make: Make) -> None:
    def say(message: dict[str, Any]) -> bytes:
        if message.get("o") == "call":
            return packed({"i": message["i"], "o": "call", "t": 1})
        if "r" in message:
            return packed({"r": message["r"], "v": message.get("v", "too deep")})
        return b""

    with borrow(make(welcoming(say))) as remote:

        def again() -> Any:
            return remote.perform("call", [None, "apply"], [again])

        assert again() == "too deep"


@pytest.mark.parametrize("last", ["hello", "present", "ping"])
def test_a_server_that_leaves_in_the_middle_is_said_to(make: Make, last: str) -> None:
    rogue = make(lambda message: None if message["o"] == last else welcoming(lambda _: None)(message))
    with pytest.raises(DisconnectedError), borrow(rogue) as remote:
        remote.perform("ping")
