"""Loading the corpus of raw requests.

A case is two files beside each other under ``http/``, in a folder for each subject:

``name.http``   the bytes exactly as they are sent
``name.json``   what is expected:

    expect      ``requests``: what a parser gives, each with some of method, uri, path, query, version, body,
                keep_alive, fields (name to value, null for absent); null stands for "not compared".
                ``status``: the fault after them. Neither means that more bytes may still come.
    replies     the statuses that a server with a method ``echo`` sends, interim ones (1xx) left out
    close       whether it then closes the connection
    half_close  the client ends its sending side after the bytes
    generate    prefix, repeat, count, suffix: stands for the .http file of a large case
    section     what it rests on
    why         what it is about, in a sentence

Bytes beyond ASCII in the JSON stand for themselves (Latin-1). The server is expected to have default limits.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "http"


@dataclass(frozen=True)
class Case:
    """One raw request, or a few in a row, with what is expected."""

    name: str
    raw: bytes
    requests: list[dict[str, Any]]
    status: int | None
    replies: list[int]
    close: bool
    half_close: bool
    section: str
    why: str

    def __str__(self) -> str:
        return self.name


def load(path: Path) -> Case:
    """Load one case by the path of its .json file.

    Raises:
        KeyError: It is incomplete.
    """
    about = json.loads(path.read_text("ascii"))
    generate = about.get("generate")
    if generate:
        repeated = generate["repeat"] * generate["count"]
        raw = (generate["prefix"] + repeated + generate["suffix"]).encode("latin-1")
    else:
        raw = path.with_suffix(".http").read_bytes()
    return Case(
        name=path.relative_to(HERE).with_suffix("").as_posix(),
        raw=raw,
        requests=about["expect"].get("requests", []),
        status=about["expect"].get("status"),
        replies=about["replies"],
        close=about["close"],
        half_close=about.get("half_close", False),
        section=about["section"],
        why=about["why"],
    )


@cache
def cases() -> list[Case]:
    """All cases, in the order of their names."""
    return [load(path) for path in sorted(HERE.rglob("*.json"))]
