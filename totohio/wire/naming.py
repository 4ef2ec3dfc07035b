"""Names of secrets, and of the placeholders that stand for them.

A placeholder looks like ``~session_id.1.5f3a09bc~``: the name under which the secret was first met, a number of its
own, and the mark of the recording, which nobody who talks to the server can know, so that no data can pass for one.
Its characters need no escaping in JSON, URLs, forms, cookies and headers; ``.int``, ``.float`` or ``.bytes`` before
the last tilde says that it stands for something else than a text. Nothing in it is made from the secret.
"""

import re
from collections.abc import Iterable, Iterator

NAMES: tuple[str, ...] = (
    *("password", "new_password", "key", "session_id", "token", "secret", "code", "authorization", "api_key"),
    *("passwd", "passphrase", "pwd", "private_key", "access_key"),
)
# Those of them that also are a secret's at the end of a longer name, as in access_token;
ENDS: tuple[str, ...] = ("password", "passwd", "pwd", "session_id", "token", "secret", "authorization")
ENDS += ("api_key", "private_key", "access_key")
ANYWHERE = ("password", "passwd", "passphrase")  # and anywhere in it, as in password_again.
WEAK = frozenset(("key", "code"))  # words that are not even a secret's in most sentences

HEADERS = frozenset(
    ("authorization", "proxy-authorization", "x-toto-session-id", "x-session", "session", "ocp-apim-subscription-key")
)
SIGNATURES = frozenset(("x-toto-hmac",))  # never the same twice, so they are not told apart
COOKIES = frozenset(("cookie", "set-cookie"))
TAGS = frozenset(("etag", "if-match", "if-none-match"))  # ours are hashes of bodies
DIGESTS = frozenset(("content-md5", "digest", "content-digest", "repr-digest"))
URLS = frozenset(("location", "content-location", "referer", "refresh"))

STEM = 4  # characters of a name that are looked for before anything else is
LOOKED_UP = 4096  # names whose kind is remembered
LONGEST = 64  # characters of a name, or of the part of it in a placeholder

_STEPS = re.compile(
    r"""[][().:;?/&'"\\<>{}|,=]+"""
)  # between the names in user[password], user.password and a;password


def plain_name(name: str) -> str:
    """Give a name the way names are compared: ``apiKey``, ``API-Key`` and ``api_key`` are the same."""
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


def choose(names: Iterable[str], more: str) -> list[str]:
    """Give names of secrets: those given, changed as a comma separated text says.

    Args:
        names: To begin with.
        more: A name is added, with a minus before it taken away; one that only ends like others stays as an exception.
    """
    chosen = {plain_name(name): name for name in names}
    for word in more.split(","):
        word = word.strip()
        plain = plain_name(word)
        if word.startswith("-"):
            if chosen.pop(plain, None) is None and plain:
                chosen[plain] = word
        elif word:
            chosen.setdefault(plain, word)
    return list(chosen.values())


def placeholder_pattern(mark: str) -> re.Pattern[str]:
    """Give the pattern of the placeholders with a mark: their name, number and type are its groups."""
    return re.compile(rf"~([a-z0-9_-]+)\.(\d+)\.{re.escape(mark)}(?:\.([a-z]+))?~")


def slug(name: str) -> str:
    """Give a name with only those characters that a placeholder may have."""
    return re.sub(r"[^a-z0-9_-]", "-", name.lower())[:LONGEST] or "secret"


class Names:
    """Tells names of secrets from others.

    Attributes:
        all: As they were given.
    """

    def __init__(self, names: Iterable[str]) -> None:
        """Take them.

        Args:
            names: One that begins with a minus is not a secret's though it ends like one.
        """
        self.all = list(names)
        masked = [name for name in self.all if not name.startswith("-")]
        self._fields = {plain_name(name): slug(name) for name in masked}
        self._excepted = {plain_name(name[1:]) for name in self.all if name.startswith("-")}
        self._ends = tuple(plain for plain in map(plain_name, ENDS) if plain in self._fields)
        self._anywhere = tuple(plain for plain in map(plain_name, ANYWHERE) if plain in self._fields)
        self._known: dict[str, str] = {}
        # For texts of small letters; without flags, for only so is it found quickly where a match can begin.
        stems = {max(re.split(r"[-_ ]", name), key=len).lower()[:STEM] for name in masked}
        self._stem = re.compile("|".join(map(re.escape, sorted(stems))) or r"(?!)")
        strong = [r"[-_ ]?".join(name.split("_")) for name in ENDS if plain_name(name) in self._ends]
        self._strong = re.compile("|".join([*strong, *self._anywhere]) or r"(?!)")

    def field(self, name: str) -> str:
        """Give the name for placeholders of what a field of this name holds; empty when that is no secret."""
        found = self._known.get(name)
        if found is None:
            found = self._find(name)
            if len(name) <= LONGEST and len(self._known) < LOOKED_UP:
                self._known[name] = found
        return found

    def _find(self, name: str) -> str:
        whole = plain_name(name)
        if whole in self._fields:
            return self._fields[whole]
        if whole in self._excepted or whole.startswith("#"):  # a reference of a batch is none
            return ""
        last = next((part for part in reversed(_STEPS.split(name)) if part and not part.isdigit()), "").strip()
        plain = plain_name(last)
        if plain in self._fields:
            return self._fields[plain]
        if plain in self._excepted:
            return ""
        if plain.rstrip("0123456789").endswith(self._ends) or any(word in plain for word in self._anywhere):
            return slug(last)
        return ""

    def strong(self, name: str) -> str:
        """Do the same as `field` where a name may as well be a word of a sentence."""
        found = self.field(name)
        return "" if found in WEAK else found

    def possible(self, text: str) -> bool:
        """Tell quickly whether there may be a name in a text."""
        return self._stem.search(small(text)) is not None

    def ends(self, text: str) -> Iterator[int]:
        """Give the places in a text of whatever form behind something that looks like a name, unless it is weak."""
        return (match.end() for match in self._strong.finditer(small(text)))


def small(text: str) -> str:
    """Give a text in small letters, each in its place."""
    found = text.lower()
    return found if len(found) == len(text) else "".join(each.lower() if each.isascii() else each for each in text)
