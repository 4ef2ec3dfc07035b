"""What a client has in the place of objects that a server lends it.

A proxy knows what can be reached from how the server has described its class, so that what is not lent is refused at
once, and a method is called with one request. Its names never begin with an underscore, as those of its own do.
"""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from totohio.base.futures import Future
from totohio.core.lending import METHOD

if TYPE_CHECKING:
    from totohio.remote.borrowing import Performer

BATCH = 100  # items of an iterator that are had with one request


class Proxy:
    """Stands for one object."""

    __slots__ = ("__weakref__", "_calls", "_help", "_name", "_names", "_number", "_operators", "_performer")

    _performer: "Performer"
    _number: int
    _calls: bool
    _help: str
    _name: str
    _names: dict[str, str]
    _operators: frozenset[str]

    def __init__(self, performer: "Performer", number: int, description: Any) -> None:
        """Set it up; a description that says nothing is of an object of which nothing can be reached."""
        known = description if type(description) is dict else {}
        name, names, operators, text = (known.get(key) for key in ("name", "names", "operators", "help"))
        put = object.__setattr__
        put(self, "_performer", performer)
        put(self, "_number", number)
        put(self, "_name", name[:200] if type(name) is str else "object")
        put(self, "_names", {each: names[each] for each in names if type(each) is str} if type(names) is dict else {})
        put(self, "_operators", frozenset(operators) if type(operators) is list else frozenset())
        put(self, "_calls", known.get("call") is True)
        put(self, "_help", text if type(text) is str else "")

    def __repr__(self) -> str:
        return f"<remote {self._name} of {self._performer.url}>"

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        """What the server says about it."""
        return self._help

    def __dir__(self) -> list[str]:
        return sorted(self._names)

    def __del__(self) -> None:
        self._performer.dropped(self._number)  # which notes it, and sends nothing

    def __reduce_ex__(self, protocol: Any) -> Any:
        """See that it is not copied: it is what one session has.

        Raises:
            TypeError: In any case.
        """
        raise TypeError(f"{self!r} cannot be copied or pickled")

    def __getattr__(self, name: str) -> Any:
        kind = None if name.startswith("_") else self._names.get(name)
        if kind is None:
            raise AttributeError(f"{self!r} lends no {name!r}", name=name, obj=self)
        if kind == METHOD:
            return Method(self, name)
        return self._performer.perform("get", [self._number, name])

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            raise AttributeError(f"{self!r} lends no {name!r}", name=name, obj=self)
        if not self._performer.waits:
            raise TypeError(f"{name} of {self!r} cannot be set without waiting: yield what assign(proxy, ...) gives")
        self._performer.perform("set", [self._number, name], [value])

    def __call__(self, /, *args: Any, **kw: Any) -> Any:
        """Have it called."""
        if not self._calls:
            raise TypeError(f"{self!r} cannot be called")
        return self._performer.perform("call", self._number, args, kw)

    def _operate(self, name: str, special: str, *args: Any) -> Any:
        if special not in self._operators:
            raise TypeError(f"{self!r} lends no {special}")
        return self._performer.perform(name, self._number, args)

    def _value(self, name: str, special: str, *args: Any) -> Any:
        """Use an operator that Python wants the value of at once."""
        if not self._performer.waits:
            raise TypeError(f"{special} of {self!r} cannot be waited for: yield what operate(proxy, {name!r}) gives")
        return self._operate(name, special, *args)

    def __len__(self) -> int:
        return self._value("len", "__len__")  # type: ignore[no-any-return]

    def __bool__(self) -> bool:
        if "__bool__" in self._operators:
            return bool(self._value("bool", "__bool__"))
        return bool(len(self)) if "__len__" in self._operators else True

    def __str__(self) -> str:
        wanted = "__str__" in self._operators and self._performer.waits
        return str(self._operate("str", "__str__")) if wanted else repr(self)

    def __contains__(self, item: Any) -> bool:
        return bool(self._value("contains", "__contains__", item))

    def __getitem__(self, key: Any) -> Any:
        return self._operate("item", "__getitem__", key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._value("setitem", "__setitem__", key, value)

    def __delitem__(self, key: Any) -> None:
        self._value("delitem", "__delitem__", key)

    def __iter__(self) -> Iterator[Any]:
        if "__next__" in self._operators:
            return _items(self)
        return _items(self._value("iter", "__iter__"))

    def __next__(self) -> Any:
        items, over = self._value("next", "__next__", 1)
        if over and not items:
            raise StopIteration
        return items[0]

    def __enter__(self) -> Any:
        return self._value("enter", "__enter__")

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        return bool(self._value("exit", "__exit__", error))

    async def __aiter__(self) -> AsyncIterator[Any]:
        cursor = self if "__next__" in self._operators else await self._operate("iter", "__iter__")
        over = False
        while not over:
            items, over = await cursor._performer.perform("next", cursor._number, [BATCH])
            for item in items:
                yield item

    async def __aenter__(self) -> Any:
        return await self._operate("enter", "__enter__")

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        return bool(await self._operate("exit", "__exit__", error))


class Method:
    """Stands for a method of an object: calling it is one request."""

    __slots__ = ("_owner", "_title")

    def __init__(self, owner: Proxy, name: str) -> None:
        self._owner = owner
        self._title = name

    def __repr__(self) -> str:
        return f"<remote {self._owner._name}.{self._title} of {self._owner._performer.url}>"

    def __call__(self, /, *args: Any, **kw: Any) -> Any:
        """Have it called."""
        owner = self._owner
        return owner._performer.perform("call", [owner._number, self._title], args, kw)

    @property
    def __doc__(self) -> Any:  # type: ignore[override]
        """What the server says about it, which it is asked for."""
        text = self._owner._performer.perform("help", [self._owner._number, self._title])
        return "" if isinstance(text, Future) else text


def target_of(callable_: Any) -> Any:
    """Give what is called when a proxy or method is.

    Raises:
        TypeError: It is neither.
    """
    if type(callable_) is Method:
        return [callable_._owner._number, callable_._title]
    if type(callable_) is Proxy:
        return callable_._number
    raise TypeError(f"{callable_!r} is nothing remote")


def _items(iterator: Any) -> Iterator[Any]:
    """Iterate over what an iterator of the server's gives, many at a time."""
    over = False
    while not over:
        items, over = iterator._performer.perform("next", iterator._number, [BATCH])
        yield from items
