"""Names of secrets, and of the placeholders that stand for them.

A placeholder looks like ``~session_id.1.5f3a09bc~``: the name under which the secret was first met, a number of its
own, and the mark of the recording, which nobody who talks to the server can know, so that no data can pass for one.
Its characters need no escaping in JSON, URLs, forms, cookies and headers; ``.int``, ``.float`` or ``.bytes`` before
the last tilde says that it stands for something else than a text. Nothing in it is made from the secret.
"""

import re
from collections.abc import Iterable

NAMES = ("password", "new_password", "key", "session_id", "token", "secret", "code", "authorization", "api_key")
HEADERS = frozenset(
    ("authorization", "proxy-authorization", "x-toto-session-id", "x-auth-token", "x-csrf-token", "x-xsrf-token")
)
SIGNATURES = frozenset(("x-toto-hmac",))  # never the same twice, so they are not told apart
COOKIES = frozenset(("cookie", "set-cookie"))
TAGS = frozenset(("etag", "if-match", "if-none-match"))  # ours are hashes of bodies
DIGESTS = frozenset(("content-md5", "digest", "content-digest", "repr-digest"))
URLS = frozenset(("location", "content-location", "referer", "refresh"))


def plain_name(name: str) -> str:
    """Give a name the way names are compared: ``apiKey``, ``API-Key`` and ``api_key`` are the same."""
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


def choose(names: Iterable[str], more: str) -> list[str]:
    """Give names of secrets: those given, changed as a comma separated text says.

    Args:
        names: To begin with.
        more: A name is added, with a minus before it taken away.
    """
    chosen = {plain_name(name): name for name in names}
    for word in more.split(","):
        word = word.strip()
        if word.startswith("-"):
            chosen.pop(plain_name(word[1:]), None)
        elif word:
            chosen.setdefault(plain_name(word), word)
    return list(chosen.values())


def placeholder_pattern(mark: str) -> re.Pattern[str]:
    """Give the pattern of the placeholders with a mark: their name, number and type are its groups."""
    return re.compile(rf"~([a-z0-9_-]+)\.(\d+)\.{re.escape(mark)}(?:\.([a-z]+))?~")


def slug(name: str) -> str:
    """Give a name with only those characters that a placeholder may have."""
    return re.sub(r"[^a-z0-9_-]", "-", name.lower()) or "secret"
