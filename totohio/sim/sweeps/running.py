"""Simulated tests: a decorator for pytest's, and a function where there is no pytest."""

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from totohio.app.configuring import nearest
from totohio.sim.profiles import Profile, profile, profile_name
from totohio.sim.sweeps.reporting import Subject, current_test, reachable, script
from totohio.sim.sweeps.sweeping import Scenario, Sweep, sweep
from totohio.sim.sweeps.trying import Factory, named
from totohio.sim.worlding import World

SEEDS = 200  # of a sweep, unless it says otherwise: a second or two
MARK = "totohio_sim"  # the attribute by which a test is known to be simulated: its Scenario


def sim(
    seeds: int = SEEDS,
    faults: str | Profile = "stormy",
    *,
    first: int = 0,
    sometimes: Iterable[str] = (),
    check_determinism: bool | None = None,
    factory: Factory = World,
    **options: Any,
) -> Callable[[Callable[..., object]], Callable[..., None]]:
    """Decorate a test to be run in many worlds, one for each seed. Its argument ``world`` is the World.

    pytest gives it its other arguments as always; they are the same for all seeds. ``totohio sim`` runs it with more
    seeds, or one again. It fails with the first seed that does, and its exception has a report as a note. It fails as
    well when what it calls ``world.sometimes`` with (a name written out in its source) held in none of the runs.

    Args:
        seeds: How many seeds.
        faults: What the worlds suffer: "still", "sunny", "stormy" or "radioactive"; or a `Profile`.
        first: The first seed; the others follow it.
        sometimes: Further names of what has to hold in one of the runs at least.
        check_determinism: Run every seed twice and compare (True), or none (False); None does it with the first two.
        factory: Makes a world; takes what World takes.
        options: Further options of World.

    Raises:
        TypeError: It is no function that takes a world, or one that does nothing when it is called; or there is no
            such option.
        ValueError: There are no seeds, or there is no such profile.
    """
    __tracebackhide__ = True
    _check(seeds, faults, factory, options)

    def decorate(function: Callable[..., object]) -> Callable[..., None]:
        __tracebackhide__ = True
        signature_ = _without_world(function)
        scenario = _scenario(function, seeds, faults, first, sometimes, check_determinism, factory, options)

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> None:
            __tracebackhide__ = True
            sweep(scenario, lambda world: function(*args, world=world, **kwargs), _subject(scenario, marked=True))

        run.__signature__ = signature_  # type: ignore[attr-defined]
        setattr(run, MARK, scenario)
        return run

    return decorate


def explore(
    function: Callable[[Any], object],
    seeds: int = SEEDS,
    faults: str | Profile = "stormy",
    *,
    first: int = 0,
    sometimes: Iterable[str] = (),
    check_determinism: bool | None = None,
    factory: Factory = World,
    **options: Any,
) -> Sweep:
    """Run a function in many worlds, as `sim` does, where there is no pytest.

    Args:
        function: Gets the world.
        seeds: How many seeds.
        faults: What the worlds suffer: "still", "sunny", "stormy" or "radioactive"; or a `Profile`.
        first: The first seed; the others follow it.
        sometimes: Further names of what has to hold in one of the runs at least.
        check_determinism: Run every seed twice and compare (True), or none (False); None does it with the first two.
        factory: Makes a world; takes what World takes.
        options: Further options of World.

    Raises:
        TypeError: It cannot be called with a world alone, or does nothing when it is; or there is no such option.
        ValueError: There are no seeds, or there is no such profile.
        BaseException: What the function or its world raised with the first seed that failed; its note is a report.
    """
    __tracebackhide__ = True
    _check(seeds, faults, factory, options)
    require_world(function)
    scenario = _scenario(function, seeds, faults, first, sometimes, check_determinism, factory, options)
    return sweep(scenario, function, _subject(scenario, marked=False))


def scenario_of(test: Any) -> Scenario | None:
    """Give what a test that is decorated with `sim` asks for; None for others."""
    found = getattr(test, MARK, None)
    return found if isinstance(found, Scenario) else None


def _scenario(
    function: Callable[..., object],
    seeds: int,
    faults: str | Profile,
    first: int,
    sometimes: Iterable[str],
    check_determinism: bool | None,
    factory: Factory,
    options: Mapping[str, Any],
) -> Scenario:
    return Scenario(
        function=function,
        seeds=seeds,
        faults=faults,
        first=first,
        sometimes=frozenset(sometimes) | named(function),
        check_determinism=check_determinism,
        factory=factory,
        options=options,
        folder=Path.cwd(),
    )


def require_world(function: Callable[..., object]) -> None:
    """See that a function does something when it is called with a world.

    Raises:
        TypeError: It does not.
    """
    __tracebackhide__ = True
    _require_deeds(function)
    try:
        inspect.signature(function).bind(None)
    except TypeError as error:
        raise TypeError(f"{_name(function)} cannot be called with a world: {error}") from None
    except ValueError:  # what is written in C does not tell
        pass


def _require_deeds(function: Callable[..., object]) -> None:
    __tracebackhide__ = True
    if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        raise TypeError(f"{_name(function)} would do nothing when it is called: give its world a script with spawn")


def _name(function: Callable[..., object]) -> str:
    return getattr(function, "__name__", repr(function))


def _check(seeds: object, faults: str | Profile, factory: Factory, options: Mapping[str, Any]) -> None:
    __tracebackhide__ = True
    if not isinstance(seeds, int):
        raise TypeError(f"seeds: expected a number, got {seeds!r}; is it to be @sim() with parentheses?")
    if seeds < 1:
        raise ValueError(f"seeds: a sweep has one at least, not {seeds}")
    if isinstance(faults, str):
        profile(faults)
    whole = inspect.signature(factory).parameters
    if not any(entry.kind is entry.VAR_KEYWORD for entry in whole.values()):
        known = {*inspect.signature(sim).parameters, *whole} - {"seed", "without", "options"}
        for name in options.keys() - known:
            near = nearest(name, sorted(known))
            raise TypeError(f"{name}: no such option" + (f"; did you mean {near}?" if near else ""))


def _without_world(function: Callable[..., object]) -> inspect.Signature:
    __tracebackhide__ = True
    _require_deeds(function)
    whole = inspect.signature(function)
    if "world" not in whole.parameters:
        raise TypeError(f"{_name(function)} takes no argument world")
    return whole.replace(parameters=[entry for name, entry in whole.parameters.items() if name != "world"])


def _subject(scenario: Scenario, *, marked: bool) -> Subject:
    """Find out how what runs now is run again."""
    function, folder = scenario.function, scenario.folder
    test = current_test()
    if test is not None:
        test = reachable(test, folder)
        words = ("totohio", "sim", test) if marked else ("python", "-m", "pytest", test)
        return Subject(name=test, folder=folder, words=words, environ=not marked, faults=profile_name(scenario.faults))
    module, qualname = function.__module__, getattr(function, "__qualname__", repr(function))
    if module == "__main__":
        module = _main_module(folder) or module
    name = f"{module}:{qualname}"
    plain = marked or (scenario.factory is World and not scenario.options)
    if plain and module != "__main__" and qualname.isidentifier():
        return Subject(name=name, folder=folder, words=("totohio", "sim", name), faults=profile_name(scenario.faults))
    return Subject(name=name, folder=folder, words=script(), environ=True, faults=profile_name(scenario.faults))


def _main_module(folder: Path) -> str | None:
    """Give the name by which the program that runs can be imported in its working directory."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name)
    file = getattr(main, "__file__", None)
    if file is None or Path(file).resolve().parent != folder.resolve():
        return None
    return str(os.path.splitext(os.path.basename(file))[0])
