"""The reference pages are readable: long signatures are broken, and what a function returns is told in one piece."""

import ast
from pathlib import Path

import pytest
from scripts.documenting import LONGEST, api, broken, entry, read

MODULE = '''
from dataclasses import dataclass

from totohio.app.options import option


@dataclass(frozen=True, kw_only=True)
class Table:
    """Options."""

    host: str = option("127.0.0.1", "Listening", "Where to listen; a text that is long.", least=0)
    size: int = option(16 * 1024, "Limits", "How large it may be.")


class Caller:
    """Calls."""

    def __init__(self, name: str) -> None:
        pass

    def call(self, first: dict[str, int], second: str = "a, (b", /, third: int = 1, *rest: int, **others: int) -> str:
        """Call something.

        Returns:
            A text that goes on: over a second line,
            and over a third.

        Raises:
            ValueError: It is wrong: so wrong
                that it needs two lines.
        """

    def wait(self) -> float:
        """Wait.

        Returns:
            Seconds: as many as it took.
        """
'''


def page(name: str, folder: Path) -> str:
    (folder / "described.py").write_text(MODULE)
    return "\n\n".join(entry(read("described", folder)[name], level=2))


CALL = """```python
call(
    first: dict[str, int],
    second: str = 'a, (b',
    /,
    third: int = 1,
    *rest: int,
    **others: int,
) -> str
```"""


def test_a_long_signature_has_a_line_for_each_parameter(tmp_path: Path) -> None:
    assert CALL in page("Caller.call", tmp_path)


def test_a_short_one_has_one_line(tmp_path: Path) -> None:
    assert "```python\nCaller(name: str)\n```" in page("Caller", tmp_path)


@pytest.mark.parametrize("text", ["f(a: int)", "f(*, a: int = 1) -> x", "f(a: t[int, u] = g(1, (2, 3)), **b: int)"])
def test_a_broken_signature_says_the_same(text: str) -> None:
    assert ast.dump(ast.parse(f"def {broken(text)}: pass")) == ast.dump(ast.parse(f"def {text}: pass"))
    assert all(line.endswith((",", "(")) for line in broken(text).splitlines()[:-1])


def test_the_default_of_an_option_is_its_value_and_not_its_declaration(tmp_path: Path) -> None:
    assert "Table(*, host: str = '127.0.0.1', size: int = 16 * 1024)" in page("Table", tmp_path)


def test_what_is_returned_and_raised_is_told_in_one_piece(tmp_path: Path) -> None:
    text = page("Caller.call", tmp_path)
    assert "- `str`: A text that goes on: over a second line, and over a third." in text
    assert "- `ValueError`: It is wrong: so wrong that it needs two lines." in text
    assert "- `float`: Seconds: as many as it took." in page("Caller.wait", tmp_path)


def test_no_line_of_our_signatures_is_too_long() -> None:
    blocks = api().split("```python\n")[1:]
    assert all(len(line) <= LONGEST for block in blocks for line in block.partition("```")[0].splitlines())
