"""What an option is: its type and bounds, its names, and how its values look to people."""

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

from totohio.base.writing import quoted

PREFIX = "TOTOHIO_"  # of an option's name in the environment


@dataclass(frozen=True)
class Shape:
    """What a text has to look like.

    Attributes:
        expected: The same for people, after "expected".
        pattern: A regular expression for the whole text.
    """

    expected: str
    pattern: str

    def fits(self, text: str) -> bool:
        """Tell whether a text has this shape."""
        return re.fullmatch(self.pattern, text) is not None


_NAME = r"[^\W\d]\w*"
LINE = Shape("a text without control characters", r"[^\x00-\x1f\x7f]*")
FILE = Shape("the path of a file", r"[^\x00]+")
MODULE = Shape("the dotted name of a module", rf"{_NAME}(\.{_NAME})*")
FUNCTION = Shape("a function as module.function", rf"{_NAME}(\.{_NAME})+")
FIELDS = Shape("names separated by commas", r"[\w ,-]*")
ORIGIN = Shape('"*", "null" or an origin in ASCII such as https://example.org', r"[\x21-\x7e]+")
WORD = Shape("letters, digits, _ and - as in a path", r"[A-Za-z0-9_-]+")
ROUTE = Shape('a path that begins with "/", or an empty text', r"(/[^\x00-\x20\x7f?#]*)?")
ROOT = Shape('a path that begins with "/"', r"/[^\x00-\x20\x7f?#]*")


@dataclass(frozen=True, kw_only=True)
class Option:
    """One row of the table.

    Attributes:
        name: Its name in files and keyword arguments.
        kind: The type of its values, beside None.
        optional: None is a value too.
        choices: The only texts it takes; empty for any.
        default: What holds when nobody says anything.
        doc: What it does.
        group: The heading under which it stands.
        unit: What a number counts.
        least: The smallest number it takes.
        most: The largest number it takes.
        shape: What its text has to look like.
        secret: Its value is never shown.
    """

    name: str
    kind: type
    optional: bool
    choices: tuple[str, ...]
    default: Any
    doc: str
    group: str
    unit: str
    least: float | None
    most: float | None
    shape: Shape | None
    secret: bool

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def expected(self) -> str:
        """What it takes, as it follows "expected" in an error."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.kind is bool:
            return "true or false"
        if self.kind is str:
            return self.shape.expected if self.shape else "a text"
        number = f"a number of {self.unit}" if self.unit else "a number"
        if self.least is None:
            return number
        return f"{number} from {self.least} up" if self.most is None else f"{number} from {self.least} to {self.most}"

    def shown(self, value: Any) -> str:
        """Give a value as people may see it, in YAML."""
        if self.secret and value:
            return '"***"'
        if value is None:
            return "null"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str):
            return quoted(value)
        return str(value).removesuffix(".0")


def option(
    default: Any,
    group: str,
    doc: str,
    *,
    unit: str = "",
    least: float | None = None,
    most: float | None = None,
    shape: Shape | None = None,
    secret: bool = False,
) -> Any:
    """Declare an option in the table; see `Option` for the arguments."""
    row = {"doc": doc, "group": group, "unit": unit, "least": least, "most": most, "shape": shape, "secret": secret}
    return dataclasses.field(default=default, metadata=row, repr=not secret)
