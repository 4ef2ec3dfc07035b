"""Writes the reference pages from the code: the settings from their table, the API from its docstrings."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import griffe

from totohio.app import settings

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "reference"


def api() -> str:
    """Give the page of all public names, grouped as `totohio.__all__` orders them."""
    package = griffe.load("totohio", search_paths=[ROOT], docstring_parser="google", resolve_aliases=True)
    assert package.exports, "totohio has no __all__"
    parts = ["# The names of totohio", "Everything here is imported from `totohio` itself: `from totohio import ...`."]
    names = [str(name) for name in package.exports]
    codes = [name for name in names if name.startswith("ERROR_")]
    for name in names:
        if name not in codes:
            parts += entry(package[name], level=2)
    rows = [f"| `{name}` | {package[name].value} |" for name in codes]
    parts += [
        "## Error codes",
        "[Errors](errors.md) says what each means.",
        "\n".join(["| name | code |", "|---|---|", *rows]),
    ]
    return "\n\n".join(parts) + "\n"


def entry(item: griffe.Object | griffe.Alias, level: int) -> Iterator[str]:
    """Give the paragraphs about a name, and those about the public methods when it is a class of ours."""
    yield f"{'#' * level} `{item.name}`"
    if item.is_function or (item.is_class and "__init__" in item.members):
        yield f"```python\n{signature(item)}\n```"
    elif item.is_attribute and item.value is not None:
        yield f"`{item.name} = {item.value}`"
    if item.docstring:
        for section in item.docstring.parsed:
            yield from paragraphs(section)
    if item.is_class:
        for member in item.all_members.values():
            ours = member.canonical_path.startswith("totohio.")
            if ours and member.is_function and member.docstring and not member.name.startswith("_"):
                yield from entry(member, level + 1)


def signature(item: griffe.Object | griffe.Alias) -> str:
    """Give how a function or a class is called, without the `self` that nobody passes."""
    function = item.members["__init__"] if item.is_class else item
    parameters = griffe.Parameters(*(each for each in function.parameters if each.name not in {"self", "cls"}))
    returns = None if item.is_class else function.returns
    plain = griffe.Function(item.name, parameters=parameters, returns=returns)
    return plain.signature()


def paragraphs(section: griffe.DocstringSection) -> Iterator[str]:
    """Give one section of a docstring as Markdown."""
    if isinstance(section.value, str):
        yield section.value
        return
    yield f"**{section.title or section.kind.value.capitalize()}:**"
    if section.kind is griffe.DocstringSectionKind.examples:
        for kind, text in section.value:
            yield text if kind is griffe.DocstringSectionKind.text else f"```python\n{text}\n```"
        return
    rows = section.value if isinstance(section.value, list) else [section.value]
    yield "\n".join(f"- {row_title(row)}{' '.join(row.description.split())}" for row in rows)


def row_title(row: griffe.DocstringElement) -> str:
    """Give what a row of a section is about: a name, an error, or nothing for an unnamed result."""
    title = getattr(row, "name", "") or getattr(row, "annotation", "")
    return f"`{title}`: " if title else ""


def main() -> int:
    """Write the pages, or compare them with `--check`; the exit status tells whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only tell whether the pages are up to date")
    check = parser.parse_args().check
    stale = False
    for name, text in {"settings.md": settings.reference(), "api.md": api()}.items():
        page = PAGES / name
        if page.is_file() and page.read_text("utf-8") == text:
            continue
        if check:
            print(f"docs/reference/{name} is not up to date: run scripts/docs", file=sys.stderr)
            stale = True
        else:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text, "utf-8")
            print(f"wrote docs/reference/{name}")
    return stale


if __name__ == "__main__":
    sys.exit(main())
