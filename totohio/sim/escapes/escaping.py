"""Escaping: simulated code that reaches for the real world, and so would do something else in every run.

A `Watch` is entered around each piece of simulated code. What runs in that thread until it is left, and reaches for
wall time, randomness, a socket, a thread or a process, gets an `EscapeError` that names the line; the watch keeps the
error as well, for the case that somebody swallows it.

Whoever reaches for it while the watch is not entered, in another thread, or from where it does no harm is left alone:
a log record that takes the time, a package that is just being imported, a test runner or debugger.

What cannot be seen: C code that asks the kernel by itself (numpy's generator, OpenSSL's, `_random.Random`), a wait in
a lock or in select that has a timeout, sending on a real socket that was connected before, and originals that were
bound before the first watch in places that nobody looks through (an attribute of an object, an item of a list).
"""

import sys
from collections.abc import Collection

from totohio.sim.escapes.blaming import Blame, Step, blame, shown
from totohio.sim.escapes.guarding import Target, here, install

__all__ = ["EscapeError", "Watch", "install"]

# What to do instead, by what was reached for.
_HINTS = {
    "wall": "use handler.environment.clock.now()",
    "monotonic": "use handler.environment.clock.monotonic()",
    "cpu": "measure it outside the simulation: it is another in every run",
    "sleep": "yield the seconds, or await sleep(seconds) in a coroutine",
    "bytes": "use handler.environment.minter.draw(size) or .token()",
    "random": "use handler.environment.minter in a method, Dice of totohio.sim in a test",
    "unseeded": "give it a seed, or use Dice of totohio.sim",
    "socket": "use handler.environment.network, which a simulation replaces",
    "thread": "use TaskQueue, whose workers a simulation runs itself",
    "process": "no process can be simulated: hand in what starts it, so that a test can hand in another",
}

# Who may reach for it: top-level modules, by what is reached for.
_CHANCE = ("_frozen_importlib", "_frozen_importlib_external", "copy", "importlib", "tempfile")
_LEGITIMATE = {
    "wall": ("_frozen_importlib", "_frozen_importlib_external", "importlib", "logging"),
    "monotonic": ("_frozen_importlib", "_frozen_importlib_external", "importlib", "logging"),
    "bytes": _CHANCE,
    "random": _CHANCE,
    "unseeded": _CHANCE,
}

_SHOWN_STEPS = 3  # of the way it took; of a longer one, both ends


class EscapeError(BaseException):
    """Simulated code has reached for the real world.

    It is not an Exception, so that code under test which expects anything to fail does not take it for such a failure.

    Attributes:
        what: What was reached for.
        file: The file of the user's own code that did it.
        line: The line in it.
        function: The function in it.
        through: What it went through from there, as ``file:line``, the outermost first.
        hint: What to do instead.
        label: Which piece of simulated code was running.
    """

    def __init__(
        self,
        what: str,
        file: str,
        line: int,
        function: str,
        through: tuple[str, ...] = (),
        hint: str = "",
        label: str = "",
    ) -> None:
        super().__init__(what, file, line, function, through, hint, label)
        self.what = what
        self.file = file
        self.line = line
        self.function = function
        self.through = through
        self.hint = hint
        self.label = label

    def __str__(self) -> str:
        call = self.what if self.what.endswith(")") else f"{self.what}()"
        text = f"{call} was called under simulation at {shown(self.file)}:{self.line} in {self.function}"
        if self.through:
            way = self.through
            text += ", through " + ", ".join(way if len(way) <= _SHOWN_STEPS else (way[0], "...", way[-1]))
        return f"{text}; {self.hint}" if self.hint else text


class Watch:
    """Watches what runs between `enter` and `leave` in the thread that enters.

    Attributes:
        escapes: The first escape of each place in the code, also those that were swallowed.
    """

    def __init__(self, allow: Collection[str] = frozenset()) -> None:
        """Make one, and put the guards in place.

        Args:
            allow: What may be reached for: ``"time.time"``, all of ``"time"``, or whatever is done by a function of the
                standard library or of a package: ``"uuid.uuid4"``.
        """
        self.escapes: list[EscapeError] = []
        self._allow = frozenset(allow)
        self._seen: set[tuple[str, str, int]] = set()
        install()

    def enter(self, label: str) -> None:
        """Begin to watch this thread; it may be watched already, by this watch or another one.

        Args:
            label: What runs now.
        """
        here.outer.append(here.entered)
        here.entered = (self, label)

    def leave(self) -> None:
        """Go back to what was before the last `enter` in this thread.

        Raises:
            RuntimeError: Nothing was entered.
        """
        try:
            here.entered = here.outer.pop()
        except IndexError:
            raise RuntimeError("a watch was left that was not entered") from None

    def reached(self, target: Target, label: str) -> None:
        """Judge who has reached for something.

        Args:
            target: What was reached for.
            label: Which piece of simulated code was running.

        Raises:
            EscapeError: It was simulated code that may not.
        """
        found = blame(sys._getframe(1), _LEGITIMATE.get(target.kind, ()))
        if found is None:
            return
        what, way = _name(target, found)
        if self._allow and self._allowed([what, *(name for step in found.way for name in step.names)]):
            return
        step = found.step
        error = EscapeError(what, step.file, step.line, step.function, _through(way), _HINTS[target.kind], label)
        place = (what, step.file, step.line)
        if place not in self._seen:
            self._seen.add(place)
            self.escapes.append(error)
        raise error

    def _allowed(self, names: Collection[str]) -> bool:
        return any(name == allowed or name.startswith(f"{allowed}.") for name in names for allowed in self._allow)


def _name(target: Target, found: Blame) -> tuple[str, list[Step]]:
    """Give the name of what was reached for, and the way there.

    Functions of the target's home are no steps of the way; the outermost of them is what was reached for.
    """
    what, way = target.what, list(found.way)
    if target.home:
        while way and way[-1].module == target.home:
            function = way.pop().function.removesuffix(".__init__")
            what = f"{target.home}.{function.rpartition('.')[2]}"
    return what, way


def _through(way: Collection[Step]) -> tuple[str, ...]:
    """Tell the way, of each file in a row the innermost line."""
    told: list[Step] = []
    for step in way:
        if told and told[-1].file == step.file:
            told[-1] = step
        else:
            told.append(step)
    return tuple(f"{shown(step.file)}:{step.line}" for step in told)
