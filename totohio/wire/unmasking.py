"""Placeholders and what stands for them now: into requests that are sent again, and out of replies that come now.

The first value that a reply has where the recording has a placeholder is what that placeholder stands for from then
on: in later requests, and in later replies, where another value is a difference.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any
from urllib.parse import quote, quote_plus, unquote_plus

import msgspec

from totohio.wire.masking import Masker
from totohio.wire.naming import SIGNATURES, placeholder_pattern, plain_name

SESSION_COOKIE = "toto-session-id"
SHOWN = 60  # characters of a value that a difference shows
AROUND = 20  # of which this many stand before the place where two texts part
ABSENT = "nothing"

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TYPES: dict[str | None, type | tuple[type, ...]] = {None: str, "int": int, "float": float, "bytes": bytes}


class LackError(Exception):
    """A request needs the value of a placeholder that nobody knows."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Where what was recorded and what comes now part.

    Attributes:
        where: A path into the body such as ``$.result.items[0]``, a header, or the status.
        recorded: What is there in the recording, to show.
        now: What is there now.
    """

    where: str
    recorded: str
    now: str


class Values:
    """What the placeholders of one recording stand for.

    Attributes:
        masker: Knows the values as secrets.
    """

    def __init__(self, mark: str, names: list[str], given: Mapping[str, str | None] | None = None) -> None:
        """Begin with nothing known.

        Args:
            mark: Of the placeholders.
            names: Of fields that were masked.
            given: For placeholders whose value no reply has told, by name: a value, or None for one that is made up.
        """
        self.masker = Masker(mark, names)
        self._pattern = placeholder_pattern(mark)
        self._mark = mark
        self._known: dict[str, str] = {}  # by number
        self._given = {plain_name(name): value for name, value in (given or {}).items()}

    # ------------------------------------------------------------ into requests

    def fill(self, text: str, encode: Callable[[str], str] = str) -> str:
        """Put values in the place of placeholders.

        Args:
            text: A text that may hold some.
            encode: Makes a value fit there.

        Raises:
            LackError: The value of one is not known.
        """
        if self._mark not in text:
            return text
        return self._pattern.sub(lambda match: encode(self._value(match)), text)

    def fill_tree(self, value: Any) -> Any:
        """Do the same to all that a body was decoded to; a placeholder that is a whole value gets its type back.

        Raises:
            LackError: The value of one is not known.
        """
        if isinstance(value, str):
            match = self._pattern.fullmatch(value) if self._mark in value else None
            return self.fill(value) if match is None else _typed(self._value(match), match)
        if isinstance(value, list):
            return [self.fill_tree(item) for item in value]
        if isinstance(value, dict):
            return {self.fill_tree(key): self.fill_tree(item) for key, item in value.items()}
        return value

    def fill_cookies(self, text: str) -> str:
        """Do the same to a Cookie header, in which what no server has set may be made up.

        Raises:
            LackError: It names a session, and nobody knows which.
        """
        pairs = []
        for pair in text.split(";"):
            name = pair.partition("=")[0].strip()
            try:
                pairs.append(self.fill(pair))
            except LackError:
                if name == SESSION_COOKIE:
                    raise
                pairs.append(self._pattern.sub(lambda match: self._learn(match, _made_up(match)), pair))
        return ";".join(pairs)

    def _value(self, match: re.Match[str]) -> str:
        name, number = match[1], match[2]
        known = self._known.get(number)
        if known is not None:
            return known
        if name in SIGNATURES:
            return match[0]
        plain = plain_name(name)
        if plain in self._given:
            value = self._given[plain]
            return self._learn(match, _made_up(match) if value is None else value)
        if "password" in plain:
            return self._learn(match, _made_up(match))
        raise LackError(f"{name} {number} is masked, and no reply has told it")

    def _learn(self, match: re.Match[str], value: str) -> str:
        self._known[match[2]] = value
        self.masker.secret("known", value)
        return value

    # ------------------------------------------------------------ out of replies

    def compare(self, recorded: Any, now: Any, path: str = "$") -> Difference | None:
        """Give the first difference between what bodies were decoded to, and learn what placeholders stand for."""
        if isinstance(recorded, str) and self._mark in recorded:
            return self._compare_masked(recorded, now, path)
        if isinstance(recorded, dict) and isinstance(now, dict):
            return self._compare_fields(recorded, now, path)
        if isinstance(recorded, list) and isinstance(now, list):
            for index, (old, new) in enumerate(zip(recorded, now, strict=False)):
                found = self.compare(old, new, f"{path}[{index}]")
                if found is not None:
                    return found
            if len(recorded) == len(now):
                return None
            index = min(len(recorded), len(now))
            return Difference(f"{path}[{index}]", *(shown(each[index : index + 1], index) for each in (recorded, now)))
        if isinstance(recorded, str) and isinstance(now, str):
            return self.compare_texts(recorded, now, path)
        if isinstance(recorded, bool) is isinstance(now, bool) and recorded == now:
            return None
        return Difference(path, shown(recorded), shown(now))

    def _compare_fields(self, recorded: dict[Any, Any], now: dict[Any, Any], path: str) -> Difference | None:
        keys: dict[Any, Any] = {}
        for key in recorded:
            try:
                keys[self.fill_tree(key)] = key
            except LackError:
                keys[key] = key
        for new, old in keys.items():
            below = f"{path}.{new}" if isinstance(new, str) and _PLAIN.fullmatch(new) else f"{path}[{shown(new)}]"
            if new not in now:
                return Difference(below, shown(recorded[old]), ABSENT)
            found = self.compare(recorded[old], now[new], below)
            if found is not None:
                return found
        for new in now:
            if new not in keys:
                return Difference(f"{path}.{new}", ABSENT, shown(now[new]))
        return None

    def _compare_masked(self, recorded: str, now: Any, path: str) -> Difference | None:
        match = self._pattern.fullmatch(recorded)
        if match is None:
            return self.compare_texts(recorded, now, path) if isinstance(now, str) else _different(recorded, now, path)
        kind = _TYPES.get(match[3], object)
        if not isinstance(now, kind) or (isinstance(now, bool) and kind is not object):
            return _different(recorded, now, path)
        if match[1] in SIGNATURES:
            return None
        text = now.decode("latin-1") if isinstance(now, bytes) else str(now)
        known = self._known.get(match[2])
        if known is None:
            self._learn(match, text)
        elif known != text:
            return _different(recorded, now, path)
        return None

    def compare_texts(self, recorded: str, now: str, path: str) -> Difference | None:
        """Give the first difference between two texts, and learn what placeholders stand for."""
        if recorded == now:
            return None
        new: dict[str, tuple[re.Match[str], str]] = {}
        at = to = 0  # how far the two are the same
        matches = list(self._pattern.finditer(recorded)) if self._mark in recorded else []
        for match, follower in zip_longest(matches, matches[1:]):
            same = _common(recorded[at : match.start()], now, to)
            if at + same < match.start():
                return _parted(recorded, at + same, now, to + same, path)
            to += same
            at = match.end()
            value = self._known.get(match[2])
            if match[2] in new and match[1] not in SIGNATURES:
                value = new[match[2]][1]
            if value is not None:
                form = next((form for form in _forms(value) if now.startswith(form, to)), None)
                if form is None:
                    return _parted(recorded, match.start(), now, to, path)
                to += len(form)
            else:  # it ends where what follows it begins; no secret has that in it, or it would have been escaped
                rest = recorded[at : follower.start() if follower is not None else None]
                end = now.find(rest, to + 1) if rest else len(now)
                if end <= to:
                    return _parted(recorded, match.start(), now, to, path)
                text = now[to:end]
                new[match[2]] = match, unquote_plus(text) if "%" in text else text
                to = end
        same = _common(recorded[at:], now, to)
        if at + same < len(recorded) or to + same < len(now):
            return _parted(recorded, at + same, now, to + same, path)
        for match, value in new.values():
            if match[1] not in SIGNATURES:
                self._learn(match, value)
        return None


def shown(value: Any, index: int | None = None) -> str:
    """Show a value of a body in a few words; of a list of one or none, whose item has an index, the item."""
    if index is not None:
        return shown(value[0]) if value else ABSENT
    try:
        text = msgspec.json.encode(value).decode()
    except Exception:  # not of JSON
        text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def _different(recorded: str, now: Any, path: str) -> Difference:
    return Difference(path, shown(recorded), shown(now))


def _common(literal: str, now: str, to: int) -> int:
    """Tell how many characters of a text stand in another one from there on."""
    if now.startswith(literal, to):
        return len(literal)
    return next((at for at, (old, new) in enumerate(zip(literal, now[to:], strict=False)) if old != new), len(now) - to)


def _parted(recorded: str, at: int, now: str, to: int, path: str) -> Difference:
    """Show two texts where they part."""
    if max(len(recorded), len(now)) <= SHOWN:
        return Difference(path, shown(recorded), shown(now))
    start = min(at, to, AROUND)
    return Difference(f"{path}, character {to}", shown(recorded[at - start :]), shown(now[to - start :]))


def _forms(value: str) -> list[str]:
    """How a value may be written within a text, the longest first."""
    forms = {value, quote(value), quote(value, safe=""), quote_plus(value), msgspec.json.encode(value).decode()[1:-1]}
    return sorted(forms, key=lambda form: (-len(form), form))


def _made_up(match: re.Match[str]) -> str:
    return match[2] if match[3] in ("int", "float") else f"Replayed-{match[1]}-{match[2]}"


def _typed(value: str, match: re.Match[str]) -> Any:
    """Give a value in the type that its placeholder says; as a text where it cannot be one of that type."""
    try:
        if match[3] == "int":
            return int(value)
        if match[3] == "float":
            return float(value)
    except ValueError:
        return value
    if match[3] != "bytes":
        return value
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode()
