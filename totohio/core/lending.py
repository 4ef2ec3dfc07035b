"""What of an object that is lent the borrower may reach: what somebody has marked, and nothing else.

A name can be reached when it is marked with `lend`, or is one of the public names of a module that the settings allow.
Never reached, marked or not, is a name that begins with an underscore. Where Python has a method for an operator, such
as ``__getitem__`` for an index, the operator can be used when that method is marked; the method itself has no name that
can be reached.

Of a class that is marked, itself and not as what it is made of, the static and class methods can be reached that are
marked; of any other class nothing. What its metaclass has is never reached.
"""

import collections
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from types import BuiltinFunctionType, FunctionType, GeneratorType, MethodType, ModuleType
from typing import Any, TypeVar, overload

import msgspec

from totohio.base.errors import TotohioError
from totohio.core.marking import marks

T = TypeVar("T")

MARK = "_totohio_lent"  # the attribute of a class or function that is lent
METHOD, VALUE = "method", "value"  # what a borrower sees behind a name
_DICTS: tuple[dict[Any, Any], ...] = ({}, collections.OrderedDict())
VIEWS = frozenset(type(view) for each in _DICTS for view in (each.keys(), each.values(), each.items()))
_SEQUENCES: tuple[Any, ...] = ([], range(0), range(2**70), collections.deque(), *_DICTS, *({}.values(), {}.items()))
_ITERABLES: tuple[Any, ...] = (*_SEQUENCES, (), set(), "", "\u00e4", b"", bytearray(), memoryview(b""))
ITERATORS = frozenset(
    (
        GeneratorType,
        *(map, zip, enumerate, filter, reversed),
        *(each for each in vars(itertools).values() if isinstance(each, type) and issubclass(each, Iterator)),
        *(type(iter(each)) for each in _ITERABLES),
        *(type(reversed(each)) for each in _SEQUENCES),
        type(iter(int, 0)),  # of a function, as those of `re` are
    )
)  # Python's own, which do nothing but give their next items
SINGULAR = (ModuleType, FunctionType, BuiltinFunctionType, MethodType, type)  # of which each is described by itself
LONGEST_HELP = 4096  # characters of a docstring that are told


class ForbiddenError(TotohioError, AttributeError):
    """A borrower may not reach this, or it is not there; which of both is not said."""


@dataclass(frozen=True, slots=True)
class Lent:
    """How something is lent.

    Attributes:
        thread: It is called in a worker thread, since it may block.
        roles: What a user has to be, by `requires_role`.
        attributes: Names of attributes of instances that can be read.
        settable: Those that can be set.
    """

    thread: bool = False
    roles: tuple[str, ...] = ()
    attributes: frozenset[str] = frozenset()
    settable: frozenset[str] = frozenset()


@overload
def lend(target: T, /) -> T: ...
@overload
def lend(*, thread: bool = False, attributes: Iterable[str] = (), settable: Iterable[str] = ()) -> Callable[[T], T]: ...
def lend(
    target: Any = None, /, *, thread: bool = False, attributes: Iterable[str] = (), settable: Iterable[str] = ()
) -> Any:
    """Let borrowers reach a function, a method, a property, or a class: ``@lend`` or ``@lend(thread=True)``.

    Of the instances of a class they reach the methods and properties that are marked themselves, and these attributes.
    A class that is marked can be called: that makes an instance. Static and class methods that are marked are reached
    of it as well, whichever decorator comes first.

    Args:
        target: What is lent.
        thread: It is called in a worker thread, where it may block; else in the cycle, where it must not.
        attributes: For a class: names of attributes of its instances that can be read.
        settable: For a class: those that can be read and set.

    Raises:
        ValueError: A name begins with an underscore.
        TypeError: It is neither a function nor a class, nor a property, static or class method that is made of a
            function; or it is a property that asks for a role or a thread.
    """
    writable = frozenset(settable)
    mark = Lent(thread=thread, attributes=frozenset(attributes) | writable, settable=writable)
    for name in mark.attributes:
        if name.startswith("_"):
            raise ValueError(f"{name} begins with an underscore and is never lent")

    def attach(target: Any) -> Any:
        holder: Any = target
        if isinstance(target, property):
            holder = target.fget
            if marks(holder).roles:
                raise TypeError(f"{target!r} is read by whoever has the object: lend a method that asks for the role")
            if thread:
                raise TypeError(f"{target!r} is read in the cycle: lend a method that is called in a worker thread")
        elif isinstance(target, (staticmethod, classmethod)):
            holder = target.__func__
        if not isinstance(holder, (type, FunctionType)):  # others would carry it in vain
            raise _unlendable(target)
        try:
            setattr(holder, MARK, mark)
        except (AttributeError, TypeError):
            raise _unlendable(target) from None
        return target

    return attach if target is None else attach(target)


def _unlendable(target: Any) -> TypeError:
    return TypeError(f"{target!r} cannot be lent by a mark: lend a function that calls it")


def mark_of(target: Any) -> Lent | None:
    """Give how a function, method, property or class is lent itself; None when it is not."""
    if type(target) is not FunctionType:
        if isinstance(target, property):
            target = target.fget
        elif isinstance(target, (staticmethod, classmethod, MethodType)):
            target = target.__func__
        if not isinstance(target, (type, FunctionType)):
            return None
    found = target.__dict__.get(MARK)  # its own: a class is not lent because one that it is made of is
    if type(found) is not Lent:
        return None
    roles = marks(target).roles  # whichever decorator came first
    if roles != found.roles:
        found = replace(found, roles=roles)
        setattr(target, MARK, found)
    return found


class Exposure:
    """What borrowers reach of the objects of one class; of classes, which are the objects of a metaclass, nothing.

    Attributes:
        names: METHOD or VALUE by name.
        operators: The special methods that are lent, by name: those that are marked.
        settable: The attributes that can be set.
        roles: What a user needs for one of these operators or another.
        iterates: The special methods that are lent though nothing is marked, since its objects are for nothing but
            being iterated over.
        classes: Its objects are classes: each has names of its own.
    """

    __slots__ = ("classes", "iterates", "names", "operators", "roles", "settable")

    def __init__(self, kind: type) -> None:
        self.names: dict[str, str] = {}
        self.operators: dict[str, Lent] = {}
        self.iterates = _ITERATOR if kind in ITERATORS else _VIEW if kind in VIEWS else frozenset()
        self.classes = issubclass(kind, type)
        settable: set[str] = set()
        for base in () if self.classes else reversed(kind.__mro__):
            mark = base.__dict__.get(MARK)
            if isinstance(mark, Lent):
                self.names |= dict.fromkeys(mark.attributes, VALUE)
                settable |= mark.settable
            for name, member in base.__dict__.items():
                found = mark_of(member) if not isinstance(member, type) else None
                if name.startswith("_"):
                    if found is not None and name.startswith("__") and name.endswith("__"):
                        self.operators[name] = found
                    else:
                        self.operators.pop(name, None)
                elif found is not None and not (isinstance(member, property) and (found.roles or found.thread)):
                    self.names[name] = VALUE if isinstance(member, property) else METHOD
                elif name in self.names and name not in getattr(mark, "attributes", ()):
                    del self.names[name]  # it was overridden by something that is not lent
        self.settable = frozenset(settable & self.names.keys())
        self.roles = frozenset(role for mark in self.operators.values() for role in mark.roles)


class Exposures:
    """What borrowers reach, class by class, and of which modules.

    Attributes:
        modules: The modules whose public names can be reached, by what they are called.
    """

    def __init__(self, modules: Iterable[ModuleType] = ()) -> None:
        self.modules = {module.__name__: module for module in modules}
        self._public = {id(module): frozenset(_public(module)) for module in self.modules.values()}
        self._callable = {
            id(member): member
            for module in self.modules.values()
            for name in self._public[id(module)]
            if isinstance(member := getattr(module, name), (FunctionType, BuiltinFunctionType, type))
        }
        self._classes: dict[type, Exposure] = {}
        self._keys: dict[type, str] = {}

    def of(self, kind: type) -> Exposure:
        """Give what is reached of the objects of a class."""
        found = self._classes.get(kind)
        if found is None:
            found = self._classes[kind] = Exposure(kind)
        return found

    def names(self, target: Any) -> dict[str, str]:
        """Give the names that can be reached of an object, and what stands behind each."""
        public = self._public.get(id(target)) if type(target) is ModuleType else None
        if public is not None:
            return {name: METHOD if callable(getattr(target, name)) else VALUE for name in sorted(public)}
        exposure = self.of(type(target))
        if exposure.classes:
            every = set().union(*map(vars, target.__mro__)) if mark_of(target) is not None else ()
            return dict.fromkeys(sorted(name for name in every if _member(target, name) is not None), METHOD)
        return exposure.names

    def get(self, target: Any, name: str) -> Any:
        """Give an attribute.

        Raises:
            ForbiddenError: It is not lent, or not there.
        """
        if type(name) is str and not name.startswith("_"):
            public = self._public.get(id(target)) if type(target) is ModuleType else None
            exposure = self.of(type(target))
            if name in (exposure.names if public is None else public):
                return getattr(target, name)
            member = _member(target, name) if exposure.classes else None
            if member is not None:
                return member.__get__(None, target)  # and not what its metaclass has by that name
        raise ForbiddenError(f"{name_of(target)} lends no {_shown(name)}")

    def set(self, target: Any, name: str, value: Any) -> None:
        """Set an attribute.

        Raises:
            ForbiddenError: It may not be set.
        """
        if type(name) is not str or name not in self.of(type(target)).settable:
            raise ForbiddenError(f"{name_of(target)} lets nobody set {_shown(name)}")
        setattr(target, name, value)

    def callable(self, target: Any) -> Lent:
        """Give how something may be called.

        Raises:
            ForbiddenError: It may not.
        """
        mark = mark_of(target)
        if mark is None:
            mark = self.of(type(target)).operators.get("__call__")
        if mark is None and id(target) in self._callable:
            mark = PLAIN  # and it is that target, since what is there is kept
        if mark is None:
            raise ForbiddenError(f"{name_of(target)} cannot be called")
        return mark

    def roles(self, target: Any) -> Iterable[str]:
        """Give what a user has to be to call something, or to use the operators of an object.

        A function asks for its roles whether or not it is lent, since what is lent may call what it is handed.
        """
        function: Any = target if isinstance(target, SINGULAR) else None
        return self.of(type(target)).roles if function is None else marks(function).roles

    def operator(self, target: Any, name: str) -> Lent:
        """Give how an operator may be used on something.

        Raises:
            ForbiddenError: It may not.
        """
        exposure = self.of(type(target))
        mark = exposure.operators.get(name)
        if mark is None and name in exposure.iterates:
            mark = PLAIN
        if mark is None:
            raise ForbiddenError(f"{name_of(target)} lends no {name.strip('_')}")
        return mark

    def describe(self, target: Any) -> tuple[str | None, Callable[[], dict[str, Any]]]:
        """Say what an object is: a key for those of its kind, None for one of its own, and what makes the words."""
        if isinstance(target, SINGULAR):
            key = None
        else:
            kind = type(target)
            key = self._keys.get(kind)
            if key is None:
                key = self._keys[kind] = f"{kind.__qualname__}:{len(self._keys)}"
        return key, lambda: self._described(target)

    def _described(self, target: Any) -> dict[str, Any]:
        exposure = self.of(type(target))
        operators = sorted({*exposure.operators, *exposure.iterates})
        found: dict[str, Any] = {"name": name_of(target), "names": dict(self.names(target)), "operators": operators}
        try:
            self.callable(target)
            found["call"] = True
        except ForbiddenError:
            found["call"] = False
        text = self.help(target)
        if text:
            found["help"] = text
        return found

    def help(self, target: Any) -> str:
        """Give the docstring of something that is lent, "" when it has none."""
        return (inspect.getdoc(target) or "")[:LONGEST_HELP]


PLAIN = Lent()
_ITERATOR, _VIEW = frozenset(("__iter__", "__next__")), frozenset(("__iter__",))


def _member(kind: type, name: str) -> "staticmethod[..., Any] | classmethod[Any, ..., Any] | None":
    """Give the static or class method of a class that borrowers reach by a name, None when there is none."""
    if name.startswith("_") or mark_of(kind) is None:
        return None
    member = next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)
    return member if isinstance(member, (staticmethod, classmethod)) and mark_of(member) is not None else None


@dataclass(frozen=True)
class Found:
    """What a module lends.

    Attributes:
        names: Functions and classes that are marked, and instances of classes that are, by name.
        structs: Classes of Structs that are marked, which go by value.
        errors: Classes of exceptions that are marked, which arrive as themselves.
    """

    names: dict[str, Any]
    structs: list[type[msgspec.Struct]]
    errors: list[type[BaseException]]


def lent_in(module: ModuleType) -> Found:
    """Look for what a module lends."""
    found = Found({}, [], [])
    for name, target in vars(module).items():
        if name.startswith("_") or isinstance(target, ModuleType):
            continue
        if isinstance(target, type) and mark_of(target) is not None:
            if issubclass(target, msgspec.Struct):
                found.structs.append(target)
            elif issubclass(target, BaseException):
                found.errors.append(target)
            else:
                found.names[name] = target
        elif mark_of(target) is not None or mark_of(type(target)) is not None:
            found.names[name] = target
    return found


def _public(module: ModuleType) -> Iterator[str]:
    names = getattr(module, "__all__", None)
    for name in names if names is not None else vars(module):
        if (
            isinstance(name, str)
            and not name.startswith("_")
            and not isinstance(getattr(module, name, None), ModuleType)
        ):
            yield name


def name_of(target: Any) -> str:
    """Give what something is called, or its class."""
    named = target if isinstance(target, (type, FunctionType, BuiltinFunctionType, ModuleType)) else type(target)
    return getattr(named, "__qualname__", named.__name__)


def _shown(name: Any) -> str:
    return repr(name[:100]) if isinstance(name, str) else "name"
