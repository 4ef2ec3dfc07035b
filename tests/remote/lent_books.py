"""What the tests of what users of RPyC ask for are lent."""

import weakref

import msgspec

from totohio import lend

SEEN = []  # what has happened here
KEPT = []  # what clients have left here


@lend
class Point(msgspec.Struct):
    x: int
    y: int


@lend
class OddError(Exception):
    """Known to both ends."""


class HiddenError(Exception):
    """Known here alone."""


@lend(attributes=["title"], settable=["pages"])
class Book:
    """A book."""

    def __init__(self, title, pages=0):
        self.title, self.pages, self.price = title, pages, 9
        SEEN.append(f"made {title}")
        weakref.finalize(self, SEEN.append, f"gone {title}")

    @lend
    def describe(self):
        return f"{self.title}, {self.pages} pages"

    def burn(self):
        self.pages = 0

    @lend
    def __len__(self):
        return self.pages

    @lend
    def __getitem__(self, page):
        return f"page {page}"

    def __iter__(self):
        return iter(range(self.pages))

    def __add__(self, other):
        return "added"

    def __lt__(self, other):
        return True

    @lend
    def __enter__(self):
        return self

    @lend
    def __exit__(self, kind, error, trace):
        SEEN.append([kind and kind.__name__, error and str(error), trace])
        return kind is ValueError


shared = Book("Emma")


@lend
def add(a, b):
    return a + b


def unmarked():
    return 1


@lend
def function():
    return unmarked


@lend
def append(items, item):
    items.append(item)
    return items


@lend
def echo(value):
    return value


@lend
def is_shared(book):
    return book is shared


@lend
def has(target, name):
    return hasattr(target, name)


@lend
def keep(thing):
    KEPT.append(thing)


@lend
def each(function, items):
    return [function(item) for item in items]


@lend
def each_later(function, items):
    return (yield [function.later(item) for item in items])


@lend
def fail(kind):
    errors = [KeyError("k"), OddError("odd", 7), HiddenError("hidden"), SystemExit(3)]
    raise {type(error).__name__: error for error in errors}[kind]


@lend
def counted(count):
    return (number for number in range(count))


@lend
def nap(seconds):
    try:
        yield seconds
    except GeneratorExit:
        SEEN.append(f"no nap of {seconds}")
        raise
    return seconds
