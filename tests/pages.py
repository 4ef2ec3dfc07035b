"""Reading the pages of the documentation: their code blocks, the words in backticks, their headings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = {"python": ".py", "yaml": ".yaml", "json": ".json", "nginx": ".conf", "ini": ".service"}


@dataclass(frozen=True)
class Block:
    """A fenced code block; ``before`` is the paragraph that introduces it."""

    language: str
    text: str
    before: str

    @property
    def file(self) -> str | None:
        """The name of the file that it shows."""
        names = re.findall(r"`([\w./-]+)`", self.before) if self.before.endswith(":") else []
        files = [name for name in names if Path(name).suffix == SUFFIXES.get(self.language)]
        return files[-1] if files else None

    @property
    def logged(self) -> bool:
        """It shows what the running server has written."""
        return self.before.endswith("the server writes:")


def blocks(page: Path) -> list[Block]:
    found: list[Block] = []
    paragraph: list[str] = []
    code: list[str] | None = None
    language, ended = "", True
    for line in page.read_text("utf-8").splitlines():
        if code is not None and line != "```":
            code.append(line)
        elif code is not None:
            found.append(Block(language, "".join(f"{each}\n" for each in code), " ".join(paragraph)))
            code, paragraph = None, []
        elif line.startswith("```"):
            code, language = [], line[3:]
        elif line and ended:
            paragraph = [line]
        elif line:
            paragraph.append(line)
        ended = not line
    assert code is None, f"{page.name}: a code block without an end"
    return found


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)


def words(page: Path) -> set[str]:
    """What stands in backticks."""
    return set(re.findall(r"`([^`\n]+)`", prose(page)))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(text: str) -> Iterator[tuple[str, str]]:
    assert text.startswith("$ "), f"a console block begins with a command: {text}"
    for piece in re.split(r"(?m)^\$ ", text)[1:]:
        match = re.match(r"((?:.*\\\n)*.*)\n", piece)
        assert match is not None
        yield match[1], piece[match.end() :]
