"""Calls as a client sees them: WIRE.md, "Calling a method"."""

import msgpack
import pytest

from tests.methods import Serve, body
from tests.support import Client
from totohio import TotoHandler

ECHO = body("return {'got': parameters}")
NONE = body("return None")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def client(serve: Serve) -> Client:
    return serve({"echo": ECHO, "a.b.echo": ECHO, "none": NONE}).connect()


# ---------------------------------------------------------------- naming the method


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/", {"method": "a.b.echo", "parameters": {"x": 1}}),
        ("/a/b/echo", {"x": 1}),
        ("/a.b.echo", {"x": 1}),
        ("/a/b.echo", {"x": 1}),
        ("/a/b/echo", {"parameters": {"x": 1}}),
    ],
)
def test_the_method_is_named_in_the_body_or_in_the_path(client: Client, path: str, body: object) -> None:
    assert client.post(path, body).json() == {"result": {"got": {"x": 1}}}


def test_the_path_beats_the_method_in_the_body(client: Client) -> None:
    assert client.post("/echo", {"method": "none", "parameters": {"x": 1}}).json() == {"result": {"got": {"x": 1}}}


def test_in_the_body_only_dots_separate(client: Client) -> None:
    assert client.call("a/b/echo") == {"error": {"code": 1001, "value": "Cannot call 'a/b/echo'."}}


@pytest.mark.parametrize("body", [{}, {"parameters": {"x": 1}}, {"method": None}, [1, 2], None])
def test_a_call_without_a_method_is_error_1002(client: Client, body: object) -> None:
    assert client.post("/", body).json() == {"error": {"code": 1002, "value": "Missing method."}}


@pytest.mark.parametrize("name", [5, True, [], {"a": 1}])
def test_a_method_that_is_no_string_is_error_1011(client: Client, name: object) -> None:
    assert client.post("/", {"method": name}).json()["error"]["code"] == 1011


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "echo.", ".echo", "a", "a.b", "nope", "echo.nope", "a.b.echo.invoke", "echo.__dict__",
        "echo.invoke.__globals__", "__init__", "a.__init__", "ECHO", "caf\xe9",
    ],
)  # fmt: skip
def test_a_name_that_is_no_method_is_error_1001(client: Client, name: str) -> None:
    assert client.call(name) == {"error": {"code": 1001, "value": f"Cannot call '{name}'."}}


@pytest.mark.parametrize(
    ("select", "path", "body", "code"),
    [
        ("url", "/echo", {"x": 1}, None),
        ("url", "/", {"method": "echo", "parameters": {"x": 1}}, 1002),
        ("parameter", "/", {"method": "echo", "parameters": {"x": 1}}, None),
        ("parameter", "/echo", {"x": 1}, 1002),
        ("parameter", "/none", {"method": "echo", "parameters": {"x": 1}}, None),
    ],
)
def test_method_select_says_where_the_method_is_named(
    serve: Serve, select: str, path: str, body: object, code: int | None
) -> None:
    client = serve({"echo": ECHO, "none": NONE}, method_select=select).connect()
    reply = client.post(path, body).json()
    assert reply == {"result": {"got": {"x": 1}}} if code is None else reply["error"]["code"] == code


def test_method_select_parameter_knows_no_method_for_a_get(serve: Serve) -> None:
    client = serve({"echo": ECHO}, method_select="parameter").connect()
    assert client.get("/echo?x=1").json()["error"]["code"] == 1002


@pytest.mark.parametrize("root", ["/api/v1", "/api/v1/"])
def test_root_prefixes_every_path(serve: Serve, root: str) -> None:
    client = serve({"echo": ECHO, "a.b.echo": ECHO}, root=root).connect()
    assert client.post("/api/v1/a/b/echo", {"x": 1}).json() == {"result": {"got": {"x": 1}}}
    assert client.post("/api/v1/", {"method": "echo", "parameters": {"x": 2}}).json() == {"result": {"got": {"x": 2}}}
    assert client.post("/api/v1", {"method": "echo", "parameters": {"x": 2}}).json() == {"result": {"got": {"x": 2}}}
    for path in ("/echo", "/", "/api/v2/echo", "/api/v1echo"):
        assert client.post(path, {"x": 1}).status == 404


# ---------------------------------------------------------------- parameters


@pytest.mark.parametrize("value", [{"a": [1, None, 2.5, "x", True]}, [1, 2], "abc", 7, 2.5, True])
def test_parameters_of_any_kind_reach_the_method(client: Client, value: object) -> None:
    assert client.post("/", {"method": "echo", "parameters": value}).json() == {"result": {"got": value}}


@pytest.mark.parametrize("value", [0, "", False, None, [], {}])
def test_where_parameters_are_absent_or_falsy_the_whole_body_is_handed_over(client: Client, value: object) -> None:
    body = {"method": "echo", "parameters": value}
    assert client.post("/", body).json() == {"result": {"got": body}}
    assert client.post("/", {"method": "echo"}).json() == {"result": {"got": {"method": "echo"}}}


@pytest.mark.parametrize("body", [None, {}, [], 0, False, ""])
def test_an_empty_body_of_a_call_by_path_is_no_parameters(client: Client, body: object) -> None:
    assert client.post("/echo", body).json() == {"result": {"got": {}}}


def test_a_get_takes_its_parameters_from_the_query(client: Client) -> None:
    reply = client.get("/a/b/echo?x=1&x=2&y=&z=caf%C3%A9+%20")
    assert reply.json() == {"result": {"got": {"x": ["1", "2"], "y": "", "z": "caf\xe9  "}}}


def test_a_post_with_json_ignores_the_query(client: Client) -> None:
    assert client.post("/echo?x=9", {"y": 1}).json() == {"result": {"got": {"y": 1}}}


def test_a_method_may_change_its_parameters_without_other_calls_noticing(serve: Serve) -> None:
    client = serve(
        {"mutate": body("parameters['seen'] = parameters.get('seen', 0) + 1", "return parameters")}
    ).connect()
    for _ in range(3):
        assert client.call("mutate", {"x": [1]}) == {"result": {"x": [1], "seen": 1}}


# ---------------------------------------------------------------- content types


@pytest.mark.parametrize(
    "content_type",
    [None, "", "application/json", "application/json; charset=utf-8", "application/jsonp", "Application/JSON"],
)
def test_json_is_read_under_its_type_and_without_one(client: Client, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    assert client.post("/echo", {"x": 1}, headers=headers).json() == {"result": {"got": {"x": 1}}}


def test_a_form_gives_lists_of_strings_with_the_query_first(client: Client) -> None:
    reply = client.post("/echo?a=q&z=9", b"a=body&b=%20x&c", headers=FORM)
    assert reply.json() == {"result": {"got": {"a": ["q", "body"], "z": ["9"], "b": [" x"], "c": [""]}}}
    assert reply.header("Content-Type") == "application/json"


def test_a_form_cannot_name_the_method(client: Client) -> None:
    assert client.post("/", b"method=echo&a=1", headers=FORM).json()["error"]["code"] == 1002


MULTIPART = (
    b'--XX\r\nContent-Disposition: form-data; name="field"\r\n\r\nvalue\r\n'
    b'--XX\r\nContent-Disposition: form-data; name="up"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\n'
    b"\xff data\r\n--XX--\r\n"
)


def test_a_multipart_form_gives_arguments_and_files(serve: Serve) -> None:
    source = (
        "def invoke(handler, parameters):\n"
        "    up, = parameters['files']['up']\n"
        "    return [parameters['arguments'], up['filename'], up['content_type'], list(up['body'])]\n"
    )
    client = serve({"up": source}).connect()
    reply = client.post("/up?q=1", MULTIPART, headers={"Content-Type": "multipart/form-data; boundary=XX"})
    assert reply.json() == {
        "result": [{"q": ["1"], "field": ["value"]}, "a.txt", "text/plain", list(b"\xff data")]
    }  # fmt: skip


def test_msgpack_is_answered_in_kind(serve: Serve) -> None:
    client = serve({"echo": ECHO}, msgpack_enabled=True).connect()
    headers = {"Content-Type": "application/msgpack"}
    reply = client.post("/", msgpack.packb({"method": "echo", "parameters": {"x": b"\xff"}}), headers=headers)
    assert reply.header("Content-Type") == "application/msgpack"
    assert msgpack.unpackb(reply.body) == {"result": {"got": {"x": b"\xff"}}}
    reply = client.post("/nope", msgpack.packb({"x": 1}), headers=headers)
    assert msgpack.unpackb(reply.body) == {"error": {"code": 1001, "value": "Cannot call 'nope'."}}
    reply = client.post("/echo", b"\xc1", headers=headers)
    assert reply.header("Content-Type") == "application/msgpack"
    assert msgpack.unpackb(reply.body)["error"]["code"] == 1011
    assert client.post("/echo", {"x": 1}).json() == {"result": {"got": {"x": 1}}}


def test_bson_is_answered_in_kind(serve: Serve) -> None:
    bson = pytest.importorskip("bson")
    client = serve({"echo": ECHO}, bson_enabled=True).connect()
    headers = {"Content-Type": "application/bson"}
    reply = client.post("/", bson.encode({"method": "echo", "parameters": {"x": b"\xff"}}), headers=headers)
    assert reply.header("Content-Type") == "application/bson"
    assert bson.decode(reply.body) == {"result": {"got": {"x": b"\xff"}}}
    reply = client.post("/echo", b"\x05\x00", headers=headers)
    assert bson.decode(reply.body)["error"]["code"] == 1011


@pytest.mark.parametrize("content_type", ["text/plain", "application/msgpack", "application/bson", "application/xml"])
def test_a_body_of_another_type_is_not_parsed(client: Client, content_type: str) -> None:
    reply = client.post("/echo", {"x": 1}, headers={"Content-Type": content_type})
    assert reply.json() == {"result": {"got": {}}}
    assert reply.header("Content-Type") == "application/json"
    reply = client.post("/", {"method": "echo"}, headers={"Content-Type": content_type})
    assert reply.json()["error"]["code"] == 1002


@pytest.mark.parametrize(
    "body",
    [
        b"", b"not json", b"{", b'{"x": 1}x', b'{"x": NaN}', b"[Infinity]", b"[-Infinity]", b"[1e400]", b'"\xff"',
        b'"\\ud800"', b'\xff\xfe{\x00}\x00', b"\xef\xbb\xbf{}", b"[" * 10_000, b"[" * 200_000, b"{'x': 1}", b"[1,]",
        b'{"x": 1' + b"0" * 10_000 + b"}",
    ],
)  # fmt: skip
def test_a_malformed_body_is_error_1011_and_the_connection_goes_on(client: Client, body: bytes) -> None:
    reply = client.post("/echo", body)
    assert reply.status == 200
    error = reply.json()["error"]
    assert error["code"] == 1011
    assert isinstance(error["value"], str)
    assert client.post("/echo", {"x": 1}).json() == {"result": {"got": {"x": 1}}}


def test_a_malformed_body_is_told_where(client: Client) -> None:
    assert "byte 7" in client.post("/echo", b'{"x": 1').json()["error"]["value"]


@pytest.mark.parametrize("body", [b"a=%FF", b"a=\xff"])
def test_a_form_that_is_not_utf8_is_error_1011(client: Client, body: bytes) -> None:
    assert client.post("/echo", body, headers=FORM).json()["error"]["code"] == 1011


@pytest.mark.usefixtures("hooks")
def test_a_name_of_megabytes_is_refused_and_not_kept(client: Client) -> None:
    names: list[str] = []
    TotoHandler.set_before_handler(lambda handler, transaction, name: names.append(handler.name + name))
    assert client.call("x" * (1 << 20))["error"]["code"] == 1001
    assert len(names[0]) <= 200
