"""Where secrets stand: requests and replies with one, for the tests that look for it in what is kept of them."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import bson
import msgspec

from totohio.wire.requesting import Request


def made(method: str, uri: str, fields: dict[str, str], body: bytes = b"") -> Request:
    encoded = {name.encode(): value.encode("latin-1") for name, value in fields.items()}
    path, _, query = uri.partition("?")
    return Request(method, uri, path, query, "1.1", encoded, body=body)


def posted(body: bytes, kind: str = "application/json", uri: str = "/") -> list[Any]:
    return [made("POST", uri, {"content-type": kind}, body)]


def written(value: Any) -> list[Any]:
    return posted(json.dumps(value).encode())


def replied(body: bytes, kind: str = "application/json", *fields: str) -> list[Any]:
    head = "\r\n".join(["HTTP/1.1 200 OK", *fields, f"Content-Type: {kind}", f"Content-Length: {len(body)}"])
    return [made("GET", "/", {}), f"{head}\r\n\r\n".encode("latin-1") + body]


def streamed(body: bytes, kind: str) -> list[Any]:
    """A reply whose pieces end in the middle of everything."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
    return [made("GET", "/", {}), (head + chunks[0], *chunks[1:], b"0\r\n\r\n")]


def multipart(secret: str) -> bytes:
    part = '--edge\r\nContent-Disposition: form-data; filename="a"; name="{}"\r\n\r\n{}\r\n'
    return (part.format("a", "1") + part.format("API-Key", secret) + part.format("b", secret) + "--edge--\r\n").encode()


def oddly_named(name: str, secret: str) -> bytes:
    return f"--edge\r\nContent-Disposition: form-data; {name}\r\n\r\n{secret}\r\n--edge--\r\n".encode()


FORM = "application/x-www-form-urlencoded"
PARTS = "multipart/form-data; boundary=edge"


ANY: dict[str, Callable[[str], list[Any]]] = {  # for secrets of any characters
    "a field": lambda s: written({"password": s}),
    "a nested field": lambda s: written({"a": [{"b": {"new_password": s}}, 1]}),
    "a batch": lambda s: written({"batch": {"1": {"method": "a", "parameters": {"token": s}}}}),
    "a name in another spelling": lambda s: written({"sessionId": s, "NEW-Password": s}),
    "a list": lambda s: written({"secret": ["x", s]}),
    "an object": lambda s: written({"secret": {"a": {"b": s}}}),
    "its second occurrence": lambda s: written({"a": f"before {s} after", "key": s, "z": s}),
    "JSON in a text": lambda s: written({"a": json.dumps({"b": json.dumps({"code": s})})}),
    "a URL in a text": lambda s: written({"a": f"see https://x.org/?token={quote(s, safe='')}&b=1"}),
    "JSON of another type": lambda s: posted(json.dumps({"password": s}).encode(), "text/plain"),
    "JSON without a type": lambda s: [made("POST", "/", {}, json.dumps({"password": s}).encode())],
    "JSON that ends too early": lambda s: posted(json.dumps({"a": 1, "password": s}).encode()[:-1]),
    "JSON that ends within": lambda s: posted(json.dumps({"password": s + "x"}, ensure_ascii=False).encode()[:-3]),
    "JSON in single quotes": lambda s: posted(f"{{'password': [{json.dumps(s)}]}}".encode()),
    "a query": lambda s: [made("GET", f"/a?x=1&key={quote_plus(s)}", {})],
    "a query with other escapes": lambda s: [made("GET", "/a?key=" + "".join(f"%{b:02x}" for b in s.encode()), {})],
    "a URL in a query": lambda s: [made("GET", f"/a?next={quote_plus('/b?token=' + quote_plus(s))}", {})],
    "a form": lambda s: posted(f"a=1&code={quote_plus(s)}&b={quote(s)}".encode(), "application/x-www-form-urlencoded"),
    "a multipart form": lambda s: posted(multipart(s), "multipart/form-data; boundary=edge"),
    "a longer name": lambda s: written({"accessToken": s, "old_password": s, "client-secret": s, "password2": s}),
    "a name with steps": lambda s: written({"user.password": s, "user[password]": s, "password[]": s}),
    "a pair of name and value": lambda s: written([{"name": "password", "value": s}, {"name": "a", "value": 1}]),
    "a form with steps": lambda s: posted(f"user[password]={quote_plus(s)}&a.token={quote_plus(s)}".encode(), FORM),
    "a form with escaped steps": lambda s: posted(f"user%5Bp%61ssword%5D[0]={quote_plus(s)}".encode(), FORM),
    "a query with a longer name": lambda s: [made("GET", f"/a?b?access_token={quote_plus(s)}&amp;key={quote(s)}", {})],
    "a URL in a URL in a query": lambda s: [
        made("GET", f"/a?next={quote_plus('/b?next=' + quote_plus('/c?token=' + quote_plus(s)))}", {})
    ],
    "a part with a name in single quotes": lambda s: posted(oddly_named("name='password'", s), PARTS),
    "a part with an encoded name": lambda s: posted(oddly_named("name*=utf-8''pass%77ord", s), PARTS),
    "a part with another name before": lambda s: posted(oddly_named('filename="name=a"; name="password"', s), PARTS),
    "a part of another type": lambda s: posted(multipart(s), "multipart/mixed; boundary=edge"),
    "a form with another boundary": lambda s: posted(multipart(s), "multipart/form-data; boundary=other"),
    "a form without a boundary": lambda s: posted(multipart(s), "multipart/form-data"),
    "a form with other line ends": lambda s: posted(multipart(s).replace(b"\r\n", b"\n"), PARTS),
    "MessagePack of another type": lambda s: posted(msgspec.msgpack.encode({"password": s}), "application/x-msgpack"),
    "MessagePack in MessagePack": lambda s: posted(
        msgspec.msgpack.encode({"a": msgspec.msgpack.encode({"token": s})}), "application/msgpack"
    ),
    "a form within a form": lambda s: posted(
        oddly_named('name="a"', multipart(s).decode().replace("edge", "rim")), PARTS
    ),
    "a name that is bytes": lambda s: posted(msgspec.msgpack.encode({b"password": s}), "application/msgpack"),
    "MessagePack": lambda s: posted(msgspec.msgpack.encode({"a": s, "p": [{"key": s}]}), "application/msgpack"),
    "bytes in MessagePack": lambda s: posted(msgspec.msgpack.encode({"key": s.encode()}), "application/msgpack"),
    "BSON": lambda s: posted(bson.encode({"a": s, "p": [{"key": s}]}), "application/bson"),
    "bytes in BSON": lambda s: posted(bson.encode({"key": s.encode()}), "application/bson"),
    "a body that is compressed": lambda s: [made("POST", "/", {"content-encoding": "br"}, s.encode())],
    "a reply": lambda s: replied(json.dumps({"result": {"session_id": s, "say": f"<{s}>"}}).encode()),
    "a reply as UTF-8": lambda s: replied(json.dumps({"result": {"key": s, "a": s}}, ensure_ascii=False).encode()),
    "a reply in MessagePack": lambda s: replied(msgspec.msgpack.encode({"token": s}), "application/msgpack"),
    "a reply in pieces": lambda s: streamed(json.dumps({"result": {"session_id": s}}).encode(), "application/json"),
    "events": lambda s: streamed(f"data: {json.dumps({'a': {'key': s}})}\n\n".encode(), "text/event-stream"),
    "JSONP": lambda s: replied(f"go({json.dumps({'result': {'key': s}})})".encode(), "text/javascript"),
    "a page": lambda s: replied(f"<script>var a = {{'token': {json.dumps(s)}}}</script>".encode(), "text/html"),
    "a URL to go to": lambda s: replied(b"", "text/html", f"Location: https://x.org/a?token={quote_plus(s)}"),
}
LINE: dict[str, Callable[[str], list[Any]]] = {  # for secrets that can stand in a header
    "a session": lambda s: [made("GET", "/", {"x-toto-session-id": s})],
    "a signature": lambda s: [made("GET", "/", {"x-toto-hmac": s})],
    "a bearer": lambda s: [made("GET", "/", {"authorization": f"Bearer {s}"})],
    "another authorization": lambda s: [made("GET", "/", {"authorization": s, "proxy-authorization": s})],
    "a header of that name": lambda s: [made("GET", "/", {"x-api-key": s, "token": s})],
    "a header of a longer name": lambda s: [made("GET", "/", {"x-amz-security-token": s, "private-token": s})],
    "a URL in another header": lambda s: [made("GET", "/", {"x-original-url": f"/a?t%6fken={quote(s, safe='')}"})],
    "a line of settings": lambda s: posted(f"a: 1\nDB_PASSWORD: {s}\nb: 2".encode(), "text/plain"),
    "a line for a shell": lambda s: posted(f"export API_KEY={s}\n".encode(), "text/plain"),
    "JSON without quotes": lambda s: posted(f'{{password: "{quote(s)}", a: 1}}'.encode()),
    "XML": lambda s: posted(f"<a><b:password>{quote(s)}</b:password></a>".encode(), "application/xml"),
    "an attribute": lambda s: posted(f'<a password="{quote(s)}"/>'.encode(), "text/xml"),
    "a URL with a password": lambda s: written({"a": f"postgres://ada:{quote(s, safe='')}@db/x"}),
    "a Referer with a password": lambda s: [made("GET", "/", {"referer": f"http://ada:{quote(s, safe='')}@db/x"})],
    "a cookie": lambda s: [made("GET", "/", {"cookie": f'a="{s}"; b={s}'})],
    "a cookie without a name": lambda s: [made("GET", "/", {"cookie": s})],
    "a cookie that is set": lambda s: replied(b"", "text/html", f"Set-Cookie: a={s}; Path=/", f"Set-Cookie: b={s}"),
    "where it came from": lambda s: [made("GET", "/", {"referer": f"https://x.org/a?code={quote_plus(s)}"})],
    "another header": lambda s: [made("GET", "/", {"x-toto-session-id": s, "x-more": f"for {s}"})],
    "a parameter of a path": lambda s: [made("GET", f"/a;token={quote(s, safe='')}/b", {})],
}
