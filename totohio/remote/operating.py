"""What a borrower can have done with objects that are lent: each operation by its name on the wire."""

import inspect
import operator
from collections.abc import Callable, Iterable
from types import FunctionType, GeneratorType, MethodType
from typing import Any

from totohio.core.lending import ITERATORS, PLAIN, Exposures, ForbiddenError, Lent, name_of
from totohio.remote.iterating import Batch, Cursor
from totohio.remote.table import NotLentError
from totohio.wire.lending import LendingError

LONGEST_WORD = 50  # characters of a name in a log
LONGEST_PATH = 16  # names that lead from an object to what is meant
REMEMBERED = 64  # iterators of a session of which something is left that has to come first

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


class Operations:
    """Carries out operations on what is lent in one session.

    Attributes:
        namespace: What the session finds by name.
        free: Names that the session has made itself and so may call.
    """

    def __init__(
        self,
        *,
        exposures: Exposures,
        namespace: dict[str, Any],
        find: Callable[[Any], Any],
        run: "Run",
        now: Callable[[], float],
    ) -> None:
        """Set it up.

        Args:
            exposures: What can be reached.
            namespace: What is found by name.
            find: Gives the object that is lent under a number.
            run: Calls a function, in the cycle or in a thread.
            now: Gives the seconds of a clock that never steps.
        """
        self.exposures = exposures
        self.namespace = namespace
        self.free: set[str] = set()
        self._find = find
        self._run = run
        self._now = now
        self._rests: dict[int, Cursor] = {}  # by the identity of an iterator that was lent as it is
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
        return self._resolve(target)[1]

    def _resolve(self, target: Any) -> tuple[Any, Any]:
        """Give whose attribute a target is, or None, and what it means."""
        if type(target) is int:
            return None, self._find(target)
        if type(target) is not list or not 1 < len(target) <= LONGEST_PATH:
            raise LendingError("a target is a number, or a list of one and names")
        root, first, *names = target
        owner = None if root is None else self._find(root)
        found = self.named(first) if root is None else self.exposures.get(owner, first)
        for name in names:
            owner, found = found, self.exposures.get(found, name)
        return owner, found

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
        names = tuple(self.free)  # statements of the session's may add to them meanwhile
        return callable(target) and any(self.namespace.get(name) is target for name in names)

    def roles(self, target: Any) -> Iterable[str]:
        """Give what a user has to be to hand something over, since who is handed it may call or use it."""
        return target.mark.roles if type(target) is Cursor else self.exposures.roles(target)

    # ------------------------------------------------------------ operations

    def call(self, target: Any, args: list[Any], kw: dict[str, Any]) -> Any:
        """Call something that is lent."""
        function = self.resolve(target)
        mark = OWN if self.free and self.own(function) else self.exposures.callable(function)
        return self._run(mark, _called, [mark, None, function, *args], kw)

    def get(self, target: Any, args: list[Any], kw: dict[str, Any]) -> Any:
        """Give the value of an attribute, or of a name of the session."""
        owner, found = self._resolve(target)
        if type(found) is not GeneratorType:
            return found
        name = target[-1] if type(target) is list else ""
        member = inspect.getattr_static(type(owner), name, None) if owner is not None else None
        if isinstance(member, property) and _generates(member.fget, found):
            return found
        return Cursor(found, OWN if owner is None and name in self.free else PLAIN)

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
        return self._run(mark, _iterated, [found, mark], {})

    def next(self, target: Any, args: list[Any], kw: dict[str, Any]) -> Any:
        """Give the next items of an iterator, a Batch."""
        found = self.resolve(target)
        (count,) = args
        if type(found) is Cursor:
            return self._run(found.mark, found.gather, [count, self._now], {})
        mark = self.exposures.operator(found, "__next__")
        cursor = self._rests.get(id(found)) or Cursor(found, mark)
        while len(self._rests) > REMEMBERED:
            del self._rests[next(iter(self._rests))]
        return self._run(mark, self._gather, [cursor, count], {})

    def _gather(self, cursor: Cursor, count: Any) -> Batch:
        batch = cursor.gather(count, self._now)
        self._rests[id(cursor.iterator)] = cursor
        return batch

    def delivered(self, batch: Batch) -> None:
        """Go on when a Batch was sent, or could not be."""
        if not batch.cursor.rests():
            self._rests.pop(id(batch.cursor.iterator), None)

    def dir(self, target: Any, args: list[Any], kw: dict[str, Any]) -> list[str]:
        """Give the names that can be reached of something, or those of the session."""
        if target is None:
            names = list(self.namespace)  # statements of the session's may add to them meanwhile
            return sorted(name for name in names if not name.startswith("_"))
        return sorted(self.exposures.names(self.resolve(target)))

    def help(self, target: Any, args: list[Any], kw: dict[str, Any]) -> str:
        """Give the docstring of something."""
        return self.exposures.help(self.resolve(target))

    def _operator(self, special: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def operate(target: Any, args: list[Any], kw: dict[str, Any]) -> Any:
            found = self.resolve(target)
            mark = self.exposures.operator(found, special)
            return self._run(mark, _called, [mark, getattr(type(found), special, None), function, found, *args], {})

        return operate


Run = Callable[[Lent, Callable[..., Any], list[Any], dict[str, Any]], Any]
OWN = Lent(thread=True)  # how a session's own functions are called: nobody knows what they do


def _called(mark: Lent, method: Any, function: Callable[..., Any], /, *args: Any, **kw: Any) -> Any:
    """Call a function; what it gives to be iterated over is asked for items as the function may be called.

    Args:
        mark: How the function is lent.
        method: What carries out the call when the function only leads there.
        function: The function.
        args: Its arguments.
        kw: Those that are named.
    """
    result = function(*args, **kw)
    kind = type(result)
    if kind is GeneratorType:
        asked = mark.thread or not _generates(method or function, result)
    else:
        asked = kind in ITERATORS and (mark.thread or bool(mark.roles))
    return Cursor(result, mark) if asked else result


def _iterated(target: Any, mark: Lent) -> Cursor:
    return Cursor(iter(target), mark)


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
