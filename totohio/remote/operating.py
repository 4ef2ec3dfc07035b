"""What a borrower can have done with objects that are lent: each operation by its name on the wire."""

import operator
from collections.abc import Callable, Iterator
from types import FunctionType, GeneratorType, MethodType
from typing import Any

from totohio.core.lending import Exposures, ForbiddenError, Lent, lend, name_of
from totohio.remote.table import NotLentError
from totohio.wire.lending import LendingError

LONGEST_WORD = 50  # characters of a name in a log
LONGEST_PATH = 16  # names that lead from an object to what is meant
BATCH = 100  # items of an iterator that are sent at once, at most

# By operation: the special method that has to be lent, and what uses it.
OPERATORS: dict[str, tuple[str, Callable[..., Any]]] = {
    "len": ("__len__", len),
    "bool": ("__bool__", bool),
    "str": ("__str__", str),
    "contains": ("__contains__", operator.contains),
    "item": ("__getitem__", operator.getitem),
    "setitem": ("__setitem__", operator.setitem),
    "delitem": ("__delitem__", operator.delitem),
    "enter": ("__enter__", lambda target: type(target).__enter__(target)),
    "exit": ("__exit__", lambda target, error: type(target).__exit__(target, *_raised(error))),
}


def _raised(error: Any) -> tuple[Any, Any, None]:
    if error is not None and not isinstance(error, BaseException):
        raise TypeError("a context ends with an exception or None")
    return (None, None, None) if error is None else (type(error), error, None)


class Cursor:
    """An iterator that is lent, of whatever class.

    Attributes:
        mark: How what it iterates over is lent.
    """

    __slots__ = ("_iterator", "mark")

    def __init__(self, iterator: Iterator[Any], mark: Lent) -> None:
        self._iterator = iterator
        self.mark = mark

    def take(self, count: Any) -> list[Any]:
        """Give the next items, at most so many, and whether these were the last: ``[items, over]``."""
        if type(count) is not int or not 0 < count <= BATCH:
            raise ValueError(f"between 1 and {BATCH} items can be had at once")
        items: list[Any] = []
        for item in self._iterator:
            items.append(item)
            if len(items) == count:
                return [items, False]
        return [items, True]

    @lend
    def __next__(self) -> Any:
        return next(self._iterator)


class Operations:
    """Carries out operations on what is lent in one session.

    Attributes:
        namespace: What the session finds by name.
        free: Names that the session has made itself and so may call.
    """

    def __init__(
        self, *, exposures: Exposures, namespace: dict[str, Any], find: Callable[[Any], Any], run: "Run"
    ) -> None:
        """Set it up.

        Args:
            exposures: What can be reached.
            namespace: What is found by name.
            find: Gives the object that is lent under a number.
            run: Calls a function, in the cycle or in a thread.
        """
        self.exposures = exposures
        self.namespace = namespace
        self.free: set[str] = set()
        self._find = find
        self._run = run
        self.by_name: dict[Any, Callable[[Any, list[Any], dict[str, Any]], Any]] = {
            "call": self.call,
            "get": self.get,
            "set": self.set,
            "iter": self.iterate,
            "next": self.next,
            "dir": self.dir,
            "help": self.help,
            **{name: self._operator(special, function) for name, (special, function) in OPERATORS.items()},
        }

    def resolve(self, target: Any) -> Any:
        """Give what a target means: the number of an object, or a list of such a number, or None, and names.

        Raises:
            ForbiddenError: A name on the way is not lent.
            NotLentError: Nothing is lent under the number.
            LendingError: It is no target.
        """
        if type(target) is int:
            return self._find(target)
        if type(target) is not list or not 1 < len(target) <= LONGEST_PATH:
            raise LendingError("a target is a number, or a list of one and names")
        root, first, *names = target
        found = self.named(first) if root is None else self.exposures.get(self._find(root), first)
        for name in names:
            found = self.exposures.get(found, name)
        return found

    def named(self, name: Any) -> Any:
        """Give what the session finds by a name.

        Raises:
            ForbiddenError: Nothing.
        """
        if type(name) is not str or name.startswith("_") or name not in self.namespace:
            raise ForbiddenError(f"nothing is lent as {name!r:.100}")
        return self.namespace[name]

    def own(self, target: Any) -> bool:
        """Tell whether the session has made something itself, and has it by a name."""
        return callable(target) and any(self.namespace.get(name) is target for name in self.free)

    # ------------------------------------------------------------ operations

    def call(self, target: Any, args: list[Any], kw: dict[str, Any]) -> Any:
        """Call something that is lent."""
        function = self.resolve(target)
        mark = OWN if self.free and self.own(function) else self.exposures.callable(function)
        return self._run(mark, _called, [mark, function, *args], kw)

    def get(self, target: Any, args: list[Any], kw: dict[str, Any]) -> Any:
        """Give the value of an attribute, or of a name of the session."""
        return self.resolve(target)

    def set(self, target: Any, args: list[Any], kw: dict[str, Any]) -> None:
        """Set an attribute."""
        if type(target) is not list or len(target) < 2 or target[0] is None:
            raise ForbiddenError("the names of a session cannot be set")
        *path, name = target
        owner = self.resolve(path if len(path) > 1 else path[0])
        (value,) = args
        self.exposures.set(owner, name, value)

    def iterate(self, target: Any, args: list[Any], kw: dict[str, Any]) -> Any:
        """Give an iterator over something that is lent."""
        found = self.resolve(target)
        if type(found) is Cursor:
            return found
        mark = self.exposures.operator(found, "__iter__")
        return Cursor(iter(found), mark)

    def next(self, target: Any, args: list[Any], kw: dict[str, Any]) -> Any:
        """Give the next items of an iterator: ``[items, over]``."""
        found = self.resolve(target)
        (count,) = args
        cursor = found if type(found) is Cursor else Cursor(found, self.exposures.operator(found, "__next__"))
        return self._run(cursor.mark, cursor.take, [count], {})

    def dir(self, target: Any, args: list[Any], kw: dict[str, Any]) -> list[str]:
        """Give the names that can be reached of something, or those of the session."""
        if target is None:
            return sorted(name for name in self.namespace if not name.startswith("_"))
        return sorted(self.exposures.names(self.resolve(target)))

    def help(self, target: Any, args: list[Any], kw: dict[str, Any]) -> str:
        """Give the docstring of something."""
        return self.exposures.help(self.resolve(target))

    def _operator(self, special: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def operate(target: Any, args: list[Any], kw: dict[str, Any]) -> Any:
            found = self.resolve(target)
            mark = self.exposures.operator(found, special)
            return self._run(mark, function, [found, *args], {})

        return operate


Run = Callable[[Lent, Callable[..., Any], list[Any], dict[str, Any]], Any]
OWN = Lent(thread=True)  # how a session's own functions are called: nobody knows what they do


def _called(mark: Lent, function: Callable[..., Any], /, *args: Any, **kw: Any) -> Any:
    """Call a function; a generator that it gives, and is not itself, is something to be iterated over."""
    result = function(*args, **kw)
    if type(result) is GeneratorType and not _generates(function, result):
        return Cursor(result, mark)
    return result


def _generates(function: Any, result: "GeneratorType[Any, Any, Any]") -> bool:
    """Tell whether a generator is a call that waits, rather than what a function has given to be iterated over."""
    if isinstance(function, MethodType):
        function = function.__func__
    return isinstance(function, FunctionType) and result.gi_code is function.__code__


def title(request: dict[str, Any], find: Callable[[Any], Any]) -> str:
    """Give the words for a request in the log: what is done, and with what."""
    target = request.get("t")
    root, *names = target if type(target) is list and 0 < len(target) <= LONGEST_PATH else (target,)
    if type(root) is int:
        try:
            names.insert(0, name_of(find(root)))
        except NotLentError:
            names = []
    operation, *words = (each[:LONGEST_WORD] if type(each) is str else "?" for each in (request.get("o"), *names))
    return f"remote {operation} {'.'.join(words)}".rstrip()
