"""Spotting: values in a text that stand behind the name of a secret, in whatever notation.

What names a value is a head, told by its notation; whether its name is a secret's is asked then, and only behind such a
one a value is looked for, so that fields within fields are found. Heads are tried where a name can begin and nowhere
else, and take no more than they need: no text takes long.
"""

import re
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

import msgspec

from totohio.wire.naming import Names

NOT_SECRET = ("true", "false", "null")
SHORTEST = 5  # characters of what looks like a field: pwd=x

_BARE = r"""(?P<bare>[^\s"'\\,;&<>\[\]{}()]+)"""
_QUOTED = r""""(?P<double>(?:[^"\\]|\\(?s:.))*+)|'(?P<single>(?:[^'\\]|\\(?s:.))*+)"""  # the end may be missing

# JSON and what looks like it, with quotes that are perhaps escaped.
_JSON = re.compile(r"""(["'])(?P<name>[^"'\\]{1,96}+)\\*\1\s*:\s*""")
_ITEM = re.compile(rf"""{_QUOTED}|\\+"(?P<escaped>[^"]*?)(?=\\*"|\Z)|{_BARE}""")
_NO_ITEM = re.compile(r"""[\s"'~]|true|false|null""")  # it is masked, or cannot be a secret
# Queries and forms.
_PAIR = re.compile(r"""(?<![^\s=&;/?#"'<>,{}()\\])(?P<name>[^\s=&;/?#"'<>,{}()\\]{1,96}+)=""")
_ENCODED = re.compile(r"""(?P<bare>[^\s"'\\&;,<>]+)""")
# XML.
_ELEMENT = re.compile(r"<(?P<name>[\w.:-]{1,96}+)(?:\s[^<>]{0,256}+)?>(?:<!\[CDATA\[)?")
_CONTENT = re.compile(r"(?P<bare>[^<>]+)")
# Lines of files with settings.
_LINE = re.compile(r"(?m)^[\t >*-]{0,16}+(?:export |set )?(?P<name>[\w.-]{1,96}+)[\t ]*+[:=][\t ]*+")
_REST = re.compile(r"(?P<bare>[^\r\n]+)")
# Anything else.
_WORD = re.compile(r"(?<![\w-])(?P<name>[\w-]{1,96}+)\s{0,4}[:=]\s{0,4}")
_SOMETHING = re.compile(rf"{_QUOTED}|{_BARE}")
# What stands between a user's name and the host, as in postgres://ada:SECRET@db.
_LOGIN = re.compile(r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{0,32}+://[^\s/?#@:]{0,256}+(?P<name>:)")
_BEFORE_HOST = re.compile(r"(?P<bare>[^\s/@]++)(?=@)")


class Spot(NamedTuple):
    """A value.

    Attributes:
        name: What `Names.field` gives for its name.
        value: What it means, without quotes and escapes.
        start: Where in the text its name begins.
        bare: There are no quotes around it.
    """

    name: str
    value: str
    start: int
    bare: bool


Mask = Callable[[str, Spot], str | None]
"""Called with the text and a value in it, gives what takes its place; None leaves all as it is."""


def mask_values(text: str, names: Names, mask: Mask) -> str:
    """Mask what stands behind the names of secrets."""
    if "://" in text and "@" in text:
        text = _after(_LOGIN, lambda _: "password", _BEFORE_HOST, text, mask, unquote)
    if len(text) < SHORTEST or not names.possible(text):
        return text
    if ":" in text:
        text = _after(_JSON, names.field, _ITEM, text, mask)
    if "=" in text:
        text = _after(_PAIR, lambda name: names.field(unquote_plus(name)), _ENCODED, text, mask, unquote_plus)
    if "<" in text:
        text = _after(_ELEMENT, names.field, _CONTENT, text, mask)
    if ":" in text or "=" in text:
        text = _after(_LINE, names.strong, _REST, text, mask)
        text = _after(_WORD, names.strong, _SOMETHING, text, mask)
    return text


def is_left(text: str, names: Names) -> bool:
    """Tell whether a field of JSON still has a value that nobody could mask, as an object without an end."""
    found = (match for match in _JSON.finditer(text) if names.field(match["name"]))
    return any(_NO_ITEM.match(text, match.end()) is None for match in found)


def _after(
    head: re.Pattern[str],
    field: Callable[[str], str],
    value: re.Pattern[str],
    text: str,
    mask: Mask,
    plain: Callable[[str], str] = str,
) -> str:
    """Mask the values that stand behind heads.

    Args:
        head: Finds names.
        field: Tells those of secrets.
        value: Finds the value behind one.
        text: The text.
        mask: Masks a value.
        plain: Takes the escapes out of a value without quotes.
    """
    pieces: list[str] = []
    at = to = 0
    while (match := head.search(text, to)) is not None:
        to = match.end()
        name = field(match["name"])
        found = value.match(text, to) if name else None
        kind = found.lastgroup if found is not None else None
        if found is None or kind is None:
            continue
        raw = found[kind]
        bare = kind == "bare"
        if bare and raw in NOT_SECRET:
            continue
        masked = mask(text, Spot(name, plain(raw) if bare else unescaped(raw), match.start(), bare))
        if masked is not None:
            pieces += text[at : found.end() - len(raw)], masked
            at = to = found.end()
    return "".join([*pieces, text[at:]]) if pieces else text


def unescaped(text: str) -> str:
    """Give what stands between quotes as the text that it means."""
    if "\\" not in text:
        return text
    try:
        return str(msgspec.json.decode(f'"{text}"'))
    except ValueError:
        return text
