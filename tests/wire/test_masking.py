"""No secret gets into a recording, wherever it stands and however it is written."""

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.wire.hiding import ANY, LINE, made, posted, replied, written
from totohio.wire.masking import CAPACITY, Masker
from totohio.wire.naming import NAMES, choose, placeholder_pattern
from totohio.wire.requesting import Request
from totohio.wire.scribing import Scribe

MARK = "0f1e2d3c"
OTHER = "qWpZ-7731_xkvv"  # a secret to compare with

letters = st.characters(codec="utf-8", exclude_characters="\0")
anything = st.text(letters, min_size=10, max_size=40) | st.text("abcdefXYZ012-_%+/\\\"'&=; ", min_size=10, max_size=30)
tokens = st.text("ABCDEFabcdef0123456789-_", min_size=10, max_size=40)
lines = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=';,"='), min_size=10)


def recorded(messages: list[Any], *, names: tuple[str, ...] = NAMES, max_body: int = 1 << 20) -> bytes:
    """The lines of these messages: requests, and replies as bytes or pieces."""
    scribe = Scribe(Masker(MARK, names), max_body=max_body)
    found = [scribe.start(version="0", epoch=0.0, settings={})]
    for message in messages:
        if isinstance(message, Request):
            found += scribe.request(0.0, 1, 1, 0.0, 0.0, message)
        else:
            pieces = message if isinstance(message, tuple) else (message,)
            for at, piece in enumerate(pieces, 1):
                found += scribe.reply(0.0, 1, 1, 0.0, piece, at == len(pieces), False)
    return b"".join(found)


def forms(file: bytes) -> bytes:
    """The file in every form in which something can be hidden in it."""
    texts: list[str] = [file.decode()]

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                texts.append(key)
                if key == "base64":
                    texts.append(base64.b64decode(item).decode("latin-1"))
                    texts.append(base64.b64decode(item).decode("utf-8", "replace"))
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)
        elif isinstance(value, str):
            texts.append(value)

    for line in file.splitlines():
        walk(json.loads(line))
    return "\n".join(texts).encode("utf-8", "surrogatepass")


def disguises(secret: str) -> set[bytes]:
    """How a secret can be written."""
    plain = secret.encode()
    texts = {quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
    texts |= {json.dumps(secret, ensure_ascii=False)[1:-1], plain.decode("latin-1")}
    texts |= {"".join(f"%{byte:02x}" for byte in plain), base64.b64encode(plain).decode()[: len(plain) * 4 // 3]}
    return {plain, *(text.encode() for text in texts)}


def leaks(place: Callable[[str], list[Any]], secret: str, **options: Any) -> set[bytes]:
    """The disguises in which a secret is in the file though another secret's file does not have them."""
    usual = forms(recorded(place(OTHER), **options))
    seen = forms(recorded(place(secret), **options))
    return {disguise for disguise in disguises(secret) if disguise in seen and disguise not in usual}


@pytest.mark.parametrize("place", ANY.values(), ids=ANY)
@given(anything | tokens)
@example('"quoted" \\ and \u00e4 & = ; % +')
@example("~key.1.0f1e2d3c")
@example("\\\\\\\\\\\\\\\\\\\\\\\\")
@example("ends with one\\")
def test_a_secret_never_gets_into_the_file(place: Callable[[str], list[Any]], secret: str) -> None:
    assert not leaks(place, secret)


@pytest.mark.parametrize("place", LINE.values(), ids=LINE)
@given(lines | tokens)
@example("%41%42%43%44%45%46")
def test_a_secret_in_a_head_never_gets_into_the_file(place: Callable[[str], list[Any]], secret: str) -> None:
    assert not leaks(place, secret)


@given(lines | tokens)
def test_a_secret_is_found_in_a_path_unless_it_could_be_the_name_of_a_method(secret: str) -> None:
    assume(len(secret) >= 16 or not secret.replace("_", "").isalpha())
    assert not leaks(lambda s: [made("GET", f"/a/{quote(s, safe='')}/b", {"authorization": s})], secret)


# ---------------------------------------------------------------- nor what can be guessed from


def hashes(data: bytes) -> set[bytes]:
    """Hashes as they stand in files."""
    found = set()
    for name in ("md5", "sha1", "sha256", "sha512"):
        digest = hashlib.new(name, data, usedforsecurity=False)
        found |= {digest.hexdigest().encode(), base64.b64encode(digest.digest())}
    return found


def test_the_entity_tag_of_a_body_with_a_secret_is_masked_too() -> None:
    body = b'{"result":{"password":"12345678"}}'
    tag = hashlib.sha1(body, usedforsecurity=False).hexdigest()
    asked = made("GET", "/", {"if-none-match": f'"{tag}"'})
    unchanged = f'HTTP/1.1 304 Not Modified\r\nETag: "{tag}"\r\n\r\n'.encode()
    first = replied(body, "application/json", f'ETag: "{tag}"')
    for messages in ([*first, asked, unchanged], [asked, unchanged], [asked]):
        file = recorded(messages)
        assert not any(digest in file for digest in hashes(body))
    [placeholder] = {match[0] for match in placeholder_pattern(MARK).finditer(recorded([*first, asked]).decode())} - {
        f"~password.1.{MARK}~"
    }
    assert placeholder.startswith("~etag.")


def test_the_entity_tag_of_a_body_without_secrets_stays() -> None:
    asked = made("GET", "/", {"if-none-match": '"v17"'})
    file = recorded([*replied(b'{"result":1}', "application/json", 'ETag: "v17"'), asked])
    assert file.count(rb"\"v17\"") == 2


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded", "image/png"])
def test_the_hash_of_a_large_body_is_the_same_whatever_its_secrets_are(kind: str) -> None:
    def body(secret: str) -> bytes:
        if kind.endswith("urlencoded"):
            return f"a={'x' * 300}&password={secret}&b={'y' * 300}".encode()
        return json.dumps({"a": "x" * 300, "password": secret, "b": ["y" * 300]}).encode()

    first, second = (recorded(posted(body(secret), kind), max_body=500) for secret in ("12345678", "87654321"))
    assert first == second
    assert b'"sha256"' in first
    assert not any(digest in first for digest in hashes(body("12345678")))
    changed = recorded(posted(body("12345678").replace(b"yyy", b"yyz"), kind), max_body=500)
    assert changed != first


@pytest.mark.parametrize("kind", ["application/msgpack", "application/bson", "multipart/form-data; boundary=edge"])
def test_a_large_body_in_which_secrets_cannot_be_blanked_has_no_hash(kind: str) -> None:
    assert b"sha256" not in recorded(posted(b"x" * 501, kind), max_body=500)


def test_how_long_a_secret_is_does_not_show_in_the_length_of_its_body() -> None:
    def file(secret: str) -> bytes:
        body = json.dumps({"password": secret}).encode()
        asked = made("POST", "/", {"content-length": str(len(body))}, body)
        return recorded([asked, *replied(body)[1:]])

    assert file("12345678") == file("123456789012345678901234")


# ---------------------------------------------------------------- what stands for them


def found(messages: list[Any], **options: Any) -> list[str]:
    """The placeholders in a file, in order."""
    return [match[0] for match in placeholder_pattern(MARK).finditer(recorded(messages, **options).decode())]


def test_the_same_secret_has_the_same_placeholder_wherever_it_stands() -> None:
    secret = "Zm9vYmFy-1234_abcdefg"
    messages = [
        *replied(
            json.dumps({"session": {"session_id": secret}}).encode(), "application/json", f"Set-Cookie: s={secret}"
        ),
        made("GET", f"/get/{secret}?a={secret}&token={secret}", {"authorization": f"Bearer {secret}", "x-a": secret}),
        *written({"say": f"it is {secret}!", "in": {"key": secret}}),
    ]
    assert found(messages) == [f"~session_id.1.{MARK}~"] * 9


def test_different_secrets_have_different_placeholders() -> None:
    names = found(written({"password": "first-one", "token": "second-one", "a": {"password": "third-one"}}))
    assert len(set(names)) == 3
    assert [name.split(".")[0] for name in names] == ["~password", "~token", "~password"]


def test_what_is_no_text_says_so_in_its_placeholder() -> None:
    assert found(written({"key": 12, "code": 1.5, "token": "12"})) == [
        f"~key.1.{MARK}.int~",
        f"~code.2.{MARK}.float~",
        f"~key.1.{MARK}~",
    ]
    file = recorded(posted(msgspec.msgpack.encode({"key": b"\xff\x00"}), "application/msgpack"))
    body = msgspec.msgpack.decode(base64.b64decode(json.loads(file.splitlines()[1])["base64"]))
    assert body == {"key": f"~key.1.{MARK}.bytes~"}


def test_what_cannot_be_a_secret_stays() -> None:
    body = {"password": "", "key": None, "token": True, "a": {"#password": {"resultOf": "b", "path": "/x"}}}
    assert not found(written(body))


def test_a_short_secret_is_masked_by_its_name_only() -> None:
    line = recorded(written({"code": "1234", "year": "1234", "a": "in 1234"})).splitlines()[1]
    assert json.loads(line)["json"] == {"code": f"~code.1.{MARK}~", "year": "1234", "a": "in 1234"}


def test_the_code_of_an_error_in_a_reply_stays() -> None:
    error = {"error": {"code": 1001, "value": "Cannot call 'x'."}}
    assert not found(replied(json.dumps({"batch": {"1": error}, **error}).encode()))
    assert not found(replied(b'go({"error":{"code":1001,"value":"no"}})', "text/javascript"))
    assert found(written(error))
    assert found(replied(b'{"result":{"code":1001}}'))


@pytest.mark.parametrize("body", [b'{"password": {"a": "b"', b'{"p\\u0061ssword": "b"', b"{'password': [1"])
def test_a_broken_body_is_not_kept_when_nobody_knows_where_its_secret_is(body: bytes) -> None:
    assert json.loads(recorded(posted(body)).splitlines()[1])["cut"] == {"size": len(body), "why": "unreadable"}


def test_a_broken_body_without_secrets_is_kept() -> None:
    assert json.loads(recorded(posted(b'{"a": [1, 2')).splitlines()[1])["text"] == '{"a": [1, 2'


@given(anything)
def test_masking_changes_nothing_where_there_is_no_secret(text: str) -> None:
    squeezed = text.lower().translate(dict.fromkeys(map(ord, "-_ ")))  # Hypothesis tries strings of our sources
    assume(not any(name.replace("_", "") in squeezed for name in NAMES))
    body = {"a": text, text: [text, 1, 2.5, None]}
    line = recorded([*written(body), made("GET", f"/a/{quote(text, safe='')}?b={quote_plus(text)}", {"x-a": "b"})])
    first, second = map(json.loads, line.splitlines()[1:])
    assert first["json"] == body
    assert second["uri"] == f"/a/{quote(text, safe='')}?b={quote_plus(text)}"


def test_names_that_only_resemble_those_of_secrets_are_none() -> None:
    body = {"monkey": "banana-1", "country_code": "DE-12345", "max_tokens": 4096, "tokenizer": "abcdefgh"}
    body |= {"secretary": "Adelheid", "public_key": "12345678", "author": "somebody", "keys": ["12345678"]}
    body |= {"say": "The key: is under the mat, and its code: is 12345678"}
    body |= {"time": "see http://x.org:8080/a@b and mailto:ada@example.org"}  # type: ignore[dict-item]
    assert not found(written(body))


def test_what_ends_like_a_name_can_be_taken_away() -> None:
    names = choose(NAMES, "-next_page_token, -token")
    assert names[-1] == "-next_page_token"
    assert not found(
        written({"nextPageToken": "12345678", "a[next-page-token]": "1", "access_token": "2"}), names=names
    )
    assert len(found(written({"password_again": "12345678"}), names=names)) == 1


def test_bytes_of_no_known_form_with_the_name_of_a_secret_are_not_kept() -> None:
    [_, line] = recorded(posted(b"\xff\xd8 Password: \x01\x02", "image/jpeg")).splitlines()
    assert json.loads(line)["cut"] == {"size": 15, "why": "unreadable"}
    [_, line] = recorded(posted(b"\xff\xd8 monkey \x01\x02", "image/jpeg")).splitlines()
    assert base64.b64decode(json.loads(line)["base64"]) == b"\xff\xd8 monkey \x01\x02"


def test_names_can_be_added_and_taken_away() -> None:
    names = choose(NAMES, "pin, -code,-KEY , date of birth")
    assert found(
        written({"PIN": "12", "code": "12345678", "key": "12345678", "dateOfBirth": "2000-01-01"}), names=names
    ) == [
        f"~pin.1.{MARK}~",
        f"~date-of-birth.2.{MARK}~",
    ]
    assert choose(NAMES, "") == list(NAMES)


def test_a_secret_that_was_not_used_for_long_is_forgotten() -> None:
    masker = Masker(MARK, capacity=2)
    first = masker.secret("key", "the first")
    masker.secret("key", "the second")
    assert masker.secret("key", "the first") == first
    masker.secret("key", "the third")
    assert masker.secret("key", "the first") == first
    assert masker.secret("key", "the second") != f"~key.2.{MARK}~"
    assert CAPACITY > 10_000


nested = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(letters),
    lambda values: (
        st.lists(values, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(letters), values, max_size=4)
    ),
    max_leaves=20,
)
multiparts = ["multipart/form-data", "multipart/form-data; boundary=a"]
kinds = st.sampled_from(
    ["application/json", "text/plain", "", "x", *multiparts, "application/msgpack"]
) | st.sampled_from(["application/bson", "application/x-www-form-urlencoded"])


@given(nested, kinds)
def test_whatever_a_body_says_it_gets_a_line(value: Any, kind: str) -> None:
    body = json.dumps(value).encode("utf-8", "surrogatepass")
    assert recorded([*posted(body, kind), *replied(body, kind)]).count(b"\n") == 4


@given(st.binary() | st.binary().map(lambda data: b'{"key":' + data), kinds, st.text("ab=&%;,\"'~/?", max_size=30))
def test_whatever_comes_it_gets_a_line(body: bytes, kind: str, text: str) -> None:
    fields = {"cookie": text, "authorization": text, "referer": text, "content-type": kind}
    assert recorded([made("POST", f"/{text}", fields, body), *replied(body, kind)]).count(b"\n") == 4
