"""Masking: secrets out of what is kept, each replaced by a placeholder that stands for it wherever it occurs.

What is a secret is told by its name: of a header, a cookie, a field of JSON, MessagePack or BSON at any depth, of a
form, a query, or whatever looks like one of these in other text, and of a password in a URL by its place. A secret of
at least `FINDABLE` characters is then looked for everywhere else, too.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

import msgspec

from totohio.wire.naming import (
    COOKIES,
    DIGESTS,
    HEADERS,
    NAMES,
    SIGNATURES,
    TAGS,
    URLS,
    Names,
    placeholder_pattern,
)
from totohio.wire.spotting import Spot, is_left, mask_values, unescaped

FINDABLE = 8  # characters; shorter ones are found by their name only, or every "1234" in the file would be gone
CAPACITY = 65_536  # secrets that are remembered; the longest unused goes first
RECENT = 256  # secrets that are looked for within words, not only as words
LONGEST = 1024  # characters of a secret that is looked for elsewhere
NEAR = 16  # characters between the name of a secret and its placeholder in what has no known form
HARMLESS = 4096  # entity tags of bodies without secrets that are remembered

_WORD = re.compile(rf"[A-Za-z0-9_-]{{{FINDABLE},}}")
_IDENTIFIER = re.compile(r"[A-Za-z_]+")
_SCHEME = re.compile(r"(basic|bearer|digest|negotiate|token) +(?=\S)", re.IGNORECASE)
_PART_NAME = re.compile(r"(?i)(?<![\w*-])name\*?\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^;\s]+))")
_TYPES = {int: ".int", float: ".float", bytes: ".bytes", bytearray: ".bytes", memoryview: ".bytes"}


class MaskingError(Exception):
    """It cannot be told what in a body is secret."""


class Masker:
    """Replaces the secrets of one recording.

    Attributes:
        mark: Of its placeholders.
        names: Tells fields that are secret.
        met: How many secrets there were so far. When it has grown while something was masked, what was masked before
            may still have the new one in it.
        used: How many placeholders were put somewhere so far.
    """

    def __init__(self, mark: str, names: Iterable[str] = NAMES, capacity: int = CAPACITY) -> None:
        self.mark = mark
        self.names = Names(names)
        self.met = 0
        self.used = 0
        self._capacity = capacity
        self._known: dict[str | bytes, str] = {}  # by secret; its digest where it is long
        self._recent: dict[str, str] = {}  # secrets that are written in one way only, wherever they stand
        self._varied: dict[str, dict[str, str]] = {}  # recent ones that are not, by each form
        self._hits: dict[str, str] = {}  # by form, those that are in the message at hand
        self._reply = False  # it is a reply
        self._tags: dict[str, None] = {}  # entity tags that are no hashes of secrets
        self._ours = placeholder_pattern(mark)

    # ------------------------------------------------------------ one secret

    def field(self, name: Any) -> str:
        """Give the name for placeholders of what a field of this name holds; empty when that is no secret."""
        if isinstance(name, bytes):
            name = name.decode("latin-1")
        return self.names.field(name) if isinstance(name, str) else ""

    def secret(self, name: str, value: Any) -> Any:
        """Give the placeholder of a secret; what can be none stays."""
        if value is None or value is True or value is False or value == "":
            return value
        if isinstance(value, str):
            return value if self._ours.fullmatch(value) else self._placeholder(name, value)
        kind = _TYPES.get(type(value), ".other")
        text = bytes(value).decode("latin-1") if kind == ".bytes" else str(value)
        return f"{self._placeholder(name, text)[:-1]}{kind}~" if text else value

    def _placeholder(self, name: str, text: str) -> str:
        self.used += 1
        key = text if len(text) <= LONGEST else hashlib.sha256(_bytes(text)).digest()
        known = self._known
        found = known.pop(key, None)
        if found is None:
            self.met += 1
            found = f"~{name}.{self.met}.{self.mark}~"
            if len(known) >= self._capacity:
                del known[next(iter(known))]
        known[key] = found
        if FINDABLE <= len(text) <= LONGEST and text not in self._recent and text not in self._varied:
            self._look_for(text, found)
        return found

    def _look_for(self, text: str, found: str) -> None:
        """Look for a secret within words, too, until others are more recent."""
        data = _bytes(text)
        forms = {text, quote(data), quote_plus(data), quote(data, safe=""), _escaped(text), data.decode("latin-1")}
        if len(forms) == 1:
            self._recent[text] = found
        else:
            self._varied[text] = dict.fromkeys(forms, found)
        self._hits.update(dict.fromkeys(forms, found))
        for table in (self._recent, self._varied, self._hits):
            while len(table) > RECENT:
                del table[next(iter(table))]

    # ------------------------------------------------------------ where they occur

    def begin(self, *parts: bytes | str, reply: bool) -> None:
        """Begin with a message that consists of these parts: find out which recent secrets are in it."""
        blob = "\n".join(part if isinstance(part, str) else part.decode("latin-1") for part in parts)
        self._reply = reply
        recent = self._recent
        self._hits = {secret: recent[secret] for secret in [secret for secret in recent if secret in blob]}
        for forms in self._varied.values():
            self._hits.update(forms)

    def tree(self, value: Any, name: str = "", above: Any = None) -> Any:
        """Mask what a body was decoded to.

        Args:
            value: A value in it.
            name: That of the secret field in which it is.
            above: The key under which it stands.

        Raises:
            RecursionError: It is nested too deeply.
        """
        kind = type(value)
        if kind is dict:
            masked = {}
            named = self.field(value.get("name")) if "value" in value else ""  # {"name": "password", "value": ...}
            for key, item in value.items():
                field = name or self.field(key) or (named if key == "value" else "")
                if field == "code" and above == "error" and self._reply:  # it says what went wrong
                    field = ""
                if isinstance(key, str):
                    masked[self._replace(key, True)] = self.tree(item, field, key)
                else:
                    masked[key] = self.tree(item, field, key)
            return masked
        if kind is list:
            return [self.tree(item, name, above) for item in value]
        if name:
            return self.secret(name, value)
        if kind is str:
            return self.text(value)
        return self.binary(value) if kind is bytes else value

    def text(self, text: str) -> str:
        """Mask a text: JSON, a URL, or whatever looks like fields of one."""
        if text[:1] in ("{", "[") and len(text) > 2:
            try:
                value = msgspec.json.decode(text)
                masked = self.tree(value)
            except (ValueError, RecursionError):
                pass
            else:
                return text if masked == value else msgspec.json.encode(masked).decode()
        masked = self._replace(self._like(text))
        return self.uri(masked) if "%" in masked and "?" in masked else masked

    def loose(self, text: str) -> str:
        """Mask a text that ought to be JSON but is not.

        Raises:
            MaskingError: It holds a secret, as it seems, but nobody can tell where that ends.
        """
        if "\\u" in text:
            raise MaskingError("it has escaped characters, which may hide a name")
        masked = self._replace(self._like(text))
        if is_left(masked, self.names):
            raise MaskingError("where a secret ends cannot be told")
        return masked

    def binary(self, data: bytes) -> bytes:
        """Mask bytes of no known form.

        Raises:
            MaskingError: They hold a secret, as it seems, but nobody can tell where.
        """
        masked = self._replace(self._like(data.decode("latin-1")))
        for end in self.names.ends(masked):
            if not self._ours.search(masked, end, end + NEAR):
                raise MaskingError("there is the name of a secret in it")
        return masked.encode("latin-1")

    def _like(self, text: str) -> str:
        """Mask what looks like fields."""
        return mask_values(text, self.names, self._value)

    def _value(self, text: str, spot: Spot) -> str | None:
        """Give what stands for a value in a text."""
        if spot.name == "code" and self._reply and text.endswith('"error":{', 0, spot.start):
            return None
        if spot.bare and self._ours.search(spot.value):
            return None
        return str(self.secret(spot.name, spot.value))

    def _replace(self, text: str, key: bool = False) -> str:
        """Put placeholders in the place of secrets that are known; keys, and names in paths, may be like passwords."""
        if len(text) < FINDABLE:
            return text
        known = self._known.get(text)
        if known is not None:
            return self._word(text, key)
        for form, found in self._hits.items():
            if form in text and not (key and not _token_like(form)):
                self.used += 1
                text = text.replace(form, found)
        return _WORD.sub(lambda match: self._word(match[0], key), text) if self._known else text

    def _word(self, word: str, key: bool) -> str:
        found = self._known.get(word)
        if found is None or (key and not _token_like(word)):
            return word
        self.used += 1
        return found

    # ------------------------------------------------------------ URLs, forms and headers

    def uri(self, uri: str) -> str:
        """Mask a request target or another URL."""
        path, mark, query = uri.partition("?")
        if path:
            path = "/".join(self._segment(part) for part in self._like(path).split("/"))
        return f"{path}{mark}{self.pairs(query)}"

    def _segment(self, part: str) -> str:
        masked = self._replace(unquote(part), True)
        return part if masked == unquote(part) else quote(masked, safe="~!$&'()*+,;=:@")

    def pairs(self, text: str) -> str:
        """Mask a query or an urlencoded form."""
        return "&".join(map(self._pair, text.split("&"))) if text else text

    def _pair(self, pair: str) -> str:
        name, equals, value = pair.partition("=")
        if not equals:
            return self._requoted(pair)
        field = self.field(unquote_plus(name))
        if field:
            return f"{name}={self.secret(field, unquote_plus(value))}"
        return f"{name}={self._requoted(value)}"

    def _requoted(self, text: str) -> str:
        plain = unquote_plus(text)
        masked = self.text(plain)
        return text if masked == plain else quote_plus(masked)

    def header(self, name: str, value: str, hidden: bool = False) -> str:
        """Mask the value of a header.

        Args:
            name: Of the header.
            value: Its value.
            hidden: There are secrets in the body, so that nobody may see a hash of it.
        """
        name = name.lower()
        if name in TAGS:
            return re.sub(r'"([^"]*)"', lambda match: f'"{self._tag(match[1], name, hidden)}"', value)
        if name in DIGESTS and hidden:
            return str(self.secret("digest", value))
        if name in SIGNATURES:
            return f"~{name}.0.{self.mark}~"
        if name in COOKIES:
            return self._cookies(value, every=name == "cookie")
        field = name if name in HEADERS else self.field(name.removeprefix("x-"))
        if field:
            scheme = _SCHEME.match(value)
            start = scheme.end() if scheme is not None else 0
            field = field.removeprefix("x-").removeprefix("toto-").replace("-", "_")
            return value[:start] + str(self.secret(field, value[start:]))
        return self.uri(value) if name in URLS or value.startswith(("/", "http")) else self.text(value)

    def _tag(self, tag: str, name: str, hidden: bool) -> str:
        """Mask an entity tag, unless it is known to be no hash of secrets."""
        if tag in self._tags:
            return tag
        if name != "etag" or hidden:
            return str(self.secret("etag", tag))
        self._tags[tag] = None
        if len(self._tags) > HARMLESS:
            del self._tags[next(iter(self._tags))]
        return tag

    def _cookies(self, text: str, every: bool) -> str:
        """Mask the values of cookies; of a Set-Cookie only the first is one, the others are attributes."""
        first, *rest = text.split(";")
        return ";".join([self._cookie(first), *(self._cookie(pair) if every else pair for pair in rest)])

    def _cookie(self, pair: str) -> str:
        name, equals, value = pair.partition("=")
        quotes = '"' if len(value) > 1 and value[0] == value[-1] == '"' else ""
        if not equals:
            return pair if not pair.strip() else str(self.secret("cookie", pair))
        return f"{name}={quotes}{self.secret('cookie', value.strip(quotes) if quotes else value.strip())}{quotes}"

    def multipart(self, boundary: str, body: bytes) -> bytes:
        """Mask a multipart form."""
        edge = b"--" + boundary.encode("latin-1")
        parts = body.split(edge)
        if len(parts) == 1:  # it is no such form
            return self.binary(body)
        for index, part in enumerate(parts):
            head, blank, content = part.partition(b"\r\n\r\n")
            field = self._part_field(head.decode("utf-8", "replace"))
            if not blank:
                parts[index] = self.binary(part)
            elif field:
                text = content.removesuffix(b"\r\n")
                end = content[len(text) :]
                placeholder = str(self.secret(field, _decoded(text)))
                parts[index] = head + blank + placeholder.encode() + end
            else:
                parts[index] = self.binary(head) + blank + self._content(content)
        return edge.join(parts)

    def _part_field(self, head: str) -> str:
        """Do the same as `field` for a part of a form, however oddly its name is written."""
        for quoted, bare in _PART_NAME.findall(head):
            name = quoted or bare
            for spelling in (
                unescaped(name),
                name.replace("\\", ""),
                unquote(name.rpartition("'")[2] or name.strip("'")),
            ):
                field = self.field(spelling)
                if field:
                    return field
        return ""

    def _content(self, content: bytes) -> bytes:
        if b"content-disposition" in content.lower():  # a form within a form
            return self.binary(content)
        try:
            return self.text(content.decode()).encode()
        except UnicodeDecodeError:
            return self.binary(content)

    def blank(self, data: bytes) -> bytes:
        """Give data for a hash that is to be the same whichever secrets it held: they all become one letter."""
        text = self._like(data.decode("latin-1"))
        text = _WORD.sub(lambda match: self._word(match[0], False), text)
        return self._ours.sub("~", text).encode("latin-1")


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _escaped(text: str) -> str:
    """Give a text as JSON of ours has it."""
    try:
        return msgspec.json.encode(text).decode()[1:-1]
    except UnicodeEncodeError:
        return text


def _bytes(text: str) -> bytes:
    """Give the bytes of a text; what was no UTF-8 in a form comes back as it was."""
    return text.encode("utf-8", "surrogateescape")


def _token_like(text: str) -> bool:
    """Tell a token from a word that is somebody's password and a part of a URL as well."""
    return len(text) >= 16 or _IDENTIFIER.fullmatch(text) is None
