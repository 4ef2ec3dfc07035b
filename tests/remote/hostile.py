"""What hostile peers say: messages that are none, and requests that nobody may make."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack

from totohio.wire.framing import HEAD

PRIME = 2**61 - 1  # what CPython hashes numbers by: all its multiples have the hash 0
CODES = range(1, 14)  # of extension types


def pack(value: Any) -> bytes:
    """Give the bytes of a value."""
    data: bytes = msgpack.packb(value)
    return data


def ext(code: int, payload: bytes) -> bytes:
    """Give the bytes of an extension type, whatever is in it."""
    return b"\xc9" + HEAD.pack(len(payload)) + struct.pack("b", code) + payload


def within(code: int, depth: int, inner: bytes = b"\xc0") -> bytes:
    """Give lists in an extension type in lists in an extension type, so deep."""
    for _ in range(depth):
        inner = ext(code, b"\x91" + inner)
    return inner


def asking(*args: bytes, name: str = "echo", number: int = 10) -> bytes:
    """Give the body of a request that calls something that is lent with such arguments, which need be none."""
    head = b"\x84" + pack("i") + pack(number) + pack("o") + pack("call") + pack("t") + pack([None, name]) + pack("a")
    return head + bytes((0x90 + len(args),)) + b"".join(args)


def colliding(count: int) -> list[bytes]:
    """Give integers that all have one hash."""
    numbers = (PRIME * number for number in range(10, 10 + count))
    return [ext(11, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)) for number in numbers]


def _values() -> Iterator[tuple[str, bytes]]:
    """What is no value, by what is wrong with it; it ends the session in whose request it stands."""
    yield "a byte that means nothing", b"\xc1"
    yield "a text that is none", b"\xa1\xff"
    yield "a key that cannot be hashed", b"\x81\x90\x01"
    for name, head in (("list", 0xDD), ("map", 0xDF), ("text", 0xDB), ("bytes", 0xC6), ("extension", 0xC9)):
        for size in (2**32 - 1, 2**31, 100_000, 50):
            yield f"a {name} of {size} without content", bytes((head,)) + HEAD.pack(size)
    for name, start in (("lists", b"\x91"), ("maps", b"\x81\x01"), ("long lists", b"\xdd\x00\x01\x00\x00")):
        yield f"100,000 {name} in each other", start * 100_000 + b"\xc0"
        yield f"1,000 {name} without an end", start * 1000
    for code in (*CODES, 14, 127, -2, -128):
        if code == 11:
            continue  # any bytes are an integer
        yield f"extension {code} with a byte that means nothing", ext(code, b"\xc1")
        yield f"extension {code} with a list without an end", ext(code, b"\x92\x01")
        yield f"extension {code} with more than a value", ext(code, b"\xc0\xc0")
        for value in (None, True, 1.5, -1, "x", {}, [], [[]], [{}], [None] * 7):
            if type(value) is not list or code not in (3, 4, 5):
                yield f"extension {code} with {value!r}", ext(code, pack(value))
    for code in (2, 3, 4, 5, 9):
        yield f"65 of extension {code} in each other", within(code, 65)
    description = b"\xc0"
    for number in range(70):
        description = ext(1, b"\x94\x00" + pack(number) + pack(f"k{number}") + b"\x91" + description)
    yield "references described with references", description
    for payload in ([0, "1", "k", {}], [0, 1, [], {}], [0, 1, "k", None], [0, 1, "k"], [2, 1], [1, "x"], [1, [1]]):
        yield f"the reference {payload}", ext(1, pack(payload))
    for payload in ([1, 99], [1, 0], [1, -1], [1, 2**63]):
        yield f"{payload}, which was never lent", ext(1, pack(payload))
    for wrong in (["E", "", "", [], None, 1], ["E", "", "", {}, None], [1, "", "", [], None], ["E", "", "", [], [1]]):
        yield f"the exception {wrong}", ext(2, pack(wrong))
    for text in (
        b"2024-13-01",
        b"2024-02-30",
        b"24:61",
        b"\xff",
        b"x" * 5000,
        "2024-01-0\N{DEVANAGARI DIGIT ONE}".encode(),
    ):
        for code in (6, 7, 8):
            yield f"extension {code} with {text[:20]!r}", ext(code, text)
    for days in ([1, 2], [1.5, 0, 0], ["1", 0, 0], [10**10, 0, 0], [2**63, 2**63, 2**63], [None, 0, 0]):
        yield f"the timedelta {days}", ext(9, pack(days))
    for digits in (b"1" * 1025, b"1e", b"0x1", b"1E+99999999999999999999", b"\xff", b"1 2", b"sNaN1x"):
        yield f"the decimal {digits[:20]!r}", ext(10, digits)
    yield "an integer of 1,025 bytes", ext(11, b"x" * 1025)
    yield "a signalling NaN in a set", ext(4, b"\x91" + ext(10, b"sNaN"))
    yield "a set in a set", ext(4, b"\x91" + ext(4, b"\x90"))
    for struct_ in (["Point", {1: 1}], ["Point", [1, 2]], ["Point", {"x": 1}, 1], [1, {}], ["Point"]):
        yield f"the Struct {struct_}", ext(12, pack(struct_))
    for size in (0, 15, 17):
        yield f"a UUID of {size} bytes", ext(13, b"x" * size)
    for more in (b"[]", b"[../UTC]", b"[fold=2]", b"[fold=1][UTC]", b"]", b"[UTC]x"):
        yield f"the datetime with {more!r}", ext(6, b"2024-01-01T00:00:00" + more)
    yield "a timestamp of 3 bytes", ext(-1, b"abc")
    yield "a timestamp of the year 292,277,026,596", ext(-1, b"\xff" * 4 + b"\x7f" + b"\xff" * 7)
    yield "a set whose items collide", ext(4, b"\xdd" + HEAD.pack(20_000) + b"".join(colliding(20_000)))
    pairs = b"\xc0".join(colliding(20_000)) + b"\xc0"
    yield "a map whose keys collide", b"\xdf" + HEAD.pack(20_000) + pairs


def _bodies() -> Iterator[tuple[str, bytes]]:
    """Frames that are no messages, and messages that nobody may send; they end the session."""
    yield "nothing", b""
    yield "half a message", asking(pack(1))[:-3]
    yield "a message and a byte", pack({"i": 10, "o": "ping"}) + b"\x00"
    yield "two messages in a frame", pack({"i": 10, "o": "ping"}) * 2
    for value in (None, True, 1, 1.5, "x", b"x", [], [1, 2], [{}], {}, {"x": 1}, {1: 2}, {None: None}):
        yield f"the message {value!r}", pack(value)
    for number in (-1, -(2**63), 1.0, "1", b"1", None, True, False, [], {}):
        yield f"a request with the number {number!r}", pack({"i": number, "o": "ping"})
    yield (
        "a request with a number of -2**70",
        b"\x82\xa1i" + ext(11, (-(2**70)).to_bytes(10, "big", signed=True)) + (pack("o") + pack("ping")),
    )
    for number in (0, 1, 99, -1, 2**63, "1", True, 1.0, [1], {}, b"1"):
        yield f"a reply to {number!r}, which nobody has asked", pack({"r": number, "v": 1})
        yield f"an error in reply to {number!r}, which nobody has asked", pack({"r": number, "e": 1})
    for operation in ("nothing", "call", "", None, 1, ["release"], {"release": 1}, b"release", "__class__"):
        yield f"the notice {operation!r}", pack({"o": operation, "a": []})
    for counts in (None, 1, "x", {}, [1], [[1]], [[1, 2, 3]], [["1", 1]], [[1, "1"]], [[[], 1]], [[1, None]]):
        yield f"the release {counts!r}", pack({"o": "release", "a": counts})
    for count in ([1, 1], [1, 0], [1, -1], [-1, 1], [1, 2**63], [0, 1], [True, True], [99, 1]):
        yield f"the release of {count}, which was not lent", pack({"o": "release", "a": [count]})
    for args in (None, [], ["x"], [None], [[1]], [1, 2], [1.0], 5):
        yield f"the cancelling of {args!r}", pack({"o": "cancel", "a": args})


def _spoilt() -> Iterator[tuple[str, bytes]]:
    """What is well written and yet no value here, by what is wrong with it; its request is refused."""
    for struct_ in (["Cat", {}], ["Point", {"x": "1"}], ["Point", {}], ["Stern", {"x": 1}], ["object", {}]):
        yield f"the Struct {struct_}", ext(12, pack(struct_))
    yield "a Struct with a name of 5,000 characters", ext(12, pack(["x" * 5000, {}]))
    point = ext(12, pack(["Point", {"x": 1}]))
    yield "a key that is a Struct, which has no hash", b"\x81" + point + b"\x01"
    yield "an item of a set that is a Struct, which has no hash", ext(4, b"\x91" + point)
    yield "a key that is a tuple with such a Struct", b"\x81" + ext(3, b"\x92\x01" + point) + b"\x01"
    yield "a set of 100,001 numbers", ext(4, pack(list(range(100_001))))
    keys = b"".join(pack(number) + b"\xc0" for number in range(100_001))
    yield "a map with 100,001 numbers as keys", b"\xdf" + HEAD.pack(100_001) + keys


VALUES = dict(_values())
SPOILT = dict(_spoilt())
BODIES = dict(_bodies())


def _ends() -> Iterator[tuple[str, bytes]]:
    yield from BODIES.items()
    for name, value in VALUES.items():
        yield name, asking(value)
        if len(value) < 2000:
            yield f"{name}, in a notice", b"\x82" + pack("o") + pack("ping") + pack("x") + value


ENDS = dict(_ends())  # messages that end a session, by what is wrong
TOO_LARGE = (2**32 - 1, 2**31, 2**31 - 1, 2**24, 1_048_577)  # bytes of a message


# ---------------------------------------------------------------- requests that are refused

_ADD = {"o": "call", "t": [None, "add"]}
_NO_TARGETS: list[Any] = [None, "x", [], [None], [None] * 17, {}, {"tom": 1}, 1.5, True, b"tom"]
_NOT_LENT: list[Any] = [-1, 0, 99, 2**63, [99, "name"], ["1", "name"], [[], "name"], [{}, "name"], [1.5, "name"]]
_FORBIDDEN: list[Any] = [
    *([None, name] for name in (None, 1, b"add", ["add"], {}, "", "secret", "Plain", "tom.name", "SEEN", "threading")),
    *([None, "tom", name] for name in ("", "secret", "hidden", "items", "name.upper", None, 1, b"name", ["name"])),
    *([None, "tom", "name", name] for name in ("upper", "format", "__class__")),
    *([None, "add", name] for name in ("__globals__", "add", "x")),
    *(
        [None, "Album", name]
        for name in ("title", "played", "play", "hidden", "sorted", "mro", "register", "", None, 1)
    ),
    *([None, "Album", name] for name in ("__new__", "__subclasses__", "__dict__", "__init_subclass__", "__bases__")),
    *([None, "Album", "opened", name] for name in ("__func__", "__self__", "opened", "play", "cls")),
    *([None, "Single", name] for name in ("opened", "hidden", "play")),
    *([None, "Cat", name] for name in ("greet", "loud", "name", "mood", "secret", "hidden", "kitten")),
]
_NO_OPERATIONS: list[Any] = [None, 1, 1.5, True, "nothing", "CALL", b"call", "resolve", "by_name", "end", "__class__"]


def _refused() -> Iterator[tuple[dict[str, Any], str]]:
    """Requests, and the error that each is refused with."""
    for operation in ("call", "get", "iter", "next", "help", "str", "item"):
        for target in _NO_TARGETS:
            yield {"o": operation, "t": target}, "LendingError"
        for target in _NOT_LENT:
            yield {"o": operation, "t": target}, "NotLentError"
        for target in _FORBIDDEN:
            yield {"o": operation, "t": target}, "ForbiddenError"
    for operation in _NO_OPERATIONS:
        yield {"o": operation, "t": [None, "add"]}, "LendingError"
    for operation in ("hello", "challenge", "prove", "present", "ping", "alloc", "import", "do"):
        yield {"o": operation, "a": [1, 2, 3]}, "LendingError"
    for args in (5, "abc", {"a": 1}, True, b"x", 1.5):
        yield _ADD | {"a": args}, "LendingError"
    for named in (5, "abc", [1], True, b"x"):
        yield _ADD | {"k": named}, "LendingError"
    for named in ({1: 2}, {b"b": 1}, {None: 1}, {"": 1}, {"self": 1}, {"a": 1, "function": 1}, {"mark": 1}):
        yield _ADD | {"a": [1], "k": named}, "TypeError"
        yield {"o": "call", "t": [None, "tom", "greet"], "k": named}, "TypeError"
        yield {"o": "call", "t": [None, "summed"], "a": [1], "k": named}, "TypeError"
    for module, attr in (
        ("os", ""),
        ("os.path", ""),
        ("sys", "modules"),
        ("", ""),
        (None, ""),
        (["math"], ""),
        (1, ""),
    ):
        yield {"o": "import", "a": [module, attr]}, "ForbiddenError"
    for attr in ("__name__", "__loader__", "_x", "nothing", ["sqrt"], 5, "sqrt.__self__"):
        yield {"o": "import", "a": ["math", attr]}, "ForbiddenError"
    for statements in ("x = 1", b"x", None, "", "x" * 100_000):
        yield {"o": "do", "a": [statements]}, "ForbiddenError"
    for name in ("name", "secret", "__class__", "__dict__", "greet", "nothing", "", 1, None, b"mood", ["mood"]):
        yield {"o": "set", "t": [None, "tom", name], "a": [1]}, "ForbiddenError"
        yield {"o": "set", "t": [None, name], "a": [1]}, "ForbiddenError"


CALLBACK = msgpack.ExtType(1, pack([0, 1, "k", {"name": "callback"}]))
GREETINGS: list[tuple[str, list[Any]]] = [  # what somebody unknown may ask, but not like this
    ("hello", ["1"]),
    ("hello", [2]),
    ("challenge", [1, b"x" * 16]),
    ("challenge", ["ada", b"x" * 65]),
    ("challenge", ["ada", CALLBACK]),
    ("challenge", [CALLBACK, b"x" * 16]),
    ("prove", [None]),
    ("prove", [CALLBACK]),
    ("prove", [b""]),
    ("present", [None, None]),
    ("present", [{}, b"x"]),
    ("present", ["x" * 3000, b"x"]),
    ("present", ["", CALLBACK]),
]

REFUSED = list(_refused())

EXCEPTIONS: list[list[Any]] = [  # names and arguments
    ["UnicodeDecodeError", "utf-8", b"x", -(2**62), 1 - 2**62, "r"],
    ["UnicodeDecodeError", "utf-8", b"x", -50, -49, "r"],
    ["UnicodeEncodeError", "utf-8", "x", -50, -49, "r"],
    ["UnicodeTranslateError", "x", -50, -49, "r"],
    ["SyntaxError", "x", ["f", 1, 1, "text", 1, 10**9]],
    ["SyntaxError", "invalid syntax", ["/etc/passwd", 1, 1, None, 1, 1]],
    ["ExceptionGroup", "x", [1]],
    ["KeyError", [[[[]]]]],
    ["OSError", 2, "x" * 5000],
    ["MemoryError"],
    ["StopIteration", 5],
    ["SystemExit", 1],
    ["KeyboardInterrupt"],
    ["GeneratorExit"],
    ["BaseException", 1],
    ["BaseExceptionGroup", "x", []],
    ["__class__", 1],
    ["Cat", 1],
    ["type", "x"],
    ["print", "x"],
    ["x" * 100_000, 1],
    ["", None],
]
RAISED = ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "StopIteration", "StopAsyncIteration", "LendingError", ""]
RAISED += ["NotLentError", "RuntimeError", "MemoryError", "RecursionError", "Exception", "BaseException", "X" * 999]

OPERATIONS = [
    "call",
    "get",
    "set",
    "iter",
    "next",
    "dir",
    "help",
    "len",
    "bool",
    "str",
    "item",
    "setitem",
    "delitem",
    "contains",
    "enter",
    "exit",
]
WALKS: list[Any] = ["__class__", "__dict__", "__init__", "__call__", "__func__", "__self__", "__globals__", "__code__"]
WALKS += ["__subclasses__", "_iterator", "_totohio_lent", "mro"]
MORE_WALKS: list[Any] = [
    *Path(__file__).with_name("corpus").joinpath("names.txt").read_text("utf-8").split(),
    *(
        "",
        " ",
        "\0",
        "name\0",
        "greet ",
        " __class__",
        "__class__\0",
        "\N{FULLWIDTH LATIN SMALL LETTER N}ame",
        "x" * 5000,
    ),
    *(None, 0, 1, -1, True, 1.5, b"name", b"__class__", [], ["name"], {}, {"name": 1}, 2**64 - 1),
]

MORE = """

@lend
class Stern(msgspec.Struct):
    x: int = 0

    def __post_init__(self):
        raise LookupError("never")


@lend
def again(callback, depth):
    return callback(depth)


@lend
class Bag:
    pass


@lend
def bags(count):
    return [Bag() for _ in range(count)]
"""
