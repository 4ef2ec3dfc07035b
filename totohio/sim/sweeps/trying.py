"""One run of a function in a world of its own, and what remains of it."""

import ast
import contextlib
import inspect
import logging
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from totohio.sim.pictures.tracing import Trace
from totohio.sim.profiles import Profile

# Raised by pytest and unittest not because something is wrong, but because a test shall end.
VERDICTS = {("builtins", "Skipped"), ("_pytest.outcomes", "XFailed"), ("_pytest.outcomes", "Exit")}
VERDICTS |= {("unittest.case", "SkipTest"), ("builtins", "KeyboardInterrupt"), ("builtins", "GeneratorExit")}

Factory = Callable[..., Any]  # gives a World; takes its seed and, by keyword, its other options


class Fault(Protocol):
    """A fault that a world has drawn; as a text it is one line."""

    @property
    def index(self) -> int:
        """Which of the drawn ones it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A run that is over.

    Attributes:
        seed: Of its world.
        faults: How much its world had to suffer: "sunny", "stormy" and so on.
        error: What made it fail; None when it passed.
        trace: What happened, also after it had failed: a world that ends is still noisy.
        end: How many entries the trace had when it failed or had passed.
        drawn: The faults that its world meant to happen.
        fired: Those of them that did.
        sometimes: How often each ``sometimes`` held.
    """

    seed: int
    faults: str | Profile
    error: BaseException | None
    trace: Trace
    end: int
    drawn: tuple[Fault, ...] = ()
    fired: tuple[Fault, ...] = ()
    sometimes: Mapping[str, int] = field(default_factory=dict)


def attempt(
    body: Callable[[Any], object],
    factory: Factory,
    seed: int,
    faults: str | Profile,
    without: Iterable[int] = (),
    options: Mapping[str, Any] | None = None,
) -> Trial:
    """Run a function in a new world, let the world settle, and tell what came of it.

    Args:
        body: The function, which gets the world.
        factory: Makes the world.
        seed: Of the world.
        faults: Of the world.
        without: Indices of drawn faults that must not happen.
        options: Further options of the world.

    Raises:
        BaseException: The world cannot be made, or the function asked for the test's end: it skips, for instance.
    """
    __tracebackhide__ = True
    world = factory(seed, faults=faults, without=frozenset(without), **(options or {}))
    error, end = None, 0
    try:
        with world:
            try:
                body(world)
                world.settle()
            finally:
                end = world.trace.dropped + len(world.trace.entries)
    except BaseException as caught:
        if not fails(caught):
            raise
        error = caught
    return Trial(
        seed=seed,
        faults=faults,
        error=error,
        trace=world.trace,
        end=end,
        drawn=tuple(world.plan.drawn),
        fired=tuple(world.plan.fired),
        sometimes=dict(world.checks.counts),
    )


def fails(error: BaseException) -> bool:
    """Tell whether an exception says that something is wrong, and not only that the test shall end."""
    return not any((kind.__module__, kind.__name__) in VERDICTS for kind in type(error).__mro__)


def named(function: Callable[..., object]) -> frozenset[str]:
    """Give the names with which a function calls ``world.sometimes``, as far as they are written out in its source."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    except (OSError, TypeError, SyntaxError):  # there is no source, or a part of a line that is none by itself
        return frozenset()
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="world"), attr="sometimes"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                found.add(name)
    return frozenset(found)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Show nothing of what is printed and logged, and stop at no breakpoint."""
    root = logging.getLogger()
    handlers, hook = root.handlers[:], sys.breakpointhook
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        root.handlers[:] = []
        sys.breakpointhook = lambda *_, **__: None
        try:
            yield
        finally:
            root.handlers[:] = handlers
            sys.breakpointhook = hook
