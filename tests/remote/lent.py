"""What the tests are lent."""

import threading

import msgspec

from totohio import TotoException, requires_role
from totohio.core.lending import lend

SEEN = []  # what has happened here
KEPT = []  # what clients have left here
GATE = threading.Event()


@lend
class Point(msgspec.Struct):
    x: int
    y: int = 0


@lend
class OddError(Exception):
    """Registered, so that it arrives as itself."""


class HiddenError(Exception):
    """Not registered."""


@lend
def echo(*args, **kw):
    """Give back what came."""
    return [list(args), kw] if kw or len(args) != 1 else args[0]


@lend
def add(a, b=0):
    """Add two things."""
    return a + b


@lend
def fail(kind):
    errors = {
        "zero": ZeroDivisionError("by zero"),
        "odd": OddError("odd", 7),
        "hidden": HiddenError("hidden"),
        "toto": TotoException(1234, "no luck"),
        "exit": SystemExit(3),
        "key": KeyError("k"),
    }
    raise errors[kind]


@lend
def apply(callback, *args, **kw):
    return callback(*args, **kw)


@lend(thread=True)
def apply_in_thread(callback, *args, **kw):
    return callback(*args, **kw)


@lend
def apply_later(callback, *args):
    try:
        result = yield callback.later(*args)
    except Exception as error:
        SEEN.append(["failed", type(error).__name__])
        raise
    return ["later", result]


@lend
def nap(seconds):
    """A generator that is parked."""
    try:
        yield seconds
    except GeneratorExit:
        SEEN.append(["ended", seconds])
        raise
    SEEN.append(["slept", seconds])
    return seconds


@lend
async def coroutine(value):
    return [value]


@lend(thread=True)
def summed(count):
    return sum(range(count))


@lend
def counting(count):
    return iter(range(count))


@lend
def squares(count):
    return (n * n for n in range(count))


@lend
@requires_role("admin")
def shut():
    return "shut"


@lend
def nest(depth):
    value = []
    for _ in range(depth):
        value = (value,)
    return value


@lend
def same(one, other):
    return one is other


@lend
def seen():
    return list(SEEN)


@lend
def keep(thing):
    KEPT.append(thing)


@lend
def kept():
    return KEPT[-1]


@lend(attributes=["name"], settable=["mood"])
class Cat:
    """A cat."""

    def __init__(self, name):
        self.name = name
        self.mood = "good"
        self.secret = "asleep"
        self.items = {}

    @lend
    def greet(self, other="you"):
        """Say miaow."""
        return f"{self.name} greets {getattr(other, 'name', other)}"

    @lend
    def kitten(self):
        return Cat(self.name + "let")

    @lend
    @property
    def loud(self):
        return self.name.upper()

    @lend
    @staticmethod
    def kind():
        return "cat"

    def hidden(self):
        return "hidden"

    @lend
    def __len__(self):
        return len(self.items)

    @lend
    def __bool__(self):
        return self.mood == "good"

    @lend
    def __getitem__(self, key):
        return self.items[key]

    @lend
    def __setitem__(self, key, value):
        self.items[key] = value

    @lend
    def __delitem__(self, key):
        del self.items[key]

    @lend
    def __contains__(self, key):
        return key in self.items

    @lend
    def __iter__(self):
        return iter(list(self.items))

    @lend
    def __str__(self):
        return f"cat {self.name}"

    @lend
    def __call__(self, word):
        return f"{self.name} hears {word}"

    @lend
    def __enter__(self):
        SEEN.append(["enter", self.name])
        return self

    @lend
    def __exit__(self, kind, error, trace):
        SEEN.append(["exit", kind.__name__ if kind else None])
        return kind is ValueError


class Sorter(type):
    """What is marked here is reached of no class."""

    @lend
    def sorted(cls):
        return "sorted"

    @lend
    def __len__(cls):
        return 1


@lend(attributes=["title"], settable=["played"])
class Album(metaclass=Sorter):
    """Made in several ways."""

    played = 0

    def __init__(self, title):
        self.title = title

    @lend
    @classmethod
    def opened(cls, title="untitled"):
        """Open one."""
        return cls(title)

    @classmethod
    @lend
    def later(cls, seconds):
        yield seconds
        return cls(f"after {seconds}")

    @lend
    @classmethod
    async def awaited(cls, title):
        return cls(title)

    @staticmethod
    @lend
    def tracks(count):
        return (n * n for n in range(count))

    @lend(thread=True)
    @staticmethod
    def threaded():
        return threading.get_ident()

    @requires_role("admin")
    @lend
    @classmethod
    def burnt(cls):
        return "burnt"

    @classmethod
    def hidden(cls):
        return "hidden"

    @lend
    def play(self):
        self.played += 1
        return f"{self.title} plays"


class Bootleg(Album):
    """Not lent."""


@lend
class Single(Album):
    """Lent, and not opened."""

    @staticmethod
    def opened():
        return "hidden"


@lend
def bootleg():
    return Bootleg


class Plain:
    """Not lent at all."""

    value = 1


@lend
def plain():
    return Plain()


tom = Cat("tom")
secret = Plain()
