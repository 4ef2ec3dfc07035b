"""Models: what operations do when there is only one at a time."""

from abc import abstractmethod
from collections.abc import Collection
from typing import Any, Protocol

from totohio.base.errors import TotohioError
from totohio.sim.checks.histories import ANY


class AnyOf:
    """A result of a model that may be any of these."""

    __slots__ = ("results",)

    def __init__(self, *results: Any) -> None:
        self.results = results

    def __repr__(self) -> str:
        return " or ".join(map(repr, self.results))


class Model(Protocol):
    """What the operations do when there is one at a time; subclass it and write `step`.

    A state is never changed: a step makes another one. States that are equal are taken for the same. They can be
    hashed, or consist of lists, dicts, sets and what can be hashed.

    Attributes:
        initial: The state at the beginning, of each key.
        queries: Names of operations that never change the state; to name them makes checks faster.
        overwrites: Names of operations after which the state is the same whatever it was before, and whose result is
            as well; to name them makes checks faster.
    """

    initial: Any
    queries: Collection[str] = ()
    overwrites: Collection[str] = ()

    @abstractmethod
    def step(self, state: Any, name: str, args: tuple[Any, ...]) -> tuple[Any, Any]:
        """Give the result of an operation, which may be ANY or an AnyOf, and the state after it."""

    def key(self, name: str, args: tuple[Any, ...]) -> Any:
        """Tell which part of the whole an operation is about; parts are checked, and have states, of their own."""
        return None

    def describe(self, state: Any) -> str:
        """Give a state as a text for people."""
        return repr(state)


class Register(Model):
    """One value: read() gives it, write(value) sets it, cas(old, new) sets it if it is old, and tells whether."""

    queries = ("read",)
    overwrites = ("write",)

    def __init__(self, initial: Any = None) -> None:
        self.initial = initial

    def step(self, state: Any, name: str, args: tuple[Any, ...]) -> tuple[Any, Any]:
        """Read, write, or compare and set; what a write answers does not matter."""
        match name, args:
            case "read", ():
                return state, state
            case "write", (value,):
                return ANY, value
            case "cas", (old, new):
                return (True, new) if state == old else (False, state)
        raise _stranger("register", name, args)


class Counter(Model):
    """A number: read() gives it, increment(by=1) adds to it and gives the sum, or None where it only acknowledges."""

    queries = ("read",)

    def __init__(self, initial: Any = 0) -> None:
        self.initial = initial

    def step(self, state: Any, name: str, args: tuple[Any, ...]) -> tuple[Any, Any]:
        """Read or add."""
        match name, args:
            case "read", ():
                return state, state
            case "increment", () | (_,):
                total = state + (args[0] if args else 1)
                return AnyOf(total, None), total
        raise _stranger("counter", name, args)


class Map(Model):
    """Many of another model, each under a key, which is the first argument of every operation."""

    def __init__(self, model: Model | None = None) -> None:
        """Take what stands under each key; a Register when None."""
        self.model = model or Register()
        self.initial = self.model.initial
        self.queries = self.model.queries

    def key(self, name: str, args: tuple[Any, ...]) -> Any:
        """Give the first argument, and what the other model makes of the rest."""
        if not args:
            raise _stranger("map", name, args)
        return args[0] if (inner := self.model.key(name, args[1:])) is None else (args[0], inner)

    def step(self, state: Any, name: str, args: tuple[Any, ...]) -> tuple[Any, Any]:
        """Do it to what stands under the key."""
        return self.model.step(state, name, args[1:])

    def describe(self, state: Any) -> str:
        """Give the state of one key."""
        return self.model.describe(state)


def _stranger(what: str, name: str, args: tuple[Any, ...]) -> TotohioError:
    return TotohioError(f"a {what} has no operation {name}({', '.join(map(repr, args))})")
