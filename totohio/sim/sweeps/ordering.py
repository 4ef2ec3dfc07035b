"""What is asked of a sweep from outside, through the environment, and the news that it sends back.

``totohio sim`` starts pytest with these variables; people may set them as well: ``TOTOHIO_SIM_SEEDS=5000 pytest``.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from totohio.base.clocking import Clock
from totohio.base.errors import SettingsError

PREFIX = "TOTOHIO_SIM_"
INTERVAL = 0.2  # seconds between two news of a sweep's progress
TRUTHS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


class OrderError(SettingsError):
    """A variable of the environment has a value that it cannot have."""


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What is asked of the sweeps of this process; None leaves it to the test.

    Attributes:
        seeds: How many seeds.
        first: The first of them.
        faults: The profile of the worlds.
        check_determinism: Run every seed twice.
        keep_going: Go on with the other seeds when one fails.
        part: Do only each so many-th of the seeds, and begin with the so many-th: "2/3".
        news: A file for the news; whoever reads it judges what only a whole sweep can tell.
        folder: Where the timeline pages are written.
        log: A file for what pytest itself reports, which then does not stand between what the test prints.
    """

    seeds: int | None = None
    first: int | None = None
    faults: str | None = None
    check_determinism: bool = False
    keep_going: bool = False
    part: str = "1/1"
    news: str | None = None
    folder: str | None = None
    log: str | None = None

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> "Orders":
        """Take them from the environment; None is that of this process.

        Raises:
            OrderError: A value is none, or there is no such variable.
        """
        kinds = {field.name: field.type for field in fields(cls)}
        found: dict[str, Any] = {}
        for variable, text in (os.environ if environ is None else environ).items():
            if variable.startswith(PREFIX) and text:
                name = variable.removeprefix(PREFIX).lower()
                if name not in kinds:
                    known = ", ".join(PREFIX + name.upper() for name in kinds)
                    raise OrderError(f"{variable}: there is no such variable, only {known}")
                found[name] = _value(variable, text, kinds[name])
        orders = cls(**found)
        if orders.seeds == 0:
            raise OrderError(f"{PREFIX}SEEDS: a sweep has one seed at least")
        orders.share(range(0))
        return orders

    def environ(self) -> dict[str, str]:
        """Give the variables that say the same."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {PREFIX + name.upper(): str(value) for name, value in values if value is not None and value is not False}

    def share(self, seeds: range) -> range:
        """Give those of some seeds that are to be done here.

        Raises:
            OrderError: The part is none.
        """
        which, slash, count = self.part.partition("/")
        if not (slash and which.isdecimal() and count.isdecimal() and 1 <= int(which) <= int(count)):
            raise OrderError(f'{PREFIX}PART: expected a part such as 2/3, got "{self.part}"')
        return seeds[int(which) - 1 :: int(count)]


def _value(variable: str, text: str, kind: Any) -> Any:
    if kind is bool:
        if text.lower() not in TRUTHS:
            raise OrderError(f'{variable}: expected true or false, got "{text}"')
        return TRUTHS[text.lower()]
    if kind == int | None:
        if not text.isdecimal():
            raise OrderError(f'{variable}: expected a number from 0, got "{text}"')
        return int(text)
    return text


class News:
    """News of the sweeps of this process for the one that asked for them: a line of JSON each."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._clock = Clock()
        self._due = 0.0
        self._parent = os.getppid()

    def progress(self, test: str, done: int) -> None:
        """Tell how many seeds of a test are done, but not too often.

        Raises:
            KeyboardInterrupt: Nobody is left who waits for this sweep.
        """
        if self._path is None:
            return
        now = self._clock.monotonic()
        if now >= self._due:
            self._due = now + INTERVAL
            self.send(test=test, done=done)
            if os.getppid() != self._parent:
                raise KeyboardInterrupt

    def send(self, **item: Any) -> None:
        """Send an item."""
        if self._path is not None:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(json.dumps(item) + "\n")
