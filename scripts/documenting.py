"""Writes the reference pages from the code: the settings from their table, all names from their docstrings."""

import argparse
import io
import sys
import tokenize
from collections.abc import Collection, Iterator
from pathlib import Path

import griffe

from totohio.app import settings
from totohio.sim import World

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "reference"

INNER = {  # of the simulation's classes, what only the simulation itself calls
    "World": "clear duration eventful fail find judge note pass_until spend until_healed",
    "Host": "__init__",
    "Process": "__init__ bury catch_up cycle do outside rouse start stop thread",
    "Client": "__init__ forget keep",
    "SimRedis": "__init__",
    "Fault": "__init__",
    "Rule": "__init__ added concerns judge title verdict",
    "Operation": "__init__ asked told",
    "CheckFailed": "__init__",
    "EscapeError": "__init__",
    "Trace": "__init__",
}
PARTS = {"plan": "at unfired", "net": "rule add remove"}  # of a World: what has no public class, and its methods
LONGEST = 100  # characters of a signature in one line
DECLARING = {"option", "field"}  # functions that make a dataclass's field, whose default is their first argument
HIDDEN = ("_", "{")  # how values begin that say nothing: private names, tables


def read(name: str, folder: Path = ROOT) -> griffe.Object | griffe.Alias:
    """Read a package, with its docstrings in Google style; a Returns is one text there and not one for each line."""
    options = {"returns_multiple_items": False}
    return griffe.load(
        name, search_paths=[folder], docstring_parser="google", docstring_options=options, resolve_aliases=True
    )


def api() -> str:
    """Give the page of all public names, grouped as `totohio.__all__` orders them."""
    package = read("totohio")
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


def sim() -> str:
    """Give the page of all names of the simulation, grouped as `totohio.sim.__all__` orders them."""
    package = read("totohio.sim")
    assert package.exports, "totohio.sim has no __all__"
    parts = ["# The names of the simulation", "Everything here is imported so: `from totohio.sim import ...`."]
    for name in map(str, package.exports):
        inner = set(INNER.get(name, "").split())
        assert inner <= package[name].all_members.keys(), f"INNER: {name} has no such members"
        parts += entry(package[name], level=2, inner=inner)
        if name == "World":
            with World() as world:
                for part, methods in PARTS.items():
                    kind = type(getattr(world, part))
                    path = f"{kind.__module__}.{kind.__qualname__}".removeprefix("totohio.sim.")
                    parts += partial(f"world.{part}", package[path], methods.split())
    return "\n\n".join(parts) + "\n"


def partial(title: str, item: griffe.Object | griffe.Alias, methods: list[str]) -> Iterator[str]:
    """Give the paragraphs about an object of a class that is not public itself, and about some of its methods."""
    yield f"## `{title}`"
    yield from text(item)
    for name in methods:
        yield from entry(item.all_members[name], level=3)


def entry(item: griffe.Object | griffe.Alias, level: int, inner: Collection[str] = ()) -> Iterator[str]:
    """Give the paragraphs about a name, and those about the public methods and properties when it is a class of ours.

    Args:
        item: What has the name.
        level: Of its heading.
        inner: Members that are not told of.
    """
    yield f"{'#' * level} `{item.name}`"
    if item.is_function or (item.is_class and "__init__" in item.members and "__init__" not in inner):
        yield f"```python\n{signature(item)}\n```"
    elif item.is_attribute and item.value is not None and not str(item.value).startswith(HIDDEN):
        yield f"`{item.name} = {item.value}`"
    yield from text(item)
    if item.is_class:
        for member in item.all_members.values():
            ours = member.canonical_path.startswith("totohio.") and member.name not in inner
            called = member.is_function or "property" in member.labels
            if ours and called and member.docstring and not member.name.startswith("_"):
                yield from entry(member, level + 1)


def text(item: griffe.Object | griffe.Alias) -> Iterator[str]:
    """Give the paragraphs of its docstring."""
    if item.docstring:
        for section in item.docstring.parsed:
            yield from paragraphs(section)


def signature(item: griffe.Object | griffe.Alias) -> str:
    """Give how a function or a class is called, without the `self` that nobody passes.

    One that is long has a line for each parameter.
    """
    function = item.members["__init__"] if item.is_class else item
    parameters = griffe.Parameters(*(plain(each) for each in function.parameters if each.name not in {"self", "cls"}))
    returns = None if item.is_class else function.returns
    text = griffe.Function(item.name, parameters=parameters, returns=returns).signature()
    return text if len(text) <= LONGEST else broken(text)


def plain(parameter: griffe.Parameter) -> griffe.Parameter:
    """Give a parameter with the default that it has when it is a field of a dataclass, and not what declares that."""
    default = parameter.default
    if isinstance(default, griffe.ExprCall) and str(default.function) in DECLARING and default.arguments:
        default = default.arguments[0]
    return griffe.Parameter(parameter.name, annotation=parameter.annotation, kind=parameter.kind, default=default)


def broken(text: str) -> str:
    """Break a signature into a line for each parameter."""
    depth, start, lines = 0, 0, []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        column = token.start[1]
        if token.string in set("([{"):
            depth += 1
            if depth == 1:
                lines, start = [text[: column + 1]], column + 1
        elif token.string in set(")]}"):
            depth -= 1
        if (token.string, depth) in {(",", 1), (")", 0)}:
            lines.append(f"    {text[start:column].strip()},")
            start = column + 1
            if depth == 0:
                break
    return "\n".join([*lines, text[start - 1 :]])


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
    yield "\n".join(f"- {line(row)}" for row in rows)


def line(row: griffe.DocstringElement) -> str:
    """Give a row of a section: what it is about, a name or a type, and what is said of that."""
    text = " ".join(row.description.split())
    name, kind = getattr(row, "name", ""), getattr(row, "annotation", "")
    if isinstance(row, griffe.DocstringReturn):  # ours have no names, so this is a text that begins with a colon
        name, text = "", f"{name}: {text}" if name else text
    title = name or kind
    return f"`{title}`: {text}" if title else text


def main() -> int:
    """Write the pages, or compare them with `--check`; the exit status tells whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only tell whether the pages are up to date")
    check = parser.parse_args().check
    stale = False
    for name, text in {"settings.md": settings.reference(), "api.md": api(), "sim.md": sim()}.items():
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
